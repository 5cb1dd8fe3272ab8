"""After an interruption: repairing the files, and knowing again the events that may go on."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
import logging
import math
from pathlib import Path
from time import monotonic

from ..hourfile import Claims, HourFile, HourFileError, repair, scan, sync_file
from ..library.layout import HourPath, event_id, spool_files
from .context import Context
from .durability import Durability
from .event import OngoingEvent, WaitingFrame
from .spool import Spool, SpooledFrame, SpoolError
from .spooling import Spooling

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class Found:
    """What is on disk. `hours`: file by path, and whether its last segment was cut off."""

    hours: list[tuple[HourPath, HourFile, bool]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    spools: list[tuple[Spool, list[SpooledFrame]]] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)  # by event


def repair_files(
    root: Path, paths: Iterable[str], claims: Claims, found: Found
) -> None:
    """Repair and read hour files. Blocking."""
    for path in paths:
        _repair_file(root, HourPath.parse(path), claims, found)


def read_spools(root: Path, found: Found) -> None:
    """Read the spools. Blocking; raises OSError."""
    for path in spool_files(root):
        try:
            found.spools.append(Spool.open(path))
        except SpoolError:
            # Its first write was cut short, so nothing in it was acknowledged.
            _LOGGER.warning("%s cannot be read and is removed", path.name)
            path.unlink(missing_ok=True)


def _repair_file(root: Path, hour: HourPath, claims: Claims, found: Found) -> None:
    path = root / hour.relative
    if not claims.claim(path):
        return
    try:
        if not path.exists():
            return
        claims.truncate(path)
        try:
            file = scan(path)
            was_open = bool(file.segments) and file.segments[-1].end is None
            is_closed = file.is_closed
        except HourFileError:
            was_open = is_closed = False
        if not is_closed:
            found.changed.append(hour.relative)
            if (repaired := repair(path)) is None:
                return
            file = repaired
        else:
            sync_file(path)
        found.hours.append((hour, file, was_open))
        for segment in file.segments:
            with suppress(ValueError):
                picture = hour.thumbnail(segment.header.id)
                if (root / picture).exists():
                    found.pictures[segment.header.id] = picture
    except (HourFileError, OSError) as err:
        _LOGGER.warning("%s is ignored: %s", hour.relative, err)
    finally:
        claims.release(path)


class Recovery:
    """Puts what was found back into the recorder's state."""

    def __init__(
        self, context: Context, durability: Durability, spooling: Spooling
    ) -> None:
        """Prepare."""
        self._context = context
        self._durability = durability
        self._spooling = spooling

    def restore(self, found: Found) -> None:
        """Know the events again, so that they can go on and no frame comes twice."""
        for hour, file, was_open in found.hours:
            self._restore_hour(hour, file, was_open, found)
        for spool, frames in found.spools:
            self._restore_spool(spool, frames)

    def _restore_hour(
        self, hour: HourPath, file: HourFile, was_open: bool, found: Found
    ) -> None:
        context = self._context
        for segment in file.segments:
            header = segment.header
            if header.camera != hour.camera or header.id != event_id(
                header.camera, header.boot, header.event
            ):
                continue
            if (event := context.events.get(header.id)) is None:
                event = OngoingEvent.from_segment(hour, segment)
                context.events[header.id] = event
                if picture := found.pictures.get(header.id):
                    event.thumbnail, event.thumbnail_score = picture, math.inf
                context.cameras[event.camera].finished[event.id] = event
            event.add_segment(hour.relative, segment)
            boot = self._durability.restore(header.camera, header.boot)
            boot.highest = max(boot.highest, segment.last_seq)
            if was_open and segment is file.segments[-1]:
                self._await_return(event)

    def _restore_spool(self, spool: Spool, frames: Sequence[SpooledFrame]) -> None:
        """Queue the frames of a spool that are in no hour file."""
        context = self._context
        header = spool.header
        if (event := context.events.get(header.id)) is None:
            event = context.events[header.id] = OngoingEvent.from_spool(spool)
        event.spool = spool
        self._spooling.count(event)
        self._await_return(event)
        boot = self._durability.restore(event.camera, event.boot)
        for place in frames:
            boot.highest = max(boot.highest, place.seq)
            if place.seq in event.seqs:
                continue
            frame = WaitingFrame(
                event=event,
                seq=place.seq,
                t=place.t,
                at_ms=place.at_ms,
                flags=place.flags,
                width=place.width,
                height=place.height,
                size=place.size,
                arrived=event.last_arrival,
                jpeg=None,
                place=place,
                persisted=True,
            )
            if place.seq < event.seqs.last:
                event.late.append(frame)
            else:
                event.frames.append(frame)
                event.last_at = max(event.last_at, place.at_ms)
            event.seqs.add(place.seq, place.seq)
            event.spooled += 1
            context.stats.queue += 1
            context.stats.spooled += 1

    def _await_return(self, event: OngoingEvent) -> None:
        """The event was interrupted; its camera may come back and go on with it."""
        self._context.reopen(event)
        event.resume()
        event.last_arrival = event.left_at = monotonic()
