"""The NVR: one object shared by all entries, started with the first user and stopped with the last; its moves, settings, and cameras."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, override

from homeassistant.config_entries import SOURCE_SYSTEM
from homeassistant.core import Event as HassEvent, HomeAssistant, callback

from ..const import CONF_ID, DOMAIN, LOGGER
from ..gateway import Camera, FirmwareOffer, Frame, Registry
from ..options import NvrOptions
from .announcement import async_hosts
from .changes import NvrChange
from .issues import ISSUE_PORT, ISSUE_STORAGE
from .plan import Plan
from .recordings import StorageUnavailable
from .steps import (
    STEP_LISTEN,
    STEP_RECORDINGS,
    STEP_VISION,
    PortUnavailable,
    StartSteps,
)

SNAPSHOT_TIMEOUT: Final = 10.0


class Nvr(StartSteps):
    """Owner of gateway, recorder and library.

    Start and stop are the steps of `self.life` and their undoing. A move to another folder or
    port undoes the steps from the one that it changes, and does them with the new plan; where
    that fails, it does them with the plan before.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        """Prepare; nothing runs before the first `async_acquire`."""
        super().__init__(hass)
        self._users = 0
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
            self.recordings.cleanup.schedule(plan.options.cleanup)
            self.gateway.update_settings(plan.gateway)
            # Another time zone has another day
            self.recordings.usage.time_changed()

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

    @callback
    def _reload_cameras(self) -> None:
        """Let cameras have the entities of what was switched on."""
        for entry in self.hass.config_entries.async_loaded_entries(DOMAIN):
            if CONF_ID in entry.data:
                self.hass.config_entries.async_schedule_reload(entry.entry_id)

    # ---- what the steps hand out ----

    @override
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

    @override
    async def _async_handle_stop(self, _event: HassEvent) -> None:
        await self.async_shutdown()

    @override
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
        self.settings.false_alarms.pop(camera_id, None)
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
            self.delegate.set_ignored_zones(camera)
        return True

    # ---- firmware ----

    def firmware_for(self, camera: Camera) -> FirmwareOffer | None:
        """Return the newest image for a camera, also when the camera has it already."""
        return self.firmware_folder.offer(camera)

    async def async_read_firmware(self) -> None:
        """Read the folder of images again."""
        await self.firmware_folder.async_read()
        for camera in self.gateway.cameras.values():
            if camera.offer and self.firmware_folder.path(camera.offer.sha256) is None:
                LOGGER.info(
                    "Firmware %s for %s was removed; the update is canceled",
                    camera.offer.version,
                    camera.name,
                )
                camera.offer_firmware(None)
        self.changes.notify(NvrChange.FIRMWARE)
