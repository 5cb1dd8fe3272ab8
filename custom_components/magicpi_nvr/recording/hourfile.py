"""The hour file: fragmented MP4 that explains itself and is only ever appended to. Blocking throughout."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
import errno
import json
import os
from pathlib import Path
import struct
from threading import Lock
from typing import NamedTuple, Self
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from .boxes import (
    OTHER_SAMPLE,
    SYNC_SAMPLE,
    TICKS_PER_MS,
    BoxError,
    EventMessage,
    VideoConfig,
    event_message,
    ftyp,
    init_segment,
    parse_event_message,
    parse_moov,
)
from .sidecar import make_folder, sync_folder

EVENT_SCHEME = "urn:magicpi:event:1"
EVENT_END_SCHEME = "urn:magicpi:event-end:1"
FRAGMENT_TYPE = uuid5(NAMESPACE_URL, "urn:magicpi:fragment:1").bytes

# Every fragment has this one shape, so that one unpack reads and one pack writes it: uuid (type, boot, event,
# first and last seq, CRC-32 of the samples), moof of mfhd and traf (tfhd with default-base-is-moof, tfdt
# version 1, trun with offset, and with duration, size and flags per sample), then the header of mdat.
_FRAGMENT = struct.Struct(">I4s16sIIIII I4sI4sII I4s I4sIII4sIQ I4sIII")
_CRC, _SEQUENCE, _DTS, _COUNT, _DATA = 7, 13, 23, 27, 28
_UUID_SIZE = 44
_MOOF_SIZE = 88
_TFHD_FLAGS = 0x020000
_TRUN_FLAGS = 0x000701
_SAMPLE_SIZE = 12
_MDAT_HEADER = 8
_READ_AHEAD = 1024
_MAX_SAMPLES = 10_000
# Thousands of years, and sums of it fit in 63 bits.
_MAX_DTS = 1 << 53
_MAX_MESSAGE = 64 * 1024
_PASSED_OVER = {b"free", b"skip", b"styp", b"sidx", b"prft", b"emsg", b"uuid"}


class HourFileError(Exception):
    """The file is not an hour file of ours."""


class ConfigDiffers(Exception):
    """The file was begun with another codec configuration."""


class Sample(NamedTuple):
    """One encoded frame: length-prefixed NAL units, duration in ticks."""

    data: bytes
    duration: int
    sync: bool


class Frame(NamedTuple):
    """Where one frame lies in the file; duration and dts in ticks of boxes.TIMESCALE."""

    offset: int
    size: int
    duration: int
    dts: int
    sync: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment; `table` holds duration, size and flags of each sample, one after the other."""

    offset: int
    end: int
    data_offset: int
    dts: int
    boot: int
    event: int
    first_seq: int
    last_seq: int
    crc: int
    table: tuple[int, ...]

    @property
    def frame_count(self) -> int:
        """Samples in it."""
        return len(self.table) // 3

    @property
    def last_dts(self) -> int:
        """Decode time of its last frame."""
        return self.next_dts - self.table[-3]

    @property
    def next_dts(self) -> int:
        """Decode time after its last sample."""
        return self.dts + sum(self.table[::3])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """What the `emsg` before a run says.

    `t` is the camera's clock at the run's first frame, in ms. `hour_ms` is when the local hour began in
    which the event began: all runs of a file have the same.
    """

    id: str
    camera: str
    start_ms: int
    reason: str
    boot: int
    event: int
    number: int
    t: int
    hour_ms: int = 0

    def to_json(self) -> bytes:
        """Return the message."""
        return json.dumps(
            {
                "v": 1,
                "id": self.id,
                "camera": self.camera,
                "start": self.start_ms,
                "reason": self.reason,
                "boot": self.boot,
                "event": self.event,
                "run": self.number,
                "t": self.t,
                "hour": self.hour_ms,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the message; raises BoxError."""
        try:
            fields = json.loads(data)
            return cls(
                id=str(fields["id"]),
                camera=str(fields["camera"]),
                start_ms=int(fields["start"]),
                reason=str(fields["reason"]),
                boot=int(fields["boot"]),
                event=int(fields["event"]),
                number=int(fields["run"]),
                t=int(fields["t"]),
                hour_ms=int(fields["hour"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
            raise BoxError("not the message of a run") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """What the `emsg` after a run says."""

    id: str
    end_ms: int
    frames: int
    lost: int

    def to_json(self) -> bytes:
        """Return the message."""
        return json.dumps(
            {
                "id": self.id,
                "end": self.end_ms,
                "frames": self.frames,
                "lost": self.lost,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the message; raises BoxError."""
        try:
            fields = json.loads(data)
            return cls(
                id=str(fields["id"]),
                end_ms=int(fields["end"]),
                frames=int(fields["frames"]),
                lost=int(fields["lost"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
            raise BoxError("not the end message of a run") from err


@dataclass(slots=True, kw_only=True)
class Run:
    """An event, or the part of an event between two interruptions."""

    header: RunHeader
    offset: int  # of its first byte, the `emsg`
    end_offset: int  # after its last byte
    dts: int  # decode time of its first sample
    fragments: list[Fragment] = field(default_factory=list)
    end: RunEnd | None = None  # None = still being written, or cut off

    @property
    def first_seq(self) -> int:
        """Number of its first frame."""
        return self.fragments[0].first_seq

    @property
    def last_seq(self) -> int:
        """Number of its last frame."""
        return self.fragments[-1].last_seq

    @property
    def frame_count(self) -> int:
        """Frames in it."""
        return sum(len(fragment.table) for fragment in self.fragments) // 3

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.end_offset - self.offset

    @property
    def next_dts(self) -> int:
        """Decode time after its last frame."""
        return self.fragments[-1].next_dts

    @property
    def end_ms(self) -> int:
        """Wall time after its last frame."""
        return self.header.start_ms + (self.next_dts - self.dts) // TICKS_PER_MS

    def frames(self) -> Iterator[Frame]:
        """Yield its frames; a frame lasts until the next one begins, whatever its own fragment foresaw."""
        for i, fragment in enumerate(self.fragments):
            table = fragment.table
            offset, dts = fragment.data_offset, fragment.dts
            last = len(table) - 3
            for j in range(0, len(table), 3):
                duration, size, flags = table[j : j + 3]
                if j == last and i + 1 < len(self.fragments):
                    duration = self.fragments[i + 1].dts - dts
                yield Frame(offset, size, duration, dts, flags == SYNC_SAMPLE)
                offset += size
                dts += duration


@dataclass(slots=True, kw_only=True)
class HourFile:
    """What a file holds. Bytes from `valid_end` on are a torn tail."""

    path: Path
    config: VideoConfig
    init_size: int
    runs: list[Run]
    valid_end: int
    size: int

    @property
    def next_dts(self) -> int:
        """Decode time at which the next run begins."""
        return self.runs[-1].next_dts if self.runs else 0

    @property
    def fragment_count(self) -> int:
        """Fragments in all runs."""
        return sum(len(run.fragments) for run in self.runs)

    @property
    def is_closed(self) -> bool:
        """Whether the file ends as a writer that was not interrupted leaves it."""
        return self.valid_end == self.size and (
            not self.runs or self.runs[-1].end is not None
        )


def scan(path: Path) -> HourFile:
    """Read the headers of a file, never its samples; raises HourFileError and OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _scan(file, path)
    finally:
        os.close(file)


def scan_run(path: Path, offset: int, end: int | None = None) -> Run:
    """Read the headers of the one run that lies there; without `end` the file's last, however far it is.

    Raises HourFileError and OSError.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _scan(file, path, offset, end)
    finally:
        os.close(file)
    if len(found.runs) != 1 or found.runs[0].offset != offset:
        raise HourFileError("the run is not where it was")
    return found.runs[0]


def read_config(path: Path) -> VideoConfig:
    """Read how the samples of a file are to be decoded; raises HourFileError and OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read_init(file, os.fstat(file).st_size)[0]
    finally:
        os.close(file)


def _scan(
    file: int, path: Path, start: int | None = None, stop: int | None = None
) -> HourFile:
    size = os.fstat(file).st_size
    config, init_size = _read_init(file, size)
    size = size if stop is None else min(size, stop)
    runs: list[Run] = []
    fragments: list[Fragment] = []  # of the run that is open
    offset = valid_end = init_size if start is None else start
    pread, unpack, least = os.pread, _FRAGMENT.unpack_from, _FRAGMENT.size
    while size - offset >= 8:
        head = pread(file, _READ_AHEAD, offset)
        if head[8:24] == FRAGMENT_TYPE:
            if len(head) < least or not runs or runs[-1].end is not None:
                break
            fragment = _read_fragment(file, head, offset, size, unpack(head))
            if fragment is None:
                break
            if not fragments:
                runs[-1].dts = fragment.dts
                runs[-1].fragments = fragments
            elif fragment.dts <= fragments[-1].dts or (
                # Its frames would come before those that precede them.
                fragment.dts < fragments[-1].last_dts
            ):
                break
            fragments.append(fragment)
            offset = valid_end = runs[-1].end_offset = fragment.end
            continue
        if len(head) < 8:
            break
        length, kind = struct.unpack_from(">I4s", head)
        if kind not in _PASSED_OVER or length < 8 or offset + length > size:
            break
        if kind == b"emsg":
            try:
                body = pread(file, min(length - 8, _MAX_MESSAGE), offset + 8)
                message = parse_event_message(body, 0, len(body))
                if message.scheme == EVENT_SCHEME:
                    _drop_empty(runs)
                    header = RunHeader.from_json(message.data)
                    fragments = []
                    runs.append(
                        Run(
                            header=header,
                            offset=offset,
                            end_offset=offset + length,
                            dts=message.time,
                        )
                    )
                    # Not valid_end: a run without a fragment is a torn tail too.
                    offset += length
                    continue
                if message.scheme == EVENT_END_SCHEME:
                    end = RunEnd.from_json(message.data)
                    if (
                        not runs
                        or not runs[-1].fragments
                        or end.id != runs[-1].header.id
                    ):
                        break
                    runs[-1].end = end
                    runs[-1].end_offset = offset + length
            except BoxError:
                break
        offset += length
        if not runs or runs[-1].fragments:
            valid_end = offset
    _drop_empty(runs)
    return HourFile(
        path=path,
        config=config,
        init_size=init_size,
        runs=runs,
        valid_end=valid_end,
        size=size,
    )


def _drop_empty(runs: list[Run]) -> None:
    """Forget the last run when nothing was written into it."""
    if runs and not runs[-1].fragments:
        runs.pop()


def _read_init(file: int, size: int) -> tuple[VideoConfig, int]:
    """Return the configuration and the length of the init segment."""
    begin = ftyp(fragmented=True)
    head = os.pread(file, 64 * 1024, 0)
    if not head.startswith(begin):
        raise HourFileError("begins like no hour file")
    at = len(begin)
    if len(head) < at + 8:
        raise HourFileError("no movie box")
    length, kind = struct.unpack_from(">I4s", head, at)
    if kind != b"moov" or length < 8 or at + length > min(size, len(head)):
        raise HourFileError("no movie box")
    try:
        return parse_moov(head, at + 8, at + length), at + length
    except BoxError as err:
        raise HourFileError(str(err)) from err


def _read_fragment(
    file: int, head: bytes, offset: int, size: int, fields: tuple[int, ...]
) -> Fragment | None:
    """Return the fragment whose first bytes are given, None unless it is whole and of our one shape."""
    name = _name(fields)
    dts, count = fields[_DTS], fields[_COUNT]
    moof_size = _MOOF_SIZE + _SAMPLE_SIZE * count
    if (
        not 0 < count <= _MAX_SAMPLES
        or dts > _MAX_DTS
        or fields != _fields(name, fields[_CRC], fields[_SEQUENCE], dts, count)
    ):
        return None
    header = _UUID_SIZE + moof_size + _MDAT_HEADER
    if len(head) < header:
        head = os.pread(file, header, offset)
        if len(head) < header:
            return None
    table = struct.unpack_from(f">{3 * count}I", head, _FRAGMENT.size)
    length, kind = struct.unpack_from(">I4s", head, header - _MDAT_HEADER)
    data = sum(table[1::3])
    end = offset + header + data
    if kind != b"mdat" or length != _MDAT_HEADER + data or end > size:
        return None
    return Fragment(offset, end, offset + header, dts, *name, fields[_CRC], table)


def _name(fields: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return boot, event, first and last seq."""
    return fields[3], fields[4], fields[5], fields[6]


def _fields(
    name: tuple[int, int, int, int], crc: int, sequence: int, dts: int, count: int
) -> tuple[int | bytes, ...]:
    """Return all that precedes the sample table of a fragment."""
    moof_size = _MOOF_SIZE + _SAMPLE_SIZE * count
    return (
        _UUID_SIZE, b"uuid", FRAGMENT_TYPE, *name, crc,
        moof_size, b"moof", 16, b"mfhd", 0, sequence,
        moof_size - 24, b"traf",
        16, b"tfhd", _TFHD_FLAGS, 1, 20, b"tfdt", 1 << 24, dts,
        20 + _SAMPLE_SIZE * count, b"trun", _TRUN_FLAGS, count, moof_size + _MDAT_HEADER,
    )  # fmt: skip


def pack_fragment(
    samples: Sequence[Sample],
    *,
    boot: int,
    event: int,
    first_seq: int,
    last_seq: int,
    sequence: int,
    dts: int,
) -> bytes:
    """Return a fragment's boxes; `sequence` counts fragments in the file, `dts` in ticks."""
    crc = 0
    table: list[int] = []
    for data, duration, sync in samples:
        crc = crc32(data, crc)
        table += (duration, len(data), SYNC_SAMPLE if sync else OTHER_SAMPLE)
    data_size = sum(table[1::3])
    return b"".join(
        (
            _FRAGMENT.pack(
                *_fields(
                    (boot, event, first_seq, last_seq), crc, sequence, dts, len(samples)
                )
            ),
            struct.pack(f">{len(table)}I", *table),
            struct.pack(">I4s", _MDAT_HEADER + data_size, b"mdat"),
            *(sample.data for sample in samples),
        )
    )


class Claims:
    """Which hour files have a writer. Whoever rewrites or removes a file claims it first; thread safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: set[Path] = set()
        self._lock = Lock()

    def claim(self, path: Path) -> bool:
        """Take a file; False when somebody has it."""
        with self._lock:
            if path in self._held:
                return False
            self._held.add(path)
            return True

    def is_held(self, path: Path) -> bool:
        """Say whether somebody has it now."""
        with self._lock:
            return path in self._held

    def release(self, path: Path) -> None:
        """Give it back."""
        with self._lock:
            self._held.discard(path)


# Files are shared by all of the process, so the claims on them are too.
CLAIMS = Claims()
# Held by who makes a folder and its first file, and by who removes a folder that is empty.
FOLDERS = Lock()
# Where a file must be cut before it is read again: what lies behind it is written anew elsewhere.
_CUTS: dict[Path, int] = {}


def repair(path: Path) -> HourFile | None:
    """Cut a torn tail and close an open run; None when nothing is left and the file was removed.

    Samples of an open run are checked by their CRC: after a power cut the length of a file may be
    true and its last blocks may not. Raises HourFileError for a file that is not ours, and OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            hour = _scan(file, path)
        except HourFileError:
            if not _is_stillborn(file):
                raise
            path.unlink()
            return None
        if hour.runs and hour.runs[-1].end is None:
            _check_samples(file, hour)
        if not hour.runs:
            path.unlink()
            return None
        if hour.valid_end < hour.size:
            os.ftruncate(file, hour.valid_end)
            hour.size = hour.valid_end
        run = hour.runs[-1]
        if run.end is None:
            run.end = RunEnd(
                id=run.header.id, end_ms=run.end_ms, frames=run.frame_count, lost=0
            )
            data = event_message(
                EventMessage(EVENT_END_SCHEME, run.next_dts, run.end.to_json())
            )
            write_at(file, data, hour.valid_end)
            hour.valid_end = hour.size = run.end_offset = hour.valid_end + len(data)
        # Whoever wrote it may have been killed before its own sync.
        os.fdatasync(file)
        return hour
    finally:
        os.close(file)


def make_last(path: Path) -> None:
    """Make a file survive a power cut, whoever wrote it; raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def _is_stillborn(file: int) -> bool:
    """Whether a file without a valid init segment is ours: its beginning was never whole on disk."""
    begin = ftyp(fragmented=True)
    head = os.pread(file, 4096, 0)
    return head[: len(begin)] == begin[: len(head)] or not any(head)


def _check_samples(file: int, hour: HourFile) -> None:
    """Cut the open run before the first fragment whose samples are not what was written."""
    run = hour.runs[-1]
    for i, fragment in enumerate(run.fragments):
        data = os.pread(file, fragment.end - fragment.data_offset, fragment.data_offset)
        if crc32(data) == fragment.crc:
            continue
        del run.fragments[i:]
        if run.fragments:
            hour.valid_end = run.end_offset = run.fragments[-1].end
        else:
            hour.runs.pop()
            hour.valid_end = run.offset
        return


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write all of it; raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view = view[written:]
        offset += written


class HourFileWriter:
    """Appends runs to one file. A write that fails leaves the file as it was before it."""

    def __init__(self, path: Path, config: VideoConfig) -> None:
        """Prepare; nothing is touched before open()."""
        self.path = path
        self.config = config
        self.run: Run | None = None  # the one that is being written, or the last one
        self.end = 0
        self.synced = 0  # what was appended behind it, a power cut may take
        self.hour_ms: int | None = None  # of the runs that are there; None = none yet
        self._next_dts = 0
        self._sequence = 0
        self._file: int | None = None
        self._claimed = False
        self._torn = False
        self._is_broken = False

    def open(self) -> None:
        """Claim the file and repair it if it is there.

        Raises BlockingIOError when another writer has it, ConfigDiffers, HourFileError and OSError.
        """
        if not CLAIMS.claim(self.path):
            raise BlockingIOError("the hour file is being written")
        self._claimed = True
        try:
            cut_taken_back(self.path)
            hour = repair(self.path) if self.path.exists() else None
            if hour is not None:
                _check_config(hour, self.config)
                self.end = self.synced = hour.valid_end
                self._next_dts = hour.next_dts
                self._sequence = hour.fragment_count
                self.hour_ms = hour.runs[0].header.hour_ms
                self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise

    def begin_run(self, header: RunHeader) -> None:
        """Name the run that the next fragments belong to. Written with its first fragment."""
        self.run = Run(
            header=header, offset=self.end, end_offset=self.end, dts=self._next_dts
        )

    def append(
        self, samples: Sequence[Sample], *, first_seq: int, last_seq: int, offset: int
    ) -> None:
        """Append one fragment; `offset` is its decode time in ticks from the run's first. Raises OSError."""
        if (run := self.run) is None or run.end is not None:
            raise ValueError("no run is open")
        init = b"" if self.end else init_segment(self.config)
        start = b""
        if not run.fragments:
            run.offset = self.end + len(init)
            start = event_message(
                EventMessage(
                    EVENT_SCHEME, run.dts, run.header.to_json(), run.header.number
                )
            )
        fragment = pack_fragment(
            samples,
            boot=run.header.boot,
            event=run.header.event,
            first_seq=first_seq,
            last_seq=last_seq,
            sequence=self._sequence + 1,
            dts=run.dts + offset,
        )
        self._append(init + start + fragment)
        self._sequence += 1
        run.end_offset = self.end
        run.fragments.append(_parse_written(fragment, self.end - len(fragment)))
        self._next_dts = run.next_dts

    def end_run(self, *, lost: int) -> None:
        """Close the run and make it last. Nothing was written if it has no fragment. Raises OSError."""
        if (run := self.run) is None or run.end is not None or not run.fragments:
            return
        end = RunEnd(
            id=run.header.id, end_ms=run.end_ms, frames=run.frame_count, lost=lost
        )
        self._append(
            event_message(EventMessage(EVENT_END_SCHEME, run.next_dts, end.to_json()))
        )
        run.end = end
        run.end_offset = self.end
        self.sync()

    def sync(self) -> None:
        """Make what was appended survive a power cut, while more may be appended by another thread. Raises OSError.

        After a sync that failed nothing more is taken: the next one would call good what the system has given up.
        """
        end = self.end
        if self._file is None or self.synced == end:
            return
        try:
            self._refuse_if_broken()
            os.fdatasync(self._file)
        except OSError:
            self._is_broken = True
            raise
        self.synced = end

    def take_back(self) -> None:
        """Cut what no sync has made last; if the disk does not let it, before the file is opened again."""
        if self.synced == self.end:
            return
        self.end = _CUTS[self.path] = self.synced
        if (run := self.run) is not None:
            run.end = None
            while run.fragments and run.fragments[-1].end > self.end:
                run.fragments.pop()
            run.end_offset = run.fragments[-1].end if run.fragments else run.offset
        with suppress(OSError):
            cut_taken_back(self.path)

    def _refuse_if_broken(self) -> None:
        if self._is_broken:
            raise OSError(errno.EIO, "a sync has failed")

    def close(self) -> None:
        """Give the file back. A run that is still open stays open, the next repair() closes it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._claimed:
            CLAIMS.release(self.path)
            self._claimed = False

    def _append(self, data: bytes) -> None:
        if not self._claimed:
            raise ValueError("not open")
        self._refuse_if_broken()
        if self._file is None:
            with FOLDERS:
                make_folder(self.path.parent)
                self._file = os.open(
                    self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
                )
            sync_folder(self.path.parent)
        if self._torn:
            os.ftruncate(self._file, self.end)
            self._torn = False
        try:
            write_at(self._file, data, self.end)
        except OSError:
            self._torn = True
            with suppress(OSError):
                os.ftruncate(self._file, self.end)
                self._torn = False
            raise
        self.end += len(data)


def cut_taken_back(path: Path) -> None:
    """Cut a file whose end was taken back; whoever has claimed it does so before reading it. Raises OSError."""
    if (end := _CUTS.get(path)) is None:
        return
    with suppress(FileNotFoundError):
        if end == 0:
            path.unlink()
        elif path.stat().st_size > end:
            os.truncate(path, end)
    del _CUTS[path]


def _check_config(hour: HourFile, config: VideoConfig) -> None:
    """Raise ConfigDiffers unless samples of this configuration may follow."""
    if hour.config != config:
        raise ConfigDiffers


def _parse_written(data: bytes, offset: int) -> Fragment:
    """Return what scan() would make of a fragment that was packed here."""
    fields = _FRAGMENT.unpack_from(data)
    table = struct.unpack_from(f">{3 * fields[_COUNT]}I", data, _FRAGMENT.size)
    samples = offset + _UUID_SIZE + fields[_DATA]
    return Fragment(
        offset,
        offset + len(data),
        samples,
        fields[_DTS],
        *_name(fields),
        fields[_CRC],
        table,
    )
