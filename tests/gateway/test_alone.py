"""The room stands on its own."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

import custom_components.magicpi_nvr.gateway as package

ROOM = Path(package.__file__).parent
ALLOWED = {"aiohttp", "cryptography", "isal", "yarl", *sys.stdlib_module_names}

ALONE = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("homeassistant", "custom_components", "recording"):
            raise ImportError(name)

sys.meta_path.insert(0, Wall())
import importlib
import pkgutil
import gateway

for module in pkgutil.iter_modules(gateway.__path__):
    importlib.import_module(f"gateway.{module.name}")
assert gateway.Gateway.__module__ == "gateway.server"
print("alone")
"""


def test_imports_without_home_assistant() -> None:
    """Put on the path alone, every module is imported."""
    result = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.append({str(ROOM.parent)!r})\n{ALONE}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "alone\n", result.stderr


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_imports_only_its_own(path: Path) -> None:
    """Relative imports stay inside, absolute ones name what the room may use."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            assert names <= ALLOWED
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1
            if not node.level:
                assert str(node.module).split(".")[0] in ALLOWED
