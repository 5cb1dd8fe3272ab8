"""Home Assistant itself ends in mid-event: killed, or restarted by its owner."""

import asyncio
from collections.abc import AsyncGenerator
import json
import os
from pathlib import Path
import random

import pytest

from integration_setup import DOMAIN, STEP_TIMEOUT
from tests.harness.frame_check import numbered, sent, shown, stills
from tests.harness.home_assistant_process import all_ready, claim, prepare
from virtual_camera import VirtualCamera

# How often it is killed while one camera goes on sending; when set, it is restarted in good order too.
KILLS = int(os.environ.get("MAGICPI_HASS_KILLS", "1"))


@pytest.fixture
async def camera() -> AsyncGenerator[VirtualCamera]:
    """A camera on mains in setup mode."""
    camera = VirtualCamera(
        "AA:BB:CC:DD:EE:01",
        source=numbered(600),
        always_on=True,
        wifi_s=0.01,
        tail_s=0.3,
        time_factor=20,
        # All that it captures while nobody answers
        ring_bytes=8 * 1024 * 1024,
    )
    await camera.start()
    await camera.wait_state("setup")
    yield camera
    await camera.stop()


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * KILLS)
async def test_killed_and_restarted_in_mid_event(
    tmp_path: Path, camera: VirtualCamera
) -> None:
    """Kill -9 in mid-event, then an orderly restart in another: the camera goes on, every frame is there once."""
    hass, _ = await prepare(tmp_path)
    await hass.start()
    try:
        await claim(hass, camera)
        # What the camera relies on is on disk, although a crash may come at any moment
        stored = json.loads(
            (hass.folder / ".storage" / f"{DOMAIN}.cameras").read_text()
        )
        assert camera.id in stored["data"]["cameras"]
        await asyncio.sleep(1.5)  # Home Assistant writes its entries a second later

        for number in range(KILLS):
            mark = camera.mark()
            captured = camera.counters.captured
            camera.trigger_motion(24)
            await camera.wait_until(
                lambda captured=captured: camera.counters.captured >= captured + 6,
                what="frames",
            )
            await asyncio.sleep(random.uniform(0, 1))
            await hass.kill()
            await hass.start()
            await camera.wait_event("welcome", after=mark, timeout=STEP_TIMEOUT)
            # Who was there leaves as soon as the camera is back
            camera.sensor.clear()
            await camera.wait_event("event_ended", after=mark, timeout=STEP_TIMEOUT)
            await camera.wait_all_acked(timeout=STEP_TIMEOUT)
            await all_ready(hass, number + 1)
            check(hass.media / DOMAIN, camera)
            assert hass.problems() == []

        if "MAGICPI_HASS_KILLS" not in os.environ:
            # Within this process, test_gateway.py does the same in a tenth of the time
            return
        mark = camera.mark()
        camera.trigger_motion(24)
        await asyncio.sleep(1.5)
        await hass.restart()
        await camera.wait_event(
            "closed", after=mark, where=lambda data: data["code"] == 1001
        )
        await camera.wait_event("welcome", after=mark, timeout=STEP_TIMEOUT)
        camera.sensor.clear()
        await camera.wait_event("event_ended", after=mark, timeout=STEP_TIMEOUT)
        await camera.wait_all_acked(timeout=STEP_TIMEOUT)
        clips = await all_ready(hass, KILLS + 1)
        check(hass.media / DOMAIN, camera)
        wanted = sent(camera)
        assert {clip["id"]: clip["frames"] for clip in clips} == {
            name: len(numbers) for name, numbers in wanted.items()
        }
        assert [clip["lost"] for clip in clips] == [0] * len(clips)
        assert hass.problems() == []
    finally:
        await hass.stop()


def check(root: Path, camera: VirtualCamera) -> None:
    """Every frame that was captured is in its clip, once."""
    found = shown(root)
    wanted = sent(camera)
    assert found.keys() == wanted.keys()
    for name, items in found.items():
        numbers = [number for _, number in items]
        missing, strange = (
            set(wanted[name]) - {*numbers},
            {*numbers} - set(wanted[name]),
        )
        assert (missing, strange) == (set(), set()), name
        assert numbers == wanted[name], "twice, or out of order"
    assert sum(map(len, wanted.values())) == camera.counters.captured - stills(camera)
