"""Frames that no encoder takes in time go to their event's spool on disk."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
import logging
from time import monotonic

from ..errors import StorageFailed
from ..library.layout import spool_path
from .context import Context
from .disk import DiskHealth
from .durability import Durability
from .event import OngoingEvent, WaitingFrame
from .segment import SegmentEncoding
from .spool import Spool, SpooledFrame

_LOGGER = logging.getLogger(__name__)

# What is only in memory is lost with the process. Each time all that waits is written, because each time is a sync.
WAITING_S = 0.6
ENCODING_S = 0.7
WORTH_ENDING = 8 * 1024 * 1024  # bytes


class Spooling:
    """Writes, counts and removes the spools."""

    def __init__(
        self,
        context: Context,
        disk: DiskHealth,
        durability: Durability,
        encodings: Mapping[str, SegmentEncoding],
    ) -> None:
        """Begin with none; `encodings` by camera."""
        self._context = context
        self._disk = disk
        self._durability = durability
        self._encodings = encodings
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def write_overdue(self, now: float) -> None:
        """Spool when a frame has waited too long: it, all before it, and those that will have soon."""
        # What one camera alone may have is half.
        stats, settings = self._context.stats, self._context.settings
        is_tight = stats.memory > settings.memory_limit // 3
        for key, boot in self._durability.boots.items():
            pending = boot.unpersisted()
            count, is_due = 0, False
            for i, frame in enumerate(pending, 1):
                if frame.written:
                    continue
                is_encoded = self._is_encoded(frame.event)
                age, patience = now - frame.arrived, _patience(frame.event, is_encoded)
                is_due |= is_tight or age > patience
                if is_tight or not is_encoded or age > patience / 2:
                    count = i
            if is_due and key not in self._tasks:
                # A camera's spools may be many and their syncs slow; other cameras do not wait for them.
                task = asyncio.create_task(self.write(pending[:count]), name="spool")
                self._tasks[key] = task
                task.add_done_callback(partial(self._written, key))

    async def finish(self) -> None:
        """Wait for writes under way, and spool all that is only in memory."""
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        for boot in self._durability.boots.values():
            await self.write(boot.unpersisted())
        for event in self._context.events.values():
            if not event.frames and not event.late:
                await self.end(event)

    async def write(self, frames: Iterable[WaitingFrame]) -> None:
        """Write frames to the spools of their events, in order."""
        by_event: dict[OngoingEvent, list[WaitingFrame]] = {}
        for frame in frames:
            by_event.setdefault(frame.event, []).append(frame)
        for event, group in by_event.items():
            async with event.spooling:
                if not await self._write_event(event, group):
                    return

    async def _write_event(
        self, event: OngoingEvent, group: Sequence[WaitingFrame]
    ) -> bool:
        """Write frames of one event; False when the disk refused."""
        # After a power cut the highest number on disk counts, in whichever file it is.
        if (encoding := self._encodings.get(event.camera)) is not None:
            try:
                await encoding.sync()
            except StorageFailed as err:
                self._disk.failed(err, now=monotonic())
                return False
        waiting = [
            (frame, jpeg)
            for frame in group
            if not frame.persisted and (jpeg := frame.jpeg) is not None
        ]
        if not waiting:
            return True
        if (spool := event.spool) is None:
            path = spool_path(self._context.settings.root, event.id)
            spool = event.spool = Spool(path, event.spool_header())
        try:
            places = await self._disk.run(partial(self._append, spool, waiting))
        except OSError as err:
            self._disk.failed(err, now=monotonic())
            return False
        self.count(event)
        stats = self._context.stats
        for (frame, _), place in zip(waiting, places, strict=True):
            if frame.persisted:
                continue
            frame.place = place
            event.spooled += 1
            if not frame.written:
                stats.spooled += 1
            stats.spooled_ever += 1
            stats.bytes_written += place.size
            self._durability.persist(frame)
        return True

    def _append(
        self, spool: Spool, waiting: Sequence[tuple[WaitingFrame, bytes]]
    ) -> list[SpooledFrame]:
        """Append frames and sync. Blocking."""
        self._disk.check_root()
        return spool.append(
            ((frame.to_spool(), jpeg) for frame, jpeg in waiting),
            self._disk.check_root,
        )

    def _written(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        del self._tasks[key]
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("Unexpected error while spooling", exc_info=error)

    async def end(self, event: OngoingEvent) -> None:
        """Remove the event's spool unless a frame needs it."""
        async with event.spooling:
            if (spool := event.spool) is None or event.spooled:
                return
            event.spool = None
            self.count(event)
            try:
                await self._disk.run(spool.remove)
            except OSError as err:
                # The next start removes it.
                self._disk.failed(err, now=monotonic())

    async def end_large(self) -> None:
        """Let a running event begin another spool when all of a large one is in its hour file."""
        for event in self._context.unfinished():
            if (
                event.spool is not None
                and not event.spooled
                and event.spool.size > WORTH_ENDING
            ):
                await self.end(event)

    def count(self, event: OngoingEvent) -> None:
        """Count the bytes of an event's spool on disk."""
        size = event.spool.size if event.spool else 0
        grown, event.spool_size = size - event.spool_size, size
        self._context.cameras[event.camera].spool += grown
        self._context.stats.spool_bytes += grown

    def _is_encoded(self, event: OngoingEvent) -> bool:
        encoding = self._encodings.get(event.camera)
        return encoding is not None and encoding.event is event


def _patience(event: OngoingEvent, is_encoded: bool) -> float:
    """Return how many seconds a frame may be in memory only."""
    if is_encoded:
        # One frame waits inside the encoder for its successor.
        return ENCODING_S + min(max(event.interval_ms - 200, 0), 2000) / 1000
    return WAITING_S
