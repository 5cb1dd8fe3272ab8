"""Looking a gateway up by mDNS, for when its last address is no good any more."""

import asyncio
from base64 import b64decode
from hashlib import sha256

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

SERVICE = "_magicpi-nvr._tcp.local."


def ca_fingerprint(ca_pem: str) -> str:
    """Return the first 16 hex digits of a CA certificate's SHA-256."""
    lines = ca_pem.strip().splitlines()
    der = b64decode("".join(line for line in lines if not line.startswith("-----")))
    return sha256(der).hexdigest()[:16]


async def find_gateway(
    zeroconf: AsyncZeroconf, ca_pem: str, *, wait: float = 3.0
) -> list[tuple[str, int]]:
    """Return addresses and port of the gateway with this CA; empty when none answers in time."""
    fingerprint = ca_fingerprint(ca_pem)
    names: asyncio.Queue[str] = asyncio.Queue(64)

    def seen(
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        if state_change is not ServiceStateChange.Removed and not names.full():
            names.put_nowait(name)

    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[seen])
    try:
        async with asyncio.timeout(wait):
            while True:
                info = AsyncServiceInfo(SERVICE, await names.get())
                if not await info.async_request(zeroconf.zeroconf, 1000):
                    continue
                if info.decoded_properties.get("ca") == fingerprint and info.port:
                    addresses = info.parsed_scoped_addresses(IPVersion.All)
                    return [(address, info.port) for address in addresses]
    except TimeoutError:
        return []
    finally:
        await browser.async_cancel()
