"""One viewer of a source: a bounded queue, and a jump to the next key frame for who is too slow."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from .mpegts import Multiplexer, Unit

# What waits for a slow viewer. More is dropped, and the viewer goes on with the next key frame.
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_UNITS: Final = 300


class Viewer:
    """The source calls add() and close(); the sender calls read()."""

    def __init__(self) -> None:
        """Wait for a key frame."""
        self.skipped = 0
        self._units: deque[Unit] = deque()
        self._size = 0
        self._wants_key = True
        self._closed = False
        self._ready = asyncio.Event()
        self._multiplexer = Multiplexer()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def add(self, unit: Unit) -> None:
        """Queue a unit, or drop it."""
        if self._closed:
            return
        if unit.key and (self._wants_key or self._is_full(unit)):
            self._drop_all()
            self._wants_key = False
        elif self._wants_key or self._is_full(unit):
            self._drop_all()
            self._wants_key = True
            self.skipped += 1
            return
        self._units.append(unit)
        self._size += unit.size
        self._ready.set()

    def add_all(self, units: Iterable[Unit]) -> None:
        """Queue what came since the last key frame."""
        for unit in units:
            self.add(unit)

    def _is_full(self, unit: Unit) -> bool:
        return len(self._units) >= MAX_UNITS or self._size + unit.size > MAX_BYTES

    def _drop_all(self) -> None:
        self.skipped += len(self._units)
        self._units.clear()
        self._size = 0

    def close(self, *, at_once: bool = False) -> None:
        """Let nothing more come; what waits is still read, unless it ends at once."""
        self._closed = True
        if at_once:
            self._drop_all()
        self._ready.set()

    async def read(self) -> bytes | None:
        """Return what waits, None at the end."""
        while not self._units:
            if self._closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        data = b"".join(self._multiplexer.write(unit) for unit in self._units)
        self._units.clear()
        self._size = 0
        return data
