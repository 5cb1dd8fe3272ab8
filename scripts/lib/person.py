"""A person at Home Assistant's UI: a real browser, already logged in, that counts clicks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
import os
import re
import shutil
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    async_playwright,
)

from home_assistant import HomeAssistantProcess

CARD = "magicpi-timeline-card"
TIMEOUT_MS = 30_000
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
PHONE = (390, 844)
DESKTOP = (1280, 900)

# A video that has a picture and goes on; selectors of documents don't see into components.
VIDEO_PLAYS = """video => new Promise((resolve, reject) => {
  const played = () => video.currentTime > 0 && video.readyState >= 2 && resolve();
  video.addEventListener("timeupdate", played);
  video.addEventListener("error", () => reject(new Error(video.error.message)));
  played();
})"""
SEEK = """(video, time) => new Promise((resolve, reject) => {
  video.pause();
  video.addEventListener("seeked", () => resolve(video.currentTime), {once: true});
  video.addEventListener("error", () => reject(new Error(video.error.message)));
  video.currentTime = time;
})"""

type Scheme = Literal["light", "dark"]


def find_chromium() -> str | None:
    """Return the browser's path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("MAGICPI_NVR_BROWSER") or next(
        filter(None, map(shutil.which, names)), None
    )


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """Start a browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=ARGUMENTS
        )
        try:
            yield browser
        finally:
            await browser.close()


class Person:
    """Somebody with a browser window of their own."""

    def __init__(self, page: Page, base_url: str) -> None:
        """Take a page of a logged-in window."""
        self.page = page
        self.base_url = base_url
        self.clicks = 0
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message: ConsoleMessage) -> None:
        """Keep what our card complains of; Home Assistant's own are not ours."""
        if message.type in ("error", "warning") and (
            "magicpi" in message.text.lower()
            or "magicpi" in json.dumps(message.location)
        ):
            self.complaints.append(f"{message.type}: {message.text}")

    async def open(self, path: str) -> None:
        """Go to a path of the UI and wait until it is there."""
        await self.page.goto(f"{self.base_url}{path}")
        await self.page.locator("#ha-launch-screen").wait_for(state="detached")

    async def click(self, target: Locator, **options: Any) -> None:
        """Click, and count it."""
        await target.click(**options)
        self.clicks += 1

    async def type(self, target: Locator, text: str) -> None:
        """Fill a field in, as a click into it and typing."""
        await target.fill(text)
        self.clicks += 1

    async def more_info(self, entity_id: str) -> None:
        """Open an entity's dialog."""
        await self.page.evaluate(
            """entityId => document.querySelector("home-assistant").dispatchEvent(
                new CustomEvent("hass-more-info", {detail: {entityId}, bubbles: true, composed: true}))""",
            entity_id,
        )

    async def video_plays(self) -> Locator:
        """Wait until the video on the page plays; return it."""
        video = self.page.locator("video")
        await video.evaluate(VIDEO_PLAYS)
        return video

    async def seek(self, video: Locator, seconds: float) -> float:
        """Seek in a video; return where it stands then, in seconds."""
        return float(await video.evaluate(SEEK, seconds))

    async def open_media(self, *titles: str) -> None:
        """Click through the media browser, folder by folder, by parts of titles."""
        for title in titles:
            tile = self.page.locator("ha-media-player-browse .title", has_text=title)
            await self.click(tile.first)

    @property
    def dialog(self) -> Locator:
        """The config flow's dialog."""
        return self.page.locator("dialog-data-entry-flow")

    def button(self, name: str, *, within: Locator | None = None) -> Locator:
        """A button by what stands on it."""
        return (within or self.page).get_by_role(
            "button", name=re.compile(rf"^\s*{name}\s*$", re.IGNORECASE)
        )


def tokens_of(hass: HomeAssistantProcess, token: str | None = None) -> dict[str, Any]:
    """Return what the UI keeps of a login."""
    return {
        "access_token": token or hass.token,
        "token_type": "Bearer",
        "expires_in": 10**9,
        "expires": 10**13,
        "refresh_token": "",
        "hassUrl": hass.base_url,
        "clientId": f"{hass.base_url}/",
    }


@asynccontextmanager
async def person(
    browser: Browser,
    hass: HomeAssistantProcess,
    *,
    scheme: Scheme = "light",
    size: tuple[int, int] = DESKTOP,
    touch: bool = False,
    scale: float = 1,
    token: str | None = None,
) -> AsyncGenerator[Person]:
    """Open a window in which somebody is logged in: its owner, or who the token is of."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        timezone_id=hass.time_zone,
        locale="en-GB",
        has_touch=touch,
        is_mobile=touch,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    context.set_default_timeout(TIMEOUT_MS)
    tokens = tokens_of(hass, token)
    await context.add_init_script(
        f"if (location.origin === {json.dumps(hass.base_url)})"
        f" localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))});"
    )
    try:
        yield Person(await context.new_page(), hass.base_url)
    finally:
        await context.close()
