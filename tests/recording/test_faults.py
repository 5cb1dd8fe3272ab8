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
from tests.harness.pictures import BOOT, CAMERA, RECORDING, Frame, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

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


async def child(recorder: RunningRecorder) -> int:
    """Wait until frames come out of an encoder and return its process."""
    await until(lambda: recorder.capture.stats.frames > 0 and len(children()) == 1)
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
    recorder: RunningRecorder, impatient: None, ffmpeg: str
) -> None:
    """Frames are persisted in the spool, it is reported once, and all is encoded when ffmpeg is back."""
    recorder.change(ffmpeg=ffmpeg)
    sent = list(frames(30, start_ms=NOON))
    for frame in sent:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 30)
    await recorder.heard(Problem, lambda item: item.kind == "ffmpeg")
    await until(lambda: recorder.capture.stats.encoder_failures > 5)
    assert recorder.capture.stats.memory == 0
    waiting = await recorder.library.event(EVENT)
    assert waiting is not None
    assert waiting.state == "waiting"
    assert not recorder.files()

    recorder.change(ffmpeg="ffmpeg")
    event = await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)
    assert (event.state, event.frames) == ("ready", 30)
    assert recorder.notices.count(Solved("ffmpeg")) == 1
    assert len([item for item in recorder.notices if isinstance(item, Problem)]) == 1
    assert not recorder.spools()


async def test_ffmpeg_killed_again_and_again(recorder: RunningRecorder) -> None:
    """Each kill begins another segment of the event; no frame is missing and none comes twice."""
    sent = list(frames(90, start_ms=NOON))
    for i, frame in enumerate(sent):
        recorder.add(frame)
        await asyncio.sleep(0.02)
        if i in (25, 50, 75):
            os.kill(await child(recorder), signal.SIGKILL)
            recorder.capture.stats.frames = 0
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)
    assert event.frames == 90
    assert [segment.header.number for _, segment in recorder.segments(EVENT)] == [
        0,
        1,
        2,
        3,
    ]
    assert recorder.capture.stats.encoder_failures == 3
    assert all(not isinstance(item, Problem) for item in recorder.notices)


async def test_ffmpeg_hangs(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that stands still is replaced; meanwhile its frames go to the spool."""
    monkeypatch.setattr(f"{RECORDING}.capture.encoder.STALL_S", 3.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    process = await child(recorder)
    os.kill(process, signal.SIGSTOP)
    for frame in sent[20:]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 60)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)
    assert recorder.capture.stats.encoder_failures == 1
    assert not recorder.spools()
    assert process not in children()


async def test_ffmpeg_prints_errors(recorder: RunningRecorder, tmp_path: Path) -> None:
    """What ffmpeg says does not stop it."""
    script = tmp_path / "ffmpeg.sh"
    script.write_text(
        '#!/bin/sh\nhead -c 300000 /dev/zero | tr "\\0" "\\n" >&2\nexec ffmpeg "$@"\n'
    )
    script.chmod(0o755)
    recorder.change(ffmpeg=str(script))
    sent = list(frames(20, start_ms=NOON))
    for frame in sent:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)


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
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    """In mid-event the disk takes nothing; the frames wait in memory and are written when it is back."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.stats.frames > 0)
    with broken_disk(monkeypatch, number):
        for frame in sent[20:40]:
            assert recorder.add(frame)
        await recorder.heard(Problem, lambda item: item.kind == kind)
        assert recorder.capture.persisted(CAMERA, BOOT) < 40
        assert recorder.capture.stats.memory > 0
        await asyncio.sleep(0.5)
    await recorder.heard(Solved, lambda item: item.kind == kind)
    for frame in sent[40:]:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)
    assert event.frames == 60
    assert not recorder.capture.stats.drops
    assert all(file.is_closed for file in recorder.files().values())


@pytest.mark.usefixtures("impatient")
async def test_disk_fails_for_long(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that waited too long are given up, counted and acknowledged, so that the camera may sleep."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.STORAGE_PATIENCE_S", 0.5)
    sent = list(frames(30, start_ms=NOON))
    with broken_disk(monkeypatch, errno.ENOSPC):
        for frame in sent[:20]:
            assert recorder.add(frame)
        await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 20)
        assert recorder.capture.stats.drops == {"storage": 20}
        assert recorder.notices.count(FrameGivenUp(CAMERA, "storage")) == 20
    await recorder.heard(Solved)
    later = list(frames(10, start_ms=NOON + 60_000, event=2, first_seq=21))
    for frame in later:
        recorder.add(frame, flags=FLAG_LAST if frame is later[-1] else 0)
    await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert recorder.shown(event_id(CAMERA, BOOT, 2)) == expected(later)
    assert recorder.capture.stats.memory == 0


