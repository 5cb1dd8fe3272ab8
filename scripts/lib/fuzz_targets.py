"""What is fuzzed, and what must hold whatever comes in. Needs neither Home Assistant nor atheris.

Each target takes any bytes. It raises where a promise is broken: by an exception that is not
the announced one, or by an answer that contradicts itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from io import BytesIO
import json
import os
from pathlib import Path
import resource
import sys
import tempfile
from typing import Any, Final

# The packages of the integration that do not know Home Assistant run alone
sys.path.append(
    str(Path(__file__).resolve().parents[2] / "custom_components" / "magicpi_nvr")
)

from gateway import jpeg, messages, protocol
from gateway.link import frame_reader
from PIL import Image
from recording import hourfile
from recording.hourfile import boxes
from recording.hourfile.fragment import FRAGMENT_TYPE
from recording.hourfile.model import EVENT_END_SCHEME, EVENT_SCHEME
from recording.library.file_rows import is_sound, stored_segment
from vision import pictures
from vision.grid import HEIGHT, WIDTH

ATTACK_TESTS: Final = Path(__file__).resolve().parents[2] / "tests" / "attack"
FIXTURES: Final = ATTACK_TESTS / "fixtures"
SEEDS: Final = ATTACK_TESTS / "seeds"

type Target = Callable[[bytes], None]

_CONFIG: Final = boxes.VideoConfig(
    bytes.fromhex("01640028ffe1000467640028010001ee"), 320, 240
)
_INIT: Final = boxes.init_segment(_CONFIG)
# What the detector takes
_WIDE: Final = (416, 320)
_SQUARE: Final = (416, 416)
_MOST_KB: Final = 120 * 1024
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only its folder is fixed


class PromiseBroken(AssertionError):
    """An answer that contradicts itself."""


def _promise(holds: bool, what: str) -> None:
    if not holds:
        raise PromiseBroken(what)


# A camera's picture


def fuzz_jpeg(data: bytes) -> None:
    """Refused with a reason, or a picture from its start to its end that is good as it is."""
    try:
        check = jpeg.check_jpeg(data)
    except jpeg.JpegError as err:
        # A header that is known by now must not let in what was refused.
        with suppress(jpeg.JpegError):
            jpeg.check_jpeg(data)
            raise PromiseBroken("refused, then accepted") from err
        return
    _promise(len(check.data) <= jpeg.MAX_JPEG_BYTES, "too long")
    _promise(check.data.startswith(b"\xff\xd8\xff"), "no start")
    _promise(check.data.endswith(b"\xff\xd9"), "no end")
    for side in (check.width, check.height):
        _promise(jpeg.MIN_SIDE <= side <= jpeg.MAX_SIDE, "size")
    again = jpeg.check_jpeg(check.data)
    _promise(again == check._replace(repairs=()), "not good as it is")
    for degrees, tag in ((0, 1), (90, 6)):
        turned = jpeg.turned(check.data, degrees)
        if len(turned) <= jpeg.MAX_JPEG_BYTES:
            _promise(
                jpeg.check_jpeg(turned) == again._replace(data=turned, tag=tag),
                "another picture",
            )
    # The short way for known headers and the long one say the same.
    _promise(
        jpeg._check_unknown(check.data, jpeg.MAX_JPEG_BYTES) == again,  # noqa: SLF001
        "two ways, two answers",
    )


# The same, decoded for detection


def fuzz_picture(data: bytes) -> None:
    """Pixels of the right number, or a BadPicture with one of its reasons; never more memory than the child may have."""
    pictures.set_limits()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with _refused():
        _promise(len(pictures.luma(data)) == WIDTH * HEIGHT, "another size")
    for crop, target in ((None, _WIDE), ((0.7, 0.1, 0.26, 0.3), _SQUARE)):
        with _refused():
            pixels, shown = pictures.pixels(data, crop, target)
            _promise(1 <= pixels.width <= target[0], "width")
            _promise(1 <= pixels.height <= target[1], "height")
            _promise(
                len(pixels.data) == 3 * pixels.width * pixels.height, "another size"
            )
            x, y, w, h = shown
            _promise(min(shown) >= 0 < min(w, h), "nothing is shown")
            _promise(max(x + w, y + h) <= 1.000001, "outside of the picture")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    _promise(grown < _MOST_KB, f"{grown} KB for one picture")


@contextmanager
def _refused() -> Iterator[None]:
    """Let a picture be refused for a reason that is counted."""
    try:
        yield
    except pictures.BadPicture as err:
        _promise(str(err) in pictures.REASONS, f"no reason: {err}")


# A camera's messages, headers and registration


def fuzz_message(data: bytes) -> None:
    """A message, or a ProtocolError; texts are short, and numbers are what they may be."""
    try:
        header = protocol.FrameHeader.unpack(data)
    except protocol.ProtocolError:
        _promise(len(data) < protocol.HEADER_BYTES, "a header is there")
    else:
        _promise(header.pack() == data[: protocol.HEADER_BYTES], "another header")
    text = data.decode(errors="replace")
    with suppress(protocol.ProtocolError):
        message = messages.decode_message(text)
        repr(message)
        if isinstance(message, messages.Hello):
            _promise(protocol.is_camera_id(message.id), "no id")
            _promise(0 <= message.boot < 2**32, "boot")
            _promise(len(message.model) <= 64, "long name")
        elif isinstance(message, messages.ConfigAck):
            json.dumps([message.applied, message.rejected])
    with suppress(protocol.ProtocolError):
        registration = messages.Registration.from_json(data)
        other = replace(registration, token="another")
        _promise(repr(registration) == repr(other), "a secret in sight")
        caps = registration.caps
        _promise(messages.Caps.from_dict(caps.as_dict()) == caps, "other caps")


# The bytes of a WebSocket


def fuzz_websocket(data: bytes) -> None:
    """Frames are taken out whole and in order, and every other byte is passed on as it came."""
    frames: list[bytes] = []
    passed = bytearray()
    reader = frame_reader.FrameReader(passed.extend)
    reader.deliver = lambda frame: frames.append(bytes(frame))
    for position in range(len(data)):
        reader.feed(memoryview(data)[position : position + 1])
        # A session that takes at once what was passed on.
        reader.taken = reader.passed
    _promise((frames, bytes(passed)) == _taken_apart(data), "not taken apart as it is")
    # In one piece a frame may go another way, but none goes twice, or before its turn.
    whole: list[bytes] = []
    reader = frame_reader.FrameReader(lambda _: None)
    reader.deliver = lambda frame: whole.append(bytes(frame))
    reader.feed(memoryview(data))
    rest = iter(frames)
    _promise(all(frame in rest for frame in whole), "another order")


def _taken_apart(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the frames in a client's bytes and what is left without them (RFC 6455, 5.2)."""
    frames, left = [], b""
    position = 0
    while position + 2 <= len(data):
        first, second = data[position], data[position + 1]
        extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
        start = position + 2 + extended + (4 if second & 0x80 else 0)
        if start > len(data):
            break
        length = second & 0x7F
        if extended:
            length = int.from_bytes(data[position + 2 : position + 2 + extended])
        end = start + length
        if (
            first == 0x82
            and second >= 0xFE
            and protocol.HEADER_BYTES < length <= protocol.MAX_BINARY_BYTES
        ):
            if end <= len(data):
                key = data[start - 4 : start]
                frames.append(
                    bytes(byte ^ key[at % 4] for at, byte in enumerate(data[start:end]))
                )
        elif first & 0x0F == 8 or first & 0x70:
            return frames, left + data[position:]
        else:
            left += data[position:end]
        position = end
    return frames, left


