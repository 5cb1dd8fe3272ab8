"""Date and time in the picture, read back from decoded frames."""

from collections.abc import Iterable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont
import pytest

from custom_components.magicpi_nvr.recording.errors import InvalidValue, StorageFailed
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, ClipSpec
from custom_components.magicpi_nvr.recording.stamp import (
    FONT,
    Stretch,
    join_stretches,
    stamp_filters,
)
from tests.harness.pictures import BOOT, CAMERA, Frame
from tests.harness.recorder import RunningRecorder

BERLIN = ZoneInfo("Europe/Berlin")
WIDTH, HEIGHT = 640, 480
FONT_SIZE = HEIGHT // 22
CORNER = (320, 48)
INK = 150
LAYOUT = "0000-00-00 00:00:00"


def epoch_ms(text: str) -> int:
    """Return a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# A second before clocks go back: 02:59:59 is followed by 02:00:00
AUTUMN = epoch_ms("2026-10-25T00:59:59.250")
NOON = epoch_ms("2026-11-22T12:00:00.050")


def plain(orientation: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """Return a picture without anything on it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = BytesIO()
    Image.new("RGB", size, (90, 120, 150)).save(out, "JPEG", exif=exif)
    return out.getvalue()


GLYPH = (12, 16)


def glyph(image: np.ndarray) -> np.ndarray:
    """Return one letter in a usual size, without what surrounds it."""
    rows = np.flatnonzero(image.max(axis=1) > INK)
    cut = Image.fromarray(image[rows[0] : rows[-1] + 1])
    found = np.asarray(cut.resize(GLYPH, Image.Resampling.BILINEAR), dtype=float)
    return found - found.mean()


def digits() -> dict[str, np.ndarray]:
    """Return what the digits look like in Pillow's font, drawn by Pillow."""
    font = ImageFont.load_default(FONT_SIZE)
    found = {}
    for digit in "0123456789":
        image = Image.new("L", (60, 60), 40)
        ImageDraw.Draw(image).text((20, 20), digit, fill=255, font=font)
        array = np.asarray(image)
        columns = np.flatnonzero(array.max(axis=0) > INK)
        found[digit] = glyph(array[:, columns[0] : columns[-1] + 1])
    return found


DIGITS = digits()


def local(wall_ms: int) -> datetime:
    """Return the time on the home's clocks."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(BERLIN)


def read_time(picture: np.ndarray) -> str:
    """Read what stands in a picture's corner, digit by digit."""
    corner = picture[: CORNER[1], : CORNER[0]]
    inked = np.flatnonzero(corner.max(axis=0) > INK)
    if not len(inked):
        return ""
    groups = np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1)
    if len(groups) != len(LAYOUT.replace(" ", "")):
        return f"{len(groups)} letters"
    letters = iter(corner[:, group[0] : group[-1] + 1] for group in groups)
    text = ""
    for sign in LAYOUT:
        if sign == " ":
            text += sign
            continue
        letter = next(letters)
        if sign != "0":
            text += sign
            continue
        found = glyph(letter)
        text += max(
            DIGITS,
            key=lambda digit: (
                float((found * DIGITS[digit]).sum())
                / np.sqrt((found**2).sum() * (DIGITS[digit] ** 2).sum())
            ),
        )
    return text


def pictures(path: Path) -> list[tuple[int, np.ndarray]]:
    """Return time in ms and brightness of each frame."""
    with av.open(str(path)) as video:
        return [
            (round(frame.time * 1000), frame.to_ndarray(format="gray"))
            for frame in video.decode(video=0)
        ]


def event(
    recorder: RunningRecorder,
    start_ms: int,
    *,
    number: int = 1,
    count: int = 20,
    jpeg: bytes | None = None,
    gap: tuple[int, int] | None = None,
) -> list[int]:
    """Record an event of five pictures a second; returns the wall times. `gap`: after which picture how many ms."""
    times = []
    at_ms = 0
    for seq in range(1, count + 1):
        times.append(start_ms + at_ms)
        recorder.add(
            Frame(
                seq + number * 1000,
                5000 + (start_ms - AUTUMN) + at_ms,
                start_ms + at_ms,
                jpeg or plain(),
                event=number,
                width=WIDTH,
                height=HEIGHT,
            ),
            flags=FLAG_LAST if seq == count else 0,
        )
        at_ms += 200
        if gap and seq == gap[0]:
            at_ms += gap[1]
    return times


def check(found: Iterable[np.ndarray], times: Iterable[int]) -> None:
    """Each frame shows the time at which it was captured."""
    for picture, wall_ms in zip(found, times, strict=True):
        when = local(wall_ms)
        assert read_time(picture) == f"{when:%Y-%m-%d %H:%M:%S}"


async def test_recorded(recorder: RunningRecorder, tmp_path: Path) -> None:
    """Each picture of a camera with the option shows its own time, also over the end of summer time and a gap."""
    recorder.change(time_stamps=frozenset({CAMERA}))
    times = event(recorder, AUTUMN, gap=(10, 7_300))
    await recorder.clip()
    target = tmp_path / "clip.mp4"
    await recorder.library.export(ClipSpec.event(event_id(CAMERA, BOOT, 1)), target)
    found = pictures(target)
    assert [at_ms for at_ms, _ in found] == [item - times[0] for item in times]
    assert f"{local(times[0]):%H:%M:%S}" == "02:59:59"
    assert f"{local(times[5]):%H:%M:%S}" == "02:00:00"
    check((picture for _, picture in found), times)


