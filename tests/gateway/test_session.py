"""Sessions of cameras over real TLS sockets."""

import asyncio
from collections import Counter
from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, WSServerHandshakeError
from PIL import Image
import pytest

from custom_components.magicpi_nvr.gateway import session
from custom_components.magicpi_nvr.gateway.camera.camera import Camera
from custom_components.magicpi_nvr.gateway.jpeg import check_jpeg
from custom_components.magicpi_nvr.gateway.protocol import (
    MAX_BINARY_BYTES,
    MAX_TEXT_BYTES,
    CloseCode,
    Frame,
)
from custom_components.magicpi_nvr.gateway.server import TICKED_TOGETHER
from tests.harness.gateway import (
    CAMERA_ID,
    JPEG,
    OTHER_ID,
    CameraConnection,
    RunningGateway,
    binary,
    headers,
    hello,
    make_jpeg,
    run_gateway,
)
from tests.harness.waiting import until


async def test_whole_way(gateway: RunningGateway) -> None:
    """Register, hello, motion, frames, acknowledgement, event end, bye."""
    camera, auth = await gateway.register(name="Front door")
    assert camera.name == "Front door"
    async with gateway.connect(auth) as connection:
        assert connection.ws.protocol == "magicpi.v1"
        assert connection.ws.compress == 0
        welcome = await connection.greet()
        assert welcome["have"] == 0
        assert welcome["config"] is None
        assert welcome["stay_awake_s"] == 0
        assert abs(welcome["time"] - gateway.clock.now_ms()) < 10_000
        assert camera.status == "awake"
        await connection.send(
            {"type": "motion", "event": 1, "active": True, "t": 900, "source": "pir"}
        )
        for seq in range(1, 11):
            await connection.send_frame(seq)
        await connection.send(
            {"type": "event_end", "event": 1, "t": 2000, "frames": 10, "lost": 2}
        )
        ack = await connection.expect_ack(10)
        assert ack == {"type": "ack", "boot": 77, "seq": 10}
        assert camera.status == "streaming"
        assert camera.motion
        assert [frame.seq for frame in gateway.delegate.frames] == list(range(1, 11))
        assert gateway.delegate.frames[0].jpeg == JPEG
        assert gateway.delegate.ended == [(CAMERA_ID, 77, 1, 2)]
        assert camera.counters.events == 1
        assert camera.counters.lost == 2
        await connection.leave(next_wake_s=600)
        await until(lambda: camera.session is None)
        assert connection.ws.close_code == 1000
    assert camera.status == "asleep"
    assert not camera.motion
    assert camera.next_check_in_ms == pytest.approx(
        gateway.clock.now_ms() + 600_000, abs=10_000
    )


async def test_wall_time(gateway: RunningGateway) -> None:
    """Wall time = arrival of hello - uptime + t; in an event, whatever the host's clock does then."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        before = gateway.clock.now_ms()
        welcome = await connection.greet(uptime_ms=5000)
        after = gateway.clock.now_ms()
        arrived = welcome["time"]
        assert before <= arrived <= after
        await connection.send_frame(1, t=0, flags=1)
        await connection.send_frame(2, t=5000)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 2)
        gateway.clock.wall_ahead_ms = -86_400_000
        await connection.send_frame(3, t=5500)
        await connection.send(
            {"type": "motion", "event": 1, "active": True, "t": 5600, "source": "pir"}
        )
        await gateway.delegate.until(lambda: gateway.delegate.motions)
    captured = [frame.captured_ms - arrived for frame in gateway.delegate.frames]
    assert captured == [-5000, 0, 500]
    assert [frame.t for frame in gateway.delegate.frames] == [0, 5000, 5500]
    assert gateway.delegate.motions == [(CAMERA_ID, 77, 1, True, arrived + 600, "pir")]


async def test_events_follow_the_hosts_clock(gateway: RunningGateway) -> None:
    """An event that begins after a step has the new time; one that runs keeps its own, also over a new link."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet(uptime_ms=1000)
        await connection.send_frame(1, t=1000)
        await gateway.delegate.until(lambda: gateway.delegate.frames)
        gateway.clock.wall_ahead_ms = 3_600_000
        await connection.send_frame(2, t=1100)
        await connection.send_frame(3, t=1200, event=2)
        await connection.send(
            {"type": "motion", "event": 2, "active": True, "t": 1300, "source": "pir"}
        )
        await gateway.delegate.until(lambda: gateway.delegate.motions)
        after = gateway.clock.now_ms()
        gateway.clock.wall_ahead_ms = -3_600_000
    async with gateway.connect(auth) as connection:
        await connection.greet(uptime_ms=1500)
        await connection.send_frame(4, t=1400, event=2)
        await connection.send_frame(5, t=1500, event=3)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 5)
    first, second, third, fourth, fifth = (
        frame.captured_ms for frame in gateway.delegate.frames
    )
    assert second - first == 100
    assert third == pytest.approx(after, abs=1000)
    assert gateway.delegate.motions[0][4] - third == 100
    assert fourth - third == 200
    assert fifth == pytest.approx(gateway.clock.now_ms(), abs=1000)


