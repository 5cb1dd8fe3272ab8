"""Nouns of copies. Wall times are UTC epoch milliseconds, sizes are bytes."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an event; `frames` tells a longer clip from a shorter one."""

    event: str
    camera: str
    camera_name: str
    start_ms: int
    end_ms: int
    reason: str
    frames: int
    lost: int = 0
    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    description: str = ""
    protected: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)  # for who reads the file

    def same_notes(self, other: Facts) -> bool:
        """Whether the other says the same of the same clip."""
        return self.as_dict() == other.as_dict()

    def with_notes(self, other: Facts) -> Facts:
        """Return the same clip with what the other says of it."""
        return replace(
            self,
            camera_name=other.camera_name,
            labels=other.labels,
            zones=other.zones,
            description=other.description,
            protected=other.protected,
            more={**self.more, **other.more},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "event": self.event,
            "camera": self.camera,
            "camera_name": self.camera_name,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "reason": self.reason,
            "frames": self.frames,
            "lost": self.lost,
            "labels": list(self.labels),
            "zones": list(self.zones),
            "description": self.description,
            "protected": self.protected,
            "more": dict(self.more),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read it; raises KeyError, TypeError, ValueError."""
        return cls(
            event=str(data["event"]),
            camera=str(data["camera"]),
            camera_name=str(data["camera_name"]),
            start_ms=int(data["start_ms"]),
            end_ms=int(data["end_ms"]),
            reason=str(data["reason"]),
            frames=int(data["frames"]),
            lost=int(data["lost"]),
            labels=tuple(str(label) for label in data["labels"]),
            zones=tuple(str(zone) for zone in data["zones"]),
            description=str(data["description"]),
            protected=data["protected"] is True,
            more=dict(data["more"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which clips a target gets; an empty set is no condition. Of labels and zones together one must match."""

    protected_only: bool = False
    cameras: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()

    def match(self, facts: Facts) -> bool:
        """Whether the target gets this clip."""
        if self.protected_only and not facts.protected:
            return False
        if self.cameras and facts.camera not in self.cameras:
            return False
        if not self.labels and not self.zones:
            return True
        labels = {label.casefold() for label in facts.labels}
        zones = {zone.casefold() for zone in facts.zones}
        return bool(
            labels & {label.casefold() for label in self.labels}
            or zones & {zone.casefold() for zone in self.zones}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """How a target is filled and emptied; None = no limit. `rate` in bytes per second, `hours` local."""

    rules: Rules = Rules()
    newest_first: bool = True
    rate: int | None = None
    hours: tuple[time, time] | None = None
    days: int | None = None
    max_bytes: int | None = None


class LocalClip(Protocol):
    """A clip as the library has it now."""

    facts: Facts
    size: int
    thumbnail: bytes | None
    # What gives the recording back from the clip's own bytes; opaque here, JSON.
    source: Mapping[str, Any]

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield bytes of the MP4; raises SourceGone."""


class ClipSource(Protocol):
    """Where local clips come from."""

    async def open(self, event: str) -> LocalClip | None:
        """Return a clip, None when it is not here any more; raises SourceGone when it cannot be read now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A clip arrived, byte for byte."""

    facts: Facts
    name: str
    size: int
    again: bool  # it was there before, shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Copies that retention at the target removed, or that were found missing."""

    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Copies that were read from the target: made by an earlier index, or by another gateway."""

    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Figures or state changed."""


type CopyNotice = Copied | Removed | Found | Changed


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyStats:
    """Where a target stands."""

    waiting: int
    copies: int
    stored: int
    last_copied_ms: int | None
    failing_since_ms: int | None
    cause: str | None
    missed: int  # clips that the disk lost before they were copied
