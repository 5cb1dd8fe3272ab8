"""What recording answers when it cannot do what was asked."""


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
