"""A gateway reduced to the words of the protocol, to test the camera against."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
import json
from pathlib import Path
import secrets
import ssl
import struct
import time
from typing import Any
import zlib

from aiohttp import ClientSession, WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NAME = "nvr.magicpi.internal"
HEADER = struct.Struct("!BBHIQII")


def to_base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Authority:
    """A CA and a server certificate below it, in a folder."""

    def __init__(
        self, folder: Path, *, name: str = NAME, expired: bool = False
    ) -> None:
        """Make both."""
        now = datetime.now(UTC)
        begin = now - timedelta(days=30)
        end = now - timedelta(days=1) if expired else now + timedelta(days=30)
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])

        def certificate(
            subject: x509.Name, key: ec.EllipticCurvePrivateKey
        ) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(ca_name)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(begin)
                .not_valid_after(end)
            )

        ca = (
            certificate(ca_name, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(ca_key, SHA256())
        )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        server = (
            certificate(subject, key)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
            )
            .sign(ca_key, SHA256())
        )
        self.ca_pem = ca.public_bytes(Encoding.PEM).decode()
        self.fingerprint = sha256(ca.public_bytes(Encoding.DER)).hexdigest()[:16]
        cert_file, key_file = folder / "server.pem", folder / "server.key"
        cert_file.write_bytes(server.public_bytes(Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert_file, key_file)


@dataclass(frozen=True, slots=True)
class GotFrame:
    """A frame as it arrived."""

    boot: int
    flags: int
    event: int
    seq: int
    t: int
    jpeg: bytes = field(repr=False)


class StandInGateway:
    """Keys, tokens, one WebSocket per camera, everything that arrived."""

    def __init__(self, authority: Authority) -> None:
        """Prepare."""
        self.authority = authority
        self.port = 0
        self.tokens: set[str] = set()
        self.keys: dict[str, str] = {}
        self.registrations: list[dict[str, Any]] = []
        self.hellos: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.frames: list[GotFrame] = []
        self.doubles = 0
        self.persisted: dict[int, int] = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.config: dict[str, Any] | None = {"rev": 1}
        self.welcome_config: dict[str, Any] | None = None
        self.stay_awake_s = 0
        self.acking = True
        self.register_status: list[int] = []
        self.upgrade_status: list[int] = []
        self.firmware: dict[str, bytes] = {}
        self.firmware_breaks = 0
        self.ranges: list[str | None] = []
        self.tls_versions: set[str | None] = set()
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._ackers: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        app = web.Application(client_max_size=8192)
        app.router.add_post("/register", self._register)
        app.router.add_get("/ws", self._ws)
        app.router.add_put("/device/config", self._put_config)
        app.router.add_get("/firmware/{digest}", self._firmware)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", port, ssl_context=self.authority.context
        ).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all with 1001."""
        for socket in [*self.sockets.values()]:
            await socket.close(code=1001)
        for task in self._ackers:
            task.cancel()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait(self, condition: Any, timeout: float = 30) -> None:
        """Return when a condition on what arrived holds."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(condition)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return all messages of a type."""
        return [message for message in self.messages if message["type"] == kind]

    async def wait_for(
        self, kind: str, count: int = 1, timeout: float = 30
    ) -> dict[str, Any]:
        """Return the last of at least `count` messages of a type."""
        await self.wait(lambda: len(self.of(kind)) >= count, timeout)
        return self.of(kind)[-1]

    async def say(self, camera: str, kind: str, **fields: Any) -> None:
        """Send a message to a camera."""
        await self.sockets[camera].send_json({"type": kind, **fields})

    async def command(
        self,
        camera: str,
        name: str,
        args: Mapping[str, Any] | None = None,
        number: int = 1,
    ) -> None:
        """Send a command."""
        await self.say(camera, "command", id=number, name=name, args=dict(args or {}))

    # -- claiming

    def bundle(
        self, *, hosts: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """Return a bundle with a new token."""
        token = to_base64url(secrets.token_bytes(32))
        self.tokens.add(token)
        return {
            "v": 1,
            "gateway": {
                "hosts": hosts or ["127.0.0.1"],
                "port": self.port,
                "name": NAME,
            },
            "ca": self.authority.ca_pem,
            "token": token,
            "time": int(time.time() * 1000),
            "name": "Front door",
            **changes,
        }

    async def claim(self, camera: Any, **bundle: Any) -> int:
        """Claim a camera in setup mode; return the status."""
        await camera.wait_event("setup_opened")
        status, _ = await post_claim(
            camera.setup_port,
            camera.setup_code,
            json.dumps(self.bundle(**bundle)).encode(),
        )
        return status

    async def _register(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.registrations.append(body)
        if self.register_status and (status := self.register_status.pop(0)):
            return web.json_response(
                {"error": "test", "message": "Not now."}, status=status
            )
        if body["token"] not in self.tokens:
            return web.json_response(
                {"error": "bad_token", "message": "No."}, status=401
            )
        self.tokens.discard(body["token"])
        self.keys[body["id"]] = key = to_base64url(secrets.token_bytes(32))
        await self._notify()
        return web.json_response({"api_key": key, "config": self.config}, status=201)

    def _authorized(self, request: web.Request) -> str | None:
        camera = request.headers.get("X-Camera-Id", "")
        key = self.keys.get(camera)
        return (
            camera
            if key and request.headers.get("Authorization") == f"Bearer {key}"
            else None
        )

    # -- REST

    async def _put_config(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return web.json_response({"error": "unauthorized"}, status=401)
        self.config = {**(self.config or {}), **await request.json()}
        self.config["rev"] += 1
        return web.json_response(self.config)

    async def _firmware(self, request: web.Request) -> web.StreamResponse:
        if not self._authorized(request):
            return web.json_response({"error": "unauthorized"}, status=401)
        image = self.firmware[request.match_info["digest"]]
        wanted = request.headers.get("Range")
        self.ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        part = image[begin:]
        response = web.StreamResponse(status=206 if wanted else 200)
        response.content_length = len(part)
        await response.prepare(request)
        if self.firmware_breaks:
            self.firmware_breaks -= 1
            await response.write(part[: len(part) // 2])
            assert request.transport
            request.transport.close()
            return response
        await response.write(part)
        return response

    # -- WebSocket

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if self.upgrade_status and (status := self.upgrade_status.pop(0)):
            return web.json_response({"error": "test"}, status=status)
        if not (camera := self._authorized(request)):
            return web.json_response({"error": "unauthorized"}, status=401)
        assert request.transport
        self.tls_versions.add(request.transport.get_extra_info("ssl_object").version())
        socket = web.WebSocketResponse(
            protocols=("magicpi.v1",), compress=False, max_msg_size=1 << 20
        )
        await socket.prepare(request)
        hello = await socket.receive_json(timeout=5)
        assert hello["type"] == "hello", hello
        boot = hello["boot"]
        self.hellos.append(hello)
        self.sockets[camera] = socket
        await socket.send_json(
            {
                "type": "welcome",
                "time": int(time.time() * 1000),
                "config": self.welcome_config,
                "have": self.persisted.get(boot, 0),
                "stay_awake_s": self.stay_awake_s,
            }
        )
        acker = asyncio.create_task(self._acknowledge(socket, boot))
        self._ackers.add(acker)
        await self._notify()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.messages.append(
                        {
                            **json.loads(message.data),
                            "boot": boot,
                            "frames_before": len(self.frames),
                        }
                    )
                elif message.type is WSMsgType.BINARY:
                    self._take_frame(boot, message.data)
                await self._notify()
        finally:
            acker.cancel()
            self._ackers.discard(acker)
            if self.sockets.get(camera) is socket:
                del self.sockets[camera]
        return socket

    def _take_frame(self, boot: int, data: bytes) -> None:
        version, flags, event, seq, t, crc, length = HEADER.unpack_from(data)
        jpeg = data[HEADER.size :]
        assert version == 1
        assert length == len(jpeg)
        assert crc == zlib.crc32(jpeg)
        if any((frame.boot, frame.seq) == (boot, seq) for frame in self.frames):
            self.doubles += 1
            return
        self.frames.append(GotFrame(boot, flags, event, seq, t, jpeg))
        if self.acking:
            self.persisted[boot] = max(self.persisted.get(boot, 0), seq)

    async def _acknowledge(self, socket: web.WebSocketResponse, boot: int) -> None:
        acked = 0
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(0.05)
                if (seq := self.persisted.get(boot, 0)) > acked:
                    acked = seq
                    await socket.send_json({"type": "ack", "boot": boot, "seq": seq})


async def get_setup(port: int) -> dict[str, Any]:
    """Return what a camera in setup mode says of itself."""
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/setup") as response,
    ):
        assert response.status == 200
        return dict(await response.json())


async def post_setup(port: int, body: Any) -> tuple[int, dict[str, Any]]:
    """Send a claim as it is; return status and answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/setup", data=data) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if text else {}


def seal(info: Mapping[str, Any], code: str, data: bytes) -> dict[str, str]:
    """Return a claim: data in a box for what GET /setup answered."""
    nonce = info["nonce"]
    raw = code.replace("-", "").encode()
    salt = bytes_of(nonce)
    key = HKDF(SHA256(), 32, salt=salt, info=b"magicpi-setup-v1").derive(raw)
    iv = secrets.token_bytes(12)
    box = AESGCM(key).encrypt(iv, data, info["id"].encode())
    return {"nonce": nonce, "iv": to_base64url(iv), "box": to_base64url(box)}


def bytes_of(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def post_claim(port: int, code: str, data: bytes) -> tuple[int, dict[str, Any]]:
    """Claim with a code; return status and answer."""
    return await post_setup(port, seal(await get_setup(port), code, data))
