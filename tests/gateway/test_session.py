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

from .support import (
    CAMERA_ID,
    JPEG,
    OTHER_ID,
    House,
    Owner,
    Wire,
    binary,
    headers,
    hello,
    make_jpeg,
    run_house,
    until,
)


async def test_whole_way(house: House) -> None:
    """Register, hello, motion, frames, acknowledgement, event end, bye."""
    camera, auth = await house.register(name="Front door")
    assert camera.name == "Front door"
    async with house.connect(auth) as wire:
        assert wire.ws.protocol == "magicpi.v1"
        assert wire.ws.compress == 0
        welcome = await wire.greet()
        assert welcome["have"] == 0
        assert welcome["config"] is None
        assert welcome["stay_awake_s"] == 0
        assert abs(welcome["time"] - house.clock.now_ms()) < 10_000
        assert camera.status == "awake"
        await wire.send(
            {"type": "motion", "event": 1, "active": True, "t": 900, "source": "pir"}
        )
        for seq in range(1, 11):
            await wire.send_frame(seq)
        await wire.send(
            {"type": "event_end", "event": 1, "t": 2000, "frames": 10, "lost": 2}
        )
        ack = await wire.expect_ack(10)
        assert ack == {"type": "ack", "boot": 77, "seq": 10}
        assert camera.status == "streaming"
        assert camera.motion
        assert [frame.seq for frame in house.owner.frames] == list(range(1, 11))
        assert house.owner.frames[0].jpeg == JPEG
        assert house.owner.ended == [(CAMERA_ID, 77, 1, 2)]
        assert camera.counters.events == 1
        assert camera.counters.lost == 2
        await wire.leave(next_wake_s=600)
        await until(lambda: camera.session is None)
        assert wire.ws.close_code == 1000
    assert camera.status == "asleep"
    assert not camera.motion
    assert camera.next_check_in_ms == pytest.approx(
        house.clock.now_ms() + 600_000, abs=10_000
    )


async def test_wall_time(house: House) -> None:
    """Wall time = arrival of hello - uptime + t; in an event, whatever the host's clock does then."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        before = house.clock.now_ms()
        welcome = await wire.greet(uptime_ms=5000)
        after = house.clock.now_ms()
        arrived = welcome["time"]
        assert before <= arrived <= after
        await wire.send_frame(1, t=0, flags=1)
        await wire.send_frame(2, t=5000)
        await house.owner.until(lambda: len(house.owner.frames) == 2)
        house.clock.wall_ahead_ms = -86_400_000
        await wire.send_frame(3, t=5500)
        await wire.send(
            {"type": "motion", "event": 1, "active": True, "t": 5600, "source": "pir"}
        )
        await house.owner.until(lambda: house.owner.motions)
    captured = [frame.captured_ms - arrived for frame in house.owner.frames]
    assert captured == [-5000, 0, 500]
    assert [frame.t for frame in house.owner.frames] == [0, 5000, 5500]
    assert house.owner.motions == [(CAMERA_ID, 77, 1, True, arrived + 600, "pir")]


async def test_events_follow_the_hosts_clock(house: House) -> None:
    """An event that begins after a step has the new time; one that runs keeps its own, also over a new link."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet(uptime_ms=1000)
        await wire.send_frame(1, t=1000)
        await house.owner.until(lambda: house.owner.frames)
        house.clock.wall_ahead_ms = 3_600_000
        await wire.send_frame(2, t=1100)
        await wire.send_frame(3, t=1200, event=2)
        await wire.send(
            {"type": "motion", "event": 2, "active": True, "t": 1300, "source": "pir"}
        )
        await house.owner.until(lambda: house.owner.motions)
        after = house.clock.now_ms()
        house.clock.wall_ahead_ms = -3_600_000
    async with house.connect(auth) as wire:
        await wire.greet(uptime_ms=1500)
        await wire.send_frame(4, t=1400, event=2)
        await wire.send_frame(5, t=1500, event=3)
        await house.owner.until(lambda: len(house.owner.frames) == 5)
    first, second, third, fourth, fifth = (
        frame.captured_ms for frame in house.owner.frames
    )
    assert second - first == 100
    assert third == pytest.approx(after, abs=1000)
    assert house.owner.motions[0][4] - third == 100
    assert fourth - third == 200
    assert fifth == pytest.approx(house.clock.now_ms(), abs=1000)


