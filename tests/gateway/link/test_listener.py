"""Connections that have shown no key are bounded in number and time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import ClientError
import pytest

from custom_components.magicpi_nvr.gateway.link.listener import ListenerLimits, origin
from custom_components.magicpi_nvr.gateway.server import Gateway
from custom_components.magicpi_nvr.gateway.trust.limits import RateLimit
from tests.harness.gateway import (
    CAMERA_ID,
    HOST,
    OTHER_ID,
    RunningGateway,
    headers,
    run_gateway,
)
from tests.harness.waiting import until

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def dial(
    gateway: RunningGateway, *, tls: bool = True, source: str = HOST
) -> AsyncIterator[Streams]:
    """Open a connection that asks for nothing."""
    reader, writer = await asyncio.open_connection(
        HOST,
        gateway.server.port,
        local_addr=(source, 0),
        ssl=gateway.client_context() if tls else None,
        server_hostname=gateway.authority.server_name if tls else None,
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def gone(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side closes; whatever it still says is of no interest."""
    async with asyncio.timeout(20):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
    return True


def limits(**values: float) -> ListenerLimits:
    """Return limits that let a test end soon."""
    return ListenerLimits(**{"admission_s": 0.3, **values})  # type: ignore[arg-type]


async def test_ten_per_address(tmp_path: Path) -> None:
    """The eleventh waits a moment, then is closed; other addresses get in."""
    async with (
        run_gateway(tmp_path, limits=limits()) as gateway,
        AsyncExitStack() as stack,
    ):
        for _ in range(10):
            await stack.enter_async_context(dial(gateway))
        reader, _ = await stack.enter_async_context(dial(gateway, tls=False))
        assert await gone(reader)
        assert gateway.server.counters["refused_too_many"] == 1
        await stack.enter_async_context(dial(gateway, source="127.0.0.2"))


async def test_waiting_for_a_place(tmp_path: Path) -> None:
    """A place that becomes free goes to the next that waits."""
    async with run_gateway(tmp_path, limits=limits(admission_s=10)) as gateway:
        async with AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(dial(gateway))
            asking = asyncio.create_task(gateway.call("GET", "/health"))
            await until(lambda: gateway.server.counters["connections"] == 11)
            assert not asking.done()
        assert (await asking)[0] == 200
        assert gateway.server.counters["refused_too_many"] == 0


async def test_sixty_four_in_all(tmp_path: Path) -> None:
    """No address is let in beyond; one that has shown a key doesn't count."""
    async with (
        run_gateway(tmp_path, limits=limits()) as gateway,
        AsyncExitStack() as stack,
    ):
        _, auth = await gateway.register()
        connection = await stack.enter_async_context(gateway.connect(auth))
        await connection.greet()
        for number in range(64):
            await stack.enter_async_context(
                dial(gateway, tls=False, source=f"127.0.1.{number // 10 + 1}")
            )
        await until(lambda: gateway.server.counters["connections"] == 66)
        reader, _ = await stack.enter_async_context(
            dial(gateway, tls=False, source="127.0.2.1")
        )
        assert await gone(reader)
        await connection.send_frame(1)
        await connection.expect_ack(1)


async def test_authenticated_connections_hold_no_place(gateway: RunningGateway) -> None:
    """Fifteen sessions from one address."""
    async with AsyncExitStack() as stack:
        for number in range(15):
            camera_id = f"24:6F:28:00:00:{number:02X}"
            _, auth = await gateway.register(camera_id)
            connection = await stack.enter_async_context(gateway.connect(auth))
            await connection.greet(id=camera_id)
        assert (await gateway.call("GET", "/health"))[0] == 200


async def test_thousand_connections(tmp_path: Path) -> None:
    """A flood from one address: a camera elsewhere is served meanwhile."""
    async with (
        run_gateway(tmp_path, limits=limits(handshake_s=120, burst=1000)) as gateway,
        AsyncExitStack() as stack,
    ):
        _, auth = await gateway.register()

        async def flood() -> None:
            for _ in range(1000):
                await stack.enter_async_context(
                    dial(gateway, tls=False, source="127.0.0.9")
                )

        flooding = asyncio.create_task(flood())
        await until(lambda: gateway.server.counters["connections"] > 300)
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.send_frame(1)
            await connection.expect_ack(1)
        await flooding
        await until(lambda: gateway.server.counters["connections"] >= 1002)
        # 64 hold a place, 64 may wait for one at a time, and those wait 0.3 s
        await until(lambda: gateway.server.counters["refused_too_many"] >= 1000 - 64)


