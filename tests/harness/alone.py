"""An inner package in a process of its own, without what it may not import."""

from pathlib import Path
import subprocess
import sys

COMPONENT = Path(__file__).parents[2] / "custom_components" / "magicpi_nvr"
WALL = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ImportError(name)

sys.path.append({path!r})
sys.meta_path.insert(0, Wall())
"""


PACKAGES = ("copies", "gateway", "live", "recording", "vision")
IMPORT_ALL = """
import importlib
import pkgutil
import {name}

for module in pkgutil.walk_packages({name}.__path__, "{name}."):
    importlib.import_module(module.name)
"""


def import_alone(name: str) -> None:
    """Import every module of an inner package, without Home Assistant and the others."""
    run_without(
        *("homeassistant", "custom_components", *{*PACKAGES} - {name}),
        code=IMPORT_ALL.format(name=name),
    )


def run_without(*names: str, code: str) -> None:
    """Run code for which these packages do not exist, with the inner packages on the path."""
    result = subprocess.run(
        [
            *(sys.executable, "-P", "-c"),
            WALL.format(names=names, path=str(COMPONENT)) + code,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
