"""Paths below the root: the only module that makes or reads the names of files."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
import re
from typing import Self

SPOOL_FOLDER = ".spool"
MARKER = ".magicpi_nvr"  # at the root, names the storage
_CAMERA = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")
_FOLDER = re.compile(r"(?:[0-9A-F]{2}-){5}[0-9A-F]{2}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STEM = re.compile(r"([0-9]{2})(?:-([1-9][0-9]{0,3}))?")
_EVENT = re.compile(r"([0-9a-f]{12})-([0-9a-f]{8})-(0|[1-9][0-9]{0,9})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_id(camera: str, boot: int, event: int) -> str:
    """Return the id of an event, the same whenever the same frames come back."""
    return f"{camera.replace(':', '').lower()}-{boot:08x}-{event}"


def parse_event_id(text: str) -> tuple[str, int, int]:
    """Return camera, boot and event; raises ValueError."""
    if (match := _EVENT.fullmatch(text)) is None:
        raise ValueError("not an event id")
    digits = match[1].upper()
    camera = ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    return camera, int(match[2], 16), int(match[3])


def camera_folder(camera: str) -> str:
    """Return the folder of a camera; raises ValueError for anything but an id."""
    if _CAMERA.fullmatch(camera) is None:
        raise ValueError("not a camera id")
    return camera.replace(":", "-")


def folder_camera(folder: str) -> str:
    """Return the camera of a folder; raises ValueError."""
    if _FOLDER.fullmatch(folder) is None:
        raise ValueError("not a camera folder")
    return folder.replace("-", ":")


def to_local(at_ms: int, time_zone: tzinfo) -> datetime:
    """Return the local time of UTC epoch milliseconds."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(time_zone)


def hour_start_ms(at_ms: int, time_zone: tzinfo) -> int:
    """Return when the local hour began: differs between the two hours of an autumn change."""
    local = to_local(at_ms, time_zone)
    # Wall-clock minutes, not elapsed ones: two hours of one name never share a beginning.
    into = local.minute * 60_000 + local.second * 1000 + local.microsecond // 1000
    return at_ms - into


@dataclass(frozen=True, slots=True, order=True)
class HourPath:
    """One part of one local hour of one camera, as a path relative to the root."""

    camera: str
    date: str
    hour: int
    part: int = 1

    @classmethod
    def at(cls, camera: str, at_ms: int, time_zone: tzinfo) -> Self:
        """Return the first part of the local hour of a time."""
        local = to_local(at_ms, time_zone)
        return cls(camera, f"{local:%Y-%m-%d}", local.hour)

    @classmethod
    def parse(cls, relative: str) -> Self:
        """Read `AA-BB-CC-DD-EE-FF/2026-11-22/08-2.mp4`; raises ValueError."""
        pieces = relative.split("/")
        if len(pieces) != 3 or not pieces[2].endswith(".mp4"):
            raise ValueError("not an hour file")
        return cls.from_stem(
            folder_camera(pieces[0]), pieces[1], pieces[2].removesuffix(".mp4")
        )

    @classmethod
    def from_stem(cls, camera: str, date: str, stem: str) -> Self:
        """Read `08` or `08-2`; raises ValueError."""
        camera_folder(camera)
        if _DATE.fullmatch(date) is None or (match := _STEM.fullmatch(stem)) is None:
            raise ValueError("not an hour file")
        # Far faster than strptime, and done for each event of a rebuild.
        datetime.fromisoformat(date)
        hour, part = int(match[1]), int(match[2] or 1)
        if hour > 23 or match[2] == "1":
            raise ValueError("not an hour file")
        return cls(camera, date, hour, part)

    @property
    def folder(self) -> str:
        """Folder of the day, relative to the root."""
        return f"{camera_folder(self.camera)}/{self.date}"

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return f"{self.hour:02}" if self.part == 1 else f"{self.hour:02}-{self.part}"

    @property
    def relative(self) -> str:
        """Path of the hour file."""
        return f"{self.folder}/{self.stem}.mp4"

    @property
    def local_hour(self) -> str:
        """Name that all parts of this hour share."""
        return f"{self.folder}/{self.hour:02}"

    @property
    def notes(self) -> str:
        """Path of the file that keeps protection and labels."""
        return f"{self.folder}/{self.stem}.json"

    def thumbnail(self, event: str) -> str:
        """Path of the picture of an event; raises ValueError for anything but an event id."""
        parse_event_id(event)
        return f"{self.folder}/{self.stem}-{event}.jpg"

    def with_part(self, part: int) -> Self:
        """Return another part of the same hour."""
        return type(self)(self.camera, self.date, self.hour, part)


def folder_of(relative: str) -> str:
    """Return the folder of a file of a day."""
    return relative.rpartition("/")[0]


def by_time(relative: str) -> tuple[str, int, int, str]:
    """Return the key that sorts hour files by date, hour and part; raises ValueError."""
    hour = HourPath.parse(relative)
    return hour.date, hour.hour, hour.part, hour.camera


def spool_path(root: Path, event: str) -> Path:
    """Return the spool of an event; raises ValueError for anything but an event id."""
    camera, _, _ = parse_event_id(event)
    return root / SPOOL_FOLDER / camera_folder(camera) / f"{event}.spool"


def spool_files(root: Path) -> Iterator[Path]:
    """Yield the spools below the root. Blocking."""
    yield from sorted((root / SPOOL_FOLDER).glob("*/*.spool"))


def hour_parts(root: Path, hour: HourPath) -> list[HourPath]:
    """Return the parts of an hour that exist, by number. Blocking."""
    found = []
    for path in (root / hour.folder).glob(f"{hour.hour:02}*.mp4"):
        try:
            found.append(HourPath.from_stem(hour.camera, hour.date, path.stem))
        except ValueError:
            continue
    return sorted(found)


def hour_files(root: Path, camera: str | None = None) -> Iterator[HourPath]:
    """Yield the hour files below the root, oldest date first within a camera. Blocking."""
    folders = [camera_folder(camera)] if camera else sorted(_names(root))
    for folder in folders:
        if _FOLDER.fullmatch(folder) is None:
            continue
        for date in sorted(_names(root / folder)):
            if _DATE.fullmatch(date) is None:
                continue
            hours = []
            for name in _names(root / folder / date):
                try:
                    hours.append(HourPath.parse(f"{folder}/{date}/{name}"))
                except ValueError:
                    continue
            yield from sorted(hours)


def _names(folder: Path) -> list[str]:
    """Return the names in a folder, none when it is not there."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError, NotADirectoryError:
        return []
