"""Capture: frames to events, encoders and hour files, and what of them may be acknowledged."""

from .encoder import Encoder
from .notices import (
    ClipReady,
    EventDropped,
    EventStarted,
    FrameGivenUp,
    Problem,
    ProblemKind,
    RecorderNotice,
    RecorderStats,
    Solved,
)
from .recorder import Recorder

__all__ = [
    "ClipReady",
    "Encoder",
    "EventDropped",
    "EventStarted",
    "FrameGivenUp",
    "Problem",
    "ProblemKind",
    "Recorder",
    "RecorderNotice",
    "RecorderStats",
    "Solved",
]
