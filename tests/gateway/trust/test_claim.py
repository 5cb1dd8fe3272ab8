"""The setup client against a camera in setup mode."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
import os
from typing import Any

from aiohttp import ClientSession, web
from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.gateway.trust import claim
from custom_components.magicpi_nvr.gateway.trust.claim import (
    AlreadyClaimed,
    BadId,
    CannotConnect,
    ClaimError,
    InvalidCode,
    NotACamera,
    SetupClient,
    StaleNonce,
    TooManyTries,
    WrongCode,
    decode_base64url,
    encode_base64url,
    normalize_code,
    open_bundle,
    seal_bundle,
)
from tests.harness.gateway import CAMERA_ID, CAPS, HOST, OTHER_ID, RunningGateway

CODE = "7K3M-9QXA-2BCD-EFGH"
BUNDLE = {"v": 1, "token": "t", "name": "Haustür"}
NONCE = encode_base64url(bytes(range(16)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CODE, "7K3M9QXA2BCDEFGH"),
        (CODE.lower(), "7K3M9QXA2BCDEFGH"),
        (" 7k3m 9qxa\t2bcd efgh ", "7K3M9QXA2BCDEFGH"),
        ("OoIiLl00-1111-2222", "0011110011112222"),
    ],
)
def test_normalize(text: str, code: str) -> None:
    """As a person types it."""
    assert normalize_code(text) == code


@pytest.mark.parametrize(
    "text", ["", "7K3M-9QXA-2BCD", "7K3M9QXA2BCDEFGHJ", "U" * 16, "7K3M-9QXA-2BCD-EFG!"]
)
def test_no_code(text: str) -> None:
    """What no camera shows is a wrong code without asking the camera."""
    with pytest.raises(InvalidCode):
        normalize_code(text)
    with pytest.raises(WrongCode):
        normalize_code(text)


@given(st.text())
def test_any_code(text: str) -> None:
    """Any text is a code or none; a code stays what it is."""
    try:
        code = normalize_code(text)
    except InvalidCode:
        return
    assert normalize_code(code) == code


@given(st.binary(max_size=60))
def test_base64url(data: bytes) -> None:
    """Without padding, read with or without."""
    text = encode_base64url(data)
    assert "=" not in text
    assert decode_base64url(text) == data
    assert decode_base64url(text + "=" * (-len(text) % 4)) == data


def test_known_box() -> None:
    """The numbers of the protocol, by another road than the code's own."""
    from cryptography.hazmat.primitives import hashes, hmac
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def hmac256(key: bytes, data: bytes) -> bytes:
        mac = hmac.HMAC(key, hashes.SHA256())
        mac.update(data)
        return mac.finalize()

    pseudo_random = hmac256(bytes(range(16)), b"7K3M9QXA2BCDEFGH")
    key = hmac256(pseudo_random, b"magicpi-setup-v1\x01")
    body = seal_bundle(CODE, CAMERA_ID, NONCE, BUNDLE)
    assert set(body) == {"nonce", "iv", "box"}
    assert body["nonce"] == NONCE
    box, iv = decode_base64url(body["box"]), decode_base64url(body["iv"])
    assert len(iv) == 12
    opener = Cipher(algorithms.AES(key), modes.GCM(iv, box[-16:])).decryptor()
    opener.authenticate_additional_data(CAMERA_ID.encode())
    text = opener.update(box[:-16]) + opener.finalize()
    assert b'"token":"t"' in text
    assert seal_bundle(CODE, CAMERA_ID, NONCE, BUNDLE)["iv"] != body["iv"]


