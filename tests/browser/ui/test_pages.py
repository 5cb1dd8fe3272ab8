"""Home Assistant's own pages about our cameras: device, live picture, settings, media, options, repairs."""

from datetime import datetime

from playwright.async_api import Locator, expect

from home_assistant import wait_until
from person import Person
from seeded_installation import BUSY_DAY, CALM_DAY, DOMAIN, SeededInstallation
from virtual_camera import LoopSource, VirtualCamera

INTEGRATION = f"/config/integrations/integration/{DOMAIN}"
MEDIA = f"/media-browser/browser/app%2Cmedia-source%3A%2F%2F{DOMAIN}"
DIFFERENT_PICTURES = 4
ALL_TEXT = """element => {
  const text = root => [root.textContent, ...[...root.querySelectorAll("*")].map(
    inside => inside.shadowRoot ? text(inside.shadowRoot) : "")].join(" ");
  return text(element.shadowRoot ?? element);
}"""


async def open_device(
    visitor: Person, seeded: SeededInstallation, camera_id: str
) -> None:
    """Go to a camera's device page."""
    device = await seeded.device(camera_id)
    assert device
    await visitor.open(f"/config/devices/device/{device['id']}")


def entry_row(visitor: Person, title: str) -> Locator:
    """Return an entry's row on the integration's page."""
    return (
        visitor.page.locator("ha-config-entry-row")
        .filter(has=visitor.page.get_by_text(title, exact=True))
        .last
    )


