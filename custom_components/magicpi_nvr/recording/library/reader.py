"""Reading a clip's samples out of their sources. Blocking."""

from bisect import bisect_right
from threading import Lock

from ..errors import ClipGone
from .composition import Composition
from .source import OpenSource, SegmentSource


class Reader:
    """Reads extents, with one source open at a time. Blocking."""

    def __init__(self, composition: Composition) -> None:
        """Prepare; a source is opened by the first read."""
        self._composition = composition
        self._open: OpenSource | None = None
        self._source: SegmentSource | None = None
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

    def _read(self, source: SegmentSource, offset: int, target: memoryview) -> None:
        if source is not self._source:
            self._enter(source)
        assert self._open is not None
        self._open.fill(target, offset)

    def _enter(self, source: SegmentSource) -> None:
        if self._open is None or self._open.key != source.key:
            self._leave()
            self._open = source.open()
        try:
            self._open.enter(source)
        except ClipGone:
            self._leave()
            raise
        self._source = source

    def close(self) -> None:
        """Close the source, after a read that is under way."""
        with self._lock:
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self._source = None
