"""What the parts of the library share: settings, the index, claims, and threads. Owns changes that were begun."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import batched
import logging
from pathlib import Path
import time
from typing import Any

from ..hourfile import Claims
from ..model import Event, RecordingSettings
from .index import Index
from .remote import Remote

_LOGGER = logging.getLogger(__name__)

READERS = 4
_SCAN_AT_ONCE = 16


class Backend:
    """The index has one thread, file work a few; all methods are called in the event loop."""

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        clock: Callable[[], float],
        disk_usage: Callable[[Path], Any],
    ) -> None:
        """Prepare; nothing is touched before open()."""
        self.settings = settings
        self.root = settings.root
        self.claims = Claims()
        self.index = Index(settings.index, settings.root)
        self.remote = Remote()
        self.readers = ThreadPoolExecutor(READERS, "magicpi-read")
        # Held while notes or hour files are changed.
        self.changing = asyncio.Lock()
        self._clock = clock
        self._disk_usage = disk_usage
        self._index_thread = ThreadPoolExecutor(1, "magicpi-index")
        self._changes: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for changes that were begun, and end the threads."""
        while self._changes:
            await asyncio.wait(self._changes)
        await self.remote.close()
        await self.indexed(self.index.close)
        # What a reader does may take a while, so the other thread waits for it; that one is idle then and ends at once.
        await self.indexed(self.readers.shutdown, cancel_futures=True)
        self._index_thread.shutdown()

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other limits; root and index stay what they were."""
        self.settings = replace(settings, root=self.root, index=self.settings.index)

    async def complete[T](self, change: Coroutine[Any, Any, T]) -> T:
        """Run a change of files to its end, also when the caller is cancelled."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)
        return await asyncio.shield(task)

    def _changed(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Its caller may be gone.
            _LOGGER.debug("A change of recordings failed: %s", error)

    async def follow(self, *, everything: bool) -> None:
        """Bring the index up to date, a few files at a time so that questions are answered in between."""
        started = time.monotonic()
        paths = await self.indexed(lambda: self.index.outdated(everything=everything))
        for batch in batched(paths, _SCAN_AT_ONCE, strict=False):
            await self.indexed(self.index.rescan, batch)
        if paths:
            _LOGGER.debug(
                "Read %d hour files in %.1f s", len(paths), time.monotonic() - started
            )

    async def event(self, event_id: str) -> Event | None:
        """Return one event."""
        return await self.indexed(self.index.event, event_id)

    async def free(self) -> int:
        """Return the bytes that are free on the disk."""
        return int((await self.threaded(self.disk)).free)

    def disk(self) -> Any:
        """Return the usage of the disk that holds the root, or will. Blocking."""
        folder = self.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return self._disk_usage(folder)

    def now_ms(self) -> int:
        """Return the host's wall time."""
        return int(self._clock() * 1000)

    async def indexed[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job of the index in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._index_thread, lambda: job(*args, **kwargs)
        )

    async def threaded_remote[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run work that waits for a target in a thread that may wait."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.remote.readers, lambda: job(*args, **kwargs)
        )

    async def threaded[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run file work in one of a few threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.readers, lambda: job(*args, **kwargs))