async def flood(
    gateway: RunningGateway, stack: AsyncExitStack, *, hosts: int, each: int
) -> None:
    """Have strangers open connections that say nothing."""
    before = gateway.server.counters["connections"]
    for host in range(hosts):
        for _ in range(each):
            await stack.enter_async_context(
                dial(gateway, tls=False, source=f"127.0.3.{host}")
            )
    await until(lambda: gateway.server.counters["connections"] == before + hosts * each)


async def test_strangers_make_room_for_known_cameras(tmp_path: Path) -> None:
    """They hold and wait for all that there is: a camera at its usual address gets in."""
    async with (
        run_gateway(tmp_path, limits=limits(admission_s=15, handshake_s=15)) as gateway,
        AsyncExitStack() as stack,
    ):
        _, auth = await gateway.register()
        await flood(gateway, stack, hosts=12, each=20)
        # 64 hold a place, 64 wait for one
        assert gateway.server.counters["refused_too_many"] == 240 - 64 - 64
        assert gateway.server.counters["evicted"] == 0
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.send_frame(1)
            await connection.expect_ack(1)
        # A camera that has another address now is a stranger like them
        gateway.server.cameras[CAMERA_ID].address = "127.0.4.1"
        assert gateway.server.counters["evicted"] == 1
        # One who waited has the camera's place, now that it showed its key
        await stack.enter_async_context(dial(gateway, tls=False))
        async with dial(gateway, tls=False) as (reader, _):
            assert await gone(reader)
        assert gateway.server.counters["refused_too_many"] == 240 - 64 - 64 + 1
        assert gateway.server.counters["evicted"] == 1


async def test_places_of_strangers_come_back(tmp_path: Path) -> None:
    """One that leaves makes room for the next, however many they were."""
    async with run_gateway(
        tmp_path, limits=limits(unauthenticated=1, admission_s=15)
    ) as gateway:
        for _ in range(5):
            assert (await gateway.call("GET", "/health"))[0] == 200
            async with dial(gateway, tls=False):
                pass
        await until(lambda: gateway.server.counters["refused_handshake"] == 5)
        assert gateway.server.counters["refused_too_many"] == 0


async def test_known_cameras_behind_one_router_wait_for_each_other(
    tmp_path: Path,
) -> None:
    """Thirty that wake at once under a flood: more than are kept places, and all are served."""
    async with (
        run_gateway(
            tmp_path, limits=limits(admission_s=120, handshake_s=120)
        ) as gateway,
        AsyncExitStack() as stack,
    ):
        registered = [
            await gateway.register(f"24:6F:28:00:00:{number:02X}")
            for number in range(30)
        ]
        await flood(gateway, stack, hosts=12, each=20)

        async def wake(camera_id: str, auth: Mapping[str, str]) -> None:
            async with gateway.connect(auth) as connection:
                await connection.greet(id=camera_id)

        await asyncio.gather(*(wake(camera.id, auth) for camera, auth in registered))
        assert gateway.server.counters["refused_too_many"] == 240 - 64 - 64


