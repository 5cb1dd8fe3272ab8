"""The blueprints of the repository, loaded and run."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.magicpi_nvr.nvr import EventChange, Sighting
from custom_components.magicpi_nvr.recording import Detection, Event, Findings
from homeassistant.components import automation
from homeassistant.components.blueprint import models
from homeassistant.core import HomeAssistant, SupportsResponse
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util, yaml as yaml_util
from tests.harness.home_assistant import ClaimedCamera, Installation

FOLDER = Path(__file__).parents[2] / "blueprints" / "automation" / "magicpi_nvr"
BLUEPRINTS = sorted(path.name for path in FOLDER.glob("*.yaml"))


def load(name: str) -> models.Blueprint:
    """Read a blueprint as Home Assistant does; raises when it is none."""
    return models.Blueprint(
        yaml_util.load_yaml_dict(str(FOLDER / name)),
        expected_domain="automation",
        path=name,
        schema=automation.config.AUTOMATION_BLUEPRINT_SCHEMA,
    )


@contextmanager
def given(name: str) -> Generator[None]:
    """Let Home Assistant find a blueprint of this repository."""
    original = models.DomainBlueprints._load_blueprint

    def find(self: models.DomainBlueprints, path: str) -> models.Blueprint:
        return load(name) if path == name else original(self, path)

    with patch.object(models.DomainBlueprints, "_load_blueprint", find):
        yield


async def automate(hass: HomeAssistant, name: str, **inputs: Any) -> str:
    """Make an automation from a blueprint; returns its entity id."""
    with given(name):
        assert await async_setup_component(
            hass,
            "automation",
            {
                "automation": {
                    "alias": "it",
                    "use_blueprint": {"path": name, "input": inputs},
                }
            },
        )
        await hass.async_block_till_done()
    state = hass.states.get("automation.it")
    assert state
    assert state.state == "on"
    return "automation.it"


def make_event(camera: ClaimedCamera, number: int = 1, seconds: float = 12.3) -> Event:
    """Return a recorded event."""
    start_ms = 1_795_000_000_000 + number * 60_000
    return Event(
        id=f"{camera.gateway_camera.id.replace(':', '').lower()}-00000001-{number}",
        camera=camera.gateway_camera.id,
        start_ms=start_ms,
        end_ms=start_ms + round(seconds * 1000),
        reason="motion",
        state="ready",
        frames=123,
        lost=0,
        size=100_000,
        path="02-00-00-00-00-00/2026-11-23/14.mp4",
    )


async def clip_ready(camera: ClaimedCamera, event: Event) -> None:
    """Let the NVR say that a clip is ready."""
    camera.installation.nvr.changes.notify_event(EventChange.READY, event)
    await camera.installation.hass.async_block_till_done()


def test_all_are_tested() -> None:
    """This file knows every blueprint."""
    assert BLUEPRINTS == [
        "arm_by_presence.yaml",
        "describe_clip.yaml",
        "doorbell.yaml",
        "film_of_check_ins.yaml",
        "notify_with_clip.yaml",
    ]


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_valid(name: str) -> None:
    """It is a blueprint by Home Assistant's schema, for versions that have what it uses."""
    blueprint = load(name)
    assert blueprint.validate() is None
    assert blueprint.name.startswith("MagicPi NVR: ")
    assert blueprint.metadata["description"]
    for key, field in blueprint.inputs.items():
        assert field, key
        assert field["name"], key
        assert "selector" in field, key


def add_phone(
    hass: HomeAssistant, name: str = "Anna's phone", *, takes_notifications: bool = True
) -> dr.DeviceEntry:
    """Return a phone with Home Assistant's app."""
    number = len(hass.config_entries.async_entries("mobile_app"))
    entry = MockConfigEntry(domain="mobile_app", title=name)
    entry.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={("mobile_app", f"phone{number}")},
        name=name,
    )
    if takes_notifications:
        er.async_get(hass).async_get_or_create(
            "notify",
            "mobile_app",
            f"phone{number}",
            config_entry=entry,
            device_id=device.id,
        )
    return device


@pytest.fixture
def phone(hass: HomeAssistant) -> dr.DeviceEntry:
    """Have a phone with Home Assistant's app."""
    return add_phone(hass)


