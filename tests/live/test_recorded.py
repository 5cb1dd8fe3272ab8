"""Viewers of a recording cost it no frame: each is in the clip, once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from time import time

import av
import pytest

from custom_components.magicpi_nvr.live import Sources
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, RecordingSettings
from tests.harness.live import CameraFeed, make_encoder
from tests.harness.pictures import BOOT, CAMERA, Frame, frames
from tests.harness.recorder import RunningRecorder

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("impatient")]
VIEWERS = 20
COUNT = 30


class Watched:
    """A recorder with viewers, who come again whenever they are ended."""

    def __init__(self, settings: RecordingSettings) -> None:
        """Watch nothing yet."""
        # What comes without a recording is none of this
        self.feed = CameraFeed()
        self.sources = Sources(
            frames=lambda _: self.feed.frames(),
            make_encoder=make_encoder,
            free_encoders=lambda: 0,
        )
        self.recorder = RunningRecorder(settings, tap=self.sources)
        self.seen: list[list[bytes]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, count: int = VIEWERS) -> None:
        """Let so many more watch."""
        self._tasks += [asyncio.create_task(self._read()) for _ in range(count)]

    async def _read(self) -> None:
        while True:
            source = self.sources.get(CAMERA)
            viewer = source.open()
            self.seen.append([])
            seen = self.seen[-1]
            try:
                while (data := await viewer.read()) is not None:
                    seen.append(data)
            finally:
                source.release(viewer)

    async def leave(self) -> None:
        """Let nobody watch any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def record(self, wanted: Iterable[Frame]) -> None:
        """Give the recorder frames, some of them a little later than others."""
        for frame in wanted:
            assert self.recorder.add(
                frame, flags=FLAG_LAST if frame.seq == COUNT else 0
            )
            await asyncio.sleep(0.02)

    async def numbers(self) -> list[int]:
        """Return the numbers in the clip."""
        event = await self.recorder.clip(count=1)
        async with asyncio.timeout(30):
            while self.recorder.unfinished():
                await asyncio.sleep(0.05)
        return [number for _, number in self.recorder.shown(event.id)]


@asynccontextmanager
async def watched(settings: RecordingSettings) -> AsyncGenerator[Watched]:
    """Run a recorder whose samples viewers get."""
    made = Watched(settings)
    await made.recorder.start()
    yield made
    await made.leave()
    await made.sources.stop()
    await made.recorder.stop()


def now_ms() -> int:
    """Return the time."""
    return int(time() * 1000)


def sizes_of(data: bytes) -> set[tuple[int, int]]:
    """Return the sizes of what decodes."""
    with av.open(BytesIO(data), format="mpegts") as container:
        return {(frame.width, frame.height) for frame in container.decode(video=0)}


async def test_viewers_join_at_begin_and_end(settings: RecordingSettings) -> None:
    """Twenty come with the first frame, twenty with the last, and leave."""
    async with watched(settings) as made:
        wanted = list(frames(COUNT, start_ms=now_ms()))
        await made.record(wanted[:1])
        made.watch()
        await made.record(wanted[1:-1])
        await made.leave()
        made.watch()
        await made.record(wanted[-1:])
        assert await made.numbers() == list(range(1, COUNT + 1))
        assert all(made.seen[:VIEWERS])


async def test_camera_leaves_and_returns(settings: RecordingSettings) -> None:
    """Its event ends meanwhile, and goes on; viewers stay."""
    async with watched(settings) as made:
        made.watch()
        wanted = list(frames(COUNT, start_ms=now_ms()))
        await made.record(wanted[:15])
        made.recorder.capture.camera_left(CAMERA, BOOT)
        await made.recorder.clip()
        seen = [len(one) for one in made.seen]
        await made.record(wanted[15:])
        await made.recorder.clip(count=2)
        assert await made.numbers() == list(range(1, COUNT + 1))
        assert len(made.seen) == VIEWERS
        assert all(
            len(one) > before for one, before in zip(made.seen, seen, strict=True)
        )


async def test_recorder_stops_with_viewers(settings: RecordingSettings) -> None:
    """What the camera sends again is there once."""
    async with watched(settings) as made:
        made.watch()
        wanted = list(frames(COUNT, start_ms=now_ms()))
        await made.record(wanted[:15])
        await made.recorder.stop()
        await made.recorder.start()
        have = made.recorder.capture.persisted(CAMERA, BOOT)
        await made.record(wanted[have:])
        assert await made.numbers() == list(range(1, COUNT + 1))


async def test_another_size_under_viewers(settings: RecordingSettings) -> None:
    """From 800x600 to 1600x1200 in the middle of an event: viewers end, come again, and see the new size."""
    async with watched(settings) as made:
        made.watch(3)
        first = frames(15, start_ms=now_ms(), width=800, height=600)
        await made.record(first)
        more = frames(COUNT, start_ms=now_ms() - 1500, width=1600, height=1200)
        await made.record(replace(frame) for frame in more if frame.seq > 15)
        assert await made.numbers() == list(range(1, COUNT + 1))
        shown = [sizes_of(b"".join(one)) for one in made.seen if one]
        assert shown.count({(800, 600)}) == 3
        assert shown.count({(1600, 1200)}) == 3
