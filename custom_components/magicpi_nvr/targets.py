"""Which cameras an action is for: its target, or the field `camera` of version 0.1.0."""

from typing import Final

import probatio

from homeassistant.components.camera import DOMAIN as CAMERA_DOMAIN
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.service import async_extract_entity_ids
from homeassistant.helpers.typing import VolDictType

from .const import DOMAIN
from .gateway import Camera
from .nvr import Nvr

ATTR_CAMERA: Final = "camera"
TARGET_FIELDS: Final[VolDictType] = {
    **cv.ENTITY_SERVICE_FIELDS,
    probatio.Optional(ATTR_CAMERA): probatio.All(probatio.EnsureList(), [cv.string]),
}


def _unknown(text: str) -> ServiceValidationError:
    """Return the error of a name that is no camera's."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_camera",
        translation_placeholders={"camera": text},
    )


@callback
def async_camera_id(hass: HomeAssistant, nvr: Nvr, text: str) -> str:
    """Return the camera of an entity id, a device id or a camera's own id; raises ServiceValidationError."""
    device_id: str | None = text
    if entity := er.async_get(hass).async_get(text):
        device_id = entity.device_id if entity.platform == DOMAIN else None
    if device_id and (device := dr.async_get(hass).async_get(device_id)):
        for domain, identifier in device.identifiers:
            if domain == DOMAIN and identifier != DOMAIN:
                return identifier
    camera_id = text.upper().replace("-", ":")
    if camera_id in nvr.known_cameras:
        return camera_id
    raise _unknown(text)


@callback
def is_targeted(call: ServiceCall) -> bool:
    """Say whether an action names anything as its target."""
    return any(str(field) in call.data for field in TARGET_FIELDS)


async def async_targets(call: ServiceCall, nvr: Nvr) -> list[str]:
    """Return the ids of the cameras that an action names; raises ServiceValidationError."""
    registry = er.async_get(call.hass)
    names = [*call.data.get(ATTR_CAMERA, ())]
    for entity_id in sorted(await async_extract_entity_ids(call)):
        entity = registry.async_get(entity_id)
        if entity and entity.platform == DOMAIN and entity.domain == CAMERA_DOMAIN:
            names.append(entity_id)
        elif entity_id in call.data.get(ATTR_ENTITY_ID, ()):
            # An area or a device holds other entities too, but this one was named
            raise _unknown(entity_id)
    return list(dict.fromkeys(async_camera_id(call.hass, nvr, name) for name in names))


async def async_target(call: ServiceCall, nvr: Nvr) -> str:
    """Return the id of the one camera that an action names; raises ServiceValidationError."""
    cameras = await async_targets(call, nvr)
    if len(cameras) != 1:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="one_camera"
        )
    return cameras[0]


async def async_target_camera(call: ServiceCall, nvr: Nvr) -> Camera:
    """Return the one camera that an action names and that is there; raises ServiceValidationError."""
    camera_id = await async_target(call, nvr)
    if (camera := nvr.gateway.cameras.get(camera_id)) is None:
        raise _unknown(camera_id)
    return camera
