"""Settings of a camera that are numbers."""

from dataclasses import dataclass
from typing import override

from homeassistant.components.number import (
    NumberDeviceClass,
    NumberEntity,
    NumberEntityDescription,
    NumberMode,
)
from homeassistant.const import EntityCategory, UnitOfTime
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MagicPiEntityDescription, async_add_rows
from .gateway import CONFIG_KEYS, Change
from .nvr import MagicPiConfigEntry
from .setting import SettingEntity

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MagicPiNumberDescription(MagicPiEntityDescription, NumberEntityDescription):
    """A setting with a range, which is the protocol's."""

    changes: Change = Change.CONFIG
    entity_category: EntityCategory | None = EntityCategory.CONFIG
    mode: NumberMode | None = NumberMode.SLIDER
    native_step: float | None = 1


NUMBERS = (
    MagicPiNumberDescription(
        key="framerate",
        entity_registry_enabled_default=False,
        translation_key="framerate",
        native_unit_of_measurement="fps",
    ),
    MagicPiNumberDescription(
        key="jpeg_quality",
        translation_key="jpeg_quality",
        entity_registry_enabled_default=False,
    ),
    MagicPiNumberDescription(
        key="stream_duration_s",
        translation_key="stream_duration",
        device_class=NumberDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        mode=NumberMode.BOX,
    ),
    MagicPiNumberDescription(
        key="max_event_s",
        entity_registry_enabled_default=False,
        translation_key="max_event",
        device_class=NumberDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        mode=NumberMode.BOX,
    ),
    MagicPiNumberDescription(
        key="heartbeat_interval_s",
        entity_registry_enabled_default=False,
        translation_key="heartbeat_interval",
        device_class=NumberDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        mode=NumberMode.BOX,
        exists_fn=lambda camera: camera.caps.sleep,
    ),
    MagicPiNumberDescription(
        key="confirm_sensitivity",
        translation_key="confirm_sensitivity",
        entity_registry_enabled_default=False,
        exists_fn=lambda camera: "confirm_motion" in camera.caps.features,
    ),
    MagicPiNumberDescription(
        key="brightness",
        entity_registry_enabled_default=False,
        translation_key="brightness",
    ),
    MagicPiNumberDescription(
        key="contrast",
        translation_key="contrast",
        entity_registry_enabled_default=False,
    ),
    MagicPiNumberDescription(
        key="saturation",
        translation_key="saturation",
        entity_registry_enabled_default=False,
    ),
    MagicPiNumberDescription(
        key="exposure",
        translation_key="exposure",
        entity_registry_enabled_default=False,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the numbers of a camera."""
    async_add_rows(entry, async_add_entities, (MagicPiNumber, NUMBERS))


class MagicPiNumber(SettingEntity, NumberEntity):
    """A setting that is a number."""

    entity_description: MagicPiNumberDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiNumberDescription
    ) -> None:
        """Take the range from the protocol."""
        super().__init__(entry, description)
        key = CONFIG_KEYS[description.key]
        self._attr_native_min_value = key.minimum
        self._attr_native_max_value = key.maximum

    @property
    @override
    def native_value(self) -> float:
        """What is desired."""
        return int(self.desired)

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Want another value."""
        self.set_desired(round(value))
