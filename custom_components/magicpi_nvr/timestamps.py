"""Times between UTC epoch milliseconds, which the inner packages count, and Home Assistant's aware datetimes."""

from datetime import UTC, datetime, timedelta
from typing import Final, overload

from homeassistant.util import dt as dt_util

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def now_ms() -> int:
    """Return the time now."""
    return epoch_ms(dt_util.utcnow())


def epoch_ms(at: datetime) -> int:
    """Return any time that can be written; one without zone is local."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt_util.get_default_time_zone())
    return (at - EPOCH) // timedelta(milliseconds=1)


@overload
def utc_time(at_ms: int) -> datetime: ...
@overload
def utc_time(at_ms: int | None) -> datetime | None: ...
def utc_time(at_ms: int | None) -> datetime | None:
    """Return a time in UTC; None for none."""
    return None if at_ms is None else dt_util.utc_from_timestamp(at_ms / 1000)


def local_time(at_ms: int) -> datetime:
    """Return a time in the zone that people live in."""
    return dt_util.as_local(utc_time(at_ms))
