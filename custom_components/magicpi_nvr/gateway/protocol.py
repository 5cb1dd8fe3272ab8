"""The camera protocol, version 1: limits, flags, ids, frame headers, and the messages to cameras."""

from collections.abc import Mapping
from enum import IntEnum
import json
import re
import struct
from typing import Any, Final, NamedTuple, Self, override

from .jpeg import MAX_JPEG_BYTES

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL: Final = "magicpi.v1"

MAX_TEXT_BYTES: Final = 16 * 1024
MAX_REGISTER_BYTES: Final = 8 * 1024
HELLO_TIMEOUT_S: Final = 5.0
IDLE_TIMEOUT_S: Final = 30.0

FLAG_PRE_ROLL: Final = 1
FLAG_STILL: Final = 2
FLAG_LAST: Final = 4
FLAG_WARMING_UP: Final = 8
FLAG_LOST_BEFORE: Final = 16

WAKE_TIMER: Final = "timer"
WAKE_REASONS: Final = (
    "pir",
    WAKE_TIMER,
    "power",
    "brownout",
    "watchdog",
    "button",
    "ota",
    "crash",
    "ring",
)
# Sources of an event that are no motion
SOURCE_RING: Final = "ring"
SOURCE_TIMER: Final = "timer"
UNKNOWN_REASON: Final = "unknown"
COMMANDS: Final = (
    "stream_start",
    "stream_stop",
    "snapshot",
    "identify",
    "restart",
    "sleep",
    "rekey",
    "forget",
)

_MAC: Final = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}")
# The lowest bit of the first octet marks group addresses, the broadcast address among them.
_CAMERA_ID: Final = re.compile(
    r"(?!00:00:00:00:00:00)[0-9A-F][02468ACE](?::[0-9A-F]{2}){5}"
)


class CloseCode(IntEnum):
    """WebSocket close codes of the protocol."""

    OK = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    REPLACED = 4001
    REVOKED = 4003
    IDLE = 4008


class ProtocolError(Exception):
    """A message that does not follow the protocol; `reason` is a short slug."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


def is_mac(text: object) -> bool:
    """Return whether this is an upper-case MAC with colons."""
    return isinstance(text, str) and _MAC.fullmatch(text) is not None


def is_camera_id(text: object) -> bool:
    """Return whether this is an upper-case MAC with colons that one device can have."""
    return isinstance(text, str) and _CAMERA_ID.fullmatch(text) is not None


class FrameHeader(NamedTuple):
    """The 24 bytes before a JPEG."""

    version: int
    flags: int
    event: int
    seq: int
    t: int
    crc32: int
    length: int

    @classmethod
    def unpack(cls, data: bytes | bytearray) -> Self:
        """Read the header at the beginning of a binary frame; raises ProtocolError when too short."""
        try:
            return tuple.__new__(cls, _HEADER.unpack_from(data))
        except struct.error:
            raise ProtocolError("short_header") from None

    def pack(self) -> bytes:
        """Return the 24 bytes."""
        return _HEADER.pack(*self)


_HEADER: Final = struct.Struct("!BBHIQII")
HEADER_BYTES: Final = _HEADER.size
MAX_BINARY_BYTES: Final = MAX_JPEG_BYTES + HEADER_BYTES


class Frame(NamedTuple):
    """One good JPEG of a camera.

    `captured_ms` is UTC epoch milliseconds, `orientation` the degrees clockwise by which a
    viewer turns the picture, as its tag says: 0, 90, 180 or 270. Width and height are those before it.
    """

    camera: str
    boot: int
    event: int
    seq: int
    flags: int
    t: int
    captured_ms: int
    jpeg: bytes
    width: int
    height: int
    repaired: bool
    orientation: int = 0

    @override
    def __repr__(self) -> str:
        # Pictures don't belong into logs.
        return f"<Frame {self.camera} {self.boot}:{self.seq} {len(self.jpeg)} bytes>"


def _encode(kind: str, **values: Any) -> str:
    return json.dumps({"type": kind, **values}, separators=(",", ":"))


def encode_welcome(
    *, time_ms: int, config: Mapping[str, Any] | None, have: int, stay_awake_s: int
) -> str:
    """Answer to `hello`."""
    return _encode(
        "welcome", time=time_ms, config=config, have=have, stay_awake_s=stay_awake_s
    )


def encode_config(config: Mapping[str, Any]) -> str:
    """Desired configuration; `config` has `rev` and all keys."""
    return _encode("config", **config)


def encode_ack(boot: int, seq: int) -> str:
    """All frames of `boot` up to `seq` are persisted or refused for good."""
    return _encode("ack", boot=boot, seq=seq)


def encode_command(command_id: int, name: str, args: Mapping[str, Any]) -> str:
    """One command; the camera answers with `result`."""
    return _encode("command", id=command_id, name=name, args=args)


def encode_ota(
    *, version: str, sha256: str, size: int, path: str, signature: str | None
) -> str:
    """Offer of a firmware image."""
    extra = {} if signature is None else {"signature": signature}
    return _encode("ota", version=version, sha256=sha256, size=size, path=path, **extra)
