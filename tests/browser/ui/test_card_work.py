"""Work with the timeline card: fingers, dates, filters, sharing, rights, other directions, hostile words."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
import json
from typing import Any
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, expect
import pytest
import pytest_asyncio

from home_assistant import wait_until
from person import CARD, PHONE, person
from seeded_installation import BUSY_DAY, CALM_DAY, TIME_ZONE, SeededInstallation
from virtual_camera import LoopSource, VirtualCamera

from .test_card import Card, card_of
from .test_card_weeks import CROWD, base_of

DASHBOARD = "card-work"
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ZONE = ZoneInfo(TIME_ZONE)

HOSTILE = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>',
    "{{ 7 * 7 }} ${window.hacked=1}",
    "\u202eevil\u202c \u202egnp.exe",
    "🎥" * 60,
    "W" * 200,
)
# Another event as Home Assistant would send it.
NOTICED = """async (card, event) => {
  const {id} = card.cameras.find(camera => camera.name === event.name);
  card.feed.dispatchEvent(new CustomEvent("notice", {detail: {type: "clip_ready", event: {
    state: "ready", labels: [], protected: false, thumbnail: null, clip: "/none", ...event, camera: id}}}));
  await card.updateComplete;
}"""
HACKED = "window.hacked === undefined"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dashboard(seeded: SeededInstallation, front_door: VirtualCamera) -> str:
    """Return the path of a dashboard with nothing but the card."""
    view = {"title": "Work", "type": "panel", "cards": [{"type": f"custom:{CARD}"}]}
    await seeded.hass.save_dashboard(DASHBOARD, {"views": [view]})
    return f"/{DASHBOARD}/0"


async def test_pinch(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Two fingers zoom around what is between them, and take it along."""
    async with card_of(seeded, browser, dashboard, size=PHONE, touch=True) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        row = card.row("Garden")
        await row.scroll_into_view_if_needed()
        box = await row.bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        client = await card.page.context.new_cdp_session(card.page)

        async def fingers(kind: str, *places: float) -> None:
            points = [
                {"x": box["x"] + box["width"] * place, "y": middle, "id": number}
                for number, place in enumerate(places)
            ]
            await client.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
            )

        before = await card.element.evaluate("card => card._view")
        await fingers("touchStart", 0.45)
        await fingers("touchStart", 0.45, 0.55)
        for step in range(1, 6):
            await fingers("touchMove", 0.45 - 0.04 * step, 0.55 + 0.04 * step)
        await fingers("touchEnd")
        after = await card.element.evaluate("card => card._view")
        factor = (before["end"] - before["start"]) / (after["end"] - after["start"])
        assert factor == pytest.approx(5, rel=0.1)
        centers = [(view["start"] + view["end"]) / 2 for view in (before, after)]
        assert abs(centers[0] - centers[1]) < HOUR_MS / 2
        # Nothing was opened by it
        await expect(card.element.locator("video")).to_have_count(0)


