"""The steps of the config flow that claim a camera: setup code, waiting, entry or new board, and closing the dialog."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, override

import probatio

from homeassistant.components import network
from homeassistant.config_entries import (
    SOURCE_IMPORT,
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_NAME
from homeassistant.core import callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.selector import (
    BooleanSelector,
    TextSelector,
    TextSelectorConfig,
)

from .address import is_host, split_address, typed_address
from .camera_flow import CameraFlow
from .claiming import (
    BoardInUse,
    Claim,
    ClaimInProgress,
    ClaimWithdrawn,
    async_take_picture,
)
from .clip import signed
from .const import (
    CONF_BOARD_ID,
    CONF_DETECTION,
    CONF_HOSTS,
    CONF_ID,
    CONF_SETUP_CODE,
    DOMAIN,
    LOGGER,
    REGISTRATION_TIMEOUT,
    SECTION_NETWORK,
    SECTION_VISION,
)
from .form_selectors import TEXT_SELECTOR
from .gateway import (
    AlreadyClaimed,
    BadId,
    CannotConnect,
    ClaimError,
    InvalidCode,
    NotACamera,
    OtherCamera,
    StaleNonce,
    TooManyTries,
    WrongCode,
    code_of_link,
    normalize_code,
)
from .nvr import Nvr, PortUnavailable, StorageUnavailable, async_get_nvr, board_of
from .views import picture_url

ERRORS: Final[dict[type[ClaimError], str]] = {
    AlreadyClaimed: "already_claimed",
    BadId: "not_a_camera",
    CannotConnect: "cannot_connect",
    InvalidCode: "invalid_code",
    NotACamera: "not_a_camera",
    OtherCamera: "wrong_camera",
    StaleNonce: "cannot_connect",
    TooManyTries: "too_many_tries",
    WrongCode: "wrong_code",
}
HOSTS_FIELD: Final[dict[probatio.Marker, TextSelector]] = {
    probatio.Optional(CONF_HOSTS, default=list): TextSelector(
        TextSelectorConfig(multiple=True)
    )
}
CODE_SELECTOR: Final = TextSelector(TextSelectorConfig(autocomplete="off"))


class ClaimFlow(CameraFlow):
    """Claims one camera; how it was found is the part of the flow that inherits from this."""

    _nvr: Nvr
    _release: Callable[[], Coroutine[Any, Any, None]] | None = None
    _claim: Claim | None = None
    _hosts: list[str] | None = None
    _detection: bool = False
    _holder: str = ""
    _placeholders: dict[str, str]
    _picture: asyncio.Task[None] | None = None
    _finished: bool = False
    _closed: bool = False

    async def async_step_claim(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Claim the camera with its setup code."""
        errors: dict[str, str] = {}
        placeholders = {
            "id": self._board_id,
            "model": self._model,
            "firmware": self._firmware,
            "host": self._address,
            "name": self._name,
            "setup_page": f"http://{self._address}",
        }
        if user_input is not None:
            # The form does not ask for it, Home Assistant's last page does
            self._name = user_input.get(CONF_NAME, "").strip() or self._name
            self._hosts = user_input.get(CONF_HOSTS) or self._hosts
            self._detection = user_input.get(CONF_DETECTION, False)
            if not all(map(is_host, self._hosts or ())):
                errors = {CONF_HOSTS: "invalid_host"}
            else:
                errors = await self._async_claim(user_input[CONF_SETUP_CODE])
            if not errors:
                return await self.async_step_wait()
            placeholders |= await self._async_error_placeholders()
        fields: dict[probatio.Marker, TextSelector | BooleanSelector] = {
            probatio.Required(CONF_SETUP_CODE): CODE_SELECTOR
        }
        if self._hosts or self._has_own_network():
            fields.update(HOSTS_FIELD)
        if not (await async_get_nvr(self.hass)).entries.options.detection:
            fields[probatio.Optional(CONF_DETECTION, default=False)] = BooleanSelector()
        schema = self.add_suggested_values_to_schema(
            probatio.Schema(fields),
            {CONF_SETUP_CODE: self._code, CONF_HOSTS: self._hosts or []}
            | (user_input or {}),
        )
        return self.async_show_form(
            step_id="claim",
            data_schema=probatio.Schema(schema.schema, extra=probatio.ALLOW_EXTRA),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def async_step_wait(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Wait until the claimed camera has registered."""
        assert self._claim and self._claim.registered
        if not self._claim.registered.done():
            return self.async_show_progress(
                step_id="wait",
                progress_action="wait_for_camera",
                progress_task=self._claim.registered,
                description_placeholders=self._placeholders,
            )
        if self._claim.has_registered and self._picture is None:
            self._picture = self.hass.async_create_task(
                async_take_picture(self._nvr, self._claim.registered.result()),
                "magicpi_nvr first picture",
            )
        if self._picture and not self._picture.done():
            return self.async_show_progress(
                step_id="wait",
                progress_action="take_picture",
                progress_task=self._picture,
                description_placeholders=self._placeholders,
            )
        if not self._claim.has_registered:
            next_step = "not_registered"
        elif self.source == SOURCE_REAUTH:
            next_step = "reauth_finish"
        elif self.source == SOURCE_RECONFIGURE:
            next_step = "board_finish"
        else:
            next_step = "finish"
        return self.async_show_progress_done(next_step_id=next_step)

    async def async_step_not_registered(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Say what to check when the camera did not come, and ask where it can reach Home Assistant."""
        if user_input is not None:
            self._hosts = user_input[CONF_HOSTS]
            if not all(map(is_host, self._hosts)):
                return self._show_not_registered({CONF_HOSTS: "invalid_host"})
            if self.source == SOURCE_REAUTH:
                return await self.async_step_reauth_confirm()
            if self.source == SOURCE_RECONFIGURE:
                return await self.async_step_board()
            return await self.async_step_claim()
        return self._show_not_registered({})

    def _show_not_registered(self, errors: dict[str, str]) -> ConfigFlowResult:
        return self.async_show_form(
            step_id="not_registered",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema(HOSTS_FIELD), {CONF_HOSTS: self._hosts or []}
            ),
            errors=errors,
            description_placeholders=self._placeholders,
        )

    async def async_step_finish(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Make the camera's entry."""
        self._abort_if_unique_id_configured()
        await self._async_keep_options()
        self._finished = True
        if self._nvr.last_picture(self._id) is None:
            return self.async_create_entry(title=self._name, data=self._entry_data)
        return self.async_create_entry(
            title=self._name,
            data=self._entry_data,
            description="claimed",
            description_placeholders={
                "picture": signed(self.hass, picture_url(self._id))
            },
        )

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the setup code of the camera."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        placeholders = {"name": entry.title}
        self._set_camera(
            entry.data[CONF_ID], board_of(entry), entry.data[CONF_MODEL], ""
        )
        self._name = entry.title
        if user_input is not None:
            self._address = typed_address(user_input[CONF_HOST])
            errors = await self._async_claim(user_input[CONF_SETUP_CODE])
            if not errors:
                return await self.async_step_wait()
            placeholders |= await self._async_error_placeholders()
        return self.async_show_form(
            step_id="reauth_confirm",
            data_schema=self.add_suggested_values_to_schema(
                probatio.Schema(
                    {
                        probatio.Required(CONF_HOST): TEXT_SELECTOR,
                        probatio.Required(CONF_SETUP_CODE): CODE_SELECTOR,
                    }
                ),
                {CONF_HOST: entry.data[CONF_HOST]} | (user_input or {}),
            ),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def async_step_reauth_finish(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Go on with the camera's new key."""
        self._finished = True
        return self.async_update_reload_and_abort(
            self._get_reauth_entry(), data_updates={CONF_HOST: self._address}
        )

    async def async_step_board(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the address and the setup code of the board that replaces this camera's."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        placeholders = {"name": entry.title}
        if user_input is not None:
            await self._async_read_address(user_input[CONF_HOST])
            try:
                info = await self._client().info()
            except ClaimError as err:
                errors = {CONF_HOST: ERRORS[type(err)]}
            else:
                self._set_camera(entry.data[CONF_ID], info.id, info.model, info.fw)
                self._name = entry.title
                errors = await self._async_claim(user_input[CONF_SETUP_CODE])
            if not errors:
                return await self.async_step_wait()
            placeholders |= await self._async_error_placeholders()
        schema = probatio.Schema(
            {
                probatio.Required(CONF_HOST): self._host_selector(),
                probatio.Required(CONF_SETUP_CODE): CODE_SELECTOR,
            }
        )
        return self.async_show_form(
            step_id="board",
            data_schema=self.add_suggested_values_to_schema(schema, user_input),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def async_step_board_finish(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Go on with the new board."""
        self._finished = True
        entry = self._get_reconfigure_entry()
        await self._async_keep_options()
        self._end_other_flows(entry)
        return self.async_update_reload_and_abort(
            entry,
            data_updates={
                CONF_BOARD_ID: self._board_id,
                CONF_HOST: self._address,
                CONF_MODEL: self._model,
            },
            reason="board_replaced",
        )

    async def async_step_import(self, import_data: dict[str, Any]) -> ConfigFlowResult:
        """Make the entry of a camera that registered after its dialog was closed."""
        await self.async_set_unique_id(format_mac(import_data[CONF_ID]))
        self._abort_if_unique_id_configured()
        name = import_data.pop(CONF_NAME)
        return self.async_create_entry(title=name, data=import_data)

    @callback
    @override
    def async_remove(self) -> None:
        """Withdraw the claim of a dialog that was closed, at whatever moment; a camera that has registered gets its entry."""
        self._closed = True
        if (claim := self._claim) and not self._finished:
            if claim.has_registered:
                claim.close()
                self.hass.async_create_task(
                    self._async_finish_alone(), "magicpi_nvr finish"
                )
                return
            claim.withdraw()
        elif claim:
            claim.close()
        if self._picture:
            self._picture.cancel()
        if self._release:
            self.hass.async_create_task(self._release(), "magicpi_nvr release")

    async def _async_finish_alone(self) -> None:
        """Do without the dialog what its last step would have done."""
        if self.source in (SOURCE_REAUTH, SOURCE_RECONFIGURE):
            entry = self._nvr.entries.camera(self._id)
            if entry is None:
                # It was removed meanwhile
                await self._nvr.async_forget_camera(self._id)
            else:
                self._end_other_flows(entry)
                await self.hass.config_entries.async_reload(entry.entry_id)
        else:
            await self._async_keep_options()
            await self.hass.config_entries.flow.async_init(
                DOMAIN,
                context={"source": SOURCE_IMPORT},
                data=self._entry_data | {CONF_NAME: self._name},
            )
        assert self._release is not None
        await self._release()

    async def _async_claim(self, code: str) -> dict[str, str]:
        """Hand the camera its bundle and begin to wait; returns the form's errors."""
        self._nvr = nvr = await async_get_nvr(self.hass)
        field = CONF_SETUP_CODE
        try:
            # The setup page's QR code and link are as good as the code in them
            code = normalize_code(code_of_link(code, self._board_id))
            # The gateway has to listen before the camera knows its address
            if self._release is None:
                self._release = await nvr.async_acquire()
                if self._closed:
                    await self._release()
                    return {"base": "cannot_connect"}
            if not nvr.gateway.has_room(self._id):
                return {"base": "camera_limit"}
            client = self._client()
            if (await client.info()).id != self._board_id:
                return {"base": "wrong_camera"}
            host, _ = split_address(self._address) or ("", 0)
            hosts = self._hosts or await nvr.async_hosts(host)
            if self._closed:
                return {"base": "cannot_connect"}
            self._claim = Claim(nvr, self._board_id, self._id, self._name)
            await self._claim.hand_over(client, code, hosts)
        except StorageUnavailable:
            return {"base": "storage_unavailable"}
        except PortUnavailable:
            return {"base": "port_in_use"}
        except OSError:
            LOGGER.exception("MagicPi NVR cannot start")
            return {"base": "start_failed"}
        except ClaimInProgress:
            return {"base": "claim_in_progress"}
        except BoardInUse as err:
            self._holder = err.name
            return {"base": "board_in_use"}
        except ClaimWithdrawn:
            return {"base": "cannot_connect"}
        except ClaimError as err:
            if not isinstance(err, WrongCode):
                field = "base"
            return {field: ERRORS[type(err)]}
        self._placeholders = {
            "name": self._name,
            "hosts": ", ".join(hosts),
            "port": str(nvr.gateway.port),
            "minutes": str(int(REGISTRATION_TIMEOUT.total_seconds() // 60)),
        }
        return {}

    async def _async_error_placeholders(self) -> dict[str, str]:
        """Return what the texts of errors name."""
        options = (await async_get_nvr(self.hass)).entries.options
        return {"port": str(options.port), "holder": self._holder}

    async def _async_keep_options(self) -> None:
        """Keep what was chosen here as options for all cameras."""
        chosen: dict[str, dict[str, Any]] = {}
        if self._hosts:
            chosen[SECTION_NETWORK] = {CONF_HOSTS: self._hosts}
        if self._detection:
            chosen[SECTION_VISION] = {CONF_DETECTION: True}
        if not chosen:
            return
        await self._nvr.async_ensure_entry()
        if entry := self._nvr.entries.nvr:
            sections = {
                name: {**entry.options.get(name, {}), **values}
                for name, values in chosen.items()
            }
            self.hass.config_entries.async_update_entry(
                entry, options={**entry.options, **sections}
            )
            await self._nvr.async_apply_options()

    def _has_own_network(self) -> bool:
        """Say whether Home Assistant runs in a container whose addresses no camera can reach."""
        return (
            ir.async_get(self.hass).async_get_issue(
                network.DOMAIN, "docker_host_network"
            )
            is not None
        )
