"""The grid of 16 x 12 cells that motion and zones share. A set of cells is an int of 192 bits, row by row from the top left."""

from collections.abc import Iterator
from typing import Final

COLUMNS: Final = 16
ROWS: Final = 12
CELLS: Final = COLUMNS * ROWS
# Pixels of the reduced picture per cell and side.
CELL: Final = 6
WIDTH: Final = COLUMNS * CELL
HEIGHT: Final = ROWS * CELL
EVERYWHERE: Final = (1 << CELLS) - 1

# A part is looked at on its own when all that moves fits into it, and never smaller than this.
SMALL: Final = 0.34
MIN_PART: Final = 0.26

type Box = tuple[float, float, float, float]


def cells_in(cells: int) -> Iterator[tuple[int, int]]:
    """Yield (column, row) of each cell of a set."""
    while cells:
        low = cells & -cells
        row, column = divmod(low.bit_length() - 1, COLUMNS)
        yield column, row
        cells ^= low


def around(cells: int) -> Box | None:
    """Return the box (x, y, w, h, relative) around a set of cells."""
    places = list(cells_in(cells))
    if not places:
        return None
    left = min(column for column, _ in places)
    right = max(column for column, _ in places) + 1
    top = min(row for _, row in places)
    bottom = max(row for _, row in places) + 1
    return (
        left / COLUMNS,
        top / ROWS,
        (right - left) / COLUMNS,
        (bottom - top) / ROWS,
    )


def cells_of(box: Box) -> int:
    """Return the cells that a relative box touches."""
    x, y, w, h = box
    left, top = max(0, int(x * COLUMNS)), max(0, int(y * ROWS))
    right = min(COLUMNS - 1, int((x + w) * COLUMNS))
    bottom = min(ROWS - 1, int((y + h) * ROWS))
    if right < left or bottom < top:
        return 0
    row = ((1 << (right - left + 1)) - 1) << left
    cells = 0
    for at in range(top, bottom + 1):
        cells |= row << (at * COLUMNS)
    return cells


def grow(cells: int) -> int:
    """Return the cells and their neighbors on all sides."""
    not_first = int.from_bytes(b"\xfe\xff" * ROWS, "little")
    not_last = int.from_bytes(b"\xff\x7f" * ROWS, "little")
    wide = cells | (cells << 1) & not_first | (cells >> 1) & not_last
    return (wide | wide << COLUMNS | wide >> COLUMNS) & EVERYWHERE


def part_around(cells: int) -> Box | None:
    """Return the part of a picture around a set's largest group, to look at on its own; None when that is most of it."""
    if not cells or (box := around(_largest(cells))) is None:
        return None
    x, y, w, h = box
    if w > SMALL or h > SMALL:
        return None
    size = max(MIN_PART, w * 1.6, h * 1.6)
    left = min(max(0.0, x + w / 2 - size / 2), 1 - size)
    top = min(max(0.0, y + h / 2 - size / 2), 1 - size)
    return (left, top, size, size)


def _largest(cells: int) -> int:
    """Return the largest group of cells that touch each other."""
    best = 0
    while cells:
        group, grown = 0, cells & -cells
        while grown != group:
            group, grown = grown, grow(grown) & cells
        cells &= ~group
        if group.bit_count() > best.bit_count():
            best = group
    return best
