"""Addresses of cameras, as people type them and as entries keep them."""

from contextlib import suppress
from ipaddress import IPv6Address

from yarl import URL

from .const import DEFAULT_CAMERA_PORT
from .options_flow import is_host


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
