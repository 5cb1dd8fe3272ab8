"""Zones: polygons, cells, what stands where."""

from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.vision.grid import (
    COLUMNS,
    EVERYWHERE,
    ROWS,
    around,
    cells_in,
    cells_of,
    grow,
)
from custom_components.magicpi_nvr.vision.zones import (
    MAX_POINTS,
    MAX_ZONES,
    InvalidZone,
    Zones,
)

LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
LOWER = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]


def zones(*items: tuple[str, str, Any]) -> Zones:
    """Return zones of (name, kind, points)."""
    return Zones.from_list(
        [{"name": name, "kind": kind, "points": points} for name, kind, points in items]
    )


def test_half_of_the_picture_is_half_of_the_cells() -> None:
    """The left half has the columns 0 to 7 of each row."""
    found = zones(("Path", "watch", LEFT))
    assert set(cells_in(found.watched)) == {
        (column, row) for column in range(COLUMNS // 2) for row in range(ROWS)
    }


def test_without_zones_everything_is_watched() -> None:
    """No zone, and only zones to ignore, leave the rest watched."""
    assert Zones().watched == EVERYWHERE
    only = zones(("Tree", "ignore", LEFT))
    assert only.watched == EVERYWHERE & ~only.zones[0].cells


def test_ignore_wins_over_watch() -> None:
    """Where both lie over each other, nothing counts."""
    both = zones(("Path", "watch", LEFT), ("Street", "ignore", LOWER))
    assert set(cells_in(both.watched)) == {
        (column, row) for column in range(8) for row in range(6)
    }
    assert both.touched(EVERYWHERE) == ("Path",)


def test_a_thin_zone_has_the_cells_half_of_which_it_covers() -> None:
    """A zone that misses a cell's center by a little has the cell all the same."""
    thin = zones(("Sill", "watch", [[0, 0], [1, 0], [1, 0.047], [0, 0.047]]))
    assert set(cells_in(thin.watched)) == {(column, 0) for column in range(COLUMNS)}


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0.1, 0.1, 0.2, 0.2), True),
        ((0.45, 0.1, 0.4, 0.5), False),
        ((0.1, 0.6, 0.2, 0.4), True),  # feet at the picture's lower edge
        ((0.3, 0.1, 0.38, 0.5), True),  # its middle is inside
    ],
)
def test_who_stands_in_a_zone(box: Any, inside: bool) -> None:
    """The middle of the lower edge decides, or half of the box."""
    found = zones(("Path", "watch", LEFT))
    assert found.around(box) == (("Path",) if inside else ())
    assert found.watches(box) is inside
    assert not found.ignores(box)


def test_ignored_is_left_out() -> None:
    """What stands in a zone to ignore does not count, whatever else it stands in."""
    both = zones(("Path", "watch", LEFT), ("Street", "ignore", LOWER))
    assert both.ignores((0.1, 0.5, 0.2, 0.4))
    assert not both.watches((0.1, 0.5, 0.2, 0.4))


def good(**change: Any) -> dict[str, Any]:
    """Return a good zone with a change."""
    return {"name": "Path", "kind": "watch", "points": LEFT, **change}


@pytest.mark.parametrize(
    "data",
    [
        "Path",
        {},
        [1],
        [good(name="")],
        [good(name="x" * 65)],
        [good(name="a\nb")],
        [good(name=5)],
        [good(kind="look")],
        [good(kind=None)],
        [good(points=LEFT[:2])],
        [good(points=[[0, 0]] * (MAX_POINTS + 1))],
        [good(points="0,0")],
        [good(points=[[0, 0], [1, 1], [0, 1.2]])],
        [good(points=[[0, 0], [1, 1], [0, float("nan")]])],
        [good(points=[[0, 0], [1, 1], [0, 10**400]])],
        [good(points=[[0, 0], [1, 1], [0, float("inf")]])],
        [good(points=[[0, 0]] * 10_000)],
        [good(points=[[0, 0], [1, 1], [0, True]])],
        [good(points=[[0, 0], [1, 1], [0, 1, 1]])],
        [good(), good()],
        [good(name=str(number)) for number in range(MAX_ZONES + 1)],
    ],
)
def test_refuses(data: Any) -> None:
    """What is no zone is refused with a reason."""
    with pytest.raises(InvalidZone):
        Zones.from_list(data)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=MAX_POINTS
    )
)
def test_is_stored_and_read_again(points: list[tuple[float, float]]) -> None:
    """What is sent is what comes back, with four digits, and any polygon has cells or none."""
    found = zones(("Path", "watch", points))
    assert Zones.from_list(found.as_list()) == found
    # Whatever its shape, a zone to watch is never one in which nothing can count
    assert 0 < found.watched <= EVERYWHERE


def test_a_zone_that_is_smaller_than_a_cell_has_that_cell() -> None:
    """To watch, it would hide everybody without one; to ignore, it would hide more than was drawn."""
    tiny = [[0.51, 0.51], [0.515, 0.51], [0.515, 0.515]]
    assert set(cells_in(zones(("Handle", "watch", tiny)).watched)) == {(8, 6)}
    assert zones(("Lamp", "ignore", tiny)).watched == EVERYWHERE
    line = [[1, 1], [1, 1], [1, 1]]
    assert set(cells_in(zones(("Corner", "watch", line)).watched)) == {(15, 11)}


def test_a_zone_that_crosses_itself_has_its_two_halves() -> None:
    """Of a bow tie, left and right are inside, above and below are not."""
    tie = zones(("Tie", "watch", [[0, 0], [1, 1], [1, 0], [0, 1]]))
    found = set(cells_in(tie.watched))
    assert {(0, 5), (15, 5)} <= found
    assert not {(8, 0), (8, 11)} & found


def test_cells_around_and_of_a_box() -> None:
    """A box has the cells that it touches, and cells have a box around them."""
    assert set(cells_in(cells_of((0.5, 0.5, 0.01, 0.01)))) == {(8, 6)}
    assert cells_of((0, 0, 1, 1)) == EVERYWHERE
    assert cells_of((1.2, 0, 0.1, 1)) == 0
    assert around(cells_of((0.5, 0.5, 0.1, 0.1))) == (0.5, 0.5, 0.125, 2 / 12)
    assert around(0) is None


def test_growing_stays_within_the_picture() -> None:
    """Neighbors of the right edge are not on the left."""
    corner = cells_of((0.99, 0, 0.01, 0.01))
    assert set(cells_in(grow(corner))) == {(14, 0), (15, 0), (14, 1), (15, 1)}
    assert set(cells_in(grow(cells_of((0, 0.99, 0.01, 0.01))))) == {
        (0, 10),
        (1, 10),
        (0, 11),
        (1, 11),
    }


@pytest.mark.parametrize(
    ("rotation", "column", "row"),
    [(0, 0, 0), (90, 0, 11), (180, 15, 11), (270, 15, 0)],
)
def test_a_turned_camera_ignores_what_it_captured(
    rotation: int, column: int, row: int
) -> None:
    """The upper left corner of a turned picture is another corner of what the camera captures."""
    corner = [[0, 0], [1 / 16, 0], [1 / 16, 1 / 12], [0, 1 / 12]]
    grid = zones(("Tree", "ignore", corner)).ignored_grid(rotation)
    cells = f"{int(grid, 16):0192b}"
    assert cells.count("1") == 1
    assert cells[row * COLUMNS + column] == "1"
