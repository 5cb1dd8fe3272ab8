"""What a large library costs: answers, a start, retention, and how long the event loop is held.

Makes hour files of 50 cameras, each with a few real fragments per event, and opens a library on them.
Keys of --json: loop_block_ms, page_ms, month_ms, search_ms, purge_s, start_unchanged_s, rebuild_s,
db_bytes_per_event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
import gc
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from recording.hourfile import (
    Claims,
    HourFileWriter,
    Sample,
    SegmentHeader,
    VideoConfig,
)
from recording.library import Library
from recording.library.layout import HourPath, event_id
from recording.model import RecordingSettings

from benchmark import camera_id, command_line, publish, scratch

CAMERAS = 50
HOUR_FILES = 8000
FRAMES = 5
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
CONFIG = VideoConfig(bytes.fromhex("01640028ffe1000467640028010001ee"), 320, 240)
TICK_S = 0.001
REPEATS = 15


def make(root: Path, events: int) -> None:
    """Write the hour files, oldest first; thumbnails are one byte."""
    hours = max(1, min(HOUR_FILES, events) // CAMERAS)
    per_file = -(-events // (hours * CAMERAS))
    claims = Claims()
    samples = [
        Sample(bytes(200 if number else 1000), 9000, not number)
        for number in range(FRAMES)
    ]
    made = 0
    for back in range(hours, 0, -1):
        for number in range(CAMERAS):
            if made >= events:
                return
            camera = camera_id(number)
            begin = NOON - back * HOUR_MS
            hour = HourPath.at(camera, begin, UTC)
            writer = HourFileWriter(root / hour.relative, CONFIG, claims)
            # What is measured reads; what a power cut leaves is another test's.
            writer.sync = lambda: None  # type: ignore[method-assign]
            writer.open()
            for index in range(min(per_file, events - made)):
                event = back * 10_000 + index
                name = event_id(camera, 1, event)
                writer.begin_segment(
                    SegmentHeader(
                        id=name,
                        camera=camera,
                        start_ms=begin + index * (HOUR_MS // per_file),
                        reason="pir",
                        boot=1,
                        event=event,
                        number=0,
                        t=1000,
                        hour_ms=begin,
                        recorded_ms=(hours - back) * HOUR_MS + index * 1000,
                    )
                )
                writer.append(samples, first_seq=1, last_seq=FRAMES, offset=0)
                writer.end_segment(lost=0)
                (root / hour.thumbnail(name)).write_bytes(b"x")
            made += min(per_file, events - made)
            writer.close()


class LoopWatch:
    """Measures how long the event loop is held at most.

    Other programs hold it too: of an interval in which it did not run, at most what this process computed counts.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.longest_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def _watch(self) -> None:
        while True:
            began, computed = perf_counter(), process_time()
            await asyncio.sleep(TICK_S)
            held_s = min(perf_counter() - began - TICK_S, process_time() - computed)
            self.longest_s = max(self.longest_s, held_s)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure what happens inside."""
        self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._task.cancel()


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that something takes."""
    began = perf_counter()
    await call()
    return perf_counter() - began


async def middle_ms(call: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds of the middle one of some tries."""
    return 1000 * median([await timed(call) for _ in range(REPEATS)])


async def measure(folder: Path, events: int) -> dict[str, Any]:
    """Return the figures."""
    settings = RecordingSettings(
        root=folder / "media",
        index=folder / "index.db",
        ffmpeg="ffmpeg",
        time_zone=UTC,
        retention_days=3650,
        free_space_floor=0,
    )

    def library() -> Library:
        return Library(settings, clock=lambda: NOON / 1000)

    first = library()
    rebuild_s = await timed(first.open)
    await first.close()
    size = sum(path.stat().st_size for path in folder.glob("index.db*"))
    settled = library()
    await settled.open()
    await settled.close()
    watch = LoopWatch()
    gc.collect()
    gc.freeze()
    with watch.watching():
        opened = library()
        start_s = await timed(opened.open)
        camera = camera_id(7)
        page_ms = await middle_ms(lambda: opened.events(limit=50))
        page_ms = max(
            page_ms, await middle_ms(lambda: opened.events(camera=camera, limit=50))
        )
        month_ms = await middle_ms(lambda: opened.days(camera=camera, month="2026-11"))
        month_ms = max(month_ms, await middle_ms(lambda: opened.days(month="2026-11")))
        search_ms = await middle_ms(lambda: opened.events(text="nowhere", limit=50))
        await opened.usage()
        await opened.recent_files()
        await opened.make_room(0)
        # A hundredth of all, by age.
        days = max(1, events // CAMERAS // max(1, events // HOUR_FILES) // 24)
        opened.update_settings(replace(settings, retention_days=max(days - 1, 0)))
        gone = 0

        async def purge() -> None:
            nonlocal gone
            oldest = NOON - max(1, min(HOUR_FILES, events) // CAMERAS) * HOUR_MS
            report = await opened.purge(older_than_ms=oldest + 2 * HOUR_MS)
            gone = len(report.events)

        purge_s = await timed(purge)
        await opened.close()
    return {
        "events": events,
        "loop_block_ms": round(watch.longest_s * 1000, 1),
        "page_ms": round(page_ms, 2),
        "month_ms": round(month_ms, 2),
        "search_ms": round(search_ms, 1),
        "purge_s": round(purge_s, 2),
        "purged_events": gone,
        "start_unchanged_s": round(start_s, 3),
        "rebuild_s": round(rebuild_s, 1),
        "db_bytes_per_event": round(size / events),
    }


def main() -> None:
    """Run."""
    settings = command_line(
        "library", __doc__, events=(10_000, "how many"), folder=(None, "where to write")
    ).parse_args()
    with scratch("library", settings.folder) as folder:
        began = perf_counter()
        make(folder / "media", settings.events)
        print(f"{settings.events} events made in {perf_counter() - began:.0f} s")
        figures = asyncio.run(measure(folder, settings.events))
    publish(settings, figures, table=True)


if __name__ == "__main__":
    main()
