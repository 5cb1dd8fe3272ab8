"""Home Assistant's side of gateway and recording: one NVR for all entries."""

from .changes import EventChange, NvrChange, Sighting
from .core import Nvr
from .entries import board_of, is_nvr_entry
from .event_dict import event_as_dict, findings_as_dict, has_thumbnail, motion_as_dict
from .manual import AlreadyRecording, NoPicture
from .recordings import StorageUnavailable
from .shared import (
    DATA_NVR,
    MagicPiConfigEntry,
    MagicPiRuntimeData,
    NotRunning,
    async_get_nvr,
    running_nvr,
)
from .steps import PortUnavailable

__all__ = [
    "DATA_NVR",
    "AlreadyRecording",
    "EventChange",
    "MagicPiConfigEntry",
    "MagicPiRuntimeData",
    "NoPicture",
    "NotRunning",
    "Nvr",
    "NvrChange",
    "PortUnavailable",
    "Sighting",
    "StorageUnavailable",
    "async_get_nvr",
    "board_of",
    "event_as_dict",
    "findings_as_dict",
    "has_thumbnail",
    "is_nvr_entry",
    "motion_as_dict",
    "running_nvr",
]
