"""How much longer a Home Assistant with many cameras takes to start.

Starts a real one without cameras, with cameras that it sees for the first time, and with
the same ones again, and prints the three times.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
import sys
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from benchmark import command_line, publish, scratch  # noqa: E402
from fleet import camera_id, stored_cameras  # noqa: E402
from home_assistant import HomeAssistantProcess, config_entry, free_port, write_store  # noqa: E402

DOMAIN = "magicpi_nvr"


def add_fleet(
    folder: Path,
    cameras: int,
    *,
    port: int = 0,
    registry: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    camera_options: dict[str, Any] | None = None,
) -> None:
    """Give a stopped Home Assistant cameras that are claimed and asleep."""
    options = {
        "network": {"port": port or free_port()},
        "cameras": {"max_cameras": max(50, cameras)},
        **(more or {}),
    }
    entries = [config_entry("MagicPi NVR", DOMAIN, options=options)]
    entries += [
        config_entry(
            f"Camera {number}",
            camera_id(number).lower(),
            data={"id": camera_id(number)},
            options=camera_options,
        )
        for number in range(cameras)
    ]
    write_store(folder, "core.config_entries", {"entries": entries}, minor_version=5)
    write_store(folder, f"{DOMAIN}.cameras", registry or stored_cameras(cameras))


async def start(hass: HomeAssistantProcess) -> float:
    """Return the seconds of one start."""
    begin = time.perf_counter()
    await hass.start()
    return time.perf_counter() - begin


async def measure(folder: Path, cameras: int) -> dict[str, float]:
    """Start three times and print; return the seconds."""
    hass = HomeAssistantProcess(folder, levels={"custom_components": "warning"})
    try:
        await start(hass)
        await hass.stop()
        without = await start(hass)
        await hass.stop()
        add_fleet(folder, cameras)
        first = await start(hass)
        states = [
            state
            for state in await hass.states()
            if state["entity_id"].split(".")[1].startswith(("camera_", "magicpi_nvr_"))
        ]
        unavailable = sum(state["state"] == "unavailable" for state in states)
        await hass.stop()
        again = await start(hass)
    finally:
        await hass.stop()
    print(f"{cameras} cameras, {len(states)} states, {unavailable} unavailable")
    print(f"start without cameras      {without:6.1f} s")
    print(f"with cameras seen first    {first:6.1f} s  (+{first - without:.1f} s)")
    print(f"with the same again        {again:6.1f} s  (+{again - without:.1f} s)")
    return {"without_s": without, "first_s": first, "again_s": again}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in a folder that goes afterwards."""
    parser = command_line("entities", __doc__, cameras=(50, "how many"))
    options = parser.parse_args(arguments)
    with scratch("entities") as folder:
        publish(options, asyncio.run(measure(folder, options.cameras)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
