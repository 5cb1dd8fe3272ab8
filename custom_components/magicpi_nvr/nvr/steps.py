"""What the NVR consists of, and the steps of its start, each with what undoes it."""

from contextlib import AsyncExitStack
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event as HassEvent, HomeAssistant
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.loader import async_get_integration

from ..const import DOMAIN, FOLDER
from ..gateway import Authority, Gateway, Registry
from .announcement import Announcement
from .changes import Changes
from .copies import CopyTargets
from .delegate import CameraDelegate
from .entries import Entries
from .firmware import FirmwareFolder
from .issues import Issues
from .lifecycle import Lifecycle
from .live import Live
from .pictures import LastPicture, LastPictures
from .plan import Plan
from .recordings import Recordings, StorageUnavailable
from .stores import NvrSettings, RegistryStorage

if TYPE_CHECKING:
    from .vision import Vision

# The steps of a start in their order, methods of Nvr; a move begins at one of the two named
STEP_RECORDINGS: Final = "open_recordings"
STEP_LISTEN: Final = "listen"
STEP_VISION: Final = "start_vision"
STEPS: Final = (
    "load_authority",
    "load_cameras",
    "load_pictures",
    "read_firmware",
    STEP_RECORDINGS,
    "begin_copies",
    STEP_LISTEN,
    "serve_live",
    "forget_orphans",
    "follow_time",
    "announce",
    STEP_VISION,
)


class PortUnavailable(OSError):
    """The port cannot be opened."""


