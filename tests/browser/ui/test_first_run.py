"""From a camera in setup mode to its first clip, counted in clicks and seconds."""

import time

from playwright.async_api import expect

from person import Person
from stage import Stage

WRONG_CODE = "AAAA-BBBB-CCCC-DDDD"


async def test_first_run(stage: Stage, visitor: Person) -> None:
    """Find the card, fail with a wrong code, claim with the right one, walk by, watch the clip."""
    page, camera = visitor.page, stage.front_door
    await stage.discovered(camera)
    begin = time.monotonic()

    await visitor.open("/config/dashboard")
    await visitor.click(page.get_by_text("Devices & services").first)
    card = page.locator("ha-config-flow-card", has_text="MagicPi Virtual Camera 00:01")
    await visitor.click(visitor.button("Add", within=card))
    found = time.monotonic() - begin

    code = page.get_by_role("textbox", name="Setup code")
    await expect(page.locator("step-flow-form")).to_contain_text(camera.id)
    before = visitor.clicks
    await visitor.type(code, WRONG_CODE)
    await visitor.click(visitor.button("Submit"))
    refused = page.get_by_text("The camera refused the setup code.")
    await expect(refused).to_be_visible()
    assert camera.counters.wrong_setup_codes == 1
    assert await stage.device(camera.id) is None
    visitor.clicks = before

    await visitor.type(code, camera.setup_code)
    await page.get_by_role("textbox", name="Name").fill("Front door")
    await visitor.click(visitor.button("Submit"))
    await visitor.click(visitor.button("Skip and finish"))
    await stage.registered(camera)
    claimed = time.monotonic() - begin

    await camera.wait_state("asleep", timeout=60)
    walks = time.monotonic()
    await stage.record(camera, 4)
    recorded = time.monotonic() - walks
    await visitor.click(page.get_by_role("link", name="Media"))
    for title in ("MagicPi NVR", "Front door", "(1)"):
        await visitor.click(
            page.locator("ha-media-player-browse .title", has_text=title).first
        )
    clip = page.locator("ha-media-player-browse .title", has_text="motion").first
    await visitor.click(clip)
    await page.wait_for_function(VIDEO_PLAYS)
    print(
        f"\nfirst run: {visitor.clicks} clicks and {claimed:.0f} s from the settings to the claimed camera"
        f" and the first clip on the screen ({found:.0f} s to its card);"
        f" the clip played {time.monotonic() - walks:.0f} s after the motion began,"
        f" it was ready {recorded:.0f} s after that"
    )
    assert visitor.clicks <= 10


VIDEO_PLAYS = """() => {
  const find = root => {
    for (const element of root.querySelectorAll("*")) {
      if (element.localName === "video") return element;
      const inside = element.shadowRoot && find(element.shadowRoot);
      if (inside) return inside;
    }
  };
  const video = find(document);
  return video && video.readyState >= 3 && video.currentTime > 0;
}"""
