"""The host's clocks; tests bring their own."""

import time
from typing import NamedTuple


class Reading(NamedTuple):
    """Both clocks at one moment."""

    steady_s: float
    wall_ms: int


class Clock:
    """The host's clocks."""

    def now_ms(self) -> int:
        """UTC epoch milliseconds; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def read(self) -> Reading:
        """Read both."""
        return Reading(self.monotonic(), self.now_ms())
