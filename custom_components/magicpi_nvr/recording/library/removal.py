"""Removing recordings: one event, by the rules of retention, and under pressure."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
import logging
import math
from pathlib import Path
import time

from ..errors import (
    ClockImplausible,
    EventBusy,
    EventNotFound,
    EventProtected,
    StorageFailed,
)
from ..hourfile import HourFileError
from ..model import Event, PurgeReport
from . import retention
from .annotate import protected_on_disk, remove_notes
from .backend import Backend
from .candidates import Selection
from .layout import by_time
from .retention import Candidate
from .rewrite import rewrite_without, size_without

_LOGGER = logging.getLogger(__name__)

# A recorder that gives the file back ends a child and syncs, on a slow machine too.
_BUSY_WAIT_S = 15.0
_BUSY_POLL_S = 0.05
# What a rewrite leaves free on the disk at least, for everything else that writes there.
_REWRITE_RESERVE = 4 * 1024 * 1024
_NO_ROOM_AGAIN_S = 10.0
# Events that a listener hears of at once.
_REPORT_AT_ONCE = 200


class _NoRoom(Exception):
    """The disk is too full to rewrite the hour file."""


@dataclass(slots=True)
class _Removed:
    """What a removal has done so far."""

    events: list[Event] = field(default_factory=list)
    freed: int = 0
    reported: int = 0  # of the events
    freed_reported: int = 0


class Removal:
    """Takes events out of the library; one removal at a time."""

    def __init__(
        self, backend: Backend, on_purge: Callable[[PurgeReport], None] | None
    ) -> None:
        """Prepare."""
        self.on_purge = on_purge
        self._backend = backend
        self._purging = asyncio.Lock()
        self._no_room_until = -math.inf
        self.refused: str | None = None  # by the storage, for people

    def retry_soon(self) -> None:
        """Forget that there was no room: the limits changed."""
        self._no_room_until = -math.inf

    async def make_room(self, needed: int) -> bool:
        """Remove the oldest unprotected events until `needed` bytes are free beyond the floor; False if that cannot be reached."""
        wanted = self._backend.settings.free_space_floor + needed
        if await self._backend.free() >= wanted:
            return True
        if time.monotonic() < self._no_room_until:
            return False
        await self._backend.require_storage()
        await self.purge(needed=needed)
        if await self._backend.free() >= wanted:
            return True
        self._no_room_until = time.monotonic() + _NO_ROOM_AGAIN_S
        return False

    async def delete(self, event_id: str) -> Event:
        """Remove one event; raises EventNotFound, EventProtected, EventBusy, StorageFailed."""
        backend = self._backend
        await backend.require_storage()
        async with self._purging:
            if (event := await backend.event(event_id)) is None:
                raise EventNotFound(event_id)
            if event.protected:
                raise EventProtected(event_id)
            if event.state != "ready":
                raise EventBusy(event_id)
            removed = _Removed()
            segments = await backend.indexed(
                lambda: backend.index.segments(event=event_id)
            )
            for path in sorted({segment.path for segment in segments}):
                try:
                    await self._take_out(path, {event_id}, removed, wait=True)
                except _NoRoom as error:
                    raise StorageFailed(
                        "the disk is too full to rewrite the hour file"
                    ) from error
                except (OSError, HourFileError) as error:
                    raise StorageFailed(f"{path} cannot be changed: {error}") from error
            if not removed.events:
                # It was protected meanwhile.
                raise EventProtected(event_id)
        return event

    async def purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
        needed: int = 0,
    ) -> PurgeReport:
        """Remove what is due, or all that ended before a time; `needed` bytes beyond the floor shall be free.

        While the clock is not plausible nothing goes by age. Raises ClockImplausible, StorageFailed.
        """
        backend = self._backend
        await backend.require_storage()
        await backend.check_clock()
        if older_than_ms is not None and not backend.clock.verdict.is_plausible:
            raise ClockImplausible("the host's clock is not plausible")
        async with self._purging:
            removed = _Removed()
            stuck: set[str] = set()
            self.refused = None
            free = await backend.free()
            wanted = backend.settings.free_space_floor + needed
            # Under pressure recording goes on, whatever waits for its copy; a person who names an age means it.
            waiting = (
                await backend.remote.waiting()
                if not needed and older_than_ms is None
                else set()
            )
            # What a rewrite gains is known for sure only afterwards, and a round has bounds.
            while True:
                chosen = await backend.indexed(
                    self._choose,
                    stuck,
                    older_than_ms=older_than_ms,
                    camera=camera,
                    free=free,
                    needed=needed,
                    is_complete=dry_run,
                    waiting=waiting,
                )
                if not chosen:
                    break
                if dry_run:
                    removed.events = [item.event for item in chosen]
                    removed.freed = sum(item.size for item in chosen)
                    free += removed.freed
                    break
                done, was_stuck = len(removed.events), len(stuck)
                stuck |= await self._remove(chosen, removed)
                free = await backend.free()
                if (len(removed.events), len(stuck)) == (done, was_stuck):
                    break
            report = PurgeReport(
                dry_run=dry_run,
                events=await backend.threaded(_in_order, removed.events),
                freed=removed.freed,
                protected_kept=await backend.indexed(
                    backend.index.protected_of, camera
                ),
                floor_reached=free >= wanted,
            )
            if not dry_run:
                self._report(removed, report)
        if report.events and not dry_run:
            _LOGGER.info(
                "Removed %d recordings, %d bytes", len(report.events), report.freed
            )
        return report

    def _choose(
        self,
        stuck: set[str],
        *,
        older_than_ms: int | None,
        camera: str | None,
        free: int,
        needed: int,
        is_complete: bool,
        waiting: Collection[str],
    ) -> list[Candidate]:
        """Return what goes next, oldest first. Blocking, in the index's thread."""
        backend = self._backend
        settings = backend.settings
        selection = Selection(
            index=backend.index,
            settings=settings,
            waiting=waiting,
            is_busy=lambda path: (
                path in stuck or backend.claims.is_held(backend.root / path)
            ),
        )
        if is_complete:
            selection.most = None
        if older_than_ms is not None:
            return selection.older_than(older_than_ms, camera)
        now_ms, lived_ms = backend.clock.age_now_ms, backend.clock.lived_ms
        by_age = backend.clock.verdict.is_plausible
        candidates = selection.due(
            now_ms=now_ms,
            lived_ms=lived_ms,
            excess=settings.free_space_floor + needed - free,
            camera=camera,
            by_age=by_age,
        )
        return retention.due(
            candidates,
            settings,
            now_ms=now_ms,
            lived_ms=lived_ms,
            free=free,
            needed=needed,
            camera=camera,
            totals=selection.totals(),
            by_age=by_age,
        )

    async def _remove(self, chosen: Sequence[Candidate], removed: _Removed) -> set[str]:
        """Remove events, whole hour files before rewriting others; return the paths that could not be changed."""
        backend = self._backend
        going: dict[str, set[str]] = {}
        for item in chosen:
            for path in item.paths:
                going.setdefault(path, set()).add(item.event.id)
        mixed = {
            path
            for path, events in going.items()
            if await backend.indexed(backend.index.of_file, path) - events
        }
        stuck: set[str] = set()
        for path in sorted(going, key=lambda path: (path in mixed, by_time(path))):
            try:
                await self._take_out(path, going[path], removed, wait=False)
            except _NoRoom, EventBusy:
                stuck.add(path)
            except (OSError, HourFileError) as error:
                _LOGGER.warning("%s cannot be changed: %s", path, error)
                stuck.add(path)
                self.refused = str(error)
            if len(removed.events) - removed.reported >= _REPORT_AT_ONCE:
                self._report(removed)
        return stuck

    def _report(self, removed: _Removed, final: PurgeReport | None = None) -> None:
        """Tell the listener what is gone since the last time."""
        events = tuple(removed.events[removed.reported :])
        if events and self.on_purge is not None:
            if final is None or removed.reported:
                part = PurgeReport(
                    dry_run=False,
                    events=events,
                    freed=removed.freed - removed.freed_reported,
                    protected_kept=final.protected_kept if final else 0,
                    floor_reached=final is not None and final.floor_reached,
                )
            else:
                part = final
            self.on_purge(part)
        removed.reported = len(removed.events)
        removed.freed_reported = removed.freed

    async def _take_out(
        self, path: str, events: set[str], removed: _Removed, *, wait: bool
    ) -> None:
        """Take events out of one hour file; raises EventBusy, _NoRoom, HourFileError, OSError.

        With `wait` a recorder that writes the file is asked to go on in another part of the hour.
        """
        backend = self._backend
        file = backend.root / path
        if wait:
            with backend.claims.requested(file):
                end = time.monotonic() + _BUSY_WAIT_S
                while not (claimed := backend.claims.claim(file, requested=True)):
                    if time.monotonic() >= end:
                        break
                    await asyncio.sleep(_BUSY_POLL_S)
        else:
            claimed = backend.claims.claim(file)
        if not claimed:
            raise EventBusy(f"{path} is being recorded to")
        try:
            async with backend.changing:
                found = await backend.indexed(backend.index.with_ids, events)
                going = [event for event in found if not event.protected]
                kept = await protected_on_disk(backend, going)
                going = [event for event in going if event.id not in kept]
                if not going:
                    return
                ids = {event.id for event in going}
                removed.freed += await backend.change(self._rewrite, file, ids)
                gone = await backend.indexed(backend.index.taken_out, path, going)
                removed.freed += await backend.change(self._remove_pictures, gone)
                await remove_notes(backend, gone)
                removed.events += gone
                await backend.change(self._remove_folders, file)
        finally:
            backend.claims.release(file)

    def _rewrite(self, file: Path, events: set[str]) -> int:
        """Take events out of a claimed file and return the bytes gained. Blocking."""
        storage = self._backend.storage
        storage.check()
        try:
            self._backend.claims.truncate(file)
            before = file.stat().st_size
            if not (size := size_without(file, events)):
                storage.check()
                file.unlink()
                return before
            if self._backend.disk().free - size < _REWRITE_RESERVE:
                raise _NoRoom
            rewrite_without(file, events, check=storage.check)
            return before - file.stat().st_size
        except FileNotFoundError:
            return 0

    def _remove_pictures(self, events: Iterable[Event]) -> int:
        """Remove the thumbnails of events and return the bytes gained. Blocking."""
        gained = 0
        for event in events:
            if event.thumbnail is None:
                continue
            picture = self._backend.root / event.thumbnail
            with suppress(FileNotFoundError):
                size = picture.stat().st_size
                picture.unlink()
                gained += size
        return gained

    def _remove_folders(self, file: Path) -> None:
        """Remove the folders of the day and of the camera when they are empty. Blocking."""
        with self._backend.claims.folders, suppress(OSError):
            if next(file.parent.glob("*.mp4"), None) is None:
                # What a crash left of pictures and notes
                for leftover in file.parent.glob(".*.tmp"):
                    leftover.unlink(missing_ok=True)
            file.parent.rmdir()
            file.parent.parent.rmdir()


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return events by time; there may be a million."""
    return tuple(sorted(events, key=lambda event: (event.start_ms, event.id)))
