"""Bounded tables that slow down whoever fails too often."""

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
    level: float = -1.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Take one; returns False when there is none."""
        if self.level < 0:
            self.level = self.burst
        else:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def wait_s(self) -> float:
        """Seconds until there is one again, as of the last `take`."""
        return max(0.0, (1 - self.level) / self.rate)


class FailureLimit:
    """Counts failures by key; the table holds the `MAX_ENTRIES` that failed last.

    It only ever judges failures: whoever comes with the right secret is not asked.
    """

    def __init__(
        self, burst: float, rate: float, clock: Callable[[], float] = monotonic
    ) -> None:
        """`burst` failures at once, `rate` a second in the long run."""
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def failed(self, key: str) -> int:
        """Count a failure; returns seconds to wait, 0 when it is within the limit."""
        bucket = self._buckets.pop(key, None) or TokenBucket(self._burst, self._rate)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_ENTRIES:
            self._buckets.popitem(last=False)
        return 0 if bucket.take(self._clock()) else max(1, math.ceil(bucket.wait_s()))
