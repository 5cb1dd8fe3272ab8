"""For benchmarks and soak tests only: how late Home Assistant's loop is, and what lives in it."""

import asyncio
from collections.abc import Callable
import ctypes
import gc
import sys
import threading
from typing import Any

from homeassistant.components import websocket_api
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .ticker import Ticker

DOMAIN = "loop_watch"
CONFIG_SCHEMA = cv.empty_config_schema(DOMAIN)


class _Allocated(ctypes.Structure):
    """What glibc's mallinfo2(3) tells, in bytes but for the numbers of chunks."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


class _Memory:
    """Asks the process' C libraries what they hold."""

    def __init__(self) -> None:
        """Find them; where one can't be asked, it holds nothing."""
        import _sqlite3  # noqa: PLC0415

        sqlite = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        if (used := getattr(sqlite, "sqlite3_memory_used", None)) is not None:
            used.restype = ctypes.c_int64
        if (info := getattr(ctypes.CDLL(None), "mallinfo2", None)) is not None:
            info.restype = _Allocated
        self._sqlite_used, self._malloc_info = used, info

    def as_dict(self) -> dict[str, float]:
        """Return MB: what SQLite holds, its page caches above all, and what all that use malloc hold, SQLite too."""
        sqlite = self._sqlite_used() if self._sqlite_used else 0
        malloc = 0
        if self._malloc_info:
            info = self._malloc_info()
            malloc = info.uordblks + info.hblkhd
        return {"sqlite_mb": sqlite / 1024**2, "malloc_mb": malloc / 1024**2}


def _answer(hass: HomeAssistant, name: str, make: Callable[[], object]) -> None:
    """Answer `loop_watch/<name>` with what `make` returns."""

    @websocket_api.websocket_command({"type": f"{DOMAIN}/{name}"})
    @callback
    def answer(
        hass: HomeAssistant,
        connection: websocket_api.ActiveConnection,
        msg: dict[str, Any],
    ) -> None:
        connection.send_result(msg["id"], make())

    websocket_api.async_register_command(hass, answer)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Begin to tick, and answer `loop_watch/take`, `loop_watch/modules` and `loop_watch/memory`."""
    ticker = Ticker()
    ticker.start()

    def take() -> dict[str, Any]:
        """Return lateness in ms since the last question, and what there is now."""
        gc.collect()
        tasks = asyncio.all_tasks()
        return {
            "late_ms": ticker.take(),
            "tasks": sorted(task.get_coro().__qualname__ for task in tasks),
            "threads": sorted(thread.name for thread in threading.enumerate()),
        }

    _answer(hass, "take", take)
    _answer(hass, "modules", lambda: sorted(sys.modules))
    memory = await hass.async_add_executor_job(_Memory)
    _answer(hass, "memory", memory.as_dict)
    return True
