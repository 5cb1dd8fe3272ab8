"""The radio link: cut, stalled, slow, doubled, half open; and a camera that loses its power."""

import asyncio
from collections.abc import Awaitable, Callable
import json

import pytest

from custom_components.magicpi_nvr.gateway import CloseCode
from custom_components.magicpi_nvr.recording.library.layout import event_id
from tests.harness.frame_check import FrameCheck, stills
from tests.harness.gateway import hello
from tests.harness.home_assistant import CAMERA_ID
from tests.harness.pictures import RECORDING
from virtual_camera import VirtualCamera
from virtual_camera.link import Link

EVENT_S = 2.0

type Fault = Callable[[VirtualCamera], Awaitable[None]]


async def cut(camera: VirtualCamera) -> None:
    """The access point is gone for a moment."""
    mark = camera.mark()
    camera.cut_link()
    await camera.wait_event("welcome", after=mark)


async def cut_in_mid_frame(camera: VirtualCamera) -> None:
    """Half of a frame arrives, three times."""
    for _ in range(3):
        mark = camera.mark()
        camera.cut_link(after_bytes=3000)
        await camera.wait_event("welcome", after=mark)


async def stalled(camera: VirtualCamera) -> None:
    """Nothing moves for two seconds, in neither direction."""
    camera.stall(2.0)
    await asyncio.sleep(0)


async def slow(camera: VirtualCamera) -> None:
    """20 kB/s, far less than the camera captures."""
    camera.throttle(20_000)
    await asyncio.sleep(1)


async def half_open(camera: VirtualCamera) -> None:
    """The camera is gone without a word and comes again; the gateway still sees the old connection."""
    mark = camera.mark()
    camera.cut_link(silent=True)
    await camera.wait_event("welcome", after=mark)


async def doubled(camera: VirtualCamera) -> None:
    """A second connection with the camera's own key takes its place, then goes."""
    assert camera.flash.bundle
    host, port = camera.known_hosts()[0]
    mark = camera.mark()
    link = await Link.open(
        host,
        port,
        context=camera.context(),
        name=camera.flash.bundle["gateway"]["name"],
        headers=camera.auth_headers(),
    )
    assert camera.boot
    await link.send_text(json.dumps(hello(id=camera.id, boot=camera.boot.number)))
    await camera.wait_event(
        "closed", after=mark, where=lambda data: data["code"] == CloseCode.REPLACED
    )
    link.abort()
    await camera.wait_event("welcome", after=mark)


@pytest.mark.parametrize(
    "fault",
    [cut, cut_in_mid_frame, stalled, slow, half_open, doubled],
    ids=lambda fault: fault.__name__,
)
async def test_link_fails_in_mid_event(frame_check: FrameCheck, fault: Fault) -> None:
    """Whatever becomes of the link, the event is one clip with every frame once."""
    camera = await frame_check.camera()
    camera.trigger_motion(EVENT_S)
    await frame_check.frames_arrive(8)
    await fault(camera)
    await frame_check.nothing_lost(camera)


async def test_link_is_too_slow_for_the_ring(frame_check: FrameCheck) -> None:
    """What the camera's memory cannot hold is lost, counted, and reported with the event; the rest is there once."""
    camera = await frame_check.camera(ring_bytes=60_000)
    camera.throttle(15_000)
    camera.trigger_motion(EVENT_S)
    (clip,) = await frame_check.ready(camera)
    (items,) = (await frame_check.shown()).values()
    numbers = [number for _, number in items]
    assert numbers == sorted(set(numbers))
    lost = camera.counters.captured - stills(camera) - len(numbers)
    assert lost > 0
    assert clip.lost == lost
    assert frame_check.installation.camera().counters.lost == lost


@pytest.mark.parametrize("power_lost", [False, True])
async def test_camera_restarts_in_mid_event(
    frame_check: FrameCheck, power_lost: bool
) -> None:
    """What had not left the camera's memory is lost; the clip of before ends well, the next is another event."""
    camera = await frame_check.camera()
    camera.trigger_motion(30)
    await frame_check.frames_arrive(10)
    assert camera.boot
    boot = camera.boot.number
    mark = camera.mark()
    if power_lost:
        await camera.drop_power()
        before = camera.counters.captured
        # Else the sensor, still high, begins an event of its own, at times
        camera.sensor.clear()
        await camera.start("brownout")
    else:
        before = camera.counters.captured
        camera.reboot()
    await camera.wait_event("welcome", after=mark)
    camera.sensor.clear()
    if power_lost:
        await asyncio.sleep(0.3)
        camera.trigger_motion(1)
    await frame_check.ready(camera, 2)
    found = await frame_check.shown()
    first = [number for _, number in found[event_id(CAMERA_ID, boot, 1)]]
    # From the first to the last that came, none missing in between, none twice
    assert first == list(range(first[0], first[0] + len(first)))
    assert first[0] == stills(camera) + 1
    assert len(first) >= 10
    # On its way was no more than a second's worth
    assert before - stills(camera) - len(first) <= 10
    assert camera.boot
    second = [number for _, number in found[event_id(CAMERA_ID, camera.boot.number, 1)]]
    assert second == list(range(second[0], second[0] + len(second)))
    assert len(found) == 2


async def test_silent_camera_is_seen_off(
    frame_check: FrameCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that is gone without a word ends its event; the frames that came are a clip."""
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.SILENCE_S", 2.0)
    camera = await frame_check.camera()
    camera.trigger_motion(30)
    await frame_check.frames_arrive(10)
    camera.stall(3600)
    await frame_check.installation.wait_until(
        lambda: (
            frame_check.installation.nvr.recordings.last_event(CAMERA_ID) is not None
        )
    )
    clip = frame_check.installation.nvr.recordings.last_event(CAMERA_ID)
    assert clip
    assert clip.state == "ready"
    assert clip.frames >= 10
    await camera.drop_power()
