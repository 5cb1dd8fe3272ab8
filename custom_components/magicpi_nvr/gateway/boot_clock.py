"""Wall time of what a camera captured in one boot."""

from collections import deque
from typing import Final

from .clock import Clock, Reading

# Reports of the camera's uptime that are compared, and for how long, in seconds. With a report
# each ten seconds and a clock that is 1 % slow this lags by less than half a second.
REPORTS: Final = 4
REPORT_AGE_S: Final = 60
# A difference of the host's two clocks below this is noise of reading them, in milliseconds.
MIN_STEP_MS: Final = 20
# Events whose time is remembered: one runs, the others may be sent again.
MAX_EVENTS: Final = 64


class BootClock:
    """Maps a camera's milliseconds since boot to UTC epoch milliseconds.

    The host's steady clock and the camera's are tied by the camera's reports of its uptime.
    The host's wall clock is read when an event begins, and the event keeps that offset: a
    step of the host's clock moves what begins after it, and nothing that runs.
    """

    def __init__(self, clock: Clock) -> None:
        """`report` comes before anything else."""
        self._clock = clock
        self._reports: deque[tuple[float, float]] = deque(maxlen=REPORTS)
        self._steady_ms = 0.0
        self._wall_ms = 0.0
        self._events: dict[int, int] = {}

    def report(self, uptime_ms: int, arrived: Reading) -> None:
        """Take the camera's uptime, and when it came."""
        now = arrived.steady_s
        self._reports.append((now, now * 1000 - uptime_ms))
        # A report can be late, never early: the smallest difference is the truest.
        self._steady_ms = min(
            steady_ms for at, steady_ms in self._reports if now - at <= REPORT_AGE_S
        )
        self._follow(arrived)

    def _follow(self, reading: Reading) -> None:
        """Take the difference of the host's two clocks."""
        wall_ms = reading.wall_ms - reading.steady_s * 1000
        if abs(wall_ms - self._wall_ms) >= MIN_STEP_MS:
            self._wall_ms = wall_ms

    def wall_ms(self, event: int, t: int) -> int:
        """Return the wall time of `t`; `event` 0 is none, and begins all the time."""
        if (offset_ms := self._events.get(event)) is None:
            self._follow(self._clock.read())
            offset_ms = round(self._wall_ms + self._steady_ms)
            if event:
                if len(self._events) >= MAX_EVENTS:
                    del self._events[next(iter(self._events))]
                self._events[event] = offset_ms
        return offset_ms + t
