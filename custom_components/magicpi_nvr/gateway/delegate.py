"""What the owner of a gateway provides: the one way from the cameras' side to the rest."""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Protocol

from .camera.camera import Camera
from .protocol import Frame


class GatewayDelegate(Protocol):
    """What the owner of a gateway answers; all called in the event loop, none may block."""

    async def ready(self) -> None:
        """Return once frames can be taken and `persisted` is true; welcomes wait for it."""

    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Take a good frame; True: `persisted` will come to cover it, False: refused for good."""

    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """All frames of the event came; `lost` of them the camera gave up, or they came damaged."""

    def motion_changed(
        self,
        camera: Camera,
        boot: int,
        event: int,
        active: bool,
        at_ms: int,
        source: str,
    ) -> None:
        """Motion begins or ends."""

    def persisted(self, camera_id: str, boot: int) -> int:
        """Highest seq of this boot up to which every frame it took is on disk, 0 = none."""

    def rotation(self, camera_id: str) -> int:
        """Degrees clockwise by which this camera's pictures are shown: 0, 90, 180 or 270."""

    def clock_stepped(self) -> None:
        """The host's wall clock was set, or the host did not run for a while."""

    def camera_registered(self, camera: Camera, token_data: Mapping[str, Any]) -> None:
        """A camera used its token."""

    def recordings(
        self,
        camera_id: str,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        cursor: str | None,
    ) -> Awaitable[dict[str, Any]]:
        """Answer `GET /recordings`; ValueError for a cursor that is none, OSError where the storage does not answer."""

    def firmware(self, camera_id: str, sha256: str) -> Path | None:
        """Return the image of this hash."""

    def stale_key(self, camera_id: str) -> None:
        """A known camera came with a wrong key."""
