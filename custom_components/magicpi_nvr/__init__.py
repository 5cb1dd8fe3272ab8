"""MagicPi NVR: battery cameras that sleep, recorded by Home Assistant."""

from typing import cast

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .card import async_register_card
from .const import CAMERA_PLATFORMS, CONF_ID, DOMAIN, MANUFACTURER, NVR_PLATFORMS
from .nvr import (
    MagicPiConfigEntry,
    MagicPiRuntimeData,
    Nvr,
    NvrConfigEntry,
    NvrRuntimeData,
    StorageUnavailable,
    async_get_nvr,
)
from .services import async_setup_services
from .views import async_register_views
from .websocket_api import async_register_commands

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register what is there without any camera: actions, views, commands."""
    await async_get_nvr(hass)
    async_setup_services(hass)
    async_register_views(hass)
    async_register_commands(hass)
    await async_register_card(hass)
    return True


async def async_setup_entry(
    hass: HomeAssistant, entry: MagicPiConfigEntry | NvrConfigEntry
) -> bool:
    """Set up a camera, or the NVR."""
    nvr = await async_get_nvr(hass)
    if entry.unique_id != DOMAIN:
        # The camera's device hangs below the NVR's
        await nvr.async_ensure_entry()
    try:
        entry.async_on_unload(await nvr.async_acquire())
        await nvr.async_apply_options()
    except StorageUnavailable as err:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN,
            translation_key="storage_failed",
            translation_placeholders={"error": str(err)},
        ) from err
    except OSError as err:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN,
            translation_key="cannot_listen",
            translation_placeholders={
                "port": str(nvr.options.port),
                "error": str(err),
            },
        ) from err
    if entry.unique_id == DOMAIN:
        return await _async_setup_nvr(hass, cast(NvrConfigEntry, entry), nvr)
    return await _async_setup_camera(hass, cast(MagicPiConfigEntry, entry), nvr)


async def _async_setup_nvr(
    hass: HomeAssistant, entry: NvrConfigEntry, nvr: Nvr
) -> bool:
    """Set up the NVR's device and entities."""
    _hang_cameras(hass, nvr.register_device())
    entry.runtime_data = NvrRuntimeData(nvr)
    await hass.config_entries.async_forward_entry_setups(entry, NVR_PLATFORMS)
    return True


@callback
def _hang_cameras(hass: HomeAssistant, device_id: str | None) -> None:
    """Hang all cameras below the NVR's device, which is another one after its entry was made again."""
    registry = dr.async_get(hass)
    for entry in hass.config_entries.async_entries(DOMAIN):
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            if device.id != device_id:
                registry.async_update_device(device.id, via_device_id=device_id)


async def _async_setup_camera(
    hass: HomeAssistant, entry: MagicPiConfigEntry, nvr: Nvr
) -> bool:
    """Set up a camera's device and entities; it may sleep for long yet."""
    camera_id = entry.data[CONF_ID]
    if (camera := nvr.gateway.cameras.get(camera_id)) is None:
        raise ConfigEntryAuthFailed(
            translation_domain=DOMAIN,
            translation_key="key_lost",
            translation_placeholders={"name": entry.title},
        )
    if camera.name != entry.title:
        camera.rename(entry.title)
    nvr.remember_name(camera_id, entry.title)
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(DOMAIN, camera_id)},
        connections={(dr.CONNECTION_NETWORK_MAC, dr.format_mac(camera_id))},
        manufacturer=MANUFACTURER,
        model=camera.model,
        name=entry.title,
        serial_number=camera_id,
        sw_version=camera.firmware,
        via_device_id=nvr.register_device(),
    )
    entry.runtime_data = MagicPiRuntimeData(nvr, camera)
    await hass.config_entries.async_forward_entry_setups(entry, CAMERA_PLATFORMS)
    return True


async def async_unload_entry(
    hass: HomeAssistant, entry: MagicPiConfigEntry | NvrConfigEntry
) -> bool:
    """Unload the entities; the last entry stops the NVR."""
    return await hass.config_entries.async_unload_platforms(
        entry, NVR_PLATFORMS if entry.unique_id == DOMAIN else CAMERA_PLATFORMS
    )


async def async_remove_entry(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Revoke a removed camera's key; a sleeping camera learns of it when it wakes."""
    nvr = await async_get_nvr(hass)
    if entry.unique_id != DOMAIN:
        await nvr.async_forget_camera(entry.data[CONF_ID])
    elif hass.config_entries.async_entries(DOMAIN, include_ignore=False):
        # Cameras cannot do without it: it comes back with the defaults
        await nvr.async_ensure_entry()
