"""Virtual MP4 files: moov first, composed from the fragments' own tables; samples are read from the hour files when asked for."""

from array import array
import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate, groupby, pairwise, zip_longest
import os
from pathlib import Path
from statistics import median_low
import struct
import sys
from threading import Event, Lock

from . import hourfile
from .boxes import (
    SYNC_SAMPLE,
    TICKS_PER_MS,
    TIMESCALE,
    VideoConfig,
    ftyp,
    full_box,
    moov,
    parameter_sets,
)
from .errors import ClipGone, NothingRecorded
from .model import StoredRun
from .sidecar import sync_folder

CHUNK = 256 * 1024
_LARGE = 0xFFFF0000
_SHORTEST_FRAME = TIMESCALE // 30  # of a time-lapse; screens show no more
_USUAL_FRAME = TIMESCALE // 10
_LONGEST_FRAME = 0xFFFFFFFF


class VirtualFile:
    """An ordinary MP4 that exists nowhere as a whole. `etag` is strong: equal tags are equal bytes."""

    content_type = "video/mp4"

    def __init__(
        self,
        composition: _Composition,
        *,
        root: Path,
        pool: Executor,
        filename: str,
        last_modified_ms: int,
    ) -> None:
        """Take over a finished composition."""
        self.filename = filename
        self.last_modified_ms = last_modified_ms
        self.frames = len(composition.sizes)
        self.duration_ms = round(composition.duration / TICKS_PER_MS)
        self._head = composition.head()
        self._composition = composition
        self._root = root
        self._pool = pool
        self.size = len(self._head) + composition.length
        digest = blake2b(self._head, digest_size=16)
        for segment in composition.segments:
            digest.update(segment.name)
        self.etag = f'"{digest.hexdigest()}"'

    @property
    def memory(self) -> int:
        """Bytes that it holds, about."""
        return len(self._head) + self._composition.memory

    async def read(
        self, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of [start, stop), at most CHUNK at once; raises ClipGone when an hour file went meanwhile."""
        stop = self.size if stop is None else min(stop, self.size)
        loop = asyncio.get_running_loop()
        reader = _Reader(self._root, self._composition)
        try:
            while start < stop:
                # Whole multiples, so that a long read settles on aligned pieces.
                length = min(stop - start, CHUNK - start % CHUNK)
                yield await loop.run_in_executor(
                    self._pool, self._piece, reader, start, length
                )
                start += length
        finally:
            # A thread may still be at it when the request was cancelled.
            try:
                self._pool.submit(reader.close)
            except RuntimeError:  # the library is closed
                reader.close()

    async def write_to(self, target: Path) -> int:
        """Write all of it to a file, which appears whole or not at all; return its size. Raises ClipGone, OSError."""
        loop = asyncio.get_running_loop()
        stop = Event()
        try:
            await loop.run_in_executor(self._pool, self._write, target, stop)
        finally:
            stop.set()
        return self.size

    def _write(self, target: Path, stop: Event) -> None:
        """Blocking; gives up when told to stop."""
        temporary = target.with_name(f".{target.name}.tmp")
        reader = _Reader(self._root, self._composition)
        try:
            with temporary.open("wb") as file:
                for start in range(0, self.size, CHUNK):
                    if stop.is_set():
                        return
                    length = min(CHUNK, self.size - start)
                    file.write(self._piece(reader, start, length))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            reader.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync_folder(target.parent)

    def _piece(self, reader: _Reader, start: int, length: int) -> bytes:
        """Return bytes from head and samples. Blocking."""
        head = self._head[start : start + length]
        if len(head) == length:
            return head
        data = bytearray(length)
        data[: len(head)] = head
        reader.fill(memoryview(data)[len(head) :], start + len(head) - len(self._head))
        return bytes(data)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A run that samples come from; `marker` is what stands at `offset` as long as the file is the one that was composed from."""

    path: str
    offset: int
    marker: bytes
    name: bytes


@dataclass(slots=True)
class _Composition:
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
    extent_segment: array[int] = field(default_factory=lambda: array("I"))
    extent_offset: array[int] = field(default_factory=lambda: array("Q"))
    segments: list[_Segment] = field(default_factory=list)
    parameter_sets: list[_Literal] = field(default_factory=list)
    literal: bytes = b""
    length: int = 0

    @property
    def duration(self) -> int:
        """Ticks."""
        return sum(self.durations)

    @property
    def memory(self) -> int:
        """Bytes in the tables that stay."""
        return sum(
            len(table) * table.itemsize
            for table in (self.extent_start, self.extent_segment, self.extent_offset)
        )

    def extend(self, segment: int, offset: int, length: int) -> None:
        """Append bytes of a file, or of the literal for segment 0."""
        self.extent_start.append(self.length)
        self.extent_segment.append(segment)
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


class _Reader:
    """Reads extents, with one hour file open at a time. Blocking."""

    def __init__(self, root: Path, composition: _Composition) -> None:
        self._root = root
        self._composition = composition
        self._file: int | None = None
        self._segment: _Segment | None = None
        self._lock = Lock()
        self._closed = False

    def fill(self, target: memoryview, start: int) -> None:
        """Fill the buffer with samples' bytes from `start` on; raises ClipGone."""
        with self._lock:
            if self._closed:
                raise ClipGone("the clip is closed")
            self._fill(target, start)

    def _fill(self, target: memoryview, start: int) -> None:
        table = self._composition
        extent = bisect_right(table.extent_start, start) - 1
        while target:
            inside = start - table.extent_start[extent]
            end = (
                table.extent_start[extent + 1]
                if extent + 1 < len(table.extent_start)
                else table.length
            )
            piece = target[: end - start]
            offset = table.extent_offset[extent] + inside
            if number := table.extent_segment[extent]:
                self._read(table.segments[number - 1], offset, piece)
            else:
                piece[:] = table.literal[offset : offset + len(piece)]
            start += len(piece)
            target = target[len(piece) :]
            extent += 1

    def _read(self, segment: _Segment, offset: int, target: memoryview) -> None:
        try:
            if segment is not self._segment:
                self._enter(segment)
            assert self._file is not None
            if os.preadv(self._file, [target], offset) == len(target):
                return
        except OSError as error:
            raise ClipGone(
                f"{segment.path} cannot be read any more: {error.strerror}"
            ) from error
        raise ClipGone(f"{segment.path} became shorter")

    def _enter(self, segment: _Segment) -> None:
        if self._segment is None or segment.path != self._segment.path:
            self._leave()
            self._file = os.open(self._root / segment.path, os.O_RDONLY | os.O_CLOEXEC)
        assert self._file is not None
        if os.pread(self._file, len(segment.marker), segment.offset) != segment.marker:
            self._leave()
            raise ClipGone(f"{segment.path} was rewritten")
        self._segment = segment

    def close(self) -> None:
        """End; waits for who reads."""
        with self._lock:
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = self._segment = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What to take of the runs: all, or the pictures of a time range; `speed` makes a time-lapse of it."""

    start_ms: int | None = None
    end_ms: int | None = None
    speed: float | None = None


def compose(root: Path, runs: Sequence[StoredRun], cut: Cut) -> _Composition:
    """Compose runs in their order. Blocking; raises ClipGone when a file is not what the index says, NothingRecorded."""
    try:
        configs = list(
            dict.fromkeys(
                hourfile.read_config(root / path)
                for path in dict.fromkeys(run.path for run in runs)
            )
        )
        result = _Composition(configs)
        if len(configs) > 1:
            _prepare_parameter_sets(result)
        for _, group in groupby(runs, key=lambda run: run.event):
            _add_event(result, root, list(group), cut)
    except (hourfile.HourFileError, OSError) as error:
        raise ClipGone(str(error)) from error
    if not result.sizes:
        raise NothingRecorded("nothing was recorded in this time")
    return result


@dataclass(slots=True)
class _Part:
    """Neighbouring samples of a fragment; `ticks`: wall time of the first."""

    offset: int
    ticks: int
    sizes: Sequence[int]
    durations: list[int]
    sync: list[int]  # positions


@dataclass(slots=True)
class _Piece:
    """What a run gives to the clip."""

    segment: int
    config: int
    parts: list[_Part]
    end: int  # wall time in ticks


def _add_event(
    result: _Composition, root: Path, runs: Sequence[StoredRun], cut: Cut
) -> None:
    """Append the runs of one event. Between them time passes as it did; the next event follows at once."""
    pieces = [piece for run in runs if (piece := _piece(result, root, run, cut)).parts]
    if not pieces:
        return
    if cut.speed is not None:
        _add_time_lapse(result, pieces, cut.speed)
        return
    for this, following in pairwise(pieces):
        part = this.parts[-1]
        shown = following.parts[0].ticks - part.ticks - sum(part.durations[:-1])
        if 0 < shown <= _LONGEST_FRAME:
            part.durations[-1] = shown
    for piece in pieces:
        for part in piece.parts:
            _add_part(result, piece, part)


def _piece(result: _Composition, root: Path, stored: StoredRun, cut: Cut) -> _Piece:
    """Read the tables of a run and take what the cut asks for."""
    path = root / stored.path
    run = hourfile.scan_run(path, stored.offset, stored.end)
    if run.header.id != stored.event or run.header.number != stored.number:
        raise hourfile.HourFileError(f"{stored.path} holds another run there")
    shift = run.header.start_ms * TICKS_PER_MS - run.dts
    parts = []
    for fragment, following in zip_longest(run.fragments, run.fragments[1:]):
        table = fragment.table
        durations = list(table[::3])
        if following is not None:
            durations[-1] = following.dts - fragment.dts - sum(durations[:-1])
        flags = table[2::3]
        parts.append(
            _Part(
                fragment.data_offset,
                shift + fragment.dts,
                table[1::3],
                durations,
                [i for i, flag in enumerate(flags) if flag == SYNC_SAMPLE]
                if SYNC_SAMPLE in flags
                else [],
            )
        )
    # The writer could only guess how long the last picture stays.
    usual = [duration for part in parts for duration in part.durations][:-1]
    parts[-1].durations[-1] = (
        median_low(usual) if usual else parts[-1].durations[-1] or _USUAL_FRAME
    )
    end = parts[-1].ticks + sum(parts[-1].durations)
    if cut.start_ms is not None and cut.end_ms is not None:
        parts = _trim(parts, cut.start_ms * TICKS_PER_MS, cut.end_ms * TICKS_PER_MS)
    result.segments.append(_segment(path, stored, run.fragments[0].offset))
    return _Piece(
        len(result.segments),
        result.configs.index(hourfile.read_config(path)) + 1,
        parts,
        end,
    )


def _segment(path: Path, stored: StoredRun, end: int) -> _Segment:
    with path.open("rb") as file:
        file.seek(stored.offset)
        marker = file.read(end - stored.offset)
    return _Segment(
        stored.path, stored.offset, marker, f"{stored.event}/{stored.number}".encode()
    )


def _trim(parts: Sequence[_Part], start: int, end: int) -> list[_Part]:
    """Keep the pictures that are shown between two times, and before them those back to the key frame they need."""
    kept: list[_Part] = []
    for part in parts:
        ticks = part.ticks
        first = last = 0
        started = bool(kept) and kept[-1].ticks + sum(kept[-1].durations) > start
        for position, duration in enumerate(part.durations):
            if ticks >= end:
                break
            if not started and position in part.sync:
                # A later key frame before the start makes what was kept needless.
                kept.clear()
                first = position
            ticks += duration
            started = started or ticks > start
            last = position + 1
        if last > first:
            kept.append(_sliced(part, first, last))
    if kept and kept[-1].ticks + sum(kept[-1].durations) <= start:
        return []
    return kept


def _sliced(part: _Part, first: int, last: int) -> _Part:
    return _Part(
        part.offset + sum(part.sizes[:first]),
        part.ticks + sum(part.durations[:first]),
        part.sizes[first:last],
        part.durations[first:last],
        [position - first for position in part.sync if first <= position < last],
    )


def _add_part(result: _Composition, piece: _Piece, part: _Part) -> None:
    """Append neighbouring samples as one chunk."""
    number = len(result.sizes) + 1
    length = sum(part.sizes)
    result.durations.extend(part.durations)
    result.sync.extend(number + position for position in part.sync)
    result.chunk_samples.append(len(part.sizes))
    result.chunk_config.append(piece.config)
    if not result.parameter_sets or not part.sync:
        result.sizes.extend(part.sizes)
        result.chunk_length.append(length)
        result.extend(piece.segment, part.offset, length)
        return
    at = result.parameter_sets[piece.config - 1]
    before = result.length
    sizes = list(part.sizes)
    offset = part.offset
    for first, last in pairwise((*sorted({0, *part.sync}), len(sizes))):
        if first in part.sync:
            result.extend(0, at.offset, at.length)
        stretch = sum(sizes[first:last])
        result.extend(piece.segment, offset, stretch)
        offset += stretch
    for position in part.sync:
        sizes[position] += at.length
    result.sizes.extend(sizes)
    result.chunk_length.append(result.length - before)


def _add_time_lapse(
    result: _Composition, pieces: Sequence[_Piece], speed: float
) -> None:
    """Append the key frames of an event, so far apart in time as the speed makes them."""
    begin = pieces[0].parts[0].ticks
    shots: list[tuple[int, _Piece, _Part]] = []
    for piece in pieces:
        for part in piece.parts:
            for position in part.sync:
                shot = _sliced(part, position, position + 1)
                ticks = int((shot.ticks - begin) / speed)
                if not shots or ticks - shots[-1][0] >= _SHORTEST_FRAME:
                    shots.append((ticks, piece, shot))
    end = int((pieces[-1].end - begin) / speed)
    for (ticks, piece, shot), (following, _, _) in zip(
        shots, [*shots[1:], (end, None, None)], strict=True
    ):
        shot.durations[0] = min(max(following - ticks, _SHORTEST_FRAME), _LONGEST_FRAME)
        _add_part(result, piece, shot)


@dataclass(frozen=True, slots=True)
class _Literal:
    """Where bytes lie in a composition's literal."""

    offset: int
    length: int


def _prepare_parameter_sets(result: _Composition) -> None:
    """Keep the parameter sets of each configuration, for the samples.

    Many players hand a decoder only the first sample description; with the parameter sets in front of every key frame that is enough.
    """
    for config in result.configs:
        data = b"".join(parameter_sets(config))
        result.parameter_sets.append(_Literal(len(result.literal), len(data)))
        result.literal += data


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