@pytest.mark.parametrize("drift", [-0.01, 0.01], ids=["slow", "fast"])
async def test_drift_is_followed(gateway: RunningGateway, drift: float) -> None:
    """An hour with a clock that is 1 % off: an event then begins within a second of the host's time."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet(uptime_ms=1000)
        uptime = 1000.0
        for number in range(1, 361):
            gateway.clock.ahead += 10
            uptime += 10_000 * (1 + drift)
            await connection.send(
                {"type": "heartbeat", "uptime_ms": int(uptime), "backlog": number}
            )
            await until(lambda number=number: camera.telemetry.backlog == number)
        await connection.send_frame(1, t=int(uptime))
        await gateway.delegate.until(lambda: gateway.delegate.frames)
        assert gateway.delegate.frames[0].captured_ms == pytest.approx(
            gateway.clock.now_ms(), abs=1000
        )


async def test_late_heartbeats_move_nothing(gateway: RunningGateway) -> None:
    """Heartbeats that waited behind frames, or while the host was stopped, say an old uptime."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet(uptime_ms=1000)
        gateway.clock.ahead += 40
        for number, uptime in enumerate((11_000, 21_000, 31_000, 41_000), 1):
            await connection.send(
                {"type": "heartbeat", "uptime_ms": uptime, "backlog": number}
            )
        await until(lambda: camera.telemetry.backlog == 4)
        gateway.clock.ahead += 10
        await connection.send({"type": "heartbeat", "uptime_ms": 42_000, "backlog": 5})
        await until(lambda: camera.telemetry.backlog == 5)
        await connection.send_frame(1, t=51_000)
        await gateway.delegate.until(lambda: gateway.delegate.frames)
        assert gateway.delegate.frames[0].captured_ms == pytest.approx(
            gateway.clock.now_ms(), abs=1000
        )


