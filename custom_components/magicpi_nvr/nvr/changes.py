"""What others of the integration listen to: changes of the NVR and of recorded events."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, StrEnum, auto

from homeassistant.core import CALLBACK_TYPE, callback

from ..recording import Detection, Event


class NvrChange(Flag):
    """What changed at the NVR."""

    SETTINGS = auto()  # recording switches
    CAMERAS = auto()  # a camera came, went, or changed its status
    EVENTS = auto()  # an event began, ended or went
    USAGE = auto()  # storage figures and counts
    COPIES = auto()  # a target's figures or state
    FIRMWARE = auto()  # the folder of firmware images was read again
    VISION = auto()  # something is seen, or no longer


class EventChange(StrEnum):
    """What happened to a recorded event."""

    STARTED = "event_started"
    READY = "clip_ready"
    COPIED = "clip_copied"
    UPDATED = "event_changed"
    DELETED = "event_deleted"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that is surely seen in an event that goes on."""

    camera: str
    event: str
    detection: Detection


type SightingCallback = Callable[[Sighting], None]
type ChangeCallback = Callable[[NvrChange], None]
type EventCallback = Callable[[EventChange, Event], None]


class Changes:
    """Who listens to the NVR; outlives its starts and stops."""

    def __init__(self) -> None:
        """Begin without listeners."""
        self._listeners: set[ChangeCallback] = set()
        self._event_listeners: set[EventCallback] = set()
        self._sighting_listeners: set[SightingCallback] = set()

    @callback
    def subscribe(self, listener: ChangeCallback) -> CALLBACK_TYPE:
        """Call a listener at each change; returns what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    @callback
    def subscribe_events(self, listener: EventCallback) -> CALLBACK_TYPE:
        """Call a listener with each recorded event that changes; returns what ends it."""
        self._event_listeners.add(listener)
        return lambda: self._event_listeners.discard(listener)

    @property
    def event_listeners(self) -> frozenset[EventCallback]:
        """Who listens to recorded events."""
        return frozenset(self._event_listeners)

    @callback
    def subscribe_sightings(self, listener: SightingCallback) -> CALLBACK_TYPE:
        """Call a listener with what is surely seen; returns what ends it."""
        self._sighting_listeners.add(listener)
        return lambda: self._sighting_listeners.discard(listener)

    @callback
    def notify_sighting(self, sighting: Sighting) -> None:
        """Call the listeners of sightings."""
        for listener in tuple(self._sighting_listeners):
            listener(sighting)

    @callback
    def notify(self, change: NvrChange) -> None:
        """Call the listeners."""
        for listener in tuple(self._listeners):
            listener(change)

    @callback
    def notify_event(
        self, change: EventChange, event: Event, *, alone: bool = True
    ) -> None:
        """Call the listeners of events, and those of changes unless more events follow."""
        for listener in tuple(self._event_listeners):
            listener(change, event)
        if alone:
            self.notify(NvrChange.EVENTS)
