"""magicpi-camera against a small TLS gateway: claiming, events, sleep, faults, updates. Needs aiohttp, cryptography, zeroconf.

Usage: e2e.py PATH/magicpi-camera [-v]; ends with a line `N passed, N failed`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import datetime as dt
import hashlib
import ipaddress
import itertools
import json
import os
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import time
import traceback

from aiohttp import ClientSession, ClientTimeout, WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

BINARY = sys.argv[1]
VERBOSE = "-v" in sys.argv
# Of this run alone: another one on this machine may be announcing its camera too.
CAMERA_ID = "02:4D:50:{:02X}:{:02X}:{:02X}".format(*os.urandom(3))
NAME = "nvr.magicpi.internal"
CODE = "ABCD-EFGH-JKMN-PQRS"
LOCALHOST = "127.0.0.1"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_ca() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MagicPi test CA")])
    start = dt.datetime(2020, 1, 1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, cert


def make_context(
    ca: tuple, folder: str, name: str = NAME, expired: bool = False
) -> ssl.SSLContext:
    ca_key, ca_cert = ca
    key = ec.generate_private_key(ec.SECP256R1())
    start = dt.datetime(2020, 1, 1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca_cert.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1 if expired else 36500))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(LOCALHOST))]
            ),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    path = os.path.join(folder, f"server-{time.monotonic_ns()}.pem")
    with open(path, "wb") as out:
        out.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        out.write(cert.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class Gateway:
    """Keeps what cameras send; each test bends its behavior through the attributes."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.token = b64(os.urandom(32))
        self.key = b64(os.urandom(32))
        self.config: dict = {"rev": 1, "stream_duration_s": 3, "framerate": 10}
        self.frames: dict[tuple[int, int], tuple] = {}
        self.duplicates = 0
        self.hellos: list[dict] = []
        self.texts: list[dict] = []
        self.resumed: list[bool] = []
        self.have: dict[int, int] = {}
        self.ws: web.WebSocketResponse | None = None
        self.ack = True
        self.break_after: int | None = None
        self.stay_awake_s = 0
        self.image = b""
        self.cut_image_at: int | None = None
        self.image_requests: list[str] = []
        self.puts: list[dict] = []
        self.refuse = False
        self.registrations = 0
        self.on_welcome = None
        self.port = 0
        self.news = asyncio.Event()

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_post("/register", self.register)
        app.router.add_get("/ws", self.websocket)
        app.router.add_put("/device/config", self.put_config)
        app.router.add_get("/firmware/{sha}", self.firmware)
        self.runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self.runner.setup()
        # A small window, so that a gateway that stops reading is felt at once.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        listener.bind((LOCALHOST, port))
        await web.SockSite(self.runner, listener, ssl_context=self.context).start()
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        if self.ws is not None:
            await self.ws.close(code=1001)
        await self.runner.cleanup()

    def authorized(self, request: web.Request) -> bool:
        return (
            not self.refuse
            and request.headers.get("Authorization") == f"Bearer {self.key}"
            and request.headers.get("X-Camera-Id") == CAMERA_ID
        )

    async def register(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.registrations += 1
        if body["token"] != self.token:
            return web.json_response({"error": "token"}, status=401)
        assert body["id"] == CAMERA_ID and "SVGA" in body["caps"]["resolutions"]
        return web.json_response(
            {"api_key": self.key, "config": self.config}, status=201
        )

    async def put_config(self, request: web.Request) -> web.Response:
        if not self.authorized(request):
            return web.json_response({}, status=401)
        body = await request.json()
        self.puts.append(body)
        self.config = {**self.config, **body, "rev": self.config["rev"] + 1}
        return web.json_response(self.config)

    async def firmware(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request):
            return web.json_response({}, status=401)
        wanted = request.headers.get("Range", "")
        self.image_requests.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        response = web.StreamResponse(status=206 if wanted else 200)
        if wanted:
            response.headers["Content-Range"] = (
                f"bytes {start}-{len(self.image) - 1}/{len(self.image)}"
            )
        response.content_length = len(self.image) - start
        await response.prepare(request)
        cut = self.cut_image_at
        if cut is not None:
            self.cut_image_at = None
            await response.write(self.image[start:cut])
            await asyncio.sleep(0.2)
            request.transport.abort()
            return response
        await response.write(self.image[start:])
        return response

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        if not self.authorized(request):
            return web.json_response({"error": "auth"}, status=401)
        ws = web.WebSocketResponse(
            protocols=("magicpi.v1",), compress=False, max_msg_size=1 << 20
        )
        await ws.prepare(request)
        ssl_object = request.transport.get_extra_info("ssl_object")
        self.resumed.append(bool(ssl_object.session_reused))
        self.ws = ws
        boot = 0
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                text = json.loads(message.data)
                self.texts.append(text)
                if text["type"] == "hello":
                    boot = text["boot"]
                    self.hellos.append(text)
                    pending = (
                        self.config
                        if text["config_rev"] != self.config["rev"]
                        else None
                    )
                    await ws.send_json(
                        {
                            "type": "welcome",
                            "time": int(time.time() * 1000),
                            "config": pending,
                            "have": self.have.get(boot, 0),
                            "stay_awake_s": self.stay_awake_s,
                        }
                    )
                    if self.on_welcome:
                        await self.on_welcome(ws)
            elif message.type == WSMsgType.BINARY:
                version, flags, event, seq, t, crc, length = struct.unpack(
                    "!BBHIQII", message.data[:24]
                )
                jpeg = message.data[24:]
                assert (
                    version == 1 and length == len(jpeg) and crc == binascii.crc32(jpeg)
                ), "broken frame"
                if (boot, seq) in self.frames:
                    self.duplicates += 1
                self.frames[boot, seq] = (
                    flags,
                    event,
                    t,
                    hashlib.sha256(jpeg).hexdigest(),
                )
                self.have[boot] = max(self.have.get(boot, 0), seq)
                if self.ack:
                    await ws.send_json({"type": "ack", "boot": boot, "seq": seq})
                if (
                    self.break_after is not None
                    and len(self.frames) >= self.break_after
                ):
                    self.break_after = None
                    request.transport.abort()
                    break
            self.news.set()
        self.news.set()
        return ws

    def of_boot(self, boot: int) -> list[int]:
        return sorted(seq for b, seq in self.frames if b == boot)


class Process:
    """magicpi-camera and the lines it says."""

    def __init__(self, folder: str, source: str, *extra: str) -> None:
        self.state = os.path.join(folder, "state")
        self.args = [
            BINARY,
            "--id",
            CAMERA_ID,
            "--state",
            self.state,
            "--source",
            source,
            "--http-port",
            "0",
            "--setup-code",
            CODE,
            "--settle-ms",
            "100",
            *extra,
        ]
        self.lines: list[dict] = []
        self.news = asyncio.Condition()

    async def __aenter__(self) -> Process:  # noqa: PYI034 - Self is younger than Debian's Python
        self.process = await asyncio.create_subprocess_exec(
            *self.args, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self.reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            if VERBOSE:
                print("   ", line.decode().rstrip())
            async with self.news:
                self.lines.append(json.loads(line))
                self.news.notify_all()

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        code = await asyncio.wait_for(self.process.wait(), 10)
        await self.reader
        if _[0] is None:
            assert code == 0, f"exit code {code}"

    def tell(self, command: str) -> None:
        self.process.stdin.write(command.encode() + b"\n")

    async def line(
        self, what: str, since: int = 0, timeout: float = 15, **members: object
    ) -> dict:
        def find() -> dict | None:
            for said in self.lines[since:]:
                if said["what"] == what and all(
                    said.get(k) == v for k, v in members.items()
                ):
                    return said
            return None

        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(find), timeout)
            except TimeoutError as error:
                raise AssertionError(
                    f"no line {what} {members} within {timeout} s"
                ) from error
        return find()

    def mark(self) -> int:
        return len(self.lines)

    def all(self, what: str) -> list[dict]:
        return [said for said in self.lines if said["what"] == what]


async def claim(
    camera: Process, gateway: Gateway, ca: tuple, hosts: list[str] | None = None
) -> None:
    setup = await camera.line("setup", open=True)
    url = f"http://{setup['host']}:{setup['port']}/setup"
    pem = ca[1].public_bytes(serialization.Encoding.PEM).decode()
    bundle = {
        "v": 1,
        "gateway": {"hosts": hosts or [LOCALHOST], "port": gateway.port, "name": NAME},
        "ca": pem,
        "token": gateway.token,
        "time": int(time.time() * 1000),
        "name": "Front door",
    }
    async with ClientSession(timeout=ClientTimeout(5)) as http:
        body = await seal(http, url, CODE.replace("-", ""), bundle)
        async with http.post(url, data=body) as response:
            assert response.status == 204, response.status


async def seal(
    http: ClientSession, url: str, code: str, bundle: dict, nonce: str | None = None
) -> bytes:
    async with http.get(url) as response:
        assert response.status == 200
        about = await response.json()
    assert about["id"] == CAMERA_ID and about["proto"] == 1
    nonce = nonce or about["nonce"]
    raw = base64.urlsafe_b64decode(nonce + "==")
    key = HKDF(hashes.SHA256(), 32, raw, b"magicpi-setup-v1").derive(code.encode())
    iv = os.urandom(12)
    box = AESGCM(key).encrypt(iv, json.dumps(bundle).encode(), CAMERA_ID.encode())
    return json.dumps({"nonce": nonce, "iv": b64(iv), "box": b64(box)}).encode()


@contextlib.asynccontextmanager
async def world(*extra: str, expired: bool = False):
    folder = tempfile.mkdtemp(prefix="magicpi-e2e-")
    ca = make_ca()
    gateway = Gateway(make_context(ca, folder, expired=expired))
    await gateway.start()
    source = os.path.join(folder, "source")
    os.mkdir(source)
    # Bytes between SOI and EOI need not be a picture here; each is different, and sizes cross block and fragment borders.
    for i in range(200):
        size = [3000, 2048 - 4, 20000, 16384, 45000, 70000][i % 6]
        noise = (
            hashlib.shake_128(str(i).encode()).digest(size).replace(b"\xff", b"\xfe")
        )
        with open(os.path.join(source, f"{i:05}.jpg"), "wb") as out:
            out.write(b"\xff\xd8" + noise + b"\xff\xd9")
    try:
        async with Process(folder, source, "--time-factor", "200", *extra) as camera:
            camera.folder, camera.source, camera.ca = folder, source, ca
            yield camera, gateway
    finally:
        await gateway.stop()
        shutil.rmtree(folder)


def check_complete(
    camera: Process, gateway: Gateway, boot: int, captured: list[dict]
) -> None:
    """Every captured frame is there, once kept, with the bytes of its source file."""
    got = gateway.of_boot(boot)
    want = [said["seq"] for said in captured]
    assert got == want, f"captured {len(want)} {want[:3]}.. got {len(got)} {got[:3]}.."
    for said in captured:
        with open(os.path.join(camera.source, said["source"]), "rb") as f:
            assert (
                hashlib.sha256(f.read()).hexdigest()
                == gateway.frames[boot, said["seq"]][3]
            ), said


async def settled(camera: Process, gateway: Gateway, ca: tuple) -> None:
    await claim(camera, gateway, ca)
    await camera.line("state", state="online")
    camera.tell("power")
    since = camera.mark()
    await camera.line("sleep", since=since, timeout=20)


async def test_claim_event_sleep_resume() -> None:
    async with world() as (camera, gateway):
        setup = await camera.line("setup", open=True)
        url = f"http://{setup['host']}:{setup['port']}/setup"
        async with ClientSession() as http:
            wrong = await seal(http, url, "0" * 16, {})
            assert (await http.post(url, data=wrong)).status == 403
            assert (await http.post(url, data=wrong)).status == 410
            assert (await http.post(url, data=b"{")).status == 400
        await settled(camera, gateway, camera.ca)
        assert gateway.registrations == 1 and gateway.hellos[0]["reason"] == "power"
        assert (
            "new" not in str(gateway.hellos[0]) and gateway.hellos[0]["config_rev"] == 1
        )
        assert any(t["type"] == "bye" and t["reason"] == "sleep" for t in gateway.texts)
        since = camera.mark()
        camera.tell("motion 1")
        await camera.line("sleep", since=since, timeout=30)
        hello = gateway.hellos[-1]
        assert hello["reason"] == "pir" and hello["backlog"] > 0, hello
        captured = [s for s in camera.lines[since:] if s["what"] == "captured"]
        check_complete(camera, gateway, hello["boot"], captured)
        flags = [
            gateway.frames[hello["boot"], s][0] for s in gateway.of_boot(hello["boot"])
        ]
        assert (
            flags[0] & 1
            and flags[0] & 8
            and not flags[-1] & 1
            and flags[-1] & 4
            and not any(f & 16 for f in flags)
        ), flags
        end = next(t for t in reversed(gateway.texts) if t["type"] == "event_end")
        assert end == {
            "type": "event_end",
            "event": 1,
            "t": end["t"],
            "frames": len(captured),
            "lost": 0,
        }
        assert 25 <= len(captured) <= 45 and gateway.duplicates == 0
        motions = [t for t in gateway.texts if t["type"] == "motion"]
        assert [m["active"] for m in motions] == [True, False], motions
        assert gateway.resumed[-1], "the TLS session was not resumed"
        print(
            f"      handshake: full {camera.all('tls')[1]['ms']} ms, resumed {camera.all('tls')[-1]['ms']} ms;"
            f" first frame {hello['timing']['first_frame_ms']} ms after wake"
        )


async def test_timer_config_local_change() -> None:
    async with world("--heartbeat", "300") as (camera, gateway):
        gateway.config["heartbeat_interval_s"] = 300
        await settled(camera, gateway, camera.ca)
        gateway.config = {
            **gateway.config,
            "rev": 7,
            "framerate": 5,
            "jpeg_quality": 99,
            "night_mode": True,
        }
        since = camera.mark()
        await camera.line("config", since=since, rev=7)
        assert gateway.hellos[-1]["reason"] == "timer"
        await camera.line("sleep", since=since)
        ack = [t for t in gateway.texts if t["type"] == "config_ack"][-1]
        assert (
            ack["rev"] == 7
            and ack["rejected"] == {"jpeg_quality": "range"}
            and ack["applied"]["framerate"] == 5
        ), ack
        gateway.config["jpeg_quality"] = 12
        since = camera.mark()
        await camera.line("state", since=since, state="online")
        camera.tell('set {"framerate":3}')
        await camera.line("config", since=since, rev=8)
        assert gateway.puts == [{"rev": 7, "framerate": 3}]


async def test_link_lost_mid_event() -> None:
    async with world() as (camera, gateway):
        await settled(camera, gateway, camera.ca)
        gateway.ack = False
        gateway.break_after = 12
        since = camera.mark()
        camera.tell("motion 1")
        await camera.line("closed", since=since)
        gateway.ack = True
        await camera.line("sleep", since=since, timeout=40)
        hello = gateway.hellos[-1]
        captured = [s for s in camera.lines[since:] if s["what"] == "captured"]
        check_complete(camera, gateway, hello["boot"], captured)
        assert len([h for h in gateway.hellos if h["boot"] == hello["boot"]]) == 2


async def test_stalled_gateway_never_blocks_capture() -> None:
    async with world("--ring-kib", "600") as (camera, gateway):
        await settled(camera, gateway, camera.ca)
        gateway.config = {
            **gateway.config,
            "rev": 2,
            "stream_duration_s": 6,
            "framerate": 20,
        }
        stalled = asyncio.Event()

        async def stall(ws: web.WebSocketResponse) -> None:
            ws._req.transport.pause_reading()
            stalled.set()

        gateway.on_welcome = stall
        since = camera.mark()
        camera.tell("motion 1")
        await asyncio.wait_for(stalled.wait(), 20)
        await camera.line("lost", since=since, timeout=20)
        await asyncio.sleep(2)
        gateway.on_welcome = None
        captured = [s for s in camera.lines[since:] if s["what"] == "captured"]
        gaps = [b["at"] - a["at"] for a, b in itertools.pairwise(captured)]
        assert max(gaps) < 250, f"capture paused for {max(gaps)} ms"
        gateway.ws._req.transport.resume_reading()
        await camera.line("sleep", since=since, timeout=60)
        ended = [s for s in camera.lines[since:] if s["what"] == "event_ended"][-1]
        end = [t for t in gateway.texts if t["type"] == "event_end"][-1]
        kept = len(gateway.of_boot(gateway.hellos[-1]["boot"]))
        assert end["lost"] > 0 and end["frames"] == kept + end["lost"], (
            end,
            kept,
            ended,
        )
        flagged = [f for f in gateway.frames.values() if f[0] & 16]
        assert flagged, "no frame says that others were lost before it"
        print(
            f"      {end['frames']} captured, {end['lost']} lost, longest pause between frames {max(gaps)} ms"
        )


async def test_other_ca_and_other_name_are_refused() -> None:
    async with world() as (camera, gateway):
        await settled(camera, gateway, camera.ca)
        port, before = gateway.port, len(gateway.hellos)
        for ca, name in ((make_ca(), NAME), (camera.ca, "nvr.example.org")):
            await gateway.runner.cleanup()
            gateway.context = make_context(ca, camera.folder, name)
            await gateway.start(port)
            since = camera.mark()
            camera.tell("motion 1")
            await camera.line("log", since=since, message="gateway certificate refused")
            camera.tell("power")
            await camera.line("boot", since=since, reason="power")
        assert len(gateway.hellos) == before


async def test_expired_certificate_is_accepted() -> None:
    async with world(expired=True) as (camera, gateway):
        await settled(camera, gateway, camera.ca)


async def test_commands() -> None:
    async with world() as (camera, gateway):
        gateway.stay_awake_s = 30
        await claim(camera, gateway, camera.ca)
        await camera.line("state", state="online")
        await asyncio.sleep(0.2)

        async def command(name: str, args: dict | None = None) -> dict:
            await gateway.ws.send_json(
                {"type": "command", "id": f"c-{name}", "name": name, "args": args or {}}
            )
            for _ in range(100):
                for t in gateway.texts:
                    if t["type"] == "result" and t["id"] == f"c-{name}":
                        gateway.texts.remove(t)
                        return t
                await asyncio.sleep(0.05)
            raise AssertionError(f"no result for {name}")

        assert (await command("snapshot"))["ok"]
        await asyncio.sleep(0.3)
        assert [f[0] & 2 for f in gateway.frames.values()] == [2], (
            gateway.frames.values()
        )
        assert (await command("identify"))["ok"]
        assert (await command("fly"))["error"] == "unknown_command"
        assert (await command("stream_start", {"duration_s": 20}))["ok"]
        await asyncio.sleep(1)
        assert (await command("stream_stop"))["ok"]
        await asyncio.sleep(0.3)
        streamed = len(gateway.frames)
        await asyncio.sleep(0.5)
        assert streamed == len(gateway.frames) >= 8 and all(
            f[1] == 0 for f in gateway.frames.values()
        )
        # A message in fragments, with a ping between them.
        writer = gateway.ws._writer
        raw = json.dumps(
            {"type": "command", "id": "c-frag", "name": "identify", "args": {}}
        ).encode()

        def frame(head: int, data: bytes) -> bytes:
            return bytes((head, len(data))) + data

        for piece in (frame(0x01, raw[:10]), frame(0x89, b"hi"), frame(0x80, raw[10:])):
            for byte in piece:
                writer.transport.write(bytes((byte,)))
        for _ in range(60):
            if any(
                t["type"] == "result" and t["id"] == "c-frag" for t in gateway.texts
            ):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("fragmented command not answered")
        new = b64(os.urandom(32))
        assert (await command("rekey", {"api_key": new}))["ok"]
        since = camera.mark()
        gateway.key = new
        assert (await command("restart"))["ok"]
        await camera.line("state", since=since, state="online")
        assert (await command("sleep"))["ok"]
        await camera.line("sleep", since=since)
        # An old key again means nothing new was learnt: refused, but the claim stays and setup stays shut.
        gateway.refuse = True
        since = camera.mark()
        camera.tell("motion 1")
        said = await camera.line("sleep", since=since)
        assert said["timer_s"] >= 6 * 3600 - 5 and said["pir"] == "off", said
        assert not [s for s in camera.lines[since:] if s["what"] == "setup"]
        gateway.refuse = False
        camera.tell("power")
        await camera.line("state", since=since, state="online")
        assert (await command("forget"))["ok"]
        await camera.line("setup", since=since, open=True)


async def test_update_with_resume_and_confirmation() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    async with world("--ota-key", point.hex(), "--fw", "1.0.0") as (camera, gateway):
        gateway.image = b"MAGICPI-FW 1.1.0\n" + os.urandom(300_000)
        digest = hashlib.sha256(gateway.image).hexdigest()
        gateway.cut_image_at = 100_000
        gateway.stay_awake_s = 20
        await claim(camera, gateway, camera.ca)
        await camera.line("state", state="online")
        await asyncio.sleep(0.2)
        offer = {
            "type": "ota",
            "version": "1.1.0",
            "sha256": digest,
            "size": len(gateway.image),
            "path": f"/firmware/{digest}",
        }

        async def outcome(message: dict) -> dict:
            since = len(gateway.texts)
            await gateway.ws.send_json(message)
            for _ in range(200):
                for t in gateway.texts[since:]:
                    if t["type"] == "ota" and t["state"] in ("installed", "failed"):
                        return t
                await asyncio.sleep(0.05)
            raise AssertionError("no outcome")

        assert (await outcome(offer))["error"] == "unsigned"
        assert (await outcome({**offer, "version": "0.9.0"}))["error"] == "downgrade"
        bad = base64.b64encode(key.sign(b"other", ec.ECDSA(hashes.SHA256()))).decode()
        gateway.cut_image_at = None
        assert (await outcome({**offer, "signature": bad}))["error"] == "signature"
        good = base64.b64encode(
            key.sign(gateway.image, ec.ECDSA(hashes.SHA256()))
        ).decode()
        gateway.cut_image_at = 100_000
        gateway.image_requests.clear()
        assert (await outcome({**offer, "signature": good}))["state"] == "installed"
        assert len(gateway.image_requests) == 2 and gateway.image_requests[
            1
        ].startswith("bytes="), gateway.image_requests
        await camera.line("ota_confirmed", fw="1.1.0")
        assert (
            gateway.hellos[-1]["reason"] == "ota"
            and gateway.hellos[-1]["fw"] == "1.1.0"
        )
        percents = [
            t["percent"]
            for t in gateway.texts
            if t["type"] == "ota" and t["state"] == "downloading"
        ]
        assert percents[-1] >= 90, percents


async def test_confirmed_motion_is_sent_whole() -> None:
    async with world("--confirm-motion") as (camera, gateway):
        await settled(camera, gateway, camera.ca)
        since = camera.mark()
        camera.tell("motion 1")
        await camera.line("sleep", since=since, timeout=30)
        boot = gateway.hellos[-1]["boot"]
        check_complete(
            camera,
            gateway,
            boot,
            [
                said
                for said in camera.all("captured")
                if camera.lines.index(said) >= since
            ],
        )


async def test_mdns() -> None:
    from zeroconf import ServiceInfo, ServiceStateChange
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    zeroconf = AsyncZeroconf(interfaces=[LOCALHOST])
    try:
        async with world("--advertise", LOCALHOST) as (camera, gateway):
            seen: dict[str, ServiceStateChange] = {}

            def on_change(
                zeroconf: object,
                service_type: str,
                name: str,
                state_change: ServiceStateChange,
            ) -> None:
                seen[name] = state_change

            browser = AsyncServiceBrowser(
                zeroconf.zeroconf, "_magicpi-cam._tcp.local.", handlers=[on_change]
            )
            setup = await camera.line("setup", open=True)
            name = f"MagicPi {CAMERA_ID[12:].replace(':', '').lower()}._magicpi-cam._tcp.local."
            for _ in range(100):
                if name in seen:
                    break
                await asyncio.sleep(0.05)
            info = AsyncServiceInfo("_magicpi-cam._tcp.local.", name)
            assert await info.async_request(zeroconf.zeroconf, 3000)
            assert (info.port, info.parsed_addresses()) == (
                setup["port"],
                [LOCALHOST],
            ), (name, info, setup)
            assert (
                info.properties[b"id"] == CAMERA_ID.encode()
                and info.properties[b"proto"] == b"1"
            ), info.properties
            await settled(camera, gateway, camera.ca)
            assert seen[name] is ServiceStateChange.Removed
            await browser.async_cancel()
            # The gateway moves: the camera finds it by name and by the CA it trusts.
            await gateway.runner.cleanup()
            old = gateway.port
            await gateway.start()
            assert gateway.port != old
            der = camera.ca[1].public_bytes(serialization.Encoding.DER)
            for instance, ca16, port in (
                ("stranger", "0" * 16, 1),
                ("ours", hashlib.sha256(der).hexdigest()[:16], gateway.port),
            ):
                await zeroconf.async_register_service(
                    ServiceInfo(
                        "_magicpi-nvr._tcp.local.",
                        f"{instance}._magicpi-nvr._tcp.local.",
                        port,
                        addresses=[ipaddress.ip_address(LOCALHOST).packed],
                        server=f"{instance}.local.",
                        properties={"id": instance, "proto": "1", "ca": ca16},
                    )
                )
            since = camera.mark()
            camera.tell("motion 1")
            await camera.line("lookup_done", since=since, found=1)
            await camera.line("sleep", since=since, timeout=40)
            assert gateway.hellos[-1]["reason"] == "pir"
    finally:
        await zeroconf.async_close()


AT_ONCE = asyncio.Semaphore(4)


async def run(test) -> bool:
    async with AT_ONCE:
        start = time.monotonic()
        try:
            await asyncio.wait_for(test(), 120)
        except Exception:  # noqa: BLE001 - whatever it was, the others go on
            print(f"  FAIL  {test.__name__}")
            traceback.print_exc()
            return False
        finally:
            sys.stdout.flush()
        print(f"  ok    {test.__name__} ({time.monotonic() - start:.1f} s)")
        return True


async def main() -> None:
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    wanted = [a for a in sys.argv[2:] if not a.startswith("-")]
    results = await asyncio.gather(
        *(
            run(test)
            for test in tests
            if not wanted or any(w in test.__name__ for w in wanted)
        )
    )
    passed, failed = results.count(True), results.count(False)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


asyncio.run(main())
