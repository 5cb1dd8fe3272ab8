"""ISO base media file format: writing and reading boxes. Knows nothing of events."""

from collections.abc import Buffer, Iterator, Sequence
from dataclasses import dataclass
import struct

TIMESCALE = 90_000
TICKS_PER_MS = 90
TRACK_ID = 1
SYNC_SAMPLE = 0x02000000  # depends on no other sample
OTHER_SAMPLE = 0x01010000  # depends on others, is no sync sample

_HEADER = struct.Struct(">I4s")
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4  # language "und"
_MOST_CHAPTERS = 255


class BoxError(ValueError):
    """The bytes are not what the format promises."""


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """What a decoder must know before the first sample: the body of `avcC` and the size in pixels."""

    avcc: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box lies in a buffer: its start, its body's start and its end."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An `emsg` box, version 1; `time` in ticks of TIMESCALE."""

    scheme: str
    time: int
    data: bytes
    number: int = 0


def box(kind: bytes, *payload: Buffer) -> bytes:
    """Return a box around its payload."""
    body = b"".join(payload)
    return _HEADER.pack(8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *payload: Buffer) -> bytes:
    """Return a box that begins with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def boxes(data: Buffer, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes that fill data[start:end]; raises BoxError when they do not."""
    view = memoryview(data)
    end = len(view) if end is None else end
    while start < end:
        if end - start < 8:
            raise BoxError("bytes after the last box")
        size, kind = _HEADER.unpack_from(view, start)
        body = start + 8
        if size == 1:
            if end - start < 16:
                raise BoxError("box cut short")
            (size,) = struct.unpack_from(">Q", view, body)
            body += 8
        if size < body - start or start + size > end:
            raise BoxError(f"box {kind!r} of {size} bytes does not fit")
        yield Box(kind, start, body, start + size)
        start += size


def find(data: Buffer, *path: bytes, start: int = 0, end: int | None = None) -> Box:
    """Return the first box down a path of plain containers; raises BoxError when there is none."""
    for i, kind in enumerate(path):
        for found in boxes(data, start, end):
            if found.kind == kind:
                break
        else:
            raise BoxError(f"no {kind!r}")
        start, end = found.body, found.end
        if i == len(path) - 1:
            return found
    raise BoxError("empty path")


def ftyp(*, fragmented: bool) -> bytes:
    """Return the file type box."""
    brands = (
        (b"iso6", b"iso5", b"isom", b"mp41")
        if fragmented
        else (b"isom", b"iso2", b"avc1", b"mp41")
    )
    return box(b"ftyp", brands[0], struct.pack(">I", 512), *brands)


def moov(
    config: VideoConfig,
    tables: bytes | None = None,
    *,
    duration: int = 0,
    more: Sequence[VideoConfig] = (),
    chapters: Sequence[tuple[int, str]] = (),
) -> bytes:
    """Return the movie of one video track.

    `tables` are the sample tables after `stsd` (stts, stss, stsc, stsz, stco or co64), None = the
    samples follow in fragments. `duration` in ticks. `more`: further sample descriptions, from 2;
    then the samples carry their parameter sets themselves too. `chapters`: where they begin, in ticks, and their titles.
    """
    fragmented = tables is None
    if tables is None:
        tables = (
            full_box(b"stts", 0, 0, bytes(4))
            + full_box(b"stsc", 0, 0, bytes(4))
            + full_box(b"stsz", 0, 0, bytes(8))
            + full_box(b"stco", 0, 0, bytes(4))
        )
    kind = b"avc3" if more else b"avc1"
    entries = [_sample_entry(kind, entry) for entry in (config, *more)]
    stbl = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries),
        tables,
    )
    data_reference = full_box(
        b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)
    )
    minf = box(
        b"minf",
        full_box(b"vmhd", 0, 1, bytes(8)),
        box(b"dinf", data_reference),
        stbl,
    )
    mdia = box(
        b"mdia",
        full_box(
            b"mdhd",
            1,
            0,
            struct.pack(">QQIQHH", 0, 0, TIMESCALE, duration, _UNDETERMINED, 0),
        ),
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"VideoHandler\0"),
        minf,
    )
    size = struct.pack(
        ">II",
        max(entry.width for entry in (config, *more)) << 16,
        max(entry.height for entry in (config, *more)) << 16,
    )
    tkhd = full_box(
        b"tkhd",
        1,
        3,
        struct.pack(">QQIIQ8xhhH2x", 0, 0, TRACK_ID, 0, duration, 0, 0, 0),
        _MATRIX,
        size,
    )
    mvhd = full_box(
        b"mvhd",
        1,
        0,
        struct.pack(">QQIQIH10x", 0, 0, TIMESCALE, duration, 0x10000, 0x100),
        _MATRIX,
        struct.pack(">24xI", TRACK_ID + 1),
    )
    mvex = box(
        b"mvex", full_box(b"trex", 0, 0, struct.pack(">5I", TRACK_ID, 1, 0, 0, 0))
    )
    return box(
        b"moov",
        mvhd,
        box(b"udta", _chapter_list(chapters)) if chapters else b"",
        box(b"trak", tkhd, mdia),
        mvex if fragmented else b"",
    )


