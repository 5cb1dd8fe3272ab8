"""A recorder on a real disk with a real ffmpeg, and what its listener hears."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from benchmark import children_of
from custom_components.magicpi_nvr.recording.capture import (
    ClipReady,
    Recorder,
    RecorderNotice,
)
from custom_components.magicpi_nvr.recording.hourfile import HourFile, Segment, scan
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.layout import HourPath, hour_files
from custom_components.magicpi_nvr.recording.model import (
    Event,
    RecordingSettings,
    SampleTap,
)
from tests.harness.pictures import RECORDING, Frame, numbers


@dataclass
class Clocks:
    """The host's clock, and one that nobody sets."""

    wall_ms: int = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
    steady_s: float = 1000.0

    def wall(self) -> float:
        """Return seconds since 1970."""
        return self.wall_ms / 1000

    def steady(self) -> float:
        """Return seconds since the host started."""
        return self.steady_s

    def sleep(self, ms: int) -> None:
        """Let time pass."""
        self.wall_ms += ms
        self.steady_s += ms / 1000

    def set(self, ms: int) -> None:
        """Set the host's clock by so much."""
        self.wall_ms += ms


@dataclass
class RunningRecorder:
    """Recorder and library over one folder; may be stopped and started again."""

    settings: RecordingSettings
    notices: list[RecorderNotice] = field(default_factory=list)
    capture: Recorder = field(init=False)
    library: Library = field(init=False)
    clocks: Clocks | None = None
    tap: SampleTap | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin, or begin again."""
        if self.clocks:
            self.library = Library(self.settings, clock=self.clocks.wall)
            self.library.clock._steady = self.clocks.steady
        else:
            self.library = Library(self.settings)
        await self.library.open()
        self.capture = Recorder(
            self.settings, self.library, on_event=self._hear, tap=self.tap
        )
        await self.capture.start()

    async def stop(self) -> None:
        """End both."""
        await self.capture.stop()
        await self.library.close()

    def change(self, **changes: Any) -> None:
        """Change settings while it runs."""
        self.settings = replace(self.settings, **changes)
        self.capture.update_settings(self.settings)
        self.library.update_settings(self.settings)

    def _hear(self, notice: RecorderNotice) -> None:
        self.notices.append(notice)

        async def notify() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def heard[T](
        self, kind: type[T], check: Callable[[T], bool] = lambda _: True, count: int = 1
    ) -> list[T]:
        """Wait until so many notices of a kind were given and return them."""

        def found() -> list[T]:
            return [
                item for item in self.notices if isinstance(item, kind) and check(item)
            ]

        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()

    async def clip(self, event_id: str | None = None, count: int = 1) -> Event:
        """Wait until an event is ready."""
        ready = await self.heard(
            ClipReady, lambda item: event_id in (None, item.event.id), count
        )
        return ready[-1].event

    def add(self, frame: Frame, *, reason: str = "pir", flags: int = 0) -> bool:
        """Give the recorder a frame."""
        return self.capture.add_frame(
            replace(frame, flags=frame.flags | flags), reason=reason
        )

    def files(self) -> dict[str, HourFile]:
        """Return the hour files by their relative paths."""
        root = self.settings.root
        return {hour.relative: scan(root / hour.relative) for hour in hour_files(root)}

    def segments(self, event_id: str) -> list[tuple[str, Segment]]:
        """Return an event's segments in order of time."""
        found = [
            (path, segment)
            for path, file in self.files().items()
            for segment in file.segments
            if segment.header.id == event_id
        ]
        return sorted(found, key=lambda item: item[1].header.start_ms)

    def shown(self, event_id: str) -> list[tuple[int, int]]:
        """Return wall time and number of each frame of an event, in order of time, decoded."""
        found = []
        decoded: dict[str, list[tuple[int, int]]] = {}
        for path, segment in self.segments(event_id):
            if path not in decoded:
                decoded[path] = numbers(self.settings.root / path)
            begin, end = segment.dts // 90, segment.next_dts // 90
            found += [
                (at - begin + segment.header.start_ms, number)
                for at, number in decoded[path]
                if begin <= at < end
            ]
        return sorted(found)

    def unfinished(self) -> bool:
        """Return whether there are events of which not all is recorded."""
        return bool(self.capture._context.unfinished())

    def remembered(self) -> int:
        """Return how many events are remembered, so that their frames are known when they come again."""
        return len(self.capture._context.events)

    def spools(self) -> list[Path]:
        """Return the spool files."""
        return sorted((self.settings.root / ".spool").rglob("*.spool"))

    def hour(self, path: str) -> HourPath:
        """Return the parsed path of an hour file."""
        return HourPath.parse(path)


def ffmpeg_processes() -> list[int]:
    """Return the ids of the encoders that run."""
    return [number for number, name in children_of("self").items() if name == "ffmpeg"]


@pytest.fixture
def settings(tmp_path: Path) -> RecordingSettings:
    """Return settings for an empty folder."""
    return RecordingSettings(
        root=tmp_path / "media",
        index=tmp_path / "index.db",
        ffmpeg="ffmpeg",
        time_zone=ZoneInfo("Europe/Berlin"),
        preset="ultrafast",
        free_space_floor=0,
    )


@pytest.fixture
async def recorder(settings: RecordingSettings) -> AsyncIterator[RunningRecorder]:
    """Return a recorder that runs."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for what does not come."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.GRACE_S", 0.5)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 1.0)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.REPORTED_SILENCE_S", 0.5)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.RETRY_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.schedule.FFMPEG_BACKOFF_S", (0.1, 0.2))
