"""Config flow: how cameras are found, claimed again, and changed; the NVR's entry."""

from collections.abc import Mapping
from typing import Any, override

import probatio

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import CONF_HOST, CONF_NAME
from homeassistant.core import callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from .address import join_address, split_address, typed_address
from .claim_flow import ERRORS, ClaimFlow
from .const import CONF_ID, DOMAIN, NAME
from .form_selectors import TEXT_SELECTOR
from .gateway import BadId, ClaimError, is_camera_id, is_mac
from .nvr import async_get_nvr, is_nvr_entry
from .nvr.copy_settings import (
    CONF_ACCESS_KEY_ID,
    CONF_KIND,
    CONF_USERNAME,
    SUBENTRY_TARGET,
)
from .options_flow import CameraOptionsFlow, NvrOptionsFlow
from .target_flow import TargetFlow, async_try_target, secret_schema


class MagicPiConfigFlow(ClaimFlow, domain=DOMAIN):
    """Finds, claims and names a camera; the NVR's entry makes itself."""

    VERSION = 1
    MINOR_VERSION = 2

    _target_id: str

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """Return the options of the NVR, or of a camera."""
        if is_nvr_entry(config_entry):
            return NvrOptionsFlow()
        return CameraOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return what can be added to the NVR."""
        return {SUBENTRY_TARGET: TargetFlow} if is_nvr_entry(config_entry) else {}

    async def async_step_system(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Make the NVR's own entry; the first camera asks for it."""
        await self.async_set_unique_id(DOMAIN)
        self._abort_if_unique_id_configured()
        return self.async_create_entry(title=NAME, data={})

    @override
    async def async_step_zeroconf(
        self, discovery_info: ZeroconfServiceInfo
    ) -> ConfigFlowResult:
        """Offer a camera that waits in setup mode."""
        properties = discovery_info.properties
        board_id = str(properties.get("id", "")).upper()
        if not is_mac(board_id) or properties.get("proto") != "1":
            return self.async_abort(reason="not_a_camera")
        if not is_camera_id(board_id):
            return self.async_abort(reason="bad_id")
        host = next(
            (str(item) for item in discovery_info.ip_addresses if item.version == 4),
            discovery_info.host,
        )
        self._address = join_address(host, discovery_info.port)
        entries = (await async_get_nvr(self.hass)).entries
        await self.async_set_unique_id(format_mac(entries.camera_id(board_id)))
        await self._async_offer_new_claim(board_id)
        self._abort_if_unique_id_configured(
            updates={CONF_HOST: self._address}, reload_on_update=False
        )
        self._set_camera(
            entries.camera_id(board_id),
            board_id,
            str(properties.get("model") or "MagicPi"),
            str(properties.get("fw") or "?"),
        )
        self.context["title_placeholders"] = {"name": self._name}
        self.context["configuration_url"] = f"http://{self._address}"
        return await self.async_step_claim()

    async def _async_offer_new_claim(self, board_id: str) -> None:
        """Start a reauth where a known camera is truly back in setup mode."""
        nvr = await async_get_nvr(self.hass)
        entry = nvr.entries.of_board(board_id)
        if entry is None or entry.disabled_by:
            return
        camera = nvr.gateway.cameras.get(entry.data[CONF_ID]) if nvr.running else None
        if camera and camera.session:
            return
        try:
            info = await self._client().info()
        except ClaimError:
            return
        if info.id == board_id:
            entry.async_start_reauth(self.hass)

    @override
    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the address of a camera; found ones are suggested."""
        errors: dict[str, str] = {}
        if user_input is not None:
            await self._async_read_address(user_input[CONF_HOST])
            try:
                info = await self._client().info()
            except BadId:
                return self.async_abort(reason="bad_id")
            except ClaimError as err:
                errors[CONF_HOST] = ERRORS[type(err)]
            else:
                entries = (await async_get_nvr(self.hass)).entries
                await self.async_set_unique_id(
                    format_mac(entries.camera_id(info.id)), raise_on_progress=False
                )
                self._abort_if_unique_id_configured(
                    updates={CONF_HOST: self._address}, reload_on_update=False
                )
                self._set_camera(
                    entries.camera_id(info.id), info.id, info.model, info.fw
                )
                return await self.async_step_claim()
        return self.async_show_form(
            step_id="user",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema({probatio.Required(CONF_HOST): self._host_selector()}),
                user_input,
            ),
            errors=errors,
        )

    async def async_step_reauth(
        self, entry_data: Mapping[str, Any]
    ) -> ConfigFlowResult:
        """Claim a camera again whose key is lost, or ask for what opens a target."""
        if is_nvr_entry(self._get_reauth_entry()):
            self._target_id = entry_data["subentry_id"]
            return await self.async_step_reauth_target()
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_target(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the credentials of a target, and try them."""
        entry = self._get_reauth_entry()
        if (subentry := entry.subentries.get(self._target_id)) is None:
            return self.async_abort(reason="reauth_successful")
        errors: dict[str, str] = {}
        if user_input is not None:
            data = {**subentry.data, **user_input}
            errors = await async_try_target(self.hass, data)
            if errors.get("base") == "cannot_connect":
                # In these dialogs that is a camera's
                errors = {"base": "storage_unreachable"}
            if not errors:
                self.hass.config_entries.async_update_subentry(
                    entry, subentry, data=data
                )
                return self.async_abort(reason="reauth_successful")
        return self.async_show_form(
            step_id="reauth_target",
            data_schema=self.add_suggested_values_to_schema(
                secret_schema(subentry.data[CONF_KIND]),
                {
                    key: subentry.data[key]
                    for key in (CONF_ACCESS_KEY_ID, CONF_USERNAME)
                    if key in subentry.data
                },
            ),
            errors=errors,
            description_placeholders={"name": subentry.title},
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask what to change about a camera."""
        entry = self._get_reconfigure_entry()
        if is_nvr_entry(entry):
            return self.async_abort(reason="no_settings")
        return self.async_show_menu(
            step_id="reconfigure",
            menu_options=["change", "board"],
            description_placeholders={"name": entry.title},
        )

    async def async_step_change(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change a camera's name and address."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            address = typed_address(user_input[CONF_HOST])
            if split_address(address):
                self._forget_device_name(entry)
                return self.async_update_reload_and_abort(
                    entry,
                    title=user_input[CONF_NAME].strip() or entry.title,
                    data_updates={CONF_HOST: address},
                )
            errors[CONF_HOST] = "invalid_host"
        return self.async_show_form(
            step_id="change",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema(
                    {
                        probatio.Required(CONF_NAME): TEXT_SELECTOR,
                        probatio.Required(CONF_HOST): TEXT_SELECTOR,
                    }
                ),
                {CONF_NAME: entry.title, CONF_HOST: entry.data[CONF_HOST]}
                | (user_input or {}),
            ),
            errors=errors,
            description_placeholders={"name": entry.title},
        )

    @callback
    def _forget_device_name(self, entry: ConfigEntry) -> None:
        """Let the device have its entry's name again, not the one typed on its page."""
        registry = dr.async_get(self.hass)
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id):
            registry.async_update_device(device.id, name_by_user=None)
