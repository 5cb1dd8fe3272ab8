"""A camera sleeps while people change it, update it and restart Home Assistant."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_test_home_assistant,
)

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers import frame
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from tests.harness.firmware_images import FirmwareImages
from tests.harness.home_assistant import ClaimedCamera, Installation, make_installation

SETTINGS: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "resolution": ("select", "select_option", {"option": "vga"}, "VGA"),
    "framerate": ("number", "set_value", {"value": 5}, 5),
    "stream_duration_s": ("number", "set_value", {"value": 12}, 12),
    "pre_roll": ("switch", "turn_off", {}, False),
    "night_mode": ("select", "select_option", {"option": "on"}, True),
}
SHOWN = {
    "resolution": "vga",
    "framerate": "5",
    "stream_duration_s": "12",
    "pre_roll": "off",
    "night_mode": "on",
}


@asynccontextmanager
async def home_assistant(folder: Path) -> AsyncGenerator[HomeAssistant]:
    """Run a Home Assistant from start to stop on a folder and a storage that stay."""
    async with async_test_home_assistant(config_dir=str(folder)) as hass:
        frame.async_setup(hass)
        hass.data.pop(DATA_CUSTOM_COMPONENTS, None)
        yield hass
        await hass.async_stop(force=True)


def follow_availability(hass: HomeAssistant) -> list[str]:
    """Return a list that fills with every entity that becomes unavailable."""
    gone: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        if new and new.state == STATE_UNAVAILABLE:
            gone.append(new.entity_id)

    hass.bus.async_listen("state_changed", note)
    return gone


def assert_pending(camera: ClaimedCamera) -> None:
    """All five desired values are shown, and wait; so does the order."""
    for key, (platform, *_) in SETTINGS.items():
        state = camera.state(platform, key)
        assert state.state == SHOWN[key], key
        assert state.attributes["pending"] is True, key
    assert camera.state("sensor", "pending_settings").state == "5"
    assert camera.state("sensor", "status").state == "asleep"
    update = camera.state("update", "firmware")
    assert update.attributes["in_progress"] is True
    assert update.attributes["order"] == "pending"


@pytest.mark.usefixtures(
    "everything_enabled", "hass_storage", "mock_async_zeroconf", "socket_enabled"
)
async def test_changes_and_an_update_reach_a_sleeper_over_a_restart(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """Five settings and an update ordered in its sleep survive a restart, and all arrive with one wake."""
    folder = tmp_path / "config"
    folder.mkdir()
    media = tmp_path / "media"

    async with home_assistant(folder) as hass:
        first = make_installation(hass, unused_tcp_port, media)
        images = FirmwareImages(Path(hass.config.config_dir))
        images.add("1.1.0")
        await first.set_up()
        camera = await first.add_camera(name="Shed")
        await camera.sleep()
        gone = follow_availability(hass)
        for key, (platform, action, data, _) in SETTINGS.items():
            await first.call(
                platform, action, entity_id=camera.entity_id(platform, key), **data
            )
        await first.call(
            "update", "install", entity_id=camera.entity_id("update", "firmware")
        )
        await hass.async_block_till_done()
        assert_pending(camera)
        assert first.unavailable() == []
        assert gone == []
        virtual = camera.virtual
        rev = camera.gateway_camera.config.rev

    assert virtual.state == "asleep"
    async with home_assistant(folder) as hass:
        second = make_installation(hass, unused_tcp_port, media)
        gone = follow_availability(hass)
        entry = MockConfigEntry(
            domain="magicpi_nvr",
            title="Shed",
            unique_id=camera.entry.unique_id,
            data=dict(camera.entry.data),
        )
        entry.add_to_hass(hass)
        await second.set_up()
        assert entry.state is ConfigEntryState.LOADED
        camera = ClaimedCamera(
            second, entry, virtual, second.nvr.gateway.cameras[virtual.id]
        )
        assert_pending(camera)
        assert camera.state("sensor", "battery").state == "100"
        assert second.unavailable() == []

        virtual.press_button()
        await second.wait_for_states(
            lambda: camera.state("update", "firmware").attributes["order"] == "done",
            "the update",
        )
        await camera.sleep()
        for key, (platform, *_, value) in SETTINGS.items():
            assert virtual.config[key] == value, key
            state = camera.state(platform, key)
            assert state.state == SHOWN[key], key
            assert state.attributes["pending"] is False, key
            assert "rejected" not in state.attributes, key
        assert camera.state("sensor", "pending_settings").state == "0"
        assert camera.gateway_camera.config.reported_rev == rev
        assert camera.gateway_camera.config.rev == rev
        update = camera.state("update", "firmware")
        assert update.state == "off"
        assert update.attributes["installed_version"] == "1.1.0"
        assert virtual.flash.fw == "1.1.0"
        assert gone == []
        await virtual.stop()
        await asyncio.sleep(0)


async def test_a_day_of_sleep_changes_nothing(installation: Installation) -> None:
    """Late is a status, and still nothing is unavailable."""
    camera = await installation.add_camera()
    await camera.sleep()
    before = {
        state.entity_id: state.state
        for state in installation.hass.states.async_all()
        if state.entity_id != camera.entity_id("sensor", "status")
    }
    await camera.be_late()
    assert installation.unavailable() == []
    after = {
        state.entity_id: state.state
        for state in installation.hass.states.async_all()
        if state.entity_id in before
    }
    assert after == before
