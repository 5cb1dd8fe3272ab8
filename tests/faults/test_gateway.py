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
from tests.integration.house import CAMERA_ID, SETUP_CODE, House
from virtual_camera import VirtualCamera

from .proof import Proof, sent

DAY_MS = 24 * 3600 * 1000


async def stop(house: House) -> None:
    """Unload everything."""
    for entry in house.hass.config_entries.async_entries(DOMAIN):
        await house.hass.config_entries.async_unload(entry.entry_id)
    assert not house.nvr.running


async def start(house: House) -> None:
    """Set everything up again."""
    for entry in house.hass.config_entries.async_entries(DOMAIN):
        await house.hass.config_entries.async_setup(entry.entry_id)
    await house.hass.async_block_till_done()


async def test_restart_in_mid_event(proof: Proof) -> None:
    """What is captured while the gateway restarts arrives afterwards, and it is one clip."""
    camera = await proof.camera()
    camera.trigger_motion(3)
    await proof.frames_arrive(8)
    await proof.house.restart()
    clips = await proof.nothing_lost(camera)
    assert len(clips) == 1


async def test_store_and_forward(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames kept in the camera arrive later, once, in their place in time, in the right hour file."""
    camera = await proof.camera()
    await stop(proof.house)
    await camera.wait_until(lambda: camera.link is None)
    camera.trigger_motion(0.8)
    await camera.wait_event("event_ended")
    assert not sent(camera)
    captured = camera.counters.captured
    # When the gateway is back, a new hour has begun two seconds ago.
    now_ms = Clock().now_ms()
    hour_ms = now_ms - now_ms % 3_600_000 + 3_600_000
    ahead = hour_ms + 1000 - now_ms
    monkeypatch.setattr(Clock, "now_ms", lambda self: int(time.time() * 1000) + ahead)
    mark = camera.mark()
    await start(proof.house)
    await camera.wait_event("welcome", after=mark)
    await proof.nothing_lost(camera)
    assert captured == camera.counters.captured
    while Clock().now_ms() < hour_ms + 2000:
        await asyncio.sleep(0.1)
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await proof.nothing_lost(camera, 2)
    assert clips[0].start_ms < hour_ms <= clips[1].start_ms
    root = proof.house.nvr.media_root
    paths = [hour.relative for hour in hour_files(root)]
    zone = dt_util.get_default_time_zone()
    begins = [
        datetime.fromtimestamp(clip.start_ms / 1000, zone).strftime("%Y-%m-%d/%H.mp4")
        for clip in clips
    ]
    folder = CAMERA_ID.replace(":", "-")
    assert sorted(paths) == sorted(f"{folder}/{name}" for name in begins)
    assert [clip.path for clip in clips] == [f"{folder}/{name}" for name in begins]


async def test_port_taken(proof: Proof) -> None:
    """Somebody has the port when the gateway comes back: it is told, tried again, and nothing is lost."""
    camera = await proof.camera()
    house, hass = proof.house, proof.house.hass
    await stop(house)
    await camera.wait_until(lambda: camera.link is None)
    with socket.create_server(("127.0.0.1", house.port)):
        camera.trigger_motion(0.8)
        await start(house)
        assert proof.issue("port_in_use")
        assert house.entry().state is ConfigEntryState.SETUP_RETRY
        await camera.wait_event("event_ended")
    mark = camera.mark()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=2))
    await hass.async_block_till_done()
    await camera.wait_event("welcome", after=mark)
    assert proof.issue("port_in_use") is None
    await proof.nothing_lost(camera)


async def one_clip(proof: Proof, camera: VirtualCamera) -> bytes:
    """Record an event; returns its file."""
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    (clip,) = await proof.nothing_lost(camera)
    path = proof.house.nvr.media_root / clip.path
    return await proof.house.hass.async_add_executor_job(path.read_bytes)


async def test_certificate_expired(proof: Proof) -> None:
    """After years in a drawer the certificate is made anew at the start; cameras notice nothing."""
    camera = await proof.camera()
    await stop(proof.house)
    folder = proof.house.nvr.folder
    authority = proof.house.nvr.authority
    server = authority_module._make_server(
        authority._authority, datetime.now(UTC) - timedelta(days=3 * 365)
    )
    (folder / authority_module.SERVER_FILE).write_bytes(server.pem())
    mark = camera.mark()
    await start(proof.house)
    await camera.wait_event("welcome", after=mark)
    assert proof.house.nvr.authority.server_expires > datetime.now(UTC)
    assert proof.issue("ca_recreated") is None
    await one_clip(proof, camera)


async def test_certificate_files_gone(proof: Proof) -> None:
    """All files of the authority are gone: recordings stay, it is told whom to claim again, and that works."""
    camera = await proof.camera()
    house = proof.house
    recorded = await one_clip(proof, camera)
    await stop(house)
    for path in (authority_module.CA_FILE, authority_module.SERVER_FILE):
        (house.nvr.folder / path).unlink()
    mark = camera.mark()
    await start(house)
    issue = await proof.told("ca_recreated")
    assert issue.translation_placeholders == {"names": "Front door"}
    # The camera trusts no other authority
    await camera.wait_event("unreachable", after=mark)
    assert house.camera().session is None

    camera.factory_reset()
    await camera.wait_state("setup")
    flow = house.hass.config_entries.flow
    result = await house.start_flow("reauth", CAMERA_ID.lower())
    mark = camera.mark()
    await flow.async_configure(
        result["flow_id"],
        {"host": f"127.0.0.1:{camera.setup_port}", "setup_code": SETUP_CODE},
    )
    await camera.wait_event("welcome", after=mark)
    await house.hass.async_block_till_done()
    await proof.taken_back("ca_recreated")
    await flow.async_configure(result["flow_id"])
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await proof.nothing_lost(camera, 2)
    whole = await house.hass.async_add_executor_job(
        (house.nvr.media_root / clips[0].path).read_bytes
    )
    # Appended to, or beside: what was recorded is there byte by byte.
    assert whole.startswith(recorded)


async def test_broken_authority_is_put_aside(proof: Proof) -> None:
    """A file that is no authority is kept for whoever may mend it."""
    await stop(proof.house)
    folder = proof.house.nvr.folder
    ca = folder / authority_module.CA_FILE
    ca.write_bytes(ca.read_bytes()[:100])
    authority = await asyncio.to_thread(Authority.load_or_create, folder)
    assert authority.created
    assert ca.with_suffix(".broken").stat().st_size == 100
    await start(proof.house)


@pytest.mark.parametrize("cut", [False, True], ids=["connected", "link lost"])
@pytest.mark.parametrize("days", [1, -1])
async def test_clock_is_set_by_a_day(
    proof: Proof, monkeypatch: pytest.MonkeyPatch, days: int, cut: bool
) -> None:
    """In mid-event the host's clock jumps: the event keeps its own time, the next has the new one, and it is told."""
    ahead = 0
    monkeypatch.setattr(Clock, "now_ms", lambda self: int(time.time() * 1000) + ahead)
    boot_clock = time.monotonic
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.nvr.issues._boot_clock",
        lambda: boot_clock() - ahead / 1000,
    )
    proof.house.nvr.issues._offset = None
    proof.house.nvr.issues.check()
    camera = await proof.camera()
    camera.trigger_motion(2)
    await proof.frames_arrive(8)
    ahead = days * DAY_MS
    if cut:
        mark = camera.mark()
        camera.cut_link()
        await camera.wait_event("welcome", after=mark)
    (clip,) = await proof.nothing_lost(camera)
    assert abs(clip.start_ms - time.time() * 1000) < 3_600_000
    proof.house.nvr.issues.check()
    issue = await proof.told("clock_stepped")
    assert issue.translation_placeholders == {"seconds": str(days * 86_400)}
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    clips = await proof.nothing_lost(camera, 2)
    distance = max(item.start_ms for item in clips) - min(
        item.start_ms for item in clips
    )
    assert abs(distance - DAY_MS) < 3_600_000
