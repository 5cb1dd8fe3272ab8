"""How late a loop comes to what it has promised for a certain time."""

import asyncio
import time

TICK_S = 0.01


class Ticker:
    """Wants to be called every 10 ms and notes by how much it was not."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self._late_ms: list[float] = []
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the running loop."""
        self._due = time.monotonic() + TICK_S
        self._handle = asyncio.get_running_loop().call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        self._late_ms.append(max(0.0, now - self._due) * 1000)
        self._due = now + TICK_S
        self._handle = asyncio.get_running_loop().call_at(self._due, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._handle:
            self._handle.cancel()

    def take(self) -> list[float]:
        """Return the ms since the last question."""
        late, self._late_ms = self._late_ms, []
        return [round(ms, 3) for ms in late]
