"""What waits to be sent, in the order it happened; kept until the gateway acknowledges it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
import struct
from typing import Any
import zlib

HEADER = struct.Struct("!BBHIQII")
HEADER_VERSION = 1
CONTROLS_KEPT = 256


class FrameFlag(IntFlag):
    """Flags of a frame."""

    PRE_ROLL = 1
    STILL = 2
    LAST = 4
    WARMING_UP = 8
    LOST_BEFORE = 16


NO_FLAGS = FrameFlag(0)


@dataclass(slots=True, eq=False)
class CapturedFrame:
    """One JPEG on its way; `t` in ms since boot."""

    event: int
    seq: int
    flags: FrameFlag
    t: int
    jpeg: bytes = field(repr=False)
    crc: int = field(init=False)
    sendings: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Compute the checksum once."""
        self.crc = zlib.crc32(self.jpeg)

    @property
    def is_minor(self) -> bool:
        """Return whether it is of a live view, or kept for who is not there."""
        return not self.event and FrameFlag.STILL not in self.flags

    def pack(self) -> bytes:
        """Return header and JPEG as they go over the wire."""
        head = HEADER.pack(
            *(HEADER_VERSION, self.flags, self.event, self.seq, self.t, self.crc),
            len(self.jpeg),
        )
        return head + self.jpeg


@dataclass(slots=True, eq=False)
class Control:
    """A message whose place among the frames matters; made when it is sent."""

    build: Callable[[], Mapping[str, Any]]


type Item = CapturedFrame | Control


class Outbox:
    """Frames and messages in order, bounded.

    Where it is full, frames without an event give way first, thinned out evenly; then the oldest do,
    but none of an event for one without.
    """

    def __init__(self, max_bytes: int) -> None:
        """Hold at most `max_bytes` of JPEG."""
        self._max_bytes = max_bytes
        self._waiting: deque[Item] = deque()
        self._in_flight: deque[Item] = deque()
        # Sent, not acknowledged, and no longer here to be sent again: seq to event.
        self._abandoned: dict[int, int] = {}
        self._gap = False
        self._filled = asyncio.Event()
        self.bytes = 0
        self.frames = 0
        self.lost: Counter[int] = Counter()

    @property
    def empty(self) -> bool:
        """Return whether everything is acknowledged."""
        return not (self._waiting or self._in_flight)

    @property
    def waiting_frames(self) -> int:
        """Return how many frames were not yet sent on this link."""
        return sum(isinstance(item, CapturedFrame) for item in self._waiting)

    @property
    def waiting_controls(self) -> int:
        """Return how many messages were not yet sent on this link."""
        return len(self._waiting) - self.waiting_frames

    @property
    def lost_total(self) -> int:
        """Return how many frames were given up in this boot."""
        return self.lost.total()

    def add_frame(self, frame: CapturedFrame) -> None:
        """Queue a frame; others go when there is no room."""
        if self._gap:
            frame.flags |= FrameFlag.LOST_BEFORE
            self._gap = False
        self._waiting.append(frame)
        self.bytes += len(frame.jpeg)
        self.frames += 1
        while self.bytes > self._max_bytes and self.frames > 1:
            self._drop_one()
        self._filled.set()

    def add_control(self, build: Callable[[], Mapping[str, Any]]) -> None:
        """Queue a message."""
        self._waiting.append(Control(build))
        if len(self._waiting) + len(self._in_flight) - self.frames > CONTROLS_KEPT:
            for queue in (self._in_flight, self._waiting):
                if old := next(
                    (item for item in queue if isinstance(item, Control)), None
                ):
                    queue.remove(old)
                    break
        self._filled.set()

    def _drop_one(self) -> None:
        """Give up the frame that is missed least."""
        frames = [
            item
            for item in (*self._in_flight, *self._waiting)
            if isinstance(item, CapturedFrame)
        ]
        minor = [frame for frame in frames if frame.is_minor]
        between = [
            (after.t - before.t, frame.seq, frame)
            for before, frame, after in zip(
                frames, frames[1:], frames[2:], strict=False
            )
            if frame.is_minor
        ]
        if between:
            frame = min(between)[-1]
        else:
            # With nothing else without an event the newest one is itself what gives way
            frame = minor[0] if minor else frames[0]
        if frame in self._in_flight:
            self._in_flight.remove(frame)
            self._abandoned[frame.seq] = frame.event
        else:
            self._waiting.remove(frame)
            self.lose(frame.seq, frame.event)
        self._release(frame)

    def _release(self, frame: CapturedFrame) -> None:
        """Free a frame's memory."""
        self.bytes -= len(frame.jpeg)
        self.frames -= 1

    def lose(self, seq: int, event: int) -> None:
        """Count a frame as lost and tell so with the next one that is left."""
        self.lost[event] += 1
        for item in self._waiting:
            if isinstance(item, CapturedFrame) and item.seq > seq:
                item.flags |= FrameFlag.LOST_BEFORE
                return
        self._gap = True

    async def take(self) -> Item:
        """Return the next item to send, when there is one; it stays kept."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        item = self._waiting.popleft()
        self._in_flight.append(item)
        return item

    def acknowledge(self, seq: int) -> int:
        """Let go of all frames up to `seq`; return how many."""
        released = 0
        for queue in (self._in_flight, self._waiting):
            for _ in range(len(queue)):
                item = queue.popleft()
                if isinstance(item, CapturedFrame) and item.seq <= seq:
                    self._release(item)
                    released += 1
                else:
                    queue.append(item)
        for known in [known for known in self._abandoned if known <= seq]:
            del self._abandoned[known]
            released += 1
        return released

    def rewind(self, have: int) -> int:
        """Prepare to send all after `have` on a new link; return how many frames are acknowledged."""
        self._waiting.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        released = self.acknowledge(have)
        for seq, event in sorted(self._abandoned.items()):
            self.lose(seq, event)
        self._abandoned.clear()
        self._filled.set()
        return released

    def controls_in_flight(self) -> list[Control]:
        """Return the messages that were sent and are not known to have been read."""
        return [item for item in self._in_flight if isinstance(item, Control)]

    def settle(self, controls: list[Control]) -> None:
        """Let go of messages that the gateway has read."""
        for control in controls:
            if control in self._in_flight:
                self._in_flight.remove(control)

    def give_up(self) -> int:
        """Drop everything; return how many frames were lost by it."""
        lost = self._abandoned | {
            item.seq: item.event
            for item in (*self._in_flight, *self._waiting)
            if isinstance(item, CapturedFrame)
        }
        self._waiting.clear()
        self._in_flight.clear()
        self._abandoned.clear()
        self.bytes = self.frames = 0
        for event in lost.values():
            self.lost[event] += 1
        return len(lost)
