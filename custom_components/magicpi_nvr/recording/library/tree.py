"""A walk through the folders of days: which files are there, and whether they changed. Blocking."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
import os
from pathlib import Path
import time

from .layout import HourPath, event_id, parse_event_id

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
        """Read the folder."""
        with suppress(OSError), os.scandir(root / self.path) as entries:
            for entry in entries:
                path = f"{self.path}/{entry.name}"
                stem, _, ending = entry.name.rpartition(".")
                try:
                    if ending == "mp4":
                        HourPath.parse(path)
                        self.files[path] = stamp_of(entry.stat())
                    elif ending == "json":
                        HourPath.parse(f"{self.path}/{stem}.mp4")
                        self.notes[path] = stamp_of(entry.stat())
                    elif ending == "jpg":
                        event = event_id(
                            *parse_event_id("-".join(stem.split("-")[-3:]))
                        )
                        picture = (path, entry.stat().st_size)
                        self.pictures[event] = min(
                            picture, self.pictures.get(event, picture)
                        )
                except ValueError, FileNotFoundError:
                    continue


def day_folders(root: Path) -> Iterator[DayFolder]:
    """Yield the folders of days, not read yet."""
    now = time.time_ns()
    for camera in _folders(root):
        for date in _folders(root / camera):
            path = f"{camera}/{date}"
            try:
                HourPath.parse(f"{path}/00.mp4")
                changed = (root / path).stat().st_mtime_ns
            except ValueError, OSError:
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
    """Return the names of the folders in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())
    return []