# An hour file


class _File:
    """One file in memory that is written again for each input."""

    def __init__(self) -> None:
        folder = _MEMORY if _MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="magicpi-fuzz-", dir=folder)
        self.path = Path(self._folder.name, "08.mp4")

    def write(self, data: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, data)
        os.close(file)


_file: _File | None = None


def fuzz_mp4(data: bytes) -> None:
    """A file of ours with all its frames inside, or an error; a repair leaves one that is whole.

    An odd first byte means that a good beginning is put before the rest: mutations seldom
    find one by themselves.
    """
    global _file  # noqa: PLW0603
    _file = _file or _File()
    if data[:1] and data[0] & 1:
        data = _INIT + data[1:]
    with suppress(boxes.BoxError):
        boxes.parse_event_message(data, 0, len(data))
    with suppress(boxes.BoxError):
        boxes.parameter_sets(boxes.VideoConfig(data, 16, 16))
    with suppress(boxes.BoxError):
        boxes.parse_moov(data, 0, len(data))
    _file.write(data)
    try:
        found = hourfile.scan(_file.path)
    except hourfile.HourFileError:
        with suppress(hourfile.HourFileError):
            _promise(hourfile.repair(_file.path) is None, "repaired what is not ours")
        return
    _inside(found, len(data))
    repaired = hourfile.repair(_file.path)
    if repaired is None:
        _promise(not _file.path.exists(), "nothing left, but not removed")
        return
    again = hourfile.scan(_file.path)
    _promise(again.is_closed, "still torn")
    _promise(again.segments == repaired.segments, "repaired to another file")
    _promise(len(again.segments) <= len(found.segments), "a segment from nowhere")
    _inside(again, _file.path.stat().st_size)


