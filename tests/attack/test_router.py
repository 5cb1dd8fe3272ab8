"""Somebody at the same router as the cameras: one address, many tries."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from aiohttp import ClientSession
import pytest

from custom_components.magicpi_nvr.gateway import CloseCode, ListenerLimits
from custom_components.magicpi_nvr.gateway.trust.claim import seal_bundle
from tests.harness.gateway import (
    CAMERA_ID,
    HOST,
    OTHER_ID,
    RunningGateway,
    headers,
    hello,
    registration,
    run_gateway,
)
from tests.harness.waiting import until
from virtual_camera import VirtualCamera

# For what has to hold however fast somebody gets to try.
AT_ANY_RATE = ListenerLimits(burst=100_000)


async def be_a_good_camera(gateway: RunningGateway, auth: Mapping[str, str]) -> None:
    """Send a hundred frames in a second; all are acknowledged."""
    async with gateway.connect(auth) as connection:
        await connection.greet()
        for seq in range(1, 101):
            await connection.send_frame(seq)
            await asyncio.sleep(0.01)
        await connection.expect_ack(100)


async def test_good_camera_beside_somebody_who_guesses(tmp_path: Path) -> None:
    """Guesses at its own id from its own address are slowed down; the camera comes, sends, and comes again."""
    async with run_gateway(tmp_path, limits=AT_ANY_RATE) as gateway:
        _, auth = await gateway.register()
        statuses = []
        for number in range(40):
            guess = headers(f"guess-{number}")
            statuses.append((await gateway.call("GET", "/stats", guess))[0])
        assert statuses.count(401) <= 15
        assert statuses[-1] == 429
        for number in range(40):
            body = registration(f"guess-{number}", OTHER_ID)
            await gateway.call("POST", "/register", json=body)
        for boot in (1, 2):
            async with gateway.connect(auth) as connection:
                await connection.greet(boot=boot)
                await connection.send_frame(1)
                await connection.expect_ack(1)
                await connection.leave()
        assert (await gateway.call("GET", "/stats", auth))[0] == 200
        # And another one can be claimed meanwhile
        token = gateway.server.issue_token(OTHER_ID, data={})
        answer = await gateway.call(
            "POST", "/register", json=registration(token, OTHER_ID)
        )
        assert answer[0] == 201
        assert [frame.camera for frame in gateway.delegate.frames] == [CAMERA_ID] * 2


async def test_good_key_and_another_id(tmp_path: Path) -> None:
    """A camera's own key opens nothing of another camera, by header or by hello."""
    async with run_gateway(tmp_path) as gateway:
        _, auth = await gateway.register()
        await gateway.register(OTHER_ID)
        mixed = headers(auth["Authorization"].removeprefix("Bearer "), OTHER_ID)
        for path in ("/stats", "/device/status", "/recordings"):
            unknown = headers("x" * 43, "24:6F:28:00:00:99")
            wrong = await gateway.call("GET", path, mixed)
            strange = await gateway.call("GET", path, unknown)
            assert wrong[:2] == strange[:2]
            assert wrong[0] == 401
        async with gateway.connect(auth) as connection:
            await connection.send(hello(id=OTHER_ID))
            assert (await connection.closed())[0] == CloseCode.POLICY
        assert gateway.server.cameras[OTHER_ID].hello is None
        assert gateway.server.cameras[OTHER_ID].last_seen_ms is None


@pytest.fixture
async def cameras() -> AsyncGenerator[list[VirtualCamera]]:
    """Two cameras that nobody has claimed."""
    cameras = [
        VirtualCamera(setup_code=code, wifi_s=0.01, always_on=True)
        for code in ("7K3M-Q9XD-2F5T-HW8R", "7K3M-Q9XD-2F5T-HW8S")
    ]
    yield cameras
    for camera in cameras:
        await camera.stop()


