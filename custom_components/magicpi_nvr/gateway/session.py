"""One WebSocket connection of a camera."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from .camera.camera import Camera
from .camera.commands import CommandFailed
from .clock import Clock, Reading
from .jpeg import MAX_JPEG_BYTES, JpegError, check_jpeg, turned
from .messages import (
    Bye,
    ConfigAck,
    EventEnd,
    Heartbeat,
    Hello,
    Log,
    Motion,
    OtaState,
    Result,
    UnknownMessage,
    decode_message,
)
from .protocol import (
    FLAG_LAST,
    HEADER_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL_VERSION,
    SOURCE_RING,
    SOURCE_TIMER,
    CloseCode,
    Frame,
    FrameHeader,
    ProtocolError,
    encode_ack,
    encode_welcome,
)
from .trust.limits import TokenBucket

try:
    from isal.isal_zlib import crc32  # in Home Assistant's images; four times as fast
except ImportError:
    from zlib import crc32

if TYPE_CHECKING:
    from .delegate import GatewayDelegate
    from .link.frame_reader import FrameReader
    from .link.listener import Connection

_LOGGER = logging.getLogger(__name__)

MAX_OUTBOX: Final = 64
CLOSE_TIMEOUT_S: Final = 3.0
# After `bye` a camera closes by itself.
BYE_TICKS: Final = 12
# At least each second while frames come, with room for a late tick.
ACK_TICKS: Final = 2
# Far above what a camera sends, far below what costs anything.
TEXT_BURST: Final = 200
TEXT_RATE: Final = 20
READY_TIMEOUT_S: Final = 8
MAX_FLOOD: Final = 2000
# A camera takes 25 pictures a second, and sends at once what its ring kept while it was away.
FRAME_BURST: Final = 2000
FRAMES_PER_TICK: Final = 40
MAX_GARBAGE: Final = 100
# Times further ahead than this are no capture times.
MAX_AHEAD_MS: Final = 86_400_000

_FAULT_SLUGS: Final = frozenset(("not_json", "not_an_object", "no_type"))


class Session:
    """A camera's connection, from its hello to its close."""

    def __init__(
        self,
        camera: Camera,
        ws: web.WebSocketResponse,
        connection: Connection,
        frames: FrameReader,
        delegate: GatewayDelegate,
        clock: Clock,
        *,
        hello_timeout_s: float,
        idle_ticks: int,
    ) -> None:
        """`ws` is prepared; `run` does the rest."""
        self.camera = camera
        self.address = connection.address
        self._ws = ws
        self._connection = connection
        self._frames = frames
        self._delegate = delegate
        self._clock = clock
        self._hello_timeout_s = hello_timeout_s
        self._idle_ticks = idle_ticks
        self._outbox: asyncio.Queue[str] = asyncio.Queue(MAX_OUTBOX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._silent = 0
        self._since_bye: int | None = None
        self._boot = 0
        self._horizon_t = 0
        self._arrived = 0.0
        self._ticks_since_ack = 0
        self._frames_since_ack = False
        self._acked = 0
        self._ack_soon = False
        self._open_events: set[int] = set()
        self._bucket = TokenBucket(TEXT_BURST, TEXT_RATE)
        self._flood = 0
        self._rotation = 0
        self._rotated_event = -1
        self._frames_left = FRAME_BURST
        self._garbage = 0

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Out

    def send(self, text: str) -> None:
        """Send a message soon; a camera that doesn't read is dropped."""
        if self._closing:
            return
        try:
            self._outbox.put_nowait(text)
        except asyncio.QueueFull:
            self.close(CloseCode.POLICY, "does not read")

    async def _write(self) -> None:
        while True:
            text = await self._outbox.get()
            # A lost link is the receiver's to notice.
            with suppress(ConnectionError):
                await self._ws.send_str(text)
            self._outbox.task_done()

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begin to close; what was sent before still goes out."""
        if not self._closing:
            self._closing = True
            self._spawn(self._close(code, reason))

    async def _close(self, code: CloseCode, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._outbox.join()
                await self._ws.close(code=code, message=reason.encode()[:120])
        except TimeoutError, ConnectionError:
            self._connection.abort()

    # In

    async def run(self) -> None:
        """Serve the connection until it ends."""
        writer = asyncio.create_task(self._write())
        try:
            if await self._greet():
                await self._receive()
        except Exception:
            _LOGGER.exception("Session of camera %s failed", self.camera.id)
            self.close(CloseCode.INTERNAL, "internal error")
        finally:
            self._frames.deliver = None
            self._end_open_events()
            self.camera.disconnected(self)
            # The camera's own close frame is awaited, but not for long.
            if self._closing and self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
            self._closing = True
            for task in (writer, *self._tasks):
                task.cancel()
            await asyncio.gather(writer, *self._tasks, return_exceptions=True)

    async def _greet(self) -> bool:
        """Wait for hello and answer it; returns whether the session begins."""
        try:
            async with asyncio.timeout(self._hello_timeout_s):
                message = await self._ws.receive()
        except TimeoutError:
            self.close(CloseCode.POLICY, "no hello")
            return False
        arrived = self._clock.read()
        if message.type is not WSMsgType.TEXT:
            if message.type is WSMsgType.BINARY:
                self.close(CloseCode.POLICY, "hello expected")
            return False
        if self._too_long(message.data):
            return False
        try:
            hello = decode_message(message.data)
        except ProtocolError as err:
            self.close(CloseCode.POLICY, f"bad hello: {err.reason}")
            return False
        if not isinstance(hello, Hello):
            self.close(CloseCode.POLICY, "hello expected")
        elif hello.proto != PROTOCOL_VERSION:
            self.close(CloseCode.POLICY, f"proto {PROTOCOL_VERSION} expected")
        elif hello.id != self.camera.board_id:
            self.close(CloseCode.POLICY, "hello of another id")
        elif await self._is_ready():
            self._welcome(hello, arrived)
            return True
        return False

    async def _is_ready(self) -> bool:
        """Wait until the owner takes frames, for less than cameras wait for their welcome."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._delegate.ready()
        except TimeoutError:
            self.close(CloseCode.GOING_AWAY, "still starting")
        return not self._closing

    def _welcome(self, hello: Hello, arrived: Reading) -> None:
        camera = self.camera
        self._boot = hello.boot
        self._arrived = self._clock.monotonic()
        self._horizon_t = hello.uptime_ms + MAX_AHEAD_MS
        stay_awake_s = camera.stay_awake_s
        persisted = self._delegate.persisted(camera.id, hello.boot)
        replaced = camera.connected(self, hello, recorded=persisted > 0)
        if replaced is not None:
            replaced.close(CloseCode.REPLACED, "replaced by a newer connection")
        assert camera.progress is not None
        assert camera.boot_clock is not None
        self._boot_clock = camera.boot_clock
        self._boot_clock.report(hello.uptime_ms, arrived)
        camera.progress.resume(persisted)
        self._acked = camera.progress.acknowledge(persisted)
        self.send(
            encode_welcome(
                time_ms=arrived.wall_ms,
                config=camera.config_for(hello.config_rev),
                have=self._acked,
                stay_awake_s=stay_awake_s,
            )
        )
        camera.welcomed()
        if camera.rekey_pending:
            self._spawn(self._rekey())

    async def _rekey(self) -> None:
        try:
            await self.camera.deliver_key()
        except CommandFailed as err:
            _LOGGER.warning("Camera %s got no new key: %s", self.camera.id, err)

    async def _receive(self) -> None:
        receive = self._ws.receive
        frames = self._frames
        frames.taken += 1  # hello
        frames.deliver = self._deliver
        while not self._closing:
            message = await receive()
            frames.taken += 1
            if self.camera.session is not self:
                # Its frames are counted in another boot's numbers by now.
                return
            # Nothing below waits: all that has come is handled before a lost link is noticed.
            if message.type is WSMsgType.BINARY:
                self._handle_frame(bytearray(message.data))
            elif message.type is WSMsgType.TEXT:
                self._handle_text(message.data)
            else:
                return

    def tick(self) -> None:
        """Acknowledge, and look for silence; called at each tick."""
        if self._closing or self.camera.session is not self:
            return
        self._frames_left = min(
            FRAME_BURST, max(0, self._frames_left) + FRAMES_PER_TICK
        )
        if not self._rotated_event:
            self._rotation = self._delegate.rotation(self.camera.id)
        if self._connection.heard():
            self._silent = 0
        else:
            self._silent += 1
            if self._silent >= self._idle_ticks:
                self.close(CloseCode.IDLE, "idle")
                return
        if self._since_bye is not None:
            self._since_bye += 1
            if self._since_bye >= BYE_TICKS:
                self.close(CloseCode.OK)
                return
        self._acknowledge()

    def _acknowledge(self) -> None:
        progress = self.camera.progress
        assert progress is not None
        self._ticks_since_ack += 1
        # A camera that waits to sleep gets an ack at every tick, a stream each second: an ack
        # costs as much as a frame.
        if not self._ack_soon and self._ticks_since_ack < ACK_TICKS:
            return
        seq = progress.acknowledge(self._delegate.persisted(self.camera.id, self._boot))
        if seq != self._acked or self._frames_since_ack:
            self._acked = seq
            self._ticks_since_ack = 0
            self._frames_since_ack = False
            self.send(encode_ack(self._boot, seq))

    # Frames

    def _drop(self, reason: str) -> None:
        self.camera.counters.drops[reason] += 1

    def _deliver(self, data: bytearray) -> None:
        """Take a frame straight from the frame reader, which must not see an error."""
        if self._closing:
            return
        try:
            self._handle_frame(data)
        except Exception:
            _LOGGER.exception("Session of camera %s failed", self.camera.id)
            self.close(CloseCode.INTERNAL, "internal error")

    def _handle_frame(self, data: bytearray) -> None:
        """Check header and JPEG, then show and record the frame; `data` is used up."""
        camera = self.camera
        counters = camera.counters
        counters.bytes += len(data)
        self._frames_since_ack = True
        self._frames_left -= 1
        if self._frames_left < 0:
            self._drop("flood")
            return
        progress = camera.progress
        assert progress is not None
        try:
            version, flags, event, seq, t, crc, length = FrameHeader.unpack(data)
        except ProtocolError as err:
            self._drop(err.reason)
            return
        del data[:HEADER_BYTES]
        jpeg = bytes(data)
        if version != PROTOCOL_VERSION or len(jpeg) != length or not seq:
            self._drop(_header_fault(version, length, len(jpeg)))
            return
        if progress.has(seq):
            counters.duplicates += 1
            return
        if crc32(jpeg) != crc:
            self._drop("crc")
            camera.picture_refused(event, "crc")
            progress.refuse(seq, event)
            return
        try:
            check = check_jpeg(jpeg)
        except JpegError as err:
            self._drop(err.reason)
            camera.picture_refused(event, err.reason.value)
            progress.refuse(seq, event)
            return
        if t > self._horizon_t and t > self._horizon_t + self._elapsed_ms():
            self._drop("time")
            progress.refuse(seq, event)
            return
        if check.repairs:
            counters.repairs.update(check.repairs)
        # A rotation that is set while an event runs counts from the next one on.
        if event != self._rotated_event:
            self._rotated_event = event
            self._rotation = self._delegate.rotation(camera.id)
        orientation = (check.orientation + self._rotation) % 360
        frame = Frame(
            camera.id,
            self._boot,
            event,
            seq,
            flags,
            t,
            self._boot_clock.wall_ms(event, t),
            turned(check.data, orientation) if self._rotation else check.data,
            check.width,
            check.height,
            bool(check.repairs),
            orientation,
        )
        counters.frames += 1
        camera.handle_frame(frame)
        progress.accept(seq, recorded=self._delegate.frame_received(camera, frame))
        if event:
            if last := flags & FLAG_LAST:
                self._open_events.add(event)
            else:
                self._open_events.discard(event)
            self._ack_soon = bool(last)

    def _elapsed_ms(self) -> int:
        return int((self._clock.monotonic() - self._arrived) * 1000)

    def _end_open_events(self) -> None:
        """End events whose last frame came without an `event_end`."""
        for event in self._open_events:
            self._end(event, 0)
        self._open_events.clear()

    def _end(self, event: int, lost: int) -> None:
        """End an event of which the camera gave up `lost` frames; what came damaged is lost too."""
        progress = self.camera.progress
        assert progress is not None
        self.camera.event_ended(lost)
        self._delegate.event_ended(
            self.camera, self._boot, event, lost + progress.end(event)
        )

    # Messages

    def _fault(self, reason: str) -> None:
        self.camera.counters.faults[reason] += 1

    def _too_long(self, text: str) -> bool:
        # A character has up to four bytes: only text near the limit needs counting.
        if len(text) > MAX_TEXT_BYTES or (
            len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES
        ):
            self._fault("too_big")
            self.close(CloseCode.TOO_BIG, "text too big")
            return True
        return False

    def _handle_text(self, text: str) -> None:
        if self._too_long(text):
            return
        if not self._bucket.take(self._clock.monotonic()):
            self._fault("flood")
            self._flood += 1
            if self._flood >= MAX_FLOOD:
                self.close(CloseCode.POLICY, "too many messages")
            return
        try:
            message = decode_message(text)
        except ProtocolError as err:
            self._fault(err.reason if err.reason in _FAULT_SLUGS else "bad_message")
            self._garbage += 1
            if self._garbage >= MAX_GARBAGE:
                self.close(CloseCode.POLICY, "too much garbage")
            return
        camera = self.camera
        match message:
            case Motion():
                at_ms = self._boot_clock.wall_ms(message.event, message.t)
                if message.source == SOURCE_RING:
                    camera.handle_ring(self._boot, message.event, message.t, at_ms)
                elif message.source != SOURCE_TIMER:
                    camera.handle_motion(message.event, message.active)
                self._delegate.motion_changed(
                    camera,
                    self._boot,
                    message.event,
                    message.active,
                    at_ms,
                    message.source,
                )
            case EventEnd():
                self._open_events.discard(message.event)
                self._ack_soon = True
                self._end(message.event, message.lost)
            case Heartbeat():
                self._boot_clock.report(message.uptime_ms, self._clock.read())
                camera.handle_heartbeat(message)
            case ConfigAck():
                if not camera.handle_config_ack(message):
                    self._fault("config_ack")
            case Result():
                if not camera.handle_result(message):
                    self._fault("result")
            case OtaState():
                if not camera.handle_ota(message):
                    self._fault("ota")
            case Log():
                camera.handle_log(message)
            case Bye():
                camera.handle_bye(message)
                self._since_bye = 0
            case Hello():
                self._fault("hello")
            case UnknownMessage():
                self._fault("unknown_type")


def _header_fault(version: int, length: int, size: int) -> str:
    """Return why a header is none, with `size` bytes behind it."""
    if version != PROTOCOL_VERSION:
        return "version"
    if length > MAX_JPEG_BYTES:
        return "too_big"
    return "length" if length != size else "seq"
