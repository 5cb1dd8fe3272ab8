"""What people get over HTTP: clips, pictures, and the facts about all cameras. The address builders stand beside the views."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from homeassistant.auth.models import User
from homeassistant.components.http import (
    KEY_AUTHENTICATED,
    KEY_HASS_USER,
    HomeAssistantView,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .access import POLICY_READ, async_events, may
from .const import DOMAIN
from .nvr import NotRunning, Nvr, event_as_dict, running_nvr
from .recording import (
    ClipGone,
    ClipSpec,
    CopyUnreachable,
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    NothingRecorded,
    RecordingError,
    StorageFailed,
    answer,
    camera_folder,
    folder_camera,
    parse_event_id,
)
from .status import camera_stats, camera_status, storage_stats

URL_BASE: Final = f"/api/{DOMAIN}"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_LIMIT: Final = 500
MAX_TIME: Final = 8_640_000_000_000_000
MAX_SPEED: Final = 10_000


# What the library answers, without where its files are on the server
ANSWERS: Final[dict[type[RecordingError], tuple[HTTPStatus, str, str]]] = {
    ClipGone: (
        HTTPStatus.NOT_FOUND,
        "not_found",
        "The recording was deleted or changed",
    ),
    CopyUnreachable: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "copy_unreachable",
        "The copy of this recording cannot be reached",
    ),
    EventBusy: (HTTPStatus.CONFLICT, "busy", "The event is being recorded"),
    EventNotFound: (HTTPStatus.NOT_FOUND, "not_found", "There is no such event"),
    EventProtected: (HTTPStatus.CONFLICT, "protected", "The event is protected"),
    NothingRecorded: (
        HTTPStatus.NOT_FOUND,
        "not_found",
        "Nothing was recorded in this time",
    ),
    StorageFailed: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "storage",
        "The storage cannot be read",
    ),
}


class RequestError(Exception):
    """What the request cannot have, as status, slug and sentence."""

    def __init__(self, status: HTTPStatus, slug: str, message: str) -> None:
        """Keep the answer."""
        super().__init__(message)
        self.status = status
        self.slug = slug
        self.message = message


def bad_request(message: str) -> RequestError:
    """Return the answer to what makes no sense."""
    return RequestError(HTTPStatus.BAD_REQUEST, "bad_request", message)


def not_found(message: str) -> RequestError:
    """Return the answer to what is not there."""
    return RequestError(HTTPStatus.NOT_FOUND, "not_found", message)


class MagicPiView(HomeAssistantView):
    """Base of all views: the user's rights, and errors as JSON."""

    # Checked in `get`: an expired link is no failed login
    requires_auth = False

    def __init__(self, hass: HomeAssistant) -> None:
        """Keep Home Assistant."""
        self.hass = hass

    @property
    def nvr(self) -> Nvr:
        """The running NVR; raises RequestError."""
        try:
            return running_nvr(self.hass)
        except NotRunning:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not_running",
                "MagicPi NVR is not running",
            ) from None

    def check(self, request: web.Request, camera_id: str) -> None:
        """Raise RequestError unless the user may see a camera."""
        if not may(self.hass, request[KEY_HASS_USER], camera_id, POLICY_READ):
            raise RequestError(
                HTTPStatus.FORBIDDEN, "forbidden", "No right to see this camera"
            )

    def _check_login(self, request: web.Request) -> None:
        """Raise unless the request or its signature says whose it is.

        As Home Assistant's camera views do: what comes with a wrong key counts as a failed login,
        which in the end bans its address; an expired link does not.
        """
        if request[KEY_AUTHENTICATED]:
            return
        if hdrs.AUTHORIZATION in request.headers:
            raise web.HTTPUnauthorized
        raise RequestError(
            HTTPStatus.FORBIDDEN, "forbidden", "This link has expired, or needs a login"
        )

    async def get(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Answer a GET."""
        try:
            self._check_login(request)
            return await self.handle(request, **parts)
        except RequestError as err:
            return self.json(
                {"error": err.slug, "message": err.message}, status_code=err.status
            )
        except InvalidValue as err:
            return self.json(
                {"error": "bad_request", "message": str(err)},
                status_code=HTTPStatus.BAD_REQUEST,
            )
        except RecordingError as err:
            status, slug, message = ANSWERS[type(err)]
            return self.json({"error": slug, "message": message}, status_code=status)

    head = get

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Answer; raises RequestError or RecordingError."""
        raise NotImplementedError


def _camera(text: str) -> str:
    """Return the camera of a path's part; raises RequestError."""
    try:
        return folder_camera(text)
    except ValueError:
        raise bad_request("Not a camera: it is written AA-BB-CC-DD-EE-FF") from None


def _event(text: str) -> tuple[str, str]:
    """Return an event's id and its camera; raises RequestError."""
    try:
        return text, parse_event_id(text)[0]
    except ValueError:
        raise bad_request("Not the id of an event") from None


def _integer(text: str, name: str, maximum: int) -> int:
    """Return a whole number from 1; raises RequestError."""
    if (
        text.isascii()
        and text.isdigit()
        and len(text) <= 16
        and 0 < (value := int(text)) <= maximum
    ):
        return value
    raise bad_request(f"{name} is a whole number from 1 to {maximum}")


def _time(text: str, name: str) -> int:
    """Return UTC epoch milliseconds of these or of an ISO 8601 time; raises RequestError."""
    if text.isascii() and text.isdigit():
        return _integer(text, name, MAX_TIME)
    if (at := dt_util.parse_datetime(text)) is None:
        raise bad_request(f"{name} is epoch milliseconds or an ISO 8601 time")
    return epoch_ms(at)


def epoch_ms(at: datetime) -> int:
    """Return UTC epoch milliseconds, of any time that can be written; one without zone is local."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt_util.get_default_time_zone())
    return (at - EPOCH) // timedelta(milliseconds=1)


# ---- clips ----


def event_clip_url(event_id: str) -> str:
    """Return the address of an event's clip."""
    return f"{URL_BASE}/clip/event/{event_id}"


def range_clip_url(camera_id: str, start_ms: int, end_ms: int) -> str:
    """Return the address of what a camera recorded between two times."""
    return f"{URL_BASE}/clip/range/{camera_folder(camera_id)}/{start_ms}/{end_ms}"


def hour_clip_url(camera_id: str, date: str, name: str) -> str:
    """Return the address of an hour file as one clip; `name` as `08` or `08-2`."""
    return f"{URL_BASE}/clip/hour/{camera_folder(camera_id)}/{date}/{name}"


def day_clip_url(camera_id: str, date: str) -> str:
    """Return the address of a local day as one clip."""
    return f"{URL_BASE}/clip/day/{camera_folder(camera_id)}/{date}"


def timelapse_url(camera_id: str, start_ms: int, end_ms: int, speed: int) -> str:
    """Return the address of a time-lapse."""
    return f"{URL_BASE}/clip/timelapse/{camera_folder(camera_id)}/{start_ms}/{end_ms}/{speed}"


class ClipView(MagicPiView):
    """Base of the clips: virtual MP4 files with ranges."""

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return camera and clip of a path; raises RequestError."""
        raise NotImplementedError

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the clip, or the asked range of it."""
        camera_id, spec = self.spec(**parts)
        self.check(request, camera_id)
        nvr = self.nvr
        file = await nvr.recordings.library.clip(
            replace(spec, name=nvr.entries.name(camera_id))
        )
        result = answer(
            file,
            request.headers,
            method=request.method,
            attachment="download" in request.query,
        )
        response = web.StreamResponse(status=result.status, headers=result.headers)
        await response.prepare(request)
        if result.has_body:
            try:
                async for chunk in file.read(result.start, result.stop):
                    await response.write(chunk)
            except ClipGone:
                # The head promised more bytes than will come: only a broken
                # connection tells the client so
                response.force_close()
                if request.transport:
                    request.transport.abort()
            except ConnectionResetError:
                pass
        return response


class EventClipView(ClipView):
    """The clip of an event."""

    url = f"{URL_BASE}/clip/event/{{event_id}}"
    name = f"api:{DOMAIN}:clip:event"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the event's clip."""
        event_id, camera_id = _event(parts["event_id"])
        return camera_id, ClipSpec.event(event_id)


class RangeClipView(ClipView):
    """All that a camera recorded between two times."""

    url = f"{URL_BASE}/clip/range/{{camera}}/{{start}}/{{end}}"
    name = f"api:{DOMAIN}:clip:range"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the range's clip."""
        camera_id = _camera(parts["camera"])
        return camera_id, ClipSpec.range(camera_id, *_span(parts))


class TimelapseView(ClipView):
    """A range in quick motion."""

    url = f"{URL_BASE}/clip/timelapse/{{camera}}/{{start}}/{{end}}/{{speed}}"
    name = f"api:{DOMAIN}:clip:timelapse"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the range's time-lapse."""
        camera_id = _camera(parts["camera"])
        speed = _integer(parts["speed"], "speed", MAX_SPEED)
        return camera_id, ClipSpec.range(camera_id, *_span(parts), timelapse=speed)


class HourClipView(ClipView):
    """An hour as one clip."""

    url = f"{URL_BASE}/clip/hour/{{camera}}/{{date}}/{{hour}}"
    name = f"api:{DOMAIN}:clip:hour"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the hour's clip."""
        camera_id = _camera(parts["camera"])
        return camera_id, ClipSpec.hour(camera_id, parts["date"], parts["hour"])


class DayClipView(ClipView):
    """A day as one clip."""

    url = f"{URL_BASE}/clip/day/{{camera}}/{{date}}"
    name = f"api:{DOMAIN}:clip:day"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the day's clip."""
        camera_id = _camera(parts["camera"])
        return camera_id, ClipSpec.day(camera_id, parts["date"])


def _span(parts: Mapping[str, str]) -> tuple[int, int]:
    """Return start and end of a path; raises RequestError."""
    start, end = (_time(parts[name], name) for name in ("start", "end"))
    if start >= end:
        raise bad_request("start is before end")
    return start, end


# ---- pictures ----


def event_thumbnail_url(event_id: str) -> str:
    """Return the address of an event's picture."""
    return f"{URL_BASE}/thumbnail/{event_id}"


def picture_url(camera_id: str) -> str:
    """Return the address of a camera's last picture."""
    return f"{URL_BASE}/picture/{camera_folder(camera_id)}"


class ThumbnailView(MagicPiView):
    """The picture of an event."""

    url = f"{URL_BASE}/thumbnail/{{event_id}}"
    name = f"api:{DOMAIN}:thumbnail"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the file."""
        event_id, camera_id = _event(parts["event_id"])
        self.check(request, camera_id)
        nvr = self.nvr
        # While an event goes on, the picture that shows best what was seen is in memory only
        if nvr.vision and (jpeg := nvr.vision.picture(event_id)):
            return web.Response(
                body=jpeg,
                content_type="image/jpeg",
                headers={"Cache-Control": "private, no-cache"},
            )
        if (found := await nvr.recordings.async_thumbnail(event_id)) is None:
            raise not_found("No picture of this event")
        headers = {"Cache-Control": "private, no-cache", "Content-Type": "image/jpeg"}
        if isinstance(found, bytes):
            return web.Response(body=found, headers=headers)
        return web.FileResponse(found, headers=headers)


class PictureView(MagicPiView):
    """The last picture of a camera."""

    url = f"{URL_BASE}/picture/{{camera}}"
    name = f"api:{DOMAIN}:picture"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send what is in memory."""
        camera_id = _camera(parts["camera"])
        self.check(request, camera_id)
        if (picture := self.nvr.last_picture(camera_id)) is None:
            raise not_found("No picture of this camera")
        response = web.Response(
            body=picture.jpeg,
            content_type="image/jpeg",
            headers={"Cache-Control": "private, no-cache"},
        )
        response.last_modified = picture.captured_ms / 1000
        return response


# ---- exports ----


def export_url(name: str) -> str:
    """Return the address of an exported file."""
    return f"{URL_BASE}/export/{quote(name)}"


class ExportView(MagicPiView):
    """A file that an action exported; its name begins with the camera's folder."""

    url = f"{URL_BASE}/export/{{name}}"
    name = f"api:{DOMAIN}:export"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the file."""
        name = parts["name"]
        if "/" in name or "\\" in name or not name.endswith(".mp4"):
            raise bad_request("Not the name of an export")
        camera_id = _camera(name[:17])
        self.check(request, camera_id)
        path = self.nvr.export_folder / name
        if not await self.hass.async_add_executor_job(path.is_file):
            raise not_found("No such export")
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})


# ---- facts ----


class StatusView(MagicPiView):
    """Status of all cameras that the user may see."""

    url = f"{URL_BASE}/device/status"
    name = f"api:{DOMAIN}:device:status"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the list."""
        nvr = self.nvr
        return self.json(
            {
                "devices": [
                    camera_status(nvr, camera)
                    for camera in nvr.gateway.cameras.values()
                    if may(self.hass, request[KEY_HASS_USER], camera.id, POLICY_READ)
                ]
            }
        )


class RecordingsView(MagicPiView):
    """Recordings, newest first, filtered and paged."""

    url = f"{URL_BASE}/recordings"
    name = f"api:{DOMAIN}:recordings"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send a page."""
        nvr, query = self.nvr, request.query
        user: User = request[KEY_HASS_USER]
        cameras = None
        if (text := query.get("camera")) is not None:
            cameras = [_camera(text.upper().replace(":", "-"))]
            self.check(request, cameras[0])
        protected = None
        if (text := query.get("protected")) is not None:
            if text not in ("true", "false"):
                raise bad_request("protected is true or false")
            protected = text == "true"
        page = await async_events(
            nvr,
            user,
            cameras=cameras,
            start_ms=_time(query["from"], "from") if "from" in query else None,
            end_ms=_time(query["to"], "to") if "to" in query else None,
            protected=protected,
            label=query.get("label"),
            zone=query.get("zone"),
            nothing_seen=_nothing_seen(query.get("nothing_seen")),
            text=query.get("text"),
            limit=_integer(query.get("limit", "50"), "limit", MAX_LIMIT),
            cursor=query.get("cursor"),
        )
        return self.json(
            {
                "recordings": [
                    event_as_dict(event)
                    | {
                        "clip": event_clip_url(event.id),
                        "thumbnail": event_thumbnail_url(event.id),
                    }
                    for event in page.events
                ],
                "cursor": page.cursor,
            }
        )


def _nothing_seen(text: str | None) -> bool | None:
    """Return which events are listed: without those that show nothing, with them, or these alone; raises RequestError."""
    known = {None: False, "hide": False, "show": None, "only": True}
    if text not in known:
        raise bad_request("nothing_seen is hide, show or only")
    return known[text]


class StatsView(MagicPiView):
    """Counters of the cameras that the user may see, and of the recorder."""

    url = f"{URL_BASE}/stats"
    name = f"api:{DOMAIN}:stats"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the counters."""
        nvr = self.nvr
        return self.json(
            {
                "cameras": {
                    camera.id: camera_stats(nvr, camera)
                    for camera in nvr.gateway.cameras.values()
                    if may(self.hass, request[KEY_HASS_USER], camera.id, POLICY_READ)
                },
                "storage": storage_stats(nvr),
            }
        )


class HealthView(MagicPiView):
    """Whether the NVR runs, and what is wrong."""

    url = f"{URL_BASE}/health"
    name = f"api:{DOMAIN}:health"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the verdict."""
        nvr = self.nvr
        return self.json(
            {
                "status": "problem" if nvr.recordings.problems else "ok",
                "version": nvr.version,
                "problems": sorted(nvr.recordings.problems),
                "cameras": len(nvr.gateway.cameras),
                "connected": nvr.connected,
            }
        )


VIEWS: Final = (
    DayClipView,
    EventClipView,
    ExportView,
    HealthView,
    HourClipView,
    PictureView,
    RangeClipView,
    RecordingsView,
    StatsView,
    StatusView,
    ThumbnailView,
    TimelapseView,
)


@callback
def async_register_views(hass: HomeAssistant) -> None:
    """Register all views."""
    for view in VIEWS:
        hass.http.register_view(view(hass))
