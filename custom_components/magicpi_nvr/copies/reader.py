"""Reads objects in blocks and keeps the last ones: players ask for many small ranges of one clip."""

import asyncio
from collections import OrderedDict
from contextlib import suppress

from .errors import Cause, TargetError
from .target import Target

_BLOCK = 512 * 1024
_KEPT = 24
_IDLE_S = 30.0


class Reader:
    """Blocks of a target's objects; those who ask for the same one share one request."""

    def __init__(self, target: Target, *, block: int = _BLOCK) -> None:
        """Begin with nothing read."""
        self._target = target
        self._block = block
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._running: dict[tuple[str, int], asyncio.Task[bytes]] = {}
        self._closed = False

    async def read(self, name: str, size: int, start: int, stop: int) -> bytes:
        """Return the bytes of [start, stop) of an object of this size; raises TargetError."""
        pieces = []
        for number in range(start // self._block, -(-stop // self._block)):
            data = await self._get(name, size, number)
            base = number * self._block
            pieces.append(data[max(start - base, 0) : stop - base])
        if stop < size and start % self._block:
            # Who reads on in the middle of a block will want the next one.
            self._begin(name, size, -(-stop // self._block))
        return b"".join(pieces)

    def forget(self, name: str) -> None:
        """Let go of an object that was replaced or removed."""
        for key in [key for key in self._blocks if key[0] == name]:
            del self._blocks[key]

    async def close(self) -> None:
        """End what runs, for good: to read on would open the connections of the target again."""
        self._closed = True
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._blocks.clear()

    async def _get(self, name: str, size: int, number: int) -> bytes:
        key = (name, number)
        if (data := self._blocks.get(key)) is not None:
            self._blocks.move_to_end(key)
            return data
        task = self._begin(name, size, number)
        assert task is not None
        # Who asked first may go away; the others still want it.
        return await asyncio.shield(task)

    def _begin(self, name: str, size: int, number: int) -> asyncio.Task[bytes] | None:
        if self._closed:
            raise TargetError(Cause.CANNOT_CONNECT, "closed")
        key = (name, number)
        start = number * self._block
        if key in self._blocks or start >= size:
            return None
        if (task := self._running.get(key)) is None:
            task = asyncio.create_task(
                self._fetch(name, start, min(start + self._block, size))
            )
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: tuple[str, int], task: asyncio.Task[bytes]) -> None:
        self._running.pop(key, None)
        with suppress(asyncio.CancelledError):
            # Taken, also where nobody waits for it.
            if task.exception() is None:
                self._blocks[key] = task.result()
                while len(self._blocks) > _KEPT:
                    self._blocks.popitem(last=False)

    async def _fetch(self, name: str, start: int, stop: int) -> bytes:
        data = bytearray()
        try:
            async with asyncio.timeout(_IDLE_S) as idle:
                async for chunk in self._target.read(name, start, stop):
                    data += chunk
                    idle.reschedule(asyncio.get_running_loop().time() + _IDLE_S)
        except TimeoutError:
            raise TargetError(Cause.TIMEOUT, name) from None
        if len(data) != stop - start:
            raise TargetError(Cause.MISMATCH, name)
        return bytes(data)
