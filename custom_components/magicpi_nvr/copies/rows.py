"""The rows of the list of copies, what is at a target and what is due, and the SQLite file that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
import json
from pathlib import Path
import sqlite3

from .model import Facts

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE copies (
    target TEXT NOT NULL, event TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, protected INTEGER NOT NULL, frames INTEGER NOT NULL,
    state TEXT NOT NULL, task TEXT NOT NULL, revision INTEGER NOT NULL, stem TEXT NOT NULL, size INTEGER NOT NULL, stored INTEGER NOT NULL,
    document INTEGER NOT NULL, thumbnail INTEGER NOT NULL, sha256 TEXT NOT NULL, attempts INTEGER NOT NULL, due_ms INTEGER NOT NULL, error TEXT NOT NULL,
    copied_ms INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (target, event)
) WITHOUT ROWID;
CREATE INDEX copies_queue ON copies (target, start_ms, event) WHERE task != '';
CREATE INDEX copies_age ON copies (target, end_ms) WHERE state = 'copied' AND NOT protected;
CREATE INDEX copies_event ON copies (event);
CREATE TABLE totals (
    target TEXT PRIMARY KEY, copies INTEGER NOT NULL, stored INTEGER NOT NULL, waiting INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE targets (
    target TEXT PRIMARY KEY, scanned_ms INTEGER NOT NULL, last_copied_ms INTEGER, missed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER copies_added AFTER INSERT ON copies BEGIN
    INSERT INTO totals VALUES (new.target, new.state = 'copied', new.stored, new.task != '')
    ON CONFLICT DO UPDATE SET copies = copies + excluded.copies, stored = stored + excluded.stored, waiting = waiting + excluded.waiting;
END;
CREATE TRIGGER copies_removed AFTER DELETE ON copies BEGIN
    UPDATE totals SET copies = copies - (old.state = 'copied'), stored = stored - old.stored, waiting = waiting - (old.task != '')
    WHERE target = old.target;
END;
"""


class State(StrEnum):
    """What is at the target."""

    NOTHING = ""
    COPIED = "copied"
    GONE = "gone"  # was there; retention at the target took it


class Task(StrEnum):
    """What is due."""

    NOTHING = ""
    COPY = "copy"
    FACTS = "facts"  # the JSON alone
    DELETE = "delete"  # retention's; the event stays known as gone
    FORGET = "forget"  # the event was deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One event at one target; `stored` is what clip, picture and JSON take there together."""

    target: str
    event: str
    start_ms: int
    end_ms: int
    protected: bool
    frames: int  # of what is at the target
    state: State
    task: Task
    revision: int  # grows with each change, so that one that came during an upload is not lost
    stem: str
    size: int
    stored: int
    document: int  # bytes of the JSON
    thumbnail: int  # bytes of the picture
    sha256: str
    attempts: int
    due_ms: int
    error: str
    copied_ms: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures of a target."""

    copies: int
    stored: int
    waiting: int
    last_copied_ms: int | None
    missed: int


COLUMNS = tuple(field.name for field in fields(Copy))
SELECT = f"SELECT {', '.join(COLUMNS)} FROM copies"  # noqa: S608
INSERT = f"INSERT INTO copies VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made if need be; raises OSError, sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(
        path, timeout=2, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA page_size = 1024")
        database.execute("PRAGMA journal_mode = WAL")
        # Unlike the index it cannot be made again from the disk alone.
        database.execute("PRAGMA synchronous = FULL")
        _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables in an empty file and check any other; raises sqlite3.Error."""
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


def new_copy(target: str, facts: Facts, stem: str, now_ms: int) -> Copy:
    """Return the row of an event to copy."""
    return Copy(
        target=target,
        event=facts.event,
        start_ms=facts.start_ms,
        end_ms=facts.end_ms,
        protected=facts.protected,
        frames=0,
        state=State.NOTHING,
        task=Task.COPY,
        revision=1,
        stem=stem,
        size=0,
        stored=0,
        document=0,
        thumbnail=0,
        sha256="",
        attempts=0,
        due_ms=0,
        error="",
        copied_ms=0,
        facts=facts,
    )


def replaced(copy: Copy, **changes: object) -> Copy:
    """Return a row with other values."""
    values = {name: getattr(copy, name) for name in COLUMNS}
    return Copy(**(values | changes))


def to_row(copy: Copy) -> tuple[object, ...]:
    """Return the values of the columns."""
    return tuple(
        json.dumps(value.as_dict(), ensure_ascii=False)
        if isinstance(value, Facts)
        else value
        for value in (getattr(copy, name) for name in COLUMNS)
    )


def from_row(row: Sequence[object]) -> Copy:
    """Return what the columns say."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["protected"] = bool(values["protected"])
    values["state"] = State(str(values["state"]))
    values["task"] = Task(str(values["task"]))
    values["facts"] = Facts.from_dict(json.loads(str(values["facts"])))
    return Copy(**values)  # type: ignore[arg-type]
