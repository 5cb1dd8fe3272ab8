"""The storage knows itself: nothing is written to another one, and one that does not answer blocks nothing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
import errno
import os
from pathlib import Path
import shutil
import threading
from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.capture import ClipReady, Problem, Solved
from custom_components.magicpi_nvr.recording.capture.disk import DiskHealth
from custom_components.magicpi_nvr.recording.capture.recovery import Found, read_spools
from custom_components.magicpi_nvr.recording.errors import StorageFailed
from custom_components.magicpi_nvr.recording.library.layout import MARKER, event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, RecordingSettings
from custom_components.magicpi_nvr.recording.state import STATE_FILE
from custom_components.magicpi_nvr.recording.threads import DiskHangs
from tests.harness.pictures import BOOT, CAMERA, RECORDING, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


def away(root: Path) -> Path:
    """Take the storage out of its place."""
    gone = root.with_name("gone")
    root.rename(gone)
    return gone


async def record(
    recorder: RunningRecorder, *, event: int = 1, first_seq: int = 1
) -> None:
    """Record one event."""
    sent = list(
        frames(
            10,
            start_ms=NOON + event * 60_000,
            first_t=event * 60_000,
            event=event,
            first_seq=first_seq,
        )
    )
    for frame in sent:
        recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    await recorder.clip(event_id(CAMERA, BOOT, event))


@pytest.mark.usefixtures("impatient")
async def test_missing_storage_is_waited_for(settings: RecordingSettings) -> None:
    """An empty mount point stays empty; when the storage is there again, what came meanwhile is recorded on it."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    await record(recorder)
    await recorder.stop()
    gone = away(settings.root)
    settings.root.mkdir()
    await recorder.start()
    try:
        await recorder.heard(Problem, lambda item: item.kind == "storage_other")
        for frame in frames(10, start_ms=NOON + 120_000, event=2, first_seq=11):
            assert recorder.add(frame, flags=FLAG_LAST if frame.seq == 20 else 0)
        await until(lambda: recorder.capture.stats.queue == 10)
        with pytest.raises(StorageFailed):
            await recorder.library.purge()
        # The index still has what is on the storage that is away.
        assert await recorder.library.event(EVENT) is not None
        assert list(settings.root.iterdir()) == []
        settings.root.rmdir()
        gone.rename(settings.root)
        await recorder.heard(Solved, lambda item: item.kind == "storage_other")
        await recorder.clip(event_id(CAMERA, BOOT, 2))
        assert len((await recorder.library.events()).events) == 2
        assert not recorder.capture.stats.drops
    finally:
        await recorder.stop()


@pytest.mark.usefixtures("impatient")
async def test_other_storage_is_used_when_accepted(settings: RecordingSettings) -> None:
    """Another disk in the same place takes nothing until a person says so."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    await record(recorder)
    await recorder.stop()
    away(settings.root)
    other = RunningRecorder(
        replace(settings, index=settings.index.with_name("other") / "index.db")
    )
    await other.start()
    await other.stop()
    await recorder.start()
    try:
        await recorder.heard(Problem, lambda item: item.kind == "storage_other")
        assert [path.name for path in settings.root.iterdir()] == [MARKER]
        await recorder.library.accept_storage()
        await recorder.heard(Solved, lambda item: item.kind == "storage_other")
        await record(recorder, event=2, first_seq=11)
        assert [event.id for event in (await recorder.library.events()).events] == [
            event_id(CAMERA, BOOT, 2)
        ]
    finally:
        await recorder.stop()


@pytest.mark.usefixtures("impatient")
async def test_disk_is_mounted_over_in_mid_event(
    recorder: RunningRecorder,
    settings: RecordingSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is written to it or acknowledged; all of the event is in its clip when the right one is back."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    gone = away(settings.root)
    settings.root.mkdir()
    (settings.root / "lost+found").mkdir()
    for frame in sent[20:]:
        recorder.add(frame)
    await recorder.heard(Problem, lambda item: item.kind == "storage_other")
    assert [path.name for path in settings.root.iterdir()] == ["lost+found"]
    assert recorder.capture.persisted(CAMERA, BOOT) < 40
    (settings.root / "lost+found").rmdir()
    settings.root.rmdir()
    gone.rename(settings.root)
    await recorder.heard(Solved, lambda item: item.kind == "storage_other")
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert [number for _, number in recorder.shown(EVENT)] == [
        frame.seq for frame in sent
    ]


async def test_deleted_marker_is_made_again(settings: RecordingSettings) -> None:
    """On the same file system nobody is asked."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    await record(recorder)
    await recorder.stop()
    (settings.root / MARKER).unlink()
    await recorder.start()
    try:
        await record(recorder, event=2, first_seq=11)
        assert (settings.root / MARKER).exists()
        assert not [item for item in recorder.notices if isinstance(item, Problem)]
    finally:
        await recorder.stop()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("state", [None, b"", b"{nonsense"])
