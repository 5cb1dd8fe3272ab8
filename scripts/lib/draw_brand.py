"""Draw the integration's icons and logos: a berry whose heart is a camera lens with a spark.

Everything is drawn here from circles and polygons, four times too large, and scaled down once;
nothing is taken from elsewhere.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

ROOT = Path(__file__).resolve().parent.parent.parent
BRAND = ROOT / "custom_components" / "magicpi_nvr" / "brand"

CANVAS = 2048  # four times the largest icon
LOGO_HEIGHT = 1024
MARGIN = 16

type Colour = tuple[int, int, int]
type Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one variant."""

    berry: Colour
    berry_light: Colour
    berry_dark: Colour
    leaf: Colour
    leaf_dark: Colour
    rim: Colour
    glass: Colour
    glass_light: Colour
    spark: Colour
    ink: Colour
    ink_soft: Colour


LIGHT = Palette(
    berry=(196, 30, 88),
    berry_light=(232, 82, 132),
    berry_dark=(140, 14, 62),
    leaf=(76, 158, 74),
    leaf_dark=(46, 118, 56),
    rim=(36, 32, 52),
    glass=(30, 40, 86),
    glass_light=(92, 128, 226),
    spark=(255, 226, 130),
    ink=(36, 32, 52),
    ink_soft=(196, 30, 88),
)
DARK = Palette(
    berry=(214, 44, 102),
    berry_light=(246, 104, 150),
    berry_dark=(158, 24, 76),
    leaf=(98, 184, 92),
    leaf_dark=(64, 144, 70),
    rim=(238, 238, 246),
    glass=(30, 40, 86),
    glass_light=(92, 128, 226),
    spark=(255, 226, 130),
    ink=(240, 240, 248),
    ink_soft=(246, 104, 150),
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with `share` (0 to 1) of `second`."""
    red, green, blue = (
        round(a + (b - a) * share) for a, b in zip(first, second, strict=True)
    )
    return red, green, blue


def ball(
    image: Image.Image, centre: Point, radius: float, inner: Colour, outer: Colour
) -> None:
    """Draw a disc that is lit from the upper left."""
    draw = ImageDraw.Draw(image)
    steps = 48
    for step in range(steps):
        share = step / (steps - 1)
        r = radius * (1 - 0.92 * share)
        x = centre[0] - radius * 0.30 * share
        y = centre[1] - radius * 0.34 * share
        draw.ellipse((x - r, y - r, x + r, y + r), fill=mix(outer, inner, share**0.85))


def star(centre: Point, radius: float, power: float = 0.5) -> list[Point]:
    """Return a four-pointed star: the superellipse |x|^power + |y|^power = 1."""
    points: list[Point] = []
    steps = 160
    for step in range(steps):
        angle = 2 * math.pi * step / steps
        cosine, sine = math.cos(angle), math.sin(angle)
        x = math.copysign(abs(cosine) ** (2 / power), cosine)
        y = math.copysign(abs(sine) ** (2 / power), sine)
        points.append((centre[0] + radius * x, centre[1] + radius * y))
    return points


def leaf(base: Point, length: float, width: float, angle: float) -> list[Point]:
    """Return a leaf that grows from `base` towards `angle`."""
    outline: list[Point] = []
    steps = 40
    for side in (1, -1):
        order = range(steps + 1) if side == 1 else range(steps, -1, -1)
        for step in order:
            along = step / steps
            across = side * width * math.sin(math.pi * along**0.78) ** 0.85 / 2
            outline.append(
                (
                    base[0]
                    + along * length * math.cos(angle)
                    - across * math.sin(angle),
                    base[1]
                    + along * length * math.sin(angle)
                    + across * math.cos(angle),
                )
            )
    return outline


def draw_icon(palette: Palette) -> Image.Image:
    """Return the icon, CANVAS pixels square, transparent around the berry."""
    image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    unit = CANVAS / 1000
    middle = (500 * unit, 566 * unit)

    crown = (500 * unit, 196 * unit)
    for angle, length in ((-158, 250), (-22, 250), (-122, 214), (-58, 214)):
        back = angle in (-122, -58)
        draw.polygon(
            leaf(
                (crown[0], crown[1] + 20 * unit),
                length * unit,
                128 * unit,
                math.radians(angle),
            ),
            fill=palette.leaf_dark if back else palette.leaf,
        )

    drupelet = 116 * unit
    ring = 306 * unit
    count = 12
    # Drawn from the top down, so that each berry lies over the one above it.
    berries = sorted(
        (
            (
                middle[0] + ring * math.sin(2 * math.pi * i / count),
                middle[1] - ring * math.cos(2 * math.pi * i / count) * 1.03,
            )
            for i in range(count)
        ),
        key=lambda point: point[1],
    )
    draw.ellipse(
        (
            middle[0] - ring,
            middle[1] - ring,
            middle[0] + ring,
            middle[1] + ring,
        ),
        fill=palette.berry_dark,
    )
    for centre in berries:
        ball(image, centre, drupelet, palette.berry_light, palette.berry)
        x, y = centre[0] - 0.34 * drupelet, centre[1] - 0.40 * drupelet
        r = 0.13 * drupelet
        draw.ellipse(
            (x - r, y - r, x + r, y + r), fill=mix(palette.berry_light, (255,) * 3, 0.6)
        )

    for radius, colour in (
        (286, palette.berry_dark),
        (268, palette.rim),
        (236, mix(palette.rim, palette.glass, 0.55)),
    ):
        r = radius * unit
        draw.ellipse(
            (middle[0] - r, middle[1] - r, middle[0] + r, middle[1] + r), fill=colour
        )
    ball(
        image,
        middle,
        214 * unit,
        palette.glass_light,
        mix(palette.glass, (8, 10, 30), 0.45),
    )
    pupil = 118 * unit
    draw.ellipse(
        (
            middle[0] - pupil,
            middle[1] - pupil,
            middle[0] + pupil,
            middle[1] + pupil,
        ),
        fill=mix(palette.glass, (8, 10, 30), 0.6),
    )

    spark = (534 * unit, 532 * unit)
    glow = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ImageDraw.Draw(glow).polygon(
        star(spark, 166 * unit, 0.62), fill=(*palette.spark, 170)
    )
    image.alpha_composite(glow.filter(ImageFilter.GaussianBlur(20 * unit)))
    draw = ImageDraw.Draw(image)
    draw.polygon(star(spark, 164 * unit, 0.56), fill=palette.spark)
    draw.polygon(star(spark, 96 * unit, 0.56), fill=(255, 250, 232))
    draw.polygon(
        star((408 * unit, 668 * unit), 62 * unit, 0.6),
        fill=mix(palette.spark, (255, 255, 255), 0.3),
    )
    return image


def trimmed(image: Image.Image) -> Image.Image:
    """Return the picture without its empty edges."""
    box = image.getchannel("A").getbbox()
    return image.crop(box) if box else image


def squared(image: Image.Image) -> Image.Image:
    """Return the picture trimmed and centred in a square with a thin margin."""
    image = trimmed(image)
    side = max(image.size) + 2 * MARGIN
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.alpha_composite(
        image, ((side - image.width) // 2, (side - image.height) // 2)
    )
    return square


def written(text: str, size: int, colour: Colour, weight: int) -> Image.Image:
    """Return a word, trimmed; `weight` thickens the strokes by that many pixels."""
    font = ImageFont.load_default(size)
    _left, _top, right, bottom = font.getbbox(text, stroke_width=weight)
    image = Image.new("RGBA", (int(right) + size, int(bottom) + size), (0, 0, 0, 0))
    ImageDraw.Draw(image).text(
        (size / 2, size / 2), text, font=font, fill=colour, stroke_width=weight
    )
    return trimmed(image)


def draw_logo(palette: Palette) -> Image.Image:
    """Return the logo: the icon, and the name beside it."""
    icon = squared(draw_icon(palette)).resize(
        (LOGO_HEIGHT, LOGO_HEIGHT), Image.Resampling.LANCZOS
    )
    first = written("MagicPi", 520, palette.ink, 16)
    second = written("NVR", 236, palette.ink_soft, 10)
    gap = 90
    image = Image.new(
        "RGBA", (LOGO_HEIGHT + gap + first.width, LOGO_HEIGHT), (0, 0, 0, 0)
    )
    image.alpha_composite(icon)
    left = LOGO_HEIGHT + gap
    top = (LOGO_HEIGHT - first.height - second.height - 70) // 2 + 40
    image.alpha_composite(first, (left, top))
    image.alpha_composite(second, (left + 8, top + first.height + 40))
    return trimmed(image)


def scaled(image: Image.Image, height: int) -> Image.Image:
    """Return the picture `height` pixels high."""
    width = round(image.width * height / image.height)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def pictures() -> dict[str, Image.Image]:
    """Return every file of the brand folder by its name."""
    drawn: dict[str, Image.Image] = {}
    for prefix, palette in (("", LIGHT), ("dark_", DARK)):
        icon = squared(draw_icon(palette))
        logo = draw_logo(palette)
        drawn[f"{prefix}icon.png"] = scaled(icon, 256)
        drawn[f"{prefix}icon@2x.png"] = scaled(icon, 512)
        drawn[f"{prefix}logo.png"] = scaled(logo, 256)
        drawn[f"{prefix}logo@2x.png"] = scaled(logo, 512)
    return drawn


def differs(path: Path, image: Image.Image) -> bool:
    """Return whether the file is absent or shows something else."""
    if not path.exists():
        return True
    with Image.open(path) as old:
        if old.size != image.size:
            return True
        return ImageChops.difference(old.convert("RGBA"), image).getbbox() is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; with --check only tell which ones would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--folder", type=Path, default=BRAND)
    options = parser.parse_args(arguments)
    stale = {
        name: image
        for name, image in pictures().items()
        if differs(options.folder / name, image)
    }
    for name, image in stale.items():
        print(name, *image.size)
        if not options.check:
            options.folder.mkdir(parents=True, exist_ok=True)
            image.save(options.folder / name, optimize=True)
    return int(options.check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
