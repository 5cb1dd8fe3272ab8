"""Buttons of a camera and of the NVR."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, override

from homeassistant.components.button import (
    ButtonDeviceClass,
    ButtonEntity,
    ButtonEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import (
    NO_CHANGE,
    NO_NVR_CHANGE,
    MagicPiEntity,
    MagicPiEntityDescription,
    NvrEntity,
    NvrEntityDescription,
    async_add_rows,
)
from .errors import camera_errors, recording_errors
from .gateway import Camera, Change
from .nvr import MagicPiConfigEntry, Nvr, NvrChange

PARALLEL_UPDATES = 1

# Long enough to look, to talk to the camera and to leave; a minute of Wi-Fi costs
# a battery as much as a day of sleep.
CHECK_IN_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class MagicPiButtonDescription(MagicPiEntityDescription, ButtonEntityDescription):
    """A button of a camera."""

    changes: Change = NO_CHANGE
    press_fn: Callable[[Camera, Nvr], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class NvrButtonDescription(NvrEntityDescription, ButtonEntityDescription):
    """A button of the NVR."""

    nvr_changes: NvrChange = NO_NVR_CHANGE
    press_fn: Callable[[Nvr], Awaitable[object]]


async def _check_in(camera: Camera) -> None:
    """Have the camera stay for a while when it next connects."""
    camera.hold_awake(CHECK_IN_S)


BUTTONS = (
    MagicPiButtonDescription(
        key="snapshot",
        translation_key="snapshot",
        press_fn=lambda camera, nvr: nvr.async_snapshot(camera),
    ),
    MagicPiButtonDescription(
        key="identify",
        entity_registry_enabled_default=False,
        device_class=ButtonDeviceClass.IDENTIFY,
        entity_category=EntityCategory.DIAGNOSTIC,
        press_fn=lambda camera, _: camera.command("identify"),
    ),
    MagicPiButtonDescription(
        key="restart",
        entity_registry_enabled_default=False,
        device_class=ButtonDeviceClass.RESTART,
        entity_category=EntityCategory.CONFIG,
        press_fn=lambda camera, _: camera.command("restart"),
    ),
    MagicPiButtonDescription(
        key="rotate_key",
        translation_key="rotate_key",
        entity_category=EntityCategory.CONFIG,
        entity_registry_enabled_default=False,
        press_fn=lambda camera, _: camera.rekey(),
    ),
    MagicPiButtonDescription(
        key="check_in",
        entity_registry_enabled_default=False,
        translation_key="check_in",
        entity_category=EntityCategory.DIAGNOSTIC,
        press_fn=lambda camera, _: _check_in(camera),
    ),
)

NVR_BUTTONS = (
    NvrButtonDescription(
        key="purge",
        translation_key="purge",
        entity_category=EntityCategory.CONFIG,
        press_fn=lambda nvr: nvr.recordings.async_purge(),
    ),
    NvrButtonDescription(
        key="rebuild_index",
        translation_key="rebuild_index",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        press_fn=lambda nvr: nvr.recordings.async_rebuild(),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the buttons of a camera or of the NVR."""
    async_add_rows(
        entry, async_add_entities, (MagicPiButton, BUTTONS), (NvrButton, NVR_BUTTONS)
    )


class MagicPiButton(MagicPiEntity, ButtonEntity):
    """A button of a camera."""

    entity_description: MagicPiButtonDescription

    @override
    async def async_press(self) -> None:
        """Do it, or say when the camera can be reached."""
        with camera_errors(self.camera, self.nvr.entries.name(self.camera.id)):
            await self.entity_description.press_fn(self.camera, self.nvr)


class NvrButton(NvrEntity, ButtonEntity):
    """A button of the NVR."""

    entity_description: NvrButtonDescription

    @override
    async def async_press(self) -> None:
        """Do it, or say what the storage answers."""
        with recording_errors():
            await self.entity_description.press_fn(self.nvr)
