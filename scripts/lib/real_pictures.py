"""Real pictures and a detector's model, where a machine has them: they are not part of the repository."""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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


def painted_out(pictures: Sequence[bytes]) -> Any:
    """Return a street without what moves in it: the median over time (height, width, 3)."""
    stack = np.stack(
        [np.asarray(Image.open(BytesIO(jpeg)).convert("RGB")) for jpeg in pictures]
    )
    return np.median(stack, axis=0)


def noisy(pixels: Any, count: int) -> list[bytes]:
    """Return the same place with new noise in each picture."""
    rng = np.random.default_rng(1)
    result = []
    for _ in range(count):
        grain = rng.standard_normal((*pixels.shape[:2], 1)) * 4
        out = BytesIO()
        Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(
            out, "JPEG", quality=75, subsampling=1
        )
        result.append(out.getvalue())
    return result
