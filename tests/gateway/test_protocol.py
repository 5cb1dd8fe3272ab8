"""Frame headers and messages."""

import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.gateway.messages import (
    Bye,
    Caps,
    ConfigAck,
    EventEnd,
    Heartbeat,
    Hello,
    Log,
    Motion,
    OtaState,
    Registration,
    Result,
    UnknownMessage,
    decode_json,
    decode_message,
)
from custom_components.magicpi_nvr.gateway.protocol import (
    HEADER_BYTES,
    FrameHeader,
    ProtocolError,
    is_camera_id,
)
from tests.harness.gateway import CAPS, hello, registration


def test_header_on_the_wire() -> None:
    """24 bytes, big-endian, in the order of the protocol."""
    data = bytes.fromhex("01 05 0203 04050607 08090a0b0c0d0e0f 10111213 14151617")
    header = FrameHeader.unpack(data + b"jpeg")
    assert header == (
        1,
        5,
        0x0203,
        0x04050607,
        0x08090A0B0C0D0E0F,
        0x10111213,
        0x14151617,
    )
    assert header.pack() == data


@given(st.binary(max_size=64))
def test_any_header(data: bytes) -> None:
    """Too short is said; the rest comes back as it was."""
    if len(data) < HEADER_BYTES:
        with pytest.raises(ProtocolError, match="short_header"):
            FrameHeader.unpack(data)
    else:
        assert FrameHeader.unpack(data).pack() == data[:HEADER_BYTES]


def decode(message: dict[str, Any]) -> Any:
    """Decode a message from its object."""
    return decode_message(json.dumps(message))


def test_hello() -> None:
    """All fields, and only what must be there."""
    message = decode(hello(future_field=[1]))
    assert message.boot == 77
    assert message.timing.first_frame_ms == 900
    assert message.battery_pct == 80
    bare = hello()
    for name in (
        *("rssi", "battery_mv", "battery_pct", "heap", "timing", "backlog", "lost"),
    ):
        del bare[name]
    message = decode(bare)
    assert isinstance(message, Hello)
    assert message.rssi is None
    assert message.timing.wifi_ms is None
    assert message.lost == 0


