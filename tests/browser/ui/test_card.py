"""The timeline card, in a dashboard of a real Home Assistant."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
import gzip
import json
from pathlib import Path
import shutil
import subprocess
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect
import pytest
import pytest_asyncio

from home_assistant import ROOT, wait_until
from person import CARD, PHONE, Person, Scheme, person
from seeded_installation import BUSY_DAY, CALM_DAY, SeededInstallation
from virtual_camera import VirtualCamera

FRONTEND = ROOT / "frontend"
BUNDLE = ROOT / "custom_components" / "magicpi_nvr" / "frontend" / f"{CARD}.js"
DASHBOARD = "browser-tests"
FIRST_PAINT_MS = 500
MOST_BYTES = 60_000

# When each page of events came, and what moved though nobody touched it.
OBSERVE = """
window.pages = [];
window.shifts = [];
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({data}) => {
      if (data.includes('"cursor"')) window.pages.push(performance.now());
    });
  }
};
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) {
    if (!entry.hadRecentInput) {
      window.shifts.push({value: entry.value, places: entry.sources.map(({currentRect: {x, y}}) => [x, y])});
    }
  }
}).observe({type: "layout-shift", buffered: true});
"""
# Loads the day that the card is given; returns when what of it came and was painted, in ms.
MEASURE_DAY = """([card, date]) => new Promise(resolve => {
  window.pages.length = 0;
  const begin = performance.now();
  let first;
  const watch = () => {
    if (!first && window.pages.length) {
      requestAnimationFrame(() => { first ??= performance.now(); });
    }
    if (!first) requestAnimationFrame(watch);
  };
  watch();
  card.addEventListener("magicpi-timeline-loaded", () => {
    // A message posted in a frame is received after that frame was painted.
    requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => {
        const painted = performance.now();
        resolve({
          pages: window.pages.length,
          asked: painted - begin,
          all: painted - window.pages.at(-1),
          first: painted - window.pages[0],
        });
      };
      port2.postMessage(null);
    });
  }, {once: true});
  const input = card.shadowRoot.querySelector("ha-date-input");
  input.dispatchEvent(new CustomEvent("value-changed", {detail: {value: date}}));
})"""
EVENTS = """row => {
  const {width, height} = row.getBoundingClientRect();
  const {start, end} = row.span;
  return row.events.map(event => ({
    ...event,
    x: (event.start - start) / (end - start) * width + 1,
    y: height / 2,
  }));
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dashboard(seeded: SeededInstallation, front_door: VirtualCamera) -> str:
    """Return the path of a dashboard with nothing but the card."""
    card = {"type": f"custom:{CARD}", "title": "Cameras"}
    await seeded.hass.save_dashboard(
        DASHBOARD, {"views": [{"title": "Timeline", "type": "panel", "cards": [card]}]}
    )
    return f"/{DASHBOARD}/0"


class Card:
    """The card on somebody's screen."""

    def __init__(self, visitor: Person) -> None:
        """Look at it."""
        self.visitor = visitor
        self.page: Page = visitor.page
        self.element = self.page.locator(CARD)

    async def open(self, path: str) -> None:
        """Open it and wait until today is there."""
        await self.page.add_init_script(OBSERVE)
        await self.visitor.open(path)
        await expect(self.element.get_by_role("status")).to_contain_text("event")
        await self.element.locator("ha-date-input").wait_for()

    def row(self, name: str) -> Locator:
        """Return a camera's row."""
        return self.element.locator(".row", has_text=name).locator(
            "magicpi-timeline-row"
        )

    async def events(self, name: str) -> list[dict[str, Any]]:
        """Return a row's events with their places in it."""
        events: list[dict[str, Any]] = await self.row(name).evaluate(EVENTS)
        return events

    async def go_to(self, date: str) -> dict[str, float]:
        """Go to a day; return what it took."""
        element = await self.element.element_handle()
        took: dict[str, float] = await self.page.evaluate(MEASURE_DAY, [element, date])
        return took

    async def shifts(self) -> list[float]:
        """Return how far things in the card have jumped though nobody touched them."""
        box = await self.element.bounding_box()
        assert box
        return [
            shift["value"]
            for shift in await self.page.evaluate("window.shifts")
            if any(x >= box["x"] and y >= box["y"] for x, y in shift["places"])
        ]

    async def cursor(self) -> float:
        """Return the instant at which the card stands, in epoch ms."""
        return float(await self.element.evaluate("card => card._cursor"))


@asynccontextmanager
async def card_of(
    seeded: SeededInstallation, browser: Browser, dashboard: str, **options: Any
) -> AsyncGenerator[Card]:
    """Open a window with the card."""
    async with person(browser, seeded.hass, **options) as visitor:
        card = Card(visitor)
        await card.open(dashboard)
        yield card
        assert visitor.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def card(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> AsyncGenerator[Card]:
    """Return the card in a window of its own."""
    async with card_of(seeded, browser, dashboard) as card:
        yield card


async def test_one_row_per_camera(card: Card, front_door: VirtualCamera) -> None:
    """Rows in the order of names; what happened in the last 24 hours where it belongs."""
    names = card.element.locator(".row .name")
    assert await names.all_inner_texts() == ["Front door", "Garden"]
    assert len(await card.events("Front door")) >= 1
    ages = await card.element.evaluate("""card =>
      [...card._port.base.start <= Date.now() - 86390000 ? [] : ["too short"],
       ...card.store.lists.values()].flat().map(event => Date.now() - event.end)""")
    assert all(0 <= age <= 86_400_000 for age in ages)


async def test_hover_and_click(seeded: SeededInstallation, card: Card) -> None:
    """A pointer above an event shows its picture, a click plays the clip from there."""
    await card.go_to(f"{seeded.day(CALM_DAY)}")
    row = card.row("Garden")
    event = (await card.events("Garden"))[20]
    assert len(await card.events("Garden")) == 60
    place = {"x": event["x"], "y": event["y"]}
    await row.hover(position=place)
    tooltip = row.locator(".tooltip")
    await expect(tooltip).to_contain_text(" · motion · 10 s")
    picture = tooltip.locator("img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("img => img.decode().then(() => img.naturalWidth)")
    # In the middle of the event, seen closely
    await card.element.evaluate(
        "(card, event) => { card._view = {start: event.start - 30000, end: event.start + 60000}; }",
        event,
    )
    await expect(row).to_have_js_property("span", await span_of(card))
    width = (await row.bounding_box() or {})["width"]
    await row.click(position={"x": width * 36 / 90, "y": event["y"]})
    video = await card.visitor.video_plays()
    assert await video.evaluate("video => video.currentTime") >= 5.9
    assert 9.9 < await video.evaluate("video => video.duration") < 10.1


async def event_x(card: Card, row: Locator, event: dict[str, Any]) -> float:
    """Return where an event begins in its row now, in pixels."""
    span = await span_of(card)
    width = (await row.bounding_box() or {})["width"]
    return width * (event["start"] - span["start"]) / (span["end"] - span["start"]) + 1


async def span_of(card: Card) -> Any:
    """Return the stretch of time that the card shows."""
    return await card.element.evaluate("card => card._view")


async def test_drag_scrubs(seeded: SeededInstallation, card: Card) -> None:
    """Dragging moves the clip's picture with the finger, before anything is let go."""
    await card.go_to(f"{seeded.day(CALM_DAY)}")
    row = card.row("Garden")
    event = (await card.events("Garden"))[30]
    await card.element.evaluate(
        "(card, event) => { card._view = {start: event.start - 10000, end: event.start + 20000}; }",
        event,
    )
    await expect(row).to_have_js_property("span", await span_of(card))
    # What is dragged is the line of the clip that is open; all else is panned
    await row.click(position={"x": (await event_x(card, row, event)), "y": 20})
    await card.visitor.video_plays()
    box = await row.bounding_box()
    assert box
    mouse = card.page.mouse
    at = [(box["x"] + box["width"] * (10 + second) / 30) for second in range(11)]
    middle = box["y"] + box["height"] / 2
    await mouse.move(at[1], middle)
    await mouse.down()
    video = card.element.locator("video")
    await expect(video).to_be_visible()
    await expect(video).to_have_js_property("readyState", 4)
    assert await video.evaluate("video => video.paused")
    for second in (8, 3, 6):
        await mouse.move(at[second], middle, steps=3)

        async def stands(second: int = second) -> bool:
            time = await video.evaluate(
                "video => video.seeking ? -1 : video.currentTime"
            )
            return abs(time - second) < 0.5

        await wait_until(stands, 10, f"the picture at {second} s")
    await mouse.up()
    await card.visitor.video_plays()
    assert await card.cursor() >= event["start"] + 5500


async def test_live_picture_at_the_right(card: Card, front_door: VirtualCamera) -> None:
    """The tile at the right end of a row brings the live picture back, and it moves."""
    row = card.element.locator(".row", has_text="Front door")
    events = await card.events("Front door")
    await card.row("Front door").click(position={"x": events[0]["x"], "y": 20})
    await card.visitor.video_plays()
    await front_door.wait_state("asleep", timeout=60)
    front_door.trigger_motion(8)
    await front_door.wait_state("streaming")
    await row.get_by_role("button", name="Live picture of Front door").click()
    picture = card.element.locator(".stage img")
    await expect(card.element.locator(".caption")).to_contain_text("Front door · Live")
    seen: set[bytes] = set()

    async def moves() -> bool:
        seen.add(await picture.screenshot())
        return len(seen) >= 3

    await wait_until(moves, 20, "a live picture that moves")
    await front_door.wait_state("asleep", timeout=60)
    # The clip of it appears by itself
    slider = card.row("Front door").get_by_role("slider")
    await expect(slider).to_have_attribute("aria-valuemax", str(len(events) + 1))


async def test_keyboard(seeded: SeededInstallation, card: Card) -> None:
    """All of it works without a mouse, and a screen reader hears where one is."""
    await card.go_to(f"{seeded.day(CALM_DAY)}")
    slider = card.row("Garden").get_by_role("slider", name="Events of Garden")
    await slider.focus()
    await expect(slider).to_have_attribute("aria-valuetext", "60 events")
    keyboard = card.page.keyboard
    for key, place in (
        ("Home", 1),
        ("ArrowRight", 2),
        ("PageUp", 12),
        ("ArrowLeft", 11),
    ):
        await keyboard.press(key)
        await expect(slider).to_have_attribute("aria-valuenow", str(place))
        text = await slider.get_attribute("aria-valuetext")
        assert text
        assert f"event {place} of 60" in text
    video = await card.visitor.video_plays()
    await keyboard.press("Space")
    assert await video.evaluate("video => video.paused")
    before = await span_of(card)
    await keyboard.press("+")
    after = await span_of(card)
    assert after["end"] - after["start"] == (before["end"] - before["start"]) / 2
    # Tab reaches the live picture of the same row
    await keyboard.press("Tab")
    label = await card.page.evaluate(
        """() => {
          let at = document.activeElement;
          while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
          return at.getAttribute("aria-label");
        }"""
    )
    assert label == "Live picture of Garden"


async def test_phone(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """On a phone nothing is wider than the screen, and a tap plays."""
    async with card_of(seeded, browser, dashboard, size=PHONE, touch=True) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        for part in await card.element.locator(".row, .bar, .stage").all():
            box = await part.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE[0]
        assert await card.page.evaluate(
            "document.scrollingElement.scrollWidth <= innerWidth"
        )
        for button in await card.element.get_by_role("button").all():
            if box := await button.bounding_box():
                assert min(box["width"], box["height"]) >= 40, "room for a finger"
        event = (await card.events("Garden"))[10]
        row = card.row("Garden")
        await row.scroll_into_view_if_needed()
        await row.tap(position={"x": event["x"], "y": event["y"]})
        await card.visitor.video_plays()


async def test_editor(
    seeded: SeededInstallation, visitor: Person, dashboard: str
) -> None:
    """The dashboard's editor offers the card with its form, and what is chosen counts."""
    page = visitor.page
    await visitor.open(f"{dashboard}?edit=1")
    await visitor.button("Edit").first.click()
    dialog = page.locator("hui-dialog-edit-card")
    await expect(dialog.locator("ha-form")).to_contain_text("Cameras (none = all)")
    title = dialog.get_by_role("textbox", name="title")
    await title.fill("What happened")
    await expect(dialog.locator(CARD)).to_contain_text("What happened")
    await visitor.button("Save", within=dialog).click()
    config = await seeded.hass.ws("lovelace/config", url_path=DASHBOARD)
    assert config["views"][0]["cards"][0]["title"] == "What happened"


async def test_day_of_2000_events(
    seeded: SeededInstallation, card: Card, record_fact: Callable[[str], None]
) -> None:
    """It is painted soon after its data came, and nothing jumps."""
    took = await card.go_to(f"{seeded.day(BUSY_DAY)}")
    assert len(await card.events("Garden")) == 2000
    await expect(card.element.get_by_role("status")).to_contain_text("2000 events")
    # All rows are there, and the pixels as well
    painted = await card.row("Garden").evaluate(
        """row => {
          const canvas = row.shadowRoot.querySelector("canvas");
          const {data} = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1);
          return data.filter((value, at) => at % 4 === 3 && value > 0).length / canvas.width;
        }"""
    )
    assert painted > 0.5
    shifts = await card.shifts()
    record_fact(
        f"card: 2,000 events in {took['pages']:.0f} pages: painted {took['all']:.0f} ms after the last data came,"
        f" {took['first']:.0f} ms after the first, {took['asked']:.0f} ms after they were asked for;"
        f" layout shifts: {sum(shifts):.4f}"
    )
    assert took["all"] < FIRST_PAINT_MS
    assert shifts == []


async def test_no_layout_shift(card: Card) -> None:
    """From the first paint of the card to today's events nothing in it jumps."""
    assert await card.shifts() == []
    # What the observer tells when something does
    await card.element.evaluate(
        "card => { card.shadowRoot.querySelector('magicpi-stage').style.marginTop = '50px'; }"
    )
    await wait_until(card.shifts, 10, "a layout shift")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessible(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    scheme: Scheme,
    record_fact: Callable[[str], None],
) -> None:
    """axe-core finds nothing, with a clip on the stage and without."""
    axe = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
    if not install_frontend() or not axe.exists():
        pytest.skip("axe-core comes with npm, which is not here")
    async with card_of(seeded, browser, dashboard, scheme=scheme) as card:
        await card.page.evaluate(axe.read_text())
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        checked = 0
        for clip in (False, True):
            if clip:
                slider = card.row("Garden").get_by_role("slider")
                await slider.focus()
                await card.page.keyboard.press("End")
                await card.visitor.video_plays()
            result = await card.page.evaluate(
                "async card => axe.run(card)", await card.element.element_handle()
            )
            found = [
                f"{rule['id']}: {node['html']}"
                for rule in result["violations"]
                for node in rule["nodes"]
            ]
            assert found == []
            checked = max(checked, len(result["passes"]))
        assert checked >= 10
        record_fact(f"card: axe-core, {scheme}: {checked} rules passed, 0 violations")


def install_frontend() -> bool:
    """Bring in what the card is built with; return whether that is possible here."""
    if (npm := shutil.which("npm")) is None:
        return False
    wanted = json.loads((FRONTEND / "package.json").read_text())["devDependencies"]
    modules = FRONTEND / "node_modules"
    if all(_version(modules / name) == version for name, version in wanted.items()):
        return True
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund"]
    return not subprocess.run(command, cwd=FRONTEND, check=False).returncode


def _version(folder: Path) -> str | None:
    """Return the version of an installed package."""
    path = folder / "package.json"
    return json.loads(path.read_text())["version"] if path.exists() else None


def test_committed_bundle_is_built_from_the_sources() -> None:
    """What users get is what the sources say, and the sources are sound."""
    if not install_frontend():
        pytest.skip("the card is built with npm, which is not here")
    committed = BUNDLE.read_bytes()
    try:
        for script in ("check", "build"):
            subprocess.run(["npm", "run", "--silent", script], cwd=FRONTEND, check=True)
        assert BUNDLE.read_bytes() == committed
        assert len(gzip.compress(committed, 9)) <= MOST_BYTES
    finally:
        BUNDLE.write_bytes(committed)
