"""What cameras can ask the gateway over HTTPS, and the upgrade to a WebSocket."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
import logging
from typing import Any, Final, cast

from aiohttp import web

from .camera.camera import Camera
from .camera.configuration import ConfigError
from .delegate import GatewayDelegate
from .link.listener import Connection, error_response
from .messages import Registration, decode_json
from .protocol import (
    MAX_BINARY_BYTES,
    MAX_REGISTER_BYTES,
    PROTOCOL_VERSION,
    SUBPROTOCOL,
    CloseCode,
    ProtocolError,
    is_camera_id,
)
from .session import Session
from .settings import GatewaySettings
from .trust.registry import RegistrationRefused, Registry

_LOGGER = logging.getLogger(__name__)

BODY_TIMEOUT_S: Final = 10
MAX_CONNECTIONS_PER_CAMERA: Final = 8
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
MAX_CURSOR: Final = 512
MAX_TIME_MS: Final = 253_402_300_799_999  # the end of the year 9999
STALE_KEY_INTERVAL_S: Final = 60


class _ApiError(Exception):
    """An answer other than the asked one."""

    def __init__(
        self,
        status: int,
        slug: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(slug)
        self.status = status
        self.slug = slug
        self.message = message
        self.headers = headers


_HTTP_SLUGS: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    426: "upgrade_required",
}
# After these the next request on the connection is as good as any.
_HARMLESS_ERRORS: Final = (400, 404, 405, 426)
_REFUSALS: Final = {
    "bad_token": (401, "the token is wrong, used or expired"),
    "claimed": (409, "the camera was claimed with another token"),
    "too_many_cameras": (403, "the gateway has as many cameras as it may have"),
}


def _unauthorized() -> _ApiError:
    return _ApiError(
        401, "unauthorized", "unknown camera or key", {"WWW-Authenticate": "Bearer"}
    )


def _too_many(seconds: int) -> _ApiError:
    return _ApiError(429, "too_many_tries", "try later", {"Retry-After": str(seconds)})


def _connection(request: web.Request) -> Connection:
    return cast(Connection, request.protocol)


def _number(
    request: web.Request, name: str, default: int | None, minimum: int, maximum: int
) -> int | None:
    """Return a number of the query; raises _ApiError."""
    if (text := request.query.get(name)) is None:
        return default
    if len(text) <= 16 and text.isascii() and text.isdigit():
        value = int(text)
        if minimum <= value <= maximum:
            return value
    raise _ApiError(400, "bad_request", f"{name} is no number in range")


@web.middleware
async def answer_errors(
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Give every error the protocol's body."""
    try:
        return await handler(request)
    except _ApiError as err:
        response = error_response(err.status, err.slug, err.message, err.headers)
    except web.HTTPException as err:
        if err.status < 400:
            raise
        response = error_response(
            err.status, _HTTP_SLUGS.get(err.status, "error"), err.reason
        )
        if allow := err.headers.get("Allow"):
            response.headers["Allow"] = allow
    except web.RequestPayloadError, ConnectionError:
        response = error_response(400, "bad_request", "broken body")
        response.force_close()
    except Exception:
        _LOGGER.exception("Request %s %s failed", request.method, request.path)
        response = error_response(500, "internal", "internal error")
    # A stranger's error must not hold a place. A camera holds none, and another handshake
    # costs it a second.
    if response.status not in _HARMLESS_ERRORS or not _connection(request).is_counted:
        response.force_close()
    return response


