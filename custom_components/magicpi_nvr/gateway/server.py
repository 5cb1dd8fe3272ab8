"""The TLS listener that cameras connect to, with its routes."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import batched
import logging
from types import MappingProxyType
from typing import Any, Final, cast

from aiohttp import web

from .camera.camera import Camera
from .camera.configuration import ConfigError
from .delegate import GatewayDelegate
from .frame_batch import FrameBatch
from .link.listener import Connection, Listener, ListenerLimits, error_response
from .protocol import (
    HELLO_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    MAX_BINARY_BYTES,
    MAX_REGISTER_BYTES,
    PROTOCOL_VERSION,
    SUBPROTOCOL,
    CloseCode,
    ProtocolError,
    Registration,
    decode_json,
    encode_command,
    is_camera_id,
)
from .session import Session
from .trust.authority import Authority
from .trust.registry import RegistrationExpired, RegistrationRefused, Registry

_LOGGER = logging.getLogger(__name__)

TICK_S: Final = 0.4
# Fifty acks at once would keep Home Assistant's loop for milliseconds.
TICKED_TOGETHER: Final = 16
RENEWAL_CHECK_S: Final = 12 * 3600
BODY_TIMEOUT_S: Final = 10
SHUTDOWN_TIMEOUT_S: Final = 5
MAX_CONNECTIONS_PER_CAMERA: Final = 8
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
MAX_CURSOR: Final = 512
MAX_TIME_MS: Final = 253_402_300_799_999  # the end of the year 9999
STALE_KEY_INTERVAL_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Settings of the listener; `host` None = every address. Times in seconds."""

    host: str | None = None
    port: int = 3443
    max_cameras: int = 50
    hello_timeout_s: float = HELLO_TIMEOUT_S
    idle_timeout_s: float = IDLE_TIMEOUT_S
    limits: ListenerLimits = field(default_factory=ListenerLimits)


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


