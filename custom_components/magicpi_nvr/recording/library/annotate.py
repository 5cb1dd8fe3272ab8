"""Changing the notes of an event, on disk and in the index."""

from collections.abc import Callable

from ..model import Event
from .backend import Backend
from .layout import HourPath
from .notes import NOTHING, Note, read_notes, write_notes


async def write_note(
    backend: Backend, event: Event, change: Callable[[Note], Note]
) -> None:
    """Change the note of an event; the caller holds `backend.changing`. Raises OSError."""
    file = HourPath.parse(event.path).notes
    path = backend.root / file

    def job() -> dict[str, Note]:
        notes = read_notes(path)
        notes[event.id] = change(notes.get(event.id, NOTHING))
        kept = {name: note for name, note in notes.items() if note != NOTHING}
        with backend.claims.folders:
            if kept:
                # An event that waits in the spool may be the first of its day
                path.parent.mkdir(parents=True, exist_ok=True)
            write_notes(path, kept)
        return kept

    notes = await backend.threaded(job)
    await backend.indexed(backend.index.put_notes, file, notes)
