"""A target's config subentry: its keys, and the target and the settings that are made of it."""

from collections.abc import Callable, Mapping
from datetime import time
from typing import TYPE_CHECKING, Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.requirements import RequirementsNotFound, async_process_requirements

from ..const import DOMAIN

if TYPE_CHECKING:
    # Nothing of it is imported before the first target is set up
    from ..copies.model import CopySettings
    from ..copies.target import Target

SUBENTRY_TARGET: Final = "target"
CONF_KIND: Final = "kind"
KIND_S3: Final = "s3"
KIND_WEBDAV: Final = "webdav"
CONF_ENDPOINT: Final = "endpoint"
CONF_BUCKET: Final = "bucket"
CONF_ACCESS_KEY_ID: Final = "access_key_id"
CONF_SECRET_ACCESS_KEY: Final = "secret_access_key"
CONF_REGION: Final = "region"
CONF_PREFIX: Final = "prefix"
CONF_URL: Final = "url"
CONF_USERNAME: Final = "username"
CONF_PASSWORD: Final = "password"
CONF_VERIFY_SSL: Final = "verify_ssl"
CONF_WHAT: Final = "what"
WHAT_ALL: Final = "all"
WHAT_PROTECTED: Final = "protected"
CONF_CAMERAS: Final = "cameras"
CONF_LABELS: Final = "labels"
CONF_ZONES: Final = "zones"
CONF_ORDER: Final = "order"
ORDER_NEWEST: Final = "newest"
ORDER_OLDEST: Final = "oldest"
CONF_RATE: Final = "rate"  # kB/s
CONF_FROM: Final = "from"
CONF_UNTIL: Final = "until"
CONF_DAYS: Final = "days"
CONF_MAX_SIZE: Final = "max_size"  # GB
# Pinned as Home Assistant's own integrations pin them, so that neither breaks the other
REQUIREMENTS: Final = {
    KIND_S3: ["aiobotocore==3.7.0"],
    KIND_WEBDAV: ["aiowebdav2==0.6.2"],
}
GIGABYTE: Final = 1024**3


class CannotInstall(Exception):
    """The library of a kind of target cannot be installed."""


async def async_make_target(hass: HomeAssistant, data: Mapping[str, Any]) -> Target:
    """Return a target, its library installed and imported; raises CannotInstall."""
    try:
        await async_process_requirements(hass, DOMAIN, REQUIREMENTS[data[CONF_KIND]])
    except RequirementsNotFound as err:
        raise CannotInstall(str(err)) from err
    # The libraries read many files when they are imported
    maker = await hass.async_add_import_executor_job(_maker, data[CONF_KIND])
    return maker(hass, data)


def _maker(kind: str) -> Callable[[HomeAssistant, Mapping[str, Any]], Target]:
    """Import a kind of target. Blocking."""
    if kind == KIND_S3:
        from ..copies.s3 import S3Settings, S3Target  # noqa: PLC0415

        def s3(_hass: HomeAssistant, data: Mapping[str, Any]) -> Target:
            return S3Target(
                S3Settings(
                    endpoint=data[CONF_ENDPOINT],
                    bucket=data[CONF_BUCKET],
                    access_key_id=data[CONF_ACCESS_KEY_ID],
                    secret_access_key=data[CONF_SECRET_ACCESS_KEY],
                    prefix=data.get(CONF_PREFIX, ""),
                    region=data.get(CONF_REGION) or None,
                    verify_tls=data.get(CONF_VERIFY_SSL, True),
                )
            )

        return s3
    from ..copies.webdav import WebDavSettings, WebDavTarget  # noqa: PLC0415

    def webdav(hass: HomeAssistant, data: Mapping[str, Any]) -> Target:
        return WebDavTarget(
            WebDavSettings(
                url=data[CONF_URL],
                username=data[CONF_USERNAME],
                password=data[CONF_PASSWORD],
                prefix=data.get(CONF_PREFIX, ""),
                verify_tls=data.get(CONF_VERIFY_SSL, True),
            ),
            async_get_clientsession(hass),
        )

    return webdav


def copy_settings(data: Mapping[str, Any]) -> CopySettings:
    """Return how a target is filled and emptied."""
    from ..copies.model import CopySettings, Rules  # noqa: PLC0415

    start, end = data.get(CONF_FROM), data.get(CONF_UNTIL)
    rate, days, size = (data.get(key) for key in (CONF_RATE, CONF_DAYS, CONF_MAX_SIZE))
    return CopySettings(
        rules=Rules(
            protected_only=data.get(CONF_WHAT) == WHAT_PROTECTED,
            cameras=frozenset(data.get(CONF_CAMERAS, ())),
            labels=frozenset(data.get(CONF_LABELS, ())),
            zones=frozenset(data.get(CONF_ZONES, ())),
        ),
        newest_first=data.get(CONF_ORDER) != ORDER_OLDEST,
        rate=int(rate * 1000) if rate else None,
        hours=(time.fromisoformat(start), time.fromisoformat(end))
        if start and end
        else None,
        days=int(days) if days else None,
        max_bytes=int(size * GIGABYTE) if size else None,
    )