class Gateway:
    """The cameras' side: listener, registered cameras, sessions."""

    def __init__(
        self,
        *,
        authority: Authority,
        registry: Registry,
        delegate: GatewayDelegate,
        settings: GatewaySettings,
        version: str,
    ) -> None:
        """`registry` is loaded."""
        self.authority = authority
        self.counters: Counter[str] = Counter()
        """Connections, registrations and refusals since the start, by reason."""
        self.settings = settings
        self._registry = registry
        self._delegate = delegate
        self._version = version
        # In order, so that none changes its place in the tick by much.
        self._sessions: dict[Session, None] = {}
        self._batch = FrameBatch()
        self._connections: dict[str, set[Connection]] = {}
        self._told_stale: dict[str, float] = {}
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._renewal: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application(
            middlewares=[self._answer_errors], client_max_size=MAX_REGISTER_BYTES + 1
        )
        app.add_routes(
            [
                web.post("/register", self._register),
                web.get("/health", self._health),
                web.get("/device/status", self._with_key(self._status)),
                web.put("/device/config", self._with_key(self._put_config)),
                web.get("/recordings", self._with_key(self._recordings)),
                web.get("/stats", self._with_key(self._stats)),
                web.get("/firmware/{sha256}", self._with_key(self._firmware)),
                web.get("/ws", self._with_key(self._websocket), allow_head=False),
            ]
        )
        app.on_shutdown.append(self._close_sessions)
        limits = self.settings.limits
        runner = web.AppRunner(
            app,
            access_log=None,
            # A session works off what came before it looks at a lost link.
            handler_cancellation=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        await runner.setup()
        server = runner.server
        assert server is not None
        context = await asyncio.to_thread(self.authority.ssl_context)
        listener = Listener(
            lambda slot: Connection(
                server,
                slot,
                access_log=None,
                keepalive_timeout=limits.keep_alive_s,
                lingering_time=0,
                auto_decompress=False,
                max_line_size=4096,
                max_field_size=4096,
                max_headers=64,
            ),
            context,
            limits,
            self.counters,
            self._cameras_at,
        )
        try:
            await listener.start(self.settings.host, self.settings.port)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._listener = listener
        self._every("tick", TICK_S, self._tick)
        self._every("renewal", RENEWAL_CHECK_S, self._check_certificate)
        _LOGGER.debug("Gateway listens on port %s", listener.port)

    async def stop(self) -> None:
        """Close every connection with 1001 and end."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._renewal is not None:
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _every(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        def fire() -> None:
            self._every(name, seconds, work)
            work()

        self._timers[name] = asyncio.get_running_loop().call_later(seconds, fire)

    async def _close_sessions(self, _app: web.Application) -> None:
        for session in self._sessions:
            session.close(CloseCode.GOING_AWAY, "gateway stops")

    def _tick(self) -> None:
        """Have everything look at what passes by itself, in parts that are spread over the tick."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self._batch.tick()
        self._registry.expire_tokens()
        ticked: list[Session | Camera] = [
            *self._sessions,
            *self._registry.cameras.values(),
        ]
        parts = list(batched(ticked, TICKED_TOGETHER, strict=False))
        for number, part in enumerate(parts[1:], 1):
            self._timers[f"tick {number}"] = loop.call_at(
                begin + TICK_S * number / len(parts), self._tick_part, part
            )
        if parts:
            self._tick_part(parts[0])

    def _tick_part(self, part: Iterable[Session | Camera]) -> None:
        # An ack speaks of all that came before it.
        self._batch.flush()
        for item in part:
            item.tick()

    def _check_certificate(self) -> None:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            if await asyncio.to_thread(self.authority.renew_if_due):
                _LOGGER.info("Renewed the gateway's server certificate")
        except OSError as err:
            _LOGGER.warning("Cannot renew the server certificate: %s", err)

    # What the owner asks

    @property
    def port(self) -> int:
        """The port that is listened on, or will be."""
        return self._listener.port if self._listener else self.settings.port

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """Registered cameras by id."""
        return MappingProxyType(self._registry.cameras)

    def update_settings(self, settings: GatewaySettings) -> None:
        """Take new settings; host, port and limits count from the next start."""
        self.settings = settings

    def has_room(self, camera_id: str) -> bool:
        """Return whether this camera may still register."""
        cameras = self._registry.cameras
        return camera_id in cameras or len(cameras) < self.settings.max_cameras

    def issue_token(self, camera_id: str, *, data: Mapping[str, Any]) -> str:
        """Return a token for one registration of this id within ten minutes.

        `data` comes back with `camera_registered`; its `name` becomes the camera's.
        """
        return self._registry.issue_token(camera_id, data)

    def revoke_token(self, camera_id: str) -> None:
        """Make the token of this id worthless."""
        self._registry.revoke_token(camera_id)

    async def wait_registered(self, camera_id: str) -> Camera:
        """Wait for the camera that got a token, also one that was faster.

        Raises RegistrationExpired when the token runs out or is taken back.
        """
        try:
            future = self._registry.registration(camera_id)
        except KeyError:
            raise RegistrationExpired from None
        return await asyncio.shield(future)

    def bundle(self, *, token: str, name: str, hosts: list[str]) -> dict[str, Any]:
        """Return what a camera is given when it is claimed."""
        return {
            "v": 1,
            "gateway": {
                "hosts": hosts,
                "port": self.port,
                "name": self.authority.server_name,
            },
            "ca": self.authority.ca_pem,
            "token": token,
            "time": self._registry.clock.now_ms(),
            "name": name,
        }

    async def forget(self, camera_id: str) -> None:
        """Revoke the camera's key; one that is connected is told and cut off."""
        if (camera := self._registry.forget(camera_id)) is None:
            return
        self._connections.pop(camera_id, None)
        if camera.session is not None:
            # Nobody waits for the result: the key is worthless either way.
            camera.session.send(encode_command(0, "forget", {}))
        self._revoke_sessions(camera)

    def _revoke_sessions(self, camera: Camera) -> None:
        for session in self._sessions:
            if session.camera is camera:
                session.close(CloseCode.REVOKED, "key revoked")

    # Answers to cameras

    @web.middleware
    async def _answer_errors(
        self,
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
        # Who made an error may knock again; a slot is not held for it. A camera holds none, and
        # another handshake costs it a second.
        if (
            response.status not in _HARMLESS_ERRORS
            or not _connection(request).is_counted
        ):
            response.force_close()
        return response

    def _cameras_at(self, address: str) -> int:
        """Return how many cameras were last at this address."""
        return sum(
            camera.address == address for camera in self._registry.cameras.values()
        )

    def _count(self, connection: Connection, camera_id: str) -> None:
        """Count the connection as the camera's for as long as it is open; raises _ApiError."""
        group = self._connections.setdefault(camera_id, set())
        if connection in group:
            return
        if len(group) >= MAX_CONNECTIONS_PER_CAMERA:
            self.counters["refused_camera"] += 1
            raise _too_many(1)
        connection.count_in(group)

    def _authenticate(self, request: web.Request) -> Camera:
        """Return the camera whose key the request shows; raises _ApiError."""
        connection = _connection(request)
        camera_id = request.headers.get("X-Camera-Id", "")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        good = self._registry.check_key(camera_id, key.strip())
        if good and scheme.lower() == "bearer":
            self._count(connection, camera_id)
            connection.authenticated()
            return self._registry.cameras[camera_id]
        if is_camera_id(camera_id):
            asyncio.get_running_loop().call_soon(
                self._tell_stale_key, camera_id, connection.address
            )
        if wait := self._registry.failed(connection.origin, camera_id[:32]):
            self.counters["refused_rate"] += 1
            raise _too_many(wait)
        self.counters["refused_key"] += 1
        _LOGGER.debug("Wrong key or id from %s", connection.address)
        raise _unauthorized()

    def _tell_stale_key(self, camera_id: str, address: str) -> None:
        """Tell the owner, where this may be the camera itself and not somebody who plays it."""
        camera = self._registry.cameras.get(camera_id)
        now = self._registry.clock.monotonic()
        if (
            camera is not None
            and camera.session is None
            and (address == camera.address or camera.late_since_ms is not None)
            and now >= self._told_stale.get(camera_id, 0)
        ):
            self._told_stale[camera_id] = now + STALE_KEY_INTERVAL_S
            self._delegate.stale_key(camera_id)

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
            self.counters["refused_registration"] += 1
            raise _ApiError(400, "bad_request", err.reason) from None
        try:
            camera, key, data = self._registry.redeem(
                registration, max_cameras=self.settings.max_cameras
            )
        except RegistrationRefused as err:
            self.counters["refused_registration"] += 1
            if err.slug != "too_many_cameras" and (
                wait := self._registry.failed(connection.origin, registration.id)
            ):
                raise _too_many(wait) from None
            status, message = _REFUSALS[err.slug]
            raise _ApiError(status, err.slug, message) from None
        # Whoever has an older key can't keep it out.
        connection.count_in(self._connections.setdefault(camera.id, set()))
        connection.authenticated()
        self.counters["registrations"] += 1
        _LOGGER.info("Camera %s registered", camera.id)
        camera.address = connection.address
        # Whoever still uses an older key is not this camera any more.
        self._revoke_sessions(camera)
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
                "id": camera.id,
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
        return web.json_response(page)

    async def _stats(self, _request: web.Request, camera: Camera) -> web.StreamResponse:
        return web.json_response({"id": camera.id, **camera.counters.as_dict()})

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
            self._batch,
            self._delegate,
            self._registry.clock,
            hello_timeout_s=self.settings.hello_timeout_s,
            idle_ticks=max(1, round(self.settings.idle_timeout_s / TICK_S)),
        )
        self._sessions[session] = None
        try:
            await session.run()
        finally:
            del self._sessions[session]
        return ws
