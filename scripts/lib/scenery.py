"""Two places to film, drawn at run time: a front door to which somebody brings a parcel, a garden with a cat."""

import asyncio
from collections.abc import Callable, Sequence
from io import BytesIO
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from virtual_camera import Shot, draw_number

WIDTH, HEIGHT = 800, 600
SCALE = 2  # drawn larger, so that edges are smooth
FRAMES = 60

type Draw = ImageDraw.ImageDraw
type Place = Callable[[], Image.Image]
type Visit = Callable[[Draw, float], None]


def _canvas(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """Return a picture that goes from one color to another."""
    down = np.linspace(0, 1, HEIGHT * SCALE)[:, None, None]
    colors = np.array(top) * (1 - down) + np.array(bottom) * down
    row = np.broadcast_to(colors, (HEIGHT * SCALE, WIDTH * SCALE, 3))
    return Image.fromarray(row.astype(np.uint8))


def _box(draw: Draw, x: float, y: float, w: float, h: float, **look: object) -> None:
    """Draw a rectangle in units of a picture of 800 x 600."""
    draw.rectangle(
        (x * SCALE, y * SCALE, (x + w) * SCALE, (y + h) * SCALE),
        **look,  # type: ignore[arg-type]
    )


def _round(
    draw: Draw, x: float, y: float, w: float, h: float, color: tuple[int, ...]
) -> None:
    """Draw an ellipse within a box."""
    draw.ellipse((x * SCALE, y * SCALE, (x + w) * SCALE, (y + h) * SCALE), fill=color)


def _shape(
    draw: Draw, points: Sequence[tuple[float, float]], color: tuple[int, ...]
) -> None:
    """Draw a polygon."""
    draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=color)


def _limb(
    draw: Draw,
    points: Sequence[tuple[float, float]],
    width: float,
    color: tuple[int, ...],
) -> None:
    """Draw a line with round ends."""
    draw.line(
        [(x * SCALE, y * SCALE) for x, y in points],
        fill=color,
        width=round(width * SCALE),
        joint="curve",
    )
    for x, y in points:
        _round(draw, x - width / 2, y - width / 2, width, width, color)


def _bush(draw: Draw, x: float, y: float, size: float, seed: int) -> None:
    """Draw leaves in many greens, darker below."""
    rng = np.random.default_rng(seed)
    for _ in range(90):
        angle, far = rng.uniform(0, math.tau), math.sqrt(rng.uniform(0, 1))
        at_x, at_y = (
            x + math.cos(angle) * far * size,
            y + math.sin(angle) * far * size * 0.8,
        )
        light = 0.75 + 0.5 * (y - at_y) / size + rng.uniform(-0.12, 0.12)
        leaf = size * rng.uniform(0.14, 0.26)
        color = tuple(int(min(255, part * light)) for part in (62, 108, 58))
        _round(draw, at_x - leaf / 2, at_y - leaf / 2, leaf, leaf, color)


def front_door() -> Image.Image:
    """Draw a house's entrance by day."""
    image = _canvas((214, 202, 184), (196, 182, 162))
    draw = ImageDraw.Draw(image)
    for row in range(24):
        shift = 23 * (row % 2)
        for column in range(-1, 19):
            tint = (row * 7 + column * 13) % 5 * 3
            _box(
                draw,
                column * 46 + shift,
                row * 18,
                44,
                16,
                fill=(176 + tint, 112 + tint, 88 + tint),
            )
    _box(draw, 0, 430, 800, 170, fill=(150, 148, 144))
    for column in range(-4, 14):
        _shape(
            draw,
            [
                (column * 90, 600),
                (column * 90 + 4, 600),
                (402 + (column - 4) * 36, 430),
                (400 + (column - 4) * 36, 430),
            ],
            (132, 130, 127),
        )
    for row in (448, 476, 514, 562):
        _box(draw, 0, row, 800, 2, fill=(132, 130, 127))
    # The door in its frame, with a lamp, a mat, a number
    _box(draw, 282, 84, 196, 352, fill=(236, 232, 224))
    _box(draw, 296, 98, 168, 338, fill=(32, 74, 104))
    for x, y, w, h in ((312, 116, 60, 92), (388, 116, 60, 92)):
        _box(draw, x, y, w, h, fill=(176, 204, 216))
        _shape(
            draw,
            [(x, y + h), (x + w * 0.7, y), (x + w, y), (x + w * 0.3, y + h)],
            (198, 220, 230),
        )
    for x, y, w, h in ((312, 226, 60, 178), (388, 226, 60, 178)):
        _box(draw, x, y, w, h, fill=(26, 62, 90))
        _box(draw, x + 5, y + 5, w - 10, h - 10, fill=(36, 82, 114))
    _round(draw, 446, 268, 12, 12, (214, 182, 96))
    _box(draw, 262, 436, 236, 14, fill=(178, 174, 168))
    _box(draw, 322, 444, 116, 20, fill=(96, 72, 52))
    _box(draw, 520, 150, 26, 44, fill=(40, 40, 44))
    _box(draw, 524, 156, 18, 32, fill=(255, 226, 150))
    # Pots on both sides, a window
    for x, seed in ((206, 3), (548, 8)):
        _shape(
            draw, [(x, 392), (x + 56, 392), (x + 46, 452), (x + 10, 452)], (142, 74, 50)
        )
        _bush(draw, x + 28, 350, 44, seed)
    _box(draw, 622, 110, 130, 170, fill=(236, 232, 224))
    for x in (632, 692):
        _box(draw, x, 120, 50, 150, fill=(120, 146, 160))
        _shape(
            draw, [(x, 250), (x + 50, 150), (x + 50, 190), (x, 270)], (146, 170, 182)
        )
    _box(draw, 612, 280, 150, 12, fill=(206, 200, 190))
    _box(draw, 60, 150, 110, 74, fill=(58, 60, 66))
    _box(draw, 66, 156, 98, 14, fill=(34, 36, 40))
    return image