async def test_fragmented_frame(gateway: RunningGateway) -> None:
    """A frame may come in WebSocket fragments, with a ping between them."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        data = binary(1)
        writer = connection.ws._writer
        pieces = [data[:10], data[10:2000], data[2000:]]
        for index, piece in enumerate(pieces):
            first = 0x02 if index == 0 else 0x00
            final = 0x80 if index == len(pieces) - 1 else 0x00
            mask = b"\1\2\3\4"
            masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(piece))
            writer.transport.write(
                bytes([first | final, 0x80 | 126])
                + len(piece).to_bytes(2)
                + mask
                + masked
            )
            await connection.ws.ping()
        await connection.expect_ack(1)
    assert gateway.delegate.frames[0].jpeg == JPEG


async def test_bad_frames_are_dropped_and_counted(gateway: RunningGateway) -> None:
    """Each kind of bad frame costs itself alone."""
    camera, auth = await gateway.register()
    gone = camera.counters.drops
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1)
        await connection.ws.send_bytes(b"short")
        await connection.ws.send_bytes(binary(2, version=2))
        await connection.ws.send_bytes(binary(2, length=5))
        await connection.ws.send_bytes(binary(2, length=2**32 - 1))
        await connection.ws.send_bytes(binary(2) + b"more")
        await connection.ws.send_bytes(binary(0))
        await connection.ws.send_bytes(binary(2, crc32=1))
        await connection.ws.send_bytes(binary(3, b""))
        await connection.ws.send_bytes(binary(4, b"no jpeg"))
        await connection.ws.send_bytes(binary(5, make_jpeg(mode="CMYK")))
        await connection.ws.send_bytes(binary(6, t=2**64 - 1))
        await connection.send_frame(7)
        await connection.expect_ack(7)
    assert [frame.seq for frame in gateway.delegate.frames] == [1, 7]
    assert gone == {
        "short_header": 1,
        "version": 1,
        "too_big": 1,
        "length": 2,
        "seq": 1,
        "crc": 1,
        "empty": 1,
        "no_start": 1,
        "colors": 1,
        "time": 1,
    }
    assert camera.counters.frames == 2
    assert camera.counters.dropped == 11


async def test_damage_in_the_scan(gateway: RunningGateway) -> None:
    """The CRC finds what no marker shows; the good copy may come later."""
    _, auth = await gateway.register()
    damaged = bytearray(JPEG)
    damaged[len(JPEG) // 2] ^= 0x10
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.ws.send_bytes(binary(1)[:24] + bytes(damaged))
        await connection.send_frame(1)
        await connection.expect_ack(1)
    assert [frame.jpeg for frame in gateway.delegate.frames] == [JPEG]


async def test_last_damaged_frame_is_acknowledged(gateway: RunningGateway) -> None:
    """Sending it again would not repair it: the camera may forget it."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1)
        await connection.ws.send_bytes(binary(2, b"no jpeg"))
        await connection.expect_ack(2)
        # A number beyond belief is not acknowledged.
        await connection.ws.send_bytes(binary(4_000_000_000, b"no jpeg"))
        await connection.send_frame(3)
        assert (await connection.expect_ack(3))["seq"] == 3


async def test_repairs_are_counted(gateway: RunningGateway) -> None:
    """A repaired frame is a frame, and said to be repaired."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1, JPEG + b"\0\0\0")
        await connection.send_frame(2, JPEG[:-2])
        await connection.expect_ack(2)
    assert [frame.jpeg for frame in gateway.delegate.frames] == [JPEG, JPEG]
    assert all(frame.repaired for frame in gateway.delegate.frames)
    assert camera.counters.repairs == {"junk_after": 1, "no_end": 1}


async def test_size_change_and_backward_times(gateway: RunningGateway) -> None:
    """Another size, equal and backward times: the frames' own business."""
    _, auth = await gateway.register()
    larger = make_jpeg((640, 480))
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1, t=1000)
        await connection.send_frame(2, larger, t=1000)
        await connection.send_frame(3, t=900)
        await connection.expect_ack(3)
    frames = gateway.delegate.frames
    assert [(frame.width, frame.height) for frame in frames] == [
        (320, 240),
        (640, 480),
        (320, 240),
    ]
    assert [frame.t for frame in frames] == [1000, 1000, 900]


