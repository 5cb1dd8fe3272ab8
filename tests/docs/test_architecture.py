"""The structure of the code is what the architecture page says."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "custom_components" / "magicpi_nvr"
PAGE = ROOT / "docs" / "design" / "architecture.md"
# Without Home Assistant, and without each other.
INNER = ("copies", "gateway", "live", "recording", "vision")
# What Home Assistant asks for by name: a row for each says nothing.
PLATFORMS = {
    "binary_sensor",
    "button",
    "camera",
    "diagnostics",
    "event",
    "image",
    "light",
    "media_source",
    "number",
    "select",
    "sensor",
    "switch",
    "system_health",
    "update",
}
MOST_LINES = 500


@cache
def modules() -> dict[str, Path]:
    """Return all modules by their dotted names within the integration."""
    found = {}
    for path in sorted(COMPONENT.rglob("*.py")):
        parts = path.relative_to(COMPONENT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when a module is imported."""
    for node in body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from _top_level(node.orelse)
            case ast.If() | ast.Try():
                for part in ("body", "orelse", "finalbody"):
                    yield from _top_level(getattr(node, part, []))
            case ast.Import() | ast.ImportFrom():
                yield node


@cache
def imports(name: str) -> frozenset[str]:
    """Return which modules of the integration a module imports when it is imported."""
    path = modules()[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    found = set()
    for node in _top_level(ast.parse(path.read_text()).body):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - (node.level - 1)]
        target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        for alias in node.names:
            inner = f"{target}.{alias.name}".strip(".")
            found.add(inner if inner in modules() else target)
    return frozenset(found & modules().keys() - {name})


def circle() -> list[str]:
    """Return a chain of modules that import each other; an empty one if there is none."""
    done: set[str] = set()

    def visit(name: str, chain: list[str]) -> list[str]:
        if name in chain:
            return [*chain[chain.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports(name)):
            # A package that only gathers what its modules offer is loaded before them.
            if name.startswith(f"{other}.") or not other:
                continue
            if found := visit(other, [*chain, name]):
                return found
        done.add(name)
        return []

    for name in modules():
        if found := visit(name, []):
            return found
    return []


def test_no_import_circle() -> None:
    """Imports point in one direction."""
    assert circle() == []


@pytest.mark.parametrize(
    "package", [name for name in INNER if (COMPONENT / name).is_dir()]
)
def test_inner_package_stands_alone(package: str) -> None:
    """It imports neither Home Assistant nor another package of the integration."""
    for name, path in modules().items():
        if name.split(".")[0] != package:
            continue
        strangers = {one for one in imports(name) if one.split(".")[0] != package}
        assert strangers == set(), name
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            assert not any(one.split(".")[0] == "homeassistant" for one in names), name


def test_every_module_has_its_line() -> None:
    """The architecture page names each module, and none that is not there."""
    text = PAGE.read_text()
    named = set(re.findall(r"([\w/]+)\.py`", text))
    for name, path in modules().items():
        if path.name == "__init__.py" or name in PLATFORMS:
            continue
        place = name.replace(".", "/")
        short = place.split("/", 1)[-1]
        assert place in named or short in named, place
    stems = {name.replace(".", "/") for name in modules()}
    for one in named:
        assert any(
            stem == one or stem.endswith(f"/{one}") for stem in stems
        ) or one.startswith("tests/"), one


def test_long_modules_say_why() -> None:
    """A module above the limit says at its top why it is one."""
    for name, path in modules().items():
        lines = path.read_text().splitlines()
        if len(lines) > MOST_LINES:
            docstring = ast.get_docstring(ast.parse("\n".join(lines))) or ""
            assert "Long because" in docstring, (name, len(lines))
