"""Reading a clip's samples out of the hour files. Blocking."""

from bisect import bisect_right
import os
from pathlib import Path
from threading import Lock

from ..errors import ClipGone
from .composition import Composition, Source


class Reader:
    """Reads extents, with one hour file open at a time. Blocking."""

    def __init__(self, root: Path, composition: Composition) -> None:
        """Prepare; a file is opened by the first read."""
        self._root = root
        self._composition = composition
        self._file: int | None = None
        self._source: Source | None = None
        self._lock = Lock()
        self._closed = False

    def fill(self, target: memoryview, start: int) -> None:
        """Fill the buffer with samples' bytes from `start` on; raises ClipGone."""
        with self._lock:
            if self._closed:
                raise ClipGone("the clip is closed")
            self._fill(target, start)

    def _fill(self, target: memoryview, start: int) -> None:
        table = self._composition
        extent = bisect_right(table.extent_start, start) - 1
        while target:
            inside = start - table.extent_start[extent]
            end = (
                table.extent_start[extent + 1]
                if extent + 1 < len(table.extent_start)
                else table.length
            )
            piece = target[: end - start]
            offset = table.extent_offset[extent] + inside
            if number := table.extent_source[extent]:
                self._read(table.sources[number - 1], offset, piece)
            else:
                piece[:] = table.literal[offset : offset + len(piece)]
            start += len(piece)
            target = target[len(piece) :]
            extent += 1

    def _read(self, source: Source, offset: int, target: memoryview) -> None:
        try:
            if source is not self._source:
                self._enter(source)
            assert self._file is not None
            if os.preadv(self._file, [target], offset) == len(target):
                return
        except OSError as error:
            raise ClipGone(
                f"{source.path} cannot be read any more: {error.strerror}"
            ) from error
        raise ClipGone(f"{source.path} became shorter")

    def _enter(self, source: Source) -> None:
        if self._source is None or source.path != self._source.path:
            self._leave()
            self._file = os.open(self._root / source.path, os.O_RDONLY | os.O_CLOEXEC)
        assert self._file is not None
        if os.pread(self._file, len(source.marker), source.offset) != source.marker:
            self._leave()
            raise ClipGone(f"{source.path} was rewritten")
        self._source = source

    def close(self) -> None:
        """Close the file, after a read that is under way."""
        with self._lock:
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = self._source = None