def _inside(hour: hourfile.HourFile, size: int) -> None:
    """Every frame lies within the file, behind the one before it, in order of time."""
    position = hour.init_size
    for segment in hour.segments:
        _promise(segment.offset >= position, "segments overlap")
        dts = -1
        for frame in segment.frames():
            _promise(position <= frame.offset, "frames overlap")
            _promise(frame.dts >= dts, "time goes back")
            position, dts = frame.offset + frame.size, frame.dts
        _promise(segment.frame_count > 0, "empty segment")
        if is_sound(segment):
            row = astuple(stored_segment("08.mp4", segment))
            numbers = [value for value in row if isinstance(value, int)]
            _promise(all(abs(value) < 2**63 for value in numbers), "not for the index")
    _promise(position <= size and hour.valid_end <= size, "outside of the file")


TARGETS: Final[dict[str, Target]] = {
    "jpeg": fuzz_jpeg,
    "message": fuzz_message,
    "mp4": fuzz_mp4,
    "picture": fuzz_picture,
    "websocket": fuzz_websocket,
}

# What to begin with


def _messages() -> Iterator[bytes]:
    hello = {
        "type": "hello", "proto": 1, "id": "AA:BB:CC:DD:EE:01", "fw": "1.0.0", "model": "m", "boot": 7,
        "reason": "pir", "uptime_ms": 900, "rssi": -60, "battery_mv": 3900, "battery_pct": 80, "heap": 1,
        "config_rev": 1, "timing": {"wifi_ms": 1, "tls_ms": 2, "first_frame_ms": 3}, "backlog": 0, "lost": 0,
    }  # fmt: skip
    values: tuple[dict[str, Any], ...] = (
        hello,
        {"type": "motion", "event": 1, "active": True, "t": 1, "source": "pir"},
        {"type": "event_end", "event": 1, "t": 9, "frames": 5, "lost": 0},
        {"type": "heartbeat", "uptime_ms": 1, "rssi": -50, "heap": 5, "backlog": 0},
        {"type": "config_ack", "rev": 2, "applied": {"framerate": 5}, "rejected": {"flash": "no"}},
        {"type": "result", "id": 1, "ok": False, "error": "asleep"},
        {"type": "ota", "state": "downloading", "percent": 5, "error": "x"},
        {"type": "log", "level": "info", "message": "\u0000\ud83d"},
        {"type": "bye", "reason": "sleep", "next_wake_s": 60},
        {
            "id": "AA:BB:CC:DD:EE:01", "model": "m", "fw": "1", "token": "t" * 43,
            "caps": {"resolutions": ["QVGA"], "psram": 1, "battery": True, "motion": ["pir"]},
        },
        {"type": "x", "y": [[[1e999, -0.5, None]]]},
    )  # fmt: skip
    for value in values:
        yield json.dumps(value).encode()
    yield protocol.FrameHeader(1, 4, 1, 9, 1000, 5, 20).pack() + bytes(20)