async def test_resend_after_a_lost_link(gateway: RunningGateway) -> None:
    """What came twice is handed on once; what came late is handed on too."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for seq in (1, 2, 3, 6):
            await connection.send_frame(seq)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 4)
        connection.transport.abort()
    async with gateway.connect(auth) as connection:
        assert (await connection.greet())["have"] == 6
        for seq in (3, 4, 5, 6, 7):
            await connection.send_frame(seq)
        await connection.expect_ack(7)
    assert [frame.seq for frame in gateway.delegate.frames] == [1, 2, 3, 6, 4, 5, 7]
    assert camera.counters.duplicates == 2


async def test_ack_follows_the_disk(gateway: RunningGateway) -> None:
    """Accepted is not persisted: `ack` and `have` say what is persisted."""
    _, auth = await gateway.register()
    delegate = gateway.delegate
    delegate.keep = False
    async with gateway.connect(auth) as connection:
        await connection.greet()
        delegate.take = False
        for seq in (1, 2):
            await connection.send_frame(seq, event=0)
        await connection.expect_ack(2)
        delegate.take = True
        for seq in range(3, 9):
            await connection.send_frame(seq)
        await delegate.until(lambda: len(delegate.frames) == 8)
        await connection.expect("ack")
        assert connection.acks[-1]["seq"] == 2
        delegate.persisted_seq[(CAMERA_ID, 77)] = 5
        assert (await connection.expect_ack(3))["seq"] == 5
    async with gateway.connect(auth) as connection:
        assert (await connection.greet())["have"] == 5
        delegate.persisted_seq[(CAMERA_ID, 77)] = 8
        assert (await connection.expect_ack(6))["seq"] == 8
    async with gateway.connect(auth) as connection:
        assert (await connection.greet(boot=78))["have"] == 0


async def test_acks_keep_coming_while_frames_come(gateway: RunningGateway) -> None:
    """At least each second, also when nothing new is persisted."""
    _, auth = await gateway.register()
    gateway.delegate.keep = False
    loop = asyncio.get_running_loop()
    async with gateway.connect(auth) as connection:
        await connection.greet()

        async def stream() -> None:
            for seq in range(1, 1000):
                await connection.send_frame(seq)
                await asyncio.sleep(0.05)

        streaming = asyncio.create_task(stream())
        times = []
        while len(times) < 4:
            await connection.expect("ack")
            times.append(loop.time())
        streaming.cancel()
    assert all(ack["seq"] == 0 for ack in connection.acks)


async def test_restart_of_the_gateway(tmp_path: Path) -> None:
    """A camera goes on where the disk is; what is there already is not taken again."""
    async with run_gateway(tmp_path) as gateway:
        _, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            for seq in range(1, 6):
                await connection.send_frame(seq)
            await connection.expect_ack(5)
            storage, delegate = gateway.storage, gateway.delegate
            stopping = asyncio.create_task(gateway.server.stop())
            assert await connection.closed() == (1001, "gateway stops")
            await stopping
    storage.flush()
    delegate.persisted_seq[(CAMERA_ID, 77)] = 3
    delegate.frames.clear()
    async with (
        run_gateway(tmp_path, storage, delegate) as gateway,
        gateway.connect(auth) as connection,
    ):
        assert (await connection.greet())["have"] == 3
        for seq in range(2, 6):
            await connection.send_frame(seq)
        await connection.expect_ack(5)
    assert [frame.seq for frame in delegate.frames] == [4, 5]


async def test_messages_of_a_stream_end(gateway: RunningGateway) -> None:
    """A last frame without `event_end` ends its event when the camera is gone."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1, flags=4)
        await connection.expect_ack(1)
        assert gateway.delegate.ended == []
        await connection.leave()
    await gateway.delegate.until(lambda: gateway.delegate.ended)
    assert gateway.delegate.ended == [(CAMERA_ID, 77, 1, 0)]


# What ends a session


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (hello(proto=2), "proto 1 expected"),
        (hello(id=OTHER_ID), "hello of another id"),
        (hello(boot=-1), "bad hello: bad boot"),
        (hello(uptime_ms=None), "bad hello: missing uptime_ms"),
        ({"type": "heartbeat", "uptime_ms": 5}, "hello expected"),
        ("nonsense", "bad hello: not_json"),
        (binary(1), "hello expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_hello(
    gateway: RunningGateway, first: Mapping[str, Any] | str | bytes, reason: str
) -> None:
    """1008 with the reason; nothing of it shows on the camera."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        if isinstance(first, bytes):
            await connection.ws.send_bytes(first)
        else:
            await connection.send(first)
        assert await connection.closed() == (CloseCode.POLICY, reason)
    assert camera.session is None
    assert camera.hello is None
    assert gateway.delegate.frames == []


async def test_no_hello(tmp_path: Path) -> None:
    """Who says nothing is closed; the older session of the id stays."""
    async with run_gateway(tmp_path, hello_timeout_s=0.3) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection, gateway.connect(auth) as silent:
            await connection.greet()
            assert await silent.closed() == (1008, "no hello")
            await connection.send_frame(1)
            await connection.expect_ack(1)
            assert camera.session is not None


async def test_newer_connection_wins(gateway: RunningGateway) -> None:
    """4001 for the older one, and its end changes nothing."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as older, gateway.connect(auth) as newer:
        await older.greet()
        first = camera.session
        await newer.greet()
        assert (await older.closed())[0] == CloseCode.REPLACED
        assert camera.session is not first
        await newer.send_frame(1)
        await newer.expect_ack(1)
        assert camera.status == "streaming"
    await until(lambda: camera.session is None)


