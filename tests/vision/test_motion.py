"""Motion: what moves, and what only looks as if."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
import pytest

from custom_components.magicpi_nvr.vision import pictures
from custom_components.magicpi_nvr.vision.motion import Stream, levels
from tests.harness.vision_scenes import film, place
from virtual_camera.pictures import make_picture


def luma(jpeg: bytes) -> Any:
    """Return a picture's luma."""
    return levels(pictures.luma(jpeg))


def cells(scene: str, quiet: Any = None) -> tuple[list[set[tuple[int, int]]], Stream]:
    """Return the cells (column, row) that moved, per picture."""
    stream = Stream(quiet)
    moved = []
    for jpeg in film(scene):
        measured = stream.measure(luma(jpeg))
        rows, columns = np.nonzero(measured.moved)
        moved.append({(int(x), int(y)) for x, y in zip(columns, rows, strict=True)})
    return moved, stream


@pytest.mark.parametrize("scene", ["empty", "noise", "light", "cloud", "rain"])
def test_nothing_moves(scene: str) -> None:
    """Noise, light, clouds, rain and a burned-in clock are no motion."""
    moved, _ = cells(scene)
    assert sum(map(len, moved)) == 0


@pytest.mark.parametrize("scene", ["branch", "cat", "person_30", "person_60"])
def test_something_moves(scene: str) -> None:
    """From the third picture on, each shows what moves."""
    moved, _ = cells(scene)
    assert all(moved[3:])


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("walks", [False, True])
def test_a_mount_that_trembles_is_no_motion(seed: int, walks: bool) -> None:
    """A pixel of 800 to any side, with a sensor's noise, does not move; what somebody of 30 pixels does, does."""
    rng = np.random.default_rng(seed)
    ground = np.array(place(820, 620, 0), np.float32)
    stream, moved = Stream(), 0
    for number in range(12):
        right, down = rng.integers(9, 12, 2)
        pixels = ground[down : down + 600, right : right + 800]
        if walks:
            pixels = pixels.copy()
            pixels[300:330, 300 + number * 9 : 310 + number * 9] = 30
        pixels = pixels + rng.standard_normal((600, 800, 1)) * 4
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        out = BytesIO()
        image.filter(ImageFilter.GaussianBlur(0.5)).save(out, "JPEG", quality=70)
        moved += int(stream.measure(luma(out.getvalue())).moved.sum())
    assert bool(moved) is walks


def test_motion_is_where_it_is() -> None:
    """The person of 30 pixels is within a cell of where it was drawn."""
    moved, _ = cells("person_30")
    for number, found in enumerate(moved[3:], 3):
        column = int((200 + number * 30 * 0.29) / 50)
        for x, y in found:
            assert abs(x - column) <= 1
            assert 5 <= y <= 7


def test_all_that_changes_as_a_whole_says_nothing() -> None:
    """When the picture is another one altogether, nothing is said of it."""
    stream = Stream()
    one = luma(make_picture(1))
    stream.measure(one)
    other = np.ascontiguousarray(one[::-1, ::-1])
    assert not stream.measure(other).usable
    assert stream.measure(one).reason == "everywhere"


def test_who_stands_still_is_unlike_the_quiet_picture() -> None:
    """Somebody who does not move is seen against the picture of before, in another light."""
    _, stream = cells("empty")
    left = stream.finish()
    assert left is not None
    quiet = levels(left)
    standing = Stream(quiet)
    jpeg = film("person_60", 1)[0]
    measured = standing.measure(luma(jpeg) * 0.8 + 10)
    rows, columns = np.nonzero(measured.unlike)
    assert set(zip(columns.tolist(), rows.tolist(), strict=True)) <= {
        (3, 5),
        (3, 6),
        (4, 5),
        (4, 6),
        (3, 7),
        (4, 7),
    }
    assert measured.unlike.any()
    assert not Stream(quiet).measure(quiet * 0.8 + 10).unlike.any()


def test_a_quiet_picture_is_kept_until_there_is_another() -> None:
    """An event that never becomes still leaves the old quiet picture."""
    old = np.full((72, 96), 80, np.float32)
    _, stream = cells("branch", old)
    assert stream.finish() == bytes([80]) * 96 * 72


@pytest.mark.parametrize("corner", ["left", "right"])
@pytest.mark.parametrize("edge", ["top", "bottom"])
@pytest.mark.parametrize(
    ("size", "font"),
    [((320, 240), 14), ((320, 240), 20), ((800, 600), 36), ((1600, 1200), 64)],
)
def test_a_burned_in_clock_in_any_corner(
    size: tuple[int, int], font: int, corner: str, edge: str
) -> None:
    """Digits that change with each picture neither move nor differ from the quiet picture."""
    quiet = None
    for begin in (0, 50):
        stream = Stream(quiet)
        for number in range(7):
            text = f"2026-11-29 12:00:{begin + number / 3:06.3f}"
            measured = stream.measure(luma(clock(text, size, font, corner, edge)))
            assert not measured.moved.any()
            assert not measured.unlike.any()
        left = stream.finish()
        assert left
        quiet = levels(left)


def clock(text: str, size: tuple[int, int], font: int, corner: str, edge: str) -> bytes:
    """Return a picture with a text in one of its corners."""
    image = Image.fromarray(np.asarray(place(800, 600, 0), np.uint8)).resize(size)
    draw = ImageDraw.Draw(image)
    x = 10 if corner == "left" else size[0] - 10 - draw.textlength(text, font_size=font)
    y = 8 if edge == "top" else size[1] - 12 - font
    draw.text((x, y), text, "white", font_size=font, stroke_width=1, stroke_fill=0)
    out = BytesIO()
    image.save(out, "JPEG", quality=70)
    return out.getvalue()


@pytest.mark.parametrize("resolution", ["QVGA", "VGA", "HD", "UXGA"])
def test_any_resolution_has_the_same_grid(resolution: str) -> None:
    """All of a camera's sizes come down to 96 x 72."""
    assert luma(make_picture(1, resolution=resolution)).shape == (72, 96)