def test_box_opens_only_where_it_should() -> None:
    """Right code, id and nonce, unaltered."""
    body = seal_bundle(CODE, CAMERA_ID, NONCE, BUNDLE)
    assert open_bundle(CODE.lower(), CAMERA_ID, body) == BUNDLE
    altered = encode_base64url(decode_base64url(body["box"])[:-1] + b"\0")
    for code, camera_id, more in (
        ("0" * 16, CAMERA_ID, {}),
        (CODE, OTHER_ID, {}),
        (CODE, CAMERA_ID, {"box": altered}),
        (CODE, CAMERA_ID, {"nonce": encode_base64url(bytes(16))}),
    ):
        with pytest.raises(WrongCode):
            open_bundle(code, camera_id, {**body, **more})
    for more in ({"iv": "AA"}, {"box": ""}, {"nonce": "!"}, {"box": None}):
        with pytest.raises(ValueError, match=r"malformed|base64url"):
            open_bundle(CODE, CAMERA_ID, {**body, **more})


@dataclass
class Setup:
    """A camera in setup mode on a loopback port."""

    code: str = CODE
    nonce: str = ""
    nonces: int = 0
    bundles: list[dict[str, Any]] = field(default_factory=list)
    claimed: bool = False
    wrong: int = 0
    answer: Callable[[web.Request], Any] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    def renew(self) -> None:
        """Make a new nonce."""
        self.nonce = encode_base64url(os.urandom(16))
        self.nonces += 1

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as section 2 of the protocol says."""
        if self.answer is not None:
            response: web.StreamResponse = await self.answer(request)
            return response
        if request.method == "GET":
            self.renew()
            return web.json_response(
                {
                    "id": CAMERA_ID,
                    "model": "ai-thinker",
                    "fw": "1.0.0",
                    "proto": 1,
                    "nonce": self.nonce,
                    "caps": CAPS,
                    **self.info,
                }
            )
        if self.claimed:
            return web.Response(status=409)
        if self.wrong >= 5:
            return web.Response(status=429, headers={"Retry-After": "42"})
        body = await request.json()
        if body["nonce"] != self.nonce:
            return web.Response(status=410)
        try:
            self.bundles.append(open_bundle(self.code, CAMERA_ID, body))
        except WrongCode:
            self.wrong += 1
            self.renew()
            return web.json_response({"nonce": self.nonce}, status=403)
        self.claimed = True
        return web.Response(status=204)


@pytest.fixture
async def camera() -> AsyncIterator[Setup]:
    """A camera in setup mode."""
    setup = Setup()
    app = web.Application()
    app.router.add_route("*", "/setup", setup.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    setup.port = runner.addresses[0][1]
    yield setup
    await runner.cleanup()


@pytest.fixture
async def client(camera: Setup) -> AsyncIterator[SetupClient]:
    """A client for it."""
    async with ClientSession() as session:
        yield SetupClient(session, HOST, camera.port)


async def test_claim(
    client: SetupClient, camera: Setup, gateway: RunningGateway
) -> None:
    """Info, then the gateway's own bundle; one nonce is enough."""
    info = await client.info()
    assert (info.id, info.model, info.fw) == (CAMERA_ID, "ai-thinker", "1.0.0")
    assert info.caps.as_dict() == CAPS
    token = gateway.server.issue_token(info.id, data={})
    bundle = gateway.server.bundle(token=token, name="Haustür", hosts=["192.168.1.10"])
    await client.claim(CODE, bundle)
    (given_bundle,) = camera.bundles
    assert camera.nonces == 1
    assert given_bundle["v"] == 1
    assert given_bundle["gateway"] == {
        "hosts": ["192.168.1.10"],
        "port": gateway.server.port,
        "name": "nvr.magicpi.internal",
    }
    assert given_bundle["ca"] == gateway.authority.ca_pem
    assert given_bundle["token"] == token
    assert given_bundle["name"] == "Haustür"
    assert abs(given_bundle["time"] - gateway.clock.now_ms()) < 60_000
    with pytest.raises(AlreadyClaimed):
        await client.claim(CODE, bundle)


async def test_wrong_code_then_right(client: SetupClient, camera: Setup) -> None:
    """After a 403 a new nonce is used."""
    with pytest.raises(WrongCode):
        await client.claim("0" * 16, BUNDLE)
    await client.claim(CODE, BUNDLE)
    assert camera.bundles == [BUNDLE]


async def test_code_that_is_none(client: SetupClient, camera: Setup) -> None:
    """The camera's five tries are not wasted on it."""
    with pytest.raises(InvalidCode):
        await client.claim("short", BUNDLE)
    assert camera.nonces == camera.wrong == 0


