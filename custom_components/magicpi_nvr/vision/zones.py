"""Zones: named polygons over a camera's picture, and the cells of the grid that they cover."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final, Self

from .grid import CELLS, COLUMNS, EVERYWHERE, ROWS, Box

MAX_ZONES: Final = 16
MAX_POINTS: Final = 32
MAX_NAME: Final = 64
_SAMPLES: Final = 4

type Point = tuple[float, float]


class InvalidZone(ValueError):
    """A zone that cannot be; the text says why."""


class ZoneKind(StrEnum):
    """What a zone is for."""

    WATCH = "watch"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon; points are (x, y), 0 to 1 of width and height."""

    name: str
    kind: ZoneKind
    points: tuple[Point, ...]

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read a stored or sent zone; raises InvalidZone."""
        if not isinstance(data, dict):
            raise InvalidZone("a zone is an object")
        name = data.get("name")
        if not isinstance(name, str) or not (name := name.strip()):
            raise InvalidZone("a zone needs a name")
        if len(name) > MAX_NAME or not name.isprintable():
            raise InvalidZone(f"a name has up to {MAX_NAME} printable characters")
        try:
            kind = ZoneKind(str(data.get("kind")))
        except ValueError:
            raise InvalidZone("a zone's kind is watch or ignore") from None
        points = data.get("points")
        if not isinstance(points, list | tuple) or not 3 <= len(points) <= MAX_POINTS:
            raise InvalidZone(f"a zone has 3 to {MAX_POINTS} points")
        return cls(name, kind, tuple(_point(point) for point in points))

    def as_dict(self) -> dict[str, Any]:
        """Return the zone as it is stored and sent."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "points": [list(point) for point in self.points],
        }

    def contains(self, x: float, y: float) -> bool:
        """Say whether a point lies inside."""
        inside = False
        before_x, before_y = self.points[-1]
        for at_x, at_y in self.points:
            if (at_y > y) != (before_y > y) and x < at_x + (before_x - at_x) * (
                y - at_y
            ) / (before_y - at_y):
                inside = not inside
            before_x, before_y = at_x, at_y
        return inside

    @property
    def cells(self) -> int:
        """The cells whose center, or half of which, lies inside; a zone to watch has one at least."""
        return _cells(self)

    def holds(self, box: Box) -> bool:
        """Say whether something stands in the zone: the middle of its lower edge, or half of it."""
        x, y, w, h = box
        # Just above the edge: a box that is cut off by the picture ends at 1.0, where no polygon reaches.
        if self.contains(x + w / 2, min(y + h, 1.0) - 1e-4):
            return True
        inside = sum(
            self.contains(x + w * (i + 0.5) / _SAMPLES, y + h * (j + 0.5) / _SAMPLES)
            for i in range(_SAMPLES)
            for j in range(_SAMPLES)
        )
        return inside * 2 >= _SAMPLES * _SAMPLES


@lru_cache(maxsize=256)
def _cells(zone: Zone) -> int:
    across = [x * COLUMNS for x, _ in zone.points]
    down = [y * ROWS for _, y in zone.points]
    cells = 0
    for row in range(int(min(down)), min(ROWS, int(max(down)) + 1)):
        for column in range(int(min(across)), min(COLUMNS, int(max(across)) + 1)):
            if zone.contains(
                (column + 0.5) / COLUMNS, (row + 0.5) / ROWS
            ) or _half_inside(zone, column, row):
                cells |= 1 << (row * COLUMNS + column)
    if not cells and zone.kind is ZoneKind.WATCH:
        # Smaller than a cell: without any, whatever moves there would count for nothing
        column = min(COLUMNS - 1, int(sum(across) / len(across)))
        row = min(ROWS - 1, int(sum(down) / len(down)))
        cells = 1 << (row * COLUMNS + column)
    return cells


