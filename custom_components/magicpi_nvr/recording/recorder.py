"""Frames to events, encoders and hour files; and which of them are safe."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
import errno
from functools import partial
import logging
import math
import os
from pathlib import Path
import shutil
from time import monotonic
from typing import Literal

from .encoder import EncoderFailed
from .errors import RecordingError, StorageFailed
from .hourfile import (
    CLAIMS,
    HourFile,
    HourFileError,
    cut_taken_back,
    make_last,
    repair,
    scan,
)
from .layout import HourPath, event_id, hour_files, spool_files, spool_path
from .library import Library
from .model import FLAG_LAST, CapturedFrame, Event, RecordingSettings, StoredRun
from .ongoing import OngoingEvent, WaitingFrame
from .runner import Runner
from .sidecar import make_folder, replace_file
from .spool import Spool, SpooledFrame, SpoolError

_LOGGER = logging.getLogger(__name__)

TICK_S = 0.15
# Frames that no encoder takes yet go to the spool, soon: what is only in memory is lost with the process.
# Each time all that waits goes, because each time is a sync.
WAITING_SPOOL_S = 0.6
RUNNING_SPOOL_S = 0.7
SILENCE_S = 30.0
GRACE_S = 20.0
TOLD_SILENCE_S = 3.0
IDLE_YIELD_S = 2.0
SLICE_S = 30.0
STORAGE_PATIENCE_S = 30.0
STORAGE_RETRY_S = 5.0
ROOM_CHECK_S = 5.0
FFMPEG_PROBLEM_AFTER = 3
FFMPEG_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
STOP_S = 5.0
_POISON_FAILURES = 5
_PROVISIONAL_S = 1.5
_BETTER = 1.2
_THREADS = 4
_PROBE_SIZE = 1024 * 1024
_RECENT_NS = 2 * 24 * 3600 * 10**9
# Per camera. Days without ffmpeg do not reach it, a camera that opens an event with each frame does at once.
MAX_UNFINISHED = 256
_FINISHED_KEPT = 32
_MOST_SPOOL = 2 * 1024**3
_SPOOL_WORTH_ENDING = 8 * 1024 * 1024
_BOOTS_KEPT = 4

type ProblemKind = Literal[
    "ffmpeg", "storage_full", "storage_gone", "only_protected_left"
]
STORAGE_PROBLEMS: tuple[ProblemKind, ...] = (
    "storage_full",
    "storage_gone",
    "only_protected_left",
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
class Problem:
    """Recording does not work; `detail` is for people."""

    kind: ProblemKind
    detail: str


@dataclass(frozen=True, slots=True)
class Solved:
    """It works again."""

    kind: ProblemKind


type RecorderNotice = EventStarted | ClipReady | EventDropped | Problem | Solved


@dataclass(slots=True)
class RecorderStats:
    """Counters and the state of now. `drops`: frames given up, by reason."""

    encoders: int = 0
    queue: int = 0  # frames not in an hour file yet
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


@dataclass(slots=True)
class _Boot:
    """What is known of one boot of a camera: the highest seq seen, and the frames that are not safe."""

    highest: int = 0
    unsafe: deque[WaitingFrame] = field(default_factory=deque)


@dataclass(slots=True)
class _Camera:
    """What a camera has here: its events by id, and its part of memory and spool in bytes."""

    unfinished: dict[str, OngoingEvent] = field(default_factory=dict)
    finished: dict[str, OngoingEvent] = field(default_factory=dict)
    memory: int = 0
    spool: int = 0
    served: float = 0.0  # when it was last given an encoder


@dataclass(slots=True)
class _Found:
    """What start() found on disk."""

    hours: list[tuple[HourPath, HourFile, bool]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    spools: list[tuple[Spool, list[SpooledFrame]]] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)


class Recorder:
    """All public methods are called in the event loop; files are written in threads, JPEGs encoded in children."""

    def __init__(
        self,
        settings: RecordingSettings,
        library: Library,
        *,
        on_event: Callable[[RecorderNotice], None],
    ) -> None:
        """Prepare; nothing is touched before start()."""
        self.settings = settings
        self.stats = RecorderStats()
        self._library = library
        self._on_event = on_event
        self._events: dict[str, OngoingEvent] = {}
        self._cameras: defaultdict[str, _Camera] = defaultdict(_Camera)
        self._boots: dict[tuple[str, int], _Boot] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._runners: dict[str, Runner] = {}
        self._spooling: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, "magicpi-write")
        self._wake = asyncio.Event()
        self._housekeeper: asyncio.Task[None] | None = None
        self._closing = False
        self._stumbled = False
        self._mount: Path | None = None
        self._problems: dict[ProblemKind, str] = {}
        self._storage_checked = 0.0
        self._spool_limit = _MOST_SPOOL
        self._ffmpeg_failures = 0
        self._ffmpeg_retry = 0.0
        self._ffmpeg_worked = 0.0

    # The door

    async def start(self) -> None:
        """Repair what an interruption left, take up what waits, and begin. Raises OSError."""
        found = await self.in_thread(self._look)
        if found.changed:
            await self._library.rescan(found.changed)
        for hour, file, was_open in found.hours:
            self._recall(hour, file, was_open, found)
        for spool, frames in found.spools:
            self._take_up(spool, frames)
        self._begin_house()
        self._wake.set()
        self._schedule()

    async def stop(self) -> None:
        """Write what is there, put the rest into the spool, and end every child and thread."""
        self._closing = True
        if self._housekeeper:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        for event in self._events.values():
            event.give_way()
        if tasks := list(self._running.values()):
            _, pending = await asyncio.wait(tasks, timeout=STOP_S)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._spooling:
            await asyncio.wait(self._spooling.values())
        for boot in self._boots.values():
            await self._spool([frame for frame in boot.unsafe if not frame.safe])
        for event in self._events.values():
            if not event.frames and not event.late:
                await self._end_spool(event)
        # Its last write may still run: waited for where waiting blocks nobody
        await asyncio.to_thread(self._pool.shutdown)

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other settings; runs that are open keep theirs."""
        self.settings = settings
        self._ffmpeg_retry = 0.0
        self._schedule()

    def add_frame(self, frame: CapturedFrame, *, reason: str) -> bool:
        """Take a frame; the first of an event opens it. False when it is refused for good.

        Of memory and spool a camera may have as much as is free: alone half of the limit, of
        two each a third.
        """
        boot = self._boot(frame.camera, frame.boot)
        boot.highest = max(boot.highest, frame.seq)
        if self._closing or frame.event == 0:
            return False
        now = monotonic()
        camera = self._cameras[frame.camera]
        event = self._events.get(event_id(frame.camera, frame.boot, frame.event))
        if (
            (event is None or (event.is_finished and frame.seq not in event.seqs))
            and len(camera.unfinished) >= MAX_UNFINISHED
        ):  # fmt: skip
            return self._refuse("events")
        if event is None:
            event = self._begin(frame, reason)
        event.last_arrival, event.left_at = now, None
        if frame.seq in event.seqs:
            self.stats.duplicates += 1
            return True
        at_ms = event.place(frame)
        if at_ms is None:
            return self._refuse("time")
        size = len(frame.jpeg)
        if camera.memory + size > self.settings.memory_limit - self.stats.memory:
            self._wake.set()
            return self._refuse("memory")
        if not self._has_room_in_spool(camera, size):
            return self._refuse("spool")
        is_late = frame.seq < event.seqs.last
        if not is_late and at_ms <= event.last_at:
            at_ms = event.last_at + 1
            self.stats.nudged += 1
        waiting = WaitingFrame(
            event=event,
            seq=frame.seq,
            t=frame.t,
            at_ms=at_ms,
            flags=frame.flags,
            width=frame.width,
            height=frame.height,
            size=size,
            arrived=now,
            jpeg=frame.jpeg,
        )
        event.seqs.add(frame.seq, frame.seq)
        if is_late:
            event.late.append(waiting)
        else:
            if event.last_at >= 0:
                event.interval_ms = at_ms - event.last_at
            event.last_at = at_ms
            event.frames.append(waiting)
        boot.unsafe.append(waiting)
        self.stats.queue += 1
        self.stats.memory += waiting.size
        camera.memory += waiting.size
        self._go_on(event)
        if frame.flags & FLAG_LAST:
            event.was_told = True
            event.end()
        event.changed.set()
        self._wake.set()
        if event.camera not in self._running and event.waits == 1:
            self._schedule()
        return True

    def end_event(self, camera: str, boot: int, event: int, *, lost: int = 0) -> None:
        """Close an event: the camera says that it is over, and how many of its frames it gave up."""
        for found in self._open_events(camera, boot):
            if found.number == event:
                found.lost = max(found.lost, lost)
                found.was_told = True
                self._end(found)

    def camera_left(self, camera: str, boot: int) -> None:
        """The link is gone: its open events end after a grace in which the camera may come back."""
        for event in self._open_events(camera, boot):
            event.left_at = monotonic()

    def kept(self, camera: str, boot: int) -> int:
        """Return the seq up to which every frame that was taken is on disk or given up."""
        if (found := self._boots.get((camera, boot))) is None:
            return 0
        unsafe = found.unsafe
        while unsafe and unsafe[0].safe:
            unsafe.popleft()
        return min(
            (frame.seq - 1 for frame in unsafe if not frame.safe), default=found.highest
        )

    # Events

    def _boot(self, camera: str, boot: int) -> _Boot:
        """Return what is known of a boot; a new one ends the events of the camera's earlier ones."""
        if (found := self._boots.get((camera, boot))) is not None:
            return found
        others = [key for key in self._boots if key[0] == camera]
        for _, other in others:
            for event in self._open_events(camera, other):
                self._end(event)
        for key in others[: max(0, len(others) + 1 - _BOOTS_KEPT)]:
            if all(frame.safe for frame in self._boots[key].unsafe):
                del self._boots[key]
        found = self._boots[camera, boot] = _Boot()
        return found

    def _begin(self, frame: CapturedFrame, reason: str) -> OngoingEvent:
        """Return the event that a frame opens."""
        new = OngoingEvent.begin(frame, reason, self.settings.time_zone)
        self._events[new.id] = new
        self._cameras[new.camera].unfinished[new.id] = new
        self.stats.events += 1
        self._on_event(EventStarted(new.to_event("recording")))
        return new

    def _go_on(self, event: OngoingEvent) -> None:
        """Let an event that had ended go on: another frame came."""
        if event.is_finished:
            self._on_event(EventStarted(event.to_event("recording")))
            self._reopen(event)
        event.go_on()

    def _reopen(self, event: OngoingEvent) -> None:
        camera = self._cameras[event.camera]
        camera.finished.pop(event.id, None)
        camera.unfinished[event.id] = event

    def _close(self, event: OngoingEvent) -> None:
        """Take in that an event is finished, and forget the one of the camera that was finished first."""
        event.is_finished = True
        event.chooser.best = None
        camera = self._cameras[event.camera]
        camera.unfinished.pop(event.id, None)
        camera.finished[event.id] = event
        while len(camera.finished) > _FINISHED_KEPT:
            oldest = next(iter(camera.finished))
            del camera.finished[oldest], self._events[oldest]

    def _unfinished(self) -> list[OngoingEvent]:
        return [
            event
            for camera in self._cameras.values()
            for event in camera.unfinished.values()
        ]

    def _open_events(self, camera: str, boot: int) -> list[OngoingEvent]:
        if (found := self._cameras.get(camera)) is None:
            return []
        return [event for event in found.unfinished.values() if event.boot == boot]

    def _end(self, event: OngoingEvent) -> None:
        """No more frames are waited for."""
        event.end()
        self._wake.set()
        self._schedule()

    def _refuse(self, reason: str) -> bool:
        self.stats.drops[reason] += 1
        return False

    # Encoding

    def _schedule(self) -> None:
        """Give free encoders to the cameras in turn, each to its oldest event that waits."""
        if self._closing or self._housekeeper is None:
            return
        waiting: list[OngoingEvent] = []
        for name, camera in self._cameras.items():
            if name in self._running:
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
        if not waiting or self._storage_is_bad() or monotonic() < self._ffmpeg_retry:
            return
        waiting.sort(
            key=lambda event: (
                event.failures > 0,
                self._cameras[event.camera].served,
                event.start_ms,
            )
        )
        for event in waiting:
            if len(self._runners) >= self.settings.max_encoders:
                self._ask_to_yield()
                return
            self._start(event)

    def _ask_to_yield(self) -> None:
        """Take the encoder from events that get no frames while others wait, or from the one that has had it for long."""
        now = monotonic()
        asked = False
        for runner in self._runners.values():
            if runner.idle_since is not None and now - runner.idle_since > IDLE_YIELD_S:
                runner.event.give_way()
            asked |= runner.event.shall_yield
        if not asked and self._runners:
            oldest = min(self._runners.values(), key=lambda runner: runner.began)
            if now - oldest.began > SLICE_S:
                oldest.event.give_way()

    def _start(self, event: OngoingEvent) -> None:
        if event.frames or event.take_late():
            self._runners[event.camera] = Runner(self, event)
            self._cameras[event.camera].served = monotonic()
        self.stats.encoders = len(self._runners)
        task = asyncio.create_task(self._work(event), name=f"record {event.id}")
        self._running[event.camera] = task
        task.add_done_callback(lambda task: self._done(event.camera, task))

    def _done(self, camera: str, task: asyncio.Task[None]) -> None:
        self._running.pop(camera, None)
        self._runners.pop(camera, None)
        self.stats.encoders = len(self._runners)
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("Recording stumbled, it goes on", exc_info=error)
        self._schedule()

    async def _work(self, event: OngoingEvent) -> None:
        """Encode what waits of an event, and finish the event if it is over."""
        stored: StoredRun | None = None
        while (runner := self._runners.get(event.camera)) is not None:
            try:
                await runner.go()
            except EncoderFailed as err:
                self._encoder_failed(event, runner, err)
            except StorageFailed as err:
                runner.has_ended_well = False
                self._storage_failed(err)
            else:
                event.failures = 0
            if runner.made_progress:
                self._encoder_worked()
            stored = runner.stored()
            may_go_on = (
                runner.has_ended_well and not event.shall_yield and not self._closing
            )
            event.was_given_way()
            if not may_go_on or not (event.frames or event.take_late()):
                break
            if stored is not None:
                await self._record(event, "recording", stored)
            self._runners[event.camera] = Runner(self, event)
        if event.is_ended and not event.frames and not event.late:
            await self._finish(event, stored)
        elif stored is not None:
            await self._record(event, "recording", stored)

    async def _finish(self, event: OngoingEvent, stored: StoredRun | None) -> None:
        """Say that an event is over, unless more of it came meanwhile."""
        # The encoder is free as soon as its child is gone.
        self._runners.pop(event.camera, None)
        if event.written:
            await self._save_thumbnail(event)
        await self._record(event, "ready", stored)
        async with event.spooling:
            if event.frames or event.late or not event.is_ended:
                return
            self._close(event)
        await self._end_spool(event)
        model = event.to_event("ready")
        self._on_event(ClipReady(model) if event.written else EventDropped(model))

    async def _record(
        self, event: OngoingEvent, state: str, stored: StoredRun | None
    ) -> None:
        event.state = state
        await self._library.record(event.to_event(state), stored)

    async def _save_thumbnail(self, event: OngoingEvent) -> None:
        """Write the best picture so far, unless the one that is there is nearly as good."""
        chooser = event.chooser
        if (jpeg := chooser.best) is None or (
            event.thumbnail and chooser.score <= event.thumbnail_score * _BETTER
        ):
            return
        relative = HourPath.parse(event.path).thumbnail(event.id)
        path = self.settings.root / relative
        try:
            await self.in_thread(lambda: replace_file(path, jpeg))
        except OSError as err:
            _LOGGER.debug("No picture of event %s: %s", event.id, err)
            return
        self.stats.bytes_written += len(jpeg)
        event.thumbnail, event.thumbnail_score = relative, chooser.score

    def _encoder_failed(
        self, event: OngoingEvent, runner: Runner, error: EncoderFailed
    ) -> None:
        """Wait before the next try, unless this one got somewhere."""
        self.stats.encoder_failures += 1
        _LOGGER.debug("Event %s: %s", event.id, error)
        if runner.made_progress:
            return
        event.failures += 1
        now = monotonic()
        if (
            event.failures >= _POISON_FAILURES
            and self._ffmpeg_worked > event.failing_since
        ):
            # Others are encoded well: it is this picture.
            self.undecodable(event, [event.frames[0]])
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
            self._report("ffmpeg", str(error))

    def _encoder_worked(self) -> None:
        self._ffmpeg_failures = 0
        self._ffmpeg_retry = 0.0
        self._ffmpeg_worked = monotonic()
        self._solve("ffmpeg")

    # What runners ask for

    async def in_thread[T](self, job: Callable[[], T]) -> T:
        """Do file work."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def check_root(self) -> None:
        """Raise FileNotFoundError when the folder or the disk it lies on is not there. Blocking."""
        if not self.settings.root.is_dir() or (
            self._mount is not None and not self._mount.is_mount()
        ):
            raise FileNotFoundError(errno.ENOENT, "the recordings' folder is gone")

    async def load(self, frame: WaitingFrame) -> bytes | None:
        """Return a frame's picture, None when it is damaged for good; raises StorageFailed."""
        if frame.jpeg is not None:
            return frame.jpeg
        spool, place = frame.event.spool, frame.place
        if spool is None or place is None:
            return None
        try:
            return await self.in_thread(lambda: spool.read(place))
        except SpoolError:
            return None
        except OSError as err:
            raise StorageFailed from err

    def written(
        self, event: OngoingEvent, frames: Sequence[WaitingFrame], size: int
    ) -> None:
        """Take in that the event's first frames are in the hour file."""
        for frame in frames:
            event.frames.remove(frame)
            frame.written = True
            self._settle(frame)
        self.stats.frames += len(frames)
        self.stats.bytes_written += size

    def synced(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Take in that written frames survive a power cut."""
        for frame in frames:
            self._make_safe(frame)
            if frame.place is not None:
                event.spooled -= 1

    def taken_back(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Take in that written frames are in the hour file no more, and wait again."""
        for frame in frames:
            frame.written = False
            self.stats.queue += 1
            if frame.place is not None:
                self.stats.spooled += 1
        event.frames.extendleft(reversed(frames))
        self.stats.frames -= len(frames)

    def undecodable(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Take in that ffmpeg makes nothing of some of the event's frames."""
        for frame in frames:
            event.frames.remove(frame)
            self._give_up(frame, "undecodable")

    async def grown(self, event: OngoingEvent, run: StoredRun) -> None:
        """Take in that a run began or grew."""
        await self._record(event, "recording", run)

    # What is safe

    def _settle(self, frame: WaitingFrame) -> None:
        """The frame waits no longer."""
        self.stats.queue -= 1
        if frame.place is not None:
            self.stats.spooled -= 1

    def _make_safe(self, frame: WaitingFrame) -> None:
        """Forget the picture in memory and let the frame be acknowledged."""
        if frame.jpeg is not None:
            self.stats.memory -= frame.size
            self._cameras[frame.event.camera].memory -= frame.size
            frame.jpeg = None
        frame.safe = True
        if boot := self._boots.get((frame.event.camera, frame.event.boot)):
            while boot.unsafe and boot.unsafe[0].safe:
                boot.unsafe.popleft()

    def _give_up(self, frame: WaitingFrame, reason: str) -> None:
        self.stats.drops[reason] += 1
        frame.event.given_up += 1
        self._settle(frame)
        self._make_safe(frame)
        if frame.place is not None:
            frame.event.spooled -= 1

    def _has_room_in_spool(self, camera: _Camera, size: int) -> bool:
        """Whether all that a camera has in memory and one more frame may be spooled."""
        if (limit := self.settings.spool_limit) is None:
            limit = max(self._spool_limit, 2 * self.settings.memory_limit)
        free = limit - self.stats.spool_bytes - self.stats.memory
        return camera.spool + camera.memory + size <= free

    async def _end_spool(self, event: OngoingEvent) -> None:
        """Remove the event's spool unless a frame needs it."""
        async with event.spooling:
            if (spool := event.spool) is None or event.spooled:
                return
            event.spool = None
            self._count_spool(event, -spool.size)
            await self.in_thread(spool.remove)

    def _count_spool(self, event: OngoingEvent, size: int) -> None:
        self._cameras[event.camera].spool += size
        self.stats.spool_bytes += size

    async def _spool(self, frames: Iterable[WaitingFrame]) -> None:
        """Write frames to the spools of their events, in order."""
        by_event: dict[OngoingEvent, list[WaitingFrame]] = {}
        for frame in frames:
            by_event.setdefault(frame.event, []).append(frame)
        for event, group in by_event.items():
            async with event.spooling:
                # After a power cut the highest number on disk counts, in whichever file it is.
                if (runner := self._runners.get(event.camera)) is not None:
                    try:
                        await runner.sync()
                    except StorageFailed as err:
                        self._storage_failed(err)
                        return
                waiting = [
                    (frame, jpeg)
                    for frame in group
                    if not frame.safe and (jpeg := frame.jpeg) is not None
                ]
                if not waiting:
                    continue
                if (spool := event.spool) is None:
                    path = spool_path(self.settings.root, event.id)
                    spool = event.spool = Spool(path, event.spool_header())
                before = spool.size
                try:
                    places = await self.in_thread(partial(self._append, spool, waiting))
                except OSError as err:
                    self._storage_failed(err)
                    return
                self._count_spool(event, spool.size - before)
                for (frame, _), place in zip(waiting, places, strict=True):
                    if frame.safe:
                        continue
                    frame.place = place
                    event.spooled += 1
                    if not frame.written:
                        self.stats.spooled += 1
                    self.stats.spooled_ever += 1
                    self.stats.bytes_written += place.size
                    self._make_safe(frame)

    def _append(
        self, spool: Spool, waiting: Sequence[tuple[WaitingFrame, bytes]]
    ) -> list[SpooledFrame]:
        """Blocking."""
        self.check_root()
        return spool.append(
            (
                SpooledFrame(
                    0,
                    frame.seq,
                    frame.at_ms,
                    frame.t,
                    frame.flags,
                    frame.width,
                    frame.height,
                    frame.size,
                ),
                jpeg,
            )
            for frame, jpeg in waiting
        )

    # Housekeeping

    async def _keep_house(self) -> None:
        while True:
            if not self._problems and not self._unfinished():
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(TICK_S)
            now = monotonic()
            self._end_silent(now)
            await self._check_storage(now)
            if self._storage_is_bad():
                self._give_up_old(now)
            else:
                self._spool_lagging(now)
                await self._end_large_spools()
            await self._look_after_waiting(now)
            self._schedule()

    def _house_left(self, task: asyncio.Task[None]) -> None:
        """Begin again should an error have ended the housekeeping."""
        if self._closing or task.cancelled():
            return
        # Four times a second, should the cause last: said once
        level = logging.DEBUG if self._stumbled else logging.ERROR
        self._stumbled = True
        _LOGGER.log(level, "Recording stumbled, it goes on", exc_info=task.exception())
        self._begin_house()

    def _begin_house(self) -> None:
        self._housekeeper = asyncio.create_task(self._keep_house(), name="recorder")
        self._housekeeper.add_done_callback(self._house_left)

    def _end_silent(self, now: float) -> None:
        """End events whose camera is gone or says no more."""
        for event in self._unfinished():
            if event.is_ended:
                continue
            silence = TOLD_SILENCE_S if event.was_told else SILENCE_S
            if now - event.last_arrival > silence or (
                event.left_at is not None and now - event.left_at > GRACE_S
            ):
                self._end(event)

    def _spool_lagging(self, now: float) -> None:
        """Put frames on disk when one has waited too long: it, all before it, and those that will have soon."""
        # What one camera alone may have is half.
        is_tight = self.stats.memory > self.settings.memory_limit // 3
        for key, boot in self._boots.items():
            unsafe = [frame for frame in boot.unsafe if not frame.safe]
            count, is_due = 0, False
            for i, frame in enumerate(unsafe, 1):
                if frame.written:
                    continue
                age, patience = now - frame.arrived, self._patience(frame.event)
                is_due |= is_tight or age > patience
                if is_tight or not self._is_running(frame.event) or age > patience / 2:
                    count = i
            if is_due and key not in self._spooling:
                # The spools of one camera may be many and their syncs slow; others do not wait for them.
                task = asyncio.create_task(self._spool(unsafe[:count]), name="spool")
                self._spooling[key] = task
                task.add_done_callback(partial(self._spooled, key))

    def _spooled(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        del self._spooling[key]
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("Recording stumbled, it goes on", exc_info=error)

    def _is_running(self, event: OngoingEvent) -> bool:
        runner = self._runners.get(event.camera)
        return runner is not None and runner.event is event

    def _patience(self, event: OngoingEvent) -> float:
        """Return how long a frame may be in memory only."""
        if self._is_running(event):
            # One frame waits inside the encoder for its successor.
            return RUNNING_SPOOL_S + min(max(event.interval_ms - 200, 0), 2000) / 1000
        return WAITING_SPOOL_S

    async def _end_large_spools(self) -> None:
        """Let an event that goes on begin another spool when all of a large one is in its hour file."""
        for event in self._unfinished():
            if (
                event.spool is not None
                and not event.spooled
                and event.spool.size > _SPOOL_WORTH_ENDING
            ):
                await self._end_spool(event)

    async def _look_after_waiting(self, now: float) -> None:
        """Give a running event a first picture, and say which events wait."""
        for event in self._unfinished():
            if event.camera not in self._running:
                if event.is_ended and event.state != "waiting":
                    await self._record(event, "waiting", None)
            elif (
                event.path
                and event.thumbnail is None
                and event.chooser.is_settled()
                and now - event.began > _PROVISIONAL_S
            ):
                await self._save_thumbnail(event)

    # Storage

    def _storage_is_bad(self) -> bool:
        return any(kind != "ffmpeg" for kind in self._problems)

    def _storage_failed(self, error: OSError | StorageFailed) -> None:
        cause = error if isinstance(error, OSError) else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        is_full = number in (errno.ENOSPC, errno.EDQUOT)
        self._storage_checked = monotonic()
        self._report("storage_full" if is_full else "storage_gone", str(cause or error))

    async def _check_storage(self, now: float) -> None:
        """Keep the floor free, and see whether a disk that failed works again."""
        is_bad = self._storage_is_bad()
        if now - self._storage_checked < (STORAGE_RETRY_S if is_bad else ROOM_CHECK_S):
            return
        self._storage_checked = now
        needed = _PROBE_SIZE if "storage_full" in self._problems else 0
        try:
            has_room = await self._library.make_room(needed)
            if is_bad:
                await self.in_thread(self._probe)
        except (OSError, RecordingError) as err:
            if not is_bad:
                self._storage_failed(StorageFailed(str(err)))
            return
        if has_room:
            for kind in STORAGE_PROBLEMS:
                self._solve(kind)
        elif not is_bad:
            self._report("only_protected_left", "the disk is full of protected events")
            for runner in self._runners.values():
                runner.event.give_way()

    def _probe(self) -> None:
        """Raise OSError unless files can be written. Blocking."""
        self.check_root()
        path = self.settings.root / ".probe"
        try:
            with path.open("wb") as file:
                file.write(bytes(_PROBE_SIZE))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def _give_up_old(self, now: float) -> None:
        """Drop frames that no disk took for too long, so that their camera may sleep."""
        for boot in list(self._boots.values()):
            for frame in list(boot.unsafe):
                event = frame.event
                if (
                    frame.safe
                    or frame.written
                    or event.camera in self._running
                    or now - frame.arrived < STORAGE_PATIENCE_S
                ):
                    continue
                (event.frames if frame in event.frames else event.late).remove(frame)
                self._give_up(frame, "storage")

    def _report(self, kind: ProblemKind, detail: str) -> None:
        if kind not in self._problems:
            self._problems[kind] = detail
            self._on_event(Problem(kind, detail))

    def _solve(self, kind: ProblemKind) -> None:
        if self._problems.pop(kind, None) is not None:
            self._on_event(Solved(kind))

    # After an interruption

    def _look(self) -> _Found:
        """Repair the files that may have been written last, and read them and the spools. Blocking."""
        root = self.settings.root
        make_folder(root)
        self._mount = root
        while not self._mount.is_mount():
            self._mount = self._mount.parent
        self._spool_limit = min(_MOST_SPOOL, shutil.disk_usage(root).total // 10)
        found = _Found()
        files: list[tuple[HourPath, int]] = []
        for hour in hour_files(root):
            with suppress(OSError):
                files.append((hour, (root / hour.relative).stat().st_mtime_ns))
        newest = max((changed for _, changed in files), default=0)
        for hour, changed in files:
            if changed >= newest - _RECENT_NS:
                self._look_at(hour, found)
        for path in spool_files(root):
            try:
                found.spools.append(Spool.open(path))
            except SpoolError:
                # Its first write was cut short, so nobody was told that it is safe.
                _LOGGER.warning("%s cannot be read and is removed", path.name)
                path.unlink(missing_ok=True)
        return found

    def _look_at(self, hour: HourPath, found: _Found) -> None:
        """Blocking."""
        path = self.settings.root / hour.relative
        if not CLAIMS.claim(path):
            return
        try:
            cut_taken_back(path)
            try:
                file = scan(path)
                was_open = bool(file.runs) and file.runs[-1].end is None
                is_closed = file.is_closed
            except HourFileError:
                was_open = is_closed = False
            if not is_closed:
                found.changed.append(hour.relative)
                if (repaired := repair(path)) is None:
                    return
                file = repaired
            else:
                make_last(path)
            found.hours.append((hour, file, was_open))
            for run in file.runs:
                with suppress(ValueError):
                    picture = hour.thumbnail(run.header.id)
                    if (self.settings.root / picture).exists():
                        found.pictures[run.header.id] = picture
        except (HourFileError, OSError) as err:
            _LOGGER.warning("%s is left alone: %s", hour.relative, err)
        finally:
            CLAIMS.release(path)

    def _recall(
        self, hour: HourPath, file: HourFile, was_open: bool, found: _Found
    ) -> None:
        """Know the events of an hour file again, so that they can go on and no frame comes twice."""
        for run in file.runs:
            header = run.header
            if header.camera != hour.camera or header.id != event_id(
                header.camera, header.boot, header.event
            ):
                continue
            if (event := self._events.get(header.id)) is None:
                event = self._events[header.id] = OngoingEvent.from_run(hour, run)
                if picture := found.pictures.get(header.id):
                    event.thumbnail, event.thumbnail_score = picture, math.inf
                self._cameras[event.camera].finished[event.id] = event
            event.add_run(hour.relative, run)
            boot = self._boots.setdefault((header.camera, header.boot), _Boot())
            boot.highest = max(boot.highest, run.last_seq)
            if was_open and run is file.runs[-1]:
                self._await_return(event)

    def _take_up(self, spool: Spool, frames: Sequence[SpooledFrame]) -> None:
        """Queue the frames of a spool that are in no hour file."""
        header = spool.header
        if (event := self._events.get(header.id)) is None:
            event = self._events[header.id] = OngoingEvent.from_spool(spool)
        event.spool = spool
        self._count_spool(event, spool.size)
        self._await_return(event)
        boot = self._boots.setdefault((event.camera, event.boot), _Boot())
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
                safe=True,
            )
            if place.seq < event.seqs.last:
                event.late.append(frame)
            else:
                event.frames.append(frame)
                event.last_at = max(event.last_at, place.at_ms)
            event.seqs.add(place.seq, place.seq)
            event.spooled += 1
            self.stats.queue += 1
            self.stats.spooled += 1

    def _await_return(self, event: OngoingEvent) -> None:
        """The event was interrupted; its camera may come back and go on with it."""
        self._reopen(event)
        event.go_on()
        event.last_arrival = event.left_at = monotonic()


def _before(one: OngoingEvent, other: OngoingEvent) -> bool:
    """Whether an event is encoded before another of its camera."""
    return (one.failures > 0, one.start_ms) < (other.failures > 0, other.start_ms)
