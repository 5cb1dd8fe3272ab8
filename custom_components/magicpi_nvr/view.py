"""What all views over HTTP share: the user's rights, errors as JSON, and the parts of addresses."""

from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from homeassistant.components.http import (
    KEY_AUTHENTICATED,
    KEY_HASS_USER,
    HomeAssistantView,
)
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from .access import POLICY_READ, may
from .const import DOMAIN
from .errors import for_kind
from .nvr import NotRunning, Nvr, running_nvr
from .recording import (
    ClipGone,
    ClockImplausible,
    CopyUnreachable,
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    NothingRecorded,
    RecordingError,
    StorageFailed,
    folder_camera,
    parse_event_id,
)
from .timestamps import epoch_ms

URL_BASE: Final = f"/api/{DOMAIN}"
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
    ClockImplausible: (
        HTTPStatus.CONFLICT,
        "clock_implausible",
        "The clock of the server is not trusted",
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
                HTTPStatus.FORBIDDEN,
                "forbidden",
                "You don't have permission to view this camera",
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
            status, slug, message = for_kind(ANSWERS, err)
            return self.json({"error": slug, "message": message}, status_code=status)

    head = get

    async def handle(self, request: web.Request, **parts: str) -> web.StreamResponse:
        """Answer; raises RequestError or RecordingError."""
        raise NotImplementedError


def camera_part(text: str) -> str:
    """Return the camera of a path's part; raises RequestError."""
    try:
        return folder_camera(text)
    except ValueError:
        raise bad_request("Not a camera: it is written AA-BB-CC-DD-EE-FF") from None


def event_part(text: str) -> tuple[str, str]:
    """Return an event's id and its camera; raises RequestError."""
    try:
        return text, parse_event_id(text)[0]
    except ValueError:
        raise bad_request("Not the id of an event") from None


def integer_part(text: str, name: str, maximum: int) -> int:
    """Return a whole number from 1; raises RequestError."""
    if (
        text.isascii()
        and text.isdigit()
        and len(text) <= 16
        and 0 < (value := int(text)) <= maximum
    ):
        return value
    raise bad_request(f"{name} is a whole number from 1 to {maximum}")


def time_part(text: str, name: str) -> int:
    """Return UTC epoch milliseconds of these or of an ISO 8601 time; raises RequestError."""
    if text.isascii() and text.isdigit():
        return integer_part(text, name, MAX_TIME)
    at = None
    # What looks like a time and is none
    with suppress(ValueError):
        at = dt_util.parse_datetime(text)
    if at is None:
        raise bad_request(f"{name} is epoch milliseconds or an ISO 8601 time")
    return epoch_ms(at)
