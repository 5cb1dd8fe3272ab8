"""The one NVR of a Home Assistant, and what entries have of it at run time."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.singleton import singleton
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from ..gateway import Camera
from .core import Nvr

DATA_NVR: HassKey[Nvr] = HassKey(DOMAIN)


@dataclass(slots=True)
class MagicPiRuntimeData:
    """What an entry has at run time; `camera` only where it is a camera's."""

    nvr: Nvr
    camera: Camera | None = None


type MagicPiConfigEntry = ConfigEntry[MagicPiRuntimeData]


@singleton(DATA_NVR, async_=True)
async def async_get_nvr(hass: HomeAssistant) -> Nvr:
    """Return the shared NVR, whether it runs or not."""
    nvr = Nvr(hass)
    await nvr.settings.async_load()
    return nvr


class NotRunning(ServiceValidationError):
    """The NVR does not run."""

    def __init__(self) -> None:
        """Name the text."""
        super().__init__(translation_domain=DOMAIN, translation_key="not_running")


@callback
def running_nvr(hass: HomeAssistant) -> Nvr:
    """Return the NVR while it runs; raises NotRunning."""
    nvr = hass.data.get(DATA_NVR)
    if not isinstance(nvr, Nvr) or not nvr.running:
        raise NotRunning
    return nvr
