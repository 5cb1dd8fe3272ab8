"""Where cameras find the gateway: its addresses, and the service that mDNS announces."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
import secrets
from typing import Final

from zeroconf import Error as ZeroconfError, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from homeassistant.components import network, zeroconf
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import instance_id

from ..const import LOGGER, NAME, SERVICE_TYPE_NVR

# How often addresses are compared, and what failed is tried again
CHECK_S: Final = 30.0
INFO_TIMEOUT_MS: Final = 3000


async def async_addresses(hass: HomeAssistant) -> list[str]:
    """Return this machine's addresses that others can reach, the default one first."""
    with suppress(HomeAssistantError):
        return [
            address
            for address in await network.async_get_announce_addresses(hass)
            if not ip_address(address).is_link_local
        ]
    return []


async def async_hosts(hass: HomeAssistant, toward: str | None) -> list[str]:
    """Return the addresses at which a camera may reach this machine, the best first."""
    hosts: list[str] = []
    with suppress(HomeAssistantError, ValueError):
        hosts.append(
            await network.async_get_source_ip(hass, target_ip=toward)
            if toward
            else await network.async_get_source_ip(hass)
        )
    return list(dict.fromkeys(hosts + await async_addresses(hass)))


class Announcement:
    """The gateway's service in the network, from `start` to `stop`.

    It follows the machine's addresses, and begins when there is a network. `on_clone` is called
    with the addresses of another gateway that shows the same authority, None when it is gone.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        *,
        port: int,
        ca_fingerprint: str,
        on_clone: Callable[[str | None], None],
    ) -> None:
        """Keep what is announced."""
        self._hass = hass
        self._port = port
        self._ca = ca_fingerprint[:16]
        self._on_clone = on_clone
        # No clone has this host name, so that its addresses stay apart from ours
        self._server = f"magicpi-nvr-{secrets.token_hex(4)}.local."
        self._info: AsyncServiceInfo | None = None
        self._addresses: list[str] = []
        self._browser: AsyncServiceBrowser | None = None
        self._clones: set[str] = set()
        self._looks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Announce the service without waiting for the network."""
        self._task = self._hass.async_create_background_task(
            self._async_keep_announced(), "magicpi_nvr announce"
        )

    async def stop(self) -> None:
        """Take the announcement back."""
        tasks = {*self._looks, *([self._task] if self._task else [])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None
        if self._browser:
            await self._browser.async_cancel()
            self._browser = None
        if info := self._info:
            self._info = None
            with suppress(ZeroconfError, OSError):
                instance = await zeroconf.async_get_async_instance(self._hass)
                await instance.async_unregister_service(info)

    async def _async_keep_announced(self) -> None:
        """Announce the addresses that there are, until cancelled."""
        failed = False
        while True:
            try:
                # Home Assistant reads its adapters once; before 2026.11 nothing reads them again
                if reload_adapters := getattr(network, "async_reload_adapters", None):
                    await reload_adapters(self._hass)
                addresses = await async_addresses(self._hass)
                if addresses and addresses != self._addresses:
                    await self._async_announce(addresses)
                    self._addresses = addresses
                if failed:
                    LOGGER.info("The NVR is announced again")
                failed = False
            except (ZeroconfError, OSError, HomeAssistantError) as err:
                if not failed:
                    LOGGER.warning(
                        "The NVR cannot be announced; cameras keep using the addresses that they know: %s",
                        err,
                    )
                failed = True
            await asyncio.sleep(CHECK_S)

    async def _async_announce(self, addresses: list[str]) -> None:
        """Announce these addresses, instead of earlier ones."""
        instance = await zeroconf.async_get_async_instance(self._hass)
        uuid = await instance_id.async_get(self._hass)
        info = AsyncServiceInfo(
            SERVICE_TYPE_NVR,
            self._info.name if self._info else f"{NAME} {uuid[:8]}.{SERVICE_TYPE_NVR}",
            parsed_addresses=addresses,
            port=self._port,
            properties={"id": uuid, "proto": "1", "ca": self._ca},
            server=self._server,
        )
        registered, self._info = self._info, info
        if registered:
            await instance.async_update_service(info)
            return
        try:
            await instance.async_register_service(info, allow_name_change=True)
        except BaseException:
            self._info = None
            raise
        # Its own name is final only now: a clone may have had it first
        self._browser = AsyncServiceBrowser(
            instance.zeroconf, SERVICE_TYPE_NVR, handlers=[self._handle_service]
        )

    # ---- clones ----

    @callback
    def _handle_service(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        """Look at another gateway that comes, or note that it went."""
        if state_change is ServiceStateChange.Removed:
            if name in self._clones:
                self._clones.discard(name)
                if not self._clones:
                    self._on_clone(None)
            return
        task = self._hass.async_create_background_task(
            self._async_look(zeroconf, name), "magicpi_nvr other gateway"
        )
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _async_look(self, instance: Zeroconf, name: str) -> None:
        """Say where another gateway with our authority is; cameras cannot tell the two apart."""
        info = AsyncServiceInfo(SERVICE_TYPE_NVR, name)
        if not await info.async_request(instance, INFO_TIMEOUT_MS):
            return
        if self._info is None or name == self._info.name:
            return
        if (info.properties.get(b"ca") or b"").decode(errors="replace") != self._ca:
            return
        self._clones.add(name)
        self._on_clone(", ".join(info.parsed_addresses()))
