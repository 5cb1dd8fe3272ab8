"""Take camera frames straight out of a WebSocket's bytes; leave everything else to aiohttp.

On its way through aiohttp's reader a picture is copied five times and wakes a task. The
common case, one masked binary message in one piece, needs two copies and no task.
"""

from collections.abc import Callable
import struct
from typing import Final

from ..protocol import HEADER_BYTES, MAX_BINARY_BYTES

try:
    from aiohttp._websocket.helpers import websocket_mask
except ImportError:  # not promised by aiohttp: without it everything goes its way
    websocket_mask = None  # type: ignore[assignment]

_FIN: Final = 0x80
_OPCODES: Final = 0x0F
_CLOSE: Final = 0x08
_WHOLE_BINARY: Final = _FIN | 0x02
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
# Of the payload's length, where it does not fit into the second byte.
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_KEY_BYTES: Final = 4
_FOREVER: Final = 1 << 64
_NOT_MASKED: Final = bytes(_KEY_BYTES)
# Length and key of a frame, by its second byte; no picture's length fits into that.
_FRAME_HEADS: Final = {
    _MASKED | 126: struct.Struct(f"!2xH{_KEY_BYTES}s"),
    _MASKED | 127: struct.Struct(f"!2xQ{_KEY_BYTES}s"),
}

type Deliver = Callable[[bytearray], None]


class FrameReader:
    """Follows the message boundaries of one connection.

    A frame is delivered only while the session has taken all that was passed on before it,
    so that nothing overtakes anything.
    """

    __slots__ = (
        "_head",
        "_key",
        "_part",
        "_pass_on",
        "_passing",
        "deliver",
        "missing",
        "passed",
        "taken",
    )

    def __init__(self, pass_on: Callable[[bytes], object]) -> None:
        """`pass_on` gets the bytes that are aiohttp's; nothing is delivered yet."""
        self.deliver: Deliver | None = None
        """Gets a frame, header and JPEG, to keep."""
        self.passed = 0
        """Text and binary messages that went to aiohttp."""
        self.taken = 0
        """How many of them the session has received from it."""
        self.missing = 0
        """How much of a frame that has begun is yet to come, in bytes."""
        self._pass_on = pass_on
        self._head = b""
        self._passing = _FOREVER if websocket_mask is None else 0
        self._part: bytearray | None = None
        self._key = b""

    def feed(self, data: memoryview) -> None:
        """Take what has come; `data` is good for this call only."""
        if self._head:
            data = memoryview(self._head + data)
            self._head = b""
        # Bytes for aiohttp are handed over together.
        position = foreign = 0 if self._part is None else self._fill(data)
        size = len(data)
        while position < size:
            if self._passing:
                step = min(self._passing, size - position)
                self._passing -= step
                position += step
                continue
            if size - position < 2:
                self._head = bytes(data[position:])
                break
            first = data[position]
            if (
                first == _WHOLE_BINARY
                and (head := _FRAME_HEADS.get(data[position + 1])) is not None
                and self.passed == self.taken
                and self.deliver is not None
            ):
                if (start := position + head.size) > size:
                    self._head = bytes(data[position:])
                    break
                length, key = head.unpack_from(data, position)
                if HEADER_BYTES < length <= MAX_BINARY_BYTES:
                    if foreign < position:
                        self._pass_on(bytes(data[foreign:position]))
                    foreign = position = start + length
                    if position > size:
                        self._part = bytearray(length)
                        self.missing = length
                        self._key = key
                        self._fill(data[start:])
                        return
                    self._finish(key, bytearray(data[start:position]))
                    continue
            if (end := _message_end(data, position)) < 0:
                self._head = bytes(data[position:])
                break
            opcode = first & _OPCODES
            if opcode < _CLOSE and first & _FIN:
                self.passed += 1
            # Behind a close, and behind what is none of RFC 6455, nothing is a frame.
            ends = opcode == _CLOSE or first & 0x70
            self._passing = _FOREVER if ends else end - position
        if foreign < position:
            self._pass_on(bytes(data[foreign:position]))

    def _fill(self, data: memoryview) -> int:
        """Add to the frame that is under way; return how much of `data` was its."""
        part = self._part
        assert part is not None
        filled = len(part) - self.missing
        count = min(len(data), self.missing)
        # A bytearray itself would copy what it is given twice.
        with memoryview(part) as view:
            view[filled : filled + count] = data[:count]
        self.missing -= count
        if not self.missing:
            self._part = None
            self._finish(self._key, part)
        return count

    def _finish(self, key: bytes, part: bytearray) -> None:
        """Unmask a whole frame and deliver it."""
        if key != _NOT_MASKED:
            websocket_mask(key, part)
        if self.deliver is not None:
            self.deliver(part)


def _message_end(data: memoryview, position: int) -> int:
    """Return where the message at `position` ends, -1 where its length is yet to come."""
    second = data[position + 1]
    length = second & _LENGTH
    start = position + 2
    if size := _LENGTH_BYTES.get(length):
        length = int.from_bytes(data[start : start + size])
        start += size
    if second & _MASKED:
        start += _KEY_BYTES
    return start + length if start <= len(data) else -1