async def test_replayed_setup_box(tmp_path: Path, cameras: list[VirtualCamera]) -> None:
    """A box that was overheard opens nothing: not the same camera again, and no other one."""
    async with run_gateway(tmp_path) as gateway, ClientSession() as http:
        for camera in cameras:
            await camera.start()
            await camera.wait_state("setup")
        first, second = cameras
        url = f"http://127.0.0.1:{first.setup_port}/setup"
        async with http.get(url) as response:
            nonce = (await response.json())["nonce"]
        token = gateway.server.issue_token(first.id, data={})
        bundle = gateway.server.bundle(token=token, name="x", hosts=["127.0.0.1"])
        box = seal_bundle(first.setup_code, first.id, nonce, bundle)
        async with http.post(url, json=box) as response:
            assert response.status == 204
        # At another camera, which has another code and another nonce
        other = f"http://127.0.0.1:{second.setup_port}/setup"
        async with http.post(other, json=box) as response:
            assert response.status in (403, 410)
        await first.wait_event("welcome")
        # After a reset the nonce is another
        first.factory_reset()
        await first.wait_state("setup")
        url = f"http://127.0.0.1:{first.setup_port}/setup"
        async with http.get(url):
            pass
        async with http.post(url, json=box) as response:
            assert response.status == 410
        # And the token in it was used
        answer = await gateway.call(
            "POST", "/register", json=registration(token, first.id)
        )
        assert answer[0] in (401, 409)


async def test_picture_that_claims_to_be_huge(tmp_path: Path) -> None:
    """65500 x 65500 in a few hundred bytes: dropped by its header, acknowledged, nothing decoded."""
    sof = bytes.fromhex("ffc00011080000000003012200021101031101")
    huge = bytearray(
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
        + sof
        + bytes.fromhex("ffda000c03010002110311003f00")
        + bytes(range(1, 200))
        + b"\xff\xd9"
    )
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = (65500).to_bytes(2) * 2
    async with run_gateway(tmp_path) as gateway:
        camera, auth = await gateway.register()
        async with gateway.connect(auth) as connection:
            await connection.greet()
            for seq in range(1, 51):
                await connection.send_frame(seq, bytes(huge))
            await connection.send_frame(51)
            await connection.expect_ack(51)
        assert camera.counters.drops == {"dimensions": 50}
        assert [frame.seq for frame in gateway.delegate.frames] == [51]


async def test_everything_at_once(tmp_path: Path) -> None:
    """While all of it goes on from one address, a camera at another one loses nothing."""
    async with run_gateway(tmp_path, limits=AT_ANY_RATE) as gateway:
        _, auth = await gateway.register()
        _, bad = await gateway.register(OTHER_ID)
        stop = asyncio.Event()

        async def garbage() -> None:
            while not stop.is_set():
                async with gateway.connect(bad) as connection:
                    await connection.greet(id=OTHER_ID)
                    for _ in range(150):
                        await connection.send("garbage")
                    await connection.closed()

        async def guesses() -> None:
            while not stop.is_set():
                await gateway.call("GET", "/stats", headers("wrong"))

        attackers = [asyncio.create_task(work()) for work in (garbage, guesses)]
        await be_a_good_camera(gateway, auth)
        stop.set()
        await asyncio.gather(*attackers)
        good = [
            frame.seq for frame in gateway.delegate.frames if frame.camera == CAMERA_ID
        ]
        assert good == list(range(1, 101))


async def test_handshakes_in_a_loop(tmp_path: Path) -> None:
    """Somebody shakes hands as fast as it goes: a few are served, the camera beside loses nothing."""
    limits = ListenerLimits(burst=30, rate=0.1)
    async with run_gateway(tmp_path, limits=limits) as gateway:
        _, auth = await gateway.register()
        context = gateway.client_context()
        tries, served = 0, 0
        stop = asyncio.Event()

        async def shake() -> None:
            nonlocal tries, served
            while not stop.is_set():
                tries += 1
                try:
                    _, writer = await asyncio.open_connection(
                        HOST,
                        gateway.server.port,
                        local_addr=("127.0.0.9", 0),
                        ssl=context,
                        server_hostname=gateway.authority.server_name,
                    )
                except OSError:
                    continue
                served += 1
                writer.transport.abort()

        loop = asyncio.get_running_loop()
        begin = loop.time()
        attackers = [asyncio.create_task(shake()) for _ in range(5)]
        await be_a_good_camera(gateway, auth)
        await until(lambda: tries > 100)
        stop.set()
        await asyncio.gather(*attackers)
        assert served <= 30 + 0.1 * (loop.time() - begin)
        assert tries > 2 * served
        assert gateway.server.counters["refused_too_fast"] == tries - served
