"""A walk through the folders: which files are there, and whether they changed. Blocking."""

from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path

from .layout import HourPath, event_id, parse_event_id


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below the root: stamps of hour files and notes, pictures with their sizes."""

    files: dict[str, str]
    notes: dict[str, str]
    pictures: dict[str, tuple[str, int]]

    @classmethod
    def walk(cls, root: Path) -> Tree:
        """List every folder of a day."""
        tree = cls({}, {}, {})
        for camera in _folders(root):
            for date in _folders(root / camera):
                try:
                    HourPath.parse(f"{camera}/{date}/00.mp4")
                except ValueError:
                    continue
                tree._list(root, f"{camera}/{date}")
        return tree

    def _list(self, root: Path, folder: str) -> None:
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}"
                stem, _, ending = entry.name.rpartition(".")
                try:
                    if ending == "mp4":
                        HourPath.parse(path)
                        self.files[path] = stamp_of(entry.stat())
                    elif ending == "json":
                        HourPath.parse(f"{folder}/{stem}.mp4")
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


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())
    return []


def stamp_of(status: os.stat_result) -> str:
    """Return what changes when a file does."""
    return f"{status.st_size}.{status.st_mtime_ns}"
