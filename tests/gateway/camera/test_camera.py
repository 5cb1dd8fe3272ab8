"""A registered camera: status, settings, live view, updates, and what survives a restart."""

import asyncio
from contextlib import aclosing
import hashlib
from hashlib import sha256
import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.gateway.camera.camera import (
    Camera,
    CameraAsleep,
    CameraStatus,
    Change,
    CommandFailed,
    CommandRefused,
    FirmwareOffer,
    OtaStep,
)
from custom_components.magicpi_nvr.gateway.camera.configuration import ConfigError
from tests.harness.gateway import (
    CAMERA_ID,
    OTHER_ID,
    CameraConnection,
    FakeDelegate,
    MemoryStorage,
    RunningGateway,
    headers,
    make_jpeg,
    run_gateway,
)
from tests.harness.waiting import until

OFFER = FirmwareOffer(
    version="2.0.0", sha256="ab" * 32, size=1000, signature="c2ln", min_battery_pct=30
)


class Listener:
    """Collects what a camera tells its subscribers."""

    def __init__(self, camera: Camera, *changes: Change) -> None:
        """Listen, to everything or to some."""
        self.calls: list[Change] = []
        self.unsubscribe = camera.subscribe(self.calls.append, *changes)

    @property
    def all(self) -> Change:
        """Everything that was reported."""
        reported = Change(0)
        for change in self.calls:
            reported |= change
        return reported


async def answer(connection: CameraConnection, **more: Any) -> dict[str, Any]:
    """Answer the next command."""
    command = await connection.expect("command")
    await connection.send({"type": "result", "id": command["id"], "ok": True, **more})
    return command


# Status


async def test_late_after_two_check_ins(gateway: RunningGateway) -> None:
    """Asleep, late after twice the time it said, back when it comes."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.leave(next_wake_s=600)
    await until(lambda: camera.status is CameraStatus.ASLEEP)
    assert camera.late_since_ms is None
    listener = Listener(camera)
    gateway.clock.ahead += 1190
    await asyncio.sleep(0.6)
    assert camera.status is CameraStatus.ASLEEP
    gateway.clock.ahead += 20
    await until(lambda: camera.status is CameraStatus.LATE)
    assert camera.late_since_ms == pytest.approx(gateway.clock.now_ms(), abs=5000)
    await until(lambda: Change.STATUS in listener.all)
    async with gateway.connect(auth) as connection:
        await connection.greet(boot=78, reason="timer")
        assert camera.status is CameraStatus.AWAKE
        assert camera.late_since_ms is None
        assert camera.next_check_in_ms is None


async def test_jump_of_the_hosts_clock(gateway: RunningGateway) -> None:
    """A day forward makes nobody late."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.leave(next_wake_s=600)
    await until(lambda: camera.session is None)
    gateway.clock.wall_ahead_ms = 86_400_000
    await asyncio.sleep(0.6)
    assert camera.status is CameraStatus.ASLEEP


async def test_times_follow_the_hosts_clock(gateway: RunningGateway) -> None:
    """When it is set, the next check-in and the last sign of life are shown by the new time."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.leave(next_wake_s=600)
    await until(lambda: camera.session is None)
    due, seen = camera.next_check_in_ms, camera.last_seen_ms
    assert due is not None
    assert seen is not None
    listener = Listener(camera)
    gateway.clock.wall_ahead_ms = 3_600_000
    await until(lambda: camera.next_check_in_ms != due)
    assert camera.next_check_in_ms == pytest.approx(due + 3_600_000, abs=1000)
    assert camera.last_seen_ms == pytest.approx(seen + 3_600_000, abs=1000)
    await until(lambda: Change.STATUS in listener.all)


async def test_times_of_an_earlier_run_stay(tmp_path: Path) -> None:
    """A host that starts without a clock gets one: what was stored before was true."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.leave(next_wake_s=600)
        await until(lambda: camera.session is None)
        due, seen, storage = (
            camera.next_check_in_ms,
            camera.last_seen_ms,
            gateway.storage,
        )
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        listener = Listener(camera)
        gateway.clock.wall_ahead_ms = 86_400_000 * 90
        await until(lambda: Change.STATUS in listener.all)
        assert (camera.next_check_in_ms, camera.last_seen_ms) == (due, seen)


