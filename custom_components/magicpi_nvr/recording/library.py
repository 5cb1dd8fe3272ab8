"""One door to all that was recorded: finding it, watching it, saying something about it, removing it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched
import logging
import math
from pathlib import Path
import re
import shutil
import time
from typing import Any

from . import compact, playback, retention
from .errors import (
    ClipGone,
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    NothingRecorded,
    StorageFailed,
)
from .hourfile import CLAIMS, FOLDERS, HourFileError, scan_run
from .index import LAST_MS, EventQuery, Index, stored_run
from .layout import HourPath, camera_folder, to_local
from .model import (
    CameraUsage,
    ClipSpec,
    DayCount,
    Event,
    EventPage,
    HourCount,
    PurgeReport,
    RecordingSettings,
    StorageStats,
    StoredRun,
)
from .playback import VirtualFile
from .retention import Candidate
from .sidecar import (
    MAX_DESCRIPTION,
    MAX_LABEL,
    MAX_LABELS,
    NOTHING,
    Note,
    read_sidecar,
    write_sidecar,
)

_LOGGER = logging.getLogger(__name__)

_READERS = 4
_SCAN_AT_ONCE = 16
_CACHED_CLIPS = 16
_CACHED_BYTES = 32 * 1024 * 1024
_BUSY_WAIT_S = 5.0
_BUSY_POLL_S = 0.05
# What a rewrite leaves free on the disk at least, for everything else that writes there.
_REWRITE_RESERVE = 4 * 1024 * 1024
_NO_ROOM_AGAIN_S = 10.0
_PRESSURE_ROUNDS = 5
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_NO_NAME = re.compile(r"[^\w.]+")


class _NoRoom(Exception):
    """The disk is too full to write the hour file anew."""


@dataclass(slots=True)
class _Removal:
    """What a removal has done so far."""

    events: list[Event]
    freed: int = 0


class Library:
    """All methods are called in the event loop; files and the index are worked on in threads of its own."""

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        on_purge: Callable[[PurgeReport], None] | None = None,
        clock: Callable[[], float] = time.time,
        disk_usage: Callable[[Path], Any] = shutil.disk_usage,
    ) -> None:
        """Prepare; nothing is touched before open(). `on_purge` hears of all that retention removes, whoever asked for it."""
        self.settings = settings
        self.on_purge = on_purge
        self._root = settings.root
        self._index = Index(settings.index, settings.root)
        self._clock = clock
        self._disk_usage = disk_usage
        self._index_pool = ThreadPoolExecutor(1, "magicpi-index")
        self._readers = ThreadPoolExecutor(_READERS, "magicpi-read")
        self._changing = asyncio.Lock()
        self._purging = asyncio.Lock()
        # Readers must be left for who watches.
        self._exporting = asyncio.Semaphore(_READERS // 2)
        self._clips: OrderedDict[
            tuple[ClipSpec, tuple[StoredRun, ...]], VirtualFile
        ] = OrderedDict()
        self._composing: dict[
            tuple[ClipSpec, tuple[StoredRun, ...]], asyncio.Future[VirtualFile]
        ] = {}
        self._no_room_until = -math.inf
        self._closed = False

    async def open(self) -> None:
        """Open the index and follow what changed in the folders meanwhile."""
        await self._indexed(self._index.open)
        await self._follow(everything=False)

    async def close(self) -> None:
        """End the threads. Clips that are being read end with an error. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        await self._indexed(self._index.close)
        self._clips.clear()
        # What a reader is at may take a while, so another thread waits for it; that one is idle then and ends at once.
        await self._indexed(self._readers.shutdown, cancel_futures=True)
        self._index_pool.shutdown()

    def update_settings(self, settings: RecordingSettings) -> None:
        """Take other limits; root and index stay what they were."""
        self.settings = replace(settings, root=self._root, index=self.settings.index)
        self._no_room_until = -math.inf

    async def rebuild(self) -> int:
        """Read every file again; return how many events there are."""
        await self._follow(everything=True)
        return sum(camera.events for camera in await self.cameras())

    # From the recorder

    async def record(self, event: Event, run: StoredRun | None) -> None:
        """Take in a run that began, grew or ended; without one, an event that waits to be encoded."""
        await self._indexed(self._index.put, event, run)

    async def rescan(self, paths: Sequence[str]) -> None:
        """Read hour files again that were repaired, or are gone."""
        await self._indexed(self._index.rescan, paths)

    async def make_room(self, needed: int) -> bool:
        """Remove the oldest unprotected events until `needed` bytes are free beyond the floor; False if that cannot be reached."""
        wanted = self.settings.free_space_floor + needed
        if await self._free() >= wanted:
            return True
        if time.monotonic() < self._no_room_until:
            return False
        await self._purge(needed=needed)
        if await self._free() >= wanted:
            return True
        self._no_room_until = time.monotonic() + _NO_ROOM_AGAIN_S
        return False

    # Finding

    async def events(
        self,
        *,
        camera: str | None = None,
        date: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        protected: bool | None = None,
        label: str | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> EventPage:
        """Return a page of events, newest first; those that overlap [start_ms, end_ms). Raises InvalidValue."""
        query = EventQuery(
            camera=camera,
            date=date,
            start_ms=start_ms,
            end_ms=end_ms,
            protected=protected,
            label=label,
            text=text,
            limit=limit,
            cursor=cursor,
        )
        return await self._indexed(self._index.events, query)

    async def event(self, event_id: str) -> Event | None:
        """Return one event."""
        return await self._indexed(self._index.event, event_id)

    async def days(
        self, *, camera: str | None = None, month: str | None = None
    ) -> list[DayCount]:
        """Return the local dates that have events, newest first; `month` is `2026-11`. Raises InvalidValue."""
        if month is not None and _MONTH.fullmatch(month) is None:
            raise InvalidValue("a month looks like 2026-11")
        return await self._indexed(self._index.days, camera, month)

    async def hours(self, *, camera: str, date: str) -> list[HourCount]:
        """Return the hours of a local date that have events, newest first."""
        return await self._indexed(self._index.hours, camera, date)

    async def cameras(self) -> list[CameraUsage]:
        """Return what each camera has on disk."""
        return await self._indexed(self._index.cameras)

    async def thumbnail(self, event_id: str) -> Path | None:
        """Return the picture of an event."""
        event = await self.event(event_id)
        return self._root / event.thumbnail if event and event.thumbnail else None

    async def usage(self) -> StorageStats:
        """Return the state of the disk and when it will be full."""
        cameras = await self.cameras()
        written = await self._indexed(self._index.written)
        disk = await self._threaded(self._disk)
        return StorageStats(
            used=sum(camera.size for camera in cameras),
            free=disk.free,
            total=disk.total,
            events=sum(camera.events for camera in cameras),
            protected=await self._indexed(self._index.protected),
            days_until_full=retention.forecast(
                written,
                self.settings,
                today=to_local(self._now_ms(), self.settings.time_zone).date(),
                free=disk.free,
            ),
            cameras=tuple(cameras),
        )

    # Watching

    async def clip(self, spec: ClipSpec) -> VirtualFile:
        """Return the clip; raises EventNotFound, NothingRecorded, ClipGone, InvalidValue."""
        if spec.timelapse is not None and not (1 <= spec.timelapse <= 100_000):
            raise InvalidValue("a time-lapse is 1 to 100,000 times as fast")
        runs = tuple(await self._runs(spec))
        if not all(run.closed for run in runs):
            runs = await self._threaded(self._grown, runs)
        if not runs:
            if spec.event_id is not None and await self.event(spec.event_id) is None:
                raise EventNotFound(spec.event_id)
            raise NothingRecorded("nothing was recorded in this time")
        key = (spec, runs)
        if (clip := self._clips.get(key)) is not None:
            self._clips.move_to_end(key)
            return clip
        if (composing := self._composing.get(key)) is None:
            composing = asyncio.ensure_future(self._threaded(self._compose, spec, runs))
            self._composing[key] = composing
            composing.add_done_callback(lambda future: self._composed(key, future))
        try:
            # Whoever asked first may go away; the others still want it.
            return await asyncio.shield(composing)
        except ClipGone:
            await self._indexed(self._index.rescan, sorted({run.path for run in runs}))
            raise

    async def export(self, spec: ClipSpec, target: Path) -> int:
        """Write a clip to a file, which appears whole or not at all; return its size. Raises as clip(), and StorageFailed."""
        clip = await self.clip(spec)
        try:
            async with self._exporting:
                return await clip.write_to(target)
        except OSError as error:
            raise StorageFailed(
                f"{target} cannot be written: {error.strerror}"
            ) from error

    # Saying something

    async def protect(self, event_id: str, on: bool) -> Event:
        """Protect an event from retention, or not; raises EventNotFound, StorageFailed."""
        return await self._note(event_id, lambda note: replace(note, protected=on))

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
        return await self._note(
            event_id,
            lambda note: replace(
                note,
                labels=clean,
                description=note.description
                if description is None
                else description.strip(),
            ),
        )

    # Removing

    async def delete(self, event_id: str) -> Event:
        """Remove one event; raises EventNotFound, EventProtected, EventBusy, StorageFailed."""
        async with self._purging:
            if (event := await self.event(event_id)) is None:
                raise EventNotFound(event_id)
            if event.protected:
                raise EventProtected(event_id)
            if event.state != "ready":
                raise EventBusy(event_id)
            removal = _Removal([])
            runs = await self._indexed(lambda: self._index.runs(event=event_id))
            for path in sorted({run.path for run in runs}):
                try:
                    await self._take_out(path, {event_id}, removal, patient=True)
                except _NoRoom as error:
                    raise StorageFailed(
                        "the disk is too full to write the hour file anew"
                    ) from error
                except (OSError, HourFileError) as error:
                    raise StorageFailed(f"{path} cannot be changed: {error}") from error
            if not removal.events:
                # Protected by somebody meanwhile.
                raise EventProtected(event_id)
        return event

    async def purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Remove what retention's rules say, or everything unprotected that ended before a time; of one camera or of all."""
        return await self._purge(
            older_than_ms=older_than_ms, camera=camera, dry_run=dry_run
        )

    # Below: how it is done

    async def _purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
        needed: int = 0,
    ) -> PurgeReport:
        async with self._purging:
            removal = _Removal([])
            stuck: set[str] = set()
            free = await self._free()
            # What a rewrite gains is known for sure only afterwards, and what did not fit gives way to the next.
            for _ in range(_PRESSURE_ROUNDS):
                candidates = await self._candidates(stuck)
                if older_than_ms is not None:
                    chosen = retention.older_than(candidates, older_than_ms, camera)
                else:
                    chosen = retention.due(
                        candidates,
                        self.settings,
                        now_ms=self._now_ms(),
                        free=free,
                        needed=needed,
                        camera=camera,
                    )
                if not chosen:
                    break
                if dry_run:
                    removal.events = [item.event for item in chosen]
                    removal.freed = sum(item.size for item in chosen)
                    free += removal.freed
                    break
                stuck |= await self._remove(chosen, candidates, removal)
                free = await self._free()
            gone = {event.id for event in removal.events}
            report = PurgeReport(
                dry_run=dry_run,
                events=tuple(
                    sorted(removal.events, key=lambda event: (event.start_ms, event.id))
                ),
                freed=removal.freed,
                protected_kept=sum(
                    item.event.protected
                    for item in candidates
                    if item.event.id not in gone and camera in (None, item.event.camera)
                ),
                floor_reached=free >= self.settings.free_space_floor + needed,
            )
        if report.events and not dry_run:
            _LOGGER.info(
                "Removed %d recordings, %d bytes", len(report.events), report.freed
            )
            if self.on_purge is not None:
                self.on_purge(report)
        return report

    async def _candidates(self, stuck: Collection[str]) -> list[Candidate]:
        """Return all events as retention sees them, oldest first."""
        return [
            Candidate(
                event=event,
                size=event.size + picture_size,
                paths=paths,
                held=event.state != "ready"
                or not paths
                or any(
                    path in stuck or CLAIMS.is_held(self._root / path) for path in paths
                ),
            )
            for event, picture_size, paths in await self._indexed(
                self._index.all_events
            )
        ]

    async def _remove(
        self,
        chosen: Sequence[Candidate],
        candidates: Sequence[Candidate],
        removal: _Removal,
    ) -> set[str]:
        """Remove events, whole hour files before rewriting others; return the paths that could not be changed."""
        going: dict[str, set[str]] = {}
        for item in chosen:
            for path in item.paths:
                going.setdefault(path, set()).add(item.event.id)
        mixed = {
            path
            for item in candidates
            for path in item.paths
            if path in going and item.event.id not in going[path]
        }
        stuck: set[str] = set()
        for path in sorted(going, key=lambda path: (path in mixed, path[18:])):
            try:
                await self._take_out(path, going[path], removal, patient=False)
            except _NoRoom, EventBusy:
                stuck.add(path)
            except (OSError, HourFileError) as error:
                _LOGGER.warning("%s cannot be changed: %s", path, error)
                stuck.add(path)
        return stuck

    async def _take_out(
        self, path: str, events: set[str], removal: _Removal, *, patient: bool
    ) -> None:
        """Take events out of one hour file; raises EventBusy, _NoRoom, HourFileError, OSError."""
        file = self._root / path
        deadline = time.monotonic() + (_BUSY_WAIT_S if patient else 0)
        while not CLAIMS.claim(file):
            if time.monotonic() >= deadline:
                raise EventBusy(f"{path} is being recorded to")
            await asyncio.sleep(_BUSY_POLL_S)
        try:
            async with self._changing:
                found = [await self.event(event) for event in events]
                going = [event for event in found if event and not event.protected]
                if not going:
                    return
                ids = {event.id for event in going}
                removal.freed += await self._threaded(self._rewrite, file, ids)
                await self._indexed(self._index.rescan, [path])
                for event in going:
                    if await self._indexed(partial(self._index.runs, event=event.id)):
                        # The rest of it lies in another part of the hour.
                        continue
                    removal.freed += await self._threaded(self._remove_picture, event)
                    await self._indexed(self._index.forget_event, event.id)
                    await self._write_note(event, lambda _: NOTHING)
                    removal.events.append(event)
                await self._threaded(self._remove_folders, file)
        finally:
            CLAIMS.release(file)

    def _rewrite(self, file: Path, events: set[str]) -> int:
        """Blocking: take events out of a file that is claimed; return the bytes gained."""
        try:
            before = file.stat().st_size
            if not (size := compact.kept_size(file, events)):
                file.unlink()
                return before
            if self._disk().free - size < _REWRITE_RESERVE:
                raise _NoRoom
            compact.rewrite_without(file, events)
            return before - file.stat().st_size
        except FileNotFoundError:
            return 0

    def _remove_picture(self, event: Event) -> int:
        """Blocking: remove the thumbnail; return the bytes gained."""
        if event.thumbnail is None:
            return 0
        picture = self._root / event.thumbnail
        try:
            size = picture.stat().st_size
            picture.unlink()
        except FileNotFoundError:
            return 0
        return size

    def _remove_folders(self, file: Path) -> None:
        """Blocking: remove the folders of the day and of the camera when nothing is in them."""
        with FOLDERS, suppress(OSError):
            file.parent.rmdir()
            file.parent.parent.rmdir()

    async def _note(self, event_id: str, change: Callable[[Note], Note]) -> Event:
        async with self._changing:
            if (event := await self.event(event_id)) is None:
                raise EventNotFound(event_id)
            try:
                await self._write_note(event, change)
            except OSError as error:
                raise StorageFailed(
                    f"the note cannot be written: {error.strerror}"
                ) from error
            if (event := await self.event(event_id)) is None:
                raise EventNotFound(event_id)
            return event

    async def _write_note(self, event: Event, change: Callable[[Note], Note]) -> None:
        """Change what is said of an event on disk and in the index; raises OSError."""
        sidecar = HourPath.parse(event.path).sidecar
        path = self._root / sidecar

        def job() -> dict[str, Note]:
            notes = read_sidecar(path)
            notes[event.id] = change(notes.get(event.id, NOTHING))
            said = {name: note for name, note in notes.items() if note != NOTHING}
            with FOLDERS:
                if said:
                    # An event that waits in the spool may be the first of its day
                    path.parent.mkdir(parents=True, exist_ok=True)
                write_sidecar(path, said)
            return said

        notes = await self._threaded(job)
        await self._indexed(self._index.put_notes, sidecar, notes)

    def _grown(self, runs: Sequence[StoredRun]) -> tuple[StoredRun, ...]:
        """Return runs as they are now: the index hears of those that grow only now and then. Blocking."""
        found = []
        for run in runs:
            if not run.closed:
                with suppress(HourFileError, OSError):
                    now = scan_run(self._root / run.path, run.offset)
                    run = stored_run(run.path, now)
            found.append(run)
        return tuple(found)

    async def _runs(self, spec: ClipSpec) -> list[StoredRun]:
        """Return the runs that a clip shows, in order of time; raises InvalidValue."""
        index = self._index
        if spec.event_id is not None:
            return await self._indexed(lambda: index.runs(event=spec.event_id))
        try:
            camera = spec.camera or ""
            camera_folder(camera)
            if spec.start_ms is not None and spec.end_ms is not None:
                start_ms, end_ms = spec.start_ms, spec.end_ms
                if not 0 <= start_ms < end_ms <= LAST_MS:
                    raise InvalidValue("a range ends after it begins")
                return await self._indexed(
                    lambda: index.runs(camera=camera, start_ms=start_ms, end_ms=end_ms)
                )
            hour = HourPath.from_stem(camera, spec.date or "", spec.stem or "00")
        except ValueError:
            raise InvalidValue("no such camera, date or hour") from None
        if hour.part > 1:
            paths = [hour.relative]
        else:
            paths = await self._indexed(index.parts, camera, hour.date, spec.stem)
        return await self._indexed(lambda: index.runs(paths=paths))

    def _compose(self, spec: ClipSpec, runs: Sequence[StoredRun]) -> VirtualFile:
        """Blocking."""
        cut = playback.Cut(
            start_ms=spec.start_ms, end_ms=spec.end_ms, speed=spec.timelapse
        )
        return VirtualFile(
            playback.compose(self._root, runs, cut),
            root=self._root,
            pool=self._readers,
            filename=self._filename(spec, runs),
            last_modified_ms=max(run.end_ms for run in runs),
        )

    def _composed(
        self,
        key: tuple[ClipSpec, tuple[StoredRun, ...]],
        future: asyncio.Future[VirtualFile],
    ) -> None:
        """Keep a clip for the requests that follow; players ask many times."""
        del self._composing[key]
        if future.cancelled() or future.exception() is not None:
            return
        self._clips[key] = future.result()
        while len(self._clips) > 1 and (
            len(self._clips) > _CACHED_CLIPS
            or sum(clip.memory for clip in self._clips.values()) > _CACHED_BYTES
        ):
            self._clips.popitem(last=False)

    def _filename(self, spec: ClipSpec, runs: Sequence[StoredRun]) -> str:
        """Return a name such as `Front-door_2026-11-22_08-15-03.mp4`."""
        name = _NO_NAME.sub("-", spec.name or "").strip("-.")[:80] or camera_folder(
            runs[0].camera
        )
        zone = self.settings.time_zone
        if spec.stem is not None:
            when = f"{spec.date}_{spec.stem}h"
        elif spec.date is not None:
            when = spec.date
        elif spec.start_ms is not None and spec.end_ms is not None:
            start, end = to_local(spec.start_ms, zone), to_local(spec.end_ms, zone)
            same = start.date() == end.date()
            until = f"{end:%H-%M-%S}" if same else f"{end:%Y-%m-%d_%H-%M-%S}"
            when = f"{start:%Y-%m-%d_%H-%M-%S}_to_{until}"
        else:
            when = f"{to_local(runs[0].start_ms, zone):%Y-%m-%d_%H-%M-%S}"
        lapse = "" if spec.timelapse is None else f"_{spec.timelapse:g}x"
        return f"{name}_{when}{lapse}.mp4"

    async def _follow(self, *, everything: bool) -> None:
        """Bring the index up to date, a few files at a time so that questions are answered in between."""
        started = time.monotonic()
        paths = await self._indexed(lambda: self._index.outdated(everything=everything))
        for batch in batched(paths, _SCAN_AT_ONCE, strict=False):
            await self._indexed(self._index.rescan, batch)
        if paths:
            _LOGGER.debug(
                "Read %d hour files in %.1f s", len(paths), time.monotonic() - started
            )

    async def _free(self) -> int:
        return int((await self._threaded(self._disk)).free)

    def _disk(self) -> Any:
        """Blocking: the disk below the root, or below the folder that the root will be made in."""
        folder = self._root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return self._disk_usage(folder)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def _indexed[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job of the index in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._index_pool, lambda: job(*args, **kwargs)
        )

    async def _threaded[**P, T](
        self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run file work in one of a few threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: job(*args, **kwargs))
