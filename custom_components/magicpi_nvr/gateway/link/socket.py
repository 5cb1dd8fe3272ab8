"""A socket that wakes the loop when there is something to do, not for every segment.

A camera's picture comes in some thirty TCP segments over Wi-Fi, and each of them would wake
the event loop for bytes of which nothing can be made before the TLS record is whole, nor
before the picture is. SO_RCVLOWAT lets the kernel keep them until then. Measured over a link
with real segments: receiving costs 0.46 to 0.56 of what a bare aiohttp receiver does, and 1.23
without this.
"""

from contextlib import suppress
import socket
from typing import Any, Final, override

# RFC 8446, 5.1: type, version, length.
_HEAD_BYTES: Final = 5
# For less it is not worth a system call: a segment or two.
_MIN_WAIT: Final = 2048
# Never for more: a slow link must be seen to be alive.
_MAX_WAIT: Final = 64 * 1024

_recv_into: Final = socket.socket.recv_into


class RecordSocket(socket.socket):
    """Follows the TLS records that are read from it.

    Whatever it waits for, the end of the stream and errors wake as ever; `wake_now` makes
    readable what has come.
    """

    __slots__ = ("_head", "_length", "_low_water", "_missing")

    def __init__(self, fileno: int) -> None:
        """Take over a connected socket of which nothing was read."""
        super().__init__(fileno=fileno)
        self._head = b""
        self._length = 0
        """Of the record that is under way."""
        self._missing = 0
        """How much of it is yet to come."""
        self._low_water = 1

    @override
    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = _recv_into(self, buffer, nbytes, flags)
        # Where the next record begins, seen from the beginning of these bytes.
        position = self._missing
        if self._head:
            position = self._finish_head(buffer, count)
        while position + _HEAD_BYTES <= count:
            self._length = buffer[position + 3] << 8 | buffer[position + 4]
            position += _HEAD_BYTES + self._length
        if position < count:
            self._head = bytes(buffer[position:count])
            position = count
        self._missing = position - count
        if self._missing >= _MIN_WAIT or self._low_water > 1:
            self._wait(self._missing)
        return count

    def _finish_head(self, buffer: Any, count: int) -> int:
        """Complete a record's head that came in pieces; return where the record ends."""
        position = min(_HEAD_BYTES - len(self._head), count)
        self._head += bytes(buffer[:position])
        if len(self._head) == _HEAD_BYTES:
            self._length = int.from_bytes(self._head[3:])
            self._head = b""
            position += self._length
        return position

    def expect(self, count: int) -> None:
        """Sleep until about `count` more bytes of plain text can be had.

        To be called with what was read all decrypted. It never waits for more than will
        come: to the plain text each record adds bytes of its own.
        """
        self._wait(
            self._missing + max(0, count - self._length if self._missing else count)
        )

    def wake_now(self) -> None:
        """Make readable what has come so far."""
        if self._low_water > 1:
            self._wait(1)

    def _wait(self, count: int) -> None:
        low_water = 1 if count < _MIN_WAIT else min(count, _MAX_WAIT)
        if low_water != self._low_water:
            self._low_water = low_water
            # A socket that was closed meanwhile needs no mark.
            with suppress(OSError):
                self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water)
