"""What the gateway asks of its owner: frames go to the recorder, what a camera says to entry and device."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from homeassistant.const import CONF_HOST
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from ..const import DOMAIN, LOGGER
from ..gateway import Camera, Change, Frame
from ..gateway.camera.configuration import keys_for
from ..options import CameraOptions
from ..recording import REASON_CHECK_IN, InvalidValue, RecordingError
from .changes import Changes, NvrChange
from .continuous import ContinuousRecordings
from .entries import Entries
from .event_dict import event_as_dict
from .firmware import FirmwareFolder
from .issues import Issues
from .pictures import LastPictures
from .recordings import Recordings
from .stores import NvrSettings

if TYPE_CHECKING:
    from .vision import Vision

# Events of one camera that run at once; it has one, unless it sends nonsense
MAX_REASONS: Final = 64
IGNORE_GRID: Final = "ignore_grid"
REASON_MANUAL: Final = "manual"
REASON_MOTION: Final = "motion"
# What a camera may name as an event's source, and what that is to a person
REASONS: Final = {
    "button": "button",
    "motion": REASON_MOTION,
    "pir": REASON_MOTION,
    "ring": "ring",
    "timer": REASON_CHECK_IN,
}


class CameraDelegate:
    """Answers the gateway, and follows its cameras."""

    def __init__(
        self,
        hass: HomeAssistant,
        *,
        settings: NvrSettings,
        entries: Entries,
        changes: Changes,
        issues: Issues,
        recordings: Recordings,
        pictures: LastPictures,
        firmware_folder: FirmwareFolder,
    ) -> None:
        """Keep whom it tells."""
        self._hass = hass
        self._settings = settings
        self._entries = entries
        self._changes = changes
        self._issues = issues
        self._recordings = recordings
        self._pictures = pictures
        self._firmware_folder = firmware_folder
        # Where detection is on
        self.vision: Vision | None = None
        self.continuous = ContinuousRecordings(
            recorder=lambda: recordings.recorder,
            is_wanted=self._wants_continuous,
            is_watched=lambda camera_id: (
                recordings.tap is not None and recordings.tap.is_watched(camera_id)
            ),
        )
        self._followed: dict[str, CALLBACK_TYPE] = {}
        self._boots: dict[str, int] = {}
        self._rotations: dict[str, int] = {}
        self._features: dict[str, tuple[str, ...]] = {}
        self._reasons: dict[str, dict[tuple[int, int], str]] = {}

    # ---- following cameras ----

    @callback
    def follow(self, cameras: Iterable[Camera]) -> None:
        """Hear what cameras report; once, however often it is asked for."""
        for camera in cameras:
            self._features.setdefault(camera.id, camera.caps.features)
            if camera.id not in self._followed:
                self._followed[camera.id] = camera.subscribe(
                    lambda change, camera=camera: self._handle_camera(camera, change)  # type: ignore[misc]
                )
            self._entries.note_board(camera)
            self.set_ignored_zones(camera)

    @callback
    def unfollow(self, camera_id: str) -> None:
        """Hear no more of a camera."""
        if unsubscribe := self._followed.pop(camera_id, None):
            unsubscribe()

    @callback
    def unfollow_all(self) -> None:
        """Hear no more of any camera."""
        while self._followed:
            self._followed.popitem()[1]()

    @callback
    def _handle_camera(self, camera: Camera, change: Change) -> None:
        if change & (Change.STATUS | Change.CONFIG):
            self.continuous.follow(camera)
        if change & Change.STATUS:
            self._handle_boot(camera)
            if camera.session is None:
                if (boot := self._boots.get(camera.id)) is not None:
                    self._recordings.recorder.camera_left(camera.id, boot)
                self.keep_picture(camera)
            self._changes.notify(NvrChange.CAMERAS)
        if change & Change.INFO:
            self._handle_info(camera)
        self._issues.camera_changed(camera, change)

    @callback
    def _handle_boot(self, camera: Camera) -> None:
        """End what an earlier boot left open: its camera restarted before it could say so."""
        if camera.hello is None:
            return
        boot = camera.hello.boot
        if (before := self._boots.get(camera.id)) == boot:
            return
        self._boots[camera.id] = boot
        if before is not None:
            self._recordings.recorder.camera_left(camera.id, before)
        self._knows_authority(camera.id)
        if self.vision is not None:
            self.vision.camera_woke(camera)

    @callback
    def _handle_info(self, camera: Camera) -> None:
        """Follow the camera's address, its firmware and what that can do."""
        if (entry := self._entries.camera(camera.id)) is None:
            return
        self.set_ignored_zones(camera)
        features = camera.caps.features
        if self._features.setdefault(camera.id, features) != features:
            # Entities of what came or went with other firmware
            self._features[camera.id] = features
            self._hass.config_entries.async_schedule_reload(entry.entry_id)
        if camera.session and camera.address != entry.data.get(CONF_HOST):
            self._hass.config_entries.async_update_entry(
                entry, data={**entry.data, CONF_HOST: camera.address}
            )
        registry = dr.async_get(self._hass)
        if device := registry.async_get_device_by_identifier(
            (DOMAIN, camera.id), entry.entry_id
        ):
            registry.async_update_device(
                device.id, model=camera.model, sw_version=camera.firmware
            )

    @callback
    def set_ignored_zones(self, camera: Camera) -> None:
        """Set where a camera that confirms motion itself is to ignore it: in the zones to ignore."""
        key = keys_for(camera.caps).get(IGNORE_GRID)
        if key is None:
            return
        grid: Any = key.default
        if zones := self._entries.zones(camera.id):
            # Only who draws zones needs what reads them
            from ..vision.zones import InvalidZone, Zones  # noqa: PLC0415

            try:
                grid = Zones.from_list(zones).ignored_grid(self._rotation_of(camera.id))
            except InvalidZone as err:
                LOGGER.warning("The zones of %s are not used: %s", camera.id, err)
        if camera.config.desired.get(IGNORE_GRID, key.default) != grid:
            camera.set_config({IGNORE_GRID: grid})

    @callback
    def _knows_authority(self, camera_id: str) -> None:
        """Note that a camera knows the authority that there is now."""
        if camera_id in self._settings.stale_ca:
            self._settings.stale_ca.discard(camera_id)
            self._settings.save()
            self._issues.check_ca()

    @callback
    def keep_picture(self, camera: Camera) -> None:
        """Keep a camera's newest picture over restarts."""
        if camera.latest:
            self._pictures.note(camera.latest)

    # ---- what the gateway asks ----

    @callback
    def rotation(self, camera_id: str) -> int:
        """Return the rotation that a camera's options say."""
        rotation = self._rotation_of(camera_id)
        if self._rotations.get(camera_id, rotation) != rotation:
            # A recording has one rotation
            self.continuous.end_piece(camera_id)
        self._rotations[camera_id] = rotation
        return rotation

    def _rotation_of(self, camera_id: str) -> int:
        entry = self._entries.camera(camera_id)
        return CameraOptions.from_mapping(entry.options if entry else {}).rotation

    @callback
    def clock_stepped(self) -> None:
        """Say so at once, and follow the day, which may be another."""
        self._issues.check_clock()
        self._recordings.usage.time_changed()
        self._recordings.cleanup.clock_stepped()

    @callback
    def camera_registered(self, camera: Camera, token_data: Mapping[str, Any]) -> None:
        """Follow a camera that was claimed, for the first time or again."""
        self.follow([camera])
        self._knows_authority(camera.id)
        self._changes.notify(NvrChange.CAMERAS)

    def _may_record(self, camera: Camera) -> bool:
        """Say whether a camera is recorded at all."""
        return (
            self._settings.recording
            and camera.id not in self._settings.not_recording
            and not self._entries.is_disabled(camera.id)
        )

    def _wants_continuous(self, camera: Camera) -> bool:
        """Say whether a camera is recorded between events, too."""
        return (
            not camera.sleeps
            and (entry := self._entries.camera(camera.id)) is not None
            and CameraOptions.from_mapping(entry.options).continuous
            and self._may_record(camera)
        )

    @callback
    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Hand a frame to the recorder; False refuses it for good."""
        if self.vision is not None and not self._entries.is_disabled(camera.id):
            self.vision.frame_received(camera, frame)
        recorder = self._recordings.recorder
        if (manual := self._recordings.manual.take(frame)) is not None:
            self.continuous.pause_piece(camera.id)
            return recorder.add_frame(manual, reason=REASON_MANUAL)
        if not self._may_record(camera):
            return False
        if not frame.event:
            return self.continuous.take(camera, frame)
        # The motion's pictures are its own, within the time of the piece
        self.continuous.pause_piece(camera.id)
        reason = self._reasons.get(camera.id, {}).get(
            (frame.boot, frame.event), REASON_MOTION
        )
        return recorder.add_frame(frame, reason=reason)

    @callback
    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """End the event's recording."""
        self._reasons.get(camera.id, {}).pop((boot, event), None)
        self._recordings.recorder.end_event(camera.id, boot, event, lost=lost)
        if self.vision is not None:
            self.vision.event_ended(camera, boot, event)
        self.keep_picture(camera)

    @callback
    def motion_changed(
        self,
        camera: Camera,
        boot: int,
        event: int,
        active: bool,
        at_ms: int,
        source: str,
    ) -> None:
        """Remember why an event is recorded."""
        if active and source in REASONS:
            reasons = self._reasons.setdefault(camera.id, {})
            # What it began with: who rings may move as well
            reasons.setdefault((boot, event), REASONS[source])
            if len(reasons) > MAX_REASONS:
                del reasons[next(iter(reasons))]

    async def ready(self) -> None:
        """Return once the recorder knows what an earlier run has on disk."""
        await self._recordings.ready.wait()

    def persisted(self, camera_id: str, boot: int) -> int:
        """Return the highest seq that is persisted."""
        return self.continuous.persisted(camera_id, boot)

    async def recordings(
        self,
        camera_id: str,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        cursor: str | None,
    ) -> dict[str, Any]:
        """Answer a camera that asks for its own recordings; raises ValueError, OSError."""
        try:
            page = await self._recordings.library.events(
                camera=camera_id,
                start_ms=start_ms,
                end_ms=end_ms,
                limit=limit,
                cursor=cursor,
            )
        except InvalidValue as err:
            raise ValueError(str(err)) from err
        except RecordingError as err:
            raise OSError(str(err)) from err
        return {
            "recordings": [event_as_dict(event) for event in page.events],
            "cursor": page.cursor,
        }

    def firmware(self, camera_id: str, sha256: str) -> Path | None:
        """Return the image that was offered to a camera."""
        return self._firmware_folder.path(sha256)

    @callback
    def stale_key(self, camera_id: str) -> None:
        """Ask for a new claim of a camera whose key is no longer good."""
        if entry := self._entries.camera(camera_id):
            entry.async_start_reauth(self._hass)
