"""The public face of the recorder: frames in, notices out; and the housekeeping that keeps time."""

import asyncio
from collections.abc import Callable
import logging
import shutil
from time import monotonic

from ..library import Library
from ..model import CapturedFrame, RecordingSettings, SampleTap
from .admission import MOST_SPOOL, Admission
from .context import Context
from .disk import DiskHealth
from .durability import Durability
from .event import OngoingEvent
from .notices import Problems, RecorderNotice, RecorderStats
from .recovery import Found, Recovery, repair_files
from .schedule import Schedule
from .segment import SegmentEncoding
from .spooling import Spooling

_LOGGER = logging.getLogger(__name__)

TICK_S = 0.15
SILENCE_S = 30.0
GRACE_S = 20.0
REPORTED_SILENCE_S = 3.0
STORAGE_PATIENCE_S = 30.0


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
        """Repair what an interruption left, queue what waits, and begin. Raises OSError."""
        found = await self._disk.run(self._prepare)
        if found.changed:
            await self._context.library.rescan(found.changed)
        Recovery(self._context, self._durability, self._spooling).restore(found)
        self._start_housekeeping()
        self._schedule.is_started = True
        self._wake.set()
        self._schedule.run()

    def _prepare(self) -> Found:
        """Blocking."""
        root = self.settings.root
        found = repair_files(root, self._context.library.claims)
        self._disk.remember_mount()
        self._admission.spool_limit = min(
            MOST_SPOOL, shutil.disk_usage(root).total // 10
        )
        return found

    async def stop(self) -> None:
        """Write what is there, put the rest into the spool, and end every child and thread."""
        self._context.is_closing = True
        if self._housekeeper:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        await self._schedule.stop()
        await self._spooling.finish()
        # Its last write may still run: the wait is in another thread.
        await asyncio.to_thread(self._disk.shutdown)

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

    def _start_housekeeping(self) -> None:
        self._housekeeper = asyncio.create_task(self._keep_house(), name="recorder")
        self._housekeeper.add_done_callback(self._housekeeping_ended)

    async def _keep_house(self) -> None:
        problems = self._context.problems
        while True:
            if not problems and not self._context.unfinished():
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(TICK_S)
            now = monotonic()
            self._end_silent(now)
            await self._disk.check(now=now)
            if problems.concerns_storage:
                if "only_protected_left" in problems:
                    self._schedule.preempt_all()
                self._give_up_old(now)
            else:
                self._spooling.write_overdue(now)
                await self._spooling.end_large()
            await self._schedule.update_waiting(now)
            self._schedule.run()

    def _housekeeping_ended(self, task: asyncio.Task[None]) -> None:
        """Begin again after an unexpected error."""
        if self._context.is_closing or task.cancelled():
            return
        # Several times a second, should the cause last: logged once
        level = logging.DEBUG if self._has_failed else logging.ERROR
        self._has_failed = True
        _LOGGER.log(
            level, "Unexpected error while recording", exc_info=task.exception()
        )
        self._start_housekeeping()

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