def _pictures() -> Iterator[bytes]:
    ramp = Image.linear_gradient("L").resize((48, 36))
    turned = Image.Exif()
    turned[0x0112] = 6
    for mode, options in (
        ("L", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"exif": turned, "restart_marker_blocks": 1}),
        ("CMYK", {"subsampling": 2}),
    ):
        out = BytesIO()
        ramp.convert(mode).save(out, "JPEG", quality=30, optimize=True, **options)
        yield out.getvalue()
    whole = out.getvalue()
    at = whole.index(b"\xff\xc0") + 5
    # More than there is
    yield whole[:at] + (480).to_bytes(2) + (640).to_bytes(2) + whole[at + 4 :]


def _websockets() -> Iterator[bytes]:
    frame = b"\x82\xfe\0\x20key!" + bytes(range(32))
    text = b"\x81\x85key!hello"
    yield frame * 3
    yield text + frame + b"\x89\x80ping" + frame
    yield b"\x02\xfe\0\x20key!" + bytes(32) + b"\x80\x81key!x" + frame
    yield b"\x82\xff" + (40).to_bytes(8) + b"key!" + bytes(40) + frame
    yield frame + b"\x88\x82key!\x03\xe8" + frame


def _hour_files() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "08.mp4"
        writer = hourfile.HourFileWriter(path, _CONFIG, hourfile.Claims())
        writer.open()
        for event in (1, 2):
            writer.begin_segment(
                hourfile.SegmentHeader(
                    id=f"aabbccddee01-00000007-{event}",
                    camera="AA:BB:CC:DD:EE:01",
                    start_ms=1_763_800_000_000 + event * 10_000,
                    reason="pir",
                    boot=7,
                    event=event,
                    number=0,
                    t=1000,
                )
            )
            for part in range(2):
                writer.append(
                    [
                        hourfile.Sample(b"\0\0\0\1x", 9000, not item)
                        for item in range(3)
                    ],
                    first_seq=1 + 3 * part,
                    last_seq=3 + 3 * part,
                    offset=27_000 * part,
                )
            if event == 1:
                writer.end_segment(lost=0)
        writer.close()
        whole = path.read_bytes()
    yield b"\0" + whole
    yield b"\1" + whole[len(_INIT) :]
    yield b"\1" + whole[len(_INIT) : -40]
    yield b"\0" + _INIT


def seeds(target: str) -> Iterator[bytes]:
    """Yield inputs to begin with."""
    made = {
        "message": _messages,
        "mp4": _hour_files,
        "picture": _pictures,
        "websocket": _websockets,
    }.get(target)
    if made:
        yield from made()
    for path in sorted(SEEDS.glob(f"{target}-*")):
        yield path.read_bytes()
    for path in fixtures(target):
        yield path.read_bytes()


def fixtures(target: str) -> list[Path]:
    """Return the inputs that once broke a promise."""
    return sorted(FIXTURES.glob(f"{target}-*"))


def dictionary(target: str) -> Iterator[bytes]:
    """Yield words that inputs are made of."""
    if target in ("jpeg", "picture"):
        yield from (bytes((0xFF, marker)) for marker in range(0xC0, 0x100))
        yield bytes.fromhex("ffd8ffe000104a464946000101")
        yield bytes.fromhex("ffc0001108001000100301220002110103110 1".replace(" ", ""))
        yield bytes.fromhex("ffda000c03010002110311003f00")
    elif target == "message":
        for source in _messages():
            with suppress(ValueError):
                value = json.loads(source)
                yield from (json.dumps(key).encode() for key in value)
                yield from (json.dumps(item).encode() for item in value.values())
        yield from (
            b"NaN",
            b"Infinity",
            b"1e400",
            b"-1",
            b"4294967296",
            b"null",
            b"\\ud800",
        )
    elif target == "websocket":
        yield from (b"\x82\xfe\0\x20", b"\x82\xff\0\0\0\0\0\0\0\x20", b"\x81\x85")
        yield from (b"\x88\x80", b"\x89\x80", b"\x80\x81", b"\x02\x81")
    else:
        yield from (
            b"ftyp", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC", b"emsg",
            b"uuid", b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat", b"free", b"sidx",
        )  # fmt: skip
        yield FRAGMENT_TYPE
        yield EVENT_SCHEME.encode() + b"\0\0"
        yield EVENT_END_SCHEME.encode() + b"\0\0"
        yield b"\0\0\0\1" + bytes(4)
