"""Whether a camera is connected, and when one that sleeps is expected."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from ..clock import Clock
from ..messages import Bye

# Without frames for this many ticks of the gateway a stream has ended.
STREAM_TICKS: Final = 5
# A camera that said it restarts is expected back after this many seconds.
RESTART_S: Final = 60


class CameraStatus(StrEnum):
    """Where a camera is in its life."""

    ASLEEP = "asleep"
    AWAKE = "awake"
    STREAMING = "streaming"
    LATE = "late"
    OFFLINE = "offline"


# Members of an enum are looked up in its class each time; `streams` runs for every frame.
_STREAMING: Final = CameraStatus.STREAMING


class Presence:
    """Status of one camera. Wall times are UTC epoch milliseconds, None = never or unknown."""

    def __init__(self, clock: Clock, *, sleeps: bool, interval_s: int) -> None:
        """A camera that is not connected; it gets two whole intervals to check in."""
        self.status = CameraStatus.OFFLINE
        self.last_seen_ms: int | None = None
        self.next_check_in_ms: int | None = None
        self.late_since_ms: int | None = None
        self._clock = clock
        self._interval_s = interval_s
        self._late_at: float | None = None
        self._quiet_ticks = 0
        # Names of the wall times that were read from the clock in this run.
        self._read_here: set[str] = set()
        self._rest(expected=sleeps)

    def as_dict(self) -> dict[str, Any]:
        """Return what survives a restart."""
        return {
            "last_seen_ms": self.last_seen_ms,
            "next_check_in_ms": self.next_check_in_ms,
            "interval_s": self._interval_s,
            "late_since_ms": self.late_since_ms,
        }

    def restore(self, data: Mapping[str, Any], *, sleeps: bool) -> None:
        """Expect the camera as before; check-ins missed while nobody listened don't count."""
        self.last_seen_ms = _stored(data, "last_seen_ms")
        self.late_since_ms = _stored(data, "late_since_ms")
        self._interval_s = _stored(data, "interval_s") or self._interval_s
        self._rest(expected=sleeps)
        if sleeps:
            self.next_check_in_ms = _stored(data, "next_check_in_ms")
            if self.late_since_ms is not None:
                self.status = CameraStatus.LATE
                self._late_at = None

    def connected(self, *, interval_s: int) -> None:
        """The camera said hello."""
        self.status = CameraStatus.AWAKE
        self.seen()
        self.next_check_in_ms = self.late_since_ms = self._late_at = None
        self._interval_s = interval_s

    def seen(self) -> None:
        """The camera sent a sign of life."""
        self.last_seen_ms = self._clock.now_ms()
        self._read_here.add("last_seen_ms")

    def streams(self) -> bool:
        """A frame came over a connection; returns whether the status changed."""
        self._quiet_ticks = 0
        if self.status is _STREAMING:
            return False
        self.status = _STREAMING
        return True

    def disconnected(self, bye: Bye | None, *, sleeps: bool, interval_s: int) -> None:
        """The connection ended; `interval_s` counts where the camera named no other time."""
        now_ms = self._clock.now_ms()
        self.seen()
        if bye and bye.next_wake_s is not None:
            self._interval_s = bye.next_wake_s
        elif bye and bye.reason != "sleep":
            self._interval_s = RESTART_S
        else:
            self._interval_s = interval_s
        self._rest(expected=sleeps or bye is not None)
        self._read_here |= {"next_check_in_ms", "late_since_ms"}
        if self.status is CameraStatus.OFFLINE:
            self.late_since_ms = now_ms
        else:
            self.next_check_in_ms = now_ms + self._interval_s * 1000

    def _rest(self, *, expected: bool) -> None:
        """Set the status of a camera that is not connected."""
        if expected:
            self.status = CameraStatus.ASLEEP
            self._late_at = self._clock.monotonic() + 2 * self._interval_s
        else:
            self.status = CameraStatus.OFFLINE
            self._late_at = None

    def clock_stepped(self, step_ms: int) -> None:
        """The host's wall clock was set: times that were read from it follow.

        Times of an earlier run stay: that run's clock may have been right.
        """
        for name in self._read_here:
            if (value := getattr(self, name)) is not None:
                setattr(self, name, value + step_ms)

    def host_paused(self) -> None:
        """The host did not run for a while: a check-in missed then may still come."""
        if self._late_at is not None:
            grace_ends = self._clock.monotonic() + self._interval_s + RESTART_S
            self._late_at = max(self._late_at, grace_ends)

    def tick(self, *, connected: bool) -> bool:
        """Look at what passes by itself; returns whether the status changed."""
        if connected:
            self._quiet_ticks += 1
            if self._quiet_ticks < STREAM_TICKS or self.status is not _STREAMING:
                return False
            self.status = CameraStatus.AWAKE
            return True
        if self._late_at is None or self._clock.monotonic() < self._late_at:
            return False
        self._late_at = None
        self.late_since_ms = self._clock.now_ms()
        self._read_here.add("late_since_ms")
        self.status = CameraStatus.LATE
        return True


def _stored(data: Mapping[str, Any], key: str) -> int | None:
    """Return a stored integer; a missing or broken one is None."""
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
