"""The package stands on its own."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

import custom_components.magicpi_nvr.gateway as package

PACKAGE = Path(package.__file__).parent
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

for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    importlib.import_module(module.name)
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
            f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{ALONE}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "alone\n", result.stderr


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_only_its_own(path: Path) -> None:
    """Relative imports stay inside, absolute ones name what the package may use."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            assert names <= ALLOWED
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth
            if not node.level:
                assert str(node.module).split(".")[0] in ALLOWED
