"""One lock per hour file, shared by whoever appends to it and whoever rewrites or removes it."""

import asyncio
from weakref import WeakValueDictionary


class FileLocks:
    """Locks by the hour file's path relative to the root.

    The recorder holds a file's lock from before it opens the file for a run until it has closed it, so a file never shrinks below an
    append. Retention takes no lock that it would have to wait for: a file in use is left for the next time.
    """

    def __init__(self) -> None:
        """Start with no lock; they live as long as somebody holds a reference."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __call__(self, path: str) -> asyncio.Lock:
        """Return the lock of an hour file; keep the reference while using it."""
        if (lock := self._locks.get(path)) is None:
            lock = self._locks[path] = asyncio.Lock()
        return lock

    def in_use(self, path: str) -> bool:
        """Say whether somebody holds the file right now."""
        return (lock := self._locks.get(path)) is not None and lock.locked()
