"""What recording remembers beside the index: the storages it uses, the last good time, and how long it has run."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
import json
import logging
from pathlib import Path
from threading import Lock
from typing import Any

from .files import make_folder, replace_file

_LOGGER = logging.getLogger(__name__)

_VERSION = 1
STATE_FILE = "recording.json"  # beside the index


@dataclass(frozen=True, slots=True)
class KnownStorage:
    """A storage that was used: the id in its marker file, and the device that it is on."""

    id: str
    device: str


@dataclass(slots=True)
class State:
    """One small JSON file; a missing key has its default, a file that cannot be read is as none. Blocking."""

    path: Path
    storages: dict[str, KnownStorage] = field(default_factory=dict)  # by root
    good_ms: int = 0  # wall time that was plausible last, 0 = none
    age_ms: int = 0  # up to which rules of age count, 0 = none
    lived_ms: int = 0  # how long recording has run, over all starts
    _lock: Lock = field(default_factory=Lock)

    def load(self) -> None:
        """Read the file."""
        try:
            data = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, RecursionError) as err:
            _LOGGER.warning("%s cannot be read: %s", self.path, err)
            return
        if not isinstance(data, dict):
            _LOGGER.warning("%s cannot be read", self.path)
            return
        self.good_ms = _number(data, "good_ms")
        self.age_ms = _number(data, "age_ms")
        self.lived_ms = _number(data, "lived_ms")
        storages = data.get("storages")
        for root, item in (storages if isinstance(storages, dict) else {}).items():
            with suppress(KeyError, TypeError):
                self.storages[root] = KnownStorage(str(item["id"]), str(item["device"]))

    def save(self) -> None:
        """Write the file so that the old or the new one is there; raises OSError."""
        with self._lock:
            data = {
                "v": _VERSION,
                "storages": {
                    root: {"id": item.id, "device": item.device}
                    for root, item in self.storages.items()
                },
                "good_ms": self.good_ms,
                "age_ms": self.age_ms,
                "lived_ms": self.lived_ms,
            }
            make_folder(self.path.parent)
            replace_file(self.path, json.dumps(data, indent=1).encode())


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key, 0)
    return value if isinstance(value, int) and value >= 0 else 0
