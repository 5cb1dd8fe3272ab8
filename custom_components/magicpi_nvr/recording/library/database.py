"""The index's SQLite database: schema, connection, and a new one when it is broken. Blocking."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
import json
import logging
from pathlib import Path
import sqlite3

from ..model import NO_FINDINGS, Event, Findings, StoredSegment
from .notes import read_findings

_LOGGER = logging.getLogger(__name__)

_SCHEMA_VERSION = 9
NO_FINDINGS_TEXT = "{}"
# Pages of 1 KiB. Reading all of a larger one takes long; that is done while it is in use.
CHECK_AT_ONCE = 32 * 1024

_SCHEMA = """
CREATE TABLE folders (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE notes_files (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE segments (
    event TEXT NOT NULL, number INTEGER NOT NULL, camera TEXT NOT NULL, path TEXT NOT NULL, "offset" INTEGER NOT NULL, "end" INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reason TEXT NOT NULL, dts INTEGER NOT NULL, duration INTEGER NOT NULL,
    frames INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, lost INTEGER NOT NULL,
    closed INTEGER NOT NULL, recorded_ms INTEGER NOT NULL, clock_trusted INTEGER NOT NULL, remote INTEGER NOT NULL, PRIMARY KEY (path, "offset")
) WITHOUT ROWID;
CREATE INDEX segments_event ON segments (event, start_ms);
CREATE TABLE remote_segments (
    event TEXT NOT NULL, number INTEGER NOT NULL, camera TEXT NOT NULL, path TEXT NOT NULL, "offset" INTEGER NOT NULL, "end" INTEGER NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reason TEXT NOT NULL, dts INTEGER NOT NULL, duration INTEGER NOT NULL,
    frames INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, lost INTEGER NOT NULL,
    closed INTEGER NOT NULL, recorded_ms INTEGER NOT NULL, clock_trusted INTEGER NOT NULL, remote INTEGER NOT NULL, PRIMARY KEY (event, number)
) WITHOUT ROWID;
CREATE INDEX remote_segments_path ON remote_segments (path);
CREATE TABLE notes (
    event TEXT PRIMARY KEY, file TEXT NOT NULL, protected INTEGER NOT NULL, labels TEXT NOT NULL, description TEXT NOT NULL, findings TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX notes_file ON notes (file);
CREATE TABLE remote_notes (
    event TEXT PRIMARY KEY, file TEXT NOT NULL, protected INTEGER NOT NULL, labels TEXT NOT NULL, description TEXT NOT NULL, findings TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE thumbnails (
    event TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX thumbnails_path ON thumbnails (path);
CREATE TABLE events (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL,
    frames INTEGER NOT NULL, lost INTEGER NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL, protected INTEGER NOT NULL, labels TEXT NOT NULL,
    description TEXT NOT NULL, thumbnail TEXT, recorded_ms INTEGER NOT NULL, clock_trusted INTEGER NOT NULL, remote INTEGER NOT NULL, findings TEXT NOT NULL, verdict TEXT, date TEXT NOT NULL, hour TEXT NOT NULL, picture_size INTEGER NOT NULL, words TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_camera ON events (camera, start_ms, id);
CREATE INDEX events_time ON events (start_ms, id);
CREATE INDEX events_order ON events (camera, recorded_ms, start_ms, id);
CREATE INDEX events_day ON events (camera, date, start_ms, id);
CREATE INDEX events_date ON events (date, start_ms, id);
CREATE INDEX events_path ON events (path);
CREATE INDEX events_protected ON events (start_ms, id) WHERE protected;
CREATE INDEX events_unready ON events (id) WHERE state != 'ready';
CREATE INDEX events_remote ON events (id) WHERE remote;
CREATE INDEX events_continuous ON events (camera, date, hour, end_ms) WHERE reason = 'continuous';
-- Pages of what is rare, or rare among the rest: their conditions are written as in queries.
CREATE INDEX events_motion ON events (start_ms, id) WHERE reason != 'check_in' AND reason != 'continuous';
CREATE INDEX events_check_ins ON events (start_ms, id) WHERE reason = 'check_in';
CREATE INDEX events_pieces ON events (start_ms, id) WHERE reason = 'continuous';
CREATE INDEX events_empty ON events (start_ms, id) WHERE verdict = 'nothing_seen';
CREATE INDEX events_words ON events (start_ms, id) WHERE words != '';
CREATE INDEX events_nothing_seen ON events (camera, end_ms) WHERE verdict = 'nothing_seen';
CREATE TABLE labels (
    label TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (label, event)
) WITHOUT ROWID;
CREATE INDEX labels_event ON labels (event);
-- What is at a target as well is local as long as anything of it is here.
CREATE VIEW all_segments AS SELECT * FROM segments
    UNION ALL SELECT * FROM remote_segments WHERE event IN (SELECT id FROM events WHERE remote);
CREATE TABLE zones (
    zone TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (zone, event)
) WITHOUT ROWID;
CREATE INDEX zones_event ON zones (event);
CREATE TABLE days (
    camera TEXT NOT NULL, date TEXT NOT NULL, events INTEGER NOT NULL, size INTEGER NOT NULL, picture_size INTEGER NOT NULL,
    pieces INTEGER NOT NULL, PRIMARY KEY (camera, date)
) WITHOUT ROWID;
CREATE TRIGGER events_added AFTER INSERT ON events BEGIN
    INSERT INTO days VALUES (
        new.camera, new.date, new.reason NOT IN ('check_in', 'continuous'), iif(new.remote, 0, new.size), new.picture_size, new.reason = 'continuous'
    )
    ON CONFLICT DO UPDATE SET events = events + excluded.events, size = size + excluded.size, picture_size = picture_size + excluded.picture_size,
    pieces = pieces + excluded.pieces;
END;
CREATE TRIGGER events_removed AFTER DELETE ON events BEGIN
    UPDATE days SET events = events - (old.reason NOT IN ('check_in', 'continuous')), size = size - iif(old.remote, 0, old.size),
    picture_size = picture_size - old.picture_size, pieces = pieces - (old.reason = 'continuous')
    WHERE camera = old.camera AND date = old.date;
    DELETE FROM days WHERE camera = old.camera AND date = old.date AND events = 0
    AND NOT EXISTS (SELECT 1 FROM events WHERE camera = old.camera AND date = old.date);
    DELETE FROM labels WHERE event = old.id;
    DELETE FROM zones WHERE event = old.id;
END;
"""
_SEGMENT_COLUMNS = tuple(field.name for field in fields(StoredSegment))
_EVENT_COLUMNS = tuple(field.name for field in fields(Event))
SELECT_SEGMENT = (
    f"SELECT {', '.join(f'"{name}"' for name in _SEGMENT_COLUMNS)} FROM segments"  # noqa: S608
)
SELECT_REMOTE_SEGMENT = SELECT_SEGMENT.replace(
    " FROM segments", " FROM remote_segments"
)
# Local or remote, whichever an event is.
SELECT_ANY_SEGMENT = SELECT_SEGMENT.replace(" FROM segments", " FROM all_segments")
SELECT_EVENT = "SELECT " + ", ".join(_EVENT_COLUMNS) + " FROM events"  # noqa: S608
INSERT_SEGMENT = (
    f"INSERT OR REPLACE INTO segments VALUES ({', '.join('?' * len(_SEGMENT_COLUMNS))})"  # noqa: S608
)
INSERT_REMOTE_SEGMENT = INSERT_SEGMENT.replace("INTO segments", "INTO remote_segments")
INSERT_EVENT = (
    f"INSERT INTO events VALUES ({', '.join('?' * (len(_EVENT_COLUMNS) + 5))})"  # noqa: S608
)


class Database(ABC):
    """A connection that is replaced when it is broken; callers never see it."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is touched before open()."""
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._verifying: sqlite3.Connection | None = None
        self.replaced = 0  # databases given up so far

    def open(self) -> None:
        """Open the database; a broken one is replaced by an empty one."""
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

    def verify(self) -> str | None:
        """Check the whole file beside other work, in any thread; return what is wrong."""
        try:
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)
            ) as other:
                self._verifying = other
                try:
                    quick_check(other)
                finally:
                    self._verifying = None
        except sqlite3.DatabaseError as err:
            # Not there, or in use by another program: that shows when it is used.
            return None if isinstance(err, sqlite3.OperationalError) else str(err)
        return None

    def interrupt_verify(self) -> None:
        """End a check that runs, from any thread; one that is just beginning may not notice."""
        if (verifying := self._verifying) is not None:
            with suppress(sqlite3.ProgrammingError):
                verifying.interrupt()

    def replace(self, reason: str) -> None:
        """Fill a new database from the files."""
        self._replace(sqlite3.DatabaseError(reason))
        self.fill()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, while the database is open."""
        if self._database is None:
            raise sqlite3.ProgrammingError("the index is closed")
        return self._database

    @contextmanager
    def changes(self) -> Iterator[sqlite3.Connection]:
        """Make changes that come all or none."""
        database = self.connection
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
            self.fill()
            return job()
        except sqlite3.Error as error:
            # A full or failing disk breaks the new one just as well.
            self._replace(error, in_memory=True)
        self.fill()
        return job()

    @abstractmethod
    def fill(self) -> None:
        """Fill an empty database."""

    def _replace(self, error: Exception, *, in_memory: bool = False) -> None:
        """Put the database aside and start an empty one; in memory where the disk refuses."""
        _LOGGER.warning(
            "The index cannot be used (%s) and is rebuilt from the recordings", error
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


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables in an empty database and check any other; raises sqlite3.Error."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version < _SCHEMA_VERSION:
        # The files fill it again, with what the earlier schema did not keep.
        drop = "".join(
            f'DROP TABLE "{name}";'
            for (name,) in database.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            ).fetchall()
        )
        drop = f"DROP VIEW IF EXISTS all_segments;{drop}"
        database.executescript(
            f"BEGIN IMMEDIATE;{drop}{_SCHEMA}PRAGMA user_version = {_SCHEMA_VERSION};COMMIT"
        )
        return
    if version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"schema {version} is not ours")
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    if pages <= CHECK_AT_ONCE:
        quick_check(database)


def quick_check(database: sqlite3.Connection) -> None:
    """Read all pages; raises sqlite3.Error when the database is broken."""
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def segment_of(row: Sequence[object]) -> StoredSegment:
    """Return the segment that a row holds."""
    values = dict(zip(_SEGMENT_COLUMNS, row, strict=True))
    values["closed"] = bool(values["closed"])
    values["remote"] = bool(values["remote"])
    values["clock_trusted"] = bool(values["clock_trusted"])
    return StoredSegment(**values)  # type: ignore[arg-type]


def findings_of(text: str) -> Findings:
    """Return what vision found, of a row's JSON; nearly always nothing."""
    return NO_FINDINGS if text == NO_FINDINGS_TEXT else read_findings(json.loads(text))


def event_of(row: Sequence[object]) -> Event:
    """Return the event that a row holds."""
    values = dict(zip(_EVENT_COLUMNS, row, strict=True))
    values["protected"] = bool(values["protected"])
    values["remote"] = bool(values["remote"])
    values["clock_trusted"] = bool(values["clock_trusted"])
    values["labels"] = tuple(json.loads(str(values["labels"])))
    values["findings"] = findings_of(str(values["findings"]))
    return Event(**values)  # type: ignore[arg-type]
