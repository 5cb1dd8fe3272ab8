"""Bounded tables that slow down an address or id that fails too often."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
import math
from time import monotonic
from typing import Final

MAX_ENTRIES: Final = 2048


@dataclass(slots=True)
class TokenBucket:
    """`burst` at once, `rate` a second in the long run."""

    burst: float
    rate: float
    used: float = 0.0
    """What was taken and has not come back; it stays when `burst` and `rate` are changed."""
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Take one; returns False when there is none."""
        self.used = max(0.0, self.used - (now - self.at) * self.rate)
        self.at = now
        if self.used + 1 > self.burst:
            return False
        self.used += 1
        return True

    def wait_s(self) -> float:
        """Seconds until there is one again, as of the last `take`."""
        return max(0.0, (self.used + 1 - self.burst) / self.rate)


class RateLimit:
    """Token buckets by key; the table holds the `MAX_ENTRIES` that came last."""

    def __init__(
        self, burst: float, rate: float, clock: Callable[[], float] = monotonic
    ) -> None:
        """`burst` at once, `rate` a second in the long run, of each key."""
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, more_burst: float = 0, more_rate: float = 0) -> bool:
        """Take one, of a bucket that may be larger; returns False when there is none."""
        bucket = self._bucket(key)
        bucket.burst = self._burst + more_burst
        bucket.rate = self._rate + more_rate
        return bucket.take(self._clock())

    def _bucket(self, key: str) -> TokenBucket:
        bucket = self._buckets.pop(key, None) or TokenBucket(self._burst, self._rate)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_ENTRIES:
            self._buckets.popitem(last=False)
        return bucket


class FailureLimit(RateLimit):
    """Counts failures by key.

    It judges failures alone: the right secret is never limited.
    """

    def failed(self, key: str) -> int:
        """Count a failure; returns seconds to wait, 0 when it is within the limit."""
        bucket = self._bucket(key)
        return 0 if bucket.take(self._clock()) else max(1, math.ceil(bucket.wait_s()))
