"""One segment's encoding: frames of one event and size through one encoder into one hour file.

Long because feeding, collecting, writing, syncing and leaving a file share the state of one encoding.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import StorageFailed
from ..hourfile import (
    TICKS_PER_MS,
    ConfigDiffers,
    HourFileError,
    HourFileWriter,
    Sample,
    SegmentHeader,
    VideoConfig,
)
from ..hourfile.sps import with_coded_size
from ..library.file_rows import stored_segment
from ..library.layout import HourPath, hour_parts
from ..model import StoredSegment
from ..stamp import LONGEST_RUN_MS, Stretch, stamp_filters
from ..threads import DiskHangs, complete
from .context import Context
from .disk import DiskHealth
from .durability import Durability
from .encoder import Config, Encoded, Encoder, EncoderFailed
from .event import OngoingEvent, WaitingFrame
from .spool import SpoolError

FRAGMENT_MS = 500
FLUSH_S = 0.7
GATHER_S = 0.25
# After the first unsynced frame. A camera keeps a frame until its sync and has room for about 4 s.
SYNC_S = 0.6
INDEX_S = 15.0
# A longer pause begins another segment: a duration has 32 bits, and nobody watches a still for minutes.
LONGEST_PAUSE_MS = 10 * 60 * 1000
_FEED_AT_ONCE = 16
_LONGEST_GUESS_MS = 500
_MOST_PARTS = 1000
_CHILD_EXIT_S = 2.0


class SegmentEncoding:
    """run() encodes the event's frames until the event ends, pauses, or needs another segment."""

    def __init__(
        self,
        context: Context,
        disk: DiskHealth,
        durability: Durability,
        event: OngoingEvent,
    ) -> None:
        """Prepare for the event's first waiting frame."""
        first = event.frames[0]
        self.event = event
        self.idle_since: float | None = None
        self.made_progress = False
        self.has_ended_well = False
        self.began = monotonic()
        self._context = context
        self._tap = context.tap
        self._disk = disk
        self._durability = durability
        self._base_ms = first.at_ms
        self._first = first
        self._encoder = Encoder(
            context.settings.ffmpeg,
            crf=context.settings.crf,
            preset=context.settings.preset,
            width=first.width,
            height=first.height,
        )
        self._number = event.segments
        self._fed = 0  # frames at the head of the event's queue that the encoder has
        self._fed_at = -1  # the last one's ms in the segment
        self._inside: deque[WaitingFrame] = deque()  # fed, no sample yet
        self._got: list[
            tuple[WaitingFrame, Encoded]
        ] = []  # samples of the next fragment
        self._got_since = 0.0
        self._input_closed = False
        self._writing = asyncio.Lock()
        self._syncing = asyncio.Lock()
        # Written, and where they end in the file: what lies behind its last sync, a power cut would take.
        self._unsynced: deque[tuple[int, list[WaitingFrame]]] = deque()
        self._has_unsynced = asyncio.Event()
        self._writer: HourFileWriter | None = None
        self._config: VideoConfig | None = None
        self._part: HourPath | None = None
        self._broken: StorageFailed | None = None
        self._overdue: list[Future[Any]] = []  # threads that use the file
        self._counted = 0  # bytes of the segment that the event has
        self._index_pause = 0.0
        self._indexed_at = 0.0

    async def run(self) -> None:
        """Encode. Frames that are not written stay in the event's queue; raises EncoderFailed, StorageFailed."""
        helpers: list[asyncio.Task[None]] = []
        try:
            await self._draw_times()
            await self._encoder.start()
            helpers = [
                asyncio.create_task(self._feed()),
                asyncio.create_task(self._flush_slow()),
                asyncio.create_task(self._sync_often()),
            ]
            collector = asyncio.create_task(self._collect())
            helpers.append(collector)
            await _first_failure(collector, helpers)
            self.has_ended_well = True
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await complete(self._stop())

    async def _draw_times(self) -> None:
        """Have the encoder draw times where the camera's options say so."""
        settings = self._context.settings
        if self.event.camera not in settings.time_stamps:
            return
        if (folder := await self._context.time_stamps.folder(settings)) is None:
            return
        begin = Stretch(0, self.event.start_ms + self._base_ms, LONGEST_RUN_MS)
        self._encoder.draw(stamp_filters([begin], settings.time_zone), folder)

    async def _stop(self) -> None:
        """End the child, and give the file back."""
        await self._encoder.stop()
        if self._tap and self._config is not None:
            self._tap.ended(self.event.camera)
        await self._close()

    async def _feed(self) -> None:
        """Give frames to the encoder, a few at a time: each time wakes both sides. Then close its input."""
        event = self.event
        while not event.preempted:
            event.changed.clear()
            batch, is_over = self._next_frames()
            if batch:
                if self._fed_at >= 0 and not is_over:
                    await self._gather(batch)
                    batch, _ = self._next_frames()
                await self._give(batch)
            elif is_over or event.is_ended:
                break
            else:
                self.idle_since = monotonic()
                await event.changed.wait()
                self.idle_since = None
        self._input_closed = True
        self._encoder.close_input()

    async def _gather(self, batch: Sequence[WaitingFrame]) -> None:
        """Wait for more frames to feed at once, unless the event is over."""
        event = self.event
        wait_s = batch[0].arrived + GATHER_S - monotonic()
        self._encoder.is_prompt = bool(self._tap and self._tap.is_watched(event.camera))
        if self._encoder.is_prompt:
            return
        if len(batch) == _FEED_AT_ONCE or wait_s <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await event.flush_now.wait()

    async def _load(self, frame: WaitingFrame) -> bytes | None:
        """Return a frame's picture, None when it is damaged for good; raises StorageFailed."""
        if frame.jpeg is not None:
            return frame.jpeg
        spool, place = frame.event.spool, frame.place
        if spool is None or place is None:
            return None
        try:
            return await self._disk.run(lambda: spool.read(place))
        except SpoolError:
            return None
        except OSError as err:
            raise StorageFailed from err

    async def _give(self, batch: Sequence[WaitingFrame]) -> None:
        """Write frames to the encoder; raises EncoderFailed, StorageFailed."""
        pictures: list[tuple[int, bytes]] = []
        for frame in batch:
            jpeg = await self._load(frame)
            if jpeg is None:
                self._durability.undecodable(self.event, [frame])
                continue
            self._fed += 1
            self._fed_at = frame.at_ms - self._base_ms
            self._inside.append(frame)
            self.event.chooser.offer(jpeg, frame.flags)
            pictures.append((self._fed_at, jpeg))
        await self._encoder.write(pictures)

    def _next_frames(self) -> tuple[list[WaitingFrame], bool]:
        """Return the next frames that may follow in this segment, and whether what comes then needs another."""
        batch: list[WaitingFrame] = []
        at_ms = self._fed_at
        for frame in islice(self.event.frames, self._fed, self._fed + _FEED_AT_ONCE):
            own_ms = frame.at_ms - self._base_ms
            if (
                (frame.width, frame.height) != (self._first.width, self._first.height)
                or own_ms <= at_ms
                or own_ms - at_ms > LONGEST_PAUSE_MS
            ):
                return batch, True
            batch.append(frame)
            at_ms = own_ms
        return batch, False

    async def _collect(self) -> None:
        """Gather what comes out into fragments."""
        async for packet in self._encoder.packets():
            if isinstance(packet, Config):
                # ffmpeg follows a JPEG's orientation, so its pictures may be turned.
                self._config = with_coded_size(
                    VideoConfig(packet.avcc, self._first.width, self._first.height)
                )
                if self._tap:
                    self._tap.began(self.event.camera, packet.avcc)
                continue
            if self._got and packet.at_ms - self._first_got_ms() >= FRAGMENT_MS:
                await self._flush(next_ms=packet.at_ms)
            self.made_progress = True
            self._take(packet)
            if len(self._inside) <= 1 and not self._encoder.is_prompt:
                # The encoder gives no more until it gets more. Fed frame by frame it does so all the time.
                await self._flush(next_ms=self._next_inside_ms())
        if not self._input_closed:
            raise EncoderFailed("ffmpeg ended before its input did")
        if self._config is None:
            raise EncoderFailed("ffmpeg made nothing of what it got")
        await self._flush()
        if self._inside:
            self._durability.undecodable(self.event, tuple(self._inside))
            self._inside.clear()

    def _next_inside_ms(self) -> int | None:
        return self._inside[0].at_ms - self._base_ms if self._inside else None

    def _first_got_ms(self) -> int:
        return self._got[0][1].at_ms

    def _take(self, packet: Encoded) -> None:
        """Match a sample with the frame that has its time."""
        skipped: list[WaitingFrame] = []
        while self._inside:
            frame = self._inside.popleft()
            if (own_ms := frame.at_ms - self._base_ms) == packet.at_ms:
                break
            if own_ms > packet.at_ms:
                raise EncoderFailed("ffmpeg changed the times")
            skipped.append(frame)
        else:
            raise EncoderFailed("ffmpeg made up a frame")
        if skipped:
            self._durability.undecodable(self.event, skipped)
            self._fed -= len(skipped)
        if not self._got:
            self._got_since = monotonic()
        self._got.append((frame, packet))
        if self._tap:
            at_ms = self.event.start_ms + frame.at_ms
            self._tap.sample(self.event.camera, at_ms, packet.data, packet.sync)

    async def _flush_slow(self) -> None:
        """Write what waits for a fragment to fill when no frame comes any more."""
        while True:
            await asyncio.sleep(FLUSH_S / 2)
            if self._got and monotonic() - self._got_since > FLUSH_S:
                await self._flush()

    async def _flush(self, next_ms: int | None = None) -> None:
        """Append a fragment; `next_ms`: when the frame after it begins, in the segment. Raises StorageFailed."""
        # What a thread has begun to write must be counted, also when the caller is cancelled.
        await asyncio.shield(asyncio.ensure_future(self._flush_now(next_ms)))
        if self._broken is not None:
            raise self._broken

    async def _flush_now(self, next_ms: int | None) -> None:
        async with self._writing:
            got, self._got = self._got, []
            if not got or self._broken is not None:
                return
            try:
                size = await self._store(self._append, got, next_ms)
            except StorageFailed as err:
                self._broken = err
                return
            self.event.segments = self._number + 1
            self._count(len(got))
            self._fed -= len(got)
            frames = [frame for frame, _ in got]
            self._durability.written(self.event, frames, size)
            assert self._writer is not None
            self._unsynced.append((self._writer.end, frames))
            self._has_unsynced.set()
        await self._update_index()

    async def _sync_often(self) -> None:
        """Make what was written last, about once a second while there is something."""
        while True:
            await self._has_unsynced.wait()
            await asyncio.sleep(SYNC_S)
            await self.sync()

    async def sync(self) -> None:
        """Make what is written now survive a power cut; raises StorageFailed."""
        await asyncio.shield(asyncio.ensure_future(self._sync_now()))
        if self._broken is not None:
            raise self._broken

    async def _sync_now(self) -> None:
        async with self._syncing:
            if not self._unsynced or self._broken is not None:
                return
            self._has_unsynced.clear()
            assert self._writer is not None
            try:
                await self._store(self._sync_file)
            except StorageFailed as err:
                self._broken = err
                return
            self._durability.synced(self.event, self._take_synced(self._writer.synced))

    def _sync_file(self) -> None:
        """Blocking."""
        assert self._writer is not None
        self._writer.sync()
        # What is on a disk that another one hides is not there for its readers.
        self._disk.check_root()

    def _take_synced(self, end: int) -> list[WaitingFrame]:
        """Return the frames that lie before the file's last sync, which may have seen more than was known of here."""
        synced: list[WaitingFrame] = []
        while self._unsynced and self._unsynced[0][0] <= end:
            synced += self._unsynced.popleft()[1]
        return synced

    def _append(
        self, got: Sequence[tuple[WaitingFrame, Encoded]], next_ms: int | None
    ) -> int:
        """Write a fragment and return the bytes appended. Blocking."""
        starts = [packet.at_ms for _, packet in got]
        if next_ms is None:
            next_ms = starts[-1] + min(self.event.interval_ms, _LONGEST_GUESS_MS)
        samples = [
            Sample(packet.data, (end - packet.at_ms) * TICKS_PER_MS, packet.sync)
            for (_, packet), end in zip(got, (*starts[1:], next_ms), strict=True)
        ]
        # Another disk may be mounted over the one that the file is on.
        self._disk.check_root()
        if (writer := self._writer) is None:
            writer = self._writer = self._open_writer()
            writer.begin_segment(self._header())
        before = writer.end
        writer.append(
            samples,
            first_seq=got[0][0].seq,
            last_seq=got[-1][0].seq,
            offset=starts[0] * TICKS_PER_MS,
        )
        return writer.end - before

    def _header(self) -> SegmentHeader:
        event = self.event
        return SegmentHeader(
            id=event.id,
            camera=event.camera,
            start_ms=event.start_ms + self._base_ms,
            reason=event.reason,
            boot=event.boot,
            event=event.number,
            number=self._number,
            t=event.t + self._base_ms,
            hour_ms=event.hour_ms,
            recorded_ms=event.recorded_ms,
            clock_trusted=event.clock_trusted,
        )

    def _open_writer(self) -> HourFileWriter:
        """Return a writer for the part that this segment may be appended to. Blocking."""
        assert self._config is not None
        root, hour = self._context.settings.root, self.event.hour
        parts = hour_parts(root, hour)
        for part in reversed(parts):
            writer = HourFileWriter(
                root / part.relative, self._config, self._context.library.claims
            )
            try:
                writer.open()
            except BlockingIOError, ConfigDiffers, HourFileError:
                continue
            # The hour that the clock repeats, or the same hour of another time zone, is another hour.
            if writer.hour_ms in (None, self.event.hour_ms):
                self._part = part
                return writer
            writer.close()
        last = parts[-1].part if parts else 0
        for number in range(last + 1, last + _MOST_PARTS):
            part = hour.with_part(number)
            writer = HourFileWriter(
                root / part.relative, self._config, self._context.library.claims
            )
            with suppress(BlockingIOError):
                writer.open()
                self._part = part
                return writer
        raise FileExistsError("no part of the hour can be written")

    async def _update_index(self) -> None:
        """Update the index, more and more rarely: the file has it too."""
        now = monotonic()
        if now - self._indexed_at < self._index_pause:
            return
        self._index_pause, self._indexed_at = max(INDEX_S, 2 * self._index_pause), now
        if stored := self.stored():
            await self._context.record(self.event, "recording", stored)

    @property
    def path(self) -> Path | None:
        """The hour file that is claimed for it."""
        return self._writer.path if self._writer else None

    def stored(self) -> StoredSegment | None:
        """Return what of the segment is in an hour file."""
        if self._writer is None or self._part is None or self._writer.segment is None:
            return None
        if not self._writer.segment.fragments:
            return None
        return stored_segment(self._part.relative, self._writer.segment)

    async def _close(self) -> None:
        """Write what came out so far, end the segment and give the file back; raises StorageFailed."""
        try:
            await self._flush()
        finally:
            # Neither a flush nor a sync is under way now, unless a thread is overdue with it.
            async with self._syncing:
                if self._overdue:
                    self._abandon()
                elif self._writer is not None:
                    try:
                        await self._store(self._end, self._writer)
                    finally:
                        if self._overdue:
                            self._abandon()
                        else:
                            self._count_unsynced()

    def _abandon(self) -> None:
        """Let the frames that are not synced wait again; the file stays claimed until the overdue work has ended."""

        def give_back() -> None:
            if (writer := self._writer) is not None:
                try:
                    # What was appended or synced meanwhile is written again elsewhere.
                    writer.discard_unsynced()
                finally:
                    writer.close()

        if self._writer is not None:
            kept = self._writer.abandon()
            self._durability.synced(self.event, self._take_synced(kept))
        unsynced = [frame for _, frames in self._unsynced for frame in frames]
        self._unsynced.clear()
        self._durability.discarded(self.event, unsynced)
        self.event.written -= len(unsynced)
        self.event.segments = self._number + 1
        self._disk.run_after(tuple(self._overdue), give_back)

    def _count_unsynced(self) -> None:
        """Settle the frames that were written last: what no sync has seen was truncated."""
        assert self._writer is not None
        self._durability.synced(self.event, self._take_synced(self._writer.synced))
        lost = [frame for _, frames in self._unsynced for frame in frames]
        self._unsynced.clear()
        if (segment := self._writer.segment) is not None and segment.end is not None:
            self.event.lost_stored += segment.end.lost
        if self._counted:
            self._count(-len(lost))
        if not lost:
            return
        if self._writer.segment is None or not self._writer.segment.fragments:
            self.event.segments = self._number
        self._durability.discarded(self.event, lost)

    def _count(self, frames: int) -> None:
        """Let the event have what the segment has."""
        assert self._writer and self._writer.segment and self._part
        segment = self._writer.segment
        end_ms = segment.end_ms if segment.fragments else 0
        self.event.count(
            frames, segment.size - self._counted, end_ms, self._part.relative
        )
        self._counted = segment.size

    def _end(self, writer: HourFileWriter) -> None:
        """Blocking."""
        event = self.event
        is_last = event.is_ended and not event.frames and not event.late
        try:
            # What an earlier end of the event said is not said again.
            lost = max(0, event.lost + event.given_up - event.lost_stored)
            try:
                writer.end_segment(lost=lost if is_last else 0)
            finally:
                writer.sync()
        finally:
            writer.discard_unsynced()
            writer.close()

    async def _store[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do file work; raises StorageFailed."""
        try:
            return await self._disk.run(lambda: job(*args, **kwargs))
        except DiskHangs as err:
            if err.running is not None:
                self._overdue.append(err.running)
            raise StorageFailed(str(err)) from err
        except OSError as err:
            raise StorageFailed(err.strerror or str(err)) from err


async def _first_failure(
    main: asyncio.Task[None], others: Sequence[Awaitable[None]]
) -> None:
    """Wait for the main task; a helper that fails earlier fails it."""
    pending = {asyncio.ensure_future(task) for task in others}
    while not main.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not main and (error := task.exception()):
                # The main task sees the child's end too and can say more of it.
                await asyncio.wait([main], timeout=_CHILD_EXIT_S)
                if not main.done():
                    raise error
    await main
