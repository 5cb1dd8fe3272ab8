"""The queue and the list of what is at the targets: one SQLite file. All of it blocks and belongs to one thread."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
import logging
from pathlib import Path
import sqlite3

from .model import Facts
from .rows import (
    INSERT,
    SELECT,
    Copy,
    State,
    Task,
    Totals,
    connect,
    from_row,
    new_copy,
    replaced,
    to_row,
)

_LOGGER = logging.getLogger(__name__)


class Catalog:
    """Rows of all targets. A broken file is put aside and an empty one begins; targets and library fill it again."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is touched before open()."""
        self._path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file; raises OSError, sqlite3.Error when not even an empty one can be made."""
        try:
            self._database = connect(self._path)
        except sqlite3.Error as error:
            _LOGGER.warning(
                "The list of copies cannot be used (%s) and is rebuilt from the targets",
                error,
            )
            for ending in ("", "-wal", "-shm"):
                file = self._path.with_name(self._path.name + ending)
                if ending or not file.exists():
                    file.unlink(missing_ok=True)
                else:
                    file.replace(file.with_name(f"{file.name}.broken"))
            self._database = connect(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    # What the library says

    def offer(
        self, target: str, facts: Facts, stem: str, *, wanted: bool, now_ms: int
    ) -> bool:
        """Take in a new or changed event; return whether something is due because of it."""
        known = self.get(target, facts.event)
        if known is None:
            if not wanted:
                return False
            self._put(new_copy(target, facts, stem, now_ms))
            return True
        if known.task is Task.FORGET:
            return False
        if known.state is State.GONE and not (wanted and facts.protected):
            return False
        if known.state is State.NOTHING:
            if not wanted:
                # It was asked for before and is not any more.
                self.drop(target, facts.event)
                return False
            if known.facts.same_notes(facts):
                return True
            task = Task.COPY
        elif known.state is State.GONE or (facts.frames > known.frames and wanted):
            task = Task.COPY
        else:
            # A local clip that lost pictures since never replaces the better copy.
            facts = known.facts.with_notes(facts)
            if known.facts.same_notes(facts):
                return known.task is not Task.NOTHING
            task = Task.COPY if known.task is Task.COPY else Task.FACTS
        self._change(
            known,
            task=task,
            facts=facts,
            end_ms=facts.end_ms,
            protected=facts.protected,
            revision=known.revision + 1,
            due_ms=0,
            attempts=0,
        )
        return True

    def offer_many(
        self, target: str, offers: Iterable[tuple[Facts, str, bool]], now_ms: int
    ) -> None:
        """Take in events with the stem of each, and whether it is wanted."""
        with self._changes():
            for facts, stem, wanted in offers:
                self.offer(target, facts, stem, wanted=wanted, now_ms=now_ms)

    def forget(self, event: str) -> bool:
        """Let all copies of a deleted event go; return whether something is due."""
        due = False
        for known in self._where("event = ?", (event,)):
            # An upload that runs may leave something there.
            self._change(known, task=Task.FORGET, revision=known.revision + 1, due_ms=0)
            due = True
        return due

    def purged(self, events: Iterable[str]) -> dict[str, int]:
        """Take in what the disk lost; return by target how many of it wait in vain now."""
        missed: dict[str, int] = {}
        with self._changes() as database:
            for event in events:
                for (target,) in database.execute(
                    "SELECT target FROM copies WHERE event = ? AND state = ''", (event,)
                ).fetchall():
                    missed[target] = missed.get(target, 0) + 1
                database.execute(
                    "DELETE FROM copies WHERE event = ? AND (state = '' OR state = 'gone' AND task = '')",
                    (event,),
                )
            for target, count in missed.items():
                database.execute(
                    "UPDATE targets SET missed = missed + ? WHERE target = ?",
                    (count, target),
                )
        return missed

    def waiting(self) -> set[str]:
        """Return the events of which no copy is complete yet and one is due."""
        return {
            event
            for (event,) in self._open().execute(
                "SELECT event FROM copies WHERE task = 'copy' AND state = ''"
            )
        }

    # What the worker asks and says

    def next(self, target: str, *, newest_first: bool, now_ms: int) -> Copy | None:
        """Return what to do next; removals first, as they make room."""
        order = "DESC" if newest_first else "ASC"
        for tasks in ("task IN ('delete', 'forget')", "task IN ('copy', 'facts')"):
            rows = self._where(
                f"target = ? AND task != '' AND {tasks} AND due_ms <= ? ORDER BY start_ms {order}, event {order} LIMIT 1",
                (target, now_ms),
            )
            if rows:
                return rows[0]
        return None

    def next_due_ms(self, target: str) -> int | None:
        """Return when something is due at the earliest."""
        found = self._open().execute(
            "SELECT min(due_ms) FROM copies WHERE target = ? AND task != ''", (target,)
        )
        return found.fetchone()[0]  # type: ignore[no-any-return]

    def done(
        self,
        job: Copy,
        *,
        size: int,
        stored: int,
        document: int,
        thumbnail: int,
        sha256: str,
        facts: Facts,
        now_ms: int,
    ) -> bool:
        """Note that clip and JSON of a job are there; return False when the event was deleted meanwhile."""
        known = self.get(job.target, job.event)
        if known is None:
            return False
        same = known.revision == job.revision
        frames = facts.frames
        again = Task.COPY if known.facts.frames > frames else Task.FACTS
        task = Task.NOTHING if same else known.task
        if not same and known.task in (Task.COPY, Task.FACTS):
            task = again
        with self._changes() as database:
            self._change(
                known,
                state=State.COPIED,
                task=task,
                size=size,
                stored=stored,
                document=document,
                thumbnail=thumbnail,
                sha256=sha256,
                frames=frames,
                facts=facts
                if task is Task.NOTHING
                else facts.with_notes(known.facts)
                if task is not Task.COPY
                else known.facts,
                attempts=0,
                due_ms=0,
                error="",
                copied_ms=now_ms if job.task is Task.COPY else known.copied_ms,
            )
            if job.task is Task.COPY:
                database.execute(
                    "UPDATE targets SET last_copied_ms = ? WHERE target = ?",
                    (now_ms, job.target),
                )
        return known.task is not Task.FORGET

    def removed(self, job: Copy) -> None:
        """Note that nothing of a job's event is at the target any more."""
        known = self.get(job.target, job.event)
        if known is None:
            return
        if known.task is Task.FORGET:
            self.drop(job.target, job.event)
            return
        self._change(
            known, state=State.GONE, task=Task.NOTHING, size=0, stored=0, error=""
        )

    def failed(self, job: Copy, error: str, due_ms: int) -> None:
        """Note that a job could not be done now."""
        if (known := self.get(job.target, job.event)) is not None:
            self._change(known, attempts=known.attempts + 1, due_ms=due_ms, error=error)

    def drop(self, target: str, event: str) -> None:
        """Remove a row."""
        self._open().execute(
            "DELETE FROM copies WHERE target = ? AND event = ?", (target, event)
        )

    def missed(self, job: Copy) -> None:
        """Note that a clip went before it was copied."""
        with self._changes() as database:
            self.drop(job.target, job.event)
            database.execute(
                "UPDATE targets SET missed = missed + 1 WHERE target = ?",
                (job.target,),
            )

    # What is at a target

    def get(self, target: str, event: str) -> Copy | None:
        """Return a row."""
        return next(
            iter(self._where("target = ? AND event = ?", (target, event))), None
        )

    def copies_of(self, event: str) -> list[Copy]:
        """Return the complete copies of an event."""
        return self._where(
            "event = ? AND state = 'copied' AND task NOT IN ('delete', 'forget') ORDER BY target",
            (event,),
        )

    def page(self, target: str, after: str, limit: int) -> list[Copy]:
        """Return copies that are at a target, by event id."""
        return self._where(
            "target = ? AND event > ? AND state = 'copied' AND task NOT IN ('delete', 'forget') ORDER BY event LIMIT ?",
            (target, after, limit),
        )

    def stems(self, target: str) -> dict[str, tuple[str, int, int]]:
        """Return stem, clip and JSON sizes of the copies at a target, by event."""
        return {
            row[0]: (row[1], row[2], row[3])
            for row in self._open().execute(
                "SELECT event, stem, size, document FROM copies WHERE target = ? AND state = 'copied'",
                (target,),
            )
        }

    def found(self, copy: Copy) -> None:
        """Take in a copy that was read from the target, unless something is known of it that is newer."""
        known = self.get(copy.target, copy.event)
        if known is None:
            self._put(copy)
        elif known.state is not State.COPIED and known.task is not Task.FORGET:
            task = Task.COPY if known.facts.frames > copy.frames else Task.NOTHING
            if task is Task.NOTHING and not known.facts.same_notes(copy.facts):
                task = Task.FACTS
            facts = known.facts if known.state is State.NOTHING else copy.facts
            self._put(replaced(copy, task=task, facts=facts))

    def missing(self, target: str, event: str) -> None:
        """Note that a copy is not at the target any more although nobody here removed it."""
        if (known := self.get(target, event)) is not None:
            # If the clip is still here it is offered again.
            self.drop(known.target, known.event)

    def expired(
        self, target: str, *, before_ms: int | None, max_bytes: int | None
    ) -> list[Copy]:
        """Return what retention takes, oldest first: what ended before a time, and as much as there is too much."""
        free = "target = ? AND state = 'copied' AND NOT protected AND task NOT IN ('delete', 'forget')"
        going: dict[str, Copy] = {}
        if before_ms is not None:
            for copy in self._where(
                f"{free} AND end_ms < ? ORDER BY end_ms", (target, before_ms)
            ):
                going[copy.event] = copy
        if max_bytes is not None:
            (stored,) = (
                self._open()
                .execute(
                    "SELECT total(stored) FROM copies WHERE target = ? AND task NOT IN ('delete', 'forget')",
                    (target,),
                )
                .fetchone()
            )
            excess = stored - max_bytes - sum(copy.stored for copy in going.values())
            if excess > 0:
                for copy in self._where(f"{free} ORDER BY end_ms", (target,)):
                    if excess <= 0:
                        break
                    if copy.event not in going:
                        going[copy.event] = copy
                        excess -= copy.stored
        return list(going.values())

    def expire(self, copies: Iterable[Copy]) -> None:
        """Let the worker remove copies."""
        with self._changes():
            for copy in copies:
                self._change(
                    copy, task=Task.DELETE, revision=copy.revision + 1, due_ms=0
                )

    # Targets

    def add_target(self, target: str) -> None:
        """Make a target known."""
        self._open().execute(
            "INSERT OR IGNORE INTO targets VALUES (?, 0, NULL, 0)", (target,)
        )

    def targets(self) -> set[str]:
        """Return the known targets."""
        return {row[0] for row in self._open().execute("SELECT target FROM targets")}

    def remove_target(self, target: str) -> None:
        """Forget a target; what is there stays there."""
        with self._changes() as database:
            for table in ("copies", "totals", "targets"):
                database.execute(f"DELETE FROM {table} WHERE target = ?", (target,))  # noqa: S608

    def scanned_ms(self, target: str) -> int:
        """Return when a target was last read in full, 0 = never."""
        found = self._open().execute(
            "SELECT scanned_ms FROM targets WHERE target = ?", (target,)
        )
        row = found.fetchone()
        return int(row[0]) if row else 0

    def scanned(self, target: str, now_ms: int) -> None:
        """Note that a target was read in full."""
        self._open().execute(
            "UPDATE targets SET scanned_ms = ? WHERE target = ?", (now_ms, target)
        )

    def totals(self, target: str) -> Totals:
        """Return the figures of a target."""
        found = self._open().execute(
            "SELECT copies, stored, waiting FROM totals WHERE target = ?", (target,)
        )
        counts = found.fetchone() or (0, 0, 0)
        found = self._open().execute(
            "SELECT last_copied_ms, missed FROM targets WHERE target = ?", (target,)
        )
        return Totals(*counts, *(found.fetchone() or (None, 0)))

    # Below

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the list of copies is closed")
        return self._database

    @contextmanager
    def _changes(self) -> Iterator[sqlite3.Connection]:
        """Make changes that come all or none; one inside another joins it."""
        database = self._open()
        if database.in_transaction:
            yield database
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def _where(self, clause: str, values: Sequence[object]) -> list[Copy]:
        return [
            from_row(row)
            for row in self._open().execute(f"{SELECT} WHERE {clause}", values)
        ]

    def _put(self, copy: Copy) -> None:
        with self._changes() as database:
            # Not OR REPLACE: it would hold inside of the triggers that count, too.
            database.execute(
                "DELETE FROM copies WHERE target = ? AND event = ?",
                (copy.target, copy.event),
            )
            database.execute(INSERT, to_row(copy))

    def _change(self, copy: Copy, **changes: object) -> None:
        self._put(replaced(copy, **changes))


class CatalogThread:
    """The catalog in its thread; one for all targets."""

    def __init__(self, catalog: Catalog) -> None:
        """Prepare; nothing is touched before open()."""
        self._catalog = catalog
        self._pool = ThreadPoolExecutor(1, "magicpi-copies")

    async def open(self) -> None:
        """Open the file; raises OSError, sqlite3.Error."""
        await self(self._catalog.open)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self(self._catalog.close)
        self._pool.shutdown(wait=False)

    @property
    def jobs(self) -> Catalog:
        """The catalog, whose methods are given to a call."""
        return self._catalog

    async def __call__[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job in the thread; it runs to its end although the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: job(*args, **kwargs))
