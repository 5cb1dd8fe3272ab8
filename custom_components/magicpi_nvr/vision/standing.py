"""What stands where it stood in a camera's earlier events: parked cars, and what is taken for a person or an animal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .grid import Box, cells_of
from .model import Label, overlap

_SAME_PLACE: Final = 0.7
_SAME_PARKED: Final = 0.5
_STANDS_MS: Final = 1_500
_MAX_STILL: Final = 32
_FORGOTTEN_AFTER: Final = 8


@dataclass(frozen=True, slots=True)
class Still:
    """Something that stands where it stood before; `missed`: events in a row without it."""

    label: Label
    box: Box
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """One box of one look; `t` is the picture's time."""

    label: Label
    score: float
    box: Box
    t: int


def stands(seen: Seen, still: Iterable[Still], changed: int) -> bool:
    """Say whether something stood there in earlier events and does so still; `changed`: cells that moved or look different."""
    for old in still:
        if old.label is not seen.label:
            continue
        if seen.label is Label.VEHICLE:
            if overlap(old.box, seen.box) >= _SAME_PARKED:
                return True
        elif overlap(old.box, seen.box) >= _SAME_PLACE and not (
            cells_of(seen.box) & changed
        ):
            return True
    return False


def standing(
    seen: Sequence[Seen], before: Iterable[Still], *, moved: int, answered: bool
) -> tuple[Still, ...]:
    """Return what a camera's next event is to take for standing; what was not looked for is not missed."""
    first: list[Seen] = []
    kept: list[Still] = []
    for item in sorted(seen, key=lambda item: item.t):
        start = next(
            (
                other
                for other in first
                if other.label is item.label
                and overlap(other.box, item.box) >= _SAME_PLACE
            ),
            None,
        )
        if start is None:
            first.append(item)
        elif _has_stood(start, item, moved) and not _is_among(kept, item):
            kept.append(Still(item.label, item.box))
    for old in before:
        if _is_among(kept, old):
            continue
        is_here = _is_among(seen, old) or not answered
        missed = 0 if is_here else old.missed + 1
        if missed < _FORGOTTEN_AFTER:
            kept.append(replace(old, missed=missed))
    return tuple(kept[:_MAX_STILL])


def _has_stood(start: Seen, end: Seen, moved: int) -> bool:
    if start.label is Label.VEHICLE and end.t - start.t >= _STANDS_MS:
        return True
    return end.t > start.t and not cells_of(end.box) & moved


def _is_among(things: Iterable[Seen | Still], thing: Seen | Still) -> bool:
    """Say whether one of them is of the same label in the same place."""
    return any(
        other.label is thing.label and overlap(other.box, thing.box) >= _SAME_PARKED
        for other in things
    )
