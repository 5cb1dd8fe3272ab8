"""The disk as the recorder sees it: file work in threads, failures, free space, and whether it works again."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import errno
import os
from pathlib import Path

from ..errors import RecordingError, StorageFailed
from ..library import Library
from .notices import STORAGE_PROBLEMS, Problems

RETRY_S = 5.0
ROOM_CHECK_S = 5.0
_THREADS = 4
_PROBE_SIZE = 1024 * 1024  # bytes


class DiskHealth:
    """Reports what is wrong with the disk, and that it works again."""

    def __init__(self, root: Path, library: Library, problems: Problems) -> None:
        """Prepare; nothing is touched before the first job."""
        self._root = root
        self._library = library
        self._problems = problems
        self._pool = ThreadPoolExecutor(_THREADS, "magicpi-write")
        self._mount: Path | None = None
        self._checked = 0.0  # monotonic s

    async def run[T](self, job: Callable[[], T]) -> T:
        """Run file work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def shutdown(self) -> None:
        """Wait for the last write and end the threads. Blocking."""
        self._pool.shutdown()

    def remember_mount(self) -> None:
        """Note the mount point that the root is below. Blocking."""
        mount = self._root
        while not mount.is_mount():
            mount = mount.parent
        self._mount = mount

    def check_root(self) -> None:
        """Raise FileNotFoundError when the folder or its disk is not there. Blocking."""
        if not self._root.is_dir() or (
            self._mount is not None and not self._mount.is_mount()
        ):
            raise FileNotFoundError(errno.ENOENT, "the recordings' folder is gone")

    def failed(self, error: OSError | StorageFailed, *, now: float) -> None:
        """Report a disk that refused a write; it is tried again later."""
        cause = error if isinstance(error, OSError) else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        is_full = number in (errno.ENOSPC, errno.EDQUOT)
        self._checked = now
        self._problems.report(
            "storage_full" if is_full else "storage_gone", str(cause or error)
        )

    async def check(self, *, now: float) -> None:
        """Keep the floor of free space, and see whether a disk that failed works again."""
        is_bad = self._problems.concerns_storage
        if now - self._checked < (RETRY_S if is_bad else ROOM_CHECK_S):
            return
        self._checked = now
        needed = _PROBE_SIZE if "storage_full" in self._problems else 0
        try:
            has_room = await self._library.make_room(needed)
            if is_bad:
                await self.run(self._probe)
        except (OSError, RecordingError) as err:
            if not is_bad:
                self.failed(StorageFailed(str(err)), now=now)
            return
        if has_room:
            self._problems.solve(*STORAGE_PROBLEMS)
        elif not is_bad:
            self._problems.report(
                "only_protected_left", "the disk is full of protected events"
            )

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
