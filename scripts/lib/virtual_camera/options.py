"""How a virtual camera is built and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zeroconf.asyncio import AsyncZeroconf

from .setup_mode import LOCKOUT_S

MODEL = "MagicPi Virtual Camera"
FIRMWARE = "1.0.0"
RING_BYTES = 2 * 1024 * 1024

CAPS: dict[str, Any] = {
    "resolutions": ["QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"],
    "psram": 4194304,
    "battery": True,
    "flash": True,
    "sd": False,
    "motion": ["pir"],
    "sleep": True,
    "ota": True,
    "features": ["checkin_picture", "confirm_motion", "ring", "charging"],
}


@dataclass(kw_only=True)
class Options:
    """How a virtual camera is built and where it stands; times in seconds."""

    http_bind: str = "127.0.0.1"
    http_port: int = 0
    zeroconf: AsyncZeroconf | None = None
    advertise_addresses: tuple[str, ...] = ()
    gateway: tuple[str, int] | None = None
    time_factor: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    always_on: bool = False
    battery_pct: float | None = 100.0
    battery_pct_per_boot: float = 0.01
    charging: bool = False
    features: tuple[str, ...] | None = None
    """None = all; a camera of before has none."""
    model: str = MODEL
    fw: str = FIRMWARE
    rssi: int = -58
    wifi_s: float = 0.3
    connect_timeout_s: float = 5.0
    linger_s: float = 0.5
    heartbeat_s: float = 10.0
    give_up_s: float = 120.0
    tail_s: float | None = None
    lockout_s: float = LOCKOUT_S
    ring_bytes: int = RING_BYTES
    fragment: int | None = None
    ota_result: str = "ok"
    ota_public_key: str | None = field(default=None, repr=False)
