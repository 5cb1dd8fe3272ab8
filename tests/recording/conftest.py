"""A recorder on a real disk with a real ffmpeg, and somebody who listens to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custom_components.magicpi_nvr.recording.capture import (
    ClipReady,
    Recorder,
    RecorderNotice,
)
from custom_components.magicpi_nvr.recording.hourfile import HourFile, Segment, scan
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.layout import HourPath, hour_files
from custom_components.magicpi_nvr.recording.model import Event, RecordingSettings
from tests.recording.frames import RECORDING

from .frames import Frame, numbers


@dataclass
class Bench:
    """Recorder and library over one folder; may be stopped and started again."""

    settings: RecordingSettings
    notices: list[RecorderNotice] = field(default_factory=list)
    recorder: Recorder = field(init=False)
    library: Library = field(init=False)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin, or begin again."""
        self.library = Library(self.settings)
        await self.library.open()
        self.recorder = Recorder(self.settings, self.library, on_event=self._hear)
        await self.recorder.start()

    async def stop(self) -> None:
        """End both."""
        await self.recorder.stop()
        await self.library.close()

    def change(self, **changes: Any) -> None:
        """Change settings while it runs."""
        self.settings = replace(self.settings, **changes)
        self.recorder.update_settings(self.settings)
        self.library.update_settings(self.settings)

    def _hear(self, notice: RecorderNotice) -> None:
        self.notices.append(notice)

        async def tell() -> None:
            async with self._news:
                self._news.notify_all()

        task = asyncio.get_running_loop().create_task(tell())
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

    async def until(self, check: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(60):
            while not check():
                await asyncio.sleep(0.02)

    def add(self, frame: Frame, *, reason: str = "pir", flags: int = 0) -> bool:
        """Give the recorder a frame."""
        return self.recorder.add_frame(
            replace(frame, flags=frame.flags | flags), reason=reason
        )

    def files(self) -> dict[str, HourFile]:
        """Return the hour files by their relative paths."""
        root = self.settings.root
        return {hour.relative: scan(root / hour.relative) for hour in hour_files(root)}

    def runs(self, event_id: str) -> list[tuple[str, Segment]]:
        """Return an event's runs in order of time."""
        found = [
            (path, run)
            for path, file in self.files().items()
            for run in file.segments
            if run.header.id == event_id
        ]
        return sorted(found, key=lambda item: item[1].header.start_ms)

    def shown(self, event_id: str) -> list[tuple[int, int]]:
        """Return wall time and number of each frame of an event, in order of time, decoded."""
        found = []
        decoded: dict[str, list[tuple[int, int]]] = {}
        for path, run in self.runs(event_id):
            if path not in decoded:
                decoded[path] = numbers(self.settings.root / path)
            begin, end = run.dts // 90, run.next_dts // 90
            found += [
                (at - begin + run.header.start_ms, number)
                for at, number in decoded[path]
                if begin <= at < end
            ]
        return sorted(found)

    def spools(self) -> list[Path]:
        """Return the spool files."""
        return sorted((self.settings.root / ".spool").rglob("*.spool"))

    def hour(self, path: str) -> HourPath:
        """Return the parsed path of an hour file."""
        return HourPath.parse(path)


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
async def bench(settings: RecordingSettings) -> AsyncIterator[Bench]:
    """Return a recorder that runs."""
    bench = Bench(settings)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for what does not come."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.GRACE_S", 0.5)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 1.0)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.REPORTED_SILENCE_S", 0.5)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.RETRY_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.schedule.FFMPEG_BACKOFF_S", (0.1, 0.2))
