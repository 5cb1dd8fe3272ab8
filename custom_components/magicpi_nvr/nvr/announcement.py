"""Where cameras find the gateway: its addresses, and the service that mDNS announces."""

import asyncio
from contextlib import suppress
from ipaddress import ip_address

from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceInfo

from homeassistant.components import network, zeroconf
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import instance_id

from ..const import LOGGER, NAME, SERVICE_TYPE_NVR


async def async_hosts(hass: HomeAssistant, toward: str | None) -> list[str]:
    """Return the addresses at which a camera may reach this machine, the best first."""
    hosts: list[str] = []
    with suppress(HomeAssistantError, ValueError):
        hosts.append(
            await network.async_get_source_ip(hass, target_ip=toward)
            if toward
            else await network.async_get_source_ip(hass)
        )
    for address in await network.async_get_announce_addresses(hass):
        if address not in hosts and not ip_address(address).is_link_local:
            hosts.append(address)
    return hosts


class Announcement:
    """The gateway's service in the network, from `start` to `stop`."""

    def __init__(self, hass: HomeAssistant, *, port: int, ca_fingerprint: str) -> None:
        """Keep what is announced."""
        self._hass = hass
        self._port = port
        self._ca_fingerprint = ca_fingerprint
        self._info: AsyncServiceInfo | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Announce the service without waiting for the network."""
        self._task = self._hass.async_create_background_task(
            self._async_announce(), "magicpi_nvr announce"
        )

    async def stop(self) -> None:
        """Take the announcement back."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if info := self._info:
            self._info = None
            instance_zeroconf = await zeroconf.async_get_async_instance(self._hass)
            with suppress(ZeroconfError, OSError):
                await instance_zeroconf.async_unregister_service(info)

    async def _async_announce(self) -> None:
        instance = await instance_id.async_get(self._hass)
        info = AsyncServiceInfo(
            SERVICE_TYPE_NVR,
            f"{NAME} {instance[:8]}.{SERVICE_TYPE_NVR}",
            parsed_addresses=await network.async_get_announce_addresses(self._hass),
            port=self._port,
            properties={
                "id": instance,
                "proto": "1",
                "ca": self._ca_fingerprint[:16],
            },
        )
        instance_zeroconf = await zeroconf.async_get_async_instance(self._hass)
        self._info = info
        try:
            await instance_zeroconf.async_register_service(info, allow_name_change=True)
        except (ZeroconfError, OSError) as err:
            LOGGER.warning(
                "The NVR cannot be announced; cameras keep using the addresses that they know: %s",
                err,
            )
