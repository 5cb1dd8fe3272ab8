"""A real Home Assistant, a virtual camera, and a false alarm: how long the camera is awake, by the times in its pictures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest

from load import make_cameras
from loaded_home import home_with_fleet
from real_pictures import real_data
from virtual_camera import VirtualCamera, make_picture, read_frame_number
from virtual_camera.sources import Shot

pytestmark = pytest.mark.slow

OPTIONS = {"vision": {"detection": True}}
STOP = {"when_nothing_seen": "stop_early", "what_counts": ["person"]}
# Pictures of these numbers show the virtual camera's visitor outside of the picture
OUTSIDE, ROUND = 96, 97
EVENTS = "/api/magicpi_nvr/recordings"


class EmptyPlace:
    """A place without anybody; each picture bears the time and, in its number, which one it is."""

    def __init__(self) -> None:
        """Remember when each picture was taken."""
        self.taken: dict[int, float] = {}

    async def frame(self, shot: Shot) -> bytes:
        """Return one JPEG."""
        loop = asyncio.get_running_loop()
        self.taken[shot.number] = loop.time()
        return await asyncio.to_thread(
            make_picture, OUTSIDE + ROUND * shot.number, when=datetime.now()
        )

    async def close(self) -> None:
        """Have nothing to let go of."""


@asynccontextmanager
async def home(folder: Path, source: Any) -> AsyncIterator[tuple[Any, VirtualCamera]]:
    """Start a Home Assistant that detects, with one camera that stops early."""
    pytest.importorskip("ncnn")
    if (data := real_data()) is None:
        pytest.skip("no model here")
    async with home_with_fleet(
        folder,
        1,
        mains=False,
        options=OPTIONS,
        camera_options=STOP,
        models=data / "models",
    ) as (hass, fleet):
        (camera,) = make_cameras(asdict(fleet), source)
        camera.options.tail_s = None
        await camera.start()
        try:
            await camera.wait_state("asleep", timeout=60)
            yield hass, camera
        finally:
            await camera.stop()


async def events(hass: Any, query: str, count: int) -> list[dict[str, Any]]:
    """Return the recordings once there are so many that are ready."""
    async with asyncio.timeout(60):
        while True:
            found = (await hass.rest("GET", f"{EVENTS}{query}"))["recordings"]
            if len(found) >= count and all(item["state"] == "ready" for item in found):
                return list(found)
            await asyncio.sleep(0.2)


def numbers(path: Path) -> list[int]:
    """Return the camera's numbers of a clip's pictures (blocking)."""
    with av.open(str(path)) as container:
        return [
            (read_frame_number(frame.to_image()) - OUTSIDE) // ROUND
            for frame in container.decode(video=0)
        ]


async def wake(camera: VirtualCamera) -> float:
    """Let the sensor be on for 20 s; returns for how long the camera was awake."""
    loop = asyncio.get_running_loop()
    mark = camera.mark()
    camera.trigger_motion(20)
    await camera.wait_event("woke", after=mark)
    begin = loop.time()
    await camera.wait_event("slept", after=mark, timeout=90)
    return loop.time() - begin


async def test_a_false_alarm_by_the_times_in_its_pictures(tmp_path: Path) -> None:
    """A place without anybody: asleep within 8 s of the wake, no picture lost, the event marked and hidden."""
    place = EmptyPlace()
    async with home(tmp_path, place) as (hass, camera):
        assert await wake(camera) < 8
        (item,) = await events(hass, "?nothing_seen=only", 1)
        assert item["verdict"] == "nothing_seen"
        assert await events(hass, "", 0) == []
        content = tmp_path / "clip.mp4"
        async with hass.session.get(
            f"/api/magicpi_nvr/clip/event/{item['id']}"
        ) as response:
            assert response.status == 200
            content.write_bytes(await response.read())
        shown = await asyncio.to_thread(numbers, content)
        assert shown == list(range(shown[0], shown[-1] + 1))
        assert len(shown) == item["frames"]
        # By the camera's clock, which its pictures bear
        assert place.taken[shown[-1]] - place.taken[shown[0]] < 8
