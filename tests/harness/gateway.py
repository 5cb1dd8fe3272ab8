"""A gateway on a loopback port, and the smallest client that speaks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
import json
from pathlib import Path
import ssl
from typing import Any
from zlib import crc32

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType
from PIL import Image
import pytest

from custom_components.magicpi_nvr.gateway.camera.camera import Camera
from custom_components.magicpi_nvr.gateway.clock import Clock
from custom_components.magicpi_nvr.gateway.protocol import Frame, FrameHeader
from custom_components.magicpi_nvr.gateway.server import Gateway
from custom_components.magicpi_nvr.gateway.settings import GatewaySettings
from custom_components.magicpi_nvr.gateway.trust.authority import Authority
from custom_components.magicpi_nvr.gateway.trust.registry import Registry

CAMERA_ID = "24:6F:28:AA:BB:CC"
OTHER_ID = "24:6F:28:AA:BB:DD"
HOST = "127.0.0.1"
CAPS = {
    "resolutions": ["QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"],
    "psram": 4194304,
    "battery": True,
    "flash": True,
    "sd": False,
    "motion": ["pir"],
    "sleep": True,
    "ota": True,
}


def make_jpeg(
    size: tuple[int, int] = (320, 240), mode: str = "RGB", **options: Any
) -> bytes:
    """Return a JPEG with some texture."""
    picture = Image.effect_noise(size, 40).convert(mode)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


JPEG = make_jpeg()


class MemoryStorage:
    """Keeps what the registry saves."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        """Start with `data`."""
        self.data = data
        self.saves = 0
        self._data_func: Callable[[], dict[str, Any]] | None = None

    async def load(self) -> dict[str, Any] | None:
        """Return what a restart would find."""
        return self.data

    def save(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Remember who knows the data."""
        self.saves += 1
        self._data_func = data_func

    async def save_now(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Write at once."""
        self.save(data_func)
        self.flush()

    def flush(self) -> dict[str, Any] | None:
        """Write as Home Assistant would, through JSON."""
        if self._data_func is not None:
            self.data = json.loads(json.dumps(self._data_func()))
        return self.data


class FakeClock(Clock):
    """A clock that a test can push."""

    def __init__(self) -> None:
        """Run with the host's clocks."""
        self.ahead = 0.0
        self.wall_ahead_ms = 0

    def now_ms(self) -> int:
        """Wall time."""
        return super().now_ms() + int(self.ahead * 1000) + self.wall_ahead_ms

    def monotonic(self) -> float:
        """Steady time."""
        return super().monotonic() + self.ahead


@dataclass
class FakeDelegate:
    """The gateway's delegate; persists everything at once unless `keep` is off."""

    frames: list[Frame] = field(default_factory=list)
    ended: list[tuple[str, int, int, int]] = field(default_factory=list)
    motions: list[tuple[str, int, int, bool, int, str]] = field(default_factory=list)
    registered: list[tuple[Camera, Mapping[str, Any]]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    persisted_seq: dict[tuple[str, int], int] = field(default_factory=dict)
    keep: bool = True
    take: bool = True
    degrees: int = 0
    images: dict[str, Path] = field(default_factory=dict)
    queries: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def camera_registered(self, camera: Camera, token_data: Mapping[str, Any]) -> None:
        """Note it."""
        self.registered.append((camera, token_data))
        self.news.set()

    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Keep it."""
        self.frames.append(frame)
        if self.keep and frame.event and self.take:
            key = (camera.id, frame.boot)
            self.persisted_seq[key] = max(self.persisted_seq.get(key, 0), frame.seq)
        self.news.set()
        return self.take

    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """Note it."""
        self.ended.append((camera.id, boot, event, lost))
        self.news.set()

    def motion_changed(
        self,
        camera: Camera,
        boot: int,
        event: int,
        active: bool,
        at_ms: int,
        source: str,
    ) -> None:
        """Note it."""
        self.motions.append((camera.id, boot, event, active, at_ms, source))
        self.news.set()

    def rotation(self, camera_id: str) -> int:
        """Return what is set."""
        return self.degrees

    async def ready(self) -> None:
        """Frames are taken from the beginning."""

    def persisted(self, camera_id: str, boot: int) -> int:
        """Return what was persisted."""
        return self.persisted_seq.get((camera_id, boot), 0)

    async def recordings(self, camera_id: str, **query: Any) -> dict[str, Any]:
        """Return one made-up recording."""
        self.queries.append({"camera": camera_id, **query})
        if query["cursor"] == "broken":
            raise ValueError("no cursor")
        return {"recordings": [{"id": "x"}], "cursor": None}

    def firmware(self, camera_id: str, sha256: str) -> Path | None:
        """Return an image."""
        return self.images.get(sha256)

    def clock_stepped(self) -> None:
        """The clock was set."""

    def stale_key(self, camera_id: str) -> None:
        """Note it."""
        self.stale.append(camera_id)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until news make `condition` true."""
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


@dataclass
class RunningGateway:
    """A running gateway with all that belongs to it."""

    server: Gateway
    registry: Registry
    delegate: FakeDelegate
    storage: MemoryStorage
    clock: FakeClock
    authority: Authority

    @property
    def url(self) -> str:
        """Where cameras connect."""
        return f"https://{HOST}:{self.server.port}"

    def client_context(self) -> ssl.SSLContext:
        """Trust the gateway's CA alone, strictly."""
        context = ssl.create_default_context(cadata=self.authority.ca_pem)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def session(self, **kwargs: Any) -> ClientSession:
        """Return an HTTP client that checks the fixed name."""
        return ClientSession(
            self.url, connector=TCPConnector(ssl=self.client_context(), **kwargs)
        )

    def request(
        self, http: ClientSession, method: str, path: str, **kwargs: Any
    ) -> Any:
        """Make a request."""
        return http.request(
            method, path, server_hostname=self.authority.server_name, **kwargs
        )

    async def call(
        self,
        method: str,
        path: str,
        auth: Mapping[str, str] | None = None,
        http: ClientSession | None = None,
        **kwargs: Any,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Make one request; returns status, JSON body and headers."""
        async with AsyncExitStack() as stack:
            http = http or await stack.enter_async_context(self.session())
            response = await stack.enter_async_context(
                self.request(http, method, path, headers=auth, **kwargs)
            )
            return response.status, await response.json(), response.headers

    def connections(self, camera_id: str) -> int:
        """Return how many connections count for a camera."""
        return len(self.server._api._connections.get(camera_id, ()))

    async def register(
        self, camera_id: str = CAMERA_ID, **data: Any
    ) -> tuple[Camera, dict[str, str]]:
        """Claim a camera; returns it and its headers."""
        token = self.server.issue_token(camera_id, data=data)
        async with (
            self.session() as http,
            self.request(
                http, "POST", "/register", json=registration(token, camera_id)
            ) as response,
        ):
            assert response.status == 201, await response.text()
            key = (await response.json())["api_key"]
        return self.server.cameras[camera_id], headers(key, camera_id)

    @asynccontextmanager
    async def connect(
        self, auth: Mapping[str, str], **kwargs: Any
    ) -> AsyncIterator[CameraConnection]:
        """Open a WebSocket; no hello yet."""
        async with (
            self.session() as http,
            http.ws_connect(
                "/ws",
                headers=auth,
                protocols=("magicpi.v1",),
                compress=0,
                max_msg_size=0,
                server_hostname=self.authority.server_name,
                **kwargs,
            ) as ws,
        ):
            yield CameraConnection(ws)


def registration(token: str, camera_id: str = CAMERA_ID, **more: Any) -> dict[str, Any]:
    """Return the body of a registration."""
    return {
        "id": camera_id,
        "model": "ai-thinker",
        "fw": "1.0.0",
        "token": token,
        "caps": CAPS,
        **more,
    }


def headers(key: str, camera_id: str = CAMERA_ID) -> dict[str, str]:
    """Return the headers that show a key."""
    return {"Authorization": f"Bearer {key}", "X-Camera-Id": camera_id}


def hello(**more: Any) -> dict[str, Any]:
    """Return a hello."""
    return {
        "type": "hello",
        "proto": 1,
        "id": CAMERA_ID,
        "fw": "1.0.0",
        "model": "ai-thinker",
        "boot": 77,
        "reason": "pir",
        "uptime_ms": 1000,
        "rssi": -61,
        "battery_mv": 3900,
        "battery_pct": 80,
        "heap": 120000,
        "config_rev": 1,
        "timing": {"wifi_ms": 300, "tls_ms": 200, "first_frame_ms": 900},
        "backlog": 0,
        "lost": 0,
        **more,
    }


def binary(seq: int, jpeg: bytes = JPEG, **more: Any) -> bytes:
    """Return a binary frame."""
    values = {
        "version": 1,
        "flags": 0,
        "event": 1,
        "seq": seq,
        "t": 1000 + seq * 100,
        "crc32": crc32(jpeg),
        "length": len(jpeg),
        **more,
    }
    return FrameHeader(**values).pack() + jpeg


class CameraConnection:
    """A camera's end of a WebSocket."""

    def __init__(self, ws: ClientWebSocketResponse) -> None:
        """Keep the messages that nobody asked for."""
        self.ws = ws
        self.acks: list[dict[str, Any]] = []
        self.seen: list[str] = []

    @property
    def transport(self) -> asyncio.Transport:
        """The connection below TLS and WebSocket, to be read from no more, or reset."""
        connection = self.ws._response.connection
        assert connection
        transport = connection.transport
        assert isinstance(transport, asyncio.Transport)
        return transport

    def abort(self) -> None:
        """Reset the connection, if it is still there."""
        if self.ws._response.connection:
            self.transport.abort()

    async def send(self, message: Mapping[str, Any] | str) -> None:
        """Send text."""
        await self.ws.send_str(
            message if isinstance(message, str) else json.dumps(message)
        )

    async def send_frame(self, seq: int, jpeg: bytes = JPEG, **more: Any) -> None:
        """Send a binary frame."""
        await self.ws.send_bytes(binary(seq, jpeg, **more))

    async def greet(self, **more: Any) -> dict[str, Any]:
        """Say hello; returns the welcome."""
        await self.send(hello(**more))
        return await self.expect("welcome")

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next message of this type; acks are kept aside."""
        async with asyncio.timeout(60):
            while True:
                message = await self.ws.receive()
                assert message.type is WSMsgType.TEXT, (message.type, message.data)
                data: dict[str, Any] = json.loads(message.data)
                self.seen.append(data["type"])
                if data["type"] == "ack":
                    self.acks.append(data)
                if data["type"] == kind:
                    return data

    async def expect_ack(self, seq: int) -> dict[str, Any]:
        """Wait until everything up to `seq` is acknowledged."""
        while True:
            if (ack := await self.expect("ack"))["seq"] >= seq:
                return ack

    async def closed(self) -> tuple[int | None, str]:
        """Wait for the close; returns code and reason."""
        async with asyncio.timeout(60):
            while True:
                message = await self.ws.receive()
                if message.type is WSMsgType.CLOSE:
                    return message.data, message.extra or ""
                if message.type in (WSMsgType.CLOSED, WSMsgType.ERROR):
                    return self.ws.close_code, ""

    async def leave(self, reason: str = "sleep", next_wake_s: int = 3600) -> None:
        """Say bye and close."""
        await self.send({"type": "bye", "reason": reason, "next_wake_s": next_wake_s})
        await self.ws.close(code=1000)


@asynccontextmanager
async def run_gateway(
    folder: Path,
    storage: MemoryStorage | None = None,
    delegate: FakeDelegate | None = None,
    **settings: Any,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway for a while."""
    authority = await asyncio.to_thread(Authority.load_or_create, folder)
    storage = storage or MemoryStorage()
    clock = FakeClock()
    registry = Registry(storage, clock=clock)
    await registry.load()
    delegate = delegate or FakeDelegate()
    gateway = Gateway(
        authority=authority,
        registry=registry,
        delegate=delegate,
        settings=GatewaySettings(host=HOST, port=0, **settings),
        version="1.2.3",
    )
    await gateway.start()
    try:
        yield RunningGateway(gateway, registry, delegate, storage, clock, authority)
    finally:
        await gateway.stop()
        storage.flush()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """Return a running gateway without cameras."""
    async with run_gateway(tmp_path / "tls") as running:
        yield running