async def test_pause_of_the_host(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped for longer than two check-ins and continued: late only after one more."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.leave(next_wake_s=600)
    await until(lambda: camera.status is CameraStatus.ASLEEP)
    loop = asyncio.get_running_loop()
    steady, ticks = loop.time, 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        Camera.tick(camera)

    monkeypatch.setattr(camera, "tick", tick)
    # What SIGSTOP and SIGCONT do to a process
    gateway.clock.ahead += 3600
    monkeypatch.setattr(loop, "time", lambda: steady() + 3600)
    await until(lambda: ticks >= 3)
    assert camera.status is CameraStatus.ASLEEP
    gateway.clock.ahead += 670
    await until(lambda: camera.status is CameraStatus.LATE)


async def test_link_lost(gateway: RunningGateway) -> None:
    """Who sleeps by trade is asleep, who is always on is offline."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        connection.transport.abort()
        await until(lambda: camera.session is None)
    assert camera.status is CameraStatus.ASLEEP
    assert camera.next_check_in_ms == pytest.approx(
        gateway.clock.now_ms() + 3_600_000, abs=10_000
    )
    camera.set_config({"power_mode": "always_on"})
    async with gateway.connect(auth) as connection:
        await connection.greet(config_rev=2)
        await connection.send(
            {"type": "motion", "event": 1, "active": True, "t": 1, "source": "pir"}
        )
        await until(lambda: camera.motion)
        connection.transport.abort()
        await until(lambda: camera.session is None)
    assert camera.status is CameraStatus.OFFLINE
    assert camera.late_since_ms is not None
    assert camera.next_check_in_ms is None
    assert not camera.motion
    async with gateway.connect(auth) as connection:
        await connection.greet(config_rev=2)
        await connection.send({"type": "bye", "reason": "restart"})
        await connection.ws.close()
    await until(lambda: camera.session is None)
    # A restart is expected to be over soon.
    assert camera.status is CameraStatus.ASLEEP
    gateway.clock.ahead += 121
    await until(lambda: camera.status is CameraStatus.LATE)


async def test_streaming(gateway: RunningGateway) -> None:
    """While frames come, and a little longer."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1)
        await connection.expect_ack(1)
        assert camera.status is CameraStatus.STREAMING
        await until(lambda: camera.status is CameraStatus.AWAKE)


async def test_hello_is_shown(gateway: RunningGateway) -> None:
    """Telemetry, version, address, and what heartbeats add."""
    camera, auth = await gateway.register()
    listener = Listener(camera)
    async with gateway.connect(auth) as connection:
        await connection.greet(fw="1.1.0", lost=4)
        await connection.send(
            {"type": "heartbeat", "uptime_ms": 9, "rssi": -70, "heap": 5}
        )
        await connection.send_frame(1)
        await connection.expect_ack(1)
    telemetry = camera.telemetry
    assert camera.firmware == "1.1.0"
    assert camera.address == "127.0.0.1"
    assert camera.hello is not None
    assert camera.hello.reason == "pir"
    assert (telemetry.rssi, telemetry.heap, telemetry.backlog) == (-70, 5, 0)
    assert (telemetry.battery_mv, telemetry.battery_pct) == (3900, 80)
    assert (telemetry.wifi_ms, telemetry.tls_ms) == (300, 200)
    assert telemetry.first_frame_ms == 900
    assert camera.counters.lost == 4
    expected = Change.STATUS | Change.TELEMETRY | Change.WOKE | Change.INFO
    assert expected in listener.all
    # The same boot again is no wake, and its losses are counted already.
    listener.calls.clear()
    async with gateway.connect(auth) as connection:
        await connection.greet(fw="1.1.0", lost=4)
    assert Change.WOKE not in listener.all
    assert camera.counters.lost == 4
    assert (camera.counters.wakes, camera.counters.connections) == (1, 2)


async def test_subscribers(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames only for those who ask; changes of one turn come in one call."""
    camera, auth = await gateway.register()
    quiet = Listener(camera, ~Change.FRAME & ~Change.STATUS & ~Change.COUNTERS)
    frames = Listener(camera, Change.FRAME)
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await asyncio.sleep(0.01)
        quiet.calls.clear()
        for seq in range(1, 21):
            await connection.send_frame(seq)
        await connection.expect_ack(20)
    assert frames.calls
    assert set(frames.calls) == {Change.FRAME}
    assert quiet.calls == []
    quiet.unsubscribe()
    listener = Listener(camera)
    camera.rename("Gate")
    camera.set_config({"vflip": True})
    assert listener.calls == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert listener.calls == [Change.INFO | Change.CONFIG]
    listener.unsubscribe()

    def broken(_change: Change) -> None:
        raise RuntimeError("broken")

    camera.subscribe(broken)
    other = Listener(camera)
    camera.rename("Door")
    await asyncio.sleep(0.01)
    assert other.calls == [Change.INFO]
    assert "broken" in caplog.text
    caplog.clear()


async def test_counters_are_reported_now_and_then(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every frame."""
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.gateway.camera.camera.COUNTER_TICKS", 1
    )
    camera, auth = await gateway.register()
    listener = Listener(camera, Change.COUNTERS)
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for seq in range(1, 101):
            await connection.send_frame(seq)
        await connection.expect_ack(100)
        await until(lambda: listener.calls)
        assert len(listener.calls) < 10


async def test_log_lines(gateway: RunningGateway) -> None:
    """The last fifty are kept."""
    camera, auth = await gateway.register()
    listener = Listener(camera)
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for number in range(60):
            await connection.send(
                {"type": "log", "level": "info", "message": f"line {number}"}
            )
        await until(lambda: camera.log and camera.log[-1].message == "line 59")
    assert len(camera.log) == 50
    assert Change.LOG in listener.all


# Settings


async def test_setting_of_a_sleeping_camera(gateway: RunningGateway) -> None:
    """Succeeds at once, is pending, is delivered and confirmed at the next wake."""
    camera, auth = await gateway.register()
    listener = Listener(camera)
    assert camera.set_config({"vflip": True, "framerate": 15}) == 2
    assert camera.config.pending == {"vflip": True, "framerate": 15}
    with pytest.raises(ConfigError):
        camera.set_config({"framerate": 99})
    async with gateway.connect(auth) as connection:
        config = (await connection.greet())["config"]
        assert (config["rev"], config["vflip"], config["framerate"]) == (2, True, 15)
        assert "heartbeat_interval_s" in config
        await connection.send(
            {
                "type": "config_ack",
                "rev": 2,
                "applied": {"vflip": True},
                "rejected": {"framerate": "too fast"},
            }
        )
        await until(lambda: not camera.config.pending)
    assert camera.config.rejected == {"framerate": "too fast"}
    assert Change.CONFIG in listener.all
    async with gateway.connect(auth) as connection:
        assert (await connection.greet(boot=78, config_rev=2))["config"] is None


async def test_setting_of_an_awake_camera(gateway: RunningGateway) -> None:
    """Is delivered at once."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        camera.set_config({"night_mode": True})
        config = await connection.expect("config")
        assert (config["rev"], config["night_mode"]) == (2, True)


async def test_stay_awake(gateway: RunningGateway) -> None:
    """Asked once."""
    camera, auth = await gateway.register()
    camera.hold_awake(120)
    async with gateway.connect(auth) as connection:
        assert (await connection.greet())["stay_awake_s"] == 120
    async with gateway.connect(auth) as connection:
        assert (await connection.greet())["stay_awake_s"] == 0


# Commands


async def test_command(gateway: RunningGateway) -> None:
    """Result, refusal, silence, leaving."""
    camera, auth = await gateway.register()
    with pytest.raises(CameraAsleep):
        await camera.command("identify")
    async with gateway.connect(auth) as connection:
        await connection.greet()
        task = asyncio.create_task(camera.command("identify", {"seconds": 3}))
        command = await answer(connection)
        assert (command["name"], command["args"]) == ("identify", {"seconds": 3})
        await task
        task = asyncio.create_task(camera.command("restart"))
        await answer(connection, ok=False, error="busy")
        with pytest.raises(CommandRefused, match="busy"):
            await task
        with pytest.raises(CommandFailed, match="did not answer"):
            await camera.command("identify", timeout=0.05)
        leaving = [asyncio.create_task(camera.command("sleep")) for _ in range(32)]
        await asyncio.sleep(0)
        with pytest.raises(CommandFailed, match="too many"):
            await camera.command("sleep")
        await connection.leave()
        for task in leaving:
            with pytest.raises(CommandFailed, match="left"):
                await task


async def test_snapshot(gateway: RunningGateway) -> None:
    """The still frame, whichever comes first."""
    camera, auth = await gateway.register()
    with pytest.raises(CameraAsleep):
        await camera.snapshot(timeout=5)
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for first in ("frame", "result"):
            seq = 10 if first == "frame" else 20
            task = asyncio.create_task(camera.snapshot(timeout=10))
            command = await connection.expect("command")
            assert command["name"] == "snapshot"
            result = {"type": "result", "id": command["id"], "ok": True}
            await connection.send_frame(seq, event=0)
            if first == "result":
                await connection.send(result)
            await connection.send_frame(seq + 1, event=0, flags=2)
            if first == "frame":
                await connection.send(result)
            frame = await task
            assert frame.seq == seq + 1
        task = asyncio.create_task(camera.snapshot(timeout=0.2))
        await answer(connection)
        with pytest.raises(CommandFailed, match="no picture"):
            await task
        task = asyncio.create_task(camera.snapshot(timeout=10))
        await answer(connection)
        await connection.leave()
        with pytest.raises(CommandFailed, match="left"):
            await task


async def test_rotate_key(gateway: RunningGateway) -> None:
    """Both keys are good until the new one is used; then the old one is gone."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        task = asyncio.create_task(camera.rekey())
        command = await answer(connection)
        # A camera never forgets a key: it was on disk before the camera heard of it.
        new_hash = sha256(command["args"]["api_key"].encode()).hexdigest()
        assert new_hash in json.dumps(gateway.storage.data)
        await task
    assert command["name"] == "rekey"
    new_auth = headers(command["args"]["api_key"])
    assert (await gateway.call("GET", "/stats", auth))[0] == 200
    assert (await gateway.call("GET", "/stats", new_auth))[0] == 200
    assert (await gateway.call("GET", "/stats", auth))[0] == 401
    assert (await gateway.call("GET", "/stats", new_auth))[0] == 200


async def test_rotate_key_of_a_sleeper(tmp_path: Path) -> None:
    """At its next wake, after a restart of the gateway too."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        await camera.rekey()
        storage = gateway.storage
    async with (
        run_gateway(tmp_path, storage) as gateway,
        gateway.connect(auth) as connection,
    ):
        camera = gateway.server.cameras[CAMERA_ID]
        await connection.greet()
        command = await answer(connection)
        assert command["name"] == "rekey"
        await until(lambda: not camera.rekey_pending)
        # Not yet used: a restart now must know both.
        storage = MemoryStorage(gateway.storage.flush())
    new_auth = headers(command["args"]["api_key"])
    async with run_gateway(tmp_path, storage) as gateway:
        assert (await gateway.call("GET", "/stats", auth))[0] == 200
        assert (await gateway.call("GET", "/stats", new_auth))[0] == 200
        assert (await gateway.call("GET", "/stats", auth))[0] == 401


async def test_refused_key(gateway: RunningGateway) -> None:
    """A camera that says no keeps its old key; one that is silent may have the new one."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        task = asyncio.create_task(camera.rekey())
        refused = await answer(connection, ok=False, error="flash is full")
        with pytest.raises(CommandRefused):
            await task
        task = asyncio.create_task(camera.rekey())
        silent = await connection.expect("command")
        await connection.leave()
        with pytest.raises(CommandFailed):
            await task
    for command, status in ((refused, 401), (silent, 200)):
        new_auth = headers(command["args"]["api_key"])
        assert (await gateway.call("GET", "/stats", new_auth))[0] == status


# Live view


async def test_live_view(gateway: RunningGateway) -> None:
    """The newest frame, older ones are skipped, it ends with the camera."""
    camera, auth = await gateway.register()
    assert [frame async for frame in camera.frames()] == []
    async with gateway.connect(auth) as connection:
        await connection.greet()
        seen: list[int] = []
        slow = asyncio.Event()

        async def watch() -> None:
            async with aclosing(camera.frames()) as frames:
                async for frame in frames:
                    seen.append(frame.seq)
                    await slow.wait()

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        for seq in range(1, 11):
            await connection.send_frame(seq)
        await connection.expect_ack(10)
        slow.set()
        await until(lambda: seen[-1] == 10)
        assert len(seen) <= 3
        await connection.send_frame(11)
        await until(lambda: seen[-1] == 11)
        # Resent frames are no live picture.
        await connection.send_frame(5)
        await connection.send_frame(12)
        await until(lambda: seen[-1] == 12)
        assert 5 not in seen[1:]
        await connection.leave()
        await asyncio.wait_for(watching, 20)
    assert camera.latest is not None
    assert camera.latest.seq == 12


async def test_looking_starts_the_stream_of_mains_cameras_alone(
    gateway: RunningGateway,
) -> None:
    """A camera that sleeps is not held by looking."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        async with aclosing(camera.frames()) as frames:
            asking = asyncio.ensure_future(anext(frames))
            await asyncio.sleep(0.01)
            await connection.send_frame(1)
            await asking
        camera.set_config({"power_mode": "always_on"})
        await connection.expect("config")
        assert "command" not in connection.seen
        await connection.leave()
    await until(lambda: camera.session is None)
    async with gateway.connect(auth) as connection:
        await connection.greet(config_rev=2)
        async with aclosing(camera.frames()) as frames:
            asking = asyncio.ensure_future(anext(frames))
            assert (await connection.expect("command"))["name"] == "stream_start"
            await connection.send_frame(2)
            await asking
        assert (await connection.expect("command"))["name"] == "stream_stop"


async def test_power_mode_changes_while_somebody_watches(
    gateway: RunningGateway,
) -> None:
    """A camera that stays awake from now on is asked for its stream; one that may sleep is let go."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        async with aclosing(camera.frames()) as frames:
            asking = asyncio.ensure_future(anext(frames))
            for mode, command in (
                ("always_on", "stream_start"),
                ("battery", "stream_stop"),
            ):
                rev = camera.set_config({"power_mode": mode})
                await connection.expect("config")
                await connection.send(
                    {
                        "type": "config_ack",
                        "rev": rev,
                        "applied": {"power_mode": mode},
                        "rejected": {},
                    }
                )
                assert (await connection.expect("command"))["name"] == command
            await connection.send_frame(1)
            await asking
        # Nothing is asked twice
        before = connection.seen.count("command")
        await connection.send_frame(2)
        await connection.expect_ack(2)
        assert connection.seen.count("command") == before


async def test_green_frames_are_no_picture(gateway: RunningGateway) -> None:
    """A sensor that warms up is shown live, but not kept as the latest."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1)
        await connection.expect_ack(1)
    async with gateway.connect(auth) as connection:
        await connection.greet(boot=78)
        await connection.send_frame(1, make_jpeg((640, 480)), flags=8)
        await connection.expect_ack(1)
        assert camera.latest is not None
        assert camera.latest.boot == 77
        await connection.send_frame(2)
        await connection.expect_ack(2)
        assert camera.latest.boot == 78


# Pictures that are refused


async def send_event(
    connection: CameraConnection,
    event: int,
    pictures: int,
    *,
    bad: bytes | None = None,
    good: int = 0,
) -> None:
    """Send an event of bad pictures, and some good ones."""
    for number in range(pictures):
        picture = bad if bad is not None and number >= good else make_jpeg()
        await connection.send_frame(event * 100 + number, picture, event=event)
    await connection.send({"type": "event_end", "event": event, "t": 2000})


async def test_all_pictures_of_some_events_are_refused(tmp_path: Path) -> None:
    """Two events in a row are a fault with its reason, over a restart; a good event ends it."""
    zeroed = make_jpeg()
    scan = zeroed.index(b"\xff\xda") + 14
    zeroed = zeroed[:scan] + bytes(2000) + b"\xff\xd9"
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        listener = Listener(camera)
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await send_event(connection, 1, 10, bad=zeroed)
            await until(lambda: camera.counters.events == 1)
            assert camera.pictures.fault is None
            await send_event(connection, 2, 10, bad=zeroed, good=1)
            await until(lambda: camera.counters.events == 2)
            assert camera.pictures.fault == "zeroed"
            assert camera.pictures.refused_ratio == pytest.approx(0.9)
            await until(lambda: Change.PICTURES in listener.all)
        storage = gateway.storage
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        assert camera.pictures.fault == "zeroed"
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=78)
            await send_event(connection, 1, 10)
            await until(lambda: camera.pictures.fault is None)


async def test_some_pictures_are_refused(gateway: RunningGateway) -> None:
    """Half of an event is a bad link or a brown-out, and no fault; nor are live pictures."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for event in (1, 2, 3):
            await send_event(connection, event, 10, bad=b"x", good=5)
        for seq in range(900, 920):
            await connection.send_frame(seq, b"x", event=0)
        await until(lambda: camera.counters.dropped == 35)
        assert camera.pictures.fault is None
    await until(lambda: camera.session is None)
    assert camera.pictures.fault is None


async def test_events_that_break_off(gateway: RunningGateway) -> None:
    """An event whose link is lost counts as well."""
    camera, auth = await gateway.register()
    for event in (1, 2):
        async with gateway.connect(auth) as connection:
            await connection.greet()
            for number in range(5):
                await connection.send_frame(event * 10 + number, b"x", event=event)
            await until(lambda event=event: camera.counters.dropped == event * 5)
        await until(lambda: camera.session is None)
    assert camera.pictures.fault == "no_start"


# Updates


async def test_update(gateway: RunningGateway) -> None:
    """Ordered asleep, offered at the wake, installed, confirmed by the next hello."""
    camera, auth = await gateway.register()
    listener = Listener(camera)
    camera.offer_firmware(OFFER)
    assert camera.ota is not None
    assert camera.ota.state is OtaStep.PENDING
    async with gateway.connect(auth) as connection:
        await connection.greet()
        offer = await connection.expect("ota")
        assert offer == {
            "type": "ota",
            "version": "2.0.0",
            "sha256": "ab" * 32,
            "size": 1000,
            "path": f"/firmware/{'ab' * 32}",
            "signature": "c2ln",
        }
        assert camera.ota.state is OtaStep.OFFERED
        await connection.send({"type": "ota", "state": "downloading", "percent": 40})
        await until(lambda: camera.ota and camera.ota.percent == 40)
        await connection.send({"type": "ota", "state": "verifying", "percent": 100})
        await until(lambda: camera.ota and camera.ota.state is OtaStep.VERIFYING)
        await connection.leave("ota", 5)
    await until(lambda: camera.session is None)
    assert camera.ota.state is OtaStep.INSTALLED
    async with gateway.connect(auth) as connection:
        await connection.greet(boot=78, fw="2.0.0", reason="ota")
    assert camera.ota.state is OtaStep.DONE
    assert not camera.ota.active
    assert camera.offer is None
    assert Change.OTA in listener.all


async def test_update_rolled_back(tmp_path: Path) -> None:
    """The old version after an installation: said, and not tried for ever."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            camera.offer_firmware(OFFER)
            await connection.expect("ota")
            await connection.send({"type": "ota", "state": "installed"})
            await until(lambda: camera.ota and camera.ota.state is OtaStep.INSTALLED)
        storage = gateway.storage
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=78, reason="ota")
            assert camera.ota is not None
            assert camera.ota.state is OtaStep.ROLLED_BACK
            assert camera.offer is None


async def test_update_fails(gateway: RunningGateway) -> None:
    """Three times in all, then it is over."""
    camera, auth = await gateway.register()
    camera.offer_firmware(OFFER)
    for attempt in range(1, 4):
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=attempt)
            await connection.expect("ota")
            await connection.send(
                {"type": "ota", "state": "failed", "error": "bad hash"}
            )
            await until(lambda: camera.ota and camera.ota.state is not OtaStep.OFFERED)
        assert camera.ota is not None
        assert camera.ota.error == "bad hash"
        assert camera.ota.attempts == attempt
        assert camera.ota.active is (attempt < 3)
    assert camera.ota.state is OtaStep.FAILED
    assert camera.offer is None


async def always_on(
    gateway: RunningGateway, connection: CameraConnection, camera: Camera
) -> None:
    """Have a connected camera stay so."""
    await connection.greet(config_rev=2, battery_pct=None)
    assert not camera.sleeps


async def test_update_of_a_camera_that_stays(gateway: RunningGateway) -> None:
    """It tries again by itself, three times in all; then the order has failed, and a new one is taken."""
    camera, auth = await gateway.register()
    camera.set_config({"power_mode": "always_on"})
    async with gateway.connect(auth) as connection:
        await always_on(gateway, connection, camera)
        camera.offer_firmware(OFFER)
        for attempt in range(1, 4):
            await connection.expect("ota")
            assert camera.ota is not None
            assert camera.ota.attempts == attempt
            await connection.send(
                {"type": "ota", "state": "failed", "error": "bad hash"}
            )
            await until(lambda: camera.ota and not camera.ota.running)
            gateway.clock.ahead += 31
        assert camera.ota is not None
        assert (camera.ota.state, camera.ota.error) == (OtaStep.FAILED, "bad hash")
        camera.offer_firmware(OFFER)
        await connection.expect("ota")
        assert camera.ota.state is OtaStep.OFFERED
        await connection.send({"type": "ota", "state": "installed"})
        await until(lambda: camera.ota and camera.ota.state is OtaStep.INSTALLED)
    async with gateway.connect(auth) as connection:
        await connection.greet(config_rev=2)
        # The link was lost before the restart: nothing is decided yet
        assert camera.ota.state is OtaStep.INSTALLED
    async with gateway.connect(auth) as connection:
        await connection.greet(config_rev=2, boot=78, fw="2.0.0")
    assert camera.ota.state is OtaStep.DONE


async def test_update_that_stalls(gateway: RunningGateway) -> None:
    """A camera that stays connected and says no more is asked again, then it has failed."""
    camera, auth = await gateway.register()
    camera.set_config({"power_mode": "always_on"})
    async with gateway.connect(auth) as connection:
        await always_on(gateway, connection, camera)
        camera.offer_firmware(OFFER)
        for _ in range(3):
            await connection.expect("ota")
            gateway.clock.ahead += 301
            await until(lambda: camera.ota and not camera.ota.running)
            gateway.clock.ahead += 31
        assert camera.ota is not None
        assert camera.ota.state is OtaStep.FAILED
        assert camera.ota.error == "the camera does not go on"


async def test_update_ordered_at_any_moment(gateway: RunningGateway) -> None:
    """Again while it runs changes nothing; another image takes its place; it can be withdrawn."""
    camera, auth = await gateway.register()
    other = FirmwareOffer(version="3.0.0", sha256="cd" * 32, size=1000)
    async with gateway.connect(auth) as connection:
        await connection.greet()
        camera.offer_firmware(OFFER)
        await connection.expect("ota")
        await connection.send({"type": "ota", "state": "downloading", "percent": 40})
        await until(lambda: camera.ota and camera.ota.percent == 40)
        camera.offer_firmware(OFFER)
        assert camera.ota is not None
        assert (camera.ota.percent, camera.ota.attempts) == (40, 1)
        camera.offer_firmware(other)
        assert (await connection.expect("ota"))["version"] == "3.0.0"
        camera.offer_firmware(None)
        assert (camera.ota, camera.offer) == (None, None)
        camera.offer_firmware(other)
        assert (await connection.expect("ota"))["version"] == "3.0.0"


async def test_update_goes_on_after_a_crash(tmp_path: Path) -> None:
    """A transfer that was stored as running begins again at the next hello."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            camera.offer_firmware(OFFER)
            await connection.expect("ota")
            gateway.registry.save()
            gateway.storage.flush()
            stored = json.loads(json.dumps(gateway.storage.data))
            assert stored["cameras"][CAMERA_ID]["ota"]["state"] == "offered"
    async with (
        run_gateway(tmp_path, MemoryStorage(stored)) as gateway,
        gateway.connect(auth) as connection,
    ):
        await connection.greet(boot=78)
        await connection.expect("ota")


async def test_update_interrupted(gateway: RunningGateway) -> None:
    """A camera that never says a word about it is asked three times."""
    camera, auth = await gateway.register()
    camera.offer_firmware(OFFER)
    for boot in range(4):
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=boot)
    assert camera.ota is not None
    assert camera.ota.state is OtaStep.FAILED


