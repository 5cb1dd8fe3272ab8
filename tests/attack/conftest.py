"""A whole Home Assistant in this process, for those who try what they should not."""

from collections.abc import Iterator
import logging

import pytest

from tests.harness.logs import assert_no_errors


@pytest.fixture(autouse=True)
def no_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """Leave it out: where a test has frozen the time, aiohttp can't tell its zone, and says so."""
    caplog.set_level(logging.WARNING, "aiohttp.access")


@pytest.fixture(autouse=True)
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No attack makes an exception, neither in this integration nor in the server above it."""
    yield
    assert_no_errors(caplog)
