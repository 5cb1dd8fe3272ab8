"""Browsers with a page each: Chromium by Playwright, Firefox by WebDriver BiDi."""

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from pathlib import Path
import shutil
from typing import Any, Protocol

from aiohttp import ClientSession
from playwright.async_api import async_playwright
import pytest

from person import ARGUMENTS, find_chromium

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


class Page(Protocol):
    """What the tests need of a browser's page."""

    async def goto(self, url: str) -> Any:
        """Open an address."""

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Call a JavaScript function; return what its promise resolves to."""


class FirefoxPage:
    """A page of Firefox; Playwright drives only its own build of it."""

    def __init__(self, reader: Any) -> None:
        """Speak over a WebSocket of aiohttp."""
        self._socket = reader
        self._id = 0
        self._context = ""

    async def _command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._id += 1
        await self._socket.send_json(
            {"id": self._id, "method": method, "params": params}
        )
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._id:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result

    async def open(self) -> None:
        """Begin a session."""
        await self._command("session.new", capabilities={})
        tree = await self._command("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]

    async def goto(self, url: str) -> None:
        """Open an address."""
        await self._command(
            "browsingContext.navigate",
            context=self._context,
            url=url,
            wait="complete",
        )

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Call a JavaScript function; return the number or text that it resolves to."""
        result = await self._command(
            "script.evaluate",
            expression=f"({expression})({json.dumps(arg)})",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result
        return result["result"].get("value")


@asynccontextmanager
async def firefox(folder: Path) -> AsyncGenerator[Page]:
    """Start Firefox with a profile of its own."""
    assert FIREFOX
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(FIREFOX, "--headless", "--no-remote", "--profile", str(folder)),
        *("--remote-debugging-port", "0"),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    server = folder / "WebDriverBiDiServer.json"
    try:
        async with asyncio.timeout(60):
            while not server.exists() or not (text := server.read_text()):
                await asyncio.sleep(0.1)
        port = json.loads(text)["ws_port"]
        async with (
            ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}/session") as socket,
        ):
            page = FirefoxPage(socket)
            await page.open()
            yield page
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def chromium() -> AsyncGenerator[Page]:
    """Start Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=ARGUMENTS
        )
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


@pytest.fixture(
    params=[
        pytest.param(
            "chromium",
            marks=pytest.mark.skipif(
                find_chromium() is None, reason="there is no Chromium"
            ),
        ),
        pytest.param(
            "firefox",
            marks=pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox"),
        ),
    ]
)
async def page(
    request: pytest.FixtureRequest, socket_enabled: None, tmp_path: Path
) -> AsyncGenerator[Page]:
    """Return a page of each browser."""
    async with (
        chromium() if request.param == "chromium" else firefox(tmp_path / "profile")
    ) as page:
        yield page
