"""Places in which something moves, or only seems to: generated, with a sensor's noise and a burned-in clock."""

from io import BytesIO
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from virtual_camera.pictures import _scene as place

WIDTH, HEIGHT = 800, 600
FPS = 3
SENSOR_NOISE = 6.0


def film(
    scene: str, pictures: int = 24, *, fps: int = FPS, seed: int = 0
) -> list[bytes]:
    """Return JPEGs of a scene (blocking, about 20 ms each)."""
    rng = np.random.default_rng(5 + seed)
    ground = np.asarray(place(WIDTH, HEIGHT, seed), np.float32)
    leaves = [
        (rng.uniform(560, 760), rng.uniform(60, 260), rng.uniform(8, 22))
        for _ in range(40)
    ]
    result = []
    for number in range(pictures):
        # All scenes move at the same speed, whatever the rate of pictures
        at = number * FPS / fps
        pixels = _draw(scene, ground, at, leaves, rng)
        noise = 12.0 if scene == "noise" else SENSOR_NOISE
        result.append(_jpeg(pixels, rng, noise, number / fps))
    return result


def _draw(
    scene: str,
    ground: Any,
    at: float,
    leaves: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> Any:
    if scene == "light":
        return ground * (1 + 0.5 * math.sin(at / 6)) + 8 * math.sin(at / 4)
    if scene == "cloud":
        x = np.linspace(0, 1, WIDTH)[None, :, None]
        return ground * (1 - 0.35 / (1 + np.exp(-(x - at / 24 * 1.6 + 0.3) * 3)))
    if scene in ("empty", "noise"):
        return ground
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if scene == "rain":
        for _ in range(250):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            length = rng.uniform(15, 50)
            draw.line((x, y, x + length * 0.15, y + length), fill=(205, 208, 212))
    elif scene == "branch":
        for number, (x, y, size) in enumerate(leaves):
            dx = 10 * math.sin(at * 1.7 + number * 0.4)
            dy = 4 * math.sin(at * 2.3 + number)
            draw.ellipse(
                (
                    x + dx - size,
                    y + dy - size * 0.6,
                    x + dx + size,
                    y + dy + size * 0.6,
                ),
                fill=(50 + number % 5 * 8, 90 + number % 7 * 6, 50),
            )
    elif scene == "cat":
        x, y = 100 + at * 18, 440
        draw.ellipse((x, y, x + 55, y + 24), fill=(70, 64, 62))
        draw.ellipse((x + 45, y - 12, x + 70, y + 10), fill=(70, 64, 62))
    elif scene == "person_late":
        if at > 3 * FPS:
            _person(draw, 200 + (at - 3 * FPS) * 40, 300, 110, at)
    elif scene.startswith("person_"):
        height = float(scene.removeprefix("person_"))
        _person(draw, 200 + at * height * 0.29, 300, height, at)
    else:
        raise ValueError(scene)
    return np.asarray(image, np.float32)


def _person(
    draw: ImageDraw.ImageDraw, x: float, y: float, height: float, at: float
) -> None:
    """Draw somebody who walks; `y` is at the shoulders."""
    size = height / 1.22
    swing = math.sin(at * 2) * 0.16 * size
    legs = max(2, int(0.1 * size))
    for side in (-swing, swing):
        draw.line(
            (x, y + 0.45 * size, x + side, y + size), fill=(36, 38, 46), width=legs
        )
    draw.rounded_rectangle(
        (x - 0.15 * size, y, x + 0.15 * size, y + 0.55 * size),
        radius=max(1, 0.08 * size),
        fill=(126, 44, 40),
    )
    draw.ellipse(
        (x - 0.09 * size, y - 0.22 * size, x + 0.09 * size, y), fill=(188, 150, 126)
    )


def _jpeg(pixels: Any, rng: np.random.Generator, noise: float, seconds: float) -> bytes:
    grain = rng.standard_normal((HEIGHT, WIDTH, 1)).astype(np.float32) * noise
    image = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(0.5))
    ImageDraw.Draw(image).text(
        (10, 8),
        f"2026-11-29 12:00:{seconds:06.3f}",
        fill=(255, 255, 255),
        font_size=20,
        stroke_width=1,
        stroke_fill=(0, 0, 0),
    )
    out = BytesIO()
    image.save(out, "JPEG", quality=60, subsampling=1)
    return out.getvalue()


def white_noise(width: int = 1600, height: int = 1200, seed: int = 1) -> bytes:
    """Return a JPEG of nothing but noise."""
    rng = np.random.default_rng(seed)
    out = BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(
        out, "JPEG", quality=20, subsampling=2
    )
    return out.getvalue()


def painted_over(pixels: Any, other: Any, box: tuple[int, int, int, int]) -> Any:
    """Return pixels with a box taken from the same place in another light."""
    left, top, right, bottom = box
    inside = (slice(top, bottom), slice(left, right))
    there, here = other.mean(axis=2)[inside], pixels.mean(axis=2)[inside]
    gain, offset = np.polyfit(there.ravel(), here.ravel(), 1)
    result = pixels.copy()
    result[inside] = (gain * there + offset)[:, :, None]
    return result
