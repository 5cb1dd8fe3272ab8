"""What goes, in which order, and when the disk will be full. Pure: reads no file and no clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ..model import (
    NOTHING_SEEN,
    REASON_CHECK_IN,
    CameraRetention,
    Event,
    RecordingSettings,
)
from .layout import HourPath

DAY_MS = 24 * 3600 * 1000
_RATE_DAYS = 7
_HORIZON_DAYS = 3650
_DEFAULTS = CameraRetention()
# What was filed under a clock that could not be believed stays so long by the time that recording really ran.
REAL_AGE_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An event as retention sees it. `size`: what goes with it, picture included; `held`: cannot go now, whatever its age."""

    event: Event
    size: int
    paths: tuple[str, ...]
    held: bool = False

    @property
    def hour(self) -> str:
        """Name that the hour files of one camera's local hour share."""
        return HourPath.parse(self.event.path).local_hour

    @property
    def is_free_to_go(self) -> bool:
        """Whether retention may take it now."""
        return not self.held and not self.event.protected


def limits_of(settings: RecordingSettings, camera: str) -> CameraRetention:
    """Return what is set for a camera."""
    return settings.cameras.get(camera, _DEFAULTS)


def days_of(settings: RecordingSettings, camera: str, *, check_ins: bool) -> int:
    """Return how many days a camera keeps."""
    if check_ins:
        return settings.check_in_days
    own = settings.cameras.get(camera, _DEFAULTS)
    return settings.retention_days if own.days is None else own.days


def due(
    candidates: Sequence[Candidate],
    settings: RecordingSettings,
    *,
    now_ms: int,
    free: int,
    needed: int = 0,
    camera: str | None = None,
    totals: Mapping[str, int] | None = None,
    lived_ms: int | None = None,
    by_age: bool = True,
) -> list[Candidate]:
    """Return what must go by all rules together, oldest first.

    `candidates` are all events, oldest first, or with `totals` (bytes by camera) those that the rules can reach;
    `free` bytes are free now, `needed` shall be free beyond the floor. With a `camera` only its own rules count,
    not the floor. `lived_ms` is now in the order of recording, None = all clocks were good.
    """
    going: dict[str, Candidate] = {}
    mine = [item for item in candidates if camera in (None, item.event.camera)]

    def take(chosen: Iterable[Candidate]) -> None:
        going.update((item.event.id, item) for item in chosen)

    if by_age:
        take(too_old(mine, settings, now_ms, lived_ms))
        take(nothing_seen(mine, settings, now_ms, lived_ms))
    for name, limits in settings.cameras.items():
        if limits.max_bytes is None or camera not in (None, name):
            continue
        own = [item for item in mine if item.event.camera == name]
        rest = [item for item in own if item.event.id not in going]
        if totals is None:
            size = sum(item.size for item in rest)
        else:
            size = totals.get(name, 0) - sum(
                item.size for item in own if item.event.id in going
            )
        take(_oldest(rest, size - limits.max_bytes))
    if camera is None:
        rest = [item for item in candidates if item.event.id not in going]
        gained = sum(item.size for item in going.values())
        take(_oldest(rest, settings.free_space_floor + needed - free - gained))
    return [item for item in candidates if item.event.id in going]


def older_than(
    candidates: Sequence[Candidate], limit_ms: int, camera: str | None
) -> list[Candidate]:
    """Return what ended before a time and may go, oldest first."""
    return [
        item
        for item in candidates
        if item.is_free_to_go
        and item.event.end_ms < limit_ms
        and camera in (None, item.event.camera)
    ]


def too_old(
    candidates: Sequence[Candidate],
    settings: RecordingSettings,
    now_ms: int,
    lived_ms: int | None,
) -> list[Candidate]:
    """Return the events of hours in which nothing unprotected is younger than its limit: an hour file goes whole.

    Pictures of check-ins have days of their own. They are small: what stays of an hour is quickly written again.
    Of an hour that must stay, continuous recording goes nevertheless, once all of it is due: it is most of the file.
    """
    hours: dict[tuple[str, bool], list[Candidate]] = {}
    for item in candidates:
        if not item.event.protected:
            is_check_in = item.event.reason == REASON_CHECK_IN
            hours.setdefault((item.hour, is_check_in), []).append(item)
    chosen = []
    for (_, is_check_in), items in hours.items():
        days = days_of(settings, items[0].event.camera, check_ins=is_check_in)
        kept_pieces = limits_of(settings, items[0].event.camera).continuous_days
        pieces = [item for item in items if item.event.is_continuous]
        events = [item for item in items if not item.event.is_continuous]
        pieces_due = _all_due(pieces, kept_pieces, now_ms, lived_ms)
        if pieces_due and _all_due(events, days, now_ms, lived_ms):
            chosen += items
        elif pieces_due:
            chosen += pieces
    return chosen


