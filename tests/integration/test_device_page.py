"""What people see on the page of a camera, and that names, settings and repairs lead on."""

from datetime import datetime

import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.gateway import CameraStatus, Change
from custom_components.magicpi_nvr.nvr import issues
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from custom_components.magicpi_nvr.views import event_clip_url
from homeassistant.components.media_source import async_browse_media
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    device_registry as dr,
    entity_registry as er,
    issue_registry as ir,
)
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, Installation, token_of

ENABLED = {
    ("binary_sensor", "motion"),
    ("binary_sensor", "problem"),
    ("button", "snapshot"),
    ("camera", "camera"),
    ("event", "event"),
    ("image", "last_event"),
    ("number", "stream_duration_s"),
    ("select", "power_mode"),
    ("select", "resolution"),
    ("sensor", "battery"),
    ("sensor", "clips_today"),
    ("sensor", "pending_changes"),
    ("sensor", "status"),
    ("switch", "motion_enabled"),
    ("switch", "recording"),
    ("update", "firmware"),
    # Only where the camera has the part
    ("binary_sensor", "charging"),
    ("event", "doorbell"),
}


async def test_enabled_entities(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A new camera shows what people use every day; the rest waits disabled."""
    await installation.claimed()
    entry = installation.entry()
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    enabled = {
        (item.domain, item.unique_id.removeprefix(f"{entry.unique_id}-"))
        for item in entities
        if item.disabled_by is None
    }
    assert enabled == ENABLED
    assert len(entities) > 2 * len(enabled)
    # A count stands alone: there is no form of a unit for one
    clips = hass.states.get(installation.entity_id("sensor", "clips_today"))
    assert clips
    assert "unit_of_measurement" not in clips.attributes


async def test_pending_says_when(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A setting of a sleeping camera shows that it waits, and until when."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entity_id = installation.entity_id("select", "resolution")
    await hass.services.async_call(
        "select",
        "select_option",
        {"entity_id": entity_id, "option": "vga"},
        blocking=True,
    )
    await hass.async_block_till_done()
    state = hass.states.get(entity_id)
    assert state
    assert state.attributes["pending"] is True
    at_ms = installation.camera().next_check_in_ms
    assert at_ms
    shown = datetime.fromisoformat(state.attributes["next_check_in"])
    assert shown == dt_util.utc_from_timestamp(at_ms / 1000)
    listed = installation.entity_id("sensor", "pending_changes")
    waiting = hass.states.get(listed)
    assert waiting
    clock = f"{dt_util.as_local(shown):%H:%M}"
    assert waiting.state.startswith("Resolution · next check-in ")
    assert waiting.state.endswith(clock)
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("config_applied", after=mark)
    await installation.wait_until(
        lambda: (
            (state := hass.states.get(entity_id)) is not None
            and state.attributes["pending"] is False
        )
    )
    state = hass.states.get(entity_id)
    assert state
    assert "next_check_in" not in state.attributes
    await installation.wait_until(
        lambda: (state := hass.states.get(listed)) is not None and state.state == "none"
    )


async def test_who_changes_is_notified(
    installation: Installation, hass: HomeAssistant, hass_ws_client: WebSocketGenerator
) -> None:
    """Each user hears of their own changes that wait, and of no one else's."""
    camera = await installation.claimed()
    mine = await hass_ws_client(hass)
    other = await hass_ws_client(hass, await token_of(hass, {}))
    for client in (mine, other):
        await client.send_json_auto_id({"type": f"{DOMAIN}/subscribe_waiting"})
        assert (await client.receive_json())["success"]
    select = {
        "type": "call_service",
        "domain": "select",
        "service": "select_option",
        "target": {"entity_id": installation.entity_id("select", "resolution")},
    }
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await mine.send_json_auto_id(select | {"service_data": {"option": "vga"}})
    first, second = [await mine.receive_json() for _ in range(2)]
    (pushed,) = [item for item in (first, second) if item["type"] == "event"]
    assert pushed["event"] == {
        "camera": "Front door",
        "setting": "Resolution",
        "next_check_in": installation.camera().next_check_in_ms,
    }
    await other.send_json_auto_id({"type": "ping"})
    assert (await other.receive_json())["type"] == "pong"


async def test_name_by_user(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """The name that a person gives to the device is the camera's name everywhere."""
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), installation.entry().entry_id
    )
    assert device
    registry.async_update_device(device.id, name_by_user="Garden gate")
    await hass.async_block_till_done()
    nvr = installation.nvr
    assert nvr.entries.name(CAMERA_ID) == "Garden gate"
    assert installation.camera().name == "Garden gate"
    root = await async_browse_media(hass, f"media-source://{DOMAIN}")
    assert "Garden gate" in [child.title for child in root.children or ()]
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    client = await hass_client()
    response = await client.get(event_clip_url(event.id))
    assert "Garden-gate" in response.headers["Content-Disposition"]
    # It is what the recordings keep after the camera
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    assert nvr.entries.name(CAMERA_ID) == "Garden gate"


async def test_disabled_camera_is_never_overdue(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Nobody is asked where a disabled camera is, and nothing else about it is reported."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entry, nvr = installation.entry(), installation.nvr
    known = installation.camera()
    known.presence.status = CameraStatus.LATE
    known.presence.late_since_ms = 1
    issue_id = f"camera_late_{CAMERA_ID}"
    known.pictures.fault = "zeroed"
    nvr.issues.check()
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"pictures_damaged_{CAMERA_ID}")
    await hass.config_entries.async_set_disabled_by(
        entry.entry_id, ConfigEntryDisabler.USER
    )
    nvr.issues.check()
    known.telemetry.rssi = -95
    for _ in range(issues.WEAK_REPORTS + 1):
        nvr.issues.camera_changed(known, Change.TELEMETRY | Change.PICTURES)
    assert {
        issue.issue_id
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.active
    } == set()


@pytest.mark.parametrize("key", sorted(issues.CURES))
async def test_repairs_lead_to_the_cure(
    installation: Installation, hass: HomeAssistant, key: str
) -> None:
    """Each repair has a link to where it can be cured."""
    installation.nvr.issues.report(key)
    issue = ir.async_get(hass).async_get_issue(DOMAIN, key)
    assert issue
    assert issue.learn_more_url == issues.CURES[key]
