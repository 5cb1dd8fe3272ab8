"""Pictures that look like a small camera's, made at run time, with their number burned in."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from io import BytesIO
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

RESOLUTIONS = {
    "QVGA": (320, 240),
    "VGA": (640, 480),
    "SVGA": (800, 600),
    "XGA": (1024, 768),
    "HD": (1280, 720),
    "SXGA": (1280, 1024),
    "UXGA": (1600, 1200),
}

# The strip at the bottom: white, black, 24 bits of the number from the highest, 6 bits of checksum.
NUMBER_BITS = 24
CHECK_BITS = 6
STRIP_BLOCKS = 2 + NUMBER_BITS + CHECK_BITS
CHECK_MODULUS = 61

GRAINS = 6
# With these a picture has as many bytes, and among them as many 0xFF, as one of an OV2640.
NOISE = 6.0
LENS_BLUR = 0.5

# What of a camera's configuration changes how its picture looks.
LOOK_KEYS = ("vflip", "hmirror", "brightness", "contrast", "saturation", "night_mode")


def strip_bits(number: int) -> list[bool]:
    """Return the strip's blocks for a frame number, True for white."""
    number %= 1 << NUMBER_BITS
    word = number << CHECK_BITS | (number * 7 + 13) % CHECK_MODULUS
    width = NUMBER_BITS + CHECK_BITS
    return [True, False, *(bool(word >> (width - 1 - at) & 1) for at in range(width))]


def strip_geometry(width: int, height: int) -> tuple[int, int, int]:
    """Return the strip's left edge, top edge and block size in pixels."""
    block = width // (STRIP_BLOCKS + 1)
    return (width - block * STRIP_BLOCKS) // 2, height - block, block


