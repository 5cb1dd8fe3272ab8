"""Where the bytes of a segment come from: an hour file, or the clip's copy at a target. Blocking."""

from collections.abc import Callable, Mapping, Sequence
import os
from pathlib import Path
from typing import Any, Protocol

from .. import hourfile
from ..errors import ClipGone, CopyUnreachable
from ..hourfile import HourFileError, VideoConfig
from ..model import StoredSegment
from .outline import Outline, SegmentOutline


class OpenSource(Protocol):
    """Something that sample bytes are read from; used by one thread at a time."""

    key: str  # sources with one key share it

    def enter(self, source: SegmentSource) -> None:
        """Make sure that it still holds a segment; raises ClipGone."""

    def fill(self, target: memoryview, offset: int) -> None:
        """Fill the buffer with what is at an offset of the hour file; raises ClipGone."""

    def close(self) -> None:
        """End."""


class SegmentSource(Protocol):
    """One segment. `name` is the same wherever it comes from: equal names are equal samples."""

    key: str
    name: bytes
    config: VideoConfig

    def tables(self) -> hourfile.Segment:
        """Return its tables, with offsets of the hour file; raises HourFileError, OSError."""

    def open(self) -> OpenSource:
        """Open it; raises ClipGone."""


class RemoteStore(Protocol):
    """Copies of clips at a target, as the owner of the library hands them in."""

    async def sources(self, events: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return what the JSON of each event says under `source`; raises OSError."""

    async def waiting(self) -> set[str]:
        """Return the events that wait for their first copy."""

    async def thumbnail(self, event: str) -> bytes | None:
        """Return the picture of an event; raises OSError."""

    def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of an event's MP4; called in a thread, raises OSError."""


class Sources:
    """Finds the source of each segment of a clip."""

    def __init__(
        self,
        root: Path,
        outlines: Mapping[str, Outline],
        read: Callable[[str, int, int], bytes] | None,
    ) -> None:
        """`outlines` are those of the events that are remote, `read` reads their clips."""
        self._root = root
        self._outlines = outlines
        self._read = read
        self._configs: dict[str, VideoConfig] = {}

    def of(self, stored: StoredSegment) -> SegmentSource:
        """Return the source of a segment; raises HourFileError, OSError, ClipGone."""
        if not stored.remote:
            if (config := self._configs.get(stored.path)) is None:
                config = hourfile.read_config(self._root / stored.path)
                self._configs[stored.path] = config
            return HourFileSource(self._root, stored, config)
        outline = self._outlines.get(stored.event)
        if outline is None or self._read is None:
            raise CopyUnreachable("the copy of this recording cannot be reached")
        return ObjectSource(stored, outline.of(stored), self._read)


class HourFileSource:
    """A segment in an hour file."""

    def __init__(self, root: Path, stored: StoredSegment, config: VideoConfig) -> None:
        """Name the segment."""
        self.key = stored.path
        self.name = f"{stored.event}/{stored.number}".encode()
        self.config = config
        self.offset = stored.offset
        self.marker = b""  # what is at `offset` as long as the file is the one whose tables were read
        self._path = root / stored.path
        self._stored = stored

    def tables(self) -> hourfile.Segment:
        """Read the headers of the segment."""
        stored = self._stored
        segment = hourfile.scan_segment(self._path, stored.offset, stored.end)
        if segment.header.id != stored.event or segment.header.number != stored.number:
            raise HourFileError(f"{stored.path} holds another segment there")
        with self._path.open("rb") as file:
            file.seek(stored.offset)
            self.marker = file.read(segment.fragments[0].offset - stored.offset)
        return segment

    def open(self) -> OpenSource:
        """Open the file."""
        return _OpenHourFile(self._path, self.key)


class _OpenHourFile:
    """An hour file that is open."""

    def __init__(self, path: Path, key: str) -> None:
        self.key = key
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(key, error) from error

    def enter(self, source: SegmentSource) -> None:
        """Compare what stands before the segment with what stood there."""
        assert isinstance(source, HourFileSource)
        try:
            found = os.pread(self._file, len(source.marker), source.offset)
        except OSError as error:
            raise _unreadable(self.key, error) from error
        if found != source.marker:
            raise ClipGone(f"{self.key} was rewritten")

    def fill(self, target: memoryview, offset: int) -> None:
        """Read from the file."""
        try:
            if os.preadv(self._file, [target], offset) == len(target):
                return
        except OSError as error:
            raise _unreadable(self.key, error) from error
        raise ClipGone(f"{self.key} became shorter")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _unreadable(path: str, error: OSError) -> ClipGone:
    return ClipGone(f"{path} cannot be read any more: {error.strerror}")


class ObjectSource:
    """A segment whose samples are in the MP4 at a target."""

    def __init__(
        self,
        stored: StoredSegment,
        outline: SegmentOutline,
        read: Callable[[str, int, int], bytes],
    ) -> None:
        """Name the segment."""
        self.key = f"{stored.event}/{stored.number}"
        self.name = self.key.encode()
        self.config = outline.config
        self._event = stored.event
        self._outline = outline
        self._read = read

    def tables(self) -> hourfile.Segment:
        """Return what the JSON holds."""
        return self._outline.segment

    def open(self) -> OpenSource:
        """Nothing is opened before the first read."""
        return _OpenObject(self.key, self._event, self._outline, self._read)


class _OpenObject:
    """An MP4 at a target."""

    def __init__(
        self,
        key: str,
        event: str,
        outline: SegmentOutline,
        read: Callable[[str, int, int], bytes],
    ) -> None:
        self.key = key
        self._event = event
        self._outline = outline
        self._read = read

    def enter(self, source: SegmentSource) -> None:
        """A copy never changes below its name but to grow."""

    def fill(self, target: memoryview, offset: int) -> None:
        """Fetch from the target."""
        for start, stop in self._outline.places(offset, len(target)):
            try:
                data = self._read(self._event, start, stop)
            except OSError as error:
                raise CopyUnreachable(
                    "the copy of this recording cannot be reached"
                ) from error
            if len(data) != stop - start:
                raise ClipGone("the copy of this recording became shorter")
            target[: len(data)] = data
            target = target[len(data) :]

    def close(self) -> None:
        """Nothing is open."""
