"""Local clips that copies are made of, and a copier with its parts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
import json
from pathlib import Path
import random
import time
from typing import Any, Self

from aiohttp import ClientSession

from custom_components.magicpi_nvr.copies.catalog import Catalog, CatalogThread
from custom_components.magicpi_nvr.copies.copier import Copier
from custom_components.magicpi_nvr.copies.errors import SourceGone
from custom_components.magicpi_nvr.copies.model import (
    Copied,
    CopyNotice,
    CopySettings,
    Facts,
)
from custom_components.magicpi_nvr.copies.s3 import S3Settings, S3Target
from custom_components.magicpi_nvr.copies.target import Target
from custom_components.magicpi_nvr.copies.webdav import WebDavSettings, WebDavTarget
from object_stores import ACCESS_KEY, BUCKET, SECRET_KEY, Store

from .copy_servers import PASSWORD, USER

NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
FRONT = "AA:BB:CC:00:00:01"
BACK = "AA:BB:CC:00:00:02"
PREFIX = "home/magicpi"
WAIT = 240


def facts(number: int = 1, *, camera: str = FRONT, **changes: Any) -> Facts:
    """Return an event of a camera, a minute after the one before."""
    start = NOON + number * 60_000
    return replace(
        Facts(
            event=f"{camera.replace(':', '').lower()}-00000001-{number}",
            camera=camera,
            camera_name="Front door" if camera == FRONT else "Back yard",
            start_ms=start,
            end_ms=start + 12_000,
            reason="motion",
            frames=120,
        ),
        **changes,
    )


@dataclass
class Clip:
    """A clip in memory; `paused` holds reading back at half of it."""

    facts: Facts
    data: bytes
    thumbnail: bytes | None = b"\xff\xd8picture\xff\xd9"
    source: dict[str, Any] = field(default_factory=lambda: {"runs": [], "layout": ""})
    paused: asyncio.Event | None = None
    halfway: asyncio.Event | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield in pieces, as files are read."""
        for at in range(start, stop, 32_768):
            if at >= len(self.data) // 2:
                if self.halfway is not None:
                    self.halfway.set()
                if self.paused is not None:
                    await self.paused.wait()
            yield self.data[at : min(at + 32_768, stop)]


class Clips:
    """The library of the tests."""

    def __init__(self) -> None:
        """Begin empty."""
        self.clips: dict[str, Clip] = {}
        self.gone: set[str] = set()
        self.opened: list[str] = []
        self._random = random.Random(1)

    def add(self, number: int = 1, *, size: int | None = None, **changes: Any) -> Facts:
        """Make a clip."""
        made = facts(number, **changes)
        size = self._random.randrange(20_000, 90_000) if size is None else size
        self.clips[made.event] = Clip(made, self._random.randbytes(size))
        return made

    def change(self, event: str, **changes: Any) -> Facts:
        """Say something about a clip."""
        clip = self.clips[event]
        clip.facts = replace(clip.facts, **changes)
        return clip.facts

    async def open(self, event: str) -> Clip | None:
        """Return a clip."""
        self.opened.append(event)
        if event in self.gone:
            raise SourceGone(event)
        return self.clips.get(event)


class RunningCopier:
    """A copier with catalog and notices; `async with` starts and stops it."""

    def __init__(
        self,
        make: Callable[[], Target],
        folder: Path,
        clips: Clips,
        settings: CopySettings = CopySettings(),
        *,
        time_zone: tzinfo = UTC,
        target_id: str = "one",
        **options: Any,
    ) -> None:
        """Name the parts."""
        self.notices: list[CopyNotice] = []
        self.changed = asyncio.Condition()
        self._make = make
        self._catalog = Catalog(folder / "copies.sqlite3")
        self._options = {"first_wait_s": 0.05, "longest_wait_s": 0.2} | options
        self._arguments = (target_id, settings, clips, time_zone)
        self.clips = clips
        self.copier: Copier
        self.thread: CatalogThread

    async def __aenter__(self) -> Self:
        """Start."""
        target_id, settings, clips, time_zone = self._arguments
        self.thread = CatalogThread(self._catalog)
        await self.thread.open()
        self.copier = Copier(
            target_id,
            self._make(),
            settings,
            catalog=self.thread,
            source=clips,
            time_zone=time_zone,
            listener=self._listen,
            **self._options,
        )
        await self.copier.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.copier.stop()
        await self.thread.close()

    def _listen(self, notice: CopyNotice) -> None:
        self.notices.append(notice)
        asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; asked again after each notice."""
        async with asyncio.timeout(WAIT), self.changed:
            await self.changed.wait_for(condition)

    async def offer(self, *events: Facts) -> None:
        """Tell of events."""
        await self.copier.offer_all(list(events))

    async def settled(self) -> None:
        """Wait until nothing waits."""
        await self.until(lambda: self.copier.stats.waiting == 0)

    @property
    def copied(self) -> list[str]:
        """Events whose clips arrived, in order."""
        return [
            notice.facts.event for notice in self.notices if isinstance(notice, Copied)
        ]


@dataclass
class CopyServer:
    """A server to copy to, reached by an address that may be a link's."""

    kind: str
    store: Store
    session: ClientSession
    stack: AsyncExitStack

    def target(self, url: str | None = None, **changes: Any) -> Target:
        """Return a target."""
        if self.kind == "s3":
            part_size = changes.pop("part_size", 5 * 1024 * 1024)
            single = changes.pop("single", part_size)
            return S3Target(
                S3Settings(
                    **{
                        "endpoint": url or self.store.url,
                        "bucket": BUCKET,
                        "access_key_id": ACCESS_KEY,
                        "secret_access_key": SECRET_KEY,
                        "prefix": PREFIX,
                    }
                    | changes
                ),
                single=single,
                part_size=part_size,
            )
        return WebDavTarget(
            WebDavSettings(
                **{
                    "url": f"{url}/dav" if url else self.store.url,
                    "username": USER,
                    "password": PASSWORD,
                    "prefix": PREFIX,
                }
                | changes
            ),
            self.session,
        )

    def files(self) -> dict[str, bytes]:
        """Return what is below the prefix, by name."""
        return {
            name.removeprefix(f"{PREFIX}/"): data
            for name, data in self.store.files().items()
        }

    def assert_same(self, clips: Clips) -> None:
        """Every clip is there once, byte for byte, with its picture and what is said of it; nothing else is."""
        files = self.files()
        found = {}
        for name, data in files.items():
            if name.endswith(".json"):
                said = json.loads(data)
                found[said["event"]] = (name.removesuffix(".json"), said)
        assert found.keys() == clips.clips.keys()
        for event, clip in clips.clips.items():
            stem, said = found[event]
            assert files.pop(f"{stem}.mp4") == clip.data
            assert files.pop(f"{stem}.jpg") == clip.thumbnail
            assert files.pop(f"{stem}.json")
            assert Facts.from_dict(said) == clip.facts
            assert said["source"] == clip.source
        assert files == {}


def hour(text: str) -> Callable[[], float]:
    """Return a clock that stands at a time of 2026-11-22 UTC."""
    hours, minutes = text.split(":")
    at = NOON / 1000 + (int(hours) - 12) * 3600 + int(minutes) * 60
    began = time.monotonic()
    return lambda: at + time.monotonic() - began
