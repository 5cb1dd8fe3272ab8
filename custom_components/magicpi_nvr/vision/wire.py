"""What Home Assistant's process and the child say to each other: `!BIII` kind, request, JSON's and bytes' lengths; then both."""

from enum import IntEnum
import json
import struct
from typing import Any, Final, NamedTuple

HEADER: Final = struct.Struct("!BIII")
MAX_PICTURE: Final = 512 * 1024
MAX_META: Final = 64 * 1024
MAX_REPLY_DATA: Final = 64 * 1024


class Kind(IntEnum):
    """Requests; an answer has its request's kind."""

    READY = 0  # the child, once: {"detector": bool, "error": str}
    MOTION = 1  # {"stream", "begin"?: bool}, picture, or the quiet picture with "quiet": its length before it
    FINISH = 2  # {"stream"} -> bytes: the quiet picture
    DETECT = 3  # {"crop": [x, y, w, h] | null, "thresholds": {label: score}}, picture


class WireError(ValueError):
    """The other side sends what it should not."""


class Message(NamedTuple):
    """One message."""

    kind: Kind
    request: int
    meta: dict[str, Any]
    data: bytes


def pack(kind: Kind, request: int, meta: dict[str, Any], data: bytes = b"") -> bytes:
    """Return header and JSON; the bytes follow as they are, so that a picture is not copied."""
    text = json.dumps(meta, separators=(",", ":")).encode()
    return HEADER.pack(kind, request, len(text), len(data)) + text


def unpack_header(header: bytes, max_data: int) -> tuple[Kind, int, int, int]:
    """Return kind, request and both lengths; raises WireError."""
    kind, request, meta, data = HEADER.unpack(header)
    if meta > MAX_META or data > max_data:
        raise WireError("too long")
    try:
        return Kind(kind), request, meta, data
    except ValueError:
        raise WireError("unknown kind") from None


def unpack_meta(text: bytes) -> dict[str, Any]:
    """Return the JSON; raises WireError."""
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise WireError("no JSON") from err
    if not isinstance(meta, dict):
        raise WireError("no object")
    return meta
