"""Browsers play clips whose bytes are at a real S3 server alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
import time
from typing import Any

import pytest

from custom_components.magicpi_nvr.copies.copier import Copier
from custom_components.magicpi_nvr.copies.model import Facts
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.copies import remote_event
from custom_components.magicpi_nvr.recording.model import ClipSpec
from object_stores import s3_store, server_folder
from tests.harness.browsers import Page
from tests.harness.copies import Clip, CopyServer, RunningCopier
from tests.harness.library import FRONT, NOON, Recordings

from .test_clips import Server, check, page, pytestmark, server  # noqa: F401 - fixtures

START = """src => new Promise((resolve, reject) => {
  const video = document.createElement('video');
  video.muted = true;
  const began = performance.now();
  video.onplaying = () => resolve((performance.now() - began) / 1000);
  video.onerror = () => reject(new Error(video.error.message));
  document.body.replaceChildren(video);
  video.src = src;
  video.play().catch(reject);
})"""


class Clips:
    """The library as a copier asks it."""

    def __init__(self, library: Library) -> None:
        """Keep the library."""
        self._library = library

    async def open(self, event: str) -> Clip | None:
        """Return a clip, read into memory."""
        source = await self._library.copies.source(event)
        if source is None:
            return None
        data = b"".join([chunk async for chunk in source.clip.read()])
        facts = Facts(
            event=event,
            camera=source.event.camera,
            camera_name="Front door",
            start_ms=source.event.start_ms,
            end_ms=source.event.end_ms,
            reason=source.event.reason,
            frames=source.event.frames,
            more={"segments": list(source.segments)},
        )
        return Clip(facts, data, source.thumbnail, dict(source.source))


class Bridge:
    """Joins library and copier as the NVR does."""

    def __init__(self, copier: Copier) -> None:
        """Keep the copier."""
        self._copier = copier
        self._loop = asyncio.get_running_loop()

    async def sources(self, events: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return what the JSON of each event says."""
        documents = await asyncio.gather(*map(self._copier.document, events))
        return {
            event: document.source
            for event, document in zip(events, documents, strict=True)
        }

    async def waiting(self) -> set[str]:
        """Nothing waits."""
        return set()

    async def thumbnail(self, event: str) -> bytes | None:
        """Return a picture."""
        return await self._copier.thumbnail(event)

    def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of a clip, in a thread."""
        return asyncio.run_coroutine_threadsafe(
            self._copier.read(event, start, stop), self._loop
        ).result(30)


@pytest.fixture
async def remote(
    library: Library, recordings: Recordings, tmp_path: Path
) -> AsyncIterator[Callable[[int], Any]]:
    """Return what records events, copies them to an S3 server and lets the disk lose them."""
    with server_folder() as folder:
        async with s3_store(folder) as store:
            copy_server = CopyServer("s3", store, None, None)  # type: ignore[arg-type]
            async with RunningCopier(
                copy_server.target,
                tmp_path / "copies",
                Clips(library),  # type: ignore[arg-type]
            ) as running:

                async def make(count: int) -> list[str]:
                    events = [
                        await recordings.record(NOON + n * 20_000, frames=40)
                        for n in range(count)
                    ]
                    clips = [await running.clips.open(event.id) for event in events]
                    found = [clip.facts for clip in clips if clip]
                    await running.offer(*found)
                    await running.settled()
                    library.copies.set_store(Bridge(running.copier))
                    await library.copies.put(
                        remote_event(
                            facts.event,
                            facts.more["segments"],
                            protected=False,
                            labels=(),
                            description="",
                        )
                        for facts in found
                    )
                    await library.purge(older_than_ms=NOON + 86_400_000)
                    assert not list(library.settings.root.rglob("*.mp4"))
                    return [event.id for event in events]

                yield make


async def test_event(
    page: Page,  # noqa: F811
    server: Server,  # noqa: F811
    library: Library,
    remote: Callable[[int], Any],
    record_property: Callable[[str, object], None],
) -> None:
    """An event starts, is sought into and has its duration."""
    (event,) = await remote(1)
    clip = await library.clip(ClipSpec.event(event))
    server.clips["clip.mp4"] = clip
    start_s = await page.evaluate(START, "/clip.mp4")
    record_property("start_s", round(start_s, 3))
    await check(page, server, clip)


async def test_day_of_fifty(
    page: Page,  # noqa: F811
    server: Server,  # noqa: F811
    library: Library,
    remote: Callable[[int], Any],
    record_property: Callable[[str, object], None],
) -> None:
    """A day of fifty remote clips composes, starts and is sought into."""
    await remote(50)
    began = time.monotonic()
    clip = await library.clip(ClipSpec.day(FRONT, "2026-11-22"))
    record_property("compose_s", round(time.monotonic() - began, 3))
    server.clips["clip.mp4"] = clip
    record_property("start_s", round(await page.evaluate(START, "/clip.mp4"), 3))
    assert clip.duration_ms == 50 * 4000
    loaded = await page.evaluate("() => document.querySelector('video').duration")
    assert loaded * 1000 == pytest.approx(clip.duration_ms, abs=1)
    await page.evaluate(
        """() => new Promise(resolve => {
          const video = document.querySelector('video');
          video.onseeked = resolve;
          video.currentTime = 150;
        })"""
    )
    assert 206 in server.statuses
