"""The package stands on its own."""

from pathlib import Path
import subprocess
import sys

import pytest

import custom_components.magicpi_nvr.vision as package

PACKAGE = Path(package.__file__).parent

ALONE = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("homeassistant", "custom_components", "recording", "gateway"):
            raise ImportError(name)
        if name.split(".")[0] in ("numpy", "PIL", "ncnn"):
            raise ImportError(name)

sys.meta_path.insert(0, Wall())
import vision
import vision.grid, vision.model, vision.zones, vision.watch, vision.wire, vision.worker, vision.weights
print("alone")
"""


def test_imports_without_home_assistant_and_numpy() -> None:
    """What runs in Home Assistant's process imports no decoder, no numpy and no detector."""
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


FIRST_ANSWER = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numpy", "argparse", "pathlib"):
            raise ImportError(name)

sys.meta_path.insert(0, Wall())
import vision.lanes, vision.nanodet
print("quick")
"""


def test_a_first_answer_waits_for_little() -> None:
    """What the detector's first answer needs imports no numpy, whose start takes as long as all the rest."""
    pytest.importorskip("ncnn")
    result = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{FIRST_ANSWER}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "quick\n", result.stderr
