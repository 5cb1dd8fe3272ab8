"""What actions take: the names of their fields, and schemas that check them."""

from datetime import timedelta
from typing import Any, Final

import probatio

from homeassistant.helpers import config_validation as cv

from .access import NOTHING_SEEN_CHOICES
from .recording import parse_event_id
from .targets import TARGET_FIELDS
from .view import MAX_LIMIT

ATTR_CURSOR: Final = "cursor"
ATTR_DESCRIPTION: Final = "description"
ATTR_DRY_RUN: Final = "dry_run"
ATTR_DURATION: Final = "duration"
ATTR_END: Final = "end"
ATTR_EVENT_ID: Final = "event_id"
ATTR_FILENAME: Final = "filename"
ATTR_LABEL: Final = "label"
ATTR_LABELS: Final = "labels"
ATTR_LIMIT: Final = "limit"
ATTR_NOTHING_SEEN: Final = "nothing_seen"
ATTR_OLDER_THAN: Final = "older_than"
ATTR_CHECK_INS: Final = "check_ins"
ATTR_PROTECT: Final = "protect"
ATTR_PROTECTED: Final = "protected"
ATTR_SPEED: Final = "speed"
ATTR_TIME_STAMP: Final = "time_stamp"
ATTR_START: Final = "start"
ATTR_TEXT: Final = "text"
ATTR_ZONE: Final = "zone"

MAX_AGE: Final = timedelta(days=36_500)


def event_id(value: Any) -> str:
    """Validate the id of an event."""
    text = cv.string(value)
    try:
        parse_event_id(text)
    except ValueError as err:
        raise probatio.Invalid("not the id of an event") from err
    return text


def age(value: Any) -> timedelta:
    """Validate an age: a duration, or a number of days."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value <= MAX_AGE.days:
            raise probatio.Invalid(f"an age is up to {MAX_AGE.days} days")
        return timedelta(days=value)
    duration: timedelta = cv.positive_time_period(value)
    if not timedelta() < duration <= MAX_AGE:
        raise probatio.Invalid(f"an age is up to {MAX_AGE.days} days")
    return duration


EVENT_SCHEMA: Final = probatio.Schema({probatio.Required(ATTR_EVENT_ID): event_id})
RESTORE_SCHEMA: Final = EVENT_SCHEMA.extend(
    {probatio.Optional(ATTR_PROTECT, default=True): cv.boolean}
)
RECORD_SCHEMA: Final = probatio.Schema(
    {
        **TARGET_FIELDS,
        probatio.Optional(ATTR_DURATION, default=30): probatio.All(
            probatio.Coerce(float), probatio.Range(min=1, max=300)
        ),
    }
)
SNAPSHOT_SCHEMA: Final = probatio.Schema(
    {**TARGET_FIELDS, probatio.Optional(ATTR_FILENAME): cv.string}
)
STREAM_KEY_SCHEMA: Final = probatio.Schema(TARGET_FIELDS)
PURGE_SCHEMA: Final = probatio.Schema(
    {
        **TARGET_FIELDS,
        probatio.Optional(ATTR_OLDER_THAN): age,
        probatio.Optional(ATTR_DRY_RUN, default=False): cv.boolean,
    }
)
SPAN: Final = {
    **TARGET_FIELDS,
    probatio.Required(ATTR_START): cv.datetime,
    probatio.Required(ATTR_END): cv.datetime,
    probatio.Optional(ATTR_FILENAME): cv.string,
}
TIME_STAMP: Final[dict[probatio.Marker, Any]] = {
    probatio.Optional(ATTR_TIME_STAMP, default=False): cv.boolean
}
EXPORT_SCHEMA: Final = probatio.Any(
    probatio.Schema(
        {
            probatio.Required(ATTR_EVENT_ID): event_id,
            probatio.Optional(ATTR_FILENAME): cv.string,
            **TIME_STAMP,
        }
    ),
    probatio.Schema({**SPAN, **TIME_STAMP}),
)
TIMELAPSE_SCHEMA: Final = probatio.Schema(
    {
        **SPAN,
        probatio.Optional(ATTR_CHECK_INS, default=False): cv.boolean,
        probatio.Optional(ATTR_SPEED, default=60): probatio.All(
            probatio.Coerce(float), probatio.Range(min=2, max=10_000)
        ),
    }
)
LIST_SCHEMA: Final = probatio.Schema(
    {
        **TARGET_FIELDS,
        probatio.Optional(ATTR_START): cv.datetime,
        probatio.Optional(ATTR_END): cv.datetime,
        probatio.Optional(ATTR_LABEL): cv.string,
        probatio.Optional(ATTR_ZONE): cv.string,
        probatio.Optional(ATTR_NOTHING_SEEN, default="hide"): probatio.In(
            list(NOTHING_SEEN_CHOICES)
        ),
        probatio.Optional(ATTR_TEXT): cv.string,
        probatio.Optional(ATTR_PROTECTED): cv.boolean,
        probatio.Optional(ATTR_LIMIT, default=50): probatio.All(
            probatio.Coerce(int), probatio.Range(min=1, max=MAX_LIMIT)
        ),
        probatio.Optional(ATTR_CURSOR): cv.string,
    }
)
LABEL_SCHEMA: Final = probatio.Schema(
    {
        probatio.Required(ATTR_EVENT_ID): event_id,
        probatio.Required(ATTR_LABELS): probatio.All(
            probatio.EnsureList(), [cv.string]
        ),
        probatio.Optional(ATTR_DESCRIPTION): cv.string,
    }
)
