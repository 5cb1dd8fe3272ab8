"""Take the pictures of the documents in a real Home Assistant: each page light and dark."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from io import BytesIO
from pathlib import Path
import sys
import tempfile
import time
from typing import get_args
from zoneinfo import ZoneInfo

from PIL import Image
from playwright.async_api import Browser, Locator, expect

from demo import Demo
from home_assistant import ROOT, HomeAssistantError, HomeAssistantProcess
from person import CARD, PHONE, Person, Scheme, chromium, person
from scenery import cat, film, front_door, garden, parcel
from seeded_installation import CALM_DAY, DOMAIN, TIME_ZONE, SeededInstallation
from virtual_camera import LoopSource

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 300_000
SIZE = (1280, 800)
TALL = (1280, 1500)
DASHBOARD = "cameras-timeline"
STRATEGY = "magicpi-cameras"
DEMO = "demo"
INTEGRATION = f"/config/integrations/integration/{DOMAIN}"
MEDIA = f"/media-browser/browser/app%2Cmedia-source%3A%2F%2F{DOMAIN}"
# Pictures have arrived, fonts are there, nothing fades in or out any more.
SETTLED = """async () => {
  await document.fonts.ready;
  const parts = root => [...root.querySelectorAll("*")].flatMap(
    element => [element, ...(element.shadowRoot ? parts(element.shadowRoot) : [])]);
  const images = parts(document).filter(element => element.localName === "img" && element.src);
  await Promise.all(images.map(image => image.decode().catch(() => undefined)));
  await Promise.all(document.getAnimations().map(animation =>
    animation.effect.getComputedTiming().iterations === Infinity || animation.finished.catch(() => undefined)));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

type Look = Callable[[Person], Awaitable[None]]


class Photographer:
    """Takes each picture in a light window and in a dark one."""

    def __init__(self, hass: HomeAssistantProcess, browser: Browser, only: str) -> None:
        """Take pictures of an installation."""
        self.hass = hass
        self.browser = browser
        self.only = only
        self.taken = 0

    async def take(
        self,
        name: str,
        look: Look,
        *,
        size: tuple[int, int] = SIZE,
        phone: bool = False,
    ) -> None:
        """Open a window, go where the picture is, take it; twice."""
        if not name.startswith(self.only):
            return
        for scheme in get_args(Scheme.__value__):
            async with person(
                self.browser,
                self.hass,
                scheme=scheme,
                size=PHONE if phone else size,
                touch=phone,
                scale=2 if phone else 1,
            ) as visitor:
                await look(visitor)
                await visitor.page.evaluate(SETTLED)
                await asyncio.sleep(0.4)
                png = await visitor.page.screenshot()
            path = IMAGES / f"{name}-{scheme}.png"
            path.write_bytes(await asyncio.to_thread(shrink, png))
            self.taken += 1
            print(f"  {path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")
            if path.stat().st_size > MAX_BYTES:
                raise HomeAssistantError(f"{path} is too large")


def shrink(png: bytes) -> bytes:
    """Return a picture with a palette, as large in pixels and small in bytes (blocking)."""
    image = Image.open(BytesIO(png)).convert("RGB")
    for dither in (Image.Dither.FLOYDSTEINBERG, Image.Dither.NONE):
        out = BytesIO()
        image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=dither).save(
            out, "PNG", optimize=True
        )
        if out.tell() <= MAX_BYTES:
            break
    return out.getvalue()


def tile(visitor: Person, title: str) -> Locator:
    """Return a tile of the media browser."""
    return visitor.page.locator("ha-media-player-browse .title", has_text=title)


async def before_the_claim(
    seeded: SeededInstallation, take: Callable[..., Awaitable[None]]
) -> None:
    """Take what is to be seen of a camera that nobody has claimed."""

    def card(visitor: Person) -> Locator:
        name = seeded.front_door_id[-5:]
        return visitor.page.locator("ha-config-flow-card", has_text=name)

    async def discovered(visitor: Person) -> None:
        await visitor.open("/config/integrations/dashboard")
        await expect(card(visitor)).to_be_visible()

    async def claim(visitor: Person) -> None:
        await discovered(visitor)
        await visitor.button("Add", within=card(visitor)).click()
        await visitor.page.get_by_role("textbox", name="Setup code").fill("K7QM-")

    await seeded.discovered(seeded.front_door)
    await take("discovered", discovered)
    await take("claim", claim)


