"""The NVR: one object shared by all entries, started with the first user and stopped with the last.

Long because the steps of its life, and their undoing, are read in one place.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from homeassistant.config_entries import SOURCE_SYSTEM
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event as HassEvent, HomeAssistant, callback
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.loader import async_get_integration

from ..const import CONF_ID, DOMAIN, FOLDER, LOGGER
from ..gateway import Authority, Camera, FirmwareOffer, Frame, Gateway, Registry
from ..options import NvrOptions
from .announcement import Announcement, async_hosts
from .changes import Changes, NvrChange
from .copies import CopyTargets
from .delegate import CameraDelegate
from .entries import Entries
from .firmware import FirmwareFolder
from .issues import ISSUE_PORT, ISSUE_STORAGE, Issues
from .lifecycle import Lifecycle
from .live import Live
from .pictures import LastPicture, LastPictures
from .plan import Plan
from .recordings import Recordings, StorageUnavailable
from .stores import NvrSettings, RegistryStorage

if TYPE_CHECKING:
    from .vision import Vision

SNAPSHOT_TIMEOUT: Final = 10.0

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


class Nvr:
    """Owner of gateway, recorder and library.

    Start and stop are the steps of `self.life` and their undoing. A move to another folder or
    port undoes the steps from the one that it changes, and does them with the new plan; where
    that fails, it does them with the plan before.
    """

    authority: Authority
    gateway: Gateway
    plan: Plan

    def __init__(self, hass: HomeAssistant) -> None:
        """Prepare; nothing runs before the first `async_acquire`."""
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
            plan=lambda: self.plan,
            recorder=lambda: self.recordings.recorder,
        )
        self.recordings.tap = self.live.sources
        self.recordings.on_frame_given_up = self._handle_frame_given_up
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
        # Cameras that a dialog claims right now
        self.claiming: set[str] = set()
        self.vision: Vision | None = None
        self._users = 0
        self._storage_failed = False
        self._lock = asyncio.Lock()
        self._entry_lock = asyncio.Lock()

    # ---- life ----

    @property
    def running(self) -> bool:
        """Whether cameras can connect and are recorded."""
        return self.life.complete

    async def async_acquire(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Run while somebody needs it; returns what gives it back.

        Raises StorageUnavailable, PortUnavailable, or another OSError.
        """
        async with self._lock:
            if not self.running:
                await self._async_start()
            self._users += 1
        released = False

        async def release() -> None:
            nonlocal released
            if released:
                return
            released = True
            async with self._lock:
                self._users -= 1
                if not self._users:
                    await self.life.down()

        return release

    async def async_shutdown(self) -> None:
        """Stop although it is in use: Home Assistant ends."""
        async with self._lock:
            await self.life.down()

    async def async_apply_options(self) -> None:
        """Follow the entries' options: what changed is restarted, the rest runs on.

        Where that fails, the NVR runs as before, and the next call tries again. Raises as
        `async_acquire` does.
        """
        async with self._lock:
            if not self.running:
                return
            plan, before = self._read_plan(), self.plan
            with self._issues_of_start(plan):
                if plan.recording.root != before.recording.root:
                    await self.recordings.async_make_root(plan.recording)
                    await self._async_move(plan, STEP_RECORDINGS)
                elif plan.options.port != before.options.port:
                    await self._async_move(plan, STEP_LISTEN)
                elif plan.options.vision != before.options.vision:
                    await self._async_move(plan, STEP_VISION)
            self.plan = plan
            if plan.options.detection != before.options.detection:
                self._reload_cameras()
            self.recordings.update_settings(plan.recording)
            self.recordings.schedule_cleanup(plan.options.cleanup)
            self.gateway.update_settings(plan.gateway)

    async def _async_start(self) -> None:
        """Do the steps that are not done; where one fails, none that holds something is left."""
        self.plan = self._read_plan()
        with self._issues_of_start(self.plan):
            try:
                await self.life.up()
            except BaseException:
                # Entities that are there hold the cameras: those outlive a move that failed
                await self.life.down(STEP_RECORDINGS if self._users else None)
                raise

    async def _async_move(self, plan: Plan, first: str) -> None:
        """Do the steps from `first` on again, by another plan."""
        before, self.plan = self.plan, replace(plan, waits=True)
        try:
            await self.life.down(first)
            await self.life.up()
        except BaseException:
            self.plan = before
            try:
                await self.life.down(first)
                await self.life.up()
            except OSError:
                LOGGER.exception("Neither the new settings nor the old ones work")
                await self.life.down(first)
            raise

    @contextmanager
    def _issues_of_start(self, plan: Plan) -> Iterator[None]:
        """Raise an issue for what hinders a start or a move, and take it back after one that worked."""
        try:
            yield
        except StorageUnavailable as err:
            self.issues.report(ISSUE_STORAGE, detail=str(err))
            raise
        except PortUnavailable:
            self.issues.report(ISSUE_PORT, port=str(plan.options.port))
            raise
        self.issues.clear(ISSUE_PORT)
        if self.recordings.ready.is_set():
            self._storage_works()

    def _storage_works(self) -> None:
        self._storage_failed = False
        # The recorder takes back what it raised itself
        if ISSUE_STORAGE not in self.recordings.problems:
            self.issues.clear(ISSUE_STORAGE)

    def _read_plan(self) -> Plan:
        options = self.entries.options
        return Plan(
            options,
            self.entries.recording_settings(options, self.folder / "index.db"),
        )

    # ---- the steps of a start, in their order ----

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
        self.recordings.schedule_cleanup(self.plan.options.cleanup)
        undo.callback(self.recordings.cancel_cleanup)
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
            entries=self.entries,
            changes=self.changes,
            issues=self.issues,
            recordings=self.recordings,
        )
        undo.push_async_callback(self._stop_vision)
        self.vision = self.delegate.vision = vision
        vision.start()

    @callback
    def _reload_cameras(self) -> None:
        """Let cameras have the entities of what was switched on."""
        for entry in self.hass.config_entries.async_loaded_entries(DOMAIN):
            if CONF_ID in entry.data:
                self.hass.config_entries.async_schedule_reload(entry.entry_id)

    async def _stop_vision(self) -> None:
        vision, self.vision = self.vision, None
        self.delegate.vision = None
        if vision:
            await vision.async_stop()

    # ---- what the steps hand out ----

    def _recordings_opened(self, error: StorageUnavailable | None) -> None:
        """Follow a storage that was opened behind the set-up: where that failed, begin again from it."""
        if error is None:
            self._storage_works()
            return
        self._storage_failed = True
        self.issues.report(ISSUE_STORAGE, detail=str(error))
        self.hass.async_create_task(self._async_retry(), "magicpi_nvr retry")

    async def _async_retry(self) -> None:
        async with self._lock:
            await self.life.down(STEP_RECORDINGS)
        if entry := self.entries.nvr:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    async def _async_handle_stop(self, _event: HassEvent) -> None:
        await self.async_shutdown()

    async def _handle_core_config_update(self, _event: HassEvent) -> None:
        """Follow time zone and media folders; another folder is a move, with its retries."""
        entry, plan = self.entries.nvr, self._read_plan()
        if entry and plan.recording.root != self.plan.recording.root:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        elif self.running:
            await self.async_apply_options()

    @callback
    def name_camera(self, camera: Camera) -> None:
        """Give a camera the name that a person knows, and keep it for its recordings."""
        name = self.entries.name(camera.id)
        if camera.name != name:
            camera.rename(name)
            self.changes.notify(NvrChange.CAMERAS)
        if self.settings.names.get(camera.id) != name:
            self.settings.names[camera.id] = name
            self.settings.save()

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

    # ---- settings ----

    async def async_ensure_entry(self) -> None:
        """Make the NVR's entry if there is none."""
        async with self._entry_lock:
            if self.entries.nvr is None:
                await self.hass.config_entries.flow.async_init(
                    DOMAIN, context={"source": SOURCE_SYSTEM}, data={}
                )

    @callback
    def register_device(self) -> str | None:
        """Return the NVR's device; None without an entry."""
        return self.entries.register_nvr_device(self.version)

    @property
    def options(self) -> NvrOptions:
        """The options that are in force."""
        return self.plan.options

    @property
    def media_root(self) -> Path:
        """The folder of all recordings."""
        return self.plan.recording.root

    @property
    def export_folder(self) -> Path:
        """The folder of exported clips."""
        return self.media_root / "exports"

    def recording_enabled(self, camera_id: str) -> bool:
        """Say whether a camera's own recording switch is on."""
        return camera_id not in self.settings.not_recording

    @callback
    def set_recording_enabled(self, camera_id: str, on: bool) -> None:
        """Turn a camera's recording switch."""
        if on:
            self.settings.not_recording.discard(camera_id)
        else:
            self.settings.not_recording.add(camera_id)
        self.settings.save()
        self.changes.notify(NvrChange.SETTINGS)

    @property
    def master_recording_enabled(self) -> bool:
        """Say whether the recording switch of all cameras is on."""
        return self.settings.recording

    @callback
    def set_master_recording_enabled(self, on: bool) -> None:
        """Turn the recording switch of all cameras."""
        self.settings.recording = on
        self.settings.save()
        self.changes.notify(NvrChange.SETTINGS)

    # ---- cameras ----

    @property
    def known_cameras(self) -> set[str]:
        """Cameras that are there, and those whose recordings may still be."""
        return self.gateway.cameras.keys() | self.settings.names.keys()

    @property
    def connected(self) -> int:
        """Number of cameras that are connected."""
        return sum(
            camera.session is not None for camera in self.gateway.cameras.values()
        )

    def last_picture(self, camera_id: str) -> LastPicture | None:
        """Return the newest picture of a camera, of this run or of an earlier one."""
        camera = self.gateway.cameras.get(camera_id)
        if camera and camera.latest:
            return LastPicture(camera.latest.jpeg, camera.latest.captured_ms)
        return self.pictures.get(camera_id)

    async def async_snapshot(self, camera: Camera) -> Frame:
        """Ask an awake camera for a picture and keep it as its last one."""
        frame = await camera.snapshot(timeout=SNAPSHOT_TIMEOUT)
        self.delegate.keep_picture(camera)
        return frame

    async def async_forget_camera(self, camera_id: str) -> None:
        """Revoke a camera's key; its recordings stay, and so does its name on them."""
        async with self._lock:
            if self.running:
                await self.gateway.forget(camera_id)
            else:
                registry = Registry(self._storage)
                await registry.load()
                registry.forget(camera_id)
                await registry.save_now()
        self.delegate.unfollow(camera_id)
        await self.live.async_forget(camera_id)
        self.settings.not_recording.discard(camera_id)
        self.settings.stale_ca.discard(camera_id)
        self.settings.late_snoozed.pop(camera_id, None)
        self.settings.save()
        self.issues.camera_gone(camera_id)
        if self.vision:
            self.vision.forget(camera_id)
        await self.pictures.async_forget(camera_id)
        self.changes.notify(NvrChange.CAMERAS)

    async def async_hosts(self, toward: str | None) -> list[str]:
        """Return the addresses that a camera is given to connect to, the best first."""
        if self.options.hosts:
            return list(self.options.hosts)
        return await async_hosts(self.hass, toward)

    @callback
    def set_zones(self, camera_id: str, zones: list[dict[str, Any]]) -> bool:
        """Store a camera's zones, and tell it where to ignore motion; False without its entry."""
        if not self.entries.set_zones(camera_id, zones):
            return False
        if self.running and (camera := self.gateway.cameras.get(camera_id)):
            self.delegate.tell_ignored(camera)
        return True

    # ---- firmware ----

    def firmware_for(self, camera: Camera) -> FirmwareOffer | None:
        """Return the newest image for a camera, also when the camera has it already."""
        return self.firmware_folder.offer(camera)

    @callback
    def _handle_frame_given_up(self, camera_id: str) -> None:
        """Count a frame that the recorder took and lost."""
        if camera := self.gateway.cameras.get(camera_id):
            camera.frame_given_up()

    async def async_read_firmware(self) -> None:
        """Read the folder of images again."""
        await self.firmware_folder.async_read()
        for camera in self.gateway.cameras.values():
            if camera.offer and self.firmware_folder.path(camera.offer.sha256) is None:
                LOGGER.info(
                    "Firmware %s for %s is gone, its order is withdrawn",
                    camera.offer.version,
                    camera.name,
                )
                camera.offer_firmware(None)
        self.changes.notify(NvrChange.FIRMWARE)
