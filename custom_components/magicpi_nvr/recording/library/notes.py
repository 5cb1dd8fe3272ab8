"""Notes of events: `08.json` beside `08.mp4` keeps their protection, labels and descriptions. Blocking."""

from collections.abc import Mapping
from dataclasses import dataclass
import json
import logging
from pathlib import Path
from typing import Any

from ..files import replace_file

_LOGGER = logging.getLogger(__name__)

_VERSION = 1
MAX_LABELS = 32
MAX_LABEL = 64
MAX_DESCRIPTION = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Protection, labels and description of one event."""

    protected: bool = False
    labels: tuple[str, ...] = ()
    description: str = ""


NOTHING = Note()


def read_notes(path: Path) -> dict[str, Note]:
    """Return the notes by event id. A missing file has none, a broken one is put aside. Raises OSError."""
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


def write_notes(path: Path, notes: Mapping[str, Note]) -> None:
    """Replace the file atomically, or remove it when no note is left. Raises OSError."""
    kept = {event: note for event, note in notes.items() if note != NOTHING}
    if not kept:
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
            for event, note in sorted(kept.items())
        },
    }
    replace_file(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


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
