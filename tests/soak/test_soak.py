"""A minute of a bad network: what is left of it, and whether memory grows."""

from pathlib import Path

import pytest

from bench_soak import growth, soak

# What caches may add; a frame that is never released adds far more: cameras send about
# fifty megabytes meanwhile.
MAX_GROWTH = 1.1


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_cameras_that_come_and_go_leave_nothing(tmp_path: Path) -> None:
    """No task, thread, socket, process, open or temporary file is left, and no memory."""
    found = await soak(tmp_path / "home", minutes=1, cameras=6)
    assert found.counts["captured"] > 100
    assert found.counts["boots"] > 6
    assert found.counts["connects"] > found.counts["boots"]
    assert found.recorded > 0
    assert found.problems == []
    assert found.left == {}
    assert growth(found.process) < MAX_GROWTH
