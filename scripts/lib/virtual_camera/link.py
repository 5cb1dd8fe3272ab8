"""The camera's side of TLS and WebSocket (RFC 6455), which can also fail on purpose."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
import contextlib
from hashlib import sha1
import secrets
import ssl
import struct
import time
from typing import Any, override

import numpy as np

SUBPROTOCOL = "magicpi.v1"
MAX_MESSAGE = 64 * 1024
CLOSE_TIMEOUT = 3.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NO_CHECK_TIME = (
    0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
)

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class LinkClosed(Exception):
    """The connection is over: a close code of RFC 6455, 1006 where none was said."""

    def __init__(self, code: int, reason: str = "") -> None:
        """Keep code and reason."""
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The gateway answered the upgrade with an HTTP status of its own."""

    def __init__(self, status: int, retry_after: float = 0) -> None:
        """Keep the status and the seconds to wait, 0 where none are said."""
        super().__init__(f"HTTP {status}")
        self.status = status
        self.retry_after = retry_after


class PinnedContext(ssl.SSLContext):
    """TLS 1.2 as the ESP32's library speaks it: one pinned CA, no clock, session tickets."""

    session: ssl.SSLSession | None = None

    @classmethod
    def create(cls, ca_pem: str) -> PinnedContext:
        """Return a context that trusts one CA; raises ssl.SSLError on a bad PEM."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ca_pem)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM")
        # Not a VerifyFlags member, so it is set as the number that OpenSSL knows.
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
        return context

    @override
    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Offer the last session, which asyncio has no argument for."""
        try:
            return super().wrap_bio(*args, **{**kwargs, "session": self.session})
        except ValueError:  # it outlived what the library is willing to offer
            self.session = None
            return super().wrap_bio(*args, **kwargs)


def mask(data: bytes, key: bytes) -> bytes:
    """Return data XORed with the repeated four-byte key."""
    padded = data + bytes(-len(data) % 4)
    words = np.frombuffer(padded, dtype=np.uint32) ^ np.frombuffer(key, dtype=np.uint32)
    return words.tobytes()[: len(data)]


