"""Inputs that once broke a promise, and those that fuzzing begins with; see scripts/fuzz."""

import pytest

from fuzz_targets import TARGETS, fixtures, seeds

BROKE_ONCE = [
    pytest.param(target, path.read_bytes(), id=path.name)
    for target in TARGETS
    for path in fixtures(target)
]
BEGINNINGS = [
    pytest.param(target, seed, id=f"{target}-{number}")
    for target in TARGETS
    for number, seed in enumerate(seeds(target))
]


@pytest.mark.parametrize(("target", "data"), BROKE_ONCE)
def test_never_again(target: str, data: bytes) -> None:
    """What broke a promise once is answered as promised."""
    TARGETS[target](data)


@pytest.mark.parametrize(("target", "data"), BEGINNINGS)
def test_cut_anywhere(target: str, data: bytes) -> None:
    """Each beginning holds, whole and cut off anywhere."""
    for end in (*range(0, len(data), 5), len(data)):
        TARGETS[target](data[:end])
