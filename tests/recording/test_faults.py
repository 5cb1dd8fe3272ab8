"""What breaks around the recorder: encoders, disks, restarts. Nothing that was taken may be lost, and it recovers by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
import errno
import os
from pathlib import Path
import signal

import pytest

from custom_components.magicpi_nvr.recording.capture import (
    ClipReady,
    EventStarted,
    FrameGivenUp,
    Problem,
    Solved,
)
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST
from tests.recording.frames import RECORDING

from .conftest import Bench
from .frames import BOOT, CAMERA, Frame, frames

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


def expected(sent: list[Frame]) -> list[tuple[int, int]]:
    """Return what a clip of these frames shows."""
    return [(frame.captured_ms, frame.seq) for frame in sent]


def children() -> list[int]:
    """Return the processes that this one has started."""
    return [
        int(child)
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


async def child(bench: Bench) -> int:
    """Wait until frames come out of an encoder and return its process."""
    await bench.until(lambda: bench.recorder.stats.frames > 0 and len(children()) == 1)
    return children()[0]


@contextmanager
def broken_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Let every write fail."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        for name in ("pwrite", "fsync", "fdatasync"):
            patch.setattr(os, name, fail)
        yield


@pytest.mark.parametrize("ffmpeg", ["/nowhere/ffmpeg", "true", "false"])
async def test_ffmpeg_does_not_work_for_a_while(
    bench: Bench, impatient: None, ffmpeg: str
) -> None:
    """Frames are safe in the spool, it is said once, and all is encoded when ffmpeg is back."""
    bench.change(ffmpeg=ffmpeg)
    sent = list(frames(30, start_ms=NOON))
    for frame in sent:
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.until(lambda: bench.recorder.persisted(CAMERA, BOOT) == 30)
    await bench.heard(Problem, lambda item: item.kind == "ffmpeg")
    await bench.until(lambda: bench.recorder.stats.encoder_failures > 5)
    assert bench.recorder.stats.memory == 0
    waiting = await bench.library.event(EVENT)
    assert waiting is not None
    assert waiting.state == "waiting"
    assert not bench.files()

    bench.change(ffmpeg="ffmpeg")
    event = await bench.clip()
    assert bench.shown(EVENT) == expected(sent)
    assert (event.state, event.frames) == ("ready", 30)
    assert bench.notices.count(Solved("ffmpeg")) == 1
    assert len([item for item in bench.notices if isinstance(item, Problem)]) == 1
    assert not bench.spools()


async def test_ffmpeg_killed_again_and_again(bench: Bench) -> None:
    """Each kill begins another run of the event; no frame is missing and none comes twice."""
    sent = list(frames(90, start_ms=NOON))
    for i, frame in enumerate(sent):
        bench.add(frame)
        await asyncio.sleep(0.02)
        if i in (25, 50, 75):
            os.kill(await child(bench), signal.SIGKILL)
            bench.recorder.stats.frames = 0
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    assert bench.shown(EVENT) == expected(sent)
    assert event.frames == 90
    assert [run.header.number for _, run in bench.runs(EVENT)] == [0, 1, 2, 3]
    assert bench.recorder.stats.encoder_failures == 3
    assert all(not isinstance(item, Problem) for item in bench.notices)


async def test_ffmpeg_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that stands still is replaced; meanwhile its frames go to the spool."""
    monkeypatch.setattr(f"{RECORDING}.capture.encoder.STALL_S", 3.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        bench.add(frame)
    process = await child(bench)
    os.kill(process, signal.SIGSTOP)
    for frame in sent[20:]:
        bench.add(frame)
    await bench.until(lambda: bench.recorder.persisted(CAMERA, BOOT) == 60)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    assert bench.shown(EVENT) == expected(sent)
    assert bench.recorder.stats.encoder_failures == 1
    assert not bench.spools()
    assert process not in children()


async def test_ffmpeg_prints_errors(bench: Bench, tmp_path: Path) -> None:
    """What ffmpeg says does not stop it."""
    script = tmp_path / "ffmpeg.sh"
    script.write_text(
        '#!/bin/sh\nhead -c 300000 /dev/zero | tr "\\0" "\\n" >&2\nexec ffmpeg "$@"\n'
    )
    script.chmod(0o755)
    bench.change(ffmpeg=str(script))
    sent = list(frames(20, start_ms=NOON))
    for frame in sent:
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    assert bench.shown(EVENT) == expected(sent)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, "storage_full"),
        (errno.EROFS, "storage_gone"),
        (errno.EIO, "storage_gone"),
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_disk_fails_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    """In mid-event the disk takes nothing; the frames wait in memory and are written when it is back."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        bench.add(frame)
    await bench.until(lambda: bench.recorder.stats.frames > 0)
    with broken_disk(monkeypatch, number):
        for frame in sent[20:40]:
            assert bench.add(frame)
        await bench.heard(Problem, lambda item: item.kind == kind)
        assert bench.recorder.persisted(CAMERA, BOOT) < 40
        assert bench.recorder.stats.memory > 0
        await asyncio.sleep(0.5)
    await bench.heard(Solved, lambda item: item.kind == kind)
    for frame in sent[40:]:
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    assert bench.shown(EVENT) == expected(sent)
    assert event.frames == 60
    assert not bench.recorder.stats.drops
    assert all(file.is_closed for file in bench.files().values())


@pytest.mark.usefixtures("impatient")
async def test_disk_fails_for_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that waited too long are given up, counted and acknowledged, so that the camera may sleep."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.STORAGE_PATIENCE_S", 0.5)
    sent = list(frames(30, start_ms=NOON))
    with broken_disk(monkeypatch, errno.ENOSPC):
        for frame in sent[:20]:
            assert bench.add(frame)
        await bench.until(lambda: bench.recorder.persisted(CAMERA, BOOT) == 20)
        assert bench.recorder.stats.drops == {"storage": 20}
        assert bench.notices.count(FrameGivenUp(CAMERA, "storage")) == 20
    await bench.heard(Solved)
    later = list(frames(10, start_ms=NOON + 60_000, event=2, first_seq=21))
    for frame in later:
        bench.add(frame, flags=FLAG_LAST if frame is later[-1] else 0)
    await bench.clip(event_id(CAMERA, BOOT, 2))
    assert bench.shown(event_id(CAMERA, BOOT, 2)) == expected(later)
    assert bench.recorder.stats.memory == 0


@pytest.mark.usefixtures("impatient")
async def test_disk_removed_and_back(bench: Bench) -> None:
    """The folder goes while nothing is open; it is not made anew, and recording goes on when it is back."""
    first = list(frames(10, start_ms=NOON))
    for frame in first:
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    root = bench.settings.root
    away = root.rename(root.with_name("away"))
    sent = list(frames(10, start_ms=NOON + 60_000, event=2, first_seq=11))
    for frame in sent:
        assert bench.add(frame)
    await bench.heard(Problem, lambda item: item.kind == "storage_gone")
    assert not root.exists()
    away.rename(root)
    await bench.heard(Solved)
    await bench.clip(event_id(CAMERA, BOOT, 2))
    assert bench.shown(event_id(CAMERA, BOOT, 2)) == expected(sent)


@pytest.mark.usefixtures("impatient")
async def test_nothing_left_to_remove(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where retention finds nothing to remove, recording stops cleanly and begins again by itself."""
    has_room = False

    async def make_room(needed: int) -> bool:
        return has_room

    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.2)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    monkeypatch.setattr(bench.library, "make_room", make_room)
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        bench.add(frame)
        await asyncio.sleep(0.03)
    await bench.heard(Problem, lambda item: item.kind == "storage_taken")
    await bench.until(lambda: bench.recorder.stats.encoders == 0)
    assert all(file.is_closed for file in bench.files().values())
    for frame in sent[20:]:
        bench.add(frame)
    has_room = True
    await bench.heard(Solved)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    assert bench.shown(EVENT) == expected(sent)