@pytest.mark.parametrize("drift", [-0.01, 0.01], ids=["slow", "fast"])
async def test_drift_is_followed(house: House, drift: float) -> None:
    """An hour with a clock that is 1 % off: an event then begins within a second of the host's time."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet(uptime_ms=1000)
        uptime = 1000.0
        for number in range(1, 361):
            house.clock.ahead += 10
            uptime += 10_000 * (1 + drift)
            await wire.send(
                {"type": "heartbeat", "uptime_ms": int(uptime), "backlog": number}
            )
            await until(lambda number=number: camera.telemetry.backlog == number)
        await wire.send_frame(1, t=int(uptime))
        await house.owner.until(lambda: house.owner.frames)
        assert house.owner.frames[0].captured_ms == pytest.approx(
            house.clock.now_ms(), abs=1000
        )


async def test_late_heartbeats_move_nothing(house: House) -> None:
    """Heartbeats that waited behind frames, or while the host was stopped, say an old uptime."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet(uptime_ms=1000)
        house.clock.ahead += 40
        for number, uptime in enumerate((11_000, 21_000, 31_000, 41_000), 1):
            await wire.send(
                {"type": "heartbeat", "uptime_ms": uptime, "backlog": number}
            )
        await until(lambda: camera.telemetry.backlog == 4)
        house.clock.ahead += 10
        await wire.send({"type": "heartbeat", "uptime_ms": 42_000, "backlog": 5})
        await until(lambda: camera.telemetry.backlog == 5)
        await wire.send_frame(1, t=51_000)
        await house.owner.until(lambda: house.owner.frames)
        assert house.owner.frames[0].captured_ms == pytest.approx(
            house.clock.now_ms(), abs=1000
        )


async def test_fragmented_frame(house: House) -> None:
    """A frame may come in WebSocket fragments, with a ping between them."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        data = binary(1)
        writer = wire.ws._writer
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
            await wire.ws.ping()
        await wire.expect_ack(1)
    assert house.owner.frames[0].jpeg == JPEG


async def test_bad_frames_are_dropped_and_counted(house: House) -> None:
    """Each kind of bad frame costs itself alone."""
    camera, auth = await house.register()
    gone = camera.counters.drops
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1)
        await wire.ws.send_bytes(b"short")
        await wire.ws.send_bytes(binary(2, version=2))
        await wire.ws.send_bytes(binary(2, length=5))
        await wire.ws.send_bytes(binary(2, length=2**32 - 1))
        await wire.ws.send_bytes(binary(2) + b"more")
        await wire.ws.send_bytes(binary(0))
        await wire.ws.send_bytes(binary(2, crc32=1))
        await wire.ws.send_bytes(binary(3, b""))
        await wire.ws.send_bytes(binary(4, b"no jpeg"))
        await wire.ws.send_bytes(binary(5, make_jpeg(mode="CMYK")))
        await wire.ws.send_bytes(binary(6, t=2**64 - 1))
        await wire.send_frame(7)
        await wire.expect_ack(7)
    assert [frame.seq for frame in house.owner.frames] == [1, 7]
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


async def test_damage_in_the_scan(house: House) -> None:
    """The CRC finds what no marker shows; the good copy may come later."""
    _, auth = await house.register()
    damaged = bytearray(JPEG)
    damaged[len(JPEG) // 2] ^= 0x10
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.ws.send_bytes(binary(1)[:24] + bytes(damaged))
        await wire.send_frame(1)
        await wire.expect_ack(1)
    assert [frame.jpeg for frame in house.owner.frames] == [JPEG]


async def test_last_damaged_frame_is_acknowledged(house: House) -> None:
    """Sending it again would not mend it: the camera may forget it."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1)
        await wire.ws.send_bytes(binary(2, b"no jpeg"))
        await wire.expect_ack(2)
        # A number beyond belief is not acknowledged.
        await wire.ws.send_bytes(binary(4_000_000_000, b"no jpeg"))
        await wire.send_frame(3)
        assert (await wire.expect_ack(3))["seq"] == 3


