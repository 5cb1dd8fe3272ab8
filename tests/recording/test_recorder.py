"""Frames in, events out: times, order, numbers, endings."""

import asyncio
from datetime import UTC, datetime
import json
import subprocess

import pytest

from custom_components.magicpi_nvr.recording.capture import (
    ClipReady,
    EventDropped,
    EventStarted,
)
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import (
    FLAG_LAST,
    FLAG_PRE_ROLL,
    FLAG_WARMING_UP,
)
from tests.recording.frames import RECORDING

from .conftest import Bench
from .frames import BOOT, CAMERA, frames

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
EVENT = event_id(CAMERA, BOOT, 1)


async def test_every_frame_once_at_its_time(bench: Bench) -> None:
    """A burst of 100 pre-roll frames in one second and a live tail: all there, each at its capture time."""
    sent = list(frames(130, start_ms=NOON, step_ms=97))
    for frame in sent[:100]:
        assert bench.add(frame, flags=FLAG_PRE_ROLL)
    for frame in sent[100:]:
        await asyncio.sleep(0.02)
        assert bench.add(frame, flags=FLAG_LAST if frame is sent[-1] else 0)
    event = await bench.clip()

    assert [number for _, number in bench.shown(EVENT)] == [f.seq for f in sent]
    assert all(
        abs(at - frame.captured_ms) <= 2
        for (at, _), frame in zip(bench.shown(EVENT), sent, strict=True)
    )
    assert (event.id, event.frames, event.start_ms) == (EVENT, 130, NOON)
    assert event.path == "AA-BB-CC-DD-EE-01/2026-11-22/13.mp4"
    assert await bench.library.event(EVENT) == event
    assert bench.recorder.persisted(CAMERA, BOOT) == 130
    assert not bench.spools()
    assert bench.recorder.stats.memory == bench.recorder.stats.queue == 0


