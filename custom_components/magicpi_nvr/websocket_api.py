"""WebSocket commands for cards: cameras, events, days, and what changes."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

import probatio

from homeassistant.components import websocket_api
from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.components.websocket_api import ActiveConnection
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import format_mac
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .access import (
    NOTHING_SEEN_CHOICES,
    POLICY_CONTROL,
    POLICY_EDIT,
    POLICY_READ,
    async_events,
    async_motion,
    camera_entity_id,
    may,
)
from .const import DOMAIN
from .errors import for_kind
from .nvr import (
    EventChange,
    NotRunning,
    Nvr,
    findings_as_dict,
    has_thumbnail,
    running_nvr,
)
from .pending import SIGNAL_WAITING, Waiting
from .recording import Event, InvalidValue, RecordingError
from .timestamps import now_ms
from .view import ANSWERS, MAX_LIMIT
from .views import event_clip_url, event_thumbnail_url, picture_url

ERR_NOT_RUNNING: Final = "not_running"

type Handler = Callable[
    [HomeAssistant, ActiveConnection, dict[str, Any], Nvr], Coroutine[Any, Any, None]
]


@callback
def async_register_commands(hass: HomeAssistant) -> None:
    """Register the commands."""
    for command in (
        ws_cameras,
        ws_days,
        ws_events,
        ws_set_zones,
        ws_subscribe,
        ws_subscribe_waiting,
        ws_zones,
    ):
        websocket_api.async_register_command(hass, command)


def with_nvr(
    handler: Handler,
) -> Callable[
    [HomeAssistant, ActiveConnection, dict[str, Any]], Coroutine[Any, Any, None]
]:
    """Give a handler the running NVR, and answer what cannot be."""

    @wraps(handler)
    async def handle(
        hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]
    ) -> None:
        try:
            await handler(hass, connection, msg, running_nvr(hass))
        except NotRunning:
            connection.send_error(
                msg["id"], ERR_NOT_RUNNING, "MagicPi NVR is not running"
            )
        except InvalidValue as err:
            connection.send_error(msg["id"], websocket_api.ERR_INVALID_FORMAT, str(err))
        except RecordingError as err:
            _, slug, message = for_kind(ANSWERS, err)
            connection.send_error(msg["id"], slug, message)

    return handle


@callback
def _may_read(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]
) -> bool:
    """Say whether the user may see the camera; if not, that is the answer."""
    if may(hass, connection.user, msg["camera_id"], POLICY_READ):
        return True
    connection.send_error(
        msg["id"],
        websocket_api.ERR_UNAUTHORIZED,
        "You don't have permission to view this camera",
    )
    return False


def event_for_card(event: Event) -> dict[str, Any]:
    """Return an event as cards draw it; times are UTC epoch milliseconds."""
    return {
        "id": event.id,
        "camera": event.camera,
        "start": event.start_ms,
        "end": event.end_ms,
        "reason": event.reason,
        "state": event.state,
        "labels": list(event.labels),
        "description": event.description,
        **findings_as_dict(event.findings),
        "protected": event.protected,
        "remote": event.remote,
        "thumbnail": event_thumbnail_url(event.id) if has_thumbnail(event) else None,
        "clip": event_clip_url(event.id),
    }


@websocket_api.websocket_command(
    {probatio.Required("type"): f"{DOMAIN}/subscribe_waiting"}
)
@callback
def ws_subscribe_waiting(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]
) -> None:
    """Notify a user of each own change that waits for a sleeping camera."""

    @callback
    def notify(waiting: Waiting) -> None:
        if waiting.user_id == connection.user.id:
            connection.send_event(
                msg["id"],
                {
                    "camera": waiting.camera.name,
                    "setting": waiting.setting,
                    "next_check_in": waiting.camera.next_check_in_ms,
                },
            )

    connection.subscriptions[msg["id"]] = async_dispatcher_connect(
        hass, SIGNAL_WAITING, notify
    )
    connection.send_result(msg["id"])


@websocket_api.websocket_command({probatio.Required("type"): f"{DOMAIN}/cameras"})
@websocket_api.async_response
@with_nvr
async def ws_cameras(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Answer the cameras that the user may see."""
    registry = er.async_get(hass)
    connection.send_result(
        msg["id"],
        {
            # The client's clock may be wrong
            "now": now_ms(),
            "cameras": [
                {
                    "id": camera.id,
                    "name": nvr.entries.name(camera.id),
                    "entity_id": camera_entity_id(hass, camera.id),
                    "motion_entity_id": registry.async_get_entity_id(
                        BINARY_SENSOR_DOMAIN, DOMAIN, f"{format_mac(camera.id)}-motion"
                    ),
                    "status": camera.status,
                    "recording": nvr.recordings.is_recording(camera.id),
                    "picture": picture_url(camera.id) if picture else None,
                    "picture_at": picture.captured_ms if picture else None,
                    "rights": [
                        policy
                        for policy in (POLICY_CONTROL, POLICY_EDIT)
                        if may(hass, connection.user, camera.id, policy)
                    ],
                }
                for camera in nvr.gateway.cameras.values()
                if may(hass, connection.user, camera.id, POLICY_READ)
                for picture in (nvr.last_picture(camera.id),)
            ],
        },
    )


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/events",
        probatio.Optional("camera_ids"): [str],
        probatio.Optional("start"): int,
        probatio.Optional("end"): int,
        probatio.Optional("label"): str,
        probatio.Optional("zone"): str,
        probatio.Optional("nothing_seen", default="hide"): probatio.In(
            list(NOTHING_SEEN_CHOICES)
        ),
        probatio.Optional("text"): str,
        probatio.Optional("protected"): bool,
        probatio.Optional("limit", default=100): probatio.All(
            int, probatio.Range(min=1, max=MAX_LIMIT)
        ),
        probatio.Optional("cursor"): str,
    }
)
@websocket_api.async_response
@with_nvr
async def ws_events(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Answer a page of events that overlap a span, newest first."""
    page = await async_events(
        nvr,
        connection.user,
        cameras=msg.get("camera_ids"),
        start_ms=msg.get("start"),
        end_ms=msg.get("end"),
        label=msg.get("label"),
        zone=msg.get("zone"),
        nothing_seen=NOTHING_SEEN_CHOICES[msg["nothing_seen"]],
        text=msg.get("text"),
        protected=msg.get("protected"),
        limit=msg["limit"],
        cursor=msg.get("cursor"),
    )
    motion = await async_motion(nvr, page.events)
    connection.send_result(
        msg["id"],
        {
            "events": [
                event_for_card(event)
                | ({"motion": motion[event.id]} if event.id in motion else {})
                for event in page.events
            ],
            "cursor": page.cursor,
        },
    )


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/days",
        probatio.Required("camera_id"): str,
        probatio.Optional("month"): str,
    }
)
@websocket_api.async_response
@with_nvr
async def ws_days(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Answer the local dates of a camera that have events, newest first."""
    if not _may_read(hass, connection, msg):
        return
    days = await nvr.recordings.library.days(
        camera=msg["camera_id"], month=msg.get("month")
    )
    connection.send_result(
        msg["id"],
        {
            "days": [
                {"date": day.date, "events": day.events, "size": day.size}
                for day in days
            ]
        },
    )


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/zones/get",
        probatio.Required("camera_id"): str,
    }
)
@websocket_api.async_response
@with_nvr
async def ws_zones(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Answer a camera's zones."""
    if not _may_read(hass, connection, msg):
        return
    connection.send_result(msg["id"], {"zones": nvr.entries.zones(msg["camera_id"])})


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/zones/set",
        probatio.Required("camera_id"): str,
        probatio.Required("zones"): list,
    }
)
@websocket_api.require_admin
@websocket_api.async_response
@with_nvr
async def ws_set_zones(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Store a camera's zones; they count from the next event on."""
    # Only who draws zones needs what reads them
    from .vision.zones import InvalidZone, Zones  # noqa: PLC0415

    try:
        zones = Zones.from_list(msg["zones"]).as_list()
    except InvalidZone as err:
        connection.send_error(msg["id"], websocket_api.ERR_INVALID_FORMAT, str(err))
        return
    if not nvr.set_zones(msg["camera_id"], zones):
        connection.send_error(msg["id"], websocket_api.ERR_NOT_FOUND, "No such camera")
        return
    connection.send_result(msg["id"], {"zones": zones})


@websocket_api.websocket_command({probatio.Required("type"): f"{DOMAIN}/subscribe"})
@websocket_api.async_response
@with_nvr
async def ws_subscribe(
    hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any], nvr: Nvr
) -> None:
    """Push each event that begins, ends, changes or goes."""

    @callback
    def push(change: EventChange, event: Event) -> None:
        if not may(hass, connection.user, event.camera, POLICY_READ):
            return
        if change is EventChange.COPIED:
            return
        said = (
            {"id": event.id, "camera": event.camera}
            if change is EventChange.DELETED
            else event_for_card(event)
        )
        connection.send_message(
            websocket_api.event_message(msg["id"], {"type": change, "event": said})
        )

    connection.subscriptions[msg["id"]] = nvr.changes.subscribe_events(push)
    connection.send_result(msg["id"])
