"""A page of each browser."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from browsers import FIREFOX, Page, chromium, firefox
from person import find_chromium


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
        chromium() if request.param == "chromium" else firefox(tmp_path / "profile")
    ) as page:
        yield page
