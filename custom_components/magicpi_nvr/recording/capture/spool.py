"""Frames that wait on disk: one append-only file per event, whose torn tail is cut off. Blocking."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, replace
import json
import os
from pathlib import Path
import struct
from typing import Self
from zlib import crc32

from ..files import make_folder, sync_folder, write_at

_MAGIC = b"MagicPi spool 1\n"
# Size and CRC-32 of the JSON, then the JSON.
_HEAD = struct.Struct(">II")
_MAX_HEAD = 64 * 1024
# Marker, seq, ms from the event's start, the camera's clock in ms, flags, width, height, size, CRC-32 of all
# before it and of the picture. The picture follows.
_RECORD = struct.Struct(">4sIqqBHHI")
_CRC = struct.Struct(">I")
_MARKER = b"JPEG"
_PICTURE = _RECORD.size + _CRC.size
_MAX_PICTURE = 16 * 1024 * 1024
_TRIES = 10


class SpoolError(Exception):
    """The file is no spool, or what is read is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolHeader:
    """Which event waits, and how its times are counted."""

    id: str
    camera: str
    boot: int
    event: int
    reason: str
    start_ms: int
    t: int  # the camera's clock at the event's start
    date: str  # of the hour file that the event belongs to
    hour: int
    hour_ms: int
    recorded_ms: int = 0
    clock_trusted: bool = True

    def to_json(self) -> bytes:
        """Return what is written."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read it; raises SpoolError."""
        try:
            fields = json.loads(data)
            return cls(
                id=str(fields["id"]),
                camera=str(fields["camera"]),
                boot=int(fields["boot"]),
                event=int(fields["event"]),
                reason=str(fields["reason"]),
                start_ms=int(fields["start_ms"]),
                t=int(fields["t"]),
                date=str(fields["date"]),
                hour=int(fields["hour"]),
                hour_ms=int(fields["hour_ms"]),
                # Version 0.1.0 wrote neither.
                recorded_ms=int(fields.get("recorded_ms", 0)),
                clock_trusted=fields.get("clock_trusted", True) is not False,
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
            raise SpoolError("not the header of a spool") from err


@dataclass(frozen=True, slots=True)
class SpooledFrame:
    """One frame in a spool; `offset` is its record's."""

    offset: int
    seq: int
    at_ms: int
    t: int
    flags: int
    width: int
    height: int
    size: int


class Spool:
    """Appends frames of one event and reads them back; the file is open only meanwhile.

    A write that fails leaves the file as it was.
    """

    def __init__(self, path: Path, header: SpoolHeader) -> None:
        """Prepare; the file is made by the first append()."""
        self.path = path
        self.header = header
        self._end = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._end

    @classmethod
    def open(cls, path: Path) -> tuple[Self, list[SpooledFrame]]:
        """Take up a spool that is there, cut its torn tail and make the rest last; raises SpoolError and OSError."""
        with _opened(path, os.O_RDWR) as file:
            header, offset = _read_header(file)
            size = os.fstat(file).st_size
            frames: list[SpooledFrame] = []
            while (frame := _read_record(file, offset, size)) is not None:
                frames.append(frame)
                offset += _PICTURE + frame.size
            if offset < size:
                os.ftruncate(file, offset)
            os.fdatasync(file)
        sync_folder(path.parent)
        spool = cls(path, header)
        spool._end = offset
        return spool, frames

    def append(
        self,
        frames: Iterable[tuple[SpooledFrame, bytes]],
        check: Callable[[], None] = lambda: None,
    ) -> list[SpooledFrame]:
        """Append frames, make them survive a power cut and return them with their offsets; raises OSError.

        `check` raises OSError where they came to another disk, which is left as it was.
        """
        pieces: list[bytes] = []
        end = self._end
        if end == 0:
            head = self.header.to_json()
            pieces += (_MAGIC, _HEAD.pack(len(head), crc32(head)), head)
            end = sum(map(len, pieces))
        placed: list[SpooledFrame] = []
        for frame, jpeg in frames:
            record = _RECORD.pack(_MARKER, *astuple(frame)[1:])
            pieces += (record, _CRC.pack(crc32(jpeg, crc32(record))), jpeg)
            placed.append(replace(frame, offset=end))
            end += _PICTURE + len(jpeg)
        with _opened(self.path, os.O_RDWR | os.O_CREAT) as file:
            try:
                write_at(file, b"".join(pieces), self._end)
                os.fdatasync(file)
                check()
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, self._end)
                if self._end == 0:
                    self.remove()
                raise
        if self._end == 0:
            sync_folder(self.path.parent)
        self._end = end
        return placed

    def read(self, frame: SpooledFrame) -> bytes:
        """Return a frame's picture; raises SpoolError and OSError."""
        with _opened(self.path, os.O_RDONLY) as file:
            data = os.pread(file, _PICTURE + frame.size, frame.offset)
        if len(data) != _PICTURE + frame.size:
            raise SpoolError("a spooled picture is gone")
        jpeg = data[_PICTURE:]
        if _CRC.unpack_from(data, _RECORD.size)[0] != crc32(
            jpeg, crc32(data[: _RECORD.size])
        ):
            raise SpoolError("a spooled picture is damaged")
        return jpeg

    def remove(self) -> None:
        """Remove the file: all of it has been recorded. The folders go with the last spool."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()
            self.path.parent.parent.rmdir()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file for a moment; one that is made gets its folders."""
    file = _open(path, flags)
    try:
        yield file
    finally:
        os.close(file)


def _open(path: Path, flags: int) -> int:
    tries = _TRIES if flags & os.O_CREAT else 1
    while True:
        tries -= 1
        try:
            if flags & os.O_CREAT:
                make_folder(path.parent)
            return os.open(path, flags | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            # Another spool may have been the last in a folder, and have taken it away.
            if not tries:
                raise


def _read_header(file: int) -> tuple[SpoolHeader, int]:
    """Return the header and where the first record begins."""
    begin = len(_MAGIC) + _HEAD.size
    data = os.pread(file, begin + _MAX_HEAD, 0)
    if len(data) < begin or not data.startswith(_MAGIC):
        raise SpoolError("not a spool")
    size, crc = _HEAD.unpack_from(data, len(_MAGIC))
    head = data[begin : begin + size]
    if len(head) != size or crc32(head) != crc:
        raise SpoolError("the header of a spool is damaged")
    return SpoolHeader.from_json(head), begin + size


def _read_record(file: int, offset: int, size: int) -> SpooledFrame | None:
    """Return the frame at an offset, None unless it is whole."""
    head = os.pread(file, _PICTURE, offset)
    if len(head) < _PICTURE:
        return None
    marker, seq, at_ms, t, flags, width, height, length = _RECORD.unpack_from(head)
    if marker != _MARKER or length > min(_MAX_PICTURE, size - offset - _PICTURE):
        return None
    jpeg = os.pread(file, length, offset + _PICTURE)
    (crc,) = _CRC.unpack_from(head, _RECORD.size)
    if crc32(jpeg, crc32(head[: _RECORD.size])) != crc:
        return None
    return SpooledFrame(offset, seq, at_ms, t, flags, width, height, length)
