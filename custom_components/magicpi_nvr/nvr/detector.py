"""The detector of all cameras: its runtime and its model are fetched, its process is watched, and one repair says what is wrong."""

import asyncio
import importlib
from pathlib import Path
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.requirements import RequirementsNotFound, async_process_requirements

from ..const import DOMAIN, FOLDER, LOGGER
from ..vision.weights import DownloadFailed, WrongModel, fetch_model
from ..vision.worker import ProblemKind, Worker
from .issues import Issues

# The one neural runtime with wheels for Home Assistant's images
REQUIREMENT: Final = "ncnn==1.0.20261020"
ISSUE: Final = "vision"
RETRY: Final = 1800.0


class Detector:
    """Owns the worker, which measures motion from the start on."""

    def __init__(self, hass: HomeAssistant, issues: Issues, address: str) -> None:
        """Prepare; `address` has the model's files."""
        self._hass = hass
        self._issues = issues
        self._address = address
        self._folder = Path(hass.config.path(FOLDER, "models"))
        self._preparing: asyncio.Task[None] | None = None
        self.worker = Worker(None, on_problem=self._handle_problem)

    @callback
    def prepare(self) -> None:
        """Give the worker runtime and model as soon as both are there."""
        if self._preparing is None or self._preparing.done():
            self._preparing = self._hass.async_create_background_task(
                self._async_prepare(), "magicpi_nvr vision"
            )

    async def async_stop(self) -> None:
        """End the worker, and the repair."""
        if self._preparing:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        await self.worker.stop()
        self._issues.clear(ISSUE)

    async def _async_prepare(self) -> None:
        """Install the runtime and fetch the model, again and again while that fails."""
        while True:
            try:
                await async_process_requirements(
                    self._hass, DOMAIN, [REQUIREMENT], is_built_in=False
                )
                importlib.invalidate_caches()
                model = await fetch_model(
                    async_get_clientsession(self._hass),
                    self._folder,
                    address=self._address,
                )
            except RequirementsNotFound as err:
                self._report("vision_no_runtime", ", ".join(err.requirements))
            except WrongModel as err:
                # A person may put the right one there, and a login page of a network goes away
                self._report("vision_wrong_model", str(self._folder / str(err)))
            except DownloadFailed as err:
                self._report("vision_no_model", str(err))
            else:
                self.worker.set_model(model)
                self._issues.clear(ISSUE)
                return
            await asyncio.sleep(RETRY)

    @callback
    def _handle_problem(self, problem: ProblemKind | None, detail: str) -> None:
        match problem:
            case None:
                self._issues.clear(ISSUE)
            case "model":
                # Its files are no longer what they were: say so, and fetch what is missing
                self.prepare()
            case _:
                self._report("vision_crash_loop", detail or "-")

    @callback
    def _report(self, key: str, detail: str) -> None:
        LOGGER.warning("The detector does not run (%s): %s", key, detail)
        self._issues.report(
            key,
            issue_id=ISSUE,
            detail=detail,
            folder=str(self._folder),
            requirement=REQUIREMENT,
        )
