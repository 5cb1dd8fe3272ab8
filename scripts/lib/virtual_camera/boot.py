"""What a camera knows between waking and sleeping; all of it is gone afterwards."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
import secrets
from typing import Literal

from .outbox import FrameFlag, Outbox

type WakeReason = Literal[
    "pir",
    "timer",
    "power",
    "brownout",
    "watchdog",
    "button",
    "ota",
    "crash",
    "ring",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a boot ends: asleep for some seconds of the camera's time, or restarted."""

    sleep_s: float | None = None
    restart: WakeReason = "power"


@dataclass(slots=True)
class Recording:
    """One event while it is captured; times in ms since boot."""

    event: int
    limit_t: int
    active: bool = True
    end_t: int | None = None
    frames: int = 0
    source: str = "pir"
    single: bool = False


@dataclass(frozen=True, slots=True)
class SentFrame:
    """The record of a frame that left the camera, for proofs."""

    boot: int
    event: int
    seq: int
    t: int
    flags: FrameFlag
    crc: int
    size: int


@dataclass(slots=True)
class Counters:
    """What happened since the camera was made, over all boots; frames unless said otherwise."""

    captured: int = 0
    sent: int = 0
    resent: int = 0
    acked: int = 0
    lost: int = 0
    bytes_sent: int = 0
    boots: int = 0
    events: int = 0
    connects: int = 0
    failed_connects: int = 0
    resumed_sessions: int = 0
    heartbeats: int = 0
    motion_ignored: int = 0
    wrong_setup_codes: int = 0
    closes: Counter[int] = field(default_factory=Counter)


@dataclass(eq=False)
class Boot:
    """One boot."""

    reason: WakeReason
    started: float
    outbox: Outbox
    clock: Callable[[], float]
    number: int = field(default_factory=lambda: secrets.randbits(32))
    seq: int = 0
    events: int = 0
    recording: Recording | None = None
    live: bool = False
    # Seconds between pictures that are kept for a link that is lost; until when without one
    keep_s: float | None = None
    keep_until: float = 0
    captured_at: float = 0
    linked_once: bool = False
    sensor_frames: int = 0
    first_frame_ms: int | None = None
    wifi_ms: int = 0
    stay_awake_until: float = 0
    progress_at: float = 0
    updating: bool = False
    leaving: bool = False
    outcome: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin to be busy now."""
        self.progress_at = self.started

    @property
    def uptime_ms(self) -> int:
        """Return the monotonic ms since boot."""
        return int((self.clock() - self.started) * 1000)

    @property
    def capturing(self) -> bool:
        """Return whether the sensor is at work."""
        return self.recording is not None or self.live or self.keeping

    @property
    def keeping(self) -> bool:
        """Return whether pictures are taken although nobody is there."""
        return self.clock() < self.keep_until

    def progress(self) -> None:
        """Note that something was achieved, for which staying awake was worth it."""
        self.progress_at = self.clock()
        self.changed.set()

    def end(self, outcome: Outcome) -> None:
        """End the boot, unless it is over already."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