async def test_forgotten_camera(gateway: RunningGateway) -> None:
    """4003, after a word that the key is worthless."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await gateway.server.forget(CAMERA_ID)
        assert (await connection.expect("command"))["name"] == "forget"
        assert (await connection.closed())[0] == CloseCode.REVOKED
    assert CAMERA_ID not in gateway.server.cameras
    assert (await gateway.call("GET", "/stats", auth))[0] == 401
    await gateway.server.forget(CAMERA_ID)


async def test_claimed_again(gateway: RunningGateway) -> None:
    """The old key is worthless at once, its session is closed with 4003."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        again, new_auth = await gateway.register()
        assert again is camera
        assert (await connection.closed())[0] == CloseCode.REVOKED
    assert (await gateway.call("GET", "/stats", auth))[0] == 401
    assert (await gateway.call("GET", "/stats", new_auth))[0] == 200


async def test_idle(tmp_path: Path) -> None:
    """4008 when nothing comes; a ping or a part of a frame is something."""
    async with run_gateway(tmp_path, idle_timeout_s=1) as gateway:
        _, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            transport = connection.transport
            for _ in range(5):
                await asyncio.sleep(0.4)
                await connection.ws.ping()
            transport.write(b"\x82\xfe\x10\x00" + b"\0\0\0\0")
            for _ in range(5):
                await asyncio.sleep(0.4)
                transport.write(b"\0" * 10)
            assert gateway.server.cameras[CAMERA_ID].session is not None
        async with gateway.connect(auth) as connection:
            await connection.greet()
            assert await connection.closed() == (CloseCode.IDLE, "idle")


async def test_bye_without_close(tmp_path: Path) -> None:
    """A camera that says bye and stays is seen off."""
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.send({"type": "bye", "reason": "sleep", "next_wake_s": 60})
            assert (await connection.closed())[0] == 1000
        await until(lambda: camera.session is None)
        assert camera.status == "asleep"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("x" * (MAX_TEXT_BYTES + 1), WSMsgType.TEXT),
        ("ä" * (MAX_TEXT_BYTES // 2 + 1), WSMsgType.TEXT),
        ("x" * (2 * MAX_BINARY_BYTES), WSMsgType.TEXT),
        (bytes(MAX_BINARY_BYTES + 1), WSMsgType.BINARY),
    ],
    ids=["text", "wide text", "huge text", "binary"],
)
@pytest.mark.parametrize("greeted", [True, False])
async def test_too_big(
    gateway: RunningGateway, data: str | bytes, kind: WSMsgType, greeted: bool
) -> None:
    """1009."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        if greeted:
            await connection.greet()
        elif kind is WSMsgType.BINARY and len(data) <= MAX_BINARY_BYTES:
            return
        if isinstance(data, str):
            await connection.ws.send_str(data)
        else:
            await connection.ws.send_bytes(data)
        assert (await connection.closed())[0] == CloseCode.TOO_BIG


async def test_largest(gateway: RunningGateway) -> None:
    """A frame of 512 KiB and a text of 16 KiB are no trouble."""
    camera, auth = await gateway.register()
    largest = JPEG + bytes(512 * 1024 - len(JPEG))
    text = json.dumps({"type": "log", "level": "info", "message": "x"})
    text = text[:-1] + " " * (MAX_TEXT_BYTES - len(text)) + "}"
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send(text)
        await connection.send_frame(1, largest)
        await connection.expect_ack(1)
    assert camera.counters.repairs == {"junk_after": 1}
    assert [line.message for line in camera.log] == ["x"]


async def test_a_gigabyte_of_text(gateway: RunningGateway) -> None:
    """What has no end is cut off early: the sender gets nowhere near it."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        transport = connection.transport
        transport.write(b"\x81\xff" + (2**30).to_bytes(8) + b"\0\0\0\0")
        assert (await connection.closed())[0] == CloseCode.TOO_BIG
    async with gateway.connect(auth) as connection:
        await connection.greet()
        sent = 0
        transport = connection.transport
        while sent < 2**30 and transport is not None and not transport.is_closing():
            # Fragments without end.
            transport.write(b"\x01\xff" + (65536).to_bytes(8) + bytes(4 + 65536))
            sent += 65536
            await asyncio.sleep(0)
        assert sent < 2**30


