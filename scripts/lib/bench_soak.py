"""Whether anything is left or grows: cameras that connect, stream, sleep, vanish and return.

A real Home Assistant records a fleet in a bad network. Before and after, with all cameras
asleep again, its tasks, threads, children, open files and temporary files are counted; in
between its memory is watched: what the process has, and what is in use of that without
SQLite's page caches, which Home Assistant lets grow to 16 MB over longer than any soak.

With --continuous, two cameras that are always on are recorded continuously, with motion and
a restart of Home Assistant: each frame that was sent has to be in a clip.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
import re
from statistics import median
import time
from typing import Any, NamedTuple

from benchmark import children_of, command_line, publish, scratch
from continuous_soak import report_continuous, soak_continuously
from home_assistant import HomeAssistantError, HomeAssistantProcess, wait_until
from load import rss_mb, sender, slope_per_min
from loaded_home import home_with_fleet, open_files, recorded_frames, samples_over

WARM_UP_SHARE = 0.4
QUIET_S = 60.0
# Their number is the pool's business; they wait for work.
POOLED_THREADS = re.compile(
    r"SyncWorker|ImportExecutor|asyncio_|magicpi-|ThreadPool|waitpid"
)


@dataclass
class Holdings:
    """What a Home Assistant holds at a moment."""

    tasks: Counter[str]
    threads: Counter[str]
    children: Counter[str]
    sockets: int
    files: Counter[str]
    scratch: Counter[str]

    def beyond(self, before: Holdings) -> dict[str, list[str]]:
        """Return what there is more than before."""
        found = {
            name: sorted((getattr(self, name) - getattr(before, name)).elements())
            for name in ("tasks", "threads", "children", "files", "scratch")
        }
        if self.sockets > before.sockets:
            found["sockets"] = [f"{before.sockets} to {self.sockets}"]
        return {name: left for name, left in found.items() if left}


class Memory(NamedTuple):
    """A process' memory in MB."""

    process: float
    malloc: float
    sqlite: float


@dataclass
class Soaked:
    """What a soak found; memory in MB and MB per minute."""

    minutes: float
    counts: dict[str, int]
    recorded: int
    left: dict[str, list[str]]
    problems: list[str]
    memory: list[tuple[float, Memory]] = field(repr=False)

    @property
    def warm(self) -> list[tuple[float, Memory]]:
        """Memory after the warm-up."""
        return self.memory[int(len(self.memory) * WARM_UP_SHARE) :]

    @property
    def process(self) -> list[tuple[float, float]]:
        """What the process has after the warm-up."""
        return [(at, seen.process) for at, seen in self.warm]

    @property
    def in_use(self) -> list[tuple[float, float]]:
        """What it uses of that, without SQLite; nothing where the C library does not tell."""
        return [
            (at, seen.malloc - seen.sqlite) for at, seen in self.warm if seen.malloc
        ]


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Return the ratio of the last third's median to the first's."""
    values = [value for _, value in samples]
    third = max(1, len(values) // 3)
    return median(values[-third:]) / median(values[:third])


async def watch_memory(
    hass: HomeAssistantProcess, done: Callable[[], bool]
) -> list[tuple[float, Memory]]:
    """Look at a Home Assistant's memory until `done`."""
    async with hass.websocket() as websocket:

        async def look() -> Memory:
            held = await websocket.ask("loop_watch/memory")
            return Memory(rss_mb(hass.pid), held["malloc_mb"], held["sqlite_mb"])

        return await samples_over(look, done)


async def holdings(hass: HomeAssistantProcess, scratch: Path) -> Holdings:
    """Look at a Home Assistant."""
    seen = await hass.ws("loop_watch/take")
    files = open_files(hass.pid)
    return Holdings(
        tasks=Counter(seen["tasks"]),
        threads=Counter(
            name for name in seen["threads"] if not POOLED_THREADS.search(name)
        ),
        children=Counter(children_of(hass.pid).values()),
        sockets=sum(name.startswith("socket:") for name in files),
        files=Counter(
            name
            for name in files
            # SQLite opens its files per thread of the pool.
            if name.startswith("/") and ".db" not in name and "/dev/" not in name
        ),
        scratch=Counter(str(path) for path in scratch.rglob("*")),
    )


