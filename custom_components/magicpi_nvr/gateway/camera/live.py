"""Live pictures of one camera: the newest frame, its viewers, stills."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from ..protocol import FLAG_STILL, FLAG_WARMING_UP, Frame
from .commands import CommandFailed


class LiveView:
    """Shows each viewer the newest frame; one who is slow gets fewer."""

    def __init__(self, request_stream: Callable[[bool, bool], None]) -> None:
        """`request_stream(on, keep)` is called with the first viewer, after the last, and when `keep` changes."""
        self.latest: Frame | None = None
        """Newest picture of a sensor that had warmed up; it outlives the connection."""
        self._request_stream = request_stream
        self._newest: Frame | None = None
        self._connected = False
        self._viewers = 0
        # Of these, who wants pictures of times without a connection, too
        self._keepers = 0
        self._frame_waiters: set[asyncio.Future[None]] = set()
        self._still_waiters: set[asyncio.Future[Frame]] = set()

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return self._viewers

    @property
    def keeps(self) -> bool:
        """Whether somebody wants pictures of times without a connection, too."""
        return self._keepers > 0

    def connected(self) -> None:
        """The camera is there; viewers of an older connection want frames of this one."""
        self._connected = True
        if self._viewers:
            self._request_stream(True, self._keepers > 0)

    def disconnected(self) -> None:
        """The camera left: views end."""
        self._connected = False
        self._newest = None
        for still in self._still_waiters:
            if not still.done():
                still.set_exception(CommandFailed("the camera left"))
        self._wake_viewers()

    def show(self, frame: Frame) -> None:
        """Show a frame, unless a newer one of this boot was shown."""
        newest = self._newest
        if newest is None or newest.boot != frame.boot or newest.seq < frame.seq:
            self._newest = frame
            if self._frame_waiters:
                self._wake_viewers()
            # A sensor that still warms up gives green pictures.
            if self.latest is None or not frame.flags & FLAG_WARMING_UP:
                self.latest = frame
        if frame.flags & FLAG_STILL:
            for waiter in self._still_waiters:
                if not waiter.done():
                    waiter.set_result(frame)

    def _wake_viewers(self) -> None:
        for waiter in self._frame_waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._frame_waiters.clear()

    async def frames(self, *, keep: bool = False) -> AsyncGenerator[Frame]:
        """Yield the newest frame again and again; ends when the camera leaves.

        `keep` lets the camera go on without a connection, as far as its memory goes.
        """
        if not self._connected:
            return
        shown: Frame | None = None
        with self.hold(keep=keep):
            while self._connected:
                if (frame := self._newest) is not None and frame is not shown:
                    shown = frame
                    yield frame
                    continue
                waiter = asyncio.get_running_loop().create_future()
                self._frame_waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._frame_waiters.discard(waiter)

    @contextmanager
    def hold(self, *, keep: bool = False) -> Iterator[None]:
        """Keep pictures coming, independent of other viewers."""
        self._viewers += 1
        self._keepers += keep
        if self._viewers == 1 or (keep and self._keepers == 1):
            self._request_stream(True, self._keepers > 0)
        try:
            yield
        finally:
            self._viewers -= 1
            self._keepers -= keep
            if not self._viewers or (keep and not self._keepers):
                self._request_stream(self._viewers > 0, False)

    @contextmanager
    def expect_still(self) -> Iterator[asyncio.Future[Frame]]:
        """Give a future of the next still picture."""
        still: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._still_waiters.add(still)
        try:
            yield still
        finally:
            self._still_waiters.discard(still)
            if still.done() and not still.cancelled():
                still.exception()
