"""An event while it is recorded: its frames that wait, its clock and what of it is in hour files."""

import asyncio
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from datetime import tzinfo
from time import monotonic
from typing import Self

from ..hourfile import TICKS_PER_MS, Segment, SegmentHeader
from ..library.layout import HourPath, event_id, hour_start_ms
from ..model import CapturedFrame, Event
from .spool import Spool, SpooledFrame, SpoolHeader
from .thumbnail import ThumbnailChooser

# No camera's boot clock may carry an event further away from its beginning.
LONGEST_MS = 24 * 3600 * 1000


# A camera sends numbers in rows. One that leaves out every second number would fill the memory.
MAX_RANGES = 1024


class SeqRanges:
    """A set of frame numbers, small because they come in rows; the oldest gap closes when there are too many."""

    def __init__(self) -> None:
        """Begin empty."""
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, seq: int) -> bool:
        """Return whether the number is there."""
        i = bisect_right(self._starts, seq) - 1
        return i >= 0 and seq <= self._ends[i]

    @property
    def last(self) -> int:
        """Highest number, 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def add(self, first: int, last: int) -> None:
        """Add the numbers from first to last."""
        if self._ends and self._starts[-1] <= first <= self._ends[-1] + 1:
            self._ends[-1] = max(self._ends[-1], last)
            return
        i = bisect_right(self._starts, first)
        self._starts.insert(i, first)
        self._ends.insert(i, last)
        i = max(0, i - 1)
        while i + 1 < len(self._starts):
            if self._starts[i + 1] > self._ends[i] + 1:
                if self._starts[i] > last:
                    break
                i += 1
                continue
            self._ends[i] = max(self._ends[i], self._ends.pop(i + 1))
            del self._starts[i + 1]
        if len(self._starts) > MAX_RANGES:
            del self._starts[1], self._ends[0]


@dataclass(slots=True, eq=False)
class WaitingFrame:
    """A frame on its way to the hour file: in memory, in the spool, or both."""

    event: OngoingEvent
    seq: int
    t: int
    at_ms: int  # from the event's start, strictly increasing within a segment
    flags: int
    width: int
    height: int
    size: int
    arrived: float
    jpeg: bytes | None
    place: SpooledFrame | None = None
    written: bool = False  # in the hour file, which a power cut may still shorten
    persisted: bool = False  # synced to disk, or given up for good

    def to_spool(self) -> SpooledFrame:
        """Return it as a spool describes it, without an offset."""
        return SpooledFrame(
            0,
            self.seq,
            self.at_ms,
            self.t,
            self.flags,
            self.width,
            self.height,
            self.size,
        )


@dataclass(slots=True, eq=False, kw_only=True)
class OngoingEvent:
    """One event. `frames` wait in order; `late` came after newer ones and get a segment of their own."""

    id: str
    camera: str
    boot: int
    number: int
    reason: str
    start_ms: int
    t: int  # the camera's clock at the start
    hour: HourPath
    hour_ms: int
    recorded_ms: int  # order of recording
    clock_trusted: bool
    frames: deque[WaitingFrame] = field(default_factory=deque)
    late: list[WaitingFrame] = field(default_factory=list)
    seqs: SeqRanges = field(default_factory=SeqRanges)
    chooser: ThumbnailChooser = field(default_factory=ThumbnailChooser)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    flush_now: asyncio.Event = field(default_factory=asyncio.Event)
    spool: Spool | None = None
    spooled: int = 0  # frames that need the spool
    spool_size: int = 0  # bytes that are counted
    spooling: asyncio.Lock = field(default_factory=asyncio.Lock)
    picturing: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_at: int = -1
    interval_ms: int = 100
    last_arrival: float = 0.0
    left_at: float | None = None
    is_ended: bool = False
    end_reported: bool = False  # by the camera itself
    is_finished: bool = False  # all of it is in hour files and announced
    preempted: bool = False  # the encoder goes to another event
    state: str = ""  # as the library has it
    began: float = field(default_factory=monotonic)
    failures: int = 0
    failing_since: float = 0.0
    given_up: int = 0
    segments: int = 0
    written: int = 0
    size: int = 0
    end_ms: int = 0
    lost: int = 0
    lost_stored: int = 0  # of lost and given up, what ended segments say
    path: str = ""
    thumbnail: str | None = None
    thumbnail_score: float = 0.0

    @classmethod
    def begin(
        cls,
        frame: CapturedFrame,
        reason: str,
        time_zone: tzinfo,
        *,
        recorded_ms: int,
        clock_trusted: bool,
    ) -> Self:
        """Return the event that a frame opens."""
        start = frame.captured_ms
        return cls(
            id=event_id(frame.camera, frame.boot, frame.event),
            camera=frame.camera,
            boot=frame.boot,
            number=frame.event,
            reason=reason,
            start_ms=start,
            t=frame.t,
            hour=HourPath.at(frame.camera, start, time_zone),
            hour_ms=hour_start_ms(start, time_zone),
            end_ms=start,
            recorded_ms=recorded_ms,
            clock_trusted=clock_trusted,
        )

    @classmethod
    def from_segment(cls, hour: HourPath, segment: Segment) -> Self:
        """Return an event of which a segment was found on disk; the other segments are for add_segment()."""
        event = cls._from_header(segment.header, hour.with_part(1))
        event.path = hour.relative
        event.is_ended = event.is_finished = True
        return event

    @classmethod
    def from_spool(cls, spool: Spool) -> Self:
        """Return an event of which a spool was found on disk."""
        header = spool.header
        return cls._from_header(
            header, HourPath(header.camera, header.date, header.hour)
        )

    @classmethod
    def _from_header(cls, header: SegmentHeader | SpoolHeader, hour: HourPath) -> Self:
        return cls(
            id=header.id,
            camera=header.camera,
            boot=header.boot,
            number=header.event,
            reason=header.reason,
            start_ms=header.start_ms,
            t=header.t,
            hour=hour,
            hour_ms=header.hour_ms,
            end_ms=header.start_ms,
            recorded_ms=header.recorded_ms,
            clock_trusted=header.clock_trusted,
        )

    @property
    def waits(self) -> int:
        """Frames that are not in an hour file."""
        return len(self.frames) + len(self.late)

    def end(self) -> None:
        """Wait for no more frames."""
        self.is_ended = True
        self.changed.set()
        self.flush_now.set()

    def resume(self) -> None:
        """More frames came after the end."""
        self.is_ended = self.is_finished = False
        self.flush_now.clear()

    def preempt(self) -> None:
        """End the segment that is being encoded."""
        self.preempted = True
        self.changed.set()
        self.flush_now.set()

    def clear_preempted(self) -> None:
        """The segment has ended; another may begin."""
        self.preempted = False
        if not self.is_ended:
            self.flush_now.clear()

    def add_segment(self, path: str, segment: Segment) -> None:
        """Count a segment that is on disk."""
        last = segment.fragments[-1]
        offset_ms = (last.next_dts - last.table[-3] - segment.dts) // TICKS_PER_MS
        self.last_at = max(
            self.last_at, segment.header.start_ms + offset_ms - self.start_ms
        )
        for fragment in segment.fragments:
            self.seqs.add(fragment.first_seq, fragment.last_seq)
        self.segments = max(self.segments, segment.header.number + 1)
        self.count(segment.frame_count, segment.size, segment.end_ms, path)
        if segment.end is not None:
            self.lost += segment.end.lost
            self.lost_stored += segment.end.lost

    def count(self, frames: int, size: int, end_ms: int, path: str) -> None:
        """Count what was written."""
        self.written += frames
        self.size += size
        self.end_ms = max(self.end_ms, end_ms)
        self.path = self.path or path

    def append(self, frame: WaitingFrame, *, is_late: bool) -> None:
        """Queue a frame; a late one has a lower seq than one that came before it."""
        self.seqs.add(frame.seq, frame.seq)
        if is_late:
            self.late.append(frame)
            return
        if self.last_at >= 0:
            self.interval_ms = frame.at_ms - self.last_at
        self.last_at = frame.at_ms
        self.frames.append(frame)

    def place(self, frame: CapturedFrame) -> int | None:
        """Return the frame's ms from the start by the camera's own clock, None when that is no time of this event."""
        at_ms = frame.t - self.t
        return at_ms if abs(at_ms) <= LONGEST_MS else None

    def take_late(self) -> bool:
        """Let the late frames be the next ones; False when there are none."""
        if not self.late:
            return False
        self.late.sort(key=lambda frame: frame.seq)
        at_ms = -LONGEST_MS
        for frame in self.late:
            at_ms = frame.at_ms = max(frame.at_ms, at_ms + 1)
        self.frames.extend(self.late)
        self.late.clear()
        return True

    def spool_header(self) -> SpoolHeader:
        """Return what a spool of this event begins with."""
        return SpoolHeader(
            id=self.id,
            camera=self.camera,
            boot=self.boot,
            event=self.number,
            reason=self.reason,
            start_ms=self.start_ms,
            t=self.t,
            date=self.hour.date,
            hour=self.hour.hour,
            hour_ms=self.hour_ms,
            recorded_ms=self.recorded_ms,
            clock_trusted=self.clock_trusted,
        )

    def to_event(self, state: str) -> Event:
        """Return it as the library and its readers know it."""
        return Event(
            id=self.id,
            camera=self.camera,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            reason=self.reason,
            state=state,
            frames=self.written,
            lost=self.lost + self.given_up,
            size=self.size,
            path=self.path or self.hour.relative,
            thumbnail=self.thumbnail,
            recorded_ms=self.recorded_ms,
            clock_trusted=self.clock_trusted,
        )
