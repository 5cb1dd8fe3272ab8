"""Settings of the gateway."""

from dataclasses import dataclass, field

from .link.listener import ListenerLimits
from .protocol import HELLO_TIMEOUT_S, IDLE_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Settings of the listener; `host` None = every address. Times in seconds."""

    host: str | None = None
    port: int = 3443
    max_cameras: int = 50
    hello_timeout_s: float = HELLO_TIMEOUT_S
    idle_timeout_s: float = IDLE_TIMEOUT_S
    tick_s: float = 0.4
    """Between two looks at what passes by itself: acks, silence, lateness."""
    limits: ListenerLimits = field(default_factory=ListenerLimits)
