"""What changed about a camera, and who is called back for it."""

import asyncio
from collections.abc import Callable
from enum import Flag, auto
import logging
from typing import Final

_LOGGER = logging.getLogger(__name__)


class Change(Flag):
    """What changed about a camera."""

    STATUS = auto()
    TELEMETRY = auto()
    CONFIG = auto()
    MOTION = auto()
    FRAME = auto()
    COUNTERS = auto()
    OTA = auto()
    LOG = auto()
    WOKE = auto()
    INFO = auto()
    PICTURES = auto()
    RING = auto()
    LOST = auto()


ALL_BUT_FRAMES: Final = ~Change.FRAME


class Subscribers:
    """Callbacks that get changes, gathered over one turn of the event loop.

    Changes are kept as plain numbers: `notify` runs for every frame, and an enum's operators
    are slow.
    """

    def __init__(self, name: str) -> None:
        """`name` is for the log."""
        self._name = name
        self._callbacks: dict[object, tuple[Callable[[Change], None], int]] = {}
        self._subscribed = 0
        self._pending = 0
        self._handle: asyncio.Handle | None = None

    def add(
        self, callback: Callable[[Change], None], changes: Change
    ) -> Callable[[], None]:
        """Call back with what changed of `changes`; returns the function that ends it."""
        token = object()
        self._callbacks[token] = (callback, changes.value)
        self._subscribed |= changes.value

        def unsubscribe() -> None:
            self._callbacks.pop(token, None)
            self._subscribed = 0
            for _, subscribed in self._callbacks.values():
                self._subscribed |= subscribed

        return unsubscribe

    def notify(self, change: int) -> None:
        """Call back soon with a change, a Change's value."""
        if not change & self._subscribed:
            return
        self._pending |= change
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._call_back)

    def flush(self, change: int) -> None:
        """Call back now where such a change waits: what it is about is about to change again."""
        if self._pending & change and self._handle is not None:
            self._handle.cancel()
            self._call_back()

    def _call_back(self) -> None:
        changes, self._pending = self._pending, 0
        self._handle = None
        for callback, subscribed in tuple(self._callbacks.values()):
            if hit := changes & subscribed:
                try:
                    callback(Change(hit))
                except Exception:
                    _LOGGER.exception("Subscriber of camera %s failed", self._name)
