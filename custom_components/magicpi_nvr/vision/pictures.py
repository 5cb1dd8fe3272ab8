"""JPEGs to pixels, with limits. Runs in the child: imports Pillow, and no numpy, which takes as long as a first answer."""

from io import BytesIO
from typing import Final, NamedTuple
import warnings

from PIL import ExifTags, Image, ImageChops, ImageFile, ImageOps, JpegImagePlugin

from .grid import HEIGHT, WIDTH, Box

MAX_WIDTH: Final = 1920
MAX_HEIGHT: Final = 1600
MIN_SIDE: Final = 16
# Each scan of a progressive picture goes over all of it; libraries make about ten.
MAX_SCANS: Final = 32
_MISSING_ROWS: Final = 3
_BLACK: Final = 16
_WHITE: Final = 250
# Neighbors that are not alike although levels differ: no picture of anything.
_NONSENSE_LIKENESS: Final = 0.25
_NONSENSE_SPREAD: Final = 2.0


REASONS: Final = frozenset(("format", "size", "scans", "decode", "noise"))


class BadPicture(Exception):
    """A picture that cannot be used; the text is one of REASONS."""


def set_limits() -> None:
    """Let Pillow refuse what is larger than a camera's picture, and never guess a missing end."""
    Image.MAX_IMAGE_PIXELS = MAX_WIDTH * MAX_HEIGHT
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _open(jpeg: bytes) -> Image.Image:
    if jpeg.count(b"\xff\xda") > MAX_SCANS:
        raise BadPicture("scans")
    try:
        # Image.open would import the readers of four other formats first
        image = JpegImagePlugin.JpegImageFile(BytesIO(jpeg))
    except (OSError, ValueError, SyntaxError, Warning) as err:
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


class Pixels(NamedTuple):
    """RGB bytes, row by row."""

    data: bytes
    width: int
    height: int


def luma(jpeg: bytes) -> bytes:
    """Return a picture's luma, 72 rows of 96; raises BadPicture."""
    image = _open(jpeg)
    # The decoder itself leaves out what is not needed: an eighth of each side for 800 x 600
    image.draft("L", (WIDTH, HEIGHT))
    image = _load(image)
    if image.mode != "L":
        image = image.convert("L")
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    _check(small)
    return small.tobytes()


def _check(small: Image.Image) -> None:
    """Refuse what is no picture; raises BadPicture."""
    # Where data ends before the size that the header names, libjpeg repeats the last level without an error
    end = set(small.tobytes()[-_MISSING_ROWS * WIDTH :])
    if len(end) == 1 and _BLACK < max(end) < _WHITE:
        raise BadPicture("decode")
    if is_nonsense(small):
        raise BadPicture("noise")


def is_nonsense(small: Image.Image) -> bool:
    """Say whether a picture is noise: it has contrast, but no pixel is like its neighbor."""
    count = small.width * small.height
    levels = small.histogram()
    mean = sum(level * times for level, times in enumerate(levels)) / count
    spread = (
        sum((level - mean) ** 2 * times for level, times in enumerate(levels)) / count
    )
    if spread < _NONSENSE_SPREAD**2:
        return False
    # Twice the spread where neighbors have nothing to do with each other
    return (
        min(_step(small, 1, 0), _step(small, 0, 1))
        > 2 * (1 - _NONSENSE_LIKENESS) * spread
    )


def _step(small: Image.Image, right: int, down: int) -> float:
    """Return the mean square of the difference to a neighbor."""
    width, height = small.width - right, small.height - down
    one = small.crop((0, 0, width, height))
    other = small.crop((right, down, width + right, height + down))
    levels = ImageChops.difference(one, other).histogram()
    return sum(level**2 * times for level, times in enumerate(levels)) / (
        width * height
    )


def pixels(
    jpeg: bytes, crop: Box | None, target: tuple[int, int]
) -> tuple[Pixels, Box]:
    """Return what fits into `target`, and the part of the picture that it shows; raises BadPicture."""
    image = _open(jpeg)
    x, y, w, h = crop or (0.0, 0.0, 1.0, 1.0)
    # A crop needs the picture's own pixels, the whole only as many as the detector takes
    image.draft("RGB", (round(target[0] / w), round(target[1] / h)))
    image = _load(image)
    if image.mode != "RGB":
        image = image.convert("RGB")
    width, height = image.size
    few = image.reduce((max(1, width // WIDTH), max(1, height // HEIGHT)))
    _check(few.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BOX))
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
    return Pixels(small.tobytes(), *size), shown
