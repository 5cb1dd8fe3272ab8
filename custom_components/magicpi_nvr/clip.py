"""What an automation learns of a clip."""

from typing import Any

from homeassistant.components.http.auth import async_sign_path
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN, SIGNED_PATH_LIFETIME
from .nvr import Nvr, Sighting, event_as_dict, findings_as_dict
from .recording import Event
from .timestamps import utc_time
from .views import event_clip_url, event_thumbnail_url


@callback
def signed(hass: HomeAssistant, path: str) -> str:
    """Return a path that opens without a login until it expires."""
    return async_sign_path(hass, path, SIGNED_PATH_LIFETIME, use_content_user=True)


def iso_time(at_ms: int) -> str:
    """Return UTC epoch milliseconds as people and templates write them."""
    return utc_time(at_ms).isoformat()


@callback
def clip_attributes(hass: HomeAssistant, nvr: Nvr, event: Event) -> dict[str, Any]:
    """Return what an automation needs of a clip: times, where to play it, where the file lies."""
    found = findings_as_dict(event.findings)
    return {
        "event_id": event.id,
        "start": iso_time(event.start_ms),
        "end": iso_time(event.end_ms),
        "duration": event.duration_ms / 1000,
        "reason": event.reason,
        "size": event.size,
        "lost": event.lost,
        "labels": list(event.findings.labels),
        "verdict": found["verdict"],
        "zones": found["zones"],
        "detections": found["detections"],
        "media_content_id": f"media-source://{DOMAIN}/event/{event.id}",
        "clip_url": signed(hass, event_clip_url(event.id)),
        "thumbnail_url": signed(hass, event_thumbnail_url(event.id)),
        "path": str(nvr.media_root / event.path),
    }


@callback
def event_response(hass: HomeAssistant, nvr: Nvr, event: Event) -> dict[str, Any]:
    """Return everything about an event, as actions answer it."""
    return (
        clip_attributes(hass, nvr, event)
        # Labels here are a person's: those of the detector are in `detections`
        | event_as_dict(event)
        | {"camera_name": nvr.entries.name(event.camera)}
    )


@callback
def sighting_attributes(hass: HomeAssistant, sighting: Sighting) -> dict[str, Any]:
    """Return what an automation needs as soon as something is seen; its clip comes later, with the same event id."""
    seen = sighting.detection
    return {
        "event_id": sighting.event,
        "label": seen.label,
        "score": seen.score,
        "zones": list(seen.zones),
        "box": list(seen.box),
        "thumbnail_url": signed(hass, event_thumbnail_url(sighting.event)),
    }
