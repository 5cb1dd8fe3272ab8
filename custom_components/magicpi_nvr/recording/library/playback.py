"""Virtual MP4 files: moov first, sample bytes are read from their sources when they are asked for."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import suppress
from hashlib import blake2b
import os
from pathlib import Path
from threading import Event

from ..files import sync_folder
from ..hourfile import TICKS_PER_MS
from .composition import Composition
from .reader import Reader

CHUNK = 256 * 1024


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
        """Yield the bytes of [start, stop), at most CHUNK at once; raises ClipGone when a source went meanwhile."""
        stop = self.size if stop is None else min(stop, self.size)
        loop = asyncio.get_running_loop()
        reader = Reader(self._composition)
        try:
            while start < stop:
                # Whole multiples, so that a long read settles on aligned pieces.
                length = min(stop - start, CHUNK - start % CHUNK)
                yield await loop.run_in_executor(
                    self._pool, self._piece, reader, start, length
                )
                start += length
        finally:
            # A thread may still be at it when the request was cancelled.
            try:
                self._pool.submit(reader.close)
            except RuntimeError:  # the library is closed
                reader.close()

    async def write_to(self, target: Path) -> int:
        """Write all of it to a file, which appears whole or not at all; return its size. Raises ClipGone, OSError."""
        loop = asyncio.get_running_loop()
        stop = Event()
        try:
            await loop.run_in_executor(self._pool, self._write, target, stop)
        finally:
            stop.set()
        return self.size

    def _write(self, target: Path, stop: Event) -> None:
        """Blocking; gives up when asked to stop."""
        temporary = target.with_name(f".{target.name}.tmp")
        reader = Reader(self._composition)
        try:
            with temporary.open("wb") as file:
                for start in range(0, self.size, CHUNK):
                    if stop.is_set():
                        return
                    length = min(CHUNK, self.size - start)
                    file.write(self._piece(reader, start, length))
                file.flush()
                os.fsync(file.fileno())
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