async def soak(
    folder: Path, *, minutes: float, cameras: int, source: Path | None = None
) -> Soaked:
    """Have cameras come and go, then count what is left."""
    async with (
        home_with_fleet(folder, cameras, mains=False, time_factor=60.0) as (
            hass,
            fleet,
        ),
        sender(fleet, source=source) as senders,
    ):
        scratch = folder / "tmp"
        await senders.ask(do="burst", group=0, seconds=2)
        await senders.ask(do="settle", group=0)
        before = await quiet_holdings(hass, scratch, None)
        work = asyncio.create_task(
            senders.ask(do="soak", group=0, seconds=minutes * 60, seed=1)
        )
        memory = await watch_memory(hass, work.done)
        await work
        counts = await senders.ask(do="settle", group=0)
        after = await quiet_holdings(hass, scratch, before)
        return Soaked(
            minutes=minutes,
            counts=counts,
            recorded=await asyncio.to_thread(recorded_frames, hass),
            left=after.beyond(before),
            problems=hass.problems(),
            memory=memory,
        )


async def quiet_holdings(
    hass: HomeAssistantProcess, scratch: Path, before: Holdings | None
) -> Holdings:
    """Wait until encoders are done and dead links are noticed, then look."""
    seen: list[Holdings] = []

    async def is_quiet() -> bool:
        seen.append(await holdings(hass, scratch))
        if before is not None:
            return not seen[-1].beyond(before)
        return not seen[-1].children

    end = time.monotonic() + QUIET_S
    try:
        await wait_until(is_quiet, QUIET_S, "quiet")
    except HomeAssistantError:
        if time.monotonic() < end:
            raise
    return seen[-1]


def report_memory(name: str, samples: Sequence[tuple[float, float]]) -> float:
    """Print how memory went after the warm-up; return its slope in MB per minute."""
    slope = slope_per_min(samples)
    print(
        f"{name} after the warm-up {samples[0][1]:.0f} to {samples[-1][1]:.0f} MB,"
        f" slope {slope:+.2f} MB/min, last to first third {growth(samples):.3f}"
    )
    return round(slope, 3)


def report(found: Soaked) -> dict[str, Any]:
    """Print and return the figures."""
    counts = found.counts
    print(
        f"{found.minutes:g} minutes: {counts['boots']} boots, {counts['connects']} connections,"
        f" {counts['events']} events, {counts['captured']} frames, {found.recorded} recorded"
    )
    figures = {"rss_slope_mb_per_min": report_memory("memory", found.process)}
    if found.in_use:
        figures["in_use_slope_mb_per_min"] = report_memory("in use", found.in_use)
    print(f"left: {found.left or 'nothing'}")
    for line in found.problems[:10]:
        print(f"logged: {line}")
    return {
        "minutes": found.minutes,
        "frames": counts["captured"],
        **figures,
        "rss_growth": round(growth(found.process), 4),
        "left": sum(map(len, found.left.values())),
        "problems": len(found.problems),
    }


def soak_continuous(settings: argparse.Namespace, folder: Path) -> int:
    """Record continuously and print; 1 when a frame is lost, or something was logged."""
    found = asyncio.run(
        soak_continuously(folder, minutes=settings.minutes, source=settings.source)
    )
    figures = report_continuous(found)
    publish(settings, figures)
    return int(bool(found.lost or found.twice or found.unknown or found.problems))


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak and print; 1 when something is left or was logged."""
    parser = command_line(
        "soak",
        __doc__,
        minutes=(15.0, "how long"),
        cameras=(8, "how many"),
        source=(None, "a folder of JPEGs to send"),
    )
    parser.add_argument(
        "--continuous",
        action="store_true",
        help="two cameras at 2 pictures a second, and a restart: is each frame in a clip?",
    )
    settings = parser.parse_args(arguments)
    with scratch("soak") as folder:
        if settings.continuous:
            return soak_continuous(settings, folder / "home")
        found = asyncio.run(
            soak(
                folder / "home",
                minutes=settings.minutes,
                cameras=settings.cameras,
                source=settings.source,
            )
        )
    figures = report(found)
    publish(settings, figures)
    return int(bool(found.left or found.problems))


if __name__ == "__main__":
    raise SystemExit(main())
