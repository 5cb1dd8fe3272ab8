"""JPEGs to pixels, with limits. Runs in the child: imports Pillow and numpy."""

from io import BytesIO
from typing import Any, Final
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from .grid import HEIGHT, WIDTH, Box

MAX_WIDTH: Final = 1920
MAX_HEIGHT: Final = 1600
MIN_SIDE: Final = 16
_MISSING_ROWS: Final = 3
_BLACK: Final = 16
_WHITE: Final = 250


class BadPicture(Exception):
    """A picture that cannot be used; the text is a counter's name."""


def set_limits() -> None:
    """Let Pillow refuse what is larger than a camera's picture, and never guess a missing end."""
    Image.MAX_IMAGE_PIXELS = MAX_WIDTH * MAX_HEIGHT
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _open(jpeg: bytes) -> Image.Image:
    try:
        image = Image.open(BytesIO(jpeg), formats=("JPEG",))
    except (
        OSError,
        ValueError,
        SyntaxError,
        Warning,
        Image.DecompressionBombError,
    ) as err:
        raise BadPicture("format") from err
    width, height = image.size
    if not MIN_SIDE <= width <= MAX_WIDTH or not MIN_SIDE <= height <= MAX_HEIGHT:
        raise BadPicture("size")
    return image


def _load(image: Image.Image) -> Image.Image:
    """Return the picture as it is shown: zones and boxes belong to that."""
    try:
        image.load()
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        IndexError,
        MemoryError,
        Warning,
        Image.DecompressionBombError,
    ) as err:
        raise BadPicture("decode") from err


def luma(jpeg: bytes) -> NDArray[np.float32]:
    """Return a picture's luma, 72 x 96; raises BadPicture."""
    image = _open(jpeg)
    # The decoder itself leaves out what is not needed: an eighth of each side for 800 x 600
    image.draft("L", (WIDTH, HEIGHT))
    image = _load(image)
    if image.mode != "L":
        image = image.convert("L")
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    # Where data ends before the size that the header names, libjpeg repeats the last level without an error
    end = pixels[-_MISSING_ROWS:]
    if end.min() == end.max() and _BLACK < end.max() < _WHITE:
        raise BadPicture("decode")
    return pixels


def pixels(
    jpeg: bytes, crop: Box | None, target: tuple[int, int]
) -> tuple[NDArray[Any], Box]:
    """Return BGR bytes (height, width, 3) that fit into `target`, and the part of the picture that they show."""
    image = _open(jpeg)
    x, y, w, h = crop or (0.0, 0.0, 1.0, 1.0)
    width, height = image.size
    # A crop needs the picture's own pixels, the whole only as many as the detector takes
    image.draft("RGB", (round(target[0] / w), round(target[1] / h)))
    image = _load(image)
    if image.mode != "RGB":
        image = image.convert("RGB")
    width, height = image.size
    left, top = round(x * width), round(y * height)
    right = min(width, max(left + 1, round((x + w) * width)))
    bottom = min(height, max(top + 1, round((y + h) * height)))
    scale = min(target[0] / (right - left), target[1] / (bottom - top))
    size = (
        max(1, min(target[0], round((right - left) * scale))),
        max(1, min(target[1], round((bottom - top) * scale))),
    )
    small = image.resize(
        size, Image.Resampling.BILINEAR, (left, top, right, bottom), reducing_gap=2.0
    )
    shown = (
        left / width,
        top / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return np.asarray(small)[:, :, ::-1], shown
