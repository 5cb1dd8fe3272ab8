"""What version 0.1.0 stored is read, and what a stored file lacks has its default."""

from copy import deepcopy
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.gateway import Registry
from custom_components.magicpi_nvr.nvr.stores import NvrSettings, RegistryStorage
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_PORT, EVENT_HOMEASSISTANT_FINAL_WRITE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from tests.harness.home_assistant import CAMERA_ID, Installation

FOLDER = Path(__file__).parent / "fixtures" / "version_0_1_0"


def stored(name: str) -> dict[str, Any]:
    """Return a file of version 0.1.0."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return content


SETTINGS = stored("magicpi_nvr.settings")
CAMERAS = stored("magicpi_nvr.cameras")
CAMERA = CAMERAS["data"]["cameras"][CAMERA_ID]


async def test_everything_of_0_1_0(
    hass_storage: dict[str, Any], bare_installation: Installation, hass: HomeAssistant
) -> None:
    """Cameras, keys, settings that wait, switches and a person's changes to entities stay."""
    hass_storage["magicpi_nvr.settings"] = deepcopy(SETTINGS)
    hass_storage["magicpi_nvr.cameras"] = deepcopy(CAMERAS)
    entries = []
    for data in json.loads((FOLDER / "entries.json").read_text()):
        if data["options"]:
            data["options"]["network"][CONF_PORT] = bare_installation.port
        entry = MockConfigEntry(domain=DOMAIN, **data)
        entry.add_to_hass(hass)
        entries.append(entry)
    registry = er.async_get(hass)
    unique_id = entries[1].unique_id
    for platform, key in (
        ("light", "flash"),
        ("binary_sensor", "battery_low"),
        ("select", "flash"),
        ("sensor", "battery"),
    ):
        registry.async_get_or_create(
            platform, DOMAIN, f"{unique_id}-{key}", config_entry=entries[1]
        )
    flash = bare_installation.entity_id("select", "flash")
    registry.async_update_entity(flash, name="Lamp", icon="mdi:lamp")
    for entry in entries:
        if entry.state is not ConfigEntryState.LOADED:
            await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert [entry.state for entry in entries] == [ConfigEntryState.LOADED] * 2
    camera, nvr = bare_installation.camera(), bare_installation.nvr
    assert camera.config.pending == {"framerate": 5}
    assert camera.counters.frames == CAMERA["counters"]["frames"]
    assert not nvr.recording_enabled(CAMERA_ID)
    assert nvr.entries.name(CAMERA_ID) == "Front door"
    # One entity for one thing, and what a person changed is as it was
    assert registry.async_get_entity_id("light", DOMAIN, f"{unique_id}-flash") is None
    assert (
        registry.async_get_entity_id(
            "binary_sensor", DOMAIN, f"{unique_id}-battery_low"
        )
        is None
    )
    lamp = registry.async_get(flash)
    assert lamp
    assert (lamp.name, lamp.icon, lamp.disabled_by) == ("Lamp", "mdi:lamp", None)


@pytest.mark.parametrize("key", [None, *SETTINGS["data"]])
async def test_settings_without_a_key(
    hass_storage: dict[str, Any], hass: HomeAssistant, key: str | None
) -> None:
    """A missing key has its default, the others are read."""
    content = deepcopy(SETTINGS)
    content["data"].pop(key, None)
    hass_storage["magicpi_nvr.settings"] = content
    settings, defaults = NvrSettings(hass), NvrSettings(hass)
    await settings.async_load()
    for name, value in SETTINGS["data"].items():
        found = getattr(settings, name)
        if name == key:
            assert found == getattr(defaults, name)
        else:
            assert (sorted(found) if isinstance(found, set) else found) == value


@pytest.mark.parametrize(
    "key", [None, *(name for name in CAMERA if name != "key_hash")]
)
async def test_camera_without_a_key(
    hass_storage: dict[str, Any], hass: HomeAssistant, key: str | None
) -> None:
    """A camera is known as long as its key is, whatever else is missing."""
    content = deepcopy(CAMERAS)
    content["data"]["cameras"][CAMERA_ID].pop(key, None)
    hass_storage["magicpi_nvr.cameras"] = content
    registry = Registry(RegistryStorage(hass))
    await registry.load()
    assert CAMERA_ID in registry.cameras


@pytest.mark.parametrize("value", [None, 1, "x", [None], {"a": None}])
@pytest.mark.parametrize("key", list(SETTINGS["data"]))
async def test_settings_with_an_odd_value(
    hass_storage: dict[str, Any], hass: HomeAssistant, key: str, value: Any
) -> None:
    """What cannot be understood has its default; the NVR starts nevertheless."""
    content = deepcopy(SETTINGS)
    content["data"][key] = value
    hass_storage["magicpi_nvr.settings"] = content
    settings = NvrSettings(hass)
    await settings.async_load()
    for name, stored_value in SETTINGS["data"].items():
        found = getattr(settings, name)
        if name != key:
            assert (sorted(found) if isinstance(found, set) else found) == stored_value
    settings.save()
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()


@pytest.mark.parametrize(("major", "minor"), [(1, 0), (0, 1)])
async def test_files_of_an_earlier_version(
    hass_storage: dict[str, Any], hass: HomeAssistant, major: int, minor: int
) -> None:
    """A version that changes has what was stored before it to migrate from."""
    earlier = {"version": major, "minor_version": minor}
    hass_storage["magicpi_nvr.settings"] = deepcopy(SETTINGS) | earlier
    hass_storage["magicpi_nvr.cameras"] = deepcopy(CAMERAS) | earlier
    settings = NvrSettings(hass)
    await settings.async_load()
    assert settings.names == SETTINGS["data"]["names"]
    registry = Registry(RegistryStorage(hass))
    await registry.load()
    assert registry.cameras.keys() == CAMERAS["data"]["cameras"].keys()
