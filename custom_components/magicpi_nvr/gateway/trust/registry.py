"""Registered cameras, the hashes of their keys, and tokens for new ones."""

from asyncio import Future, get_running_loop
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import hashlib
import hmac
import logging
import secrets
from typing import Any, Final, Protocol

from ..camera.camera import RESTORE_ERRORS, Camera
from ..camera.host import SAVE_LATER_S
from ..clock import Clock
from ..messages import Registration
from ..protocol import is_camera_id
from .claim import encode_base64url
from .limits import FailureLimit

_LOGGER = logging.getLogger(__name__)

# Of what is stored. A later version is read as far as this one understands it.
VERSION: Final = 1
TOKEN_LIFETIME_S: Final = 600
MAX_TOKENS: Final = 256
SECRET_BYTES: Final = 32
# Failures: some at once for a camera that retries, then one every few seconds.
FAILURE_BURST: Final = 10
FAILURE_RATE: Final = 0.2

_NO_HASH: Final = hashlib.sha256(b"no camera has this key").hexdigest()


def _hash(secret: str) -> str:
    # The secrets are 256 random bits: there is nothing for a slow hash to protect.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _make_secret() -> str:
    return encode_base64url(secrets.token_bytes(SECRET_BYTES))


class Storage(Protocol):
    """Where the registry lives between two starts."""

    async def load(self) -> dict[str, Any] | None:
        """Return what was saved last."""

    def save(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save soon what `data_func` returns then."""

    async def save_now(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save what `data_func` returns; it outlives a power cut afterwards."""


class RegistrationExpired(Exception):
    """The token ran out or was taken back before the camera registered."""


class RegistrationRefused(Exception):
    """A registration that is refused; `slug` says why."""

    def __init__(self, slug: str) -> None:
        """Keep the reason."""
        super().__init__(slug)
        self.slug = slug


@dataclass(slots=True)
class _Token:
    hash: str = field(repr=False)
    camera_id: str
    data: Mapping[str, Any] = field(repr=False)
    expires: float
    registered: Future[Camera]
    used: bool = False


@dataclass(slots=True)
class _Credentials:
    key_hash: str = field(repr=False)
    new_key_hash: str | None = field(default=None, repr=False)


class Registry:
    """Who may connect."""

    def __init__(self, storage: Storage, *, clock: Clock | None = None) -> None:
        """`load` comes before anything else."""
        self.clock = clock or Clock()
        self.cameras: dict[str, Camera] = {}
        self._storage = storage
        self._by_board: dict[str, Camera] = {}
        # So long after the last write the next one is due, None = there is nothing to write
        self._save_within_s: float | None = None
        self._saved_at = self.clock.monotonic()
        self._credentials: dict[str, _Credentials] = {}
        self._tokens: dict[str, _Token] = {}
        self._by_address = FailureLimit(
            FAILURE_BURST, FAILURE_RATE, self.clock.monotonic
        )
        self._by_id = FailureLimit(FAILURE_BURST, FAILURE_RATE, self.clock.monotonic)

    async def load(self) -> None:
        """Read the registered cameras; one that is broken is left out."""
        data = await self._storage.load()
        stored = data.get("cameras") if isinstance(data, dict) else None
        for camera_id, values in stored.items() if isinstance(stored, dict) else ():
            try:
                key_hash, new_key_hash = values["key_hash"], values.get("new_key_hash")
                if not is_camera_id(camera_id) or not isinstance(key_hash, str):
                    raise ValueError("no camera")
                camera = Camera.restore(camera_id, values, self)
                if (
                    not is_camera_id(camera.board_id)
                    or camera.board_id in self._by_board
                ):
                    raise ValueError("no board of its own")
            except RESTORE_ERRORS:
                _LOGGER.warning("Stored camera %s cannot be read", camera_id)
                continue
            self.cameras[camera_id] = self._by_board[camera.board_id] = camera
            self._credentials[camera_id] = _Credentials(
                key_hash, new_key_hash if isinstance(new_key_hash, str) else None
            )

    def save(self) -> None:
        """Write soon."""
        self._saved()
        self._storage.save(self._as_dict)

    async def save_now(self) -> None:
        """Write what a camera is about to rely on."""
        self._saved()
        await self._storage.save_now(self._as_dict)

    def save_later(self, within_s: float = SAVE_LATER_S) -> None:
        """Write so long after the last write, or at the stop: what changes at each wake must not wear an SD card."""
        self._save_within_s = min(within_s, self._save_within_s or within_s)

    async def flush(self) -> None:
        """Write what waits for `save_later`."""
        if self._save_within_s is not None:
            await self.save_now()

    def tick(self) -> None:
        """Write what has waited long enough, and end the wait for cameras whose token ran out."""
        if (
            self._save_within_s is not None
            and self.clock.monotonic() - self._saved_at >= self._save_within_s
        ):
            self.save()
        self._expire_tokens()

    def _saved(self) -> None:
        self._save_within_s = None
        self._saved_at = self.clock.monotonic()

    def _as_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "cameras": {
                camera_id: {
                    "key_hash": self._credentials[camera_id].key_hash,
                    "new_key_hash": self._credentials[camera_id].new_key_hash,
                    **camera.as_dict(),
                }
                for camera_id, camera in self.cameras.items()
            },
        }

    # Registration

    def camera_of(self, board_id: str) -> Camera | None:
        """Return the camera that a board is."""
        return self._by_board.get(board_id)

    def issue_token(
        self, board_id: str, data: Mapping[str, Any], *, camera_id: str
    ) -> str:
        """Return a token for one registration of this board as this camera; an older one is worthless then."""
        self.revoke_token(board_id)
        # Spent tokens stay, so that they differ from strange ones.
        while len(self._tokens) >= MAX_TOKENS:
            self.revoke_token(next(iter(self._tokens)))
        token = _make_secret()
        self._tokens[board_id] = _Token(
            hash=_hash(token),
            camera_id=camera_id,
            data=dict(data),
            expires=self.clock.monotonic() + TOKEN_LIFETIME_S,
            registered=get_running_loop().create_future(),
        )
        return token

    def revoke_token(self, board_id: str) -> None:
        """Make the token worthless; a waiter for its camera gets RegistrationExpired."""
        if (token := self._tokens.pop(board_id, None)) is not None:
            _expire(token)

    def _expire_tokens(self) -> None:
        now = self.clock.monotonic()
        for token in self._tokens.values():
            if now >= token.expires:
                _expire(token)

    def registration(self, board_id: str) -> Future[Camera]:
        """Return the future of the camera that this board's token is for; raises KeyError."""
        return self._tokens[board_id].registered

    def redeem(
        self, request: Registration, *, max_cameras: int
    ) -> tuple[Camera, str, Mapping[str, Any]]:
        """Use a token; returns the camera, its key and the token's data.

        Raises RegistrationRefused with `bad_token`, `claimed` or `too_many_cameras`.
        """
        token = self._tokens.get(request.id)
        matches = hmac.compare_digest(
            token.hash if token else _NO_HASH, _hash(request.token)
        )
        holder = self._by_board.get(request.id)
        if token is None or not matches:
            raise RegistrationRefused("claimed" if holder else "bad_token")
        if token.used or self.clock.monotonic() >= token.expires:
            raise RegistrationRefused("bad_token")
        if holder is not None and holder.id != token.camera_id:
            raise RegistrationRefused("claimed")
        camera = self.cameras.get(token.camera_id)
        if camera is None and len(self.cameras) >= max_cameras:
            raise RegistrationRefused("too_many_cameras")
        token.used = True
        name = token.data.get("name")
        if camera is None:
            camera = Camera(
                token.camera_id,
                board_id=request.id,
                name=str(name or f"{request.model} {request.id[-5:]}"),
                model=request.model,
                firmware=request.fw,
                caps=request.caps,
                host=self,
            )
            self.cameras[camera.id] = camera
        else:
            if camera.board_id != request.id:
                del self._by_board[camera.board_id]
                camera.take_board(request.id)
            camera.reclaim(request, name=str(name) if name else None)
        self._by_board[request.id] = camera
        key = _make_secret()
        self._credentials[camera.id] = _Credentials(_hash(key))
        self.save()
        if not token.registered.done():
            token.registered.set_result(camera)
        return camera, key, token.data

    def forget(self, camera_id: str) -> Camera | None:
        """Revoke the key of a camera; returns it where it was known."""
        for board_id in [
            board_id
            for board_id, token in self._tokens.items()
            if token.camera_id == camera_id
        ]:
            self.revoke_token(board_id)
        self._credentials.pop(camera_id, None)
        if (camera := self.cameras.pop(camera_id, None)) is not None:
            del self._by_board[camera.board_id]
            self.save()
        return camera

    # Keys

    def check_key(self, board_id: str, key: str) -> Camera | None:
        """Return the board's camera if this is its key; takes as long for an unknown id."""
        presented = _hash(key)
        camera = self._by_board.get(board_id)
        credentials = self._credentials.get(camera.id) if camera else None
        key_hash = credentials.key_hash if credentials else _NO_HASH
        new_key_hash = (credentials and credentials.new_key_hash) or _NO_HASH
        is_old = hmac.compare_digest(key_hash, presented)
        is_new = hmac.compare_digest(new_key_hash, presented)
        if credentials is None:
            return None
        if is_new and credentials.new_key_hash is not None:
            credentials.key_hash, credentials.new_key_hash = presented, None
            self.save()
            return camera
        return camera if is_old else None

    async def begin_rekey(self, camera_id: str) -> str:
        """Return a new key that is good beside the old one until it is used.

        A camera keeps the key for good, so it is on disk before the camera hears of it.
        """
        key = _make_secret()
        self._credentials[camera_id].new_key_hash = _hash(key)
        await self.save_now()
        return key

    def abandon_rekey(self, camera_id: str) -> None:
        """Forget the new key: the camera refused it."""
        if (credentials := self._credentials.get(camera_id)) is not None:
            credentials.new_key_hash = None
            self.save()

    def failed(self, address: str, board_id: str) -> int:
        """Count a wrong secret; returns seconds to wait, 0 while within the limits."""
        return max(self._by_address.failed(address), self._by_id.failed(board_id))


def _expire(token: _Token) -> None:
    if not token.registered.done():
        token.registered.set_exception(RegistrationExpired())
        # Nobody may be waiting.
        token.registered.exception()
