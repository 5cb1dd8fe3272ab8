"""The index: a SQLite cache of what the hour files, notes and thumbnails say. All of it blocks and belongs to one thread."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple
import json
import logging
from pathlib import Path
import time
from typing import override

from .. import hourfile
from ..model import NO_FINDINGS, Event, StoredSegment
from .database import (
    INSERT_EVENT,
    INSERT_SEGMENT,
    NO_FINDINGS_TEXT,
    SELECT_SEGMENT,
    findings_of,
    segment_of,
)
from .layout import HourPath, by_time, parse_event_id
from .notes import NOTHING, Note, findings_as_dict, read_notes
from .queries import LAST_MS
from .remote_rows import RemoteRows
from .tree import Tree, stamp_of

_LOGGER = logging.getLogger(__name__)


def stored_segment(path: str, segment: hourfile.Segment) -> StoredSegment:
    """Return what the index keeps of a segment in the hour file of this relative path."""
    return StoredSegment(
        event=segment.header.id,
        number=segment.header.number,
        camera=segment.header.camera,
        path=path,
        offset=segment.offset,
        end=segment.end_offset,
        start_ms=segment.header.start_ms,
        end_ms=segment.end.end_ms if segment.end else segment.end_ms,
        reason=segment.header.reason,
        dts=segment.dts,
        duration=segment.next_dts - segment.dts,
        frames=segment.frame_count,
        boot=segment.header.boot,
        first_seq=segment.first_seq,
        last_seq=segment.last_seq,
        lost=segment.end.lost if segment.end else 0,
        closed=segment.end is not None,
    )


def _scan(root: Path, path: str) -> list[StoredSegment]:
    """Read the segments of an hour file; one that is not ours has none. Raises OSError."""
    try:
        found = hourfile.scan(root / path)
    except hourfile.HourFileError as error:
        _LOGGER.warning("%s is left alone: %s", path, error)
        return []
    camera = HourPath.parse(path).camera
    return [
        stored_segment(path, segment)
        for segment in found.segments
        if segment.header.camera == camera and is_sound(segment)
    ]


def _notes(path: Path) -> dict[str, Note]:
    """Read a file of notes; one that cannot be read says nothing."""
    try:
        return read_notes(path)
    except OSError as error:
        _LOGGER.warning("%s cannot be read: %s", path, error)
        return {}


def _findings_text(note: Note) -> str:
    if note.findings is NO_FINDINGS:
        return NO_FINDINGS_TEXT
    return json.dumps(findings_as_dict(note.findings), ensure_ascii=False)


def is_sound(segment: hourfile.Segment) -> bool:
    """Whether a segment says what a recorder writes: the message in a file can be anything."""
    header, end = segment.header, segment.end
    try:
        parse_event_id(header.id)
    except ValueError:
        return False
    numbers = (header.number, header.boot, *((end.lost,) if end else ()))
    times = (header.start_ms, *((end.end_ms,) if end else ()))
    return all(0 <= number <= 0xFFFFFFFF for number in numbers) and all(
        0 <= time_ms <= LAST_MS for time_ms in times
    )


class Index(RemoteRows):
    """Rows of segments and events, which follow the files and the recorder."""

    def __init__(self, path: Path, root: Path) -> None:
        """Prepare; nothing is touched before open()."""
        super().__init__(path)
        self._root = root
        self._live: dict[str, Event] = {}

    @override
    def open(self) -> None:
        """Open the database; a broken one is replaced by an empty one."""
        self._live.clear()
        super().open()

    def outdated(self, *, everything: bool = False) -> list[str]:
        """Take in what a walk through the folders shows and return the hour files that must be scanned, oldest first."""
        return self._retry(lambda: self._outdated(everything=everything))

    def rescan(self, paths: Sequence[str]) -> int:
        """Scan hour files and replace their rows; return how many segments they hold."""
        return self._retry(lambda: sum(self._rescan(path) for path in paths))

    def put(self, event: Event, segment: StoredSegment | None) -> None:
        """Take in a segment that began, grew or ended, or an event that waits without one."""
        if event.state == "ready":
            self._live.pop(event.id, None)
        else:
            self._live[event.id] = event
        self._retry(lambda: self._put(event, segment))

    def put_notes(self, file: str, notes: dict[str, Note]) -> None:
        """Take in the whole content of a file of notes."""
        self._retry(lambda: self._put_notes(file, notes))

    def forget_event(self, event: str) -> None:
        """Remove an event of which nothing lies in an hour file any more."""
        self._live.pop(event, None)

        def job() -> None:
            with self._changes() as database:
                database.execute("DELETE FROM thumbnails WHERE event = ?", (event,))
                self._derive({event})

        self._retry(job)

    # Below: jobs that segment inside _retry

    def _outdated(self, *, everything: bool) -> list[str]:
        tree = Tree.walk(self._root)
        with self._changes() as database:
            known = dict(database.execute("SELECT path, stamp FROM files"))
            noted = dict(database.execute("SELECT path, stamp FROM notes_files"))
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
            # What was waiting or being recorded when the program ended is so no more.
            changed.update(
                event
                for (event,) in database.execute(
                    "SELECT id FROM events WHERE state != 'ready'"
                )
            )
            for path in noted.keys() | tree.notes.keys():
                if everything or noted.get(path) != tree.notes.get(path):
                    changed |= self._replace_notes(
                        path, _notes(self._root / path), tree.notes.get(path)
                    )
            gone = {
                path
                for (path,) in database.execute("SELECT DISTINCT path FROM segments")
            } - tree.files.keys()
            for path in gone | (known.keys() - tree.files.keys()):
                changed |= self._replace_segments(path, (), None)
            self._derive(changed)
        return sorted(
            (
                path
                for path, stamp in tree.files.items()
                if everything or known.get(path) != stamp
            ),
            key=by_time,
        )

    def _rescan(self, path: str) -> int:
        try:
            # Taken before the scan: what is appended meanwhile makes the stamp stale, never the rows.
            stamp = stamp_of((self._root / path).stat())
            segments = _scan(self._root, path)
        except FileNotFoundError:
            segments, stamp = [], None
        except OSError as error:
            _LOGGER.warning("%s cannot be read: %s", path, error)
            return 0
        self._put_file(path, segments, stamp)
        return len(segments)

    def _put_file(
        self, path: str, segments: Iterable[StoredSegment], stamp: str | None
    ) -> None:
        with self._changes():
            self._derive(self._replace_segments(path, segments, stamp))

    def _put(self, event: Event, segment: StoredSegment | None) -> None:
        with self._changes() as database:
            if segment is not None:
                database.execute(INSERT_SEGMENT, astuple(segment))
                # The file is known to its last byte only when this segment is its last and has ended.
                with suppress(OSError):
                    status = (self._root / segment.path).stat()
                    stamp = (
                        stamp_of(status)
                        if segment.closed and status.st_size == segment.end
                        else ""
                    )
                    database.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?)",
                        (segment.path, stamp),
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

    def _put_notes(self, file: str, notes: dict[str, Note]) -> None:
        with self._changes():
            try:
                stamp = stamp_of((self._root / file).stat())
            except OSError:
                stamp = None
            self._derive(self._replace_notes(file, notes, stamp))

    def _replace_segments(
        self, path: str, segments: Iterable[StoredSegment], stamp: str | None
    ) -> set[str]:
        """Replace the rows of an hour file; return the events touched."""
        database = self._open()
        touched = {
            event
            for (event,) in database.execute(
                "SELECT event FROM segments WHERE path = ?", (path,)
            )
        }
        database.execute("DELETE FROM segments WHERE path = ?", (path,))
        database.execute("DELETE FROM files WHERE path = ?", (path,))
        rows = [astuple(segment) for segment in segments]
        database.executemany(INSERT_SEGMENT, rows)
        if stamp is not None:
            database.execute("INSERT INTO files VALUES (?, ?)", (path, stamp))
        return touched | {row[0] for row in rows}

    def _replace_notes(
        self, file: str, notes: dict[str, Note], stamp: str | None
    ) -> set[str]:
        """Replace the rows of a file of notes; return the events touched."""
        database = self._open()
        touched = {
            event
            for (event,) in database.execute(
                "SELECT event FROM notes WHERE file = ?", (file,)
            )
        }
        database.execute("DELETE FROM notes WHERE file = ?", (file,))
        database.execute("DELETE FROM notes_files WHERE path = ?", (file,))
        self._put_note_rows("notes", file, notes)
        if stamp is not None:
            database.execute("INSERT INTO notes_files VALUES (?, ?)", (file, stamp))
        return touched | notes.keys()

    @override
    def _put_note_rows(self, table: str, file: str, notes: dict[str, Note]) -> None:
        self._open().executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            [
                (
                    event,
                    file,
                    note.protected,
                    json.dumps(note.labels, ensure_ascii=False),
                    note.description,
                    _findings_text(note),
                )
                for event, note in notes.items()
            ],
        )

    @override
    def _derive(self, events: Iterable[str]) -> None:
        """Derive the rows of events from segments, notes, thumbnails and what is going on."""
        database = self._open()
        for event in events:
            database.execute("DELETE FROM events WHERE id = ?", (event,))
            segments = [
                segment_of(row)
                for row in database.execute(
                    f"{SELECT_SEGMENT} WHERE event = ? ORDER BY start_ms, number",
                    (event,),
                )
            ]
            live = self._live.get(event)
            remote = not segments and live is None
            if remote:
                segments = self._remote_segments(event)
            if not segments and live is None:
                continue
            said = database.execute(
                f"SELECT protected, labels, description, findings FROM {'remote_notes' if remote else 'notes'} WHERE event = ?",  # noqa: S608
                (event,),
            ).fetchone()
            note = (
                Note(
                    protected=bool(said[0]),
                    labels=tuple(json.loads(said[1])),
                    description=said[2],
                    findings=findings_of(said[3]),
                )
                if said
                else NOTHING
            )
            picture, picture_size = database.execute(
                "SELECT path, size FROM thumbnails WHERE event = ?", (event,)
            ).fetchone() or (None, 0)
            path = segments[0].path if segments else live.path if live else ""
            if segments:
                first = segments[0]
                row = (
                    event, first.camera, first.start_ms, max(segment.end_ms for segment in segments), first.reason,
                    live.state if live else "ready", sum(segment.frames for segment in segments), sum(segment.lost for segment in segments),
                    sum(segment.size for segment in segments), path,
                )  # fmt: skip
            elif live:
                row = (
                    event, live.camera, live.start_ms, live.end_ms, live.reason, live.state, live.frames, live.lost, live.size, path,
                )  # fmt: skip
            found = note.findings
            seen = {label.casefold() for label in (*note.labels, *found.labels)}
            words = "\n".join(
                (*note.labels, note.description, *found.labels, *found.zones)
            ).casefold()
            hour = HourPath.parse(path)
            labels = json.dumps(note.labels, ensure_ascii=False)
            database.execute(
                INSERT_EVENT,
                (
                    *row,
                    note.protected,
                    labels,
                    note.description,
                    picture,
                    remote,
                    _findings_text(note),
                    found.verdict,
                    hour.date,
                    f"{hour.hour:02}",
                    picture_size,
                    words,
                ),
            )
            database.executemany(
                "INSERT OR REPLACE INTO labels VALUES (?, ?)",
                [(label, event) for label in seen],
            )
            database.executemany(
                "INSERT OR REPLACE INTO zones VALUES (?, ?)",
                [(zone.casefold(), event) for zone in found.zones],
            )

    @override
    def _fill(self) -> None:
        started = time.monotonic()
        for path in self._outdated(everything=True):
            self._rescan(path)
        _LOGGER.info(
            "Index rebuilt from the recordings in %.1f s", time.monotonic() - started
        )
