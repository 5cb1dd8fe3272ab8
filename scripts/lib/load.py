"""Many virtual cameras in a process of their own, already claimed: for benchmarks and soak tests.

The parent makes a `Fleet`, gives its stored form to who receives, and has the cameras
of one or more receivers driven by one `Sender`. `python load.py` is that process.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
import hashlib
import json
from pathlib import Path
import random
import sys
import time
from typing import Any

from benchmark import LINE, Child, camera_id, child, memory, say
from virtual_camera import LoopSource, State, VirtualCamera

RING = 1 << 40
PICTURES = 60


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def rss_mb(pid: int | str = "self") -> float:
    """Return a process' resident memory."""
    return memory("VmRSS", pid) / 2**20


def slope_per_min(samples: Sequence[tuple[float, float]]) -> float:
    """Return the median slope of all pairs of (seconds, value), per minute (Theil and Sen)."""
    slopes = sorted(
        (value - before) / (at - then) * 60
        for i, (then, before) in enumerate(samples)
        for at, value in samples[i + 1 :]
        if at > then
    )
    return slopes[len(slopes) // 2] if slopes else 0.0


def loop_pictures(source: Path | None) -> LoopSource:
    """Return the pictures that all cameras send: a folder's, else made ones (SVGA)."""
    if source is not None:
        return LoopSource.from_folder(source)
    return LoopSource.rendered(PICTURES)


@dataclass
class Fleet:
    """Cameras that one receiver knows."""

    count: int
    port: int
    ca: str
    name: str
    mains: bool = True
    time_factor: float = 1.0
    ring_bytes: int = RING
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Make up keys."""
        self.keys = [
            f"bench-key-{number:04}".ljust(43, "x") for number in range(self.count)
        ]

    def with_keys(self, stored: dict[str, Any]) -> dict[str, Any]:
        """Return a gateway's stored cameras with these keys."""
        for number, camera in enumerate(stored["cameras"].values()):
            camera["key_hash"] = hashlib.sha256(self.keys[number].encode()).hexdigest()
        return stored


# In the child


def make_cameras(fleet: dict[str, Any], source: LoopSource) -> list[VirtualCamera]:
    """Return the cameras of a fleet, switched off."""
    known = Fleet(**{key: fleet[key] for key in fleet if key != "keys"})
    cameras = []
    for number, key in enumerate(known.keys):
        camera = VirtualCamera(
            camera_id(number),
            source=source,
            wifi_s=0.05,
            always_on=known.mains,
            battery_pct=None if known.mains else 100.0,
            time_factor=known.time_factor,
            ring_bytes=known.ring_bytes,
            tail_s=0.0,
            settings={"max_event_s": 600, "heartbeat_interval_s": 86_400},
        )
        camera.flash.api_key = key
        camera.flash.bundle = {
            "v": 1,
            "gateway": {
                "hosts": ["127.0.0.1"],
                "port": known.port,
                "name": known.name,
            },
            "ca": known.ca,
            "token": "",
            "time": 0,
            "name": f"Camera {number}",
        }
        cameras.append(camera)
    return cameras


def counted(cameras: Sequence[VirtualCamera]) -> dict[str, int]:
    """Return the sums over cameras."""
    names = (
        "captured",
        "sent",
        "resent",
        "acked",
        "lost",
        "events",
        "connects",
        "boots",
    )
    counts = {
        name: sum(getattr(camera.counters, name) for camera in cameras)
        for name in names
    }
    counts["lost"] += sum(
        camera.boot.outbox.lost_total for camera in cameras if camera.boot
    )
    counts["closes"] = sum(
        count
        for camera in cameras
        for code, count in camera.counters.closes.items()
        if code != 1000
    )
    return counts


async def connected(cameras: Sequence[VirtualCamera]) -> None:
    """Switch on and wait for the welcome of each."""
    for camera in cameras:
        await camera.start()
        await asyncio.sleep(0.02)
    for camera in cameras:
        await camera.wait_event("welcome", timeout=120)


async def stream(
    cameras: Sequence[VirtualCamera], seconds: float, *, live: bool
) -> None:
    """Have all see motion, or be watched, for a while; return when all is on its way."""
    pause = 0.1 / len(cameras)
    if live:
        for camera in cameras:
            camera.set_live(True)
            await asyncio.sleep(pause)
        await asyncio.sleep(seconds)
        for camera in cameras:
            camera.set_live(False)
    else:
        for camera in cameras:
            camera.trigger_motion(seconds)
            await asyncio.sleep(pause)
        await asyncio.sleep(seconds)
    # A receiver that acknowledges nothing leaves a camera with nothing to tell.
    while any(
        (boot := camera.boot) and (boot.capturing or boot.outbox.waiting_frames)
        for camera in cameras
    ):
        await asyncio.sleep(0.02)


async def burst(cameras: Sequence[VirtualCamera], seconds: float) -> None:
    """Have all see motion in the same instant; return when the gateway has acknowledged it all."""
    for camera in cameras:
        camera.trigger_motion(seconds)
    await asyncio.sleep(seconds)
    for camera in cameras:
        await camera.wait_all_acked(timeout=600)


async def live_and_vanish(
    camera: VirtualCamera, until: float, chance: random.Random
) -> None:
    """Be a camera in a bad network: stream, sleep, lose link or power, come back."""
    while time.monotonic() < until:
        camera.trigger_motion(chance.uniform(0.5, 3))
        await asyncio.sleep(chance.uniform(0.5, 5))
        match chance.randrange(8):
            case 0:
                camera.cut_link()
            case 1:
                camera.cut_link(after_bytes=chance.randrange(100_000))
            case 2:
                camera.cut_link(silent=True)
            case 3:
                camera.reboot()
            case 4:
                await camera.drop_power()
                await asyncio.sleep(chance.uniform(0, 3))
                await camera.start()
            case 5:
                camera.stall(chance.uniform(0.5, 3))
            case _:
                await asyncio.sleep(chance.uniform(0, 4))


async def settle(cameras: Sequence[VirtualCamera]) -> None:
    """Wait until all cameras have handed over everything and sleep."""
    for camera in cameras:
        await camera.wait_state(State.ASLEEP, timeout=180)


async def serve() -> None:
    """Do what the parent asks, a JSON object per line."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    setup = json.loads(await reader.readline())
    source = loop_pictures(Path(setup["source"]) if setup["source"] else None)
    groups = [make_cameras(fleet, source) for fleet in setup["fleets"]]
    for cameras in groups:
        await connected(cameras)
    say({"ready": True})
    while line := await reader.readline():
        order = json.loads(line)
        cameras = groups[order["group"]]
        match order["do"]:
            case "stream":
                await stream(cameras, order["seconds"], live=order["live"])
            case "burst":
                await burst(cameras, order["seconds"])
            case "soak":
                until = time.monotonic() + order["seconds"]
                await asyncio.gather(
                    *(
                        live_and_vanish(
                            camera, until, random.Random(f"{order['seed']} {camera.id}")
                        )
                        for camera in cameras
                    )
                )
            case "settle":
                await settle(cameras)
        say(counted(cameras))
    for cameras in groups:
        for camera in cameras:
            await camera.stop()


# In the parent


@asynccontextmanager
async def sender(*fleets: Fleet, source: Path | None = None) -> AsyncGenerator[Child]:
    """Start the cameras of these fleets; all are connected when it is there."""
    async with child(__file__) as cameras:
        await cameras.ask(
            source=str(source) if source else None,
            fleets=[asdict(fleet) for fleet in fleets],
        )
        yield cameras


if __name__ == "__main__":
    asyncio.run(serve())