async def test_repairs_are_counted(house: House) -> None:
    """A repaired frame is a frame, and said to be repaired."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, JPEG + b"\0\0\0")
        await wire.send_frame(2, JPEG[:-2])
        await wire.expect_ack(2)
    assert [frame.jpeg for frame in house.owner.frames] == [JPEG, JPEG]
    assert all(frame.repaired for frame in house.owner.frames)
    assert camera.counters.repairs == {"junk_after": 1, "no_end": 1}


async def test_size_change_and_backward_times(house: House) -> None:
    """Another size, equal and backward times: the frames' own business."""
    _, auth = await house.register()
    larger = make_jpeg((640, 480))
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, t=1000)
        await wire.send_frame(2, larger, t=1000)
        await wire.send_frame(3, t=900)
        await wire.expect_ack(3)
    frames = house.owner.frames
    assert [(frame.width, frame.height) for frame in frames] == [
        (320, 240),
        (640, 480),
        (320, 240),
    ]
    assert [frame.t for frame in frames] == [1000, 1000, 900]


async def test_resend_after_a_lost_link(house: House) -> None:
    """What came twice is kept once; what came late is kept too."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        for seq in (1, 2, 3, 6):
            await wire.send_frame(seq)
        await house.owner.until(lambda: len(house.owner.frames) == 4)
        wire.ws._writer.transport.abort()
    async with house.connect(auth) as wire:
        assert (await wire.greet())["have"] == 6
        for seq in (3, 4, 5, 6, 7):
            await wire.send_frame(seq)
        await wire.expect_ack(7)
    assert [frame.seq for frame in house.owner.frames] == [1, 2, 3, 6, 4, 5, 7]
    assert camera.counters.duplicates == 2


async def test_ack_follows_the_disk(house: House) -> None:
    """Accepted is not kept: `ack` and `have` say what is safe."""
    _, auth = await house.register()
    owner = house.owner
    owner.keep = False
    async with house.connect(auth) as wire:
        await wire.greet()
        owner.take = False
        for seq in (1, 2):
            await wire.send_frame(seq, event=0)
        await wire.expect_ack(2)
        owner.take = True
        for seq in range(3, 9):
            await wire.send_frame(seq)
        await owner.until(lambda: len(owner.frames) == 8)
        await wire.expect("ack")
        assert wire.acks[-1]["seq"] == 2
        owner.persisted_seq[(CAMERA_ID, 77)] = 5
        assert (await wire.expect_ack(3))["seq"] == 5
    async with house.connect(auth) as wire:
        assert (await wire.greet())["have"] == 5
        owner.persisted_seq[(CAMERA_ID, 77)] = 8
        assert (await wire.expect_ack(6))["seq"] == 8
    async with house.connect(auth) as wire:
        assert (await wire.greet(boot=78))["have"] == 0


async def test_acks_keep_coming_while_frames_come(house: House) -> None:
    """At least each second, also when nothing new is safe."""
    _, auth = await house.register()
    house.owner.keep = False
    loop = asyncio.get_running_loop()
    async with house.connect(auth) as wire:
        await wire.greet()

        async def stream() -> None:
            for seq in range(1, 1000):
                await wire.send_frame(seq)
                await asyncio.sleep(0.05)

        streaming = asyncio.create_task(stream())
        times = []
        while len(times) < 4:
            await wire.expect("ack")
            times.append(loop.time())
        streaming.cancel()
    assert all(ack["seq"] == 0 for ack in wire.acks)


async def test_restart_of_the_gateway(tmp_path: Path) -> None:
    """A camera goes on where the disk is; what is there already is not taken again."""
    async with run_house(tmp_path) as house:
        _, auth = await house.register()
        async with house.connect(auth) as wire:
            await wire.greet()
            for seq in range(1, 6):
                await wire.send_frame(seq)
            await wire.expect_ack(5)
            storage, owner = house.storage, house.owner
            stopping = asyncio.create_task(house.gateway.stop())
            assert await wire.closed() == (1001, "gateway stops")
            await stopping
    storage.flush()
    owner.persisted_seq[(CAMERA_ID, 77)] = 3
    owner.frames.clear()
    async with (
        run_house(tmp_path, storage, owner) as house,
        house.connect(auth) as wire,
    ):
        assert (await wire.greet())["have"] == 3
        for seq in range(2, 6):
            await wire.send_frame(seq)
        await wire.expect_ack(5)
    assert [frame.seq for frame in owner.frames] == [4, 5]


async def test_messages_of_a_stream_end(house: House) -> None:
    """A last frame without `event_end` ends its event when the camera is gone."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, flags=4)
        await wire.expect_ack(1)
        assert house.owner.ended == []
        await wire.leave()
    await house.owner.until(lambda: house.owner.ended)
    assert house.owner.ended == [(CAMERA_ID, 77, 1, 0)]


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
    house: House, first: Mapping[str, Any] | str | bytes, reason: str
) -> None:
    """1008 with the reason; nothing of it shows on the camera."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        if isinstance(first, bytes):
            await wire.ws.send_bytes(first)
        else:
            await wire.send(first)
        assert await wire.closed() == (CloseCode.POLICY, reason)
    assert camera.session is None
    assert camera.hello is None
    assert house.owner.frames == []


async def test_no_hello(tmp_path: Path) -> None:
    """Who says nothing is closed; the older session of the id stays."""
    async with run_house(tmp_path, hello_timeout_s=0.3) as house:
        camera, auth = await house.register()
        async with house.connect(auth) as wire, house.connect(auth) as silent:
            await wire.greet()
            assert await silent.closed() == (1008, "no hello")
            await wire.send_frame(1)
            await wire.expect_ack(1)
            assert camera.session is not None


async def test_newer_connection_wins(house: House) -> None:
    """4001 for the older one, and its end changes nothing."""
    camera, auth = await house.register()
    async with house.connect(auth) as older, house.connect(auth) as newer:
        await older.greet()
        first = camera.session
        await newer.greet()
        assert (await older.closed())[0] == CloseCode.REPLACED
        assert camera.session is not first
        await newer.send_frame(1)
        await newer.expect_ack(1)
        assert camera.status == "streaming"
    await until(lambda: camera.session is None)


async def test_forgotten_camera(house: House) -> None:
    """4003, after a word that the key is worthless."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await house.gateway.forget(CAMERA_ID)
        assert (await wire.expect("command"))["name"] == "forget"
        assert (await wire.closed())[0] == CloseCode.REVOKED
    assert CAMERA_ID not in house.gateway.cameras
    assert (await house.call("GET", "/stats", auth))[0] == 401
    await house.gateway.forget(CAMERA_ID)


