"""What cameras send as text: each message with its fields, and how each field is read."""

# ruff: noqa: RUF009 - the fields carry their readers, one row says all of a field

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
import json
from typing import Any, Final, Self

from .protocol import UNKNOWN_REASON, WAKE_REASONS, ProtocolError, is_camera_id

_MAX_U32: Final = 2**32 - 1
# Ten years: what a camera says of its own clock stays within what dates can hold.
_MAX_UPTIME_MS: Final = 10 * 366 * 86_400_000


def read_name(value: object) -> str:
    """Return a non-empty name of at most 64 characters; raises ValueError."""
    if not (text := _clean_text(value, 64)):
        raise ValueError
    return text


def _clean_text(value: object, limit: int) -> str:
    """Return text without control characters and lone surrogates, cut to `limit` characters."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - one error for every field reader
    text = value[:limit].encode(errors="replace").decode()
    return "".join(char if char.isprintable() else " " for char in text).strip()


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
