"""What was recorded, and what is being recorded: recorder and library, last events, and changes by people."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, Protocol

from homeassistant.core import HomeAssistant, callback

from ..const import LOGGER
from ..gateway import Camera
from ..recording import (
    NOTHING_SEEN,
    REASON_CHECK_IN,
    ClipReady,
    CopyUnreachable,
    Event,
    EventDropped,
    EventStarted,
    FrameGivenUp,
    Library,
    Problem,
    PurgeReport,
    Recorder,
    RecorderNotice,
    RecordingError,
    RecordingSettings,
    SampleTap,
    Solved,
    StillChanging,
    StorageFailed,
    prepare_root,
)
from .changes import Changes, EventChange, NvrChange
from .cleanup import Cleanup
from .issues import Issues
from .manual import ManualRecordings
from .usage import Usage

# Set-up waits so long for a storage that may fail at once; a large one is opened behind it
PATIENCE_S: Final = 1.0
# A file system that hangs raises nothing: longer than this, it does not answer
FOLDER_TIMEOUT_S: Final = 10.0
OPEN_TIMEOUT_S: Final = 300.0
CLOSE_TIMEOUT_S: Final = 15.0
# For changes by people that were begun
FINISH_TIMEOUT_S: Final = 3.0


# Problems that ask a person what to do
ASKING: Final = frozenset({"clock_implausible", "storage_other"})


class CopyStore(Protocol):
    """What knows of copies."""

    async def async_purged(self, events: Sequence[Event]) -> None:
        """Follow what the disk lost."""

    async def async_deleted(self, event_id: str) -> None:
        """Follow a deletion."""

    async def thumbnail(self, event: str) -> bytes | None:
        """Return the picture of an event; raises OSError."""

    def scan_again(self) -> None:
        """Read the targets again."""


class StorageUnavailable(OSError):
    """The folder of recordings cannot be used."""


@asynccontextmanager
async def _storage_errors(timeout_s: float) -> AsyncGenerator[None]:
    """Raise StorageUnavailable for what a storage answers, and for one that does not answer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as err:
        raise StorageUnavailable("The storage does not answer") from err
    except StorageFailed as err:
        raise StorageUnavailable(str(err)) from err
    except OSError as err:
        raise StorageUnavailable(*err.args) from err


async def _bounded(close: Callable[[], Awaitable[None]]) -> None:
    """Close, or go on without after a while: its thread may never come back."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await close()
    except TimeoutError:
        LOGGER.error("The storage does not respond; the latest data may be lost")


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task."""
    task.cancel()
    await asyncio.wait({task})


