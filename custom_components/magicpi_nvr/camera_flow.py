"""What the config flow knows of one camera: its address, who it is, and the other flows about it."""

from typing import Any

from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_ZEROCONF,
    ConfigEntry,
    ConfigFlow,
)
from homeassistant.const import CONF_HOST, CONF_MODEL
from homeassistant.core import callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)

from .address import split_address, typed_address
from .claiming import read_link
from .const import CONF_BOARD_ID, CONF_ID, DOMAIN
from .form_selectors import TEXT_SELECTOR
from .gateway import CannotConnect, SetupClient
from .nvr import async_get_nvr


class CameraFlow(ConfigFlow):
    """A config flow about one camera."""

    _address: str
    _name: str
    _id: str
    _board_id: str
    _model: str
    _firmware: str
    _code: str = ""

    @callback
    def _set_camera(
        self, camera_id: str, board_id: str, model: str, firmware: str
    ) -> None:
        """Keep who the camera is; its name is a suggestion yet."""
        self._id = camera_id
        self._board_id = board_id
        self._model = model
        self._firmware = firmware
        self._name = f"{model} {board_id[-5:]}"

    @property
    def _entry_data(self) -> dict[str, Any]:
        """Data of the camera's entry."""
        data = {
            CONF_ID: self._id,
            CONF_HOST: self._address,
            CONF_MODEL: self._model,
        }
        if self._board_id != self._id:
            data[CONF_BOARD_ID] = self._board_id
        return data

    async def _async_read_address(self, typed: str) -> None:
        """Take an address that was typed, or a setup page's link, with its code."""
        if scanned := read_link(typed):
            self._code = scanned.code
            entries = (await async_get_nvr(self.hass)).entries
            camera_id = entries.camera_id(scanned.board_id)
            for context in self._found(unique_id=format_mac(camera_id)):
                typed = context["configuration_url"].removeprefix("http://")
        self._address = typed_address(typed)

    @callback
    def _found(self, **context: str) -> list[dict[str, Any]]:
        """Return the contexts of the flows of cameras that were found by themselves."""
        return [
            dict(flow["context"])
            for flow in self.hass.config_entries.flow.async_progress_by_handler(
                DOMAIN, match_context={"source": SOURCE_ZEROCONF, **context}
            )
            if "title_placeholders" in flow["context"]
        ]

    @callback
    def _host_selector(self) -> SelectSelector | TextSelector:
        """Return a field for an address, with those of found cameras to choose from."""
        found = [
            SelectOptionDict(
                value=context["configuration_url"].removeprefix("http://"),
                label=context["title_placeholders"]["name"],
            )
            for context in self._found()
        ]
        if not found:
            return TEXT_SELECTOR
        return SelectSelector(
            SelectSelectorConfig(
                options=found,
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
            )
        )

    def _client(self) -> SetupClient:
        """Return a client for the address; raises CannotConnect where it is none."""
        if (parts := split_address(self._address)) is None:
            raise CannotConnect("not an address")
        return SetupClient(async_get_clientsession(self.hass), *parts)

    @callback
    def _end_other_flows(self, entry: ConfigEntry) -> None:
        """End what asks to claim the new board, or the old one for this camera."""
        manager = self.hass.config_entries.flow
        for flow in manager.async_progress_by_handler(DOMAIN):
            context = flow["context"]
            if context["source"] == SOURCE_REAUTH:
                is_over = context.get("entry_id") == entry.entry_id
            else:
                is_over = context["source"] == SOURCE_ZEROCONF and context.get(
                    "unique_id"
                ) == format_mac(self._board_id)
            if is_over and flow["flow_id"] != self.flow_id:
                manager.async_abort(flow["flow_id"])