async def test_garbage(gateway: RunningGateway) -> None:
    """Some garbage is counted and forgiven, a lot is not."""
    camera, auth = await gateway.register()
    faults = camera.counters.faults
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send("garbage")
        await connection.send("[]")
        await connection.send("{}")
        await connection.send({"type": "motion", "event": "x"})
        await connection.send({"type": "future", "x": 1})
        await connection.send({"type": "result", "id": 99, "ok": True})
        await connection.send({"type": "ota", "state": "installed"})
        await connection.send({"type": "config_ack", "rev": 99})
        await connection.send(hello())
        await connection.send_frame(1)
        await connection.expect_ack(1)
        assert faults == {
            "not_json": 1,
            "not_an_object": 1,
            "no_type": 1,
            "bad_message": 1,
            "unknown_type": 1,
            "result": 1,
            "ota": 1,
            "config_ack": 1,
            "hello": 1,
        }
        for _ in range(100):
            await connection.send("garbage")
        assert await connection.closed() == (CloseCode.POLICY, "too much garbage")


async def test_flood_of_config_acks(gateway: RunningGateway) -> None:
    """10,000 of them: most are not even read, and the camera is closed."""
    camera, auth = await gateway.register()
    other, other_auth = await gateway.register(OTHER_ID)
    async with gateway.connect(auth) as connection, gateway.connect(other_auth) as good:
        await connection.greet()
        await good.greet(id=OTHER_ID)
        for _ in range(10_000):
            await connection.send({"type": "config_ack", "rev": 1, "applied": {}})
        assert await connection.closed() == (CloseCode.POLICY, "too many messages")
        await good.send_frame(1)
        await good.expect_ack(1)
    assert camera.counters.faults["flood"] >= 2000
    assert other.counters.faults == {}


