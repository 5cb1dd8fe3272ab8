"""What an hour file holds: segments, fragments and frames, and the messages that name them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import NamedTuple, Self

from .boxes import SYNC_SAMPLE, TICKS_PER_MS, BoxError, VideoConfig

EVENT_SCHEME = "urn:magicpi:event:1"
EVENT_END_SCHEME = "urn:magicpi:event-end:1"


class HourFileError(Exception):
    """The file is not an hour file of ours."""


class ConfigDiffers(Exception):
    """The file was begun with another codec configuration."""


class Sample(NamedTuple):
    """One encoded frame: length-prefixed NAL units, duration in ticks."""

    data: bytes
    duration: int
    sync: bool


class Frame(NamedTuple):
    """Where one frame lies in the file; duration and dts in ticks of boxes.TIMESCALE."""

    offset: int
    size: int
    duration: int
    dts: int
    sync: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment; `table` holds duration, size and flags of each sample, one after the other."""

    offset: int
    end: int
    data_offset: int
    dts: int
    boot: int
    event: int
    first_seq: int
    last_seq: int
    crc: int
    table: tuple[int, ...]

    @property
    def frame_count(self) -> int:
        """Samples in it."""
        return len(self.table) // 3

    @property
    def last_dts(self) -> int:
        """Decode time of its last frame."""
        return self.next_dts - self.table[-3]

    @property
    def next_dts(self) -> int:
        """Decode time after its last sample."""
        return self.dts + sum(self.table[::3])


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """What the `emsg` before a segment says.

    `t` is the camera's clock at the segment's first frame, in ms. `recorded_ms`: how long recording had run when
    the event began, `clock_trusted`: whether the host's clock was plausible then. `hour_ms` is when the local hour began in
    which the event began: all segments of a file have the same.
    """

    id: str
    camera: str
    start_ms: int
    reason: str
    boot: int
    event: int
    number: int
    t: int
    hour_ms: int = 0
    recorded_ms: int = 0
    clock_trusted: bool = True

    def to_json(self) -> bytes:
        """Return the message."""
        return json.dumps(
            {
                "v": 1,
                "id": self.id,
                "camera": self.camera,
                "start": self.start_ms,
                "reason": self.reason,
                "boot": self.boot,
                "event": self.event,
                "run": self.number,
                "t": self.t,
                "hour": self.hour_ms,
                "recorded": self.recorded_ms,
                "trusted": self.clock_trusted,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the message; raises BoxError."""
        try:
            fields = json.loads(data)
            return cls(
                id=str(fields["id"]),
                camera=str(fields["camera"]),
                start_ms=int(fields["start"]),
                reason=str(fields["reason"]),
                boot=int(fields["boot"]),
                event=int(fields["event"]),
                number=int(fields["run"]),
                t=int(fields["t"]),
                hour_ms=int(fields["hour"]),
                # Version 0.1.0 wrote neither.
                recorded_ms=int(fields.get("recorded", 0)),
                clock_trusted=fields.get("trusted", True) is not False,
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
            raise BoxError("not the message of a segment") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEnd:
    """What the `emsg` after a segment says."""

    id: str
    end_ms: int
    frames: int
    lost: int

    def to_json(self) -> bytes:
        """Return the message."""
        return json.dumps(
            {
                "id": self.id,
                "end": self.end_ms,
                "frames": self.frames,
                "lost": self.lost,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the message; raises BoxError."""
        try:
            fields = json.loads(data)
            return cls(
                id=str(fields["id"]),
                end_ms=int(fields["end"]),
                frames=int(fields["frames"]),
                lost=int(fields["lost"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
            raise BoxError("not the end message of a segment") from err


@dataclass(slots=True, kw_only=True)
class Segment:
    """An event, or the part of an event between two interruptions."""

    header: SegmentHeader
    offset: int  # of its first byte, the `emsg`
    end_offset: int  # after its last byte
    dts: int  # decode time of its first sample
    fragments: list[Fragment] = field(default_factory=list)
    end: SegmentEnd | None = None  # None = still being written, or cut off

    @property
    def first_seq(self) -> int:
        """Number of its first frame."""
        return self.fragments[0].first_seq

    @property
    def last_seq(self) -> int:
        """Number of its last frame."""
        return self.fragments[-1].last_seq

    @property
    def frame_count(self) -> int:
        """Frames in it."""
        return sum(len(fragment.table) for fragment in self.fragments) // 3

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.end_offset - self.offset

    @property
    def next_dts(self) -> int:
        """Decode time after its last frame."""
        return self.fragments[-1].next_dts

    @property
    def end_ms(self) -> int:
        """Wall time after its last frame."""
        return self.header.start_ms + (self.next_dts - self.dts) // TICKS_PER_MS

    def frames(self) -> Iterator[Frame]:
        """Yield its frames; a frame lasts until the next one begins, whatever its own fragment foresaw."""
        for i, fragment in enumerate(self.fragments):
            table = fragment.table
            offset, dts = fragment.data_offset, fragment.dts
            last = len(table) - 3
            for j in range(0, len(table), 3):
                duration, size, flags = table[j : j + 3]
                if j == last and i + 1 < len(self.fragments):
                    duration = self.fragments[i + 1].dts - dts
                yield Frame(offset, size, duration, dts, flags == SYNC_SAMPLE)
                offset += size
                dts += duration


@dataclass(slots=True, kw_only=True)
class HourFile:
    """What a file holds. Bytes from `valid_end` on are a torn tail."""

    path: Path
    config: VideoConfig
    init_size: int
    segments: list[Segment]
    valid_end: int
    size: int

    @property
    def next_dts(self) -> int:
        """Decode time at which the next segment begins."""
        return self.segments[-1].next_dts if self.segments else 0

    @property
    def fragment_count(self) -> int:
        """Fragments in all segments."""
        return sum(len(segment.fragments) for segment in self.segments)

    @property
    def is_closed(self) -> bool:
        """Whether the file ends as a writer that was not interrupted leaves it."""
        return self.valid_end == self.size and (
            not self.segments or self.segments[-1].end is not None
        )
