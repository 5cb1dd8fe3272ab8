"""The timeline card on a page that stays open for weeks: restarts, lost links, days that go by."""

from collections.abc import Callable
from datetime import datetime, timedelta
import json
import re
from typing import Any, Literal
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Page, Route, WebSocketRoute, expect
import pytest
import pytest_asyncio

from home_assistant import wait_until
from person import CARD, PHONE, person
from seeded_installation import CALM_DAY, TIME_ZONE, SeededInstallation
from virtual_camera import VirtualCamera

from .test_card import OBSERVE, Card, card_of

DASHBOARD = "card-weeks"
DAY_MS = 86_400_000
ZONE = ZoneInfo(TIME_ZONE)

# Commands that Home Assistant does not know yet, as right after its start.
REFUSE_TWICE = """
window.refused = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (window.refused < 2 && data.includes('"magicpi_nvr/subscribe"')) {
    window.refused++;
    data = data.replace("magicpi_nvr/subscribe", "magicpi_nvr/not_yet");
  }
  return send.call(this, data);
};
"""
SLOW = """
window.asked = 0;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (data.includes('"magicpi_nvr/events"')) {
    window.asked++;
    setTimeout(() => send.call(this, data), window.lag ?? 0);
    return;
  }
  send.call(this, data);
};
"""
# Links to clips that are valid for two seconds, as long as `window.brief` is set.
BRIEF = """
window.brief = true;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (window.brief && data.includes('"auth/sign_path"')) {
    data = data.replace(/"expires":\\d+/, '"expires":2');
  }
  return send.call(this, data);
};
"""
COUNTS = """card => ({
  renders: card.renders,
  draws: [...card.shadowRoot.querySelectorAll("magicpi-timeline-row")].map(row => row.draws),
})"""
# More cameras than this home has, each with events all over the day.
CROWD = """async ([card, cameras, events, silent]) => {
  const {feed, store} = card;
  const now = Date.now();
  const made = Array.from({length: cameras}, (_, number) => ({
    ...feed.cameras[0], id: `camera ${number}`, name: `Camera ${String(number + 1).padStart(2, "0")}`, picture: null,
  }));
  feed.cameras = made;
  card.follow();
  store.stop();
  store.loading = false;
  made.forEach((camera, number) => store.lists.set(camera.id, number >= cameras - silent ? [] :
    Array.from({length: events}, (_, at) => {
      const start = now - 86400000 + (at + 0.5) * 86400000 / events;
      return {id: `${number} ${at}`, camera: camera.id, start, end: start + 10000, reason: "motion", state: "ready",
        labels: [], protected: false, thumbnail: null, clip: "/none"};
    })));
  card.requestUpdate();
  await card.updateComplete;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dashboard(seeded: SeededInstallation, front_door: VirtualCamera) -> str:
    """Return the path of a dashboard with nothing but the card."""
    view = {"title": "Weeks", "type": "panel", "cards": [{"type": f"custom:{CARD}"}]}
    await seeded.hass.save_dashboard(DASHBOARD, {"views": [view]})
    return f"/{DASHBOARD}/0"


def parts(message: str | bytes) -> list[dict[str, Any]]:
    """Return the messages of Home Assistant's that come as one."""
    found = json.loads(message)
    return found if isinstance(found, list) else [found]


async def hold_registry(page: Page) -> None:
    """Let the registry of entities come later than the cameras, as on a busy machine."""

    def connect(ours: WebSocketRoute) -> None:
        server = ours.connect_to_server()
        asked: dict[int, str] = {}
        held: list[dict[str, Any]] = []

        def out(message: str | bytes) -> None:
            for part in parts(message):
                asked[part.get("id", 0)] = part["type"]
            server.send(message)

        def back(message: str | bytes) -> None:
            for part in parts(message):
                kind = asked.get(part.get("id", 0))
                if kind == "config/entity_registry/list_for_display":
                    held.append(part)
                    continue
                ours.send(json.dumps(part))
                if kind == "magicpi_nvr/cameras":
                    while held:
                        ours.send(json.dumps(held.pop()))

        ours.on_message(out)
        server.on_message(back)

    await page.route_web_socket(re.compile("/api/websocket"), connect)


