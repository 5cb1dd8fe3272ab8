"""Sidecars: `08.json` beside `08.mp4` keeps what people and automations say about its events. All of this blocks."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
import json
import logging
import os
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger(__name__)

_VERSION = 1
MAX_LABELS = 32
MAX_LABEL = 64
MAX_DESCRIPTION = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was said about one event."""

    protected: bool = False
    labels: tuple[str, ...] = ()
    description: str = ""


NOTHING = Note()


def read_sidecar(path: Path) -> dict[str, Note]:
    """Return the notes by event id. A missing sidecar says nothing, a broken one is put aside. Raises OSError."""
    try:
        data = json.loads(path.read_bytes())
        return {str(event): _note(item) for event, item in data["events"].items()}
    except FileNotFoundError:
        return {}
    except ValueError, KeyError, TypeError, AttributeError, RecursionError:
        _LOGGER.warning("%s is not readable as notes of events, it is put aside", path)
        # The next note would take its place.
        path.replace(path.with_name(f"{path.name}.broken"))
        return {}


def write_sidecar(path: Path, notes: Mapping[str, Note]) -> None:
    """Replace the sidecar atomically, or remove it when there is nothing to say. Raises OSError."""
    said = {event: note for event, note in notes.items() if note != NOTHING}
    if not said:
        path.unlink(missing_ok=True)
        return
    data = {
        "v": _VERSION,
        "events": {
            event: {
                "protected": note.protected,
                "labels": note.labels,
                "description": note.description,
            }
            for event, note in sorted(said.items())
        },
    }
    replace_file(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a small file so that either the old or the new content is there, whatever happens. Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder last. Some network file systems cannot; then they last as long as they do."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they last."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _note(item: Mapping[str, Any]) -> Note:
    labels = item.get("labels", ())
    return Note(
        protected=item.get("protected") is True,
        labels=tuple(label for label in labels if isinstance(label, str))
        if isinstance(labels, list)
        else (),
        description=description
        if isinstance(description := item.get("description", ""), str)
        else "",
    )
