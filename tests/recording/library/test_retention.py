"""What goes and when: the rules alone, with any events, sizes and settings."""

from dataclasses import replace
from datetime import UTC, date
from pathlib import Path

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.library.retention import (
    Candidate,
    due,
    forecast,
    older_than,
)
from custom_components.magicpi_nvr.recording.model import (
    REASON_CHECK_IN,
    REASON_CONTINUOUS,
    CameraRetention,
    Event,
    RecordingSettings,
)
from tests.harness.library import BACK, FRONT, NOON

DAY = 24 * 3_600_000
HOUR = 3_600_000
TODAY = date(2026, 11, 22)
CAMERAS = (FRONT, BACK, "AA:BB:CC:00:00:03")


def candidate(
    number: int,
    camera: str,
    age_ms: int,
    size: int,
    protected: bool = False,
    held: bool = False,
    reason: str = "pir",
) -> Candidate:
    """Return an event of ten seconds."""
    start = NOON - age_ms
    path = HourPath.at(camera, start, UTC).relative
    return Candidate(
        event=Event(
            id=event_id(camera, 1, number), camera=camera, start_ms=start, end_ms=start + 10_000, reason=reason, state="ready", frames=100,
            lost=0, size=size, path=path, protected=protected,
        ),
        size=size,
        paths=(path,),
        held=held,
    )  # fmt: skip


def ordered(candidates: list[Candidate]) -> list[Candidate]:
    """Return them as the index does."""
    return sorted(candidates, key=lambda item: (item.event.start_ms, item.event.id))


def limits(
    floor: int = 0, days: int = 7, **cameras: CameraRetention
) -> RecordingSettings:
    """Return settings; keyword a0 is the first camera."""
    return RecordingSettings(
        root=Path(),
        index=Path(),
        ffmpeg="",
        time_zone=UTC,
        free_space_floor=floor,
        retention_days=days,
        cameras={CAMERAS[int(name[1:])]: value for name, value in cameras.items()},
    )


events = st.lists(
    st.builds(
        lambda number, camera, minutes, size, protected, held: candidate(
            number, camera, minutes * 60_000, size, protected, held
        ),
        st.integers(1, 2**20),
        st.sampled_from(CAMERAS),
        st.integers(0, 10 * 24 * 60),
        st.integers(1, 1000),
        st.booleans(),
        st.integers(0, 9).map(lambda value: value == 0),
    ),
    max_size=40,
    unique_by=lambda item: item.event.id,
).map(ordered)
retentions = st.builds(
    CameraRetention,
    days=st.none() | st.integers(0, 12),
    max_bytes=st.none() | st.integers(0, 5000),
)
settings_of_all = st.builds(
    limits,
    floor=st.integers(0, 30_000),
    days=st.integers(0, 12),
    a0=retentions,
    a1=retentions,
)


@given(
    candidates=events,
    settings=settings_of_all,
    free=st.integers(0, 30_000),
    needed=st.integers(0, 5000),
)
def test_all_rules(
    candidates: list[Candidate], settings: RecordingSettings, free: int, needed: int
) -> None:
    """Nothing protected goes, every rule is kept as far as it can be, and nothing goes without a rule."""
    going = due(candidates, settings, now_ms=NOON, free=free, needed=needed)
    gone = {item.event.id for item in going}
    stay = [item for item in candidates if item.event.id not in gone]
    assert going == ordered(going)
    assert not any(item.event.protected or item.held for item in going)
    removable = [item for item in stay if item.is_free_to_go]

    missing = (
        settings.free_space_floor + needed - free - sum(item.size for item in going)
    )
    assert missing <= 0 or not removable
    for camera, own in settings.cameras.items():
        if own.max_bytes is not None:
            size = sum(item.size for item in stay if item.event.camera == camera)
            assert size <= own.max_bytes or not any(
                item.event.camera == camera for item in removable
            )
    for hour in {item.hour for item in candidates}:
        mine = [
            item
            for item in candidates
            if item.hour == hour and not item.event.protected
        ]
        if mine and all(too_old(item, settings) and not item.held for item in mine):
            assert {item.event.id for item in mine} <= gone
    if free >= settings.free_space_floor + needed and not any(
        own.max_bytes is not None for own in settings.cameras.values()
    ):
        assert all(too_old(item, settings) for item in going)


def too_old(item: Candidate, settings: RecordingSettings) -> bool:
    """Whether an event is older than its camera keeps."""
    own = settings.cameras.get(item.event.camera, CameraRetention())
    days = settings.retention_days if own.days is None else own.days
    return item.event.end_ms < NOON - days * DAY