async def test_update_waits_for_the_battery(gateway: RunningGateway) -> None:
    """A weak battery is left alone."""
    camera, auth = await gateway.register()
    camera.offer_firmware(OFFER)
    async with gateway.connect(auth) as connection:
        await connection.greet(battery_pct=29)
        assert camera.ota is not None
        assert camera.ota.state is OtaStep.LOW_BATTERY
    async with gateway.connect(auth) as connection:
        await connection.greet(boot=78, battery_pct=30)
        await connection.expect("ota")


async def test_update_taken_back(gateway: RunningGateway) -> None:
    """No longer offered; the version that runs is no update."""
    camera, auth = await gateway.register()
    camera.offer_firmware(OFFER)
    camera.offer_firmware(None)
    assert camera.ota is None
    async with gateway.connect(auth) as connection:
        await connection.greet(fw="2.0.0")
    camera.offer_firmware(OFFER)
    assert camera.offer is None
    assert camera.ota is not None
    assert camera.ota.state is OtaStep.DONE


# Restarts


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Key, name, configuration, measurements, counters, update, times."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register(name="Gate")
        async with gateway.connect(auth) as connection:
            await connection.greet(fw="1.1.0")
            await connection.send_frame(1)
            await connection.send_frame(1)
            await connection.ws.send_bytes(b"x")
            await connection.send_frame(2, make_jpeg() + b"junk")
            await connection.expect_ack(2)
            await connection.leave(next_wake_s=600)
        await until(lambda: camera.session is None)
        camera.set_config({"vflip": True})
        camera.offer_firmware(OFFER)
        before = camera
        storage = gateway.storage
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        assert camera is not before
        for name in (
            *("name", "model", "firmware", "caps", "address", "last_seen_ms"),
            *("next_check_in_ms", "status", "telemetry", "config", "counters"),
            *("offer", "ota"),
        ):
            assert getattr(camera, name) == getattr(before, name), name
        assert camera.status is CameraStatus.ASLEEP
        async with gateway.connect(auth) as connection:
            assert (await connection.greet())["config"]["vflip"] is True
            await connection.expect("ota")


