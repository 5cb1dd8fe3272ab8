"""Notes of events: `08.json` beside `08.mp4` keeps their protection, labels and descriptions. Blocking."""

from collections.abc import Mapping
from dataclasses import dataclass
import json
import logging
from pathlib import Path
from typing import Any

from ..files import replace_file
from ..model import NO_FINDINGS, Detection, Findings

_LOGGER = logging.getLogger(__name__)

_VERSION = 1
MAX_LABELS = 32
MAX_LABEL = 64
MAX_DESCRIPTION = 4096
MAX_DETECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Protection, labels and description of one event, and apart from these what vision found."""

    protected: bool = False
    labels: tuple[str, ...] = ()
    description: str = ""
    findings: Findings = NO_FINDINGS


NOTHING = Note()


def read_notes(path: Path) -> dict[str, Note]:
    """Return the notes by event id. A missing file has none, a broken one is put aside. Raises OSError."""
    try:
        data = json.loads(path.read_bytes())
        return {str(event): _note(item) for event, item in data["events"].items()}
    except FileNotFoundError:
        return {}
    except ValueError, KeyError, TypeError, AttributeError, RecursionError:
        _LOGGER.warning("%s cannot be read as notes of events and is renamed", path)
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
                **(
                    {"vision": findings_as_dict(note.findings)}
                    if note.findings != NO_FINDINGS
                    else {}
                ),
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
        findings=read_findings(item.get("vision")),
    )


def findings_as_dict(findings: Findings) -> dict[str, Any]:
    """Return findings as JSON keeps them."""
    return {
        "verdict": findings.verdict,
        "zones": list(findings.zones),
        "strength": findings.strength,
        "detections": [item.as_dict() for item in findings.detections],
    }


def read_findings(data: Any) -> Findings:
    """Return findings from JSON; what cannot be read is left out."""
    if not isinstance(data, dict):
        return NO_FINDINGS
    verdict = data.get("verdict")
    strength = data.get("strength")
    items = data.get("detections")
    found = [_detection(item) for item in items] if isinstance(items, list) else []
    return Findings(
        verdict=verdict if isinstance(verdict, str) else None,
        zones=_texts(data.get("zones")),
        strength=strength if isinstance(strength, int) else 0,
        detections=tuple(item for item in found if item)[:MAX_DETECTIONS],
    )


def _detection(item: Any) -> Detection | None:
    try:
        x, y, w, h = (float(part) for part in item["box"])
        return Detection(
            label=str(item["label"])[:MAX_LABEL],
            score=float(item["score"]),
            box=(x, y, w, h),
            zones=_texts(item.get("zones")),
            still=item.get("still") is True,
            counts=item.get("counts") is not False,
        )
    except KeyError, TypeError, ValueError, AttributeError:
        return None


def _texts(items: Any) -> tuple[str, ...]:
    if not isinstance(items, list):
        return ()
    return tuple(item for item in items if isinstance(item, str))[:MAX_LABELS]
