"""Servers to copy to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import ClientSession
import pytest

from object_stores import MissingServer, s3_store, server_folder
from tests.harness.copies import Clips, CopyServer
from tests.harness.copy_servers import apache_store, nginx_store
from tests.harness.link import Link

KINDS = {"s3": s3_store, "apache": apache_store, "nginx": nginx_store}


async def _place(kind: str) -> AsyncIterator[CopyServer]:
    async with AsyncExitStack() as stack, ClientSession() as session:
        folder = stack.enter_context(server_folder())
        try:
            store = await stack.enter_async_context(KINDS[kind](folder))
        except MissingServer as error:
            pytest.skip(str(error))
        yield CopyServer(kind, store, session, stack)


@pytest.fixture(params=["s3", "apache"])
async def copy_server(request: pytest.FixtureRequest) -> AsyncIterator[CopyServer]:
    """Return a server, one of each kind."""
    async for copy_server in _place(request.param):
        yield copy_server


@pytest.fixture
async def s3() -> AsyncIterator[CopyServer]:
    """Return an S3 server."""
    async for copy_server in _place("s3"):
        yield copy_server


@pytest.fixture
async def webdav() -> AsyncIterator[CopyServer]:
    """Return a WebDAV server."""
    async for copy_server in _place("apache"):
        yield copy_server


@pytest.fixture
async def nginx() -> AsyncIterator[CopyServer]:
    """Return another WebDAV server."""
    async for copy_server in _place("nginx"):
        yield copy_server


@pytest.fixture
async def link(copy_server: CopyServer) -> AsyncIterator[Link]:
    """Return a link to the server."""
    async with Link(copy_server.store.port) as link:
        yield link


@pytest.fixture
def clips() -> Clips:
    """Return a library without clips."""
    return Clips()
