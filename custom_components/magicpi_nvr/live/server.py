"""Sends a source over HTTP: to readers on this machine's loopback, and to readers that a caller of send() admits."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import hmac
from math import inf
import secrets
from typing import Final

from aiohttp import hdrs, web

from .source import LiveSource, TooManyViewers
from .viewer import Viewer

CONTENT_TYPE: Final = "video/mp2t"
# Readers outside of one camera: the others of its viewers are this machine's own
MAX_OUTSIDE: Final = 24
_HOST: Final = "127.0.0.1"
_SHUTDOWN_S: Final = 2.0
# A reader that takes nothing for so long is gone, or holds an encoder and a place for nothing
STALL_S: Final = 60.0
# So much is written before it is looked whether the reader takes it
_CHUNK: Final = 64 * 1024
# How often it is looked whether a reader is still there
_LOOK_S: Final = 1.0
# For a reader to take the end
_ENDING_S: Final = 2.0


async def send(
    request: web.Request, source: LiveSource, viewers: set[Viewer] | None = None
) -> web.StreamResponse:
    """Send a source until the reader leaves or the viewer is closed. `viewers`: those outside, among whom it is meanwhile."""
    headers: Mapping[str, str] = {
        hdrs.CONTENT_TYPE: CONTENT_TYPE,
        hdrs.CACHE_CONTROL: "no-store",
        "X-Accel-Buffering": "no",
    }
    if request.method == hdrs.METH_HEAD:
        return web.Response(headers=headers)
    busy = web.HTTPServiceUnavailable(headers={hdrs.RETRY_AFTER: "10"})
    if viewers is not None and len(viewers) >= MAX_OUTSIDE:
        raise busy
    try:
        viewer = source.open()
    except TooManyViewers as err:
        raise busy from err
    response = web.StreamResponse(headers=headers)
    if viewers is not None:
        viewers.add(viewer)
    writing = _Writing()
    # Without a picture nothing is written, and who leaves is not seen
    gone = asyncio.create_task(_until_gone(request, viewer, writing))
    clock = asyncio.get_running_loop().time
    try:
        await response.prepare(request)
        while (data := await viewer.read()) is not None:
            for at in range(0, len(data), _CHUNK):
                writing.since = clock()
                await response.write(data[at : at + _CHUNK])
            writing.since = inf
        await response.write_eof()
    except ConnectionError:
        pass
    finally:
        gone.cancel()
        if viewers is not None:
            viewers.discard(viewer)
        source.release(viewer)
    return response


@dataclass(slots=True)
class _Writing:
    """What is being written, of the loop's time since when; inf = nothing."""

    since: float = inf


async def _until_gone(request: web.Request, viewer: Viewer, writing: _Writing) -> None:
    """Close a viewer whose connection is gone, and cut off one that takes nothing, or does not read to its end."""
    clock = asyncio.get_running_loop().time
    while (
        request.transport is not None
        and not request.transport.is_closing()
        and not viewer.is_closed
    ):
        if clock() - writing.since > STALL_S:
            request.transport.abort()
        await asyncio.sleep(_LOOK_S)
    viewer.close()
    await asyncio.sleep(_ENDING_S)
    if request.transport is not None:
        request.transport.abort()


class LiveServer:
    """The address on the loopback: no TLS, no proxy, and a name that nobody can guess."""

    def __init__(self, find: Callable[[str], LiveSource | None]) -> None:
        """`find` returns the source of a camera's id, None where there is no such camera."""
        self._find = find
        self._secret = secrets.token_urlsafe(32)
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen on a free port; raises OSError."""
        application = web.Application()
        application.router.add_get("/{secret}/{camera}.ts", self._handle)
        self._runner = runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_SHUTDOWN_S
        )
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, _HOST, self._port).start()
            except OSError:
                # Another program took it meanwhile
                await web.TCPSite(runner, _HOST, 0).start()
        except OSError:
            await self.stop()
            raise
        # After a restart of the server readers find it where it was
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """End the connections and the server."""
        if (runner := self._runner) is not None:
            self._runner = None
            await runner.cleanup()

    def url(self, camera_id: str) -> str | None:
        """Return the address of a camera, None while it is not served."""
        if self._runner is None:
            return None
        name = camera_id.replace(":", "-")
        return f"http://{_HOST}:{self._port}/{self._secret}/{name}.ts"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not hmac.compare_digest(
            request.match_info["secret"].encode(), self._secret.encode()
        ):
            raise web.HTTPNotFound
        source = self._find(request.match_info["camera"].replace("-", ":"))
        if source is None:
            raise web.HTTPNotFound
        return await send(request, source)