async def test_what_was_remembered_is_lost(
    settings: RecordingSettings, state: bytes | None
) -> None:
    """Where the index knows recordings, an empty folder is not taken for their storage; with them it is."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    await record(recorder)
    await recorder.stop()
    remembered = settings.index.with_name(STATE_FILE)
    if state is None:
        remembered.unlink()
    else:
        remembered.write_bytes(state)
    gone = away(settings.root)
    settings.root.mkdir()
    await recorder.start()
    try:
        await recorder.heard(Problem, lambda item: item.kind == "storage_other")
        assert await recorder.library.event(EVENT) is not None
        assert list(settings.root.iterdir()) == []
        settings.root.rmdir()
        gone.rename(settings.root)
        await recorder.heard(Solved, lambda item: item.kind == "storage_other")
        await record(recorder, event=2, first_seq=11)
        assert len((await recorder.library.events()).events) == 2
    finally:
        await recorder.stop()


@pytest.mark.usefixtures("impatient")
async def test_folder_is_deleted_while_it_runs(
    recorder: RunningRecorder,
    settings: RecordingSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is reported at once; what does not come back by itself is asked about, and recording begins again."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ASK_AFTER_S", 1.0)
    await record(recorder)
    await asyncio.to_thread(shutil.rmtree, settings.root)
    for frame in frames(
        10, start_ms=NOON + 120_000, first_t=120_000, event=2, first_seq=11
    ):
        recorder.add(frame, flags=FLAG_LAST if frame.seq == 20 else 0)
    await recorder.heard(Problem, lambda item: item.kind == "storage_gone")
    await recorder.heard(Problem, lambda item: item.kind == "storage_other")
    assert not settings.root.exists()
    await recorder.library.accept_storage()
    for kind in ("storage_gone", "storage_other"):
        await recorder.heard(Solved, lambda item, kind=kind: item.kind == kind)
    event = await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert event.frames == 10
    assert [item.id for item in (await recorder.library.events()).events] == [event.id]


class HungDisk:
    """Calls that reach the disk do not return until they are let go."""

    def __init__(self, patch: pytest.MonkeyPatch, root: Path) -> None:
        """Begin with a disk that answers."""
        self.answers = threading.Event()
        self.answers.set()
        self._root = os.fspath(root)
        self.calls = {"pwrite", "fdatasync", "fsync", "pread", "ftruncate"}
        self.held: list[str] = []  # calls that did not return at once
        for name in self.calls:
            patch.setattr(os, name, self._slow(name, getattr(os, name)))

    def _slow(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(file: int, *args: Any) -> Any:
            try:
                path = os.readlink(f"/proc/self/fd/{file}")
            except OSError:
                path = ""
            if (
                path.startswith(self._root)
                and name in self.calls
                and not self.answers.is_set()
            ):
                self.held.append(name)
                self.answers.wait()
            return call(file, *args)

        return slow


@pytest.fixture
def hung(
    settings: RecordingSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HungDisk]:
    """Return a disk that can be made to hang; deadlines are short."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.DEADLINE_S", 1.5)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.STOP_DEADLINE_S", 1.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.DEADLINE_S", 2.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.CHANGE_DEADLINE_S", 2.0)
    monkeypatch.setattr(f"{RECORDING}.library.backend.CLOSE_DEADLINE_S", 1.0)
    disk = HungDisk(monkeypatch, settings.root)
    yield disk
    disk.answers.set()


