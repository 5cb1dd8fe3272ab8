"""One home for all tests here, and a browser window for each."""

from collections.abc import AsyncGenerator, Callable
import inspect
from pathlib import Path

from playwright.async_api import Browser
import pytest
import pytest_asyncio

from homeassistant.const import __version__
from person import Person, chromium, find_chromium, person
from seeded_installation import SeededInstallation
from virtual_camera import VirtualCamera

HERE = Path(__file__).parent


FACTS: list[str] = []


@pytest.fixture
def record_fact() -> Callable[[str], None]:
    """Return what tells a figure at the end of the run."""
    return FACTS.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures."""
    if FACTS:
        terminalreporter.section("figures")
        for fact in FACTS:
            terminalreporter.line(fact)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all tests share one loop, the first run come first, and skip what cannot run."""
    items.sort(key=lambda item: item.name != "test_first_run")
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.browser)
        # The first one waits for Home Assistant's start
        item.add_marker(pytest.mark.timeout(300))
        if inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if find_chromium() is None:
            item.add_marker(pytest.mark.skip(reason="there is no Chromium"))
        elif not __version__.startswith("2026.11"):
            reason = f"the UI of {__version__} differs from that of 2026.11"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def verify_cleanup() -> None:
    """Keep what the tests share: it is ended with the session."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seeded(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[SeededInstallation]:
    """Return the home; nothing of ours may go wrong in it."""
    async with SeededInstallation(tmp_path_factory.mktemp("home")) as seeded:
        yield seeded
        problems = seeded.hass.problems(("ERROR", "CRITICAL"))
    assert problems == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """Return a browser."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(
    seeded: SeededInstallation, browser: Browser
) -> AsyncGenerator[Person]:
    """Return somebody with a window; our part of the UI may not complain there."""
    async with person(browser, seeded.hass) as visitor:
        yield visitor
        assert visitor.complaints == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def front_door(seeded: SeededInstallation) -> VirtualCamera:
    """Return the camera at the front door, claimed and asleep after its first clip."""
    camera = seeded.front_door
    if not camera.flash.registered:
        await seeded.claim(camera, "Front door")
    await camera.wait_state("asleep", timeout=60)
    page = await seeded.hass.ws("magicpi_nvr/events", camera_ids=[camera.id], limit=1)
    if not page["events"]:
        await seeded.record(camera, 4)
        await camera.wait_state("asleep", timeout=60)
    await seeded.end_soon(camera)
    return camera
