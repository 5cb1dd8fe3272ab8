"""An event as REST, cards and automations show it."""

from typing import Any

from ..recording import Event, Findings


def has_thumbnail(event: Event) -> bool:
    """Say whether a picture of an event may be asked for; of a remote one the target knows."""
    return event.thumbnail is not None or event.remote


def event_as_dict(event: Event) -> dict[str, Any]:
    """Return an event as people's and cameras' REST show it; times are UTC epoch milliseconds."""
    return {
        "id": event.id,
        "camera": event.camera,
        "start": event.start_ms,
        "end": event.end_ms,
        "duration_ms": event.duration_ms,
        "reason": event.reason,
        "state": event.state,
        "frames": event.frames,
        "lost": event.lost,
        "size": event.size,
        "protected": event.protected,
        "labels": list(event.labels),
        "description": event.description,
        "remote": event.remote,
        **findings_as_dict(event.findings),
    }


def motion_as_dict(event: Event) -> dict[str, Any]:
    """Return an event as the mark of motion in the piece of a continuous recording around it."""
    return {
        "id": event.id,
        "start": event.start_ms,
        "end": event.end_ms,
        "reason": event.reason,
        "labels": list(event.all_labels),
        "verdict": event.findings.verdict,
    }


def findings_as_dict(findings: Findings) -> dict[str, Any]:
    """Return what vision found, as REST, cards and automations show it; boxes are (x, y, w, h), 0 to 1."""
    return {
        "verdict": findings.verdict,
        "zones": list(findings.zones),
        "detections": [item.as_dict() for item in findings.detections],
    }