async def with_cameras(
    seeded: SeededInstallation, take: Callable[..., Awaitable[None]]
) -> None:
    """Take what is to be seen of two cameras and their recordings."""
    day = f"{seeded.day(CALM_DAY)}"

    async def device(visitor: Person) -> None:
        found = await seeded.device(seeded.front_door_id)
        assert found
        await visitor.open(f"/config/devices/device/{found['id']}")
        await expect(visitor.page.get_by_text("Diagnostic").first).to_be_visible()

    async def live(visitor: Person) -> None:
        await visitor.open("/config/dashboard")
        seeded.front_door.trigger_motion(5)
        await seeded.front_door.wait_state("streaming")
        entity = await seeded.entity(seeded.front_door_id, "camera")
        assert entity
        await visitor.more_info(entity)
        picture = visitor.page.locator("ha-more-info-dialog img").first
        await expect(picture).to_be_visible()
        await asyncio.sleep(3)  # until somebody is in the picture

    async def media(visitor: Person) -> None:
        await visitor.open(MEDIA)
        await visitor.open_media("Garden", day)
        await expect(tile(visitor, "motion").first).to_be_visible()
        await visitor.page.mouse.move(5, 5)
        await asyncio.sleep(1)

    async def clip(visitor: Person) -> None:
        await visitor.open(MEDIA)
        await visitor.open_media("Front door", "(1)", "motion")
        await visitor.seek(await visitor.video_plays(), 2.2)

    async def options(visitor: Person) -> None:
        await visitor.open(INTEGRATION)
        row = visitor.page.locator("ha-config-entry-row").filter(
            has=visitor.page.get_by_text("MagicPi NVR", exact=True)
        )
        await row.last.get_by_role("button", name="Configure").first.click()
        await expect(visitor.page.locator("step-flow-form")).to_contain_text("Storage")

    async def storage(visitor: Person, kind: str) -> Locator:
        """Open the dialog that adds storage for copies."""
        await visitor.open(INTEGRATION)
        await visitor.page.get_by_role(
            "button", name="Add storage for copies"
        ).first.click()
        await visitor.page.get_by_text(kind, exact=False).last.click()
        form = visitor.page.locator("step-flow-form")
        await expect(form).to_contain_text("Folder")
        return form

    async def fill(visitor: Person, **fields: str) -> None:
        for label, text in fields.items():
            box = visitor.page.get_by_role(
                "textbox", name=label.replace("_", " "), exact=False
            )
            await box.first.fill(text)

    async def copies_s3(visitor: Person) -> None:
        await storage(visitor, "S3-compatible storage")
        await fill(
            visitor,
            Endpoint_URL="https://s3.us-west-004.backblazeb2.com",
            Bucket="my-cameras",
            Access_key_ID="004a1b2c3d4e5f60000000001",
            Secret_access_key="K004" + "x" * 27,
        )

    async def copies_webdav(visitor: Person) -> None:
        await storage(visitor, "WebDAV")
        await fill(
            visitor,
            URL="https://cloud.example.com/remote.php/dav/files/anna",
            Username="anna",
            Password="x" * 29,
        )

    async def timeline(visitor: Person, *, hover: bool = True) -> None:
        page = visitor.page
        await visitor.open(f"/{DASHBOARD}/0")
        card = page.locator(CARD)
        await expect(card.get_by_role("status")).to_contain_text("event")
        await card.locator("ha-date-input").wait_for()
        await card.locator("ha-date-input").evaluate(
            "(input, value) => input.dispatchEvent(new CustomEvent('value-changed', {detail: {value}}))",
            day,
        )
        await expect(card.get_by_role("status")).to_contain_text("120 events")
        slider = card.get_by_role("slider", name="Events of Front door")
        await slider.focus()
        await slider.press("Home")
        for _ in range(3):
            await slider.press("PageUp")
        await visitor.seek(await visitor.video_plays(), 3.6)
        await slider.blur()
        if hover:
            box = await card.get_by_role(
                "slider", name="Events of Garden"
            ).bounding_box()
            assert box
            await page.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + 20)
            await expect(card.locator(".tooltip img")).to_be_visible()

    async def phone(visitor: Person) -> None:
        await timeline(visitor, hover=False)

    await take("copies-s3", copies_s3, size=(1280, 1000))
    await take("copies-webdav", copies_webdav, size=(1280, 900))
    await take("device", device, size=TALL)
    await take("media", media)
    await take("clip", clip)
    await take("options", options)
    await take("dashboard", dashboard, size=(1280, 1300))
    await take("dashboard-phone", dashboard, phone=True)
    await take("timeline", timeline, size=(1280, 1000))
    await take("timeline-phone", phone, phone=True)
    await take("live", live)


async def dashboard(visitor: Person) -> None:
    """Look at the dashboard that the strategy makes."""
    await visitor.open(f"/{STRATEGY}/0")
    page = visitor.page
    await expect(page.locator("magicpi-camera-card img").first).to_be_visible()
    await expect(page.locator("magicpi-clips-card img").first).to_be_visible()
    status = page.locator(CARD).get_by_role("status")
    await expect(status).to_contain_text("event")


async def of_the_demo(browser: Browser, only: str) -> int:
    """Take what `scripts/demo` leads to; return the number of pictures."""
    if not DEMO.startswith(only):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options = argparse.Namespace(
            folder=Path(folder),
            port=None,
            advertise=None,
            camera="python",
            source=None,
            once=True,
        )
        async with Demo(options).shown() as (hass, _):
            photographer = Photographer(hass, browser, only)
            await photographer.take(DEMO, dashboard, size=(1280, 1300))
            return photographer.taken


