"""One target: its queue is processed, its objects are read, its retention is kept."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
import logging
import time

from . import names
from .catalog import CatalogThread
from .document import MAX_SIZE, Document
from .errors import Cause, NotCopied, SourceGone, TargetError
from .found import read_copy
from .model import (
    Changed,
    ClipSource,
    Copied,
    CopyNotice,
    CopySettings,
    CopyStats,
    Facts,
    Found,
    LocalClip,
    Removed,
)
from .pace import Backoff, Throttle, seconds_until_open
from .reader import Reader
from .rows import Copy, State, Task, Totals
from .target import Body, Target, store

_LOGGER = logging.getLogger(__name__)

_DAY_MS = 24 * 3600 * 1000
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 900.0
_CLIP_WAIT_S = 60.0
_CLIP_LONGEST_S = 24 * 3600.0
_RETENTION_EVERY_S = 3600.0
_SCAN_AT_ONCE = 8
_SCAN_PAGE = 100
# Failures that another clip would meet as well.
_OF_THE_CLIP = {Cause.MISMATCH, Cause.NOT_FOUND}


class Copier:
    """All methods are called in the event loop. `target_id` names the target in the catalog."""

    def __init__(
        self,
        target_id: str,
        target: Target,
        settings: CopySettings,
        *,
        catalog: CatalogThread,
        source: ClipSource,
        time_zone: tzinfo,
        listener: Callable[[CopyNotice], None],
        may_expire: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        first_wait_s: float = _FIRST_WAIT_S,
        longest_wait_s: float = _LONGEST_WAIT_S,
    ) -> None:
        """Prepare; nothing runs before start(). `may_expire` says whether the clock can be trusted with deleting."""
        self.target_id = target_id
        self.target = target
        self._settings = settings
        self._catalog = catalog
        self._source = source
        self._time_zone = time_zone
        self._listener = listener
        self._may_expire = may_expire
        self._clock = clock
        self._backoff = Backoff(first_wait_s, longest_wait_s)
        self._throttle = Throttle(settings.rate)
        self._reader = Reader(target)
        self._wake = asyncio.Event()
        self._scan_wanted = asyncio.Event()
        self._scanning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._totals = Totals(0, 0, 0, None, 0)
        self._failing_since_ms: int | None = None
        self._cause: Cause | None = None
        self._next_retention = 0.0

    # Life

    async def start(self) -> None:
        """Begin to work through the queue; a target that is new here is read first."""
        jobs = self._catalog.jobs
        await self._catalog(jobs.add_target, self.target_id)
        if not await self._catalog(jobs.scanned_ms, self.target_id):
            self._scan_wanted.set()
        await self._count()
        self._task = asyncio.create_task(self._run(), name=f"copies {self.target_id}")

    async def stop(self) -> None:
        """End; an upload that runs is given up and begins again another time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._reader.close()
        await self.target.close()

    @property
    def stats(self) -> CopyStats:
        """Where the target stands."""
        totals = self._totals
        return CopyStats(
            waiting=totals.waiting,
            copies=totals.copies,
            stored=totals.stored,
            last_copied_ms=totals.last_copied_ms,
            failing_since_ms=self._failing_since_ms,
            cause=self._cause,
            missed=totals.missed,
        )

    # From the library

    async def offer(self, facts: Facts) -> None:
        """Take in an event that is ready, or was changed."""
        await self.offer_all([facts])

    async def offer_all(self, page: list[Facts]) -> None:
        """Take in many events, as after a start."""
        await self._catalog(
            self._catalog.jobs.offer_many,
            self.target_id,
            [
                (facts, self._stem(facts), self._settings.rules.match(facts))
                for facts in page
            ],
            self._now_ms(),
        )
        await self._count()
        self._wake.set()

    async def changed(self) -> None:
        """Look at the queue again: something else changed the catalog."""
        await self._count()
        self._wake.set()

    def try_now(self) -> None:
        """Try at once, and begin with short waits again."""
        self._backoff.worked()
        self._wake.set()

    def scan_again(self) -> None:
        """Read the target again when possible."""
        self._scan_wanted.set()
        self.try_now()

    def _stem(self, facts: Facts) -> str:
        return names.stem(
            camera=facts.camera_name,
            start_ms=facts.start_ms,
            reason=facts.reason,
            event=facts.event,
            time_zone=self._time_zone,
        )

    # Reading

    async def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of an event's MP4; raises NotCopied, TargetError."""
        copy = await self._copy(event)
        if not 0 <= start <= stop <= copy.size:
            raise TargetError(Cause.MISMATCH, copy.stem)
        return await self._reader.read(copy.stem + names.CLIP, copy.size, start, stop)

    async def document(self, event: str) -> Document:
        """Return the JSON of an event; raises NotCopied, TargetError."""
        copy = await self._copy(event)
        return await self._document(copy)

    async def thumbnail(self, event: str) -> bytes | None:
        """Return the picture of an event; raises NotCopied, TargetError."""
        copy = await self._copy(event)
        if not copy.thumbnail:
            return None
        return await self._reader.read(
            copy.stem + names.PICTURE, copy.thumbnail, 0, copy.thumbnail
        )

    async def _copy(self, event: str) -> Copy:
        copy = await self._catalog(self._catalog.jobs.get, self.target_id, event)
        if copy is None or copy.state is not State.COPIED:
            raise NotCopied(event)
        return copy

    async def _document(self, copy: Copy) -> Document:
        name = copy.stem + names.DOCUMENT
        if copy.document > MAX_SIZE:
            raise TargetError(Cause.MISMATCH, name)
        data = await self._reader.read(name, copy.document, 0, copy.document)
        try:
            return Document.decode(data)
        except ValueError as error:
            self._reader.forget(name)
            raise TargetError(Cause.MISMATCH, name) from error

    # The worker

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._step()
            except TargetError as error:
                wait = self._failed(error)
            except Exception:
                # A bug must not end the copies of all clips to come.
                _LOGGER.exception("Copying failed")
                wait = _LONGEST_WAIT_S
            if wait is None:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _step(self) -> float | None:
        """Do one thing; return how long to wait for the next, None = not at all. Raises TargetError."""
        now = datetime.fromtimestamp(self._clock(), UTC).astimezone(self._time_zone)
        if closed := seconds_until_open(now, self._settings.hours):
            return closed
        if self._scan_wanted.is_set():
            await self.scan()
        if time.monotonic() >= self._next_retention:
            self._next_retention = time.monotonic() + _RETENTION_EVERY_S
            await self._expire()
        jobs = self._catalog.jobs
        job = await self._catalog(
            jobs.next,
            self.target_id,
            newest_first=self._settings.newest_first,
            now_ms=self._now_ms(),
        )
        if job is None:
            due_ms = await self._catalog(jobs.next_due_ms, self.target_id)
            rest = max(self._next_retention - time.monotonic(), 1.0)
            if due_ms is None:
                return rest
            return min(max((due_ms - self._now_ms()) / 1000, 0.1), rest)
        await self._work(job)
        return None

    async def _work(self, job: Copy) -> None:
        try:
            if job.task in (Task.DELETE, Task.FORGET):
                await self._delete(job)
            else:
                await self._copy_clip(job)
        except SourceGone as error:
            await self._later(job, str(error))
        except TargetError as error:
            if error.cause not in _OF_THE_CLIP:
                raise
            await self._later(job, error.cause)
        else:
            self._worked()
        await self._count()

    async def _later(self, job: Copy, error: str) -> None:
        """Let the others go first."""
        wait = min(_CLIP_WAIT_S * 2 ** min(job.attempts, 30), _CLIP_LONGEST_S)
        _LOGGER.debug("%s is copied later: %s", job.event, error)
        await self._catalog(
            self._catalog.jobs.failed, job, error, self._now_ms() + int(wait * 1000)
        )

    async def _copy_clip(self, job: Copy) -> None:
        clip = await self._source.open(job.event)
        if job.task is Task.COPY:
            if clip is None or not clip.size:
                if job.state is State.NOTHING:
                    _LOGGER.warning("%s was removed before it was copied", job.event)
                    await self._catalog(self._catalog.jobs.missed, job)
                    return
                clip = None
            else:
                await self._put_clip(job, clip)
                return
        old = await self._document(job)
        document = Document(
            facts=old.facts.with_notes(job.facts),
            size=old.size,
            sha256=old.sha256,
            thumbnail=old.thumbnail,
            source=old.source,
        )
        written = await self._put_document(job, document)
        await self._done(job, document, written)

    async def _put_clip(self, job: Copy, clip: LocalClip) -> None:
        body = await Body.measure(clip.size, clip.read, part_size=self.target.part_size)
        await self._put(job.stem + names.CLIP, body, "video/mp4")
        if clip.thumbnail:
            await self._put(
                job.stem + names.PICTURE, Body.of(clip.thumbnail), "image/jpeg"
            )
        document = Document(
            facts=clip.facts.with_notes(job.facts),
            size=clip.size,
            sha256=body.sha256,
            thumbnail=len(clip.thumbnail or b""),
            source=clip.source,
        )
        # The last of the three: what has one is complete.
        written = await self._put_document(job, document)
        if not await self._done(job, document, written):
            return
        self._listener(
            Copied(
                facts=document.facts,
                name=job.stem + names.CLIP,
                size=clip.size,
                again=job.state is State.COPIED,
            )
        )

    async def _put_document(self, job: Copy, document: Document) -> int:
        data = document.encode()
        await self._put(job.stem + names.DOCUMENT, Body.of(data), "application/json")
        return len(data)

    async def _put(self, name: str, body: Body, content_type: str) -> None:
        paced = Body(
            size=body.size,
            md5=body.md5,
            sha256=body.sha256,
            read=lambda start, stop: self._throttle.pass_on(body.read(start, stop)),
            part_size=body.part_size,
            part_md5=body.part_md5,
        )
        self._reader.forget(name)
        await store(self.target, name, paced, content_type=content_type)
        self._reader.forget(name)

    async def _done(self, job: Copy, document: Document, written: int) -> bool:
        return await self._catalog(
            self._catalog.jobs.done,
            job,
            size=document.size,
            stored=document.size + document.thumbnail + written,
            document=written,
            thumbnail=document.thumbnail,
            sha256=document.sha256,
            facts=document.facts,
            now_ms=self._now_ms(),
        )

    async def _delete(self, job: Copy) -> None:
        # The JSON first: what has none does not count as a copy.
        for ending in (names.DOCUMENT, names.CLIP, names.PICTURE):
            self._reader.forget(job.stem + ending)
            await self.target.delete(job.stem + ending)
        await self._catalog(self._catalog.jobs.removed, job)
        if job.task is Task.DELETE:
            self._listener(Removed(events=(job.event,)))

    async def _expire(self) -> None:
        """Let retention choose what goes."""
        days, jobs = self._settings.days, self._catalog.jobs
        going = await self._catalog(
            jobs.expired,
            self.target_id,
            before_ms=self._now_ms() - days * _DAY_MS
            if days is not None and self._may_expire()
            else None,
            max_bytes=self._settings.max_bytes,
        )
        if going:
            _LOGGER.info("Retention removes %d copies", len(going))
            await self._catalog(jobs.expire, going)

    # Reading a target in full

    async def scan(self) -> int:
        """Compare the catalog with what is at the target; return how many copies are there. Raises TargetError.

        Copies that nobody here knows are taken in, those that are gone are forgotten.
        """
        async with self._scanning:
            self._scan_wanted.clear()
            try:
                return await self._scan()
            except BaseException:
                self._scan_wanted.set()
                raise

    async def _scan(self) -> int:
        jobs = self._catalog.jobs
        before = await self._catalog(jobs.stems, self.target_id)
        sizes: dict[str, int] = {}
        async for item in self.target.objects():
            if names.event_of(item.name) is not None:
                sizes[item.name] = item.size
        known = {stem: event for event, (stem, _, _) in before.items()}
        unknown, complete = [], set()
        for name, written in sizes.items():
            if not name.endswith(names.DOCUMENT):
                continue
            stem = name.removesuffix(names.DOCUMENT)
            event = known.get(stem, "")
            clip = sizes.get(stem + names.CLIP)
            if before.get(event) == (stem, clip, written):
                complete.add(event)
            else:
                unknown.append(stem)
        found: list[str] = []
        for start in range(0, len(unknown), _SCAN_PAGE):
            page = unknown[start : start + _SCAN_PAGE]
            gate = asyncio.Semaphore(_SCAN_AT_ONCE)
            copies = await asyncio.gather(
                *(
                    read_copy(self.target, self.target_id, stem, sizes, gate)
                    for stem in page
                )
            )
            taken = [copy for copy in copies if copy is not None]
            for copy in taken:
                complete.add(copy.event)
                if copy.event in before:
                    await self._catalog(jobs.missing, self.target_id, copy.event)
                await self._catalog(jobs.found, copy)
            found += [copy.event for copy in taken]
            if taken:
                await self._count()
                self._listener(Found(events=tuple(copy.event for copy in taken)))
        gone = tuple(event for event in before if event not in complete)
        for event in gone:
            await self._catalog(jobs.missing, self.target_id, event)
        if gone:
            _LOGGER.warning("%d copies are not at the target any more", len(gone))
            self._listener(Removed(events=gone))
        await self._catalog(jobs.scanned, self.target_id, self._now_ms())
        self._worked()
        await self._count()
        return len(complete)

    # What is going on

    def _failed(self, error: TargetError) -> float:
        wait = self._backoff.failed()
        if self._cause is not error.cause:
            _LOGGER.warning("Copying to a target fails: %s", error)
        self._cause = error.cause
        if self._failing_since_ms is None:
            self._failing_since_ms = self._now_ms()
        self._listener(Changed())
        return wait

    def _worked(self) -> None:
        self._backoff.worked()
        if self._cause is not None:
            _LOGGER.warning("Copying to a target works again")
            self._cause = self._failing_since_ms = None
            self._listener(Changed())

    async def _count(self) -> None:
        totals = await self._catalog(self._catalog.jobs.totals, self.target_id)
        if totals != self._totals:
            self._totals = totals
            self._listener(Changed())

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
