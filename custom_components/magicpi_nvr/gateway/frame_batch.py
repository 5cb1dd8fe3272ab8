"""Work off the frames of many cameras together.

Between two frames of fifty cameras a processor has long forgotten the code that works them
off, and what runs cold takes twice as long. So where many frames come, they wait for each
other: for some hundredths of a second, and never over a tick.
"""

from collections.abc import Callable
from typing import Final

# Of what came in a tick of 0.4 s, that of about 40 ms.
_SHARE: Final = 10
# A house's few cameras wait for nothing.
_MIN_BATCH: Final = 4
_MAX_BATCH: Final = 12

type Take = Callable[[bytearray], None]


class FrameBatch:
    """Frames, header and JPEG, that have come and were not looked at yet.

    Whatever else happens to a session comes behind its frames: who is about to do it calls
    `flush` before.
    """

    __slots__ = ("_size", "_taken", "_waiting")

    def __init__(self) -> None:
        """Hold nothing."""
        self._waiting: list[tuple[Take, bytearray]] = []
        self._size = 1
        self._taken = 0

    def add(self, take: Take, data: bytearray) -> None:
        """Have `take` called with a frame, soon; it must not raise."""
        self._waiting.append((take, data))
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Work off what waits."""
        waiting, self._waiting = self._waiting, []
        self._taken += len(waiting)
        for take, data in waiting:
            take(data)

    def tick(self) -> None:
        """Work off what waits; let as many wait from now on as came since the last tick asks for."""
        self.flush()
        size = min(_MAX_BATCH, self._taken // _SHARE)
        self._size = size if size >= _MIN_BATCH else 1
        self._taken = 0
