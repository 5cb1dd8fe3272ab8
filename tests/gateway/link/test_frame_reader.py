"""Frames taken straight out of a WebSocket's bytes."""

import random
import struct

import pytest

from custom_components.magicpi_nvr.gateway.link.frame_reader import FrameReader
from custom_components.magicpi_nvr.gateway.protocol import (
    HEADER_BYTES,
    MAX_BINARY_BYTES,
)


def message(
    payload: bytes,
    *,
    first: int = 0x82,
    key: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
) -> bytes:
    """Return a WebSocket message as a client sends it."""
    size = len(payload) if length is None else length
    mask = 0x80 if key is not None else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class Ends:
    """Both ends of a reader; what is passed on is received at once, or later by hand."""

    def __init__(self, *, busy: bool = False) -> None:
        """Deliver from the start."""
        self.delivered: list[bytes] = []
        self.passed = b""
        self.busy = busy
        self.reader = FrameReader(self._pass_on)
        self.reader.deliver = lambda data: self.delivered.append(bytes(data))

    def _pass_on(self, data: bytes) -> None:
        self.passed += data
        self.receive()

    def receive(self) -> None:
        """Be the session that takes all there is."""
        if not self.busy:
            self.reader.taken = self.reader.passed

    def feed(self, data: bytes, sizes: list[int]) -> None:
        """Feed in pieces."""
        position = 0
        while position < len(data):
            size = sizes.pop(0) if sizes else len(data)
            self.reader.feed(memoryview(bytearray(data[position : position + size])))
            self.receive()
            position += size


FRAMES = [
    bytes(random.Random(size).randbytes(size))
    for size in (126, 127, 3000, 65535, 65536, 200_000)
]


@pytest.mark.parametrize("seed", range(40))
def test_frames_come_whole_however_the_bytes_are_cut(seed: int) -> None:
    """Frames are delivered in order, everything else goes on unchanged."""
    chance = random.Random(seed)
    ends = Ends()
    stream, frames = b"", []
    for _ in range(20):
        match chance.randrange(6):
            case 0:
                other = message(b'{"type":"heartbeat"}', first=0x81)
            case 1:
                other = message(b"", first=0x89)
            case 2:
                other = message(b"a" * 300, first=0x02) + message(b"b" * 70, first=0x80)
            case _:
                other = b""
                frames.append(chance.choice(FRAMES))
                stream += message(frames[-1], key=chance.randbytes(4))
        stream += other
    sizes = [
        chance.choice((1, 2, 7, 13, 1000, 16_384, 60_000, 262_144)) for _ in range(4000)
    ]
    ends.feed(stream, sizes)
    # A frame behind a text in the same read goes aiohttp's way too: nothing may overtake.
    rest = iter(frames)
    assert all(frame in rest for frame in ends.delivered)
    assert len(ends.passed) + sum(
        len(message(frame)) for frame in ends.delivered
    ) == len(stream)
    if seed % 2:
        ends = Ends()
        for one in frames:
            ends.feed(message(one), sizes=[chance.randrange(1, 5000) for _ in range(9)])
        assert ends.delivered == frames
        assert ends.passed == b""


def test_nothing_overtakes_what_the_session_has_not_taken() -> None:
    """A frame behind a text that still waits goes the same way as the text."""
    ends = Ends(busy=True)
    text = message(b'{"type":"motion"}', first=0x81)
    ends.feed(text + message(FRAMES[3]), [])
    ends.feed(message(FRAMES[3]), [])
    assert ends.delivered == []
    assert ends.passed == text + 2 * message(FRAMES[3])
    ends.busy = False
    ends.receive()
    ends.feed(message(FRAMES[3]), [])
    assert ends.delivered == [FRAMES[3]]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(message(FRAMES[3], key=None), id="not masked"),
        pytest.param(message(b"x" * HEADER_BYTES), id="no picture"),
        pytest.param(message(b"x" * 125), id="too small for a picture"),
        pytest.param(message(b"x", length=MAX_BINARY_BYTES + 1), id="too big"),
        pytest.param(message(FRAMES[3], first=0xC2), id="reserved bit"),
        pytest.param(
            message(b"\x03\xe8", first=0x88) + message(FRAMES[3]), id="after close"
        ),
        pytest.param(message(b"x", length=2**63 + 5), id="absurd"),
    ],
)
def test_what_is_no_plain_frame_is_left_to_aiohttp(other: bytes) -> None:
    """Not a byte of it is kept back."""
    ends = Ends()
    ends.feed(other, [1, 5, 9])
    assert ends.passed == other
    assert ends.delivered == []


def test_without_a_session_everything_is_passed_on() -> None:
    """Before hello was answered and after the session's end nothing is delivered."""
    ends = Ends()
    ends.reader.deliver = None
    ends.feed(message(FRAMES[4]), [70_000])
    assert ends.passed == message(FRAMES[4])
