"""The dashboard *MagicPi cameras*: added by clicks, made by its strategy."""

from collections.abc import Callable
from pathlib import Path

from playwright.async_api import Browser, expect
import pytest

from home_assistant import ROOT
from person import CARD, PHONE, Person, Scheme, person
from seeded_installation import SeededInstallation
from virtual_camera import VirtualCamera

from .test_card import install_frontend

STRATEGY = "custom:magicpi-cameras"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


async def add_dashboard(visitor: Person) -> None:
    """Add the dashboard by the dialog of the list of dashboards, and open it."""
    page = visitor.page
    await visitor.click(visitor.button("Add dashboard"))
    card = page.locator("dashboard-card", has_text="MagicPi cameras")
    await expect(card).to_contain_text("Tiles, timeline, latest clips and problems")
    await visitor.click(card)
    await expect(page.get_by_role("textbox", name="Title")).to_have_value(
        "MagicPi cameras"
    )
    await visitor.click(visitor.button("Create"))
    await visitor.click(page.get_by_role("link", name="MagicPi cameras"))


async def test_added_by_clicks(
    seeded: SeededInstallation,
    visitor: Person,
    front_door: VirtualCamera,
    record_fact: Callable[[str], None],
) -> None:
    """The dialog that adds a dashboard offers it; it shows cameras, timeline, clips and problems."""
    page = visitor.page
    await visitor.open("/config/lovelace/dashboards")
    visitor.clicks = 0
    await add_dashboard(visitor)
    tiles = page.locator("magicpi-camera-card")
    await expect(tiles).to_have_count(2)
    await expect(tiles.first.locator(".caption")).to_contain_text("Front door · Asleep")
    await expect(tiles.first.locator("img")).to_be_visible()
    await expect(tiles.first).to_contain_text("today")
    timeline = page.locator(CARD)
    await expect(timeline.get_by_role("status")).to_contain_text("event")
    clips = page.locator("magicpi-clips-card").get_by_role("button")
    await expect(clips.first.locator("img")).to_be_visible()
    await visitor.click(clips.first)
    await visitor.video_plays()
    await expect(page.locator("magicpi-problems-card")).to_contain_text("Garden")
    record_fact(
        f"dashboard: {visitor.clicks} clicks from the list of dashboards to a clip that plays in the timeline"
    )
    config = await seeded.hass.ws("lovelace/config", url_path="magicpi-cameras")
    assert config == {"strategy": {"type": STRATEGY}}


@pytest.fixture
def axe() -> Path:
    """Return the checker's script."""
    if not install_frontend() or not AXE.exists():
        pytest.skip("axe-core comes with npm, which is not here")
    return AXE


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", (1280, 900)), ("dark", (1280, 900)), ("light", PHONE)],
)
async def test_made_by_its_strategies(
    seeded: SeededInstallation,
    browser: Browser,
    front_door: VirtualCamera,
    axe: Path,
    scheme: Scheme,
    size: tuple[int, int],
) -> None:
    """As a view and as a section, accessible in all its cards, and never wider than the screen."""
    url = f"strategies-{scheme}-{size[0]}"
    section = {"type": "sections", "sections": [{"strategy": {"type": STRATEGY}}]}
    views = [{"strategy": {"type": STRATEGY}, "title": "View"}, section]
    await seeded.hass.save_dashboard(url, {"views": views})
    async with person(browser, seeded.hass, scheme=scheme, size=size) as visitor:
        page = visitor.page
        for number, cards in ((0, 4), (1, 2)):
            await visitor.open(f"/{url}/{number}")
            kinds = (
                CARD,
                "magicpi-camera-card",
                "magicpi-clips-card",
                "magicpi-problems-card",
            )
            await expect(page.locator(CARD).get_by_role("status")).to_contain_text(
                "event"
            )
            found = [kind for kind in kinds if await page.locator(kind).count()]
            assert len(found) == cards
            assert await page.locator("magicpi-camera-card").count() == 2
            assert await page.evaluate(
                "document.scrollingElement.scrollWidth <= innerWidth"
            )
            for caption in await page.locator(".caption").all():
                box = await caption.bounding_box()
                assert box
                assert box["height"] < 36, "one line"
            await page.evaluate(axe.read_text())
            for kind in found:
                for element in await page.locator(kind).element_handles():
                    result = await page.evaluate("async card => axe.run(card)", element)
                    assert [
                        f"{rule['id']}: {node['html']}"
                        for rule in result["violations"]
                        for node in rule["nodes"]
                    ] == []
        assert visitor.complaints == []


