"""What the recording room answers when it cannot do what was asked."""


class RecordingError(Exception):
    """Base of all answers below."""


class EventNotFound(RecordingError):
    """No event has this id."""


class EventBusy(RecordingError):
    """The event, or its hour file, is being recorded right now."""


class NothingRecorded(RecordingError):
    """The asked event, range, hour or day holds no picture."""


class InvalidQuery(RecordingError):
    """A cursor, date, month, path or limit that this library did not give out."""


class ClipGone(RecordingError):
    """An hour file went or changed below a clip that was being read."""
