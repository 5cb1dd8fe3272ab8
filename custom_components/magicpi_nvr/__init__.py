"""MagicPi NVR: battery cameras that sleep, recorded by Home Assistant."""

from homeassistant.const import Platform
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.event import async_track_device_registry_updated_event
from homeassistant.helpers.typing import ConfigType

from .card import async_register_card
from .const import CAMERA_PLATFORMS, CONF_ID, DOMAIN, MANUFACTURER, NVR_PLATFORMS
from .gateway import Camera
from .live_view import async_register_live_view
from .nvr import (
    MagicPiConfigEntry,
    MagicPiRuntimeData,
    Nvr,
    PortUnavailable,
    StorageUnavailable,
    async_get_nvr,
    is_nvr_entry,
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
    async_register_live_view(hass)
    async_register_commands(hass)
    await async_register_card(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MagicPiConfigEntry) -> bool:
    """Set up a camera, or the NVR."""
    nvr = await async_get_nvr(hass)
    if not is_nvr_entry(entry):
        # The camera's device is connected through the NVR's
        await nvr.async_ensure_entry()
    try:
        entry.async_on_unload(await nvr.async_acquire())
        await nvr.async_apply_options()
    except OSError as err:
        raise _not_ready(nvr, err) from err
    camera = None
    if is_nvr_entry(entry):
        _attach_cameras(hass, nvr.register_device())
    else:
        camera = _set_up_camera(hass, entry, nvr)
    entry.runtime_data = MagicPiRuntimeData(nvr, camera)
    await hass.config_entries.async_forward_entry_setups(entry, _platforms(entry))
    return True


def _platforms(entry: MagicPiConfigEntry) -> list[Platform]:
    """Return the platforms of an entry."""
    return NVR_PLATFORMS if is_nvr_entry(entry) else CAMERA_PLATFORMS


def _not_ready(nvr: Nvr, error: OSError) -> ConfigEntryNotReady:
    """Return why the NVR cannot start or follow its options."""
    key = "start_failed"
    placeholders = {"error": str(error)}
    if isinstance(error, StorageUnavailable):
        key = "storage_failed"
    elif isinstance(error, PortUnavailable):
        key = "cannot_listen"
        placeholders["port"] = str(nvr.entries.options.port)
    return ConfigEntryNotReady(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders=placeholders,
    )


@callback
def _attach_cameras(hass: HomeAssistant, device_id: str | None) -> None:
    """Connect all cameras through the NVR's device, which is another one after its entry was made again."""
    registry = dr.async_get(hass)
    for entry in hass.config_entries.async_entries(DOMAIN):
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            if device.id != device_id:
                registry.async_update_device(device.id, via_device_id=device_id)


@callback
def _set_up_camera(hass: HomeAssistant, entry: MagicPiConfigEntry, nvr: Nvr) -> Camera:
    """Register a camera's device, and return the camera, which may be asleep."""
    camera_id = entry.data[CONF_ID]
    if (camera := nvr.gateway.cameras.get(camera_id)) is None:
        raise ConfigEntryAuthFailed(
            translation_domain=DOMAIN,
            translation_key="key_lost",
            translation_placeholders={"name": entry.title},
        )
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(DOMAIN, camera_id)},
        connections={(dr.CONNECTION_NETWORK_MAC, dr.format_mac(camera.board_id))},
        manufacturer=MANUFACTURER,
        model=camera.model,
        name=entry.title,
        serial_number=camera.board_id,
        sw_version=camera.firmware,
        via_device_id=nvr.register_device(),
    )
    nvr.name_camera(camera)

    @callback
    def follow_name(event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
        """Take over the name that was typed on the device's page, or on the last page of a claim."""
        if (
            event.data["action"] != "update"
            or "name_by_user" not in event.data["changes"]
        ):
            return
        renamed = dr.async_get(hass).async_get(event.data["device_id"])
        if renamed and (name := renamed.name_by_user) and name != entry.title:
            hass.config_entries.async_update_entry(entry, title=name)
        nvr.name_camera(camera)

    entry.async_on_unload(
        async_track_device_registry_updated_event(hass, device.id, follow_name)
    )
    nvr.delegate.continuous.follow(camera)
    # They are drawn over the picture as its rotation turns it
    nvr.delegate.set_ignored_zones(camera)
    return camera


async def async_migrate_entry(hass: HomeAssistant, entry: MagicPiConfigEntry) -> bool:
    """Follow an entry of an earlier version; a later major one cannot be read."""
    if entry.version > 1:
        return False
    if entry.minor_version < 2:
        # They said again what the battery sensor and the flash select say
        registry = er.async_get(hass)
        for platform, key in (("binary_sensor", "battery_low"), ("light", "flash")):
            if entity_id := registry.async_get_entity_id(
                platform, DOMAIN, f"{entry.unique_id}-{key}"
            ):
                registry.async_remove(entity_id)
        hass.config_entries.async_update_entry(entry, minor_version=2)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: MagicPiConfigEntry) -> bool:
    """Unload the entities; the last entry stops the NVR."""
    return await hass.config_entries.async_unload_platforms(entry, _platforms(entry))


async def async_remove_entry(hass: HomeAssistant, entry: MagicPiConfigEntry) -> None:
    """Revoke a removed camera's key; a sleeping camera learns of it when it wakes."""
    nvr = await async_get_nvr(hass)
    if not is_nvr_entry(entry):
        # Home Assistant itself ends the dialogs that set up again only
        for flow in hass.config_entries.flow.async_progress_by_handler(
            DOMAIN, match_context={"entry_id": entry.entry_id}
        ):
            hass.config_entries.flow.async_abort(flow["flow_id"])
        await nvr.async_forget_camera(entry.data[CONF_ID])
    elif hass.config_entries.async_entries(DOMAIN, include_ignore=False):
        # Cameras cannot do without it: it comes back with the defaults
        await nvr.async_ensure_entry()
