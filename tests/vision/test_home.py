"""A real Home Assistant and a virtual camera: a false alarm by the times in its pictures, somebody who comes late, and detection off."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest

from benchmark import children_of
from home_assistant import wait_until
from load import make_cameras
from loaded_home import home_with_fleet
from real_pictures import noisy, painted_out, pictures, real_data
from virtual_camera import VirtualCamera, make_picture, read_frame_number
from virtual_camera.sources import Shot

# A Home Assistant of its own, started twice in one of them
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# So long nobody is there
LATE_S = 3.0
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


class LateStreet:
    """A street by day without people for three seconds of each wake, then as it was filmed."""

    def __init__(self, street: Sequence[bytes]) -> None:
        """Paint the people out."""
        self.empty = noisy(painted_out(street[::4]), 30)
        self.street = street
        self.woke: float | None = None
        self.shown = 0

    async def frame(self, shot: Shot) -> bytes:
        """Return one JPEG."""
        now = asyncio.get_running_loop().time()
        if self.woke is None or now - self.woke < LATE_S:
            return self.empty[shot.number % len(self.empty)]
        self.shown += 1
        return self.street[self.shown % len(self.street)]

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


async def state_of(hass: Any, entity_id: str, value: str) -> bool:
    """Say whether an entity has a state."""
    state = await hass.state(entity_id)
    return state is not None and state["state"] == value


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
    # Backgrounds are drawn once, for about a second: no part of the wake
    await asyncio.to_thread(make_picture, OUTSIDE)
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
        await wait_until(
            lambda: state_of(hass, "sensor.camera_0_false_alarms_today", "1"),
            20,
            "a false alarm is counted",
        )
        saved = (await hass.state("sensor.camera_0_time_awake_saved_today"))["state"]
        assert float(saved) > 20
        await hass.restart()
        await wait_until(
            lambda: state_of(hass, "sensor.camera_0_false_alarms_today", "1"),
            30,
            "the counter is back",
        )
        again = (await hass.state("sensor.camera_0_time_awake_saved_today"))["state"]
        assert float(again) == pytest.approx(float(saved))


async def test_who_comes_three_seconds_after_the_wake(tmp_path: Path) -> None:
    """Real pictures: not cut, the sensor is on, and the thumbnail shows somebody."""
    place = LateStreet(pictures("street-day"))
    async with home(tmp_path, place) as (hass, camera):
        camera.options.tail_s = 2.0
        loop = asyncio.get_running_loop()
        person = "binary_sensor.camera_0_person"
        assert await state_of(hass, person, "off")
        mark = camera.mark()
        camera.trigger_motion(12)
        await camera.wait_event("woke", after=mark)
        place.woke = begin = loop.time()
        await wait_until(lambda: state_of(hass, person, "on"), 30, "a person is seen")
        assert loop.time() - begin >= LATE_S
        await camera.wait_event("slept", after=mark, timeout=90)
        # All of its motion, and what is recorded after it
        assert loop.time() - begin >= 12
        await wait_until(lambda: state_of(hass, person, "off"), 30, "nobody is seen")
        (item,) = await events(hass, "?label=person", 1)
        assert item["verdict"] == "seen"
        assert item["end"] - item["start"] > 10_000
        async with hass.session.get(
            f"/api/magicpi_nvr/thumbnail/{item['id']}"
        ) as response:
            jpeg = await response.read()
        assert jpeg in place.street
        assert jpeg not in place.empty


async def test_off_means_off(tmp_path: Path) -> None:
    """With detection off no module of it is imported, and an event starts no child of it."""
    async with home_with_fleet(tmp_path, 1, mains=False) as (hass, fleet):
        (camera,) = make_cameras(asdict(fleet), EmptyPlace())
        camera.options.tail_s = 0.5
        await camera.start()
        try:
            await camera.wait_state("asleep", timeout=60)
            mark = camera.mark()
            camera.trigger_motion(1)
            await camera.wait_event("slept", after=mark, timeout=90)
            assert await events(hass, "", 1)
        finally:
            await camera.stop()
        names = await hass.ws("loop_watch/modules")
        ours = [name for name in names if name.startswith("custom_components.magicpi")]
        assert "custom_components.magicpi_nvr.nvr.core" in ours
        assert [name for name in ours if "vision" in name] == []
        assert "ncnn" not in names
        assert not any("python" in name for name in children_of(hass.pid).values())
