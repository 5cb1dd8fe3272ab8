"""What looking at pictures costs beside recording them, how soon it answers, and what it does to the rest.

Needs real pictures (`shared/data` beside the project, or --source) and the detector's model
(there, or --models). CPU is the kernel's, of all processes of each kind, start included.
"""

import argparse
import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import statistics
import sys
import time
from typing import Any
from zoneinfo import ZoneInfo

from benchmark import (
    Picture,
    children_of,
    command_line,
    cpu_seconds,
    memory,
    publish,
    scratch,
)
from custom_components.magicpi_nvr.recording import (
    ClipReady,
    Library,
    Recorder,
    RecorderNotice,
    RecordingSettings,
)
from custom_components.magicpi_nvr.vision.model import Label
from custom_components.magicpi_nvr.vision.watch import EventWatch, Look, WatchSettings
from custom_components.magicpi_nvr.vision.weights import check_model
from custom_components.magicpi_nvr.vision.worker import ModelFiles, Worker
from load import percentile, sender
from loaded_home import home_with_fleet
from real_pictures import noisy, painted_out, real_data

FPS = 10
CAMERA = "02:00:00:00:00:01"
# A ring of the camera holds a few seconds; the recorder takes so many at once.
AT_ONCE = 20
STILL_PICTURES = 30
ANSWERS = 20
SETTLED_S = 1.0


def make_event(
    moving: Sequence[bytes],
    still: Sequence[bytes],
    seconds: tuple[int, int],
    first: int,
) -> list[bytes]:
    """Return pictures of somebody who walks, then of the record-after-motion time."""
    walk = [moving[(first + at) % len(moving)] for at in range(seconds[0] * FPS)]
    return walk + [still[at % len(still)] for at in range(seconds[1] * FPS)]


async def record(folder: Path, events: Sequence[Sequence[bytes]]) -> float:
    """Record events as fast as it goes; returns CPU seconds."""
    begin = cpu_seconds()
    ready = asyncio.Event()

    def hear(notice: RecorderNotice) -> None:
        if isinstance(notice, ClipReady):
            ready.set()

    settings = RecordingSettings(
        root=folder / "media",
        index=folder / "index.db",
        ffmpeg=shutil.which("ffmpeg") or "ffmpeg",
        time_zone=ZoneInfo("UTC"),
        free_space_floor=0,
        max_encoders=1,
    )
    library = Library(settings)
    await library.open()
    recorder = Recorder(settings, library, on_event=hear)
    await recorder.start()
    seq = 0
    for number, pictures in enumerate(events, 1):
        ready.clear()
        for jpeg in pictures:
            seq += 1
            while recorder.stats.queue > AT_ONCE:
                await asyncio.sleep(0.02)
            recorder.add_frame(
                Picture(
                    seq=seq,
                    t=seq * 1000 // FPS,
                    captured_ms=1_795_000_000_000 + seq * 1000 // FPS,
                    jpeg=jpeg,
                    camera=CAMERA,
                    event=number,
                ),
                reason="motion",
            )
        recorder.end_event(CAMERA, 1, number)
        await ready.wait()
    await recorder.stop()
    await library.close()
    return cpu_seconds() - begin


@dataclass
class Looked:
    """What looking at events took."""

    cpu_s: float
    motion: int
    detect: int
    memory_mb: float
    idle_gone: bool


