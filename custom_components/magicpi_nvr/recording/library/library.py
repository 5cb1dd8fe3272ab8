"""The public face of the library: finding recordings, watching them, annotating and removing them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
import re
import shutil
import time
from typing import Any, Unpack

from ..errors import EventNotFound, InvalidValue, StorageFailed
from ..hourfile import Claims
from ..model import (
    CameraUsage,
    ClipSpec,
    DayCount,
    Event,
    EventFilter,
    EventPage,
    Findings,
    HourCount,
    PurgeReport,
    RecordingSettings,
    StorageStats,
    StoredSegment,
)
from . import retention
from .annotate import write_note
from .backend import CHANGE_DEADLINE_S, Backend
from .clips import Clips
from .clock import ClockGuard, ClockVerdict
from .copies import Copies
from .layout import to_local
from .notes import MAX_DESCRIPTION, MAX_LABEL, MAX_LABELS, Note
from .playback import StoredFile, VirtualFile
from .queries import EventQuery
from .removal import Removal
from .storage import Storage
from .tree import stamp_file

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Library:
    """All methods are called in the event loop; files and the index are used in threads of its own.

    A change of files that was begun is completed, also when its caller is cancelled.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        on_purge: Callable[[PurgeReport], None] | None = None,
        clock: Callable[[], float] = time.time,
        disk_usage: Callable[[Path], Any] = shutil.disk_usage,
    ) -> None:
        """Prepare; nothing is touched before open(). `on_purge` hears of all that retention removes."""
        self._backend = Backend(settings, clock=clock, disk_usage=disk_usage)
        self._clips = Clips(self._backend)
        self._removal = Removal(self._backend, on_purge)
        self._copies = Copies(self._backend, self._clips)
        self._verifying: asyncio.Task[None] | None = None
        self._recording = asyncio.Lock()  # keeps the order
        self._closing: asyncio.Task[None] | None = None

    @property
    def settings(self) -> RecordingSettings:
        """The settings in force."""
        return self._backend.settings

    @property
    def copies(self) -> Copies:
        """What is at targets, and what copies are made of."""
        return self._copies

    @property
    def claims(self) -> Claims:
        """The claims on the hour files, shared with the recorder."""
        return self._backend.claims

    @property
    def storage(self) -> Storage:
        """The storage of the recordings, shared with the recorder."""
        return self._backend.storage

    @property
    def refused(self) -> str | None:
        """What the storage refused to a removal last, None = nothing."""
        return self._removal.refused

    @property
    def clock(self) -> ClockGuard:
        """Whether the host's clock may be believed, and the order of recording."""
        return self._backend.clock

    async def open(self) -> None:
        """Open the index and follow what changed in the folders meanwhile; raises StorageFailed, OSError.

        Where the storage is not the one that was used last, the index stays as it is until follow().
        """
        await self._backend.open()
        await self._backend.complete(self._follow_if_there(), CHANGE_DEADLINE_S)
        self._verifying = asyncio.create_task(self._backend.verify_index())

    async def _follow_if_there(self) -> None:
        try:
            await self._backend.threaded(self.storage.check)
        except OSError:
            return
        await self._backend.follow(everything=False)

    async def follow(self) -> None:
        """Bring the index up to date: the storage is there again. Raises StorageFailed."""
        await self._backend.complete(
            self._backend.follow(everything=False), CHANGE_DEADLINE_S
        )

    async def accept_storage(self) -> None:
        """Use the storage that is there from now on; raises StorageFailed."""
        backend = self._backend

        async def accept() -> None:
            try:
                await backend.change(backend.storage.accept)
            except OSError as error:
                raise StorageFailed(
                    f"the storage cannot be used: {error.strerror}"
                ) from error
            await backend.follow(everything=False)

        await backend.complete(accept(), CHANGE_DEADLINE_S)

    async def check_clock(self) -> ClockVerdict:
        """Judge the host's clock, and persist the last good time now and then."""
        await self._backend.check_clock()
        return self._backend.clock.verdict

    async def confirm_clock(self) -> None:
        """Take the host's clock for right."""
        self._backend.clock.confirm()
        await self._backend.complete(self._backend.save_clock())

    async def recent_files(self) -> list[str]:
        """Return the hour files that may have been written last, or may go on, oldest first."""
        return await self._backend.indexed(
            self._backend.index.recent_files, self._backend.changed
        )

    async def close(self) -> None:
        """End the threads. Clips that are being read end with an error. Closing twice is fine."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._clips.clear()
        if self._verifying is not None:
            await self._backend.end_verify(self._verifying)
        await self._backend.close()

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other limits; root and index stay what they were."""
        self._backend.update_settings(settings)
        self._removal.retry_soon()

    async def rebuild(self) -> int:
        """Read every file again; return how many events there are."""
        await self._backend.complete(
            self._backend.follow(everything=True), CHANGE_DEADLINE_S
        )
        return sum(camera.events for camera in await self.cameras())

    # From the recorder

    async def record(self, event: Event, segment: StoredSegment | None) -> None:
        """Take in a segment that began, grew or ended; without one, an event that waits to be encoded."""
        await self._backend.complete(self._record(event, segment))

    async def _record(self, event: Event, segment: StoredSegment | None) -> None:
        backend = self._backend

        def stamps() -> tuple[str | None, int | None]:
            stamp = size = None
            if segment is not None:
                stamp = stamp_file(backend.root / segment.path)
            if event.thumbnail is not None:
                with suppress(OSError):
                    size = (backend.root / event.thumbnail).stat().st_size
            return stamp, size

        async with self._recording:
            try:
                stamp, size = await backend.threaded(stamps)
            except StorageFailed:
                # The disk of the recordings does not answer; the index is on another one.
                stamp = size = None
            await backend.indexed(backend.index.put, event, segment, stamp, size)

    async def rescan(self, paths: Sequence[str]) -> None:
        """Read hour files again that were repaired, or are gone."""
        await self._backend.complete(
            self._backend.indexed(self._backend.index.rescan, paths)
        )

    async def make_room(self, needed: int) -> bool:
        """Remove the oldest unprotected events until `needed` bytes are free beyond the floor; False if that cannot be reached."""
        return await self._backend.complete(
            self._removal.make_room(needed), CHANGE_DEADLINE_S
        )

    async def make_more_room(self, more: int) -> bool:
        """Remove the oldest unprotected events, `more` bytes of them, although the disk has room by its figures."""
        beyond = await self._backend.free() - self.settings.free_space_floor
        return await self.make_room(max(beyond, 0) + more)

    async def explain_full(self) -> tuple[int, str]:
        """Return how many events are protected, and for people what fills the disk."""
        stats = await self.usage()
        gib = 1024**3
        other = max(stats.total - stats.free - stats.used, 0)
        return stats.protected, (
            f"{stats.free / gib:.1f} of {stats.total / gib:.1f} GiB are free; recordings take {stats.used / gib:.1f} GiB"
            f" ({stats.protected} protected events), other files {other / gib:.1f} GiB"
        )

    # Finding

    async def events(
        self,
        *,
        camera: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        **chosen: Unpack[EventFilter],
    ) -> EventPage:
        """Return a page of events, newest first, or of pictures of check-ins. Raises InvalidValue."""
        query = EventQuery(camera=camera, limit=limit, cursor=cursor, **chosen)
        return await self._backend.indexed(self._backend.index.events, query)

    async def event(self, event_id: str) -> Event | None:
        """Return one event."""
        return await self._backend.indexed(self._backend.index.event, event_id)

    async def last_event(self, camera: str) -> Event | None:
        """Return the event of a camera that was recorded last, whatever the clock said."""
        return await self._backend.indexed(self._backend.index.last_event, camera)

    async def days(
        self, *, camera: str | None = None, month: str | None = None
    ) -> list[DayCount]:
        """Return the local dates that have events, newest first; `month` is `2026-11`. Raises InvalidValue."""
        if month is not None and _MONTH.fullmatch(month) is None:
            raise InvalidValue("a month looks like 2026-11")
        return await self._backend.indexed(self._backend.index.days, camera, month)

    async def hours(self, *, camera: str, date: str) -> list[HourCount]:
        """Return the hours of a local date that have events, newest first."""
        return await self._backend.indexed(self._backend.index.hours, camera, date)

    async def cameras(self) -> list[CameraUsage]:
        """Return what each camera has on disk."""
        return await self._backend.indexed(self._backend.index.cameras)

    async def thumbnail(self, event_id: str) -> Path | None:
        """Return the picture of an event."""
        event = await self.event(event_id)
        if event is None or event.thumbnail is None:
            return None
        return self._backend.root / event.thumbnail

    async def picture(self, event_id: str) -> bytes | None:
        """Return the picture of an event, None without one; raises StorageFailed."""
        if (path := await self.thumbnail(event_id)) is None:
            return None
        try:
            return await self._backend.threaded(path.read_bytes)
        except FileNotFoundError, NotADirectoryError:
            return None
        except OSError as error:
            raise StorageFailed("the picture cannot be read") from error

    async def file(self, path: Path) -> StoredFile | None:
        """Return a file beside the recordings, None when it is not there; raises StorageFailed."""
        try:
            return await self._backend.threaded(StoredFile, path, self._backend.readers)
        except FileNotFoundError, NotADirectoryError:
            return None
        except OSError as error:
            raise StorageFailed("the file cannot be read") from error

    async def threaded[T](self, job: Callable[[], T]) -> T:
        """Run file work of the owner in a thread; raises StorageFailed when the disk does not answer."""
        return await self._backend.threaded(job)

    async def usage(self) -> StorageStats:
        """Return the state of the disk and when it will be full."""
        backend = self._backend
        cameras = await self.cameras()
        written = await backend.indexed(backend.index.written)
        disk = await backend.threaded(backend.disk)
        today = to_local(backend.clock.now_ms, self.settings.time_zone).date()
        return StorageStats(
            used=sum(camera.size for camera in cameras),
            free=disk.free,
            total=disk.total,
            events=sum(camera.events for camera in cameras),
            protected=await backend.indexed(backend.index.protected_of, None),
            # Fifty cameras, day by day, take a while.
            days_until_full=await backend.threaded(
                partial(
                    retention.forecast,
                    written,
                    self.settings,
                    today=today,
                    free=disk.free,
                )
            ),
            cameras=tuple(cameras),
        )

    # Watching

    async def clip(self, spec: ClipSpec) -> VirtualFile:
        """Return the clip; raises EventNotFound, NothingRecorded, ClipGone, InvalidValue."""
        return await self._clips.clip(spec)

    async def export(
        self, spec: ClipSpec, target: Path, *, time_stamp: bool = False
    ) -> int:
        """Write a clip to a file, which appears whole or not at all; return its size. Raises as clip(), and StorageFailed.

        `time_stamp` encodes it again, with the date and time of each picture drawn into it.
        """
        return await self._clips.export(spec, target, time_stamp=time_stamp)

    # Annotating

    async def protect(self, event_id: str, on: bool) -> Event:
        """Protect an event from retention, or not; raises EventNotFound, StorageFailed."""
        return await self._annotate(event_id, lambda note: replace(note, protected=on))

    async def label(
        self, event_id: str, labels: Iterable[str], description: str | None = None
    ) -> Event:
        """Replace an event's labels, and its description unless that is None; raises EventNotFound, InvalidValue, StorageFailed."""
        clean = tuple(dict.fromkeys(label.strip() for label in labels))
        if len(clean) > MAX_LABELS or not all(
            0 < len(label) <= MAX_LABEL for label in clean
        ):
            raise InvalidValue(
                f"at most {MAX_LABELS} labels of 1 to {MAX_LABEL} characters"
            )
        if description is not None and len(description) > MAX_DESCRIPTION:
            raise InvalidValue(
                f"a description has at most {MAX_DESCRIPTION} characters"
            )
        return await self._annotate(
            event_id,
            lambda note: replace(
                note,
                labels=clean,
                description=note.description
                if description is None
                else description.strip(),
            ),
        )

    async def note_findings(self, event_id: str, findings: Findings) -> Event:
        """Keep what vision found, apart from labels; raises EventNotFound, StorageFailed."""
        return await self._annotate(
            event_id, lambda note: replace(note, findings=findings)
        )

    async def _annotate(self, event_id: str, change: Callable[[Note], Note]) -> Event:
        return await self._backend.complete(self._change_note(event_id, change))

    async def _change_note(
        self, event_id: str, change: Callable[[Note], Note]
    ) -> Event:
        async with self._backend.changing:
            if (event := await self.event(event_id)) is None:
                raise EventNotFound(event_id)
            if event.remote:
                await self._copies.annotate(event, change)
                return await self._copies.found(event_id)
            await self._backend.require_storage()
            try:
                await write_note(self._backend, event, change)
                await self._copies.annotate(event, change)
            except OSError as error:
                raise StorageFailed(
                    f"the note cannot be written: {error.strerror}"
                ) from error
            if (event := await self.event(event_id)) is None:
                raise EventNotFound(event_id)
            return event

    # Removing

    async def delete(self, event_id: str) -> Event:
        """Remove one event, and what is known of its copies; raises EventNotFound, EventProtected, EventBusy, StorageFailed."""
        return await self._backend.complete(self._delete(event_id), CHANGE_DEADLINE_S)

    async def _delete(self, event_id: str) -> Event:
        event = await self.event(event_id)
        if event is not None and event.remote:
            return await self._copies.delete(event)
        event = await self._removal.delete(event_id)
        await self._copies.drop([event_id])
        return event

    async def purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Remove what retention's rules say, or everything unprotected that ended before a time; of one camera or of all."""
        return await self._backend.complete(
            self._removal.purge(
                older_than_ms=older_than_ms, camera=camera, dry_run=dry_run
            ),
            CHANGE_DEADLINE_S,
        )
