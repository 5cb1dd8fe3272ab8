"""Remote events: their outlines, their bytes, and bringing them back. Called in the event loop."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from ..errors import CopyUnreachable
from ..hourfile import HourFileError
from ..model import StoredSegment
from .outline import Outline
from .source import RemoteStore

_READERS = 4
_KEPT_OUTLINES = 128


class Remote:
    """The copies, through the store that the owner of the library has set; without one nothing is reachable."""

    def __init__(self) -> None:
        """Begin without a store."""
        self.store: RemoteStore | None = None
        self._outlines: OrderedDict[str, Outline] = OrderedDict()

    @cached_property
    def readers(self) -> Executor:
        """Threads that wait for targets; made with the first remote clip."""
        return ThreadPoolExecutor(_READERS, "magicpi-remote")

    async def close(self) -> None:
        """End the threads. Reads that wait for a target end with it."""
        self.store = None
        if isinstance(pool := self.__dict__.get("readers"), ThreadPoolExecutor):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def waiting(self) -> set[str]:
        """Return the events that wait for their first copy."""
        return await self.store.waiting() if self.store is not None else set()

    def forget(self, events: Sequence[str]) -> None:
        """Let go of what was read of events."""
        for event in events:
            self._outlines.pop(event, None)

    def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of a copy; raises OSError. Blocking."""
        if (store := self.store) is None:
            raise OSError("no target is set up")
        return store.read(event, start, stop)

    async def outlines(
        self, segments: Sequence[StoredSegment]
    ) -> Mapping[str, Outline]:
        """Return the outlines of the events that are remote; raises ClipGone."""
        events = dict.fromkeys(segment.event for segment in segments if segment.remote)
        found = {
            event: outline
            for event in events
            if (outline := self._outlines.get(event)) is not None
        }
        missing = [event for event in events if event not in found]
        if missing:
            found |= await self._fetch(missing)
        for event in found:
            self._outlines[event] = found[event]
            self._outlines.move_to_end(event)
        while len(self._outlines) > _KEPT_OUTLINES:
            self._outlines.popitem(last=False)
        return found

    async def _fetch(self, events: Sequence[str]) -> dict[str, Outline]:
        if (store := self.store) is None:
            raise CopyUnreachable("the copy of this recording cannot be reached")
        try:
            sources = await store.sources(events)
            return await asyncio.to_thread(_decode, events, sources)
        except (OSError, KeyError, HourFileError) as error:
            raise CopyUnreachable(
                "the copy of this recording cannot be reached"
            ) from error


def _decode(
    events: Sequence[str], sources: Mapping[str, Mapping[str, Any]]
) -> dict[str, Outline]:
    """Blocking."""
    return {event: Outline.from_dict(event, sources[event]) for event in events}
