"""What cameras report; sets up the sensors of the NVR, too."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import (
    PERCENTAGE,
    SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
    EntityCategory,
    UnitOfElectricPotential,
    UnitOfInformation,
    UnitOfTime,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoreEntity
from homeassistant.helpers.typing import StateType

from .battery import BatteryHistory, modeled_mah
from .entity import NO_CHANGE, MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .gateway import Camera, CameraStatus, Change
from .nvr import MagicPiConfigEntry, Nvr, NvrChange
from .nvr.copy_settings import SUBENTRY_TARGET
from .nvr_sensor import NVR_SENSORS, TARGET_SENSORS, NvrSensor, TargetSensor
from .pending import pending_text
from .timestamps import local_time, now_ms, utc_time

PARALLEL_UPDATES = 0

# An awake camera reports every ten seconds. What only drifts is written at the
# beginning and the end of a connection, and this often within it.
DRIFT = 300.0


@dataclass(frozen=True, kw_only=True)
class MagicPiSensorDescription(MagicPiEntityDescription, SensorEntityDescription):
    """A reading of a camera; `throttle` is the least of seconds between two states while it is awake."""

    value_fn: Callable[[Camera, Nvr], StateType | datetime]
    attributes_fn: Callable[[Camera], Mapping[str, Any]] | None = None
    throttle: float = 0.0
    entity_category: EntityCategory | None = EntityCategory.DIAGNOSTIC


def _spent(camera: Camera) -> dict[str, int]:
    """Return what the camera reported of its wakes and of the seconds that they took."""
    spent = camera.counters.spent
    return {
        "wakes_motion": spent["pir"],
        "wakes_check_in": spent["timer"],
        "wakes_ring": spent["ring"],
        "wakes_other": spent["other"],
        "awake_seconds": spent["awake_s"],
        "radio_seconds": spent["radio_s"],
        "sensor_seconds": spent["sensor_s"],
        "alarms_dropped": camera.counters.alarms_dropped,
    }


def _status(camera: Camera) -> str:
    """Return the status; one that checks in sleeps on, so that Activity has no line of it."""
    return (CameraStatus.ASLEEP if camera.checks_in else camera.status).value


def _local(at_ms: int | None) -> str | None:
    """Return a local time for an attribute."""
    return None if at_ms is None else local_time(at_ms).isoformat()


SENSORS = (
    MagicPiSensorDescription(
        key="status",
        translation_key="status",
        device_class=SensorDeviceClass.ENUM,
        options=[status.value for status in CameraStatus],
        entity_category=None,
        changes=Change.STATUS | Change.MOTION,
        value_fn=lambda camera, _: _status(camera),
        attributes_fn=lambda camera: (
            {"next_check_in": _local(camera.next_check_in_ms)}
            if camera.caps.sleep
            else {}
        ),
    ),
    MagicPiSensorDescription(
        key="last_seen",
        entity_registry_enabled_default=False,
        translation_key="last_seen",
        device_class=SensorDeviceClass.TIMESTAMP,
        changes=Change.STATUS | Change.TELEMETRY,
        throttle=DRIFT,
        value_fn=lambda camera, _: utc_time(camera.last_seen_ms),
    ),
    MagicPiSensorDescription(
        key="next_check_in",
        # Another time at each check-in is a line in Activity: the status carries it
        entity_registry_enabled_default=False,
        translation_key="next_check_in",
        device_class=SensorDeviceClass.TIMESTAMP,
        exists_fn=lambda camera: camera.caps.sleep,
        value_fn=lambda camera, _: utc_time(camera.next_check_in_ms),
    ),
    MagicPiSensorDescription(
        key="battery",
        device_class=SensorDeviceClass.BATTERY,
        native_unit_of_measurement=PERCENTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.STATUS | Change.TELEMETRY,
        throttle=DRIFT,
        exists_fn=lambda camera: camera.caps.battery,
        value_fn=lambda camera, _: camera.telemetry.battery_pct,
    ),
    MagicPiSensorDescription(
        key="battery_voltage",
        translation_key="battery_voltage",
        device_class=SensorDeviceClass.VOLTAGE,
        native_unit_of_measurement=UnitOfElectricPotential.MILLIVOLT,
        suggested_unit_of_measurement=UnitOfElectricPotential.VOLT,
        suggested_display_precision=2,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.STATUS | Change.TELEMETRY,
        throttle=DRIFT,
        entity_registry_enabled_default=False,
        exists_fn=lambda camera: camera.caps.battery,
        value_fn=lambda camera, _: camera.telemetry.battery_mv,
    ),
    MagicPiSensorDescription(
        key="rssi",
        device_class=SensorDeviceClass.SIGNAL_STRENGTH,
        native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.STATUS | Change.TELEMETRY,
        throttle=DRIFT,
        entity_registry_enabled_default=False,
        value_fn=lambda camera, _: camera.telemetry.rssi,
    ),
    MagicPiSensorDescription(
        key="first_frame",
        entity_registry_enabled_default=False,
        translation_key="first_frame",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.WOKE | Change.STATUS,
        value_fn=lambda camera, _: camera.telemetry.first_frame_ms,
    ),
    MagicPiSensorDescription(
        key="wifi",
        translation_key="wifi",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.WOKE | Change.STATUS,
        entity_registry_enabled_default=False,
        value_fn=lambda camera, _: camera.telemetry.wifi_ms,
    ),
    MagicPiSensorDescription(
        key="tls",
        translation_key="tls",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.MILLISECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.WOKE | Change.STATUS,
        entity_registry_enabled_default=False,
        value_fn=lambda camera, _: camera.telemetry.tls_ms,
    ),
    # These count frames, so they follow events instead of their counters.
    MagicPiSensorDescription(
        key="frames_lost",
        translation_key="frames_lost",
        state_class=SensorStateClass.TOTAL_INCREASING,
        changes=Change.STATUS | Change.LOST,
        entity_registry_enabled_default=False,
        value_fn=lambda camera, _: camera.counters.lost,
    ),
    MagicPiSensorDescription(
        key="frames_repaired",
        translation_key="frames_repaired",
        state_class=SensorStateClass.TOTAL_INCREASING,
        changes=Change.STATUS | Change.MOTION,
        entity_registry_enabled_default=False,
        value_fn=lambda camera, _: camera.counters.repaired,
    ),
    MagicPiSensorDescription(
        key="charge_used",
        entity_registry_enabled_default=False,
        translation_key="charge_used",
        native_unit_of_measurement="mAh",
        suggested_display_precision=0,
        state_class=SensorStateClass.TOTAL_INCREASING,
        changes=Change.WOKE,
        exists_fn=lambda camera: "checkin_picture" in camera.caps.features,
        value_fn=lambda camera, _: round(modeled_mah(camera.counters.spent), 1),
        attributes_fn=_spent,
    ),
    MagicPiSensorDescription(
        key="storage_used",
        entity_registry_enabled_default=False,
        translation_key="storage_used",
        device_class=SensorDeviceClass.DATA_SIZE,
        native_unit_of_measurement=UnitOfInformation.BYTES,
        suggested_unit_of_measurement=UnitOfInformation.GIGABYTES,
        suggested_display_precision=2,
        state_class=SensorStateClass.MEASUREMENT,
        changes=NO_CHANGE,
        nvr_changes=NvrChange.USAGE,
        value_fn=lambda camera, nvr: _storage_used(camera, nvr),
    ),
    MagicPiSensorDescription(
        key="clips_today",
        translation_key="clips_today",
        state_class=SensorStateClass.MEASUREMENT,
        changes=NO_CHANGE,
        nvr_changes=NvrChange.USAGE,
        entity_category=None,
        value_fn=lambda camera, nvr: nvr.recordings.usage.clips_today(camera.id),
    ),
    MagicPiSensorDescription(
        key="pending_changes",
        translation_key="pending_changes",
        changes=Change.CONFIG | Change.STATUS,
        value_fn=lambda camera, nvr: pending_text(nvr.hass, camera),
    ),
    MagicPiSensorDescription(
        key="pending_settings",
        entity_registry_enabled_default=False,
        translation_key="pending_settings",
        state_class=SensorStateClass.MEASUREMENT,
        changes=Change.CONFIG,
        value_fn=lambda camera, _: len(camera.config.pending),
        attributes_fn=lambda camera: {
            "pending": dict(camera.config.pending),
            "rejected": dict(camera.config.rejected),
        },
    ),
)

BATTERY_SENSORS = (
    MagicPiSensorDescription(
        key="battery_days_left",
        entity_registry_enabled_default=False,
        translation_key="battery_days_left",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.DAYS,
        suggested_display_precision=0,
        changes=Change.STATUS | Change.TELEMETRY,
        throttle=DRIFT,
        exists_fn=lambda camera: camera.caps.battery,
        value_fn=lambda camera, _: camera.telemetry.battery_pct,
    ),
)


VISION_SENSORS: tuple[MagicPiSensorDescription, ...] = (
    MagicPiSensorDescription(
        key="false_alarms",
        translation_key="false_alarms",
        state_class=SensorStateClass.TOTAL_INCREASING,
        changes=NO_CHANGE,
        nvr_changes=NvrChange.VISION,
        value_fn=lambda camera, nvr: (
            nvr.vision.false_alarms.events(camera.id) if nvr.vision else None
        ),
    ),
    MagicPiSensorDescription(
        key="awake_saved",
        translation_key="awake_saved",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        state_class=SensorStateClass.TOTAL_INCREASING,
        suggested_display_precision=0,
        changes=NO_CHANGE,
        nvr_changes=NvrChange.VISION,
        value_fn=lambda camera, nvr: (
            nvr.vision.false_alarms.saved_s(camera.id) if nvr.vision else None
        ),
    ),
)


def _storage_used(camera: Camera, nvr: Nvr) -> int | None:
    """Return bytes on disk; None before they were counted."""
    if nvr.recordings.usage.storage is None:
        return None
    usage = nvr.recordings.usage.camera(camera.id)
    return usage.size if usage else 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the sensors of a camera or of the NVR."""
    async_add_rows(
        entry,
        async_add_entities,
        (MagicPiSensor, SENSORS),
        (
            MagicPiSensor,
            VISION_SENSORS if entry.runtime_data.nvr.options.detection else (),
        ),
        (BatteryDaysSensor, BATTERY_SENSORS),
        (NvrSensor, NVR_SENSORS),
    )
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_TARGET:
            async_add_entities(
                (TargetSensor(entry, subentry, row) for row in TARGET_SENSORS),
                config_subentry_id=subentry.subentry_id,
            )


