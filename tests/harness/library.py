"""A library on a real disk, and recordings for it: real H.264, written by the hour file's own writer."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
import subprocess
from typing import Any

import av
import pytest

from custom_components.magicpi_nvr.recording.hourfile import (
    Claims,
    HourFileWriter,
    Sample,
    SegmentHeader,
)
from custom_components.magicpi_nvr.recording.hourfile.boxes import (
    TICKS_PER_MS,
    VideoConfig,
)
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.file_rows import stored_segment
from custom_components.magicpi_nvr.recording.library.index import Index
from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.model import (
    Event,
    PurgeReport,
    RecordingSettings,
    StoredSegment,
)

from .waiting import until

FRONT = "AA:BB:CC:00:00:01"
BACK = "AA:BB:CC:00:00:02"
NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
GUESS = 33 * TICKS_PER_MS
GROUP = 10  # pictures from one key frame to the next


@dataclass(frozen=True)
class Pictures:
    """An encoded video to take events from."""

    config: VideoConfig
    samples: tuple[tuple[bytes, bool], ...]

    @classmethod
    def encode(
        cls,
        folder: Path,
        size: str,
        seconds: int = 20,
        *,
        options: tuple[str, ...] = (),
    ) -> Pictures:
        """Draw and encode a test picture that counts, ten times a second."""
        path = folder / f"{size}.mp4"
        subprocess.run(
            [
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size={size}:rate=10", "-t", str(seconds), "-c:v", "libx264",
                "-preset", "superfast", "-bf", "0", "-g", str(GROUP), "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-threads", "1", *options, str(path),
            ],
            check=True,
        )  # fmt: skip
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            samples = tuple(
                (bytes(packet), packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size
            )
            extradata = stream.codec_context.extradata
            width, height = stream.codec_context.width, stream.codec_context.height
        return cls(VideoConfig(bytes(extradata), width, height), samples)


@dataclass
class Recordings:
    """Writes events below a root as a recorder does; knows each picture that it has written."""

    root: Path
    pictures: Pictures
    time_zone: tzinfo = UTC
    library: Library | None = None
    frames: dict[str, list[tuple[int, bytes]]] = field(
        default_factory=dict
    )  # event -> (wall ticks, sample)
    _numbers: dict[tuple[str, int], int] = field(default_factory=dict)

    async def record(
        self,
        start_ms: int,
        *,
        camera: str = FRONT,
        boot: int = 1,
        event: int | None = None,
        frames: int = 20,
        intervals: list[int] | None = None,
        pictures: Pictures | None = None,
        segment: int = 0,
        part: int | None = None,
        close: bool = True,
        picture: bytes | None = None,
        hour_of_ms: int | None = None,
        lost: int = 0,
    ) -> Event:
        """Write one segment in fragments of half a second; `intervals` are ms from picture to picture."""
        pictures = pictures or self.pictures
        if event is None:
            event = self._numbers.get((camera, boot), 0) + 1
        self._numbers[camera, boot] = max(event, self._numbers.get((camera, boot), 0))
        name = event_id(camera, boot, event)
        hour = HourPath.at(
            camera, start_ms if hour_of_ms is None else hour_of_ms, self.time_zone
        )
        if part is not None:
            hour = hour.with_part(part)
        intervals = intervals or [100] * frames
        first = GROUP * (event % 3)
        samples = [
            pictures.samples[(first + i) % len(pictures.samples)]
            for i in range(len(intervals))
        ]
        assert samples[0][1], "an event begins with a key frame"
        seq = 1 + len(self.frames.get(name, []))
        writer = HourFileWriter(
            self.root / hour.relative,
            pictures.config,
            self.library.claims if self.library else Claims(),
        )
        writer.open()
        try:
            writer.begin_segment(
                SegmentHeader(
                    id=name,
                    camera=camera,
                    start_ms=start_ms,
                    reason="pir",
                    boot=boot,
                    event=event,
                    number=segment,
                    t=5000,
                )
            )
            offset = 0
            for i in range(0, len(samples), 5):
                fragment = [
                    Sample(data, interval * TICKS_PER_MS, sync)
                    for (data, sync), interval in zip(
                        samples[i : i + 5], intervals[i : i + 5], strict=True
                    )
                ]
                after = offset + sum(sample.duration for sample in fragment)
                times = [start_ms * TICKS_PER_MS + offset]
                for sample in fragment[:-1]:
                    times.append(times[-1] + sample.duration)
                if i + 5 < len(samples):
                    # When a fragment is written its last duration is a guess.
                    fragment[-1] = fragment[-1]._replace(duration=GUESS)
                writer.append(
                    fragment,
                    first_seq=seq + i,
                    last_seq=seq + i + len(fragment) - 1,
                    offset=offset,
                )
                self.frames.setdefault(name, []).extend(
                    (time, sample.data)
                    for time, sample in zip(times, fragment, strict=True)
                )
                offset = after
            if close:
                writer.end_segment(lost=lost)
            assert writer.segment is not None
            row = stored_segment(hour.relative, writer.segment)
        finally:
            writer.close()
        thumbnail = None
        if picture is not None:
            thumbnail = hour.thumbnail(name)
            (self.root / thumbnail).write_bytes(picture)
        made = _event(row, "ready" if close else "recording", thumbnail)
        if self.library is not None:
            await self.library.record(made, row)
        return made


def index_of(library: Library) -> Index:
    """Return a library's index."""
    return library._backend.index


