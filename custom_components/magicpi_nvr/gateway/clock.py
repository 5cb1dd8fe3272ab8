"""Time as the rooms use it; tests bring their own."""

import time


class Clock:
    """The host's clocks."""

    def now_ms(self) -> int:
        """UTC epoch milliseconds; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()
