"""What recording answers when it cannot do what was asked."""

from asyncio import Task
from typing import Any


class RecordingError(Exception):
    """Base of all answers below."""


class EventNotFound(RecordingError):
    """No event has this id."""


class EventBusy(RecordingError):
    """The event, or its hour file, is being recorded now."""


class EventProtected(RecordingError):
    """The event is protected; it can be deleted once the protection is removed."""


class NothingRecorded(RecordingError):
    """The asked event, range, hour or day holds no picture."""


class InvalidValue(RecordingError):
    """A cursor, date, month, limit, label or range that makes no sense here."""


class ClipGone(RecordingError):
    """An hour file went or changed below a clip that was being read."""


class ClockImplausible(RecordingError):
    """The host's clock is far from the last good time, so nothing is removed by age."""


class CopyUnreachable(ClipGone):
    """A target does not give what is there alone."""


class StorageFailed(RecordingError):
    """The storage refused a change; the cause says why."""


class StillChanging(StorageFailed):
    """The storage does not answer in time; `change` goes on and will have an outcome."""

    def __init__(self, change: Task[Any]) -> None:
        """Prepare the sentence."""
        super().__init__("the storage does not answer")
        self.change = change
