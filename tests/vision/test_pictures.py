"""Decoding with limits."""

from io import BytesIO

from PIL import Image
import pytest

from custom_components.magicpi_nvr.vision import pictures
from custom_components.magicpi_nvr.vision.pictures import BadPicture
from tests.harness.vision_scenes import white_noise
from virtual_camera.pictures import make_picture

GOOD = make_picture(1)


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header lies about its size."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + height.to_bytes(2) + width.to_bytes(2) + jpeg[at + 9 :]


def a_png() -> bytes:
    """Return a picture in another format."""
    out = BytesIO()
    Image.new("L", (100, 100)).save(out, "PNG")
    return out.getvalue()


def progressive(more_scans: int) -> bytes:
    """Return a picture in scans, the last of them again and again."""
    out = BytesIO()
    Image.open(BytesIO(GOOD)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()[:-2]
    return whole + whole[whole.rindex(b"\xff\xda") :] * more_scans + b"\xff\xd9"


@pytest.mark.parametrize(
    ("jpeg", "reason"),
    [
        (b"", "format"),
        (b"\xff\xd8\xff\xd9", "format"),
        (a_png(), "format"),
        (GOOD[:3000], "decode"),
        (with_size(GOOD, 65500, 65500), "size"),
        (with_size(GOOD, 1600, 2000), "size"),
        (with_size(GOOD, 1700, 1700), "size"),
        (with_size(GOOD, 800, 1500), "decode"),
        (with_size(GOOD, 8, 8), "size"),
        (white_noise(), "noise"),
        (progressive(30), "scans"),
    ],
    ids=[
        "empty",
        "no picture",
        "png",
        "cut",
        "huge",
        "large",
        "wide",
        "higher",
        "tiny",
        "noise",
        "scans",
    ],
)
def test_bad_pictures_are_refused(jpeg: bytes, reason: str) -> None:
    """What is no picture, lies about its size or ends too early has a reason."""
    pictures.set_limits()
    for use in (pictures.luma, lambda jpeg: pictures.pixels(jpeg, None, (416, 320))):
        with pytest.raises(BadPicture) as error:
            use(jpeg)
        assert str(error.value) == reason


def test_noise_is_told_from_a_dark_picture() -> None:
    """A sensor in the dark shows nothing but a little noise, and is a picture all the same."""
    dark = Image.effect_noise((96, 72), 1.5).point(lambda level: level - 120)
    assert not pictures.is_nonsense(dark)
    assert pictures.is_nonsense(Image.effect_noise((96, 72), 30))


def test_a_progressive_picture_is_one() -> None:
    """What libraries write in about ten scans is looked at as any other."""
    pictures.set_limits()
    assert len(pictures.luma(progressive(0))) == 96 * 72


def test_a_crop_has_the_pictures_own_pixels() -> None:
    """A quarter of the picture fills the detector's input, and says which part it is."""
    whole, shown = pictures.pixels(GOOD, None, (416, 320))
    assert (whole.width, whole.height, len(whole.data)) == (416, 312, 416 * 312 * 3)
    assert shown == (0.0, 0.0, 1.0, 1.0)
    part, shown = pictures.pixels(GOOD, (0.5, 0.25, 0.26, 0.26), (416, 320))
    assert (part.width, part.height) == (416, 312)
    assert shown == pytest.approx((0.5, 0.25, 0.26, 0.26))
