"""What copying costs the recording: the same events with a target and without, in turns.

Each turn is a process of its own that records events of several cameras at their pace: recorder, ffmpeg, hour
files and index, and in every other turn a copier to an S3 server (rclone, whose own CPU does not count). CPU
seconds are the kernel's, of the process and its ffmpeg together.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from statistics import median
import sys
import time
from typing import Any

from copies.catalog import Catalog
from copies.copier import CatalogThread, Copier
from copies.model import Copied, CopyNotice, CopySettings, Facts
from copies.s3 import S3Settings, S3Target
from copies.target import check
from recording.capture import ClipReady, Recorder, RecorderNotice
from recording.library import Library
from recording.model import FLAG_LAST, Event, RecordingSettings

from benchmark import (
    Picture,
    camera_id,
    child,
    command_line,
    cpu_seconds,
    memory,
    pictures,
    publish,
    reset_peak,
    say,
    scratch,
)
from object_stores import ACCESS_KEY, BUCKET, SECRET_KEY, s3_store, server_folder

STEP_MS = 100


class Clips:
    """The library as a copier asks it."""

    def __init__(self, library: Library) -> None:
        """Keep the library."""
        self._library = library

    async def open(self, event: str) -> Any:
        """Return a clip."""
        source = await self._library.copies.source(event)
        if source is None:
            return None
        return Clip(
            facts(source.event),
            source.clip.size,
            source.thumbnail,
            source.source,
            source.clip,
        )


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as a copier reads it."""

    facts: Facts
    size: int
    thumbnail: bytes | None
    source: Any
    clip: Any

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield bytes of the MP4."""
        found: AsyncIterator[bytes] = self.clip.read(start, stop)
        return found


def facts(event: Event) -> Facts:
    """Return what is said of an event."""
    return Facts(
        event=event.id,
        camera=event.camera,
        camera_name=event.camera[-2:],
        start_ms=event.start_ms,
        end_ms=event.end_ms,
        reason=event.reason,
        frames=event.frames,
    )


async def work(folder: Path, url: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Record, and copy where there is an address; return what it cost."""
    jpegs = await asyncio.to_thread(pictures, None, 60)
    total = settings.cameras * settings.events
    ready: dict[str, float] = {}
    lags: list[float] = []
    sizes: list[int] = []
    all_ready, all_copied = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    copier: Copier | None = None

    def hear(notice: RecorderNotice) -> None:
        if not isinstance(notice, ClipReady):
            return
        ready[notice.event.id] = time.monotonic()
        if copier is not None:
            task = loop.create_task(copier.offer(facts(notice.event)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if len(ready) == total:
            all_ready.set()

    def copied(notice: CopyNotice) -> None:
        if isinstance(notice, Copied):
            lags.append(time.monotonic() - ready[notice.facts.event])
            sizes.append(notice.size)
            if len(lags) == total:
                all_copied.set()

    async with AsyncExitStack() as undo:
        library = Library(
            RecordingSettings(
                root=folder / "media",
                index=folder / "index.db",
                ffmpeg="ffmpeg",
                time_zone=UTC,
                max_encoders=settings.cameras,
                free_space_floor=0,
            )
        )
        await library.open()
        undo.push_async_callback(library.close)
        recorder = Recorder(library.settings, library, on_event=hear)
        await recorder.start()
        undo.push_async_callback(recorder.stop)
        if url:
            target = S3Target(
                S3Settings(
                    endpoint=url,
                    bucket=BUCKET,
                    access_key_id=ACCESS_KEY,
                    secret_access_key=SECRET_KEY,
                    prefix=folder.name,
                )
            )
            # Loading the library is a matter of the start.
            await check(target)
            catalog = CatalogThread(Catalog(folder / "copies.db"))
            await catalog.open()
            undo.push_async_callback(catalog.close)
            copier = Copier(
                "bench",
                target,
                CopySettings(),
                catalog=catalog,
                source=Clips(library),
                time_zone=UTC,
                listener=copied,
            )
            await copier.start()
            undo.push_async_callback(copier.stop)
        base = memory("VmRSS")
        before = cpu_seconds()
        reset_peak()
        await asyncio.gather(
            *(
                _camera(recorder, number, jpegs, settings)
                for number in range(settings.cameras)
            )
        )
        await all_ready.wait()
        if url:
            await all_copied.wait()
        peak = memory("VmHWM")
    # Children count once they have ended.
    return {
        "cpu": cpu_seconds() - before,
        "memory": peak,
        "base": base,
        "lags": lags,
        "bytes": sum(sizes),
    }


async def _camera(
    recorder: Recorder, number: int, jpegs: list[bytes], settings: argparse.Namespace
) -> None:
    """Send events, a pause between them."""
    began = time.monotonic() + number * STEP_MS / 1000 / settings.cameras
    epoch = int(time.time() * 1000)
    sent = 0
    for event in range(1, settings.events + 1):
        count = int(settings.seconds * 1000 / STEP_MS)
        for i in range(count):
            sent += 1
            at = began + sent * STEP_MS / 1000
            await asyncio.sleep(max(at - time.monotonic(), 0))
            recorder.add_frame(
                Picture(
                    camera=camera_id(number),
                    event=event,
                    seq=sent,
                    flags=FLAG_LAST if i == count - 1 else 0,
                    t=1000 + sent * STEP_MS,
                    captured_ms=epoch + sent * STEP_MS,
                    jpeg=jpegs[sent % len(jpegs)],
                ),
                reason="motion",
            )


async def turn(folder: Path, url: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Run one turn in a process of its own."""
    folder.mkdir()
    async with child(
        *(__file__, "--worker", folder, "--url", url),
        *("--cameras", settings.cameras, "--events", settings.events),
        *("--seconds", settings.seconds),
    ) as worker:
        return await worker.hear()


async def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """Take turns with a target and without."""
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with scratch("copies") as root, server_folder() as place:
        async with s3_store(place) as store:
            for number in range(settings.rounds):
                without = await turn(root / f"without-{number}", "", settings)
                copying = await turn(root / f"with-{number}", store.url, settings)
                pairs.append((without, copying))
                print(
                    f"round {number + 1}: {without['cpu']:.2f} s of CPU, copying {copying['cpu']:.2f} s",
                    file=sys.stderr,
                )
    lags = sorted(lag for _, copying in pairs for lag in copying["lags"])
    return {
        "cameras": settings.cameras,
        "clips": len(lags),
        "bytes": sum(copying["bytes"] for _, copying in pairs),
        "recording_cpu_ratio": round(
            median(copying["cpu"] / without["cpu"] for without, copying in pairs), 3
        ),
        "lag_s": round(median(lags), 3),
        "lag_s_p95": round(lags[min(int(len(lags) * 0.95), len(lags) - 1)], 3),
        "memory_mb": round(
            median(copying["memory"] - without["memory"] for without, copying in pairs)
            / 1e6,
            1,
        ),
    }


def main() -> None:
    """Read the command line."""
    parser = command_line(
        "copies",
        __doc__,
        cameras=(4, "that record at once"),
        events=(3, "of each camera a turn"),
        seconds=(8.0, "of each event"),
        rounds=(3, "of a turn each"),
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        say(asyncio.run(work(settings.worker, settings.url, settings)))
        return
    publish(settings, asyncio.run(measure(settings)), table=True)


if __name__ == "__main__":
    main()
