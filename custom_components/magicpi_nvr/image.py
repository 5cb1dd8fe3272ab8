"""The picture of a camera's last event."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, override

from homeassistant.components.image import ImageEntity, ImageEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import NO_CHANGE, MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .nvr import MagicPiConfigEntry, NvrChange
from .recording import RecordingError
from .timestamps import utc_time

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MagicPiImageDescription(MagicPiEntityDescription, ImageEntityDescription):
    """A picture of a camera."""


IMAGES: Final = (
    MagicPiImageDescription(
        key="last_event",
        translation_key="last_event",
        changes=NO_CHANGE,
        nvr_changes=NvrChange.EVENTS,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the last event's picture."""
    async_add_rows(entry, async_add_entities, (MagicPiImage, IMAGES))


class MagicPiImage(MagicPiEntity, ImageEntity):
    """The thumbnail of the last event."""

    _attr_content_type = "image/jpeg"
    entity_description: MagicPiImageDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiImageDescription
    ) -> None:
        """Tie the entity to its camera."""
        ImageEntity.__init__(self, entry.runtime_data.nvr.hass)
        MagicPiEntity.__init__(self, entry, description)
        self._attr_image_last_updated = self._last_event_at()

    @callback
    @override
    def _handle_nvr_change(self, change: NvrChange) -> None:
        """Write the state when another event is the last."""
        if (at := self._last_event_at()) != self._attr_image_last_updated:
            self._attr_image_last_updated = at
            self.async_write_ha_state()

    def _last_event_at(self) -> datetime | None:
        """Return when the last event began."""
        if (event := self.nvr.recordings.last_event(self.camera.id)) is None:
            return None
        return utc_time(event.start_ms)

    @override
    async def async_image(self) -> bytes | None:
        """Return the thumbnail; before the first event, the picture of the claim or what came since."""
        if (event := self.nvr.recordings.last_event(self.camera.id)) is None:
            picture = self.nvr.last_picture(self.camera.id)
            return picture.jpeg if picture else None
        with suppress(RecordingError):
            return await self.nvr.recordings.async_thumbnail(event.id)
        return None
