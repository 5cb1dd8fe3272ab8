"""The address over real sockets: readers that stop reading, vanish, or come a thousand times. Nothing is encoded."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
import gc
import socket
import sys

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
import pytest

from custom_components.magicpi_nvr.live import (
    LiveServer,
    Sources,
    StreamKeys,
    TooManyAttempts,
    Viewer,
    send,
    server,
)
from custom_components.magicpi_nvr.live.keys import ALL_ATTEMPTS, ATTEMPTS
from custom_components.magicpi_nvr.live.mpegts import PACKET_SIZE
from tests.harness.live import CameraFeed, make_encoder

pytestmark = pytest.mark.timeout(60)
CAMERA = "AA:BB:CC:DD:EE:01"
AVCC = bytes.fromhex("0164001effe10004 6764001e 010002 68ee".replace(" ", ""))


@dataclass
class Address:
    """A source that is fed with made up samples, and where it is read."""

    sources: Sources
    server: LiveServer
    at_ms: int = 0

    def begin(self) -> None:
        """Let a recording begin."""
        self.sources.began(CAMERA, AVCC)

    def send(self, size: int, *, key: bool = False) -> None:
        """Let a sample of so many bytes come."""
        source = self.sources.get(CAMERA)
        if not self.at_ms:
            source._tap_live = True
        self.at_ms += 100
        source.tap_sample(self.at_ms, size.to_bytes(4) + b"e" * size, key)

    async def connect(
        self, *, receive: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for the stream; `receive`: the socket's buffer."""
        url = self.server.url(CAMERA)
        assert url
        host, _, rest = url.removeprefix("http://").partition("/")
        name, port = host.split(":")
        sock = socket.socket()
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (name, int(port)))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
        writer.write(f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return reader, writer

    async def until_viewers(self, count: int) -> None:
        """Wait until so many watch."""
        async with asyncio.timeout(30):
            while self.sources.viewers != count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def address() -> AsyncGenerator[Address]:
    """Serve a camera that is being recorded."""
    feed = CameraFeed()
    made = Address(
        Sources(
            frames=lambda _: feed.frames(),
            make_encoder=make_encoder,
            free_encoders=lambda: 0,
        ),
        LiveServer(lambda camera: made.sources.get(camera)),
    )
    await made.server.start()
    made.begin()
    yield made
    await made.sources.stop()
    await made.server.stop()


async def test_reader_that_never_reads_is_cut_off(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes nothing loses its place; one that reads, however little at once, keeps it and sees all."""
    monkeypatch.setattr(server, "STALL_S", 1.0)
    _, stuck = await address.connect(receive=4096)
    reader, writer = await address.connect(receive=4096)
    await address.until_viewers(2)
    address.send(1000, key=True)
    got = 0

    async def read() -> None:
        nonlocal got
        while data := await reader.read(1024):
            got += len(data)

    reading = asyncio.create_task(read())
    async with asyncio.timeout(30):
        while address.sources.viewers == 2:
            address.send(200_000)
            before = got
            while got < before + 200_000:
                await asyncio.sleep(0.005)
    assert address.sources.viewers == 1
    assert not reading.done()
    stuck.transport.abort()
    writer.transport.abort()
    await asyncio.gather(reading, return_exceptions=True)


async def test_end_waits_for_nobody_who_does_not_read(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the stream ends, a reader that takes nothing is cut off."""
    monkeypatch.setattr(server, "_ENDING_S", 0.1)
    _, stuck = await address.connect(receive=4096)
    await address.until_viewers(1)
    address.send(1000, key=True)
    for _ in range(40):
        address.send(500_000)
        await asyncio.sleep(0.01)
    address.sources.get(CAMERA).end_viewers()
    await address.until_viewers(0)
    stuck.transport.abort()


async def test_readers_outside_leave_room_inside(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a key cannot keep this machine's own players away."""
    monkeypatch.setattr(server, "MAX_OUTSIDE", 2)
    outside: set[Viewer] = set()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await send(request, address.sources.get(CAMERA), outside)

    application = web.Application()
    application.router.add_get("/", handle)
    async with TestClient(TestServer(application)) as client:
        answers = [await client.get("/") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 503]
        assert "Retry-After" in answers[2].headers
        _, inside = await address.connect()
        await address.until_viewers(3)
        answers[0].close()
        await address.until_viewers(2)
        assert (await client.get("/")).status == 200
        inside.close()
        await address.sources.stop()


async def test_ended_at_once(address: Address) -> None:
    """Who may watch no more gets nothing that still waits for it."""
    source = address.sources.get(CAMERA)
    viewer = source.open()
    address.send(1000, key=True)
    assert viewer.size
    viewer.close(at_once=True)
    assert await viewer.read() is None
    assert viewer.size == 0


async def test_a_thousand_visits_leave_nothing(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that come and go, politely or not, leave no viewer, no task, and no memory."""

    monkeypatch.setattr(server, "_LOOK_S", 0.02)

    async def visit(number: int) -> None:
        reader, writer = await address.connect()
        if number % 3:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(PACKET_SIZE)
        if number % 2:
            writer.close()
        else:
            writer.transport.abort()

    address.sources.get(CAMERA).open()
    address.send(5000, key=True)

    async def visits(count: int) -> int:
        for number in range(count):
            await visit(number)
            address.send(5000, key=number % 20 == 0)
            if number % 50 == 0:
                await address.until_viewers(1)
        await address.until_viewers(1)
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0.05)
        gc.collect()
        return sys.getallocatedblocks()

    # Else each task remembers where it was made
    asyncio.get_running_loop().set_debug(False)
    tasks = len(asyncio.all_tasks())
    before = await visits(200)
    # One block for each visit would be much more
    assert await visits(800) < before + 400
    assert sum(isinstance(found, Viewer) for found in gc.get_objects()) == 1


async def test_port_is_taken_meanwhile(address: Address) -> None:
    """A restart finds another port where a program has taken the one before."""
    before = address.server.url(CAMERA)
    await address.server.stop()
    assert before
    assert address.server.url(CAMERA) is None
    with socket.create_server(("127.0.0.1", int(before.split(":")[2].split("/")[0]))):
        await address.server.start()
        after = address.server.url(CAMERA)
    assert after
    assert after != before


def test_old_key_of_one_camera_keeps_no_other() -> None:
    """A program that asks on with an old key is refused for its camera alone; who guesses everywhere is refused everywhere."""
    keys = StreamKeys({}, lambda: None)
    good = keys.new("B")
    keys.new("A")
    for _ in range(ATTEMPTS):
        assert not keys.check("A", "old", "1.2.3.4")
    for _ in range(2 * ALL_ATTEMPTS):
        with pytest.raises(TooManyAttempts):
            keys.check("A", "old", "1.2.3.4")
    assert keys.check("B", good, "1.2.3.4")
    for number in range(ALL_ATTEMPTS - ATTEMPTS):
        assert not keys.check(f"C{number}", "guess", "1.2.3.4")
    with pytest.raises(TooManyAttempts):
        keys.check("B", good, "1.2.3.4")
    assert keys.check("B", good, "1.2.3.5")
