"""The cameras' side of MagicPi NVR: TLS listener, keys, claiming, sessions."""

from .camera.camera import Camera, LogLine
from .camera.changes import Change
from .camera.commands import CameraAsleep, CommandFailed, CommandRefused
from .camera.configuration import (
    CONFIG_KEYS,
    ConfigError,
    ConfigKey,
    Configuration,
    ConfigValue,
)
from .camera.counters import Counters, Telemetry
from .camera.presence import CameraStatus
from .camera.update import FirmwareOffer, OtaProgress, OtaStep
from .clock import Clock
from .delegate import GatewayDelegate
from .link.listener import ListenerLimits
from .messages import Caps, ConfigAck, Heartbeat, Hello
from .protocol import (
    FLAG_PRE_ROLL,
    WAKE_TIMER,
    CloseCode,
    Frame,
    FrameHeader,
    is_camera_id,
    is_mac,
)
from .server import Gateway
from .session import Session
from .settings import GatewaySettings
from .trust.authority import SERVER_NAME, Authority
from .trust.claim import (
    AlreadyClaimed,
    BadId,
    CannotConnect,
    ClaimError,
    InvalidCode,
    NotACamera,
    OtherCamera,
    SetupClient,
    SetupInfo,
    StaleNonce,
    TooManyTries,
    WrongCode,
    code_of_link,
    normalize_code,
)
from .trust.registry import RegistrationExpired, Registry, Storage

__all__ = [
    "CONFIG_KEYS",
    "FLAG_PRE_ROLL",
    "SERVER_NAME",
    "WAKE_TIMER",
    "AlreadyClaimed",
    "Authority",
    "BadId",
    "Camera",
    "CameraAsleep",
    "CameraStatus",
    "CannotConnect",
    "Caps",
    "Change",
    "ClaimError",
    "Clock",
    "CloseCode",
    "CommandFailed",
    "CommandRefused",
    "ConfigAck",
    "ConfigError",
    "ConfigKey",
    "ConfigValue",
    "Configuration",
    "Counters",
    "FirmwareOffer",
    "Frame",
    "FrameHeader",
    "Gateway",
    "GatewayDelegate",
    "GatewaySettings",
    "Heartbeat",
    "Hello",
    "InvalidCode",
    "ListenerLimits",
    "LogLine",
    "NotACamera",
    "OtaProgress",
    "OtaStep",
    "OtherCamera",
    "RegistrationExpired",
    "Registry",
    "Session",
    "SetupClient",
    "SetupInfo",
    "StaleNonce",
    "Storage",
    "Telemetry",
    "TooManyTries",
    "WrongCode",
    "code_of_link",
    "is_camera_id",
    "is_mac",
    "normalize_code",
]
