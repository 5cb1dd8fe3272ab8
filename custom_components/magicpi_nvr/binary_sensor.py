"""Motion, connectivity and problems of a camera."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import LABELS
from .entity import NO_CHANGE, MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .gateway import Camera, Change
from .nvr import MagicPiConfigEntry, NvrChange

PARALLEL_UPDATES = 0

# Reasons of a wake that tell of trouble
TROUBLE: Final = frozenset({"brownout", "crash", "watchdog"})


@dataclass(frozen=True, kw_only=True)
class MagicPiBinarySensorDescription(
    MagicPiEntityDescription, BinarySensorEntityDescription
):
    """Something about a camera that is so or not; None = not known yet."""

    value_fn: Callable[[Camera], bool | None]
    attributes_fn: Callable[[Camera], dict[str, Any] | None] = lambda _: None


def _trouble(camera: Camera) -> bool | None:
    if camera.pictures.fault:
        return True
    return camera.hello.reason in TROUBLE if camera.hello else None


BINARY_SENSORS: Final = (
    MagicPiBinarySensorDescription(
        key="motion",
        device_class=BinarySensorDeviceClass.MOTION,
        changes=Change.MOTION,
        value_fn=lambda camera: camera.motion,
    ),
    MagicPiBinarySensorDescription(
        key="connectivity",
        entity_registry_enabled_default=False,
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda camera: camera.session is not None,
    ),
    MagicPiBinarySensorDescription(
        key="charging",
        device_class=BinarySensorDeviceClass.BATTERY_CHARGING,
        entity_category=EntityCategory.DIAGNOSTIC,
        changes=Change.TELEMETRY,
        exists_fn=lambda camera: "charging" in camera.caps.features,
        value_fn=lambda camera: camera.telemetry.charging,
    ),
    MagicPiBinarySensorDescription(
        key="problem",
        translation_key="problem",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        changes=Change.WOKE | Change.STATUS | Change.PICTURES,
        value_fn=_trouble,
        attributes_fn=lambda camera: {
            "reason": camera.hello.reason if camera.hello else None,
            "pictures_refused": camera.pictures.fault,
        },
    ),
)


@dataclass(frozen=True, kw_only=True)
class MagicPiSeenDescription(MagicPiEntityDescription, BinarySensorEntityDescription):
    """Something that the detector tells apart; the key is its label."""

    changes: Change = NO_CHANGE
    nvr_changes: NvrChange = NvrChange.VISION


SEEN: Final = tuple(
    MagicPiSeenDescription(
        key=label,
        translation_key=label,
    )
    for label in LABELS
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add what the camera has."""
    async_add_rows(
        entry,
        async_add_entities,
        (MagicPiBinarySensor, BINARY_SENSORS),
        (MagicPiSeen, SEEN if entry.runtime_data.nvr.options.detection else ()),
    )


class MagicPiBinarySensor(MagicPiEntity, BinarySensorEntity):
    """Something about a camera that is so or not."""

    entity_description: MagicPiBinarySensorDescription

    @property
    @override
    def is_on(self) -> bool | None:
        """Return what the description reads."""
        return self.entity_description.value_fn(self.camera)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        """Return what the description reads."""
        return self.entity_description.attributes_fn(self.camera)


class MagicPiSeen(MagicPiEntity, BinarySensorEntity):
    """On while the detector sees something, off when the event is over."""

    entity_description: MagicPiSeenDescription

    @property
    @override
    def is_on(self) -> bool:
        """Return whether it is seen."""
        vision = self.nvr.vision
        return vision is not None and vision.sees(
            self.camera.id, self.entity_description.key
        )
