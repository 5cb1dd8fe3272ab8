"""For benchmarks and soak tests only: how late Home Assistant's loop is, and what lives in it."""

import asyncio
from collections.abc import Callable
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


def _sqlite_memory() -> Callable[[], int] | None:
    """Return what tells how many bytes SQLite holds, its page caches above all; None where nothing does."""
    import _sqlite3  # noqa: PLC0415

    try:
        used = ctypes.CDLL(getattr(_sqlite3, "__file__", None)).sqlite3_memory_used
    except AttributeError, OSError:
        return None
    used.restype = ctypes.c_int64
    return used


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Begin to tick, and answer `loop_watch/take` and `loop_watch/sqlite_mb`."""
    ticker = Ticker()
    ticker.start()
    sqlite_memory = await hass.async_add_executor_job(_sqlite_memory)

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
        """Answer what SQLite holds, 0 where nothing tells."""
        used = sqlite_memory() if sqlite_memory else 0
        connection.send_result(msg["id"], used / 1024**2)

    websocket_api.async_register_command(hass, take)
    websocket_api.async_register_command(hass, sqlite)
    return True
