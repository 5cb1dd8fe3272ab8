"""What hour files and notes hold, as rows of the index."""

import json
import logging
from pathlib import Path

from .. import hourfile
from ..model import NO_FINDINGS, StoredSegment
from .database import NO_FINDINGS_TEXT
from .layout import HourPath, parse_event_id
from .notes import Note, findings_as_dict
from .queries import LAST_MS

_LOGGER = logging.getLogger(__name__)


def stored_segment(path: str, segment: hourfile.Segment) -> StoredSegment:
    """Return what the index keeps of a segment in the hour file of this relative path."""
    return StoredSegment(
        event=segment.header.id,
        number=segment.header.number,
        camera=segment.header.camera,
        path=path,
        offset=segment.offset,
        end=segment.end_offset,
        start_ms=segment.header.start_ms,
        end_ms=segment.end.end_ms if segment.end else segment.end_ms,
        reason=segment.header.reason,
        dts=segment.dts,
        duration=segment.next_dts - segment.dts,
        frames=segment.frame_count,
        boot=segment.header.boot,
        first_seq=segment.first_seq,
        last_seq=segment.last_seq,
        lost=segment.end.lost if segment.end else 0,
        closed=segment.end is not None,
        recorded_ms=segment.header.recorded_ms,
        clock_trusted=segment.header.clock_trusted,
    )


def scan_file(root: Path, path: str) -> list[StoredSegment]:
    """Read the segments of an hour file; one that is not ours has none. Raises OSError."""
    try:
        found = hourfile.scan(root / path)
    except hourfile.HourFileError as error:
        _LOGGER.warning("%s is ignored: %s", path, error)
        return []
    camera = HourPath.parse(path).camera
    return [
        stored_segment(path, segment)
        for segment in found.segments
        if segment.header.camera == camera and is_sound(segment)
    ]


def findings_text(note: Note) -> str:
    """Return what was found in an event, as the index stores it."""
    if note.findings is NO_FINDINGS:
        return NO_FINDINGS_TEXT
    return json.dumps(findings_as_dict(note.findings), ensure_ascii=False)


def is_sound(segment: hourfile.Segment) -> bool:
    """Whether a segment says what a recorder writes: the message in a file can be anything."""
    header, end = segment.header, segment.end
    try:
        parse_event_id(header.id)
    except ValueError:
        return False
    numbers = (header.number, header.boot, *((end.lost,) if end else ()))
    times = (header.start_ms, header.recorded_ms, *((end.end_ms,) if end else ()))
    return all(0 <= number <= 0xFFFFFFFF for number in numbers) and all(
        0 <= time_ms <= LAST_MS for time_ms in times
    )
