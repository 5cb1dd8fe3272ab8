"""Who asks, and who may see and change what: the rights of Home Assistant's users on the cameras' entities."""

from collections.abc import Iterable
from typing import Any, Final, Unpack, cast

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import (
    POLICY_CONTROL,
    POLICY_EDIT,
    POLICY_READ,
)
from homeassistant.components import websocket_api
from homeassistant.components.camera import DOMAIN as CAMERA_DOMAIN
from homeassistant.components.http import KEY_HASS_USER, current_request
from homeassistant.components.trace.const import DATA_TRACE
from homeassistant.components.trace.models import ActionTrace
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.trace import trace_id_get

from .const import DOMAIN
from .nvr import Nvr, motion_as_dict
from .recording import (
    PIECE_MS,
    REASON_CHECK_IN,
    Event,
    EventFilter,
    EventPage,
    piece_end_ms,
)

# Pages that one request looks through for a user who may not see all cameras
MAX_PAGES: Final = 20
MAX_SPAN_PAGE: Final = 500
# What a caller says about events in which nothing was seen, as `nothing_seen` of async_events
NOTHING_SEEN_CHOICES: Final = {"hide": False, "show": None, "only": True}

__all__ = ["POLICY_CONTROL", "POLICY_EDIT", "POLICY_READ"]


@callback
def camera_entity_id(hass: HomeAssistant, camera_id: str) -> str | None:
    """Return the entity id of a camera."""
    return er.async_get(hass).async_get_entity_id(
        CAMERA_DOMAIN, DOMAIN, f"{format_mac(camera_id)}-camera"
    )


@callback
def may(hass: HomeAssistant, user: User, camera_id: str, policy: str) -> bool:
    """Say whether a user has a right on a camera; one that was removed takes a right on everything.

    Who was deactivated has none: links that were signed before, and open connections, may still be used.
    """
    if not user.is_active:
        return False
    if user.permissions.access_all_entities(policy):
        return True
    entity_id = camera_entity_id(hass, camera_id)
    return entity_id is not None and user.permissions.check_entity(entity_id, policy)


@callback
def _context_of_run(hass: HomeAssistant) -> Context | None:
    """Return the context of the automation or script that runs this; None outside of one.

    The variables of the run's task name its trace, and that knows who started the run.
    """
    if (trace_id := trace_id_get()) is None:
        return None
    key, run_id = trace_id
    buckets = hass.data.get(DATA_TRACE, {}).get(key)
    run = buckets.runs.get(run_id) if buckets else None
    return run.context if isinstance(run, ActionTrace) else None


async def async_asking_user(
    hass: HomeAssistant, context: Context | None = None
) -> User | None:
    """Return the user in whose name this runs; None for automations and Home Assistant itself.

    That is the user of the action's context, of the script that runs, of the WebSocket
    connection or of the request, in this order. Raises UnknownUser for one that was removed.
    """
    if context is None:
        context = _context_of_run(hass)
    if context is not None:
        if context.user_id is None:
            return None
        if (user := await hass.auth.async_get_user(context.user_id)) is None:
            raise UnknownUser(context=context)
        return user
    if connection := websocket_api.current_connection.get():
        return connection.user
    request = current_request.get()
    return cast(User | None, request.get(KEY_HASS_USER)) if request else None


async def async_check(
    hass: HomeAssistant, context: Context, camera_ids: Iterable[str], policy: str
) -> None:
    """Raise Unauthorized unless the user of an action has the right; automations have it."""
    user = await async_asking_user(hass, context)
    for camera_id in camera_ids:
        if user and not may(hass, user, camera_id, policy):
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
    **which: Unpack[EventFilter],
) -> EventPage:
    """Return a page of the events that a user may see, of some cameras or all, newest first.

    Events in which nothing was seen are left out unless asked for: None is all, True these alone.
    A page can hold less than its limit although there are more. None as user sees everything.
    """
    chosen = None if cameras is None else set(cameras)
    one = next(iter(chosen)) if chosen is not None and len(chosen) == 1 else None
    if chosen is not None and not chosen:
        return EventPage((), None)
    which.setdefault("nothing_seen", False)
    found: list[Event] = []
    for _ in range(MAX_PAGES):
        page = await nvr.recordings.library.events(
            camera=one, limit=limit - len(found), cursor=cursor, **which
        )
        found += [
            event
            for event in page.events
            if (chosen is None or event.camera in chosen)
            and (user is None or may(nvr.hass, user, event.camera, POLICY_READ))
        ]
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            break
    return EventPage(tuple(found), cursor)


async def async_motion(
    nvr: Nvr, events: Iterable[Event]
) -> dict[str, list[dict[str, Any]]]:
    """Return what moved within those events that are pieces of a continuous recording, by their ids."""
    pieces = sorted(
        (event for event in events if event.is_continuous),
        key=lambda event: (event.camera, event.start_ms),
    )
    found: dict[str, list[dict[str, Any]]] = {piece.id: [] for piece in pieces}
    # Of what a filter left there may be months between two
    runs: list[list[Event]] = []
    for piece in pieces:
        if (
            runs
            and runs[-1][-1].camera == piece.camera
            and piece.start_ms - piece_end_ms(runs[-1][-1]) <= PIECE_MS
        ):
            runs[-1].append(piece)
        else:
            runs.append([piece])
    for run in runs:
        last = run[0]
        for event in await _async_span(nvr, run[0], run[-1]):
            within = last.start_ms <= event.start_ms < piece_end_ms(last)
            if event.is_continuous:
                last = event
            elif within and last.id in found:
                found[last.id].append(motion_as_dict(event))
    return found


async def _async_span(nvr: Nvr, first: Event, last: Event) -> list[Event]:
    """Return all of a camera from one piece to another, oldest first."""
    found: list[Event] = []
    cursor = None
    while True:
        page = await nvr.recordings.library.events(
            camera=first.camera,
            start_ms=first.start_ms,
            end_ms=piece_end_ms(last),
            limit=MAX_SPAN_PAGE,
            cursor=cursor,
        )
        found += [event for event in page.events if event.reason != REASON_CHECK_IN]
        if (cursor := page.cursor) is None:
            return found[::-1]