async def test_device_page(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """Every entity that is not disabled is there, by its name, and none is unavailable."""
    await open_device(visitor, seeded, front_door.id)
    page = visitor.page
    device = await seeded.device(front_door.id)
    assert device
    await expect(page.locator("ha-device-info-card")).to_contain_text(
        f"Firmware: {front_door.flash.fw}"
    )
    rows = [
        row
        for row in await seeded.hass.ws("config/entity_registry/list")
        if row["device_id"] == device["id"] and not row["disabled_by"]
    ]
    assert 14 <= len(rows) <= 24
    shown = page.locator("ha-device-entities-card")
    for row in rows:
        state = await seeded.hass.state(row["entity_id"])
        assert state
        assert state["state"] != "unavailable", row["entity_id"]
        name = state["attributes"]["friendly_name"]
        short = name.removeprefix("Front door ") if name != "Front door" else name
        await expect(shown.get_by_text(short, exact=True).first).to_be_attached()
    await expect(shown.get_by_text("Unavailable")).to_have_count(0)


async def test_live_picture_moves(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """While somebody walks by, the picture in the camera's dialog changes."""
    entity = await seeded.entity(front_door.id, "camera")
    assert entity
    await visitor.open("/config/dashboard")
    front_door.trigger_motion(12)
    await front_door.wait_state("streaming")
    await visitor.more_info(entity)
    picture = visitor.page.locator("ha-more-info-dialog img").first
    await expect(picture).to_be_visible()
    seen: set[bytes] = set()

    async def moves() -> bool:
        seen.add(await picture.screenshot())
        return len(seen) >= DIFFERENT_PICTURES

    await wait_until(moves, 30, "a live picture that moves")
    width = await picture.evaluate("img => img.naturalWidth")
    assert width == 800, "the frames of the camera, untouched"


async def test_setting_waits_for_the_camera(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """Someone who changes a setting of a sleeping camera reads when it gets it, there and on its page."""
    page = visitor.page
    await front_door.wait_state("asleep", timeout=90)
    entity = await seeded.entity(front_door.id, "stream_duration_s")
    status = await seeded.entity(front_door.id, "status")
    assert entity
    assert status
    await open_device(visitor, seeded, front_door.id)
    before = front_door.config["stream_duration_s"]
    waits = page.locator("ha-device-entities-card").get_by_text("Record after motion")
    row = page.locator("hui-sensor-entity-row", has_text="Pending changes")
    await expect(row).to_contain_text("None")
    await expect(waits).to_be_visible()
    await visitor.more_info(entity)
    dialog = page.locator("ha-more-info-dialog")
    box = dialog.get_by_role("spinbutton").first
    await expect(box).to_have_value(f"{before}")
    await box.fill(f"{before + 7}")
    await box.press("Enter")
    state = await seeded.hass.state(status)
    assert state
    due = datetime.fromisoformat(state["attributes"]["next_check_in"])
    toast = page.get_by_text(
        f"Front door gets “Record after motion” at its next check-in, {due:%H:%M}."
    )
    await expect(toast.first).to_be_visible()
    await expect(row).to_contain_text(
        f"Record after motion · next check-in {due:%H:%M}"
    )
    assert front_door.config["stream_duration_s"] == before
    front_door.press_button()
    await expect(row).to_contain_text("None")
    assert front_door.config["stream_duration_s"] == before + 7
    await seeded.end_soon(front_door)


async def test_media_browser(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """Camera, day, event: with pictures, and the clip plays from wherever one wants."""
    page = visitor.page
    await visitor.open(MEDIA)
    await visitor.open_media("Garden")
    tiles = page.locator("ha-media-player-browse .title")
    await expect(tiles.first).to_contain_text(f"{seeded.day(CALM_DAY)} (60)")
    await expect(tiles.nth(1)).to_contain_text(f"{seeded.day(BUSY_DAY)} (2000)")
    await visitor.open_media(f"{seeded.day(CALM_DAY)} (60)")
    await expect(tiles.first).to_contain_text(" · motion · 10 s")
    picture = page.locator("ha-media-browser-thumbnail").first

    async def drawn() -> bool:
        return "data:image/jpeg" in await picture.evaluate(
            "element => element.shadowRoot.innerHTML"
            " + [...element.shadowRoot.querySelectorAll('*')].map("
            "inside => getComputedStyle(inside).backgroundImage).join()"
        )

    await wait_until(drawn, 20, "a thumbnail")
    await tiles.first.click()
    video = await visitor.video_plays()
    assert 9.9 < await video.evaluate("video => video.duration") < 10.1
    for wanted in (7.5, 2.5):
        assert abs(await visitor.seek(video, wanted) - wanted) < 0.05


async def test_options(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """What is kept for all cameras, and for one of them."""
    page = visitor.page
    await visitor.open(INTEGRATION)
    await (
        entry_row(visitor, "MagicPi NVR")
        .get_by_role("button", name="Configure")
        .first.click()
    )
    form = page.locator("step-flow-form")
    await expect(form).to_contain_text(f"{seeded.hass.media / DOMAIN}")

    async def explained() -> bool:
        """Say whether a field says what it means: that is in a slot, which locators do not read."""
        return "TCP port that cameras connect to." in await form.evaluate(ALL_TEXT)

    await wait_until(explained, 10, "what the port is")
    time = form.locator("ha-selector-time input")
    await time.first.fill("3")
    await time.nth(1).fill("30")
    await visitor.button("Submit").click()
    await visitor.button("Finish").click()

    async def stored() -> bool:
        flow = await seeded.hass.rest(
            "POST",
            "/api/config/config_entries/options/flow",
            {"handler": await seeded.entry("MagicPi NVR")},
        )
        text = str(flow["data_schema"])
        await seeded.hass.rest(
            "DELETE", f"/api/config/config_entries/options/flow/{flow['flow_id']}"
        )
        return "03:30:00" in text

    await wait_until(stored, 20, "the new time")

    await (
        entry_row(visitor, "Garden")
        .get_by_role("button", name="Configure")
        .first.click()
    )
    await expect(page.locator("step-flow-form")).to_contain_text(
        "Leave empty to use the MagicPi NVR defaults."
    )
    await page.get_by_role("spinbutton").first.fill("30")
    await visitor.button("Submit").click()
    await visitor.button("Finish").click()
    await expect(page.locator("step-flow-form")).to_have_count(0)


async def test_repair(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """A camera that has been late for more than a day is reported, and waited for."""
    page = visitor.page
    await visitor.open("/config/repairs")
    issue = page.get_by_text("Garden is overdue").first
    await issue.click()
    await expect(page.get_by_text("Its battery may be empty")).to_be_visible()
    await page.get_by_text("Keep waiting").click()
    await visitor.button("Finish").or_(visitor.button("Close")).first.click()
    await expect(issue).to_have_count(0)
    issues = await seeded.hass.ws("repairs/list_issues")
    assert not [issue for issue in issues["issues"] if issue["domain"] == DOMAIN]


async def test_camera_removed(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """Its entities go, it forgets its key and can be claimed again; its recordings stay."""
    page = visitor.page
    shed = await seeded.add_camera(
        seeded.shed_id,
        LoopSource.rendered(10, resolution="QVGA"),
        always_on=True,
    )
    await seeded.claim(shed, "Shed")
    await seeded.end_soon(shed)
    await seeded.record(shed, 2)
    await visitor.open(INTEGRATION)
    await entry_row(visitor, "Shed").get_by_role("button", name="Menu").first.click()
    await page.get_by_role("menuitem", name="Delete").click()
    await expect(page.get_by_text("Delete Shed?")).to_be_visible()
    await visitor.button("Delete").last.click()
    await shed.wait_state("setup", timeout=30)
    assert not shed.flash.registered
    assert await seeded.device(shed.id) is None
    assert await seeded.entity(shed.id, "camera") is None
    await expect(entry_row(visitor, "Shed")).to_have_count(0)
    await seeded.discovered(shed)
    await visitor.open(MEDIA)
    await visitor.open_media("Shed", "(1)", "motion")
    await visitor.video_plays()
    await shed.stop()
