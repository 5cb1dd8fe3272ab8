"""The loop is woken for whole TLS records and frames, and for nothing that will not come."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
import random
import socket

from aiohttp import ClientSession, TCPConnector
import pytest

from custom_components.magicpi_nvr.gateway.link import listener
from custom_components.magicpi_nvr.gateway.link.socket import RecordSocket
from tests.harness.gateway import (
    CAMERA_ID,
    HOST,
    CameraConnection,
    RunningGateway,
    binary,
    make_jpeg,
    run_gateway,
)

SEGMENT = 1436
PICTURE = make_jpeg((800, 600), quality=80)


def record(length: int) -> bytes:
    """Return a TLS record with so many bytes behind its head."""
    return b"\x17\x03\x03" + length.to_bytes(2) + bytes(length)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, RecordSocket]]:
    """Two ends of a connection on which what is sent is there."""
    far, other = socket.socketpair()
    near = RecordSocket(other.detach())
    # As asyncio has it: one that blocks would wait for the mark, too.
    near.setblocking(False)
    with far, near:
        yield far, near


def low_water(sock: RecordSocket) -> int:
    """Return how many bytes must wait before the kernel wakes anybody."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


@pytest.mark.parametrize("seed", range(20))
def test_waits_for_the_record(
    ends: tuple[socket.socket, RecordSocket], seed: int
) -> None:
    """However the bytes are cut: for the rest of a long record, and else for one byte."""
    chance = random.Random(seed)
    far, near = ends
    lengths = [chance.choice((1, 40, 2040, 4096, 16_408)) for _ in range(30)]
    stream = b"".join(map(record, lengths))
    bounds = [0]
    for length in lengths:
        bounds.append(bounds[-1] + 5 + length)
    buffer = memoryview(bytearray(65536))
    position = 0
    while position < len(stream):
        far.sendall(
            stream[position : position + chance.choice((1, 3, 5, 700, 1436, 40_000))]
        )
        count = near.recv_into(buffer)
        assert buffer[:count] == stream[position : position + count]
        position += count
        begin = max(bound for bound in bounds if bound <= position)
        # A head that is not whole says nothing.
        missing = 0
        if position - begin >= 5:
            missing = min(bound for bound in bounds if bound >= position) - position
        assert low_water(near) == (missing if missing >= 2048 else 1)
    assert low_water(near) == 1


@pytest.mark.parametrize("overhead", [21, 29])
@pytest.mark.parametrize("seed", range(20))
def test_never_waits_for_what_does_not_come(
    ends: tuple[socket.socket, RecordSocket], overhead: int, seed: int
) -> None:
    """What is waited for is at most what the rest of a frame has on the wire."""
    chance = random.Random(seed)
    far, near = ends
    buffer = memoryview(bytearray(1 << 20))
    plain = chance.randrange(30_000, 200_000)
    size = chance.choice((2000, 4096, 16_384))
    pieces = [min(size, plain - at) for at in range(0, plain, size)]
    stream = b"".join(record(piece + overhead - 5) for piece in pieces)
    position = 0
    raised = 0
    while position < len(stream):
        far.sendall(stream[position : position + SEGMENT])
        position += near.recv_into(buffer)
        decrypted = at = 0
        for piece in pieces:
            if (at := at + piece + overhead) > position:
                break
            decrypted += piece
        near.expect(plain - decrypted)
        assert low_water(near) <= max(1, len(stream) - position)
        raised = max(raised, low_water(near))
    assert low_water(near) == 1
    assert raised > 16_384


def test_closed_meanwhile() -> None:
    """Nobody is woken, and nothing is raised."""
    near, far = socket.socketpair()
    sock = RecordSocket(near.detach())
    with far:
        sock.expect(50_000)
        assert low_water(sock) == 50_000
        sock.close()
        sock.wake_now()


@asynccontextmanager
async def in_segments(gateway: RunningGateway) -> AsyncIterator[int]:
    """Forward a port to the gateway's, segment by segment."""
    links: set[asyncio.Task[None]] = set()

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(SEGMENT):
                writer.write(data)
                await writer.drain()
                # The gateway is in this loop: it has read by now what it wants to read.
                for _ in range(6):
                    await asyncio.sleep(0)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, gateway.server.port)
        for ends in ((reader, back), (there, writer)):
            links.add(asyncio.create_task(forward(*ends)))

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


async def test_a_frame_in_segments_wakes_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each segment; and its last byte has it taken, without the help of a tick."""
    reads = 0

    class Counted(RecordSocket):
        def recv_into(self, *args: object) -> int:
            nonlocal reads
            reads += 1
            return super().recv_into(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(listener, "RecordSocket", Counted)
    async with (
        run_gateway(tmp_path, tick_s=3600) as gateway,
        in_segments(gateway) as port,
        ClientSession(
            f"https://{HOST}:{port}",
            connector=TCPConnector(ssl=gateway.client_context()),
        ) as http,
        http.ws_connect(
            "/ws",
            headers=(await gateway.register())[1],
            protocols=("magicpi.v1",),
            compress=0,
            server_hostname=gateway.authority.server_name,
        ) as ws,
    ):
        connection = CameraConnection(ws)
        await connection.greet()
        for seq in range(1, 11):
            before = reads
            await connection.send_frame(seq, PICTURE)
            await gateway.delegate.until(
                lambda seq=seq: len(gateway.delegate.frames) == seq
            )
            assert reads - before < len(binary(seq, PICTURE)) / SEGMENT / 3
        assert [frame.jpeg for frame in gateway.delegate.frames] == [PICTURE] * 10
        assert gateway.server.cameras[CAMERA_ID].counters.dropped == 0
