"""The camera entity: pictures as the camera sends them, and the last one while it sleeps."""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, override

from aiohttp import hdrs, web
from PIL import ExifTags, Image, ImageOps

from homeassistant.components.camera import (
    Camera,
    CameraEntityDescription,
    CameraEntityFeature,
)
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event as HassEvent, HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import MANUFACTURER
from .entity import MagicPiEntity, MagicPiEntityDescription, async_add_rows
from .gateway import CameraStatus, Change
from .nvr import MagicPiConfigEntry, NvrChange
from .options import CameraOptions
from .timestamps import utc_time

PARALLEL_UPDATES = 0

ATTR_PICTURE_TAKEN: Final = "picture_taken"
BOUNDARY: Final = "frame"
# A picture again after so long keeps proxies from closing a quiet connection
REPEAT_AFTER: Final = 25.0
# A viewer that takes nothing for so long holds the camera's stream for nothing
STALL_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class MagicPiCameraDescription(MagicPiEntityDescription, CameraEntityDescription):
    """A camera's picture."""


CAMERAS: Final = (
    MagicPiCameraDescription(
        key="camera",
        name=None,
        changes=Change.STATUS | Change.CONFIG,
        nvr_changes=NvrChange.EVENTS,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the camera."""
    async_add_rows(entry, async_add_entities, (MagicPiCamera, CAMERAS))


def _scaled(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a picture that is turned, as it is shown and not larger; others as they are (blocking).

    Home Assistant scales the others, and its scaling knows no orientation.
    """
    with suppress(OSError), Image.open(BytesIO(jpeg)) as picture:
        if picture.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return jpeg
        shown = ImageOps.exif_transpose(picture)
        shown.thumbnail((width, height))
        buffer = BytesIO()
        shown.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()
    return jpeg


class MagicPiCamera(MagicPiEntity, Camera):
    """Passes pictures through untouched; watching neither wakes nor holds the camera."""

    _attr_brand = MANUFACTURER
    _unrecorded_attributes = frozenset({ATTR_PICTURE_TAKEN})
    entity_description: MagicPiCameraDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiCameraDescription
    ) -> None:
        """Tie the entity to its camera."""
        Camera.__init__(self)
        MagicPiEntity.__init__(self, entry, description)
        self._attr_is_recording = self.nvr.recordings.is_recording(self.camera.id)
        self._attr_model = self.camera.model
        self._streams: set[asyncio.Timeout] = set()
        self._closing = False

    @property
    @override
    def available(self) -> bool:
        """Stay available, whatever becomes of a player's stream."""
        return True

    @property
    @override
    def is_streaming(self) -> bool:
        """Say whether pictures come in."""
        return self.camera.status is CameraStatus.STREAMING

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        """Tell how old the picture is that a sleeping camera shows; as of the last change of the state."""
        if (picture := self.nvr.last_picture(self.camera.id)) is None:
            return None
        return {ATTR_PICTURE_TAKEN: utc_time(picture.captured_ms)}

    @property
    @override
    def supported_features(self) -> CameraEntityFeature:
        """Offer video while the camera is there; one that sleeps wakes for less than a player needs to begin."""
        options = CameraOptions.from_mapping(self.entry.options)
        if self.camera.session and (not self.camera.sleeps or options.live_video):
            return CameraEntityFeature.STREAM
        return CameraEntityFeature(0)

    @override
    async def stream_source(self) -> str | None:
        """Return where Home Assistant's players find the video; of a camera that is away it is its last picture.

        HomeKit asks for it whatever the features are, and logs an error where there is none.
        """
        if not (self.camera.session or self.nvr.last_picture(self.camera.id)):
            return None
        return self.nvr.live.url(self.camera.id)

    @callback
    @override
    def _handle_nvr_change(self, change: NvrChange) -> None:
        """Write the state when an event of this camera begins or ends."""
        recording = self.nvr.recordings.is_recording(self.camera.id)
        if recording is not self._attr_is_recording:
            self._attr_is_recording = recording
            self.async_write_ha_state()

    @property
    @override
    def motion_detection_enabled(self) -> bool:
        """Say whether motion is to wake the camera."""
        return bool(self.camera.config.desired["motion_enabled"])

    @override
    async def async_enable_motion_detection(self) -> None:
        """Let motion wake the camera, from its next wake on."""
        self.camera.set_config({"motion_enabled": True})

    @override
    async def async_disable_motion_detection(self) -> None:
        """Ignore motion, from the camera's next wake on."""
        self.camera.set_config({"motion_enabled": False})

    @override
    async def async_follow(self) -> None:
        """Follow the camera, and end the streams before Home Assistant's server stops."""
        await super().async_follow()
        self.async_on_remove(
            self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, self._handle_stop)
        )

    @override
    async def async_will_remove_from_hass(self) -> None:
        """End the streams."""
        await super().async_will_remove_from_hass()
        self._end_streams()
        if self.stream:
            # It would find nobody at its address
            await self.stream.stop()

    @callback
    @override
    def async_entity_id_changed(self, old_entity_id: str) -> None:
        """Streams go on under another entity id."""

    @callback
    def _handle_stop(self, _event: HassEvent) -> None:
        self._end_streams()

    @callback
    def _end_streams(self) -> None:
        self._closing = True
        for stream in self._streams:
            stream.reschedule(self.hass.loop.time())

    @override
    async def async_camera_image(
        self, width: int | None = None, height: int | None = None
    ) -> bytes | None:
        """Return the newest picture."""
        if (picture := self.nvr.last_picture(self.camera.id)) is None:
            return None
        if width is None or height is None:
            return picture.jpeg
        return await self.hass.async_add_executor_job(
            _scaled, picture.jpeg, width, height
        )

    @override
    async def handle_async_mjpeg_stream(
        self, request: web.Request
    ) -> web.StreamResponse:
        """Send each picture as it comes, the newest to who is slow; a sleeping camera's stream goes on at its next wake."""
        response = web.StreamResponse(
            headers={
                "Cache-Control": "no-store",
                "Content-Type": f"multipart/x-mixed-replace;boundary={BOUNDARY}",
                # A proxy that collects would keep a picture until the next one
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        parts = PartWriter(response, is_browser(request))
        await parts.begin()
        wakes = asyncio.Event()
        unsubscribe = self.camera.subscribe(lambda _: wakes.set(), Change.STATUS)
        shown: bytes | None = None
        stream = asyncio.timeout(None)
        self._streams.add(stream)
        try:
            async with stream:
                while not self._closing:
                    wakes.clear()
                    if picture := self.nvr.last_picture(self.camera.id):
                        shown = picture.jpeg
                        await parts.write(shown)
                    async with aclosing(self.camera.frames()) as frames:
                        async for frame in frames:
                            if frame.jpeg is not shown:
                                shown = frame.jpeg
                                await parts.write(shown)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REPEAT_AFTER):
                            await wakes.wait()
        except ConnectionResetError:
            # The viewer went
            pass
        except TimeoutError:
            # `_end_streams` was called, or the viewer takes nothing: nobody waits for it
            if parts.is_stalled and request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(stream)
            unsubscribe()
        return response


def is_browser(request: web.Request) -> bool:
    """Return whether a browser asks, or a view of one in an app."""
    return request.headers.get(hdrs.USER_AGENT, "").startswith("Mozilla/")


class PartWriter:
    """Writes pictures as parts, so that each is shown when it comes.

    Chromium paints a part once the header of the next one is there. So browsers get that header
    behind each picture, without the length, which is not known yet. Others look for the length.
    """

    def __init__(self, response: web.StreamResponse, header_ahead: bool) -> None:
        """Write to a prepared response."""
        self._response = response
        self._boundary = f"--{BOUNDARY}\r\n".encode()
        if header_ahead:
            self._boundary += b"Content-Type: image/jpeg\r\n\r\n"
        self._header_ahead = header_ahead
        self.is_stalled = False

    async def begin(self) -> None:
        """Write what comes before the first picture."""
        await self._response.write(self._boundary)

    async def write(self, jpeg: bytes) -> None:
        """Write a picture and all that shows that it is whole."""
        header = (
            ""
            if self._header_ahead
            else f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        )
        self.is_stalled = True
        async with asyncio.timeout(STALL_S):
            await self._response.write(
                b"".join((header.encode(), jpeg, b"\r\n", self._boundary))
            )
        self.is_stalled = False