async def test_claimed_anew(house: House) -> None:
    """The old key is worthless at once, its session is closed with 4003."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        again, new_auth = await house.register()
        assert again is camera
        assert (await wire.closed())[0] == CloseCode.REVOKED
    assert (await house.call("GET", "/stats", auth))[0] == 401
    assert (await house.call("GET", "/stats", new_auth))[0] == 200


async def test_idle(tmp_path: Path) -> None:
    """4008 when nothing comes; a ping or a part of a frame is something."""
    async with run_house(tmp_path, idle_timeout_s=1) as house:
        _, auth = await house.register()
        async with house.connect(auth) as wire:
            await wire.greet()
            transport = wire.ws._writer.transport
            for _ in range(5):
                await asyncio.sleep(0.4)
                await wire.ws.ping()
            transport.write(b"\x82\xfe\x10\x00" + b"\0\0\0\0")
            for _ in range(5):
                await asyncio.sleep(0.4)
                transport.write(b"\0" * 10)
            assert house.gateway.cameras[CAMERA_ID].session is not None
        async with house.connect(auth) as wire:
            await wire.greet()
            assert await wire.closed() == (CloseCode.IDLE, "idle")


async def test_bye_without_close(tmp_path: Path) -> None:
    """A camera that says bye and stays is seen off."""
    async with run_house(tmp_path) as house:
        camera, auth = await house.register()
        async with house.connect(auth) as wire:
            await wire.greet()
            await wire.send({"type": "bye", "reason": "sleep", "next_wake_s": 60})
            assert (await wire.closed())[0] == 1000
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
    house: House, data: str | bytes, kind: WSMsgType, greeted: bool
) -> None:
    """1009."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        if greeted:
            await wire.greet()
        elif kind is WSMsgType.BINARY and len(data) <= MAX_BINARY_BYTES:
            return
        if isinstance(data, str):
            await wire.ws.send_str(data)
        else:
            await wire.ws.send_bytes(data)
        assert (await wire.closed())[0] == CloseCode.TOO_BIG


async def test_largest(house: House) -> None:
    """A frame of 512 KiB and a text of 16 KiB are no trouble."""
    camera, auth = await house.register()
    largest = JPEG + bytes(512 * 1024 - len(JPEG))
    text = json.dumps({"type": "log", "level": "info", "message": "x"})
    text = text[:-1] + " " * (MAX_TEXT_BYTES - len(text)) + "}"
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send(text)
        await wire.send_frame(1, largest)
        await wire.expect_ack(1)
    assert camera.counters.repairs == {"junk_after": 1}
    assert [line.message for line in camera.log] == ["x"]


