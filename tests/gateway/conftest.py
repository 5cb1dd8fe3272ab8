"""What no test of the gateway may leave behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
import logging

import pytest

from tests.harness.logs import assert_no_errors


@pytest.fixture(autouse=True)
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test of this folder may leave an error or an exception in the log."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    yield
    assert_no_errors(caplog, exceptions_from=logging.NOTSET)


@pytest.fixture(autouse=True)
async def no_task_left_running() -> AsyncIterator[None]:
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
