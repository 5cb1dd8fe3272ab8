"""A pytest plugin that has to come before all others (`-p pytest_early` in pyproject.toml).

It gives each test process a network of its own where that is allowed, and makes three things
work that the order of plugins would break otherwise:

- Home Assistant replaces httpx when it is imported and refuses to if someone else has
  imported the original before; another plugin of the environment does just that.
- The test plugin is written for the Home Assistant before the newest one and imports a
  function from where the newest one no longer has it.
- The test plugin takes the network away from every test. Tests outside of
  tests/integration are about cameras, sockets and files and need it; they get it back
  before their first fixture, which no conftest.py could do.
"""

from pathlib import Path
import socket
import sys
from typing import Any

import pytest
import pytest_socket

import homeassistant  # noqa: F401
import own_network

INTEGRATION_TESTS = Path(__file__).parents[2] / "tests" / "integration"

_RESOLVERS = {
    name: getattr(socket, name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
}


def _clear_logger_overwrites(hass: Any) -> None:
    """Call the function at its new place."""
    from homeassistant.components.logger import helpers  # noqa: PLC0415

    helpers._clear_logger_overwrites(hass)  # noqa: SLF001


# `from package import name` falls back to the module `package.name`, so that the moved
# function is found without importing the package before the test plugin has patched it.
sys.modules.setdefault(
    "homeassistant.components.logger._clear_logger_overwrites",
    _clear_logger_overwrites,  # type: ignore[arg-type]
)


def pytest_configure(config: pytest.Config) -> None:
    """Separate the process that runs the tests: a worker, or the only one there is."""
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses")
    if runs_tests and not config.getoption("collectonly"):
        own_network.enter()


def uses_home_assistant(item: pytest.Item) -> bool:
    """Return whether a test runs inside of the test plugin's Home Assistant."""
    return INTEGRATION_TESTS in item.path.parents


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the network back to tests that are not run inside of Home Assistant."""
    if uses_home_assistant(item):
        return
    pytest_socket.enable_socket()
    pytest_socket._remove_restrictions()  # noqa: SLF001
    for name, function in _RESOLVERS.items():
        setattr(socket, name, function)
