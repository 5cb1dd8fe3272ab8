"""A camera's video for programs outside: no login, but a key per camera that a person made."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from homeassistant.components.http import HomeAssistantView
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.network import NoURLAvailableError, get_url

from .const import DOMAIN
from .live import TooManyAttempts, send
from .nvr import NotRunning, running_nvr
from .recording import camera_folder, folder_camera

URL: Final = f"/api/{DOMAIN}/live/{{camera}}.ts"


def live_url(hass: HomeAssistant, camera_id: str, key: str) -> str:
    """Return the address of a camera's video, for programs in the same network where that is known."""
    path = f"/api/{DOMAIN}/live/{camera_folder(camera_id)}.ts?key={key}"
    try:
        return get_url(hass, prefer_external=False) + path
    except NoURLAvailableError:
        return path


class LiveView(HomeAssistantView):
    """Streams MPEG-TS."""

    url = URL
    name = f"api:{DOMAIN}:live"
    requires_auth = False

    def __init__(self, hass: HomeAssistant) -> None:
        """Keep Home Assistant."""
        self.hass = hass

    async def get(self, request: web.Request, camera: str) -> web.StreamResponse:
        """Send the video until the key is revoked or the reader leaves."""
        try:
            nvr = running_nvr(self.hass)
        except NotRunning:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        live = nvr.live
        try:
            camera_id = folder_camera(camera)
        except ValueError:
            camera_id = ""
        try:
            good = live.keys.check(
                camera_id, request.query.get("key", ""), request.remote or ""
            )
        except TooManyAttempts:
            return web.Response(
                status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "60"}
            )
        if not good or camera_id not in nvr.gateway.cameras:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return await send(request, live.sources.get(camera_id), live.outside(camera_id))

    head = get


@callback
def async_register_live_view(hass: HomeAssistant) -> None:
    """Register the view."""
    hass.http.register_view(LiveView(hass))
