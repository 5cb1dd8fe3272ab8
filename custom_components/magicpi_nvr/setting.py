"""Entities for the settings of a camera, and what commands and settings may fail with."""

from typing import Any, override

from homeassistant.core import callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.dispatcher import async_dispatcher_send

from .const import DOMAIN
from .entity import MagicPiEntity
from .gateway import Change, ConfigError, ConfigValue
from .pending import SIGNAL_WAITING, Waiting
from .timestamps import local_time


class SettingEntity(MagicPiEntity):
    """A setting, named by the description's key: it shows what is desired, whether the camera sleeps or not."""

    @property
    def desired(self) -> ConfigValue:
        """The value that the camera has or gets with its next wake."""
        return self.camera.config.desired[self.entity_description.key]

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Say whether the camera has it yet, when it gets it at the latest, and why it refused the last value."""
        key = self.entity_description.key
        config = self.camera.config
        attributes: dict[str, Any] = {"pending": key in config.pending}
        if key in config.pending and (at_ms := self.camera.next_check_in_ms):
            attributes["next_check_in"] = local_time(at_ms).isoformat()
        if (reason := config.rejected.get(key)) is not None:
            attributes["rejected"] = reason
        return attributes

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Write the state also when a camera that waits for a value says when it comes next."""
        if (
            change & Change.STATUS
            and self.entity_description.key in self.camera.config.pending
        ):
            change |= self.entity_description.changes
        super()._handle_change(change)

    def set_desired(self, value: ConfigValue) -> None:
        """Set the value that the camera gets; raises ServiceValidationError."""
        try:
            self.camera.set_config({self.entity_description.key: value})
        except ConfigError as err:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="setting_refused",
                translation_placeholders={
                    "setting": str(self.name),
                    "value": str(value),
                    "reason": ", ".join(err.errors.values()),
                },
            ) from err
        pending = self.entity_description.key in self.camera.config.pending
        if pending and self.camera.session is None:
            user_id = self._context.user_id if self._context else None
            waiting = Waiting(user_id, self.camera, str(self.name))
            async_dispatcher_send(self.hass, SIGNAL_WAITING, waiting)
