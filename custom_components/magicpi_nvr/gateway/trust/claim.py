"""Claim a camera in setup mode: seal a bundle with its setup code and hand it over."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
import json
import os
import re
from typing import Any, Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from yarl import URL

from ..messages import Caps, decode_json, read_name
from ..protocol import PROTOCOL_VERSION, ProtocolError, is_camera_id, is_mac

NONCE_BYTES: Final = 16
IV_BYTES: Final = 12
MAX_SETUP_BYTES: Final = 8 * 1024

_INFO: Final = b"magicpi-setup-v1"
_CODE: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{16}")
_CODE_ALIASES: Final = str.maketrans("ILO", "110", "- \t")
_TIMEOUT: Final = ClientTimeout(total=15, connect=5)


class ClaimError(Exception):
    """A camera could not be claimed."""


class CannotConnect(ClaimError):
    """Nobody answers, or the line broke."""


class NotACamera(ClaimError):
    """Somebody answers, but not as a camera of this protocol."""


class BadId(ClaimError):
    """A camera says an id that no device can have."""


class WrongCode(ClaimError):
    """The camera could not open the box."""


class InvalidCode(WrongCode):
    """No setup code looks like this."""


class OtherCamera(WrongCode):
    """The setup page's link names another camera."""


class StaleNonce(ClaimError):
    """The camera has a newer nonce."""


class AlreadyClaimed(ClaimError):
    """The camera belongs to a gateway."""


class TooManyTries(ClaimError):
    """The camera refuses for a while; `retry_after` is in seconds."""

    def __init__(self, retry_after: int = 60) -> None:
        """Keep the time."""
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Read base64url with or without padding; raises ValueError."""
    try:
        return base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4),
            altchars=b"-_",
            validate=True,
        )
    except binascii.Error as err:
        raise ValueError("not base64url") from err


def code_of_link(text: str, camera_id: str) -> str:
    """Return the setup code of a setup page's link, or the text itself where it is none.

    The link is `https://...?domain=magicpi_nvr#<id>/<code>`. Raises OtherCamera when it is another camera's.
    """
    link, found, fragment = text.strip().partition("#")
    named, slash, code = fragment.partition("/")
    if not (found and slash and "magicpi_nvr" in link):
        return text
    if named.upper() != camera_id:
        raise OtherCamera("the link is another camera's")
    return code


def normalize_code(text: str) -> str:
    """Return the canonical form of a setup code; raises InvalidCode."""
    code = text.upper().translate(_CODE_ALIASES)
    if not _CODE.fullmatch(code):
        raise InvalidCode("a setup code has 16 letters and digits, without U")
    return code


def _cipher(code: str, nonce: bytes) -> AESGCM:
    return AESGCM(
        HKDF(algorithm=hashes.SHA256(), length=32, salt=nonce, info=_INFO).derive(
            code.encode("ascii")
        )
    )


def seal_bundle(
    code: str, camera_id: str, nonce: str, bundle: Mapping[str, Any]
) -> dict[str, str]:
    """Return the body of `POST /setup`; `nonce` as the camera gave it. Raises ValueError."""
    iv = os.urandom(IV_BYTES)
    box = _cipher(normalize_code(code), decode_base64url(nonce)).encrypt(
        iv,
        json.dumps(bundle, separators=(",", ":")).encode(),
        camera_id.encode("ascii"),
    )
    return {"nonce": nonce, "iv": encode_base64url(iv), "box": encode_base64url(box)}


def open_bundle(code: str, camera_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bundle, as a camera does; raises WrongCode, or ValueError when malformed."""
    nonce, iv, box = (
        decode_base64url(str(body.get(key, ""))) for key in ("nonce", "iv", "box")
    )
    if len(nonce) != NONCE_BYTES or len(iv) != IV_BYTES or len(box) < 16:
        raise ValueError("malformed box")
    try:
        text = _cipher(normalize_code(code), nonce).decrypt(
            iv, box, camera_id.encode("ascii")
        )
    except InvalidTag:
        raise WrongCode from None
    try:
        return decode_json(text)
    except ProtocolError as err:
        raise ValueError("malformed bundle") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupInfo:
    """What a camera in setup mode says of itself."""

    id: str
    model: str
    fw: str
    caps: Caps
    nonce: str = field(repr=False)


