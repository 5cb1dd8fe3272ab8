"""A power cut takes what was not synced: no frame counts as persisted before, and a sync that fails costs none."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
import errno
import os
from pathlib import Path
import signal
import threading
import time
from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.capture import ClipReady, Problem, Solved
from custom_components.magicpi_nvr.recording.hourfile import HourFileWriter
from custom_components.magicpi_nvr.recording.library.layout import event_id
from tests.harness.pictures import BOOT, CAMERA, RECORDING, frames
from tests.harness.recorder import RunningRecorder, ffmpeg_processes
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


@dataclass
class Disk:
    """Knows what a power cut leaves: lengths and folder entries as they were synced."""

    root: Path
    lengths: dict[Path, int] = field(default_factory=dict)
    entries: dict[Path, set[str]] = field(default_factory=dict)
    syncs: list[tuple[float, Path]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    may_sync: threading.Event = field(default_factory=threading.Event)
    slow_s: float = 0.0
    fails: int = 0

    def sync(self, real: Callable[[int], None], file: int) -> None:
        """Stand in for fsync and fdatasync."""
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.is_dir():
            names = {child.name for child in path.iterdir()}
            real(file)
            self.entries[path] = names
            return
        size = os.fstat(file).st_size
        if path.suffix in (".mp4", ".spool"):
            self.threads.add(threading.get_ident())
            self.syncs.append((time.monotonic(), path))
            time.sleep(self.slow_s)
            assert self.may_sync.wait(30)
            if self.fails:
                self.fails -= 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file)
        self.lengths[path] = size

    def is_named(self, path: Path) -> bool:
        """Whether the way to a file survives."""
        return path == self.root or (
            path.name in self.entries.get(path.parent, ())
            and self.is_named(path.parent)
        )

    def cut(self, target: Path) -> None:
        """Write what a power cut at this moment would leave."""
        for path, length in list(self.lengths.items()):
            if self.is_named(path):
                with suppress(FileNotFoundError):
                    data = path.read_bytes()[:length]
                    left = target / path.relative_to(self.root)
                    left.parent.mkdir(parents=True, exist_ok=True)
                    left.write_bytes(data)


@pytest.fixture
def disk(recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Return the disk below the recorder."""
    disk = Disk(recorder.settings.root)
    disk.may_sync.set()
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda file, real=real: disk.sync(real, file))
    yield disk
    disk.may_sync.set()


@pytest.mark.parametrize("encoders", [1, 0])
@pytest.mark.parametrize("slow_s", [0.0, 0.3])
async def test_kept_frames_survive(
    recorder: RunningRecorder,
    disk: Disk,
    tmp_path: Path,
    encoders: int,
    slow_s: float,
    impatient: None,
) -> None:
    """At any moment, what a power cut leaves holds every frame that the camera was allowed to forget."""
    recorder.change(max_encoders=encoders)
    disk.slow_s = slow_s
    said = []
    for i, frame in enumerate(frames(50, start_ms=NOON)):
        recorder.add(frame)
        await asyncio.sleep(0.05)
        if i % 10 == 9:
            said.append(recorder.capture.persisted(CAMERA, BOOT))
            disk.cut(tmp_path / f"cut{len(said)}")
    assert said[-1] > 10
    assert threading.get_ident() not in disk.threads
    disk.slow_s = 0.0
    for number, persisted in enumerate(said, 1):
        root = tmp_path / f"cut{number}"
        left = RunningRecorder(
            replace(
                recorder.settings,
                root=root,
                index=tmp_path / f"{number}.db",
                max_encoders=1,
            )
        )
        await left.start()
        try:
            assert left.capture.persisted(CAMERA, BOOT) >= persisted
            if persisted:
                await until(
                    lambda left=left: (
                        not left.capture.stats.queue and not left.unfinished()
                    )
                )
                shown = [number for _, number in left.shown(EVENT)]
                assert shown[:persisted] == list(range(1, persisted + 1))
        finally:
            await left.stop()


