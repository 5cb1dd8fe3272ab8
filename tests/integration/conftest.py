"""What the tests of Home Assistant's side share."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest


@pytest.fixture
def hass_config_dir(hass_tmp_config_dir: str) -> str:
    """Keep what is stored in a folder of the test."""
    return hass_tmp_config_dir


@pytest.fixture
async def device() -> AsyncGenerator[Callable[[web.Application], Awaitable[int]]]:
    """Start web servers that are no virtual cameras; returns their port."""
    servers: list[TestServer] = []

    async def start(app: web.Application) -> int:
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        assert server.port
        return server.port

    yield start
    for server in servers:
        await server.close()
