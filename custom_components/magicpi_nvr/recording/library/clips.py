"""Clips: finding the segments that one shows, composing it once, and keeping it for the requests that follow."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
import os
from pathlib import Path
import re

from .. import hourfile
from ..errors import (
    ClipGone,
    EventNotFound,
    InvalidValue,
    NothingRecorded,
    StorageFailed,
)
from ..files import sync_folder
from ..model import (
    REASON_CHECK_IN,
    REASON_CONTINUOUS,
    ClipSpec,
    StoredSegment,
    piece_end_ms,
)
from ..stamp import TimeStamps, stamp_file
from .backend import READERS, Backend
from .compose import Cut, compose
from .file_rows import stored_segment
from .index import Index
from .layout import HourPath, camera_folder, to_local
from .outline import Outline
from .playback import VirtualFile
from .queries import LAST_MS
from .source import Sources

_CACHED_CLIPS = 16
_CACHED_BYTES = 32 * 1024 * 1024
# One filter each.
_MOST_STRETCHES = 300
# To encode a clip again, in seconds, and in times of what it lasts.
_STAMP_S = 120
_STAMP_RATIO = 20
_NO_NAME = re.compile(r"[^\w.]+")

type _Key = tuple[ClipSpec, tuple[StoredSegment, ...], tuple[tuple[str, str], ...]]


class Clips:
    """Composes clips and keeps the last ones."""

    def __init__(self, backend: Backend) -> None:
        """Begin with none."""
        self._backend = backend
        # Readers must be left for playback.
        self._exporting = asyncio.Semaphore(READERS // 2)
        self._time_stamps = TimeStamps()
        self._clips: OrderedDict[_Key, VirtualFile] = OrderedDict()
        self._composing: dict[_Key, asyncio.Future[VirtualFile]] = {}

    def clear(self) -> None:
        """Forget the clips."""
        self._clips.clear()

    async def clip(self, spec: ClipSpec) -> VirtualFile:
        """Return the clip; raises EventNotFound, NothingRecorded, ClipGone, InvalidValue."""
        if spec.timelapse is not None and not (1 <= spec.timelapse <= 100_000):
            raise InvalidValue("a time-lapse is 1 to 100,000 times as fast")
        segments = tuple(await self._segments(spec))
        if not all(segment.closed for segment in segments):
            segments = await self._backend.threaded(self._grown, segments)
        if not segments:
            if (
                spec.event_id is not None
                and await self._backend.event(spec.event_id) is None
            ):
                raise EventNotFound(spec.event_id)
            raise NothingRecorded("nothing was recorded in this time")
        key = (spec, segments, await self._titles(segments))
        if (clip := self._clips.get(key)) is not None:
            self._clips.move_to_end(key)
            return clip
        if (composing := self._composing.get(key)) is None:
            composing = asyncio.ensure_future(self._begin(*key))
            self._composing[key] = composing
            composing.add_done_callback(lambda future: self._composed(key, future))
        try:
            # The first caller may go away; the others still need it.
            return await asyncio.shield(composing)
        except ClipGone:
            if any(segment.remote for segment in segments):
                raise
            # Of a storage that is not there nothing is gone.
            await self._backend.require_storage()
            await self._backend.indexed(
                self._backend.index.rescan,
                sorted({segment.path for segment in segments}),
            )
            raise

    async def export(
        self, spec: ClipSpec, target: Path, *, time_stamp: bool = False
    ) -> int:
        """Write a clip to a file, which appears whole or not at all; return its size. Raises as clip(), and StorageFailed."""
        clip = await self.clip(spec)
        if time_stamp and not 0 < len(clip.stretches) <= _MOST_STRETCHES:
            raise InvalidValue(
                f"times are drawn into clips of at most {_MOST_STRETCHES} events, not into time-lapses"
            )
        try:
            async with self._exporting:
                if time_stamp:
                    return await self._export_stamped(clip, target)
                return await clip.write_to(target)
        except OSError as error:
            raise StorageFailed(
                f"{target} cannot be written: {error.strerror}"
            ) from error

    async def _export_stamped(self, clip: VirtualFile, target: Path) -> int:
        """Encode a clip again with its times; raises as export()."""
        settings = self._backend.settings
        if (folder := await self._time_stamps.folder(settings)) is None:
            raise StorageFailed("this ffmpeg cannot draw text")
        plain, stamped = (
            target.with_name(f".{target.name}.{name}.tmp")
            for name in ("plain", "stamped")
        )
        try:
            await clip.write_to(plain)
            async with asyncio.timeout(
                _STAMP_S + clip.duration_ms / 1000 * _STAMP_RATIO
            ):
                await stamp_file(plain, stamped, clip.stretches, settings, folder)
            return await self._backend.threaded(_finish, stamped, target)
        except TimeoutError:
            raise StorageFailed("ffmpeg does not come to an end") from None
        finally:
            await asyncio.shield(self._backend.threaded(_remove, plain, stamped))

    def _grown(self, segments: Sequence[StoredSegment]) -> tuple[StoredSegment, ...]:
        """Return segments as they are now: the index hears of those that grow only now and then. Blocking."""
        found = []
        for segment in segments:
            if not segment.closed:
                with suppress(hourfile.HourFileError, OSError):
                    now = hourfile.scan_segment(
                        self._backend.root / segment.path, segment.offset
                    )
                    segment = stored_segment(segment.path, now)
            found.append(segment)
        return tuple(found)

    async def _segments(self, spec: ClipSpec) -> list[StoredSegment]:
        """Return the segments that a clip shows, in order of time; raises InvalidValue."""
        index = self._backend.index
        if spec.event_id is not None:
            own = await self._backend.indexed(
                lambda: index.segments(event=spec.event_id)
            )
            if own and own[0].reason == REASON_CONTINUOUS:
                return await self._backend.indexed(lambda: _whole_piece(index, own))
            return own
        return [
            segment
            for segment in await self._segments_between(spec)
            if (segment.reason == REASON_CHECK_IN) is spec.check_ins
        ]

    async def _segments_between(self, spec: ClipSpec) -> list[StoredSegment]:
        index = self._backend.index
        try:
            camera = spec.camera or ""
            camera_folder(camera)
            if spec.start_ms is not None and spec.end_ms is not None:
                start_ms, end_ms = spec.start_ms, spec.end_ms
                if not 0 <= start_ms < end_ms <= LAST_MS:
                    raise InvalidValue("a range ends after it begins")
                return await self._backend.indexed(
                    lambda: index.segments(
                        camera=camera, start_ms=start_ms, end_ms=end_ms
                    )
                )
            hour = HourPath.from_stem(camera, spec.date or "", spec.stem or "00")
        except ValueError:
            raise InvalidValue("no such camera, date or hour") from None
        if hour.part > 1:
            paths = [hour.relative]
        else:
            paths = await self._backend.indexed(
                index.parts, camera, hour.date, spec.stem
            )
        return await self._backend.indexed(lambda: index.segments(paths=paths))

    async def _titles(
        self, segments: Sequence[StoredSegment]
    ) -> tuple[tuple[str, str], ...]:
        """Return the titles of a clip's chapters, by event: of one that shows motion within a continuous recording."""
        events = {segment.event: segment.reason for segment in segments}
        if len(events) < 2 or REASON_CONTINUOUS not in events.values():
            return ()
        found = await self._backend.indexed(
            self._backend.index.with_ids,
            [event for event, reason in events.items() if reason != REASON_CONTINUOUS],
        )
        seen = {event.id: ", ".join(event.all_labels) for event in found}
        return tuple(
            (event, seen.get(event) or reason) for event, reason in events.items()
        )

    async def _begin(
        self,
        spec: ClipSpec,
        segments: Sequence[StoredSegment],
        titles: tuple[tuple[str, str], ...],
    ) -> VirtualFile:
        outlines = await self._backend.remote.outlines(segments)
        return await self._backend.threaded(
            self._compose, spec, segments, dict(titles), outlines
        )

    def _compose(
        self,
        spec: ClipSpec,
        segments: Sequence[StoredSegment],
        titles: Mapping[str, str],
        outlines: Mapping[str, Outline],
    ) -> VirtualFile:
        """Blocking."""
        cut = Cut(
            start_ms=spec.start_ms,
            end_ms=spec.end_ms,
            speed=spec.timelapse,
            as_one=spec.event_id is not None,
        )
        remote = self._backend.remote
        sources = Sources(self._backend.root, outlines, remote.read)
        return VirtualFile(
            compose(sources, segments, cut, titles),
            # A target that is slow does not keep local clips waiting.
            pool=remote.readers if outlines else self._backend.readers,
            filename=self._filename(spec, segments),
            last_modified_ms=max(segment.end_ms for segment in segments),
        )

    def _composed(
        self,
        key: _Key,
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

    def _filename(self, spec: ClipSpec, segments: Sequence[StoredSegment]) -> str:
        """Return a name such as `Front-door_2026-11-22_08-15-03.mp4`."""
        name = _NO_NAME.sub("-", spec.name or "").strip("-.")[:80] or camera_folder(
            segments[0].camera
        )
        zone = self._backend.settings.time_zone
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
            when = f"{to_local(segments[0].start_ms, zone):%Y-%m-%d_%H-%M-%S}"
        lapse = "" if spec.timelapse is None else f"_{spec.timelapse:g}x"
        if spec.check_ins:
            lapse += "_check-ins"
        return f"{name}_{when}{lapse}.mp4"


def _finish(stamped: Path, target: Path) -> int:
    """Let a file that is written appear; returns its size. Blocking."""
    with stamped.open("rb+") as file:
        os.fsync(file.fileno())
    size = stamped.stat().st_size
    stamped.replace(target)
    sync_folder(target.parent)
    return size


def _remove(*paths: Path) -> None:
    """Blocking."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _whole_piece(index: Index, own: Sequence[StoredSegment]) -> list[StoredSegment]:
    """Return a piece of a continuous recording with the events that began within it, in order of time. Blocking."""
    first = own[0]
    end_ms = max(piece_end_ms(segment) for segment in own)
    around = [
        segment
        for segment in index.segments(
            camera=first.camera, start_ms=first.start_ms, end_ms=end_ms
        )
        if segment.start_ms >= first.start_ms and segment.reason != REASON_CHECK_IN
    ]
    following = min(
        (
            segment.start_ms
            for segment in around
            if segment.reason == REASON_CONTINUOUS and segment.event != first.event
        ),
        default=end_ms,
    )
    return [
        segment
        for segment in around
        if segment.event == first.event
        or (segment.reason != REASON_CONTINUOUS and segment.start_ms < following)
    ]
