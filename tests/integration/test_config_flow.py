"""The config flow, each branch, against a camera that answers for real."""

from custom_components.magicpi_nvr.const import DOMAIN
from homeassistant.config_entries import ConfigEntryState

from .house import CAMERA_ID, House


async def test_address_by_hand(nvr_house: House) -> None:
    """A camera is claimed by its address, registers, and has its entry."""
    camera = await nvr_house.claimed()
    entry = nvr_house.entry()
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["id"] == CAMERA_ID
    assert camera.flash.registered
    assert len(nvr_house.hass.config_entries.async_entries(DOMAIN)) == 2
