"""What viewers do and what happens to them costs the recording no frame."""

import asyncio
import os
from pathlib import Path
import signal

from aiohttp import ClientSession
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from continuous_soak import kept_frames
from custom_components.magicpi_nvr.live.viewer import MAX_BYTES
from homeassistant.core import HomeAssistant
from tests.harness.home_assistant import CAMERA_ID, Installation
from virtual_camera import LoopSource

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
VIEWERS = 20
VISITS = 300


def encoders() -> list[int]:
    """Return the ffmpegs of this process."""
    found = []
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for number in path.read_text().split():
            try:
                name = Path(f"/proc/{number}/comm").read_text().strip()
            except OSError:
                continue
            if name == "ffmpeg":
                found.append(int(number))
    return found


async def watch(session: ClientSession, url: str, seen: list[int], at: int) -> None:
    """Read a stream again and again, as a program does that keeps its connection."""
    while True:
        try:
            async with session.get(url) as response:
                async for chunk in response.content.iter_any():
                    seen[at] += len(chunk)
        except OSError:
            pass
        await asyncio.sleep(0.05)


async def vanish(url: str) -> None:
    """Connect many times, and leave before, within or after the answer's head."""
    host, _, rest = url.removeprefix("http://").partition("/")
    name, port = host.split(":")
    for visit in range(VISITS):
        reader, writer = await asyncio.open_connection(name, int(port))
        method = ("GET", "HEAD")[visit % 7 == 0]
        writer.write(
            f"{method} /{rest} HTTP/1.1\r\nHost: {host}\r\nRange: bytes=0-99\r\n\r\n".encode()
        )
        if visit % 3:
            await writer.drain()
        if visit % 3 == 2:
            await reader.readline()
        writer.transport.abort()


async def test_recording_loses_nothing(
    live_installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """Twenty viewers, one that never reads, hundreds of visits, a dying encoder, another size, wrong and revoked keys: each frame of the event is in its clip."""
    nvr = live_installation.nvr
    camera = live_installation.cameras[0]
    camera.source = LoopSource.rendered(8, resolution="QVGA")
    url = nvr.live.url(CAMERA_ID)
    assert url
    outside = await hass_client_no_auth()
    path = f"/api/magicpi_nvr/live/{CAMERA_ID.replace(':', '-')}.ts"
    key = nvr.live.new_key(CAMERA_ID)
    seen = [0] * VIEWERS
    async with ClientSession() as session, asyncio.TaskGroup() as group:
        watching = [
            group.create_task(watch(session, url, seen, at)) for at in range(VIEWERS)
        ]
        # One that asks, and never reads
        host, _, rest = url.removeprefix("http://").partition("/")
        _, stuck = await asyncio.open_connection(*host.split(":"), limit=1024)
        stuck.write(f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await live_installation.wait_until(lambda: all(seen))
        camera.trigger_motion(12)
        recorder = nvr.recordings.recorder
        await live_installation.wait_until(lambda: recorder.stats.encoders == 1)
        visits = group.create_task(vanish(url))
        # The recording's own encoder dies under them
        before = sum(seen)
        os.kill(encoders()[0], signal.SIGKILL)
        await live_installation.wait_until(lambda: sum(seen) > before)
        response = await outside.get(f"{path}?key={key}")
        assert (await response.content.readexactly(188))[0] == 0x47
        for guess in range(12):
            status = (await outside.get(f"{path}?key={guess}")).status
        assert status == 429
        assert nvr.live.revoke_key(CAMERA_ID)
        async with asyncio.timeout(20):
            await response.read()
        # Another size within the event
        before = [*seen]
        camera.source = LoopSource.rendered(4, resolution="VGA")
        await live_installation.wait_until(
            lambda: all(now > then for now, then in zip(seen, before, strict=True))
        )
        await visits
        source = nvr.live.sources.get(CAMERA_ID)
        assert all(viewer.size <= MAX_BYTES for viewer in source._viewers)
        await camera.wait_all_acked(timeout=120)
        await live_installation.wait_until(
            lambda: not nvr.recordings.is_recording(CAMERA_ID)
        )
        for task in watching:
            task.cancel()
        stuck.transport.abort()
    await live_installation.wait_until(lambda: nvr.live.sources.viewers == 0)
    kept = await hass.async_add_executor_job(kept_frames, nvr.media_root)
    sent = [frame.t for frame in camera.sent_frames if frame.event]
    assert len(sent) > 20
    assert sorted(one.t for one in kept) == sent
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    assert event.lost == 0