async def test_notify_with_picture(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """The phone gets camera, time and picture, once for each clip."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera("Front door")
    await automate(
        installation.hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=phone.id,
    )
    event = make_event(camera)
    await clip_ready(camera, event)
    assert len(calls) == 1
    data = calls[0].data
    start = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    assert data["title"] == "Front door"
    assert data["message"] == f"{start:%H:%M:%S}, 12 s"
    assert data["data"]["tag"] == event.id
    assert data["data"]["image"].startswith("/api/magicpi_nvr/")
    assert "authSig=" in data["data"]["image"]
    assert data["data"]["clickAction"].startswith("/media-browser/")
    assert "video" not in data["data"]

    # Other things that the same entity tells are no reason to notify.
    camera.virtual.press_button()
    await camera.virtual.wait_event("welcome")
    await installation.hass.async_block_till_done()
    await clip_ready(camera, make_event(camera, 2))
    assert [call.data["data"]["tag"] for call in calls] == [
        event.id,
        make_event(camera, 2).id,
    ]


async def test_notify_of_persons_in_a_zone(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """Only what was asked for notifies: with the first sure picture, then with the clip."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera("Front door")
    await automate(
        installation.hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=phone.id,
        labels=["person"],
        zones=["Path"],
        pause=3600,
        attach="clip",
    )

    async def seen(event: Event, label: str, *zones: str) -> Detection:
        found = Detection(label=label, score=0.7, box=(0, 0, 1, 1), zones=zones)
        installation.nvr.changes.notify_sighting(
            Sighting(camera.gateway_camera.id, event.id, found)
        )
        await installation.hass.async_block_till_done()
        return found

    # The clip began before the notification, as it does in life
    event = replace(make_event(camera), start_ms=0, end_ms=20_000)
    await seen(event, "vehicle", "Path")
    await seen(event, "person", "Street")
    assert calls == []
    found = await seen(event, "person", "Path")
    assert len(calls) == 1
    data = calls[0].data
    assert data["message"].startswith("person, ")
    assert data["data"]["tag"] == event.id
    assert "authSig=" in data["data"]["image"]
    findings = Findings(verdict="seen", zones=("Path",), detections=(found,))
    await clip_ready(camera, replace(event, findings=findings))
    assert len(calls) == 2
    assert calls[1].data["data"]["tag"] == event.id
    assert calls[1].data["data"]["video"].startswith("/api/magicpi_nvr/")
    assert calls[1].data["message"].endswith(", 20 s")
    # Somebody in the street while something moves on the path is nobody on the path
    street = replace(found, zones=("Street",))
    findings = Findings(verdict="seen", zones=("Street", "Path"), detections=(street,))
    await clip_ready(camera, replace(event, findings=findings))
    assert len(calls) == 2
    # Within the pause nothing else notifies, and what shows nothing never does
    other = make_event(camera, 2)
    await seen(other, "person", "Path")
    nothing = Findings(verdict="nothing_seen")
    await clip_ready(camera, replace(other, findings=nothing))
    assert len(calls) == 2


async def test_notify_with_clip_and_link(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """With the address of Home Assistant a tap plays the clip."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera()
    await automate(
        installation.hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=phone.id,
        attach="clip",
        address="https://ha.example.org/",
    )
    await clip_ready(camera, make_event(camera))
    data = calls[0].data["data"]
    assert data["video"].startswith("/api/magicpi_nvr/")
    assert data["url"] == f"https://ha.example.org{data['video']}"
    assert "image" not in data


async def test_notify_every_phone(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """Each chosen phone is reached, also two of one name, or is named as one that cannot be."""
    hass = installation.hass
    twins = [add_phone(hass, "Phone"), add_phone(hass, "Phone")]
    mute = add_phone(hass, "Tablet", takes_notifications=False)
    calls = async_mock_service(hass, "notify", "mobile_app_anna_s_phone")
    shared = async_mock_service(hass, "notify", "mobile_app_phone")
    texts = async_mock_service(hass, "notify", "send_message")
    said = async_mock_service(hass, "persistent_notification", "create")
    camera = await installation.add_camera("Front door")
    await automate(
        hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=[phone.id, *(twin.id for twin in twins), mute.id],
    )
    await clip_ready(camera, make_event(camera))
    assert len(calls) == 1
    assert shared == []
    registry = er.async_get(hass)
    assert [call.data["entity_id"] for call in texts] == [
        [er.async_entries_for_device(registry, twin.id)[0].entity_id] for twin in twins
    ]
    assert {call.data["title"] for call in texts} == {"Front door"}
    (notice,) = said
    assert notice.data["message"].startswith("Tablet can't be notified")


async def test_notify_with_large_clip(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """A clip that phones do not take is replaced by its picture."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera()
    await automate(
        installation.hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=phone.id,
        attach="clip",
    )
    for number, (size, kind) in enumerate(
        ((50_000_000, "video"), (50_000_001, "image")), 1
    ):
        await clip_ready(camera, replace(make_event(camera, number), size=size))
        data = calls[-1].data["data"]
        assert data["tag"] == make_event(camera, number).id
        assert {"video", "image"} & data.keys() == {kind}


async def test_notify_within_limits(
    installation: Installation, phone: dr.DeviceEntry
) -> None:
    """Short clips and those within the pause stay silent."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera()
    await camera.sleep()
    await automate(
        installation.hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=phone.id,
        pause=300,
        shortest=5,
    )
    # Only now: sockets need a clock that goes.
    with freeze_time(dt_util.utcnow()) as clock:
        await clip_ready(camera, make_event(camera, 1, seconds=4))
        assert len(calls) == 0
        clock.tick(1)
        await clip_ready(camera, make_event(camera, 2))
        assert len(calls) == 1
        clock.tick(299)
        await clip_ready(camera, make_event(camera, 3))
        assert len(calls) == 1
        clock.tick(2)
        await clip_ready(camera, make_event(camera, 4))
        assert len(calls) == 2


async def test_describe(installation: Installation) -> None:
    """The AI gets the picture, the recording its words, and further actions both."""
    camera = await installation.add_camera("Front door")
    asked = async_mock_service(
        installation.hass,
        "ai_task",
        "generate_data",
        response={
            "conversation_id": "1",
            "data": {
                "description": "A courier brings a parcel.",
                "labels": ["person", "parcel"],
            },
        },
        supports_response=SupportsResponse.OPTIONAL,
    )
    fields = installation.hass.services.async_services_for_domain("magicpi_nvr")[
        "label_event"
    ]
    written = async_mock_service(
        installation.hass, "magicpi_nvr", "label_event", schema=fields.schema
    )
    spoken = async_mock_service(installation.hass, "test", "tell")
    await automate(
        installation.hass,
        "describe_clip.yaml",
        events=[camera.entity_id("event", "event")],
        ai_task="ai_task.some_model",
        afterwards=[
            {
                "action": "test.tell",
                "data": {"text": "{{ camera }}: {{ description }} {{ labels }}"},
            }
        ],
    )
    event = make_event(camera)
    await clip_ready(camera, event)

    assert len(asked) == 1
    request = asked[0].data
    assert request["entity_id"] == "ai_task.some_model"
    assert "named Front door" in request["instructions"]
    assert set(request["structure"]) == {"description", "labels"}
    assert request["attachments"] == {
        "media_content_id": (
            f"media-source://image/{camera.entity_id('image', 'last_event')}"
        ),
        "media_content_type": "image/jpeg",
    }
    assert len(written) == 1
    assert written[0].data["event_id"] == event.id
    assert written[0].data["labels"] == ["person", "parcel"]
    assert written[0].data["description"] == "A courier brings a parcel."
    assert spoken[0].data["text"] == (
        "Front door: A courier brings a parcel. ['person', 'parcel']"
    )


class Home:
    """People who come and go, and the switches that follow."""

    def __init__(self, hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
        """Everyone is at home at noon, and the cameras are not armed."""
        self.hass = hass
        self.freezer = freezer
        freezer.move_to(
            datetime(2026, 11, 23, 12, 0, tzinfo=dt_util.get_default_time_zone())
        )
        self.person("anna", "home")
        self.person("ben", "home")
        self.switch("off")
        self.on = async_mock_service(hass, "switch", "turn_on")
        self.off = async_mock_service(hass, "switch", "turn_off")

    def person(self, name: str, place: str) -> None:
        """Let somebody be somewhere."""
        self.hass.states.async_set(f"person.{name}", place)

    def switch(self, state: str) -> None:
        """Let the switches have a state."""
        for name in ("door", "yard"):
            self.hass.states.async_set(f"switch.{name}", state)

    async def later(self, **delta: float) -> None:
        """Let time pass, and what is due happen; waiting for a run to end would wait for its delay."""
        await self.settle()
        self.freezer.tick(timedelta(**delta))
        async_fire_time_changed(self.hass)
        await self.settle()

    async def settle(self) -> None:
        """Give every task its turns."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def start(self, **inputs: Any) -> None:
        """Make the automation."""
        await automate(
            self.hass,
            "arm_by_presence.yaml",
            switches=["switch.door", "switch.yard"],
            persons=["person.anna", "person.ben"],
            **inputs,
        )


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> AsyncGenerator[Home]:
    """Have a home."""
    yield Home(hass, freezer)
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.it"}, blocking=True
    )


async def test_armed_when_the_last_one_has_left(home: Home) -> None:
    """Armed after the delay, with one call for all switches, and disarmed at once."""
    await home.start()
    home.person("anna", "not_home")
    await home.later(minutes=10)
    assert not home.on
    home.person("ben", "Work")
    await home.later(minutes=4)
    assert not home.on
    await home.later(minutes=2)
    assert [call.data["entity_id"] for call in home.on] == [
        ["switch.door", "switch.yard"]
    ]
    home.switch("on")
    home.person("anna", "home")
    await home.later(seconds=1)
    assert [call.data["entity_id"] for call in home.off] == [
        ["switch.door", "switch.yard"]
    ]


async def test_who_comes_back_within_the_delay_is_not_filmed(home: Home) -> None:
    """Coming back ends the delay."""
    await home.start()
    home.person("anna", "not_home")
    home.person("ben", "not_home")
    await home.later(minutes=3)
    home.person("ben", "home")
    await home.later(minutes=10)
    assert not home.on
    assert not home.off


async def test_armed_in_the_night(home: Home) -> None:
    """Armed from the evening to the morning although everyone is at home, over midnight."""
    await home.start()
    await home.later(hours=11, seconds=1)
    assert len(home.on) == 1
    home.switch("on")
    # Somebody comes home late: it is night still.
    home.person("ben", "not_home")
    await home.later(hours=2)
    home.person("ben", "home")
    await home.later(seconds=1)
    assert not home.off
    await home.later(hours=5)
    assert len(home.off) == 1
    assert len(home.on) == 1


async def test_no_night(home: Home) -> None:
    """The same time twice means that the night does not count."""
    await home.start(night_start="00:00:00", night_end="00:00:00")
    await home.later(hours=12, seconds=1)
    assert not home.on


async def test_only_what_differs_is_switched(home: Home) -> None:
    """A switch that is on already is left alone."""
    await home.start(leave_delay=0)
    home.hass.states.async_set("switch.door", "on")
    home.person("anna", "not_home")
    home.person("ben", "not_home")
    await home.later(seconds=1)
    assert [call.data["entity_id"] for call in home.on] == [["switch.yard"]]


async def test_doorbell(installation: Installation, phone: dr.DeviceEntry) -> None:
    """A press tells the phone at once, with the camera's picture."""
    calls = async_mock_service(installation.hass, "notify", "mobile_app_anna_s_phone")
    camera = await installation.add_camera("Front door")
    await camera.sleep()
    await automate(
        installation.hass,
        "doorbell.yaml",
        doorbells=[camera.entity_id("event", "doorbell")],
        notify_device=phone.id,
        message="The bell",
    )
    camera.virtual.press_ring()
    await installation.wait_for_states(lambda: bool(calls), "the notification")
    await installation.hass.async_block_till_done()
    (call,) = calls
    picture = camera.entity_id("camera", "camera")
    assert call.data["title"] == "Front door"
    assert call.data["message"] == "The bell"
    assert call.data["data"]["image"] == f"/api/camera_proxy/{picture}"
    assert call.data["data"]["entity_id"] == picture


@pytest.mark.parametrize("filename", ["", "/media/garden.mp4"])
async def test_film_of_check_ins(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, filename: str
) -> None:
    """Each evening a film of the pictures of the last days."""
    made = async_mock_service(
        hass,
        "magicpi_nvr",
        "create_timelapse",
        response={"path": "/media/garden.mp4", "url": None, "duration": 22.4},
        supports_response=SupportsResponse.OPTIONAL,
    )
    spoken = async_mock_service(hass, "test", "tell")
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-11-22T20:59:00+00:00")
    await automate(
        hass,
        "film_of_check_ins.yaml",
        camera="camera.garden",
        days=7,
        filename=filename,
        afterwards=[
            {"action": "test.tell", "data": {"seconds": "{{ film.duration }}"}}
        ],
    )
    freezer.move_to("2026-11-22T21:00:00+00:00")
    async_fire_time_changed(hass)
    await hass.async_block_till_done()
    (call,) = made
    assert call.data["camera"] == "camera.garden"
    assert call.data["check_ins"] is True
    assert call.data.get("filename", "") == filename
    start, end = (datetime.fromisoformat(call.data[name]) for name in ("start", "end"))
    assert end - start == timedelta(days=7)
    assert [item.data for item in spoken] == [{"seconds": 22.4}]
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.it"}, blocking=True
    )