async def test_file_plays_everywhere(bench: Bench) -> None:
    """Profile, pixel format and range are what browsers play, and ffprobe finds nothing to complain about."""
    for event in (1, 2):
        for frame in frames(
            25, start_ms=NOON + event * 10_000, event=event, first_seq=event * 100
        ):
            bench.add(frame)
        bench.recorder.end_event(CAMERA, BOOT, event)
    await bench.heard(ClipReady, count=2)
    (path,) = bench.files()
    probe = await asyncio.to_thread(
        subprocess.run,
        (
            *("ffprobe", "-v", "warning", "-of", "json", "-count_frames"),
            *("-show_streams", "-show_entries", "packet=pts,dts,flags"),
            str(bench.settings.root / path),
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
    file = bench.files()[path]
    assert file.is_closed
    for run in file.segments:
        first, *_ = run.frames()
        assert first.sync
        assert all(
            fragment.next_dts - fragment.dts <= 90_000 for fragment in run.fragments
        )


async def test_notices_in_order(bench: Bench) -> None:
    """The clip is announced once the library knows it, with its picture."""
    for frame in frames(12, start_ms=NOON):
        bench.add(frame, reason="manual")
    bench.recorder.end_event(CAMERA, BOOT, 1, lost=3)
    event = await bench.clip()
    assert [type(item) for item in bench.notices] == [EventStarted, ClipReady]
    assert event == await bench.library.event(EVENT)
    assert (event.state, event.reason, event.lost) == ("ready", "manual", 3)
    assert event.thumbnail == "AA-BB-CC-DD-EE-01/2026-11-22/13-" + EVENT + ".jpg"
    assert (bench.settings.root / event.thumbnail).read_bytes() in {
        frame.jpeg for frame in frames(12, start_ms=NOON)
    }


async def test_picture_as_sent_and_not_while_warming_up(bench: Bench) -> None:
    """Neither a frame of a sensor that warms up nor one of the first three stands for the event."""
    sent = list(frames(8, start_ms=NOON))
    for i, frame in enumerate(sent):
        bench.add(frame, flags=FLAG_WARMING_UP if i in (0, 1, 5) else 0)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    assert event.thumbnail
    stored = (bench.settings.root / event.thumbnail).read_bytes()
    assert stored in {frame.jpeg for frame in (sent[3], sent[4], sent[6], sent[7])}


async def test_doubles_and_strange_times(bench: Bench) -> None:
    """Doubles are taken once, times that do not increase are moved by a millisecond, absurd ones refused."""
    one, two, three, four, five = frames(5, start_ms=NOON)
    assert bench.add(one)
    assert bench.add(one)
    backward = type(two)(**{**_fields(two), "t": one.t - 50})
    assert bench.add(backward)
    assert bench.add(three)
    absurd = type(four)(**{**_fields(four), "t": four.t + 10**12})
    assert not bench.add(absurd)
    assert bench.add(five, flags=FLAG_LAST)
    await bench.clip()
    assert [number for _, number in bench.shown(EVENT)] == [1, 2, 3, 5]
    assert [at - NOON for at, _ in bench.shown(EVENT)] == [0, 1, 200, 400]
    stats = bench.recorder.stats
    assert (stats.duplicates, stats.nudged, stats.drops) == (1, 1, {"time": 1})
    assert bench.recorder.persisted(CAMERA, BOOT) == 5


async def test_frames_out_of_order(bench: Bench) -> None:
    """What comes after newer frames is stored in its place in time, once."""
    sent = list(frames(40, start_ms=NOON))
    for frame in (*sent[:10], *sent[20:], *sent[10:20]):
        assert bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    shown = bench.shown(EVENT)
    assert sorted(shown, key=lambda item: item[1]) == [
        (frame.captured_ms, frame.seq) for frame in sent
    ]
    assert shown == sorted(shown, key=lambda item: item[1])
    assert len(bench.runs(EVENT)) == 2


async def test_size_changes_in_mid_event(bench: Bench) -> None:
    """The rest of the event goes to another part in its own size; the event is one."""
    small = list(frames(10, start_ms=NOON))
    large = list(
        frames(
            10, start_ms=NOON + 1000, first_seq=11, first_t=6000, width=320, height=240
        )
    )
    for frame in (*small, *large):
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    files = bench.files()
    assert [bench.hour(path).stem for path in files] == ["13", "13-2"]
    assert [(file.config.width, file.config.height) for file in files.values()] == [
        (160, 120),
        (320, 240),
    ]
    assert (event.frames, event.path) == (20, "AA-BB-CC-DD-EE-01/2026-11-22/13.mp4")
    assert [number for _, number in bench.shown(EVENT)] == list(range(1, 21))
    # And back: each part is appended to again.
    for frame in frames(5, start_ms=NOON + 5000, first_seq=50, event=2):
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 2)
    again = await bench.clip(event_id(CAMERA, BOOT, 2))
    assert again.path == event.path


async def test_ends_when_the_camera_is_gone(
    bench: Bench, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that left may come back and go on; after the grace the event ends without it."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 30.0)
    sent = list(frames(20, start_ms=NOON))
    for frame in sent[:10]:
        bench.add(frame)
    bench.recorder.camera_left(CAMERA, BOOT)
    for frame in sent[10:]:
        bench.add(frame)
    await asyncio.sleep(1.0)
    assert not [item for item in bench.notices if isinstance(item, ClipReady)]
    bench.recorder.camera_left(CAMERA, BOOT)
    event = await bench.clip()
    assert event.frames == 20
    assert len(bench.runs(EVENT)) == 1


async def test_ends_by_silence(bench: Bench, impatient: None) -> None:
    """An event whose end nobody told ends all the same."""
    for frame in frames(5, start_ms=NOON):
        bench.add(frame)
    assert (await bench.clip()).frames == 5


async def test_ends_with_the_next_boot(bench: Bench) -> None:
    """The camera that restarted in mid-event does not go on with it."""
    for frame in frames(5, start_ms=NOON):
        bench.add(frame)
    for frame in frames(5, start_ms=NOON + 3000, boot=BOOT + 1, first_t=100):
        bench.add(frame)
    await bench.clip(EVENT)
    bench.recorder.end_event(CAMERA, BOOT + 1, 1)
    await bench.clip(event_id(CAMERA, BOOT + 1, 1))
    assert bench.recorder.persisted(CAMERA, BOOT) == 5
    assert bench.recorder.persisted(CAMERA, BOOT + 1) == 5


async def test_late_frames_open_the_event_again(bench: Bench, impatient: None) -> None:
    """Frames that come after the end are added to the same event, in the hour in which it began."""
    sent = list(frames(20, start_ms=NOON))
    for frame in sent[:10]:
        bench.add(frame, flags=FLAG_LAST if frame is sent[9] else 0)
    await bench.clip(EVENT)
    for frame in sent[10:]:
        bench.add(frame)
    event = await bench.clip(EVENT, count=2)
    assert event.frames == 20
    assert bench.shown(EVENT) == [(frame.captured_ms, frame.seq) for frame in sent]
    assert [run.header.number for _, run in bench.runs(EVENT)] == [0, 1]


async def test_event_of_nothing_but_damage(bench: Bench, impatient: None) -> None:
    """What ffmpeg makes nothing of is counted and acknowledged; no clip is announced."""
    good = list(frames(1, start_ms=NOON, event=2, first_seq=100))
    bench.add(good[0], flags=FLAG_LAST)
    await bench.clip()
    broken = [
        type(frame)(**{**_fields(frame), "jpeg": b"\xff\xd8 no picture \xff\xd9"})
        for frame in frames(2, start_ms=NOON + 60_000, event=3, first_seq=101)
    ]
    for frame in broken:
        bench.add(frame)
    bench.recorder.end_event(CAMERA, BOOT, 3)
    # Only while something else is encoded well are frames given up.
    stats = bench.recorder.stats

    def is_dropped() -> bool:
        return any(isinstance(item, EventDropped) for item in bench.notices)

    for number in range(4, 40):
        for frame in frames(
            1, start_ms=NOON + number * 1000, event=number, first_seq=100 + number
        ):
            bench.add(frame, flags=FLAG_LAST)
        await bench.clip(event_id(CAMERA, BOOT, number))
        failures = stats.encoder_failures
        await bench.until(
            lambda failures=failures: is_dropped() or stats.encoder_failures > failures
        )
        if is_dropped():
            break
    await bench.heard(EventDropped)
    assert bench.recorder.stats.drops["undecodable"] == 2


async def test_one_damaged_picture_among_good_ones(bench: Bench) -> None:
    """A picture that cannot be decoded is left out and counted; all others keep their times."""
    sent = list(frames(20, start_ms=NOON))
    for i, frame in enumerate(sent):
        damaged = type(frame)(
            **{**_fields(frame), "jpeg": b"\xff\xd8" + bytes(500) + b"\xff\xd9"}
        )
        bench.add(damaged if i == 7 else frame)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    event = await bench.clip()
    assert bench.shown(EVENT) == [
        (frame.captured_ms, frame.seq) for i, frame in enumerate(sent) if i != 7
    ]
    assert bench.recorder.stats.drops == {"undecodable": 1}
    assert event.frames == 19
    assert bench.recorder.persisted(CAMERA, BOOT) == 20


async def test_more_events_than_encoders(bench: Bench) -> None:
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
            assert bench.add(frame)
        await asyncio.sleep(0.1)
        most = max(most, bench.recorder.stats.encoders)
    await bench.until(
        lambda: all(bench.recorder.persisted(camera, BOOT) >= 1 for camera in cameras)
    )
    assert bench.spools()
    for camera in cameras:
        bench.recorder.end_event(camera, BOOT, 1)
    await bench.heard(ClipReady, count=20)
    assert most == 2
    for camera in cameras:
        shown = bench.shown(event_id(camera, BOOT, 1))
        assert shown == [(NOON + i * 100, i + 1) for i in range(15)]
    assert not bench.spools()
    assert bench.recorder.stats.memory == 0


async def test_memory_is_bounded(bench: Bench) -> None:
    """Where neither encoder nor disk keeps up, frames are refused and counted, not piled up."""
    jpeg = next(frames(1, start_ms=NOON)).jpeg
    bench.change(memory_limit=20 * len(jpeg), max_encoders=0)
    taken = [bench.add(frame) for frame in frames(40, start_ms=NOON)]
    assert taken.count(False) > 20
    assert bench.recorder.stats.memory <= 20 * len(jpeg)
    assert bench.recorder.stats.drops["memory"] == taken.count(False)
    bench.change(max_encoders=1)
    bench.recorder.end_event(CAMERA, BOOT, 1)
    await bench.clip()
    assert len(bench.shown(EVENT)) == taken.count(True)


def _fields(frame: object) -> dict[str, object]:
    return {name: getattr(frame, name) for name in frame.__slots__}  # type: ignore[attr-defined]
