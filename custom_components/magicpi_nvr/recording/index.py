"""The index: a SQLite cache of what the hour files, sidecars and thumbnails say. All of it blocks and belongs to one thread."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
import json
import logging
import os
from pathlib import Path
import sqlite3
import time

from . import hourfile
from .errors import InvalidValue
from .layout import HourPath, event_id, parse_event_id
from .model import CameraUsage, DayCount, Event, EventPage, HourCount, StoredRun
from .sidecar import NOTHING, Note, read_sidecar

_LOGGER = logging.getLogger(__name__)

_SCHEMA_VERSION = 1
LAST_MS = 253_402_214_400_000  # in the last year that has a date
_PAGE_LIMIT = 5000
# Events overlap a range though they began before it; none is longer than this.
_LONGEST_EVENT_MS = 24 * 3600 * 1000

_SCHEMA = """
CREATE TABLE files (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE sidecars (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    event TEXT NOT NULL, number INTEGER NOT NULL, camera TEXT NOT NULL, path TEXT NOT NULL, "offset" INTEGER NOT NULL, "end" INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reason TEXT NOT NULL, dts INTEGER NOT NULL, duration INTEGER NOT NULL,
    frames INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, lost INTEGER NOT NULL,
    closed INTEGER NOT NULL, PRIMARY KEY (path, "offset")
) WITHOUT ROWID;
CREATE INDEX runs_event ON runs (event, start_ms);
CREATE TABLE notes (
    event TEXT PRIMARY KEY, sidecar TEXT NOT NULL, protected INTEGER NOT NULL, labels TEXT NOT NULL, description TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX notes_sidecar ON notes (sidecar);
CREATE TABLE thumbnails (
    event TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL,
    frames INTEGER NOT NULL, lost INTEGER NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL, protected INTEGER NOT NULL, labels TEXT NOT NULL,
    description TEXT NOT NULL, thumbnail TEXT, date TEXT NOT NULL, picture_size INTEGER NOT NULL, words TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_camera ON events (camera, start_ms, id);
CREATE INDEX events_time ON events (start_ms, id);
CREATE INDEX events_day ON events (camera, date, start_ms, id);
CREATE INDEX events_date ON events (date, start_ms, id);
CREATE INDEX events_path ON events (path);
CREATE INDEX events_protected ON events (start_ms, id) WHERE protected;
CREATE INDEX events_unready ON events (id) WHERE state != 'ready';
CREATE TABLE labels (
    label TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (label, event)
) WITHOUT ROWID;
CREATE INDEX labels_event ON labels (event);
CREATE TABLE days (
    camera TEXT NOT NULL, date TEXT NOT NULL, events INTEGER NOT NULL, size INTEGER NOT NULL, picture_size INTEGER NOT NULL,
    PRIMARY KEY (camera, date)
) WITHOUT ROWID;
CREATE TRIGGER events_added AFTER INSERT ON events BEGIN
    INSERT INTO days VALUES (new.camera, new.date, 1, new.size, new.picture_size)
    ON CONFLICT DO UPDATE SET events = events + 1, size = size + excluded.size, picture_size = picture_size + excluded.picture_size;
END;
CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN
    UPDATE days SET events = events - 1, size = size - old.size, picture_size = picture_size - old.picture_size
    WHERE camera = old.camera AND date = old.date;
    DELETE FROM days WHERE camera = old.camera AND date = old.date AND events = 0;
    DELETE FROM labels WHERE event = old.id;
END;
"""
_RUN_COLUMNS = tuple(field.name for field in fields(StoredRun))
_EVENT_COLUMNS = tuple(field.name for field in fields(Event))
_SELECT_RUN = "SELECT " + ", ".join(f'"{name}"' for name in _RUN_COLUMNS) + " FROM runs"  # noqa: S608
_SELECT_EVENT = "SELECT " + ", ".join(_EVENT_COLUMNS) + " FROM events"  # noqa: S608
_INSERT_RUN = (
    f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(_RUN_COLUMNS))})"  # noqa: S608
)
_INSERT_EVENT = (
    f"INSERT INTO events VALUES ({', '.join('?' * (len(_EVENT_COLUMNS) + 3))})"  # noqa: S608
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events to list, newest first; None = any. `text`: words that label or description must contain."""

    camera: str | None = None
    date: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    protected: bool | None = None
    label: str | None = None
    text: str | None = None
    limit: int = 50
    cursor: str | None = None


def stored_run(path: str, run: hourfile.Run) -> StoredRun:
    """Return what the index keeps of a run in the hour file of this relative path."""
    return StoredRun(
        event=run.header.id,
        number=run.header.number,
        camera=run.header.camera,
        path=path,
        offset=run.offset,
        end=run.end_offset,
        start_ms=run.header.start_ms,
        end_ms=run.end.end_ms if run.end else run.end_ms,
        reason=run.header.reason,
        dts=run.dts,
        duration=run.next_dts - run.dts,
        frames=run.frame_count,
        boot=run.header.boot,
        first_seq=run.first_seq,
        last_seq=run.last_seq,
        lost=run.end.lost if run.end else 0,
        closed=run.end is not None,
    )


def _scan(root: Path, path: str) -> list[StoredRun]:
    """Read the runs of an hour file; one that is not ours has none. Raises OSError."""
    try:
        found = hourfile.scan(root / path)
    except hourfile.HourFileError as error:
        _LOGGER.warning("%s is left alone: %s", path, error)
        return []
    folder, _, _ = path.partition("/")
    return [
        stored_run(path, run)
        for run in found.runs
        if run.header.camera.replace(":", "-") == folder and _is_sound(run)
    ]


def _notes(path: Path) -> dict[str, Note]:
    """Read a sidecar; one that cannot be read at all says nothing."""
    try:
        return read_sidecar(path)
    except OSError as error:
        _LOGGER.warning("%s cannot be read: %s", path, error)
        return {}


def _is_sound(run: hourfile.Run) -> bool:
    """Whether a run says what a recorder writes: the message in a file can be anything."""
    header, end = run.header, run.end
    try:
        parse_event_id(header.id)
    except ValueError:
        return False
    numbers = (header.number, header.boot, *((end.lost,) if end else ()))
    times = (header.start_ms, *((end.end_ms,) if end else ()))
    return all(0 <= number <= 0xFFFFFFFF for number in numbers) and all(
        0 <= time_ms <= LAST_MS for time_ms in times
    )


class Index:
    """Rows of runs and events. A broken database is replaced and filled again; callers never see it."""

    def __init__(self, path: Path, root: Path) -> None:
        """Prepare; nothing is touched before open()."""
        self._path = path
        self._root = root
        self._database: sqlite3.Connection | None = None
        self._live: dict[str, Event] = {}
        self.replaced = 0  # databases given up so far

    def open(self) -> None:
        """Open the database; a broken one gives way to an empty one."""
        self._live.clear()
        try:
            self._database = self._connect(self._path)
        except (sqlite3.Error, OSError) as error:
            self._replace(error)

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    # Following the files

    def outdated(self, *, everything: bool = False) -> list[str]:
        """Take in what a walk through the folders shows and return the hour files that must be scanned, oldest first."""
        return self._retry(lambda: self._outdated(everything=everything))

    def rescan(self, paths: Sequence[str]) -> int:
        """Scan hour files and replace their rows; return how many runs they hold."""
        return self._retry(lambda: sum(self._rescan(path) for path in paths))

    def put(self, event: Event, run: StoredRun | None) -> None:
        """Take in a run that began, grew or ended, or an event that waits without one."""
        if event.state == "ready":
            self._live.pop(event.id, None)
        else:
            self._live[event.id] = event
        self._retry(lambda: self._put(event, run))

    def put_notes(self, sidecar: str, notes: dict[str, Note]) -> None:
        """Take in the whole content of a sidecar."""
        self._retry(lambda: self._put_notes(sidecar, notes))

    def forget_event(self, event: str) -> None:
        """Remove an event of which nothing lies in an hour file any more."""
        self._live.pop(event, None)

        def job() -> None:
            with self._changes() as database:
                database.execute("DELETE FROM thumbnails WHERE event = ?", (event,))
                self._derive({event})

        self._retry(job)

    # Answers

    def event(self, event: str) -> Event | None:
        """Return one event."""
        return next(iter(self._events("WHERE id = ?", (event,))), None)

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
                for row in self._open().execute(
                    f"SELECT date, sum(events), sum(size) FROM days WHERE {' AND '.join(where)} GROUP BY date ORDER BY date DESC",  # noqa: S608
                    values,
                )
            ]
        )

    def hours(self, camera: str, date: str) -> list[HourCount]:
        """Return the hours of a local date that have events, newest first."""
        return self._retry(
            lambda: [
                HourCount(*row)
                for row in self._open().execute(
                    "SELECT substr(path, 30, 2) AS hour, count(*), sum(size), min(start_ms), max(end_ms) FROM events"
                    " WHERE camera = ? AND date = ? GROUP BY hour ORDER BY hour DESC",
                    (camera, date),
                )
            ]
        )

    def cameras(self) -> list[CameraUsage]:
        """Return what each camera has on disk, pictures included."""

        def job() -> list[CameraUsage]:
            database = self._open()
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
            for camera, date, size in self._open().execute(
                "SELECT camera, date, size + picture_size FROM days"
            ):
                written.setdefault(camera, {})[date] = size
            return written

        return self._retry(job)

    def protected(self) -> int:
        """Return how many events are protected."""
        return int(
            self._retry(
                lambda: (
                    self._open()
                    .execute("SELECT count(*) FROM events WHERE protected")
                    .fetchone()[0]
                )
            )
        )

    def runs(
        self,
        *,
        event: str | None = None,
        paths: Sequence[str] = (),
        camera: str | None = None,
        start_ms: int = 0,
        end_ms: int = 0,
    ) -> list[StoredRun]:
        """Return the runs of an event, of hour files or of a camera's time range, in order of time."""
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
                _run(row)
                for row in self._open().execute(
                    f"{_SELECT_RUN} WHERE {where} ORDER BY start_ms, event, number",
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
                for (path,) in self._open().execute(
                    "SELECT DISTINCT path FROM runs WHERE path > ? AND path < ? ORDER BY path",
                    (f"{folder}/{hour or ''}", f"{folder}/{hour or ''}{last}"),
                )
            ]
        )

    def all_events(self) -> list[tuple[Event, int, tuple[str, ...]]]:
        """Return every event, oldest first, with the size of its picture and the hour files it lies in."""

        def job() -> list[tuple[Event, int, tuple[str, ...]]]:
            database = self._open()
            paths: dict[str, list[str]] = {}
            for event, path in database.execute(
                "SELECT DISTINCT event, path FROM runs"
            ):
                paths.setdefault(event, []).append(path)
            return [
                (_event(row[:-1]), row[-1], tuple(paths.get(row[0], ())))
                for row in database.execute(
                    f"{_SELECT_EVENT.replace(' FROM', ', picture_size FROM')} ORDER BY start_ms, id"
                )
            ]

        return self._retry(job)

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Return all rows by table, to compare two indexes."""

        def job() -> dict[str, list[tuple[object, ...]]]:
            return {
                table: sorted(self._open().execute(f"SELECT * FROM {table}"), key=repr)  # noqa: S608
                for table in ("runs", "events", "labels", "days")
            }

        return self._retry(job)

    # Below: jobs that run inside _retry

    def _outdated(self, *, everything: bool) -> list[str]:
        tree = _Tree.walk(self._root)
        with self._changes() as database:
            known = dict(database.execute("SELECT path, stamp FROM files"))
            noted = dict(database.execute("SELECT path, stamp FROM sidecars"))
            pictured = {
                event: (path, size)
                for event, path, size in database.execute(
                    "SELECT event, path, size FROM thumbnails"
                )
            }
            changed = {
                event
                for event in tree.pictures.keys() | pictured.keys()
                if tree.pictures.get(event) != pictured.get(event)
            }
            database.executemany(
                "DELETE FROM thumbnails WHERE event = ?",
                [(event,) for event in changed],
            )
            database.executemany(
                "INSERT INTO thumbnails VALUES (?, ?, ?)",
                [
                    (event, *tree.pictures[event])
                    for event in changed
                    if event in tree.pictures
                ],
            )
            # What waited or was being recorded when the last run of the program ended is so no more.
            changed.update(
                event
                for (event,) in database.execute(
                    "SELECT id FROM events WHERE state != 'ready'"
                )
            )
            for path in noted.keys() | tree.sidecars.keys():
                if everything or noted.get(path) != tree.sidecars.get(path):
                    changed |= self._replace_notes(
                        path, _notes(self._root / path), tree.sidecars.get(path)
                    )
            gone = {
                path for (path,) in database.execute("SELECT DISTINCT path FROM runs")
            } - tree.files.keys()
            for path in gone | (known.keys() - tree.files.keys()):
                changed |= self._replace_runs(path, (), None)
            self._derive(changed)
        return sorted(
            (
                path
                for path, stamp in tree.files.items()
                if everything or known.get(path) != stamp
            ),
            key=lambda path: (path[18:], path),
        )

    def _rescan(self, path: str) -> int:
        try:
            # Taken before the scan: what is appended meanwhile makes the stamp stale, never the rows.
            stamp = _stamp((self._root / path).stat())
            runs = _scan(self._root, path)
        except FileNotFoundError:
            runs, stamp = [], None
        except OSError as error:
            _LOGGER.warning("%s cannot be read: %s", path, error)
            return 0
        self._put_file(path, runs, stamp)
        return len(runs)

    def _put_file(
        self, path: str, runs: Iterable[StoredRun], stamp: str | None
    ) -> None:
        with self._changes():
            self._derive(self._replace_runs(path, runs, stamp))

    def _put(self, event: Event, run: StoredRun | None) -> None:
        with self._changes() as database:
            if run is not None:
                database.execute(_INSERT_RUN, astuple(run))
                # The file is known to its last byte only when this run is its last and has ended.
                with suppress(OSError):
                    status = (self._root / run.path).stat()
                    stamp = (
                        _stamp(status)
                        if run.closed and status.st_size == run.end
                        else ""
                    )
                    database.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?)", (run.path, stamp)
                    )
            if event.thumbnail is not None:
                with suppress(OSError):
                    database.execute(
                        "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)",
                        (
                            event.id,
                            event.thumbnail,
                            (self._root / event.thumbnail).stat().st_size,
                        ),
                    )
            self._derive({event.id})

    def _put_notes(self, sidecar: str, notes: dict[str, Note]) -> None:
        with self._changes():
            try:
                stamp = _stamp((self._root / sidecar).stat())
            except OSError:
                stamp = None
            self._derive(self._replace_notes(sidecar, notes, stamp))

    def _replace_runs(
        self, path: str, runs: Iterable[StoredRun], stamp: str | None
    ) -> set[str]:
        """Replace the rows of a hour file; return the events touched."""
        database = self._open()
        touched = {
            event
            for (event,) in database.execute(
                "SELECT event FROM runs WHERE path = ?", (path,)
            )
        }
        database.execute("DELETE FROM runs WHERE path = ?", (path,))
        database.execute("DELETE FROM files WHERE path = ?", (path,))
        rows = [astuple(run) for run in runs]
        database.executemany(_INSERT_RUN, rows)
        if stamp is not None:
            database.execute("INSERT INTO files VALUES (?, ?)", (path, stamp))
        return touched | {row[0] for row in rows}

    def _replace_notes(
        self, sidecar: str, notes: dict[str, Note], stamp: str | None
    ) -> set[str]:
        """Replace the rows of a sidecar; return the events touched."""
        database = self._open()
        touched = {
            event
            for (event,) in database.execute(
                "SELECT event FROM notes WHERE sidecar = ?", (sidecar,)
            )
        }
        database.execute("DELETE FROM notes WHERE sidecar = ?", (sidecar,))
        database.execute("DELETE FROM sidecars WHERE path = ?", (sidecar,))
        database.executemany(
            "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?)",
            [
                (
                    event,
                    sidecar,
                    note.protected,
                    json.dumps(note.labels, ensure_ascii=False),
                    note.description,
                )
                for event, note in notes.items()
            ],
        )
        if stamp is not None:
            database.execute("INSERT INTO sidecars VALUES (?, ?)", (sidecar, stamp))
        return touched | notes.keys()

    def _derive(self, events: Iterable[str]) -> None:
        """Make the rows of events anew from runs, notes, thumbnails and what is going on."""
        database = self._open()
        for event in events:
            database.execute("DELETE FROM events WHERE id = ?", (event,))
            runs = [
                _run(row)
                for row in database.execute(
                    f"{_SELECT_RUN} WHERE event = ? ORDER BY start_ms, number", (event,)
                )
            ]
            live = self._live.get(event)
            if not runs and live is None:
                continue
            said = database.execute(
                "SELECT protected, labels, description FROM notes WHERE event = ?",
                (event,),
            ).fetchone()
            note = (
                Note(
                    protected=bool(said[0]),
                    labels=tuple(json.loads(said[1])),
                    description=said[2],
                )
                if said
                else NOTHING
            )
            picture, picture_size = database.execute(
                "SELECT path, size FROM thumbnails WHERE event = ?", (event,)
            ).fetchone() or (None, 0)
            path = runs[0].path if runs else live.path if live else ""
            if runs:
                first = runs[0]
                row = (
                    event, first.camera, first.start_ms, max(run.end_ms for run in runs), first.reason,
                    live.state if live else "ready", sum(run.frames for run in runs), sum(run.lost for run in runs),
                    sum(run.size for run in runs), path,
                )  # fmt: skip
            elif live:
                row = (
                    event, live.camera, live.start_ms, live.end_ms, live.reason, live.state, live.frames, live.lost, live.size, path,
                )  # fmt: skip
            words = "\n".join((*note.labels, note.description)).casefold()
            date = path[18:28]
            labels = json.dumps(note.labels, ensure_ascii=False)
            database.execute(
                _INSERT_EVENT,
                (
                    *row,
                    note.protected,
                    labels,
                    note.description,
                    picture,
                    date,
                    picture_size,
                    words,
                ),
            )
            database.executemany(
                "INSERT OR REPLACE INTO labels VALUES (?, ?)",
                [(label.casefold(), event) for label in note.labels],
            )

    def _events(self, clause: str, values: Sequence[str | int]) -> list[Event]:
        return self._retry(
            lambda: [
                _event(row)
                for row in self._open().execute(f"{_SELECT_EVENT} {clause}", values)
            ]
        )

    # The database itself

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the index is closed")
        return self._database

    @contextmanager
    def _changes(self) -> Iterator[sqlite3.Connection]:
        """Make changes that come all or none."""
        database = self._open()
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def _connect(self, path: Path | str) -> sqlite3.Connection:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(
            path, timeout=2, isolation_level=None, check_same_thread=False
        )
        try:
            # Each change writes whole pages; small ones wear a memory card less.
            database.execute("PRAGMA page_size = 1024")
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may take the last changes, the files tell them again.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA recursive_triggers = ON")
            _prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _retry[T](self, job: Callable[[], T]) -> T:
        """Do a job; when the database fails it, on a new one that the files have filled."""
        try:
            return job()
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            self._replace(error)
        try:
            self._fill()
            return job()
        except sqlite3.Error as error:
            # A full or failing disk breaks the new one just as well.
            self._replace(error, in_memory=True)
        self._fill()
        return job()

    def _fill(self) -> None:
        started = time.monotonic()
        for path in self._outdated(everything=True):
            self._rescan(path)
        _LOGGER.info(
            "Index rebuilt from the recordings in %.1f s", time.monotonic() - started
        )

    def _replace(self, error: Exception, *, in_memory: bool = False) -> None:
        """Put the database aside and start an empty one; in memory where the disk refuses."""
        _LOGGER.warning(
            "The index cannot be used (%s), it is made anew from the recordings", error
        )
        self.close()
        self.replaced += 1
        try:
            for ending in ("", "-wal", "-shm"):
                file = self._path.with_name(self._path.name + ending)
                if ending or not file.exists():
                    file.unlink(missing_ok=True)
                else:
                    file.replace(file.with_name(f"{file.name}.broken"))
            if in_memory:
                raise error
            self._database = self._connect(self._path)
        except (sqlite3.Error, OSError) as second:
            _LOGGER.warning("The index stays in memory: %s", second)
            self._database = self._connect(":memory:")


@dataclass(frozen=True, slots=True)
class _Tree:
    """What lies below the root: stamps of hour files and sidecars, pictures with their sizes."""

    files: dict[str, str]
    sidecars: dict[str, str]
    pictures: dict[str, tuple[str, int]]

    @classmethod
    def walk(cls, root: Path) -> _Tree:
        """Look into every folder of a day."""
        tree = cls({}, {}, {})
        for camera in _folders(root):
            for date in _folders(root / camera):
                try:
                    HourPath.parse(f"{camera}/{date}/00.mp4")
                except ValueError:
                    continue
                tree._look(root, f"{camera}/{date}")
        return tree

    def _look(self, root: Path, folder: str) -> None:
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}"
                stem, _, ending = entry.name.rpartition(".")
                try:
                    if ending == "mp4":
                        HourPath.parse(path)
                        self.files[path] = _stamp(entry.stat())
                    elif ending == "json":
                        HourPath.parse(f"{folder}/{stem}.mp4")
                        self.sidecars[path] = _stamp(entry.stat())
                    elif ending == "jpg":
                        event = event_id(
                            *parse_event_id("-".join(stem.split("-")[-3:]))
                        )
                        picture = (path, entry.stat().st_size)
                        self.pictures[event] = min(
                            picture, self.pictures.get(event, picture)
                        )
                except ValueError, FileNotFoundError:
                    continue


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables in an empty database and check any other; raises sqlite3.Error."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        database.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {_SCHEMA_VERSION};COMMIT"
        )
        return
    if version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"schema {version} is not ours")
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _folders(folder: Path) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())
    return []


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size}.{status.st_mtime_ns}"


def _run(row: Sequence[object]) -> StoredRun:
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    values["closed"] = bool(values["closed"])
    return StoredRun(**values)  # type: ignore[arg-type]


def _event(row: Sequence[object]) -> Event:
    values = dict(zip(_EVENT_COLUMNS, row, strict=True))
    values["protected"] = bool(values["protected"])
    values["labels"] = tuple(json.loads(str(values["labels"])))
    return Event(**values)  # type: ignore[arg-type]


def _cursor(event: Event) -> str:
    return (
        urlsafe_b64encode(f"{event.start_ms}.{event.id}".encode()).decode().rstrip("=")
    )


def _conditions(query: EventQuery) -> tuple[list[str], list[str | int]]:
    where: list[str] = []
    values: list[str | int] = []
    for name, value in (("camera", query.camera), ("date", query.date)):
        if value is not None:
            where.append(f"{name} = ?")
            values.append(value)
    if query.start_ms is not None:
        where.append("end_ms > ? AND start_ms > ?")
        values += [query.start_ms, query.start_ms - _LONGEST_EVENT_MS]
    if query.end_ms is not None:
        where.append("start_ms < ?")
        values.append(query.end_ms)
    if query.protected is not None:
        where.append("protected" if query.protected else "NOT protected")
    if query.label is not None:
        where.append("id IN (SELECT event FROM labels WHERE label = ?)")
        values.append(query.label.casefold())
    for word in (query.text or "").casefold().split():
        where.append("instr(words, ?)")
        values.append(word)
    if query.cursor is not None:
        try:
            padded = query.cursor + "=" * (-len(query.cursor) % 4)
            start, _, event = (
                urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition(".")
            )
            parse_event_id(event)
            values += [min(int(start), LAST_MS), event]
        except ValueError:
            raise InvalidValue("not a cursor of this library") from None
        where.append("(start_ms, id) < (?, ?)")
    return where, values