async def look(model: ModelFiles, events: Sequence[Sequence[bytes]]) -> Looked:
    """Look at events as Home Assistant's side does, on the camera's clock."""
    begin = cpu_seconds()
    worker = Worker(model, idle_s=0.5)
    quiet: bytes | None = None
    still: tuple[Any, ...] = ()
    peak = 0.0
    for number, pictures in enumerate(events):
        name = f"event {number}"
        watch = EventWatch(WatchSettings(), still, has_quiet=quiet is not None)
        worker.open(name, quiet)
        for at, jpeg in enumerate(pictures):
            t = at * 1000 // FPS
            if not watch.wants(t, 0):
                continue
            first = watch.first_look(t, jpeg)
            motion = await worker.motion(name, jpeg)
            assert motion
            for item in (
                *((first,) if first else ()),
                *watch.measured(t, jpeg, motion),
            ):
                found = await worker.detect(
                    item.jpeg, crop=item.crop, thresholds=watch.asked
                )
                watch.looked(item, found)
        for item in watch.last_looks():
            found = await worker.detect(
                item.jpeg, crop=item.crop, thresholds=watch.asked
            )
            watch.looked(item, found)
        assert Label.PERSON in watch.sure()
        assert worker.pid
        peak = max(peak, memory("VmHWM", worker.pid) / 2**20)
        quiet = await worker.finish(name)
        still = watch.standing()
    async with asyncio.timeout(30):
        while worker.pid:
            await asyncio.sleep(0.05)
    await worker.stop()
    return Looked(
        cpu_seconds() - begin, worker.stats.motion, worker.stats.detect, peak, True
    )


