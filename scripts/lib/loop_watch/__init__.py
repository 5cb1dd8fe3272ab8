"""For benchmarks and soak tests only: how late Home Assistant's loop is, and what lives in it."""

import asyncio
import ctypes
import gc
import threading
from typing import Any

from homeassistant.components import websocket_api
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .ticker import Ticker

DOMAIN = "loop_watch"
CONFIG_SCHEMA = cv.empty_config_schema(DOMAIN)


def sqlite_mb() -> float:
    """Return what SQLite holds, its page caches above all; 0 where it can't be asked."""
    import _sqlite3  # noqa: PLC0415

    try:
        used = ctypes.CDLL(getattr(_sqlite3, "__file__", None)).sqlite3_memory_used
    except AttributeError, OSError:
        return 0.0
    used.restype = ctypes.c_int64
    return float(used()) / 1024**2


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Begin to tick, and answer `loop_watch/take` and `loop_watch/sqlite_mb`."""
    ticker = Ticker()
    ticker.start()

    @websocket_api.websocket_command({"type": "loop_watch/take"})
    @callback
    def take(
        hass: HomeAssistant,
        connection: websocket_api.ActiveConnection,
        msg: dict[str, Any],
    ) -> None:
        """Answer lateness in ms since the last question, and what there is now."""
        gc.collect()
        tasks = asyncio.all_tasks()
        connection.send_result(
            msg["id"],
            {
                "late_ms": ticker.take(),
                "tasks": sorted(task.get_coro().__qualname__ for task in tasks),
                "threads": sorted(thread.name for thread in threading.enumerate()),
            },
        )

    @websocket_api.websocket_command({"type": "loop_watch/sqlite_mb"})
    @callback
    def sqlite(
        hass: HomeAssistant,
        connection: websocket_api.ActiveConnection,
        msg: dict[str, Any],
    ) -> None:
        """Answer what SQLite holds."""
        connection.send_result(msg["id"], sqlite_mb())

    websocket_api.async_register_command(hass, take)
    websocket_api.async_register_command(hass, sqlite)
    return True
