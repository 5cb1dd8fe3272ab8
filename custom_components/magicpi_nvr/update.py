"""Firmware of a camera."""

from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.update import (
    UpdateDeviceClass,
    UpdateEntity,
    UpdateEntityDescription,
    UpdateEntityFeature,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .entity import MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .gateway import Change, OtaStep
from .nvr import MagicPiConfigEntry, NvrChange
from .nvr.issues import ISSUE_UPDATE_FAILED

PARALLEL_UPDATES = 0

TRANSFERRING: Final = (OtaStep.DOWNLOADING, OtaStep.VERIFYING, OtaStep.INSTALLED)


@dataclass(frozen=True, kw_only=True)
class MagicPiUpdateDescription(MagicPiEntityDescription, UpdateEntityDescription):
    """Firmware of a camera."""

    changes: Change = Change.OTA | Change.INFO
    nvr_changes: NvrChange = NvrChange.FIRMWARE


UPDATES = (
    MagicPiUpdateDescription(
        key="firmware",
        translation_key="firmware",
        device_class=UpdateDeviceClass.FIRMWARE,
        exists_fn=lambda camera: camera.caps.ota,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the update of a camera."""
    async_add_rows(entry, async_add_entities, (MagicPiUpdate, UPDATES))


class MagicPiUpdate(MagicPiEntity, UpdateEntity):
    """Firmware of a camera; an order waits for a sleeping camera, and that is progress too."""

    entity_description: MagicPiUpdateDescription
    _attr_supported_features = (
        UpdateEntityFeature.INSTALL
        | UpdateEntityFeature.PROGRESS
        | UpdateEntityFeature.RELEASE_NOTES
    )

    @override
    async def async_follow(self) -> None:
        """Report again what went wrong before a restart."""
        await super().async_follow()
        self._report_failure()

    async def async_update(self) -> None:
        """Look for new images: what "Check for updates" in Home Assistant's settings asks for."""
        await self.nvr.async_read_firmware()

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Report a failure as well."""
        if change & Change.OTA:
            self._report_failure()
        super()._handle_change(change)

    @property
    @override
    def installed_version(self) -> str:
        """What the camera last said it runs."""
        return self.camera.firmware

    @property
    @override
    def latest_version(self) -> str:
        """The newest image that passed all checks, or what runs already."""
        image = self.nvr.firmware_folder.newest(self.camera.model)
        return image.version if image else self.camera.firmware

    @property
    @override
    def in_progress(self) -> bool:
        """Return whether the camera works on an update, or an order for this version waits for it.

        A camera that stays connected can be given the order again after a failed attempt, and
        any camera the order for another version.
        """
        if (ota := self.camera.ota) is None or not ota.active:
            return False
        waits = self.camera.sleeps or not ota.error
        return ota.running or (waits and ota.version == self.latest_version)

    @property
    @override
    def update_percentage(self) -> int | None:
        """Return percent; None while the order waits."""
        ota = self.camera.ota
        return ota.percent if ota and ota.state in TRANSFERRING else None

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Say what the order waits for, and what went wrong last."""
        ota = self.camera.ota
        return {
            "order": ota.state.value if ota else None,
            "error": ota.error if ota else None,
        }

    @override
    async def async_install(
        self, version: str | None, backup: bool, **kwargs: Any
    ) -> None:
        """Order the update; a camera that sleeps takes it when it next wakes."""
        if (offer := self.nvr.firmware_for(self.camera)) is None:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="no_firmware",
                translation_placeholders={
                    "name": self.nvr.entries.name(self.camera.id)
                },
            )
        self.camera.offer_firmware(offer)

    @override
    async def async_release_notes(self) -> str | None:
        """Return what the image's manifest says of it, before that what the order waits for."""
        image = self.nvr.firmware_folder.newest(self.camera.model)
        return image.notes if image else None

    @callback
    def _report_failure(self) -> None:
        """Keep a repair issue for as long as the last order is one that failed."""
        ota = self.camera.ota
        issue_id = f"{ISSUE_UPDATE_FAILED}_{self.camera.id}"
        if ota is None or ota.state not in (OtaStep.FAILED, OtaStep.ROLLED_BACK):
            self.nvr.issues.clear(issue_id)
            return
        self.nvr.issues.report(
            ISSUE_UPDATE_FAILED,
            issue_id=issue_id,
            severity=ir.IssueSeverity.WARNING,
            name=self.nvr.entries.name(self.camera.id),
            version=ota.version,
            error=ota.error or "-",
        )
