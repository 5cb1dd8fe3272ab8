"""A host's clock that is wrong: nothing is removed by age because of it, and the newest is what was recorded last."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from custom_components.magicpi_nvr.recording.capture import Problem, Solved
from custom_components.magicpi_nvr.recording.errors import ClockImplausible
from custom_components.magicpi_nvr.recording.library.clock import ClockGuard
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import (
    FLAG_LAST,
    CameraRetention,
    Event,
    RecordingSettings,
)
from custom_components.magicpi_nvr.recording.state import State
from tests.harness.pictures import BOOT, CAMERA, RECORDING, frames
from tests.harness.recorder import Clocks, RunningRecorder

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC


class RecorderWithClocks(RunningRecorder):
    """A recorder whose clocks a test sets."""

    clocks: Clocks

    async def record(self, number: int, *, start_ms: int | None = None) -> Event:
        """Record one event now, or as a camera that says another time."""
        start_ms = self.clocks.wall_ms if start_ms is None else start_ms
        for frame in frames(
            5, start_ms=start_ms, event=number, first_seq=number * 10, first_t=5000
        ):
            self.add(frame, flags=FLAG_LAST if frame.seq == number * 10 + 4 else 0)
        return await self.clip(event_id(CAMERA, BOOT, number))

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def ids(self) -> set[int]:
        """Return the numbers of the events that are there."""
        page = await self.library.events()
        return {int(event.id.rpartition("-")[2]) for event in page.events}


@pytest.fixture
async def clocked(
    settings: RecordingSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RecorderWithClocks]:
    """Return a running recorder with clocks."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.1)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.IDLE_CHECK_S", 0.1)
    recorder = RecorderWithClocks(settings, clocks=Clocks())
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.mark.parametrize("days", [3, 30, 4000])
async def test_clock_ahead_at_the_start(clocked: RecorderWithClocks, days: int) -> None:
    """Nothing goes by age, it is reported once, size still counts; once confirmed, age counts again."""
    await clocked.record(1)
    await clocked.record(2)
    await clocked.stop()
    clocked.clocks.set(days * DAY)
    await clocked.start()
    (problem,) = await clocked.heard(Problem)
    assert problem.kind == "clock_implausible"
    assert problem.detail == f"{days:.1f} days ahead"
    assert (await clocked.library.purge()).events == ()
    with pytest.raises(ClockImplausible):
        await clocked.library.purge(older_than_ms=clocked.clocks.wall_ms)
    assert await clocked.ids() == {1, 2}
    first = await clocked.library.event(event_id(CAMERA, BOOT, 1))
    assert first is not None
    clocked.change(cameras={CAMERA: CameraRetention(max_bytes=first.size * 2)})
    assert [event.id for event in (await clocked.library.purge()).events] == [first.id]
    clocked.change(cameras={}, retention_days=2)
    await clocked.library.confirm_clock()
    await clocked.heard(Solved, lambda item: item.kind == "clock_implausible")
    await clocked.library.purge()
    assert await clocked.ids() == set()


async def test_clock_that_comes_back_needs_no_answer(
    clocked: RecorderWithClocks,
) -> None:
    """Network time sets the clock: the rules of age go on by themselves, with what was good before."""
    await clocked.record(1)
    await clocked.stop()
    clocked.clocks.set(30 * DAY)
    await clocked.start()
    await clocked.heard(Problem, lambda item: item.kind == "clock_implausible")
    clocked.clocks.set(-30 * DAY)
    await clocked.heard(Solved, lambda item: item.kind == "clock_implausible")
    clocked.clocks.sleep(8 * DAY)
    assert len((await clocked.library.purge()).events) == 1


