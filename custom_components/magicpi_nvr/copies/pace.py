"""When and how fast a target is written to."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
import random
from time import monotonic

_PIECE = 16 * 1024


class Throttle:
    """Lets bytes through at a rate, in pieces small enough that the link is used evenly."""

    def __init__(self, rate: int | None) -> None:
        """`rate` in bytes per second, None = as fast as it goes."""
        self._rate = rate
        self._free_at = 0.0

    async def pass_on(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the same bytes, later."""
        async for chunk in chunks:
            if self._rate is None:
                yield chunk
                continue
            for start in range(0, len(chunk), _PIECE):
                piece = chunk[start : start + _PIECE]
                now = monotonic()
                if (wait := self._free_at - now) > 0:
                    await asyncio.sleep(wait)
                # Time that went by unused is not made up for.
                self._free_at = max(self._free_at, now) + len(piece) / self._rate
                yield piece


def seconds_until_open(now: datetime, hours: tuple[time, time] | None) -> float:
    """Return how long until copying is allowed, 0 when it is; `now` is local, the window may pass midnight."""
    if hours is None or hours[0] == hours[1]:
        return 0.0
    start, end = hours
    at = now.time()
    inside = start <= at < end if start < end else at >= start or at < end
    if inside:
        return 0.0
    begins = datetime.combine(now.date(), start, now.tzinfo)
    if begins <= now:
        begins += timedelta(days=1)
    return max((begins - now).total_seconds(), 1.0)


class Backoff:
    """Waits longer after each failure, never in step with others."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Begin without failures."""
        self._first, self._longest = first_s, longest_s
        self._failures = 0

    def failed(self) -> float:
        """Return how long to wait now."""
        wait = min(self._first * 2.0 ** min(self._failures, 30), self._longest)
        self._failures += 1
        return wait * random.uniform(0.8, 1.2)

    def worked(self) -> None:
        """Begin again at the shortest wait."""
        self._failures = 0
