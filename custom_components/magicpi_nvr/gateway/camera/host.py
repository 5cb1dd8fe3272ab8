"""What a camera needs from outside: its registry, and its connection."""

from typing import Final, Protocol

from ..clock import Clock
from ..protocol import CloseCode

SAVE_LATER_S: Final = 3600


class CameraHost(Protocol):
    """What a camera needs of its registry."""

    clock: Clock

    def save(self) -> None:
        """Write soon what must survive a restart."""

    def save_later(self, within_s: float = SAVE_LATER_S) -> None:
        """Write what changes all the time so long after the last write, or at the stop: storage wears."""

    async def begin_rekey(self, camera_id: str) -> str:
        """Return a new key that is good beside the old one, once it is on disk."""

    def abandon_rekey(self, camera_id: str) -> None:
        """Forget the new key."""


class CameraLink(Protocol):
    """The connection of a camera, as far as the camera needs it."""

    address: str

    def send(self, text: str) -> None:
        """Send a message soon."""

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begin to close."""
