"""A worker with a real child."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from custom_components.magicpi_nvr.vision import worker as worker_module
from custom_components.magicpi_nvr.vision.weights import check_model
from custom_components.magicpi_nvr.vision.worker import ModelFiles, Worker
from real_pictures import real_data


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no child give way: other tests have the cores."""
    monkeypatch.setattr(worker_module, "EAGER_ANSWERS", 1_000_000)


@pytest.fixture(name="model", scope="session")
def fixture_model() -> ModelFiles:
    """Return the real model where this machine has it."""
    pytest.importorskip("ncnn")
    if (data := real_data()) is None:
        pytest.skip("no real pictures here")
    return check_model(data / "models")


@pytest.fixture(name="make_worker")
async def fixture_make_worker() -> AsyncIterator[Callable[..., Worker]]:
    """Make workers that are stopped afterwards."""
    workers: list[Worker] = []

    def make(model: ModelFiles | None = None, **options: Any) -> Worker:
        worker = Worker(model, **options)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        await worker.stop()
        assert worker.pid is None


def is_alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