class Recordings:
    """Recorder and library while they are open, and what entities and cards show of them."""

    library: Library
    recorder: Recorder

    def __init__(self, hass: HomeAssistant, changes: Changes, issues: Issues) -> None:
        """Prepare; `open` comes before anything that asks the library."""
        self._hass = hass
        self._changes = changes
        self._issues = issues
        self.manual = ManualRecordings(changes)
        # Where events are copied to, while there is a target
        self.copies: CopyStore | None = None
        # Hears of samples as they are recorded
        self.tap: SampleTap | None = None
        self.usage = Usage(changes, lambda: self.library, self._run)
        self.cleanup = Cleanup(hass, lambda: self.async_purge())
        # What is wrong with recording, by kind
        self.problems: dict[str, str] = {}
        # Set while the recorder takes frames
        self.ready = asyncio.Event()
        # Adds what vision found to a finished event, where detection is on
        self.annotate: Callable[[Event], Awaitable[Event]] | None = None
        self._cameras: Mapping[str, Camera] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Changes by people, of which the files or those who show them may have only a part
        self._begun: set[asyncio.Task[Any]] = set()
        self._recording_now: dict[str, set[str]] = {}
        self._last_events: dict[str, Event] = {}

    # ---- life ----

    async def async_make_root(self, settings: RecordingSettings) -> None:
        """Make the folder of recordings; raises StorageUnavailable."""
        async with _storage_errors(FOLDER_TIMEOUT_S):
            await self._hass.async_add_executor_job(prepare_root, settings)

    async def async_open(
        self,
        undo: AsyncExitStack,
        settings: RecordingSettings,
        cameras: Mapping[str, Camera],
        on_opened: Callable[[StorageUnavailable | None], None] | None,
    ) -> None:
        """Begin to record; `undo` ends it, and writes what is in memory first.

        `cameras` are those of the gateway, as they come and go. Raises StorageUnavailable. With
        `on_opened` a storage that takes long is opened behind, and that hears how it went.
        """
        await self.async_make_root(settings)
        library = self.library = Library(settings, on_purge=self.handle_purge)
        recorder = self.recorder = Recorder(
            settings, library, on_event=self.handle_notice, tap=self.tap
        )
        self._cameras = cameras
        self._last_events.clear()
        undo.callback(self._forget)
        undo.push_async_callback(_bounded, library.close)
        undo.push_async_callback(self._async_end_tasks)
        # The recorder's last clips may ask the library for something yet
        undo.push_async_callback(_bounded, recorder.stop)
        opening = self._hass.async_create_background_task(
            self._async_begin(library, recorder), "magicpi_nvr open recordings"
        )
        undo.push_async_callback(_cancelled, opening)
        undo.callback(self.ready.clear)
        done, _ = await asyncio.wait(
            {opening}, timeout=PATIENCE_S if on_opened else None
        )
        if done:
            opening.result()
            return
        LOGGER.debug("The recordings are opened behind the set-up")

        def opened(task: asyncio.Task[None]) -> None:
            if task.cancelled() or on_opened is None:
                return
            match task.exception():
                case None:
                    on_opened(None)
                case StorageUnavailable() as error:
                    on_opened(error)
                case error:
                    LOGGER.error("Opening the recordings failed", exc_info=error)
                    on_opened(StorageUnavailable(str(error)))

        opening.add_done_callback(opened)

    async def _async_begin(self, library: Library, recorder: Recorder) -> None:
        async with _storage_errors(OPEN_TIMEOUT_S):
            await library.open()
            await recorder.start()
            self.ready.set()
            await self._async_refresh_last_events()
        self.usage.schedule()

    async def _async_end_tasks(self) -> None:
        if self._begun:
            await asyncio.wait(self._begun, timeout=FINISH_TIMEOUT_S)
        tasks = self._tasks | self._begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        self._recording_now.clear()
        # The next recorder finds out by itself what is wrong
        while self.problems:
            self._issues.clear(self.problems.popitem()[0])

    @callback
    def update_settings(self, settings: RecordingSettings) -> None:
        """Follow settings other than the folder."""
        self.library.update_settings(settings)
        self.recorder.update_settings(settings)

    # ---- what the recorder says ----

    @callback
    def handle_notice(self, notice: RecorderNotice) -> None:
        """Pass on what the recorder says."""
        match notice:
            case EventStarted(event) if event.reason == REASON_CHECK_IN:
                pass
            case ClipReady(event) if event.reason == REASON_CHECK_IN:
                # A picture for films of weeks: no event that anybody waits for
                self.usage.schedule()
            case EventStarted(event):
                self._recording_now.setdefault(event.camera, set()).add(event.id)
                self._changes.notify_event(EventChange.STARTED, event)
            case ClipReady(event):
                self._recording_now.get(event.camera, set()).discard(event.id)
                if self.annotate is None or event.is_continuous:
                    self._ready(event)
                else:
                    self._run(self._async_annotate(event, self.annotate))
            case FrameGivenUp(camera_id, _):
                if camera := self._cameras.get(camera_id):
                    camera.frame_given_up()
            case EventDropped(event):
                self._recording_now.get(event.camera, set()).discard(event.id)
                self.gone([event])
            case Problem(kind, detail):
                if kind not in self.problems:
                    LOGGER.warning("Recording: %s: %s", kind, detail)
                self.problems[kind] = detail
                self._issues.report(kind, fixable=kind in ASKING, detail=detail)
            case Solved(kind):
                if self.problems.pop(kind, None) is not None:
                    LOGGER.info("Recording: %s is over", kind)
                self._issues.clear(kind)

    @callback
    def _ready(self, event: Event) -> None:
        if event.findings.verdict != NOTHING_SEEN and not event.is_continuous:
            last = self._last_events.get(event.camera)
            if last is None or event.order >= last.order:
                self._last_events[event.camera] = event
        self._changes.notify_event(EventChange.READY, event)
        self.usage.schedule()

    async def _async_annotate(
        self, event: Event, annotate: Callable[[Event], Awaitable[Event]]
    ) -> None:
        """Announce a clip once what was found in it is known."""
        try:
            event = await annotate(event)
        except TimeoutError:
            LOGGER.debug("Nothing is known of what event %s shows", event.id)
        self._ready(event)
        if event.findings.verdict == NOTHING_SEEN and not event.protected:
            limits = self.library.settings.cameras.get(event.camera)
            if limits and not limits.nothing_seen_days:
                with suppress(RecordingError):
                    await self.async_delete(event.id)

    @callback
    def handle_purge(self, report: PurgeReport) -> None:
        """Follow what retention removed, for whatever reason."""
        if self.copies is None:
            self.gone(report.events)
        else:
            self._run(self._async_purged(self.copies, report.events))

    async def _async_purged(self, copies: CopyStore, events: Sequence[Event]) -> None:
        """Tell of what is at a target that it is remote now, of the rest that it is gone."""
        await copies.async_purged(events)
        for event in events:
            if remote := await self.library.event(event.id):
                self._updated(remote)
            else:
                self.gone([event])
        self.usage.schedule()

    # ---- what entities and cards show ----

    def is_recording(self, camera_id: str) -> bool:
        """Say whether an event of the camera is being recorded."""
        return bool(self._recording_now.get(camera_id))

    def last_event(self, camera_id: str) -> Event | None:
        """Return the camera's newest recorded event."""
        return self._last_events.get(camera_id)

    async def _async_refresh_last_events(self) -> None:
        for camera_id in tuple(self._cameras):
            await self._async_refresh_last_event(camera_id)

    async def _async_refresh_last_event(self, camera_id: str) -> None:
        if event := await self.library.last_event(camera_id):
            self._last_events[camera_id] = event
        else:
            self._last_events.pop(camera_id, None)
        self._changes.notify(NvrChange.EVENTS)

    @callback
    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Ask the library for something that nobody waits for; ended before the library is."""

        async def run() -> None:
            try:
                await work
            except RecordingError as err:
                LOGGER.debug("The recordings do not answer: %s", err)

        task = self._hass.async_create_background_task(run(), "magicpi_nvr recordings")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- cleanup ----

    async def async_purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Delete what is older than the limits; protected events stay."""
        return await self.library.purge(
            older_than_ms=older_than_ms, camera=camera, dry_run=dry_run
        )

    # ---- changes by people ----

    @callback
    def gone(self, events: Collection[Event]) -> None:
        """Follow events that are nowhere any more."""
        for event in events:
            last = self._last_events.get(event.camera)
            if last and last.id == event.id:
                self._run(self._async_refresh_last_event(event.camera))
            self._changes.notify_event(EventChange.DELETED, event, alone=False)
        if events:
            self._changes.notify(NvrChange.EVENTS)
        self.usage.schedule()

    async def _whole[T](self, change: Coroutine[Any, Any, T]) -> T:
        """Make a change and tell everybody, also when its caller goes away meanwhile."""
        task = self._hass.async_create_background_task(change, "magicpi_nvr change")
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(task)

    async def _change(
        self,
        event_id: str,
        change: Coroutine[Any, Any, Event],
        done: Callable[[Event], Awaitable[None]],
    ) -> Event:
        """Change an event and tell of it, also where a disk holds it up for longer than its caller waits."""

        async def followed() -> Event:
            try:
                event = await change
            except StillChanging as err:
                self._run(self._async_follow_late(event_id, err.change, done))
                raise
            await done(event)
            return event

        return await self._whole(followed())

    async def _async_follow_late(
        self,
        event_id: str,
        change: asyncio.Task[Event],
        done: Callable[[Event], Awaitable[None]],
    ) -> None:
        """Tell of a change that was answered with an error, once it is over."""
        await asyncio.wait({change})
        if change.cancelled():
            return
        if (error := change.exception()) is None:
            await done(change.result())
            return
        LOGGER.warning("Event %s was not changed: %s", event_id, error)
        # Who shows the change already learns what is so
        if event := await self.library.event(event_id):
            self._updated(event)

    async def async_delete(self, event_id: str) -> Event:
        """Delete an event; raises RecordingError."""
        return await self._change(
            event_id, self.library.delete(event_id), self._async_deleted
        )

    async def _async_deleted(self, event: Event) -> None:
        if self.copies is not None:
            await self.copies.async_deleted(event.id)
        self.gone([event])

    async def async_restore(self, event_id: str) -> Event:
        """Bring a remote event back to the disk; raises RecordingError."""
        return await self._change(
            event_id, self.library.copies.restore(event_id), self._async_changed
        )

    async def _async_changed(self, event: Event) -> None:
        self._updated(event)
        self.usage.schedule()

    async def async_thumbnail(self, event_id: str) -> bytes | None:
        """Return the picture of an event; raises CopyUnreachable, StorageFailed."""
        if picture := await self.library.picture(event_id):
            return picture
        event = await self.library.event(event_id)
        if event is None or not event.remote or self.copies is None:
            return None
        try:
            return await self.copies.thumbnail(event_id)
        except OSError as err:
            raise CopyUnreachable(str(err)) from err

    async def async_protect(self, event_id: str, on: bool) -> Event:
        """Keep an event from being deleted, or no longer; raises RecordingError."""
        return await self._change(
            event_id, self.library.protect(event_id, on), self._async_changed
        )

    async def async_label(
        self, event_id: str, labels: list[str], description: str | None
    ) -> Event:
        """Set an event's labels, and its description unless that is None; raises RecordingError."""
        return await self._change(
            event_id,
            self.library.label(event_id, labels, description),
            self._async_changed,
        )

    @callback
    def _updated(self, event: Event) -> None:
        last = self._last_events.get(event.camera)
        if last and last.id == event.id:
            self._last_events[event.camera] = event
        self._changes.notify_event(EventChange.UPDATED, event)

    async def async_rebuild(self) -> int:
        """Rebuild the index from the files; returns the number of events."""
        return await self._whole(self._async_rebuild())

    async def _async_rebuild(self) -> int:
        events = await self.library.rebuild()
        if self.copies is not None:
            self.copies.scan_again()
        await self._async_refresh_last_events()
        self.usage.schedule()
        return events

    async def async_record(self, camera: Camera, duration: float) -> Event:
        """Record an awake camera for `duration` seconds; raises as `ManualRecordings` does."""
        return await self.manual.async_record(camera, duration, self.recorder)
