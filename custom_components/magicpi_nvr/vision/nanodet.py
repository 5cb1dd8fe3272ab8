"""NanoDet-Plus-m 416 by ncnn. Runs in the child: imports ncnn, and no numpy, which takes as long as a first answer."""

from collections.abc import Sequence
from functools import cache
import math
from typing import Final

import ncnn

from .grid import Box
from .model import Label, overlap
from .pictures import Pixels

# Of blue, green and red
_MEAN: Final = [103.53, 116.28, 123.675]
_FACTOR: Final = [0.017429, 0.017507, 0.017125]
_STRIDES: Final = (8, 16, 32, 64)
_CLASSES: Final = 80
_BINS: Final = 8
_WIDTH: Final = _CLASSES + 4 * _BINS
_SAME: Final = 0.5
MAX_DETECTIONS: Final = 24
# A whole number of the largest stride; what a 4:3 and a 16:9 picture fit into.
WIDE: Final = (416, 320)
SQUARE: Final = (416, 416)

# COCO's numbers
_LABELS: Final = {
    0: Label.PERSON,
    **dict.fromkeys((1, 2, 3, 5, 6, 7, 8), Label.VEHICLE),
    **dict.fromkeys((14, 15, 16, 17, 18, 19, 21), Label.ANIMAL),
}
_COLUMNS: Final = {
    label: [number for number, other in _LABELS.items() if other is label]
    for label in Label
}

type Found = tuple[Label, float, Box]


class NanoDet:
    """The network, loaded once."""

    def __init__(self, param: str, weights: str) -> None:
        """Read the model; raises ValueError when ncnn does not take it."""
        net = ncnn.Net()
        net.opt.use_vulkan_compute = False
        net.opt.num_threads = 1
        if net.load_param(param) or net.load_model(weights):
            raise ValueError("ncnn cannot read the model")
        self._net = net

    def outputs(self, pixels: Pixels, target: tuple[int, int]) -> memoryview[float]:
        """Return the network's rows, one after the other, for pixels that fit into `target`."""
        mat = ncnn.Mat.from_pixels(
            pixels.data,
            ncnn.Mat.PixelType.PIXEL_RGB2BGR,
            pixels.width,
            pixels.height,
        )
        mat.substract_mean_normalize(_MEAN, _FACTOR)
        mat = ncnn.copy_make_border(
            mat,
            0,
            target[1] - pixels.height,
            0,
            target[0] - pixels.width,
            ncnn.BorderType.BORDER_CONSTANT,
            0.0,
        )
        extractor = self._net.create_extractor()
        extractor.input("data", mat)
        code, rows = extractor.extract("output")
        if code:
            raise ValueError(f"ncnn answers {code}")
        shape = (len(_points(target)), _WIDTH)
        answer = memoryview(rows)
        if answer.shape != shape or answer.format != "f":
            raise ValueError(f"the network answers {answer.shape}")
        return memoryview(answer.tobytes()).cast("f")

    def find(
        self,
        pixels: Pixels,
        shown: Box,
        target: tuple[int, int],
        thresholds: dict[Label, float],
    ) -> list[Found]:
        """Return what is in pixels that show a part of the picture, boxes relative to the whole picture."""
        rows = self.outputs(pixels, target)
        points = _points(target)
        x, y, w, h = shown
        found: list[Found] = []
        for label, columns in _COLUMNS.items():
            scores = [rows[column::_WIDTH].tolist() for column in columns]
            best = (
                scores[0] if len(scores) == 1 else list(map(max, *scores, strict=True))
            )
            least = thresholds[label]
            chosen = [at for at, score in enumerate(best) if score >= least]
            chosen.sort(key=lambda at, best=best: -best[at])  # type: ignore[misc]
            kept: list[Found] = []
            for at in chosen[: 4 * MAX_DETECTIONS]:
                start = at * _WIDTH + _CLASSES
                left, top, right, bottom = _edges(
                    rows[start : start + 4 * _BINS].tolist(), points[at], pixels
                )
                box = (
                    x + left * w,
                    y + top * h,
                    (right - left) * w,
                    (bottom - top) * h,
                )
                if min(box[2:]) <= 0 or any(
                    overlap(box, other[2]) > _SAME for other in kept
                ):
                    continue
                kept.append((label, best[at], box))
            found += kept
        found.sort(key=lambda item: -item[1])
        return found[:MAX_DETECTIONS]


def _edges(
    bins: Sequence[float], point: tuple[int, int, int], pixels: Pixels
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, 0 to 1 of the pixels: each distance is the mean of a distribution."""
    across, down, stride = point
    reach = []
    for side in range(4):
        part = bins[side * _BINS : (side + 1) * _BINS]
        most = max(part)
        shares = [math.exp(level - most) for level in part]
        mean = sum(at * share for at, share in enumerate(shares)) / sum(shares)
        reach.append(mean * stride)

    def inside(at: float, size: int) -> float:
        return min(max(at, 0.0), size) / size

    return (
        inside(across - reach[0], pixels.width),
        inside(down - reach[1], pixels.height),
        inside(across + reach[2], pixels.width),
        inside(down + reach[3], pixels.height),
    )


@cache
def _points(target: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return x, y and stride of each row of the output."""
    width, height = target
    return [
        (across * stride, down * stride, stride)
        for stride in _STRIDES
        for down in range(-(-height // stride))
        for across in range(-(-width // stride))
    ]
