"""What test_frozen.py runs in a mount namespace of its own: a recorder on an ext4 that is frozen for a while.

`fsfreeze` lets every write wait inside of the kernel until the file system is thawed, as a disk does that has stopped.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
import os
from pathlib import Path
import subprocess

import pytest

from custom_components.magicpi_nvr.recording.capture import Problem, Solved
from custom_components.magicpi_nvr.recording.errors import StorageFailed
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, RecordingSettings
from tests.harness.pictures import BOOT, CAMERA, RECORDING, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)
SIZE = 64 * 1024 * 1024


def run(*command: object) -> None:
    """Run a program of the system."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


class Disk:
    """A file system of its own in a file."""

    def __init__(self, folder: Path) -> None:
        """Make and mount it."""
        self.path = folder / "media"
        self.path.mkdir()
        image = folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", image)
        run("mount", "-o", "loop", image, self.path)
        self._is_frozen = False

    def freeze(self) -> None:
        """Let all writes wait."""
        run("fsfreeze", "-f", self.path)
        self._is_frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        if self._is_frozen:
            self._is_frozen = False
            run("fsfreeze", "-u", self.path)

    def remove(self) -> None:
        """Unmount it."""
        self.thaw()
        run("umount", "-l", self.path)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Return a disk that can be frozen; deadlines are short."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.DEADLINE_S", 1.5)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.STOP_DEADLINE_S", 1.0)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 60.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.DEADLINE_S", 2.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.CHANGE_DEADLINE_S", 2.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.CLOSE_DEADLINE_S", 1.0)
    disk = Disk(tmp_path)
    yield disk
    disk.remove()


@pytest.fixture
def settings(
    disk: Disk, tmp_path: Path, settings: RecordingSettings
) -> RecordingSettings:
    """Let the recordings be on that disk."""
    return replace(settings, root=disk.path, index=tmp_path / "index.db")


@pytest.mark.usefixtures("impatient")
async def test_in_mid_event(recorder: RunningRecorder, disk: Disk) -> None:
    """It is reported, the clip that is there can be read meanwhile, and each picture is in the clip once."""
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    await asyncio.to_thread(disk.freeze)
    for frame in sent[20:40]:
        recorder.add(frame)
    await recorder.heard(Problem, lambda item: item.kind == "storage_hangs")
    assert recorder.capture.persisted(CAMERA, BOOT) < 40
    with pytest.raises(StorageFailed, match="does not answer"):
        await recorder.library.protect(EVENT, True)
    await asyncio.to_thread(disk.thaw)
    await recorder.heard(Solved, lambda item: item.kind == "storage_hangs")
    for frame in sent[40:]:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert [number for _, number in recorder.shown(EVENT)] == [
        frame.seq for frame in sent
    ]
    assert (event.frames, event.lost) == (60, 0)
    assert not recorder.capture.stats.drops


@pytest.mark.usefixtures("impatient")
async def test_stop_and_start(settings: RecordingSettings, disk: Disk) -> None:
    """It stops in bounded time; what it began ends before a successor writes, and nothing is there twice."""
    first = RunningRecorder(settings)
    await first.start()
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        first.add(frame)
    await until(lambda: first.capture.persisted(CAMERA, BOOT) > 0)
    await asyncio.to_thread(disk.freeze)
    for frame in sent[20:30]:
        first.add(frame)
    await first.heard(Problem, lambda item: item.kind == "storage_hangs")
    async with asyncio.timeout(20):
        await first.stop()
    second = RunningRecorder(settings)
    with pytest.raises((StorageFailed, OSError), match="does not answer"):
        await second.start()
    await second.library.close()
    await asyncio.to_thread(disk.thaw)
    third = RunningRecorder(settings)
    async with asyncio.timeout(20):
        while True:
            try:
                await third.start()
                break
            except StorageFailed, OSError:
                await third.library.close()
                await asyncio.sleep(0.05)
    try:
        for frame in sent[third.capture.persisted(CAMERA, BOOT) :]:
            third.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
        await third.clip()
        shown = [number for _, number in third.shown(EVENT)]
        assert shown == [frame.seq for frame in sent]
    finally:
        await third.stop()


def test_freezing(disk: Disk) -> None:
    """Freezing does what the tests above need: a write waits until the thaw."""
    disk.freeze()
    with subprocess.Popen(["touch", os.fspath(disk.path / "new")]) as writer:
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.5)
        assert not (disk.path / "new").exists()
        disk.thaw()
        assert writer.wait(20) == 0
