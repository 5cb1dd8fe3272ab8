"""A Home Assistant in a process of its own, with the NVR set up before its first start."""

from pathlib import Path
from typing import Any

from home_assistant import HomeAssistantProcess, free_port, wait_until
from integration_setup import (
    DOMAIN,
    FLOWS,
    STEP_TIMEOUT,
    claim as type_code,
    claimed,
    nvr_entry,
    write_entries,
)
from virtual_camera import VirtualCamera

from .home_assistant import nvr_options


async def prepare(folder: Path, **more: Any) -> tuple[HomeAssistantProcess, int]:
    """Return a Home Assistant that was not started yet, and the port of its gateway."""
    hass = HomeAssistantProcess(folder, **more)
    await hass.prepare()
    port = free_port()
    write_entries(hass.folder, nvr_entry(port, nvr_options(port)))
    return hass, port


async def claim(
    hass: HomeAssistantProcess, camera: VirtualCamera, name: str = "Front door"
) -> None:
    """Claim a camera as a person does who types its address."""
    flow_id = (await hass.rest("POST", FLOWS, {"handler": DOMAIN}))["flow_id"]
    step = await hass.configure(flow_id, {"host": f"127.0.0.1:{camera.setup_port}"})
    assert step["step_id"] == "claim", step
    await type_code(hass, flow_id, camera.setup_code, name)
    await camera.wait_event("welcome", timeout=STEP_TIMEOUT)
    await claimed(hass, flow_id)

    async def is_loaded() -> bool:
        entries = await hass.ws("config_entries/get", domain=DOMAIN)
        return any(
            entry["title"] == name and entry["state"] == "loaded" for entry in entries
        )

    await wait_until(is_loaded, STEP_TIMEOUT, "the camera's entry")


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

    return await wait_until(ready, STEP_TIMEOUT, "the clips")
