"""H.264 samples to an MPEG transport stream (ISO/IEC 13818-1): one program with one video stream, nothing else."""

from dataclasses import dataclass
from itertools import chain, cycle
from typing import Final

PACKET_SIZE: Final = 188
_PAYLOAD: Final = PACKET_SIZE - 4
_SYNC: Final = 0x47
_PAT_PID: Final = 0
_PMT_PID: Final = 0x1000
_VIDEO_PID: Final = 0x100
_H264: Final = 0x1B
_VIDEO_STREAM: Final = 0xE0
_TICKS_PER_MS: Final = 90
_CLOCK_MASK: Final = (1 << 33) - 1
# A picture is shown this long after its bytes came, in ticks of 1/90000 s: what a reader may buffer.
_DELAY: Final = 100 * _TICKS_PER_MS
_MAX_PES_LENGTH: Final = 0xFFFF
_START_CODE: Final = b"\0\0\0\1"
# Access unit delimiter, any slice type: by it a reader knows where a picture begins
_DELIMITER: Final = _START_CODE + b"\x09\xf0"

# For each number to begin with, what adds it to a packet's continuity counter
_COUNTERS: Final = tuple(
    bytes(byte & 0xF0 | (byte + first) & 0x0F for byte in range(256))
    for first in range(16)
)


class BadSample(ValueError):
    """A configuration or a sample that is not what its format says."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a decoder must know first, read from the body of an `avcC` box."""

    length_size: int
    parameter_sets: bytes  # Annex B

    @classmethod
    def parse(cls, avcc: bytes) -> Configuration:
        """Read it; raises BadSample."""
        try:
            length_size = (avcc[4] & 3) + 1
            at, sets = 6, []
            for count in (avcc[5] & 0x1F, None):
                if count is None:
                    count = avcc[at]
                    at += 1
                for _ in range(count):
                    size = int.from_bytes(avcc[at : at + 2])
                    sets.append(_START_CODE + avcc[at + 2 : at + 2 + size])
                    at += 2 + size
        except IndexError as err:
            raise BadSample("avcC is too short") from err
        if at > len(avcc) or not sets:
            raise BadSample("avcC is too short")
        return cls(length_size, b"".join(sets))

    def annex_b(self, sample: bytes, *, key: bool) -> bytes:
        """Return a sample of length-prefixed NAL units as an access unit; raises BadSample."""
        parts = [_DELIMITER]
        if key:
            parts.append(self.parameter_sets)
        at, end = 0, len(sample)
        while at < end:
            start = at + self.length_size
            at = start + int.from_bytes(sample[at:start])
            if at > end:
                raise BadSample("a NAL unit is longer than its sample")
            parts += (_START_CODE, sample[start:at])
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sample as packets whose continuity counters begin at zero: the same for all viewers."""

    packets: bytes
    key: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.packets)


def unit(configuration: Configuration, sample: bytes, *, ms: int, key: bool) -> Unit:
    """Return a sample as packets; `ms`: when it is shown. Raises BadSample."""
    clock = ms * _TICKS_PER_MS & _CLOCK_MASK
    data = configuration.annex_b(sample, key=key)
    pts = bytes(
        (
            0x21 | clock >> 29 & 0x0E,
            clock >> 22 & 0xFF,
            clock >> 14 & 0xFE | 1,
            clock >> 7 & 0xFF,
            clock << 1 & 0xFE | 1,
        )
    )
    # Data alignment, a PTS, five bytes of it. A length lets readers go on without the next picture.
    length = 8 + len(data)
    pes = b"".join(
        (
            b"\0\0\1",
            bytes((_VIDEO_STREAM,)),
            (length if length <= _MAX_PES_LENGTH else 0).to_bytes(2),
            b"\x84\x80\x05",
            pts,
            data,
        )
    )
    return Unit(_packets(pes, clock - _DELAY & _CLOCK_MASK, key=key), key)


def _packets(pes: bytes, clock: int, *, key: bool) -> bytes:
    """Cut a PES packet into transport packets; the first one carries the clock."""
    adaptation = bytes((0x50 if key else 0x10,)) + (clock << 15 | 0x3F << 9).to_bytes(6)
    room = PACKET_SIZE - 5 - len(adaptation)
    full = max(0, len(pes) - room) // _PAYLOAD
    end = room + full * _PAYLOAD
    # A pass in C over each: this is most of what a first viewer costs
    out = [
        _packet(pes[:room], adaptation, 0, start=True),
        *chain.from_iterable(
            zip(
                cycle(_HEADERS),
                [pes[at : at + _PAYLOAD] for at in range(room, end, _PAYLOAD)],
                strict=False,
            )
        ),
    ]
    if end < len(pes):
        out.append(_packet(pes[end:], b"", full + 1, start=False))
    return b"".join(out)


# From the second packet on
_HEADERS: Final = tuple(
    bytes((_SYNC, _VIDEO_PID >> 8, _VIDEO_PID & 0xFF, 0x10 | number & 0x0F))
    for number in range(1, 17)
)


def _packet(payload: bytes, adaptation: bytes, number: int, *, start: bool) -> bytes:
    """Return a packet of the video, stuffed to its size."""
    stuffing = PACKET_SIZE - 4 - len(payload) - len(adaptation) - 1
    if not adaptation and stuffing > 0:
        adaptation = b"\0"
        stuffing -= 1
    body = adaptation + b"\xff" * max(0, stuffing)
    return (
        bytes(
            (
                _SYNC,
                (0x40 if start else 0) | _VIDEO_PID >> 8,
                _VIDEO_PID & 0xFF,
                0x30 | number & 0x0F,
                len(body),
            )
        )
        + body
        + payload
    )


def _crc(data: bytes) -> int:
    """Return the CRC of a table's section."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _table(pid: int, table: int, extension: int, body: bytes) -> bytes:
    """Return a table in a packet of its own."""
    section = bytes((table,)) + (0xB000 | 9 + len(body)).to_bytes(2)
    section += extension.to_bytes(2) + b"\xc1\0\0" + body
    section += _crc(section).to_bytes(4)
    header = bytes((_SYNC, 0x40 | pid >> 8, pid & 0xFF, 0x10, 0))
    return (header + section).ljust(PACKET_SIZE, b"\xff")


# Program 1; its clock is in the video's packets
_TABLES: Final = _table(
    _PAT_PID, 0, 1, (1).to_bytes(2) + (0xE000 | _PMT_PID).to_bytes(2)
) + _table(
    _PMT_PID,
    2,
    1,
    (0xE000 | _VIDEO_PID).to_bytes(2)
    + b"\xf0\0"
    + bytes((_H264,))
    + (0xE000 | _VIDEO_PID).to_bytes(2)
    + b"\xf0\0",
)


class Multiplexer:
    """One viewer's stream: keeps the continuity counters; tables come before each key frame."""

    __slots__ = ("_tables", "_video")

    def __init__(self) -> None:
        """Begin."""
        self._video = 0
        self._tables = 0

    def write(self, unit: Unit) -> bytes:
        """Return a unit's bytes for this viewer."""
        packets = bytearray(unit.packets)
        packets[3::PACKET_SIZE] = packets[3::PACKET_SIZE].translate(
            _COUNTERS[self._video]
        )
        self._video = (self._video + len(packets) // PACKET_SIZE) & 0x0F
        if not unit.key:
            return bytes(packets)
        tables = bytearray(_TABLES)
        tables[3::PACKET_SIZE] = tables[3::PACKET_SIZE].translate(
            _COUNTERS[self._tables]
        )
        self._tables = (self._tables + 1) & 0x0F
        return bytes(tables + packets)
