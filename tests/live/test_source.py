"""A source with real encoders: who watches, who is too slow, and what fails."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from statistics import median
from time import time

import av
from PIL import Image
import pytest

from custom_components.magicpi_nvr.gateway.jpeg import turned
from custom_components.magicpi_nvr.live import LiveSource, Sources, Viewer, source
from custom_components.magicpi_nvr.live.mpegts import PACKET_SIZE
from custom_components.magicpi_nvr.live.source import (
    LATE_MS,
    MAX_VIEWERS,
    TooManyViewers,
)
from custom_components.magicpi_nvr.live.viewer import MAX_BYTES, MAX_UNITS
from custom_components.magicpi_nvr.recording.capture.encoder import Encoder
from tests.harness.live import CameraFeed, Picture, encode, make_encoder, picture

pytestmark = pytest.mark.timeout(60)
CAMERA = "AA:BB:CC:DD:EE:01"


@dataclass
class LiveCamera:
    """A source of a camera that shows pictures all the time."""

    feed: CameraFeed
    free: int = 2
    encoders: list[Encoder] = field(default_factory=list)
    sources: Sources = field(init=False)

    def __post_init__(self) -> None:
        """Make the sources."""
        self.sources = Sources(
            frames=lambda _: self.feed.frames(),
            make_encoder=self.make_encoder,
            free_encoders=lambda: self.free,
        )

    def make_encoder(self, width: int, height: int) -> Encoder:
        """Return an encoder, and remember it."""
        self.encoders.append(make_encoder(width, height))
        return self.encoders[-1]

    @property
    def source(self) -> LiveSource:
        """The camera's source."""
        return self.sources.get(CAMERA)


@pytest.fixture
async def live_camera() -> AsyncGenerator[LiveCamera]:
    """Return the source of a camera that plays."""
    live_camera = LiveCamera(CameraFeed())
    play = asyncio.create_task(live_camera.feed.play(interval_s=0.05))
    yield live_camera
    await live_camera.sources.stop()
    play.cancel()
    assert live_camera.feed.held == 0
    for encoder in live_camera.encoders:
        assert encoder._process is None or encoder._process.returncode is not None


async def until(condition: object) -> None:
    """Wait until something holds that no event tells of."""
    assert callable(condition)
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def pictures_of(data: bytes) -> int:
    """Return how many pictures decode."""
    with av.open(BytesIO(data), format="mpegts") as container:
        return sum(1 for _ in container.decode(video=0))


async def read(viewer: Viewer, size: int = 1) -> bytes:
    """Read at least so many bytes."""
    data = b""
    async with asyncio.timeout(30):
        while len(data) < size:
            chunk = await viewer.read()
            assert chunk is not None
            data += chunk
    return data


