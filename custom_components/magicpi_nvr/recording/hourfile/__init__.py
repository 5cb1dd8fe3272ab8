"""The hour file: fragmented MP4 that explains itself and is only ever appended to. Blocking throughout."""

from .boxes import TICKS_PER_MS, VideoConfig
from .claims import Claims
from .model import (
    ConfigDiffers,
    Fragment,
    Frame,
    HourFile,
    HourFileError,
    Sample,
    Segment,
    SegmentEnd,
    SegmentHeader,
)
from .repair import repair, sync_file
from .scan import read_config, scan, scan_segment
from .writer import HourFileWriter

__all__ = [
    "TICKS_PER_MS",
    "Claims",
    "ConfigDiffers",
    "Fragment",
    "Frame",
    "HourFile",
    "HourFileError",
    "HourFileWriter",
    "Sample",
    "Segment",
    "SegmentEnd",
    "SegmentHeader",
    "VideoConfig",
    "read_config",
    "repair",
    "scan",
    "scan_segment",
    "sync_file",
]
