"""What the recorder writes is what the library reads, while it is written and after."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from custom_components.magicpi_nvr.recording.capture import EventStarted
from custom_components.magicpi_nvr.recording.errors import EventBusy
from custom_components.magicpi_nvr.recording.library.index import Index
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, ClipSpec
from tests.harness.library import index_of
from tests.harness.pictures import BOOT, CAMERA, frames, numbers
from tests.harness.recorder import RunningRecorder

from .test_playback import probe

START = int(datetime(2026, 11, 22, 12, 5, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


def same_as_rebuilt(recorder: RunningRecorder) -> bool:
    """Whether the index holds what the files say."""
    index = Index(recorder.settings.index.with_name("fresh"), recorder.settings.root)
    index.open()
    index.fill()
    fresh = index.contents()
    index.close()
    return fresh == index_of(recorder.library).contents()


async def test_clips_of_a_recorder(recorder: RunningRecorder, tmp_path: Path) -> None:
    """Every frame at its time, also across a change of size, and all of it as a rebuild finds it."""
    sent = [
        *frames(30, start_ms=START, step_ms=97),
        *frames(
            30,
            start_ms=START + 3000,
            first_t=8000,
            first_seq=31,
            width=320,
            height=240,
        ),
    ]
    for frame in sent:
        recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    event = await recorder.clip()
    assert len({path for path, _ in recorder.segments(EVENT)}) == 2
    clip = await recorder.library.clip(ClipSpec.event(EVENT))
    path = tmp_path / "clip.mp4"
    path.write_bytes(await probe(clip, tmp_path))
    shown = numbers(path)
    assert [number for _, number in shown] == [frame.seq for frame in sent]
    assert all(
        abs(at - (frame.captured_ms - START)) <= 2
        for (at, _), frame in zip(shown, sent, strict=True)
    )
    assert clip.frames == event.frames
    assert same_as_rebuilt(recorder)


async def test_clip_of_a_running_event(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    """It can be watched, cannot be deleted, and others of its hour go when it has ended."""
    first = list(frames(20, start_ms=START - 60_000, event=1))
    for frame in first:
        recorder.add(frame, flags=FLAG_LAST if frame is first[-1] else 0)
    done = await recorder.clip()
    sent = list(frames(60, start_ms=START, event=2, first_seq=101, first_t=65_000))
    for frame in sent[:40]:
        recorder.add(frame)
    started = await recorder.heard(EventStarted, lambda item: item.event.id != done.id)
    running = started[0].event.id
    async with asyncio.timeout(30):
        while (
            known := await recorder.library.event(running)
        ) is None or not known.frames:
            await asyncio.sleep(0.02)
    assert known.state == "recording"
    with pytest.raises(EventBusy):
        await recorder.library.delete(running)
    early = await recorder.library.clip(ClipSpec.event(running))
    await probe(early, tmp_path)
    assert 0 < early.frames <= 40
    for frame in sent[40:]:
        recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    await recorder.clip(running)
    late = await recorder.library.clip(ClipSpec.event(running))
    await probe(late, tmp_path)
    assert late.frames == 60
    await recorder.library.delete(done.id)
    again = await recorder.library.clip(ClipSpec.event(running))
    assert again.etag == late.etag
    more = list(
        frames(10, start_ms=START + 60_000, event=3, first_seq=201, first_t=125_000)
    )
    for frame in more:
        recorder.add(frame, flags=FLAG_LAST if frame is more[-1] else 0)
    assert (await recorder.clip(event_id(CAMERA, BOOT, 3))).path == done.path
    assert same_as_rebuilt(recorder)
