"""Frames to files and back. Imports nothing of Home Assistant; the names below are its public face."""

from .capture import (
    ClipReady,
    EventDropped,
    EventStarted,
    Problem,
    ProblemKind,
    Recorder,
    RecorderNotice,
    RecorderStats,
    Solved,
)
from .errors import (
    ClipGone,
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    NothingRecorded,
    RecordingError,
    StorageFailed,
)
from .library import Library
from .library.http_range import answer
from .library.layout import camera_folder, event_id, folder_camera, parse_event_id
from .library.playback import VirtualFile
from .model import (
    CameraRetention,
    CameraUsage,
    CapturedFrame,
    ClipSpec,
    DayCount,
    Event,
    EventPage,
    HourCount,
    PurgeReport,
    RecordingSettings,
    StorageStats,
)

__all__ = [
    "CameraRetention",
    "CameraUsage",
    "CapturedFrame",
    "ClipGone",
    "ClipReady",
    "ClipSpec",
    "DayCount",
    "Event",
    "EventBusy",
    "EventDropped",
    "EventNotFound",
    "EventPage",
    "EventProtected",
    "EventStarted",
    "HourCount",
    "InvalidValue",
    "Library",
    "NothingRecorded",
    "Problem",
    "ProblemKind",
    "PurgeReport",
    "Recorder",
    "RecorderNotice",
    "RecorderStats",
    "RecordingError",
    "RecordingSettings",
    "Solved",
    "StorageFailed",
    "StorageStats",
    "VirtualFile",
    "answer",
    "camera_folder",
    "event_id",
    "folder_camera",
    "parse_event_id",
]
