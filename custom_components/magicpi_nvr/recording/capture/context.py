"""What the parts of the recorder share: settings, counters, and each camera's events."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
import logging

from ..errors import StorageFailed
from ..library import Library
from ..model import RecordingSettings, SampleTap, StoredSegment
from ..stamp import TimeStamps
from .event import OngoingEvent
from .notices import Problems, RecorderNotice, RecorderStats

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class CameraState:
    """A camera's events by id, and its part of memory and spool in bytes."""

    unfinished: dict[str, OngoingEvent] = field(default_factory=dict)
    finished: dict[str, OngoingEvent] = field(default_factory=dict)
    memory: int = 0
    spool: int = 0
    served: float = 0.0  # monotonic s, when it was last given an encoder


@dataclass(slots=True)
class Context:
    """One per recorder."""

    settings: RecordingSettings
    library: Library
    notify: Callable[[RecorderNotice], None]
    problems: Problems
    tap: SampleTap | None = None
    stats: RecorderStats = field(default_factory=RecorderStats)
    time_stamps: TimeStamps = field(default_factory=TimeStamps)
    events: dict[str, OngoingEvent] = field(default_factory=dict)
    cameras: defaultdict[str, CameraState] = field(
        default_factory=lambda: defaultdict(CameraState)
    )
    is_closing: bool = False

    def unfinished(self) -> list[OngoingEvent]:
        """Return the events of which not all is recorded."""
        return [
            event
            for camera in self.cameras.values()
            for event in camera.unfinished.values()
        ]

    def open_events(self, camera: str, boot: int) -> list[OngoingEvent]:
        """Return the unfinished events of one boot of a camera."""
        if (found := self.cameras.get(camera)) is None:
            return []
        return [event for event in found.unfinished.values() if event.boot == boot]

    async def record(
        self, event: OngoingEvent, state: str, stored: StoredSegment | None
    ) -> None:
        """Update the index with an event's state."""
        event.state = state
        try:
            await self.library.record(event.to_event(state), stored)
        except StorageFailed as err:
            # The files say it too.
            _LOGGER.warning("The index is not up to date: %s", err)

    def reopen(self, event: OngoingEvent) -> None:
        """Take a finished event back: more of it came, or may come."""
        camera = self.cameras[event.camera]
        camera.finished.pop(event.id, None)
        camera.unfinished[event.id] = event
