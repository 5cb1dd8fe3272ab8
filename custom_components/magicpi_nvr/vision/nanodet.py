"""NanoDet-Plus-m 416 by ncnn. Runs in the child: imports ncnn and numpy."""

from typing import Any, Final

import ncnn
import numpy as np
from numpy.typing import NDArray

from .grid import Box
from .model import Label, overlap

_MEAN: Final = np.array([103.53, 116.28, 123.675], np.float32)
_FACTOR: Final = np.array([0.017429, 0.017507, 0.017125], np.float32)
_STRIDES: Final = (8, 16, 32, 64)
_CLASSES: Final = 80
_BINS: Final = 8
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

    def outputs(self, pixels: NDArray[Any], target: tuple[int, int]) -> NDArray[Any]:
        """Return the network's rows for BGR pixels that fit into `target`."""
        width, height = target
        canvas = np.zeros((3, height, width), np.float32)
        planes = (pixels.astype(np.float32) - _MEAN) * _FACTOR
        canvas[:, : pixels.shape[0], : pixels.shape[1]] = planes.transpose(2, 0, 1)
        extractor = self._net.create_extractor()
        # Without the copy ncnn reads an array that may be gone
        extractor.input("data", ncnn.Mat(canvas).clone())
        code, rows = extractor.extract("output")
        if code:
            raise ValueError(f"ncnn answers {code}")
        return np.array(rows)

    def find(
        self,
        pixels: NDArray[Any],
        shown: Box,
        target: tuple[int, int],
        thresholds: dict[Label, float],
    ) -> list[Found]:
        """Return what is in pixels that show a part of the picture, boxes relative to the whole picture."""
        rows = self.outputs(pixels, target)
        points = _points(target)
        if rows.shape != (len(points), _CLASSES + 4 * _BINS):
            raise ValueError(f"the network answers {rows.shape}")
        height, width = pixels.shape[:2]
        x, y, w, h = shown
        found: list[Found] = []
        for label, columns in _COLUMNS.items():
            scores = rows[:, columns].max(axis=1)
            chosen = np.flatnonzero(scores >= thresholds[label])
            if not chosen.size:
                continue
            chosen = chosen[np.argsort(-scores[chosen])][: 4 * MAX_DETECTIONS]
            bins = rows[chosen, _CLASSES:].reshape(-1, 4, _BINS)
            bins = np.exp(bins - bins.max(axis=2, keepdims=True))
            distance = (bins * np.arange(_BINS)).sum(axis=2) / bins.sum(axis=2)
            center, stride = points[chosen, :2], points[chosen, 2:]
            near = np.clip(center - distance[:, :2] * stride, 0, (width, height))
            far = np.clip(center + distance[:, 2:] * stride, 0, (width, height))
            kept: list[Found] = []
            for at, index in enumerate(chosen):
                left, top = near[at] / (width, height)
                right, bottom = far[at] / (width, height)
                box = (
                    float(x + left * w),
                    float(y + top * h),
                    float((right - left) * w),
                    float((bottom - top) * h),
                )
                if min(box[2:]) <= 0 or any(
                    overlap(box, other[2]) > _SAME for other in kept
                ):
                    continue
                kept.append((label, float(scores[index]), box))
            found += kept
        found.sort(key=lambda item: -item[1])
        return found[:MAX_DETECTIONS]


_grids: dict[tuple[int, int], NDArray[np.float32]] = {}


def _points(target: tuple[int, int]) -> NDArray[np.float32]:
    """Return x, y and stride of each row of the output."""
    if (known := _grids.get(target)) is None:
        parts = []
        for stride in _STRIDES:
            down, across = np.mgrid[
                : -(-target[1] // stride), : -(-target[0] // stride)
            ]
            parts.append(
                np.stack(
                    [
                        across.ravel() * stride,
                        down.ravel() * stride,
                        np.full(across.size, stride),
                    ],
                    axis=1,
                )
            )
        known = _grids[target] = np.concatenate(parts).astype(np.float32)
    return known