async def test_spool_never_survives_alone(
    recorder: RunningRecorder,
    disk: Disk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames of an encoder that hangs are spooled; those before them, in the hour file, are persisted as well."""
    monkeypatch.setattr(f"{RECORDING}.capture.segment.SYNC_S", 100.0)
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await until(lambda: recorder.capture.stats.frames >= 10)
    (encoder,) = ffmpeg_processes()
    os.kill(encoder, signal.SIGSTOP)
    for frame in frames(10, start_ms=NOON + 2000, first_t=7000, first_seq=21):
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 30)
    # Written frames are synced where they are, not written twice.
    assert recorder.capture.stats.spooled_ever < 30
    disk.cut(tmp_path / "cut")
    os.kill(encoder, signal.SIGCONT)
    left = RunningRecorder(
        replace(recorder.settings, root=tmp_path / "cut", index=tmp_path / "cut.db")
    )
    await left.start()
    try:
        assert left.capture.persisted(CAMERA, BOOT) == 30
        left.capture.end_event(CAMERA, BOOT, 1)
        await left.clip()
        assert [number for _, number in left.shown(EVENT)] == list(range(1, 31))
    finally:
        await left.stop()


async def test_nothing_is_kept_before_its_sync(
    recorder: RunningRecorder, disk: Disk
) -> None:
    """While a sync hangs, frames go on into the file, none is persisted, and nothing else stands still."""
    disk.may_sync.clear()
    for frame in frames(30, start_ms=NOON):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await until(lambda: recorder.capture.stats.frames >= 20 and bool(disk.syncs))
    await asyncio.sleep(1)
    assert recorder.capture.persisted(CAMERA, BOOT) == 0
    disk.may_sync.set()
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) >= 20)


async def test_syncs_are_grouped_and_soon(
    recorder: RunningRecorder, disk: Disk
) -> None:
    """One sync a second or so while an event runs, and never many frames behind; at its end at once."""
    behind = 0
    begin = time.monotonic()
    for frame in frames(50, start_ms=NOON):
        recorder.add(frame)
        await asyncio.sleep(0.1)
        behind = max(behind, frame.seq - recorder.capture.persisted(CAMERA, BOOT))
    lasted = time.monotonic() - begin
    hours = [at for at, path in disk.syncs if path.suffix == ".mp4"]
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert recorder.capture.persisted(CAMERA, BOOT) == 50
    assert behind <= 20
    assert 0.5 < len(hours) / lasted < 1.7


@pytest.mark.usefixtures("impatient")
async def test_sync_fails_in_mid_event(recorder: RunningRecorder, disk: Disk) -> None:
    """What the system gave up is cut and written again: every frame once."""
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    persisted = recorder.capture.persisted(CAMERA, BOOT)
    disk.fails = 1
    for frame in frames(20, start_ms=NOON + 2000, first_t=7000, first_seq=21):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await recorder.heard(Problem)
    assert recorder.capture.persisted(CAMERA, BOOT) >= persisted
    await recorder.heard(Solved)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    await recorder.heard(ClipReady)
    assert [number for _, number in recorder.shown(EVENT)] == list(range(1, 41))
    assert event.frames == 40
    assert recorder.capture.persisted(CAMERA, BOOT) == 40
    assert recorder.capture.stats.memory == recorder.capture.stats.queue == 0


@pytest.mark.usefixtures("disk")
async def test_a_sync_sees_what_is_being_written(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fragment that a sync has made last before anybody knew of it is not cut after the next one failed, nor written again."""
    append, sync = HourFileWriter.append, HourFileWriter.sync
    writers: list[HourFileWriter] = []
    appended: list[int] = []
    may_return, went_on = threading.Event(), threading.Event()
    failed = False

    def append_and_wait(writer: HourFileWriter, *args: Any, **kwargs: Any) -> None:
        append(writer, *args, **kwargs)
        writers.append(writer)
        appended.append(writer.end)
        assert len(appended) != 2 or may_return.wait(30)
        if len(appended) == 3:
            went_on.set()

    def sync_or_fail(writer: HourFileWriter) -> None:
        nonlocal failed
        if may_return.is_set() and not failed:
            assert went_on.wait(30)
            failed = writer._is_broken = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(writer)

    monkeypatch.setattr(HourFileWriter, "append", append_and_wait)
    monkeypatch.setattr(HourFileWriter, "sync", sync_or_fail)
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await until(lambda: len(appended) == 2 and writers[0].synced == appended[1])
    may_return.set()
    for frame in frames(20, start_ms=NOON + 2000, first_t=7000, first_seq=21):
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await recorder.heard(Solved)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert [number for _, number in recorder.shown(EVENT)] == list(range(1, 41))
    assert event.frames == 40
