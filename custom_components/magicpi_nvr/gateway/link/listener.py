"""Accept connections: TCP, admission, TLS, HTTP.

Everything before a key was checked is bounded: sockets per address and in all, how fast an
address opens new ones, the time for the handshake, and the time until a key is shown. Where
unknown clients hold all places, one of them makes room for an address at which a camera was last.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
import errno
import ipaddress
import json
import logging
import socket
import ssl
from typing import Any, Final, override

from aiohttp import web

from ..trust.limits import RateLimit
from .frame_reader import FrameReader
from .socket import RecordSocket

_LOGGER = logging.getLogger(__name__)

BACKLOG: Final = 128
# Room for all cameras that wake at once; these hold a socket and nothing else.
MAX_WAITING: Final = 128
# Of these, what strangers can't take.
RESERVED_WAITING: Final = 64

_BUFFER: Final = memoryview(bytearray(256 * 1024))

_OUT_OF_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """Bounds of connections that have shown no key; times in seconds.

    An address is what `origin` makes of it: of IPv6 a whole network.
    """

    unauthenticated: int = 64
    per_address: int = 10
    burst: float = 200
    """New connections of one address at once, `rate` a second in the long run."""
    rate: float = 20
    burst_per_camera: float = 10
    """On top of `burst`, for each camera that was last at the address; `rate_per_camera` likewise."""
    rate_per_camera: float = 1
    admission_s: float = 3.0
    handshake_s: float = 10.0
    authentication_s: float = 15.0
    keep_alive_s: float = 10.0


def error_response(
    status: int, slug: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Return the protocol's error body."""
    return web.Response(
        status=status,
        text=json.dumps({"error": slug, "message": message}),
        content_type="application/json",
        headers=headers,
    )


class Connection(web.RequestHandler, asyncio.BufferedProtocol):
    """One HTTP connection that knows its place in the listener.

    TLS decrypts into one buffer that all connections share, because what is in it is copied
    out before anything else runs: cheaper than a new buffer for each record.
    """

    __slots__ = (
        "_deadline",
        "_fresh",
        "_group",
        "_slot",
        "_socket",
        "address",
        "frames",
        "origin",
    )

    def __init__(self, manager: web.Server, slot: _Slot, **kwargs: Any) -> None:
        """Take over the slot."""
        super().__init__(manager, loop=asyncio.get_running_loop(), **kwargs)
        self._slot = slot
        self._socket = slot.socket
        self._fresh = False
        self._group: set[Connection] | None = None
        self.address = slot.address
        self.origin = slot.origin
        self.frames: FrameReader | None = None
        """Takes the frames once this is a WebSocket."""
        self._deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._deadline = self._loop.call_later(
            self._slot.listener.limits.authentication_s, self.abort
        )
        super().connection_made(transport)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self._fresh = True
        if (frames := self.frames) is None:
            self.data_received(bytes(_BUFFER[:nbytes]))
            return
        frames.feed(_BUFFER[:nbytes])
        if frames.missing:
            self._socket.expect(frames.missing)

    def heard(self) -> bool:
        """Return whether data came since this was last asked; what has come in part is taken now."""
        fresh, self._fresh = self._fresh, False
        if not fresh:
            self._socket.wake_now()
        return fresh

    def upgrade(self) -> FrameReader:
        """Follow the messages of the WebSocket that begins here."""
        self.frames = FrameReader(self.data_received)
        return self.frames

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self.authenticated()
        if self._group is not None:
            self._group.discard(self)
        super().connection_lost(exc)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        # aiohttp calls this for requests that it can't parse, and logs each as an error.
        if status >= 500:
            _LOGGER.error("Request failed", exc_info=exc)
            response = error_response(status, "internal", "internal error")
        else:
            response = error_response(status, "bad_request", "not HTTP")
        response.force_close()
        return response

    def authenticated(self) -> None:
        """The connection needs no place among the unknown any more."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._slot.release()

    @property
    def is_counted(self) -> bool:
        """Whether this is among the connections of a camera."""
        return self._group is not None

    def count_in(self, group: set[Connection]) -> None:
        """Be one of the group, and of no other, until the connection is lost."""
        if self._group is not None:
            self._group.discard(self)
        # A request may still be handled when its connection is gone.
        if self.transport is not None:
            self._group = group
            group.add(self)

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()


class _Slot:
    """A place among the connections that have shown no key."""

    __slots__ = ("_held", "address", "known", "listener", "origin", "socket")

    def __init__(
        self,
        listener: Listener,
        sock: RecordSocket,
        *,
        address: str,
        origin: str,
        known: bool,
    ) -> None:
        self.listener = listener
        self.socket = sock
        self.address = address
        self.origin = origin
        self.known = known
        self._held = False

    def take(self) -> None:
        """Hold the place."""
        self._held = True

    def cut(self) -> None:
        """Lose the place and the connection."""
        self._held = False
        # Whatever it is in, it reads an end.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give it back, once."""
        if self._held:
            self._held = False
            self.listener.released(self)


def _plain_address(address: str) -> str:
    """Return the IPv4 address of an IPv4-mapped IPv6 address, others as they are."""
    with suppress(ValueError):
        if mapped := getattr(ipaddress.ip_address(address), "ipv4_mapped", None):
            return str(mapped)
    return address


