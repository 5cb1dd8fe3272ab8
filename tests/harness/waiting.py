"""Waiting for what tells nobody."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], timeout: float = 60) -> None:
    """Wait for something that has no event of its own."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)
