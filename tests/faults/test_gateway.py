"""The gateway is away for a while: restarted, its port taken, its certificates expired or gone, its clock set."""

import asyncio
from datetime import UTC, datetime, timedelta
import socket
import time

import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.gateway import Authority, Clock
from custom_components.magicpi_nvr.gateway.trust import authority as authority_module
from custom_components.magicpi_nvr.recording.library.layout import hour_files
from homeassistant.config_entries import ConfigEntryState
from homeassistant.util import dt as dt_util
from tests.harness.frame_check import FrameCheck, sent
from tests.harness.home_assistant import CAMERA_ID, SETUP_CODE, Installation
from virtual_camera import VirtualCamera

DAY_MS = 24 * 3600 * 1000


async def stop(installation: Installation) -> None:
    """Unload everything."""
    for entry in installation.hass.config_entries.async_entries(DOMAIN):
        await installation.hass.config_entries.async_unload(entry.entry_id)
    assert not installation.nvr.running


async def start(installation: Installation) -> None:
    """Set everything up again."""
    for entry in installation.hass.config_entries.async_entries(DOMAIN):
        await installation.hass.config_entries.async_setup(entry.entry_id)
    await installation.hass.async_block_till_done()


async def test_restart_in_mid_event(frame_check: FrameCheck) -> None:
    """What is captured while the gateway restarts arrives afterwards, and it is one clip."""
    camera = await frame_check.camera()
    camera.trigger_motion(3)
    await frame_check.frames_arrive(8)
    await frame_check.installation.restart()
    clips = await frame_check.nothing_lost(camera)
    assert len(clips) == 1


