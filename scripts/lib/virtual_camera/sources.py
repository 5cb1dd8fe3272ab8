"""Where a virtual camera's JPEGs come from: made at run time, a folder, a video."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol
import zlib

from .pictures import RESOLUTIONS, make_picture

FOLDER_BYTES = 128 * 1024 * 1024
VIDEO_CHUNK = 64 * 1024
VIDEO_PICTURE_BYTES = 4 * 1024 * 1024


class SourceError(Exception):
    """A source has no pictures to give; the text says why."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What the sensor is asked for."""

    camera: str
    number: int
    config: Mapping[str, Any] = field(default_factory=dict)


class FrameSource(Protocol):
    """A sensor with a lens."""

    async def frame(self, shot: Shot) -> bytes:
        """Return one JPEG; raises SourceError."""

    async def close(self) -> None:
        """Let go of what the source holds; it may be used again."""


class GeneratedSource:
    """A new picture per frame that carries its own number and the time."""

    def __init__(self, *, seed: int | None = None) -> None:
        """Take the place to look at from `seed`, or from the camera's id."""
        self._seed = seed
        self._worker: ThreadPoolExecutor | None = None

    async def frame(self, shot: Shot) -> bytes:
        """Return one JPEG, drawn outside of the event loop."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="virtual-camera")
        seed = zlib.crc32(shot.camera.encode()) if self._seed is None else self._seed
        draw = partial(
            make_picture,
            shot.number,
            resolution=shot.config.get("resolution", "SVGA"),
            jpeg_quality=shot.config.get("jpeg_quality", 12),
            caption=shot.camera,
            when=datetime.now(),
            seed=seed,
            look=shot.config,
        )
        return await asyncio.get_running_loop().run_in_executor(self._worker, draw)

    async def close(self) -> None:
        """End the drawing thread."""
        if worker := self._worker:
            self._worker = None
            worker.shutdown(wait=True, cancel_futures=True)


class LoopSource:
    """The same pictures over and over; costs nothing per frame and can be shared."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        """Show `frames`, JPEGs, one after another; raises SourceError when there are none."""
        if not frames:
            raise SourceError("no pictures to show")
        self.frames = frames

    @classmethod
    def rendered(cls, count: int = 50, **look: Any) -> LoopSource:
        """Return a loop of `count` pictures made now (blocking, about 5 ms each)."""
        return cls(_rendered(count, tuple(sorted(look.items()))))

    @classmethod
    def from_folder(cls, folder: Path) -> LoopSource:
        """Return a loop of a folder's JPEGs in the order of their names (blocking)."""
        frames, size = [], 0
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in (".jpg", ".jpeg"):
                continue
            size += path.stat().st_size
            if size > FOLDER_BYTES:
                break
            frames.append(path.read_bytes())
        if not frames:
            raise SourceError(f"no .jpg files in {folder}")
        return cls(frames)

    async def frame(self, shot: Shot) -> bytes:
        """Return the picture whose turn it is by the shot's number."""
        return self.frames[shot.number % len(self.frames)]

    async def close(self) -> None:
        """Have nothing to let go of."""


@lru_cache(maxsize=4)
def _rendered(count: int, look: tuple[tuple[str, Any], ...]) -> tuple[bytes, ...]:
    """Return pictures 0 to count - 1."""
    return tuple(make_picture(number, **dict(look)) for number in range(count))


class VideoSource:
    """A video file, decoded by ffmpeg to 4:2:2 JPEGs of the camera's resolution, repeated."""

    def __init__(self, path: Path, *, ffmpeg: str = "ffmpeg", fps: int = 10) -> None:
        """Read `path` at `fps` pictures a second of its own time."""
        self._path = path
        self._ffmpeg = ffmpeg
        self._fps = fps
        self._child: asyncio.subprocess.Process | None = None
        self._resolution = ""
        self._buffer = bytearray()

    async def _open(self, resolution: str) -> asyncio.subprocess.Process:
        """Start ffmpeg for a resolution."""
        await self.close()
        width, height = RESOLUTIONS[resolution]
        try:
            child = await asyncio.create_subprocess_exec(
                *(self._ffmpeg, "-nostdin", "-v", "error", "-stream_loop", "-1", "-i"),
                *(
                    str(self._path),
                    "-an",
                    "-vf",
                    f"fps={self._fps},scale={width}:{height}",
                ),
                *(
                    "-pix_fmt",
                    "yuvj422p",
                    "-q:v",
                    "4",
                    "-f",
                    "image2pipe",
                    "-c:v",
                    "mjpeg",
                    "-",
                ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=VIDEO_CHUNK,
            )
        except OSError as err:
            raise SourceError(f"{self._ffmpeg}: {err.strerror}") from err
        self._child = child
        self._resolution = resolution
        return child

    async def frame(self, shot: Shot) -> bytes:
        """Return the video's next picture."""
        resolution = shot.config.get("resolution", "SVGA")
        child = self._child
        if child is None or resolution != self._resolution:
            child = await self._open(resolution)
        assert child.stdout
        # Two bytes of an end mark never stand inside of a scan, and ffmpeg writes no thumbnails.
        searched = 0
        while (end := self._buffer.find(b"\xff\xd9", searched)) < 0:
            searched = max(0, len(self._buffer) - 1)
            chunk = await child.stdout.read(VIDEO_CHUNK)
            if not chunk or len(self._buffer) > VIDEO_PICTURE_BYTES:
                await self.close()
                raise SourceError(f"ffmpeg gives no pictures of {self._path.name}")
            self._buffer += chunk
        picture = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 2]
        return picture

    async def close(self) -> None:
        """End ffmpeg."""
        self._buffer.clear()
        if child := self._child:
            self._child = None
            if child.returncode is None:
                child.kill()
            # Its pipe has to be empty before the child counts as gone.
            await child.communicate()


class FaultySource:
    """Another source whose pictures are spoiled now and then, as a loose ribbon cable does."""

    def __init__(self, source: FrameSource, spoil: Mapping[int, bytes]) -> None:
        """Send `spoil[number]` instead of the picture with that number."""
        self._source = source
        self._spoil = spoil

    async def frame(self, shot: Shot) -> bytes:
        """Return the source's picture, or what takes its place."""
        picture = await self._source.frame(shot)
        return self._spoil.get(shot.number, picture)

    async def close(self) -> None:
        """Close the source behind."""
        await self._source.close()


def open_source(spec: str | None, *, loop: int = 0) -> FrameSource:
    """Return the source for a path, or the generated one (blocking); raises SourceError."""
    if spec is None:
        return LoopSource.rendered(loop) if loop else GeneratedSource()
    path = Path(spec)
    if path.is_dir():
        return LoopSource.from_folder(path)
    if path.is_file():
        return VideoSource(path)
    raise SourceError(f"{spec} is neither a folder nor a file")