def origin(address: str) -> str:
    """Return what a stranger can't have many of: an IPv4 address, or an IPv6 network."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address)
    # One host may give itself any number of these, on any link.
    if parsed.is_link_local:
        return "fe80::/10"
    return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"


class Listener:
    """Listening sockets, and the connections that have shown no key."""

    def __init__(
        self,
        factory: Callable[[_Slot], Connection],
        context: ssl.SSLContext,
        limits: ListenerLimits,
        counters: Counter[str],
        cameras_at: Callable[[str], int],
    ) -> None:
        """`counters` gets `connections` and what is refused, by reason.

        `cameras_at` returns how many cameras were last at an address.
        """
        self.limits = limits
        self._factory = factory
        self._context = context
        self._counters = counters
        self._sockets: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._cameras_at = cameras_at
        self._rate = RateLimit(limits.burst, limits.rate)
        self._held: Counter[str] = Counter()
        self._strangers: dict[_Slot, None] = {}
        # Known cameras are served before strangers.
        self._waiting: dict[bool, deque[tuple[_Slot, asyncio.Future[None]]]] = {
            True: deque(),
            False: deque(),
        }

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self, host: str | None, port: int) -> None:
        """Listen; without `host` on every address. Raises OSError."""
        if host is None:
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            address: tuple[Any, ...] = ("", port)
        else:
            dual = False
            (
                (family, _type, _proto, _name, address),
                *_,
            ) = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        sock = socket.create_server(
            address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=dual
        )
        sock.setblocking(False)
        self._sockets.append(sock)
        self._acceptors.append(asyncio.create_task(self._accept(sock)))

    async def stop(self) -> None:
        """Listen no more; open connections are the owner's."""
        tasks = [*self._acceptors, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._acceptors.clear()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as err:
                if err.errno in _OUT_OF_FILES:
                    _LOGGER.warning("Cannot accept cameras: %s", err.strerror)
                    await asyncio.sleep(1)
                continue
            self._counters["connections"] += 1
            if slot := self._slot(sock, _plain_address(peer[0])):
                task = asyncio.create_task(self._serve(slot))
                self._handshakes.add(task)
                task.add_done_callback(self._handshakes.discard)
            else:
                self._counters["refused_too_fast"] += 1
                sock.close()
            # A flood must not keep the loop for itself.
            await asyncio.sleep(0)

    def _slot(self, sock: socket.socket, address: str) -> _Slot | None:
        """Return a slot for a new connection; None where its address opens them too fast."""
        cameras = self._cameras_at(address)
        # A camera shares nothing with strangers of its network.
        source = address if cameras else origin(address)
        limits = self.limits
        if not self._rate.take(
            source, cameras * limits.burst_per_camera, cameras * limits.rate_per_camera
        ):
            return None
        return _Slot(
            self,
            RecordSocket(sock.detach()),
            address=address,
            origin=source,
            known=cameras > 0,
        )

    async def _serve(self, slot: _Slot) -> None:
        """Admit one socket and see it through its handshake."""
        try:
            await self._admit(slot)
        except TimeoutError:
            self._counters["refused_too_many"] += 1
            slot.socket.close()
            return
        except BaseException:
            slot.socket.close()
            raise
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._factory(slot),
                slot.socket,
                ssl=self._context,
                ssl_handshake_timeout=self.limits.handshake_s,
                ssl_shutdown_timeout=5,
            )
        except OSError as err:
            self._counters["refused_handshake"] += 1
            _LOGGER.debug("TLS handshake with %s failed: %s", slot.address, err)
            slot.release()
        except BaseException:
            slot.release()
            raise

    def _take(self, slot: _Slot) -> bool:
        """Take a place where there is one for the slot."""
        limits = self.limits
        if self._held[slot.origin] >= limits.per_address:
            return False
        if self._held.total() >= limits.unauthenticated and not (
            slot.known and self._evict()
        ):
            return False
        if not slot.known:
            self._strangers[slot] = None
        self._held[slot.origin] += 1
        slot.take()
        return True

    def _evict(self) -> bool:
        """Cut off the stranger that holds a place for longest; returns whether there was one."""
        if (stranger := next(iter(self._strangers), None)) is None:
            return False
        self._counters["evicted"] += 1
        stranger.cut()
        self._forget(stranger)
        return True

    def _forget(self, slot: _Slot) -> None:
        if self._held[slot.origin] <= 1:
            del self._held[slot.origin]
        else:
            self._held[slot.origin] -= 1
        self._strangers.pop(slot, None)

    async def _admit(self, slot: _Slot) -> None:
        """Take a place, waiting a moment for one; raises TimeoutError."""
        if self._take(slot):
            return
        waiting = self._waiting[slot.known]
        if sum(map(len, self._waiting.values())) >= MAX_WAITING or (
            not slot.known and len(waiting) >= MAX_WAITING - RESERVED_WAITING
        ):
            raise TimeoutError
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (slot, future)
        waiting.append(entry)
        try:
            async with asyncio.timeout(self.limits.admission_s):
                await future
        except BaseException:
            slot.release()
            raise
        finally:
            with suppress(ValueError):
                waiting.remove(entry)

    def released(self, slot: _Slot) -> None:
        """A place is free: the first slot in line that may have it gets it."""
        self._forget(slot)
        for waiting, future in (*self._waiting[True], *self._waiting[False]):
            if not future.done() and self._take(waiting):
                future.set_result(None)
                return
