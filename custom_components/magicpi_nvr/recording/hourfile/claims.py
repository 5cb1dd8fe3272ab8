"""Which hour files are in use, and where one must be truncated before it is read again. Thread safe."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
import os
from pathlib import Path
from threading import Lock


class Claims:
    """One object for all that write, rewrite or remove the hour files of a root: a file is claimed first."""

    def __init__(self) -> None:
        """Begin with none."""
        # Held while a folder and its first file are made, and while an empty folder is removed.
        self.folders = Lock()
        self._held: set[Path] = set()
        self._requested: Counter[Path] = Counter()
        self._truncate_at: dict[Path, int] = {}
        self._lock = Lock()

    def claim(self, path: Path, *, requested: bool = False) -> bool:
        """Take a file; False when it is taken, or requested by another one."""
        with self._lock:
            if path in self._held or (not requested and path in self._requested):
                return False
            self._held.add(path)
            return True

    @contextmanager
    def requested(self, path: Path) -> Iterator[None]:
        """Ask the holder of a file for it; meanwhile nobody else gets it."""
        with self._lock:
            self._requested[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._requested[path] -= 1
                if not self._requested[path]:
                    del self._requested[path]

    def is_requested(self, path: Path) -> bool:
        """Return whether the holder of a file should give it back soon."""
        with self._lock:
            return path in self._requested

    def is_held(self, path: Path) -> bool:
        """Return whether a file is taken."""
        with self._lock:
            return path in self._held

    def release(self, path: Path) -> None:
        """Give a file back."""
        with self._lock:
            self._held.discard(path)

    def truncate_later(self, path: Path, size: int) -> None:
        """Remember that what is behind `size` is written again elsewhere."""
        self._truncate_at[path] = size

    def truncate(self, path: Path) -> None:
        """Truncate a claimed file where that is due, before it is read. Raises OSError."""
        if (end := self._truncate_at.get(path)) is None:
            return
        with suppress(FileNotFoundError):
            if end == 0:
                path.unlink()
            elif path.stat().st_size > end:
                os.truncate(path, end)
        del self._truncate_at[path]
