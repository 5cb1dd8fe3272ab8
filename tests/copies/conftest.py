"""Servers to copy to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import ClientSession
import pytest

from object_stores import (
    Link,
    MissingServer,
    apache_store,
    nginx_store,
    s3_store,
    server_folder,
)

from .support import Clips, Place

KINDS = {"s3": s3_store, "apache": apache_store, "nginx": nginx_store}


async def _place(kind: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack, ClientSession() as session:
        folder = stack.enter_context(server_folder())
        try:
            store = await stack.enter_async_context(KINDS[kind](folder))
        except MissingServer as error:
            pytest.skip(str(error))
        yield Place(kind, store, session, stack)


@pytest.fixture(params=["s3", "apache"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Return a server, one of each kind."""
    async for place in _place(request.param):
        yield place


@pytest.fixture
async def s3() -> AsyncIterator[Place]:
    """Return an S3 server."""
    async for place in _place("s3"):
        yield place


@pytest.fixture
async def webdav() -> AsyncIterator[Place]:
    """Return a WebDAV server."""
    async for place in _place("apache"):
        yield place


@pytest.fixture
async def nginx() -> AsyncIterator[Place]:
    """Return another WebDAV server."""
    async for place in _place("nginx"):
        yield place


@pytest.fixture
async def link(place: Place) -> AsyncIterator[Link]:
    """Return a link to the server."""
    async with Link(place.store.port) as link:
        yield link


@pytest.fixture
def clips() -> Clips:
    """Return a library without clips."""
    return Clips()
