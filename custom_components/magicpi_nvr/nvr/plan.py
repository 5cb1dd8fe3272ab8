"""What a start or a move is made with."""

from dataclasses import dataclass

from ..gateway import GatewaySettings
from ..options import NvrOptions
from ..recording import RecordingSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What a start or a move is made with."""

    options: NvrOptions
    recording: RecordingSettings
    # Whether a storage that takes long to open is waited for: only then can a move go back
    waits: bool = False

    @property
    def gateway(self) -> GatewaySettings:
        """Settings of the gateway."""
        return GatewaySettings(
            port=self.options.port, max_cameras=self.options.max_cameras
        )
