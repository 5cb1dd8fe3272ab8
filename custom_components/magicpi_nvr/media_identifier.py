"""Identifiers of the media browser's nodes: what a node is, and of which camera, day or event."""

from dataclasses import dataclass
from enum import StrEnum
import re
from typing import Final, Self

from homeassistant.util import dt as dt_util

from .recording import camera_folder, folder_camera, parse_event_id

HOUR_MS: Final = 3_600_000
# Of which each day has a beginning and an end that can be written
YEARS: Final = range(1971, 9999)
HOUR: Final = re.compile(r"([01][0-9]|2[0-3])(-[0-9]{1,4})?")


class Kind(StrEnum):
    """What a node of the tree is; the first part of its identifier."""

    ROOT = ""
    ALL = "all"
    PROTECTED = "protected"
    CAMERA = "camera"
    DAY = "day"
    GROUP = "group"
    CLIPS = "clips"
    EXPORTS = "exports"
    EXPORT = "export"
    NOTE = "note"
    WHOLE_DAY = "whole_day"
    HOUR = "hour"
    EVENT = "event"


# Parts of an identifier behind its kind; one more may follow as the cursor of a page
PARTS: Final = {
    Kind.ROOT: 0,
    Kind.ALL: 0,
    Kind.PROTECTED: 0,
    Kind.CAMERA: 1,
    Kind.DAY: 2,
    Kind.GROUP: 3,
    Kind.CLIPS: 2,
    Kind.EXPORTS: 0,
    Kind.EXPORT: 1,
    Kind.NOTE: 0,
    Kind.WHOLE_DAY: 2,
    Kind.HOUR: 3,
    Kind.EVENT: 1,
}
PAGED: Final = frozenset({Kind.ALL, Kind.DAY, Kind.GROUP, Kind.PROTECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """An identifier, read and checked."""

    kind: Kind
    camera: str | None = None
    date: str | None = None
    hour: str | None = None
    event: str | None = None
    export: str | None = None
    cursor: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identifier; raises ValueError."""
        name, *parts = text.split("/") if text else [""]
        kind = Kind(name)
        count = PARTS[kind]
        if len(parts) not in ({count, count + 1} if kind in PAGED else {count}):
            raise ValueError("not an identifier")
        cursor = parts[count] if len(parts) > count else None
        if kind is Kind.EVENT:
            return cls(kind=kind, event=parts[0], camera=parse_event_id(parts[0])[0])
        if kind is Kind.EXPORT:
            return cls(kind=kind, export=parts[0], camera=export_camera(parts[0]))
        camera = folder_camera(parts[0]) if count else None
        date = parts[1] if count > 1 else None
        if date is not None and local_span(date, None) == (None, None):
            raise ValueError("not a date")
        hour = parts[2] if count > 2 else None
        if hour is not None and HOUR.fullmatch(hour) is None:
            raise ValueError("not an hour")
        return cls(kind=kind, camera=camera, date=date, hour=hour, cursor=cursor)

    def __str__(self) -> str:
        """Return it as it was read."""
        camera = camera_folder(self.camera) if self.camera else None
        parts = [camera, self.date, self.hour]
        if self.event or self.export:
            parts = [self.event or self.export]
        return "/".join(filter(None, [self.kind, *parts, self.cursor]))


def export_camera(name: str) -> str:
    """Return the camera of an exported file; raises ValueError."""
    if "/" in name or "\\" in name or not name.endswith(".mp4"):
        raise ValueError("not the name of an export")
    return folder_camera(name[:17])


def local_span(
    date: str | None, month: str | None, hour: str | None = None
) -> tuple[int | None, int | None]:
    """Return the local beginning and end of an hour, a date or a month in UTC epoch milliseconds, None for what is none."""
    first = dt_util.parse_date(date or f"{month}-01")
    if first is None or first.year not in YEARS:
        return None, None
    if hour:
        # The second part of an hour that the clock repeats is in the same span
        at = dt_util.start_of_local_day(first).replace(hour=int(hour[:2]))
        return (
            int(at.replace(fold=0).timestamp() * 1000),
            int(at.replace(fold=1).timestamp() * 1000) + HOUR_MS,
        )
    if date:
        last = first.fromordinal(first.toordinal() + 1)
    else:
        last = first.fromordinal(first.toordinal() + 31).replace(day=1)
    start, end = (
        int(dt_util.start_of_local_day(day).timestamp() * 1000) for day in (first, last)
    )
    return start, end
