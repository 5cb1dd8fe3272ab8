"""Diagnostics, without what identifies a person or opens a door."""

from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.const import CONF_HOST, CONF_NAME
from homeassistant.core import HomeAssistant

from .const import CONF_BOARD_ID, CONF_HOSTS, CONF_ID
from .gateway import Camera
from .nvr import MagicPiConfigEntry, Nvr
from .status import camera_stats, camera_status, storage_stats

TO_REDACT: Final = frozenset(
    {
        "address",
        "camera",
        "title",
        CONF_BOARD_ID,
        CONF_HOST,
        CONF_HOSTS,
        CONF_ID,
        CONF_NAME,
    }
)


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: MagicPiConfigEntry
) -> dict[str, Any]:
    """Return what helps to understand a camera's or the NVR's troubles."""
    nvr = entry.runtime_data.nvr
    facts: dict[str, Any] = {
        "entry": {
            "data": dict(entry.data),
            "options": dict(entry.options),
            "version": entry.version,
        },
        "nvr": _nvr(nvr),
    }
    if camera := entry.runtime_data.camera:
        facts["camera_details"] = _camera(nvr, camera)
    else:
        facts["cameras"] = [_camera(nvr, item) for item in nvr.gateway.cameras.values()]
    redacted: dict[str, Any] = async_redact_data(facts, TO_REDACT)
    return redacted


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; `dataclasses.asdict` cannot copy a Counter."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() | deque():
            return [_plain(item) for item in value]
        case Path():
            return str(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {
                item.name: _plain(getattr(value, item.name)) for item in fields(value)
            }
        case _:
            return value


def _nvr(nvr: Nvr) -> dict[str, Any]:
    return {
        "version": nvr.version,
        "running": nvr.running,
        "options": _plain(nvr.options),
        "counters": dict(nvr.gateway.counters),
        "recorder": _plain(nvr.recordings.recorder.stats),
        "storage": storage_stats(nvr),
        "copies": nvr.copies.diagnostics(),
        "vision": {
            "detects": nvr.vision.worker.detects,
            "runs": nvr.vision.worker.pid is not None,
            **_plain(nvr.vision.worker.stats),
        }
        if nvr.vision
        else None,
        "problems": dict(nvr.recordings.problems),
        "recording": nvr.settings.recording,
        "cameras_of_an_old_authority": len(nvr.settings.stale_ca),
        "firmware": [
            {"board": image.board, "version": image.version, "size": image.size}
            for image in nvr.firmware_folder.images
        ],
        "firmware_refused": dict(nvr.firmware_folder.refused),
    }


def _camera(nvr: Nvr, camera: Camera) -> dict[str, Any]:
    return {
        "status": camera_status(nvr, camera),
        "stats": camera_stats(nvr, camera),
        "caps": camera.caps.as_dict(),
        "telemetry": _plain(camera.telemetry),
        "hello": {
            "boot": camera.hello.boot,
            "reason": camera.hello.reason,
            "uptime_ms": camera.hello.uptime_ms,
            "backlog": camera.hello.backlog,
            "lost": camera.hello.lost,
            "timing": _plain(camera.hello.timing),
        }
        if camera.hello
        else None,
        "ota": _plain(camera.ota) if camera.ota else None,
        "log": [_plain(line) for line in camera.log],
    }
