"""The estimate of a battery's remaining days."""

from collections.abc import Callable
import random

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.battery import (
    BUCKET_MS,
    DAY_MS,
    HOUR_MS,
    MAX_BUCKETS,
    MAX_DAYS,
    BatteryHistory,
    modeled_mah,
)

START = 83_100 * BUCKET_MS


def discharge(
    days: float, level: Callable[[float], float], *, hours: float = 1.0
) -> BatteryHistory:
    """Return a history with a reading every `hours`; `level` gives percent after days."""
    history = BatteryHistory()
    for step in range(int(days * 24 / hours)):
        at = step * hours / 24
        history.add(START + int(at * DAY_MS), level(at))
    return history


def test_steady_discharge() -> None:
    """Two percent a day from 90: after ten days 70 are left, and 35 days."""
    history = discharge(10, lambda day: 90 - 2 * day)
    assert history.days_left(START + 10 * DAY_MS) == pytest.approx(35, rel=0.05)


def test_days_pass_without_readings() -> None:
    """The figure counts down while the camera sleeps, and ends at zero."""
    history = discharge(10, lambda day: 90 - 2 * day)
    first = history.days_left(START + 10 * DAY_MS)
    later = history.days_left(START + 15 * DAY_MS)
    assert first is not None
    assert later == pytest.approx(first - 5)
    assert history.days_left(START + 400 * DAY_MS) == 0


def test_noise_and_outliers_do_not_matter() -> None:
    """Half the readings sag by three percent, and every fortieth is nonsense."""
    rng = random.Random(7)

    def level(day: float) -> float:
        if rng.random() < 1 / 40:
            return rng.choice((0, 100))
        return 90 - 2 * day - rng.choice((0, 3)) + rng.uniform(-1, 1)

    history = discharge(10, level)
    assert history.days_left(START + 10 * DAY_MS) == pytest.approx(34, rel=0.15)


def test_whole_percents() -> None:
    """A camera that reports whole percents and loses one in three days."""
    history = discharge(28, lambda day: 80 - day // 3, hours=6)
    assert history.days_left(START + 28 * DAY_MS) == pytest.approx(71 * 3, rel=0.2)


@pytest.mark.parametrize(
    ("days", "level"),
    [
        pytest.param(1, lambda day: 90 - 20 * day, id="too short"),
        pytest.param(10, lambda day: 80, id="level"),
        pytest.param(10, lambda day: 80 - 0.1 * day, id="hardly falling"),
        pytest.param(10, lambda day: 50 + day, id="solar panel"),
        pytest.param(10, lambda day: 80 if day < 1 else 70 + day / 2, id="it rises"),
    ],
)
def test_unknown(days: float, level: Callable[[float], float]) -> None:
    """No figure is better than a wrong one."""
    history = discharge(days, level)
    assert history.days_left(START + int(days * DAY_MS)) is None


def test_nothing_reported() -> None:
    """An empty history knows nothing."""
    assert BatteryHistory().days_left(START) is None


def test_a_charge_begins_anew() -> None:
    """What was before a charge says nothing about the time after it."""
    history = discharge(10, lambda day: 60 - 5 * day)
    assert history.days_left(START + 10 * DAY_MS) is not None
    for step in range(4):
        history.add(START + 10 * DAY_MS + step * BUCKET_MS, 100)
    assert history.days_left(START + 11 * DAY_MS) is None
    for step in range(40):
        history.add(START + 11 * DAY_MS + step * BUCKET_MS, 100 - step * 0.25)
    assert history.days_left(START + 21 * DAY_MS) == pytest.approx(90, rel=0.1)


def test_one_high_bucket_is_no_charge() -> None:
    """A single six hours of nonsense does not throw the history away."""
    history = discharge(10, lambda day: 100 if 9 <= day < 9.25 else 80 - 3 * day)
    assert history.days_left(START + 10 * DAY_MS) == pytest.approx(50 / 3, rel=0.1)


def test_slow_discharge_is_capped() -> None:
    """Nobody believes a figure of ten years."""
    history = discharge(30, lambda day: 100 - 0.1 * day, hours=6)
    left = history.days_left(START + 30 * DAY_MS)
    assert left == pytest.approx(MAX_DAYS, abs=1)


def test_bounded() -> None:
    """Five years of readings take a month's room."""
    history = discharge(5 * 365, lambda day: 100 - 0.05 * day, hours=6)
    assert len(history.as_dict()["buckets"]) == MAX_BUCKETS


def test_clock_jumps() -> None:
    """A reading that is a little late is passed over; a clock set back by days begins again."""
    history = discharge(10, lambda day: 90 - 2 * day)
    before = history.as_dict()
    history.add(START + 9 * DAY_MS + 12 * HOUR_MS, 1)
    assert history.as_dict() == before
    history.add(START - 100 * DAY_MS, 50)
    assert len(history.as_dict()["buckets"]) == 1


def test_survives_being_written() -> None:
    """What was written reads back with the same figure."""
    history = discharge(10, lambda day: 90 - 2 * day)
    copy = BatteryHistory.from_dict(history.as_dict())
    now = START + 10 * DAY_MS
    assert copy.days_left(now) == pytest.approx(history.days_left(now), rel=0.05)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"buckets": None},
        {"buckets": [[1, 2]]},
        {"buckets": [["a", 1, 1]]},
        {"buckets": 5},
    ],
)
def test_nonsense_is_an_empty_history(data: dict) -> None:
    """A damaged file costs the history, nothing else."""
    assert BatteryHistory.from_dict(data).as_dict() == {"buckets": []}


@given(
    st.lists(
        st.tuples(
            st.integers(START, START + 60 * DAY_MS),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=200,
    )
)
def test_any_readings(readings: list[tuple[int, float]]) -> None:
    """Whatever is reported, the answer is None or a sane number."""
    history = BatteryHistory()
    for at_ms, percent in readings:
        history.add(at_ms, percent)
    left = history.days_left(START + 61 * DAY_MS)
    assert left is None or 0 <= left <= MAX_DAYS


def test_balance_of_days() -> None:
    """By how much the level fell or rose on each day; the first has nothing before it."""
    history = discharge(4, lambda day: 90 - 2 * day)
    changes = list(history.balance().values())
    assert len(changes) == 3
    assert changes == pytest.approx([-2] * 3, abs=0.3)


def test_modeled_charge() -> None:
    """An hour with everything on draws the sum of its parts."""
    hour = {"awake_s": 3600, "radio_s": 3600, "sensor_s": 3600}
    assert modeled_mah(hour) == pytest.approx(190)
    assert modeled_mah({}) == 0
