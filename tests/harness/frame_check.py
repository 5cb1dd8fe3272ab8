"""Which frames a camera captured, and which of them its clips show."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.recording.hourfile import scan
from custom_components.magicpi_nvr.recording.library.layout import event_id, hour_files
from custom_components.magicpi_nvr.recording.model import Event
from homeassistant.helpers import issue_registry as ir
from virtual_camera import LoopSource, VirtualCamera, read_frame_number

from .home_assistant import CAMERA_ID, Installation
from .logs import assert_no_errors

# Each frame of a boot has a number of its own up to here.
NUMBERS = 128
STEP_MS = 250


def shown(root: Path) -> dict[str, list[tuple[int, int]]]:
    """Return wall time in ms and burned-in number of all frames below a folder, by event (blocking)."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for hour in hour_files(root):
        path = root / hour.relative
        file = scan(path)
        with av.open(str(path)) as video:
            frames = [
                (round(float(frame.pts * frame.time_base) * 1000), frame)
                for frame in video.decode(video=0)
                if frame.pts is not None and frame.time_base is not None
            ]
            numbers = [
                (at, read_frame_number(frame.to_ndarray(format="gray")))
                for at, frame in frames
            ]
        for segment in file.segments:
            begin, end = segment.dts // 90, segment.next_dts // 90
            found[segment.header.id] += [
                (at - begin + segment.header.start_ms, number)
                for at, number in numbers
                if begin <= at < end
            ]
    return {name: sorted(items) for name, items in found.items()}


def sent(camera: VirtualCamera) -> dict[str, list[int]]:
    """Return the numbers of all frames that left a camera, by event."""
    found: dict[str, set[int]] = defaultdict(set)
    for frame in camera.sent_frames:
        if frame.event:
            found[event_id(camera.id, frame.boot, frame.event)].add(frame.seq)
    return {name: sorted(numbers) for name, numbers in found.items()}


def stills(camera: VirtualCamera) -> int:
    """Return the number of pictures that belong to no event, such as the one that ends a claim."""
    return len(
        {(frame.boot, frame.seq) for frame in camera.sent_frames if not frame.event}
    )


@dataclass
class FrameCheck:
    """An installation, and whether each frame that its cameras captured is in a clip, once."""

    installation: Installation

    async def camera(self, **options: object) -> VirtualCamera:
        """Return a claimed, connected camera on mains whose pictures bear their numbers."""
        installation = self.installation
        options = {"always_on": True, "time_factor": 50} | options
        camera = await installation.switch_on(**options)  # type: ignore[arg-type]
        camera.source = numbered()
        await installation.claim(camera)
        await camera.wait_event("welcome")
        return camera

    def issue(self, key: str) -> ir.IssueEntry | None:
        """Return an issue, if there is one."""
        return ir.async_get(self.installation.hass).async_get_issue(DOMAIN, key)

    async def issue_created(self, key: str) -> ir.IssueEntry:
        """Wait until there is an issue."""
        await self.installation.wait_until(lambda: self.issue(key) is not None)
        issue = self.issue(key)
        assert issue
        return issue

    async def issue_deleted(self, key: str) -> None:
        """Wait until there is no such issue."""
        await self.installation.wait_until(lambda: self.issue(key) is None)

    async def frames_arrive(self, count: int) -> None:
        """Wait until so many frames of events have come in all."""
        counters = self.installation.camera().counters
        others = sum(map(stills, self.installation.cameras))
        await self.installation.wait_until(lambda: counters.frames >= count + others)

    async def ready(self, camera: VirtualCamera, events: int = 1) -> list[Event]:
        """Wait until a camera's events have their clips; returns them, oldest first."""
        await camera.wait_until(
            lambda: not (camera.boot and camera.boot.recording), what="the event's end"
        )
        await camera.wait_all_acked(timeout=60)
        found: list[Event] = []

        async def look() -> bool:
            page = await self.installation.nvr.recordings.library.events(
                camera=CAMERA_ID
            )
            found[:] = sorted(page.events, key=lambda event: event.start_ms)
            return len(found) >= events and all(
                event.state == "ready" for event in found
            )

        async with asyncio.timeout(60):
            while not await look():
                await asyncio.sleep(0.05)
        return found

    async def shown(self) -> dict[str, list[tuple[int, int]]]:
        """Return what the clips on disk show."""
        return await self.installation.hass.async_add_executor_job(
            shown, self.installation.nvr.media_root
        )

    async def nothing_lost(self, camera: VirtualCamera, events: int = 1) -> list[Event]:
        """Check that every captured frame is in its clip, once, in its place in time."""
        clips = await self.ready(camera, events)
        found = await self.shown()
        wanted = sent(camera)
        assert {
            name: [number for _, number in items] for name, items in found.items()
        } == wanted
        assert sum(map(len, wanted.values())) == camera.counters.captured - stills(
            camera
        )
        for name, items in found.items():
            times = {
                frame.seq: frame.t
                for frame in camera.sent_frames
                if event_id(camera.id, frame.boot, frame.event) == name
            }
            first_at, first = items[0]
            assert all(
                abs(at - first_at - (times[number] - times[first])) <= STEP_MS
                for at, number in items
            ), name
        assert {clip.id: clip.frames for clip in clips} == {
            name: len(numbers) for name, numbers in wanted.items()
        }
        assert [clip.lost for clip in clips] == [0] * len(clips)
        return clips


def numbered(count: int = NUMBERS) -> LoopSource:
    """Return so many pictures that bear their numbers."""
    return LoopSource.rendered(count, resolution="QVGA")


@pytest.fixture
async def frame_check(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> AsyncGenerator[FrameCheck]:
    """What counts the frames of a running NVR; no fault may leave an exception in the log."""
    yield FrameCheck(installation)
    assert_no_errors(caplog, logger="custom_components.magicpi_nvr")
