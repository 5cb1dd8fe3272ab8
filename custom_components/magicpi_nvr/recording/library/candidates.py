"""Which events retention has to look at: the oldest ones that its rules can reach, out of the database. Blocking."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

from ..model import Event, RecordingSettings
from . import retention
from .layout import to_local
from .queries import Queries
from .retention import DAY_MS, Candidate

# Of one rule at once: the next ones come in another round.
_MOST = 2000
# Behind the last event that is needed, so that the hours of those before it are complete.
_OVERLAP_MS = 2 * 3600 * 1000


@dataclass(slots=True, kw_only=True)
class Selection:
    """Reads candidates. `is_busy` answers for an hour file's path; all of it is one job of the index."""

    index: Queries
    settings: RecordingSettings
    is_busy: Callable[[str], bool]
    most: int | None = _MOST
    waiting: Collection[str] = ()  # for their first copy

    def due(
        self,
        *,
        now_ms: int,
        lived_ms: int,
        excess: int,
        camera: str | None,
        by_age: bool,
    ) -> list[Candidate]:
        """Return what the rules may take, oldest first; `excess` bytes are missing on the disk."""
        found: dict[str, Candidate] = {}
        cameras = list(self.totals()) if camera is None else [camera]
        if by_age:
            for name in cameras:
                self._take(found, self._aged(name, now_ms, lived_ms))
                self._take(found, self._nothing_seen(name, now_ms))
        for name, limits in self.settings.cameras.items():
            if limits.max_bytes is not None and camera in (None, name):
                over = self.totals().get(name, 0) - limits.max_bytes
                if over > 0:
                    self._take(found, self._oldest(over, name))
        if camera is None and excess > 0:
            self._take(found, self._oldest(excess, None))
        return sorted(
            found.values(), key=lambda item: (item.event.start_ms, item.event.id)
        )

    def older_than(self, limit_ms: int, camera: str | None) -> list[Candidate]:
        """Return what ended before a time and may go, oldest first."""
        where, values = "NOT protected AND end_ms < ? AND start_ms < ?", [limit_ms] * 2
        found = []
        for item in self._read(where, [*values], camera):
            if item.is_free_to_go:
                found.append(item)
                if len(found) == self.most:
                    break
        return found

    def totals(self) -> Mapping[str, int]:
        """Return the bytes that each camera has, pictures included."""
        return self.index.totals()

    def _take(
        self, found: dict[str, Candidate], candidates: Iterable[Candidate]
    ) -> None:
        found.update((item.event.id, item) for item in candidates)

    def _aged(self, camera: str, now_ms: int, lived_ms: int) -> Iterator[Candidate]:
        """Yield the unprotected events of hours of which something is older than the camera keeps."""
        settings, index = self.settings, self.index
        pieces_days = retention.limits_of(settings, camera).continuous_days
        rules = (
            (retention.days_of(settings, camera, check_ins=False), index.hours_before),
            (
                retention.days_of(settings, camera, check_ins=True),
                index.check_ins_before,
            ),
            (pieces_days, index.pieces_before),
        )
        hours: set[tuple[str, str]] = set()
        for days, hours_before in rules:
            limit_ms = now_ms - days * DAY_MS
            if limit_ms > 0:
                # Dates are those of the zone of their time.
                last = to_local(limit_ms, settings.time_zone).date() + timedelta(days=1)
                hours.update(hours_before(camera, last.isoformat(), limit_ms))
        taken = 0
        for date, hour in sorted(hours):
            if self.most is not None and taken >= self.most:
                return
            items = list(
                self._read(
                    "NOT protected AND date = ? AND hour = ?", [date, hour], camera
                )
            )
            # Others of the round would wait behind hours that stay.
            if chosen := retention.too_old(items, settings, now_ms, lived_ms):
                taken += len(chosen)
                yield from items

    def _nothing_seen(self, camera: str, now_ms: int) -> Iterator[Candidate]:
        """Yield the events in which nothing was seen and that are older than their own limit."""
        days = retention.limits_of(self.settings, camera).nothing_seen_days
        taken = 0
        for item in self._read(
            "verdict = 'nothing_seen' AND end_ms < ? AND NOT protected",
            [now_ms - days * DAY_MS],
            camera,
        ):
            if not item.held:
                taken += 1
            yield item
            if taken == self.most:
                return

    def _oldest(self, excess: int, camera: str | None) -> list[Candidate]:
        """Return the oldest events that hold `excess` bytes, and those that share their hours."""
        found: list[Candidate] = []
        freed = until_ms = 0
        for item in self._read("NOT protected", [], camera):
            if not item.is_free_to_go:
                continue
            found.append(item)
            if freed >= excess:
                if item.event.start_ms > until_ms:
                    return found
            else:
                freed += item.size
                until_ms = item.event.start_ms + _OVERLAP_MS
                if len(found) == self.most:
                    return _whole_hours(found)
        return found

    def _read(
        self, where: str, values: list[str | int], camera: str | None
    ) -> Iterator[Candidate]:
        if camera is not None:
            where, values = f"camera = ? AND {where}", [camera, *values]
        where = f"NOT remote AND {where}"
        with closing(self.index.with_paths(where, values)) as rows:
            for event, picture_size, paths in rows:
                yield self._candidate(event, picture_size, paths)

    def _candidate(
        self, event: Event, picture_size: int, paths: tuple[str, ...]
    ) -> Candidate:
        return Candidate(
            event=event,
            size=event.size + picture_size,
            paths=paths,
            held=event.state != "ready"
            or event.id in self.waiting
            or not paths
            or any(self.is_busy(path) for path in paths),
        )


def _whole_hours(found: list[Candidate]) -> list[Candidate]:
    """Leave out the last hour, of which there may be more."""
    last = found[-1].event.start_ms - _OVERLAP_MS
    return [item for item in found if item.event.start_ms < last] or found