def encode(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return one masked frame."""
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    key = secrets.token_bytes(4)
    return head + key + mask(payload, key)


class Link:
    """One open WebSocket."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take over a connection on which the upgrade has been answered."""
        self._reader = reader
        self._writer = writer
        self._lock = asyncio.Lock()
        self._fences: dict[bytes, asyncio.Future[None]] = {}
        self._closing = False
        self._rate: float | None = None
        self._stalled_until = 0.0
        self._cut_after: int | None = None
        self.vanished = asyncio.Event()
        self.bytes_sent = 0
        self.tls_ms = 0
        self.resumed = False
        self.fragment: int | None = None
        self.close_code: int | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        context: PinnedContext,
        name: str,
        headers: Mapping[str, str],
        wait: float = 5.0,
    ) -> Link:
        """Dial an address, check chain and name, upgrade; raises OSError, Refused."""
        begin = time.monotonic()
        async with asyncio.timeout(wait):
            try:
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=context, server_hostname=name, limit=MAX_MESSAGE
                )
            except ssl.SSLError:
                context.session = None
                raise
            link = cls(reader, writer)
            try:
                tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
                link.tls_ms = round((time.monotonic() - begin) * 1000)
                link.resumed = bool(tls.session_reused)
                context.session = tls.session
                await link._upgrade(host, port, headers)
            except asyncio.IncompleteReadError as err:
                link.abort()
                raise ConnectionError("closed in the upgrade") from err
            except BaseException:
                link.abort()
                raise
        return link

    async def _upgrade(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        """Ask for the WebSocket; raises Refused, OSError."""
        key = b64encode(secrets.token_bytes(16))
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {f'[{host}]' if ':' in host else host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as err:
            raise ConnectionError("an endless answer to the upgrade") from err
        status_line, *rest = head.decode("latin-1").split("\r\n")
        answer = {}
        for line in rest:
            field, _, value = line.partition(":")
            answer[field.strip().lower()] = value.strip()
        words = status_line.split(" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise ConnectionError("no HTTP answer to the upgrade")
        if (status := int(words[1])) != 101:
            retry = answer.get("retry-after", "")
            raise Refused(status, float(retry) if retry.isdigit() else 0)
        wanted = b64encode(sha1(key + GUID, usedforsecurity=False).digest()).decode()
        if answer.get("sec-websocket-accept") != wanted:
            raise ConnectionError("a wrong answer to the upgrade")
        if answer.get("sec-websocket-protocol") != SUBPROTOCOL:
            raise ConnectionError(f"the gateway does not speak {SUBPROTOCOL}")
        if "sec-websocket-extensions" in answer:
            raise ConnectionError("the gateway chose an extension that was not offered")

    # -- out

    async def _write(self, data: bytes) -> None:
        """Write, as slowly as was asked for; raises LinkClosed."""
        try:
            if (cut := self._cut_after) is not None and len(data) >= cut:
                self._writer.transport.set_write_buffer_limits(high=1, low=0)
                self._writer.write(data[:cut])
                await self._writer.drain()
                self.abort()
                raise LinkClosed(1006, "cut")
            if cut is not None:
                self._cut_after = cut - len(data)
            view = memoryview(data)
            while view:
                await self._hold_while_stalled()
                step = len(view)
                if rate := self._rate:
                    step = min(step, max(64, int(rate / 20)))
                    self._writer.transport.set_write_buffer_limits(high=1, low=0)
                    await asyncio.sleep(step / rate)
                self._writer.write(view[:step])
                await self._writer.drain()
                self.bytes_sent += step
                view = view[step:]
        except (OSError, EOFError) as err:
            raise LinkClosed(1006, str(err)) from err

    async def _hold_while_stalled(self) -> None:
        """Wait until the link moves again."""
        loop = asyncio.get_running_loop()
        while (left := self._stalled_until - loop.time()) > 0:
            await asyncio.sleep(left)

    def _check_open(self) -> None:
        """Raise LinkClosed where a close frame was the last word."""
        if self._closing:
            raise LinkClosed(self.close_code or 1000)

    async def send_text(self, text: str) -> None:
        """Send a text message; raises LinkClosed."""
        async with self._lock:
            self._check_open()
            await self._write(encode(TEXT, text.encode()))

    async def send_binary(self, data: bytes) -> None:
        """Send a binary message, in fragments where so set; raises LinkClosed."""
        async with self._lock:
            self._check_open()
            if not (size := self.fragment) or len(data) <= size:
                await self._write(encode(BINARY, data))
                return
            for at in range(0, len(data), size):
                opcode = CONTINUATION if at else BINARY
                last = at + size >= len(data)
                await self._write(encode(opcode, data[at : at + size], final=last))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes that are no WebSocket frame at all."""
        async with self._lock:
            await self._write(data)

    async def fence(self) -> None:
        """Return when the gateway has read everything sent before; needs `receive` running."""
        token = secrets.token_bytes(8)
        self._fences[token] = passed = asyncio.get_running_loop().create_future()
        try:
            async with self._lock:
                self._check_open()
                await self._write(encode(PING, token))
            await passed
        finally:
            self._fences.pop(token, None)

    # -- in

    async def _read_frame(self) -> tuple[int, bool, bytes]:
        """Return opcode, whether it is the last fragment, payload."""
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
        if first & 0x70 or second & 0x80:
            raise LinkClosed(1002, "a frame that was not agreed on")
        if size > MAX_MESSAGE:
            raise LinkClosed(1009, "more than a camera can hold")
        return first & 0x0F, bool(first & 0x80), await self._reader.readexactly(size)

    async def receive(self) -> str | bytes:
        """Return the next message; raises LinkClosed."""
        kind, message = 0, b""
        while True:
            await self._hold_while_stalled()
            try:
                opcode, final, payload = await self._read_frame()
            except asyncio.IncompleteReadError as err:
                raise LinkClosed(1006, "the connection broke") from err
            except OSError as err:
                raise LinkClosed(1006, str(err)) from err
            if opcode == CLOSE:
                code = (
                    struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                )
                self.close_code = code
                if not self._closing:
                    self._closing = True
                    with contextlib.suppress(LinkClosed):
                        async with self._lock:
                            await self._write(encode(CLOSE, payload[:2]))
                raise LinkClosed(code, payload[2:].decode(errors="replace"))
            if opcode == PING:
                async with self._lock:
                    await self._write(encode(PONG, payload))
                continue
            if opcode == PONG:
                if (passed := self._fences.get(payload)) and not passed.done():
                    passed.set_result(None)
                continue
            kind = opcode or kind
            message += payload
            if len(message) > MAX_MESSAGE:
                raise LinkClosed(1009, "more than a camera can hold")
            if final:
                try:
                    return message.decode() if kind == TEXT else message
                except UnicodeDecodeError as err:
                    raise LinkClosed(1007, "text that is no UTF-8") from err

    # -- the end

    async def say_goodbye(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame; the answer comes to `receive`."""
        if self._closing:
            return
        self._closing = True
        async with self._lock:
            await self._write(
                encode(CLOSE, struct.pack("!H", code) + reason.encode()[:123])
            )

    async def close(self) -> None:
        """Close the transport and wait until it is gone."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._writer.wait_closed()
        except OSError, EOFError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._writer.transport.abort()

    # -- a bad network

    def throttle(self, bytes_per_s: float | None) -> None:
        """Send no faster than this from now on; None for as fast as it goes."""
        self._rate = bytes_per_s

    def stall(self, seconds: float) -> None:
        """Neither send nor read for a while."""
        self._stalled_until = asyncio.get_running_loop().time() + seconds

    def cut_after(self, count: int) -> None:
        """Drop the connection when `count` more bytes have left."""
        self._cut_after = count

    def vanish(self) -> None:
        """Be gone for the camera while the gateway still sees an open connection."""
        self.vanished.set()
