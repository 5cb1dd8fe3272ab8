"""Repairs that a person can finish here: what to do with a camera that does not come back."""

from typing import Any

from homeassistant.components.repairs import (
    ConfirmRepairFlow,
    RepairsFlow,
    RepairsFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from .nvr import async_get_nvr


async def async_create_fix_flow(
    hass: HomeAssistant,
    issue_id: str,
    data: dict[str, str | int | float | None] | None,
) -> RepairsFlow:
    """Return the flow of an issue."""
    if data and isinstance(camera_id := data.get("camera_id"), str):
        return CameraLateFlow(camera_id)
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
        nvr.settings.late_snoozed[self._camera_id] = int(
            dt_util.utcnow().timestamp() * 1000
        )
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
