"""The public face of the recorder: frames in, notices out; and the housekeeping that keeps time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import batched
import logging
import shutil
from time import monotonic
from typing import Any

from ..errors import StorageFailed
from ..library import Library
from ..library.storage import OtherStorage
from ..model import CapturedFrame, RecordingSettings, SampleTap
from .admission import MOST_SPOOL, Admission
from .context import Context
from .disk import DiskHealth
from .durability import Durability
from .event import OngoingEvent
from .notices import Problems, RecorderNotice, RecorderStats
from .recovery import Found, Recovery, read_spools, repair_files
from .schedule import Schedule
from .segment import SegmentEncoding
from .spooling import Spooling

_LOGGER = logging.getLogger(__name__)

TICK_S = 0.15
IDLE_CHECK_S = 10.0
SILENCE_S = 30.0
GRACE_S = 20.0
REPORTED_SILENCE_S = 3.0
STORAGE_PATIENCE_S = 30.0
_START_S = 3.0
_JOBS_S = 3.0
_REPAIRED_AT_ONCE = 8


class Recorder:
    """All public methods are called in the event loop; files are written in threads, JPEGs encoded in children."""

    def __init__(
        self,
        settings: RecordingSettings,
        library: Library,
        *,
        on_event: Callable[[RecorderNotice], None],
        tap: SampleTap | None = None,
    ) -> None:
        """Prepare; nothing is touched before start(). Live viewers hear of samples by `tap`."""
        problems = Problems(on_event)
        self._context = context = Context(settings, library, on_event, problems, tap)
        encodings: dict[str, SegmentEncoding] = {}  # by camera
        self._disk = disk = DiskHealth(settings.root, library, problems)
        self._durability = durability = Durability(context)
        self._admission = Admission(context, durability)
        self._spooling = Spooling(context, disk, durability, encodings)
        self._schedule = Schedule(context, disk, durability, self._spooling, encodings)
        self._wake = asyncio.Event()
        self._housekeeper: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._is_restored = False
        self._has_failed = False

    @property
    def settings(self) -> RecordingSettings:
        """The settings in force."""
        return self._context.settings

    @property
    def stats(self) -> RecorderStats:
        """Counters and the present state."""
        return self._context.stats

    async def start(self) -> None:
        """Repair what an interruption left, queue what waits, and begin. Raises OSError, StorageFailed.

        Where the storage is not the one that was used last, nothing is written until it is there again, or accepted.
        """
        self._starting = asyncio.create_task(self._start(), name="recorder start")
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        try:
            await self._restore()
        except (OtherStorage, FileNotFoundError) as err:
            self._context.problems.report("storage_other", str(err.strerror))
        self._housekeeper = asyncio.create_task(
            self._run_housekeeping(), name="recorder"
        )
        self._schedule.is_started = True
        self._wake.set()
        self._schedule.run()

    async def _restore(self) -> None:
        """Repair and read the files that were written last; raises OtherStorage, OSError, StorageFailed."""
        root, library = self.settings.root, self._context.library
        await self._disk.run(self._disk.check_root)
        found = Found()
        for paths in batched(
            await library.recent_files(), _REPAIRED_AT_ONCE, strict=False
        ):
            await self._disk.run(
                partial(repair_files, root, paths, library.claims, found)
            )
        await self._disk.run(partial(read_spools, root, found))
        usage = await self._disk.run(partial(shutil.disk_usage, root))
        self._admission.spool_limit = min(MOST_SPOOL, usage.total // 10)
        if found.changed:
            await library.rescan(found.changed)
        Recovery(self._context, self._durability, self._spooling).restore(found)
        self._is_restored = True

    async def stop(self) -> None:
        """Write what is there, put the rest into the spool, and end every child and thread. Stopping twice is fine."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="recorder stop")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._context.is_closing = True
        self._disk.begin_stop()
        self._wake.set()
        if self._starting is not None:
            await asyncio.wait({self._starting}, timeout=_START_S)
            # A disk that hung and answers later must not begin what is ended here.
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        if self._jobs:
            # What has begun to change files is not cut off.
            await asyncio.wait(self._jobs.values(), timeout=_JOBS_S)
        await self._schedule.stop()
        await self._spooling.finish()
        await self._disk.stop()

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other settings; segments that are open keep theirs."""
        self._context.settings = settings
        self._schedule.retry_now()
        self._schedule.run()

    def add_frame(self, frame: CapturedFrame, *, reason: str) -> bool:
        """Take a frame; the first of an event opens it. False when it is refused for good."""
        event = self._admission.admit(frame, reason)
        self._wake.set()
        if event is None:
            return False
        if event.camera not in self._schedule.tasks and event.waits == 1:
            self._schedule.run()
        return True

    def end_event(self, camera: str, boot: int, event: int, *, lost: int = 0) -> None:
        """Close an event: the camera reports that it is over, and how many of its frames it gave up."""
        for found in self._context.open_events(camera, boot):
            if found.number == event:
                found.lost = max(found.lost, lost)
                found.end_reported = True
                self._end(found)

    def prefer_thumbnail(self, camera: str, boot: int, event: int, jpeg: bytes) -> None:
        """Let a picture stand for an open event, whatever its size."""
        for found in self._context.open_events(camera, boot):
            if found.number == event:
                found.chooser.prefer(jpeg)

    def camera_left(self, camera: str, boot: int) -> None:
        """The link is gone: its open events end after a grace in which the camera may come back."""
        for event in self._context.open_events(camera, boot):
            event.left_at = monotonic()

    def persisted(self, camera: str, boot: int) -> int:
        """Return the seq up to which every frame that was taken is on disk or given up: what may be acknowledged."""
        return self._durability.persisted(camera, boot)

    def _end(self, event: OngoingEvent) -> None:
        """Wait for no more frames."""
        event.end()
        self._wake.set()
        self._schedule.run()

    # Housekeeping

    async def _run_housekeeping(self) -> None:
        """Look after time. Nothing here waits for a disk: what may take long is a job of its own."""
        while True:
            if not self._context.problems and not self._context.unfinished():
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_CHECK_S):
                        await self._wake.wait()
            await asyncio.sleep(TICK_S)
            try:
                self._tick(monotonic())
            except Exception:
                # Several times a second, should the cause last: logged once
                level = logging.DEBUG if self._has_failed else logging.ERROR
                self._has_failed = True
                _LOGGER.log(level, "Unexpected error while recording", exc_info=True)

    def _tick(self, now: float) -> None:
        problems = self._context.problems
        self._end_silent(now)
        if self._disk.needs_check(now):
            self._begin("disk", self._check_disk)
        if problems.concerns_storage:
            if "only_protected_left" in problems or "storage_taken" in problems:
                self._schedule.preempt_all()
            self._give_up_old(now)
        else:
            self._spooling.write_overdue(now)
            self._schedule.preempt_requested()
            self._begin("spools", self._spooling.end_large)
        self._begin("events", self._schedule.update_waiting)
        self._schedule.run()

    def _begin(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a job unless it still runs."""
        if name not in self._jobs:
            task = asyncio.create_task(job(), name=f"recorder {name}")
            self._jobs[name] = task
            task.add_done_callback(lambda task: self._job_done(name, task))

    def _job_done(self, name: str, task: asyncio.Task[None]) -> None:
        del self._jobs[name]
        if not task.cancelled() and (error := task.exception()):
            _LOGGER.error("Unexpected error while recording", exc_info=error)

    async def _check_disk(self) -> None:
        """Check disk and clock."""
        problems = self._context.problems
        library = self._context.library
        if not self._is_restored:
            try:
                await self._disk.run(self._disk.check_root)
                await library.follow()
                await self._restore()
            except (OSError, StorageFailed) as err:
                _LOGGER.debug("The storage is not there: %s", err)
                self._disk.postpone(monotonic())
                return
        await self._disk.check()
        try:
            verdict = await library.check_clock()
        except StorageFailed as err:
            _LOGGER.debug("The clock is not checked: %s", err)
            return
        if verdict.is_plausible:
            problems.solve("clock_implausible")
        else:
            days = abs(verdict.off_ms) / 86_400_000
            where = "ahead" if verdict.off_ms > 0 else "behind"
            problems.report("clock_implausible", f"{days:.1f} days {where}")

    def _end_silent(self, now: float) -> None:
        """End events whose camera is gone or sends no more."""
        for event in self._context.unfinished():
            if event.is_ended:
                continue
            silence = REPORTED_SILENCE_S if event.end_reported else SILENCE_S
            if now - event.last_arrival > silence or (
                event.left_at is not None and now - event.left_at > GRACE_S
            ):
                self._end(event)

    def _give_up_old(self, now: float) -> None:
        """Drop frames that no disk took for too long, so that their camera may sleep."""
        for boot in list(self._durability.boots.values()):
            for frame in list(boot.pending):
                event = frame.event
                if (
                    frame.persisted
                    or frame.written
                    or event.camera in self._schedule.tasks
                    or now - frame.arrived < STORAGE_PATIENCE_S
                ):
                    continue
                (event.frames if frame in event.frames else event.late).remove(frame)
                self._durability.give_up(frame, "storage")
