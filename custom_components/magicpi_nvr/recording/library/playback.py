"""Virtual MP4 files: moov first, sample bytes are read from their sources when they are asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from hashlib import blake2b
import os
from pathlib import Path
from threading import Event
from time import monotonic
from uuid import uuid4

from ..errors import ClipGone, StorageFailed
from ..files import sync_folder
from ..hourfile import TICKS_PER_MS
from ..threads import DiskHangs, DiskThreads
from .composition import Composition
from .reader import Reader

CHUNK = 256 * 1024
# For one piece; a disk of a server may have to start.
DEADLINE_S = 20.0


class VirtualFile:
    """An ordinary MP4 that exists nowhere as a whole. `etag` is strong: equal tags are equal bytes."""

    content_type = "video/mp4"

    def __init__(
        self,
        composition: Composition,
        *,
        pool: Executor,
        filename: str,
        last_modified_ms: int,
    ) -> None:
        """Take over a finished composition."""
        self.filename = filename
        self.last_modified_ms = last_modified_ms
        self.frames = len(composition.sizes)
        self.duration_ms = round(composition.duration / TICKS_PER_MS)
        self.stretches = tuple(composition.stretches)
        self._head = composition.head()
        self._composition = composition
        self._pool = pool
        self.size = len(self._head) + composition.length
        digest = blake2b(self._head, digest_size=16)
        for source in composition.sources:
            digest.update(source.name)
        self.etag = f'"{digest.hexdigest()}"'

    def extents(self) -> list[tuple[int, int, int, int]]:
        """Return where samples come from: source from 1, offset in its hour file, length, offset in this file."""
        table, head = self._composition, len(self._head)
        ends = [*table.extent_start[1:], table.length]
        return [
            (source, offset, end - start, head + start)
            for source, offset, start, end in zip(
                table.extent_source,
                table.extent_offset,
                table.extent_start,
                ends,
                strict=True,
            )
            if source
        ]

    @property
    def memory(self) -> int:
        """Bytes that it holds, about."""
        return len(self._head) + self._composition.memory

    async def read(
        self, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of [start, stop), at most CHUNK at once.

        Raises ClipGone when a source went meanwhile, StorageFailed when it does not answer.
        """
        stop = self.size if stop is None else min(stop, self.size)
        reader = Reader(self._composition)
        try:
            while start < stop:
                # Whole multiples, so that a long read settles on aligned pieces.
                length = min(stop - start, CHUNK - start % CHUNK)
                yield await _answered(
                    self._pool, partial(self._piece, reader, start, length)
                )
                start += length
        finally:
            # A thread may still be at it when the request was cancelled.
            try:
                self._pool.submit(reader.close)
            except RuntimeError:  # the library is closed
                reader.close()

    async def write_to(self, target: Path) -> int:
        """Write all of it to a file, which appears whole or not at all; return its size.

        Raises ClipGone, OSError, and StorageFailed when nothing moves for long.
        """
        loop = asyncio.get_running_loop()
        stop = Event()
        moved = [monotonic()]
        writing = loop.run_in_executor(self._pool, self._write, target, stop, moved)
        writing.add_done_callback(_retrieve)
        try:
            while not writing.done():
                wait_s = moved[0] + DEADLINE_S - monotonic()
                if wait_s <= 0:
                    raise StorageFailed("the storage does not answer")
                await asyncio.wait({writing}, timeout=wait_s)
            writing.result()
        finally:
            stop.set()
        return self.size

    def _write(self, target: Path, stop: Event, moved: list[float]) -> None:
        """Blocking; gives up when asked to stop. `moved` gets the time of each step."""
        # One that was given up may still be at it when the next begins.
        temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}.tmp")
        reader = Reader(self._composition)
        try:
            with temporary.open("wb") as file:
                for start in range(0, self.size, CHUNK):
                    if stop.is_set():
                        return
                    length = min(CHUNK, self.size - start)
                    file.write(self._piece(reader, start, length))
                    moved[0] = monotonic()
                file.flush()
                os.fsync(file.fileno())
            if stop.is_set():
                return
            temporary.replace(target)
        finally:
            reader.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync_folder(target.parent)

    def _piece(self, reader: Reader, start: int, length: int) -> bytes:
        """Return bytes from head and samples. Blocking."""
        head = self._head[start : start + length]
        if len(head) == length:
            return head
        data = bytearray(length)
        data[: len(head)] = head
        reader.fill(memoryview(data)[len(head) :], start + len(head) - len(self._head))
        return bytes(data)


class StoredFile:
    """An ordinary file beside the recordings, as a web server sends it."""

    content_type = "video/mp4"

    def __init__(self, path: Path, pool: DiskThreads) -> None:
        """Look at the file. Blocking; raises OSError."""
        status = path.stat()
        self.filename = path.name
        self.size = status.st_size
        self.etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        self.last_modified_ms = status.st_mtime_ns // 1_000_000
        self._path = path
        self._pool = pool

    async def read(
        self, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """As VirtualFile.read()."""
        stop = self.size if stop is None else min(stop, self.size)
        while start < stop:
            piece = await _answered(
                self._pool, partial(self._piece, start, min(stop - start, CHUNK))
            )
            if not piece:
                raise ClipGone("the file became shorter")
            yield piece
            start += len(piece)

    def _piece(self, start: int, length: int) -> bytes:
        """Blocking."""
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise ClipGone("the file cannot be read") from error


async def _answered[T](pool: Executor, job: Callable[[], T]) -> T:
    """Run a job in a thread; raises StorageFailed when the disk does not answer in time."""
    if not isinstance(pool, DiskThreads):
        # Of a target, which has deadlines of its own.
        return await asyncio.get_running_loop().run_in_executor(pool, job)
    try:
        return await pool.run(job, DEADLINE_S)
    except DiskHangs as error:
        raise StorageFailed(str(error)) from error


def _retrieve(future: asyncio.Future[None]) -> None:
    """Take the outcome of work that nobody may wait for any more."""
    if not future.cancelled():
        future.exception()
