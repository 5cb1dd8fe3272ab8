"""Removing recordings: one event, by the rules of retention, and under pressure."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
import logging
import math
from pathlib import Path
import time

from ..errors import EventBusy, EventNotFound, EventProtected, StorageFailed
from ..hourfile import HourFileError
from ..model import Event, PurgeReport
from . import retention
from .annotate import write_note
from .backend import Backend
from .layout import by_time
from .notes import NOTHING
from .retention import Candidate
from .rewrite import rewrite_without, size_without

_LOGGER = logging.getLogger(__name__)

_BUSY_WAIT_S = 5.0
_BUSY_POLL_S = 0.05
# What a rewrite leaves free on the disk at least, for everything else that writes there.
_REWRITE_RESERVE = 4 * 1024 * 1024
_NO_ROOM_AGAIN_S = 10.0
_PRESSURE_ROUNDS = 5


class _NoRoom(Exception):
    """The disk is too full to rewrite the hour file."""


@dataclass(slots=True)
class _Removed:
    """What a removal has done so far."""

    events: list[Event]
    freed: int = 0


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
        await self.purge(needed=needed)
        if await self._backend.free() >= wanted:
            return True
        self._no_room_until = time.monotonic() + _NO_ROOM_AGAIN_S
        return False

    async def delete(self, event_id: str) -> Event:
        """Remove one event; raises EventNotFound, EventProtected, EventBusy, StorageFailed."""
        async with self._purging:
            if (event := await self._backend.event(event_id)) is None:
                raise EventNotFound(event_id)
            if event.protected:
                raise EventProtected(event_id)
            if event.state != "ready":
                raise EventBusy(event_id)
            removal = _Removed([])
            segments = await self._backend.indexed(
                lambda: self._backend.index.segments(event=event_id)
            )
            for path in sorted({segment.path for segment in segments}):
                try:
                    await self._take_out(path, {event_id}, removal, patient=True)
                except _NoRoom as error:
                    raise StorageFailed(
                        "the disk is too full to rewrite the hour file"
                    ) from error
                except (OSError, HourFileError) as error:
                    raise StorageFailed(f"{path} cannot be changed: {error}") from error
            if not removal.events:
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
        """Remove what is due, or all that ended before a time; `needed` bytes beyond the floor shall be free."""
        async with self._purging:
            removal = _Removed([])
            stuck: set[str] = set()
            free = await self._backend.free()
            # What a rewrite gains is known for sure only afterwards, and what did not fit is left for the next one.
            for _ in range(_PRESSURE_ROUNDS):
                candidates = await self._candidates(stuck)
                if older_than_ms is not None:
                    chosen = retention.older_than(candidates, older_than_ms, camera)
                else:
                    chosen = retention.due(
                        candidates,
                        self._backend.settings,
                        now_ms=self._backend.now_ms(),
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
                free = await self._backend.free()
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
                floor_reached=free >= self._backend.settings.free_space_floor + needed,
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
                    path in stuck
                    or self._backend.claims.is_held(self._backend.root / path)
                    for path in paths
                ),
            )
            for event, picture_size, paths in await self._backend.indexed(
                self._backend.index.all_events
            )
        ]

    async def _remove(
        self,
        chosen: Sequence[Candidate],
        candidates: Sequence[Candidate],
        removal: _Removed,
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
        for path in sorted(going, key=lambda path: (path in mixed, by_time(path))):
            try:
                await self._take_out(path, going[path], removal, patient=False)
            except _NoRoom, EventBusy:
                stuck.add(path)
            except (OSError, HourFileError) as error:
                _LOGGER.warning("%s cannot be changed: %s", path, error)
                stuck.add(path)
        return stuck

    async def _take_out(
        self, path: str, events: set[str], removal: _Removed, *, patient: bool
    ) -> None:
        """Take events out of one hour file; raises EventBusy, _NoRoom, HourFileError, OSError."""
        file = self._backend.root / path
        deadline = time.monotonic() + (_BUSY_WAIT_S if patient else 0)
        while not self._backend.claims.claim(file):
            if time.monotonic() >= deadline:
                raise EventBusy(f"{path} is being recorded to")
            await asyncio.sleep(_BUSY_POLL_S)
        try:
            async with self._backend.changing:
                found = [await self._backend.event(event) for event in events]
                going = [event for event in found if event and not event.protected]
                if not going:
                    return
                ids = {event.id for event in going}
                removal.freed += await self._backend.threaded(self._rewrite, file, ids)
                await self._backend.indexed(self._backend.index.rescan, [path])
                for event in going:
                    if await self._backend.indexed(
                        self._backend.index.is_local, event.id
                    ):
                        # The rest of it lies in another part of the hour.
                        continue
                    removal.freed += await self._backend.threaded(
                        self._remove_picture, event
                    )
                    await self._backend.indexed(
                        self._backend.index.forget_event, event.id
                    )
                    await write_note(self._backend, event, lambda _: NOTHING)
                    removal.events.append(event)
                await self._backend.threaded(self._remove_folders, file)
        finally:
            self._backend.claims.release(file)

    def _rewrite(self, file: Path, events: set[str]) -> int:
        """Take events out of a claimed file and return the bytes gained. Blocking."""
        try:
            self._backend.claims.truncate(file)
            before = file.stat().st_size
            if not (size := size_without(file, events)):
                file.unlink()
                return before
            if self._backend.disk().free - size < _REWRITE_RESERVE:
                raise _NoRoom
            rewrite_without(file, events)
            return before - file.stat().st_size
        except FileNotFoundError:
            return 0

    def _remove_picture(self, event: Event) -> int:
        """Remove the thumbnail and return the bytes gained. Blocking."""
        if event.thumbnail is None:
            return 0
        picture = self._backend.root / event.thumbnail
        try:
            size = picture.stat().st_size
            picture.unlink()
        except FileNotFoundError:
            return 0
        return size

    def _remove_folders(self, file: Path) -> None:
        """Remove the folders of the day and of the camera when they are empty. Blocking."""
        with self._backend.claims.folders, suppress(OSError):
            file.parent.rmdir()
            file.parent.parent.rmdir()
