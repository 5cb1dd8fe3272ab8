"""Setup mode: how Home Assistant finds a camera and claims it with its setup code."""

from base64 import urlsafe_b64encode
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import json
import secrets
import time
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509 import load_pem_x509_certificate
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from .store import canonical_code

SERVICE = "_magicpi-cam._tcp.local."
PROTO = 1
MAX_BODY = 16 * 1024
MAX_WRONG = 5
LOCKOUT_S = 60.0


class Malformed(ValueError):
    """A request or bundle that is not by the protocol."""


def to_base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: object) -> bytes:
    """Return the bytes of base64url with or without padding; raises Malformed."""
    if not isinstance(text, str):
        raise Malformed("not a text")
    try:
        raw = text.encode("ascii").rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as err:
        raise Malformed("not base64url") from err


def setup_key(code: str, nonce: bytes) -> bytes:
    """Return the AES key that a setup code gives with a nonce."""
    return HKDF(SHA256(), 32, salt=nonce, info=b"magicpi-setup-v1").derive(
        canonical_code(code).encode("ascii")
    )


def open_box(code: str, nonce: bytes, iv: bytes, box: bytes, camera_id: str) -> bytes:
    """Return what a box holds; raises InvalidTag for a wrong code or an altered box."""
    return AESGCM(setup_key(code, nonce)).decrypt(iv, box, camera_id.encode("ascii"))


def read_bundle(data: bytes) -> dict[str, Any]:
    """Return the bundle of a box; raises Malformed."""
    try:
        bundle = json.loads(data)
        gateway = bundle["gateway"]
        good = (
            bundle["v"] == 1
            and isinstance(gateway["hosts"], list)
            and gateway["hosts"]
            and all(isinstance(host, str) and host for host in gateway["hosts"])
            and isinstance(gateway["port"], int)
            and 0 < gateway["port"] < 65536
            and isinstance(gateway["name"], str)
            and gateway["name"]
            and len(from_base64url(bundle["token"])) == 32
        )
        load_pem_x509_certificate(bundle["ca"].encode())
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise Malformed("not a bundle") from err
    if not good:
        raise Malformed("not a bundle")
    return dict(bundle)


def _error(status: int, slug: str, message: str, **more: Any) -> web.Response:
    """Return an answer in the form of all errors."""
    return web.json_response({"error": slug, "message": message, **more}, status=status)


@dataclass
class SetupServer:
    """The two requests that a camera answers while it waits to be claimed."""

    info: Mapping[str, Any]
    setup_code: str = field(repr=False)
    on_claimed: Callable[[dict[str, Any]], None]
    on_wrong_code: Callable[[], None] = lambda: None
    lockout_s: float = LOCKOUT_S
    port: int = field(default=0, init=False)
    claimed: bool = field(default=False, init=False)
    _nonce: bytes = field(
        default_factory=lambda: secrets.token_bytes(16), init=False, repr=False
    )
    _wrong: int = field(default=0, init=False)
    _locked_until: float = field(default=0, init=False)
    _runner: web.AppRunner | None = field(default=None, init=False, repr=False)

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/setup", self._get)
        app.router.add_post("/setup", self._post)
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await self.stop()
            raise
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if runner := self._runner:
            self._runner = None
            await runner.cleanup()

    def reopen(self) -> None:
        """Take claims again, after one that came to nothing."""
        self.claimed = False
        self._renew()

    def _renew(self) -> None:
        """Make all boxes that are under way worthless."""
        self._nonce = secrets.token_bytes(16)

    async def _get(self, request: web.Request) -> web.Response:
        """Say who this is."""
        answer = {**self.info, "proto": PROTO, "nonce": to_base64url(self._nonce)}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _post(self, request: web.Request) -> web.Response:
        """Take a claim."""
        if self.claimed:
            return _error(409, "already_claimed", "This camera has been claimed.")
        if (left := self._locked_until - time.monotonic()) > 0:
            answer = _error(
                429, "too_many_tries", "Too many wrong setup codes; wait a minute."
            )
            answer.headers["Retry-After"] = str(int(left) + 1)
            return answer
        try:
            body = await request.json()
            if not isinstance(body, dict):
                raise Malformed("not an object")
            nonce = from_base64url(body.get("nonce"))
            iv = from_base64url(body.get("iv"))
            box = from_base64url(body.get("box"))
            if len(nonce) != 16 or len(iv) != 12 or len(box) < 16:
                raise Malformed("wrong lengths")
        except (ValueError, web.HTTPRequestEntityTooLarge) as err:
            return _error(400, "malformed", f"Not a claim: {type(err).__name__}.")
        if not secrets.compare_digest(nonce, self._nonce):
            return _error(410, "stale_nonce", "This nonce is not good any more.")
        try:
            data = open_box(self.setup_code, nonce, iv, box, self.info["id"])
        except InvalidTag:
            return self._refuse()
        self._wrong = 0
        self._renew()
        try:
            bundle = read_bundle(data)
        except Malformed:
            return _error(400, "malformed", "The box holds no bundle.")
        self.claimed = True
        self.on_claimed(bundle)
        return web.Response(status=204)

    def _refuse(self) -> web.Response:
        """Answer a box that does not open."""
        self._renew()
        self._wrong += 1
        if self._wrong >= MAX_WRONG:
            self._wrong = 0
            self._locked_until = time.monotonic() + self.lockout_s
        self.on_wrong_code()
        return _error(
            403, "wrong_code", "Wrong setup code.", nonce=to_base64url(self._nonce)
        )


class Advertisement:
    """The camera's mDNS service, there in setup mode only."""

    def __init__(
        self,
        zeroconf: AsyncZeroconf,
        info: Mapping[str, Any],
        addresses: Sequence[str],
        port: int,
    ) -> None:
        """Prepare the record for addresses as text."""
        tail = info["id"].replace(":", "")[-6:]
        self._zeroconf = zeroconf
        self._service = AsyncServiceInfo(
            SERVICE,
            f"MagicPi camera {tail}.{SERVICE}",
            parsed_addresses=list(addresses),
            port=port,
            properties={
                **{key: info[key] for key in ("id", "model", "fw")},
                "proto": str(PROTO),
            },
            server=f"magicpi-{tail.lower()}.local.",
        )

    async def publish(self) -> None:
        """Announce the camera."""
        await (
            await self._zeroconf.async_register_service(
                self._service, allow_name_change=True
            )
        )

    async def withdraw(self) -> None:
        """Say goodbye."""
        await (await self._zeroconf.async_unregister_service(self._service))
