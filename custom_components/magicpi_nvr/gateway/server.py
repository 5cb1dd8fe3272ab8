"""The gateway's life: listener, sessions, and the tick that looks after what passes by itself."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import batched
import logging
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web

from .api import CameraApi, answer_errors
from .camera.camera import Camera
from .delegate import GatewayDelegate
from .link.listener import Connection, Listener
from .protocol import MAX_REGISTER_BYTES, CloseCode, encode_command
from .session import Session
from .settings import GatewaySettings
from .trust.authority import Authority
from .trust.registry import RegistrationExpired, Registry

_LOGGER = logging.getLogger(__name__)

# Fifty acks at once would keep Home Assistant's loop for milliseconds.
TICKED_TOGETHER: Final = 16
RENEWAL_CHECK_S: Final = 12 * 3600
SHUTDOWN_TIMEOUT_S: Final = 5
# A gap between two ticks above this is a pause of the host, not a busy loop.
PAUSE_S: Final = 2.0
# A change of the wall clock below this is slewing, not a step.
MIN_STEP_MS: Final = 1000


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
        self._registry = registry
        self._delegate = delegate
        self._api = CameraApi(registry, delegate, settings, self.counters, version)
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._wall_ms = 0
        self._to_tick: deque[Iterable[Session | Camera]] = deque()

    # Life

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application(
            middlewares=[answer_errors], client_max_size=MAX_REGISTER_BYTES + 1
        )
        app.add_routes(self._api.routes())
        app.on_shutdown.append(self._close_sessions)
        limits = self.settings.limits
        runner = web.AppRunner(
            app,
            access_log=None,
            # A session handles what came before it looks at a lost link.
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
        clock = self._registry.clock
        self._looked_at = asyncio.get_running_loop().time()
        self._wall_ms = clock.now_ms() - round(clock.monotonic() * 1000)
        self._every("tick", self.settings.tick_s, self._tick)
        self._every("renewal", RENEWAL_CHECK_S, self._check_certificate)
        _LOGGER.debug("Gateway listens on port %s", listener.port)

    async def stop(self) -> None:
        """Close every connection with 1001 and end."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._to_tick.clear()
        if self._renewal is not None:
            await asyncio.gather(self._renewal, return_exceptions=True)
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        try:
            await self._registry.flush()
        except OSError as err:
            _LOGGER.warning("Cannot save the cameras' state: %s", err)

    def _every(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        def fire() -> None:
            self._every(name, seconds, work)
            work()

        self._timers[name] = asyncio.get_running_loop().call_later(seconds, fire)

    async def _close_sessions(self, _app: web.Application) -> None:
        for session in self._api.sessions:
            session.close(CloseCode.GOING_AWAY, "gateway stops")

    def _look_at_clocks(self) -> None:
        """Give cameras grace when the host did not run; move wall times when its clock was set."""
        now = asyncio.get_running_loop().time()
        paused = now - self._looked_at > PAUSE_S
        self._looked_at = now
        clock = self._registry.clock
        wall_ms = clock.now_ms() - round(clock.monotonic() * 1000)
        step_ms = wall_ms - self._wall_ms
        if not paused and abs(step_ms) < MIN_STEP_MS:
            return
        for camera in self._registry.cameras.values():
            if paused:
                camera.host_paused()
            if abs(step_ms) >= MIN_STEP_MS:
                camera.clock_stepped(step_ms)
        if abs(step_ms) >= MIN_STEP_MS:
            self._wall_ms = wall_ms
            _LOGGER.info("The host's clock was set by %.1f s", step_ms / 1000)
        self._delegate.clock_stepped()

    def _tick(self) -> None:
        """Tick every session and camera, in parts that are spread over the interval."""
        self._look_at_clocks()
        self._registry.tick()
        if self._to_tick:
            # The loop is late: two parts never have the same turn.
            return
        ticked: list[Session | Camera] = [
            *self._api.sessions,
            *self._registry.cameras.values(),
        ]
        self._to_tick.extend(batched(ticked, TICKED_TOGETHER, strict=False))
        if self._to_tick:
            self._tick_part(self.settings.tick_s / len(self._to_tick))

    def _tick_part(self, pause_s: float) -> None:
        """Tick the next part, and the one after it some seconds later."""
        # After a pause of the host this may run before the tick does.
        self._look_at_clocks()
        part = self._to_tick.popleft()
        if self._to_tick:
            self._timers["part"] = asyncio.get_running_loop().call_later(
                pause_s, self._tick_part, pause_s
            )
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

    @property
    def settings(self) -> GatewaySettings:
        """Settings in force."""
        return self._api.settings

    def update_settings(self, settings: GatewaySettings) -> None:
        """Take new settings; host, port and limits count from the next start."""
        self._api.settings = settings

    def has_room(self, camera_id: str) -> bool:
        """Return whether this camera may still register."""
        cameras = self._registry.cameras
        return camera_id in cameras or len(cameras) < self.settings.max_cameras

    def issue_token(
        self, board_id: str, *, data: Mapping[str, Any], camera_id: str | None = None
    ) -> str:
        """Return a token for one registration of this board within ten minutes.

        The board becomes the camera `camera_id`, in the place of that camera's board, or else
        the camera with its own id. `data` comes back with `camera_registered`; its `name`
        becomes the camera's.
        """
        return self._registry.issue_token(
            board_id, data, camera_id=camera_id or board_id
        )

    def revoke_token(self, board_id: str) -> None:
        """Make the token of this board worthless."""
        self._registry.revoke_token(board_id)

    async def wait_registered(self, board_id: str) -> Camera:
        """Wait for the board that got a token, also one that was faster.

        Raises RegistrationExpired when the token runs out or is taken back.
        """
        try:
            future = self._registry.registration(board_id)
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
        """Revoke the camera's key; one that is connected gets `forget` and is cut off."""
        if (camera := self._registry.forget(camera_id)) is None:
            return
        if camera.session is not None:
            # Nobody waits for the result: the key is worthless either way.
            camera.session.send(encode_command(0, "forget", {}))
        self._api.forget(camera)

    def _cameras_at(self, address: str) -> int:
        """Return how many cameras were last at this address."""
        return sum(
            camera.address == address for camera in self._registry.cameras.values()
        )
