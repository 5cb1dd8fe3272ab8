"""The outline of a clip: what its own bytes lack to be the recording again. Blocking."""

from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
import os
from pathlib import Path
import struct
from typing import Any, Self
import zlib

from .. import hourfile
from ..errors import ClipGone
from ..hourfile import HourFileError, Segment, SegmentEnd, SegmentHeader, VideoConfig
from ..hourfile.boxes import BoxError, parse_event_message
from ..hourfile.fragment import FRAGMENT_TYPE, parse_written
from ..model import StoredSegment

_VERSION = 1
_EXTENT = struct.Struct(">QQQ")  # offset in the hour file, length, offset in the MP4
_MAX_HEADS = 64 * 1024 * 1024  # bytes, of one segment


@dataclass(frozen=True, slots=True)
class SegmentOutline:
    """One segment: its tables, and where its samples are in the MP4."""

    stored: StoredSegment
    config: VideoConfig
    segment: Segment
    extents: tuple[tuple[int, int, int], ...]  # by offset in the hour file

    def places(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield where in the MP4 bytes of the hour file are; raises ClipGone."""
        number = bisect_right(self.extents, offset, key=lambda extent: extent[0]) - 1
        while length:
            if not 0 <= number < len(self.extents):
                raise ClipGone("the copy does not hold this part")
            start, size, place = self.extents[number]
            inside = offset - start
            if not 0 <= inside < size:
                raise ClipGone("the copy does not hold this part")
            piece = min(size - inside, length)
            yield place + inside, place + inside + piece
            offset += piece
            length -= piece
            number += 1


@dataclass(frozen=True, slots=True)
class Outline:
    """All segments of an event."""

    segments: tuple[SegmentOutline, ...]

    def of(self, stored: StoredSegment) -> SegmentOutline:
        """Return one segment's; raises ClipGone."""
        for outline in self.segments:
            if outline.stored.number == stored.number:
                return outline
        raise ClipGone("the copy does not hold this part")

    @classmethod
    def from_dict(cls, event: str, data: Mapping[str, Any]) -> Self:
        """Read it; raises HourFileError for what is not one of this event."""
        try:
            if data["v"] != _VERSION:
                raise HourFileError("an outline of another version")
            configs = [
                VideoConfig(
                    b64decode(item["avcc"], validate=True),
                    int(item["width"]),
                    int(item["height"]),
                )
                for item in data["configs"]
            ]
            return cls(tuple(_read(event, configs, item) for item in data["segments"]))
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
            RecursionError,
            BoxError,
            struct.error,
            zlib.error,
        ) as error:
            raise HourFileError("not an outline") from error


def outline_of(
    root: Path,
    segments: Sequence[StoredSegment],
    extents: Sequence[tuple[int, int, int, int]],
) -> dict[str, Any]:
    """Return the outline of a clip that was composed of these local segments; `extents` are the clip's. Raises ClipGone."""
    try:
        configs: list[VideoConfig] = []
        items = []
        for number, stored in enumerate(segments, 1):
            config = hourfile.read_config(root / stored.path)
            if config not in configs:
                configs.append(config)
            mine = sorted(extent[1:] for extent in extents if extent[0] == number)
            items.append(
                {
                    "stored": stored_as_dict(stored),
                    "config": configs.index(config),
                    "heads": _packed(_heads(root / stored.path, stored)),
                    "extents": _packed(
                        b"".join(_EXTENT.pack(*extent) for extent in mine)
                    ),
                }
            )
    except (HourFileError, OSError) as error:
        raise ClipGone(str(error)) from error
    return {
        "v": _VERSION,
        "configs": [
            {
                "avcc": b64encode(config.avcc).decode(),
                "width": config.width,
                "height": config.height,
            }
            for config in configs
        ],
        "segments": items,
    }


def stored_as_dict(stored: StoredSegment) -> dict[str, Any]:
    """Return what the index keeps of a segment as JSON has it."""
    return asdict(replace(stored, remote=False))


def stored_from_dict(data: Mapping[str, Any]) -> StoredSegment:
    """Read it, as of a segment that is remote; raises KeyError, TypeError, ValueError."""
    values: dict[str, Any] = {}
    for field in fields(StoredSegment):
        if field.name in data:
            kind = field.type if isinstance(field.type, type) else str
            value = data[field.name]
            if type(value) is not kind:
                raise TypeError(f"{field.name} is of another kind")
            values[field.name] = value
    return replace(StoredSegment(**values), remote=True)


def _heads(path: Path, stored: StoredSegment) -> bytes:
    """Return all bytes of a segment that are no samples."""
    segment = hourfile.scan_segment(path, stored.offset, stored.end)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces, at = [], segment.offset
        for fragment in segment.fragments:
            pieces.append(os.pread(file, fragment.data_offset - at, at))
            at = fragment.end
        pieces.append(os.pread(file, segment.end_offset - at, at))
    finally:
        os.close(file)
    return b"".join(pieces)


def _packed(data: bytes) -> str:
    return b64encode(zlib.compress(data)).decode()


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(b64decode(text, validate=True), _MAX_HEADS)
    if not unpacker.eof:
        raise ValueError("too long, or cut short")
    return data


def _read(
    event: str, configs: Sequence[VideoConfig], item: Mapping[str, Any]
) -> SegmentOutline:
    """Read one segment; raises HourFileError and what the formats raise."""
    stored = stored_from_dict(item["stored"])
    segment = _segment(_unpacked(item["heads"]), stored)
    header = segment.header
    if (header.id, header.number, header.camera) != (
        event,
        stored.number,
        stored.camera,
    ) or segment.end_offset != stored.end:
        raise HourFileError("an outline of another recording")
    extents = tuple(_EXTENT.iter_unpack(_unpacked(item["extents"])))
    return SegmentOutline(stored, configs[int(item["config"])], segment, extents)


def _segment(data: bytes, stored: StoredSegment) -> Segment:
    """Return the tables that the heads hold."""
    size = _box(data, 0, b"emsg")
    message = parse_event_message(data, 8, size)
    segment = Segment(
        header=SegmentHeader.from_json(message.data),
        offset=stored.offset,
        end_offset=stored.offset + size,
        dts=message.time,
    )
    at = size
    while data[at + 8 : at + 24] == FRAGMENT_TYPE:
        fragment = parse_written(data[at:], segment.end_offset)
        last = segment.fragments[-1] if segment.fragments else None
        if last is not None and fragment.dts < last.last_dts:
            raise HourFileError("fragments out of order")
        segment.fragments.append(fragment)
        segment.end_offset = fragment.end
        at += fragment.data_offset - fragment.offset
    if not segment.fragments:
        raise HourFileError("a segment without a fragment")
    if at < len(data):
        size = _box(data, at, b"emsg")
        message = parse_event_message(data, at + 8, at + size)
        segment.end = SegmentEnd.from_json(message.data)
        segment.end_offset += size
        at += size
    if at != len(data):
        raise HourFileError("bytes behind the segment")
    return segment


def _box(data: bytes, at: int, kind: bytes) -> int:
    """Return the size of the box there."""
    size, found = struct.unpack_from(">I4s", data, at)
    if found != kind or size < 8 or at + size > len(data):
        raise HourFileError("not the box that belongs here")
    return int(size)