@pytest.mark.usefixtures("impatient")
async def test_disk_removed_and_back(recorder: RunningRecorder) -> None:
    """The folder goes while nothing is open; it is not made again, and recording goes on when it is back."""
    first = list(frames(10, start_ms=NOON))
    for frame in first:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    root = recorder.settings.root
    away = root.rename(root.with_name("away"))
    sent = list(frames(10, start_ms=NOON + 60_000, event=2, first_seq=11))
    for frame in sent:
        assert recorder.add(frame)
    await recorder.heard(Problem, lambda item: item.kind == "storage_gone")
    assert not root.exists()
    away.rename(root)
    await recorder.heard(Solved)
    await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert recorder.shown(event_id(CAMERA, BOOT, 2)) == expected(sent)


@pytest.mark.usefixtures("impatient")
async def test_nothing_left_to_remove(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where retention finds nothing to remove, recording stops cleanly and begins again by itself."""
    has_room = False

    async def make_room(needed: int) -> bool:
        return has_room

    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.2)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    monkeypatch.setattr(recorder.library, "make_room", make_room)
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await recorder.heard(Problem, lambda item: item.kind == "storage_taken")
    await until(lambda: recorder.capture.stats.encoders == 0)
    assert all(file.is_closed for file in recorder.files().values())
    for frame in sent[20:]:
        recorder.add(frame)
    has_room = True
    await recorder.heard(Solved)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)


async def test_stopped_in_mid_event(recorder: RunningRecorder) -> None:
    """stop() writes what is there; after the start the event goes on, and it is one."""
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
        await asyncio.sleep(0.03)
    await recorder.stop()
    assert not children()
    assert recorder.files()
    assert all(file.is_closed for file in recorder.files().values())
    await recorder.start()
    persisted = recorder.capture.persisted(CAMERA, BOOT)
    assert persisted == 20
    # The camera sends more than it has to, and the host's clock is another.
    for frame in sent[10:]:
        moved = type(frame)(
            **{name: getattr(frame, name) for name in frame.__slots__}
            | {"captured_ms": frame.captured_ms + 777}
        )
        assert recorder.add(moved)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert recorder.shown(EVENT) == expected(sent)
    assert (event.frames, event.start_ms) == (40, NOON)
    assert recorder.capture.stats.duplicates == 10


async def test_spool_survives_a_restart(
    recorder: RunningRecorder, impatient: None
) -> None:
    """What waited on disk is encoded by the next process, oldest event first."""
    recorder.change(max_encoders=0)
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
            recorder.add(frame, flags=FLAG_LAST if frame is event[-1] else 0)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 309)
    await recorder.stop()
    assert len(recorder.spools()) == 3
    assert not recorder.files()
    recorder.settings = type(recorder.settings)(
        **{
            name: getattr(recorder.settings, name)
            for name in recorder.settings.__slots__
        }
        | {"max_encoders": 1}
    )
    await recorder.start()
    assert recorder.capture.persisted(CAMERA, BOOT) == 309
    await recorder.heard(ClipReady, count=3)
    for number, event in sent.items():
        assert recorder.shown(event_id(CAMERA, BOOT, number)) == expected(event)
    (path,) = recorder.files()
    starts = [segment.header.start_ms for segment in recorder.files()[path].segments]
    assert starts == sorted(starts)
    assert not recorder.spools()


async def test_camera_comes_back_after_a_restart_of_the_host(
    recorder: RunningRecorder, impatient: None
) -> None:
    """A torn file is repaired at the start and the event that was open ends without its camera."""
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    await recorder.stop()
    (path,) = recorder.files()
    whole = (recorder.settings.root / path).read_bytes()
    cut = recorder.files()[path].segments[-1].fragments[-1].offset + 10
    (recorder.settings.root / path).write_bytes(whole[:cut])
    recorder.notices.clear()
    await recorder.start()
    persisted = recorder.capture.persisted(CAMERA, BOOT)
    assert 0 < persisted < 20
    assert recorder.files()[path].is_closed
    event = await recorder.clip()
    assert event.frames == persisted
    found = await recorder.library.event(EVENT)
    assert found is not None
    assert (found.frames, found.state) == (persisted, "ready")
    assert not [item for item in recorder.notices if isinstance(item, EventStarted)]


@pytest.fixture(autouse=True)
def _no_children() -> Iterator[None]:
    """Fail when an encoder outlives its recorder."""
    yield
    assert not children()
