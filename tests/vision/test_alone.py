"""The package stands on its own."""

import pytest

from tests.harness.alone import run_without

HEAVY = ("numpy", "PIL", "ncnn")


def test_imports_without_home_assistant_and_numpy() -> None:
    """What runs in Home Assistant's process imports no decoder, no numpy and no detector."""
    run_without(
        *("homeassistant", "custom_components", "recording", "gateway", *HEAVY),
        code="import vision.grid, vision.model, vision.zones, vision.watch, vision.wire, vision.worker, vision.weights",
    )


def test_a_first_answer_waits_for_little() -> None:
    """What the detector's first answer needs imports no numpy, whose start takes as long as all the rest."""
    pytest.importorskip("ncnn")
    run_without(
        *("numpy", "argparse", "pathlib"), code="import vision.lanes, vision.nanodet"
    )
