"""What people get over HTTP: clips, pictures, and the facts about all cameras. The address builders stand beside the views."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from aiohttp import ETag, web

from homeassistant.auth.models import User
from homeassistant.components.http import KEY_HASS_USER
from homeassistant.core import HomeAssistant, callback

from .access import NOTHING_SEEN_CHOICES, POLICY_READ, async_events, async_motion, may
from .const import DOMAIN
from .media_search import async_span_picture
from .nvr import event_as_dict
from .recording import (
    ClipGone,
    ClipSpec,
    StorageFailed,
    StoredFile,
    VirtualFile,
    answer,
    camera_folder,
)
from .status import camera_stats, camera_status, storage_stats
from .view import (
    MAX_LIMIT,
    MAX_SPEED,
    URL_BASE,
    MagicPiView,
    bad_request,
    camera_part,
    event_part,
    integer_part,
    not_found,
    time_part,
)

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
        return await _send(request, file)


async def _send(
    request: web.Request, file: VirtualFile | StoredFile
) -> web.StreamResponse:
    """Send a file, or the asked range of it."""
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
        except ClipGone, StorageFailed:
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
        event_id, camera_id = event_part(parts["event_id"])
        return camera_id, ClipSpec.event(event_id)


class RangeClipView(ClipView):
    """All that a camera recorded between two times."""

    url = f"{URL_BASE}/clip/range/{{camera}}/{{start}}/{{end}}"
    name = f"api:{DOMAIN}:clip:range"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the range's clip."""
        camera_id = camera_part(parts["camera"])
        return camera_id, ClipSpec.range(camera_id, *_span(parts))


class TimelapseView(ClipView):
    """A range in quick motion."""

    url = f"{URL_BASE}/clip/timelapse/{{camera}}/{{start}}/{{end}}/{{speed}}"
    name = f"api:{DOMAIN}:clip:timelapse"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the range's time-lapse."""
        camera_id = camera_part(parts["camera"])
        speed = integer_part(parts["speed"], "speed", MAX_SPEED)
        return camera_id, ClipSpec.range(camera_id, *_span(parts), timelapse=speed)


class HourClipView(ClipView):
    """An hour as one clip."""

    url = f"{URL_BASE}/clip/hour/{{camera}}/{{date}}/{{hour}}"
    name = f"api:{DOMAIN}:clip:hour"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the hour's clip."""
        camera_id = camera_part(parts["camera"])
        return camera_id, ClipSpec.hour(camera_id, parts["date"], parts["hour"])


class DayClipView(ClipView):
    """A day as one clip."""

    url = f"{URL_BASE}/clip/day/{{camera}}/{{date}}"
    name = f"api:{DOMAIN}:clip:day"

    def spec(self, **parts: str) -> tuple[str, ClipSpec]:
        """Return the day's clip."""
        camera_id = camera_part(parts["camera"])
        return camera_id, ClipSpec.day(camera_id, parts["date"])


def _span(parts: Mapping[str, str]) -> tuple[int, int]:
    """Return start and end of a path; raises RequestError."""
    start, end = (time_part(parts[name], name) for name in ("start", "end"))
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


def span_picture_url(camera_id: str, date: str, hour: str | None = None) -> str:
    """Return the address of a picture of what a camera recorded on a local day, or in an hour of it."""
    return "/".join(filter(None, [picture_url(camera_id), date, hour]))


def _jpeg(request: web.Request, jpeg: bytes) -> web.Response:
    """Return a picture that may be another one next time."""
    etag = ETag(blake2b(jpeg, digest_size=16).hexdigest())
    known = any(known.value == etag.value for known in request.if_none_match or ())
    response = web.Response(
        status=HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK,
        body=None if known else jpeg,
        content_type="image/jpeg",
        headers={"Cache-Control": "private, no-cache"},
    )
    response.etag = etag
    return response


class ThumbnailView(MagicPiView):
    """The picture of an event."""

    url = f"{URL_BASE}/thumbnail/{{event_id}}"
    name = f"api:{DOMAIN}:thumbnail"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the file."""
        event_id, camera_id = event_part(parts["event_id"])
        self.check(request, camera_id)
        nvr = self.nvr
        # While an event goes on, the picture that shows best what was seen is in memory only
        if nvr.vision and (jpeg := nvr.vision.picture(event_id)):
            return _jpeg(request, jpeg)
        if (found := await nvr.recordings.async_thumbnail(event_id)) is None:
            raise not_found("No picture of this event")
        return _jpeg(request, found)


class PictureView(MagicPiView):
    """The last picture of a camera."""

    url = f"{URL_BASE}/picture/{{camera}}"
    name = f"api:{DOMAIN}:picture"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send what is in memory."""
        camera_id = camera_part(parts["camera"])
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


class SpanPictureView(MagicPiView):
    """A picture of what happened on a day, or in an hour."""

    url = f"{URL_BASE}/picture/{{camera}}/{{date}}"
    extra_urls = [f"{url}/{{hour}}"]
    name = f"api:{DOMAIN}:picture:span"

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Send the file."""
        camera_id = camera_part(parts["camera"])
        self.check(request, camera_id)
        try:
            found = await async_span_picture(
                self.nvr, camera_id, parts["date"], parts.get("hour")
            )
        except OverflowError, ValueError:
            raise bad_request("Not a date as 2026-11-29 with an hour as 08") from None
        if found is None:
            raise not_found("No picture of this time")
        return _jpeg(request, found)


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
        camera_id = camera_part(name[:17])
        self.check(request, camera_id)
        nvr = self.nvr
        file = await nvr.recordings.library.file(nvr.export_folder / name)
        if file is None:
            raise not_found("No such export")
        return await _send(request, file)


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
            cameras = [camera_part(text.upper().replace(":", "-"))]
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
            start_ms=time_part(query["from"], "from") if "from" in query else None,
            end_ms=time_part(query["to"], "to") if "to" in query else None,
            protected=protected,
            label=query.get("label"),
            zone=query.get("zone"),
            nothing_seen=_nothing_seen(query.get("nothing_seen", "hide")),
            text=query.get("text"),
            limit=integer_part(query.get("limit", "50"), "limit", MAX_LIMIT),
            cursor=query.get("cursor"),
        )
        motion = await async_motion(nvr, page.events)
        return self.json(
            {
                "recordings": [
                    event_as_dict(event)
                    | ({"motion": motion[event.id]} if event.id in motion else {})
                    | {
                        "clip": event_clip_url(event.id),
                        "thumbnail": event_thumbnail_url(event.id),
                    }
                    for event in page.events
                ],
                "cursor": page.cursor,
            }
        )


def _nothing_seen(text: str) -> bool | None:
    """Return which events are listed: without those that show nothing, with them, or these alone; raises RequestError."""
    if text not in NOTHING_SEEN_CHOICES:
        raise bad_request("nothing_seen is hide, show or only")
    return NOTHING_SEEN_CHOICES[text]


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
    SpanPictureView,
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