def _read_info(data: Mapping[str, Any]) -> SetupInfo:
    """Read the answer to `GET /setup`; raises NotACamera, BadId."""
    camera_id, nonce = data.get("id"), data.get("nonce")
    if is_mac(camera_id) and not is_camera_id(camera_id):
        raise BadId(camera_id)
    try:
        if (
            not isinstance(camera_id, str)
            or not is_camera_id(camera_id)
            or data.get("proto") != PROTOCOL_VERSION
            or not isinstance(nonce, str)
            or len(decode_base64url(nonce)) != NONCE_BYTES
        ):
            raise NotACamera("the answer is not a camera's")
        return SetupInfo(
            id=camera_id,
            model=read_name(data.get("model")),
            fw=read_name(data.get("fw")),
            caps=Caps.from_dict(data.get("caps", {})),
            nonce=nonce,
        )
    except (ValueError, ProtocolError) as err:
        raise NotACamera("the answer is not a camera's") from err


async def _read_bounded(response: ClientResponse) -> bytes:
    """Return the body; raises NotACamera when it is too long."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(4096):
        body += chunk
        if len(body) > MAX_SETUP_BYTES:
            raise NotACamera("the answer is too long")
    return bytes(body)


class SetupClient:
    """Talks to one camera in setup mode."""

    def __init__(self, session: ClientSession, host: str, port: int = 80) -> None:
        """`session` stays the caller's; `host` may be an IPv6 address, in brackets or bare."""
        self._session = session
        host = host.removeprefix("[").removesuffix("]")
        self.url = URL.build(scheme="http", host=host, port=port, path="/setup")
        self._info: SetupInfo | None = None

    async def _request(
        self, method: str, body: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body; raises CannotConnect, NotACamera."""
        try:
            async with self._session.request(
                method,
                self.url,
                json=body,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                return (
                    response.status,
                    response.headers,
                    await _read_bounded(response),
                )
        except (ClientError, TimeoutError, OSError) as err:
            raise CannotConnect(str(err) or type(err).__name__) from err

    async def info(self) -> SetupInfo:
        """Ask who the camera is; also fetches a fresh nonce."""
        status, headers, body = await self._request("GET")
        if status == 409:
            raise AlreadyClaimed
        if status == 429:
            raise TooManyTries(_retry_after(headers))
        if status != 200:
            raise NotACamera(f"status {status}")
        try:
            self._info = _read_info(decode_json(body))
        except ProtocolError as err:
            raise NotACamera("the answer is not a camera's") from err
        return self._info

    async def claim(self, code: str, bundle: Mapping[str, Any]) -> None:
        """Hand the bundle over; raises a ClaimError. A stale nonce is renewed once."""
        normalize_code(code)
        for last_try in (False, True):
            info = self._info or await self.info()
            # A nonce serves one attempt, whatever becomes of it.
            self._info = None
            try:
                await self._post(seal_bundle(code, info.id, info.nonce, bundle))
            except StaleNonce:
                if last_try:
                    raise
            else:
                return

    async def _post(self, body: Mapping[str, str]) -> None:
        status, headers, _body = await self._request("POST", body)
        match status:
            case 200 | 204:
                return
            case 403:
                raise WrongCode
            case 409:
                raise AlreadyClaimed
            case 410:
                raise StaleNonce
            case 429:
                raise TooManyTries(_retry_after(headers))
            case _:
                raise NotACamera(f"status {status}")


def _retry_after(headers: Mapping[str, str]) -> int:
    text = headers.get("Retry-After", "")
    return min(int(text), 3600) if text.isascii() and text.isdigit() else 60
