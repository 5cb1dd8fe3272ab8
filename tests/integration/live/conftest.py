"""A page of each browser."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from homeassistant.setup import async_setup_component
from person import find_chromium
from tests.harness.browsers import FIREFOX, Page, chromium_page, firefox
from tests.harness.home_assistant import Installation


@pytest.fixture(
    params=[
        pytest.param(
            "chromium",
            marks=pytest.mark.skipif(
                find_chromium() is None, reason="there is no Chromium"
            ),
        ),
        pytest.param(
            "firefox",
            marks=pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox"),
        ),
    ]
)
async def page(
    request: pytest.FixtureRequest, socket_enabled: None, tmp_path: Path
) -> AsyncGenerator[Page]:
    """Return a page of each browser."""
    async with (
        chromium_page()
        if request.param == "chromium"
        else firefox(tmp_path / "profile")
    ) as page:
        yield page


@pytest.fixture
async def live_installation(installation: Installation) -> Installation:
    """Home Assistant with a camera that is always on, and Home Assistant's stream component."""
    assert await async_setup_component(installation.hass, "stream", {})
    await installation.claimed(always_on=True)
    return installation
