"""What a camera keeps in its flash: who it is, its setup code, its claim, its settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
import json
from pathlib import Path
import secrets
from typing import Any, Self

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 16


def new_setup_code() -> str:
    """Return 16 random Crockford base32 characters in groups of four."""
    return show_code("".join(secrets.choice(CROCKFORD) for _ in range(CODE_LENGTH)))


def canonical_code(code: str) -> str:
    """Return a code as it enters computations; raises ValueError when it is none."""
    text = code.upper().replace("-", "").replace(" ", "")
    text = text.translate(str.maketrans("ILO", "110"))
    if len(text) != CODE_LENGTH or set(text) - set(CROCKFORD):
        raise ValueError("a setup code has 16 characters of Crockford's base32")
    return text


def show_code(code: str) -> str:
    """Return a code as people read it: in groups of four."""
    text = canonical_code(code)
    return "-".join(text[at : at + 4] for at in range(0, CODE_LENGTH, 4))


def new_camera_id() -> str:
    """Return a random locally administered MAC."""
    return ":".join(f"{byte:02X}" for byte in (0x02, *secrets.token_bytes(5)))


def id_in_paths(camera_id: str) -> str:
    """Return the id with dashes."""
    return camera_id.replace(":", "-")


@dataclass(slots=True)
class Flash:
    """Everything that outlives sleep and loss of power; a file of mode 0600, or memory only."""

    id: str
    setup_code: str = field(repr=False)
    fw: str
    bundle: dict[str, Any] | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    next_api_key: str | None = field(default=None, repr=False)
    last_host: str | None = None
    last_port: int | None = None
    config_rev: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    battery_pct: float = 100.0
    unreported_lost: int = 0
    path: Path | None = field(default=None, repr=False, compare=False)

    @classmethod
    def load(cls, folder: Path, camera_id: str) -> Self | None:
        """Return what is kept of a camera in a folder, or None."""
        path = folder / f"{id_in_paths(camera_id)}.json"
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        known = {entry.name for entry in fields(cls)} - {"path"}
        return cls(
            **{key: value for key, value in data.items() if key in known}, path=path
        )

    @staticmethod
    def ids(folder: Path) -> list[str]:
        """Return the ids of the cameras that a folder holds."""
        if not folder.is_dir():
            return []
        return sorted(
            path.stem.replace("-", ":")
            for path in folder.glob("??-??-??-??-??-??.json")
        )

    @property
    def registered(self) -> bool:
        """Return whether the camera has a key of a gateway."""
        return self.api_key is not None and self.bundle is not None

    def forget(self) -> None:
        """Lose the claim and the settings, keep the id and the setup code."""
        self.bundle = self.api_key = self.next_api_key = None
        self.last_host = self.last_port = None
        self.config_rev = 0
        self.config = {}
        self.save()

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set fields and save."""
        for key, value in changes.items():
            setattr(self, key, value)
        self.save()

    def save(self) -> None:
        """Write the file; a few kilobytes, so it is done where it is called."""
        if self.path is None:
            return
        data = asdict(self)
        del data["path"]
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(data, indent=1))
        new.replace(self.path)

    def keep_in(self, folder: Path) -> None:
        """Keep this in a folder from now on."""
        self.path = folder / f"{id_in_paths(self.id)}.json"
        self.save()
