"""Take camera frames straight out of a WebSocket's bytes; leave everything else to aiohttp.

On its way through aiohttp's reader a picture is copied five times and wakes a task. The
common case, one masked binary message in one piece, needs two copies and no task.
"""

from collections.abc import Callable
import struct
from typing import Final

from .protocol import HEADER_BYTES, MAX_BINARY_BYTES

try:
    from aiohttp._websocket.helpers import websocket_mask
except ImportError:  # not promised by aiohttp: without it everything goes its way
    websocket_mask = None  # type: ignore[assignment]

_FIN: Final = 0x80
_OPCODES: Final = 0x0F
_BINARY: Final = 0x02
_CLOSE: Final = 0x08
_WHOLE_BINARY: Final = _FIN | _BINARY
_MASKED: Final = 0x80
_KEY_BYTES: Final = 4
_LENGTH_16: Final = struct.Struct("!H")
_LENGTH_64: Final = struct.Struct("!Q")

type Deliver = Callable[[bytes, bytes], None]


class FrameReader:
    """Follows the message boundaries of one connection.

    A frame is delivered only while the session has taken all that was passed on before it,
    so that nothing overtakes anything.
    """

    __slots__ = (
        "_blind",
        "_head",
        "_key",
        "_missing",
        "_part",
        "_pass_on",
        "_passing",
        "_prefix",
        "deliver",
        "passed",
        "taken",
    )

    def __init__(self, pass_on: Callable[[bytes], object]) -> None:
        """`pass_on` gets the bytes that are aiohttp's; nothing is delivered yet."""
        self.deliver: Deliver | None = None
        """Gets a frame's header and its JPEG."""
        self.passed = 0
        """Text and binary messages that went to aiohttp."""
        self.taken = 0
        """How many of them the session has received from it."""
        self._pass_on = pass_on
        self._blind = websocket_mask is None
        self._head = b""
        self._passing = 0
        self._part: bytearray | None = None
        self._missing = 0
        self._key = b""
        self._prefix = b""

    def feed(self, data: memoryview) -> None:
        """Take what has come; `data` is good for this call only."""
        position = 0
        size = len(data)
        if self._head:
            data = memoryview(self._head + data)
            size = len(data)
            self._head = b""
        if self._blind:
            self._pass_on(bytes(data))
            return
        if (part := self._part) is not None:
            part += data[: self._missing]
            if (position := self._missing) > size:
                self._missing -= size
                return
            self._part = None
            self._finish(self._prefix, part)
        # Bytes for aiohttp are handed over together.
        foreign = position
        while position < size:
            if self._passing:
                step = min(self._passing, size - position)
                self._passing -= step
                position += step
                continue
            if (start := self._payload_start(data, position)) < 0:
                self._head = bytes(data[position:])
                break
            first = data[position]
            length = self._payload_length(data, position)
            masked = data[position + 1] & _MASKED
            if (
                first == _WHOLE_BINARY
                and masked
                and HEADER_BYTES < length <= MAX_BINARY_BYTES
                and self.deliver is not None
                and self.passed == self.taken
            ):
                if (body := start + HEADER_BYTES) > size:
                    self._head = bytes(data[position:])
                    break
                if foreign < position:
                    self._pass_on(bytes(data[foreign:position]))
                self._key = bytes(data[start - _KEY_BYTES : start])
                self._prefix = bytes(data[start:body])
                end = start + length
                part = bytearray(data[body:end])
                foreign = position = end
                if end > size:
                    self._part = part
                    self._missing = end - size
                    return
                self._finish(self._prefix, part)
                continue
            opcode = first & _OPCODES
            if opcode == _CLOSE or first & 0x70:
                # Nothing that follows is a frame.
                self._blind = True
                position = size
                break
            if opcode < _CLOSE and first & _FIN:
                self.passed += 1
            self._passing = start - position + length
        if foreign < position:
            self._pass_on(bytes(data[foreign:position]))

    @staticmethod
    def _payload_start(data: memoryview, position: int) -> int:
        """Return where the payload of the message at `position` begins, -1 where that is yet to come."""
        available = len(data) - position
        if available < 2:
            return -1
        second = data[position + 1]
        size = 2 + {126: 2, 127: 8}.get(second & 0x7F, 0)
        if second & _MASKED:
            size += _KEY_BYTES
        return position + size if available >= size else -1

    @staticmethod
    def _payload_length(data: memoryview, position: int) -> int:
        """Return the length of the payload of the message at `position`."""
        match data[position + 1] & 0x7F:
            case 126:
                return int(_LENGTH_16.unpack_from(data, position + 2)[0])
            case 127:
                return int(_LENGTH_64.unpack_from(data, position + 2)[0])
            case length:
                return length

    def _finish(self, prefix: bytes, part: bytearray) -> None:
        """Unmask a whole frame and deliver it."""
        header = bytearray(prefix)
        if any(self._key):
            websocket_mask(self._key, header)
            # The header's length is a multiple of the key's.
            websocket_mask(self._key, part)
        if self.deliver is not None:
            self.deliver(bytes(header), bytes(part))
