"""What the recorder reports to its listener, and its counters."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..model import Event

type ProblemKind = Literal[
    "ffmpeg",
    "storage_full",
    "storage_gone",
    "storage_hangs",
    "storage_other",
    "storage_refuses",
    "only_protected_left",
    "storage_taken",
    "clock_implausible",
]
STORAGE_PROBLEMS: tuple[ProblemKind, ...] = (
    "storage_full",
    "storage_gone",
    "storage_hangs",
    "storage_other",
    "only_protected_left",
    "storage_taken",
)


@dataclass(frozen=True, slots=True)
class EventStarted:
    """An event began, or goes on."""

    event: Event


@dataclass(frozen=True, slots=True)
class ClipReady:
    """All that came of an event can be watched."""

    event: Event


@dataclass(frozen=True, slots=True)
class EventDropped:
    """An event ended of which nothing could be recorded."""

    event: Event


@dataclass(frozen=True, slots=True)
class FrameGivenUp:
    """A frame that was taken is lost: no disk took it, or ffmpeg makes nothing of it."""

    camera: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Recording does not work; `detail` is for people."""

    kind: ProblemKind
    detail: str


@dataclass(frozen=True, slots=True)
class Solved:
    """Recording works again."""

    kind: ProblemKind


type RecorderNotice = (
    EventStarted | ClipReady | EventDropped | FrameGivenUp | Problem | Solved
)


@dataclass(slots=True)
class RecorderStats:
    """Counters and the present state. `drops`: frames given up, by reason."""

    encoders: int = 0
    queue: int = 0  # frames that are not in an hour file yet
    spooled: int = 0  # of these, on disk in a spool
    spooled_ever: int = 0
    memory: int = 0  # bytes of pictures that wait in memory
    spool_bytes: int = 0  # of all spools on disk
    frames: int = 0
    events: int = 0
    bytes_written: int = 0  # to hour files, spools and thumbnails
    duplicates: int = 0
    nudged: int = 0
    encoder_failures: int = 0
    drops: Counter[str] = field(default_factory=Counter)


class Problems:
    """What is wrong now; each kind is reported once, and once when it is over."""

    def __init__(self, notify: Callable[[RecorderNotice], None]) -> None:
        """Begin with none."""
        self._notify = notify
        self._details: dict[ProblemKind, str] = {}

    def __contains__(self, kind: ProblemKind) -> bool:
        """Return whether a problem of this kind is reported."""
        return kind in self._details

    def __bool__(self) -> bool:
        """Return whether anything is wrong."""
        return bool(self._details)

    @property
    def concerns_storage(self) -> bool:
        """Whether the storage takes nothing."""
        return any(kind in self._details for kind in STORAGE_PROBLEMS)

    def report(self, kind: ProblemKind, detail: str) -> None:
        """Report a problem unless it is known."""
        if kind not in self._details:
            self._details[kind] = detail
            self._notify(Problem(kind, detail))

    def solve(self, *kinds: ProblemKind) -> None:
        """Report that problems are over."""
        for kind in kinds:
            if self._details.pop(kind, None) is not None:
                self._notify(Solved(kind))
