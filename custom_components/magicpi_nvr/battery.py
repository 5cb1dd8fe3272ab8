"""How long a battery will last, judged by what it has reported so far. No Home Assistant here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from statistics import median
from typing import Any, Final, Self

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

# Readings sag under load and drift with the temperature of the day, so that single
# ones say little: a bucket holds the mean of six hours, and a month of them is kept.
BUCKET_MS: Final = 6 * HOUR_MS
MAX_BUCKETS: Final = 120
MIN_BUCKETS: Final = 6
MIN_SPAN_MS: Final = 2 * DAY_MS
MIN_DROP: Final = 2.0
RECHARGED: Final = 8.0
MAX_DAYS: Final = 730.0
BALANCE_DAYS: Final = 14

# What the chip, the radio and the sensor draw on top of each other, mA: the model of docs/hardware-bench.md
CPU_MA: Final = 50
RADIO_MA: Final = 90
SENSOR_MA: Final = 50


def modeled_mah(spent: Mapping[str, int]) -> float:
    """Return what a camera drew while awake, by the seconds that it reported; asleep it draws its board's share."""
    return (
        CPU_MA * spent.get("awake_s", 0)
        + RADIO_MA * spent.get("radio_s", 0)
        + SENSOR_MA * spent.get("sensor_s", 0)
    ) / 3600


@dataclass(slots=True)
class _Bucket:
    """Mean of `count` readings in percent; `start_ms` is a multiple of BUCKET_MS."""

    start_ms: int
    percent: float
    count: int


@dataclass(slots=True)
class BatteryHistory:
    """Levels over time since the last charge."""

    _buckets: list[_Bucket] = field(default_factory=list)
    _empty_at_ms: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote; anything else is an empty history."""
        history = cls()
        try:
            history._buckets = [
                _Bucket(int(start_ms), float(percent), max(1, int(count)))
                for start_ms, percent, count in data["buckets"]
            ][-MAX_BUCKETS:]
        except KeyError, TypeError, ValueError:
            return cls()
        history._buckets.sort(key=lambda bucket: bucket.start_ms)
        history._empty_at_ms = history._estimate()
        return history

    def as_dict(self) -> dict[str, Any]:
        """Return the history as JSON can hold it."""
        return {
            "buckets": [
                [bucket.start_ms, round(bucket.percent, 2), bucket.count]
                for bucket in self._buckets
            ]
        }

    def add(self, at_ms: int, percent: float) -> None:
        """Take a reading in percent; what no battery can have is passed over."""
        if not 0 <= percent <= 100:
            return
        start_ms = at_ms - at_ms % BUCKET_MS
        if self._buckets and start_ms < (last := self._buckets[-1]).start_ms:
            if last.start_ms - start_ms <= DAY_MS:
                return
            # The host's clock was far ahead when the history was written.
            self._buckets.clear()
        if self._buckets and self._buckets[-1].start_ms == start_ms:
            bucket = self._buckets[-1]
            bucket.count += 1
            bucket.percent += (percent - bucket.percent) / bucket.count
            return
        # A bucket counts when it is complete, which is also when the estimate is due.
        self._forget_before_charge()
        self._empty_at_ms = self._estimate()
        self._buckets.append(_Bucket(start_ms, float(percent), 1))
        del self._buckets[:-MAX_BUCKETS]

    def days_left(self, now_ms: int) -> float | None:
        """Return days from `now_ms` on; None while too little is known or it is not falling."""
        if self._empty_at_ms is None:
            return None
        return max(0.0, (self._empty_at_ms - now_ms) / DAY_MS)

    def balance(self) -> dict[int, float]:
        """Return by how much the level rose or fell on each of the last days, by the day's start in ms."""
        last: dict[int, float] = {}
        for bucket in self._buckets:
            last[bucket.start_ms - bucket.start_ms % DAY_MS] = bucket.percent
        days = sorted(last)
        changes = {
            day: round(last[day] - last[before], 1)
            for before, day in pairwise(days)
            if day - before == DAY_MS
        }
        return dict(list(changes.items())[-BALANCE_DAYS:])

    def _forget_before_charge(self) -> None:
        """Begin again after a charge; one bucket that is too high is an outlier, two are a charge."""
        if len(self._buckets) < 3:
            return
        before = median(bucket.percent for bucket in self._buckets[-5:-2])
        if all(bucket.percent - before >= RECHARGED for bucket in self._buckets[-2:]):
            del self._buckets[:-2]

    def _estimate(self) -> float | None:
        """Return when the battery will be empty, by the median of all slopes (Theil-Sen)."""
        buckets = self._buckets
        if (
            len(buckets) < MIN_BUCKETS
            or buckets[-1].start_ms - buckets[0].start_ms < MIN_SPAN_MS
        ):
            return None
        level = median(bucket.percent for bucket in buckets[-3:])
        if median(bucket.percent for bucket in buckets[:3]) - level < MIN_DROP:
            return None
        per_day = median(
            (late.percent - early.percent) * DAY_MS / (late.start_ms - early.start_ms)
            for early, late in combinations(buckets, 2)
        )
        if per_day >= 0:
            return None
        return buckets[-1].start_ms + min(MAX_DAYS, level / -per_day) * DAY_MS
