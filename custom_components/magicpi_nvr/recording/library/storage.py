"""Which storage the recordings are on: a marker file with an id at its root, remembered together with its device."""

import errno
import json
import logging
import os
from pathlib import Path
from threading import Lock
from uuid import uuid4

from ..errors import StorageFailed
from ..files import make_folder, replace_file
from ..model import RecordingSettings
from ..state import STATE_FILE, KnownStorage, State
from .layout import MARKER, hour_files

_LOGGER = logging.getLogger(__name__)


class OtherStorage(OSError):
    """The root is not on the storage that was used last."""


def prepare_root(settings: RecordingSettings) -> None:
    """Make the folder of recordings, unless it was used before: then its storage brings it. Blocking; raises OSError."""
    state = State(settings.index.with_name(STATE_FILE))
    state.load()
    if str(settings.root) not in state.storages:
        make_folder(settings.root)


class Storage:
    """Answers whether the root is the storage that was chosen. Nothing is written to another one. Blocking."""

    def __init__(self, root: Path, state: State) -> None:
        """Prepare; nothing is touched before open()."""
        self._root = root
        self._marker = root / MARKER
        self._state = state
        # Device of the root, and what changes when its marker does, as they were when the id was read.
        self._seen: tuple[int, ...] | None = None
        self._recognizing = Lock()
        self._is_closed = False

    def close(self) -> None:
        """Let nothing be changed any more: what hangs must not go on beside a successor."""
        self._is_closed = True

    def open(self, *, is_filled: bool = False) -> None:
        """Recognize the storage, or mark one that is used for the first time; raises OtherStorage, OSError.

        `is_filled`: the index knows recordings.
        """
        if str(self._root) not in self._state.storages:
            if (
                is_filled
                # Of no storage: what was remembered is lost, or of a version that remembered nothing.
                and not self._state.storages
                and self._read_id() is None
                and next(hour_files(self._root), None) is None
            ):
                raise OtherStorage(errno.ENXIO, "the recordings are not there")
            self.accept()
            return
        self._seen = None
        try:
            self.check()
        except FileNotFoundError as err:
            raise OtherStorage(errno.ENXIO, str(err.strerror)) from err

    def check(self) -> None:
        """Raise OtherStorage unless the root is the storage that was chosen, FileNotFoundError when it is gone."""
        if self._is_closed:
            raise OSError(errno.ECANCELED, "the library is closed")
        if (seen := self._look()) is not None and seen == self._seen:
            return
        with self._recognizing:
            self._seen = None
            self._recognize()
            self._seen = self._look()

    def _look(self) -> tuple[int, ...] | None:
        try:
            device, marker = self._root.stat().st_dev, self._marker.stat()
        except FileNotFoundError, NotADirectoryError:
            return None
        return device, marker.st_ino, marker.st_mtime_ns, marker.st_size

    def _recognize(self) -> None:
        known = self._state.storages.get(str(self._root))
        found = self._read_id()
        if known is None and next(hour_files(self._root), None) is not None:
            # What was remembered is lost, and the recordings are there now.
            self._remember(found)
        elif found is None:
            if not self._root.is_dir() or self._seems_empty():
                raise FileNotFoundError(errno.ENOENT, "the recordings' folder is gone")
            if (
                known is None
                or next(hour_files(self._root), None) is None
                or _device(self._root) != known.device
            ):
                raise OtherStorage(
                    errno.ENXIO, "the folder has no recordings of this Home Assistant"
                )
            # The recordings are there, on the same file system: only the marker was deleted or damaged.
            self._mark(known.id)
        elif known is None or found != known.id:
            raise OtherStorage(errno.ENXIO, "another storage is in its place")

    def accept(self) -> None:
        """Use what is there from now on; raises OSError."""
        make_folder(self._root)
        with self._recognizing:
            self._remember(self._read_id())
            self._seen = None
        self.check()

    def _remember(self, found: str | None) -> None:
        if found is None:
            found = uuid4().hex
            self._mark(found)
        self._state.storages[str(self._root)] = KnownStorage(found, _device(self._root))
        self._state.save()

    def require(self) -> None:
        """As check(), but raises StorageFailed."""
        try:
            self.check()
        except OSError as err:
            raise StorageFailed("the recordings' storage is not there") from err

    def _seems_empty(self) -> bool:
        """Whether a mount point is without its disk."""
        try:
            return not any(self._root.iterdir())
        except OSError:
            return True

    def _mark(self, name: str) -> None:
        data = json.dumps({"v": 1, "id": name}).encode()
        try:
            replace_file(self._marker, data)
        except IsADirectoryError:
            # Something made a folder of it
            self._marker.rmdir()
            replace_file(self._marker, data)

    def _read_id(self) -> str | None:
        try:
            data = json.loads(self._marker.read_bytes())
            return str(data["id"])
        except FileNotFoundError, NotADirectoryError, IsADirectoryError:
            return None
        except ValueError, KeyError, TypeError, RecursionError:
            _LOGGER.warning("%s cannot be read", self._marker)
            return None


def _device(root: Path) -> str:
    """Return what names the file system that holds the root: source of the mount and id of the file system."""
    folder, source = str(root.resolve()), ""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        mounts = []
    longest = -1
    for line in mounts:
        fields = line.split(" ")
        point = fields[4].replace("\\040", " ")
        if len(point) >= longest and (
            folder == point or folder.startswith(point.rstrip("/") + "/")
        ):
            longest = len(point)
            source = fields[fields.index("-") + 2]
    return f"{source} {os.statvfs(root).f_fsid:x}"
