"""The quirks of camera pictures: what is repaired, what is refused."""

from io import BytesIO

from hypothesis import example, given, strategies as st
from PIL import Image
import pytest

from custom_components.magicpi_nvr.gateway.jpeg import (
    MAX_JPEG_BYTES,
    JpegError,
    check_jpeg,
    turned,
)
from tests.harness.gateway import JPEG, make_jpeg

LARGER = make_jpeg((640, 480))
OPTIMIZED = make_jpeg(optimize=True)
SCAN = JPEG.index(b"\xff\xda") + 14


def reason(data: bytes) -> str:
    """Return why a picture is refused."""
    with pytest.raises(JpegError) as raised:
        check_jpeg(data)
    return raised.value.reason


def without(picture: bytes, marker: bytes) -> bytes:
    """Return the picture without its segments of a kind; cameras of Motion JPEG leave out Huffman tables."""
    while (at := picture.find(marker)) >= 0:
        length = int.from_bytes(picture[at + 2 : at + 4])
        picture = picture[:at] + picture[at + 2 + length :]
    return picture


def other_size(width: int, height: int) -> bytes:
    """Return the picture with other sides in its header."""
    sof = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:sof] + height.to_bytes(2) + width.to_bytes(2) + JPEG[sof + 4 :]


def png() -> bytes:
    """Return a PNG."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        (JPEG, (320, 240)),
        (make_jpeg((800, 600), subsampling="4:2:2"), (800, 600)),
        (make_jpeg((1600, 1200), quality=20), (1600, 1200)),
        (make_jpeg(progressive=True), (320, 240)),
        (make_jpeg(optimize=True), (320, 240)),
        (make_jpeg(mode="L"), (320, 240)),
        (make_jpeg(restart_marker_blocks=4), (320, 240)),
        (make_jpeg(comment=b"\xff\xd9 in a comment"), (320, 240)),
    ],
    ids=["qvga", "422", "uxga", "progressive", "optimized", "gray", "rst", "comment"],
)
def test_good(picture: bytes, size: tuple[int, int]) -> None:
    """A good picture comes back as it is, not even copied."""
    check = check_jpeg(picture)
    assert check.data is picture
    assert (check.width, check.height) == size
    assert check.repairs == ()


@pytest.mark.parametrize(
    ("picture", "repairs", "repaired"),
    [
        (b"junk" + JPEG, ("junk_before",), JPEG),
        (JPEG + b"\0\0", ("junk_after",), JPEG),
        (JPEG + LARGER[len(JPEG) :], ("junk_after",), JPEG),
        (JPEG[:-2], ("no_end",), JPEG),
        (JPEG[:-1], ("no_end",), JPEG[:-1] + b"\xff\xd9"),
        (b"\0" + JPEG + b"\0", ("junk_before", "junk_after"), JPEG),
        (JPEG[: len(JPEG) // 2], ("no_end",), JPEG[: len(JPEG) // 2] + b"\xff\xd9"),
    ],
    ids=["before", "after", "stale tail", "no end", "half an end", "both", "cut short"],
)
def test_repaired(picture: bytes, repairs: tuple[str, ...], repaired: bytes) -> None:
    """What is harmless is repaired and said, and the result is good."""
    check = check_jpeg(picture)
    assert check.repairs == repairs
    assert check.data == repaired
    assert check_jpeg(check.data).repairs == ()
    Image.open(BytesIO(check.data)).verify()


def test_stale_tail_with_older_end() -> None:
    """A smaller picture over a larger one: the first end counts, not the last."""
    assert LARGER.endswith(b"\xff\xd9")
    check = check_jpeg(JPEG + LARGER[len(JPEG) :])
    assert check.data == JPEG


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (b"", "empty"),
        (png(), "no_start"),
        (b"\0" * 5000, "no_start"),
        (b"x" * 5000 + JPEG, "no_start"),
        (JPEG[:2], "no_start"),
        (JPEG[:3], "truncated"),
        (JPEG[:100], "truncated"),
        (JPEG[:SCAN], "truncated"),
        (JPEG[:SCAN] + b"\xff\xd8" + JPEG[SCAN:], "two_pictures"),
        (JPEG[: SCAN + 500] + JPEG, "two_pictures"),
        (b"\xff\xd8" + JPEG[JPEG.index(b"\xff\xda") :], "no_frame"),
        (b"\xff\xd8\xff\xd9", "truncated"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc9", 1), "coding"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc3", 1), "coding"),
        (JPEG[:2] + b"\xff\x02" + JPEG[2:], "bad_marker"),
        (JPEG[: SCAN + 9] + b"\xff\x30" + JPEG[SCAN + 9 :], "bad_marker"),
        (JPEG[:2] + b"\xff\xe1\0\1" + JPEG[2:], "bad_segment"),
        (JPEG[:2] + b"\xff\xfe\0\2" * 300 + JPEG[2:], "bad_segment"),
        (make_jpeg(mode="CMYK"), "colors"),
        (other_size(65500, 65500), "dimensions"),
        (other_size(0, 240), "dimensions"),
        (other_size(8, 240), "dimensions"),
        (other_size(321, 240), "dimensions"),
        (other_size(2562, 240), "dimensions"),
        (JPEG + bytes(MAX_JPEG_BYTES + 1 - len(JPEG)), "too_big"),
        (JPEG[:SCAN] + bytes(1000) + b"\xff\xd9", "zeroed"),
        (JPEG[: SCAN + 800] + bytes(len(JPEG) - SCAN - 800), "zeroed"),
        (JPEG[: SCAN + 800] + b"\xff" * 1000 + b"\0" + JPEG[SCAN + 1801 :], "zeroed"),
        (OPTIMIZED[:-1000] + b"\xff" * 998 + b"\xff\xd9", "zeroed"),
        (JPEG[:SCAN] + b"\xff\xd9", "truncated"),
        (JPEG[: SCAN + 100] + b"\xff\xd9", "truncated"),
        (JPEG[: SCAN + 100], "truncated"),
        (without(JPEG, b"\xff\xdb"), "no_frame"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(picture: bytes, expected: str) -> None:
    """What is not harmless is refused, by reason."""
    assert reason(picture) == expected


def test_largest() -> None:
    """512 KiB are allowed, junk behind included."""
    assert check_jpeg(JPEG + bytes(MAX_JPEG_BYTES - len(JPEG))).data == JPEG


def test_flat_picture_with_own_tables() -> None:
    """With tables of its own a flat picture's scan may well be zeros."""
    buffer = BytesIO()
    Image.new("L", (640, 480), 128).save(buffer, "JPEG", optimize=True)
    assert check_jpeg(buffer.getvalue()).repairs == ()
    flat = BytesIO()
    Image.new("RGB", (640, 480)).save(flat, "JPEG")
    assert check_jpeg(flat.getvalue()).repairs == ()


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                JPEG,
                JPEG[:SCAN],
                JPEG[SCAN:],
                JPEG[:SCAN] + b"\xff" * 9,
                LARGER[700:],
                b"\xff\xd8\xff",
                b"\xff\xd9",
                b"\xff\xda",
                b"\xff\xc0",
                b"\xff\xff",
                b"\xff\xdb\0\x04\0\0",
            ]
        ),
    ),
    max_size=8,
).map(b"".join)


