"""The clean-up of recordings that goes by a schedule."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from cronsim import CronSim

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..const import LOGGER
from ..recording import PurgeReport, RecordingError


class Cleanup:
    """Deletes what is older than the limits whenever a cron expression says."""

    def __init__(
        self, hass: HomeAssistant, purge: Callable[[], Awaitable[PurgeReport]]
    ) -> None:
        """Nothing is scheduled yet."""
        self._hass = hass
        self._purge = purge
        self._schedule = ""
        self._cancel: CALLBACK_TYPE | None = None

    @callback
    def schedule(self, schedule: str) -> None:
        """Clean up by a cron expression, instead of an earlier one."""
        self._schedule = schedule
        self._plan()

    @callback
    def clock_stepped(self) -> None:
        """Plan again: a timer that was set by a clock far ahead waits until that time."""
        if self._cancel:
            self._plan()

    @callback
    def _plan(self) -> None:
        self.cancel()

        async def clean_up(_now: datetime) -> None:
            self._cancel = None
            self._plan()
            try:
                report = await self._purge()
            except RecordingError as err:
                LOGGER.warning("The recordings are not cleaned up: %s", err)
                return
            LOGGER.debug(
                "Cleaned up: %d events, %d bytes", len(report.events), report.freed
            )

        at = next(CronSim(self._schedule, dt_util.now()))
        self._cancel = async_track_point_in_utc_time(
            self._hass, clean_up, dt_util.as_utc(at)
        )

    @callback
    def cancel(self) -> None:
        """Clean up no more."""
        if self._cancel:
            self._cancel()
            self._cancel = None