async def test_start_without_a_clock(clocked: RecorderWithClocks) -> None:
    """What was filed months back stays for seven days that really pass, over restarts; the rest goes by its date."""
    await clocked.record(1)
    await clocked.stop()
    clocked.clocks.set(-100 * DAY)
    await clocked.start()
    early = await clocked.record(2)
    assert not early.clock_trusted
    await clocked.heard(Problem, lambda item: item.kind == "clock_implausible")
    clocked.clocks.set(100 * DAY)
    await clocked.heard(Solved, lambda item: item.kind == "clock_implausible")
    assert (await clocked.library.purge()).events == ()
    for _ in range(3):
        clocked.clocks.sleep(2 * DAY)
        await clocked.library.check_clock()
        await clocked.restart()
        assert (await clocked.library.purge()).events == ()
    clocked.clocks.sleep(2 * DAY)
    assert {event.id for event in (await clocked.library.purge()).events} == {
        early.id,
        event_id(CAMERA, BOOT, 1),
    }


async def test_last_event_is_the_one_recorded_last(clocked: RecorderWithClocks) -> None:
    """One event while the clock was a day ahead does not stay the newest, also for an index that is rebuilt."""
    await clocked.record(1)
    clocked.clocks.set(DAY)
    ahead = await clocked.record(2)
    clocked.clocks.set(-DAY)
    clocked.clocks.sleep(60_000)
    last = await clocked.record(3)
    assert last.order > ahead.order
    found = await clocked.library.last_event(CAMERA)
    assert found is not None
    assert found.id == last.id
    await clocked.stop()
    clocked.settings = replace(
        clocked.settings, index=clocked.settings.index.with_name("new.db")
    )
    await clocked.start()
    assert await clocked.library.last_event(CAMERA) == found
    clocked.clocks.sleep(60_000)
    assert (await clocked.record(4)).order > found.order


def test_a_weekend_off_is_no_jump(settings: RecordingSettings) -> None:
    """Nobody is asked after Home Assistant was off for a while, or when the clock was set by an hour."""
    clocks = Clocks()
    state = State(settings.index.with_name("recording.json"))

    def guard() -> ClockGuard:
        new = ClockGuard(state, clocks.wall, clocks.steady)
        state.load()
        new.begin(0)
        new.check(None)
        return new

    first = guard()
    first.save()
    clocks.sleep(47 * HOUR)
    second = guard()
    assert second.verdict.is_plausible
    for hours in (1, -1, 40, -40):
        clocks.set(hours * HOUR)
        second.check(None)
        assert second.verdict.is_plausible
    clocks.set(50 * HOUR)
    second.check(None)
    assert second.verdict.off_ms == 50 * HOUR


@pytest.mark.parametrize("hours", [20, 47])
async def test_clock_a_little_ahead_deletes_nothing(
    clocked: RecorderWithClocks, hours: int
) -> None:
    """Nobody is asked, and what is due by a clock that was right again within hours is still there."""
    clocked.change(retention_days=1)
    await clocked.record(1)
    await clocked.stop()
    clocked.clocks.set(hours * HOUR)
    await clocked.start()
    clocked.clocks.sleep(HOUR)
    assert (await clocked.library.check_clock()).is_plausible
    await clocked.restart()
    assert (await clocked.library.purge()).events == ()
    clocked.clocks.set(-hours * HOUR)
    await clocked.library.check_clock()
    assert (await clocked.library.purge()).events == ()
    # As late as by a clock that was right all the time.
    clocked.clocks.sleep(22 * HOUR)
    assert (await clocked.library.purge()).events == ()
    clocked.clocks.sleep(2 * HOUR)
    assert len((await clocked.library.purge()).events) == 1


async def test_time_that_was_off_is_taken_up(clocked: RecorderWithClocks) -> None:
    """After a weekend without power the rules of age catch up in as long a time."""
    clocked.change(retention_days=1)
    await clocked.record(1)
    await clocked.stop()
    clocked.clocks.set(40 * HOUR)
    await clocked.start()
    assert (await clocked.library.purge()).events == ()
    clocked.clocks.sleep(20 * HOUR)
    await clocked.library.check_clock()
    assert len((await clocked.library.purge()).events) == 1
