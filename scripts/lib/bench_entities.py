"""How much longer a Home Assistant with many cameras takes to start.

Starts a real one without cameras, with cameras that it sees for the first time, and with
the same ones again, and prints the three times.
"""

import asyncio
from collections.abc import Sequence
import json
from pathlib import Path
import sys
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from benchmark import command_line, publish, scratch  # noqa: E402
from fleet import camera_id, stored_cameras  # noqa: E402
from home_assistant import HomeAssistantProcess, free_port  # noqa: E402

DOMAIN = "magicpi_nvr"
NEVER = "2026-01-01T00:00:00+00:00"


def stored(key: str, data: dict[str, Any], minor_version: int = 1) -> str:
    """Return a file of Home Assistant's storage."""
    return json.dumps(
        {"version": 1, "minor_version": minor_version, "key": key, "data": data}
    )


def entry(
    unique_id: str, title: str, data: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Return a config entry as Home Assistant stores it."""
    return {
        "created_at": NEVER,
        "modified_at": NEVER,
        "data": data,
        "disabled_by": None,
        "discovery_keys": {},
        "domain": DOMAIN,
        "entry_id": unique_id.replace(":", "").rjust(26, "0")[:26],
        "minor_version": 1,
        "options": options,
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": title,
        "unique_id": unique_id,
        "version": 1,
    }


def add_fleet(
    storage: Path,
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
    entries = [entry(DOMAIN, "MagicPi NVR", {}, options)]
    entries += [
        entry(
            camera_id(number).lower(),
            f"Camera {number}",
            {"id": camera_id(number)},
            camera_options or {},
        )
        for number in range(cameras)
    ]
    (storage / "core.config_entries").write_text(
        stored("core.config_entries", {"entries": entries}, 5)
    )
    (storage / f"{DOMAIN}.cameras").write_text(
        stored(f"{DOMAIN}.cameras", registry or stored_cameras(cameras))
    )


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
        add_fleet(folder / ".storage", cameras)
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