def garden() -> Image.Image:
    """Draw a lawn with shed, tree and fence."""
    image = _canvas((136, 180, 222), (226, 236, 240))
    draw = ImageDraw.Draw(image)
    for x, y, w in ((90, 60, 130), (150, 46, 110), (560, 80, 150), (620, 66, 100)):
        _round(draw, x, y, w, w * 0.28, (244, 247, 250))
    for x, seed in (
        (30, 1),
        (150, 2),
        (250, 3),
        (420, 4),
        (560, 5),
        (690, 6),
        (790, 7),
    ):
        _bush(draw, x, 250, 74, seed)
    for x in range(-10, 820, 34):
        _box(draw, x, 212, 28, 92, fill=(164, 128, 92))
        _shape(draw, [(x, 212), (x + 14, 200), (x + 28, 212)], (164, 128, 92))
        _box(draw, x + 24, 212, 4, 92, fill=(140, 106, 74))
    _box(draw, 0, 232, 800, 8, fill=(140, 106, 74))
    for row in range(300, 600, 2):
        stripe = int((row - 300) / 22) % 2 * 8
        depth = (row - 300) / 300
        _box(
            draw,
            0,
            row,
            800,
            2,
            fill=(int(84 + 22 * depth) + stripe, int(134 + 22 * depth) + stripe, 70),
        )
    _shape(draw, [(330, 600), (520, 600), (440, 300), (410, 300)], (198, 184, 156))
    # The shed and the tree
    _shape(draw, [(520, 190), (628, 124), (736, 190)], (94, 60, 50))
    _box(draw, 534, 188, 188, 150, fill=(120, 146, 128))
    for x in range(534, 722, 16):
        _box(draw, x, 188, 2, 150, fill=(102, 128, 110))
    _box(draw, 566, 226, 56, 112, fill=(222, 214, 198))
    _box(draw, 572, 232, 44, 106, fill=(84, 104, 96))
    _box(draw, 646, 228, 54, 44, fill=(222, 214, 198))
    _box(draw, 651, 233, 44, 34, fill=(118, 150, 166))
    _shape(draw, [(136, 420), (150, 250), (172, 250), (190, 420)], (96, 72, 54))
    for x, y, size, seed in (
        (160, 150, 104, 11),
        (90, 190, 66, 12),
        (232, 184, 68, 13),
    ):
        _bush(draw, x, y, size, seed)
    _bush(draw, 760, 380, 54, 21)
    _bush(draw, 40, 430, 48, 22)
    return image


