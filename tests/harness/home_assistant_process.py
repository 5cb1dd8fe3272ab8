"""A Home Assistant in a process of its own, with the NVR set up before its first start."""

import json
from pathlib import Path
from typing import Any

from home_assistant import HomeAssistantProcess, free_port, wait_until
from virtual_camera import VirtualCamera

from .home_assistant import nvr_options

DOMAIN = "magicpi_nvr"
TIMEOUT = 60.0


async def prepare(folder: Path, **more: Any) -> tuple[HomeAssistantProcess, int]:
    """Return a Home Assistant that was not started yet, and the port of its gateway."""
    hass = HomeAssistantProcess(folder, **more)
    await hass.prepare()
    port = free_port()
    at = "2026-01-01T00:00:00+00:00"
    entry = {
        "created_at": at,
        "data": {},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": DOMAIN,
        "entry_id": "01JDMAGICPINVR0000000000NVR",
        "minor_version": 1,
        "modified_at": at,
        "options": nvr_options(port),
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "system",
        "subentries": [],
        "title": "MagicPi NVR",
        "unique_id": DOMAIN,
        "version": 1,
    }
    path = hass.folder / ".storage" / "core.config_entries"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "minor_version": 5,
                "key": "core.config_entries",
                "data": {"entries": [entry]},
            }
        )
    )
    return hass, port


async def claim(
    hass: HomeAssistantProcess, camera: VirtualCamera, name: str = "Front door"
) -> None:
    """Claim a camera as a person does who types its address."""
    flow = await hass.rest(
        "POST", "/api/config/config_entries/flow", {"handler": DOMAIN}
    )
    flow_id = flow["flow_id"]
    step = await hass.configure(flow_id, {"host": f"127.0.0.1:{camera.setup_port}"})
    assert step["step_id"] == "claim", step
    step = await hass.configure(
        flow_id, {"setup_code": camera.setup_code, "name": name}
    )
    assert step["type"] == "progress", step
    await camera.wait_event("welcome", timeout=TIMEOUT)

    async def has_entry() -> bool:
        # Asking moves the flow on, as the UI does
        async with hass.session.get(f"/api/config/config_entries/flow/{flow_id}"):
            pass
        entries = await hass.ws("config_entries/get", domain=DOMAIN)
        return any(
            entry["title"] == name and entry["state"] == "loaded" for entry in entries
        )

    await wait_until(has_entry, TIMEOUT, "the camera's entry")


async def recordings(hass: HomeAssistantProcess) -> list[dict[str, Any]]:
    """Return all recordings, oldest first."""
    answer = await hass.rest("GET", f"/api/{DOMAIN}/recordings")
    return sorted(answer["recordings"], key=lambda item: int(item["start"]))


async def all_ready(hass: HomeAssistantProcess, count: int) -> list[dict[str, Any]]:
    """Wait until so many recordings have their clips; returns them, oldest first."""

    async def ready() -> list[dict[str, Any]]:
        found = await recordings(hass)
        good = len(found) >= count and all(item["state"] == "ready" for item in found)
        return found if good else []

    return await wait_until(ready, TIMEOUT, "the clips")