async def test_check_ins_missed_while_nobody_listened(tmp_path: Path) -> None:
    """After a long outage of the gateway nobody is late at once; who was late stays late."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        other, other_auth = await gateway.register(OTHER_ID)
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.leave(next_wake_s=600)
        async with gateway.connect(other_auth) as connection:
            await connection.greet(id=OTHER_ID)
            await connection.leave(next_wake_s=1)
        await until(lambda: camera.session is None and other.session is None)
        gateway.clock.ahead = 60
        await until(lambda: other.status is CameraStatus.LATE)
        storage, since = gateway.storage, other.late_since_ms
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        other = gateway.server.cameras[OTHER_ID]
        assert camera.status is CameraStatus.ASLEEP
        assert other.status is CameraStatus.LATE
        assert other.late_since_ms == since
        gateway.clock.ahead = 1190
        await asyncio.sleep(0.6)
        assert camera.status is CameraStatus.ASLEEP
        gateway.clock.ahead = 1210
        await until(lambda: camera.status is CameraStatus.LATE)


@pytest.mark.parametrize(
    "change",
    [
        {"key_hash": None},
        {"caps": 5},
        {"caps": {"resolutions": 5}},
    ],
    ids=str,
)
async def test_broken_row_of_the_storage(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """One camera is lost, the others stay."""
    async with run_gateway(tmp_path) as gateway:
        await gateway.register()
        await gateway.register(OTHER_ID)
        storage = gateway.storage
    assert storage.data is not None
    row = storage.data["cameras"][CAMERA_ID]
    for name, value in change.items():
        if value is ...:
            del row[name]
        else:
            row[name] = value
    async with run_gateway(tmp_path, storage) as gateway:
        assert set(gateway.server.cameras) == {OTHER_ID}


@pytest.mark.parametrize(
    "change",
    [
        {"telemetry": 5},
        {"config": [1]},
        {"counters": {"frames": "x", "drops": 5, "repairs": {"a": "b"}}},
        {"ota": {"version": "1"}},
        {"offer": {"x": 1}},
        {"last_seen_ms": "yesterday", "address": 5, "interval_s": None},
        {"new_key_hash": 5},
    ],
    ids=str,
)
async def test_half_broken_row(tmp_path: Path, change: dict[str, Any]) -> None:
    """What can be read is read: the camera need not be claimed again."""
    async with run_gateway(tmp_path) as gateway:
        _, auth = await gateway.register()
        storage = gateway.storage
    assert storage.data is not None
    storage.data["cameras"][CAMERA_ID].update(change)
    async with (
        run_gateway(tmp_path, storage) as gateway,
        gateway.connect(auth) as connection,
    ):
        await connection.greet()
        await connection.send_frame(1)
        await connection.expect_ack(1)
        json.dumps(gateway.storage.flush())


@pytest.mark.parametrize("data", [{}, {"cameras": 5}, {"cameras": {"x": {}}}])
async def test_broken_storage(tmp_path: Path, data: dict[str, Any]) -> None:
    """Nothing to read is no reason not to start."""
    async with run_gateway(tmp_path, MemoryStorage(data)) as gateway:
        assert not gateway.server.cameras
        await gateway.register()


async def test_restart_of_the_gateway_is_no_wake(tmp_path: Path) -> None:
    """A boot that was known before is neither announced nor counted; the next one is."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet(lost=3)
            await until(lambda: camera.session is not None)
        assert (camera.counters.wakes, camera.counters.lost) == (1, 3)
        storage = gateway.storage
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        listener = Listener(camera)
        async with gateway.connect(auth) as connection:
            await connection.greet(lost=3)
            await until(lambda: Change.STATUS in listener.all)
            assert Change.WOKE not in listener.all
            assert (camera.counters.wakes, camera.counters.lost) == (1, 3)
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=78)
            await until(lambda: Change.WOKE in listener.all)
        assert camera.counters.wakes == 2


