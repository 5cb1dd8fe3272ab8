"""One camera that asks for too much gets no more than its part, and the others get theirs."""

import asyncio
from datetime import UTC, datetime

import pytest

from custom_components.magicpi_nvr.recording.capture import ClipReady, FrameGivenUp
from custom_components.magicpi_nvr.recording.capture.event import SeqRanges
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, RecordingSettings
from tests.harness.pictures import BOOT, CAMERA, RECORDING, Frame, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
OTHER = "AA:BB:CC:DD:EE:02"


def events(count: int, first: int = 1) -> list[Frame]:
    """Return frames each of which is an event of its own."""
    return [
        next(
            frames(
                1,
                start_ms=NOON + number * 100,
                first_t=5000 + number * 100,
                first_seq=number,
                event=number,
            )
        )
        for number in range(first, first + count)
    ]


async def test_events_are_bounded(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that would open one event too many is refused and counted; what is open goes on, others may open theirs."""
    monkeypatch.setattr(f"{RECORDING}.capture.admission.MAX_UNFINISHED", 5)
    recorder.change(max_encoders=0)
    flood = events(20)
    assert [recorder.add(frame, flags=FLAG_LAST) for frame in flood].count(True) == 5
    assert recorder.capture.stats.drops == {"events": 15}
    assert recorder.remembered() == 5
    (more,) = frames(1, start_ms=NOON + 700, first_t=5700, first_seq=21, event=5)
    assert recorder.add(more, flags=FLAG_LAST)
    assert recorder.add(next(frames(1, start_ms=NOON, camera=OTHER)), flags=FLAG_LAST)
    await until(lambda: recorder.capture.persisted(CAMERA, BOOT) == 21)
    recorder.change(max_encoders=1)
    await recorder.heard(ClipReady, count=6)
    assert all(recorder.add(frame, flags=FLAG_LAST) for frame in events(5, first=30))
    await recorder.heard(ClipReady, count=11)
    assert recorder.shown(event_id(CAMERA, BOOT, 5)) == [
        (NOON + 500, 5),
        (NOON + 700, 21),
    ]
    # A finished one that goes on is one more, too.
    assert all(recorder.add(frame) for frame in events(5, first=40))
    again = next(frames(1, start_ms=NOON, first_t=5800, first_seq=50, event=5))
    assert not recorder.add(again)
    assert recorder.add(flood[0])
    assert recorder.capture.stats.duplicates == 1


async def test_finished_events_are_forgotten_per_camera(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera's many events do not make the recorder forget those of another."""
    monkeypatch.setattr(f"{RECORDING}.capture.schedule.FINISHED_KEPT", 3)
    own = next(frames(1, start_ms=NOON, camera=OTHER))
    assert recorder.add(own, flags=FLAG_LAST)
    await recorder.clip()
    for frame in events(8):
        recorder.add(frame, flags=FLAG_LAST)
    await recorder.heard(ClipReady, count=9)
    assert recorder.remembered() == 4
    assert recorder.add(own)
    assert recorder.capture.stats.duplicates == 1


async def test_encoders_go_round(recorder: RunningRecorder) -> None:
    """Behind a camera with many events another one waits for one of them, not for all."""
    recorder.change(max_encoders=1)
    for frame in events(12):
        recorder.add(frame, flags=FLAG_LAST)
    own = list(frames(5, start_ms=NOON + 60_000, camera=OTHER))
    for frame in own:
        recorder.add(frame, flags=FLAG_LAST if frame is own[-1] else 0)
    ready = await recorder.heard(ClipReady, count=13)
    assert [item.event.camera for item in ready].index(OTHER) <= 2


async def test_endless_event_gives_way(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that never ends lets others have the encoder for a while, and loses no frame by it."""
    monkeypatch.setattr(f"{RECORDING}.capture.schedule.SLICE_S", 0.5)
    recorder.change(max_encoders=1)
    own = list(frames(5, start_ms=NOON + 60_000, camera=OTHER))
    ready = event_id(OTHER, BOOT, 1)
    sent = list(frames(100, start_ms=NOON, step_ms=50))
    for frame in sent:
        recorder.add(frame)
        if frame.seq == 20:
            for other in own:
                recorder.add(other, flags=FLAG_LAST if other is own[-1] else 0)
        await asyncio.sleep(0.05)
    assert [
        item.event.id for item in recorder.notices if isinstance(item, ClipReady)
    ] == [ready]
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip(event_id(CAMERA, BOOT, 1))
    assert recorder.shown(event_id(CAMERA, BOOT, 1)) == [
        (frame.captured_ms, frame.seq) for frame in sent
    ]


async def test_memory_is_shared(recorder: RunningRecorder) -> None:
    """While no disk takes anything a camera may fill half of the memory, and another has room in the rest."""
    size = len(next(frames(1, start_ms=NOON)).jpeg)
    limit = 60 * (size + 50)
    recorder.change(max_encoders=0, memory_limit=limit)
    taken = [recorder.add(frame) for frame in frames(100, start_ms=NOON)]
    assert 20 < taken.count(True) < 35
    other = [recorder.add(frame) for frame in frames(40, start_ms=NOON, camera=OTHER)]
    assert 10 < other.count(True) < 25
    assert recorder.capture.stats.memory <= limit
    assert recorder.capture.stats.drops == {
        "memory": taken.count(False) + other.count(False)
    }


async def test_spool_is_bounded(recorder: RunningRecorder) -> None:
    """Without encoders a camera may fill half of the spool, and another has room in the rest; then it is refused and counted."""
    size = len(next(frames(1, start_ms=NOON)).jpeg)
    limit = 60 * (size + 50)
    recorder.change(max_encoders=0, spool_limit=limit)
    taken = []
    for frame in frames(100, start_ms=NOON):
        taken.append(recorder.add(frame))
        await asyncio.sleep(0.02)
    assert 20 < taken.count(True) < 35
    assert recorder.capture.stats.drops == {"spool": taken.count(False)}
    other = [
        recorder.add(frame)
        for frame in frames(40, start_ms=NOON, camera=OTHER, first_seq=201)
    ]
    assert 10 < other.count(True) < 25
    await until(lambda: recorder.capture.stats.memory == 0)
    on_disk = sum(path.stat().st_size for path in recorder.spools())
    assert on_disk == recorder.capture.stats.spool_bytes <= limit
    await recorder.stop()
    recorder.settings = type(recorder.settings)(
        **{
            name: getattr(recorder.settings, name)
            for name in recorder.settings.__slots__
        }
    )
    await recorder.start()
    assert recorder.capture.stats.spool_bytes == on_disk
    last = next(frames(1, start_ms=NOON + 10_000, first_t=15_000, first_seq=101))
    assert not recorder.add(last)
    recorder.change(max_encoders=1)
    for camera in (CAMERA, OTHER):
        recorder.capture.end_event(camera, BOOT, 1)
    await recorder.heard(ClipReady, count=2)
    assert len(recorder.shown(event_id(CAMERA, BOOT, 1))) == taken.count(True)
    assert len(recorder.shown(event_id(OTHER, BOOT, 1))) == other.count(True)
    assert recorder.capture.stats.spool_bytes == 0
    assert recorder.add(next(frames(1, start_ms=NOON, first_seq=300, event=2)))


async def test_used_spool_of_a_long_event_is_ended(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the hour file takes no room in the spool, though the event goes on."""
    monkeypatch.setattr(f"{RECORDING}.capture.spooling.WORTH_ENDING", 0)
    recorder.change(max_encoders=0)
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
    await until(lambda: recorder.capture.stats.spool_bytes > 0)
    recorder.change(max_encoders=1)
    count = 20
    for frame in frames(200, start_ms=NOON + 2000, first_t=7000, first_seq=21):
        recorder.add(frame)
        count += 1
        await asyncio.sleep(0.1)
        if not recorder.spools():
            break
    assert recorder.capture.stats.spool_bytes == 0
    assert recorder.unfinished()
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert len(recorder.shown(event_id(CAMERA, BOOT, 1))) == count


def test_gaps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second number costs no more than a bounded list; what came lately is distinguished exactly."""
    monkeypatch.setattr(f"{RECORDING}.capture.event.MAX_RANGES", 50)
    seqs = SeqRanges()
    for seq in range(2, 1001, 2):
        seqs.add(seq, seq)
    assert len(seqs._starts) == len(seqs._ends) == 50
    assert seqs.last == 1000
    assert all(seq in seqs for seq in range(2, 1001, 2))
    assert not any(seq in seqs for seq in range(905, 1000, 2))
    for seq in range(999, 902, -2):
        seqs.add(seq, seq)
    assert (seqs._starts, seqs._ends) == ([2], [1000])


async def test_refused_frames_are_lost_to_their_event(
    recorder: RunningRecorder,
) -> None:
    """What memory cannot hold is counted for the camera, and in the event's clip."""
    sent = list(frames(20, start_ms=NOON))
    recorder.add(sent[0])
    recorder.change(memory_limit=1)
    assert not any(recorder.add(frame) for frame in sent[1:8])
    recorder.change(memory_limit=64 * 1024 * 1024)
    for frame in sent[8:]:
        assert recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    event = await recorder.clip()
    assert (event.frames, event.lost) == (13, 7)
    assert [
        (item.camera, item.reason)
        for item in recorder.notices
        if isinstance(item, FrameGivenUp)
    ] == [(CAMERA, "memory")] * 7
    found = await recorder.library.event(event.id)
    assert found is not None
    assert found.lost == 7


async def test_lost_frames_are_said_once(settings: RecordingSettings) -> None:
    """An event that ends more than once, also over a restart, does not add up what it lost."""
    recorder = RunningRecorder(settings)
    await recorder.start()
    sent = list(frames(30, start_ms=NOON))
    name = event_id(CAMERA, BOOT, 1)
    for part in range(3):
        for frame in sent[part * 10 : part * 10 + 10]:
            recorder.add(frame)
        recorder.capture.end_event(CAMERA, BOOT, 1, lost=3 + part)
        ready = await recorder.heard(
            ClipReady, lambda item, part=part: item.event.frames == part * 10 + 10
        )
        assert ready[-1].event.lost == 3 + part
        found = await recorder.library.event(name)
        assert found is not None
        assert (found.frames, found.lost) == (part * 10 + 10, 3 + part)
        if part == 1:
            await recorder.stop()
            await recorder.start()
    await recorder.library.rebuild()
    assert await recorder.library.event(name) == found
    await recorder.stop()
