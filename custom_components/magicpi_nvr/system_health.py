"""Figures for Home Assistant's system health page."""

from typing import Any

from homeassistant.components.ffmpeg import get_ffmpeg_manager
from homeassistant.components.system_health import SystemHealthRegistration
from homeassistant.core import HomeAssistant, callback

from .nvr import async_get_nvr

GIGABYTE = 1024**3


@callback
def async_register(hass: HomeAssistant, register: SystemHealthRegistration) -> None:
    """Register the figures."""
    register.async_register_info(async_system_health_info)


async def async_system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the figures."""
    nvr = await async_get_nvr(hass)
    if not nvr.running:
        return {"running": False}
    info: dict[str, Any] = {
        "running": True,
        "port": nvr.gateway.port,
        "cameras": f"{nvr.connected} / {len(nvr.gateway.cameras)}",
        "encoders": nvr.recordings.recorder.stats.encoders,
        "ffmpeg": get_ffmpeg_manager(hass).binary,
        "problems": ", ".join(sorted(nvr.recordings.problems)) or "-",
    }
    if nvr.recordings.usage.storage:
        info["storage_used"] = f"{nvr.recordings.usage.storage.used / GIGABYTE:.1f} GB"
        info["storage_free"] = f"{nvr.recordings.usage.storage.free / GIGABYTE:.1f} GB"
    return info
