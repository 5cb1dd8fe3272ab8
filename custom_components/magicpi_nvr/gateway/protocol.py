"""Messages and frame headers of the camera protocol, version 1.

Long because it is one table with a row for each field of each message.
"""

# ruff: noqa: RUF009 - the fields carry their readers, one row says all of a field

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
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
HEARTBEAT_S: Final = 10

FLAG_PRE_ROLL: Final = 1
FLAG_STILL: Final = 2
FLAG_LAST: Final = 4
FLAG_WARMING_UP: Final = 8
FLAG_LOST_BEFORE: Final = 16

WAKE_REASONS: Final = (
    "pir",
    "timer",
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
_MAX_U32: Final = 2**32 - 1
# Ten years: what a camera says of its own clock stays within what dates can hold.
_MAX_UPTIME_MS: Final = 10 * 366 * 86_400_000


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


# Field readers: each takes what JSON gave and returns the value or raises ValueError.


def _clean_text(value: object, limit: int) -> str:
    """Return text without control characters and lone surrogates, cut to `limit` characters."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - one error for every field reader
    text = value[:limit].encode(errors="replace").decode()
    return "".join(char if char.isprintable() else " " for char in text).strip()


def read_name(value: object) -> str:
    """Return a non-empty name of at most 64 characters; raises ValueError."""
    if not (text := _clean_text(value, 64)):
        raise ValueError
    return text


def _text(limit: int) -> Callable[[object], str]:
    return lambda value: _clean_text(value, limit)


def _integer(minimum: int, maximum: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        # A camera's JSON writer may print 12.0 for 12; True is no number.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not (minimum <= value <= maximum)
        ):
            raise ValueError
        return value

    return read


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - one error for every field reader
    return value


def _one_of(*options: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError
        return value

    return read


def _camera_id(value: object) -> str:
    if not isinstance(value, str) or not is_camera_id(value):
        raise ValueError("it is the camera's MAC, neither zero nor a group address")
    return value


def _wake_reason(value: object) -> str:
    # A later firmware may know reasons that this version doesn't: no cause to lock it out.
    return text if (text := read_name(value)) in WAKE_REASONS else UNKNOWN_REASON


def _slug(value: object) -> str:
    # Cut in the middle it may end in a blank, which is no part of it
    return read_name(read_name(value)[:32])


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - one error for every field reader
    return value


def _reasons(value: object) -> dict[str, str]:
    return {
        read_name(key): _clean_text(reason, 120)
        for key, reason in list(_mapping(value).items())[:64]
    }


def _features(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > 32:
        raise ValueError
    return tuple(_slug(item) for item in value)


_U32 = _integer(0, _MAX_U32)
_MS = _integer(0, _MAX_UPTIME_MS)
_EVENT = _integer(0, 0xFFFF)
_RSSI = _integer(-150, 50)
_BATTERY_MV = _integer(0, 100_000)


def _reads(reader: Callable[[object], Any], **kwargs: Any) -> Any:
    """Return a dataclass field that is read from JSON by `reader`."""
    return field(metadata={"reader": reader}, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds from wake to Wi-Fi, for TLS, and to the first frame."""

    wifi_ms: int | None = _reads(_MS, default=None)
    tls_ms: int | None = _reads(_MS, default=None)
    first_frame_ms: int | None = _reads(_MS, default=None)


def _timing(value: object) -> Timing:
    return _read_fields(Timing, _mapping(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Wakes by their kind and seconds of earlier boots that were not reported yet."""

    pir: int = _reads(_U32, default=0)
    timer: int = _reads(_U32, default=0)
    ring: int = _reads(_U32, default=0)
    other: int = _reads(_U32, default=0)
    awake_s: int = _reads(_U32, default=0)
    radio_s: int = _reads(_U32, default=0)
    sensor_s: int = _reads(_U32, default=0)


def _spent(value: object) -> Spent:
    return _read_fields(Spent, _mapping(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A camera introduces itself; the first message of a connection."""

    proto: int = _reads(_U32)
    id: str = _reads(_camera_id)
    fw: str = _reads(read_name)
    model: str = _reads(read_name)
    boot: int = _reads(_U32)
    reason: str = _reads(_wake_reason)
    uptime_ms: int = _reads(_MS)
    rssi: int | None = _reads(_RSSI, default=None)
    battery_mv: int | None = _reads(_BATTERY_MV, default=None)
    battery_pct: int | None = _reads(_integer(0, 100), default=None)
    heap: int | None = _reads(_U32, default=None)
    config_rev: int = _reads(_U32)
    timing: Timing = _reads(_timing, default=Timing())
    backlog: int = _reads(_U32, default=0)
    lost: int = _reads(_U32, default=0)
    features: tuple[str, ...] = _reads(_features, default=())
    charging: bool | None = _reads(_bool, default=None)
    dropped: int = _reads(_U32, default=0)
    spent: Spent | None = _reads(_spent, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Motion begins or ends."""

    event: int = _reads(_EVENT)
    active: bool = _reads(_bool)
    t: int = _reads(_MS)
    source: str = _reads(_slug, default="pir")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEnd:
    """All frames of an event have been sent."""

    event: int = _reads(_EVENT)
    t: int = _reads(_MS)
    frames: int = _reads(_U32, default=0)
    lost: int = _reads(_U32, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Sign of life every ten seconds while awake."""

    uptime_ms: int = _reads(_MS)
    rssi: int | None = _reads(_RSSI, default=None)
    battery_mv: int | None = _reads(_BATTERY_MV, default=None)
    charging: bool | None = _reads(_bool, default=None)
    heap: int | None = _reads(_U32, default=None)
    backlog: int = _reads(_U32, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigAck:
    """What a camera did with a configuration."""

    rev: int = _reads(_U32)
    applied: dict[str, Any] = _reads(_mapping, default_factory=dict)
    rejected: dict[str, str] = _reads(_reasons, default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Outcome of a command."""

    id: int = _reads(_U32)
    ok: bool = _reads(_bool)
    error: str | None = _reads(_text(120), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaState:
    """Progress of an update."""

    state: str = _reads(_one_of("downloading", "verifying", "installed", "failed"))
    percent: int = _reads(_integer(0, 100), default=0)
    error: str | None = _reads(_text(120), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line of the camera's log."""

    level: str = _reads(_slug)
    message: str = _reads(_text(500))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """The camera leaves."""

    reason: str = _reads(_one_of("sleep", "restart", "ota"))
    next_wake_s: int | None = _reads(_integer(0, 366 * 86_400), default=None)


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a type that this version doesn't know."""

    type: str


type Message = (
    Hello
    | Motion
    | EventEnd
    | Heartbeat
    | ConfigAck
    | Result
    | OtaState
    | Log
    | Bye
    | UnknownMessage
)

_MESSAGES: Final[dict[str, type[Any]]] = {
    "hello": Hello,
    "motion": Motion,
    "event_end": EventEnd,
    "heartbeat": Heartbeat,
    "config_ack": ConfigAck,
    "result": Result,
    "ota": OtaState,
    "log": Log,
    "bye": Bye,
}


def _read_fields[_T](message: type[_T], data: Mapping[str, Any]) -> _T:
    """Build a message from a JSON object; raises ProtocolError that names the field."""
    values: dict[str, Any] = {}
    for item in fields(message):  # type: ignore[arg-type]
        if (value := data.get(item.name)) is None:
            continue
        try:
            values[item.name] = item.metadata["reader"](value)
        except ValueError as err:
            why = f": {err}" if err.args else ""
            raise ProtocolError(f"bad {item.name}{why}") from None
    try:
        return message(**values)
    except TypeError:
        missing = [
            item.name
            for item in fields(message)  # type: ignore[arg-type]
            if item.name not in values
            and item.default is MISSING
            and item.default_factory is MISSING
        ]
        raise ProtocolError(f"missing {' '.join(missing)}"[:100]) from None


def _refuse_constant(text: str) -> float:
    raise ValueError(text)


def decode_json(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in `text`; raises ProtocolError."""
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except ValueError, RecursionError:
        raise ProtocolError("not_json") from None
    if not isinstance(data, dict):
        raise ProtocolError("not_an_object")
    return data


def decode_message(text: str) -> Message:
    """Return the message in a text frame; raises ProtocolError."""
    data = decode_json(text)
    if not isinstance(kind := data.get("type"), str):
        raise ProtocolError("no_type")
    if (message := _MESSAGES.get(kind)) is None:
        return UnknownMessage(_clean_text(kind, 32))
    result: Message = _read_fields(message, data)
    return result


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
    """Wanted configuration; `config` has `rev` and all keys."""
    return _encode("config", **config)


def encode_ack(boot: int, seq: int) -> str:
    """All frames of `boot` up to `seq` are kept or refused for good."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What a camera can do."""

    resolutions: tuple[str, ...] = ("SVGA",)
    psram: int = 0
    battery: bool = False
    flash: bool = False
    sd: bool = False
    motion: tuple[str, ...] = ()
    sleep: bool = False
    ota: bool = False
    features: tuple[str, ...] = ()
    """What came after protocol 1's first cameras and this one has."""

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read `caps` of the wire or of the storage; raises ProtocolError."""
        if not isinstance(data, dict):
            raise ProtocolError("bad caps")
        values: dict[str, Any] = {}
        try:
            for key in ("resolutions", "motion"):
                if (items := data.get(key)) is None:
                    continue
                if not isinstance(items, list | tuple) or len(items) > 16:
                    raise ProtocolError(f"bad caps.{key}")
                values[key] = tuple(_slug(item) for item in items)
            for key in ("battery", "flash", "sd", "sleep", "ota"):
                if (value := data.get(key)) is not None:
                    values[key] = _bool(value)
            if (value := data.get("psram")) is not None:
                values["psram"] = _U32(value)
            if (value := data.get("features")) is not None:
                values["features"] = _features(value)
        except ValueError:
            raise ProtocolError("bad caps") from None
        if not values.get("resolutions", ("SVGA",)):
            raise ProtocolError("bad caps.resolutions")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return caps as on the wire."""
        return {
            "resolutions": list(self.resolutions),
            "psram": self.psram,
            "battery": self.battery,
            "flash": self.flash,
            "sd": self.sd,
            "motion": list(self.motion),
            "sleep": self.sleep,
            "ota": self.ota,
            **({"features": list(self.features)} if self.features else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Body of `POST /register`."""

    id: str = _reads(_camera_id)
    model: str = _reads(read_name)
    fw: str = _reads(read_name)
    token: str = field(repr=False, metadata={"reader": _text(256)})
    caps: Caps = _reads(Caps.from_dict)

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read the body; raises ProtocolError that names the field."""
        return _read_fields(cls, decode_json(body))
