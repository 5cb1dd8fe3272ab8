"""What a camera needs from outside: its registry, and its connection."""

from typing import Protocol

from ..clock import Clock
from ..protocol import CloseCode


class CameraHost(Protocol):
    """What a camera needs of its registry."""

    clock: Clock

    def save(self) -> None:
        """Write soon what must survive a restart."""

    def save_later(self) -> None:
        """Write within an hour or at the stop what changes all the time: storage wears."""

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
