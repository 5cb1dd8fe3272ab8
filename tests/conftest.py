"""What all tests share."""

import pytest

from pytest_early import uses_home_assistant


@pytest.fixture(autouse=True)
def enable_our_integration(request: pytest.FixtureRequest) -> None:
    """Let the test plugin's Home Assistant load custom_components/magicpi_nvr."""
    if not uses_home_assistant(request.node) or "hass" not in request.fixturenames:
        return
    # The recorder has to be there before Home Assistant is.
    for name in ("recorder_mock", "async_test_recorder"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    request.getfixturevalue("enable_custom_integrations")
