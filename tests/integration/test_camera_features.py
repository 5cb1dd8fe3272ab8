"""What newer cameras can do: pictures at check-ins, confirmation, doorbell, charging; and cameras that can not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.magicpi_nvr.const import CONF_ROTATION, DOMAIN
from custom_components.magicpi_nvr.recording import Event
from homeassistant.const import EVENT_STATE_CHANGED, STATE_OFF, STATE_ON
from homeassistant.core import (
    Event as HassEvent,
    EventStateChangedData,
    HomeAssistant,
    callback,
)
from homeassistant.helpers import entity_registry as er
from tests.harness.home_assistant import TIMEOUT, ClaimedCamera, Installation

pytestmark = pytest.mark.usefixtures("everything_enabled")

NEWER = (
    ("switch", "checkin_picture"),
    ("switch", "confirm_motion"),
    ("number", "confirm_sensitivity"),
    ("event", "doorbell"),
    ("binary_sensor", "charging"),
    ("sensor", "charge_used"),
)


def exists(camera: ClaimedCamera, platform: str, key: str) -> bool:
    """Say whether the camera has an entity."""
    return bool(
        er.async_get(camera.installation.hass).async_get_entity_id(
            platform, DOMAIN, f"{camera.entry.unique_id}-{key}"
        )
    )


async def check_ins(camera: ClaimedCamera) -> tuple[Event, ...]:
    """Return the pictures of check-ins."""
    page = await camera.installation.nvr.recordings.library.events(
        camera=camera.gateway_camera.id, check_ins=True
    )
    return page.events


async def recorded(
    camera: ClaimedCamera, number: int, *, pictures: bool = False
) -> None:
    """Return when so many clips are ready; of pictures at check-ins no event tells."""
    library = camera.installation.nvr.recordings.library
    async with asyncio.timeout(TIMEOUT):
        while (
            sum(
                event.state == "ready"
                for event in (await library.events(check_ins=pictures)).events
            )
            < number
        ):
            await asyncio.sleep(0.02)


async def take_check_in(camera: ClaimedCamera) -> Event:
    """Let the timer wake the camera; return the picture when it is recorded."""
    before = len(await check_ins(camera))
    mark = camera.virtual.mark()
    camera.virtual.check_in()
    await camera.virtual.wait_event("event_ended", after=mark)
    await camera.sleep()
    await recorded(camera, before + 1, pictures=True)
    pictures = await check_ins(camera)
    assert len(pictures) == before + 1
    return pictures[0]


async def test_check_in_pictures(
    installation: Installation, hass: HomeAssistant
) -> None:
    """One picture a check-in: the last picture, no event to anybody, films of them."""
    camera = await installation.add_camera(tail_s=0.1)
    await camera.sleep()
    fired: list[str] = []

    @callback
    def note(event: HassEvent[EventStateChangedData]) -> None:
        if event.data["entity_id"] == camera.entity_id("event", "event") and (
            state := event.data["new_state"]
        ):
            fired.append(state.attributes["event_type"])

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    mark = camera.virtual.mark()
    camera.virtual.check_in()
    await camera.virtual.wait_event("bye", after=mark)
    await camera.sleep()
    assert not await check_ins(camera), "off by default"

    await installation.call(
        "switch", "turn_on", entity_id=camera.entity_id("switch", "checkin_picture")
    )
    await camera.nap()
    first = await take_check_in(camera)
    second = await take_check_in(camera)
    assert (first.reason, first.frames, first.state) == ("check_in", 1, "ready")
    picture = installation.nvr.last_picture(camera.gateway_camera.id)
    assert picture
    assert picture.captured_ms == second.start_ms
    assert "clip_ready" not in fired
    assert camera.state("binary_sensor", "motion").state == STATE_OFF

    library = installation.nvr.recordings.library
    assert not (await library.events(camera=camera.gateway_camera.id)).events
    assert not await library.days(camera=camera.gateway_camera.id)
    assert installation.nvr.recordings.last_event(camera.gateway_camera.id) is None
    await installation.nvr.recordings.usage.async_refresh()
    assert installation.nvr.recordings.usage.clips_today(camera.gateway_camera.id) == 0

    now = datetime.now(UTC)
    span = {
        "camera": camera.gateway_camera.id,
        "start": now - timedelta(hours=1),
        "end": now + timedelta(hours=1),
    }
    film = await hass.services.async_call(
        DOMAIN,
        "create_timelapse",
        {**span, "check_ins": True},
        blocking=True,
        return_response=True,
    )
    assert film
    assert film["duration"] == pytest.approx(2 / 30, abs=0.002)

    # Movement is an event as ever, and not part of the film of check-ins
    mark = camera.virtual.mark()
    camera.virtual.trigger_motion(0.2)
    await camera.virtual.wait_event("event_ended", after=mark)
    await camera.sleep()
    await recorded(camera, 1)
    (event,) = (await library.events(camera=camera.gateway_camera.id)).events
    assert event.reason == "motion"
    (day,) = await library.days(camera=camera.gateway_camera.id)
    assert day.events == 1
    again = await hass.services.async_call(
        DOMAIN,
        "create_timelapse",
        {**span, "check_ins": True},
        blocking=True,
        return_response=True,
    )
    assert again
    assert again["duration"] == film["duration"]
    # A film of the event in the same time has a name of its own
    other = await hass.services.async_call(
        DOMAIN, "create_timelapse", span, blocking=True, return_response=True
    )
    assert other
    assert other["path"] != again["path"]


async def test_doorbell(installation: Installation) -> None:
    """A press fires the doorbell once, with the event that shows who it was; it is no motion."""
    camera = await installation.add_camera(tail_s=0.1)
    await camera.sleep()
    fired: list[dict[str, Any]] = []

    @callback
    def note(event: HassEvent[EventStateChangedData]) -> None:
        if event.data["entity_id"] == camera.entity_id("event", "doorbell") and (
            state := event.data["new_state"]
        ):
            fired.append(dict(state.attributes))

    installation.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    mark = camera.virtual.mark()
    camera.virtual.press_ring()
    await installation.wait_for_states(lambda: bool(fired), "the doorbell")
    await camera.virtual.wait_event("event_ended", after=mark)
    await camera.sleep()
    await recorded(camera, 1)
    (event,) = (await installation.nvr.recordings.library.events()).events
    assert event.reason == "ring"
    assert [item["event_type"] for item in fired] == ["ring"]
    assert fired[0]["event_id"] == event.id
    assert fired[0]["device_class"] == "doorbell"
    assert camera.state("binary_sensor", "motion").state == STATE_OFF
    assert camera.gateway_camera.hello
    assert camera.gateway_camera.hello.reason == "ring"


async def test_charging(installation: Installation) -> None:
    """Charging follows what the camera says."""
    camera = await installation.add_camera()
    await camera.sleep()
    assert camera.state("binary_sensor", "charging").state == STATE_OFF
    camera.virtual.options.charging = True
    await camera.nap()
    assert camera.state("binary_sensor", "charging").state == STATE_ON


async def test_zones_to_ignore(
    installation: Installation, hass: HomeAssistant, hass_ws_client: WebSocketGenerator
) -> None:
    """What is drawn to be ignored is ignored by the camera itself; what is watched is its owner's matter."""
    client = await hass_ws_client(hass)
    corner = [[0, 0], [0.125, 0], [0.125, 0.0834], [0, 0.0834]]
    last = [[0.9375, 0.9167], [1, 0.9167], [1, 1], [0.9375, 1]]
    zones = [
        {"name": "Street", "kind": "ignore", "points": corner},
        {"name": "Tree", "kind": "ignore", "points": last},
        {"name": "Path", "kind": "watch", "points": [[0, 0.5], [1, 0.5], [1, 1]]},
    ]

    async def draw(camera: ClaimedCamera, zones: list[dict[str, Any]]) -> None:
        await client.send_json_auto_id(
            {
                "type": f"{DOMAIN}/zones/set",
                "camera_id": camera.gateway_camera.id,
                "zones": zones,
            }
        )
        assert (await client.receive_json())["success"]

    camera = await installation.add_camera()
    await camera.sleep()
    rev = camera.gateway_camera.config.rev
    await draw(camera, zones[2:])
    assert camera.gateway_camera.config.rev == rev, "nothing to tell it"
    await draw(camera, zones)
    await camera.nap()
    # The first two cells are the highest bits, the last cell is the lowest
    assert camera.virtual.config["ignore_grid"] == "c" + "0" * 46 + "1"
    # Drawn over a picture that is upside down, they are at the other ends of what it captures
    hass.config_entries.async_update_entry(camera.entry, options={CONF_ROTATION: 180})
    # As the options do when they are saved
    assert await hass.config_entries.async_reload(camera.entry.entry_id)
    await camera.nap()
    assert camera.virtual.config["ignore_grid"] == "8" + "0" * 46 + "3"
    await draw(camera, [])
    await camera.nap()
    assert camera.virtual.config["ignore_grid"] == "0" * 48

    # A camera of before hears of them when an update lets it
    await draw(camera, [])
    old = await installation.add_camera(features=())
    await draw(old, zones)
    await old.nap()
    assert old.gateway_camera.config.rejected == {}
    old.virtual.caps["features"] = ["confirm_motion"]
    await old.nap()
    await old.nap()
    assert old.virtual.config["ignore_grid"] == "c" + "0" * 46 + "1"


async def test_camera_of_before(installation: Installation) -> None:
    """A camera that lists no features has none of it, and never sees a key that it does not know."""
    camera = await installation.add_camera(features=())
    await camera.sleep()
    assert not [row for row in NEWER if exists(camera, *row)]
    await installation.call(
        "switch", "turn_off", entity_id=camera.entity_id("switch", "pre_roll")
    )
    await camera.nap()
    assert camera.virtual.config["pre_roll"] is False
    assert camera.gateway_camera.config.rejected == {}
    assert "checkin_picture" not in camera.gateway_camera.config.message()


async def test_features_come_with_an_update(installation: Installation) -> None:
    """Firmware that can do more brings its entities with its next hello."""
    camera = await installation.add_camera(features=())
    await camera.sleep()
    camera.virtual.caps["features"] = ["checkin_picture", "ring"]
    await camera.nap()
    await installation.hass.async_block_till_done()
    assert exists(camera, "switch", "checkin_picture")
    assert exists(camera, "event", "doorbell")
    assert not exists(camera, "switch", "confirm_motion")
    assert camera.gateway_camera.config.desired["checkin_picture"] is False
