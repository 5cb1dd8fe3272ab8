"""Who may see and change what: the rights of Home Assistant's users on the cameras' entities."""

from collections.abc import Iterable
from typing import Final

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import (
    POLICY_CONTROL,
    POLICY_EDIT,
    POLICY_READ,
)
from homeassistant.components.camera import DOMAIN as CAMERA_DOMAIN
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac

from .const import DOMAIN
from .nvr import Nvr
from .recording import Event, EventPage

# Pages that one request looks through for a user who may not see all cameras
MAX_PAGES: Final = 20

__all__ = ["POLICY_CONTROL", "POLICY_EDIT", "POLICY_READ"]


@callback
def camera_entity_id(hass: HomeAssistant, camera_id: str) -> str | None:
    """Return the entity id of a camera."""
    return er.async_get(hass).async_get_entity_id(
        CAMERA_DOMAIN, DOMAIN, f"{format_mac(camera_id)}-camera"
    )


@callback
def may(hass: HomeAssistant, user: User, camera_id: str, policy: str) -> bool:
    """Say whether a user has a right on a camera; one that was removed takes a right on everything."""
    if user.permissions.access_all_entities(policy):
        return True
    entity_id = camera_entity_id(hass, camera_id)
    return entity_id is not None and user.permissions.check_entity(entity_id, policy)


async def async_check(
    hass: HomeAssistant, context: Context, camera_ids: Iterable[str], policy: str
) -> None:
    """Raise Unauthorized unless the user of a service call has the right; automations have it."""
    if context.user_id is None:
        return
    if (user := await hass.auth.async_get_user(context.user_id)) is None:
        raise UnknownUser(context=context)
    for camera_id in camera_ids:
        if not may(hass, user, camera_id, policy):
            raise Unauthorized(
                context=context,
                user_id=user.id,
                entity_id=camera_entity_id(hass, camera_id),
                permission=policy,
            )


async def async_events(
    nvr: Nvr,
    user: User | None,
    *,
    cameras: Iterable[str] | None = None,
    limit: int,
    cursor: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    protected: bool | None = None,
    label: str | None = None,
    text: str | None = None,
) -> EventPage:
    """Return a page of the events that a user may see, of some cameras or all, newest first.

    A page can hold less than its limit although there are more. None as user sees everything.
    """
    wanted = None if cameras is None else set(cameras)
    one = next(iter(wanted)) if wanted is not None and len(wanted) == 1 else None
    if wanted is not None and not wanted:
        return EventPage((), None)
    found: list[Event] = []
    for _ in range(MAX_PAGES):
        page = await nvr.recordings.library.events(
            camera=one,
            start_ms=start_ms,
            end_ms=end_ms,
            protected=protected,
            label=label,
            text=text,
            limit=limit - len(found),
            cursor=cursor,
        )
        found += [
            event
            for event in page.events
            if (wanted is None or event.camera in wanted)
            and (user is None or may(nvr.hass, user, event.camera, POLICY_READ))
        ]
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            break
    return EventPage(tuple(found), cursor)
