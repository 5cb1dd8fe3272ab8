"""A library on a real disk, and recordings to put in."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.model import PurgeReport, RecordingSettings

from .recordings import NOON, Pictures, Recordings


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
class Place:
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
def small(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return a video of 160x120 pixels."""
    return Pictures.encode(tmp_path_factory.mktemp("video"), "160x120")


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Return a video of 320x240 pixels."""
    return Pictures.encode(tmp_path_factory.mktemp("video"), "320x240", 6)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return an empty place; its clock stands at 2026-11-22 18:00 UTC."""
    root = tmp_path / "media"
    return Place(
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
async def library(place: Place) -> AsyncIterator[Library]:
    """Return an open library."""
    library = place.library()
    await library.open()
    yield library
    await library.close()


@pytest.fixture
def recordings(place: Place, small: Pictures, library: Library) -> Recordings:
    """Return a writer that tells the library as a recorder does."""
    return Recordings(place.settings.root, small, library=library)


@pytest.fixture
def picture() -> Callable[[], bytes]:
    """Return bytes that stand for a thumbnail."""
    return lambda: b"\xff\xd8" + bytes(1000) + b"\xff\xd9"