async def with_detection(
    seeded: SeededInstallation, take: Callable[..., Awaitable[None]]
) -> None:
    """Take what is to be seen of labels and zones."""
    day = f"{seeded.day(CALM_DAY)}"

    async def card_of_day(visitor: Person) -> Locator:
        await visitor.open(f"/{DASHBOARD}/0")
        card = visitor.page.locator(CARD)
        await card.locator("ha-date-input").wait_for()
        await card.locator("ha-date-input").evaluate(
            "(input, value) => input.dispatchEvent(new CustomEvent('value-changed', {detail: {value}}))",
            day,
        )
        await card.get_by_role("button", name="person", exact=True).click()
        await expect(card.get_by_role("status")).to_contain_text("event")
        return card

    async def detection(visitor: Person) -> None:
        card = await card_of_day(visitor)
        slider = card.get_by_role("slider", name="Events of Front door")
        await slider.focus()
        await slider.press("End")
        await visitor.seek(await visitor.video_plays(), 3.6)
        await slider.blur()

    async def zones(visitor: Person) -> None:
        await visitor.open(f"/{DASHBOARD}/0")
        card = visitor.page.locator(CARD)
        await card.get_by_role("button", name="Draw zones").click()
        await expect(card.locator("magicpi-zone-editor polygon")).to_have_count(1)
        await card.get_by_role("button", name="Add a zone").click()

    async def media(visitor: Person) -> None:
        await visitor.open(MEDIA)
        await visitor.open_media("Front door", day)
        await expect(tile(visitor, "person").first).to_be_visible()
        await visitor.page.mouse.move(5, 5)
        await asyncio.sleep(1)

    await notify(seeded)

    async def notification(visitor: Person) -> None:
        await visitor.open(f"/{DASHBOARD}/0")
        await visitor.page.get_by_text("Notifications", exact=True).first.click()
        picture = visitor.page.locator("persistent-notification-item img")
        await expect(picture).to_be_visible()

    await take("detection", detection, size=(1280, 1000))
    await take("detection-notification", notification)
    await take("detection-phone", detection, phone=True)
    await take("detection-media", media)
    await take("detection-zones", zones, size=(1280, 1100))


async def notify(seeded: SeededInstallation) -> None:
    """Show in Home Assistant what the blueprint sends to a phone for the newest event with a person."""
    page = await seeded.hass.ws(
        f"{DOMAIN}/events",
        camera_ids=[seeded.front_door_id],
        label="person",
        zone="Path",
        limit=1,
    )
    (event,) = page["events"]
    signed = await seeded.hass.ws("auth/sign_path", path=event["thumbnail"])
    at = datetime.fromtimestamp(event["start"] / 1000, ZoneInfo(TIME_ZONE))
    await seeded.hass.call_action(
        "persistent_notification",
        "create",
        {
            "title": "Front door",
            "message": f"person, {at:%H:%M:%S}, {round((event['end'] - event['start']) / 1000)} s\n\n![]({signed['path']})",
        },
    )


async def run(only: str) -> None:
    """Start Home Assistant, claim the camera halfway, take all pictures."""
    begin = time.monotonic()
    async with chromium() as browser:
        taken = await of_the_demo(browser, only)
    if taken and only == DEMO:
        return
    print("screenshots: drawing what the cameras see", flush=True)
    films = await asyncio.to_thread(
        lambda: (film(front_door, parcel), film(garden, cat))
    )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        seeded = await stack.enter_async_context(
            SeededInstallation(
                folder / "home",
                source=LoopSource(films[0]),
                films=films,
                late=False,
                busy=400,
                model="ESP32-CAM",
            )
        )
        browser = await stack.enter_async_context(chromium())
        photographer = Photographer(seeded.hass, browser, only)
        photographer.taken = taken
        IMAGES.mkdir(parents=True, exist_ok=True)
        await before_the_claim(seeded, photographer.take)
        await seeded.claim(seeded.front_door, "Front door")
        await seeded.end_soon(seeded.front_door)
        await seeded.front_door.wait_state("asleep", timeout=60)
        await seeded.record(seeded.front_door, 5)
        await save_dashboard(seeded)
        await with_cameras(seeded, photographer.take)
        await seeded.detected()
        await with_detection(seeded, photographer.take)
        print(f"{photographer.taken} pictures in {time.monotonic() - begin:.0f} s")
        if not photographer.taken:
            raise HomeAssistantError(f"no picture's name begins with {only}")


async def save_dashboard(seeded: SeededInstallation) -> None:
    """Make a dashboard with the card."""
    card = {"type": f"custom:{CARD}"}
    view = {"title": "Cameras", "type": "panel", "cards": [card]}
    await seeded.hass.save_dashboard(DASHBOARD, {"views": [view]}, title="Cameras")
    strategy = {"type": f"custom:{STRATEGY}"}
    await seeded.hass.save_dashboard(
        STRATEGY, {"strategy": strategy}, title="MagicPi cameras"
    )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="only those that begin so")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.name))
    except (AssertionError, HomeAssistantError, OSError, TimeoutError) as err:
        print(f"screenshots: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