def read_frame_number(image: Image.Image | np.ndarray[Any, Any]) -> int:
    """Return the number (24 bits) burned into a picture, even after H.264.

    Takes a Pillow image, or an array of height x width (x channels), 0-255. Raises ValueError
    where there is no strip.
    """
    gray = np.asarray(
        image.convert("L") if isinstance(image, Image.Image) else image, dtype=float
    )
    if gray.ndim == 3:
        gray = gray.mean(axis=2)
    height, width = gray.shape
    left, top, block = strip_geometry(width, height)
    margin = block // 4
    bits = []
    for at in range(STRIP_BLOCKS):
        x = left + at * block
        inside = gray[
            top + margin : top + block - margin, x + margin : x + block - margin
        ]
        if 96 < (level := inside.mean()) < 160:
            raise ValueError(f"block {at} is neither black nor white ({level:.0f})")
        bits.append(bool(level > 128))
    word = 0
    for bit in bits[2:]:
        word = word << 1 | bit
    if bits != strip_bits(number := word >> CHECK_BITS):
        raise ValueError("no frame number in this picture")
    return number


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cell: int) -> Any:
    """Return noise with features of `cell` pixels, height x width, about -1 to 1."""
    small = rng.normal(0, 0.5, (height // cell + 2, width // cell + 2)).astype(
        np.float32
    )
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


@lru_cache(maxsize=4)
def _scene(width: int, height: int, seed: int) -> Image.Image:
    """Return the place that the camera looks at: sky, house, lawn and path."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    horizon = 0.42
    picture = np.empty((height, width, 3), dtype=np.float32)
    sky = np.array([[150.0, 175.0, 205.0]]) + rng.uniform(-15, 15, (1, 3))
    ground = np.array([[88.0, 104.0, 70.0]]) + rng.uniform(-15, 15, (1, 3))
    below = 1 / (1 + np.exp(-(y - horizon) * 90))
    for channel in range(3):
        picture[:, :, channel] = (sky[0, channel] + 35 * y) * (1 - below) + (
            ground[0, channel] + 45 * (y - horizon)
        ) * below
    texture = (
        10 * _smooth_noise(rng, height, width, 3)
        + 12 * _smooth_noise(rng, height, width, 9)
        + 14 * _smooth_noise(rng, height, width, 40)
    )
    picture += (texture * (0.25 + 0.75 * below))[:, :, None]
    path = np.abs(x - 0.5 - 0.12 * (y - horizon)) < 0.05 + 0.22 * (y - horizon)
    picture[(path & (y > horizon))] += (30, 22, 14)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    left = int(width * rng.uniform(0.08, 0.2))
    wall = (left, int(height * 0.18), left + int(width * 0.3), int(height * 0.52))
    draw.rectangle(wall, fill=(172, 160, 146))
    for at in range(wall[1], wall[3], max(4, height // 60)):
        draw.line((wall[0], at, wall[2], at), fill=(150, 136, 122))
    for column in range(3):
        at = wall[0] + int(width * (0.03 + 0.09 * column))
        draw.rectangle(
            (at, int(height * 0.24), at + width // 18, int(height * 0.34)),
            fill=(52, 60, 74),
            outline=(222, 220, 214),
            width=max(1, width // 400),
        )
    for at in range(int(width * 0.62), width, width // 22):
        draw.rectangle(
            (at, int(height * 0.34), at + width // 60, int(height * 0.5)),
            fill=(112, 88, 62),
        )
    return image.filter(ImageFilter.GaussianBlur(width / 1000))


def _apply_look(image: Image.Image, look: Mapping[str, Any]) -> Image.Image:
    """Return the picture as the sensor's settings make it."""
    if look.get("vflip"):
        image = ImageOps.flip(image)
    if look.get("hmirror"):
        image = ImageOps.mirror(image)
    if level := look.get("brightness", 0):
        image = ImageEnhance.Brightness(image).enhance(1 + 0.2 * level)
    if level := look.get("contrast", 0):
        image = ImageEnhance.Contrast(image).enhance(1 + 0.2 * level)
    saturation = 0.0 if look.get("night_mode") else 1 + 0.35 * look.get("saturation", 0)
    if saturation != 1:
        image = ImageEnhance.Color(image).enhance(saturation)
    return image


@lru_cache(maxsize=4)
def _backgrounds(
    width: int, height: int, seed: int, look: tuple[tuple[str, Any], ...]
) -> tuple[Image.Image, ...]:
    """Return the scene with different sensor noise each time."""
    scene = np.asarray(
        _apply_look(_scene(width, height, seed), dict(look)), dtype=np.float32
    )
    rng = np.random.default_rng(seed + 1)
    # The noise of one wide drawing, cut out at other places, is as good as new noise and cheaper.
    noise = rng.standard_normal((height + 16, width + 16, 1), dtype=np.float32) * NOISE
    grown = []
    for at in range(GRAINS):
        shift_x, shift_y = (at * 5) % 16, (at * 11) % 16
        grain = noise[shift_y : shift_y + height, shift_x : shift_x + width]
        noisy = Image.fromarray(np.clip(scene + grain, 0, 255).astype(np.uint8))
        grown.append(noisy.filter(ImageFilter.GaussianBlur(LENS_BLUR)))
    return tuple(grown)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return Pillow's own font at a height in pixels."""
    return ImageFont.load_default(size)


def _draw_visitor(
    draw: ImageDraw.ImageDraw, width: int, height: int, phase: float
) -> None:
    """Draw somebody who walks through the picture, once in a phase of 0 to 1."""
    size = height * 0.26
    x = (phase * 1.3 - 0.15) * width
    y = height * 0.55 + math.sin(phase * 40) * height * 0.006
    swing = math.sin(phase * 60) * size * 0.16
    dark, coat, skin = (36, 38, 46), (126, 44, 40), (188, 150, 126)
    leg = max(2, int(size * 0.1))
    draw.line((x, y + size * 0.45, x - swing, y + size), fill=dark, width=leg)
    draw.line((x, y + size * 0.45, x + swing, y + size), fill=dark, width=leg)
    draw.rounded_rectangle(
        (x - size * 0.15, y, x + size * 0.15, y + size * 0.55),
        radius=size * 0.08,
        fill=coat,
    )
    draw.ellipse((x - size * 0.09, y - size * 0.22, x + size * 0.09, y), fill=skin)


def pillow_quality(jpeg_quality: int) -> int:
    """Return Pillow's quality (1-95, higher is better) for a sensor's (4-63, lower is better).

    An OV2640 scales the example tables of JPEG by a fifteenth of its quality, Pillow by a
    percentage that its own stands for.
    """
    percent = jpeg_quality * 100 / 15
    return round(100 - percent / 2 if percent <= 100 else 5000 / percent)


def draw_number(
    draw: ImageDraw.ImageDraw, width: int, height: int, number: int
) -> None:
    """Burn a frame number into a picture."""
    left, top, block = strip_geometry(width, height)
    # Where JPEG's blocks end, the edge costs nothing.
    draw.rectangle((0, (top - block // 4) // 8 * 8, width, height), fill=(0, 0, 0))
    for at, white in enumerate(strip_bits(number)):
        if white:
            x = left + at * block
            draw.rectangle((x, top, x + block - 1, height), fill=(255, 255, 255))


def make_picture(
    number: int,
    *,
    resolution: str = "SVGA",
    jpeg_quality: int = 12,
    caption: str = "",
    when: datetime | None = None,
    seed: int = 0,
    look: Mapping[str, Any] | None = None,
) -> bytes:
    """Return one baseline 4:2:2 JPEG that carries its number; SVGA has 30-50 kB."""
    width, height = RESOLUTIONS[resolution]
    chosen = tuple((key, look[key]) for key in LOOK_KEYS if look and look.get(key))
    grounds = _backgrounds(width, height, seed, chosen)
    image = grounds[number % len(grounds)].copy()
    draw = ImageDraw.Draw(image)
    _draw_visitor(draw, width, height, (number % 97) / 97)
    draw_number(draw, width, height, number)
    block = strip_geometry(width, height)[2]
    text = (
        f"{caption}  {when or datetime.now():%Y-%m-%d %H:%M:%S.%f}"[:-3]
        + f"  #{number}"
    )
    draw.text(
        (block // 2, block // 3),
        text,
        font=_font(max(10, height // 30)),
        fill=(255, 255, 255),
        stroke_width=1,
        stroke_fill=(0, 0, 0),
    )
    out = BytesIO()
    image.save(out, "JPEG", quality=pillow_quality(jpeg_quality), subsampling=1)
    return out.getvalue()
