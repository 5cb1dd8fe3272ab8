"""The flash of a camera that is always on, as a lamp."""

from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.light import (
    ColorMode,
    LightEntity,
    LightEntityDescription,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .entity import MagicPiEntityDescription
from .gateway import Change
from .nvr import MagicPiConfigEntry
from .setting import SettingEntity

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MagicPiLightDescription(MagicPiEntityDescription, LightEntityDescription):
    """A lamp of a camera."""

    changes: Change = Change.CONFIG


LIGHT = MagicPiLightDescription(
    key="flash",
    translation_key="flash",
    # A camera that sleeps would only light up when it next wakes.
    exists_fn=lambda camera: (
        camera.caps.flash and camera.config.desired["power_mode"] == "always_on"
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the lamp, now and whenever the camera becomes one that is always on."""
    camera = entry.runtime_data.camera
    assert camera
    registry = er.async_get(hass)
    exists = False

    @callback
    def follow(change: Change) -> None:
        """Let the lamp come and go with the power mode."""
        nonlocal exists
        if not change & (Change.CONFIG | Change.INFO):
            return
        if exists is (exists := LIGHT.exists_fn(camera)):
            return
        if exists:
            async_add_entities([MagicPiLight(entry, LIGHT)])
        else:
            remove()

    @callback
    def remove() -> None:
        """Forget a lamp, also one of an earlier run."""
        if entity_id := registry.async_get_entity_id(
            "light", DOMAIN, f"{entry.unique_id}-{LIGHT.key}"
        ):
            registry.async_remove(entity_id)

    if exists := LIGHT.exists_fn(camera):
        async_add_entities([MagicPiLight(entry, LIGHT)])
    else:
        remove()
    entry.async_on_unload(camera.subscribe(follow))


class MagicPiLight(SettingEntity, LightEntity):
    """The flash, lit for as long as one likes."""

    entity_description: MagicPiLightDescription
    _attr_color_mode = ColorMode.ONOFF
    _attr_supported_color_modes = {ColorMode.ONOFF}

    @property
    @override
    def is_on(self) -> bool:
        """Return whether it is to be lit."""
        return self.wanted == "on"

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Light it."""
        self.want("on")

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Put it out."""
        self.want("off")
