"""Fifty cameras at once."""

from pathlib import Path
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from benchmark import camera_id
from custom_components.magicpi_nvr.const import CONF_ID, DOMAIN
from custom_components.magicpi_nvr.gateway import Frame
from fleet import stored_cameras
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac
from tests.harness.home_assistant import Writes, make_installation

CAMERAS = 50
ENTITIES = 46  # of a battery camera


@pytest.mark.usefixtures("everything_enabled", "mock_async_zeroconf", "socket_enabled")
async def test_fifty_cameras(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    writes: Writes,
    unused_tcp_port: int,
    tmp_path: Path,
) -> None:
    """All entities of all cameras are there and available, and frames write nothing."""
    hass_storage[f"{DOMAIN}.cameras"] = {
        "version": 1,
        "minor_version": 1,
        "key": f"{DOMAIN}.cameras",
        "data": stored_cameras(CAMERAS),
    }
    installation = make_installation(hass, unused_tcp_port, tmp_path / "media")
    entries = [
        MockConfigEntry(
            domain=DOMAIN,
            title=f"Camera {number}",
            unique_id=format_mac(camera_id(number)),
            data={CONF_ID: camera_id(number)},
        )
        for number in range(CAMERAS)
    ]
    for entry in entries:
        entry.add_to_hass(hass)
    await installation.set_up()

    registry = er.async_get(hass)
    for entry in entries:
        assert entry.state is ConfigEntryState.LOADED
        found = er.async_entries_for_config_entry(registry, entry.entry_id)
        assert len(found) == ENTITIES
        assert all(hass.states.get(item.entity_id) for item in found)
    assert installation.unavailable() == []

    # The counts of the disk come in their own time.
    await installation.nvr.recordings.usage.async_refresh()
    await hass.async_block_till_done()
    writes.counts.clear()
    for seq in range(10):
        for camera in installation.nvr.gateway.cameras.values():
            camera.handle_frame(
                Frame(
                    camera=camera.id,
                    boot=1,
                    event=1,
                    seq=seq,
                    flags=0,
                    t=seq * 100,
                    captured_ms=seq * 100,
                    jpeg=b"",
                    width=800,
                    height=600,
                    repaired=False,
                )
            )
        await hass.async_block_till_done()
    assert writes.counts == {}
