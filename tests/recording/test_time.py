"""Local hours, clocks that are changed, and time zones that are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from custom_components.magicpi_nvr.recording.library.layout import (
    HourPath,
    event_id,
    hour_start_ms,
)
from custom_components.magicpi_nvr.recording.model import FLAG_LAST
from tests.harness.pictures import BOOT, CAMERA, frames
from tests.harness.recorder import RunningRecorder

HOUR = 3_600_000


def _ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


async def _record(
    recorder: RunningRecorder, number: int, at_ms: int, count: int = 5
) -> str:
    """Record an event and return its path."""
    for i, frame in enumerate(
        frames(count, start_ms=at_ms, event=number, first_seq=number * 100)
    ):
        assert recorder.add(frame, flags=FLAG_LAST if i == count - 1 else 0)
    event = await recorder.clip(event_id(CAMERA, BOOT, number))
    assert recorder.shown(event.id) == [
        (at_ms + i * 100, number * 100 + i) for i in range(count)
    ]
    return event.path.partition("/")[2]


@pytest.mark.parametrize(
    ("zone", "first", "names"),
    [
        # Autumn: the clock goes back at 01:00 UTC in Berlin, at 06:00 UTC in New York.
        (
            "Europe/Berlin",
            (2026, 10, 24, 23, 30),
            ["2026-10-25/01", "2026-10-25/02", "2026-10-25/02-2", "2026-10-25/03"],
        ),
        (
            "America/New_York",
            (2026, 11, 1, 4, 30),
            ["2026-11-01/00", "2026-11-01/01", "2026-11-01/01-2", "2026-11-01/02"],
        ),
        # Spring: an hour is left out.
        (
            "Europe/Berlin",
            (2026, 3, 29, 0, 30),
            ["2026-03-29/01", "2026-03-29/03", "2026-03-29/04", "2026-03-29/05"],
        ),
        (
            "America/New_York",
            (2026, 3, 8, 6, 30),
            ["2026-03-08/01", "2026-03-08/03", "2026-03-08/04", "2026-03-08/05"],
        ),
        # Half an hour back: 01:30 to 02:00 comes twice.
        (
            "Australia/Lord_Howe",
            (2026, 4, 4, 14, 45),
            ["2026-04-05/01", "2026-04-05/01-2", "2026-04-05/02", "2026-04-05/03"],
        ),
    ],
)
async def test_changes_of_the_clock(
    recorder: RunningRecorder, zone: str, first: tuple[int, ...], names: list[str]
) -> None:
    """An event every hour over the change, then late ones into each: nothing lost, overwritten or misplaced."""
    recorder.change(time_zone=ZoneInfo(zone))
    begin = _ms(*first)
    # Lord Howe's repeated half hour is shorter than a step of an hour.
    steps = (
        [0, 30 * 60_000, HOUR + 1_800_000, 2 * HOUR + 1_800_000]
        if "Howe" in zone
        else [i * HOUR for i in range(4)]
    )
    paths = [
        await _record(recorder, i + 1, begin + step) for i, step in enumerate(steps)
    ]
    assert paths == [f"{name}.mp4" for name in names]
    late = [
        await _record(recorder, i + 11, begin + step + 60_000)
        for i, step in enumerate(steps)
    ]
    assert late == paths
    page = await recorder.library.events(limit=100)
    assert [event.start_ms for event in page.events] == sorted(
        (begin + step + more for step in steps for more in (0, 60_000)), reverse=True
    )


async def test_event_over_the_change_stays_whole(recorder: RunningRecorder) -> None:
    """An event that began in the first of two hours of one name is not torn by the second."""
    begin = _ms(2026, 10, 25, 0, 59, 59)
    for frame in frames(40, start_ms=begin):
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert list(recorder.files()) == ["AA-BB-CC-DD-EE-01/2026-10-25/02.mp4"]
    assert event.frames == 40


async def test_another_time_zone(recorder: RunningRecorder) -> None:
    """The same hour of another time zone is another hour, and late events still find theirs."""
    at_ms = _ms(2026, 11, 22, 13, 10)
    assert await _record(recorder, 1, at_ms) == "2026-11-22/14.mp4"
    recorder.change(time_zone=ZoneInfo("America/New_York"))
    assert await _record(recorder, 2, at_ms + 6 * HOUR) == "2026-11-22/14-2.mp4"
    recorder.change(time_zone=ZoneInfo("Europe/Berlin"))
    assert await _record(recorder, 3, at_ms + 60_000) == "2026-11-22/14.mp4"
    assert {path: len(file.segments) for path, file in recorder.files().items()} == {
        "AA-BB-CC-DD-EE-01/2026-11-22/14.mp4": 2,
        "AA-BB-CC-DD-EE-01/2026-11-22/14-2.mp4": 1,
    }


async def test_zone_changes_in_mid_event(recorder: RunningRecorder) -> None:
    """An event goes on where it began."""
    sent = list(frames(30, start_ms=_ms(2026, 11, 22, 13, 10)))
    for frame in sent[:15]:
        recorder.add(frame)
    recorder.change(time_zone=ZoneInfo("Asia/Kolkata"))
    for frame in sent[15:]:
        recorder.add(frame)
    recorder.capture.end_event(CAMERA, BOOT, 1)
    await recorder.clip()
    assert list(recorder.files()) == ["AA-BB-CC-DD-EE-01/2026-11-22/14.mp4"]


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)])
async def test_clock_of_the_host_jumps(
    recorder: RunningRecorder, jump: timedelta
) -> None:
    """Within an event the camera's own clock counts, whatever the host's does."""
    begin = _ms(2026, 11, 22, 13, 10)
    sent = list(frames(20, start_ms=begin))
    for i, frame in enumerate(sent):
        shifted = frame.captured_ms + (
            jump // timedelta(milliseconds=1) if i >= 10 else 0
        )
        recorder.add(replace(frame, captured_ms=shifted))
    recorder.capture.end_event(CAMERA, BOOT, 1)
    event = await recorder.clip()
    assert recorder.shown(event.id) == [(begin + i * 100, i + 1) for i in range(20)]
    assert recorder.capture.stats.nudged == 0


async def test_frames_of_yesterday(recorder: RunningRecorder) -> None:
    """What a camera kept while the gateway was away goes to the hour in which it was captured."""
    now = _ms(2026, 11, 22, 13, 10)
    assert await _record(recorder, 1, now) == "2026-11-22/14.mp4"
    assert await _record(recorder, 2, now - 17 * HOUR) == "2026-11-21/21.mp4"
    assert await _record(recorder, 3, now - 100 * HOUR) == "2026-11-18/10.mp4"


def test_hours_of_one_name_begin_apart() -> None:
    """What tells two hours of one name from each other."""
    zone = ZoneInfo("Europe/Berlin")
    first, second = _ms(2026, 10, 25, 0, 20), _ms(2026, 10, 25, 1, 20)
    assert HourPath.at(CAMERA, first, zone) == HourPath.at(CAMERA, second, zone)
    assert hour_start_ms(second, zone) - hour_start_ms(first, zone) == HOUR
    assert hour_start_ms(first, zone) == hour_start_ms(first + 10 * 60_000, zone)
