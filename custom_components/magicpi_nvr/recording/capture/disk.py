"""The disk as the recorder sees it: file work with deadlines, failures, free space, and whether it works again."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Future
import errno
from functools import partial
import logging
import os
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import RecordingError, StorageFailed
from ..library import Library
from ..library.storage import OtherStorage
from ..threads import DiskHangs, DiskThreads
from .notices import STORAGE_PROBLEMS, Problems

RETRY_S = 5.0
ROOM_CHECK_S = 5.0
# A folder that is gone for so long may have been deleted: a person is asked.
ASK_AFTER_S = 60.0
# Memory cards pause for seconds, and a disk of a server may have to start.
DEADLINE_S = 10.0
STOP_DEADLINE_S = 3.0
_LOGGER = logging.getLogger(__name__)

_THREADS = 4
_PROBE_SIZE = 1024 * 1024  # bytes
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskHealth:
    """Reports what is wrong with the disk, and that it works again."""

    def __init__(self, root: Path, library: Library, problems: Problems) -> None:
        """Prepare; nothing is touched before the first job."""
        self._root = root
        self._library = library
        self._problems = problems
        self._threads = DiskThreads(_THREADS, "magicpi-write", root)
        self._hanging: set[asyncio.Future[Any]] = set()
        self._later: set[asyncio.Future[None]] = set()
        self._checked = 0.0  # monotonic s
        self._good = monotonic()  # when nothing was known to be wrong
        self._more = _PROBE_SIZE  # bytes, freed last though there was room
        self._is_stopping = False

    @property
    def hangs(self) -> bool:
        """Whether work that was begun is overdue, or what it did must still be undone."""
        return bool(self._hanging or self._later)

    async def run[T](self, job: Callable[[], T]) -> T:
        """Run file work in a thread; raises DiskHangs, an OSError, when it is not done in time.

        While earlier work is overdue, or must still be undone, nothing more is begun: what is written twice
        would be there twice after a crash.
        """
        if self.hangs:
            raise DiskHangs
        try:
            return await self._threads.run(
                job, STOP_DEADLINE_S if self._is_stopping else DEADLINE_S
            )
        except DiskHangs as err:
            if err.running is not None:
                running = asyncio.wrap_future(err.running)
                self._hanging.add(running)
                running.add_done_callback(self._over)
            raise

    def run_after(
        self, running: Collection[Future[Any]], job: Callable[[], object]
    ) -> None:
        """Run a job once overdue work has ended, whenever that is, also after stop()."""
        later = asyncio.wrap_future(self._threads.after(running, job))
        self._later.add(later)
        later.add_done_callback(self._over)

    def _over(self, work: asyncio.Future[Any]) -> None:
        self._hanging.discard(work)
        self._later.discard(work)
        if not work.cancelled():
            work.exception()

    def begin_stop(self) -> None:
        """Wait less from now on."""
        self._is_stopping = True

    async def stop(self) -> None:
        """End the threads, after the work under way unless it hangs."""
        if self._later and not self._hanging:
            await asyncio.wait(self._later, timeout=STOP_DEADLINE_S)
        if not self._hanging:
            await asyncio.to_thread(
                partial(self._threads.shutdown, timeout_s=STOP_DEADLINE_S)
            )
        else:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def check_root(self) -> None:
        """Raise OSError unless the storage is the one that was chosen. Blocking."""
        self._library.storage.check()

    def failed(self, error: OSError | StorageFailed, *, now: float) -> None:
        """Report a disk that refused a write; it is tried again later."""
        cause = error if isinstance(error, OSError) else error.__cause__
        self._checked = now
        if isinstance(cause, DiskHangs):
            self._problems.report("storage_hangs", str(cause))
            return
        if isinstance(cause, OtherStorage):
            self._problems.report("storage_other", str(cause.strerror))
            return
        number = cause.errno if isinstance(cause, OSError) else None
        is_full = number in _FULL
        self._problems.report(
            "storage_full" if is_full else "storage_gone", str(cause or error)
        )

    def postpone(self, now: float) -> None:
        """Check again later."""
        self._checked = now

    def needs_check(self, now: float) -> bool:
        """Return whether check() is due."""
        is_bad = self._problems.concerns_storage
        return now - self._checked >= (RETRY_S if is_bad else ROOM_CHECK_S)

    async def check(self) -> None:
        """Keep the floor of free space, and see whether a disk that failed works again."""
        problems = self._problems
        is_bad = problems.concerns_storage
        self._checked = now = monotonic()
        if not is_bad:
            self._good = now
        needed = _PROBE_SIZE if "storage_full" in problems else 0
        try:
            if is_bad:
                await self.run(self.check_root)
            has_room = await self._library.make_room(needed)
            if is_bad:
                await self._try(has_room)
        except (OSError, RecordingError) as err:
            if not is_bad and not self._is_stopping:
                # What the library says keeps its cause: a disk that hangs is not one that is gone.
                self.failed(
                    err
                    if isinstance(err, (OSError, StorageFailed))
                    else StorageFailed(str(err)),
                    now=monotonic(),
                )
            elif isinstance(err, FileNotFoundError) and now - self._good > ASK_AFTER_S:
                # A disk that was taken out comes back by itself, a folder that was deleted does not.
                problems.report("storage_other", str(err.strerror))
            return
        if (refused := self._library.refused) is not None:
            problems.report("storage_refuses", refused)
        if has_room:
            problems.solve(*STORAGE_PROBLEMS)
        elif not is_bad:
            try:
                protected, detail = await self._library.explain_full()
            except RecordingError as err:
                _LOGGER.debug("What fills the disk is not known: %s", err)
                return
            problems.report(
                "only_protected_left" if protected else "storage_taken", detail
            )

    async def _try(self, has_room: bool) -> None:
        """Raise OSError unless files can be written."""
        try:
            await self.run(self._probe)
        except OSError as err:
            if has_room and err.errno in _FULL:
                # Not by its figures: a quota, or its inodes, may be used up.
                self._more *= 2
                await self._library.make_more_room(self._more)
            raise
        self._more = _PROBE_SIZE

    def _probe(self) -> None:
        """Raise OSError unless files can be written. Blocking."""
        self.check_root()
        path = self._root / ".probe"
        try:
            with path.open("wb") as file:
                file.write(bytes(_PROBE_SIZE))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)
