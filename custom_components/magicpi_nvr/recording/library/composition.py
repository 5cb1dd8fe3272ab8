"""A clip's sample tables, and where its samples are. Becomes the head of an ordinary MP4 file."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, groupby
import struct
import sys

from ..hourfile.boxes import VideoConfig, ftyp, full_box, moov
from ..stamp import Stretch
from .source import SegmentSource

# From here on sizes and offsets have 64 bits.
_LARGE = 0xFFFF0000


@dataclass(slots=True)
class Composition:
    """Sample tables, and where the samples lie. An extent is a stretch of bytes in a file, or of `literal`."""

    configs: list[VideoConfig]
    sizes: array[int] = field(default_factory=lambda: array("I"))
    durations: array[int] = field(default_factory=lambda: array("I"))
    sync: array[int] = field(
        default_factory=lambda: array("I")
    )  # sample numbers from 1
    chunk_samples: array[int] = field(default_factory=lambda: array("I"))
    chunk_config: array[int] = field(default_factory=lambda: array("I"))  # from 1
    chunk_length: array[int] = field(default_factory=lambda: array("Q"))
    extent_start: array[int] = field(
        default_factory=lambda: array("Q")
    )  # from the first sample's first byte
    extent_source: array[int] = field(default_factory=lambda: array("I"))
    extent_offset: array[int] = field(default_factory=lambda: array("Q"))
    sources: list[SegmentSource] = field(default_factory=list)
    parameter_sets: list[Literal] = field(default_factory=list)
    literal: bytes = b""
    length: int = 0
    ticks: int = 0  # of the samples so far
    stretches: list[Stretch] = field(default_factory=list)
    # Ticks at which another event begins, and which one
    begins: list[tuple[int, str]] = field(default_factory=list)
    # By event, where they are wanted
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> int:
        """Ticks."""
        return sum(self.durations)

    @property
    def memory(self) -> int:
        """Bytes in the tables that stay."""
        return sum(
            len(table) * table.itemsize
            for table in (self.extent_start, self.extent_source, self.extent_offset)
        )

    def extend(self, source: int, offset: int, length: int) -> None:
        """Append bytes of a file, or of the literal for source 0."""
        self.extent_start.append(self.length)
        self.extent_source.append(source)
        self.extent_offset.append(offset)
        self.length += length

    def head(self) -> bytes:
        """Return all that precedes the first sample, and let go of the tables that are in it."""
        large = self.length + 64 * len(self.sizes) > _LARGE
        offsets = array(
            "Q" if large else "I", bytes((8 if large else 4) * len(self.chunk_length))
        )
        tables = [
            _table(b"stts", _run_lengths(self.durations)),
            _table(b"stsc", self._chunk_runs()),
            full_box(
                b"stsz",
                0,
                0,
                struct.pack(">II", 0, len(self.sizes)),
                _big_endian(self.sizes),
            ),
        ]
        if len(self.sync) < len(self.sizes):
            tables.insert(1, _table(b"stss", ((number,) for number in self.sync)))
        movie = moov(
            self.configs[0],
            b"".join(
                (
                    *tables,
                    full_box(
                        b"co64" if large else b"stco",
                        0,
                        0,
                        struct.pack(">I", len(offsets)),
                        offsets,
                    ),
                )
            ),
            duration=self.duration,
            more=self.configs[1:],
            chapters=[
                (ticks, self.titles[event])
                for ticks, event in self.begins
                if event in self.titles
            ],
        )
        data = (
            struct.pack(">I4sQ", 1, b"mdat", 16 + self.length)
            if large
            else struct.pack(">I4s", 8 + self.length, b"mdat")
        )
        head = bytearray(ftyp(fragmented=False) + movie + data)
        first = len(head)
        offsets = array(
            offsets.typecode, accumulate(self.chunk_length[:-1], initial=first)
        )
        # The chunk offsets are the last bytes of the movie box, its size does not depend on them.
        end = first - len(data)
        head[end - len(offsets) * offsets.itemsize : end] = _big_endian(offsets)
        for table in (
            self.sizes,
            self.durations,
            self.sync,
            self.chunk_samples,
            self.chunk_config,
            self.chunk_length,
        ):
            del table[:]
        return bytes(head)

    def _chunk_runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield first chunk, samples per chunk and sample description, where they change."""
        number = 1
        for key, group in groupby(
            zip(self.chunk_samples, self.chunk_config, strict=True)
        ):
            yield number, *key
            number += sum(1 for _ in group)


@dataclass(frozen=True, slots=True)
class Literal:
    """Where bytes lie in a composition's literal."""

    offset: int
    length: int


def _table(kind: bytes, rows: Iterable[tuple[int, ...]]) -> bytes:
    """Return a full box of 32-bit columns behind the number of rows."""
    values = array("I")
    count = 0
    for row in rows:
        values.extend(row)
        count += 1
    return full_box(kind, 0, 0, struct.pack(">I", count), _big_endian(values))


def _run_lengths(durations: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield how often each duration comes in a row."""
    for duration, group in groupby(durations):
        yield sum(1 for _ in group), duration


def _big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()