class MagicPiSensor(MagicPiEntity, SensorEntity):
    """A reading of a camera; not each report of an awake camera is written."""

    entity_description: MagicPiSensorDescription
    _written_at = float("-inf")

    @property
    @override
    def native_value(self) -> StateType | datetime:
        """Return the reading."""
        return self.entity_description.value_fn(self.camera, self.nvr)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any] | None:
        """Return what belongs to the reading."""
        attributes = self.entity_description.attributes_fn
        return attributes(self.camera) if attributes else None

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Pass over reports that come soon after another, unless the camera comes or goes."""
        throttle = self.entity_description.throttle
        if (
            not change & (Change.STATUS | Change.WOKE)
            and monotonic() - self._written_at < throttle
        ):
            return
        if throttle and change & self.entity_description.changes:
            self._written_at = monotonic()
        super()._handle_change(change)


class StoredHistory(ExtraStoredData):
    """A battery's history as it is stored with the state."""

    def __init__(self, history: BatteryHistory) -> None:
        """Keep the history."""
        self._history = history

    @override
    def as_dict(self) -> dict[str, Any]:
        """Return the history for JSON."""
        return self._history.as_dict()


class BatteryDaysSensor(MagicPiSensor, RestoreEntity):
    """How long the battery will last, by its history, which survives restarts."""

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiSensorDescription
    ) -> None:
        """Begin with an empty history."""
        super().__init__(entry, description)
        self._history = BatteryHistory()

    @override
    async def async_follow(self) -> None:
        """Take over the history."""
        if stored := await self.async_get_last_extra_data():
            self._history = BatteryHistory.from_dict(stored.as_dict())
        await super().async_follow()

    @property
    @override
    def extra_restore_state_data(self) -> ExtraStoredData:
        """Give the history to be stored."""
        return StoredHistory(self._history)

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Note the level at each report."""
        level = self.entity_description.value_fn(self.camera, self.nvr)
        if change & Change.TELEMETRY and isinstance(level, int | float):
            self._history.add(now_ms(), level)
        super()._handle_change(change)

    @property
    @override
    def native_value(self) -> float | None:
        """Return days."""
        left = self._history.days_left(now_ms())
        return None if left is None else round(left, 1)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any]:
        """Return by how many percent the level rose or fell on each day."""
        return {
            "daily_balance": {
                utc_time(day).date().isoformat(): change
                for day, change in self._history.balance().items()
            }
        }
