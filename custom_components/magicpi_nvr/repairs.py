"""Repairs that ask a person: a camera that does not come back, another storage, a clock far off."""

from typing import Any, Final

from homeassistant.components.repairs import (
    ConfirmRepairFlow,
    RepairsFlow,
    RepairsFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .nvr import async_get_nvr
from .recording import RecordingError
from .timestamps import now_ms

ISSUE_CLOCK_IMPLAUSIBLE: Final = "clock_implausible"
ISSUE_STORAGE_OTHER: Final = "storage_other"


async def async_create_fix_flow(
    hass: HomeAssistant,
    issue_id: str,
    data: dict[str, str | int | float | None] | None,
) -> RepairsFlow:
    """Return the flow of an issue."""
    if data and isinstance(camera_id := data.get("camera_id"), str):
        return CameraLateFlow(camera_id)
    if issue_id == ISSUE_STORAGE_OTHER:
        return StorageFlow()
    if issue_id == ISSUE_CLOCK_IMPLAUSIBLE:
        return ClockFlow()
    return ConfirmRepairFlow()


class CameraLateFlow(RepairsFlow):
    """Offers to remove a late camera, or to wait on."""

    def __init__(self, camera_id: str) -> None:
        """Keep which camera."""
        self._camera_id = camera_id

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Ask."""
        nvr = await async_get_nvr(self.hass)
        return self.async_show_menu(
            step_id="init",
            menu_options=["wait", "remove"],
            description_placeholders={"name": nvr.entries.name(self._camera_id)},
        )

    async def async_step_wait(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Be quiet for as long again as the options say."""
        nvr = await async_get_nvr(self.hass)
        nvr.settings.late_snoozed[self._camera_id] = now_ms()
        nvr.settings.save()
        return self.async_create_entry(data={})

    async def async_step_remove(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Remove the camera; its recordings stay."""
        nvr = await async_get_nvr(self.hass)
        if entry := nvr.entries.camera(self._camera_id):
            await self.hass.config_entries.async_remove(entry.entry_id)
        return self.async_create_entry(data={})


class AskingFlow(RepairsFlow):
    """Offers one answer, or to wait: then the issue stays until its cause is gone."""

    answer: str

    async def async_step_init(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Ask."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id)
        return self.async_show_menu(
            step_id="init",
            menu_options=["wait", self.answer],
            description_placeholders=(issue and issue.translation_placeholders) or {},
        )

    async def async_step_wait(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Leave the issue where it is."""
        return self.async_abort(reason="waiting")


class StorageFlow(AskingFlow):
    """Another storage than the last is in place of the recordings."""

    answer = "use"

    async def async_step_use(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Record to the storage that is there."""
        nvr = await async_get_nvr(self.hass)
        try:
            await nvr.recordings.library.accept_storage()
        except RecordingError as err:
            return self.async_abort(
                reason="failed", description_placeholders={"error": str(err)}
            )
        return self.async_create_entry(data={})


class ClockFlow(AskingFlow):
    """The clock is far from the last good time."""

    answer = "right"

    async def async_step_right(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Believe the clock."""
        nvr = await async_get_nvr(self.hass)
        try:
            await nvr.recordings.library.confirm_clock()
        except RecordingError as err:
            return self.async_abort(
                reason="failed", description_placeholders={"error": str(err)}
            )
        return self.async_create_entry(data={})
