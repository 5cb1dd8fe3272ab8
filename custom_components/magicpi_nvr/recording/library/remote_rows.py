"""Rows of events that are at a target: they count while nothing of the event is in an hour file. Blocking."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from ..model import StoredSegment
from .database import INSERT_REMOTE_SEGMENT, SELECT_REMOTE_SEGMENT, segment_of
from .notes import Note
from .queries import Queries

# What notes of remote events have in place of the file that they are in.
_NO_FILE = ""


@dataclass(frozen=True, slots=True)
class RemoteEvent:
    """An event as the JSON at a target describes it."""

    event: str
    segments: tuple[StoredSegment, ...]
    note: Note


class RemoteRows(Queries):
    """Remote events in the index."""

    def put_remote(self, events: Iterable[RemoteEvent]) -> list[str]:
        """Take in copies; return those that are remote now."""

        def job() -> list[str]:
            touched = []
            with self.changes() as database:
                for item in events:
                    self._drop_remote(item.event)
                    database.executemany(
                        INSERT_REMOTE_SEGMENT,
                        [astuple(segment) for segment in item.segments],
                    )
                    self._replace_note(item.event, item.note)
                    touched.append(item.event)
                self._derive(touched)
            return [event for event in touched if not self._is_local(event)]

        return self._retry(job)

    def annotate_remote(self, event: str, note: Note) -> None:
        """Take in what is said now of an event of which there is a copy."""

        def job() -> None:
            if not self._remote_segments(event):
                return
            with self.changes():
                self._replace_note(event, note)
                self._derive([event])

        self._retry(job)

    def drop_remote(self, events: Iterable[str]) -> list[str]:
        """Forget copies; return the events that are nowhere any more."""

        def job() -> list[str]:
            gone = []
            with self.changes() as database:
                for event in events:
                    self._drop_remote(event)
                    database.execute(
                        "DELETE FROM remote_notes WHERE event = ?", (event,)
                    )
                    if not self._is_local(event):
                        gone.append(event)
                self._derive(gone)
            return gone

        return self._retry(job)

    def with_copies(self) -> set[str]:
        """Return the events of which a copy is known."""
        return self._retry(
            lambda: {
                event
                for (event,) in self.connection.execute(
                    "SELECT DISTINCT event FROM remote_segments"
                )
            }
        )

    def _remote_segments(self, event: str) -> list[StoredSegment]:
        return [
            segment_of(row)
            for row in self.connection.execute(
                f"{SELECT_REMOTE_SEGMENT} WHERE event = ? ORDER BY start_ms, number",
                (event,),
            )
        ]

    def _is_local(self, event: str) -> bool:
        found = self.connection.execute(
            "SELECT 1 FROM segments WHERE event = ? LIMIT 1", (event,)
        )
        return found.fetchone() is not None

    def _drop_remote(self, event: str) -> None:
        self.connection.execute("DELETE FROM remote_segments WHERE event = ?", (event,))

    def _replace_note(self, event: str, note: Note) -> None:
        self._put_note_rows("remote_notes", _NO_FILE, {event: note})

    @abstractmethod
    def _put_note_rows(self, table: str, file: str, notes: dict[str, Note]) -> None:
        """Write rows of notes."""

    @abstractmethod
    def _derive(self, events: Iterable[str]) -> None:
        """Derive the rows of events."""