@given(PIECES)
@example(JPEG[:SCAN] + b"\xff")
@example(JPEG[:SCAN] + b"\xff\xff\xd0\xff")
def test_any_input(data: bytes) -> None:
    """Nothing but JpegError is raised, and what comes out is good as it is."""
    try:
        check = check_jpeg(data)
    except JpegError:
        return
    again = check_jpeg(check.data)
    assert again.data is check.data
    assert again.repairs == ()
    assert (again.width, again.height) == (check.width, check.height)
    assert bool(check.repairs) is (check.data != data)


@given(st.data())
def test_damaged_picture(data: st.DataObject) -> None:
    """One altered byte anywhere: refused or repaired, never more."""
    position = data.draw(st.integers(0, len(JPEG) - 1))
    value = data.draw(st.integers(0, 255))
    damaged = JPEG[:position] + bytes([value]) + JPEG[position + 1 :]
    try:
        check = check_jpeg(damaged)
    except JpegError:
        return
    assert check_jpeg(check.data).repairs == ()


def test_without_tables() -> None:
    """The standard tables count: a good picture is good, a scan that is half zero is found."""
    bare = without(JPEG, b"\xff\xc4")
    scan = bare.index(b"\xff\xda") + 14
    for _ in range(2):
        assert check_jpeg(bare).data is bare
        half = (len(bare) - scan) // 2
        assert reason(bare[: scan + half] + bytes(half - 2) + b"\xff\xd9") == "zeroed"


def tagged(value: int, order: str = "MM") -> bytes:
    """Return a picture with an orientation tag."""
    exif = Image.Exif()
    exif.endian = ">" if order == "MM" else "<"
    exif[0x0112] = value
    return make_jpeg(exif=exif.tobytes())


@pytest.mark.parametrize("order", ["MM", "II"])
@pytest.mark.parametrize(
    ("value", "degrees"),
    [(1, 0), (2, 0), (3, 180), (4, 180), (5, 90), (6, 90), (7, 270), (8, 270), (9, 0)],
)
def test_orientation(value: int, degrees: int, order: str) -> None:
    """The tag in degrees clockwise, also when the header is known; sides are those of the data."""
    picture = tagged(value, order)
    for _ in range(2):
        check = check_jpeg(picture)
        assert check.orientation == degrees
        assert (check.width, check.height) == (320, 240)
    for shown, tag in ((0, 1), (90, 6), (180, 3), (270, 8)):
        again = turned(picture, shown)
        assert check_jpeg(again).orientation == shown
        with Image.open(BytesIO(again)) as opened:
            assert opened.getexif()[0x0112] == tag
            opened.load()


def test_turned_without_a_tag() -> None:
    """A segment is added, the rest stays byte by byte."""
    again = turned(JPEG, 270)
    assert again.endswith(JPEG[2:])
    assert len(again) == len(JPEG) + 36
    assert check_jpeg(again).orientation == 270


@given(st.binary(max_size=80))
@example(b"II*\0\xff\xff\xff\xff")
@example(b"MM\0*\0\0\0\x08\xff\xff\x01\x12")
def test_any_exif(tiff: bytes) -> None:
    """Whatever a tag says, the picture is good."""
    segment = b"Exif\0\0" + tiff
    head = b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment
    picture = head + JPEG[2:]
    assert check_jpeg(picture).orientation in (0, 90, 180, 270)
    assert check_jpeg(turned(picture, 0)).tag == 1