@given(candidates=events, free=st.integers(0, 30_000), needed=st.integers(0, 30_000))
def test_pressure_takes_the_oldest(
    candidates: list[Candidate], free: int, needed: int
) -> None:
    """Nothing newer goes before something older, over all cameras; the newest hour is not taken for one event."""
    going = due(candidates, limits(days=3650), now_ms=NOON, free=free, needed=needed)
    removable = [item for item in candidates if item.is_free_to_go]
    assert going == removable[: len(going)]
    freed = [
        sum(item.size for item in removable[:count])
        for count in range(len(removable) + 1)
    ]
    if needed <= free:
        assert going == []
    elif freed[-1] <= needed - free:
        assert going == removable
    else:
        assert freed[len(going)] >= needed - free
        assert len(going) < len(removable) or freed[-2] < needed - free
        # More than the least goes only where hour files go whole.
        least = next(count for count, size in enumerate(freed) if size >= needed - free)
        if len(going) > least:
            staying = {item.hour for item in removable[len(going) :]}
            assert staying.isdisjoint(item.hour for item in going)


@given(candidates=events, size=st.integers(0, 5000))
def test_size_of_a_camera(candidates: list[Candidate], size: int) -> None:
    """A camera's limit takes its own oldest and nobody else's."""
    going = due(
        candidates,
        limits(days=3650, a0=CameraRetention(max_bytes=size)),
        now_ms=NOON,
        free=1,
    )
    own = [
        item for item in candidates if item.event.camera == FRONT and item.is_free_to_go
    ]
    assert going == own[: len(going)]


@given(
    candidates=events,
    age=st.integers(0, 12),
    camera=st.none() | st.sampled_from(CAMERAS),
)
def test_older_than(candidates: list[Candidate], age: int, camera: str | None) -> None:
    """Exactly what ended before and may go."""
    limit = NOON - age * DAY
    assert older_than(candidates, limit, camera) == [
        item
        for item in candidates
        if item.is_free_to_go
        and item.event.end_ms < limit
        and (camera is None or item.event.camera == camera)
    ]


def test_an_hour_goes_whole() -> None:
    """An event that is due waits for the last unprotected one of its hour; a protected one holds nobody."""
    early = candidate(1, FRONT, 7 * DAY, 10)
    late = candidate(2, FRONT, 7 * DAY - 50 * 60_000, 10)
    kept = candidate(3, FRONT, 7 * DAY - 55 * 60_000, 10, protected=True)
    elsewhere = candidate(4, BACK, 7 * DAY, 10)
    everything = ordered([early, late, kept, elsewhere])
    assert early.hour == late.hour == kept.hour
    in_between = NOON + 10 * 60_000
    assert due(everything, limits(), now_ms=in_between, free=1) == [elsewhere]
    assert due(everything, limits(), now_ms=NOON + HOUR, free=1) == ordered(
        [early, elsewhere, late]
    )


def test_continuous_recording_has_days_of_its_own() -> None:
    """Pieces go after two days, out of an hour that stays too, but all of an hour at once."""
    piece = REASON_CONTINUOUS
    alone = candidate(1, FRONT, 3 * DAY, 5, reason=piece)
    beside = candidate(2, FRONT, 4 * DAY + 60_000, 5, reason=piece)
    motion = candidate(3, FRONT, 4 * DAY, 5)
    young = candidate(4, FRONT, 2 * DAY - HOUR, 5, reason=piece)
    edge = [
        candidate(5, BACK, 2 * DAY + 60_000, 5, reason=piece),
        candidate(6, BACK, 2 * DAY - 60_000, 5, reason=piece),
    ]
    candidates = ordered([alone, beside, motion, young, *edge])
    gone = due(candidates, limits(days=7), now_ms=NOON, free=0)
    # Minutes beside noon may lie in two hours: then the older one goes alone
    assert {item.event.id for item in gone} - {edge[0].event.id} == {
        alone.event.id,
        beside.event.id,
    }
    longer = limits(days=7, a0=CameraRetention(continuous_days=5))
    assert alone not in due(candidates, longer, now_ms=NOON, free=0)


def test_pressure_takes_hours_whole() -> None:
    """Rather the whole oldest hours of all cameras than a rewrite; of the last hour only what is needed."""
    first, second = (candidate(i, FRONT, 5 * HOUR - i * 60_000, 100) for i in (1, 20))
    between = candidate(3, BACK, 5 * HOUR - 10 * 60_000, 100)
    last = [candidate(i, FRONT, HOUR - i * 60_000, 100) for i in (4, 5, 6)]
    everything = ordered([first, second, between, *last])

    def going(needed: int) -> list[Candidate]:
        return due(everything, limits(), now_ms=NOON, free=0, needed=needed)

    assert going(0) == []
    assert going(1) == [first, between, second]
    assert going(300) == [first, between, second]
    assert going(301) == [first, between, second, last[0]]
    assert going(10_000) == everything