async def first_answer(model: ModelFiles, pictures: Sequence[bytes]) -> float:
    """Return seconds from the arrival of an event's first frame to the first sure person, the child's start included."""
    worker = Worker(model)
    watch = EventWatch(WatchSettings())
    worker.open("event", None)
    seen = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def look(item: Look) -> None:
        found = await worker.detect(item.jpeg, crop=item.crop, thresholds=watch.asked)
        watch.looked(item, found)
        if Label.PERSON in watch.sure():
            seen.set()

    async def measure(jpeg: bytes, t: int) -> None:
        if (motion := await worker.motion("event", jpeg)) is None:
            watch.unmeasured(t)
            return
        for item in watch.measured(t, jpeg, motion):
            await look(item)

    def run(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    begin = time.perf_counter()
    for at, jpeg in enumerate(pictures):
        t = at * 1000 // FPS
        if watch.wants(t, 0):
            if item := watch.first_look(t, jpeg):
                run(look(item))
            run(measure(jpeg, t))
        with suppress(TimeoutError):
            async with asyncio.timeout(1 / FPS):
                await seen.wait()
                break
    took = time.perf_counter() - begin
    await worker.stop()
    await asyncio.gather(*tasks, return_exceptions=True)
    return took


async def loop_lateness(
    folder: Path, models: Path, settings: argparse.Namespace
) -> list[tuple[list[float], list[float]]]:
    """Return (without, with): by how many ms Home Assistant's loop is late each 10 ms while cameras record, by turns."""
    pairs = []
    async with AsyncExitStack() as stack:
        homes = []
        for name, detects in (("without", False), ("with", True)):
            home, fleet = await stack.enter_async_context(
                home_with_fleet(
                    folder / name,
                    settings.cameras,
                    mains=False,
                    options={"vision": {"detection": detects}},
                    models=models if detects else None,
                )
            )
            homes.append(
                (
                    home,
                    await stack.enter_async_context(
                        sender(fleet, source=settings.source)
                    ),
                )
            )

        async def turn(number: int) -> list[float]:
            home, senders = homes[number]
            await home.ws("loop_watch/take")
            counts = await senders.ask(do="burst", group=0, seconds=settings.seconds)
            assert not counts["lost"]
            late = (await home.ws("loop_watch/take"))["late_ms"]
            # Nothing of it is left while the other one is measured
            await senders.ask(do="settle", group=0)
            while "ffmpeg" in children_of(home.pid).values():
                await asyncio.sleep(0.1)
            await asyncio.sleep(SETTLED_S)
            return list(late)

        for number in (0, 1):
            await turn(number)
        for number in range(settings.pairs):
            first = await turn(number % 2)
            second = await turn(1 - number % 2)
            pairs.append((second, first) if number % 2 else (first, second))
    return pairs


def main() -> int:
    """Measure and print."""
    parser = command_line(
        "vision",
        __doc__,
        source=(None, "a folder of JPEGs with people"),
        models=(None, "a folder with the model"),
        events=(3,),
        cameras=(8, "for the loop"),
        pairs=(5, "turns"),
        seconds=(10.0, "of a turn"),
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--no-loop", action="store_true", help="leave the loop out")
    only.add_argument("--only-loop", action="store_true", help="leave the rest out")
    settings = parser.parse_args()
    data = real_data()
    source = settings.source or (data / "street-day" if data else None)
    models = settings.models or (data / "models" if data else None)
    if source is None or models is None:
        print("no pictures or no model: see --source and --models", file=sys.stderr)
        return 2
    settings.source = source
    moving = [path.read_bytes() for path in sorted(source.glob("*.jpg"))]
    still = noisy(painted_out(moving[::5]), STILL_PICTURES)
    model = check_model(models)
    with scratch("vision") as folder:
        figures = asyncio.run(measure(folder, model, models, moving, still, settings))
    publish(settings, figures)
    return 0


async def measure(
    folder: Path,
    model: ModelFiles,
    models: Path,
    moving: Sequence[bytes],
    still: Sequence[bytes],
    settings: argparse.Namespace,
) -> dict[str, float]:
    """Return the figures, printed as they come."""
    figures: dict[str, float] = {}

    def say(name: str, value: float, digits: int = 3) -> None:
        figures[name] = round(value, digits)
        print(f"{name:<26} {figures[name]:>9}", flush=True)

    if not settings.only_loop:
        await measure_cost(folder, model, moving, still, settings.events, say)
    if not settings.no_loop:
        pairs = await loop_lateness(folder, models, settings)
        # Of all turns together: in one of ten seconds the p99 is its tenth latest tick
        without, with_it = (
            percentile([ms for pair in pairs for ms in pair[side]], 0.99)
            for side in (0, 1)
        )
        say("loop_p99_ratio", with_it / without, 2)
        turns = (
            f"{percentile(a, 0.99):.1f}:{percentile(b, 0.99):.1f}" for a, b in pairs
        )
        print(f"  {without:.1f}:{with_it:.1f} ms; by turns {' '.join(turns)}")
    return figures


async def measure_cost(
    folder: Path,
    model: ModelFiles,
    moving: Sequence[bytes],
    still: Sequence[bytes],
    count: int,
    say: Callable[..., None],
) -> None:
    """Measure what looking costs beside recording, and how soon it answers."""
    # Somebody walks for ten seconds, then half a minute is recorded after the last motion: the defaults
    usual = [
        make_event(moving, still, (10, 30), number * 40) for number in range(count)
    ]
    busy = [make_event(moving, still, (30, 0), number * 40) for number in range(count)]
    for name, events in (("cpu_share", usual), ("cpu_share_busy", busy)):
        recorded = await record(folder / name, events)
        looked = await look(model, events)
        say(name, looked.cpu_s / recorded)
        print(
            f"  {count} events, {sum(map(len, events))} frames: recording {recorded:.2f} s,"
            f" vision {looked.cpu_s:.2f} s ({looked.motion} measured, {looked.detect} looked at)"
        )
    say("worker_mb", looked.memory_mb, 1)

    worker = Worker(model)
    worker.open("bench", None)
    assert await worker.motion("bench", moving[0])
    watch = EventWatch(WatchSettings())
    assert await worker.detect(moving[0], crop=None, thresholds=watch.asked)
    ticks = os.sysconf("SC_CLK_TCK")

    def child_cpu() -> float:
        stat = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / ticks

    begin = child_cpu()
    for jpeg in moving[:200]:
        await worker.motion("bench", jpeg)
    say("motion_ms_per_picture", (child_cpu() - begin) * 1000 / len(moving[:200]), 2)
    begin = child_cpu()
    for jpeg in moving[:60]:
        await worker.detect(jpeg, crop=None, thresholds=watch.asked)
    say("detector_ms_per_picture", (child_cpu() - begin) * 1000 / len(moving[:60]), 1)
    await worker.stop()

    answers = [
        await first_answer(model, moving[number * 7 :][: 10 * FPS])
        for number in range(ANSWERS)
    ]
    say("first_answer_s_p50", statistics.median(answers))
    say("first_answer_s_p95", percentile(answers, 0.95))


if __name__ == "__main__":
    raise SystemExit(main())
