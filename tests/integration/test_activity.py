"""What a camera's page shows under Activity: what happened, asked from a real logbook."""

from typing import Any

from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import Installation
from virtual_camera import VirtualCamera

from .test_camera import recorded


async def asleep(installation: Installation, camera: VirtualCamera) -> None:
    """Wait until the camera sleeps and Home Assistant knows."""
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await installation.hass.async_block_till_done()


async def activity(
    installation: Installation, hass_ws_client: WebSocketGenerator, since: str
) -> list[tuple[str, Any]]:
    """Return the lines about the camera's entities: entity and state."""
    hass = installation.hass
    await get_instance(hass).async_block_till_done()
    entities = er.async_entries_for_config_entry(
        er.async_get(hass), installation.entry().entry_id
    )
    client = await hass_ws_client(hass)
    await client.send_json_auto_id(
        {
            "type": "logbook/get_events",
            "start_time": since,
            "entity_ids": [entity.entity_id for entity in entities],
        }
    )
    answer = await client.receive_json()
    assert answer["success"], answer
    return [(line["entity_id"], line.get("state")) for line in answer["result"]]


async def test_check_ins_leave_no_line(
    recorder_mock: Recorder,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A camera that reports every hour fills no page; what somebody did there is shown."""
    assert await async_setup_component(hass, "logbook", {})
    camera = await installation.claimed()
    await asleep(installation, camera)
    since = dt_util.utcnow().isoformat()
    for _ in range(3):
        due = installation.camera().next_check_in_ms
        mark = camera.mark()
        camera.check_in()
        await camera.wait_event("welcome", after=mark)
        await asleep(installation, camera)
        assert installation.camera().next_check_in_ms != due
    assert await activity(installation, hass_ws_client, since) == []
    # The check-in is shown all the same, where one looks for it
    status = installation.entity_id("sensor", "status")
    state = hass.states.get(status)
    assert state
    shown = dt_util.parse_datetime(state.attributes["next_check_in"])
    assert shown
    assert shown.timestamp() * 1000 == installation.camera().next_check_in_ms
    await recorded(installation, camera)
    await asleep(installation, camera)
    lines = await activity(installation, hass_ws_client, since)
    motion = installation.entity_id("binary_sensor", "motion")
    assert [state for entity, state in lines if entity == motion] == ["on", "off"]
    assert (status, "streaming") in lines


async def test_held_awake_is_shown(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A check-in that somebody asked to last shows that the camera is there."""
    camera = await installation.claimed()
    await asleep(installation, camera)
    installation.camera().hold_awake(60)
    camera.check_in()
    status = installation.entity_id("sensor", "status")
    await installation.wait_until(
        lambda: (
            (state := hass.states.get(status)) is not None and state.state == "awake"
        )
    )
