"""From a camera in setup mode to its first clip, counted in clicks and seconds."""

import asyncio
from collections.abc import Callable
import time

from playwright.async_api import expect

from home_assistant import wait_until
from person import Person
from seeded_installation import SeededInstallation

from .test_dashboard import add_dashboard

WRONG_CODE = "AAAA-BBBB-CCCC-DDDD"


async def expect_picture(seeded: SeededInstallation, entity: str) -> None:
    """The camera has a picture although nobody has walked by."""
    picture = await seeded.hass.rest("GET", f"/api/camera_proxy/{entity}")
    assert picture.startswith(b"\xff\xd8")


async def test_first_run(
    seeded: SeededInstallation, visitor: Person, record_fact: Callable[[str], None]
) -> None:
    """Find the card, fail with a wrong code, claim with the right one, walk by, watch the clip."""
    page, camera = visitor.page, seeded.front_door
    await seeded.discovered(camera)
    begin = time.monotonic()

    await visitor.open("/")
    await visitor.click(page.get_by_role("link", name="Settings"))
    await visitor.click(page.get_by_text("Devices & services").first)
    card = page.locator(
        "ha-config-flow-card", has_text=f"MagicPi Virtual Camera {camera.id[-5:]}"
    )
    await visitor.click(visitor.button("Add", within=card))
    found = time.monotonic() - begin

    code = page.get_by_role("textbox", name="Setup code")
    await expect(page.locator("step-flow-form")).to_contain_text(camera.id)
    before = visitor.clicks
    await visitor.type(code, WRONG_CODE)
    await visitor.click(visitor.button("Submit"))
    refused = page.get_by_text("Incorrect setup code.")
    await expect(refused).to_be_visible()
    assert camera.counters.wrong_setup_codes == 1
    assert await seeded.device(camera.id) is None
    visitor.clicks = before

    await visitor.type(code, camera.setup_code)
    await visitor.click(visitor.button("Submit"))
    # The last page shows what the camera sees, and asks for its name: the only one that does
    name = page.locator("step-flow-create-entry ha-input").get_by_role("textbox")
    await expect(name).to_be_visible(timeout=60_000)
    picture = page.locator("step-flow-create-entry ha-markdown img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("img => img.decode().then(() => img.naturalWidth)")
    await name.fill("Front door")
    await name.press("Tab")
    await visitor.click(visitor.button("Finish"))
    await seeded.registered(camera)

    async def named() -> bool:
        return bool(await seeded.entry_titled("Front door"))

    await wait_until(named, 20, "the name")
    entity = await seeded.entity(camera.id, "camera")
    assert entity
    await expect_picture(seeded, entity)
    claimed = time.monotonic() - begin

    claim_clicks = visitor.clicks

    # Its dashboard, before anything has been recorded
    await visitor.click(page.get_by_role("link", name="Settings"))
    await visitor.click(page.get_by_text("Dashboards").first)
    await add_dashboard(visitor)
    slider = page.get_by_role("slider", name="Events of Front door")
    await expect(slider).to_have_attribute("aria-valuemax", "0")
    tile = page.locator("magicpi-camera-card", has_text="Front door")
    await expect(tile.locator("img")).to_be_visible()
    ready = time.monotonic() - begin
    timeline_clicks = visitor.clicks

    await camera.wait_state("asleep", timeout=60)
    walks = time.monotonic()
    recording = asyncio.create_task(seeded.record(camera, 4))
    await expect(slider).to_have_attribute("aria-valuemax", "1", timeout=60_000)
    in_timeline = time.monotonic() - walks
    await recording
    recorded = time.monotonic() - walks
    await seeded.hass.ws("lovelace/dashboards/delete", dashboard_id="magicpi_cameras")

    # The other way to it
    visitor.clicks = claim_clicks
    await visitor.click(page.get_by_role("link", name="Media"))
    await visitor.open_media("MagicPi NVR", "Front door", "(1)", "motion")
    await visitor.video_plays()
    shown = time.monotonic() - walks
    after_motion = camera.config["stream_duration_s"]
    record_fact(
        f"first run: {visitor.clicks} clicks from Home Assistant's start page to the first clip on the screen;"
        f" its card after {found:.1f} s, claimed after {claimed:.1f} s (all of it typed by a machine);"
        f" ready {recorded:.1f} s and shown {shown:.1f} s after motion began that lasted 4 s"
        f" and {after_motion} s more were recorded"
    )
    record_fact(
        f"first run: {timeline_clicks} clicks and {ready:.1f} s from Home Assistant's start page to the dashboard;"
        f" its timeline shows the event {in_timeline:.1f} s after motion began"
    )
    assert visitor.clicks <= 11
    assert timeline_clicks <= 12