def test_hello_of_later_firmware() -> None:
    """A wake reason of tomorrow does not lock a camera out."""
    assert decode(hello(reason="touch")).reason == "unknown"
    assert decode(hello(uptime_ms=1000.0)).uptime_ms == 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proto", "1"),
        ("id", "24:6f:28:aa:bb:cc"),
        ("id", "../../etc/passwd"),
        ("fw", ""),
        ("fw", 1),
        ("model", " \n "),
        ("boot", -1),
        ("boot", 2**32),
        ("boot", True),
        ("uptime_ms", 1.5),
        ("uptime_ms", 2**63),
        ("rssi", "strong"),
        ("battery_pct", 101),
        ("timing", []),
        ("timing", {"wifi_ms": -1}),
        ("config_rev", None),
    ],
)
def test_bad_hello(name: str, value: object) -> None:
    """The field that is wrong is named."""
    with pytest.raises(
        ProtocolError, match=name if name != "timing" else "timing|wifi"
    ):
        decode(hello(**{name: value}))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"type": "motion", "event": 3, "active": True, "t": 9, "source": "pir"},
            Motion(event=3, active=True, t=9, source="pir"),
        ),
        (
            {"type": "event_end", "event": 3, "t": 9, "frames": 4, "lost": 1},
            EventEnd(event=3, t=9, frames=4, lost=1),
        ),
        (
            {"type": "heartbeat", "uptime_ms": 5, "rssi": -70, "heap": 9, "backlog": 2},
            Heartbeat(uptime_ms=5, rssi=-70, heap=9, backlog=2),
        ),
        (
            {"type": "config_ack", "rev": 2, "applied": {"vflip": True}},
            ConfigAck(rev=2, applied={"vflip": True}),
        ),
        (
            {"type": "config_ack", "rev": 2, "rejected": {"flash": "none\0here"}},
            ConfigAck(rev=2, rejected={"flash": "none here"}),
        ),
        (
            {"type": "result", "id": 4, "ok": False, "error": "busy"},
            Result(id=4, ok=False, error="busy"),
        ),
        (
            {"type": "ota", "state": "downloading", "percent": 40},
            OtaState(state="downloading", percent=40),
        ),
        (
            {"type": "log", "level": "warning", "message": "a\nb\ud800c"},
            Log(level="warning", message="a b?c"),
        ),
        (
            {"type": "bye", "reason": "sleep", "next_wake_s": 60},
            Bye(reason="sleep", next_wake_s=60),
        ),
        ({"type": "poem", "text": "..."}, UnknownMessage("poem")),
    ],
)
def test_messages(message: dict[str, Any], expected: object) -> None:
    """Each type; text is made safe to show."""
    assert decode(message) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_json"),
        ("garbage", "not_json"),
        ('{"type":"bye"', "not_json"),
        ("[" * 100_000, "not_json"),
        ('{"a":NaN}', "not_json"),
        ('{"a":' + "9" * 5000 + "}", "not_json"),
        ("[]", "not_an_object"),
        ("null", "not_an_object"),
        ("{}", "no_type"),
        ('{"type":1}', "no_type"),
        ('{"type":"bye","reason":"party"}', "bad reason"),
        ('{"type":"motion","event":70000,"active":true,"t":1}', "bad event"),
        ('{"type":"motion","event":1,"t":1}', "missing active"),
        ('{"type":"config_ack","rev":1,"applied":[]}', "bad applied"),
    ],
)
def test_bad_messages(text: str, reason: str) -> None:
    """What is wrong is named."""
    with pytest.raises(ProtocolError) as raised:
        decode_message(text)
    assert raised.value.reason == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        *("hello", "motion", "event_end", "heartbeat", "config_ack", "result", "ota"),
        *("log", "bye", "welcome", ""),
    ]
)
NAMES = st.sampled_from(
    [
        *("event", "active", "t", "source", "rev", "applied", "rejected", "id", "ok"),
        *("state", "percent", "level", "message", "reason", "next_wake_s", "proto"),
        *("uptime_ms", "timing", "boot", "fw", "model", "config_rev"),
    ]
)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Any text is a message or a ProtocolError."""
    try:
        decode_message(text)
    except ProtocolError:
        return


@given(KINDS, st.dictionaries(NAMES, JSON, max_size=8))
def test_any_object(kind: str, fields: dict[str, Any]) -> None:
    """So is any object; what is read can be written."""
    try:
        message = decode_message(json.dumps({**fields, "type": kind}))
    except ProtocolError:
        return
    repr(message).encode()


@given(NAMES, JSON)
def test_any_field_of_hello(name: str, value: object) -> None:
    """A hello with one odd field."""
    try:
        message = decode_message(json.dumps(hello(**{name: value})))
    except ProtocolError:
        return
    assert isinstance(message, Hello)


@given(JSON)
def test_any_caps(value: object) -> None:
    """Caps are read or refused, and survive a round trip."""
    try:
        caps = Caps.from_dict(value)
    except ProtocolError:
        return
    assert Caps.from_dict(json.loads(json.dumps(caps.as_dict()))) == caps


@given(st.binary(max_size=100))
def test_any_registration(body: bytes) -> None:
    """Any body is a registration or a ProtocolError."""
    with pytest.raises(ProtocolError):
        Registration.from_json(body)


def test_registration() -> None:
    """A good one; its token is no thing to print."""
    body = json.dumps(registration("secret-token")).encode()
    parsed = Registration.from_json(body)
    assert parsed.caps.as_dict() == CAPS
    assert parsed.token == "secret-token"
    assert "secret-token" not in repr(parsed)


@pytest.mark.parametrize(
    "text",
    [
        *("", "24:6F:28:AA:BB:CC\n", "24-6F-28-AA-BB-CC", "24:6F:28:AA:BB", 5, None),
        *("00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:FB"),
    ],
)
def test_no_camera_id(text: object) -> None:
    """Only an upper-case MAC with colons is an id, and none that no device can have."""
    assert not is_camera_id(text)


def test_json_of_bytes() -> None:
    """Bytes that are no text are no JSON."""
    with pytest.raises(ProtocolError, match="not_json"):
        decode_json(b"\xff\xfe{")
