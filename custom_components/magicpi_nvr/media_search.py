"""Searching recordings: what a query asks for, the events that match it, and a picture of a day or an hour."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
import re
from typing import Final

from homeassistant.auth.models import User
from homeassistant.util import dt as dt_util

from .access import async_events
from .const import LABELS
from .media_identifier import Identifier, Kind, local_span
from .nvr import Nvr, has_thumbnail
from .recording import NOTHING_SEEN, Event
from .timestamps import local_time

SEARCH_PAGE: Final = 500
SEARCH_PAGES: Final = 20
SEARCH_RESULTS: Final = 100
# Newest events of an hour or a day that are looked at for a picture
PICTURE_TRIES: Final = 20
DATE: Final = re.compile(r"\b(20[0-9]{2}-[0-9]{2})(-[0-9]{2})?\b")
LOCAL_DATE: Final = re.compile(
    r"\b(?P<one>[0-9]{1,2})(?P<mark>[./])(?P<two>[0-9]{1,2})(?:(?P=mark)(?P<year>20[0-9]{2})?)?(?![0-9])"
)
TIME: Final = re.compile(r"(?<![0-9])[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?(?![0-9])")
REASONS: Final = ("motion", "button", "manual", "timer", "ring", "continuous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What somebody searches for."""

    cameras: set[str] | None
    start_ms: int | None
    end_ms: int | None
    protected: bool | None
    label: str | None
    zone: str | None
    nothing_seen: bool
    reason: str | None
    time: str | None
    text: str | None

    @property
    def sieves(self) -> bool:
        """Whether events are looked at one by one."""
        return self.reason is not None or self.time is not None

    def passes(self, event: Event) -> bool:
        """Say whether an event has the reason and the time of day."""
        if self.reason is not None and event.reason != self.reason:
            return False
        if self.time is None:
            return True
        at = local_time(event.start_ms)
        return f"{at:%H:%M:%S}".startswith(self.time.zfill(5))


@dataclass(frozen=True, slots=True)
class QueryReader:
    """Reads what a person typed: dates, times, cameras, reasons, protection, labels, zones, words."""

    nvr: Nvr
    identifier: Identifier
    text: Callable[[str], str]

    def read(self, query: str) -> Query:
        """Take out of a query what is a date, a time, a name, a zone, a reason or a word of its own; the rest is text."""
        text = f" {query.casefold()} "

        def take(word: str) -> bool:
            nonlocal text
            if not word or (at := text.find(f" {word.casefold()} ")) < 0:
                return False
            text = text[: at + 1] + text[at + len(word) + 1 :]
            return True

        date, month = self.identifier.date, None
        if found := DATE.search(text):
            date, month = (found[0], None) if found[2] else (None, found[1])
            text = text.replace(found[0], " ")
        elif local := LOCAL_DATE.search(text):
            if parsed := self._local_date(local):
                date = parsed
                text = text.replace(local[0], " ")
        today = dt_util.now().date()
        for key, day in (("today", today), ("yesterday", today - timedelta(1))):
            if take(self.text(f"search_{key}")) or take(key):
                date = str(day)
        time = TIME.search(text)
        if time:
            text = text.replace(time[0], " ")
        cameras = {self.identifier.camera} if self.identifier.camera else None
        if cameras is None:
            named = {
                camera
                for camera in self.nvr.known_cameras
                if take(self.nvr.entries.name(camera))
            }
            cameras = named or None
        nothing_seen = take(self.text("nothing_seen")) or take(NOTHING_SEEN)
        zones = {
            zone["name"]
            for camera in cameras or self.nvr.known_cameras
            for zone in self.nvr.entries.zones(camera)
        }
        # Of "Path" and "Path left", the longer one first
        zone = next(filter(take, sorted(zones, key=len, reverse=True)), None)
        protected = self.identifier.kind is Kind.PROTECTED
        protected |= take(self.text("is_protected")) or take("protected")
        reason = next(
            (
                name
                for name in REASONS
                if take(self.text(f"reason_{name}")) or take(name)
            ),
            None,
        )
        label = next(
            (name for name in LABELS if take(self.text(f"label_{name}")) or take(name)),
            None,
        )
        start_ms, end_ms = local_span(date, month) if date or month else (None, None)
        return Query(
            cameras=cameras,
            start_ms=start_ms,
            end_ms=end_ms,
            protected=protected or None,
            label=label,
            zone=zone,
            nothing_seen=nothing_seen,
            reason=reason,
            time=time[0].strip() if time else None,
            text=" ".join(text.split()) or None,
        )

    def _local_date(self, found: re.Match[str]) -> str | None:
        """Return a date as it is written here: day first, but for the United States."""
        day, month = int(found["one"]), int(found["two"])
        if found["mark"] == "/" and self.nvr.hass.config.country == "US":
            day, month = month, day
        year = int(found["year"] or dt_util.now().year)
        date = f"{year:04}-{month:02}-{day:02}"
        return date if dt_util.parse_date(date) else None


async def async_find_events(nvr: Nvr, user: User | None, query: Query) -> list[Event]:
    """Return the events that match a query and that a user may see."""
    found: list[Event] = []
    cursor: str | None = None
    for _ in range(SEARCH_PAGES):
        page = await async_events(
            nvr,
            user,
            cameras=query.cameras,
            start_ms=query.start_ms,
            end_ms=query.end_ms,
            protected=query.protected,
            label=query.label,
            zone=query.zone,
            nothing_seen=query.nothing_seen,
            text=query.text,
            limit=SEARCH_PAGE if query.sieves else SEARCH_RESULTS,
            cursor=cursor,
        )
        found += [event for event in page.events if query.passes(event)]
        cursor = page.cursor
        if cursor is None or len(found) >= SEARCH_RESULTS:
            break
    return found[:SEARCH_RESULTS]


async def async_span_picture(
    nvr: Nvr, camera: str, date: str, hour: str | None
) -> bytes | None:
    """Return a picture of what happened on a local day or in an hour of it, of a hidden event only where there is no other.

    Raises RecordingError; ValueError and OverflowError for what is no day or hour.
    """
    start_ms, end_ms = local_span(date, None, hour)
    if start_ms is None:
        raise ValueError("not a date")
    for hidden in (False, None):
        page = await nvr.recordings.library.events(
            camera=camera,
            start_ms=start_ms,
            end_ms=end_ms,
            nothing_seen=hidden,
            continuous=hidden,
            limit=PICTURE_TRIES,
        )
        for event in page.events:
            if has_thumbnail(event) and (
                found := await nvr.recordings.async_thumbnail(event.id)
            ):
                return found
    return None
