"""What waits for a sleeping camera, in words; and telling who changed it when the camera gets it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from homeassistant.components.number import DOMAIN as NUMBER_DOMAIN
from homeassistant.components.select import DOMAIN as SELECT_DOMAIN
from homeassistant.components.switch import DOMAIN as SWITCH_DOMAIN
from homeassistant.const import MAX_LENGTH_STATE_STATE
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.translation import async_get_cached_translations
from homeassistant.util import dt as dt_util
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN
from .gateway import Camera
from .timestamps import local_time

DOMAINS: Final = (NUMBER_DOMAIN, SELECT_DOMAIN, SWITCH_DOMAIN)
NOTHING: Final = "none"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A setting that was changed while its camera sleeps."""

    user_id: str | None
    camera: Camera
    setting: str


SIGNAL_WAITING: Final[SignalType[Waiting]] = SignalType(f"{DOMAIN}_waiting")


@callback
def pending_text(hass: HomeAssistant, camera: Camera) -> str:
    """Return what a camera gets with its next wake and when that is at the latest."""
    # What is changed while the camera is there is with it in a moment
    if camera.session is not None or not camera.config.pending:
        return NOTHING
    texts = async_get_cached_translations(hass, hass.config.language, "common", DOMAIN)
    registry = er.async_get(hass)

    def name(key: str) -> str:
        for domain in DOMAINS:
            unique_id = f"{format_mac(camera.id)}-{key}"
            if entity_id := registry.async_get_entity_id(domain, DOMAIN, unique_id):
                entity = registry.entities[entity_id]
                return entity.name or entity.original_name or key
        return texts.get(f"component.{DOMAIN}.common.setting_{key}", key)

    settings = ", ".join(map(name, camera.config.pending))
    time = ""
    if camera.next_check_in_ms:
        at = local_time(camera.next_check_in_ms)
        template = texts.get(f"component.{DOMAIN}.common.card_next_check_in", "{time}")
        time = f" · {template.format(time=_clock(at))}"
    longest = MAX_LENGTH_STATE_STATE - len(time)
    if len(settings) > longest:
        settings = f"{settings[: longest - 1]}…"
    return f"{settings}{time}"


def _clock(at: datetime) -> str:
    """Return a local time, with its date unless that is today."""
    today = at.date() == dt_util.now().date()
    return f"{at:%H:%M}" if today else f"{at:%Y-%m-%d %H:%M}"
