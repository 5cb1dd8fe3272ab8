"""The file says of its pictures what a decoder makes of them."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import av
from PIL import Image
import pytest

from custom_components.magicpi_nvr.recording.hourfile import read_config
from custom_components.magicpi_nvr.recording.hourfile.boxes import (
    VideoConfig,
    init_segment,
)
from custom_components.magicpi_nvr.recording.hourfile.sps import with_coded_size
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, ClipSpec
from tests.harness.pictures import BOOT, CAMERA, Frame
from tests.harness.recorder import RunningRecorder

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
ORIENTATION = 0x0112


def turned(orientation: int) -> bytes:
    """Return a picture of 160x120 pixels that is shown turned."""
    image = Image.new("RGB", (160, 120), (90, 120, 150))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    out = BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (160, 120)), (3, (160, 120)), (6, (120, 160))]
)
async def test_sample_entry_has_the_coded_size(
    recorder: RunningRecorder, tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    """Hour file and clip name the size that the decoder gives, whatever the JPEG's own is."""
    jpeg = turned(orientation)
    for seq in range(1, 11):
        recorder.add(
            Frame(seq, 5000 + seq * 100, NOON + seq * 100, jpeg),
            flags=FLAG_LAST if seq == 10 else 0,
        )
    await recorder.clip()
    (file,) = recorder.files().values()
    assert (file.config.width, file.config.height) == size
    target = tmp_path / "clip.mp4"
    await recorder.library.export(ClipSpec.event(event_id(CAMERA, BOOT, 1)), target)
    with av.open(str(target)) as video:
        stream = video.streams.video[0]
        decoded = next(video.decode(video=0))
        assert (stream.width, stream.height) == size == (decoded.width, decoded.height)


def test_size_of_an_old_file(tmp_path: Path) -> None:
    """What cannot be read stays as it was written; a file of another recorder gives the size of its pictures."""
    broken = VideoConfig(b"\1d\0(\xff\xe1\0\4gd\0(\1\0\4h\xef\x0f\xcb", 160, 120)
    assert with_coded_size(broken) == broken
    fixture = Path(__file__).parent / "fixtures" / "version_0_1_0" / "media"
    found = sorted(fixture.rglob("13.mp4"))
    assert {(read_config(path).width, read_config(path).height) for path in found} == {
        (160, 120)
    }
    # Turned by ffmpeg, and written with the size before it
    written = VideoConfig(read_config(found[0]).avcc, 120, 160)
    path = tmp_path / "turned.mp4"
    path.write_bytes(init_segment(written))
    assert (read_config(path).width, read_config(path).height) == (160, 120)
