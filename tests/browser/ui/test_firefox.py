"""The timeline card in Firefox: it draws, plays, steps, seeks, and complains of nothing."""

from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from home_assistant import wait_until
from person import CARD, tokens_of
from seeded_installation import CALM_DAY, SeededInstallation
from tests.harness.browsers import FIREFOX, FirefoxPage, firefox
from virtual_camera import VirtualCamera

pytestmark = pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox")

DASHBOARD = "card-firefox"
# What a selector finds in a page of components.
PIERCE = """
const all = (selector, root = document) => [...root.querySelectorAll(selector),
  ...[...root.querySelectorAll("*")].flatMap(element => element.shadowRoot ? all(selector, element.shadowRoot) : [])];
const card = all("magicpi-timeline-card")[0];
"""


class FirefoxCard:
    """The card in a window of Firefox."""

    def __init__(self, page: FirefoxPage) -> None:
        """Look at it."""
        self.page = page

    async def ask(self, body: str, arg: Any = None) -> Any:
        """Run a function's body that knows `all(selector)`, `card` and `arg`."""
        return await self.page.evaluate(f"async arg => {{ {PIERCE} {body} }}", arg)

    async def until(self, expression: str, what: str) -> None:
        """Wait until an expression is true."""

        async def holds() -> bool:
            return bool(await self.ask(f"return Boolean({expression});"))

        await wait_until(holds, 60, what)


@pytest_asyncio.fixture(loop_scope="session")
async def card(
    seeded: SeededInstallation, front_door: VirtualCamera, tmp_path: Path
) -> AsyncGenerator[FirefoxCard]:
    """Return the card, alone in a dashboard, with somebody logged in."""
    view = {"title": "Firefox", "type": "panel", "cards": [{"type": f"custom:{CARD}"}]}
    await seeded.hass.save_dashboard(DASHBOARD, {"views": [view]})
    base = seeded.hass.base_url
    async with firefox(tmp_path / "profile") as page:
        await page.resize(1280, 900)
        await page.goto(f"{base}/api/")
        await page.evaluate(
            "tokens => localStorage.setItem('hassTokens', tokens)",
            json.dumps(tokens_of(seeded.hass)),
        )
        await page.goto(f"{base}/{DASHBOARD}/0")
        card = FirefoxCard(page)
        await card.until("card?.store?.loads && !card.store.loading", "the card")
        yield card


async def test_card_in_firefox(seeded: SeededInstallation, card: FirefoxCard) -> None:
    """A day is drawn; a clip plays, steps by a picture, is sought, and runs faster."""
    await card.ask(
        """window.faults = [];
           addEventListener("error", event => window.faults.push(event.message));
           addEventListener("unhandledrejection", event => window.faults.push(String(event.reason)));
           card.goTo(arg);""",
        f"{seeded.day(CALM_DAY)}",
    )
    await card.until(
        "card.shadowRoot.querySelector('[role=status]').textContent.includes('60 events')",
        "60 events",
    )
    drawn = await card.ask(
        """const row = all("magicpi-timeline-row").at(-1);
           await row.updateComplete;
           const canvas = row.shadowRoot.querySelector("canvas");
           const {data} = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1);
           return data.filter((value, at) => at % 4 === 3 && value > 0).length;"""
    )
    assert drawn >= 60
    await card.ask(
        """const [slider] = all("[role=slider]", all("magicpi-timeline-row").at(-1).shadowRoot);
           slider.focus();
           slider.dispatchEvent(new KeyboardEvent("keydown", {key: "Home", bubbles: true, composed: true}));"""
    )
    await card.until(
        "all('video').some(video => video.currentTime > 0.3 && !video.paused)",
        "a video that plays",
    )
    length = await card.ask("return all('video')[0].duration;")
    assert 9.9 < length < 10.1
    await card.ask("card.stage.pause();")
    at = await card.ask("return all('video')[0].currentTime;")
    press = "all('magicpi-stage')[0].shadowRoot.querySelector('[aria-label=\"{}\"]').click();"
    await card.ask(press.format("Next picture"))
    await card.until(f"all('video')[0].currentTime > {at}", "the next picture")
    stepped = await card.ask("return all('video')[0].currentTime;")
    assert stepped - at < 0.5
    await card.ask("card.stage.seek(card._source.event.start + 7500);")
    await card.until(
        "!all('video')[0].seeking && Math.abs(all('video')[0].currentTime - 7.5) < 0.1",
        "the picture at 7.5 s",
    )
    stamp = await card.ask("return all('.stamp')[0].textContent;")
    wanted = await card.ask(
        "return card.formats.dateTime(card._source.event.start + 7500);"
    )
    assert stamp.strip() == wanted
    await card.ask(
        """const select = all("select", all("magicpi-stage")[0].shadowRoot)[0];
           select.value = "4";
           select.dispatchEvent(new Event("change"));
           card.stage.play();"""
    )
    await card.until("all('video')[0].playbackRate === 4", "four times as fast")
    assert await card.ask("return window.faults;") == []
