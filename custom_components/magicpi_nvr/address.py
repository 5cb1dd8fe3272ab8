"""Addresses of cameras, as people type them and as entries keep them."""

from contextlib import suppress
from ipaddress import IPv6Address, ip_address
import re
from typing import Final

from yarl import URL

from .const import DEFAULT_CAMERA_PORT

HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*"
)


def is_host(text: str) -> bool:
    """Say whether this is a host name or an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return HOST_NAME.fullmatch(text) is not None
    return True


def join_address(host: str, port: int | None) -> str:
    """Return a host with its port, unless that is the usual one."""
    if ":" in host:
        host = f"[{host}]"
    return host if port in (None, DEFAULT_CAMERA_PORT) else f"{host}:{port}"


def typed_address(text: str) -> str:
    """Return an address as people type or paste it, without what is around it."""
    text = text.strip().removeprefix("http://").rstrip("/")
    with suppress(ValueError):
        return f"[{IPv6Address(text)}]"
    return text


def split_address(text: str) -> tuple[str, int] | None:
    """Return host and port of `host`, `host:port` or `[ipv6]:port`, None for anything else."""
    try:
        url = URL(f"http://{text}")
    except ValueError:
        return None
    if not url.host or url != url.origin() or not is_host(url.host):
        return None
    return url.host, url.port or DEFAULT_CAMERA_PORT