async def test_stale_nonce(client: SetupClient, camera: Setup) -> None:
    """Renewed once by itself; then it is said."""
    await client.info()
    camera.renew()
    await client.claim(CODE, BUNDLE)
    assert camera.bundles == [BUNDLE]

    async def always_stale(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.Response(status=410)
        camera.answer = None
        response = await camera.handle(request)
        camera.answer = always_stale
        assert isinstance(response, web.Response)
        return response

    camera.answer = always_stale
    with pytest.raises(StaleNonce):
        await client.claim(CODE, BUNDLE)


async def test_too_many_tries(client: SetupClient, camera: Setup) -> None:
    """With the time to wait, also where the camera doesn't tell it."""
    camera.wrong = 5
    with pytest.raises(TooManyTries) as raised:
        await client.claim(CODE, BUNDLE)
    assert raised.value.retry_after == 42

    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "soon"})

    camera.answer = busy
    with pytest.raises(TooManyTries) as raised:
        await client.info()
    assert raised.value.retry_after == 60


@pytest.mark.parametrize(
    "info",
    [
        {"id": "x"},
        {"id": None},
        {"proto": 2},
        {"nonce": "AA"},
        {"nonce": 5},
        {"nonce": "!" * 22},
        {"model": ""},
        {"fw": None},
        {"caps": 5},
    ],
    ids=str,
)
async def test_not_a_camera(
    client: SetupClient, camera: Setup, info: dict[str, Any]
) -> None:
    """JSON of something else."""
    camera.info = info
    with pytest.raises(NotACamera):
        await client.info()


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (200, "<html>a printer</html>", NotACamera),
        (200, "[]", NotACamera),
        (200, "x" * 100_000, NotACamera),
        (302, "", NotACamera),
        (404, "", NotACamera),
        (500, "", NotACamera),
        (409, "", AlreadyClaimed),
    ],
)
async def test_other_answers(
    client: SetupClient, camera: Setup, status: int, text: str, error: type[ClaimError]
) -> None:
    """Whatever answers at the address."""

    async def other(_request: web.Request) -> web.Response:
        return web.Response(
            status=status, text=text, headers={"Location": "http://example.com/setup"}
        )

    camera.answer = other
    with pytest.raises(error):
        await client.info()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_refused_bundle(client: SetupClient, camera: Setup, status: int) -> None:
    """A camera that doesn't understand the bundle is none of this protocol."""
    await client.info()

    async def other(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    camera.answer = other
    with pytest.raises(NotACamera):
        await client.claim(CODE, BUNDLE)


async def test_nobody_there(client: SetupClient, camera: Setup) -> None:
    """No listener, a broken line, a camera that never answers."""
    async with ClientSession() as session:
        with pytest.raises(CannotConnect):
            await SetupClient(session, HOST, 1).info()
    await client.info()

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    camera.answer = cut
    with pytest.raises(CannotConnect):
        await client.claim(CODE, BUNDLE)
    with pytest.raises(CannotConnect):
        await client.info()


async def test_silent_camera(
    client: SetupClient, camera: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for longer than for any other."""
    monkeypatch.setattr(claim, "_TIMEOUT", claim.ClientTimeout(total=0.2))
    release = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    camera.answer = silent
    with pytest.raises(CannotConnect):
        await client.info()
    release.set()


@pytest.mark.parametrize("host", ["fe80::1", "[fe80::1]"])
def test_address_of_version_6(host: str) -> None:
    """An IPv6 address is written as one, bare or in brackets."""
    client = SetupClient(None, host, 8080)  # type: ignore[arg-type]
    assert str(client.url) == "http://[fe80::1]:8080/setup"


@pytest.mark.parametrize("camera_id", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"])
async def test_id_that_no_device_has(
    client: SetupClient, camera: Setup, camera_id: str
) -> None:
    """It is said of the camera, which is one."""
    camera.info = {"id": camera_id}
    with pytest.raises(BadId):
        await client.info()
