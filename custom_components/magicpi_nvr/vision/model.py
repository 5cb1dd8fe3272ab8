"""Nouns of vision. Boxes are (x, y, w, h), 0 to 1 of the picture; times are the camera's milliseconds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .grid import CELLS, Box, cells_in

FLAG_STILL: Final = 2
FLAG_WARMING_UP: Final = 8


class Label(StrEnum):
    """What the detector tells apart."""

    PERSON = "person"
    VEHICLE = "vehicle"
    ANIMAL = "animal"


class Verdict(StrEnum):
    """What an event was worth."""

    SEEN = "seen"
    NOTHING_SEEN = "nothing_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Something that was recognized. `still`: it stood there in the event before, and nothing moved at it."""

    label: Label
    score: float
    box: Box
    zones: tuple[str, ...] = ()
    t: int = 0
    still: bool = False
    counts: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the detection as it is kept with an event."""
        return {
            "label": str(self.label),
            "score": round(self.score, 2),
            "box": [round(part, 4) for part in self.box],
            "zones": list(self.zones),
            **({"still": True} if self.still else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One picture's motion. `moved` and `unlike` are sets of cells; `strength` is percent of the picture."""

    usable: bool
    reason: str = ""
    compared: bool = False
    moved: int = 0
    unlike: int = 0
    levels: bytes = bytes(CELLS)

    @property
    def strength(self) -> int:
        """Percent of the cells that moved; at least 1 when one did."""
        if not self.moved:
            return 0
        return max(1, round(100 * self.moved.bit_count() / CELLS))

    def weight(self, watched: int) -> int:
        """Return how much moved in some cells; for the choice between pictures."""
        return sum(
            self.levels[row * 16 + column]
            for column, row in cells_in(self.moved & watched)
        )


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    if right <= left or bottom <= top:
        return 0.0
    shared = (right - left) * (bottom - top)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
