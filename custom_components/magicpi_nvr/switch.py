"""Switches of a camera and of the NVR."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import (
    NO_CHANGE,
    MagicPiEntity,
    MagicPiEntityDescription,
    NvrEntity,
    NvrEntityDescription,
    async_add_rows,
)
from .gateway import Change
from .nvr import MagicPiConfigEntry, Nvr, NvrChange
from .setting import SettingEntity

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MagicPiSettingSwitchDescription(
    MagicPiEntityDescription, SwitchEntityDescription
):
    """A setting of the camera that is on or off."""

    changes: Change = Change.CONFIG
    entity_category: EntityCategory | None = EntityCategory.CONFIG


@dataclass(frozen=True, kw_only=True)
class MagicPiSwitchDescription(MagicPiEntityDescription, SwitchEntityDescription):
    """A switch of a camera that the NVR keeps to itself."""

    changes: Change = NO_CHANGE
    nvr_changes: NvrChange = NvrChange.SETTINGS
    value_fn: Callable[[Nvr, str], bool]
    turn_fn: Callable[[Nvr, str, bool], None]


@dataclass(frozen=True, kw_only=True)
class NvrSwitchDescription(NvrEntityDescription, SwitchEntityDescription):
    """A switch of the NVR."""

    value_fn: Callable[[Nvr], bool]
    turn_fn: Callable[[Nvr, bool], None]


SETTING_SWITCHES = (
    # Arming is what people do with a camera, not how they set it up.
    MagicPiSettingSwitchDescription(
        key="motion_enabled",
        translation_key="motion_detection",
        entity_category=None,
    ),
    MagicPiSettingSwitchDescription(
        key="pre_roll",
        entity_registry_enabled_default=False,
        translation_key="pre_roll",
    ),
    MagicPiSettingSwitchDescription(
        key="checkin_picture",
        entity_registry_enabled_default=False,
        translation_key="checkin_picture",
        exists_fn=lambda camera: "checkin_picture" in camera.caps.features,
    ),
    MagicPiSettingSwitchDescription(
        key="confirm_motion",
        entity_registry_enabled_default=False,
        translation_key="confirm_motion",
        exists_fn=lambda camera: "confirm_motion" in camera.caps.features,
    ),
    MagicPiSettingSwitchDescription(
        key="vflip",
        translation_key="vflip",
        entity_registry_enabled_default=False,
    ),
    MagicPiSettingSwitchDescription(
        key="hmirror",
        translation_key="hmirror",
        entity_registry_enabled_default=False,
    ),
)

SWITCHES = (
    MagicPiSwitchDescription(
        key="recording",
        translation_key="recording",
        value_fn=lambda nvr, camera_id: nvr.recording_enabled(camera_id),
        turn_fn=lambda nvr, camera_id, on: nvr.set_recording_enabled(camera_id, on),
    ),
)

NVR_SWITCHES = (
    NvrSwitchDescription(
        key="recording",
        translation_key="master_recording",
        nvr_changes=NvrChange.SETTINGS,
        value_fn=lambda nvr: nvr.master_recording_enabled,
        turn_fn=lambda nvr, on: nvr.set_master_recording_enabled(on),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the switches of a camera or of the NVR."""
    async_add_rows(
        entry,
        async_add_entities,
        (MagicPiSettingSwitch, SETTING_SWITCHES),
        (MagicPiSwitch, SWITCHES),
        (NvrSwitch, NVR_SWITCHES),
    )


class MagicPiSettingSwitch(SettingEntity, SwitchEntity):
    """A setting of the camera that is on or off."""

    entity_description: MagicPiSettingSwitchDescription

    @property
    @override
    def is_on(self) -> bool:
        """What is desired."""
        return bool(self.desired)

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Want it on."""
        self.set_desired(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Want it off."""
        self.set_desired(False)


class MagicPiSwitch(MagicPiEntity, SwitchEntity):
    """A switch of a camera that the NVR keeps to itself."""

    entity_description: MagicPiSwitchDescription

    @property
    @override
    def is_on(self) -> bool:
        """Return the switch's position."""
        return self.entity_description.value_fn(self.nvr, self.camera.id)

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Turn it on."""
        self.entity_description.turn_fn(self.nvr, self.camera.id, True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Turn it off."""
        self.entity_description.turn_fn(self.nvr, self.camera.id, False)


class NvrSwitch(NvrEntity, SwitchEntity):
    """A switch of the NVR."""

    entity_description: NvrSwitchDescription

    @property
    @override
    def is_on(self) -> bool:
        """Return the switch's position."""
        return self.entity_description.value_fn(self.nvr)

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Turn it on."""
        self.entity_description.turn_fn(self.nvr, True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Turn it off."""
        self.entity_description.turn_fn(self.nvr, False)
