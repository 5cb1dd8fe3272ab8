"""What the NVR and its targets for copies report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory, UnitOfInformation, UnitOfTime
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.typing import StateType

from .const import DOMAIN, MANUFACTURER
from .entity import NvrEntity, NvrEntityDescription
from .nvr import MagicPiConfigEntry, Nvr, NvrChange
from .recording import StorageStats
from .timestamps import utc_time

if TYPE_CHECKING:
    from .copies.model import CopyStats


@dataclass(frozen=True, kw_only=True)
class NvrSensorDescription(NvrEntityDescription, SensorEntityDescription):
    """A reading of the NVR."""

    value_fn: Callable[[Nvr], StateType]
    entity_category: EntityCategory | None = EntityCategory.DIAGNOSTIC


def _of_storage(
    value: Callable[[StorageStats], StateType],
) -> Callable[[Nvr], StateType]:
    """Return a reading of the storage, unknown until it was measured."""

    def read(nvr: Nvr) -> StateType:
        storage = nvr.recordings.usage.storage
        return value(storage) if storage else None

    return read


NVR_SENSORS = (
    NvrSensorDescription(
        key="cameras_connected",
        translation_key="cameras_connected",
        state_class=SensorStateClass.MEASUREMENT,
        nvr_changes=NvrChange.CAMERAS,
        value_fn=lambda nvr: nvr.connected,
    ),
    NvrSensorDescription(
        key="recordings",
        translation_key="recordings",
        state_class=SensorStateClass.MEASUREMENT,
        nvr_changes=NvrChange.USAGE,
        entity_category=None,
        value_fn=_of_storage(lambda storage: storage.events),
    ),
    NvrSensorDescription(
        key="storage_used",
        translation_key="storage_used",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        suggested_unit_of_measurement=UnitOfInformation.GIGABYTES,
        suggested_display_precision=2,
        state_class=SensorStateClass.MEASUREMENT,
        nvr_changes=NvrChange.USAGE,
        value_fn=_of_storage(lambda storage: storage.used),
    ),
    NvrSensorDescription(
        key="storage_free",
        translation_key="storage_free",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        suggested_unit_of_measurement=UnitOfInformation.GIGABYTES,
        suggested_display_precision=1,
        state_class=SensorStateClass.MEASUREMENT,
        nvr_changes=NvrChange.USAGE,
        value_fn=_of_storage(lambda storage: storage.free),
    ),
    NvrSensorDescription(
        key="days_until_full",
        translation_key="days_until_full",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.DAYS,
        suggested_display_precision=0,
        nvr_changes=NvrChange.USAGE,
        value_fn=_of_storage(lambda storage: storage.days_until_full),
    ),
    NvrSensorDescription(
        key="encoder_queue",
        translation_key="encoder_queue",
        state_class=SensorStateClass.MEASUREMENT,
        nvr_changes=NvrChange.EVENTS | NvrChange.USAGE,
        entity_registry_enabled_default=False,
        value_fn=lambda nvr: nvr.recordings.recorder.stats.queue,
    ),
)


@dataclass(frozen=True, kw_only=True)
class TargetSensorDescription(NvrEntityDescription, SensorEntityDescription):
    """A reading of a target for copies."""

    nvr_changes: NvrChange = NvrChange.COPIES
    value_fn: Callable[[CopyStats], StateType | datetime]
    entity_category: EntityCategory | None = EntityCategory.DIAGNOSTIC


TARGET_SENSORS = (
    TargetSensorDescription(
        key="copies_waiting",
        translation_key="copies_waiting",
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda stats: stats.waiting,
    ),
    TargetSensorDescription(
        key="copies_last",
        translation_key="copies_last",
        device_class=SensorDeviceClass.TIMESTAMP,
        value_fn=lambda stats: utc_time(stats.last_copied_ms),
    ),
    TargetSensorDescription(
        key="copies_stored",
        translation_key="copies_stored",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        suggested_unit_of_measurement=UnitOfInformation.GIGABYTES,
        suggested_display_precision=2,
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda stats: stats.stored,
    ),
)


class TargetSensor(NvrEntity, SensorEntity):
    """A reading of a target for copies."""

    entity_description: TargetSensorDescription

    def __init__(
        self,
        entry: MagicPiConfigEntry,
        subentry: ConfigSubentry,
        description: TargetSensorDescription,
    ) -> None:
        """Tie the entity to the target's own device."""
        super().__init__(entry, description)
        self._target_id = subentry.subentry_id
        self._attr_unique_id = f"{subentry.subentry_id}-{description.key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, f"target-{subentry.subentry_id}")},
            entry_type=DeviceEntryType.SERVICE,
            manufacturer=MANUFACTURER,
            name=subentry.title,
        )

    @property
    @override
    def available(self) -> bool:
        """Return whether the target is set up."""
        return self.nvr.copies.stats(self._target_id) is not None

    @property
    @override
    def native_value(self) -> StateType | datetime:
        """Return the reading."""
        if (stats := self.nvr.copies.stats(self._target_id)) is None:
            return None
        return self.entity_description.value_fn(stats)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any] | None:
        """Return why nothing can be copied now, and what the disk lost first."""
        stats = self.nvr.copies.stats(self._target_id)
        if stats is None or self.entity_description.key != "copies_waiting":
            return None
        return {"cause": stats.cause, "missed": stats.missed, "copies": stats.copies}


class NvrSensor(NvrEntity, SensorEntity):
    """A reading of the NVR."""

    entity_description: NvrSensorDescription

    @property
    @override
    def native_value(self) -> StateType:
        """Return the reading."""
        return self.entity_description.value_fn(self.nvr)