async def test_week(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Seven days with their events; the week before is as long."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.element.get_by_role("button", name="Week", exact=True).click()
        status = card.element.get_by_role("status")
        await expect(status).not_to_contain_text("Loading")
        start, end = await base_of(card)
        assert timedelta(days=7) <= end - start < timedelta(days=7.1)
        assert len(await card.events("Garden")) == 2060
        marks = await card.element.locator(".marks span").all_inner_texts()
        names = {f"{seeded.day(ago):%a}" for ago in range(7)}
        assert {mark.split()[0].strip(",") for mark in marks} == names
        await card.element.get_by_role("button", name="Previous day").click()
        await expect(status).to_have_text("No events in this time")
        start, end = await base_of(card)
        assert end.date() - start.date() == timedelta(days=7)
        assert end.date() == seeded.day(6)


async def test_date_dialog(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Home Assistant's own date picker leads to a day."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.element.locator("ha-date-input").click()
        dialog = card.page.locator("ha-dialog-date-picker")
        wanted = seeded.day(CALM_DAY)
        if wanted.month != seeded.day(0).month:
            await dialog.get_by_role("button", name="Back").first.click()
        day = f"{wanted.day} {wanted:%B}"
        await dialog.get_by_role("button", name=day, exact=True).click()
        await dialog.get_by_role("button", name="OK").click()
        await expect(card.element.get_by_role("status")).to_have_text("60 events")
        assert (await base_of(card))[0].date() == wanted


async def test_share(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """A link that is shared opens the clip without a login, and nothing else."""
    async with card_of(seeded, browser, dashboard) as card:
        page = card.page
        await page.evaluate(
            """() => {
              navigator.share = async data => { window.shared = data; };
              Object.defineProperty(navigator, "clipboard", {configurable: true, value: {
                writeText: async text => { window.copied = text; }}});
            }"""
        )
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        await card.visitor.video_plays()
        share = card.element.get_by_role("button", name="Share a link")
        await share.click()
        await page.wait_for_function("window.shared")
        shared = await page.evaluate("window.shared")
        assert shared["title"].startswith("Garden ")
        nobody = {"Authorization": ""}
        async with seeded.hass.session.get(shared["url"], headers=nobody) as response:
            assert response.status == 200
            assert response.content_type == "video/mp4"
            assert (await response.read())[4:8] == b"ftyp"
        other = shared["url"].replace("/clip/event/", "/thumbnail/")
        async with seeded.hass.session.get(other, headers=nobody) as response:
            assert response.status in (401, 403)
        # Where the browser shares nothing, the link is copied and that is said
        await page.evaluate("navigator.share = undefined")
        await share.click()
        await expect(page.get_by_text("The link is copied.").first).to_be_visible()
        assert "authSig=" in await page.evaluate("window.copied")


async def test_full_screen(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """The stage fills the screen, with time and name on it, and comes back."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        await card.visitor.video_plays()
        await card.element.get_by_role("button", name="Full screen").click()
        shown = card.element.locator(".stage")
        await expect(shown).to_have_js_property("localName", "div")
        await card.page.wait_for_function("document.fullscreenElement !== null")
        size = await shown.evaluate(
            "stage => [stage.clientWidth, stage.clientHeight, innerWidth, innerHeight]"
        )
        assert size[:2] == size[2:]
        await expect(card.element.locator(".stamp")).to_be_visible()
        await expect(shown.locator(".caption")).to_have_text("Garden")
        await card.page.keyboard.press("Escape")
        await card.page.evaluate("document.exitFullscreen?.().catch(() => undefined)")
        await card.page.wait_for_function("document.fullscreenElement === null")


async def test_right_to_left(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Names are at the right, time still goes to the right, and a click meets its event."""
    async with person(browser, seeded.hass) as visitor:
        await visitor.page.add_init_script(
            f"localStorage.setItem('selectedLanguage', {json.dumps(json.dumps('he'))})"
        )
        card = Card(visitor)
        await card.open(dashboard)
        await expect(visitor.page.locator("html")).to_have_attribute("dir", "rtl")
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        row = card.row("Garden")
        box = await row.bounding_box()
        parts = card.element.locator(".row", has_text="Garden")
        name = await parts.locator(".name").bounding_box()
        tile = await parts.locator(".tile").bounding_box()
        assert box
        assert name
        assert tile
        assert tile["x"] < box["x"] < name["x"]
        events = await card.events("Garden")
        wanted = events[-1]
        await row.click(position={"x": wanted["x"], "y": wanted["y"]})
        await visitor.video_plays()
        found = await card.element.evaluate("card => card._source.event.start")
        assert abs(found - wanted["start"]) < 20 * 60_000
        line = await card.element.locator(".over .cursor").bounding_box()
        assert line
        assert abs(line["x"] - box["x"] - wanted["x"]) < 15
        assert await visitor.page.evaluate(
            "document.scrollingElement.scrollWidth <= innerWidth"
        )


async def test_chips(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """What nobody asked for is hidden until its chip is pressed; labels and zones choose."""
    async with card_of(seeded, browser, dashboard) as card:
        now = await card.page.evaluate("Date.now()")
        before = len(await card.events("Garden"))

        def event(id: str, **facts: Any) -> dict[str, Any]:
            start = now - HOUR_MS
            return {
                "id": id,
                "name": "Garden",
                "start": start,
                "end": start + 60_000,
                "reason": "motion",
            } | facts

        for made in (
            event("n", verdict="nothing_seen"),
            event("c", reason="continuous", end=now),
            event("p", detections=[{"label": "person"}], zones=["Path"]),
            event("k", labels=["cat"]),
        ):
            await card.element.evaluate(NOTICED, made)
        row = card.row("Garden")
        assert len(await card.events("Garden")) == before + 2
        assert [band["id"] for band in await row.evaluate("row => row.bands")] == ["c"]
        # The band is a thin line at the bottom, where no event is
        inked = await row.evaluate(
            """row => {
              const canvas = row.shadowRoot.querySelector("canvas");
              const at = Date.now() - 1800000;
              const x = (at - row.span.start) / (row.span.end - row.span.start) * canvas.width;
              const {data} = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height);
              const rows = [...data.keys()].filter(at => at % 4 === 3 && data[at]).map(at => (at - 3) / 4 / canvas.height);
              return [Math.min(...rows), Math.max(...rows)];
            }"""
        )
        assert 0.7 < inked[0] < inked[1] < 1
        for name, one_id, count in (
            ("nothing seen", "n", before + 3),
            ("continuous", "c", before + 3),
        ):
            chip = card.element.get_by_role("button", name=name, exact=True)
            await expect(chip).to_have_attribute("aria-pressed", "false")
            await chip.click()
            found = await card.events("Garden")
            assert len(found) == count
            assert one_id in [one["id"] for one in found]
            await chip.click()
        for name, one_id in (("person", "p"), ("Path", "p"), ("cat", "k")):
            chip = card.element.get_by_role("button", name=name, exact=True)
            await chip.click()
            assert [one["id"] for one in await card.events("Garden")] == [one_id]
            await chip.click()
        assert len(await card.events("Garden")) == before + 2


async def test_time_as_it_is_typed(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Times are read in all the ways in which people write them; nonsense goes nowhere."""
    async with card_of(seeded, browser, dashboard) as card:
        await card.go_to(f"{seeded.day(BUSY_DAY)}")
        field = card.element.get_by_label("Go to a time")
        for typed, hour, minute in (
            ("9:30", 9, 30),
            ("21.15", 21, 15),
            ("0730", 7, 30),
            ("9:30 pm", 21, 30),
            ("12 a.m.", 0, 0),
            ("14h05", 14, 5),
        ):
            await field.fill(typed)
            await field.press("Enter")
            at = datetime.combine(
                seeded.day(BUSY_DAY), datetime.min.time(), ZONE
            ).replace(hour=hour, minute=minute)
            cursor = await card.cursor()
            assert 0 <= cursor - at.timestamp() * 1000 < 600_000, typed
        before = await card.cursor()
        for typed in ("25:00", "9:75", "soon"):
            await field.fill(typed)
            await field.press("Enter")
            await expect(field).to_have_attribute("aria-invalid", "true")
        assert await card.cursor() >= before


@pytest_asyncio.fixture(loop_scope="session")
async def porch(seeded: SeededInstallation) -> AsyncGenerator[VirtualCamera]:
    """Return a second camera that records; it is gone afterwards."""
    camera = await seeded.add_camera(
        f"{seeded.shed_id[:-2]}07",
        LoopSource.rendered(10, resolution="QVGA"),
        always_on=True,
    )
    await seeded.claim(camera, "Porch")
    await seeded.end_soon(camera)
    yield camera
    if entry := await seeded.entry_titled("Porch"):
        await seeded.hass.rest("DELETE", f"/api/config/config_entries/entry/{entry}")
    await camera.stop()


async def test_two_cameras_at_one_moment(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
    porch: VirtualCamera,
) -> None:
    """Clips that two cameras took of one moment run on one clock; a camera that is removed takes its own along."""
    await front_door.wait_state("asleep", timeout=60)
    async with person(browser, seeded.hass) as visitor:
        card = Card(visitor)
        await card.open(dashboard)
        porch.trigger_motion(6)
        await seeded.record(front_door, 6)
        slider = card.row("Porch").get_by_role("slider")
        await expect(slider).to_have_attribute("aria-valuemax", "1", timeout=60_000)

        async def ready() -> bool:
            states = [
                (await card.events(name))[-1]["state"]
                for name in ("Porch", "Front door")
            ]
            return states == ["ready", "ready"]

        await wait_until(ready, 60, "both clips")
        await slider.focus()
        await slider.press("End")
        await card.visitor.video_plays()
        await card.element.get_by_role(
            "button", name="All cameras at this moment"
        ).click()
        players = card.element.locator("magicpi-clip-player")
        await expect(players).to_have_count(2)
        starts = [
            (await card.events(name))[-1]["start"] for name in ("Porch", "Front door")
        ]
        await card.element.evaluate(
            "(card, at) => card.stage.seek(at)", max(starts) + 1500
        )

        async def apart() -> float | None:
            """Return how far the clips are from each other by the wall clock, in ms."""
            at: list[float | None] = await players.evaluate_all(
                """players => players.map(player => {
                  const video = player.shadowRoot.querySelector("video");
                  return video && !video.paused && !video.seeking && video.readyState >= 2
                    ? player.event.start + video.currentTime * 1000 : null;
                })"""
            )
            return None if None in at else abs(at[0] - at[1])  # type: ignore[operator]

        async def together() -> bool:
            found = await apart()
            return found is not None and found < 500

        await wait_until(together, 20, "two clips at one moment")
        # Back to one: the camera goes while its clip is open
        await card.element.get_by_role(
            "button", name="All cameras at this moment"
        ).click()
        await expect(players).to_have_count(1)
        entry = await seeded.entry("Porch")
        await seeded.hass.rest("DELETE", f"/api/config/config_entries/entry/{entry}")
        await expect(card.element.locator(".row .name")).to_have_text(
            ["Front door", "Garden"], timeout=30_000
        )
        await card.element.get_by_role("button", name="Next event").click()
        await expect(card.element.get_by_role("status")).to_contain_text("event")
        # A picture may be asked for in the moment in which the camera goes
        assert [
            complaint for complaint in visitor.complaints if " 404 " not in complaint
        ] == []


async def test_entity_that_is_renamed(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """The card follows a camera whose entity gets another id."""
    entity = await seeded.entity(front_door.id, "camera")
    async with card_of(seeded, browser, dashboard) as card:
        for old, new in ((entity, "camera.elsewhere"), ("camera.elsewhere", entity)):
            await seeded.hass.ws(
                "config/entity_registry/update", entity_id=old, new_entity_id=new
            )
            await card.page.wait_for_function(
                """([card, id]) => card.cameras.some(camera => camera.entity_id === id)""",
                arg=[await card.element.element_handle(), new],
            )
            await expect(card.element.locator(".caption").first).to_contain_text(
                "Front door"
            )
            assert await card.element.locator(".row .name").all_inner_texts() == [
                "Front door",
                "Garden",
            ]


async def test_hostile_words(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """Names, labels and notes are words: they run nothing, and nothing grows wider than the screen."""
    await front_door.wait_state("asleep", timeout=60)
    clip = await seeded.record(front_door, 2)
    device = await seeded.device(front_door.id)
    assert device

    async def rename(name: str) -> None:
        await seeded.hass.ws(
            "config/device_registry/update",
            device_id=device["id"],
            name_by_user=name,
        )

    try:
        for size in ((1280, 900), PHONE):
            for words in HOSTILE:
                await rename(words)
                await seeded.hass.call_action(
                    "magicpi_nvr",
                    "label_event",
                    {
                        "event_id": clip["event_id"],
                        "labels": [words[:40]],
                        "description": words,
                    },
                )
                async with card_of(
                    seeded, browser, dashboard, size=size, touch=size == PHONE
                ) as card:
                    await card.element.evaluate(
                        """(card, id) => {
                          const event = card.store.lists.get(id).at(-1);
                          card.play(event, event.start);
                        }""",
                        front_door.id,
                    )
                    await card.visitor.video_plays()
                    about = card.element.locator(".about").first
                    await expect(about).to_contain_text(words.split()[0][:20])
                    await card.element.get_by_role(
                        "button", name="Labels and note"
                    ).click()
                    note = card.element.get_by_label("Note", exact=True)
                    await expect(note).to_have_value(words)
                    assert await card.page.evaluate(HACKED)
                    assert await card.page.evaluate(
                        "document.scrollingElement.scrollWidth <= innerWidth"
                    ), words
                    for part in await card.element.locator(".row, .stage").all():
                        box = await part.bounding_box()
                        assert box
                        assert box["x"] + box["width"] <= size[0] + 1, words
    finally:
        await rename("Front door")


async def guest_token(seeded: SeededInstallation) -> str:
    """Return the access token of somebody who may look and change nothing."""
    user = await seeded.hass.ws(
        "config/auth/create", name="Guest", group_ids=["system-read-only"]
    )
    await seeded.hass.ws(
        "config/auth_provider/homeassistant/create",
        user_id=user["user"]["id"],
        username="guest",
        password="guest guest",
    )
    client = f"{seeded.hass.base_url}/"
    flow = await seeded.hass.rest(
        "POST",
        "/auth/login_flow",
        {
            "client_id": client,
            "handler": ["homeassistant", None],
            "redirect_uri": client,
        },
    )
    done = await seeded.hass.rest(
        "POST",
        f"/auth/login_flow/{flow['flow_id']}",
        {"client_id": client, "username": "guest", "password": "guest guest"},
    )
    async with seeded.hass.session.post(
        "/auth/token",
        data={
            "grant_type": "authorization_code",
            "code": done["result"],
            "client_id": client,
        },
    ) as response:
        token: str = (await response.json())["access_token"]
    return token


async def test_without_rights(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Who may only look sees no buttons that would be refused, and watches all the same."""
    token = await guest_token(seeded)
    async with card_of(seeded, browser, dashboard, token=token) as card:
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        slider = card.row("Garden").get_by_role("slider")
        await slider.focus()
        await slider.press("End")
        await card.visitor.video_plays()
        bar = card.element.locator("magicpi-stage")
        await expect(bar.get_by_role("button", name="Download")).to_be_visible()
        for name in ("Protect from deletion", "Labels and note", "Delete"):
            await expect(bar.get_by_role("button", name=name)).to_have_count(0)
        await bar.get_by_role("button", name="Close the clip").click()
        await expect(bar.get_by_role("button", name="Draw zones")).to_have_count(0)


async def test_storage_that_is_blocked(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """A browser that keeps nothing shows all the same: the card stores nothing of its own."""
    async with person(browser, seeded.hass) as visitor:
        await visitor.page.add_init_script(
            """Storage.prototype.setItem = () => {
                 throw new DOMException("full", "QuotaExceededError");
               };"""
        )
        card = Card(visitor)
        await card.open(dashboard)
        await card.go_to(f"{seeded.day(CALM_DAY)}")
        assert len(await card.events("Garden")) == 60
        assert visitor.complaints == []


@pytest.mark.parametrize("hours", [-7, 7])
async def test_clock_that_is_wrong(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
    hours: int,
) -> None:
    """A tablet whose clock is hours off shows what happens now, where now is."""
    await front_door.wait_state("asleep", timeout=60)
    async with person(browser, seeded.hass) as visitor:
        card, page = Card(visitor), visitor.page
        await page.clock.install(time=datetime.now(ZONE) + timedelta(hours=hours))
        await card.open(dashboard)
        start, end = await base_of(card)
        assert abs(end - datetime.now(ZONE)) < timedelta(minutes=30)
        assert timedelta(hours=24) <= end - start < timedelta(hours=24.5)
        clip = await seeded.record(front_door, 2)

        async def shown() -> bool:
            return any(
                event["id"] == clip["event_id"] and event["x"] > 0
                for event in await card.events("Front door")
            )

        await wait_until(shown, 30, "the new event")
        line = card.element.locator(".over .now")
        await expect(line).to_be_attached()


async def test_pause_without_a_word(
    seeded: SeededInstallation,
    browser: Browser,
    dashboard: str,
    front_door: VirtualCamera,
) -> None:
    """A phone that froze the page while its connection died catches up when it wakes."""
    await front_door.wait_state("asleep", timeout=60)
    async with person(browser, seeded.hass) as visitor:
        # Sockets that are taken away without a close frame
        await visitor.page.add_init_script(
            """window.sockets = [];
               const Plain = window.WebSocket;
               window.WebSocket = class extends Plain {
                 constructor(...args) { super(...args); window.sockets.push(this); }
               };"""
        )
        card = Card(visitor)
        await card.open(dashboard)
        before = len(await card.events("Front door"))
        await visitor.page.context.set_offline(True)
        await visitor.page.evaluate("window.sockets.at(-1).close()")
        status = card.element.get_by_role("status")
        await expect(status).to_contain_text("Waiting for Home Assistant")
        await seeded.record(front_door, 2)
        await visitor.page.context.set_offline(False)
        slider = card.row("Front door").get_by_role("slider")
        await expect(slider).to_have_attribute(
            "aria-valuemax", f"{before + 1}", timeout=60_000
        )


async def test_fifty_cameras_on_a_phone(
    seeded: SeededInstallation, browser: Browser, dashboard: str
) -> None:
    """Fifty cameras, all of them busy, fit in the width and can be reached."""
    async with card_of(seeded, browser, dashboard, size=PHONE, touch=True) as card:
        element = await card.element.element_handle()
        await card.page.evaluate(CROWD, [element, 50, 40, 0])
        rows = card.element.locator("magicpi-timeline-row")
        await expect(rows).to_have_count(50)
        assert await card.page.evaluate(
            "document.scrollingElement.scrollWidth <= innerWidth"
        )
        await rows.last.scroll_into_view_if_needed()
        await expect(rows.last).to_be_in_viewport()