def _half_inside(zone: Zone, column: int, row: int) -> bool:
    inside = sum(
        zone.contains(
            (column + (i + 0.5) / _SAMPLES) / COLUMNS,
            (row + (j + 0.5) / _SAMPLES) / ROWS,
        )
        for i in range(_SAMPLES)
        for j in range(_SAMPLES)
    )
    return inside * 2 >= _SAMPLES * _SAMPLES


def _point(data: Any) -> Point:
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise InvalidZone("a point is two numbers")
    for part in data:
        # NaN is not between two numbers either
        if (
            isinstance(part, bool)
            or not isinstance(part, int | float)
            or not 0 <= part <= 1
        ):
            raise InvalidZone("a point's numbers are from 0 to 1")
    return (round(float(data[0]), 4), round(float(data[1]), 4))


@dataclass(frozen=True)
class Zones:
    """All zones of a camera."""

    zones: tuple[Zone, ...] = ()

    @classmethod
    def from_list(cls, data: Any) -> Self:
        """Read stored or sent zones; raises InvalidZone."""
        if not isinstance(data, list | tuple):
            raise InvalidZone("zones are a list")
        if len(data) > MAX_ZONES:
            raise InvalidZone(f"a camera has up to {MAX_ZONES} zones")
        zones = tuple(Zone.from_dict(item) for item in data)
        if len({zone.name for zone in zones}) < len(zones):
            raise InvalidZone("two zones have the same name")
        return cls(zones)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the zones as they are stored and sent."""
        return [zone.as_dict() for zone in self.zones]

    @cached_property
    def watched(self) -> int:
        """The cells in which motion counts."""
        watched = ignored = 0
        for zone in self.zones:
            if zone.kind is ZoneKind.WATCH:
                watched |= zone.cells
            else:
                ignored |= zone.cells
        if not any(zone.kind is ZoneKind.WATCH for zone in self.zones):
            watched = EVERYWHERE
        return watched & ~ignored

    def ignored_grid(self, rotation: int) -> str:
        """Return the cells to ignore as cameras take them: hex digits, row by row, the highest bit first.

        Zones are drawn over a picture that was turned clockwise by `rotation`; a camera looks at what it captured.
        """
        ignored = 0
        for zone in self.zones:
            if zone.kind is ZoneKind.IGNORE:
                points = tuple(_captured(point, rotation) for point in zone.points)
                ignored |= replace(zone, points=points).cells
        return f"{int(f'{ignored:0{CELLS}b}'[::-1], 2):0{CELLS // 4}x}"

    def ignores(self, box: Box) -> bool:
        """Say whether to ignore what stands there."""
        return any(
            zone.kind is ZoneKind.IGNORE and zone.holds(box) for zone in self.zones
        )

    def watches(self, box: Box) -> bool:
        """Say whether what stands there counts."""
        if self.ignores(box):
            return False
        watching = [zone for zone in self.zones if zone.kind is ZoneKind.WATCH]
        return not watching or any(zone.holds(box) for zone in watching)

    def around(self, box: Box) -> tuple[str, ...]:
        """Return the names of the zones to watch that something stands in."""
        return tuple(
            zone.name
            for zone in self.zones
            if zone.kind is ZoneKind.WATCH and zone.holds(box)
        )

    def touched(self, cells: int) -> tuple[str, ...]:
        """Return the names of the zones to watch in which something moved."""
        return tuple(
            zone.name
            for zone in self.zones
            if zone.kind is ZoneKind.WATCH and zone.cells & cells
        )


def _captured(point: Point, rotation: int) -> Point:
    """Return where in the captured picture a point of the turned one is."""
    x, y = point
    match rotation:
        case 90:
            return (y, 1 - x)
        case 180:
            return (1 - x, 1 - y)
        case 270:
            return (1 - y, x)
        case _:
            return point


def names(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return all names once, in the order of their first use."""
    return tuple(dict.fromkeys(name for part in parts for name in part))
