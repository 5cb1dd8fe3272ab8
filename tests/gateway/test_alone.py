"""The package stands on its own."""

import ast
from pathlib import Path
import sys

import pytest

import custom_components.magicpi_nvr.gateway as package
from tests.harness.alone import import_alone

PACKAGE = Path(package.__file__).parent
ALLOWED = {"aiohttp", "cryptography", "isal", "yarl", *sys.stdlib_module_names}


def test_imports_without_home_assistant() -> None:
    """Put on the path alone, every module is imported."""
    import_alone("gateway")


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
