"""A walk through the folders of days: which files are there, and whether they changed. Blocking."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
import errno
import logging
import os
from pathlib import Path
import time

from .layout import HourPath, event_id, parse_event_id

_LOGGER = logging.getLogger(__name__)

# A folder that changed so lately may change again without another stamp.
_SETTLED_NS = 2 * 10**9


@dataclass(slots=True)
class DayFolder:
    """What one folder of a day holds: stamps of hour files and notes, pictures with their sizes by event."""

    path: str
    stamp: str  # "" = it may still change
    files: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, tuple[str, int]] = field(default_factory=dict)

    def list(self, root: Path) -> None:
        """Read the folder; raises OSError when that is not possible: then nothing is known of it."""
        with suppress(FileNotFoundError), os.scandir(root / self.path) as entries:
            for entry in entries:
                with suppress(ValueError), _absent_is_none():
                    self._take(entry)

    def _take(self, entry: os.DirEntry[str]) -> None:
        path = f"{self.path}/{entry.name}"
        stem, _, ending = entry.name.rpartition(".")
        if ending == "mp4":
            HourPath.parse(path)
            self.files[path] = stamp_of(entry.stat())
        elif ending == "json":
            HourPath.parse(f"{self.path}/{stem}.mp4")
            self.notes[path] = stamp_of(entry.stat())
        elif ending == "jpg":
            event = event_id(*parse_event_id("-".join(stem.split("-")[-3:])))
            picture = (path, entry.stat().st_size)
            self.pictures[event] = min(picture, self.pictures.get(event, picture))


def day_folders(root: Path, unreadable: set[str]) -> Iterator[DayFolder]:
    """Yield the folders of days, not read yet; `unreadable` gets the folders of which nothing is known.

    Raises OSError when the root itself cannot be read.
    """
    now = time.time_ns()
    for camera in _folders(root):
        try:
            dates = _folders(root / camera)
        except OSError as error:
            _LOGGER.warning("%s cannot be read: %s", camera, error)
            unreadable.add(camera)
            continue
        for date in dates:
            path = f"{camera}/{date}"
            try:
                HourPath.parse(f"{path}/00.mp4")
                changed = (root / path).stat().st_mtime_ns
            except ValueError, FileNotFoundError:
                continue
            except OSError as error:
                _LOGGER.warning("%s cannot be read: %s", path, error)
                unreadable.add(path)
                continue
            settled = changed < now - _SETTLED_NS
            yield DayFolder(path, str(changed) if settled else "")


def stamp_of(status: os.stat_result) -> str:
    """Return what changes when a file does."""
    return f"{status.st_size}.{status.st_mtime_ns}"


def stamp_file(path: Path) -> str | None:
    """Return the stamp of a file, None when it is not there."""
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder; raises OSError."""
    found = []
    with _absent_is_none(), os.scandir(folder) as entries:
        for entry in entries:
            with _absent_is_none():
                if entry.is_dir():
                    found.append(entry.name)
    return sorted(found)


@contextmanager
def _absent_is_none() -> Iterator[None]:
    """Pass over what is not there, or is a link that leads nowhere."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
