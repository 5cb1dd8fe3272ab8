"""How cameras find the gateway by mDNS, on a real network of this machine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from unittest.mock import patch

import pytest
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from custom_components.magicpi_nvr.const import DOMAIN, SERVICE_TYPE_NVR
from custom_components.magicpi_nvr.nvr import announcement
from custom_components.magicpi_nvr.nvr.announcement import Announcement
from homeassistant.core import HomeAssistant
from homeassistant.helpers import instance_id
from homeassistant.loader import async_get_integration
from tests.conftest import restore_zeroconf

CA = "0123456789abcdef"
PORT = 3443
TIMEOUT_S = 20


@pytest.fixture
async def other(socket_enabled: None) -> AsyncGenerator[AsyncZeroconf]:
    """Another machine in the network."""
    restore_zeroconf()
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    yield zeroconf
    await zeroconf.async_close()


@pytest.fixture
async def ours(
    other: AsyncZeroconf, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[AsyncZeroconf]:
    """Home Assistant's zeroconf; addresses are looked at all the time."""
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])

    async def instance(_hass: HomeAssistant) -> AsyncZeroconf:
        return zeroconf

    monkeypatch.setattr(announcement.zeroconf, "async_get_async_instance", instance)
    monkeypatch.setattr(announcement, "CHECK_S", 0.01)
    yield zeroconf
    await zeroconf.async_close()


@pytest.fixture
def expected_lingering_tasks() -> bool:
    """Zeroconf repeats what it announces for a while."""
    return True


@pytest.fixture
def expected_lingering_timers() -> bool:
    """Zeroconf has timers that outlive its end."""
    return True


async def wait_until(condition: Callable[[], bool]) -> None:
    """Return when something holds."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def look(other: AsyncZeroconf, name: str) -> AsyncServiceInfo | None:
    """Return what another machine finds."""
    return await other.async_get_service_info(SERVICE_TYPE_NVR, name, 1000)


def addresses(*found: str) -> object:
    """Have this machine these addresses."""
    return patch.object(
        announcement.network, "async_get_announce_addresses", return_value=list(found)
    )


async def test_follows_the_addresses(
    hass: HomeAssistant, ours: AsyncZeroconf, other: AsyncZeroconf
) -> None:
    """Without a network nothing is announced; then the addresses are those of now, none link-local."""
    uuid = await instance_id.async_get(hass)
    name = f"MagicPi NVR {uuid[:8]}.{SERVICE_TYPE_NVR}"
    announced = Announcement(hass, port=PORT, ca_fingerprint=CA, on_clone=print)
    info: AsyncServiceInfo | None = None

    async def found(*wanted: str) -> None:
        nonlocal info
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                info = await look(other, name)
                if info and set(info.parsed_addresses()) == set(wanted):
                    return
                await asyncio.sleep(0.05)

    with addresses("169.254.3.3", "fe80::1"):
        announced.start()
        await asyncio.sleep(0)
        assert await look(other, name) is None
    with addresses("10.0.0.2", "fe80::1"):
        await found("10.0.0.2")
    assert info
    assert info.port == PORT
    # Others keep what they heard in the last second beside what replaces it (RFC 6762, 10.2)
    await asyncio.sleep(1.1)
    with addresses("10.0.0.3"):
        await found("10.0.0.3")
    await announced.stop()


async def test_zeroconf_is_no_condition(hass: HomeAssistant) -> None:
    """A host without a network, where it cannot be set up, has the NVR all the same."""
    integration = await async_get_integration(hass, DOMAIN)
    assert "zeroconf" in integration.after_dependencies
    needed = await integration.resolve_dependencies()
    assert needed
    assert "zeroconf" not in needed


async def test_begins_when_zeroconf_works(
    hass: HomeAssistant,
    ours: AsyncZeroconf,
    other: AsyncZeroconf,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A zeroconf that has no network yet is tried again, and said once."""
    uuid = await instance_id.async_get(hass)
    announced = Announcement(hass, port=PORT, ca_fingerprint=CA, on_clone=print)
    with addresses("10.0.0.2"):
        with patch.object(
            announcement.zeroconf,
            "async_get_async_instance",
            side_effect=OSError(19, "No such device"),
        ) as failing:
            announced.start()
            await wait_until(lambda: failing.call_count > 3)
        assert caplog.text.count("cannot be announced") == 1
        name = f"MagicPi NVR {uuid[:8]}.{SERVICE_TYPE_NVR}"
        async with asyncio.timeout(TIMEOUT_S):
            while await look(other, name) is None:
                await asyncio.sleep(0.05)
        await announced.stop()


@pytest.mark.parametrize("same_name", [True, False])
async def test_clone(
    hass: HomeAssistant, ours: AsyncZeroconf, other: AsyncZeroconf, same_name: bool
) -> None:
    """A copy of this Home Assistant is noticed, by whichever name; other NVRs are not."""
    uuid = await instance_id.async_get(hass)

    def service(name: str, ca: str, address: str) -> ServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE_NVR,
            f"{name}.{SERVICE_TYPE_NVR}",
            parsed_addresses=[address],
            port=PORT,
            properties={"id": "other", "proto": "1", "ca": ca},
        )

    clones: list[str | None] = []
    clone = service(
        f"MagicPi NVR {uuid[:8]}" if same_name else "MagicPi NVR clone",
        CA,
        "10.0.0.9",
    )
    await other.async_register_service(service("Neighbor", "f" * 16, "10.0.0.8"))
    await other.async_register_service(clone)
    announced = Announcement(
        hass, port=PORT, ca_fingerprint=CA + "rest", on_clone=clones.append
    )
    with addresses("10.0.0.2"):
        announced.start()
        await wait_until(lambda: bool(clones))
        assert set(clones) == {"10.0.0.9"}
        await other.async_unregister_service(clone)
        await wait_until(lambda: clones[-1] is None)
        await announced.stop()