async def test_flood_of_frames(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a camera can take are dropped; what comes later is taken again."""
    monkeypatch.setattr(session, "FRAME_BURST", 20)
    monkeypatch.setattr(session, "FRAMES_PER_TICK", 5)
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for seq in range(1, 201):
            await connection.send_frame(seq)
        await connection.expect_ack(20)
        await until(lambda: camera.counters.frames + camera.counters.dropped == 200)
        assert camera.counters.drops["flood"] >= 100
        await until(lambda: camera.session and camera.session._frames_left > 0)  # type: ignore[arg-type, return-value]
        await connection.send_frame(201)
        await connection.expect_ack(201)
    assert gateway.delegate.frames[-1].seq == 201


async def test_camera_that_never_reads(gateway: RunningGateway) -> None:
    """Its queue is bounded, then it is closed."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        session = camera.session
        assert session is not None
        transport = connection.transport
        transport.pause_reading()
        for _ in range(200):
            session.send("x" * 300_000)
        await until(lambda: camera.session is None)
        transport.resume_reading()


async def test_failing_owner(
    gateway: RunningGateway,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1011, one trace in the log, the frame is not acknowledged."""
    _, auth = await gateway.register()

    def broken(camera: Any, frame: Frame) -> bool:
        raise RuntimeError("broken")

    async with gateway.connect(auth) as connection:
        await connection.greet()
        monkeypatch.setattr(gateway.delegate, "frame_received", broken)
        await connection.send_frame(1)
        assert (await connection.closed())[0] == CloseCode.INTERNAL
    errors = [record for record in caplog.records if record.exc_info]
    assert len(errors) == 1
    caplog.clear()
    async with gateway.connect(auth) as connection:
        assert (await connection.greet())["have"] == 0


# The way in


async def open_websocket(
    gateway: RunningGateway, auth: Mapping[str, str], **kwargs: Any
) -> int:
    """Try to open a WebSocket; returns the status."""
    async with gateway.session() as http:
        try:
            ws = await http.ws_connect(
                "/ws",
                headers=auth,
                server_hostname=gateway.authority.server_name,
                **kwargs,
            )
        except WSServerHandshakeError as err:
            return err.status
        await ws.close()
        return 101


async def test_way_in(gateway: RunningGateway) -> None:
    """Key and subprotocol are asked for."""
    _, auth = await gateway.register()
    protocols = ("magicpi.v1",)
    assert await open_websocket(gateway, auth, protocols=("other", *protocols)) == 101
    assert await open_websocket(gateway, auth) == 400
    assert await open_websocket(gateway, auth, protocols=("magicpi.v2",)) == 400
    assert (await open_websocket(gateway, headers("wrong"), protocols=protocols)) == 401
    status, body, _ = await gateway.call("GET", "/ws", auth)
    assert (status, body["error"]) == (426, "upgrade_required")


async def test_compression_is_not_spoken(gateway: RunningGateway) -> None:
    """Who offers it gets none."""
    _, auth = await gateway.register()
    async with (
        gateway.session() as http,
        http.ws_connect(
            "/ws",
            headers=auth,
            protocols=("magicpi.v1",),
            compress=15,
            server_hostname=gateway.authority.server_name,
        ) as ws,
    ):
        assert not ws.compress
        await CameraConnection(ws).greet()


async def test_many_cameras_at_once(gateway: RunningGateway) -> None:
    """Twenty that wake in the same second behind one address: all are served."""
    registered = [
        await gateway.register(f"24:6F:28:00:00:{number:02X}") for number in range(20)
    ]

    async def wake(camera_id: str, auth: Mapping[str, str]) -> None:
        async with gateway.connect(auth) as connection:
            await connection.greet(id=camera_id)
            for seq in range(1, 11):
                await connection.send_frame(seq)
            await connection.expect_ack(10)
            await connection.leave()

    await asyncio.gather(*(wake(camera.id, auth) for camera, auth in registered))
    assert len(gateway.delegate.frames) == 200
    assert gateway.server.counters["refused_too_many"] == 0


async def test_many_cameras_are_not_ticked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each tick each has its turn, and between some of them the loop has its own."""
    ticked: list[tuple[str, int]] = []
    turn = 0

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async with run_gateway(tmp_path) as gateway:
        cameras = [
            (await gateway.register(f"24:6F:28:00:00:{number:02X}"))[0].id
            for number in range(2 * TICKED_TOGETHER + 1)
        ]
        monkeypatch.setattr(
            Camera, "tick", lambda camera: ticked.append((camera.id, turn))
        )
        counting = asyncio.create_task(count_turns())
        await until(lambda: len(ticked) >= 3 * len(cameras))
        counting.cancel()
    begin = [name for name, _ in ticked].index(cameras[0])
    assert [name for name, _ in ticked[begin:]][: len(cameras)] == cameras
    assert max(Counter(number for _, number in ticked).values()) <= TICKED_TOGETHER


async def test_order_of_frames_and_messages(gateway: RunningGateway) -> None:
    """Frames before a message, and before the end of the link, are handled before it."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for event in (1, 2):
            for seq in (event * 2 - 1, event * 2):
                await connection.send_frame(seq, event=event)
            await connection.send({"type": "event_end", "event": event, "t": 1300})
        await connection.send_frame(5, event=3)
        seen = gateway.delegate
        await seen.until(lambda: len(seen.ended) == 2)
        assert len(seen.frames) >= 4
    await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 5)
    assert [frame.seq for frame in gateway.delegate.frames] == [1, 2, 3, 4, 5]


async def test_frames_of_a_replaced_connection_count_in_their_boot(
    gateway: RunningGateway,
) -> None:
    """A newer connection with a new boot changes nothing about the older one's frames."""
    camera, auth = await gateway.register()
    async with gateway.connect(auth) as older, gateway.connect(auth) as newer:
        await older.greet()
        await older.send_frame(1)
        await gateway.delegate.until(lambda: gateway.delegate.frames)
        welcome = await newer.greet(boot=78)
        assert welcome["have"] == 0
        assert [frame.boot for frame in gateway.delegate.frames] == [77]
        assert camera.progress is not None
        assert (camera.progress.boot, camera.progress.highest) == (78, 0)
        assert (await older.closed())[0] == CloseCode.REPLACED


async def test_orientation_and_rotation(gateway: RunningGateway) -> None:
    """The tag comes with the picture; the rotation is added to it, from the next event on."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = make_jpeg((640, 480), exif=exif.tobytes())
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1, picture)
        await connection.send_frame(2)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 2)
        gateway.delegate.degrees = 270
        await connection.send_frame(3, event=1)
        await connection.send_frame(4, event=2)
        await connection.send_frame(5, picture, event=2)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 5)
    assert [frame.orientation for frame in gateway.delegate.frames] == [
        90,
        0,
        0,
        270,
        0,
    ]
    assert all(
        check_jpeg(frame.jpeg).orientation == frame.orientation
        for frame in gateway.delegate.frames
    )
    assert gateway.delegate.frames[0].jpeg == picture
    assert gateway.delegate.frames[2].jpeg == JPEG


async def test_rotation_of_live_pictures(gateway: RunningGateway) -> None:
    """Between events it counts soon."""
    _, auth = await gateway.register()
    async with gateway.connect(auth) as connection:
        await connection.greet()
        await connection.send_frame(1, event=0)
        await gateway.delegate.until(lambda: len(gateway.delegate.frames) == 1)
        gateway.delegate.degrees = 180
        seq = 1
        while not gateway.delegate.frames[-1].orientation:
            seq += 1
            await connection.send_frame(seq, event=0)
            await gateway.delegate.until(
                lambda seq=seq: len(gateway.delegate.frames) == seq
            )
            await connection.expect("ack")
        assert gateway.delegate.frames[-1].orientation == 180


async def test_damaged_frames_are_lost_to_their_event(gateway: RunningGateway) -> None:
    """A picture that came damaged and never whole is one that the event lacks."""
    _, auth = await gateway.register()
    for first in (True, False):
        async with gateway.connect(auth) as connection:
            await connection.greet()
            if first:
                await connection.send_frame(1)
                await connection.ws.send_bytes(binary(2, crc32=1))
                await connection.ws.send_bytes(binary(3, b"no jpeg"))
                await connection.ws.send_bytes(binary(4, crc32=1))
                await connection.send_frame(5)
                await connection.expect_ack(5)
            else:
                # What was damaged on the way comes again whole.
                await connection.send_frame(4)
                await connection.send(
                    {"type": "event_end", "event": 1, "t": 2000, "lost": 3}
                )
                await gateway.delegate.until(lambda: gateway.delegate.ended)
    assert gateway.delegate.ended == [(CAMERA_ID, 77, 1, 3 + 2)]


async def test_owner_hears_of_a_clock_that_is_set(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tick, once for each step."""
    heard: list[bool] = []
    monkeypatch.setattr(gateway.delegate, "clock_stepped", lambda: heard.append(True))
    real = gateway.clock.now_ms
    monkeypatch.setattr(gateway.clock, "now_ms", lambda: real() + 3_600_000)
    await until(lambda: heard)
    monkeypatch.setattr(gateway.clock, "now_ms", real)
    await until(lambda: len(heard) == 2)
