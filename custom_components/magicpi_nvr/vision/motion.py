"""What moves in a camera's pictures, on a sixteenth of their cells' pixels. Runs in the child: imports numpy.

A picture is its luma, reduced to 96 x 72. It is compared with the pictures before, and with
the camera's last quiet picture; light that changes as a whole is taken out first.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .grid import CELL, COLUMNS, HEIGHT, ROWS, WIDTH

type Luma = NDArray[np.float32]
type Mask = NDArray[np.bool_]

# A pixel has changed when it differs by this many sigmas of the whole picture's noise, and by this many levels.
_SIGMAS: Final = 5.0
_LEVELS: Final = 6.0
# Edges tremble with wind at the mount and with the encoder: so much of their slope is no change.
_EDGE: Final = 0.35
_MIN_SIGMA: Final = 0.8
# Rain, snow and insects are somewhere else in the next picture; what moves is near to where it was.
_REACH: Final = 2
_MIN_PIXELS: Final = 2
_USUAL: Final = 0.75
_FALLS: Final = 0.1
# A burned-in clock lies within so many rows of an edge; what else moves there comes from or goes to the rows beside.
_BAND: Final = 9
_BESIDE: Final = 3
_FRAMES_KEPT: Final = 4
_QUIET_FRAMES: Final = 3
# Of a picture that changes as a whole nothing can be said.
_EVERYWHERE: Final = 0.6
_MAX_SIGMA: Final = 10.0
_FIT_ROUNDS: Final = 3
_FIT_TRIM: Final = 2.5
# A cell shows something else than the quiet picture when no light makes one from the other.
_GAINS: Final = (0.3, 3.0)
_UNLIKE_LEVELS: Final = 4.0
_UNLIKE_EVERY: Final = 3


@dataclass(slots=True)
class Measured:
    """One picture's motion: cells that moved, cells unlike the quiet picture, strengths 0-255 per cell."""

    usable: bool
    reason: str = ""
    moved: Mask = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), bool))
    unlike: Mask = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), bool))
    strength: NDArray[np.uint8] = field(
        default_factory=lambda: np.zeros((ROWS, COLUMNS), np.uint8)
    )
    compared: bool = False


def levels(data: bytes) -> Luma:
    """Return the levels of 72 rows of 96 bytes."""
    return np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH).astype(np.float32)


class Stream:
    """The pictures of one event of a camera, oldest first."""

    def __init__(self, quiet: Luma | None = None) -> None:
        """Begin with the camera's last quiet picture."""
        self.quiet = quiet
        self._frames: deque[tuple[Luma, Luma]] = deque(maxlen=_FRAMES_KEPT)
        self._still: deque[Luma] = deque(maxlen=_QUIET_FRAMES)
        self._before: Mask | None = None
        self._unlike = np.zeros((ROWS, COLUMNS), bool)
        self._count = 0

    def measure(self, luma: Luma) -> Measured:
        """Compare a picture with those before it."""
        slope = _slope(luma)
        moved = Measured(True)
        if self._frames:
            self._compare(luma, slope, moved)
        if self.quiet is not None:
            if self._count % _UNLIKE_EVERY == 0:
                self._unlike = _unlike(luma, self.quiet)
            moved.unlike = self._unlike
        self._count += 1
        self._frames.append((luma, slope))
        if moved.usable and moved.compared and not moved.moved.any():
            self._still.append(luma)
        elif moved.moved.any():
            self._still.clear()
        return moved

    def finish(self) -> bytes | None:
        """Return the camera's quiet picture from now on: of the event's end when it was still, else the old one."""
        quiet = self.quiet
        if len(self._still) >= _QUIET_FRAMES:
            quiet = np.median(np.stack(self._still), axis=0)
        if quiet is None:
            return None
        return np.clip(np.rint(quiet), 0, 255).astype(np.uint8).tobytes()

    def _compare(self, luma: Luma, slope: Luma, moved: Measured) -> None:
        changed = np.zeros(luma.shape, bool)
        level = np.zeros(luma.shape, np.float32)
        noise = 0.0
        references = [self._frames[-1]]
        if len(self._frames) > 2:
            references.append(self._frames[-3])
        for reference, reference_slope in references:
            rest = np.abs(residual(luma, reference))
            sigma = max(_MIN_SIGMA, 1.4826 * float(np.median(rest)))
            noise = max(noise, sigma)
            edge = _EDGE * np.maximum(slope, reference_slope)
            limit = np.maximum(_LEVELS, _SIGMAS * sigma) + edge
            over = rest - limit
            changed |= over > 0
            np.maximum(level, over, out=level)
        if noise > _MAX_SIGMA or changed.mean() > _EVERYWHERE:
            moved.usable, moved.reason = False, "everywhere"
            self._before = None
            return
        changed &= _sum3(changed.astype(np.uint8)) >= _MIN_PIXELS
        before, self._before = self._before, changed
        if before is None:
            return
        moved.compared = True
        lasting = changed & _grow(before, _REACH)
        for part in (lasting, lasting[::-1]):
            beside: Mask = np.logical_or.reduce(part[_BAND : _BAND + _BESIDE])
            part[:_BAND] &= _near(beside, CELL)
        density = changed.reshape(ROWS, CELL, COLUMNS, CELL).sum((1, 3))
        count = lasting.reshape(ROWS, CELL, COLUMNS, CELL).sum((1, 3))
        level[~lasting] = 0
        strength = level.reshape(ROWS, CELL, COLUMNS, CELL).sum((1, 3)) / 4
        # Where something falls everywhere, only what is denser than that is a thing.
        usual = float(np.sort(density, axis=None)[: int(density.size * _USUAL)].mean())
        cells = count >= (_MIN_PIXELS if usual < _FALLS else 14 + 8 * usual)
        moved.moved = cells
        moved.strength = np.where(cells, np.clip(strength, 1, 255), 0).astype(np.uint8)