async def test_a_gigabyte_of_text(house: House) -> None:
    """What has no end is cut off early: the sender gets nowhere near it."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        transport = wire.ws._writer.transport
        transport.write(b"\x81\xff" + (2**30).to_bytes(8) + b"\0\0\0\0")
        assert (await wire.closed())[0] == CloseCode.TOO_BIG
    async with house.connect(auth) as wire:
        await wire.greet()
        sent = 0
        transport = wire.ws._writer.transport
        while sent < 2**30 and transport is not None and not transport.is_closing():
            # Fragments without end.
            transport.write(b"\x01\xff" + (65536).to_bytes(8) + bytes(4 + 65536))
            sent += 65536
            await asyncio.sleep(0)
        assert sent < 2**30


async def test_garbage(house: House) -> None:
    """Some garbage is counted and forgiven, a lot is not."""
    camera, auth = await house.register()
    faults = camera.counters.faults
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send("garbage")
        await wire.send("[]")
        await wire.send("{}")
        await wire.send({"type": "motion", "event": "x"})
        await wire.send({"type": "future", "x": 1})
        await wire.send({"type": "result", "id": 99, "ok": True})
        await wire.send({"type": "ota", "state": "installed"})
        await wire.send({"type": "config_ack", "rev": 99})
        await wire.send(hello())
        await wire.send_frame(1)
        await wire.expect_ack(1)
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
            await wire.send("garbage")
        assert await wire.closed() == (CloseCode.POLICY, "too much garbage")


async def test_flood_of_config_acks(house: House) -> None:
    """10,000 of them: most are not even read, and the camera is closed."""
    camera, auth = await house.register()
    other, other_auth = await house.register(OTHER_ID)
    async with house.connect(auth) as wire, house.connect(other_auth) as good:
        await wire.greet()
        await good.greet(id=OTHER_ID)
        for _ in range(10_000):
            await wire.send({"type": "config_ack", "rev": 1, "applied": {}})
        assert await wire.closed() == (CloseCode.POLICY, "too many messages")
        await good.send_frame(1)
        await good.expect_ack(1)
    assert camera.counters.faults["flood"] >= 2000
    assert other.counters.faults == {}


async def test_flood_of_frames(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a camera can take are dropped; what comes later is taken again."""
    monkeypatch.setattr(session, "FRAME_BURST", 20)
    monkeypatch.setattr(session, "FRAMES_PER_TICK", 5)
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        for seq in range(1, 201):
            await wire.send_frame(seq)
        await wire.expect_ack(20)
        await until(lambda: camera.counters.frames + camera.counters.dropped == 200)
        assert camera.counters.drops["flood"] >= 100
        await until(lambda: camera.session and camera.session._frames_left > 0)  # type: ignore[arg-type, return-value]
        await wire.send_frame(201)
        await wire.expect_ack(201)
    assert house.owner.frames[-1].seq == 201


