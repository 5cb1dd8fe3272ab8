"""The timeline card: served by the integration and known to every dashboard without a manual resource."""

from pathlib import Path
from typing import Final

from homeassistant.components import frontend
from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_integration

from .const import DOMAIN

CARD: Final = "magicpi-timeline-card.js"
URL: Final = f"/{DOMAIN}/{CARD}"


async def async_register_card(hass: HomeAssistant) -> None:
    """Serve the card, and load it where there is a frontend."""
    await hass.http.async_register_static_paths(
        [StaticPathConfig(URL, str(Path(__file__).parent / "frontend" / CARD), True)]
    )
    if frontend.DOMAIN in hass.config.components:
        # The version in the address outdates what browsers keep
        version = (await async_get_integration(hass, DOMAIN)).version
        frontend.add_extra_js_url(hass, f"{URL}?v={version}")
