"""What a camera measured, and what was counted of it."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Self

from ..messages import Heartbeat, Hello


def _optional_int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(slots=True)
class Telemetry:
    """Last measurements that a camera reported; None = never."""

    rssi: int | None = None
    battery_mv: int | None = None
    battery_pct: int | None = None
    heap: int | None = None
    backlog: int | None = None
    wifi_ms: int | None = None
    tls_ms: int | None = None
    first_frame_ms: int | None = None
    charging: bool | None = None

    @classmethod
    def from_hello(cls, hello: Hello) -> Self:
        """Return what a hello reports."""
        return cls(
            rssi=hello.rssi,
            battery_mv=hello.battery_mv,
            battery_pct=hello.battery_pct,
            heap=hello.heap,
            backlog=hello.backlog,
            wifi_ms=hello.timing.wifi_ms,
            tls_ms=hello.timing.tls_ms,
            first_frame_ms=hello.timing.first_frame_ms,
            charging=hello.charging,
        )

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read stored measurements; a missing or broken one is None."""
        values = data if isinstance(data, dict) else {}
        return cls(
            **{
                item.name: _optional_int(values.get(item.name))
                for item in fields(cls)
                # Whether it still charges only the camera knows
                if item.name != "charging"
            }  # type: ignore[arg-type]
        )

    def update(self, heartbeat: Heartbeat) -> None:
        """Take what a heartbeat reports; what it leaves out stays."""
        if heartbeat.rssi is not None:
            self.rssi = heartbeat.rssi
        if heartbeat.battery_mv is not None:
            self.battery_mv = heartbeat.battery_mv
        if heartbeat.charging is not None:
            self.charging = heartbeat.charging
        if heartbeat.heap is not None:
            self.heap = heartbeat.heap
        self.backlog = heartbeat.backlog


@dataclass(slots=True)
class Counters:
    """Totals since the camera was registered; drops, repairs and faults by reason."""

    frames: int = 0
    bytes: int = 0
    events: int = 0
    duplicates: int = 0
    lost: int = 0
    """Frames given up, by the camera and by this side."""
    given_up: int = 0
    """Of these, by this side."""
    wakes: int = 0
    connections: int = 0
    alarms_dropped: int = 0
    """By the camera itself, because no picture confirmed them."""
    spent: Counter[str] = field(default_factory=Counter)
    """Wakes by their kind, and seconds awake, with radio, with sensor, as the camera reported them."""
    drops: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def dropped(self) -> int:
        """Frames that were refused, of all reasons."""
        return self.drops.total()

    @property
    def repaired(self) -> int:
        """Repairs, of all kinds."""
        return self.repairs.total()

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, and plain dicts of them."""
        return {
            item.name: dict(value)
            if isinstance(value := getattr(self, item.name), Counter)
            else value
            for item in fields(self)
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read stored counters; a missing or broken one begins at zero."""
        counters = cls()
        if not isinstance(data, dict):
            return counters
        for item in fields(cls):
            value = data.get(item.name)
            if isinstance(getattr(counters, item.name), Counter):
                if isinstance(value, dict):
                    numbers = {
                        str(key): count
                        for key, count in value.items()
                        if isinstance(count, int)
                    }
                    setattr(counters, item.name, Counter(numbers))
            elif isinstance(value, int):
                setattr(counters, item.name, value)
        return counters
