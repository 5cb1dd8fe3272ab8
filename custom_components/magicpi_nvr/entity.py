"""Base classes of the entities: of a camera, and of the NVR."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import (
    CONNECTION_NETWORK_MAC,
    DeviceInfo,
    format_mac,
)
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .gateway import Camera, Change
from .nvr import MagicPiConfigEntry, Nvr, NvrChange, is_nvr_entry

NO_CHANGE: Final = Change(0)
NO_NVR_CHANGE: Final = NvrChange(0)


@dataclass(frozen=True, kw_only=True)
class MagicPiEntityDescription(EntityDescription):
    """A camera's entity; the state is written at the changes named here, never for a frame."""

    changes: Change = Change.STATUS
    nvr_changes: NvrChange = NO_NVR_CHANGE
    exists_fn: Callable[[Camera], bool] = lambda _: True


@dataclass(frozen=True, kw_only=True)
class NvrEntityDescription(EntityDescription):
    """An entity of the NVR."""

    nvr_changes: NvrChange


class MagicPiEntity(Entity):
    """An entity of a camera; it keeps its last value, and stays available, while the camera sleeps."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    entity_description: MagicPiEntityDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiEntityDescription
    ) -> None:
        """Tie the entity to the camera of an entry."""
        self.entry = entry
        self.nvr: Nvr = entry.runtime_data.nvr
        assert entry.runtime_data.camera
        self.camera: Camera = entry.runtime_data.camera
        self.entity_description = description
        self._attr_unique_id = f"{entry.unique_id}-{description.key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, self.camera.id)},
            connections={(CONNECTION_NETWORK_MAC, format_mac(self.camera.board_id))},
        )

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the camera, and the NVR where the description asks for it."""
        await super().async_added_to_hass()
        self.async_on_remove(self.camera.subscribe(self._handle_change))
        if self.entity_description.nvr_changes:
            self.async_on_remove(self.nvr.changes.subscribe(self._handle_nvr_change))

    @callback
    @override
    def async_entity_id_changed(self, old_entity_id: str) -> None:
        """Nothing depends on the entity id, so a new one needs no removal."""

    @callback
    def _handle_change(self, change: Change) -> None:
        """Write the state if the change is one of the entity's."""
        if change & self.entity_description.changes:
            self.async_write_ha_state()

    @callback
    def _handle_nvr_change(self, change: NvrChange) -> None:
        """Write the state if the change is one of the entity's."""
        if change & self.entity_description.nvr_changes:
            self.async_write_ha_state()


class NvrEntity(Entity):
    """An entity of the NVR's device."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    entity_description: NvrEntityDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: NvrEntityDescription
    ) -> None:
        """Tie the entity to the NVR."""
        self.entry = entry
        self.nvr: Nvr = entry.runtime_data.nvr
        self.entity_description = description
        self._attr_unique_id = f"{DOMAIN}-{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, DOMAIN)})

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the NVR."""
        await super().async_added_to_hass()
        self.async_on_remove(self.nvr.changes.subscribe(self._handle_nvr_change))

    @callback
    @override
    def async_entity_id_changed(self, old_entity_id: str) -> None:
        """Nothing depends on the entity id, so a new one needs no removal."""

    @callback
    def _handle_nvr_change(self, change: NvrChange) -> None:
        """Write the state if the change is one of the entity's."""
        if change & self.entity_description.nvr_changes:
            self.async_write_ha_state()


type Rows = tuple[type[MagicPiEntity | NvrEntity], Iterable[Any]]


@callback
def async_add_rows(
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    *kinds: Rows,
) -> None:
    """Add an entity for each row that is of this entry: of the NVR, or of what its camera has."""
    camera = entry.runtime_data.camera
    async_add_entities(
        kind(entry, row)
        for kind, rows in kinds
        if issubclass(kind, NvrEntity) is is_nvr_entry(entry)
        for row in rows
        if camera is None or row.exists_fn(camera)
    )
