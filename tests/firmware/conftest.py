"""What builds the firmware."""

import os
from pathlib import Path
import shutil
import subprocess

import pytest

from homeassistant.const import __version__

TOOLS = {
    "cmake": Path("/usr/bin/cmake"),
    "g++": Path("/usr/bin/g++"),
    "libmbedtls-dev": Path("/usr/include/mbedtls/ssl.h"),
}
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run with one Home Assistant: what differs between two is tested without the firmware, in a tenth of the time."""
    for item in items:
        if HERE in item.path.parents and not __version__.startswith("2026.11"):
            item.add_marker(pytest.mark.skip(reason="one Home Assistant is enough"))


@pytest.fixture(scope="module")
def tools() -> None:
    """Have what builds the firmware, or skip."""
    missing = [name for name, file in TOOLS.items() if not file.exists()]
    if missing and os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        for step in ("update", "install"):
            command = [apt, step, "-y", "-qq", *(missing if step == "install" else ())]
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(command, env=env, capture_output=True, check=False)
        missing = [name for name, file in TOOLS.items() if not file.exists()]
    if missing:
        pytest.skip(f"building the firmware needs Debian's {', '.join(missing)}")
