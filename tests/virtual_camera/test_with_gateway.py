"""The virtual camera and the integration's gateway: two readings of one contract meet."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
import secrets
from typing import Any
import zlib

from aiohttp import ClientSession
import pytest

from custom_components.magicpi_nvr.gateway import (
    AlreadyClaimed,
    CameraStatus,
    CommandFailed,
    FirmwareOffer,
    Gateway,
    GatewaySettings,
    Registry,
    SetupClient,
    StaleNonce,
    TooManyTries,
    WrongCode,
)
from tests.harness.gateway import HOST, RunningGateway, run_gateway
from tests.harness.waiting import until
from virtual_camera import FaultySource, LoopSource, VirtualCamera

from .conftest import MakeCamera


async def claim(
    gateway: RunningGateway, camera: VirtualCamera, code: str | None = None
) -> None:
    """Claim a camera as the config flow does."""
    await camera.wait_event("setup_opened")
    async with ClientSession() as session:
        client = SetupClient(session, HOST, camera.setup_port)
        info = await client.info()
        token = gateway.server.issue_token(info.id, data={"name": "Front door"})
        bundle = gateway.server.bundle(token=token, name="Front door", hosts=[HOST])
        await client.claim(code or camera.setup_code, bundle)


type Claimed = Callable[..., Any]


@pytest.fixture
async def claimed(gateway: RunningGateway, make_camera: MakeCamera) -> Claimed:
    """Return what makes cameras that are registered and connected."""

    async def make(**options: Any) -> VirtualCamera:
        camera = make_camera(**options)
        await camera.start()
        await claim(gateway, camera)
        await camera.wait_event("welcome")
        return camera

    return make


async def one_event(camera: VirtualCamera, seconds: float = 0.4) -> None:
    """Let the camera see something and wait until all of it is acknowledged."""
    mark = camera.mark()
    camera.trigger_motion(seconds)
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked()


def assert_all_arrived(gateway: RunningGateway, *cameras: VirtualCamera) -> None:
    """Check that what the cameras sent is what the gateway handed on, once each."""
    sent = [
        (camera.id, frame.boot, frame.event, frame.seq, frame.t, frame.crc)
        for camera in cameras
        for frame in camera.sent_frames
    ]
    got = [
        (
            *(frame.camera, frame.boot, frame.event, frame.seq, frame.t),
            zlib.crc32(frame.jpeg),
        )
        for frame in gateway.delegate.frames
    ]
    assert sorted(got) == sorted(sent)
    assert len(sent) == sum(camera.counters.captured for camera in cameras)


async def test_main_job(gateway: RunningGateway, claimed: Claimed) -> None:
    """Claimed, moved, recorded, asleep, woken by motion with its first second on record."""
    camera = await claimed(battery_pct=70, wifi_s=0.3)
    known = gateway.server.cameras[camera.id]
    assert known.name == "Front door"
    assert (await gateway.server.wait_registered(camera.id)) is known
    await camera.wait_state("asleep")
    await until(lambda: known.status is CameraStatus.ASLEEP)
    assert known.telemetry.battery_pct == 70
    await one_event(camera, 0.8)
    await camera.wait_state("asleep")
    await until(lambda: known.status is CameraStatus.ASLEEP)
    assert_all_arrived(gateway, camera)
    boot = camera.sent_frames[-1].boot
    assert gateway.delegate.ended == [(camera.id, boot, 1, 0)]
    assert [motion[3] for motion in gateway.delegate.motions] == [True, False]
    flags = [frame.flags & 1 for frame in gateway.delegate.frames]
    assert flags[0] == 1
    assert flags[-1] == 0
    times = [frame.captured_ms for frame in gateway.delegate.frames]
    assert times == sorted(times)


async def test_claiming(gateway: RunningGateway, make_camera: MakeCamera) -> None:
    """Both sides agree on what a wrong code, a used nonce and too many tries are."""
    camera = make_camera(lockout_s=0.5)
    await camera.start()
    with pytest.raises(WrongCode):
        await claim(gateway, camera, "0000-0000-0000-0000")
    async with ClientSession() as session:
        client = SetupClient(session, HOST, camera.setup_port)
        for _ in range(4):
            await client.info()
            with pytest.raises(WrongCode):
                await client.claim("0" * 16, {})
        with pytest.raises(TooManyTries):
            await client.claim(camera.setup_code, {})
    async with asyncio.timeout(10):
        while True:
            try:
                await claim(gateway, camera)
                break
            except TooManyTries, StaleNonce:
                await asyncio.sleep(0.05)
    await camera.wait_event("welcome")


async def test_second_claim(gateway: RunningGateway, make_camera: MakeCamera) -> None:
    """A camera that registers just now says that it is taken."""
    camera = make_camera(gateway=(HOST, 1))
    await camera.start()
    await claim(gateway, camera)
    with pytest.raises(AlreadyClaimed):
        await claim(gateway, camera)


async def test_settings(gateway: RunningGateway, claimed: Claimed) -> None:
    """A desired value waits for a sleeping camera, is applied at its wake, and then agrees."""
    camera = await claimed()
    known = gateway.server.cameras[camera.id]
    await camera.wait_state("asleep")
    known.set_config({"framerate": 20, "night_mode": True})
    assert known.config.pending
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("config_applied", after=mark)
    await until(lambda: not known.config.pending)
    assert camera.config["framerate"] == 20
    assert camera.config["night_mode"] is True
    await camera.wait_state("asleep")


async def test_settings_changed_at_the_camera(
    gateway: RunningGateway, claimed: Claimed
) -> None:
    """Settings changed at the camera reach the gateway and agree with its own."""
    camera = await claimed(always_on=True)
    known = gateway.server.cameras[camera.id]
    merged = await camera.change_settings(brightness=2)
    assert merged["brightness"] == 2
    assert known.config.reported["brightness"] == 2
    await until(lambda: known.config.reported_rev == camera.flash.config_rev == 2)
    status = await camera.request("GET", "/device/status")
    assert status["config_rev"] == 2
    assert "frames" in str(await camera.request("GET", "/stats"))


async def test_live_and_snapshot(gateway: RunningGateway, claimed: Claimed) -> None:
    """A camera on mains shows its picture while somebody watches."""
    camera = await claimed(always_on=True)
    known = gateway.server.cameras[camera.id]
    still = await known.snapshot()
    assert still.flags & 2
    shown = []
    async with asyncio.timeout(20):
        async for frame in known.frames():
            shown.append(frame.seq)
            if len(shown) == 5:
                break
    assert shown == sorted(set(shown))
    await camera.wait_until(lambda: not (camera.boot and camera.boot.live))
    assert gateway.delegate.ended == []


async def test_commands(gateway: RunningGateway, claimed: Claimed) -> None:
    """Commands are done and answered; one that is unknown is refused."""
    camera = await claimed(always_on=True)
    known = gateway.server.cameras[camera.id]
    await known.command("identify")
    await camera.wait_event("identified")
    with pytest.raises(CommandFailed):
        await known.command("dance")
    mark = camera.mark()
    await known.command("restart")
    await camera.wait_event("welcome", after=mark)
    await known.command("sleep")
    await camera.wait_state("asleep")


async def test_new_key(gateway: RunningGateway, claimed: Claimed) -> None:
    """After a rekey the camera comes with the new key."""
    camera = await claimed(always_on=True)
    old = camera.flash.api_key
    await gateway.server.cameras[camera.id].rekey()
    mark = camera.mark()
    camera.cut_link()
    await camera.wait_event("welcome", after=mark)
    assert camera.flash.api_key != old
    assert camera.flash.next_api_key is None


async def test_update(
    gateway: RunningGateway, claimed: Claimed, tmp_path: Path
) -> None:
    """A firmware offered to a sleeping camera is installed at its next wake."""
    camera = await claimed()
    known = gateway.server.cameras[camera.id]
    await camera.wait_state("asleep")
    image = tmp_path / "firmware.bin"
    image.write_bytes(secrets.token_bytes(300_000))
    digest = sha256(image.read_bytes()).hexdigest()
    gateway.delegate.images[digest] = image
    known.offer_firmware(
        FirmwareOffer(version="1.2.0", sha256=digest, size=image.stat().st_size)
    )
    camera.press_button()
    await until(lambda: known.firmware == "1.2.0")
    assert camera.flash.fw == "1.2.0"


async def test_removed(gateway: RunningGateway, claimed: Claimed) -> None:
    """A camera that is removed while connected can be claimed again at once."""
    camera = await claimed(always_on=True)
    mark = camera.mark()
    await gateway.server.forget(camera.id)
    await camera.wait_event("setup_opened", after=mark)
    mark = camera.mark()
    await claim(gateway, camera)
    await camera.wait_event("welcome", after=mark)


async def test_removed_while_asleep(gateway: RunningGateway, claimed: Claimed) -> None:
    """A camera that was removed in its sleep keeps its claim until its button is held."""
    camera = await claimed()
    await camera.wait_state("asleep")
    await gateway.server.forget(camera.id)
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("refused", after=mark)
    await camera.wait_state("asleep")
    assert camera.setup_port == 0
    camera.factory_reset()
    await camera.wait_event("setup_opened", after=mark)


async def test_cut_links(gateway: RunningGateway, claimed: Claimed) -> None:
    """Links cut within frames cost no frame and double none."""
    camera = await claimed(always_on=True)
    camera.trigger_motion(3)
    for count in (5, 10, 15):
        await until(lambda wanted=count: len(gateway.delegate.frames) >= wanted)
        mark = camera.mark()
        camera.cut_link(after_bytes=3000)
        await camera.wait_event("welcome", after=mark)
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    assert_all_arrived(gateway, camera)
    assert camera.counters.connects == 4


async def test_half_open_link(gateway: RunningGateway, claimed: Claimed) -> None:
    """The gateway closes the connection that a camera has left behind for its newer one."""
    camera = await claimed(always_on=True)
    known = gateway.server.cameras[camera.id]
    first = known.session
    mark = camera.mark()
    camera.cut_link(silent=True)
    await camera.wait_event("welcome", after=mark)
    assert known.session is not first
    await one_event(camera)
    assert_all_arrived(gateway, camera)


async def test_gateway_restarts(tmp_path: Path, make_camera: MakeCamera) -> None:
    """What is captured while the gateway restarts arrives afterwards, once."""
    camera = make_camera(always_on=True)
    async with run_gateway(tmp_path / "tls") as gateway:
        storage, delegate, port = gateway.storage, gateway.delegate, gateway.server.port
        await camera.start()
        await claim(gateway, camera)
        await camera.wait_event("welcome")
        camera.trigger_motion(2)
        await until(lambda: len(delegate.frames) >= 5)
    await camera.wait_event("closed", where=lambda data: data["code"] == 1001)
    registry = Registry(storage)
    await registry.load()
    again = Gateway(
        authority=gateway.authority,
        registry=registry,
        delegate=delegate,
        settings=GatewaySettings(host=HOST, port=port),
        version="1.2.4",
    )
    await again.start()
    try:
        await camera.wait_event("event_ended")
        await camera.wait_all_acked()
        assert_all_arrived(gateway, camera)
    finally:
        await again.stop()


async def test_spoiled_pictures(gateway: RunningGateway, claimed: Claimed) -> None:
    """What is no picture is dropped and counted; the others are handed on."""
    pictures = LoopSource.rendered(4, resolution="QVGA")
    spoil = {2: b"no picture", 4: b"", 5: b"\xff\xd8\xff\xd9"}
    camera = await claimed(source=FaultySource(pictures, spoil))
    await one_event(camera)
    assert camera.counters.captured > 5
    kept = {frame.seq for frame in gateway.delegate.frames}
    assert kept == set(range(1, camera.counters.captured + 1)) - set(spoil)
    assert gateway.server.cameras[camera.id].counters.dropped == len(spoil)
    assert camera.counters.connects == 1


async def test_ten_cameras(gateway: RunningGateway, make_camera: MakeCamera) -> None:
    """Ten cameras that wake in the same moment lose nothing."""
    source = LoopSource.rendered(8, resolution="VGA")
    cameras = [make_camera(source=source) for _ in range(10)]
    for camera in cameras:
        await camera.start()
        await claim(gateway, camera)
    for camera in cameras:
        await camera.wait_state("asleep")
    await asyncio.gather(*(one_event(camera, 1) for camera in cameras))
    assert_all_arrived(gateway, *cameras)
    assert len(gateway.delegate.ended) == 10