def parcel(draw: Draw, phase: float) -> None:
    """Draw somebody who comes to the door with a parcel, puts it down and leaves."""
    arriving = phase < 0.5
    way = phase / 0.5 if arriving else (1 - phase) / 0.5
    way = min(1.0, way * 1.35)
    x, y = 760 - 330 * way, 300 - 34 * way
    size = 1.35 - 0.25 * way
    swing = math.sin(phase * 58) * 20 * size * (way < 1)

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * size, y + dy * size

    _round(draw, x - 46 * size, y + 186 * size, 92 * size, 18 * size, (112, 110, 107))
    for step in (-swing, swing):
        _limb(
            draw, [at(0, 96), at(step / 2, 142), at(step, 188)], 20 * size, (44, 52, 70)
        )
        _limb(
            draw,
            [at(step, 190), at(step - 9 * (1 if arriving else -1), 192)],
            12 * size,
            (34, 30, 30),
        )
    draw.rounded_rectangle(
        tuple(part * SCALE for part in (*at(-29, 8), *at(29, 112))),
        radius=20 * size * SCALE,
        fill=(206, 152, 44),
    )
    _round(draw, *at(-17, -36), 34 * size, 38 * size, (204, 164, 138))
    draw.pieslice(
        tuple(part * SCALE for part in (*at(-20, -42), *at(20, 2))),
        180,
        360,
        fill=(58, 44, 38),
    )
    side = -1 if arriving else 1
    if arriving:
        _limb(draw, [at(0, 28), at(-24, 62), at(-44, 58)], 14 * size, (186, 134, 36))
        _box(draw, *at(-78, 34), 54 * size, 42 * size, fill=(178, 138, 92))
        _box(draw, *at(-55, 34), 8 * size, 42 * size, fill=(206, 176, 130))
    else:
        _limb(
            draw,
            [at(0, 28), at(side * 12, 66), at(side * 20 + swing / 3, 92)],
            14 * size,
            (186, 134, 36),
        )
    if not arriving:
        _box(draw, 340, 402, 60, 46, fill=(178, 138, 92))
        _box(draw, 366, 402, 9, 46, fill=(206, 176, 130))


def cat(draw: Draw, phase: float) -> None:
    """Draw a cat that crosses the lawn."""
    x, y = 830 - phase * 900, 432 + 14 * math.sin(phase * 3)
    swing = math.sin(phase * 70) * 9
    fur, dark = (70, 64, 62), (54, 49, 48)
    _round(draw, x - 8, y + 54, 118, 12, (92, 138, 66))
    for dx, step in ((12, swing), (24, -swing), (76, -swing), (90, swing)):
        _limb(draw, [(x + dx, y + 30), (x + dx + step, y + 58)], 9, dark)
    _round(draw, x, y, 104, 42, fur)
    _limb(
        draw,
        [(x + 98, y + 12), (x + 128, y - 8), (x + 124 + swing / 2, y - 40)],
        9,
        fur,
    )
    _round(draw, x - 26, y - 22, 42, 38, fur)
    for dx in (-24, 0):
        _shape(
            draw, [(x + dx, y - 10), (x + dx + 5, y - 34), (x + dx + 16, y - 18)], fur
        )
    for dx in (-17, -5):
        _round(draw, x + dx, y - 8, 6, 6, (206, 190, 90))


def film(place: Place, visit: Visit, frames: int = FRAMES) -> list[bytes]:
    """Return JPEGs of a visit, as a small camera would make them (blocking)."""
    empty = place()
    rng = np.random.default_rng(7)
    noise = [rng.normal(0, 2.2, (HEIGHT, WIDTH, 1)) for _ in range(4)]
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    vignette = (1 - 0.16 * (x * x + y * y))[:, :, None]
    pictures = []
    for number in range(frames):
        image = empty.copy()
        visit(ImageDraw.Draw(image), number / frames)
        small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        small = small.filter(ImageFilter.GaussianBlur(0.6))
        pixels = np.asarray(small, dtype=np.float32) * vignette + noise[number % 4]
        out = BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(
            out, "JPEG", quality=82, subsampling=1
        )
        pictures.append(out.getvalue())
    return pictures


class NumberedFilm:
    """What a camera sees of a film: over and over, each picture with its number burned in."""

    def __init__(self, pictures: Sequence[bytes]) -> None:
        """Take the film's JPEGs."""
        self._pictures = pictures

    async def frame(self, shot: Shot) -> bytes:
        """Return one JPEG, drawn outside of the event loop."""
        return await asyncio.to_thread(self._draw, shot.number)

    def _draw(self, number: int) -> bytes:
        image = Image.open(BytesIO(self._pictures[number % len(self._pictures)]))
        draw_number(ImageDraw.Draw(image), *image.size, number)
        out = BytesIO()
        image.save(out, "JPEG", quality=82, subsampling=1)
        return out.getvalue()

    async def close(self) -> None:
        """Hold nothing."""