async def test_first_viewer_starts_and_last_one_ends(
    live_camera: LiveCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder runs from the first viewer until a while after the last, one for all of them."""
    monkeypatch.setattr(source, "LINGER_S", 0.5)
    assert not live_camera.source.is_watched
    first = live_camera.source.open()
    await read(first)
    others = [live_camera.source.open() for _ in range(20)]
    for viewer in others:
        # Who joins begins with the last key frame at once
        assert pictures_of(await read(viewer, 40 * PACKET_SIZE)) > 0
    assert (len(live_camera.encoders), live_camera.feed.held) == (1, 1)
    for viewer in (first, *others[1:]):
        live_camera.source.release(viewer)
    await read(others[0], 20 * PACKET_SIZE)
    live_camera.source.release(others[0])
    back = live_camera.source.open()
    await read(back, 20 * PACKET_SIZE)
    assert len(live_camera.encoders) == 1
    live_camera.source.release(back)
    await until(lambda: not live_camera.source.is_watched)
    assert live_camera.feed.held == 0
    assert live_camera.sources.encoders == 0


async def test_slow_viewer_goes_on_at_a_key_frame(live_camera: LiveCamera) -> None:
    """Who does not read holds bounded memory, delays nobody, and sees whole pictures again."""
    slow, fast = live_camera.source.open(), live_camera.source.open()
    await read(fast)
    slow.add_all(live_camera.source._group)
    await until(lambda: len(live_camera.source._group) > 1)
    big = live_camera.source._group[1]
    for _ in range(2 * MAX_UNITS):
        slow.add(big)
    assert slow.size <= MAX_BYTES
    assert len(slow._units) <= MAX_UNITS
    assert slow.skipped > MAX_UNITS
    await read(fast, 50 * PACKET_SIZE)
    # It waits for the next key frame: what comes decodes from its first byte on
    data = await read(slow, 100 * PACKET_SIZE)
    with av.open(BytesIO(data), format="mpegts") as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
        assert first.is_keyframe


async def test_encoder_dies_under_viewers(
    live_camera: LiveCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another encoder follows, and the viewers see on."""
    monkeypatch.setattr(source, "RETRY_S", 0.1)
    viewer = live_camera.source.open()
    await read(viewer)
    process = live_camera.encoders[0]._process
    assert process
    process.kill()
    await until(lambda: len(live_camera.encoders) == 2)
    while viewer.size:
        await viewer.read()
    assert pictures_of(await read(viewer, 60 * PACKET_SIZE)) > 0
    assert not viewer.is_closed


async def test_camera_leaves_and_returns(
    live_camera: LiveCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Viewers wait for a camera that left; no encoder does."""
    monkeypatch.setattr(source, "RETRY_S", 0.1)
    viewer = live_camera.source.open()
    await read(viewer)
    await live_camera.feed.leave()
    await until(lambda: live_camera.sources.encoders == 0)
    assert not viewer.is_closed
    while viewer.size:
        await viewer.read()
    live_camera.feed.is_there = True
    assert await read(viewer, 20 * PACKET_SIZE)


async def test_another_size_ends_viewers() -> None:
    """A reader that connects again gets the new size; the old one ends."""
    live_camera = LiveCamera(CameraFeed())
    viewer = live_camera.source.open()
    began = int(time() * 1000)
    at = 0

    async def show(width: int, height: int) -> None:
        nonlocal at
        at += 1
        await live_camera.feed.show(
            Picture(began + at * 100, picture(at, width, height), width, height)
        )
        await asyncio.sleep(0.05)

    async with asyncio.timeout(30):
        while not viewer.size:
            await show(320, 240)
        while not viewer.is_closed:
            await show(640, 480)
        again = live_camera.source.open()
        while again.size < 60 * PACKET_SIZE:
            await show(640, 480)
    data = await again.read()
    assert data
    with av.open(BytesIO(data), format="mpegts") as container:
        assert next(container.decode(video=0)).width == 640
    await live_camera.sources.stop()


async def test_another_rotation_takes_another_encoder() -> None:
    """A camera that is turned round is shown so at once: an encoder keeps the orientation of its first picture."""
    live_camera = LiveCamera(CameraFeed())
    viewer = live_camera.source.open()
    image = Image.new("RGB", (320, 240), "white")
    image.paste("black", (0, 0, 160, 240))
    buffer = BytesIO()
    image.save(buffer, "JPEG")
    began = int(time() * 1000)
    at = 0

    async def show(degrees: int) -> None:
        nonlocal at
        at += 1
        jpeg = turned(buffer.getvalue(), degrees) if degrees else buffer.getvalue()
        await live_camera.feed.show(
            Picture(began + at * 100, jpeg, orientation=degrees)
        )
        await asyncio.sleep(0.05)

    def is_dark(data: bytes) -> list[bool]:
        """Say for each picture whether its left half is dark."""
        with av.open(BytesIO(data), format="mpegts") as container:
            return [
                bool(frame.to_ndarray(format="gray")[120, 40] < 100)
                for frame in container.decode(video=0)
            ]

    async with asyncio.timeout(40):
        while viewer.size < 20 * PACKET_SIZE:
            await show(0)
        before = await viewer.read()
        while len(live_camera.encoders) < 2 or viewer.size < 20 * PACKET_SIZE:
            await show(180)
        after = await viewer.read()
    assert before
    assert after
    assert all(is_dark(before))
    assert not is_dark(before + after)[-1]
    assert not viewer.is_closed
    await live_camera.sources.stop()


async def test_viewers_are_bounded(live_camera: LiveCamera) -> None:
    """One more than there may be is refused."""
    for _ in range(MAX_VIEWERS):
        live_camera.source.open()
    with pytest.raises(TooManyViewers):
        live_camera.source.open()


async def test_tap_takes_over_and_gives_back(live_camera: LiveCamera) -> None:
    """A recording's samples end the own encoder; after it another begins. A late recording is not live."""
    avcc, samples = await encode(10)
    viewer = live_camera.source.open()
    await read(viewer)
    assert live_camera.sources.encoders == 1
    now = int(time() * 1000)
    live_camera.sources.began(CAMERA, avcc)
    for sample in samples:
        late = now - 2 * LATE_MS + sample.at_ms
        live_camera.sources.sample(CAMERA, late, sample.data, sample.sync)
    assert not live_camera.source._tap_live
    live_camera.sources.began(CAMERA, avcc)
    for sample in samples:
        live_camera.sources.sample(CAMERA, now + sample.at_ms, sample.data, sample.sync)
    assert live_camera.source._tap_live
    await until(lambda: live_camera.sources.encoders == 0)
    assert pictures_of(await read(viewer)) >= 1
    live_camera.sources.ended(CAMERA)
    await until(lambda: live_camera.sources.encoders == 1)
    assert not viewer.is_closed


async def test_first_viewer_of_a_recording_begins_at_once() -> None:
    """What the recording made since its last key frame is kept, by reference, for who comes; no encoder starts."""
    live_camera = LiveCamera(CameraFeed())
    avcc, samples = await encode(10)
    now = int(time() * 1000)
    live_camera.sources.began(CAMERA, avcc)
    for sample in samples:
        live_camera.sources.sample(CAMERA, now + sample.at_ms, sample.data, sample.sync)
    viewer = live_camera.source.open()
    data = await viewer.read()
    assert data
    assert pictures_of(data) == len(samples)
    await live_camera.feed.show(Picture(now + 3000, picture(1)))
    assert not live_camera.encoders
    await live_camera.sources.stop()


async def test_clock_that_is_set_back(live_camera: LiveCamera) -> None:
    """Times rise, whatever the clock does."""
    avcc, samples = await encode(10)
    now = int(time() * 1000)
    viewer = live_camera.source.open()
    live_camera.sources.began(CAMERA, avcc)
    live_camera.sources.sample(CAMERA, now, samples[0].data, True)
    assert live_camera.source._last_ms
    for step, back_ms in enumerate((3_600_000, 3_599_000, 500)):
        before = live_camera.source._last_ms
        live_camera.sources.sample(CAMERA, now - back_ms, samples[step + 1].data, False)
        assert live_camera.source._last_ms > before
    live_camera.source.release(viewer)


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
async def test_clock_is_set_while_somebody_watches(
    live_camera: LiveCamera, step_ms: int
) -> None:
    """A camera that is only watched is shown at its own speed, whichever way the host's clock goes."""
    feed = CameraFeed()
    live_camera.feed = feed
    clock_ms = 0

    async def play() -> None:
        number = 0
        while True:
            await feed.show(Picture(int(time() * 1000) + clock_ms, picture(number)))
            number += 1
            await asyncio.sleep(0.05)

    playing = asyncio.create_task(play())
    try:
        viewer = live_camera.source.open()
        data = await read(viewer, 30 * PACKET_SIZE)
        clock_ms = step_ms
        data += await read(viewer, 100 * PACKET_SIZE)
        live_camera.source.release(viewer)
    finally:
        playing.cancel()
    with av.open(BytesIO(data), format="mpegts") as container:
        times = [
            float(frame.pts * frame.time_base)
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        ]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) > 20
    assert max(gaps) < LATE_MS / 1000
    assert median(gaps[-10:]) > 0.01
