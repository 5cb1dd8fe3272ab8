"""Names of objects: the only place that makes or reads them."""

from datetime import UTC, datetime, timedelta, tzinfo
import re
import unicodedata

CLIP = ".mp4"
PICTURE = ".jpg"
DOCUMENT = ".json"
_MAX_NAME = 60
# What Windows, WebDAV servers or addresses cannot have in a name, and what moves in a tree.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*%#&+;=@\[\]{}^`~$\']+')
_EVENT = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}-(?:0|[1-9][0-9]{0,9})")


def stem(
    *, camera: str, start_ms: int, reason: str, event: str, time_zone: tzinfo
) -> str:
    """Return the name without its ending: `Front door/2026-11-22/08-15-03 motion aabbccddeeff-00000001-1`."""
    if _EVENT.fullmatch(event) is None:
        raise ValueError("not an event id")
    at = (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=start_ms)).astimezone(
        time_zone
    )
    return f"{plain(camera) or 'camera'}/{at:%Y-%m-%d}/{at:%H-%M-%S} {plain(reason) or 'event'} {event}"


def plain(text: str) -> str:
    """Return a name that every server and file system takes."""
    text = unicodedata.normalize("NFC", text)
    text = " ".join(_FORBIDDEN.sub(" ", text).split())
    return text.strip(". ")[:_MAX_NAME].rstrip(". ")


def event_of(name: str) -> str | None:
    """Return the event of an object, None for anything else."""
    base, dot, ending = name.rpartition("/")[2].rpartition(".")
    if not dot or f".{ending}" not in (CLIP, PICTURE, DOCUMENT):
        return None
    event = base.rpartition(" ")[2]
    return event if _EVENT.fullmatch(event) else None
