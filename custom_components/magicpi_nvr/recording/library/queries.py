"""What the index answers. Blocking."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from ..errors import InvalidValue
from ..model import (
    NOTHING_SEEN,
    REASON_CHECK_IN,
    REASON_CONTINUOUS,
    CameraUsage,
    DayCount,
    Event,
    EventPage,
    HourCount,
    StoredSegment,
)
from .database import SELECT_ANY_SEGMENT, SELECT_EVENT, Database, event_of, segment_of
from .layout import HourPath, parse_event_id

LAST_MS = 253_402_214_400_000  # in the last year that has a date
_PAGE_LIMIT = 5000
# Events overlap a range though they began before it; none is longer than this.
_LONGEST_EVENT_MS = 24 * 3600 * 1000

_SELECT_WITH_PICTURE = SELECT_EVENT.replace(" FROM", ", picture_size FROM")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """An `EventFilter` with its defaults, a camera, and the page that is asked for, newest first."""

    camera: str | None = None
    date: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    protected: bool | None = None
    label: str | None = None
    zone: str | None = None
    nothing_seen: bool | None = None
    text: str | None = None
    check_ins: bool = False
    continuous: bool | None = None
    limit: int = 50
    cursor: str | None = None


class Queries(Database):
    """The answers, each in one transaction."""

    def event(self, event: str) -> Event | None:
        """Return one event."""
        return next(iter(self._events("WHERE id = ?", (event,))), None)

    def with_ids(self, ids: Iterable[str]) -> list[Event]:
        """Return those of these events that are known, oldest first."""
        found = [event for name in ids if (event := self.event(name))]
        return sorted(found, key=lambda event: (event.start_ms, event.id))

    def events(self, query: EventQuery) -> EventPage:
        """Return a page of events, newest first; raises InvalidValue."""
        if not 1 <= query.limit <= _PAGE_LIMIT:
            raise InvalidValue(f"limit must be from 1 to {_PAGE_LIMIT}")
        for time_ms in (query.start_ms, query.end_ms):
            if time_ms is not None and not 0 <= time_ms <= LAST_MS:
                raise InvalidValue("a time is in milliseconds since 1970")
        where, values = _conditions(query)
        clause = f"WHERE {' AND '.join(where)}" if where else ""
        found = self._events(
            f"{clause} ORDER BY start_ms DESC, id DESC LIMIT ?",
            (*values, query.limit + 1),
        )
        page = found[: query.limit]
        more = len(found) > query.limit
        return EventPage(tuple(page), _cursor(page[-1]) if more else None)

    def days(self, camera: str | None, month: str | None) -> list[DayCount]:
        """Return the dates that have events, newest first."""
        where, values = ["1"], []
        if camera is not None:
            where.append("camera = ?")
            values.append(camera)
        if month is not None:
            where.append("date BETWEEN ? AND ?")
            values += [f"{month}-01", f"{month}-31"]
        return self._retry(
            lambda: [
                DayCount(*row)
                for row in self.connection.execute(
                    f"SELECT date, sum(events), sum(size) FROM days WHERE {' AND '.join(where)} GROUP BY date HAVING sum(events) OR sum(pieces) ORDER BY date DESC",  # noqa: S608
                    values,
                )
            ]
        )

    def hours(self, camera: str, date: str) -> list[HourCount]:
        """Return the hours of a local date that have events, newest first."""
        return self._retry(
            lambda: [
                HourCount(*row)
                for row in self.connection.execute(
                    "SELECT hour, sum(reason != ?), sum(size), min(start_ms), max(end_ms) FROM events"
                    " WHERE camera = ? AND date = ? AND reason != ? GROUP BY hour ORDER BY hour DESC",
                    (REASON_CONTINUOUS, camera, date, REASON_CHECK_IN),
                )
            ]
        )

    def cameras(self) -> list[CameraUsage]:
        """Return what each camera has on disk, pictures included."""

        def job() -> list[CameraUsage]:
            database = self.connection
            return [
                CameraUsage(
                    camera,
                    events,
                    size,
                    # Two searches in an index instead of one walk through it.
                    *database.execute(
                        "SELECT (SELECT min(start_ms) FROM events WHERE camera = :camera), (SELECT max(start_ms) FROM events WHERE camera = :camera)",
                        {"camera": camera},
                    ).fetchone(),
                )
                for camera, events, size in database.execute(
                    "SELECT camera, sum(events), sum(size + picture_size) FROM days GROUP BY camera ORDER BY camera"
                ).fetchall()
            ]

        return self._retry(job)

    def written(self) -> dict[str, dict[str, int]]:
        """Return bytes by camera and local date, pictures included."""

        def job() -> dict[str, dict[str, int]]:
            written: dict[str, dict[str, int]] = {}
            for camera, date, size in self.connection.execute(
                "SELECT camera, date, size + picture_size FROM days"
            ):
                written.setdefault(camera, {})[date] = size
            return written

        return self._retry(job)

    def segments(
        self,
        *,
        event: str | None = None,
        paths: Sequence[str] = (),
        camera: str | None = None,
        start_ms: int = 0,
        end_ms: int = 0,
    ) -> list[StoredSegment]:
        """Return the segments of an event, of hour files or of a camera's time range, in order of time."""
        values: tuple[str | int, ...]
        if event is not None:
            where, values = "event = ?", (event,)
        elif camera is not None:
            where = "end_ms > ? AND event IN (SELECT id FROM events WHERE camera = ? AND start_ms BETWEEN ? AND ?) AND start_ms < ?"
            values = (start_ms, camera, start_ms - _LONGEST_EVENT_MS, end_ms, end_ms)
        else:
            where, values = f"path IN ({', '.join('?' * len(paths))})", tuple(paths)
        return self._retry(
            lambda: [
                segment_of(row)
                for row in self.connection.execute(
                    f"{SELECT_ANY_SEGMENT} WHERE {where} ORDER BY start_ms, event, number",
                    values,
                )
            ]
        )

    def parts(self, camera: str, date: str, hour: str | None = None) -> list[str]:
        """Return the hour files of a date or of one of its hours."""
        folder = HourPath.from_stem(camera, date, hour or "00").folder
        last = "\x7f"
        return self._retry(
            lambda: [
                path
                for (path,) in self.connection.execute(
                    "SELECT DISTINCT path FROM all_segments WHERE path > ? AND path < ? ORDER BY path",
                    (f"{folder}/{hour or ''}", f"{folder}/{hour or ''}{last}"),
                )
            ]
        )

    def with_paths(
        self, where: str, values: Sequence[str | int]
    ) -> Generator[tuple[Event, int, tuple[str, ...]]]:
        """Yield events, oldest first, with the size of their picture and the hour files that they are in."""
        # Not in _retry: what was yielded cannot be taken back. A broken database shows in the next question.
        database = self.connection
        for row in database.execute(
            f"{_SELECT_WITH_PICTURE} WHERE {where} ORDER BY start_ms, id", values
        ):
            paths = database.execute(
                "SELECT DISTINCT path FROM segments WHERE event = ? ORDER BY path",
                (row[0],),
            )
            yield event_of(row[:-1]), row[-1], tuple(path for (path,) in paths)

    def hours_before(
        self, camera: str, last_date: str, limit_ms: int
    ) -> list[tuple[str, str]]:
        """Return date and hour where all unprotected events of a camera ended before a time, up to a date."""
        return self._hours_before(
            "reason NOT IN ('check_in', 'continuous')", camera, last_date, limit_ms
        )

    def check_ins_before(
        self, camera: str, last_date: str, limit_ms: int
    ) -> list[tuple[str, str]]:
        """As hours_before(), of the pictures of check-ins."""
        return self._hours_before("reason = 'check_in'", camera, last_date, limit_ms)

    def pieces_before(
        self, camera: str, last_date: str, limit_ms: int
    ) -> list[tuple[str, str]]:
        """As hours_before(), of continuous recording."""
        return self._hours_before("reason = 'continuous'", camera, last_date, limit_ms)

    def _hours_before(
        self, which: str, camera: str, last_date: str, limit_ms: int
    ) -> list[tuple[str, str]]:
        return self._retry(
            lambda: self.connection.execute(
                f"SELECT date, hour FROM events WHERE camera = ? AND date <= ? AND {which} AND NOT protected AND NOT remote"  # noqa: S608
                " GROUP BY date, hour HAVING max(end_ms) < ?",
                (camera, last_date, limit_ms),
            ).fetchall()
        )

    def totals(self) -> dict[str, int]:
        """Return the bytes that each camera has, pictures included."""
        return self._retry(
            lambda: dict(
                self.connection.execute(
                    "SELECT camera, sum(size + picture_size) FROM days GROUP BY camera"
                )
            )
        )

    def of_file(self, path: str) -> set[str]:
        """Return the events that have a segment in an hour file."""
        return self._retry(
            lambda: {
                event
                for (event,) in self.connection.execute(
                    "SELECT event FROM segments WHERE path = ?", (path,)
                )
            }
        )

    def protected_of(self, camera: str | None) -> int:
        """Return how many events of a camera, or of all, are protected."""
        return int(
            self._retry(
                lambda: self.connection.execute(
                    "SELECT count(*) FROM events WHERE protected AND camera = ifnull(?, camera)",
                    (camera,),
                ).fetchone()[0]
            )
        )

    def last_event(self, camera: str) -> Event | None:
        """Return the event of a camera that was recorded last, whatever the clock said."""
        return next(
            iter(
                self._events(
                    "WHERE camera = ? AND reason NOT IN ('check_in', 'continuous') AND verdict IS NOT 'nothing_seen'"
                    " ORDER BY recorded_ms DESC, start_ms DESC, id DESC LIMIT 1",
                    (camera,),
                )
            ),
            None,
        )

    def newest_recorded(self) -> int:
        """Return the highest order of recording of all events."""
        return max(
            (
                event.recorded_ms
                for camera in self._camera_ids()
                if (event := self.last_event(camera))
            ),
            default=0,
        )

    def newest_ms(self) -> int | None:
        """Return the start of the newest event that was filed under a good clock."""
        found = self._events(
            "WHERE clock_trusted ORDER BY start_ms DESC, id DESC LIMIT 1", ()
        )
        return found[0].start_ms if found else None

    def _camera_ids(self) -> list[str]:
        return self._retry(
            lambda: [
                camera
                for (camera,) in self.connection.execute(
                    "SELECT DISTINCT camera FROM days"
                )
            ]
        )

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Return all rows by table, to compare two indexes."""

        def job() -> dict[str, list[tuple[object, ...]]]:
            return {
                table: sorted(
                    self.connection.execute(f"SELECT * FROM {table}"),  # noqa: S608
                    key=repr,
                )
                for table in ("segments", "events", "labels", "days")
            }

        return self._retry(job)

    def _events(self, clause: str, values: Sequence[str | int]) -> list[Event]:
        return self._retry(
            lambda: [
                event_of(row)
                for row in self.connection.execute(f"{SELECT_EVENT} {clause}", values)
            ]
        )


def _cursor(event: Event) -> str:
    return (
        urlsafe_b64encode(f"{event.start_ms}.{event.id}".encode()).decode().rstrip("=")
    )


def _conditions(query: EventQuery) -> tuple[list[str], list[str | int]]:
    # A partial index is used where its condition stands here as it does there.
    where: list[str] = [
        f"reason {'=' if query.check_ins else '!='} '{REASON_CHECK_IN}'"
    ]
    values: list[str | int] = []
    is_rare = bool(
        query.check_ins or query.continuous or query.nothing_seen or query.text
    )
    if query.camera is not None:
        # The sign keeps SQLite from walking through all of a camera's events for the rare ones.
        where.append(f"{'+' if is_rare else ''}camera = ?")
        values.append(query.camera)
    if query.date is not None:
        where.append("date = ?")
        values.append(query.date)
    if query.start_ms is not None:
        where.append("end_ms > ? AND start_ms > ?")
        values += [query.start_ms, query.start_ms - _LONGEST_EVENT_MS]
    if query.end_ms is not None:
        where.append("start_ms < ?")
        values.append(query.end_ms)
    if query.protected is not None:
        where.append("protected" if query.protected else "NOT protected")
    if query.continuous is not None:
        where.append(
            f"reason {'=' if query.continuous else '!='} '{REASON_CONTINUOUS}'"
        )
    if query.label is not None:
        where.append("id IN (SELECT event FROM labels WHERE label = ?)")
        values.append(query.label.casefold())
    if query.zone is not None:
        where.append("id IN (SELECT event FROM zones WHERE zone = ?)")
        values.append(query.zone.casefold())
    if query.nothing_seen is not None:
        where.append(
            f"verdict {'=' if query.nothing_seen else 'IS NOT'} '{NOTHING_SEEN}'"
        )
    if words := (query.text or "").casefold().split():
        # Names the index of the few that have any.
        where.append("words != ''")
    for word in words:
        where.append("instr(words, ?)")
        values.append(word)
    if query.cursor is not None:
        values += _parse_cursor(query.cursor)
        where.append("(start_ms, id) < (?, ?)")
    return where, values


def _parse_cursor(cursor: str) -> tuple[int, str]:
    """Return start and id of the event that a page ended with; raises InvalidValue."""
    start_ms = -1
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        start, _, event = (
            urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition(".")
        )
        parse_event_id(event)
        start_ms = int(start)
    except ValueError:
        pass
    # A number that SQLite cannot hold is no time either.
    if not 0 <= start_ms <= LAST_MS:
        raise InvalidValue("not a cursor of this library")
    return start_ms, event