async def test_boot_that_has_recordings_is_no_wake(tmp_path: Path) -> None:
    """After a crash the stored state is old, but the recordings know the boot."""
    delegate = FakeDelegate(persisted_seq={(CAMERA_ID, 77): 5})
    async with run_gateway(tmp_path, delegate=delegate) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
        assert camera.counters.wakes == 0


async def test_wakes_write_nothing(tmp_path: Path) -> None:
    """What changes at each wake is stored within an hour and at the stop; a setting soon."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
        await until(lambda: camera.session is None)
        before = gateway.storage.saves
        for boot in range(78, 83):
            async with gateway.connect(auth) as connection:
                await connection.greet(boot=boot)
                await connection.send({"type": "heartbeat", "uptime_ms": 2000})
                await connection.send_frame(1)
                await connection.leave()
            await until(lambda: camera.session is None)
        assert gateway.storage.saves == before
        gateway.clock.ahead += 3601
        await until(lambda: gateway.storage.saves == before + 1)
        camera.set_config({"vflip": True})
        assert gateway.storage.saves == before + 2
        async with gateway.connect(auth) as connection:
            await connection.greet(boot=90, config_rev=2)
        await until(lambda: camera.session is None)
        wakes, saves, storage = (
            camera.counters.wakes,
            gateway.storage.saves,
            gateway.storage,
        )
    assert storage.saves == saves + 1
    async with run_gateway(tmp_path, storage) as gateway:
        assert gateway.server.cameras[CAMERA_ID].counters.wakes == wakes


async def test_lost_pictures_are_written_soon(tmp_path: Path) -> None:
    """A crash forgets at most five minutes of what was lost; a camera that loses on and on writes no more often."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        storage = gateway.storage

        async def written(saves: int) -> None:
            await until(lambda: storage.saves > saves)
            assert storage.saves == saves + 1

        async with gateway.connect(auth) as connection:
            await connection.greet()
            await until(lambda: camera.session is not None)
            for lose in (
                lambda: camera.event_ended(2),
                camera.frame_given_up,
                lambda: camera.counters.drops.update(["crc"]),
            ):
                saves = storage.saves
                gateway.clock.ahead += 301
                await ticks(gateway, 2)
                assert storage.saves == saves
                lose()
                await written(saves)
                lose()
                await ticks(gateway, 2)
                assert storage.saves == saves + 1
                gateway.clock.ahead += 301
                await written(saves + 1)
            saved = storage.flush()
            assert saved is not None
            assert saved["cameras"][CAMERA_ID]["counters"]["lost"] == 6
            assert saved["cameras"][CAMERA_ID]["counters"]["drops"] == {"crc": 2}