@pytest.mark.usefixtures("impatient")
async def test_disk_hangs_for_a_while(
    recorder: RunningRecorder, hung: HungDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, frames wait in memory, and each is in the clip once when the disk answers again."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 60.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    hung.answers.clear()
    for frame in sent[20:40]:
        recorder.add(frame)
    await recorder.heard(Problem, lambda item: item.kind == "storage_hangs")
    assert recorder.capture.persisted(CAMERA, BOOT) < 40
    hung.answers.set()
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
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("at_end", [False, True], ids=["in_mid_event", "at_its_end"])
async def test_late_answer_is_no_second_copy(
    recorder: RunningRecorder,
    hung: HungDisk,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    at_end: bool,
) -> None:
    """What a write or a sync does after it was given up is undone before the same pictures are written again."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 60.0)
    # Neither a sync nor the spool comes between.
    monkeypatch.setattr(f"{RECORDING}.capture.segment.SYNC_S", 0.05 if at_end else 1.0)
    monkeypatch.setattr(f"{RECORDING}.capture.spooling.ENCODING_S", 60.0)
    monkeypatch.setattr(f"{RECORDING}.capture.spooling.WAITING_S", 60.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:30]:
        recorder.add(frame)
    # In the hour file, but not durable.
    await until(lambda: recorder.capture.stats.frames > 0)
    hung.calls = {call}
    if at_end:
        await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    hung.answers.clear()
    for frame in sent[30:40]:
        recorder.add(frame)
    if at_end:
        recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.heard(Problem, lambda item: item.kind == "storage_hangs")
    assert hung.held == [call]
    hung.answers.set()
    await recorder.heard(Solved, lambda item: item.kind == "storage_hangs")
    for frame in sent[40:]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) >= 59)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await until(
        lambda: any(
            item.event.frames == 60
            for item in recorder.notices
            if isinstance(item, ClipReady)
        )
    )
    assert [number for _, number in recorder.shown(EVENT)] == [
        frame.seq for frame in sent
    ]


@pytest.mark.usefixtures("impatient")
async def test_late_answer_does_not_reach_a_successor(
    settings: RecordingSettings, hung: HungDisk
) -> None:
    """Stopped while the disk hangs and started again: what was begun ends before anything new begins."""
    first = RunningRecorder(settings)
    await first.start()
    sent = list(frames(40, start_ms=NOON))
    for frame in sent[:20]:
        first.add(frame)
    await until(lambda: first.capture.persisted(CAMERA, BOOT) > 0)
    hung.calls = {"pwrite"}
    hung.answers.clear()
    for frame in sent[20:30]:
        first.add(frame)
    await until(lambda: bool(hung.held))
    async with asyncio.timeout(20):
        await first.stop()
    held = len(hung.held)
    second = RunningRecorder(settings)
    with pytest.raises((StorageFailed, OSError), match="does not answer"):
        await second.start()
    await second.library.close()
    assert len(hung.held) == held
    hung.answers.set()
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
        persisted = third.capture.persisted(CAMERA, BOOT)
        for frame in sent[persisted:]:
            third.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
        await until(
            lambda: any(
                item.event.frames == 40
                for item in third.notices
                if isinstance(item, ClipReady)
            )
        )
        shown = [number for _, number in third.shown(EVENT)]
        assert shown == [frame.seq for frame in sent]
    finally:
        await third.stop()


@pytest.mark.usefixtures("impatient")
async def test_disk_that_hung_at_the_start_answers_after_the_stop(
    settings: RecordingSettings, hung: HungDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to be started stays stopped, and says nothing more."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder._START_S", 0.1)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.DEADLINE_S", 60.0)
    begun, ended = threading.Event(), threading.Event()

    def slow(root: Path, found: Found) -> None:
        begun.set()
        hung.answers.wait()
        read_spools(root, found)
        ended.set()

    monkeypatch.setattr(f"{RECORDING}.capture.recorder.read_spools", slow)
    recorder = RunningRecorder(settings)
    hung.calls = set()
    hung.answers.clear()
    starting = asyncio.create_task(recorder.start())
    await until(begun.is_set)
    async with asyncio.timeout(20):
        await recorder.stop()
    hung.answers.set()
    await until(ended.is_set)
    await asyncio.gather(starting, return_exceptions=True)
    assert not [
        task for task in asyncio.all_tasks() if task.get_name().startswith("recorder")
    ]


@pytest.mark.usefixtures("impatient")
async def test_cameras_are_released_from_a_disk_that_hangs(
    recorder: RunningRecorder, hung: HungDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited too long is given up and counted: acknowledged is what is in the clip or lost."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 60.0)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.STORAGE_PATIENCE_S", 1.0)
    sent = list(frames(60, start_ms=NOON))
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    hung.answers.clear()
    for frame in sent[20:40]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 40)
    lost = recorder.capture.stats.drops["storage"]
    assert lost >= 20
    hung.answers.set()
    await recorder.heard(Solved, lambda item: item.kind == "storage_hangs")
    for frame in sent[40:]:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    shown = [number for _, number in recorder.shown(EVENT)]
    assert len(shown) == len(set(shown)) == event.frames
    assert event.lost == lost
    assert event.frames + event.lost == 60


@pytest.mark.usefixtures("impatient")
async def test_stop_and_answers_while_the_disk_hangs(
    settings: RecordingSettings, hung: HungDisk
) -> None:
    """Protecting is answered with a sentence, and both are stopped in bounded time."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    await record(recorder)
    for frame in frames(10, start_ms=NOON + 300_000, event=3, first_seq=100):
        recorder.add(frame)
    await until(lambda: recorder.capture.stats.frames > 10)
    hung.answers.clear()
    with pytest.raises(StorageFailed, match="does not answer"):
        await recorder.library.protect(EVENT, True)
    assert await recorder.library.event(EVENT) is not None
    async with asyncio.timeout(20):
        await recorder.stop()
    hung.answers.set()
    await asyncio.sleep(0.1)


@pytest.mark.usefixtures("impatient")
async def test_refused_rename_is_reported(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thumbnail that cannot be put in place is no secret; recording goes on."""
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp" and ".jpg" in self.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        await record(recorder)
        await recorder.heard(Problem, lambda item: item.kind == "storage_refuses")
    # As long as a removal is refused, a picture that was written changes nothing
    recorder.library._removal.refused = "no permission"
    await record(recorder, event=2, first_seq=11)
    assert not [item for item in recorder.notices if isinstance(item, Solved)]
    recorder.library._removal.refused = None
    await record(recorder, event=3, first_seq=21)
    await recorder.heard(Solved, lambda item: item.kind == "storage_refuses")
    assert len(await recorder.heard(ClipReady, count=3)) == 3


@pytest.mark.parametrize("protected", [True, False])
async def test_full_disk_says_what_fills_it(
    settings: RecordingSettings, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """Without any motion: protected recordings, or files of others."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.2)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.IDLE_CHECK_S", 0.2)
    recorder = RunningRecorder(settings)
    await recorder.start()
    try:
        await record(recorder)
        if protected:
            await recorder.library.protect(EVENT, True)
        recorder.change(free_space_floor=1 << 60)
        kind = "only_protected_left" if protected else "storage_taken"
        (problem,) = await recorder.heard(Problem, lambda item: item.kind == kind)
        assert ("1 protected" in problem.detail) == protected
        assert "other files" in problem.detail
    finally:
        await recorder.stop()


@pytest.mark.usefixtures("impatient")
async def test_hang_is_seen_by_the_library_first(
    settings: RecordingSettings, hung: HungDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is recorded, too, a disk that does not answer is no disk that is gone."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.1)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.IDLE_CHECK_S", 0.1)
    recorder = RunningRecorder(settings)
    await recorder.start()

    def usage(_: Path) -> Any:
        hung.answers.wait()
        return shutil.disk_usage("/")

    monkeypatch.setattr(recorder.library._backend, "_disk_usage", usage)
    try:
        hung.answers.clear()
        (problem,) = await recorder.heard(Problem)
        assert problem == Problem("storage_hangs", "the storage does not answer")
        hung.answers.set()
        await recorder.heard(Solved, lambda item: item.kind == "storage_hangs")
    finally:
        await recorder.stop()


async def test_nothing_more_is_begun_while_work_is_overdue(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither beside it nor before what it did late is undone: the same pictures would be there twice."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.DEADLINE_S", 0.2)
    disk = recorder.capture._disk
    answers, undo = threading.Event(), threading.Event()
    done: list[str] = []
    with pytest.raises(DiskHangs) as overdue:
        await disk.run(answers.wait)
    assert overdue.value.running
    disk.run_after([overdue.value.running], undo.wait)
    with pytest.raises(DiskHangs):
        await disk.run(lambda: done.append("beside"))
    answers.set()
    await until(overdue.value.running.done)
    with pytest.raises(DiskHangs):
        await disk.run(lambda: done.append("before it is undone"))
    undo.set()
    await until(lambda: not disk.hangs)
    await disk.run(lambda: done.append("after"))
    assert done == ["after"]


@pytest.mark.usefixtures("impatient")
async def test_hang_in_the_middle_of_a_removal(
    recorder: RunningRecorder, hung: HungDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the recorder asks of the library may hang behind work without a deadline."""
    await record(recorder)
    monkeypatch.setattr(f"{RECORDING}.library.library.CHANGE_DEADLINE_S", 0.5)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.1)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.IDLE_CHECK_S", 0.1)

    def rewrite(*_: Any) -> int:
        hung.answers.wait()
        return 0

    monkeypatch.setattr(recorder.library._removal, "_rewrite", rewrite)
    hung.answers.clear()
    recorder.change(free_space_floor=1 << 60)
    (problem,) = await recorder.heard(Problem)
    assert problem == Problem("storage_hangs", "the storage does not answer")


def open_below(root: Path) -> list[str]:
    """Return what this process has open below a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(link))
    return [name for name in found if name.startswith(os.fspath(root))]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
async def test_nothing_stays_open_after_a_hang_through_the_stop(
    settings: RecordingSettings, hung: HungDisk, call: str
) -> None:
    """The thread that was left behind closes its file once the disk answers, although nobody is there any more."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 0)
    hung.calls = {call}
    hung.answers.clear()
    for frame in frames(20, start_ms=NOON + 2000, first_t=2000, first_seq=21):
        recorder.add(frame)
    await until(lambda: bool(hung.held))
    async with asyncio.timeout(20):
        await recorder.stop()
    assert open_below(settings.root)
    hung.answers.set()
    await until(lambda: not open_below(settings.root), timeout=10)


def _forget(marker: Path) -> None:
    marker.unlink()


def _empty(marker: Path) -> None:
    marker.unlink()
    marker.write_bytes(b"")


def _spoil(marker: Path) -> None:
    marker.unlink()
    marker.write_bytes(b"[" * 100_000)


def _fold(marker: Path) -> None:
    marker.unlink()
    marker.mkdir()


@pytest.mark.parametrize("damage", [_forget, _empty, _spoil, _fold])
async def test_marker_is_damaged_in_mid_event(
    recorder: RunningRecorder, settings: RecordingSettings, damage: Any
) -> None:
    """The recordings are where they were: the marker is made again, and nobody is asked."""
    await record(recorder)
    sent = list(
        frames(40, start_ms=NOON + 120_000, first_t=120_000, event=2, first_seq=11)
    )
    for frame in sent[:20]:
        recorder.add(frame)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) > 10)
    before = (settings.root / MARKER).read_bytes()
    damage(settings.root / MARKER)
    for frame in sent[20:]:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 2)
    name = event_id(CAMERA, BOOT, 2)
    await recorder.clip(name)
    assert [number for _, number in recorder.shown(name)] == [f.seq for f in sent]
    assert (settings.root / MARKER).read_bytes() == before
    assert not [item for item in recorder.notices if isinstance(item, Problem)]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
async def test_full_although_there_is_room(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A quota, or no more inodes: the oldest recordings make room for the new ones."""
    await record(recorder)
    (old,) = recorder.files()
    probe, pwrite = DiskHealth._probe, os.pwrite

    def refuse() -> None:
        if (recorder.settings.root / old).exists():
            raise OSError(number, os.strerror(number))

    def try_it(self: DiskHealth) -> None:
        refuse()
        probe(self)

    def write(file: int, data: Any, offset: int) -> int:
        refuse()
        return pwrite(file, data, offset)

    monkeypatch.setattr(DiskHealth, "_probe", try_it)
    monkeypatch.setattr(os, "pwrite", write)
    hours = 3 * 3600 * 1000
    sent = list(frames(10, start_ms=NOON + hours, first_t=hours, event=2, first_seq=11))
    for frame in sent:
        recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    await recorder.heard(Problem, lambda item: item.kind == "storage_full")
    await recorder.heard(Solved, lambda item: item.kind == "storage_full")
    event = await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert event.frames == 10
    assert [item.id for item in (await recorder.library.events()).events] == [event.id]
