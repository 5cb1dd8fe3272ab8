"""Facts about cameras as plain data: for REST, the card and diagnostics."""

from typing import Any

from .gateway import Camera
from .nvr import Nvr


def camera_status(nvr: Nvr, camera: Camera) -> dict[str, Any]:
    """Return the state of a camera; times are UTC epoch milliseconds."""
    telemetry, config = camera.telemetry, camera.config
    return {
        "id": camera.id,
        "name": nvr.entries.name(camera.id),
        "model": camera.model,
        "firmware": camera.firmware,
        "state": camera.status,
        "last_seen": camera.last_seen_ms,
        "next_check_in": camera.next_check_in_ms,
        "late_since": camera.late_since_ms,
        "motion": camera.motion,
        "recording": nvr.recordings.is_recording(camera.id),
        "recording_enabled": nvr.recording_enabled(camera.id),
        "battery_pct": telemetry.battery_pct,
        "battery_mv": telemetry.battery_mv,
        "rssi": telemetry.rssi,
        "config": {
            "rev": config.rev,
            "reported_rev": config.reported_rev,
            "wanted": dict(config.desired),
            "pending": dict(config.pending),
            "rejected": dict(config.rejected),
        },
    }


def camera_stats(nvr: Nvr, camera: Camera) -> dict[str, Any]:
    """Return the counters of a camera, and what it has on disk."""
    usage = nvr.recordings.usage.camera(camera.id)
    return camera.counters.as_dict() | {
        "recordings": usage.events if usage else 0,
        "storage_used": usage.size if usage else 0,
    }


def storage_stats(nvr: Nvr) -> dict[str, Any] | None:
    """Return the figures of the disk, None before they were counted."""
    if (stats := nvr.recordings.usage.storage) is None:
        return None
    return {
        "used": stats.used,
        "free": stats.free,
        "total": stats.total,
        "events": stats.events,
        "protected": stats.protected,
        "days_until_full": stats.days_until_full,
    }
