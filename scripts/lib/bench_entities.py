"""How much longer a Home Assistant with many cameras takes to start.

Starts a real one without cameras, with cameras that it sees for the first time, and with
the same ones again, and prints the three times.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
import time

from benchmark import command_line, publish, scratch
from fleet import add_fleet, stored_cameras
from home_assistant import HomeAssistantProcess, free_port


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
        add_fleet(folder, free_port(), stored_cameras(cameras))
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