async def test_store_and_forward(
    frame_check: FrameCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames kept in the camera arrive later, once, in their place in time, in the right hour file."""
    camera = await frame_check.camera()
    await stop(frame_check.installation)
    await camera.wait_until(lambda: camera.link is None)
    camera.trigger_motion(0.8)
    await camera.wait_event("event_ended")
    assert not sent(camera)
    captured = camera.counters.captured
    # When the gateway is back, a new hour begins
    now_ms = Clock().now_ms()
    hour_ms = now_ms - now_ms % 3_600_000 + 3_600_000
    ahead = hour_ms - now_ms
    monkeypatch.setattr(Clock, "now_ms", lambda self: int(time.time() * 1000) + ahead)
    mark = camera.mark()
    await start(frame_check.installation)
    await camera.wait_event("welcome", after=mark)
    await frame_check.nothing_lost(camera)
    assert captured == camera.counters.captured
    while Clock().now_ms() < hour_ms + 2000:
        await asyncio.sleep(0.1)
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await frame_check.nothing_lost(camera, 2)
    assert clips[0].start_ms < hour_ms <= clips[1].start_ms
    root = frame_check.installation.nvr.media_root
    paths = [hour.relative for hour in hour_files(root)]
    zone = dt_util.get_default_time_zone()
    begins = [
        datetime.fromtimestamp(clip.start_ms / 1000, zone).strftime("%Y-%m-%d/%H.mp4")
        for clip in clips
    ]
    folder = CAMERA_ID.replace(":", "-")
    assert sorted(paths) == sorted(f"{folder}/{name}" for name in begins)
    assert [clip.path for clip in clips] == [f"{folder}/{name}" for name in begins]


async def test_port_taken(frame_check: FrameCheck) -> None:
    """Somebody has the port when the gateway comes back: it is reported, tried again, and nothing is lost."""
    camera = await frame_check.camera()
    installation, hass = frame_check.installation, frame_check.installation.hass
    await stop(installation)
    await camera.wait_until(lambda: camera.link is None)
    with socket.create_server(("127.0.0.1", installation.port)):
        camera.trigger_motion(0.8)
        await start(installation)
        assert frame_check.issue("port_in_use")
        assert installation.entry().state is ConfigEntryState.SETUP_RETRY
        await camera.wait_event("event_ended")
    mark = camera.mark()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=2))
    await hass.async_block_till_done()
    await camera.wait_event("welcome", after=mark)
    assert frame_check.issue("port_in_use") is None
    await frame_check.nothing_lost(camera)


async def one_clip(frame_check: FrameCheck, camera: VirtualCamera) -> bytes:
    """Record an event; returns its file."""
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    (clip,) = await frame_check.nothing_lost(camera)
    path = frame_check.installation.nvr.media_root / clip.path
    return await frame_check.installation.hass.async_add_executor_job(path.read_bytes)


async def test_certificate_expired(frame_check: FrameCheck) -> None:
    """After years in a drawer the certificate is made again at the start; cameras notice nothing."""
    camera = await frame_check.camera()
    await stop(frame_check.installation)
    folder = frame_check.installation.nvr.folder
    authority = frame_check.installation.nvr.authority
    server = authority_module._make_server(
        authority._authority, datetime.now(UTC) - timedelta(days=3 * 365)
    )
    (folder / authority_module.SERVER_FILE).write_bytes(server.pem())
    mark = camera.mark()
    await start(frame_check.installation)
    await camera.wait_event("welcome", after=mark)
    assert frame_check.installation.nvr.authority.server_expires > datetime.now(UTC)
    assert frame_check.issue("ca_recreated") is None
    await one_clip(frame_check, camera)


async def test_certificate_files_gone(frame_check: FrameCheck) -> None:
    """All files of the authority are gone: recordings stay, an issue says whom to claim again, and that works."""
    camera = await frame_check.camera()
    installation = frame_check.installation
    recorded = await one_clip(frame_check, camera)
    await stop(installation)
    for path in (authority_module.CA_FILE, authority_module.SERVER_FILE):
        (installation.nvr.folder / path).unlink()
    mark = camera.mark()
    await start(installation)
    issue = await frame_check.issue_created("ca_recreated")
    assert issue.translation_placeholders == {"names": "Front door"}
    # The camera trusts no other authority
    await camera.wait_event("unreachable", after=mark)
    assert installation.camera().session is None

    camera.factory_reset()
    await camera.wait_state("setup")
    flow = installation.hass.config_entries.flow
    result = await installation.start_flow("reauth", CAMERA_ID.lower())
    mark = camera.mark()
    await flow.async_configure(
        result["flow_id"],
        {"host": f"127.0.0.1:{camera.setup_port}", "setup_code": SETUP_CODE},
    )
    await camera.wait_event("welcome", after=mark)
    await installation.hass.async_block_till_done()
    await frame_check.issue_deleted("ca_recreated")
    await flow.async_configure(result["flow_id"])
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await frame_check.nothing_lost(camera, 2)
    whole = await installation.hass.async_add_executor_job(
        (installation.nvr.media_root / clips[0].path).read_bytes
    )
    # Appended to, or beside: what was recorded is there byte by byte.
    assert whole.startswith(recorded)


async def test_broken_authority_is_put_aside(frame_check: FrameCheck) -> None:
    """A file that is no authority stays for who may repair it."""
    await stop(frame_check.installation)
    folder = frame_check.installation.nvr.folder
    ca = folder / authority_module.CA_FILE
    ca.write_bytes(ca.read_bytes()[:100])
    authority = await asyncio.to_thread(Authority.load_or_create, folder)
    assert authority.created
    assert ca.with_suffix(".broken").stat().st_size == 100
    await start(frame_check.installation)


@pytest.mark.parametrize("cut", [False, True], ids=["connected", "link lost"])
@pytest.mark.parametrize("days", [1, -1])
async def test_clock_is_set_by_a_day(
    frame_check: FrameCheck, monkeypatch: pytest.MonkeyPatch, days: int, cut: bool
) -> None:
    """In mid-event the host's clock jumps: the event keeps its own time, the next has the new one, and it is reported."""
    ahead = 0
    monkeypatch.setattr(Clock, "now_ms", lambda self: int(time.time() * 1000) + ahead)
    boot_clock = time.monotonic
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.nvr.issues.boot_clock",
        lambda: boot_clock() - ahead / 1000,
    )
    frame_check.installation.nvr.issues._offset = None
    frame_check.installation.nvr.issues.check()
    camera = await frame_check.camera()
    camera.trigger_motion(2)
    await frame_check.frames_arrive(8)
    ahead = days * DAY_MS
    if cut:
        mark = camera.mark()
        camera.cut_link()
        await camera.wait_event("welcome", after=mark)
    (clip,) = await frame_check.nothing_lost(camera)
    assert abs(clip.start_ms - time.time() * 1000) < 3_600_000
    frame_check.installation.nvr.issues.check()
    issue = await frame_check.issue_created("clock_stepped")
    assert issue.translation_placeholders == {"seconds": str(days * 86_400)}
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await frame_check.nothing_lost(camera, 2)
    distance = max(item.start_ms for item in clips) - min(
        item.start_ms for item in clips
    )
    assert abs(distance - DAY_MS) < 3_600_000
