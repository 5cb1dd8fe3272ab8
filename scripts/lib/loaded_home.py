"""A real Home Assistant with a fleet of claimed cameras, and what is asked of it while they send."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
import shutil
import time
from typing import Any

from custom_components.magicpi_nvr.gateway import Authority
from custom_components.magicpi_nvr.recording.hourfile import HourFileError, scan
from fleet import add_fleet, stored_cameras
from home_assistant import HomeAssistantProcess, free_port
from load import Fleet, rss_mb

WATCH = Path(__file__).parent / "loop_watch"
CONFIGURATION = "loop_watch:\ninput_boolean:\n  probe:\n"
PROBE = "input_boolean.probe"
RECORDINGS = "magicpi_nvr"


@asynccontextmanager
async def home_with_fleet(
    folder: Path,
    cameras: int,
    *,
    options: dict[str, Any] | None = None,
    camera_options: dict[str, Any] | None = None,
    models: Path | None = None,
    settings: dict[str, Any] | None = None,
    **fleet: Any,
) -> AsyncGenerator[tuple[HomeAssistantProcess, Fleet]]:
    """Start a Home Assistant in an empty folder that has claimed so many cameras; with `settings` they are always on."""
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    hass = HomeAssistantProcess(
        folder / "config",
        configuration=CONFIGURATION,
        levels={"custom_components.magicpi_nvr": "warning"},
        env={"TMPDIR": str(scratch)},
    )
    await hass.prepare()
    components = hass.folder / "custom_components"
    (components / WATCH.name).symlink_to(WATCH)
    # Without it, the repository's package of that name comes first.
    (components / "__init__.py").touch()
    authority = await asyncio.to_thread(
        Authority.load_or_create, hass.folder / ".storage" / "magicpi_nvr"
    )
    known = Fleet(
        cameras, free_port(), authority.ca_pem, authority.server_name, **fleet
    )
    add_fleet(
        hass.folder,
        known.port,
        known.with_keys(stored_cameras(cameras, settings=settings)),
        options=options,
        camera_options=camera_options,
    )
    if models is not None:
        # As a person would lay them there who has no network
        await asyncio.to_thread(
            shutil.copytree, models, hass.folder / RECORDINGS / "models"
        )
    async with hass:
        yield hass, known


async def round_trips(
    hass: HomeAssistantProcess, done: Callable[[], bool], *, pause_s: float = 0.02
) -> list[float]:
    """Toggle a switch by WebSocket until `done`; return the ms until its new state came."""
    found = []
    async with hass.websocket() as changes, hass.websocket() as orders:
        await changes.ask(
            "subscribe_trigger", trigger={"platform": "state", "entity_id": PROBE}
        )
        while not done():
            begin = time.perf_counter()
            await asyncio.gather(
                orders.ask(
                    "call_service",
                    domain="input_boolean",
                    service="toggle",
                    service_data={"entity_id": PROBE},
                ),
                changes.event(),
            )
            found.append((time.perf_counter() - begin) * 1000)
            await asyncio.sleep(pause_s)
    return found


async def samples_over[T](
    look: Callable[[], Awaitable[T]], done: Callable[[], bool], every_s: float = 1.0
) -> list[tuple[float, T]]:
    """Return (seconds, what was seen) until `done`."""
    begin = time.monotonic()
    samples = []
    while not done():
        samples.append((time.monotonic() - begin, await look()))
        await asyncio.sleep(every_s)
    return samples


async def memory_over(pid: int, done: Callable[[], bool]) -> list[tuple[float, float]]:
    """Return (seconds, MB) of a process until `done`."""

    async def look() -> float:
        return rss_mb(pid)

    return await samples_over(look, done)


def recorded_frames(hass: HomeAssistantProcess) -> int:
    """Return how many frames its hour files hold (blocking)."""
    return frames_below(hass.media / RECORDINGS)


def frames_below(folder: Path) -> int:
    """Return how many frames the hour files of a folder hold (blocking)."""
    frames = 0
    for path in folder.rglob("*.mp4"):
        # One that is just being begun holds none.
        with suppress(HourFileError):
            frames += sum(run.frame_count for run in scan(path).segments)
    return frames


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return sorted(found)
