"""Pictures that cameras show."""

from io import BytesIO
from pathlib import Path
import subprocess
from typing import Any

import av
import numpy as np
from PIL import Image
import pytest

from virtual_camera import (
    RESOLUTIONS,
    GeneratedSource,
    LoopSource,
    Shot,
    SourceError,
    VideoSource,
    make_picture,
    open_source,
    read_frame_number,
)


def opened(jpeg: bytes) -> Image.Image:
    """Return a decoded JPEG."""
    return Image.open(BytesIO(jpeg))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("number", [0, 1, 77, 123_456, (1 << 24) - 1])
def test_number_is_read_back(resolution: str, number: int) -> None:
    """The burned-in number is read from a picture of every size."""
    picture = opened(make_picture(number, resolution=resolution))
    assert picture.size == RESOLUTIONS[resolution]
    assert read_frame_number(picture) == number
    assert read_frame_number(np.asarray(picture)) == number


def test_looks_like_a_camera_jpeg() -> None:
    """SVGA has 30-50 kB, baseline, 4:2:2, and consecutive pictures differ."""
    pictures = [make_picture(number) for number in range(3)]
    assert len(set(pictures)) == 3
    for jpeg in pictures:
        assert 30_000 <= len(jpeg) <= 50_000
        at = jpeg.index(b"\xff\xc0")
        components = jpeg[at + 9]
        assert components == 3
        samplings = [jpeg[at + 11 + 3 * component] for component in range(3)]
        assert samplings == [0x21, 0x11, 0x11]


@pytest.mark.parametrize(
    "look",
    [
        {"vflip": True, "hmirror": True},
        {"brightness": -2, "contrast": 2},
        {"saturation": 2},
        {"night_mode": True, "brightness": 2},
    ],
)
def test_look_changes_the_picture_not_the_number(look: dict[str, Any]) -> None:
    """Settings of the sensor are seen; the number stays readable."""
    plain = opened(make_picture(9)).resize((40, 30))
    changed = opened(make_picture(9, look=look))
    assert read_frame_number(changed) == 9
    difference = np.asarray(plain, int) - np.asarray(changed.resize((40, 30)), int)
    assert np.abs(difference).mean() > 3


def test_no_number() -> None:
    """A picture without a strip, or with a spoiled one, is recognized."""
    with pytest.raises(ValueError, match="neither black nor white"):
        read_frame_number(Image.new("RGB", (800, 600), (120, 120, 120)))
    with pytest.raises(ValueError, match="no frame number"):
        read_frame_number(Image.new("RGB", (800, 600)))
    spoiled = opened(make_picture(1000)).convert("L")
    spoiled.paste(255, (136, 576, 160, 600))
    with pytest.raises(ValueError, match="no frame number"):
        read_frame_number(spoiled)


@pytest.mark.parametrize("resolution", ["QVGA", "SVGA"])
def test_number_survives_h264(tmp_path: Path, resolution: str) -> None:
    """Numbers are read from frames that were encoded as recordings are, and coarser."""
    numbers = range(4090, 4110)
    clip = tmp_path / "clip.mp4"
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "mjpeg", "-framerate", "10", "-i", "-"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "33"),
            *("-pix_fmt", "yuv420p", str(clip)),
        ],
        input=b"".join(
            make_picture(number, resolution=resolution) for number in numbers
        ),
        check=True,
    )
    with av.open(clip) as container:
        decoded = [
            read_frame_number(frame.to_ndarray(format="gray"))
            for frame in container.decode(video=0)
        ]
    assert decoded == [*numbers]


async def test_generated_source_follows_settings() -> None:
    """The picture has the shot's number, size and quality."""
    source = GeneratedSource()
    try:
        fine = await source.frame(Shot("A", 5, {"resolution": "VGA"}))
        coarse = await source.frame(
            Shot("A", 6, {"resolution": "VGA", "jpeg_quality": 40})
        )
        elsewhere = await source.frame(Shot("B", 5, {"resolution": "VGA"}))
    finally:
        await source.close()
    assert opened(fine).size == (640, 480)
    assert read_frame_number(opened(fine)) == 5
    assert read_frame_number(opened(coarse)) == 6
    assert len(coarse) < len(fine) * 0.7
    assert elsewhere != fine


async def test_folder(tmp_path: Path) -> None:
    """A folder's JPEGs come in the order of their names, again and again, untouched."""
    pictures = [make_picture(number, resolution="QVGA") for number in range(3)]
    for number, jpeg in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    (tmp_path / "notes.txt").write_text("no picture")
    source = open_source(str(tmp_path))
    shown = [await source.frame(Shot("A", number)) for number in range(3, 9)]
    assert shown == [*pictures, *pictures]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a video of one second."""
    clip = tmp_path / "clip.mp4"
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x240:r=10"),
            *("-t", "1", "-pix_fmt", "yuv420p", str(clip)),
        ],
        check=True,
    )
    return clip


async def test_video(clip: Path) -> None:
    """A video comes as 4:2:2 JPEGs of the wanted size, from the start again at its end."""
    source = open_source(str(clip))
    assert isinstance(source, VideoSource)
    try:
        for number in range(25):
            jpeg = await source.frame(Shot("A", number, {"resolution": "VGA"}))
            assert jpeg.startswith(b"\xff\xd8")
            assert opened(jpeg).size == (640, 480)
        smaller = await source.frame(Shot("A", 25, {"resolution": "QVGA"}))
        assert opened(smaller).size == (320, 240)
    finally:
        await source.close()


async def test_sources_without_pictures(tmp_path: Path) -> None:
    """What has no pictures says so."""
    with pytest.raises(SourceError, match=r"no \.jpg"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="neither"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match="no pictures"):
        LoopSource([])
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"bad\.mp4"):
        await open_source(str(bad)).frame(Shot("A", 1))
    source = VideoSource(bad, ffmpeg="no-such-ffmpeg")
    with pytest.raises(SourceError, match="no-such-ffmpeg"):
        await source.frame(Shot("A", 1))
