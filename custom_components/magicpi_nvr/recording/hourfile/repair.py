"""Repairing an hour file after an interruption. Blocking."""

import os
from pathlib import Path
from zlib import crc32

from ..files import write_at
from .boxes import EventMessage, event_message, ftyp
from .model import EVENT_END_SCHEME, HourFile, HourFileError, SegmentEnd
from .scan import scan_open


def repair(path: Path) -> HourFile | None:
    """Cut a torn tail and close an open segment; None when nothing is left and the file was removed.

    Samples of an open segment are checked by their CRC: after a power cut the length of a file may be
    true and its last blocks may not. Raises HourFileError for a file that is not ours, and OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            hour = scan_open(file, path)
        except HourFileError:
            if not _was_never_whole(file):
                raise
            path.unlink()
            return None
        if hour.segments and hour.segments[-1].end is None:
            _check_samples(file, hour)
        if not hour.segments:
            path.unlink()
            return None
        if hour.valid_end < hour.size:
            os.ftruncate(file, hour.valid_end)
            hour.size = hour.valid_end
        segment = hour.segments[-1]
        if segment.end is None:
            segment.end = SegmentEnd(
                id=segment.header.id,
                end_ms=segment.end_ms,
                frames=segment.frame_count,
                lost=0,
            )
            data = event_message(
                EventMessage(EVENT_END_SCHEME, segment.next_dts, segment.end.to_json())
            )
            write_at(file, data, hour.valid_end)
            hour.valid_end = hour.size = segment.end_offset = hour.valid_end + len(data)
        # Its writer may have been killed before its own sync.
        os.fdatasync(file)
        return hour
    finally:
        os.close(file)


def sync_file(path: Path) -> None:
    """Make a file survive a power cut; raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def _was_never_whole(file: int) -> bool:
    """Whether a file without a valid init segment is ours: its beginning was never whole on disk."""
    begin = ftyp(fragmented=True)
    head = os.pread(file, 4096, 0)
    return head[: len(begin)] == begin[: len(head)] or not any(head)


def _check_samples(file: int, hour: HourFile) -> None:
    """Cut the open segment before the first fragment whose samples are not what was written."""
    segment = hour.segments[-1]
    for i, fragment in enumerate(segment.fragments):
        data = os.pread(file, fragment.end - fragment.data_offset, fragment.data_offset)
        if crc32(data) == fragment.crc:
            continue
        del segment.fragments[i:]
        if segment.fragments:
            hour.valid_end = segment.end_offset = segment.fragments[-1].end
        else:
            hour.segments.pop()
            hour.valid_end = segment.offset
        return
