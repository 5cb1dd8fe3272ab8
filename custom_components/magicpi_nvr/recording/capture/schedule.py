"""Which event gets an encoder, and what happens when its frames are encoded."""

import asyncio
import logging
from time import monotonic

from ..errors import StorageFailed
from ..files import replace_file
from ..library.layout import HourPath
from ..model import StoredSegment
from .context import Context
from .disk import DiskHealth
from .durability import Durability
from .encoder import EncoderFailed
from .event import OngoingEvent
from .notices import ClipReady, EventDropped
from .segment import SegmentEncoding
from .spooling import Spooling

_LOGGER = logging.getLogger(__name__)

IDLE_PREEMPT_S = 2.0
SLICE_S = 30.0
STOP_S = 5.0
FFMPEG_PROBLEM_AFTER = 3  # failures
FFMPEG_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
FINISHED_KEPT = 32  # events per camera, should more of them come
_BAD_PICTURE_AFTER = 5  # failures
_FIRST_THUMBNAIL_S = 1.5
_BETTER = 1.2


class Schedule:
    """Gives encoders to events, one at most per camera, and finishes the events."""

    def __init__(
        self,
        context: Context,
        disk: DiskHealth,
        durability: Durability,
        spooling: Spooling,
        encodings: dict[str, SegmentEncoding],
    ) -> None:
        """Begin with no encoder; `encodings` by camera."""
        self._context = context
        self._disk = disk
        self._durability = durability
        self._spooling = spooling
        self._encodings = encodings
        self.tasks: dict[str, asyncio.Task[None]] = {}  # by camera
        self.is_started = False
        self._ffmpeg_failures = 0
        self._ffmpeg_retry = 0.0  # monotonic s
        self._ffmpeg_worked = 0.0  # monotonic s

    def run(self) -> None:
        """Give free encoders to the cameras in turn, each to its oldest event that waits."""
        context = self._context
        if context.is_closing or not self.is_started:
            return
        waiting: list[OngoingEvent] = []
        for name, camera in context.cameras.items():
            if name in self.tasks:
                continue
            # One that only has to be finished needs no encoder.
            over = first = None
            for event in camera.unfinished.values():
                if not event.waits:
                    if event.is_ended and over is None:
                        over = event
                elif first is None or _before(event, first):
                    first = event
            if over is not None:
                self._start(over)
            elif first is not None:
                waiting.append(first)
        if (
            not waiting
            or context.problems.concerns_storage
            or monotonic() < self._ffmpeg_retry
        ):
            return
        waiting.sort(
            key=lambda event: (
                event.failures > 0,
                context.cameras[event.camera].served,
                event.start_ms,
            )
        )
        for event in waiting:
            if len(self._encodings) >= context.settings.max_encoders:
                self._preempt()
                return
            self._start(event)

    def retry_now(self) -> None:
        """Forget the pause after a failure: the settings changed."""
        self._ffmpeg_retry = 0.0

    def preempt_all(self) -> None:
        """End the segments that are being encoded."""
        for encoding in self._encodings.values():
            encoding.event.preempt()

    def preempt_requested(self) -> None:
        """End segments whose hour file will change; their events go on in another part."""
        claims = self._context.library.claims
        for encoding in self._encodings.values():
            if encoding.path is not None and claims.is_requested(encoding.path):
                encoding.event.preempt()

    async def stop(self) -> None:
        """End all encoders, cleanly if they do so in time."""
        for event in self._context.events.values():
            event.preempt()
        if tasks := list(self.tasks.values()):
            _, pending = await asyncio.wait(tasks, timeout=STOP_S)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _preempt(self) -> None:
        """Take the encoder from events that get no frames while others wait, or from the one that has had it for long."""
        now = monotonic()
        asked = False
        for encoding in self._encodings.values():
            if (
                encoding.idle_since is not None
                and now - encoding.idle_since > IDLE_PREEMPT_S
            ):
                encoding.event.preempt()
            asked |= encoding.event.preempted
        if not asked and self._encodings:
            oldest = min(self._encodings.values(), key=lambda item: item.began)
            if now - oldest.began > SLICE_S:
                oldest.event.preempt()

    def _start(self, event: OngoingEvent) -> None:
        if event.frames or event.take_late():
            self._encode(event)
            self._context.cameras[event.camera].served = monotonic()
        self._context.stats.encoders = len(self._encodings)
        task = asyncio.create_task(self._work(event), name=f"record {event.id}")
        self.tasks[event.camera] = task
        task.add_done_callback(lambda task: self._done(event.camera, task))

    def _encode(self, event: OngoingEvent) -> None:
        self._encodings[event.camera] = SegmentEncoding(
            self._context, self._disk, self._durability, event
        )

    def _done(self, camera: str, task: asyncio.Task[None]) -> None:
        self.tasks.pop(camera, None)
        self._encodings.pop(camera, None)
        self._context.stats.encoders = len(self._encodings)
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("Unexpected error while recording", exc_info=error)
        self.run()

    async def _work(self, event: OngoingEvent) -> None:
        """Encode what waits of an event, and finish the event if it is over."""
        stored: StoredSegment | None = None
        while (encoding := self._encodings.get(event.camera)) is not None:
            try:
                await encoding.run()
            except EncoderFailed as err:
                self._encoder_failed(event, encoding, err)
            except StorageFailed as err:
                encoding.has_ended_well = False
                self._disk.failed(err, now=monotonic())
            else:
                event.failures = 0
            if encoding.made_progress:
                self._encoder_worked()
            stored = encoding.stored()
            may_go_on = (
                encoding.has_ended_well
                and not event.preempted
                and not self._context.is_closing
            )
            event.clear_preempted()
            if not may_go_on or not (event.frames or event.take_late()):
                break
            if stored is not None:
                await self._context.record(event, "recording", stored)
            self._encode(event)
        if event.is_ended and not event.frames and not event.late:
            await self._finish(event, stored)
        elif stored is not None:
            await self._context.record(event, "recording", stored)

    async def _finish(self, event: OngoingEvent, stored: StoredSegment | None) -> None:
        """Announce that an event is over, unless more of it came meanwhile."""
        # The encoder is free as soon as its child is gone.
        self._encodings.pop(event.camera, None)
        if event.written:
            await self._save_thumbnail(event)
        await self._context.record(event, "ready", stored)
        async with event.spooling:
            if event.frames or event.late or not event.is_ended:
                return
            self._close(event)
        await self._spooling.end(event)
        model = event.to_event("ready")
        self._context.notify(ClipReady(model) if event.written else EventDropped(model))

    def _close(self, event: OngoingEvent) -> None:
        """Mark an event as finished, and forget the camera's oldest finished one."""
        event.is_finished = True
        event.chooser.best = None
        camera = self._context.cameras[event.camera]
        camera.unfinished.pop(event.id, None)
        camera.finished[event.id] = event
        while len(camera.finished) > FINISHED_KEPT:
            oldest = next(iter(camera.finished))
            del camera.finished[oldest], self._context.events[oldest]

    async def update_waiting(self) -> None:
        """Save a first thumbnail of running events, and record which events wait."""
        for event in self._context.unfinished():
            if event.camera not in self.tasks:
                if event.is_ended and event.state != "waiting":
                    await self._context.record(event, "waiting", None)
            elif (
                event.path
                and event.thumbnail is None
                and event.chooser.is_settled()
                and monotonic() - event.began > _FIRST_THUMBNAIL_S
            ):
                await self._save_thumbnail(event)

    async def _save_thumbnail(self, event: OngoingEvent) -> None:
        """Write the best picture so far, unless the one on disk is nearly as good."""
        # The first one may be under way when the event ends, and must not come last
        async with event.picturing:
            await self._save_best(event)

    async def _save_best(self, event: OngoingEvent) -> None:
        chooser = event.chooser
        if (jpeg := chooser.best) is None or (
            event.thumbnail and chooser.score <= event.thumbnail_score * _BETTER
        ):
            return
        relative = HourPath.parse(event.path).thumbnail(event.id)
        path = self._context.settings.root / relative

        def save() -> None:
            self._disk.check_root()
            replace_file(path, jpeg)

        try:
            await self._disk.run(save)
        except OSError as err:
            if isinstance(err, PermissionError):
                self._context.problems.report("storage_refuses", str(err))
            else:
                self._disk.failed(err, now=monotonic())
            return
        if self._context.library.refused is None:
            self._context.problems.solve("storage_refuses")
        self._context.stats.bytes_written += len(jpeg)
        event.thumbnail, event.thumbnail_score = relative, chooser.score

    def _encoder_failed(
        self, event: OngoingEvent, encoding: SegmentEncoding, error: EncoderFailed
    ) -> None:
        """Wait before the next try, unless this one made progress."""
        self._context.stats.encoder_failures += 1
        _LOGGER.debug("Event %s: %s", event.id, error)
        if encoding.made_progress:
            return
        event.failures += 1
        now = monotonic()
        if (
            event.failures >= _BAD_PICTURE_AFTER
            and self._ffmpeg_worked > event.failing_since
        ):
            # Others are encoded well: it is this picture.
            self._durability.undecodable(event, [event.frames[0]])
            event.failures = 0
            return
        if event.failures == 1:
            event.failing_since = now
        self._ffmpeg_failures += 1
        self._ffmpeg_retry = (
            now
            + FFMPEG_BACKOFF_S[min(self._ffmpeg_failures, len(FFMPEG_BACKOFF_S)) - 1]
        )
        if self._ffmpeg_failures >= FFMPEG_PROBLEM_AFTER:
            self._context.problems.report("ffmpeg", str(error))

    def _encoder_worked(self) -> None:
        self._ffmpeg_failures = 0
        self._ffmpeg_retry = 0.0
        self._ffmpeg_worked = monotonic()
        self._context.problems.solve("ffmpeg")


def _before(one: OngoingEvent, other: OngoingEvent) -> bool:
    """Whether an event is encoded before another of its camera."""
    return (one.failures > 0, one.start_ms) < (other.failures > 0, other.start_ms)
