"""The integration in a Home Assistant process: its entries before the first start, and adding a camera as a person does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from home_assistant import (
    COMPONENT,
    HomeAssistantError,
    HomeAssistantProcess,
    wait_until,
    write_store,
)

DOMAIN = COMPONENT.name
FLOWS = "/api/config/config_entries/flow"
STEP_TIMEOUT = 60.0


def nvr_entry(port: int, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the entry of an NVR whose gateway has a port of its own."""
    return config_entry(
        "MagicPi NVR", DOMAIN, options={"network": {"port": port}, **(options or {})}
    )


def config_entry(
    title: str,
    unique_id: str,
    *,
    data: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a config entry of the integration as Home Assistant stores it."""
    at = "2026-01-01T00:00:00+00:00"
    return {
        "created_at": at,
        "data": dict(data or {}),
        "disabled_by": None,
        "discovery_keys": {},
        "domain": DOMAIN,
        "entry_id": unique_id.replace(":", "").rjust(26, "0")[:26],
        "minor_version": 1,
        "modified_at": at,
        "options": dict(options or {}),
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "system" if unique_id == DOMAIN else "user",
        "subentries": [],
        "title": title,
        "unique_id": unique_id,
        "version": 1,
    }


def write_entries(folder: Path, *entries: dict[str, Any]) -> None:
    """Give a Home Assistant that is stopped its entries."""
    write_store(folder, "core.config_entries", {"entries": entries}, minor_version=5)


async def discovered(hass: HomeAssistantProcess, camera_id: str) -> dict[str, Any]:
    """Wait until a camera in setup mode has its card; return its flow."""

    async def found() -> dict[str, Any] | None:
        flows: list[dict[str, Any]] = await hass.ws("config_entries/flow/progress")
        for flow in flows:
            if flow["context"].get("unique_id") == camera_id.lower():
                return flow
        return None

    flow = await wait_until(found, STEP_TIMEOUT, "a discovered card")
    assert flow
    return flow


async def claim(
    hass: HomeAssistantProcess, flow_id: str, setup_code: str, name: str
) -> None:
    """Type a camera's setup code into its card."""
    step = await hass.configure(flow_id, {"setup_code": setup_code, "name": name})
    if step["type"] == "form":
        raise HomeAssistantError(f"the claim was refused: {step['errors']}")


async def claimed(hass: HomeAssistantProcess, flow_id: str) -> None:
    """Wait until a claim has made the camera's entry."""

    async def ended() -> bool:
        # Asking moves the flow on, as the UI does; it is gone when it has made its entry
        async with hass.session.get(f"{FLOWS}/{flow_id}") as response:
            if response.status == 404:
                return True
            step: dict[str, Any] = await response.json()
        if not step["type"].startswith(("progress", "create_entry")):
            raise HomeAssistantError(f"the claim ended with {step}")
        return False

    await wait_until(ended, STEP_TIMEOUT, "the camera's entry")


async def entities_of(hass: HomeAssistantProcess, camera_id: str) -> dict[str, str]:
    """Return the entity ids of a camera by the keys of its entities, such as `stream_duration_s`."""
    prefix = f"{camera_id.lower()}-"
    return {
        row["unique_id"].removeprefix(prefix): row["entity_id"]
        for row in await hass.ws("config/entity_registry/list")
        if row["platform"] == DOMAIN and row["unique_id"].startswith(prefix)
    }
