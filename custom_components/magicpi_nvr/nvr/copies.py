"""Copies of clips at targets outside: sets the targets up, joins them with the library, reports what happens."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigSubentry,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from ..const import LOGGER
from ..recording import Event
from ..timestamps import now_ms
from .changes import Changes, EventChange, NvrChange
from .copy_settings import (
    CONF_DAYS,
    CONF_FROM,
    CONF_KIND,
    CONF_MAX_SIZE,
    CONF_ORDER,
    CONF_RATE,
    CONF_UNTIL,
    CONF_VERIFY_SSL,
    CONF_WHAT,
    SUBENTRY_TARGET,
    CannotInstall,
    async_make_target,
    copy_settings,
)
from .copy_source import LocalClips, facts_of, may_be_copied
from .entries import Entries
from .issues import Issues
from .recordings import Recordings

if TYPE_CHECKING:
    # Nothing of it is imported before the first target is set up
    from ..copies.catalog import CatalogThread
    from ..copies.copier import Copier
    from ..copies.model import CopyNotice, CopyStats, Facts

ISSUE_COPIES_FAILING: Final = "copies_failing"
PAGE: Final = 500
ROUND: Final = timedelta(minutes=5)
TOO_LONG_MS: Final = 24 * 3600 * 1000
READ_TIMEOUT_S: Final = 60.0
AT_ONCE: Final = 8
SETUP_AGAIN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class CopyPlace:
    """Where a clip was copied to."""

    target: str  # as people call it
    name: str
    size: int


class CopyTargets:
    """The targets of the NVR's entry while recordings are open; the library reads remote events through it."""

    def __init__(
        self,
        hass: HomeAssistant,
        *,
        entries: Entries,
        changes: Changes,
        issues: Issues,
        recordings: Recordings,
    ) -> None:
        """Prepare; nothing is imported, opened or installed without a target."""
        self._hass = hass
        self._entries = entries
        self._changes = changes
        self._issues = issues
        self._recordings = recordings
        self._folder = Path()
        self._copiers: dict[str, Copier] = {}
        self._catalog: CatalogThread | None = None
        self._running: dict[str, Mapping[str, Any]] = {}
        self._seen: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._open = False
        # Of the last clips that were copied, by event
        self.places: dict[str, CopyPlace] = {}

    # ---- life ----

    async def async_open(self, undo: AsyncExitStack, folder: Path) -> None:
        """Begin with the targets that there are; they are set up behind."""
        self._folder = folder
        self._open = True
        self._seen = self._snapshot()
        undo.push_async_callback(self._async_close)
        for unsubscribe in (
            async_dispatcher_connect(
                self._hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._handle_entry_changed
            ),
            self._changes.subscribe_events(self._handle_event),
            async_track_time_interval(
                self._hass, self._handle_round, ROUND, cancel_on_shutdown=True
            ),
        ):
            undo.callback(unsubscribe)
        self.follow()

    @callback
    def follow(self) -> None:
        """Set up, change and end targets as the entry says."""
        if self._open and (self._targets() or self._running):
            self._run(self._async_follow())

    async def _async_close(self) -> None:
        self._open = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with self._lock:
            for target_id in list(self._copiers):
                await self._async_end(target_id)
            self._running.clear()
            if self._catalog is not None:
                self._recordings.library.copies.set_store(None)
                self._recordings.copies = None
                await self._catalog.close()
                self._catalog = None

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._hass.async_create_background_task(work, "magicpi_nvr copies")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _targets(self) -> dict[str, ConfigSubentry]:
        entry = self._entries.nvr
        return {
            subentry.subentry_id: subentry
            for subentry in (entry.subentries.values() if entry else ())
            if subentry.subentry_type == SUBENTRY_TARGET
        }

    def _snapshot(self) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return what is set up by people, to see what they change."""
        return {
            key: (item.title, dict(item.data)) for key, item in self._targets().items()
        }

    async def _async_follow(self) -> None:
        await self._recordings.ready.wait()
        async with self._lock:
            targets = self._targets()
            for target_id in list(self._running):
                if target_id not in targets or (
                    self._running[target_id] != targets[target_id].data
                ):
                    await self._async_end(target_id)
            if self._catalog is None:
                if not targets:
                    return
                await self._async_open_catalog()
            assert self._catalog is not None
            for target_id in await self._catalog(self._catalog.jobs.targets):
                if target_id not in targets:
                    await self._async_forget_target(target_id)
            for target_id, subentry in targets.items():
                if target_id not in self._running:
                    self._running[target_id] = dict(subentry.data)
                    self._run(self._async_begin(target_id, subentry))
        self._changes.notify(NvrChange.COPIES)

    async def _async_open_catalog(self) -> None:
        from ..copies.catalog import Catalog, CatalogThread  # noqa: PLC0415

        catalog = CatalogThread(Catalog(self._folder / "copies.sqlite3"))
        await catalog.open()
        self._catalog = catalog
        self._recordings.copies = self
        self._recordings.library.copies.set_store(self)

    async def _async_begin(self, target_id: str, subentry: ConfigSubentry) -> None:
        """Set a target up, then offer it what the library has."""
        while True:
            try:
                target = await async_make_target(self._hass, subentry.data)
                break
            except CannotInstall as err:
                LOGGER.warning("A library for copies cannot be installed: %s", err)
                await asyncio.sleep(SETUP_AGAIN_S)
        from ..copies.copier import Copier  # noqa: PLC0415

        assert self._catalog is not None
        copier = Copier(
            target_id,
            target,
            copy_settings(subentry.data),
            catalog=self._catalog,
            source=LocalClips(self._recordings, self._entries),
            time_zone=dt_util.get_default_time_zone(),
            listener=lambda notice: self._handle_notice(target_id, notice),
            # Nothing goes by age while the host's clock is not plausible
            may_expire=lambda: self._recordings.library.clock.verdict.is_plausible,
        )
        self._copiers[target_id] = copier
        await self._async_update_library(target_id)
        await copier.start()
        self._changes.notify(NvrChange.COPIES)
        await self._async_offer_all(copier)

    async def _async_end(self, target_id: str) -> None:
        self._running.pop(target_id, None)
        if copier := self._copiers.pop(target_id, None):
            await copier.stop()
        self._issues.clear(f"{ISSUE_COPIES_FAILING}_{target_id}")

    async def _async_forget_target(self, target_id: str) -> None:
        """Forget a target that was removed; what is there stays there."""
        assert self._catalog is not None
        events = set(await self._catalog(self._catalog.jobs.stems, target_id))
        await self._catalog(self._catalog.jobs.remove_target, target_id)
        await self._async_drop(events)

    async def _async_drop(self, events: Iterable[str]) -> None:
        """Take events that are at no target any more out of the index."""
        assert self._catalog is not None
        gone = [
            event
            for event in events
            if not await self._catalog(self._catalog.jobs.copies_of, event)
        ]
        known = {
            event.id: event
            for name in gone
            if (event := await self._recordings.library.event(name))
        }
        for name in await self._recordings.library.copies.drop(gone):
            if event := known.get(name):
                self._recordings.gone([event])

    async def _async_update_library(self, target_id: str) -> None:
        """Tell the index of the copies that it does not know: it may be a new one."""
        assert self._catalog is not None
        known = await self._recordings.library.copies.known()
        after = ""
        while page := await self._catalog(
            self._catalog.jobs.page, target_id, after, PAGE
        ):
            after = page[-1].event
            await self._async_put(
                copy.facts for copy in page if copy.event not in known
            )

    async def _async_put(self, copies: Iterable[Facts]) -> list[str]:
        from ..recording.library.copies import remote_event  # noqa: PLC0415

        found = []
        for facts in copies:
            try:
                found.append(
                    remote_event(
                        facts.event,
                        facts.more.get("segments", ()),
                        protected=facts.protected,
                        labels=facts.more.get("labels", facts.labels),
                        description=facts.description,
                        findings=facts.more.get("vision"),
                    )
                )
            except ValueError as err:
                LOGGER.warning("The copy of %s cannot be used: %s", facts.event, err)
        return await self._recordings.library.copies.put(found) if found else []

    async def _async_offer_all(self, copier: Copier) -> None:
        cursor = None
        while True:
            page = await self._recordings.library.events(limit=PAGE, cursor=cursor)
            await copier.offer_all(
                [
                    facts_of(event, self._entries)
                    for event in page.events
                    if may_be_copied(event) and not event.remote
                ]
            )
            if (cursor := page.cursor) is None:
                return

    # ---- what happens ----

    @callback
    def _handle_entry_changed(
        self, change: ConfigEntryChange, entry: ConfigEntry[Any]
    ) -> None:
        """Follow targets that people add, change or remove; their entities come with the reload."""
        if change is not ConfigEntryChange.UPDATED or entry is not self._entries.nvr:
            return
        if (seen := self._snapshot()) != self._seen:
            self._seen = seen
            self.follow()
            self._hass.config_entries.async_schedule_reload(entry.entry_id)

    @callback
    def _handle_event(self, change: EventChange, event: Event) -> None:
        if (
            self._copiers
            and change in (EventChange.READY, EventChange.UPDATED)
            and may_be_copied(event)
        ):
            self._run(self._async_offer(event))

    async def _async_offer(self, event: Event) -> None:
        facts = facts_of(event, self._entries)
        for copier in list(self._copiers.values()):
            await copier.offer(facts)

    @callback
    def _handle_notice(self, target_id: str, notice: CopyNotice) -> None:
        from ..copies.model import Changed, Copied, Found, Removed  # noqa: PLC0415

        match notice:
            case Copied():
                self._run(self._async_copied(target_id, notice))
            case Removed(events=events):
                self._run(self._async_removed(events))
            case Found(events=events):
                self._run(self._async_found(target_id, events))
            case Changed():
                self._check(target_id)
                self._changes.notify(NvrChange.COPIES)

    async def _async_copied(self, target_id: str, notice: Any) -> None:
        facts: Facts = notice.facts
        await self._async_put([facts])
        subentry = self._targets().get(target_id)
        event = await self._recordings.library.event(facts.event)
        if subentry is None or event is None:
            return
        while len(self.places) >= AT_ONCE:
            del self.places[next(iter(self.places))]
        self.places[event.id] = CopyPlace(subentry.title, notice.name, notice.size)
        self._changes.notify_event(EventChange.COPIED, event)

    async def _async_removed(self, events: Sequence[str]) -> None:
        await self._async_drop(events)
        # What somebody removed there and is still here is copied again
        for name in events:
            if (event := await self._recordings.library.event(name)) and not (
                event.remote
            ):
                await self._async_offer(event)

    async def _async_found(self, target_id: str, events: Sequence[str]) -> None:
        assert self._catalog is not None
        copies = [
            copy
            for event in events
            if (copy := await self._catalog(self._catalog.jobs.get, target_id, event))
        ]
        for name in await self._async_put(copy.facts for copy in copies):
            if event := await self._recordings.library.event(name):
                self._changes.notify_event(EventChange.UPDATED, event)
        self._recordings.usage.schedule()

    async def _handle_round(self, _now: datetime) -> None:
        for target_id in list(self._copiers):
            self._check(target_id)

    @callback
    def _check(self, target_id: str) -> None:
        """Raise an issue for a target to which nothing could be copied for a day; ask for other credentials at once."""
        copier, subentry = self._copiers.get(target_id), self._targets().get(target_id)
        if copier is None or subentry is None:
            return
        stats = copier.stats
        issue_id = f"{ISSUE_COPIES_FAILING}_{target_id}"
        if stats.failing_since_ms is None:
            self._issues.clear(issue_id)
        elif now_ms() - stats.failing_since_ms >= TOO_LONG_MS:
            self._issues.report(
                ISSUE_COPIES_FAILING,
                issue_id=issue_id,
                severity=ir.IssueSeverity.WARNING,
                name=subentry.title,
                waiting=str(stats.waiting),
                cause=str(stats.cause),
            )
        if stats.cause == "invalid_auth" and (entry := self._entries.nvr):
            entry.async_start_reauth(self._hass, data={"subentry_id": target_id})

    # ---- what the library tells ----

    async def async_purged(self, events: Sequence[Event]) -> None:
        """Follow what the disk lost: what is at a target is remote now, the rest is gone."""
        if self._catalog is not None:
            await self._catalog(
                self._catalog.jobs.purged, [event.id for event in events]
            )
            for copier in list(self._copiers.values()):
                await copier.changed()

    async def async_deleted(self, event_id: str) -> None:
        """Let an event's copies go, too: a person deleted it."""
        if self._catalog is not None and await self._catalog(
            self._catalog.jobs.forget, event_id
        ):
            for copier in list(self._copiers.values()):
                await copier.changed()

    @callback
    def scan_again(self) -> None:
        """Read the targets again."""
        for copier in list(self._copiers.values()):
            copier.scan_again()

    # ---- what people see ----

    def stats(self, target_id: str) -> CopyStats | None:
        """Return where a target stands; None before it is set up."""
        copier = self._copiers.get(target_id)
        return copier.stats if copier else None

    def diagnostics(self) -> list[dict[str, Any]]:
        """Return where each target stands, without where it is and what opens it."""
        shown = (CONF_KIND, CONF_WHAT, CONF_ORDER, CONF_RATE, CONF_FROM, CONF_UNTIL, CONF_DAYS, CONF_MAX_SIZE, CONF_VERIFY_SSL)  # fmt: skip
        found = []
        for target_id, subentry in self._targets().items():
            stats = self.stats(target_id)
            found.append(
                {key: subentry.data[key] for key in shown if key in subentry.data}
                | {"stats": asdict(stats) if stats else None}
            )
        return found

    # ---- what the library reads ----

    async def waiting(self) -> set[str]:
        """Return the events that wait for their first copy."""
        if self._catalog is None:
            return set()
        return await self._catalog(self._catalog.jobs.waiting)

    async def sources(self, events: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return what the JSON of each event says under `source`; raises OSError."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(event: str) -> Mapping[str, Any]:
            async with gate:
                document = await self._any(event, lambda copier: copier.document(event))
                return document.source

        return dict(zip(events, await asyncio.gather(*map(one, events)), strict=True))

    async def thumbnail(self, event: str) -> bytes | None:
        """Return the picture of an event; raises OSError."""
        return await self._any(event, lambda copier: copier.thumbnail(event))

    def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of an event's MP4; called in a thread, raises OSError."""
        future = asyncio.run_coroutine_threadsafe(
            self._any(event, lambda copier: copier.read(event, start, stop)),
            self._hass.loop,
        )
        try:
            return future.result(READ_TIMEOUT_S)
        except TimeoutError:
            future.cancel()
            raise

    async def _any[T](
        self, event: str, ask: Callable[[Copier], Coroutine[Any, Any, T]]
    ) -> T:
        """Ask the targets that have an event, one after the other; raises OSError."""
        from ..copies.errors import NotCopied, TargetError  # noqa: PLC0415

        if self._catalog is None:
            raise OSError("no target is set up")
        error: Exception | None = None
        for copy in await self._catalog(self._catalog.jobs.copies_of, event):
            if copier := self._copiers.get(copy.target):
                try:
                    return await ask(copier)
                except (TargetError, NotCopied) as err:
                    error = err
        raise OSError("no target that has it can be reached") from error
