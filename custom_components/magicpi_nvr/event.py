"""What happens at a camera, for automations."""

from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.event import (
    DoorbellEventType,
    EventDeviceClass,
    EventEntity,
    EventEntityDescription,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .clip import clip_attributes, sighting_attributes
from .const import LABELS
from .entity import MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .gateway import WAKE_TIMER, Change
from .nvr import EventChange, MagicPiConfigEntry, Sighting
from .recording import NOTHING_SEEN, Event, event_id

PARALLEL_UPDATES = 0

CAMERA_WOKE: Final = "camera_woke"
CLIP_COPIED: Final = "clip_copied"
CLIP_READY: Final = "clip_ready"
NOTHING_SEEN_EVENT: Final = "nothing_seen"
SEEN: Final = {label: f"{label}_seen" for label in LABELS}
MOTION_ENDED: Final = "motion_ended"
MOTION_STARTED: Final = "motion_started"


@dataclass(frozen=True, kw_only=True)
class MagicPiEventDescription(MagicPiEntityDescription, EventEntityDescription):
    """A camera's events."""


EVENTS: Final = (
    MagicPiEventDescription(
        key="event",
        translation_key="event",
        event_types=[
            CAMERA_WOKE,
            CLIP_COPIED,
            CLIP_READY,
            MOTION_ENDED,
            MOTION_STARTED,
            NOTHING_SEEN_EVENT,
            *SEEN.values(),
        ],
    ),
)


DOORBELLS: Final = (
    MagicPiEventDescription(
        key="doorbell",
        translation_key="doorbell",
        device_class=EventDeviceClass.DOORBELL,
        event_types=[DoorbellEventType.RING],
        changes=Change.RING,
        exists_fn=lambda camera: "ring" in camera.caps.features,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the camera's events."""
    async_add_rows(
        entry,
        async_add_entities,
        (MagicPiEvent, EVENTS),
        (MagicPiDoorbell, DOORBELLS),
    )


class MagicPiEvent(MagicPiEntity, EventEntity):
    """Fires for motion, what is seen, clips and wakes."""

    _unrecorded_attributes = frozenset({"clip_url", "thumbnail_url"})
    entity_description: MagicPiEventDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiEventDescription
    ) -> None:
        """Begin with what is so already: it is no event."""
        super().__init__(entry, description)
        self._motion = self.camera.motion
        self._event_id: str | None = None

    @override
    async def async_follow(self) -> None:
        """Follow the camera's recordings, too."""
        await super().async_follow()
        self.async_on_remove(self.nvr.changes.subscribe_events(self._handle_event))
        self.async_on_remove(
            self.nvr.changes.subscribe_sightings(self._handle_sighting)
        )

    @callback
    def _fire(self, kind: str, attributes: dict[str, Any]) -> None:
        self._trigger_event(kind, attributes)
        self.async_write_ha_state()

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Fire for what the camera tells."""
        camera = self.camera
        # A check-in is a wake in which nothing happens, hour by hour
        if change & Change.WOKE and camera.hello and camera.hello.reason != WAKE_TIMER:
            self._fire(CAMERA_WOKE, {"reason": camera.hello.reason})
        if change & Change.MOTION and camera.motion != self._motion:
            self._motion = camera.motion
            if camera.motion and camera.hello:
                self._event_id = event_id(camera.id, camera.hello.boot, camera.event)
            self._fire(
                MOTION_STARTED if camera.motion else MOTION_ENDED,
                {"event_id": self._event_id},
            )

    @callback
    def _handle_event(self, change: EventChange, event: Event) -> None:
        """Fire when a clip is ready to be seen, one that shows nothing has a type of its own, and when it was copied."""
        if event.camera != self.camera.id:
            return
        if change is EventChange.READY and not event.is_continuous:
            self._fire(
                NOTHING_SEEN_EVENT
                if event.findings.verdict == NOTHING_SEEN
                else CLIP_READY,
                clip_attributes(self.hass, self.nvr, event),
            )
        elif change is EventChange.COPIED:
            place = self.nvr.copies.places.get(event.id)
            self._fire(
                CLIP_COPIED,
                clip_attributes(self.hass, self.nvr, event)
                | (
                    {"target": place.target, "name": place.name, "size": place.size}
                    if place
                    else {}
                ),
            )

    @callback
    def _handle_sighting(self, sighting: Sighting) -> None:
        """Fire with the first sure picture of something."""
        if sighting.camera == self.camera.id:
            self._fire(
                SEEN[sighting.detection.label],
                sighting_attributes(self.hass, sighting),
            )


class MagicPiDoorbell(MagicPiEntity, EventEntity):
    """Fires when somebody presses the camera's button."""

    entity_description: MagicPiEventDescription

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Fire, with the event that shows who it was."""
        if not change & Change.RING or (ring := self.camera.ring) is None:
            return
        self._trigger_event(
            DoorbellEventType.RING,
            {"event_id": event_id(self.camera.id, ring.boot, ring.event)},
        )
        self.async_write_ha_state()