def nothing_seen(
    candidates: Sequence[Candidate],
    settings: RecordingSettings,
    now_ms: int,
    lived_ms: int | None,
) -> list[Candidate]:
    """Return the events in which nothing was seen and that are older than their own limit."""
    return [
        item
        for item in candidates
        if item.event.findings.verdict == NOTHING_SEEN
        and item.is_free_to_go
        and _all_due(
            [item],
            limits_of(settings, item.event.camera).nothing_seen_days,
            now_ms,
            lived_ms,
        )
    ]


def _all_due(
    items: Sequence[Candidate], days: int, now_ms: int, lived_ms: int | None
) -> bool:
    """Whether all are older than so many days, and nothing holds them."""
    limit_ms = now_ms - days * DAY_MS
    return all(
        item.event.end_ms < limit_ms
        and not item.held
        and _has_lived(item.event, days, lived_ms)
        for item in items
    )


def _has_lived(event: Event, days: int, lived_ms: int | None) -> bool:
    """Whether an event that was filed under a bad clock is really old enough."""
    if event.clock_trusted or lived_ms is None:
        return True
    return lived_ms - event.recorded_ms >= min(days * DAY_MS, REAL_AGE_MS)


def _oldest(candidates: Sequence[Candidate], excess: int) -> list[Candidate]:
    """Return the oldest events that may go and hold `excess` bytes, or all that may.

    The last step is widened to where no hour file is cut in two, since removing a file costs nothing and rewriting one costs all that
    stays in it; unless that would take the last event.
    """
    queue = [item for item in candidates if item.is_free_to_go]
    freed = exact = 0
    while exact < len(queue) and freed < excess:
        freed += queue[exact].size
        exact += 1
    ends = {item.hour: position + 1 for position, item in enumerate(queue)}
    reach = exact
    for position, item in enumerate(queue):
        if position >= reach:
            break
        reach = max(reach, ends[item.hour])
    return queue[: reach if reach < len(queue) else exact]


def forecast(
    written: Mapping[str, Mapping[str, int]],
    settings: RecordingSettings,
    *,
    today: date,
    free: int,
) -> float | None:
    """Return in how many days only the floor is free; None = too little history, or retention takes as much as is written.

    `written` is bytes by camera and local date. What a camera writes a day is the mean of its last complete days.
    """
    room = free - settings.free_space_floor
    if room <= 0:
        return 0.0
    cameras = [
        _Growth.of(sizes, settings.cameras.get(camera, _DEFAULTS), settings, today)
        for camera, sizes in written.items()
        if sizes
    ]
    if not any(camera.rate for camera in cameras):
        return None
    now = sum(camera.used(0) for camera in cameras)
    before = 0.0
    longest = max(camera.days for camera in cameras)
    for day in range(1, min(longest + 1, _HORIZON_DAYS) + 1):
        growth = sum(camera.used(day) for camera in cameras) - now
        if growth >= room:
            return day - 1 + (room - before) / (growth - before)
        before = growth
    return None


@dataclass(slots=True, kw_only=True)
class _Growth:
    """How the bytes of one camera develop; `used` is asked day by day."""

    rate: float
    days: int
    limit: int | None
    kept: int
    sizes: Mapping[str, int]
    today: date

    @classmethod
    def of(
        cls,
        sizes: Mapping[str, int],
        limits: CameraRetention,
        settings: RecordingSettings,
        today: date,
    ) -> _Growth:
        days = settings.retention_days if limits.days is None else limits.days
        history = (today - date.fromisoformat(min(sizes))).days
        window = min(_RATE_DAYS, history, max(days, 1))
        recent = sum(
            sizes.get((today - timedelta(days=back)).isoformat(), 0)
            for back in range(1, window + 1)
        )
        return cls(
            rate=recent / window if window > 0 else 0.0,
            days=days,
            limit=limits.max_bytes,
            kept=sum(sizes.values()),
            sizes=sizes,
            today=today,
        )

    def used(self, day: int) -> float:
        """Return the bytes after so many days."""
        if day:
            # What becomes too old on that day; what is older already stays because it is protected.
            gone = self.today + timedelta(days=day - 1 - self.days)
            self.kept -= self.sizes.get(gone.isoformat(), 0)
        grown = self.kept + self.rate * min(day, self.days)
        return grown if self.limit is None else min(grown, max(self.limit, 0))
