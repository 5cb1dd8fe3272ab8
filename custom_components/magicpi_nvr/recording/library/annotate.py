"""Changing the notes of an event, on disk and in the index."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from ..model import Event
from .backend import Backend
from .layout import HourPath
from .notes import NOTHING, Note, read_notes, write_notes


async def remove_notes(backend: Backend, events: Iterable[Event]) -> None:
    """Remove the notes of events that are gone; the caller holds `backend.changing`. Raises OSError."""
    files: dict[str, set[str]] = {}
    for event in events:
        files.setdefault(HourPath.parse(event.path).notes, set()).add(event.id)
    for file, ids in files.items():
        await _change(
            backend,
            file,
            partial(_without, ids),
        )


async def protected_on_disk(backend: Backend, events: Sequence[Event]) -> set[str]:
    """Return the events that notes protect although the index does not know, which it does then. Raises OSError."""
    kept: set[str] = set()
    ids = {event.id for event in events}
    for file in {HourPath.parse(event.path).notes for event in events}:
        notes = await backend.change(read_notes, backend.root / file)
        if missed := ids & {name for name, note in notes.items() if note.protected}:
            kept |= missed
            await backend.indexed(backend.index.put_notes, file, notes)
    return kept


async def write_note(
    backend: Backend, event: Event, change: Callable[[Note], Note]
) -> None:
    """Change the note of an event; the caller holds `backend.changing`. Raises OSError."""
    await _change(
        backend,
        HourPath.parse(event.path).notes,
        lambda notes: notes | {event.id: change(notes.get(event.id, NOTHING))},
    )


async def _change(
    backend: Backend,
    file: str,
    change: Callable[[dict[str, Note]], dict[str, Note]],
) -> None:
    path = backend.root / file

    def job() -> dict[str, Note]:
        backend.storage.check()
        notes = change(read_notes(path))
        kept = {name: note for name, note in notes.items() if note != NOTHING}
        with backend.claims.folders:
            if kept:
                # An event that waits in the spool may be the first of its day
                path.parent.mkdir(parents=True, exist_ok=True)
            write_notes(path, kept)
        return kept

    notes = await backend.change(job)
    await backend.indexed(backend.index.put_notes, file, notes)


def _without(ids: Collection[str], notes: dict[str, Note]) -> dict[str, Note]:
    return {event: note for event, note in notes.items() if event not in ids}
