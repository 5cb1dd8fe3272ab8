"""What all tests share."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
import pytest
from zeroconf import Zeroconf

from home_assistant import free_port

pytest_plugins = [
    "tests.harness.frame_check",
    "tests.harness.gateway",
    "tests.harness.home_assistant",
    "tests.harness.library",
    "tests.harness.recorder",
]

# Files that take a minute and more although they have few tests: `--durations` names them.
LONGEST = (
    "firmware/test_features.py",
    "firmware/test_life.py",
    "soak/test_soak.py",
    "copies/test_queue.py",
    "vision/test_home.py",
    "integration/test_continuous.py",
    "scripts/test_home_assistant.py",
    "faults/test_process.py",
    "attack/test_secrets.py",
    "live/test_source.py",
    "live/test_readers.py",
)

ZEROCONF_INIT = Zeroconf.__init__

# How long something takes says more of the machine than of what is tested.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Return ports that no connection of another test can be given meanwhile."""
    return free_port


@pytest.fixture
def unused_tcp_port() -> int:
    """Return such a port."""
    return free_port()


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with the longest files, so that the others run beside them, and go on with those of many tests."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(item.path for item in items)

    def rank(item: pytest.Item) -> tuple[int, int, str]:
        name = "/".join(item.path.parts[-2:])
        first = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return first, -sizes[item.path], str(item.path)

    items.sort(key=rank)


def _new_zeroconf(cls: type[Zeroconf], *_: Any, **__: Any) -> Zeroconf:
    return object.__new__(cls)


def restore_zeroconf() -> None:
    """Let Zeroconf be constructed as it is without Home Assistant."""
    if Zeroconf.__init__ is ZEROCONF_INIT:
        return
    # Deleted, the replaced one would leave a class that takes no arguments.
    Zeroconf.__new__ = _new_zeroconf  # type: ignore[assignment]
    Zeroconf.__init__ = ZEROCONF_INIT  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def zeroconf_of_its_own(request: pytest.FixtureRequest) -> None:
    """Let a test without Home Assistant make its own Zeroconf.

    Home Assistant replaces the class's constructor by one that returns the shared
    instance, and that outlives the test that it ran in.
    """
    if "hass" not in request.fixturenames:
        restore_zeroconf()


@pytest.fixture(autouse=True)
def enable_our_integration(request: pytest.FixtureRequest) -> None:
    """Let the test plugin's Home Assistant load custom_components/magicpi_nvr."""
    if "hass" not in request.fixturenames:
        return
    # The recorder has to be there before Home Assistant is.
    for name in ("recorder_mock", "async_test_recorder"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    request.getfixturevalue("enable_custom_integrations")
