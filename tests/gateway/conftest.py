"""Fixtures of the gateway's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
import logging
from pathlib import Path

import pytest

from .support import House, run_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running gateway."""
    async with run_house(tmp_path / "tls") as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_ugly_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test of this folder may leave an error or an exception in the log."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    yield
    ugly = [
        record
        for when in ("setup", "call")
        for record in caplog.get_records(when)  # type: ignore[arg-type]
        if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert not ugly, [record.getMessage() for record in ugly]


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    """Every task has an owner that ends it."""
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(10):
        while left := [
            task
            for task in asyncio.all_tasks() - before
            if task is not asyncio.current_task()
            and "/gateway/" in task.get_coro().cr_code.co_filename  # type: ignore[union-attr]
        ]:
            await asyncio.wait(left, timeout=5)
