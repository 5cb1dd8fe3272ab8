"""The index: a SQLite cache of what the hour files, notes and thumbnails say. All of it blocks and belongs to one thread."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
import json
import logging
from pathlib import Path
import time
from typing import override

from ..model import Event, StoredSegment
from .database import (
    INSERT_EVENT,
    INSERT_SEGMENT,
    SELECT_SEGMENT,
    findings_of,
    segment_of,
)
from .file_rows import findings_text, scan_file
from .layout import HourPath, by_time, folder_of
from .notes import NOTHING, Note, read_notes
from .remote_rows import RemoteRows
from .tree import DayFolder, day_folders, stamp_file, stamp_of

_LOGGER = logging.getLogger(__name__)

# How far behind the newest one a file may have been changed, and how many events per camera are enough: a
# camera sends again only what was not acknowledged.
_RECENT_NS = 2 * 24 * 3600 * 10**9
_RECENT_EVENTS = 32


class Index(RemoteRows):
    """Rows of segments and events, which follow the files and the recorder."""

    def __init__(self, path: Path, root: Path) -> None:
        """Prepare; nothing is touched before open()."""
        super().__init__(path)
        self._root = root
        self._live: dict[str, Event] = {}
        self._unreadable: set[str] = set()  # folders

    @override
    def open(self) -> None:
        """Open the database; a broken one is replaced by an empty one."""
        self._live.clear()
        super().open()

    def folders(self, *, everything: bool = False) -> list[DayFolder]:
        """Return the folders that may hold something new, not read yet; forget those that are gone."""
        return self._retry(lambda: self._folders(everything=everything))

    def outdated(self, folders: Sequence[DayFolder], *, everything: bool) -> list[str]:
        """Take in notes and thumbnails of folders, and return the hour files that must be scanned."""
        return self._retry(lambda: self._outdated(folders, everything=everything))

    def rescan(self, paths: Sequence[str]) -> int:
        """Scan hour files and replace their rows; return how many segments they hold."""
        return self._retry(lambda: sum(self._rescan(path) for path in paths))

    def seal(self, folders: Sequence[DayFolder]) -> None:
        """Note that folders were read to the end: unchanged, they are not listed again."""
        self._retry(lambda: self._seal(folders))

    def put(
        self,
        event: Event,
        segment: StoredSegment | None,
        stamp: str | None = None,
        picture_size: int | None = None,
    ) -> None:
        """Take in a segment that began, grew or ended, or an event that waits without one.

        `stamp` is the hour file's, `picture_size` the thumbnail's; None = not there.
        """
        if event.state == "ready":
            self._live.pop(event.id, None)
        else:
            self._live[event.id] = event
        self._retry(lambda: self._put(event, segment, stamp, picture_size))

    def recent_files(self, changed: Iterable[str]) -> list[str]:
        """Return the hour files whose events may go on: those of `changed` that are not old, and of each camera the last ones."""

        def job() -> list[str]:
            times = {
                path: int(stamp.partition(".")[2])
                for path, stamp in self.connection.execute(
                    "SELECT path, stamp FROM files WHERE stamp != ''"
                )
            }
            oldest = max(times.values(), default=0) - _RECENT_NS
            found = {path for path in changed if times.get(path, oldest) >= oldest}
            enough: Counter[str] = Counter()
            for path, at in sorted(times.items(), key=lambda item: -item[1]):
                camera = HourPath.parse(path).camera
                if at >= oldest and enough[camera] < _RECENT_EVENTS:
                    found.add(path)
                    enough[camera] += len(self.of_file(path))
            return sorted(found, key=by_time)

        return self._retry(job)

    def put_notes(self, file: str, notes: dict[str, Note]) -> None:
        """Take in the whole content of a file of notes."""
        self._retry(lambda: self._put_notes(file, notes))

    def taken_out(self, path: str, events: Sequence[Event]) -> list[Event]:
        """Scan a file that events were taken out of; return those of which nothing is left, and forget them."""

        def job() -> list[Event]:
            self._rescan(path)
            with self.changes() as database:
                gone = [
                    event
                    for event in events
                    # Another part of the hour may hold the rest of it.
                    if database.execute(
                        "SELECT 1 FROM segments WHERE event = ?", (event.id,)
                    ).fetchone()
                    is None
                ]
                for event in gone:
                    self._live.pop(event.id, None)
                    database.execute(
                        "DELETE FROM thumbnails WHERE event = ?", (event.id,)
                    )
                self._derive({event.id for event in gone})
                return gone

        return self._retry(job)

    # Below: jobs that run inside _retry

    def _folders(self, *, everything: bool) -> list[DayFolder]:
        self._unreadable.clear()
        # What cannot be read is not gone: its rows stay.
        found = list(day_folders(self._root, self._unreadable))
        with self.changes() as database:
            sealed = dict(database.execute("SELECT path, stamp FROM folders"))
            files = _by_folder(database.execute("SELECT path, stamp FROM files"))
            notes = _by_folder(database.execute("SELECT path, stamp FROM notes_files"))
            # What was waiting or being recorded when the program ended is so no more.
            changed = {
                event
                for (event,) in database.execute(
                    "SELECT id FROM events WHERE state != 'ready'"
                )
            }
            for gone in (sealed.keys() | files.keys() | notes.keys()) - {
                folder.path for folder in found
            }:
                if not self._unreadable & {gone, gone.partition("/")[0]}:
                    changed |= self._forget_folder(gone, files, notes)
            self._derive(changed)
        return [
            folder
            for folder in found
            if everything
            or not folder.stamp
            or sealed.get(folder.path) != folder.stamp
            or any(
                stamp_file(self._root / path) != stamp
                for known in (files, notes)
                for path, stamp in known.get(folder.path, ())
            )
        ]

    def _forget_folder(
        self,
        folder: str,
        files: Mapping[str, Sequence[tuple[str, str]]],
        notes: Mapping[str, Sequence[tuple[str, str]]],
    ) -> set[str]:
        """Remove the rows of a folder that is gone; return the events touched."""
        database = self.connection
        changed = {event for event, _, _ in self._pictures(folder)}
        database.execute(
            "DELETE FROM thumbnails WHERE path BETWEEN ? AND ?", _inside(folder)
        )
        database.execute("DELETE FROM folders WHERE path = ?", (folder,))
        for path, _ in files.get(folder, ()):
            changed |= self._replace_segments(path, (), None)
        for path, _ in notes.get(folder, ()):
            changed |= self._replace_notes(path, {}, None)
        return changed

    def _pictures(self, folder: str) -> list[tuple[str, str, int]]:
        """Return event, path and size of the thumbnails that are known of a folder."""
        return self.connection.execute(
            "SELECT event, path, size FROM thumbnails WHERE path BETWEEN ? AND ?",
            _inside(folder),
        ).fetchall()

    def _outdated(self, folders: Sequence[DayFolder], *, everything: bool) -> list[str]:
        outdated: list[str] = []
        with self.changes() as database:
            for folder in folders:
                try:
                    folder.list(self._root)
                except OSError as error:
                    _LOGGER.warning("%s cannot be read: %s", folder.path, error)
                    self._unreadable.add(folder.path)
                    continue
                pictured = {
                    event: (path, size)
                    for event, path, size in self._pictures(folder.path)
                }
                changed = {
                    event
                    for event in folder.pictures.keys() | pictured.keys()
                    if folder.pictures.get(event) != pictured.get(event)
                }
                database.executemany(
                    "DELETE FROM thumbnails WHERE event = ?",
                    [(event,) for event in changed],
                )
                database.executemany(
                    "INSERT INTO thumbnails VALUES (?, ?, ?)",
                    [
                        (event, *folder.pictures[event])
                        for event in changed
                        if event in folder.pictures
                    ],
                )
                known = self._stamps("files", folder.path)
                noted = self._stamps("notes_files", folder.path)
                for path in noted.keys() | folder.notes.keys():
                    if everything or noted.get(path) != folder.notes.get(path):
                        try:
                            notes = read_notes(self._root / path)
                        except OSError as error:
                            _LOGGER.warning("%s cannot be read: %s", path, error)
                            self._unreadable.add(folder.path)
                            continue
                        changed |= self._replace_notes(
                            path, notes, folder.notes.get(path)
                        )
                for path in known.keys() - folder.files.keys():
                    changed |= self._replace_segments(path, (), None)
                self._derive(changed)
                outdated += (
                    path
                    for path, stamp in folder.files.items()
                    if everything or known.get(path) != stamp
                )
        return outdated

    def _stamps(self, table: str, folder: str) -> dict[str, str]:
        """Return the stamps by path that a table has for a folder."""
        return dict(
            self.connection.execute(
                f"SELECT path, stamp FROM {table} WHERE path BETWEEN ? AND ?",  # noqa: S608
                _inside(folder),
            )
        )

    def _seal(self, folders: Sequence[DayFolder]) -> None:
        with self.changes() as database:
            database.executemany(
                "INSERT OR REPLACE INTO folders VALUES (?, ?)",
                [
                    (folder.path, folder.stamp)
                    for folder in folders
                    if folder.stamp and folder.path not in self._unreadable
                ],
            )

    def _rescan(self, path: str) -> int:
        try:
            # Taken before the scan: what is appended meanwhile makes the stamp stale, never the rows.
            stamp = stamp_of((self._root / path).stat())
            segments = scan_file(self._root, path)
        except FileNotFoundError:
            segments, stamp = [], None
        except OSError as error:
            _LOGGER.warning("%s cannot be read: %s", path, error)
            self._unreadable.add(HourPath.parse(path).folder)
            return 0
        self._put_file(path, segments, stamp)
        return len(segments)

    def _put_file(
        self, path: str, segments: Iterable[StoredSegment], stamp: str | None
    ) -> None:
        with self.changes():
            self._derive(self._replace_segments(path, segments, stamp))

    def _put(
        self,
        event: Event,
        segment: StoredSegment | None,
        stamp: str | None,
        picture_size: int | None,
    ) -> None:
        with self.changes() as database:
            if segment is not None:
                database.execute(INSERT_SEGMENT, astuple(segment))
                if stamp is not None:
                    # The file is known to its last byte only when this segment is its last and has ended.
                    is_whole = segment.closed and stamp.startswith(f"{segment.end}.")
                    database.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?)",
                        (segment.path, stamp if is_whole else ""),
                    )
            if event.thumbnail is not None and picture_size is not None:
                database.execute(
                    "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)",
                    (event.id, event.thumbnail, picture_size),
                )
            self._derive({event.id})

    def _put_notes(self, file: str, notes: dict[str, Note]) -> None:
        with self.changes():
            try:
                stamp = stamp_of((self._root / file).stat())
            except OSError:
                stamp = None
            self._derive(self._replace_notes(file, notes, stamp))

    def _replace_segments(
        self, path: str, segments: Iterable[StoredSegment], stamp: str | None
    ) -> set[str]:
        """Replace the rows of an hour file; return the events touched."""
        database = self.connection
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
        database = self.connection
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
        self.connection.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            [
                (
                    event,
                    file,
                    note.protected,
                    json.dumps(note.labels, ensure_ascii=False),
                    note.description,
                    findings_text(note),
                )
                for event, note in notes.items()
            ],
        )

    @override
    def _derive(self, events: Iterable[str]) -> None:
        """Derive the rows of events from segments, notes, thumbnails and what is going on."""
        database = self.connection
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
                recorded_ms, trusted = first.recorded_ms, first.clock_trusted
            elif live:
                row = (
                    event, live.camera, live.start_ms, live.end_ms, live.reason, live.state, live.frames, live.lost, live.size, path,
                )  # fmt: skip
                recorded_ms, trusted = live.recorded_ms, live.clock_trusted
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
                    recorded_ms,
                    trusted,
                    remote,
                    findings_text(note),
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
    def fill(self) -> None:
        """Read all files."""
        started = time.monotonic()
        try:
            folders = self._folders(everything=True)
        except OSError as error:
            # The storage itself is looked at elsewhere; what is not sealed is read by the next follow().
            _LOGGER.warning("The recordings cannot be read: %s", error)
            return
        for path in sorted(self._outdated(folders, everything=True), key=by_time):
            self._rescan(path)
        self._seal(folders)
        _LOGGER.info(
            "Index rebuilt from the recordings in %.1f s", time.monotonic() - started
        )


def _by_folder(rows: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return path and stamp by folder."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path, stamp in rows:
        found.setdefault(folder_of(path), []).append((path, stamp))
    return found


def _inside(folder: str) -> tuple[str, str]:
    """Return the bounds of the paths in a folder."""
    return f"{folder}/", f"{folder}/\x7f"