async def ticks(gateway: RunningGateway, count: int) -> None:
    """Return after so many ticks of the gateway."""
    ticked = 0
    tick = gateway.registry.tick

    def counted() -> None:
        nonlocal ticked
        tick()
        ticked += 1

    gateway.registry.tick = counted  # type: ignore[method-assign]
    await until(lambda: ticked > count)
    gateway.registry.tick = tick  # type: ignore[method-assign]


async def test_motion_that_comes_and_goes_in_one_turn_is_told_twice(
    gateway: RunningGateway,
) -> None:
    """A loop that is late hears of beginning and end at once; so does who listens, one after the other."""
    camera, _ = await gateway.register()
    heard: list[tuple[bool, int]] = []
    camera.subscribe(lambda _: heard.append((camera.motion, camera.event)))
    camera.handle_motion(5, True)
    camera.handle_motion(5, False)
    camera.handle_motion(6, True)
    await until(lambda: len(heard) >= 3)
    assert heard == [(True, 5), (False, 0), (True, 6)]


async def test_rings_in_one_turn_are_told_each(gateway: RunningGateway) -> None:
    """Nobody waits at the door because somebody rang before."""
    camera, _ = await gateway.register()
    heard: list[int] = []
    camera.subscribe(
        lambda _: heard.append(camera.ring.event if camera.ring else 0), Change.RING
    )
    camera.handle_ring(77, 1, 1000, 0)
    camera.handle_ring(77, 2, 2000, 0)
    await until(lambda: len(heard) >= 2)
    assert heard == [1, 2]


