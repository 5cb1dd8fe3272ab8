"""Frames in, events out: times, order, numbers, endings."""

import asyncio
from datetime import UTC, datetime
import json
from pathlib import Path
import subprocess
import threading

import pytest

from custom_components.magicpi_nvr.recording.capture import (
    ClipReady,
    EventDropped,
    EventStarted,
)
from custom_components.magicpi_nvr.recording.files import replace_file
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import (
    FLAG_LAST,
    FLAG_PRE_ROLL,
    FLAG_WARMING_UP,
)
from tests.harness.pictures import BOOT, CAMERA, RECORDING, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


async def test_every_frame_once_at_its_time(recorder: RunningRecorder) -> None:
    """A burst of 100 pre-roll frames in one second and a live tail: all there, each at its capture time."""
    sent = list(frames(130, start_ms=NOON, step_ms=97))
    for frame in sent[:100]:
        assert recorder.add(frame, flags=FLAG_PRE_ROLL)
    for frame in sent[100:]:
        await asyncio.sleep(0.02)
        assert recorder.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    event = await recorder.clip()

    assert [number for _, number in recorder.shown(EVENT)] == [f.seq for f in sent]
    assert all(
        abs(at - frame.captured_ms) <= 2
        for (at, _), frame in zip(recorder.shown(EVENT), sent, strict=True)
    )
    assert (event.id, event.frames, event.start_ms) == (EVENT, 130, NOON)
    assert event.path == "AA-BB-CC-DD-EE-01/2026-11-22/13.mp4"
    assert await recorder.library.event(EVENT) == event
    assert recorder.capture.persisted(CAMERA, BOOT) == 130
    assert not recorder.spools()
    assert recorder.capture.stats.memory == recorder.capture.stats.queue == 0


async def test_file_plays_everywhere(recorder: RunningRecorder) -> None:
    """Profile, pixel format and range are what browsers play, and ffprobe finds nothing to complain about."""
    for event in (1, 2):
        for frame in frames(
            25, start_ms=NOON + event * 10_000, event=event, first_seq=event * 100
        ):
            recorder.add(frame)
        recorder.capture.end_event(CAMERA, BOOT, event)
    await recorder.heard(ClipReady, count=2)
    (path,) = recorder.files()
    probe = await asyncio.to_thread(
        subprocess.run,
        (
            *("ffprobe", "-v", "warning", "-of", "json", "-count_frames"),
            *("-show_streams", "-show_entries", "packet=pts,dts,flags"),
            str(recorder.settings.root / path),
        ),
        capture_output=True,
        check=True,
    )
    assert probe.stderr == b""
    found = json.loads(probe.stdout)
    (stream,) = found["streams"]
    assert stream["nb_read_frames"] == "50"
    assert (stream["codec_name"], stream["pix_fmt"], stream["color_range"]) == (
        "h264",
        "yuv420p",
        "tv",
    )
    times = [int(packet["dts"]) for packet in found["packets"]]
    assert times == sorted(set(times))
    file = recorder.files()[path]
    assert file.is_closed
    for segment in file.segments:
        first, *_ = segment.frames()
        assert first.sync
        assert all(
            fragment.next_dts - fragment.dts <= 90_000 for fragment in segment.fragments
        )


async def test_notices_in_order(recorder: RunningRecorder) -> None:
    """The clip is announced once the library knows it, with its picture."""
    for frame in frames(12, start_ms=NOON):
        recorder.add(frame, reason="manual")
    recorder.capture.end_event(CAMERA, BOOT, 1, lost=3)
    event = await recorder.clip()
    assert [type(item) for item in recorder.notices] == [EventStarted, ClipReady]
    assert event == await recorder.library.event(EVENT)
    assert (event.state, event.reason, event.lost) == ("ready", "manual", 3)
    assert event.thumbnail == "AA-BB-CC-DD-EE-01/2026-11-22/13-" + EVENT + ".jpg"
    assert (recorder.settings.root / event.thumbnail).read_bytes() in {
        frame.jpeg for frame in frames(12, start_ms=NOON)
    }


async def test_picture_as_sent_and_not_while_warming_up(
    recorder: RunningRecorder,
) -> None:
    """Neither a frame of a sensor that warms up nor one of the first three stands for the event."""
    sent = list(frames(8, start_ms=NOON))
    for i, frame in enumerate(sent):
        recorder.add(frame, flags=FLAG_WARMING_UP if i in (0, 1, 5) else 0)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert event.thumbnail
    stored = (recorder.settings.root / event.thumbnail).read_bytes()
    assert stored in {frame.jpeg for frame in (sent[3], sent[4], sent[6], sent[7])}


