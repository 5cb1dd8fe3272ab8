"""The nouns of recording. Wall times are UTC epoch milliseconds, sizes are bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict

# Recorded between events: not in lists, and kept for days of its own
REASON_CONTINUOUS = "continuous"
# Its pieces begin where the clock shows a multiple of this
PIECE_MS = 5 * 60 * 1000

FLAG_PRE_ROLL = 1
FLAG_STILL = 2
FLAG_LAST = 4
FLAG_WARMING_UP = 8

# One picture of a camera's timer wake: kept for films of weeks, and no event to a person
REASON_CHECK_IN = "check_in"


class CapturedFrame(Protocol):
    """One good JPEG with its name (camera, boot, seq) and its capture time."""

    @property
    def camera(self) -> str:
        """Upper-case MAC with colons."""

    @property
    def boot(self) -> int:
        """Random number of the camera's boot, u32."""

    @property
    def event(self) -> int:
        """Number of the event within this boot, 0 = none."""

    @property
    def seq(self) -> int:
        """Number of the frame within this boot, from 1."""

    @property
    def flags(self) -> int:
        """Bits FLAG_*."""

    @property
    def t(self) -> int:
        """The camera's monotonic milliseconds since boot at capture."""

    @property
    def captured_ms(self) -> int:
        """Wall time of capture."""

    @property
    def jpeg(self) -> bytes:
        """The picture, from SOI to EOI."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""


class SampleTap(Protocol):
    """Hears each sample that is about to be recorded; in the event loop, and it must not raise."""

    def is_watched(self, camera: str) -> bool:
        """Whether samples of a camera are wanted soon, not in groups."""

    def began(self, camera: str, avcc: bytes) -> None:
        """An encoder gave its configuration, the body of `avcC`."""

    def sample(self, camera: str, at_ms: int, data: bytes, key: bool) -> None:
        """A sample of length-prefixed NAL units came out; `at_ms`: UTC epoch ms of its capture."""

    def ended(self, camera: str) -> None:
        """The encoder ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRetention:
    """Limits of one camera; None = the default of all."""

    days: int | None = None
    nothing_seen_days: int = (
        1  # of events in which nothing was seen; no more than `days`
    )
    max_bytes: int | None = None
    continuous_days: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSettings:
    """Settings of recorder and library; `root` is the folder that holds the cameras' folders."""

    root: Path
    index: Path
    ffmpeg: str
    time_zone: tzinfo
    crf: int = 23
    preset: str = "superfast"
    max_encoders: int = 2
    memory_limit: int = 64 * 1024 * 1024
    spool_limit: int | None = None  # None = a tenth of the disk, within limits
    retention_days: int = 7
    check_in_days: int = 60
    free_space_floor: int = 1024 * 1024 * 1024
    time_stamps: frozenset[str] = frozenset()  # cameras whose pictures get their time
    cameras: Mapping[str, CameraRetention] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Something that was recognized in an event's pictures; `box` is (x, y, w, h), 0 to 1 of the picture."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    zones: tuple[str, ...] = ()
    still: bool = False  # it stood there in the event before
    counts: bool = True  # sure, not still, and in a zone to watch

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: in notes, REST, cards and automations."""
        return {
            "label": self.label,
            "score": self.score,
            "box": list(self.box),
            "zones": list(self.zones),
            "still": self.still,
            "counts": self.counts,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What vision says of an event. `verdict`: seen, nothing_seen, or None; `strength`: percent of the picture that moved at most."""

    verdict: str | None = None
    zones: tuple[str, ...] = ()
    detections: tuple[Detection, ...] = ()
    strength: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that count, best first."""
        return tuple(
            dict.fromkeys(item.label for item in self.detections if item.counts)
        )


NOTHING_SEEN = "nothing_seen"
NO_FINDINGS = Findings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One recorded event. `state`: recording, waiting (in the spool) or ready."""

    id: str
    camera: str
    start_ms: int
    end_ms: int
    reason: str
    state: str
    frames: int
    lost: int
    size: int
    path: str  # of the hour file, relative to the root
    protected: bool = False
    labels: tuple[str, ...] = ()
    description: str = ""
    thumbnail: str | None = None  # relative to the root
    # Order of recording: how long recording had run when the event began, in ms over all starts. 0 = version 0.1.0.
    recorded_ms: int = 0
    clock_trusted: bool = True  # whether the host's clock was plausible then
    remote: bool = False  # it is at a target alone
    findings: Findings = NO_FINDINGS

    @property
    def is_continuous(self) -> bool:
        """Whether it is a piece of a continuous recording."""
        return self.reason == REASON_CONTINUOUS

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Labels that people gave, and those that vision found."""
        return tuple(dict.fromkeys((*self.labels, *self.findings.labels)))

    @property
    def order(self) -> tuple[int, int, str]:
        """Key that sorts events by when they were recorded, whatever the clock said."""
        return self.recorded_ms, self.start_ms, self.id

    @property
    def duration_ms(self) -> int:
        """Length of the clip."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """Where a segment is and what it holds, without its fragments.

    Decode times and durations are in ticks of 1/90000 s. A picture's wall time is `start_ms` plus its decode time's distance from `dts`.
    """

    event: str
    number: int  # within the event, from 0; more than one after an interruption
    camera: str
    path: str  # of the hour file, relative to the root
    offset: int
    end: int  # offset of the first byte behind it
    start_ms: int
    end_ms: int  # from the end box once closed, until then of the last picture's end
    reason: str
    dts: int
    duration: int
    frames: int
    boot: int
    first_seq: int
    last_seq: int
    lost: int
    closed: bool
    recorded_ms: int = 0
    clock_trusted: bool = True
    remote: bool = False  # its bytes are at a target

    @property
    def size(self) -> int:
        """Bytes in the hour file."""
        return self.end - self.offset


def piece_end_ms(piece: Event | StoredSegment) -> int:
    """Return until when motion that begins lies within a piece of a continuous recording, unless another piece begins before.

    Of one of its segments, as far as that one tells.
    """
    return max((piece.start_ms // PIECE_MS + 1) * PIECE_MS, piece.end_ms)


class EventFilter(TypedDict, total=False):
    """Which events of the cameras are meant; None or left out = any.

    They overlap [start_ms, end_ms). `label` is a person's or the detector's, `text` words that label or description must contain.
    `nothing_seen` False leaves out events in which nothing was seen, `continuous` those that are pieces of a continuous recording.
    """

    date: str | None
    start_ms: int | None
    end_ms: int | None
    protected: bool | None
    label: str | None
    zone: str | None
    nothing_seen: bool | None
    text: str | None
    check_ins: bool  # pictures of check-ins in place of events
    continuous: bool | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first, and the cursor of the next page (None = the end)."""

    events: tuple[Event, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class DayCount:
    """Events of a local date (`YYYY-MM-DD`)."""

    date: str
    events: int
    size: int


@dataclass(frozen=True, slots=True)
class HourCount:
    """Events of a local hour, both of them where the clock repeats it; `name` is `08`."""

    name: str
    events: int
    size: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class CameraUsage:
    """What one camera has on disk."""

    camera: str
    events: int
    size: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeReport:
    """What a purge removed (or would remove)."""

    dry_run: bool
    events: tuple[Event, ...]
    freed: int
    protected_kept: int
    floor_reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStats:
    """The disk below the root; `days_until_full` is None while there is too little history."""

    used: int
    free: int
    total: int
    events: int
    protected: int
    days_until_full: float | None
    cameras: tuple[CameraUsage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """What a clip shows: make it by one of the class methods. `name`: what people call the camera, for the file's name.

    Events follow each other without the time between them. `timelapse` is the speed factor of a time-lapse, None = as it was.
    `check_ins`: the pictures of check-ins, which no other clip but an event's own shows.
    """

    event_id: str | None = None
    camera: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    date: str | None = None
    stem: str | None = None
    timelapse: float | None = None
    name: str | None = None
    check_ins: bool = False

    @classmethod
    def event(
        cls, event_id: str, *, timelapse: float | None = None, name: str | None = None
    ) -> Self:
        """One event."""
        return cls(event_id=event_id, timelapse=timelapse, name=name)

    @classmethod
    def range(
        cls,
        camera: str,
        start_ms: int,
        end_ms: int,
        *,
        timelapse: float | None = None,
        name: str | None = None,
        check_ins: bool = False,
    ) -> Self:
        """All that a camera recorded between two times, or its pictures of check-ins; begins with the key frame that its first picture needs."""
        return cls(
            camera=camera,
            start_ms=start_ms,
            end_ms=end_ms,
            timelapse=timelapse,
            name=name,
            check_ins=check_ins,
        )

    @classmethod
    def hour(
        cls,
        camera: str,
        date: str,
        stem: str,
        *,
        timelapse: float | None = None,
        name: str | None = None,
    ) -> Self:
        """One local hour: `08` is all parts of it, `08-2` the second."""
        return cls(camera=camera, date=date, stem=stem, timelapse=timelapse, name=name)

    @classmethod
    def day(
        cls,
        camera: str,
        date: str,
        *,
        timelapse: float | None = None,
        name: str | None = None,
    ) -> Self:
        """One local date."""
        return cls(camera=camera, date=date, timelapse=timelapse, name=name)
