"""What happens at a camera, for automations."""

from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.components.http.auth import async_sign_path
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .const import BATTERY_LOW, BATTERY_RECOVERED, DOMAIN, SIGNED_PATH_LIFETIME
from .entity import MagicPiEntity, MagicPiEntityDescription
from .gateway.camera import Change
from .nvr import EventChange, MagicPiConfigEntry, Nvr
from .recording.layout import event_id
from .recording.model import Event
from .views import event_clip_url, event_thumbnail_url

PARALLEL_UPDATES = 0

CAMERA_WOKE: Final = "camera_woke"
CLIP_READY: Final = "clip_ready"
LOW_BATTERY: Final = "low_battery"
MOTION_ENDED: Final = "motion_ended"
MOTION_STARTED: Final = "motion_started"


@dataclass(frozen=True, kw_only=True)
class MagicPiEventDescription(MagicPiEntityDescription, EventEntityDescription):
    """A camera's events."""


EVENT: Final = MagicPiEventDescription(
    key="event",
    translation_key="event",
    event_types=[CAMERA_WOKE, CLIP_READY, LOW_BATTERY, MOTION_ENDED, MOTION_STARTED],
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MagicPiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the camera's events."""
    async_add_entities([MagicPiEvent(entry, EVENT)])


def clip_attributes(hass: HomeAssistant, nvr: Nvr, event: Event) -> dict[str, Any]:
    """Return what an automation needs of a clip; the addresses open without a login until they expire."""
    return {
        "event_id": event.id,
        "start": dt_util.utc_from_timestamp(event.start_ms / 1000).isoformat(),
        "end": dt_util.utc_from_timestamp(event.end_ms / 1000).isoformat(),
        "duration": event.duration_ms / 1000,
        "reason": event.reason,
        "media_content_id": f"media-source://{DOMAIN}/event/{event.id}",
        "clip_url": signed(hass, event_clip_url(event.id)),
        "thumbnail_url": signed(hass, event_thumbnail_url(event.id)),
        "path": str(nvr.media_root / event.path),
    }


def signed(hass: HomeAssistant, path: str) -> str:
    """Return a path that opens without a login until it expires."""
    return async_sign_path(hass, path, SIGNED_PATH_LIFETIME, use_content_user=True)


class MagicPiEvent(MagicPiEntity, EventEntity):
    """Fires for motion, clips, wakes and a low battery."""

    _unrecorded_attributes = frozenset({"clip_url", "thumbnail_url"})
    entity_description: MagicPiEventDescription

    def __init__(
        self, entry: MagicPiConfigEntry, description: MagicPiEventDescription
    ) -> None:
        """Begin with what is so already: it is no event."""
        super().__init__(entry, description)
        self._motion = self.camera.motion
        self._event_id: str | None = None
        percent = self.camera.telemetry.battery_pct
        self._low = percent is not None and percent <= BATTERY_LOW

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the camera's recordings too."""
        await super().async_added_to_hass()
        self.async_on_remove(self.nvr.subscribe_events(self._handle_event))

    @callback
    def _fire(self, kind: str, attributes: dict[str, Any]) -> None:
        self._trigger_event(kind, attributes)
        self.async_write_ha_state()

    @callback
    @override
    def _handle_change(self, change: Change) -> None:
        """Fire for what the camera tells."""
        camera = self.camera
        if change & Change.WOKE and camera.hello:
            self._fire(CAMERA_WOKE, {"reason": camera.hello.reason})
        if change & Change.MOTION and camera.motion != self._motion:
            self._motion = camera.motion
            if camera.motion and camera.hello:
                self._event_id = event_id(camera.id, camera.hello.boot, camera.event)
            self._fire(
                MOTION_STARTED if camera.motion else MOTION_ENDED,
                {"event_id": self._event_id},
            )
        if change & Change.TELEMETRY:
            self._check_battery()

    @callback
    def _check_battery(self) -> None:
        if (percent := self.camera.telemetry.battery_pct) is None:
            return
        if percent <= BATTERY_LOW and not self._low:
            self._low = True
            self._fire(LOW_BATTERY, {"battery": percent})
        elif percent >= BATTERY_RECOVERED:
            self._low = False

    @callback
    def _handle_event(self, change: EventChange, event: Event) -> None:
        """Fire when a clip is ready to be seen."""
        if change is EventChange.READY and event.camera == self.camera.id:
            self._fire(CLIP_READY, clip_attributes(self.hass, self.nvr, event))