async def changes_done(library: Library) -> None:
    """Wait until no change of recordings is under way."""
    await until(lambda: not library._backend._changes)


def _event(segment: StoredSegment, state: str, thumbnail: str | None) -> Event:
    return Event(
        id=segment.event,
        camera=segment.camera,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        reason=segment.reason,
        state=state,
        frames=segment.frames,
        lost=segment.lost,
        size=segment.size,
        path=segment.path,
        thumbnail=thumbnail,
    )


@dataclass
class Disk:
    """A disk of a chosen size on which only what lies below the root takes room."""

    root: Path
    total: int = 10_000_000_000

    def usage(self, _: Path) -> Any:
        """Answer as shutil.disk_usage."""
        used = sum(
            path.stat().st_size for path in self.root.rglob("*") if path.is_file()
        )

        @dataclass
        class Usage:
            total: int
            used: int
            free: int

        return Usage(self.total, used, max(self.total - used, 0))


@dataclass
class LibraryFolder:
    """A root, its disk, its clock and a way to open a library on it."""

    settings: RecordingSettings
    disk: Disk
    now_ms: int
    reports: list[PurgeReport]

    def library(self) -> Library:
        """Return a library that is not open yet."""
        return Library(
            self.settings,
            on_purge=self.reports.append,
            clock=lambda: self.now_ms / 1000,
            disk_usage=self.disk.usage,
        )


@pytest.fixture(scope="session")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return a video of 160x120 pixels."""
    return Pictures.encode(tmp_path_factory.mktemp("video"), "160x120")


@pytest.fixture(scope="session")
def large_video(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return a video of 320x240 pixels."""
    return Pictures.encode(tmp_path_factory.mktemp("video"), "320x240", 6)


@pytest.fixture
def library_folder(tmp_path: Path) -> LibraryFolder:
    """Return an empty folder; its clock stands at 2026-11-22 18:00 UTC."""
    root = tmp_path / "media"
    return LibraryFolder(
        RecordingSettings(
            root=root,
            index=tmp_path / "index.sqlite3",
            ffmpeg="ffmpeg",
            time_zone=UTC,
            free_space_floor=0,
        ),
        Disk(root),
        NOON + 6 * 3_600_000,
        [],
    )


@pytest.fixture
async def library(library_folder: LibraryFolder) -> AsyncIterator[Library]:
    """Return an open library."""
    library = library_folder.library()
    await library.open()
    yield library
    await library.close()


@pytest.fixture
def recordings(
    library_folder: LibraryFolder, small_video: Pictures, library: Library
) -> Recordings:
    """Return a writer that tells the library as a recorder does."""
    return Recordings(library_folder.settings.root, small_video, library=library)


@pytest.fixture
def picture() -> Callable[[], bytes]:
    """Return bytes that stand for a thumbnail."""
    return lambda: b"\xff\xd8" + bytes(1000) + b"\xff\xd9"
