"""Real pictures and a detector's model, where a machine has them: they are not part of the repository."""

from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def real_data() -> Path | None:
    """Return the folder `shared/data` beside the project, or beside one of the folders around it."""
    for folder in ROOT.parents:
        if (found := folder / "shared" / "data").is_dir():
            return found
    return None


@cache
def pictures(name: str) -> tuple[bytes, ...]:
    """Return the JPEGs of a street (`street-day`, `street-night`), ten a second; none where they are missing."""
    data = real_data()
    if data is None:
        return ()
    return tuple(path.read_bytes() for path in sorted((data / name).glob("*.jpg")))