def test_only_one_camera() -> None:
    """With a camera its own rules count alone."""
    mine, other = candidate(1, FRONT, 8 * DAY, 10), candidate(2, BACK, 8 * DAY, 10)
    assert due(
        ordered([mine, other]), limits(floor=1000), now_ms=NOON, free=0, camera=FRONT
    ) == [mine]


def days_of(size: int, *backs: int) -> dict[str, int]:
    """Return bytes by date, counted back from today."""
    return {
        date.fromordinal(TODAY.toordinal() - back).isoformat(): size for back in backs
    }


@pytest.mark.parametrize(
    ("written", "settings", "free", "expected"),
    [
        pytest.param({}, limits(), 100, None, id="nothing written"),
        pytest.param(
            {FRONT: days_of(10, 0)}, limits(), 100, None, id="no whole day yet"
        ),
        pytest.param(
            {FRONT: days_of(10, 0, 1)}, limits(days=100), 100, 10.0, id="one day"
        ),
        pytest.param(
            {FRONT: days_of(10, 1, 2, 3, 4)},
            limits(days=100, floor=60),
            100,
            4.0,
            id="to the floor",
        ),
        pytest.param(
            {FRONT: days_of(10, 1)},
            limits(days=100, floor=200),
            100,
            0.0,
            id="below the floor",
        ),
        pytest.param(
            {FRONT: days_of(10, 1, 3)},
            limits(days=100),
            100,
            15.0,
            id="days without events count",
        ),
        pytest.param(
            {FRONT: days_of(10, *range(1, 7))},
            limits(days=7),
            100,
            None,
            id="retention keeps up",
        ),
        pytest.param(
            {FRONT: days_of(10, *range(1, 8))},
            limits(days=7),
            45,
            None,
            id="a day goes for each that comes",
        ),
        pytest.param(
            {FRONT: days_of(10, 1)},
            limits(days=7),
            45,
            4.5,
            id="full before retention helps",
        ),
        pytest.param(
            {FRONT: days_of(10, 1)},
            limits(days=100, a0=CameraRetention(max_bytes=50)),
            100,
            None,
            id="size keeps up",
        ),
        pytest.param(
            {FRONT: days_of(10, 1), BACK: days_of(40, 1)},
            limits(days=100),
            100,
            2.0,
            id="two cameras",
        ),
    ],
)
def test_forecast(
    written: dict, settings: RecordingSettings, free: int, expected: float | None
) -> None:
    """The rate of recent days against what is free."""
    got = forecast(written, settings, today=TODAY, free=free)
    assert got == (expected if expected is None else pytest.approx(expected))


@given(
    sizes=st.dictionaries(st.integers(0, 30), st.integers(0, 1000), max_size=20),
    days=st.integers(0, 20),
    free=st.integers(0, 10_000),
    size=st.none() | st.integers(0, 5000),
)
def test_any_forecast(
    sizes: dict[int, int], days: int, free: int, size: int | None
) -> None:
    """More room never makes the disk full sooner."""
    written = {
        FRONT: {
            day: amount for back, amount in sizes.items() for day in days_of(0, back)
        }
    }
    settings = limits(days=days, a0=CameraRetention(max_bytes=size))
    less = forecast(written, settings, today=TODAY, free=free)
    more = forecast(written, settings, today=TODAY, free=free + 500)
    assert less is None or less >= 0
    assert more is None or (less is not None and more >= less)


def test_pictures_of_check_ins_have_days_of_their_own() -> None:
    """An hour's events go with their days, its pictures of check-ins stay for theirs."""
    settings = replace(limits(floor=0, days=7), check_in_days=60)
    event = candidate(1, FRONT, 8 * DAY, 1000)
    picture = candidate(2, FRONT, 8 * DAY, 30)
    picture = replace(picture, event=replace(picture.event, reason=REASON_CHECK_IN))
    both = ordered([event, picture])

    def going(now_ms: int) -> list[Candidate]:
        return due(both, settings, now_ms=now_ms, free=0)

    assert going(NOON - 2 * DAY) == []
    assert going(NOON) == [event]
    assert going(NOON + 51 * DAY) == [event]
    assert going(NOON + 53 * DAY) == both
    short = replace(settings, check_in_days=1)
    assert due(both, short, now_ms=NOON - 2 * DAY, free=0) == [picture]