async def test_stopped_in_mid_event(bench: Bench) -> None:
    """stop() writes what is there; after the start the event goes on, and it is one."""
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        bench.add(frame)
        await asyncio.sleep(0.03)
    await bench.stop()
    assert not children()
    assert bench.files()
    assert all(file.is_closed for file in bench.files().values())
    await bench.start()
    kept = bench.recorder.persisted(CAMERA, BOOT)
    assert kept == 20
    # The camera sends more than it has to, and the host's clock is another.
    for frame in sent[10:]:
        moved = type(frame)(
            **{name: getattr(frame, name) for name in frame.__slots__}
            | {"captured_ms": frame.captured_ms + 777}
        )
        assert bench.add(moved)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    assert bench.shown(EVENT) == expected(sent)
    assert (event.frames, event.start_ms) == (40, NOON)
    assert bench.recorder.stats.duplicates == 10


async def test_spool_survives_a_restart(bench: Bench, impatient: None) -> None:
    """What waited on disk is encoded by the next process, oldest event first."""
    bench.change(max_encoders=0)
    sent = {
        number: list(
            frames(
                10,
                start_ms=NOON + number * 60_000,
                event=number,
                first_seq=number * 100,
            )
        )
        for number in (1, 2, 3)
    }
    for event in sent.values():
        for frame in event:
            bench.add(frame, flags=FLAG_LAST if frame is event[-1] else 0)
    await bench.until(lambda: bench.recorder.persisted(CAMERA, BOOT) == 309)
    await bench.stop()
    assert len(bench.spools()) == 3
    assert not bench.files()
    bench.settings = type(bench.settings)(
        **{name: getattr(bench.settings, name) for name in bench.settings.__slots__}
        | {"max_encoders": 1}
    )
    await bench.start()
    assert bench.recorder.persisted(CAMERA, BOOT) == 309
    await bench.heard(ClipReady, count=3)
    for number, event in sent.items():
        assert bench.shown(event_id(CAMERA, BOOT, number)) == expected(event)
    (path,) = bench.files()
    starts = [run.header.start_ms for run in bench.files()[path].segments]
    assert starts == sorted(starts)
    assert not bench.spools()


async def test_camera_comes_back_after_a_restart_of_the_host(
    bench: Bench, impatient: None
) -> None:
    """A torn file is repaired at the start and the event that was open ends without its camera."""
    for frame in frames(20, start_ms=NOON):
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    await bench.stop()
    (path,) = bench.files()
    whole = (bench.settings.root / path).read_bytes()
    cut = bench.files()[path].segments[-1].fragments[-1].offset + 10
    (bench.settings.root / path).write_bytes(whole[:cut])
    bench.notices.clear()
    await bench.start()
    kept = bench.recorder.persisted(CAMERA, BOOT)
    assert 0 < kept < 20
    assert bench.files()[path].is_closed
    event = await bench.clip()
    assert event.frames == kept
    found = await bench.library.event(EVENT)
    assert found is not None
    assert (found.frames, found.state) == (kept, "ready")
    assert not [item for item in bench.notices if isinstance(item, EventStarted)]


@pytest.fixture(autouse=True)
def _no_children() -> Iterator[None]:
    """Fail when an encoder outlives its recorder."""
    yield
    assert not children()