def residual(luma: Luma, reference: Luma) -> Luma:
    """Return luma less what the reference explains: gain, offset, a curve, a slope over the picture, and a small shift of it."""
    few = reference[::_SPARSE, ::_SPARSE].ravel() / 128 - 1
    steps = _steps(reference)
    few_steps = (step[::_SPARSE, ::_SPARSE].ravel() for step in steps)
    basis = np.stack([few, few * few, *_SPARSE_PLANE, *few_steps])
    target = luma[::_SPARSE, ::_SPARSE].ravel()
    weight = np.ones(target.shape, np.float32)
    factors = np.zeros(len(basis), np.float32)
    for _ in range(_FIT_ROUNDS):
        weighted = basis * weight
        factors = np.linalg.solve(weighted @ basis.T + _RIDGE, weighted @ target)
        rest = np.abs(target - factors @ basis)
        trim = max(2.0, _FIT_TRIM * 1.4826 * float(np.median(rest)))
        weight = (rest <= trim).astype(np.float32)
    gain, curve, offset, right, down, *shift = (float(factor) for factor in factors)
    one: Luma = reference / np.float32(128) - np.float32(1)
    explained: Luma = (curve * one + gain) * one
    explained += offset + right * _ACROSS + down * _DOWN
    for by, step in zip(shift, steps, strict=True):
        explained += by * step
    result: Luma = luma - explained
    return result


# A light is fitted on every third pixel of every third row.
_SPARSE: Final = 3
_ACROSS: Final = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
_DOWN: Final = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
_SPARSE_PLANE: Final = tuple(
    np.broadcast_to(part, (HEIGHT, WIDTH))[::_SPARSE, ::_SPARSE].ravel()
    for part in (np.ones((1, 1), np.float32), _ACROSS, _DOWN)
)
_RIDGE: Final = np.eye(7, dtype=np.float32) * 1e-2


def _unlike(luma: Luma, quiet: Luma) -> Mask:
    """Return the cells whose structure differs from the quiet picture's."""

    def cells(picture: Luma) -> Any:
        return picture.reshape(ROWS, CELL, COLUMNS, CELL).swapaxes(1, 2)

    one, other = cells(_without_clock(luma)), cells(_without_clock(quiet))
    one = one - one.mean((2, 3), keepdims=True)
    other = other - other.mean((2, 3), keepdims=True)
    gain = (one * other).mean((2, 3)) / np.maximum((other * other).mean((2, 3)), 1.0)
    rest = one - np.clip(gain, *_GAINS)[:, :, None, None] * other
    spread = rest.std((2, 3))
    result: Mask = spread > max(_UNLIKE_LEVELS, 4 * float(np.median(spread)))
    return result


def _without_clock(picture: Luma) -> Luma:
    """Return a picture whose edges show what is beside them."""
    result = picture.copy()
    result[:_BAND] = picture[_BAND]
    result[-_BAND:] = picture[-_BAND - 1]
    return result


def _steps(picture: Luma) -> tuple[Luma, Luma]:
    """Return by how much the levels rise per pixel, to the right and down."""
    padded = np.pad(picture, 1, mode="edge")
    half = np.float32(0.5)
    return (
        (padded[1:-1, 2:] - padded[1:-1, :-2]) * half,
        (padded[2:, 1:-1] - padded[:-2, 1:-1]) * half,
    )


def _slope(picture: Luma) -> Luma:
    """Return how much a pixel differs from its neighbors."""
    across, down = _steps(picture)
    result: Luma = np.maximum(np.abs(across), np.abs(down))
    return result


def _sum3(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    padded = np.pad(mask, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    result: NDArray[np.uint8] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return result


def _grow(mask: Mask, reach: int) -> Mask:
    """Return the mask and what is within `reach` pixels of it."""
    padded = np.pad(mask, reach)
    height, width = mask.shape
    rows = np.zeros((height, width + 2 * reach), bool)
    for at in range(2 * reach + 1):
        rows |= padded[at : at + height]
    grown = np.zeros_like(mask)
    for at in range(2 * reach + 1):
        grown |= rows[:, at : at + width]
    return grown


def _near(row: Mask, reach: int) -> Mask:
    """Return the columns within `reach` of those of a row."""
    return np.convolve(row, np.ones(2 * reach + 1), "same") > 0


def mask_hex(mask: Mask) -> str:
    """Return a grid's cells, the first cell as the lowest bit."""
    packed = np.packbits(mask.ravel(), bitorder="little")
    return f"{int.from_bytes(packed.tobytes(), 'little'):x}"
