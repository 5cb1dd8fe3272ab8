"""WebRTC: what Home Assistant asks of go2rtc for our camera, and that the address it hands over can be read.

go2rtc itself is a program that no package of this project brings. A stand-in takes its
place: it answers Home Assistant's calls, and opens the address as go2rtc does.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
import av
import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from home_assistant import free_port
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from tests.harness.home_assistant import CAMERA_ID, Installation

pytestmark = pytest.mark.timeout(180)
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
ANSWER = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\n"


@dataclass
class Standin:
    """A go2rtc that notes what it is asked, and reads the first stream that it is given."""

    port: int = field(default_factory=free_port)
    calls: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    offers: list[dict[str, Any]] = field(default_factory=list)
    pictures: int = 0

    def application(self) -> web.Application:
        """Return what serves its API."""
        application = web.Application()
        application.router.add_get("/api/ws", self._socket)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.method, request.path, list(request.query.items())))
        match request.method, request.path:
            case "GET", "/api":
                return web.json_response({"version": "1.9.14"})
            case "GET", "/api/schemes":
                return web.json_response(["http", "https", "rtsp"])
            case "PUT", "/api/streams":
                self.pictures = await asyncio.to_thread(
                    self._read, request.query["src"]
                )
                return web.Response()
        return web.json_response({})

    @staticmethod
    def _read(url: str) -> int:
        with av.open(url, timeout=60) as container:
            return sum(
                1 for _ in zip(container.decode(video=0), range(10), strict=False)
            )

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.calls.append((request.method, request.path, list(request.query.items())))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.offers.append(await socket.receive_json())
        await socket.send_json(
            {"type": "webrtc", "value": {"type": "answer", "sdp": ANSWER}}
        )
        async for _ in socket:
            pass
        return socket


@pytest.fixture
async def go2rtc(live_installation: Installation) -> AsyncGenerator[Standin]:
    """Home Assistant's go2rtc integration with a stand-in."""
    hass = live_installation.hass
    standin = Standin()
    runner = web.AppRunner(standin.application(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", standin.port).start()
    assert await async_setup_component(
        hass, "go2rtc", {"go2rtc": {"url": f"http://127.0.0.1:{standin.port}"}}
    )
    await live_installation.wait_until(
        lambda: any(
            entry.state is ConfigEntryState.LOADED
            for entry in hass.config_entries.async_entries("go2rtc")
        )
    )
    yield standin
    for entry in hass.config_entries.async_entries("go2rtc"):
        await hass.config_entries.async_unload(entry.entry_id)
    await runner.cleanup()


async def test_webrtc_by_go2rtc(
    live_installation: Installation,
    hass: HomeAssistant,
    go2rtc: Standin,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """The camera offers WebRTC; go2rtc gets its address on the loopback, and reads pictures there."""
    entity_id = live_installation.entity_id("camera", "camera")
    socket = await hass_ws_client(hass)
    await socket.send_json_auto_id(
        {"type": "camera/capabilities", "entity_id": entity_id}
    )
    answer = await socket.receive_json()
    assert "web_rtc" in answer["result"]["frontend_stream_types"]
    await socket.send_json_auto_id(
        {"type": "camera/webrtc/offer", "entity_id": entity_id, "offer": OFFER}
    )
    messages = []
    async with asyncio.timeout(60):
        while not messages or messages[-1].get("event", {}).get("type") not in (
            "answer",
            "error",
        ):
            messages.append(await socket.receive_json())
    assert messages[-1]["event"] == {"type": "answer", "answer": ANSWER}
    url = live_installation.nvr.live.url(CAMERA_ID)
    puts = [query for method, path, query in go2rtc.calls if method == "PUT"]
    assert len(puts) == 1
    sources = [value for name, value in puts[0] if name == "src"]
    assert sources[0] == url
    names = [value for name, value in puts[0] if name == "name"]
    sockets = [query for _, path, query in go2rtc.calls if path == "/api/ws"]
    assert sockets == [[("src", names[0])]]
    assert go2rtc.offers[0]["type"] == "webrtc"
    assert go2rtc.pictures == 10
    await live_installation.wait_until(
        lambda: live_installation.nvr.live.sources.viewers == 0
    )