async def test_event_ends_while_its_first_picture_is_written(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last picture waits for it, so that the earlier one does not come after it."""
    second, moved = threading.Event(), threading.Event()
    calls = 0
    overtaken: list[bool] = []

    class SlowOnce(Path):
        def replace(self, target: Path) -> Path:
            nonlocal calls
            if ".jpg" in self.name:
                calls += 1
                if calls > 1:
                    second.set()
                    overtaken.append(not moved.is_set())
                else:
                    second.wait(1)
            path = super().replace(target)
            moved.set()
            return path

    monkeypatch.setattr(f"{RECORDING}.capture.schedule._FIRST_THUMBNAIL_S", 0.0)
    monkeypatch.setattr(
        f"{RECORDING}.capture.schedule.replace_file",
        lambda path, data: replace_file(SlowOnce(path), data),
    )
    for frame in frames(20, start_ms=NOON):
        recorder.add(frame)
    await until(lambda: calls)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert event.thumbnail
    assert not any(overtaken)
    assert [type(item) for item in recorder.notices] == [EventStarted, ClipReady]


async def test_doubles_and_strange_times(recorder: RunningRecorder) -> None:
    """Doubles are taken once, times that do not increase are moved by a millisecond, absurd ones refused."""
    one, two, three, four, five = frames(5, start_ms=NOON)
    assert recorder.add(one)
    assert recorder.add(one)
    backward = type(two)(**{**_fields(two), "t": one.t - 50})
    assert recorder.add(backward)
    assert recorder.add(three)
    absurd = type(four)(**{**_fields(four), "t": four.t + 10**12})
    assert not recorder.add(absurd)
    assert recorder.add(five, flags=FLAG_LAST)
    await recorder.clip()
    assert [number for _, number in recorder.shown(EVENT)] == [1, 2, 3, 5]
    assert [at - NOON for at, _ in recorder.shown(EVENT)] == [0, 1, 200, 400]
    stats = recorder.capture.stats
    assert (stats.duplicates, stats.nudged, stats.drops) == (1, 1, {"time": 1})
    assert recorder.capture.persisted(CAMERA, BOOT) == 5


async def test_frames_out_of_order(recorder: RunningRecorder) -> None:
    """What comes after newer frames is stored in its place in time, once."""
    sent = list(frames(40, start_ms=NOON))
    for frame in (*sent[:10], *sent[20:], *sent[10:20]):
        assert recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    shown = recorder.shown(EVENT)
    assert sorted(shown, key=lambda item: item[1]) == [
        (frame.captured_ms, frame.seq) for frame in sent
    ]
    assert shown == sorted(shown, key=lambda item: item[1])
    assert len(recorder.segments(EVENT)) == 2


async def test_size_changes_in_mid_event(recorder: RunningRecorder) -> None:
    """The rest of the event goes to another part in its own size; the event is one."""
    small = list(frames(10, start_ms=NOON))
    large = list(
        frames(
            10, start_ms=NOON + 1000, first_seq=11, first_t=6000, width=320, height=240
        )
    )
    for frame in (*small, *large):
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    files = recorder.files()
    assert [recorder.hour(path).stem for path in files] == ["13", "13-2"]
    assert [(file.config.width, file.config.height) for file in files.values()] == [
        (160, 120),
        (320, 240),
    ]
    assert (event.frames, event.path) == (20, "AA-BB-CC-DD-EE-01/2026-11-22/13.mp4")
    assert [number for _, number in recorder.shown(EVENT)] == list(range(1, 21))
    # And back: each part is appended to again.
    for frame in frames(5, start_ms=NOON + 5000, first_seq=50, event=2):
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 2)
    again = await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert again.path == event.path


async def test_ends_when_the_camera_is_gone(
    recorder: RunningRecorder, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that left may come back and go on; after the grace the event ends without it."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    sent = list(frames(20, start_ms=NOON))
    for frame in sent[:10]:
        recorder.add(frame)
    recorder.capture.camera_left(CAMERA, BOOT)
    for frame in sent[10:]:
        recorder.add(frame)
    await asyncio.sleep(1.0)
    assert not [item for item in recorder.notices if isinstance(item, ClipReady)]
    recorder.capture.camera_left(CAMERA, BOOT)
    event = await recorder.clip()
    assert event.frames == 20
    assert len(recorder.segments(EVENT)) == 1


async def test_ends_by_silence(recorder: RunningRecorder, impatient: None) -> None:
    """An event whose end nobody reported ends all the same."""
    for frame in frames(5, start_ms=NOON):
        recorder.add(frame)
    assert (await recorder.clip()).frames == 5


async def test_ends_with_the_next_boot(recorder: RunningRecorder) -> None:
    """The camera that restarted in mid-event does not go on with it."""
    for frame in frames(5, start_ms=NOON):
        recorder.add(frame)
    for frame in frames(5, start_ms=NOON + 3000, boot=BOOT + 1, first_t=100):
        recorder.add(frame)
    await recorder.clip(EVENT)
    recorder.capture.end_event(CAMERA, BOOT + 1, 1)
    await recorder.clip(event_id(CAMERA, BOOT + 1, 1))
    assert recorder.capture.persisted(CAMERA, BOOT) == 5
    assert recorder.capture.persisted(CAMERA, BOOT + 1) == 5


async def test_late_frames_open_the_event_again(
    recorder: RunningRecorder, impatient: None
) -> None:
    """Frames that come after the end are added to the same event, in the hour in which it began."""
    sent = list(frames(20, start_ms=NOON))
    for frame in sent[:10]:
        recorder.add(frame, flags=FLAG_LAST if frame is sent[9] else 0)
    await recorder.clip(EVENT)
    for frame in sent[10:]:
        recorder.add(frame)
    event = await recorder.clip(EVENT, count=2)
    assert event.frames == 20
    assert recorder.shown(EVENT) == [(frame.captured_ms, frame.seq) for frame in sent]
    assert [segment.header.number for _, segment in recorder.segments(EVENT)] == [0, 1]


async def test_event_of_nothing_but_damage(
    recorder: RunningRecorder, impatient: None
) -> None:
    """What ffmpeg makes nothing of is counted and acknowledged; no clip is announced."""
    good = list(frames(1, start_ms=NOON, event=2, first_seq=100))
    recorder.add(good[0], flags=FLAG_LAST)
    await recorder.clip()
    broken = [
        type(frame)(**{**_fields(frame), "jpeg": b"\xff\xd8 no picture \xff\xd9"})
        for frame in frames(2, start_ms=NOON + 60_000, event=3, first_seq=101)
    ]
    for frame in broken:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 3)
    # Only while something else is encoded well are frames given up.
    stats = recorder.capture.stats

    def is_dropped() -> bool:
        return any(isinstance(item, EventDropped) for item in recorder.notices)

    for number in range(4, 40):
        for frame in frames(
            1, start_ms=NOON + number * 1000, event=number, first_seq=100 + number
        ):
            recorder.add(frame, flags=FLAG_LAST)
        await recorder.clip(event_id(CAMERA, BOOT, number))
        failures = stats.encoder_failures
        await until(
            lambda failures=failures: is_dropped() or stats.encoder_failures > failures
        )
        if is_dropped():
            break
    await recorder.heard(EventDropped)
    assert recorder.capture.stats.drops["undecodable"] == 2


async def test_one_damaged_picture_among_good_ones(recorder: RunningRecorder) -> None:
    """A picture that cannot be decoded is left out and counted; all others keep their times."""
    sent = list(frames(20, start_ms=NOON))
    for i, frame in enumerate(sent):
        damaged = type(frame)(
            **{**_fields(frame), "jpeg": b"\xff\xd8" + bytes(500) + b"\xff\xd9"}
        )
        recorder.add(damaged if i == 7 else frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert recorder.shown(EVENT) == [
        (frame.captured_ms, frame.seq) for i, frame in enumerate(sent) if i != 7
    ]
    assert recorder.capture.stats.drops == {"undecodable": 1}
    assert event.frames == 19
    assert recorder.capture.persisted(CAMERA, BOOT) == 20


async def test_more_events_than_encoders(recorder: RunningRecorder) -> None:
    """Twenty cameras wake at once: two encoders run, the rest waits safely on disk, nothing is lost."""
    cameras = [f"AA:BB:CC:DD:EE:{i:02X}" for i in range(20)]
    most = 0
    for i in range(15):
        for camera in cameras:
            (frame,) = frames(
                1,
                start_ms=NOON + i * 100,
                first_t=5000 + i * 100,
                first_seq=i + 1,
                camera=camera,
            )
            assert recorder.add(frame)
        await asyncio.sleep(0.1)
        most = max(most, recorder.capture.stats.encoders)
    await until(
        lambda: all(recorder.capture.persisted(camera, BOOT) >= 1 for camera in cameras)
    )
    assert recorder.spools()
    for camera in cameras:
        recorder.capture.end_event(camera, BOOT, 1)
    await recorder.heard(ClipReady, count=20)
    assert most == 2
    for camera in cameras:
        shown = recorder.shown(event_id(camera, BOOT, 1))
        assert shown == [(NOON + i * 100, i + 1) for i in range(15)]
    assert not recorder.spools()
    assert recorder.capture.stats.memory == 0


async def test_memory_is_bounded(recorder: RunningRecorder) -> None:
    """Where neither encoder nor disk keeps up, frames are refused and counted, not piled up."""
    jpeg = next(frames(1, start_ms=NOON)).jpeg
    recorder.change(memory_limit=20 * len(jpeg), max_encoders=0)
    taken = [recorder.add(frame) for frame in frames(40, start_ms=NOON)]
    assert taken.count(False) > 20
    assert recorder.capture.stats.memory <= 20 * len(jpeg)
    assert recorder.capture.stats.drops["memory"] == taken.count(False)
    recorder.change(max_encoders=1)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert len(recorder.shown(EVENT)) == taken.count(True)


def _fields(frame: object) -> dict[str, object]:
    return {name: getattr(frame, name) for name in frame.__slots__}  # type: ignore[attr-defined]