async def test_sleeping_cameras_are_left_alone(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """Their pictures are loaded once, not twice as the page begins, nor every few seconds."""
    await front_door.wait_state("asleep", timeout=60)
    for key, state in (("camera", "idle"), ("status", "asleep")):
        entity = await seeded.entity(front_door.id, key)
        assert entity
        await seeded.hass.wait_for_state(entity, state)
    async with person(browser, seeded.hass) as visitor:
        card, page = Card(visitor), visitor.page
        asked: list[str] = []
        page.on(
            "request",
            lambda request: (
                asked.append(request.url.rpartition("/")[2])
                if "/picture/" in request.url or "/camera_proxy" in request.url
                else None
            ),
        )
        await hold_registry(page)
        await open_at(page, card, dashboard, datetime.now(ZONE))
        await expect(card.element.locator(".tile img")).to_have_count(2)
        await page.wait_for_load_state("networkidle")
        for _ in range(10):
            await page.clock.fast_forward("01:00")
            # The page gives up a connection on which no answer comes within its five seconds
            await page.evaluate(
                "document.querySelector('home-assistant').hass.connection.ping()"
            )
        await page.wait_for_load_state("networkidle")
        assert sorted(asked) == sorted(
            camera.replace(":", "-") for camera in (front_door.id, seeded.garden_id)
        )


async def test_subscription_that_is_refused(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """It is asked for again until news come."""
    async with person(browser, seeded.hass) as visitor:
        await visitor.page.add_init_script(REFUSE_TWICE)
        card = Card(visitor)
        await card.open(dashboard)
        assert await visitor.page.evaluate("window.refused") == 2
        before = len(await card.events("Front door"))
        await front_door.wait_state("asleep", timeout=60)
        await seeded.record(front_door, 2)
        slider = card.row("Front door").get_by_role("slider")
        await expect(slider).to_have_attribute("aria-valuemax", str(before + 1))


async def test_restart_under_an_open_card(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """After a restart of Home Assistant the card goes on by itself, with what came meanwhile."""
    async with person(browser, seeded.hass) as visitor:
        card = Card(visitor)
        await card.open(dashboard)
        before = len(await card.events("Front door"))
        await front_door.wait_state("asleep", timeout=60)
        await seeded.hass.stop()
        status = card.element.get_by_role("status")
        await expect(status).to_contain_text("Waiting for Home Assistant")
        await seeded.hass.start()
        await expect(status).to_contain_text("event", timeout=90_000)
        await seeded.record(front_door, 2)
        slider = card.row("Front door").get_by_role("slider")
        await expect(slider).to_have_attribute("aria-valuemax", str(before + 1))
        # And a clip plays, with a link of the new Home Assistant
        await slider.focus()
        await slider.press("End")
        await visitor.video_plays()


class Loser:
    """Loses a request to delete an event, or its answer and all that follows it."""

    def __init__(self, what: Literal["request", "answer"]) -> None:
        """Say what gets lost, once."""
        self.what = what
        self.lost: list[str | bytes] = []
        self._connection: WebSocketRoute | None = None

    async def listen(self, page: Page) -> None:
        """Stand between a page and Home Assistant."""
        await page.route_web_socket(re.compile("/api/websocket"), self._connect)

    def _connect(self, ours: WebSocketRoute) -> None:
        self._connection = ours
        server = ours.connect_to_server()
        deaf = False

        def out(message: str | bytes) -> None:
            nonlocal deaf
            if not self.lost and '"delete_event"' in str(message):
                self.lost.append(message)
                deaf = True
                if self.what == "request":
                    return
            server.send(message)

        ours.on_message(out)
        server.on_message(lambda message: None if deaf else ours.send(message))

    async def cut(self) -> None:
        """End the connection; the page makes another one."""
        assert self._connection
        await self._connection.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_connection_lost_during_a_delete(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
    restart: bool,
) -> None:
    """The card says that nobody answered; then it shows what is there, and deletes what still is."""
    ids: list[str] = []
    for _ in range(2):
        await front_door.wait_state("asleep", timeout=60)
        ids.append((await seeded.record(front_door, 2))["event_id"])
    stays, goes = ids

    async def there() -> set[str]:
        page = await seeded.hass.ws("magicpi_nvr/events", camera_ids=[front_door.id])
        return {event["id"] for event in page["events"]} & {stays, goes}

    async with (
        person(browser, seeded.hass) as one,
        person(browser, seeded.hass) as two,
    ):
        kept, gone = Card(one), Card(two)
        losers = [Loser("request"), Loser("answer")]
        for card, loser, event in zip((kept, gone), losers, ids, strict=True):
            await loser.listen(card.page)
            await card.open(dashboard)
            await card.element.evaluate(
                """(card, id) => {
                  const event = card.store.find(id);
                  card.play(event, event.start);
                }""",
                event,
            )
            await card.visitor.video_plays()
            await card.visitor.button("Delete", within=card.element).click()
            await card.element.locator("button.danger").click()
            await wait_until(loser.lost.copy, 10, "a delete")

        async def deleted() -> bool:
            return await there() == {stays}

        await wait_until(deleted, 10, "the deletion")
        said = "The connection was lost before Home Assistant answered."
        if restart:
            await seeded.hass.stop()
            try:
                for card in (kept, gone):
                    alert = card.element.locator("p[role=alert]")
                    await expect(alert).to_contain_text(said)
            finally:
                await seeded.hass.start()
        else:
            for loser in losers:
                await loser.cut()
        for card in (kept, gone):
            status = card.element.get_by_role("status")
            await expect(status).to_contain_text("event", timeout=90_000)
        player = "magicpi-clip-player"
        await expect(kept.element.locator("p[role=alert]")).to_contain_text(said)
        await expect(kept.element.locator(player)).to_have_count(1)
        await kept.element.locator("button.danger").click()
        await expect(kept.element.locator(player)).to_have_count(0)
        assert await there() == set()
        # What was deleted is closed without a word
        await expect(gone.element.locator(player)).to_have_count(0)
        await expect(gone.element.get_by_role("alert")).to_have_count(0)


async def test_connection_lost_while_writing(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Home Assistant's page makes its cards again then: day, filter, clip and the note that is being written stay."""
    loser = Loser("request")
    async with person(browser, seeded.hass) as visitor:
        card = Card(visitor)
        await loser.listen(card.page)
        await card.open(dashboard)
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        await card.element.get_by_role("button", name="Garden", exact=True).click()
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        await visitor.video_plays()
        await visitor.button("Pause", within=card.element).click()
        await visitor.button("Labels and note", within=card.element).click()
        note = card.element.get_by_label("Note", exact=True)
        await note.fill("Half a")
        await card.element.evaluate("card => { card.before = true; }")
        await loser.cut()
        await card.page.wait_for_function(
            "card => !card.isConnected", arg=await card.element.element_handle()
        )
        await expect(card.element.get_by_role("status")).to_have_text("60 events")
        assert not await card.element.evaluate("card => card.before")
        await expect(note).to_have_value("Half a")
        await expect(visitor.button("Play", within=card.element)).to_be_visible()
        await expect(card.element.locator(".row .name")).to_have_text(["Garden"])
        assert (await base_of(card))[0].date() == seeded.day(CALM_DAY)


async def test_link_that_expired(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """A clip whose link is no longer valid is opened with a new one."""
    answers: list[int] = []
    async with person(browser, seeded.hass) as visitor:
        page = visitor.page
        await page.add_init_script(BRIEF)
        card = Card(visitor)
        await card.open(dashboard)
        await card.go_to(f"{seeded.day(CALM_DAY)}")

        async def late(route: Route) -> None:
            """Let the first request come after the end of its link."""

            async def expired() -> bool:
                async with seeded.hass.session.get(
                    route.request.url, headers={"Authorization": ""}
                ) as response:
                    return response.status in (401, 403)

            if not answers:
                await page.evaluate("window.brief = false")
                await wait_until(expired, 30, "the end of the link")
            response = await route.fetch()
            answers.append(response.status)
            await route.fulfill(response=response)

        await page.route("**/api/magicpi_nvr/clip/**", late)
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        video = card.element.locator("video")
        await expect(video).to_have_js_property("readyState", 4)
        await visitor.video_plays()
        assert answers[0] in (401, 403)
        assert set(answers[1:]) <= {200, 206}
        await expect(card.element.get_by_role("alert")).to_have_count(0)


async def test_clip_that_is_gone(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Only what Home Assistant does not have any more is called gone, and chosen again it is tried again."""
    answers = [503, 404]

    async def answer(route: Route) -> None:
        if route.request.method == "HEAD" and answers:
            await route.fulfill(status=answers.pop(0))
        elif answers or route.request.method == "HEAD":
            await route.fulfill(status=404 if not answers else 503)
        else:
            await route.continue_()

    async with person(browser, seeded.hass) as visitor:
        card = Card(visitor)
        await card.open(dashboard)
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        await visitor.page.route("**/api/magicpi_nvr/clip/**", answer)
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("Home")
        trouble = card.element.get_by_role("alert")
        await expect(trouble).to_contain_text("Waiting for Home Assistant")
        await expect(trouble).to_contain_text("no longer there")
        await visitor.page.unroute("**/api/magicpi_nvr/clip/**")
        await card.element.get_by_role("button", name="Close the clip").click()
        await slider.focus()
        await slider.press("Home")
        await visitor.video_plays()
        await expect(trouble).to_have_count(0)


# Home Assistant's clock shows what the browser's does.
SAME_CLOCK = """
const parse = JSON.parse;
JSON.parse = (...args) => {
  const value = parse(...args);
  for (const message of [value].flat()) {
    if (message?.result?.now && message.result.cameras) message.result.now = Date.now();
  }
  return value;
};
"""


async def open_at(page: Page, card: Card, dashboard: str, at: datetime) -> None:
    """Open the card where clocks show another time and go on from there."""
    await page.add_init_script(SAME_CLOCK)
    await page.clock.install(time=at)
    await card.visitor.open(dashboard)
    await expect(card.element.get_by_role("status")).not_to_contain_text("Loading")
    await card.element.locator("ha-date-input").wait_for()


async def base_of(card: Card) -> tuple[datetime, datetime]:
    """Return the local beginning and end of what the card shows."""
    base = await card.element.evaluate("card => card._port.base")
    start, end = (
        datetime.fromtimestamp(base[key] / 1000, ZONE) for key in ("start", "end")
    )
    return start, end


async def test_midnight(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """The last 24 hours end now, on the next day as well; what was chosen by date stays that date."""
    late = datetime.now(ZONE).replace(hour=23, minute=58, second=0, microsecond=0)
    async with person(browser, seeded.hass) as visitor:
        card, page = Card(visitor), visitor.page
        await open_at(page, card, dashboard, late)
        next_day = card.element.get_by_role("button", name="Next day")
        await expect(next_day).to_be_disabled()
        await page.clock.fast_forward("10:00")

        async def moved_on() -> bool:
            return (await base_of(card))[1] >= late + timedelta(minutes=8)

        await wait_until(moved_on, 10, "the next day")
        start, end = await base_of(card)
        assert start.date() == late.date()
        assert end.date() == late.date() + timedelta(1)
        await card.element.get_by_role("button", name="Day", exact=True).click()
        start, end = await base_of(card)
        assert start.date() == late.date() + timedelta(1)
        assert (start.hour, start.minute) == (0, 0)
        # A day that was chosen stays when the next begins, and the next can be chosen then
        await expect(next_day).to_be_disabled()
        await page.clock.fast_forward("24:00:00")
        await expect(next_day).to_be_enabled()
        assert (await base_of(card))[0] == start


@pytest.mark.parametrize(
    ("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
async def test_day_on_which_the_clock_changes(
    seeded: SeededInstallation, browser: Browser, dashboard: str, date: str, hours: int
) -> None:
    """It has as many hours as it has, and its marks are round local times."""
    noon = datetime.fromisoformat(f"{date}T12:00").replace(tzinfo=ZONE)
    async with person(browser, seeded.hass) as visitor:
        card = Card(visitor)
        await open_at(visitor.page, card, dashboard, noon)
        await card.element.get_by_role("button", name="Day", exact=True).click()
        start, end = await base_of(card)
        assert end.timestamp() - start.timestamp() == hours * 3600
        assert f"{start:%F %H:%M}" == f"{date} 00:00"
        marks = await card.element.locator(".marks span").all_inner_texts()
        assert [mark.split(":")[1][:2] for mark in marks] == ["00"] * len(marks)
        # At most twelve steps; in spring there is no 2 o'clock
        step = 3 if hours > 24 else 2
        shown = [int(mark.split(":")[0]) for mark in marks]
        skipped = {2} if hours < 24 else set()
        assert shown == [at for at in range(0, 24, step) if at not in skipped] + [0]


async def test_redrawn_only_for_what_concerns_it(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
    record_fact: Callable[[str], None],
) -> None:
    """States of other entities draw nothing; an event draws its own row."""
    await front_door.wait_state("asleep", timeout=60)
    async with card_of(seeded, browser, dashboard) as card:
        await card.page.wait_for_load_state("networkidle")
        before = await card.element.evaluate(COUNTS)
        for number in range(50):
            state = {"state": f"{number}"}
            await seeded.hass.rest("POST", "/api/states/sensor.other", state)
        await card.page.wait_for_function(
            "document.querySelector('home-assistant').hass.states['sensor.other']?.state === '49'"
        )
        after = await card.element.evaluate(COUNTS)
        assert after == before
        record_fact("card: 50 changes of an entity of others: 0 renders, 0 draws")
        slider = card.row("Front door").get_by_role("slider")
        events = int(await slider.get_attribute("aria-valuemax") or 0)
        await seeded.record(front_door, 2)
        await expect(slider).to_have_attribute("aria-valuemax", str(events + 1))
        drawn = await card.element.evaluate(COUNTS)
        assert drawn["draws"][0] > after["draws"][0]
        assert drawn["draws"][1] == after["draws"][1], "nothing happened in the garden"


async def test_slow_backend(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """The card says that it is loading; of days that were skipped none is loaded later."""
    async with person(browser, seeded.hass) as visitor:
        await visitor.page.add_init_script(SLOW)
        card = Card(visitor)
        await card.open(dashboard)
        await visitor.page.evaluate("window.lag = 2000; window.asked = 0")
        for _ in range(6):
            await card.element.get_by_role("button", name="Previous day").click()
        status = card.element.get_by_role("status")
        await expect(status).to_contain_text("Loading")
        await expect(status).not_to_contain_text("Loading", timeout=30_000)
        wanted = seeded.day(6)
        assert (await base_of(card))[0].date() == wanted
        assert await visitor.page.evaluate("window.asked") <= 3


async def test_german(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """Reasons, dates and all words are the user's."""
    async with person(browser, seeded.hass) as visitor:
        await visitor.page.add_init_script(
            f"localStorage.setItem('selectedLanguage', {json.dumps(json.dumps('de'))})"
        )
        card = Card(visitor)
        await visitor.page.add_init_script(OBSERVE)
        await visitor.open(dashboard)
        status = card.element.get_by_role("status")
        await expect(status).to_contain_text("Ereignis")
        await card.element.locator("ha-date-input").wait_for()
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        await expect(status).to_have_text("60 Ereignisse")
        slider = card.row("Garden").get_by_role("slider", name="Ereignisse von Garden")
        await slider.focus()
        await slider.press("End")
        await visitor.video_plays()
        day = seeded.day(CALM_DAY)
        about = card.element.locator(".about").first
        await expect(about).to_contain_text(f"{day.day:02}.{day.month:02}.{day.year}")
        await expect(about).to_contain_text("Bewegung · 10 s")
        texts = await card.element.evaluate(
            """card => {
              const inside = root => [...root.querySelectorAll("button, select, input")].flatMap(
                element => [element.getAttribute("aria-label") ?? element.innerText,
                            ...(element.shadowRoot ? inside(element.shadowRoot) : [])]);
              return [card, card.shadowRoot.querySelector("magicpi-stage")].flatMap(
                part => inside(part.shadowRoot));
            }"""
        )
        english = {"Play", "Delete", "Share a link", "Zoom in", "Day", "Week"}
        assert english & {text.strip() for text in texts} == set()
        assert "Vollbild" in texts


async def test_twelve_cameras_on_a_phone(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Rows are low, cameras without events are folded, and nothing is wider than the screen."""
    async with card_of(seeded, browser, dashboard, size=PHONE, touch=True) as card:
        element = await card.element.element_handle()
        await card.page.evaluate(CROWD, [element, 12, 20, 5])
        rows = card.element.locator("magicpi-timeline-row")
        await expect(rows).to_have_count(7)
        boxes = [await row.bounding_box() for row in await rows.all()]
        heights = [box["height"] for box in boxes if box]
        assert heights == [24] * 7
        last, first = boxes[-1], boxes[0]
        assert first
        assert last
        assert last["y"] + last["height"] - first["y"] < PHONE[1] / 3
        fold = card.element.get_by_role("button", name="5 cameras without events")
        await fold.click()
        await expect(rows).to_have_count(12)
        assert await card.page.evaluate(
            "document.scrollingElement.scrollWidth <= innerWidth"
        )


async def test_fifty_cameras(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    record_fact: Callable[[str], None],
) -> None:
    """A day of 2,000 events of fifty cameras pans smoothly."""
    async with card_of(seeded, browser, dashboard) as card:
        element = await card.element.element_handle()
        await card.page.evaluate(CROWD, [element, 50, 40, 0])
        await expect(card.element.locator("magicpi-timeline-row")).to_have_count(50)
        took: list[float] = await card.page.evaluate(
            """async card => {
              card.zoomButton(0.5);
              await card.updateComplete;
              const took = [];
              for (let step = 0; step < 20; step++) {
                await new Promise(requestAnimationFrame);
                const begin = performance.now();
                card.setPort({...card._port, view: {
                  start: card._port.view.start - 60000, end: card._port.view.end - 60000}});
                await card.updateComplete;
                await Promise.all([...card.shadowRoot.querySelectorAll("magicpi-timeline-row")].map(
                  row => row.updateComplete));
                took.push(performance.now() - begin);
              }
              return took.sort((one, two) => one - two);
            }""",
            element,
        )
        record_fact(
            f"card: 50 cameras, 2,000 events, one step of panning: median {took[10]:.0f} ms,"
            f" longest {took[-1]:.0f} ms"
        )
        # Counted, not timed: each row was drawn once a step, and no step was skipped
        draws = (await card.element.evaluate(COUNTS))["draws"]
        assert max(draws) - min(draws) <= 1


async def test_pan_and_zoom(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Dragging and the wheel pan, buttons zoom, the minimap shows where one is."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        for _ in range(2):
            await card.element.get_by_role("button", name="Zoom in").click()

        async def view() -> dict[str, Any]:
            found: dict[str, Any] = await card.element.evaluate("card => card._view")
            return found

        before = await view()
        assert before["end"] - before["start"] == DAY_MS / 4
        row = card.row("Front door")
        box = await row.bounding_box()
        assert box
        mouse = card.page.mouse
        middle = box["y"] + box["height"] / 2
        await mouse.move(box["x"] + 200, middle)
        await mouse.down()
        await mouse.move(box["x"] + 300, middle, steps=5)
        await mouse.up()
        dragged = await view()
        per_pixel = DAY_MS / 4 / box["width"]
        assert abs(before["start"] - dragged["start"] - 100 * per_pixel) < 6 * per_pixel
        await mouse.wheel(50, 0)

        async def wheeled() -> bool:
            return bool((await view())["start"] > dragged["start"])

        await wait_until(wheeled, 5, "the wheel")
        window = card.element.locator("magicpi-minimap .window")
        width = await window.evaluate("element => parseFloat(element.style.width)")
        assert abs(width - 25) < 0.1
        # Further than the day: the day before comes into view, with its events
        for _ in range(12):
            await mouse.wheel(-400, 0)
        earlier = seeded.day(CALM_DAY + 1)

        async def there() -> bool:
            start = datetime.fromtimestamp((await view())["start"] / 1000, ZONE)
            return start.date() <= earlier

        await wait_until(there, 10, "the day before")
        await expect(card.element.get_by_role("status")).not_to_contain_text("Loading")


async def test_previous_and_next(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Buttons go from event to event; a time leads to what happened then."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        events = await card.events("Garden")
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("Home")
        await card.visitor.video_plays()
        await card.element.get_by_role("button", name="Next event").click()
        await expect(slider).to_have_attribute("aria-valuenow", "2")
        await card.element.get_by_role("button", name="Previous event").click()
        await expect(slider).to_have_attribute("aria-valuenow", "1")
        at = datetime.fromtimestamp(events[30]["start"] / 1000, ZONE)
        await card.element.get_by_label("Go to a time").fill(f"{at:%H:%M}")
        await card.element.get_by_label("Go to a time").press("Enter")

        async def jumped() -> bool:
            cursor = await card.cursor()
            return abs(cursor - at.timestamp() * 1000) < 660_000

        await wait_until(jumped, 10, "the time")


async def test_work_with_a_clip(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """Protect, label, note, step through pictures, download, delete: each shows in the card."""
    await front_door.wait_state("asleep", timeout=60)
    await seeded.record(front_door, 5)
    async with card_of(seeded, browser, dashboard) as card:
        page, element = card.page, card.element
        slider = card.row("Front door").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        video = await card.visitor.video_plays()
        first = (await card.events("Front door"))[-1]

        async def event() -> dict[str, Any]:
            answer = await seeded.hass.ws(
                "magicpi_nvr/events",
                start=first["start"] - 1,
                end=first["end"],
            )
            return next(one for one in answer["events"] if one["id"] == first["id"])

        await element.get_by_role("button", name="Protect from deletion").click()
        await expect(
            element.get_by_role("button", name="No longer protect")
        ).to_be_visible()
        assert (await event())["protected"]
        await element.get_by_role("button", name="No longer protect").click()
        await element.get_by_role("button", name="Labels and note").click()
        await element.get_by_label("Labels, separated by commas").fill("cat, parcel")
        await element.get_by_label("Note", exact=True).fill("On the wall")
        await element.get_by_role("button", name="Save").click()
        about = element.locator(".about").first
        await expect(about).to_contain_text("cat · parcel")
        await expect(about).to_contain_text("On the wall")
        assert (await event())["labels"] == ["cat", "parcel"]
        # The label has become a filter
        chip = element.get_by_role("button", name="parcel", exact=True)
        await chip.click()
        await expect(element.get_by_role("status")).to_have_text("1 event")
        await chip.click()

        await card.visitor.seek(video, 3)
        await element.get_by_role("button", name="Next picture").click()

        async def stepped() -> bool:
            time = float(await video.evaluate("video => video.currentTime"))
            return 3 < time < 3.5 and bool(
                await video.evaluate("video => video.paused")
            )

        await wait_until(stepped, 10, "the next picture")
        stamp = element.locator(".stamp")
        at = datetime.fromtimestamp(first["start"] / 1000 + 3, ZONE)
        await expect(stamp).to_contain_text(f"{at:%M:%S}")
        await element.get_by_label("Speed").select_option("4")
        await expect(video).to_have_js_property("playbackRate", 4)
        async with page.expect_download() as downloading:
            await element.get_by_role("button", name="Download").click()
        download = await downloading.value
        assert download.suggested_filename.endswith(".mp4")

        count = len(await card.events("Front door"))
        await element.get_by_role("button", name="Delete").click()
        sure = element.get_by_role("group", name="Delete")
        await sure.get_by_role("button", name="Delete").click()
        await expect(slider).to_have_attribute("aria-valuemax", str(count - 1))
        await expect(element.locator("video")).to_have_count(0)


async def test_seen_is_remembered(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """What one has looked at is known in another window as well, which was open before; neither forgets what the other saw."""
    await front_door.wait_state("asleep", timeout=60)
    clip = await seeded.record(front_door, 2)
    async with (
        card_of(seeded, browser, dashboard) as card,
        card_of(seeded, browser, dashboard) as other,
    ):
        for one in (card, other):
            await one.element.get_by_role("button", name="not seen yet").click()
        ids = [event["id"] for event in await card.events("Front door")]
        assert clip["event_id"] in ids
        slider = card.row("Front door").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        await card.visitor.video_plays()

        async def hidden() -> bool:
            events = await other.events("Front door")
            return clip["event_id"] not in [event["id"] for event in events]

        await wait_until(hidden, 20, "an event that is no longer new")
        await other.element.evaluate(
            """card => card.feed.seen.add(card.hass, [{id: "another", start: Date.now()}])"""
        )

        async def kept() -> bool:
            data = await seeded.hass.ws(
                "frontend/get_user_data", key="magicpi_nvr_seen"
            )
            return {clip["event_id"], "another"} <= {*data["value"]["ids"]}

        await wait_until(kept, 20, "what both have seen")


async def test_several_clips_on_one_clock(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Each clip runs while its moment is there; seeking moves them all."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        # Two clips of this home that follow each other stand for two cameras
        await card.element.evaluate(
            """card => {
              const [one, two] = card.shownOf(card.cameras[1]).events.slice(10, 12);
              const shift = two.start - one.start - 5000;
              card.from = one.start;
              card._source = {kind: "group", event: one, events: [one, {...two, start: two.start - shift, end: two.end - shift}]};
            }"""
        )
        videos = card.element.locator("magicpi-clip-player video")
        await expect(videos).to_have_count(2)
        first, second = videos.nth(0), videos.nth(1)
        await expect(first).to_have_js_property("paused", value=False)
        await expect(second).to_have_js_property("paused", value=True)
        await card.element.evaluate(
            "card => card.stage.seek(card._source.event.start + 7000)"
        )

        async def together() -> bool:
            ahead, behind = [
                float(await video.evaluate("video => video.currentTime"))
                for video in (first, second)
            ]
            running = not await second.evaluate("video => video.paused")
            return running and abs(ahead - behind - 5) < 0.5

        await wait_until(together, 15, "two clips at one moment")
        await card.element.evaluate("card => card.stage.pause()")
        await expect(first).to_have_js_property("paused", value=True)
        await expect(second).to_have_js_property("paused", value=True)