class CameraApi:
    """Handlers of the routes; those behind a key run with the camera it belongs to."""

    def __init__(
        self,
        registry: Registry,
        delegate: GatewayDelegate,
        settings: GatewaySettings,
        counters: Counter[str],
        version: str,
    ) -> None:
        """`counters` gets registrations and refusals, by reason."""
        self.settings = settings
        # In order, so that none changes its place in the tick by much.
        self.sessions: dict[Session, None] = {}
        self._registry = registry
        self._delegate = delegate
        self._counters = counters
        self._version = version
        self._connections: dict[str, set[Connection]] = {}
        self._next_stale_report: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the protocol."""
        return [
            web.post("/register", self._register),
            web.get("/health", self._health),
            web.get("/device/status", self._with_key(self._status)),
            web.put("/device/config", self._with_key(self._put_config)),
            web.get("/recordings", self._with_key(self._recordings)),
            web.get("/stats", self._with_key(self._stats)),
            web.get("/firmware/{sha256}", self._with_key(self._firmware)),
            web.get("/ws", self._with_key(self._websocket), allow_head=False),
        ]

    def revoke(self, camera: Camera) -> None:
        """Close every session of a camera whose key is worthless."""
        for session in self.sessions:
            if session.camera is camera:
                session.close(CloseCode.REVOKED, "key revoked")

    def forget(self, camera: Camera) -> None:
        """Count a camera's connections no more, and close its sessions."""
        self._connections.pop(camera.id, None)
        self.revoke(camera)

    # Keys

    def _count(self, connection: Connection, camera_id: str) -> None:
        """Count the connection as the camera's for as long as it is open; raises _ApiError."""
        group = self._connections.setdefault(camera_id, set())
        if connection in group:
            return
        if len(group) >= MAX_CONNECTIONS_PER_CAMERA:
            self._counters["refused_camera"] += 1
            raise _too_many(1)
        connection.count_in(group)

    def _authenticate(self, request: web.Request) -> Camera:
        """Return the camera whose key the request shows; raises _ApiError."""
        connection = _connection(request)
        board_id = request.headers.get("X-Camera-Id", "")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        camera = self._registry.check_key(board_id, key.strip())
        if camera is not None and scheme.lower() == "bearer":
            self._count(connection, camera.id)
            connection.authenticated()
            return camera
        if is_camera_id(board_id):
            asyncio.get_running_loop().call_soon(
                self._report_stale_key, board_id, connection.address
            )
        if wait := self._registry.failed(connection.origin, board_id[:32]):
            self._counters["refused_rate"] += 1
            raise _too_many(wait)
        self._counters["refused_key"] += 1
        _LOGGER.debug("Wrong key or id from %s", connection.address)
        raise _unauthorized()

    def _report_stale_key(self, board_id: str, address: str) -> None:
        """Report it, where this may be the camera itself and not a stranger with its id."""
        camera = self._registry.camera_of(board_id)
        now = self._registry.clock.monotonic()
        if (
            camera is not None
            and camera.session is None
            and (address == camera.address or camera.late_since_ms is not None)
            and now >= self._next_stale_report.get(camera.id, 0)
        ):
            self._next_stale_report[camera.id] = now + STALE_KEY_INTERVAL_S
            self._delegate.stale_key(camera.id)

    def _with_key(
        self,
        handler: Callable[
            [web.Request, Camera], Coroutine[Any, Any, web.StreamResponse]
        ],
    ) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        """Let only cameras with their key reach the handler."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request, self._authenticate(request))

        return handle

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await request.read()
        except TimeoutError:
            raise _ApiError(408, "timeout", "the body did not come") from None

    async def _register(self, request: web.Request) -> web.StreamResponse:
        connection = _connection(request)
        if (request.content_length or 0) > MAX_REGISTER_BYTES:
            raise _ApiError(413, "too_large", "at most 8 KiB")
        body = await self._body(request)
        try:
            registration = Registration.from_json(body)
        except ProtocolError as err:
            self._counters["refused_registration"] += 1
            raise _ApiError(400, "bad_request", err.reason) from None
        try:
            camera, key, data = self._registry.redeem(
                registration, max_cameras=self.settings.max_cameras
            )
        except RegistrationRefused as err:
            self._counters["refused_registration"] += 1
            if err.slug != "too_many_cameras" and (
                wait := self._registry.failed(connection.origin, registration.id)
            ):
                raise _too_many(wait) from None
            status, message = _REFUSALS[err.slug]
            raise _ApiError(status, err.slug, message) from None
        # Connections with an older key can't keep it out.
        connection.count_in(self._connections.setdefault(camera.id, set()))
        connection.authenticated()
        self._counters["registrations"] += 1
        _LOGGER.info("Camera %s registered", camera.id)
        camera.address = connection.address
        # A session with an older key is not this camera any more.
        self.revoke(camera)
        self._delegate.camera_registered(camera, data)
        # A camera keeps its key for good, so the key must not be forgotten by a crash.
        await self._registry.save_now()
        return web.json_response(
            {"api_key": key, "config": camera.config.message()}, status=201
        )

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"status": "ok", "version": self._version, "proto": PROTOCOL_VERSION}
        )

    async def _status(
        self, _request: web.Request, camera: Camera
    ) -> web.StreamResponse:
        telemetry, config = camera.telemetry, camera.config
        return web.json_response(
            {
                "id": camera.board_id,
                "name": camera.name,
                "state": camera.status,
                "last_seen": camera.last_seen_ms,
                "next_check_in": camera.next_check_in_ms,
                "config_rev": config.reported_rev,
                "wanted_rev": config.rev,
                "pending": sorted(config.pending),
                "battery_mv": telemetry.battery_mv,
                "battery_pct": telemetry.battery_pct,
                "rssi": telemetry.rssi,
            }
        )

    async def _put_config(
        self, request: web.Request, camera: Camera
    ) -> web.StreamResponse:
        try:
            data = decode_json(await self._body(request))
            changes = data.get("config", data)
            if not isinstance(changes, dict):
                raise ProtocolError("bad config")  # noqa: TRY301 - as any other bad body
            rev = camera.merge_config(changes)
        except ProtocolError as err:
            raise _ApiError(400, "bad_request", err.reason) from None
        except ConfigError as err:
            raise _ApiError(400, "bad_config", str(err)) from None
        return web.json_response({"rev": rev, "config": camera.config.message()})

    async def _recordings(
        self, request: web.Request, camera: Camera
    ) -> web.StreamResponse:
        cursor = request.query.get("cursor")
        if cursor is not None and len(cursor) > MAX_CURSOR:
            raise _ApiError(400, "bad_request", "cursor is too long")
        limit = _number(request, "limit", DEFAULT_PAGE, 1, MAX_PAGE)
        assert limit is not None
        try:
            page = await self._delegate.recordings(
                camera.id,
                start_ms=_number(request, "from", None, 0, MAX_TIME_MS),
                end_ms=_number(request, "to", None, 0, MAX_TIME_MS),
                limit=limit,
                cursor=cursor,
            )
        except ValueError:
            raise _ApiError(400, "bad_request", "cursor is none") from None
        except OSError:
            raise _ApiError(503, "storage", "the recordings do not answer") from None
        return web.json_response(page)

    async def _stats(self, _request: web.Request, camera: Camera) -> web.StreamResponse:
        return web.json_response({"id": camera.board_id, **camera.counters.as_dict()})

    async def _firmware(
        self, request: web.Request, camera: Camera
    ) -> web.StreamResponse:
        sha256 = request.match_info["sha256"]
        offer = camera.offer
        if offer is None or offer.sha256 != sha256:
            raise web.HTTPNotFound
        if (path := self._delegate.firmware(camera.id, sha256)) is None:
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def _websocket(
        self, request: web.Request, camera: Camera
    ) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise _ApiError(
                426, "upgrade_required", "this is a WebSocket", {"Upgrade": "websocket"}
            )
        protocols = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if SUBPROTOCOL not in (item.strip() for item in protocols):
            raise _ApiError(400, "subprotocol", f"subprotocol {SUBPROTOCOL} expected")
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            # aiohttp refuses what reaches the limit.
            max_msg_size=MAX_BINARY_BYTES + 1,
            timeout=2,
        )
        connection = _connection(request)
        frames = connection.upgrade()
        await ws.prepare(request)
        session = Session(
            camera,
            ws,
            connection,
            frames,
            self._delegate,
            self._registry.clock,
            hello_timeout_s=self.settings.hello_timeout_s,
            idle_ticks=max(
                1, round(self.settings.idle_timeout_s / self.settings.tick_s)
            ),
        )
        self.sessions[session] = None
        try:
            await session.run()
        finally:
            del self.sessions[session]
        return ws
