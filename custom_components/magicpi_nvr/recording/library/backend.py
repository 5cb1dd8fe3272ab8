"""What the parts of the library share: settings, the index, claims, storage, clock and threads. Owns changes that were begun."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import batched
import logging
from pathlib import Path
import time
from typing import Any

from ..errors import StillChanging, StorageFailed
from ..hourfile import Claims
from ..model import Event, RecordingSettings
from ..state import STATE_FILE, State
from ..threads import DiskHangs, DiskThreads
from .clock import ClockGuard
from .index import Index
from .layout import by_time
from .remote import Remote
from .storage import OtherStorage, Storage

_LOGGER = logging.getLogger(__name__)

READERS = 4
# A disk of a server may have to start.
DEADLINE_S = 20.0
# Without any progress: rewriting an hour file takes long on a slow disk.
CHANGE_DEADLINE_S = 60.0
CLOSE_DEADLINE_S = 3.0
_INTERRUPT_AGAIN_S = 0.05
_SCAN_AT_ONCE = 16
_FOLDERS_AT_ONCE = 8


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
        self.state = State(settings.index.with_name(STATE_FILE))
        self.storage = Storage(settings.root, self.state)
        self.clock = ClockGuard(self.state, clock)
        self.readers = DiskThreads(READERS, "magicpi-read", settings.root)
        # Held while notes or hour files are changed.
        self.changing = asyncio.Lock()
        # Hour files that the index had to read, oldest first.
        self.changed: list[str] = []
        self._disk_usage = disk_usage
        self._index_thread = DiskThreads(1, "magicpi-index")
        self._changes: set[asyncio.Task[Any]] = set()
        self._progress = 0.0  # monotonic s, when a job ended last

    async def open(self) -> None:
        """Open the state, the index and the storage; raises StorageFailed, OSError."""
        await self.threaded(self.state.load)
        await self.indexed(self.index.open)
        is_filled = bool(await self.indexed(self.index.cameras))
        with suppress(OtherStorage):
            await self.threaded(self.storage.open, is_filled=is_filled)
        self.clock.begin(await self.indexed(self.index.newest_recorded))
        await self.check_clock()

    async def close(self) -> None:
        """Wait for changes that were begun, as long as the disk answers, and end the threads."""
        if self._changes:
            await asyncio.wait(self._changes, timeout=CLOSE_DEADLINE_S)
        self.storage.close()
        for task in self._changes:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self.remote.close()
        with suppress(StorageFailed, OSError):
            await self._run(self._index_thread, self._close_index, CLOSE_DEADLINE_S)
        # What a reader does may take a while.
        for threads in (self._index_thread, self.readers):
            await asyncio.to_thread(
                partial(
                    threads.shutdown, cancel_futures=True, timeout_s=CLOSE_DEADLINE_S
                )
            )

    def _close_index(self) -> None:
        try:
            self.clock.save()
        finally:
            self.index.close()

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other limits; root and index stay what they were."""
        self.settings = replace(settings, root=self.root, index=self.settings.index)

    async def complete[T](
        self, change: Coroutine[Any, Any, T], deadline_s: float | None = None
    ) -> T:
        """Run a change of files to its end, also when the caller is cancelled or is not answered in time.

        Raises StillChanging when nothing moved for `deadline_s`, or DEADLINE_S; the change goes on and keeps its claims.
        """
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)
        self._progress = time.monotonic()
        while True:
            wait_s = self._progress + (deadline_s or DEADLINE_S) - time.monotonic()
            if wait_s <= 0:
                raise StillChanging(task) from DiskHangs()
            done, _ = await asyncio.wait({task}, timeout=wait_s)
            if done:
                return task.result()

    def _changed(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Its caller may be gone.
            _LOGGER.debug("A change of recordings failed: %s", error)

    async def follow(self, *, everything: bool) -> None:
        """Bring the index up to date, a few folders and files at a time so that questions are answered in between.

        Raises StorageFailed when the recordings' storage is not there, or cannot be read.
        """
        await self.require_storage()
        started = time.monotonic()
        index = self.index
        try:
            folders = await self.indexed(partial(index.folders, everything=everything))
        except OSError as err:
            raise StorageFailed("the recordings cannot be read") from err
        paths: list[str] = []
        for few in batched(folders, _FOLDERS_AT_ONCE, strict=False):
            paths += await self.indexed(
                partial(index.outdated, few, everything=everything)
            )
        paths.sort(key=by_time)
        for batch in batched(paths, _SCAN_AT_ONCE, strict=False):
            await self.indexed(index.rescan, batch)
        await self.indexed(index.seal, folders)
        self.changed = paths
        if paths:
            _LOGGER.debug(
                "Read %d hour files in %.1f s", len(paths), time.monotonic() - started
            )

    async def verify_index(self) -> None:
        """Read the whole database beside other work, and replace one that is broken."""
        if (error := await self.change(self.index.verify)) is not None:
            await self.indexed(self.index.replace, error)

    async def end_verify(self, verifying: asyncio.Task[None]) -> None:
        """End verify_index(): its thread reads for minutes in a large library, and a successor would wait for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                while not verifying.done():
                    self.index.interrupt_verify()
                    await asyncio.wait({verifying}, timeout=_INTERRUPT_AGAIN_S)
        verifying.cancel()
        await asyncio.gather(verifying, return_exceptions=True)

    async def event(self, event_id: str) -> Event | None:
        """Return one event."""
        return await self.indexed(self.index.event, event_id)

    async def require_storage(self) -> None:
        """Raise StorageFailed unless the recordings' storage is there."""
        await self.threaded(self.storage.require)

    async def check_clock(self) -> None:
        """Judge the clock, and persist the last good time now and then."""
        newest_ms = None
        if not self.clock.is_as_expected:
            newest_ms = await self.indexed(self.index.newest_ms)
        if self.clock.check(newest_ms):
            await self.save_clock()

    async def save_clock(self) -> None:
        """Persist the last good time."""
        try:
            await self.threaded(self.clock.save)
        except (OSError, StorageFailed) as err:
            _LOGGER.debug("The last good time is not saved: %s", err)

    async def free(self) -> int:
        """Return the bytes that are free on the disk."""
        return int((await self.threaded(self.disk)).free)

    def disk(self) -> Any:
        """Return the usage of the disk that holds the root, or will. Blocking."""
        folder = self.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return self._disk_usage(folder)

    async def indexed[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job of the index in its thread; raises StorageFailed when it takes too long."""
        return await self._run(
            self._index_thread, lambda: job(*args, **kwargs), DEADLINE_S
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
        """Run file work in one of a few threads; raises StorageFailed when it takes too long."""
        return await self._run(self.readers, lambda: job(*args, **kwargs), DEADLINE_S)

    async def change[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job that changes files, or reads for long, however long it takes; for use inside complete()."""
        return await self._run(self.readers, lambda: job(*args, **kwargs), None)

    async def _run[T](
        self, threads: DiskThreads, job: Callable[[], T], deadline_s: float | None
    ) -> T:
        try:
            result = await threads.run(job, deadline_s)
        except DiskHangs as err:
            raise StorageFailed(str(err)) from err
        self._progress = time.monotonic()
        return result