async def test_not_recorded(recorder: RunningRecorder, tmp_path: Path) -> None:
    """Without the option nothing is drawn."""
    recorder.change(time_stamps=frozenset({"AA:BB:CC:DD:EE:02"}))
    event(recorder, NOON, count=3)
    await recorder.clip()
    target = tmp_path / "clip.mp4"
    await recorder.library.export(ClipSpec.event(event_id(CAMERA, BOOT, 1)), target)
    for _, picture in pictures(target):
        assert np.ptp(picture[: CORNER[1], : CORNER[0]]) < 20
        assert not read_time(picture)


async def test_turned(recorder: RunningRecorder, tmp_path: Path) -> None:
    """In a turned picture the time stands upright."""
    recorder.change(time_stamps=frozenset({CAMERA}))
    times = event(recorder, NOON, count=3, jpeg=plain(6, (HEIGHT, WIDTH)))
    await recorder.clip()
    target = tmp_path / "clip.mp4"
    await recorder.library.export(ClipSpec.event(event_id(CAMERA, BOOT, 1)), target)
    check((picture for _, picture in pictures(target)), times)


async def test_exported(recorder: RunningRecorder, tmp_path: Path) -> None:
    """An export by option shows the time of each picture, over events with hours between them and the end of summer time."""
    times = event(recorder, AUTUMN, count=12, gap=(6, 4_000))
    await recorder.clip()
    later = event(recorder, AUTUMN + 5_400_000, number=2, count=8)
    await recorder.clip(event_id(CAMERA, BOOT, 2))
    spec = ClipSpec.range(CAMERA, AUTUMN - 1000, AUTUMN + 6_000_000)
    target, stamped = tmp_path / "clip.mp4", tmp_path / "exports" / "stamped.mp4"
    stamped.parent.mkdir()
    await recorder.library.export(spec, target)
    size = await recorder.library.export(spec, stamped, time_stamp=True)
    assert size == stamped.stat().st_size
    assert list(stamped.parent.iterdir()) == [stamped]
    before, after = pictures(target), pictures(stamped)
    assert [at_ms for at_ms, _ in after] == [at_ms for at_ms, _ in before]
    assert not read_time(before[0][1])
    check((picture for _, picture in after), times + later)


async def test_not_exported(recorder: RunningRecorder, tmp_path: Path) -> None:
    """Time-lapses get no times; where ffmpeg can draw none, the export says so and leaves nothing."""
    event(recorder, NOON, count=3)
    await recorder.clip()
    target = tmp_path / "exports" / "clip.mp4"
    target.parent.mkdir()
    lapse = ClipSpec.range(CAMERA, NOON - 1000, NOON + 5000, timelapse=4)
    with pytest.raises(InvalidValue):
        await recorder.library.export(lapse, target, time_stamp=True)
    recorder.change(ffmpeg=str(without_text(tmp_path)))
    spec = ClipSpec.event(event_id(CAMERA, BOOT, 1))
    with pytest.raises(StorageFailed, match="draw"):
        await recorder.library.export(spec, target, time_stamp=True)
    assert not list(target.parent.iterdir())
    await recorder.library.export(spec, target)


async def test_recorded_without_text(recorder: RunningRecorder, tmp_path: Path) -> None:
    """Where ffmpeg can draw no times, pictures are recorded without."""
    recorder.change(time_stamps=frozenset({CAMERA}), ffmpeg=str(without_text(tmp_path)))
    event(recorder, NOON, count=3)
    clip = await recorder.clip()
    assert clip.frames == 3


def without_text(folder: Path) -> Path:
    """Return an ffmpeg that was built without its text filter."""
    script = folder / "ffmpeg-without-text"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *drawtext*) echo "No such filter: drawtext" >&2; exit 1;; esac\n'
        'exec ffmpeg "$@"\n'
    )
    script.chmod(0o755)
    return script


async def test_font(recorder: RunningRecorder) -> None:
    """The font comes from Pillow and is written once, beside the index."""
    recorder.change(time_stamps=frozenset({CAMERA}))
    for number in (1, 2):
        event(recorder, NOON + number * 60_000, number=number, count=2)
        await recorder.clip(event_id(CAMERA, BOOT, number))
    path = recorder.settings.index.parent / FONT
    assert path.read_bytes() == ImageFont.load_default(24).font_bytes


def test_stretches() -> None:
    """What follows as time did is one filter; each change of the clocks begins another one."""
    parts = [
        Stretch(0, NOON, 500),
        Stretch(500, NOON + 500, 900),
        Stretch(900, NOON + 9000, 1000),
    ]
    assert join_stretches(parts) == [
        Stretch(0, NOON, 900),
        Stretch(900, NOON + 9000, 1000),
    ]
    assert stamp_filters(parts[:1], BERLIN).count("drawtext") == 1
    spring = epoch_ms("2026-03-29T00:00:00")
    year = Stretch(0, spring, 366 * 24 * 3_600_000)
    assert stamp_filters([year], BERLIN).count("drawtext") == 4
    assert stamp_filters([year], UTC).count("drawtext") == 1
