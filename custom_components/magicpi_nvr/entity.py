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


class PushEntity(Entity):
    """An entity that writes its state at the changes that its description names."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    entity_description: MagicPiEntityDescription | NvrEntityDescription

    def __init__(
        self,
        entry: MagicPiConfigEntry,
        description: MagicPiEntityDescription | NvrEntityDescription,
    ) -> None:
        """Tie the entity to the NVR."""
        self.entry = entry
        self.nvr: Nvr = entry.runtime_data.nvr
        self.entity_description = description

    @override
    async def async_added_to_hass(self) -> None:
        """Follow what the entity shows."""
        await super().async_added_to_hass()
        await self.async_follow()

    async def async_follow(self) -> None:
        """Follow the NVR where the description asks for it.

        Subclasses extend this instead of `async_added_to_hass`: Home Assistant would remove and
        add an entity again that overrides that one, and has another entity id.
        """
        if self.entity_description.nvr_changes:
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


class MagicPiEntity(PushEntity):
    """An entity of a camera; it keeps its last value, and stays available, while the camera sleeps."""

    entity_description: MagicPiEntityDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiEntityDescription
    ) -> None:
        """Tie the entity to the camera of an entry."""
        super().__init__(entry, description)
        assert entry.runtime_data.camera
        self.camera: Camera = entry.runtime_data.camera
        self._attr_unique_id = f"{entry.unique_id}-{description.key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, self.camera.id)},
            connections={(CONNECTION_NETWORK_MAC, format_mac(self.camera.board_id))},
        )

    @override
    async def async_follow(self) -> None:
        """Follow the camera, too."""
        await super().async_follow()
        self.async_on_remove(self.camera.subscribe(self._handle_change))

    @callback
    def _handle_change(self, change: Change) -> None:
        """Write the state if the change is one of the entity's."""
        if change & self.entity_description.changes:
            self.async_write_ha_state()


class NvrEntity(PushEntity):
    """An entity of the NVR's device."""

    entity_description: NvrEntityDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: NvrEntityDescription
    ) -> None:
        """Tie the entity to the NVR's device."""
        super().__init__(entry, description)
        self._attr_unique_id = f"{DOMAIN}-{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, DOMAIN)})


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