async def test_suggested_for_a_camera(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """Where Home Assistant suggests cards for an entity, a camera of ours gets ours; others do not."""
    await visitor.open("/config/dashboard")
    entity = await seeded.entity(front_door.id, "camera")
    suggested = await visitor.page.evaluate(
        """entity => {
          const {hass} = document.querySelector("home-assistant");
          const types = id => window.customCards.flatMap(
            card => card.getEntitySuggestion?.(hass, id) ?? []).map(({config}) => config);
          return [types(entity), types("sun.sun")];
        }""",
        entity,
    )
    assert suggested == [
        [
            {"type": f"custom:{CARD}", "entities": [entity]},
            {"type": "custom:magicpi-camera-card", "entity": entity},
        ],
        [],
    ]


async def test_zones_are_drawn(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """An administrator draws a zone over the last picture; Home Assistant has it then."""
    await front_door.wait_state("asleep", timeout=60)
    card = {
        "type": f"custom:{CARD}",
        "entities": [await seeded.entity(front_door.id, "camera")],
    }
    view = {"type": "panel", "cards": [card]}
    await seeded.hass.save_dashboard("zones-card", {"views": [view]})
    await visitor.open("/zones-card/0")
    page = visitor.page
    await page.get_by_role("button", name="Draw zones").click()
    editor = page.locator("magicpi-zone-editor")
    await editor.get_by_role("button", name="Add a zone").click()
    await editor.get_by_label("Name of the zone").fill("Path")
    await editor.get_by_label("Name of the zone").press("Tab")
    await editor.get_by_label("Kind").select_option("ignore")
    point = editor.get_by_role("button", name="Point 1", exact=True)
    await point.focus()
    for _ in range(5):
        await point.press("ArrowLeft")
    picture = await editor.locator(".picture").bounding_box()
    box = await editor.get_by_role("button", name="Point 3", exact=True).bounding_box()
    assert picture
    assert box
    await page.mouse.move(box["x"] + 20, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(
        picture["x"] + picture["width"] * 0.9, picture["y"] + picture["height"] * 0.8
    )
    await page.mouse.up()
    # A point halfway by the plus key, and gone again by a double click
    await point.press("+")
    fifth = editor.get_by_role("button", name="Point 5", exact=True)
    await expect(fifth).to_be_visible()
    await editor.get_by_role("button", name="Point 2", exact=True).dblclick()
    await expect(fifth).to_have_count(0)
    await editor.get_by_role("button", name="Save").click()
    await expect(editor).to_have_count(0)
    answer = await seeded.hass.ws("magicpi_nvr/zones/get", camera_id=front_door.id)
    (zone,) = answer["zones"]
    assert (zone["name"], zone["kind"], len(zone["points"])) == ("Path", "ignore", 4)
    assert zone["points"][0] == [0.25, 0.3]
    assert abs(zone["points"][2][0] - 0.9) < 0.02
    assert abs(zone["points"][2][1] - 0.8) < 0.02
    # What is there is shown again
    await page.get_by_role("button", name="Draw zones").click()
    await expect(editor.locator("polygon.ignore")).to_have_count(1)
    await editor.get_by_role("button", name="Delete").click()
    await editor.get_by_role("button", name="Save").click()
    await expect(editor).to_have_count(0)
    answer = await seeded.hass.ws("magicpi_nvr/zones/get", camera_id=front_door.id)
    assert answer["zones"] == []


# The card gets a state and draws what the state itself asks for: nothing waits for the next tick
SHOWS_AT_ONCE = """async card => {
  const hass = card._hass;
  const id = Object.keys(hass.entities).find(id =>
    hass.entities[id].platform === "magicpi_nvr" &&
    hass.states[id]?.attributes.device_class === "problem");
  const state = on => ({...hass, states: {...hass.states, [id]: {...hass.states[id], state: on}}});
  const name = hass.states[id].attributes.friendly_name;
  const shown = [];
  for (const on of ["off", "on", "off"]) {
    card.hass = state(on);
    await card.updateComplete;
    shown.push(card.shadowRoot.textContent.includes(name));
  }
  return shown;
}"""


async def test_problem_is_shown_at_once(
    seeded: SeededInstallation, visitor: Person, front_door: VirtualCamera
) -> None:
    """A camera's problem is there with its state, and gone with it."""
    card = {"type": "custom:magicpi-problems-card"}
    await seeded.hass.save_dashboard("only-problems", {"views": [{"cards": [card]}]})
    await visitor.open("/only-problems/0")
    problems = visitor.page.locator("magicpi-problems-card")
    await expect(problems).to_contain_text("Garden")
    assert await problems.evaluate(SHOWS_AT_ONCE) == [False, True, False]