async def test_known_cameras_are_served_before_strangers(tmp_path: Path) -> None:
    """A place that becomes free goes to the camera, also when the stranger came first."""
    async with (
        run_gateway(
            tmp_path,
            limits=limits(unauthenticated=1, admission_s=15, handshake_s=15),
        ) as gateway,
        AsyncExitStack() as stack,
    ):
        _, auth = await gateway.register()
        async with dial(gateway, tls=False):
            await until(lambda: gateway.server.counters["connections"] == 2)
            await flood(gateway, stack, hosts=1, each=5)
            asking = asyncio.create_task(gateway.call("GET", "/stats", auth))
            await until(lambda: gateway.server.counters["connections"] == 8)
            assert not asking.done()
        async with asyncio.timeout(10):
            assert (await asking)[0] == 200
        assert gateway.server.counters["refused_too_many"] == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.168.1.10", "192.168.1.11", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("fe80::1%eth0", "fe80:0:0:7::1%wlan0", True),
        ("fe80::1%eth0", "fd00::1", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    """An IPv6 host has a whole network to come from."""
    assert (origin(one) == origin(other)) is same


async def test_connections_come_too_fast(tmp_path: Path) -> None:
    """What is over the rate of its address is closed before TLS; other addresses get in."""
    async with (
        run_gateway(tmp_path, limits=limits(burst=5, rate=0.001)) as gateway,
        AsyncExitStack() as stack,
    ):
        for _ in range(5):
            await stack.enter_async_context(dial(gateway, source="127.0.0.9"))
        reader, _ = await stack.enter_async_context(
            dial(gateway, tls=False, source="127.0.0.9")
        )
        async with asyncio.timeout(5):
            assert await gone(reader)
        assert gateway.server.counters["refused_too_fast"] == 1
        assert gateway.server.counters["refused_handshake"] == 0
        await stack.enter_async_context(dial(gateway, source="127.0.0.8"))
        assert (await gateway.call("GET", "/health"))[0] == 200


async def test_rate_comes_back(tmp_path: Path) -> None:
    """Who was too fast gets in a moment later."""
    async with run_gateway(tmp_path, limits=limits(burst=1, rate=2)) as gateway:

        async def gets_in() -> bool:
            try:
                async with dial(gateway, source="127.0.0.9"):
                    return True
            except OSError:
                return False

        assert await gets_in()
        async with asyncio.timeout(10):
            while await gets_in():
                pass
            while not await gets_in():
                await asyncio.sleep(0.05)
        assert gateway.server.counters["refused_too_fast"] > 0


async def test_rate_where_cameras_are(tmp_path: Path) -> None:
    """Each camera adds to what its address may: many can come through one router."""
    async with run_gateway(
        tmp_path, limits=limits(burst=2, rate=0.001, rate_per_camera=0)
    ) as gateway:
        camera, _ = await gateway.register()
        other, _ = await gateway.register(OTHER_ID)
        for _ in range(20):
            assert (await gateway.call("GET", "/health"))[0] == 200
        with pytest.raises(ClientError):
            await gateway.call("GET", "/health")
        other.address = "127.0.0.2"
        async with dial(gateway, source="127.0.0.2"):
            pass
        # One that comes and goes brings nothing that was used up back
        for address in ("127.0.0.2", HOST):
            camera.address = other.address = address
            with pytest.raises(ClientError):
                await gateway.call("GET", "/health")
        assert gateway.server.counters["refused_too_fast"] == 3


def test_table_of_rates_is_bounded() -> None:
    """A million addresses cost no memory; those that came last are remembered."""
    rate = RateLimit(1, 0.001)
    assert all(rate.take(str(number)) for number in range(5000))
    assert not rate.take("4999")
    assert not rate.take(str(5000 - 2048))
    assert rate.take(str(5000 - 2048 - 1))


async def test_slow_handshake(tmp_path: Path) -> None:
    """A hello byte by byte, or none, is cut off."""
    async with run_gateway(tmp_path, limits=limits(handshake_s=0.5)) as gateway:
        async with dial(gateway, tls=False) as (silent, _):
            assert await gone(silent)
        async with dial(gateway, tls=False) as (reader, writer):
            closing = asyncio.create_task(gone(reader))
            for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)
                if closing.done():
                    break
            assert closing.done()
        await until(lambda: gateway.server.counters["refused_handshake"] == 2)


@pytest.mark.parametrize("drip", [b"", b"X-A: b\r\n"], ids=["silent", "dripping"])
async def test_slow_headers(tmp_path: Path, drip: bytes) -> None:
    """A request that never ends its headers is cut off."""
    async with (
        run_gateway(tmp_path, limits=limits(keep_alive_s=0.5)) as gateway,
        dial(gateway) as (reader, writer),
    ):
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        closing = asyncio.create_task(gone(reader))
        async with asyncio.timeout(10):
            while not closing.done():
                writer.write(drip)
                await asyncio.sleep(0.05)


