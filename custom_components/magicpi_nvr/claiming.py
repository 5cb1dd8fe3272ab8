"""One claim of a camera, from its token until the camera has registered or the claim is withdrawn."""

import asyncio
from contextlib import suppress
import re
from typing import Final, NamedTuple

from homeassistant.core import callback

from .const import CONF_ID, REGISTRATION_TIMEOUT
from .gateway import Camera, CameraAsleep, Change, CommandFailed, SetupClient
from .nvr import Nvr

# What the QR code on a camera's setup page holds, as a phone's camera hands it on
LINK: Final = re.compile(
    r"#(?P<id>[0-9A-F]{2}(?::[0-9A-F]{2}){5})/(?P<code>[0-9A-Z-]{16,24})$",
    re.IGNORECASE,
)
PICTURE_TIMEOUT: Final = 12


class Scanned(NamedTuple):
    """What a QR code says."""

    board_id: str
    code: str


def read_link(text: str) -> Scanned | None:
    """Return camera and setup code of a pasted link, None for anything else."""
    if (found := LINK.search(text.strip())) is None:
        return None
    return Scanned(found["id"].upper(), found["code"])


async def async_take_picture(nvr: Nvr, camera: Camera) -> None:
    """Have a first picture of a camera that has just registered; without one all else works."""
    connected = asyncio.Event()
    unsubscribe = camera.subscribe(lambda _: connected.set(), Change.STATUS)
    try:
        with suppress(TimeoutError, CameraAsleep, CommandFailed):
            async with asyncio.timeout(PICTURE_TIMEOUT):
                while camera.session is None:
                    await connected.wait()
                    connected.clear()
                await nvr.async_snapshot(camera)
    finally:
        unsubscribe()


class ClaimInProgress(Exception):
    """Another dialog claims this board, or one for the same camera."""


class BoardInUse(Exception):
    """The board is another camera here; `name` is that camera's."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        super().__init__(name)
        self.name = name


class ClaimWithdrawn(Exception):
    """The dialog was closed."""


class Claim:
    """A claim; its maker withdraws it, unless the camera gets its entry."""

    _deadline: asyncio.Timeout

    def __init__(self, nvr: Nvr, board_id: str, camera_id: str, name: str) -> None:
        """Nothing is issued yet; the board is to become the camera `camera_id`."""
        self._nvr = nvr
        self._board_id = board_id
        self._camera_id = camera_id
        self._name = name
        self._is_open = False
        self.registered: asyncio.Task[Camera] | None = None

    async def hand_over(self, client: SetupClient, code: str, hosts: list[str]) -> None:
        """Give the camera its bundle, and begin to wait for it.

        Raises ClaimError, ClaimInProgress, BoardInUse or ClaimWithdrawn; the claim is over then.
        """
        claiming = self._nvr.claiming
        if self._board_id in claiming or self._camera_id in claiming.values():
            raise ClaimInProgress
        entry = self._nvr.entries.of_board(self._board_id)
        if entry and entry.data[CONF_ID] != self._camera_id:
            raise BoardInUse(entry.title)
        claiming[self._board_id] = self._camera_id
        self._is_open = True
        gateway = self._nvr.gateway
        token = gateway.issue_token(
            self._board_id, data={"name": self._name}, camera_id=self._camera_id
        )
        # The camera may register before its answer is here
        waiting = self.registered = self._nvr.hass.async_create_task(
            self._wait(), "magicpi_nvr wait for camera"
        )
        try:
            await client.claim(
                code, gateway.bundle(token=token, name=self._name, hosts=hosts)
            )
        except BaseException:
            self.withdraw()
            raise
        if not self._is_open:
            raise ClaimWithdrawn
        if not waiting.done():
            self._deadline.reschedule(
                self._nvr.hass.loop.time() + REGISTRATION_TIMEOUT.total_seconds()
            )

    async def _wait(self) -> Camera:
        """Return the registered camera; raises TimeoutError, and the token is worthless then."""
        try:
            async with asyncio.timeout(None) as self._deadline:
                return await self._nvr.gateway.wait_registered(self._board_id)
        except TimeoutError:
            self.withdraw()
            raise

    @property
    def has_registered(self) -> bool:
        """Whether the camera came and has its key."""
        return (
            self.registered is not None
            and self.registered.done()
            and not self.registered.cancelled()
            and self.registered.exception() is None
        )

    @callback
    def withdraw(self) -> None:
        """Make the token worthless; a camera that has not registered cannot any more."""
        if not self._is_open:
            return
        self.close()
        self._nvr.gateway.revoke_token(self._board_id)
        if self.registered and asyncio.current_task() is not self.registered:
            self.registered.cancel()

    @callback
    def close(self) -> None:
        """End the claim; another one of this id may begin."""
        if self._is_open:
            self._is_open = False
            self._nvr.claiming.pop(self._board_id, None)
