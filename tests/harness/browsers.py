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

from person import chromium

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
# A day of video needs no sound, and nobody is there to click
PREFERENCES = """
user_pref("media.autoplay.default", 0);
user_pref("intl.accept_languages", "en-GB");
"""


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

    async def resize(self, width: int, height: int) -> None:
        """Give the page another size."""
        await self._command(
            "browsingContext.setViewport",
            context=self._context,
            viewport={"width": width, "height": height},
        )

    async def goto(self, url: str) -> None:
        """Open an address."""
        await self._command(
            "browsingContext.navigate",
            context=self._context,
            url=url,
            wait="complete",
        )

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Call a JavaScript function; return what its promise resolves to, as JSON can tell it."""
        result = await self._command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})({json.dumps(arg)})))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result
        text = result["result"].get("value")
        return None if text is None else json.loads(text)


@asynccontextmanager
async def firefox(folder: Path) -> AsyncGenerator[FirefoxPage]:
    """Start Firefox with a profile of its own."""
    assert FIREFOX
    folder.mkdir()
    (folder / "user.js").write_text(PREFERENCES)
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
            session.ws_connect(
                f"ws://127.0.0.1:{port}/session", max_msg_size=0
            ) as socket,
        ):
            page = FirefoxPage(socket)
            await page.open()
            yield page
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def chromium_page() -> AsyncGenerator[Page]:
    """Start Chromium."""
    async with chromium() as browser:
        yield await browser.new_page()