async def test_slow_body(tmp_path: Path) -> None:
    """So is a body that drips."""
    async with (
        run_gateway(tmp_path, limits=limits(authentication_s=0.5)) as gateway,
        dial(gateway) as (reader, writer),
    ):
        writer.write(
            b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"
        )
        closing = asyncio.create_task(gone(reader))
        async with asyncio.timeout(10):
            while not closing.done():
                writer.write(b" ")
                await asyncio.sleep(0.05)


async def test_keeping_a_connection_busy(tmp_path: Path) -> None:
    """Asking for /health forever doesn't hold a place forever."""
    async with (
        run_gateway(tmp_path, limits=limits(authentication_s=0.5)) as gateway,
        dial(gateway) as (reader, writer),
    ):
        async with asyncio.timeout(10):
            while not reader.at_eof():
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                try:
                    await reader.read(4096)
                except ConnectionError:
                    break
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
async def test_garbage_instead_of_http(gateway: RunningGateway, garbage: bytes) -> None:
    """400 in the protocol's form, and nothing in the log."""
    async with dial(gateway) as (reader, writer):
        writer.write(garbage)
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.startswith(b"HTTP/1.")
        assert b" 400 " in answer
        assert b'{"error": "bad_request"' in answer


async def test_plain_http(gateway: RunningGateway) -> None:
    """No TLS, no answer."""
    async with dial(gateway, tls=False) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await gone(reader)
    await until(lambda: gateway.server.counters["refused_handshake"] == 1)


async def test_half_request(gateway: RunningGateway) -> None:
    """Who goes away in the middle leaves nothing behind."""
    async with dial(gateway) as (_, writer):
        writer.write(
            b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{"
        )
        await writer.drain()
        await until(lambda: gateway.server.counters["connections"] == 1)
    async with dial(gateway) as (_, writer):
        writer.transport.abort()
    for _ in range(20):
        assert (await gateway.call("GET", "/health"))[0] == 200


async def test_port_taken(gateway: RunningGateway) -> None:
    """OSError, and everything is tidy."""
    second = Gateway(
        authority=gateway.authority,
        registry=gateway.registry,
        delegate=gateway.delegate,
        settings=type(gateway.server.settings)(host=HOST, port=gateway.server.port),
        version="1",
    )
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()


async def test_every_address(tmp_path: Path) -> None:
    """Without a host the gateway listens on IPv4 as well as IPv6."""
    async with run_gateway(tmp_path) as gateway:
        await gateway.server.stop()
        gateway.server.update_settings(type(gateway.server.settings)(host=None, port=0))
        await gateway.server.start()
        camera, auth = await gateway.register()
        assert camera.address == "127.0.0.1"
        async with gateway.connect(auth) as connection:
            await connection.greet()
            assert camera.address == "127.0.0.1"


async def test_stop_with_everything_open(tmp_path: Path) -> None:
    """Sessions get 1001, the rest is cut; stopping takes no longer than that."""
    async with (
        run_gateway(tmp_path) as gateway,
        AsyncExitStack() as stack,
    ):
        _, auth = await gateway.register()
        _, other_auth = await gateway.register(OTHER_ID)
        connection = await stack.enter_async_context(gateway.connect(auth))
        await connection.greet()
        deaf = await stack.enter_async_context(gateway.connect(other_auth))
        await deaf.greet(id=OTHER_ID)
        await stack.enter_async_context(dial(gateway))
        await stack.enter_async_context(dial(gateway, tls=False))
        closed = asyncio.create_task(connection.closed())
        port = gateway.server.port
        async with asyncio.timeout(15):
            await gateway.server.stop()
        assert (await closed)[0] == 1001
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)


async def test_start_again(gateway: RunningGateway) -> None:
    """Stop and start, as when the port is changed."""
    _, auth = await gateway.register()
    await gateway.server.stop()
    await gateway.server.start()
    async with gateway.connect(auth) as connection:
        await connection.greet()
    assert (await gateway.call("GET", "/stats", headers("wrong")))[0] == 401
