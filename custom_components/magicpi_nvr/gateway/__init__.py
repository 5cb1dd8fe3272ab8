"""The cameras' side of MagicPi NVR: TLS listener, keys, claiming, sessions."""

from .authority import Authority
from .camera import (
    Camera,
    CameraAsleep,
    CameraStatus,
    Change,
    CommandFailed,
    CommandRefused,
    Counters,
    FirmwareOffer,
    LogLine,
    OtaProgress,
    OtaStep,
    Telemetry,
)
from .clock import Clock
from .config import CONFIG_KEYS, ConfigError, ConfigKey, Mailbox
from .listener import ListenerLimits
from .protocol import Caps, CloseCode, Frame, Hello
from .registry import RegistrationExpired, Registry, Storage
from .server import Gateway, GatewayDelegate, GatewaySettings
from .session import Session

__all__ = [
    "CONFIG_KEYS",
    "Authority",
    "Camera",
    "CameraAsleep",
    "CameraStatus",
    "Caps",
    "Change",
    "Clock",
    "CloseCode",
    "CommandFailed",
    "CommandRefused",
    "ConfigError",
    "ConfigKey",
    "Counters",
    "FirmwareOffer",
    "Frame",
    "Gateway",
    "GatewayDelegate",
    "GatewaySettings",
    "Hello",
    "ListenerLimits",
    "LogLine",
    "Mailbox",
    "OtaProgress",
    "OtaStep",
    "RegistrationExpired",
    "Registry",
    "Session",
    "Storage",
    "Telemetry",
]
