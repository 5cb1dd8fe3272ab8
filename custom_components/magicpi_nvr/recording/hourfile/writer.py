"""Appending segments to an hour file. Blocking."""

from collections.abc import Sequence
from contextlib import suppress
import errno
import os
from pathlib import Path
from threading import Lock

from ..files import make_folder, sync_folder, write_at
from .boxes import EventMessage, VideoConfig, event_message, init_segment
from .claims import Claims
from .fragment import pack_fragment, parse_written
from .model import (
    EVENT_END_SCHEME,
    EVENT_SCHEME,
    ConfigDiffers,
    HourFile,
    Sample,
    Segment,
    SegmentEnd,
    SegmentHeader,
)
from .repair import repair


class HourFileWriter:
    """Appends segments to one file. A write that fails leaves the file as it was before it."""

    def __init__(self, path: Path, config: VideoConfig, claims: Claims) -> None:
        """Prepare; nothing is touched before open()."""
        self.path = path
        self.config = config
        self._claims = claims
        self.segment: Segment | None = (
            None  # the one that is being written, or the last one
        )
        self.end = 0
        self.synced = 0  # what was appended behind it, a power cut may take
        self.hour_ms: int | None = (
            None  # of the segments that are there; None = none yet
        )
        self._next_dts = 0
        self._sequence = 0
        self._file: int | None = None
        self._claimed = False
        self._torn = False
        self._is_broken = False
        self._is_abandoned = False
        self._settling = Lock()

    def open(self) -> None:
        """Claim the file and repair it if it is there.

        Raises BlockingIOError when another writer has it, ConfigDiffers, HourFileError and OSError.
        """
        if not self._claims.claim(self.path):
            raise BlockingIOError("the hour file is being written")
        self._claimed = True
        try:
            self._claims.truncate(self.path)
            hour = repair(self.path) if self.path.exists() else None
            if hour is not None:
                _check_config(hour, self.config)
                self.end = self.synced = hour.valid_end
                self._next_dts = hour.next_dts
                self._sequence = hour.fragment_count
                self.hour_ms = hour.segments[0].header.hour_ms
                self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise

    def begin_segment(self, header: SegmentHeader) -> None:
        """Name the segment that the next fragments belong to. Written with its first fragment."""
        self.segment = Segment(
            header=header, offset=self.end, end_offset=self.end, dts=self._next_dts
        )

    def append(
        self, samples: Sequence[Sample], *, first_seq: int, last_seq: int, offset: int
    ) -> None:
        """Append one fragment; `offset` is its decode time in ticks from the segment's first. Raises OSError."""
        if (segment := self.segment) is None or segment.end is not None:
            raise ValueError("no segment is open")
        init = b"" if self.end else init_segment(self.config)
        start = b""
        if not segment.fragments:
            segment.offset = self.end + len(init)
            start = event_message(
                EventMessage(
                    EVENT_SCHEME,
                    segment.dts,
                    segment.header.to_json(),
                    segment.header.number,
                )
            )
        fragment = pack_fragment(
            samples,
            boot=segment.header.boot,
            event=segment.header.event,
            first_seq=first_seq,
            last_seq=last_seq,
            sequence=self._sequence + 1,
            dts=segment.dts + offset,
        )
        self._append(init + start + fragment)
        self._sequence += 1
        segment.end_offset = self.end
        segment.fragments.append(parse_written(fragment, self.end - len(fragment)))
        self._next_dts = segment.next_dts

    def end_segment(self, *, lost: int) -> None:
        """Close the segment and sync it. Nothing was written if it has no fragment. Raises OSError."""
        if (
            (segment := self.segment) is None
            or segment.end is not None
            or not segment.fragments
        ):
            return
        end = SegmentEnd(
            id=segment.header.id,
            end_ms=segment.end_ms,
            frames=segment.frame_count,
            lost=lost,
        )
        self._append(
            event_message(
                EventMessage(EVENT_END_SCHEME, segment.next_dts, end.to_json())
            )
        )
        segment.end = end
        segment.end_offset = self.end
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
        with self._settling:
            if not self._is_abandoned:
                self.synced = end

    def abandon(self) -> int:
        """Return where the file will end: a sync that is under way in another thread makes nothing last any more."""
        with self._settling:
            self._is_abandoned = True
            return self.synced

    def discard_unsynced(self) -> None:
        """Truncate the file to its last sync; if the disk refuses, before the file is opened again."""
        if self.synced == self.end:
            return
        self.end = self.synced
        self._claims.truncate_later(self.path, self.end)
        if (segment := self.segment) is not None:
            segment.end = None
            while segment.fragments and segment.fragments[-1].end > self.end:
                segment.fragments.pop()
            segment.end_offset = (
                segment.fragments[-1].end if segment.fragments else segment.offset
            )
        with suppress(OSError):
            self._claims.truncate(self.path)

    def _refuse_if_broken(self) -> None:
        if self._is_broken:
            raise OSError(errno.EIO, "a sync has failed")

    def close(self) -> None:
        """Give the file back. A segment that is still open stays open, the next repair() closes it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._claimed:
            self._claims.release(self.path)
            self._claimed = False

    def _append(self, data: bytes) -> None:
        if not self._claimed:
            raise ValueError("not open")
        self._refuse_if_broken()
        if self._file is None:
            with self._claims.folders:
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


def _check_config(hour: HourFile, config: VideoConfig) -> None:
    """Raise ConfigDiffers unless samples of this configuration may follow."""
    if hour.config != config:
        raise ConfigDiffers