# Stored by another version

FIXTURES = Path(__file__).parents[1] / "fixtures"


async def test_stored_by_version_0_1_0(tmp_path: Path) -> None:
    """Everything is there: name, settings, counters, update, times, and the key's hash."""
    data = json.loads((FIXTURES / "registry-0.1.0.json").read_text())
    stored = data["cameras"][CAMERA_ID]
    async with run_gateway(tmp_path, MemoryStorage(data)) as gateway:
        camera, other = (gateway.server.cameras[item] for item in (CAMERA_ID, OTHER_ID))
        assert (camera.name, camera.firmware) == ("Gate", "0.1.0")
        assert camera.status is CameraStatus.ASLEEP
        assert other.status is CameraStatus.LATE
        assert camera.next_check_in_ms == stored["next_check_in_ms"]
        assert camera.config.pending == {"vflip": True}
        assert camera.counters.as_dict().items() >= stored["counters"].items()
        assert camera.offer is not None
        assert camera.ota is not None
        assert camera.ota.state is OtaStep.PENDING
        gateway.registry.save()
        saved = gateway.storage.flush()
    assert saved is not None
    assert saved["version"] == 1
    assert saved["cameras"][CAMERA_ID]["key_hash"] == stored["key_hash"]


async def test_stored_without_what_has_a_default(tmp_path: Path) -> None:
    """A camera needs its key alone; the rest is said again by its next hello."""
    key = "a" * 43
    hashed = hashlib.sha256(key.encode()).hexdigest()
    storage = MemoryStorage({"cameras": {CAMERA_ID: {"key_hash": hashed}}})
    async with run_gateway(tmp_path, storage) as gateway:
        camera = gateway.server.cameras[CAMERA_ID]
        assert camera.name == "Camera BB:CC"
        async with gateway.connect(headers(key)) as connection:
            await connection.greet()
        assert camera.model == "ai-thinker"


async def test_stored_by_a_later_version(tmp_path: Path) -> None:
    """What is unknown is left out, the rest is read."""
    data = json.loads((FIXTURES / "registry-0.1.0.json").read_text())
    data["version"] = 9
    data["more"] = {}
    data["cameras"][CAMERA_ID]["more"] = 1
    data["cameras"][CAMERA_ID]["offer"]["more"] = 1
    async with run_gateway(tmp_path, MemoryStorage(data)) as gateway:
        assert set(gateway.server.cameras) == {CAMERA_ID, OTHER_ID}