def _chapter_list(chapters: Sequence[tuple[int, str]]) -> bytes:
    """Return the list that players know as Nero's: times in units of 100 ns."""
    chapters = chapters[:_MOST_CHAPTERS]
    rows = []
    for ticks, title in chapters:
        text = title.encode()[:255].decode(errors="ignore").encode()
        rows.append(struct.pack(">QB", ticks * 1000 // 9, len(text)) + text)
    return full_box(b"chpl", 1, 0, struct.pack(">4xB", len(rows)), *rows)


def init_segment(config: VideoConfig) -> bytes:
    """Return what a fragmented file begins with."""
    return ftyp(fragmented=True) + moov(config)


def parse_moov(data: Buffer, start: int, end: int) -> VideoConfig:
    """Read the codec configuration out of a movie box's body; raises BoxError."""
    stsd = find(data, b"trak", b"mdia", b"minf", b"stbl", b"stsd", start=start, end=end)
    if stsd.end - stsd.body < 8:
        raise BoxError("no sample entry")
    entry = find(data, b"avc1", start=stsd.body + 8, end=stsd.end)
    if entry.end - entry.body < 78:
        raise BoxError("sample entry cut short")
    width, height = struct.unpack_from(">HH", data, entry.body + 24)
    avcc = find(data, b"avcC", start=entry.body + 78, end=entry.end)
    return VideoConfig(bytes(memoryview(data)[avcc.body : avcc.end]), width, height)


def parameter_sets(config: VideoConfig) -> list[bytes]:
    """Return the parameter sets of a configuration as samples hold them, behind their lengths; raises BoxError."""
    avcc, at = config.avcc, 5
    units: list[bytes] = []
    try:
        width = (avcc[4] & 3) + 1
        for mask in (
            31,
            255,
        ):  # of the number of sequence, then of picture parameter sets
            count, at = avcc[at] & mask, at + 1
            for _ in range(count):
                (length,) = struct.unpack_from(">H", avcc, at)
                at += 2 + length
                if at > len(avcc):
                    raise BoxError("parameter set cut short")
                units.append(length.to_bytes(width, "big") + avcc[at - length : at])
    except (IndexError, struct.error, OverflowError) as err:
        raise BoxError("decoder configuration cut short") from err
    return units


def event_message(message: EventMessage) -> bytes:
    """Return an `emsg` box."""
    return full_box(
        b"emsg",
        1,
        0,
        struct.pack(">IQII", TIMESCALE, message.time, 0xFFFFFFFF, message.number),
        message.scheme.encode() + b"\0\0",
        message.data,
    )


def parse_event_message(data: Buffer, start: int, end: int) -> EventMessage:
    """Read the body of an `emsg` box; raises BoxError."""
    body = bytes(memoryview(data)[start:end])
    if len(body) < 24 or body[0] != 1:
        raise BoxError("event message cut short or of another version")
    _, time, _, number = struct.unpack_from(">IQII", body, 4)
    scheme, found, rest = body[24:].partition(b"\0")
    _, value_found, payload = rest.partition(b"\0")
    if not found or not value_found:
        raise BoxError("event message without its strings")
    return EventMessage(scheme.decode("ascii", "replace"), time, payload, number)


def _sample_entry(kind: bytes, config: VideoConfig) -> bytes:
    """Return the `avc1` box; `avc3` where samples carry parameter sets too."""
    fields = struct.pack(
        ">6xH16xHHIIIH32sHh",
        1,
        config.width,
        config.height,
        0x480000,
        0x480000,
        0,
        1,
        b"",
        0x18,
        -1,
    )
    return box(kind, fields, box(b"avcC", config.avcc))
