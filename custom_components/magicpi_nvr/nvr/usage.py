"""What is on disk and how many clips the day has: counted while it changes, not too often."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_change
from homeassistant.util import dt as dt_util

from ..const import LOGGER
from ..recording import CameraUsage, Library, RecordingError, StorageStats
from .changes import Changes, NvrChange

USAGE_COOLDOWN: Final = 10.0


class Usage:
    """Figures of the storage and of each camera."""

    def __init__(
        self,
        changes: Changes,
        library: Callable[[], Library],
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Nothing is counted yet. `run` ends its work before the library is closed."""
        self._changes = changes
        self._library = library
        self._run = run
        # None before it was counted
        self.storage: StorageStats | None = None
        self._clips_today: dict[str, int] = {}
        self._stale = False
        self._counting = False
        self._track: Callable[[], CALLBACK_TYPE] = lambda: _nothing
        self._untrack: CALLBACK_TYPE = _nothing

    def clips_today(self, camera_id: str) -> int:
        """Return how many events the local day has so far."""
        return self._clips_today.get(camera_id, 0)

    def camera(self, camera_id: str) -> CameraUsage | None:
        """Return what a camera has on disk."""
        cameras = self.storage.cameras if self.storage else ()
        return next((item for item in cameras if item.camera == camera_id), None)

    @callback
    def schedule(self) -> None:
        """Count soon: something changed."""
        self._stale = True
        if not self._counting:
            self._run(self._async_count())

    async def _async_count(self) -> None:
        self._counting = True
        try:
            while self._stale:
                self._stale = False
                try:
                    await self.async_refresh()
                except RecordingError as err:
                    LOGGER.debug("The recordings are not counted: %s", err)
                    self._stale = True
                await asyncio.sleep(USAGE_COOLDOWN)
        finally:
            self._counting = False

    async def async_refresh(self) -> None:
        """Count now; raises RecordingError."""
        await self._async_count_today()
        self.storage = await self._library().usage()
        self._changes.notify(NvrChange.USAGE)

    async def _async_count_today(self) -> None:
        """Count the clips of the local day. The index alone is asked: a disk that hangs does not matter."""
        library = self._library()
        today = dt_util.now().date().isoformat()
        counts: dict[str, int] = {}
        for item in await library.cameras():
            days = await library.days(camera=item.camera, month=today[:7])
            counts[item.camera] = next(
                (day.events for day in days if day.date == today), 0
            )
        if counts != self._clips_today:
            self._clips_today = counts
            self._changes.notify(NvrChange.USAGE)

    @callback
    def track_midnight(self, hass: HomeAssistant) -> CALLBACK_TYPE:
        """Count again with each local day; returns what ends it."""

        @callback
        def new_day(_now: datetime) -> None:
            self.schedule()

        # Where summer time begins at midnight, that hour is left out
        self._track = lambda: async_track_time_change(
            hass, new_day, hour=[0, 1], minute=0, second=0
        )
        self._untrack = self._track()

        @callback
        def end() -> None:
            self._untrack()
            self._track, self._untrack = lambda: _nothing, _nothing

        return end

    @callback
    def time_changed(self) -> None:
        """Count again, and wait for the midnight that comes now: clock or time zone are others."""
        self._untrack()
        self._untrack = self._track()
        self.schedule()


def _nothing() -> None:
    """End what does not run."""
