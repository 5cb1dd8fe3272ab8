"""Bringing a remote event back: its fragments are written again by the hour file's own writer. Blocking."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

from ..errors import ClipGone, StorageFailed
from ..hourfile import (
    Claims,
    ConfigDiffers,
    HourFileError,
    HourFileWriter,
    Sample,
    Segment,
)
from ..hourfile.boxes import SYNC_SAMPLE
from .layout import HourPath
from .outline import Outline, SegmentOutline

_MOST_PARTS = 100


def restore(
    root: Path,
    outline: Outline,
    read: Callable[[int, int], bytes],
    claims: Claims,
) -> list[str]:
    """Write the segments of an event; return the paths. Raises ClipGone, StorageFailed, OSError.

    A part of the hour that is in use, or of another configuration or hour, is passed over. Samples are compared with their CRC-32.
    """
    paths = []
    for segment in outline.segments:
        path, writer = _open(root, segment, claims)
        with closing(writer):
            _write(writer, segment, read)
        paths.append(path)
    return paths


def _open(
    root: Path, outline: SegmentOutline, claims: Claims
) -> tuple[str, HourFileWriter]:
    first = HourPath.parse(outline.stored.path)
    for part in _parts(first):
        writer = HourFileWriter(root / part.relative, outline.config, claims)
        try:
            writer.open()
        except BlockingIOError, ConfigDiffers, HourFileError:
            continue
        if writer.hour_ms in (None, outline.segment.header.hour_ms):
            return part.relative, writer
        writer.close()
    raise StorageFailed("no part of the hour takes the recording")


def _parts(first: HourPath) -> Iterator[HourPath]:
    yield first
    for number in range(1, _MOST_PARTS):
        if number != first.part:
            yield first.with_part(number)


def _write(
    writer: HourFileWriter, outline: SegmentOutline, read: Callable[[int, int], bytes]
) -> None:
    segment: Segment = outline.segment
    writer.begin_segment(segment.header)
    for fragment in segment.fragments:
        data = b"".join(
            read(start, stop)
            for start, stop in outline.places(
                fragment.data_offset, fragment.end - fragment.data_offset
            )
        )
        if crc32(data) != fragment.crc:
            raise ClipGone("the copy differs from what was recorded")
        samples, at, table = [], 0, fragment.table
        for i in range(0, len(table), 3):
            duration, size, flags = table[i : i + 3]
            samples.append(Sample(data[at : at + size], duration, flags == SYNC_SAMPLE))
            at += size
        writer.append(
            samples,
            first_seq=fragment.first_seq,
            last_seq=fragment.last_seq,
            offset=fragment.dts - segment.dts,
        )
    writer.end_segment(lost=segment.end.lost if segment.end else 0)
