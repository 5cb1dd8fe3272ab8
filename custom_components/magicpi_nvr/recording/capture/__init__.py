"""Capture: frames to events, encoders and hour files, and what of them may be acknowledged."""

from .notices import (
    ClipReady,
    EventDropped,
    EventStarted,
    Problem,
    ProblemKind,
    RecorderNotice,
    RecorderStats,
    Solved,
)
from .recorder import Recorder

__all__ = [
    "ClipReady",
    "EventDropped",
    "EventStarted",
    "Problem",
    "ProblemKind",
    "Recorder",
    "RecorderNotice",
    "RecorderStats",
    "Solved",
]