class StartSteps:
    """The parts of the NVR; `self.life` does the steps in their order and undoes them in the opposite one."""

    authority: Authority
    gateway: Gateway
    plan: Plan

    def __init__(self, hass: HomeAssistant) -> None:
        """Make the parts; none of them runs."""
        self.hass = hass
        self.version = ""
        self.folder = Path(hass.config.path(STORAGE_DIR, FOLDER))
        self.settings = NvrSettings(hass)
        self.entries = Entries(hass, self.settings)
        self.changes = Changes()
        self.issues = Issues(hass, self.settings, self.entries)
        self.recordings = Recordings(hass, self.changes, self.issues)
        self.copies = CopyTargets(
            hass,
            entries=self.entries,
            changes=self.changes,
            issues=self.issues,
            recordings=self.recordings,
        )
        self.live = Live(
            self.settings,
            camera=lambda camera_id: self.gateway.cameras.get(camera_id),
            last_picture=self.last_picture,
            plan=lambda: self.plan,
            recorder=lambda: self.recordings.recorder,
        )
        self.recordings.tap = self.live.sources
        self.pictures = LastPictures(hass, self.folder / "last")
        self.firmware_folder = FirmwareFolder(hass)
        self.delegate = CameraDelegate(
            hass,
            settings=self.settings,
            entries=self.entries,
            changes=self.changes,
            issues=self.issues,
            recordings=self.recordings,
            pictures=self.pictures,
            firmware_folder=self.firmware_folder,
        )
        self.life = Lifecycle({name: getattr(self, f"_{name}") for name in STEPS})
        # One for all starts: what it has yet to write is read by the next one
        self._storage = RegistryStorage(hass)
        # Boards that a dialog claims right now, and the cameras that they become
        self.claiming: dict[str, str] = {}
        self.vision: Vision | None = None
        self._storage_failed = False

    def last_picture(self, camera_id: str) -> LastPicture | None:
        """Return the newest picture of a camera, of this run or of an earlier one."""
        camera = self.gateway.cameras.get(camera_id)
        if camera and camera.latest:
            return LastPicture(camera.latest.jpeg, camera.latest.captured_ms)
        return self.pictures.get(camera_id)

    async def _load_authority(self, _undo: AsyncExitStack) -> None:
        self.authority = await self.hass.async_add_executor_job(
            Authority.load_or_create, self.folder
        )
        self.version = str((await async_get_integration(self.hass, DOMAIN)).version)

    async def _load_cameras(self, undo: AsyncExitStack) -> None:
        registry = Registry(self._storage)
        await registry.load()
        self.gateway = Gateway(
            authority=self.authority,
            registry=registry,
            delegate=self.delegate,
            settings=self.plan.gateway,
            version=self.version,
        )
        undo.callback(self.delegate.unfollow_all)
        self.delegate.follow(self.gateway.cameras.values())
        self._note_authority()

    async def _load_pictures(self, undo: AsyncExitStack) -> None:
        undo.push_async_callback(self.pictures.async_stop)
        await self.pictures.async_load(self.gateway.cameras)

    async def _read_firmware(self, _undo: AsyncExitStack) -> None:
        await self.firmware_folder.async_read()

    async def _open_recordings(self, undo: AsyncExitStack) -> None:
        await self.recordings.async_open(
            undo,
            self.plan.recording,
            self.gateway.cameras,
            # What failed behind is waited for, so that the entry's retries become fewer
            None
            if self.plan.waits or self._storage_failed
            else self._recordings_opened,
        )

    async def _begin_copies(self, undo: AsyncExitStack) -> None:
        await self.copies.async_open(undo, self.folder)

    async def _listen(self, undo: AsyncExitStack) -> None:
        self.gateway.update_settings(self.plan.gateway)
        undo.callback(self._keep_pictures)
        undo.push_async_callback(self.delegate.continuous.stop)
        try:
            await self.gateway.start()
        except OSError as err:
            raise PortUnavailable(*err.args) from err
        # Nothing may come from a camera once the recorder is closed
        undo.push_async_callback(self.gateway.stop)

    async def _serve_live(self, undo: AsyncExitStack) -> None:
        await self.live.async_start(undo)

    async def _forget_orphans(self, _undo: AsyncExitStack) -> None:
        """Revoke keys of cameras whose claim never came to an entry."""
        for camera_id in list(self.gateway.cameras):
            if self.entries.camera(camera_id) is None:
                await self.gateway.forget(camera_id)

    async def _follow_time(self, undo: AsyncExitStack) -> None:
        undo.callback(
            self.issues.async_start(
                self.gateway.cameras.values, self._async_renew_certificate
            )
        )
        undo.callback(self.recordings.usage.track_midnight(self.hass))
        self.recordings.cleanup.schedule(self.plan.options.cleanup)
        undo.callback(self.recordings.cleanup.cancel)
        for event, handler in (
            (EVENT_CORE_CONFIG_UPDATE, self._handle_core_config_update),
            (EVENT_HOMEASSISTANT_STOP, self._async_handle_stop),
        ):
            undo.callback(self.hass.bus.async_listen(event, handler))

    async def _announce(self, undo: AsyncExitStack) -> None:
        announcement = Announcement(
            self.hass,
            port=self.gateway.port,
            ca_fingerprint=self.authority.ca_fingerprint,
            on_clone=self.issues.clone_found,
        )
        undo.push_async_callback(announcement.stop)
        announcement.start()

    async def _start_vision(self, undo: AsyncExitStack) -> None:
        """Begin to look at pictures where detection is on; where it is off, nothing of it is imported."""
        options = self.plan.options
        if not options.detection:
            return
        module = await self.hass.async_add_import_executor_job(
            importlib.import_module, f"{__package__}.vision"
        )
        vision: Vision = module.Vision(
            self.hass,
            options,
            settings=self.settings,
            entries=self.entries,
            changes=self.changes,
            issues=self.issues,
            recordings=self.recordings,
        )
        undo.push_async_callback(self._stop_vision)
        self.vision = self.delegate.vision = vision
        vision.start()

    async def _stop_vision(self) -> None:
        vision, self.vision = self.vision, None
        self.delegate.vision = None
        if vision:
            await vision.async_stop()

    def _keep_pictures(self) -> None:
        for camera in self.gateway.cameras.values():
            self.delegate.keep_picture(camera)

    def _note_authority(self) -> None:
        """Remember which cameras know an authority that is gone."""
        fingerprint = self.authority.ca_fingerprint
        if self.settings.ca == fingerprint:
            return
        if self.settings.ca is not None:
            self.settings.stale_ca = set(self.gateway.cameras)
        self.settings.ca = fingerprint
        self.settings.save()

    async def _async_renew_certificate(self) -> None:
        """Renew the server's certificate when it is due; raises OSError."""
        await self.hass.async_add_executor_job(self.authority.renew_if_due)

    # ---- what the owner adds ----

    def _recordings_opened(self, error: StorageUnavailable | None) -> None:
        """Follow a storage that was opened behind the set-up."""
        raise NotImplementedError

    async def _async_handle_stop(self, _event: HassEvent) -> None:
        """Stop with Home Assistant."""
        raise NotImplementedError

    async def _handle_core_config_update(self, _event: HassEvent) -> None:
        """Follow time zone and media folders."""
        raise NotImplementedError
