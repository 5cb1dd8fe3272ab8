"""Cameras without hardware: JPEGs that carry a number in their pixels, and reading it back from a video."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
from PIL import Image, ImageDraw

RECORDING = "custom_components.magicpi_nvr.recording"
_BITS = 16
CAMERA = "AA:BB:CC:DD:EE:01"
BOOT = 0x1234ABCD


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured frame."""

    seq: int
    t: int
    captured_ms: int
    jpeg: bytes
    camera: str = CAMERA
    boot: int = BOOT
    event: int = 1
    flags: int = 0
    width: int = 160
    height: int = 120


def picture(number: int, width: int = 160, height: int = 120) -> bytes:
    """Return a JPEG that shows a number as two rows of eight black and white squares."""
    image = Image.new("RGB", (width, height), (90, 120, 150))
    draw = ImageDraw.Draw(image)
    for bit in range(_BITS):
        x, y = bit % 8 * width // 8, bit // 8 * height // 2
        shade = 235 if number >> bit & 1 else 20
        draw.rectangle(
            (x + 2, y + 2, x + width // 8 - 3, y + height // 2 - 3), fill=(shade,) * 3
        )
    out = BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


_pictures: dict[tuple[int, int, int], bytes] = {}


def frames(
    count: int,
    *,
    start_ms: int,
    first_seq: int = 1,
    first_t: int = 5000,
    step_ms: int = 100,
    camera: str = CAMERA,
    boot: int = BOOT,
    event: int = 1,
    width: int = 160,
    height: int = 120,
) -> Iterator[Frame]:
    """Yield frames whose pictures show their seq, and whose times count from first_t."""
    for i in range(count):
        key = (first_seq + i, width, height)
        if key not in _pictures:
            _pictures[key] = picture(*key)
        yield Frame(
            seq=first_seq + i,
            t=first_t + i * step_ms,
            captured_ms=start_ms + i * step_ms,
            jpeg=_pictures[key],
            camera=camera,
            boot=boot,
            event=event,
            width=width,
            height=height,
        )


def numbers(path: Path) -> list[tuple[int, int]]:
    """Return the milliseconds and the number of each frame of a video."""
    found = []
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            assert frame.time is not None
            gray = frame.to_ndarray(format="gray")
            height, width = gray.shape
            number = 0
            for bit in range(_BITS):
                x = bit % 8 * width // 8 + width // 16
                y = bit // 8 * height // 2 + height // 4
                number |= int(gray[y - 4 : y + 4, x - 2 : x + 2].mean() > 128) << bit
            found.append((round(frame.time * 1000), number))
    return found