async def test_camera_that_never_reads(house: House) -> None:
    """Its queue is bounded, then it is closed."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        session = camera.session
        assert session is not None
        assert wire.ws._response.connection is not None
        transport = wire.ws._response.connection.transport
        assert transport is not None
        transport.pause_reading()
        for _ in range(200):
            session.send("x" * 300_000)
        await until(lambda: camera.session is None)
        transport.resume_reading()


async def test_failing_owner(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """1011, one trace in the log, the frame is not acknowledged."""
    camera, auth = await house.register()

    class Broken(Owner):
        def frame_received(self, camera: Any, frame: Frame) -> bool:
            raise RuntimeError("broken")

    async with house.connect(auth) as wire:
        await wire.greet()
        assert camera.session is not None
        camera.session._delegate = Broken()
        await wire.send_frame(1)
        assert (await wire.closed())[0] == CloseCode.INTERNAL
    errors = [record for record in caplog.records if record.exc_info]
    assert len(errors) == 1
    caplog.clear()
    async with house.connect(auth) as wire:
        assert (await wire.greet())["have"] == 0


# The way in


async def open_websocket(house: House, auth: Mapping[str, str], **kwargs: Any) -> int:
    """Try to open a WebSocket; returns the status."""
    async with house.session() as http:
        try:
            ws = await http.ws_connect(
                "/ws",
                headers=auth,
                server_hostname=house.authority.server_name,
                **kwargs,
            )
        except WSServerHandshakeError as err:
            return err.status
        await ws.close()
        return 101


async def test_way_in(house: House) -> None:
    """Key and subprotocol are asked for."""
    _, auth = await house.register()
    protocols = ("magicpi.v1",)
    assert await open_websocket(house, auth, protocols=("other", *protocols)) == 101
    assert await open_websocket(house, auth) == 400
    assert await open_websocket(house, auth, protocols=("magicpi.v2",)) == 400
    assert (await open_websocket(house, headers("wrong"), protocols=protocols)) == 401
    status, body, _ = await house.call("GET", "/ws", auth)
    assert (status, body["error"]) == (426, "upgrade_required")


async def test_compression_is_not_spoken(house: House) -> None:
    """Who offers it gets none."""
    _, auth = await house.register()
    async with (
        house.session() as http,
        http.ws_connect(
            "/ws",
            headers=auth,
            protocols=("magicpi.v1",),
            compress=15,
            server_hostname=house.authority.server_name,
        ) as ws,
    ):
        assert not ws.compress
        await Wire(ws).greet()


async def test_many_cameras_at_once(house: House) -> None:
    """Twenty that wake in the same second behind one address: all are served."""
    registered = [
        await house.register(f"24:6F:28:00:00:{number:02X}") for number in range(20)
    ]

    async def wake(camera_id: str, auth: Mapping[str, str]) -> None:
        async with house.connect(auth) as wire:
            await wire.greet(id=camera_id)
            for seq in range(1, 11):
                await wire.send_frame(seq)
            await wire.expect_ack(10)
            await wire.leave()

    await asyncio.gather(*(wake(camera.id, auth) for camera, auth in registered))
    assert len(house.owner.frames) == 200
    assert house.gateway.counters["refused_too_many"] == 0


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

    async with run_house(tmp_path) as house:
        cameras = [
            (await house.register(f"24:6F:28:00:00:{number:02X}"))[0].id
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


async def test_order_of_frames_and_messages(house: House) -> None:
    """Frames before a message, and before the end of the link, are handled before it."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        for event in (1, 2):
            for seq in (event * 2 - 1, event * 2):
                await wire.send_frame(seq, event=event)
            await wire.send({"type": "event_end", "event": event, "t": 1300})
        await wire.send_frame(5, event=3)
        seen = house.owner
        await seen.until(lambda: len(seen.ended) == 2)
        assert len(seen.frames) >= 4
    await house.owner.until(lambda: len(house.owner.frames) == 5)
    assert [frame.seq for frame in house.owner.frames] == [1, 2, 3, 4, 5]


async def test_frames_of_a_replaced_connection_count_in_their_boot(
    house: House,
) -> None:
    """A newer connection with a new boot changes nothing about the older one's frames."""
    camera, auth = await house.register()
    async with house.connect(auth) as older, house.connect(auth) as newer:
        await older.greet()
        await older.send_frame(1)
        await house.owner.until(lambda: house.owner.frames)
        welcome = await newer.greet(boot=78)
        assert welcome["have"] == 0
        assert [frame.boot for frame in house.owner.frames] == [77]
        assert camera.progress is not None
        assert (camera.progress.boot, camera.progress.highest) == (78, 0)
        assert (await older.closed())[0] == CloseCode.REPLACED


async def test_orientation_and_rotation(house: House) -> None:
    """The tag comes with the picture; the rotation is added to it, from the next event on."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = make_jpeg((640, 480), exif=exif.tobytes())
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, picture)
        await wire.send_frame(2)
        await house.owner.until(lambda: len(house.owner.frames) == 2)
        house.owner.degrees = 270
        await wire.send_frame(3, event=1)
        await wire.send_frame(4, event=2)
        await wire.send_frame(5, picture, event=2)
        await house.owner.until(lambda: len(house.owner.frames) == 5)
    assert [frame.orientation for frame in house.owner.frames] == [90, 0, 0, 270, 0]
    assert all(
        check_jpeg(frame.jpeg).orientation == frame.orientation
        for frame in house.owner.frames
    )
    assert house.owner.frames[0].jpeg == picture
    assert house.owner.frames[2].jpeg == JPEG


async def test_rotation_of_live_pictures(house: House) -> None:
    """Between events it counts soon."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, event=0)
        await house.owner.until(lambda: len(house.owner.frames) == 1)
        house.owner.degrees = 180
        seq = 1
        while not house.owner.frames[-1].orientation:
            seq += 1
            await wire.send_frame(seq, event=0)
            await house.owner.until(lambda seq=seq: len(house.owner.frames) == seq)
            await wire.expect("ack")
        assert house.owner.frames[-1].orientation == 180
