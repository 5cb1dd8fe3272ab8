"""Removing events from an hour file: a copy without them is written beside it and replaces it. Blocking."""

from collections.abc import Callable, Collection
from contextlib import suppress
import os
from pathlib import Path
import struct
from typing import BinaryIO

from .. import hourfile
from ..files import sync_folder
from ..hourfile.boxes import EventMessage, event_message, find, init_segment
from ..hourfile.model import EVENT_END_SCHEME, EVENT_SCHEME

_COPY = 1024 * 1024


def size_without(path: Path, events: Collection[str]) -> int:
    """Return how long the file would be without these events; 0 = nothing would be left. Raises HourFileError, OSError."""
    hour = hourfile.scan(path)
    rest = sum(
        segment.size for segment in hour.segments if segment.header.id not in events
    )
    return hour.init_size + rest if rest else 0


def rewrite_without(
    path: Path, events: Collection[str], *, check: Callable[[], None]
) -> list[hourfile.Segment]:
    """Replace the file by one without these events, whose decode times continue; return its segments.

    Old or new, the file is whole at every moment. The caller has claimed and truncated it; `check` raises when it may not be replaced any more. Raises HourFileError, OSError.
    """
    hour = hourfile.scan(path)
    temporary = path.with_name(f".{path.name}.tmp")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with temporary.open("wb") as target:
            target.write(init_segment(hour.config))
            dts = sequence = 0
            for segment in hour.segments:
                if segment.header.id in events:
                    continue
                _copy_segment(source, target, segment, dts - segment.dts, sequence)
                dts += segment.next_dts - segment.dts
                sequence += len(segment.fragments)
            target.flush()
            os.fsync(target.fileno())
        written = hourfile.scan(temporary).segments
        _check(
            written,
            [segment for segment in hour.segments if segment.header.id not in events],
        )
        # The storage may have been replaced while this took its time.
        check()
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(source)
    sync_folder(path.parent)
    return written


def _check(written: list[hourfile.Segment], wanted: list[hourfile.Segment]) -> None:
    """Raise HourFileError unless the same segments can be read."""
    if [(segment.header, segment.end, segment.frame_count) for segment in written] != [
        (segment.header, segment.end, segment.frame_count) for segment in wanted
    ]:
        raise hourfile.HourFileError("the rewritten file does not read back")


def _copy_segment(
    source: int, target: BinaryIO, segment: hourfile.Segment, shift: int, sequence: int
) -> None:
    """Append a segment with its decode times shifted by ticks; `sequence` fragments are there already."""
    header = segment.header
    target.write(
        event_message(
            EventMessage(
                EVENT_SCHEME, segment.dts + shift, header.to_json(), header.number
            )
        )
    )
    for number, fragment in enumerate(segment.fragments, sequence + 1):
        head = bytearray(_read(source, fragment.offset, fragment.data_offset))
        mfhd = find(head, b"moof", b"mfhd")
        struct.pack_into(">I", head, mfhd.body + 4, number)
        tfdt = find(head, b"moof", b"traf", b"tfdt")
        struct.pack_into(">Q", head, tfdt.body + 4, fragment.dts + shift)
        target.write(head)
        target.writelines(
            _read(source, start, min(start + _COPY, fragment.end))
            for start in range(fragment.data_offset, fragment.end, _COPY)
        )
    if segment.end is not None:
        target.write(
            event_message(
                EventMessage(
                    EVENT_END_SCHEME, segment.next_dts + shift, segment.end.to_json()
                )
            )
        )


def _read(source: int, start: int, end: int) -> bytes:
    """Return bytes of a file; raises HourFileError when they are not there."""
    data = os.pread(source, end - start, start)
    if len(data) != end - start:
        raise hourfile.HourFileError("the file became shorter")
    return data
