"""The NVR: one object shared by all entries, owner of gateway, recorder and library."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime
from enum import Flag, StrEnum, auto
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from typing import Any, Final, override

from cronsim import CronSim
from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceInfo

from homeassistant.components import network, zeroconf
from homeassistant.components.ffmpeg import get_ffmpeg_manager
from homeassistant.config_entries import SOURCE_SYSTEM, ConfigEntry
from homeassistant.const import (
    CONF_HOST,
    EVENT_CORE_CONFIG_UPDATE,
    EVENT_HOMEASSISTANT_STOP,
)
from homeassistant.core import (
    CALLBACK_TYPE,
    Event as HassEvent,
    HomeAssistant,
    callback,
)
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, instance_id
from homeassistant.helpers.event import (
    async_track_point_in_utc_time,
    async_track_time_change,
)
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.storage import STORAGE_DIR, Store
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import CONF_ID, DOMAIN, FOLDER, LOGGER, MANUFACTURER, NAME, SERVICE_TYPE_NVR
from .firmware import FirmwareFolder
from .gateway import (
    Authority,
    Camera,
    CameraAsleep,
    Change,
    CommandFailed,
    FirmwareOffer,
    Frame,
    Gateway,
    GatewaySettings,
    Registry,
)
from .last_picture import LastPicture, LastPictures
from .options import CameraOptions, NvrOptions
from .recording import (
    CameraRetention,
    CameraUsage,
    ClipReady,
    Event,
    EventDropped,
    EventStarted,
    InvalidValue,
    Library,
    Problem,
    PurgeReport,
    Recorder,
    RecorderNotice,
    RecordingSettings,
    Solved,
    StorageStats,
    event_id,
)
from .watch import ISSUE_PORT, ISSUE_STORAGE, Watch

DATA_NVR: HassKey[Nvr] = HassKey(DOMAIN)

CLIP_TIMEOUT: Final = 60.0
SNAPSHOT_TIMEOUT: Final = 10.0
USAGE_COOLDOWN: Final = 10.0
SAVE_DELAY_S: Final = 1
# Events of one camera that are under way at once; it has one, unless it plays tricks.
MAX_REASONS: Final = 64
GIGABYTE: Final = 1024**3
# A manual recording's frames carry no event on the wire, where the number has
# sixteen bits, so a number above cannot meet one of the camera's own
FIRST_MANUAL_EVENT: Final = 1 << 16
REASON_MANUAL: Final = "manual"
REASON_MOTION: Final = "motion"
# What a camera may name as an event's source, and what that is to a person
REASONS: Final = {
    "button": "button",
    "motion": REASON_MOTION,
    "pir": REASON_MOTION,
    "timer": "timer",
}


class AlreadyRecording(Exception):
    """The camera is recording at a person's wish already."""


class StorageUnavailable(OSError):
    """The folder of recordings cannot be used."""


class NvrChange(Flag):
    """What changed at the NVR."""

    SETTINGS = auto()  # recording switches
    CAMERAS = auto()  # a camera came, went, or changed its status
    EVENTS = auto()  # an event began, ended or went
    USAGE = auto()  # storage figures and counts
    FIRMWARE = auto()  # the folder of firmware images was read again


class EventChange(StrEnum):
    """What happened to a recorded event."""

    STARTED = "event_started"
    READY = "clip_ready"
    UPDATED = "event_changed"
    DELETED = "event_deleted"


type EventCallback = Callable[[EventChange, Event], None]


@dataclass(slots=True)
class MagicPiRuntimeData:
    """What a camera's entry has at run time."""

    nvr: Nvr
    camera: Camera


@dataclass(slots=True)
class NvrRuntimeData:
    """What the NVR's entry has at run time."""

    nvr: Nvr


type MagicPiConfigEntry = ConfigEntry[MagicPiRuntimeData]
type NvrConfigEntry = ConfigEntry[NvrRuntimeData]


class SoonStore(Store[dict[str, Any]]):
    """A store that writes a second after the first change, however many follow."""

    _pending = False

    @callback
    def async_save_soon(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Write within a second; `async_delay_save` waits for a second without a call."""
        if self._pending:
            return
        self._pending = True

        def data() -> dict[str, Any]:
            self._pending = False
            return data_func()

        self.async_delay_save(data, SAVE_DELAY_S)

    @override
    async def async_save(self, data: dict[str, Any]) -> None:
        # It takes the place of a write that waits
        self._pending = False
        await super().async_save(data)


class RegistryStorage:
    """Keeps the gateway's registry in Home Assistant's storage."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Name the file."""
        self._store = SoonStore(
            hass, 1, f"{DOMAIN}.cameras", private=True, atomic_writes=True
        )

    async def load(self) -> dict[str, Any] | None:
        """Return what was saved, None the first time."""
        return await self._store.async_load()

    def save(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save soon; the state at the time of the write counts."""
        self._store.async_save_soon(data_func)

    async def save_now(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save and wait until it is on disk."""
        await self._store.async_save(data_func())


class NvrSettings:
    """What the NVR keeps beside the entries: switches, names, the authority that cameras know."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Name the file."""
        self._store = SoonStore(hass, 1, f"{DOMAIN}.settings")
        self.recording = True
        self.not_recording: set[str] = set()
        self.names: dict[str, str] = {}
        self.ca: str | None = None
        self.stale_ca: set[str] = set()
        self.late_snoozed: dict[str, int] = {}

    async def async_load(self) -> None:
        """Read the file; the defaults stay where there is none."""
        if not (data := await self._store.async_load()):
            return
        self.recording = data["recording"]
        self.not_recording = set(data["not_recording"])
        self.names = data["names"]
        self.ca = data["ca"]
        self.stale_ca = set(data["stale_ca"])
        self.late_snoozed = data["late_snoozed"]

    @callback
    def save(self) -> None:
        """Save soon."""
        self._store.async_save_soon(self._data)

    def _data(self) -> dict[str, Any]:
        return {
            "recording": self.recording,
            "not_recording": sorted(self.not_recording),
            "names": self.names,
            "ca": self.ca,
            "stale_ca": sorted(self.stale_ca),
            "late_snoozed": self.late_snoozed,
        }


@dataclass(slots=True)
class ManualRecording:
    """A recording that a person asked for: its event's number, and the events whose frames came."""

    event: int
    events: set[int] = field(default_factory=set)

    def note(self, frame: Frame) -> None:
        """Note a frame."""
        self.events.add(frame.event)


class Nvr:
    """The shared object of all entries; it answers the gateway as its delegate."""

    authority: Authority
    gateway: Gateway
    library: Library
    recorder: Recorder

    def __init__(self, hass: HomeAssistant) -> None:
        """Prepare; nothing runs before the first `async_acquire`."""
        self.hass = hass
        self.folder = Path(hass.config.path(STORAGE_DIR, FOLDER))
        self.settings = NvrSettings(hass)
        # One for all starts: what it has yet to write is read by the next one
        self._storage = RegistryStorage(hass)
        self.options = NvrOptions()
        self.firmware_folder = FirmwareFolder(hass)
        self.pictures = LastPictures(hass, self.folder / "last")
        self.watch = Watch(self)
        self.storage: StorageStats | None = None
        self.running = False
        self.version = ""
        # What is wrong with recording, by kind
        self.problems: dict[str, str] = {}
        self._users = 0
        self._listening = False
        self._lock = asyncio.Lock()
        self._entry_lock = asyncio.Lock()
        self._listeners: set[Callable[[NvrChange], None]] = set()
        self._event_listeners: set[EventCallback] = set()
        self._unsubscribers: list[CALLBACK_TYPE] = []
        self._followed: dict[str, CALLBACK_TYPE] = {}
        self._boots: dict[str, int] = {}
        self._cancel_cleanup: CALLBACK_TYPE | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcing: asyncio.Task[None] | None = None
        self._announcement: AsyncServiceInfo | None = None
        self._reasons: dict[str, dict[tuple[int, int], str]] = {}
        self._recording_now: dict[str, set[str]] = {}
        self._last_events: dict[str, Event] = {}
        self._clips_today: dict[str, int] = {}
        self._manual: dict[str, ManualRecording] = {}
        self._usage_stale = False
        self._counting = False

    # ---- life ----

    async def async_acquire(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Run while somebody needs it; returns what gives it back.

        Raises OSError when the port is taken, StorageUnavailable when it is the storage.
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
                    await self._async_stop()

        return release

    async def async_shutdown(self) -> None:
        """Stop although it is in use: Home Assistant ends."""
        async with self._lock:
            await self._async_stop()

    async def _async_start(self) -> None:
        hass = self.hass
        self.options = self._read_options()
        self.authority = await hass.async_add_executor_job(
            Authority.load_or_create, self.folder
        )
        self.version = str((await async_get_integration(hass, DOMAIN)).version)
        registry = Registry(self._storage)
        await registry.load()
        settings = self._recording_settings()
        self.library = Library(settings, on_purge=self._handle_purge)
        self.recorder = Recorder(settings, self.library, on_event=self._handle_notice)
        self.gateway = Gateway(
            authority=self.authority,
            registry=registry,
            delegate=self,
            settings=self._gateway_settings(),
            version=self.version,
        )
        for camera in self.gateway.cameras.values():
            self._follow(camera)
        await self.pictures.async_load(self.gateway.cameras)
        await self.firmware_folder.async_read()
        try:
            await self._async_open_recording()
            await self._async_listen()
        except BaseException:
            await self._async_stop_rooms()
            raise
        self.running = True
        self._note_authority()
        await self._async_forget_orphans()
        self._unsubscribers = [
            self.watch.async_start(),
            async_track_time_change(
                hass, self._handle_midnight, hour=0, minute=0, second=0
            ),
            hass.bus.async_listen(
                EVENT_CORE_CONFIG_UPDATE, self._handle_core_config_update
            ),
            hass.bus.async_listen_once(
                EVENT_HOMEASSISTANT_STOP, self._async_handle_stop
            ),
        ]
        self._schedule_cleanup()
        self._announce()

    async def _async_handle_stop(self, _event: HassEvent) -> None:
        # A listener that fired once cannot be removed again
        self._unsubscribers.pop()
        await self.async_shutdown()

    async def _async_stop(self) -> None:
        """Stop in the order in which nothing gets lost: no frame may come once the recorder is closed."""
        if not self.running:
            return
        self.running = False
        if self._cancel_cleanup:
            self._cancel_cleanup()
            self._cancel_cleanup = None
        while self._unsubscribers:
            self._unsubscribers.pop()()
        for camera in self.gateway.cameras.values():
            self._keep_picture(camera)
        await self._async_withdraw()
        await self._async_stop_rooms()

    async def _async_stop_rooms(self) -> None:
        self._listening = False
        await self.gateway.stop()
        while self._followed:
            self._followed.popitem()[1]()
        await self._async_close_recording()
        await self.pictures.async_stop()

    async def _async_open_recording(self) -> None:
        """Begin to record; says so in an issue when the storage does not allow it."""
        await self.library.open()
        try:
            await self.recorder.start()
        except OSError as err:
            raise self._storage_unavailable(err) from err
        self._storage_available()
        for camera_id in self.gateway.cameras:
            await self._async_refresh_last_event(camera_id)
        self._schedule_usage()

    async def _async_close_recording(self) -> None:
        # The recorder's last clips may ask the library for something yet
        await self.recorder.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.library.close()
        self._recording_now.clear()
        # The next recorder finds out by itself what is wrong
        while self.problems:
            self.watch.clear(self.problems.popitem()[0])

    @callback
    def _storage_unavailable(self, error: OSError) -> StorageUnavailable:
        """Raise the issue and return the error; it goes when the storage works."""
        self.watch.report(ISSUE_STORAGE, detail=str(error))
        return StorageUnavailable(*error.args)

    @callback
    def _storage_available(self) -> None:
        """Take the issue back, unless the recorder stands by it."""
        if ISSUE_STORAGE not in self.problems:
            self.watch.clear(ISSUE_STORAGE)

    async def _async_listen(self) -> None:
        """Open the port; says so in an issue when somebody else has it."""
        self._listening = False
        try:
            await self.gateway.start()
        except OSError:
            self.watch.report(ISSUE_PORT, port=str(self.options.port))
            raise
        self._listening = True
        self.watch.clear(ISSUE_PORT)

    # ---- settings ----

    @property
    def entry(self) -> NvrConfigEntry | None:
        """The NVR's own entry."""
        return self.hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)

    @callback
    def register_device(self) -> str | None:
        """Return the NVR's device, below which the cameras hang; None without an entry."""
        if (entry := self.entry) is None:
            return None
        return (
            dr.async_get(self.hass)
            .async_get_or_create(
                config_entry_id=entry.entry_id,
                identifiers={(DOMAIN, DOMAIN)},
                manufacturer=MANUFACTURER,
                model=NAME,
                name=NAME,
                sw_version=self.version,
                entry_type=dr.DeviceEntryType.SERVICE,
            )
            .id
        )

    @callback
    def remember_name(self, camera_id: str, name: str) -> None:
        """Keep a camera's name for its recordings, which may stay longer than the camera."""
        if self.settings.names.get(camera_id) != name:
            self.settings.names[camera_id] = name
            self.settings.save()

    async def async_ensure_entry(self) -> None:
        """Make the NVR's entry if there is none."""
        async with self._entry_lock:
            if self.entry is None:
                await self.hass.config_entries.flow.async_init(
                    DOMAIN, context={"source": SOURCE_SYSTEM}, data={}
                )

    def camera_entry(self, camera_id: str) -> MagicPiConfigEntry | None:
        """Return the entry of a camera."""
        return self.hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, dr.format_mac(camera_id)
        )

    def camera_name(self, camera_id: str) -> str:
        """Return the name a person knows, also of a camera that was removed."""
        if entry := self.camera_entry(camera_id):
            return entry.title
        return self.settings.names.get(camera_id, camera_id)

    def _read_options(self) -> NvrOptions:
        entry = self.entry
        return NvrOptions.from_mapping(entry.options if entry else {})

    def _gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            port=self.options.port, max_cameras=self.options.max_cameras
        )

    @property
    def media_root(self) -> Path:
        """The folder of all recordings."""
        media_dirs = self.hass.config.media_dirs
        chosen = self.options.media_dir
        if chosen not in media_dirs:
            chosen = "local" if "local" in media_dirs else next(iter(media_dirs))
        return Path(media_dirs[chosen]) / FOLDER

    @property
    def export_folder(self) -> Path:
        """The folder of exported clips."""
        return self.media_root / "exports"

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

    def _recording_settings(self) -> RecordingSettings:
        options = self.options
        cameras: dict[str, CameraRetention] = {}
        for entry in self.hass.config_entries.async_entries(DOMAIN):
            if CONF_ID not in entry.data:
                continue
            limits = CameraOptions.from_mapping(entry.options)
            cameras[entry.data[CONF_ID]] = CameraRetention(
                days=limits.retention_days,
                max_bytes=(
                    None
                    if limits.retention_size is None
                    else int(limits.retention_size * GIGABYTE)
                ),
            )
        return RecordingSettings(
            root=self.media_root,
            index=self.folder / "index.db",
            ffmpeg=get_ffmpeg_manager(self.hass).binary,
            time_zone=dt_util.get_default_time_zone(),
            crf=options.crf,
            preset=options.preset,
            max_encoders=options.max_encoders,
            retention_days=options.retention_days,
            free_space_floor=int(options.free_space_floor * GIGABYTE),
            cameras=cameras,
        )

    async def async_apply_options(self) -> None:
        """Follow the entries' options: what changed is restarted, the rest runs on.

        What could not be followed the last time is tried again. Raises OSError when the port is taken,
        StorageUnavailable when it is the storage.
        """
        async with self._lock:
            if not self.running:
                return
            before = self.options
            self.options = self._read_options()
            settings = self._recording_settings()
            moves = settings.root != self.library.settings.root
            if moves:
                await self._async_make_root(settings.root)
            listen_anew = (
                moves or self.options.port != before.port or not self._listening
            )
            if listen_anew:
                # A frame that came while nobody records would be refused for good
                await self._async_withdraw()
                self._listening = False
                await self.gateway.stop()
            if moves:
                # Recorded where it was until then
                await self._async_close_recording()
                self.library = Library(settings, on_purge=self._handle_purge)
                self.recorder = Recorder(
                    settings, self.library, on_event=self._handle_notice
                )
                await self._async_open_recording()
            else:
                self.library.update_settings(settings)
                self.recorder.update_settings(settings)
                self._storage_available()
            self.gateway.update_settings(self._gateway_settings())
            if listen_anew:
                await self._async_listen()
                self._announce()
            self._schedule_cleanup()

    async def _async_make_root(self, root: Path) -> None:
        """Make the folder of recordings; raises StorageUnavailable."""
        try:
            await self.hass.async_add_executor_job(
                lambda: root.mkdir(parents=True, exist_ok=True)
            )
        except OSError as err:
            raise self._storage_unavailable(err) from err

    @callback
    def _handle_core_config_update(self, _event: HassEvent) -> None:
        settings = self._recording_settings()
        self.library.update_settings(settings)
        self.recorder.update_settings(settings)

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
        self._notify(NvrChange.SETTINGS)

    @property
    def master_recording_enabled(self) -> bool:
        """Say whether the recording switch of all cameras is on."""
        return self.settings.recording

    @callback
    def set_master_recording_enabled(self, on: bool) -> None:
        """Turn the recording switch of all cameras."""
        self.settings.recording = on
        self.settings.save()
        self._notify(NvrChange.SETTINGS)

    # ---- listeners ----

    @callback
    def subscribe(self, listener: Callable[[NvrChange], None]) -> CALLBACK_TYPE:
        """Call a listener at each change; returns what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    @callback
    def subscribe_events(self, listener: EventCallback) -> CALLBACK_TYPE:
        """Call a listener with each recorded event that changes; returns what ends it."""
        self._event_listeners.add(listener)
        return lambda: self._event_listeners.discard(listener)

    @callback
    def _notify(self, change: NvrChange) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    @callback
    def _notify_event(self, change: EventChange, event: Event) -> None:
        for listener in tuple(self._event_listeners):
            listener(change, event)
        self._notify(NvrChange.EVENTS)

    # ---- cameras ----

    @callback
    def _follow(self, camera: Camera) -> None:
        if camera.id not in self._followed:
            self._followed[camera.id] = camera.subscribe(
                lambda change: self._handle_camera(camera, change)
            )

    @callback
    def _handle_camera(self, camera: Camera, change: Change) -> None:
        if change & Change.WOKE:
            self._handle_woke(camera)
        if change & Change.STATUS:
            if camera.session is None:
                if (boot := self._boots.get(camera.id)) is not None:
                    self.recorder.camera_left(camera.id, boot)
                self._keep_picture(camera)
            self._notify(NvrChange.CAMERAS)
        if change & Change.INFO:
            self._handle_info(camera)
        self.watch.camera_changed(camera, change)

    @callback
    def _handle_woke(self, camera: Camera) -> None:
        """End what an earlier boot left open: its camera restarted before it could say so."""
        if camera.hello is None:
            return
        boot = camera.hello.boot
        before = self._boots.get(camera.id)
        self._boots[camera.id] = boot
        if before is not None and before != boot:
            self.recorder.camera_left(camera.id, before)
        if camera.id in self.settings.stale_ca:
            self.settings.stale_ca.discard(camera.id)
            self.settings.save()
            self.watch.check_ca()

    @callback
    def _handle_info(self, camera: Camera) -> None:
        """Follow the camera's address and firmware."""
        if (entry := self.camera_entry(camera.id)) is None:
            return
        if camera.session and camera.address != entry.data.get(CONF_HOST):
            self.hass.config_entries.async_update_entry(
                entry, data={**entry.data, CONF_HOST: camera.address}
            )
        registry = dr.async_get(self.hass)
        if device := registry.async_get_device_by_identifier(
            (DOMAIN, camera.id), entry.entry_id
        ):
            registry.async_update_device(
                device.id,
                model=camera.model,
                sw_version=camera.firmware,
            )

    @callback
    def _keep_picture(self, camera: Camera) -> None:
        if camera.latest:
            self.pictures.note(camera.latest)

    def last_picture(self, camera_id: str) -> LastPicture | None:
        """Return the newest picture of a camera, of this run or of an earlier one."""
        camera = self.gateway.cameras.get(camera_id)
        if camera and camera.latest:
            return LastPicture(camera.latest.jpeg, camera.latest.captured_ms)
        return self.pictures.get(camera_id)

    async def async_snapshot(self, camera: Camera) -> Frame:
        """Ask an awake camera for a picture and keep it as its last one."""
        frame = await camera.snapshot(timeout=SNAPSHOT_TIMEOUT)
        self.pictures.note(frame)
        return frame

    async def async_forget_camera(self, camera_id: str) -> None:
        """Revoke a camera's key; its recordings stay, and so does its name on them."""
        entry_needed = not self.running
        release = await self.async_acquire() if entry_needed else None
        try:
            await self.gateway.forget(camera_id)
        finally:
            if release:
                await release()
        if unfollow := self._followed.pop(camera_id, None):
            unfollow()
        self.settings.not_recording.discard(camera_id)
        self.settings.stale_ca.discard(camera_id)
        self.settings.late_snoozed.pop(camera_id, None)
        self.settings.save()
        self.watch.camera_gone(camera_id)
        await self.pictures.async_forget(camera_id)
        self._notify(NvrChange.CAMERAS)

    async def _async_forget_orphans(self) -> None:
        """Revoke keys of cameras whose claim never came to an entry."""
        for camera_id in list(self.gateway.cameras):
            if self.camera_entry(camera_id) is None:
                await self.gateway.forget(camera_id)

    async def async_hosts(self, toward: str | None) -> list[str]:
        """Return the addresses that a camera is told to dial, the best first."""
        if self.options.hosts:
            return list(self.options.hosts)
        hosts: list[str] = []
        with suppress(HomeAssistantError, ValueError):
            hosts.append(
                await network.async_get_source_ip(self.hass, target_ip=toward)
                if toward
                else await network.async_get_source_ip(self.hass)
            )
        for address in await network.async_get_announce_addresses(self.hass):
            if address not in hosts and not ip_address(address).is_link_local:
                hosts.append(address)
        return hosts

    # ---- the authority and the announcement ----

    @callback
    def _note_authority(self) -> None:
        """Remember which cameras know an authority that is gone."""
        fingerprint = self.authority.ca_fingerprint
        if self.settings.ca == fingerprint:
            return
        if self.settings.ca is not None:
            self.settings.stale_ca = set(self.gateway.cameras)
        self.settings.ca = fingerprint
        self.settings.save()

    async def async_renew_certificate(self) -> None:
        """Renew the server's certificate when it is due; raises OSError."""
        await self.hass.async_add_executor_job(self.authority.renew_if_due)

    @callback
    def _announce(self) -> None:
        self._announcing = self.hass.async_create_background_task(
            self._async_announce(), "magicpi_nvr announce"
        )

    async def _async_announce(self) -> None:
        """Tell the network where the gateway listens."""
        instance = await instance_id.async_get(self.hass)
        info = AsyncServiceInfo(
            SERVICE_TYPE_NVR,
            f"{NAME} {instance[:8]}.{SERVICE_TYPE_NVR}",
            parsed_addresses=await network.async_get_announce_addresses(self.hass),
            port=self.gateway.port,
            properties={
                "id": instance,
                "proto": "1",
                "ca": self.authority.ca_fingerprint[:16],
            },
        )
        instance_zeroconf = await zeroconf.async_get_async_instance(self.hass)
        self._announcement = info
        try:
            await instance_zeroconf.async_register_service(info, allow_name_change=True)
        except (ZeroconfError, OSError) as err:
            LOGGER.warning(
                "The NVR cannot be announced, cameras keep to the addresses that they know: %s",
                err,
            )

    async def _async_withdraw(self) -> None:
        """Take the announcement back."""
        if self._announcing:
            self._announcing.cancel()
            await asyncio.gather(self._announcing, return_exceptions=True)
            self._announcing = None
        if info := self._announcement:
            self._announcement = None
            instance_zeroconf = await zeroconf.async_get_async_instance(self.hass)
            with suppress(ZeroconfError, OSError):
                await instance_zeroconf.async_unregister_service(info)

    # ---- the gateway's delegate ----

    @callback
    def camera_registered(self, camera: Camera, token_data: Mapping[str, Any]) -> None:
        """Follow a camera that was claimed, anew or again."""
        self._follow(camera)
        self.settings.stale_ca.discard(camera.id)
        self.settings.save()
        self.watch.check_ca()
        self._notify(NvrChange.CAMERAS)

    @callback
    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Hand a frame to the recorder; False refuses it for good."""
        if manual := self._manual.get(camera.id):
            if not frame.event:
                frame = replace(frame, event=manual.event)
            manual.note(frame)
            return self.recorder.add_frame(frame, reason=REASON_MANUAL)
        if (
            not frame.event
            or not self.settings.recording
            or not self.recording_enabled(camera.id)
            or ((entry := self.camera_entry(camera.id)) and entry.disabled_by)
        ):
            return False
        reason = self._reasons.get(camera.id, {}).get(
            (frame.boot, frame.event), REASON_MOTION
        )
        return self.recorder.add_frame(frame, reason=reason)

    @callback
    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """End the event's recording."""
        self._reasons.get(camera.id, {}).pop((boot, event), None)
        self.recorder.end_event(camera.id, boot, event, lost=lost)
        self._keep_picture(camera)

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
            reasons[boot, event] = REASONS[source]
            if len(reasons) > MAX_REASONS:
                del reasons[next(iter(reasons))]

    def kept(self, camera_id: str, boot: int) -> int:
        """Return the highest seq that is safe on disk."""
        return self.recorder.persisted(camera_id, boot)

    async def recordings(
        self,
        camera_id: str,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        cursor: str | None,
    ) -> dict[str, Any]:
        """Answer a camera that asks for its own recordings; raises ValueError."""
        try:
            page = await self.library.events(
                camera=camera_id,
                start_ms=start_ms,
                end_ms=end_ms,
                limit=limit,
                cursor=cursor,
            )
        except InvalidValue as err:
            raise ValueError(str(err)) from err
        return {
            "recordings": [event_as_dict(event) for event in page.events],
            "cursor": page.cursor,
        }

    def firmware(self, camera_id: str, sha256: str) -> Path | None:
        """Return the image that was offered to a camera."""
        return self.firmware_folder.path(sha256)

    @callback
    def stale_key(self, camera_id: str) -> None:
        """Ask for a new claim of a camera whose key is no longer good."""
        if entry := self.camera_entry(camera_id):
            entry.async_start_reauth(self.hass)

    # ---- firmware ----

    def firmware_for(self, camera: Camera) -> FirmwareOffer | None:
        """Return the newest image for a camera, also when the camera has it already."""
        return self.firmware_folder.offer(camera)

    async def async_read_firmware(self) -> None:
        """Read the folder of images again."""
        await self.firmware_folder.async_read()
        self._notify(NvrChange.FIRMWARE)

    # ---- recordings ----

    @callback
    def _handle_notice(self, notice: RecorderNotice) -> None:
        """Pass on what the recorder says."""
        match notice:
            case EventStarted(event):
                self._recording_now.setdefault(event.camera, set()).add(event.id)
                self._notify_event(EventChange.STARTED, event)
            case ClipReady(event):
                self._recording_now.get(event.camera, set()).discard(event.id)
                last = self._last_events.get(event.camera)
                if last is None or event.start_ms >= last.start_ms:
                    self._last_events[event.camera] = event
                self._notify_event(EventChange.READY, event)
                self._schedule_usage()
            case EventDropped(event):
                self._recording_now.get(event.camera, set()).discard(event.id)
                self._deleted([event])
            case Problem(kind, detail):
                if kind not in self.problems:
                    LOGGER.warning("Recording: %s: %s", kind, detail)
                self.problems[kind] = detail
                self.watch.report(kind, detail=detail)
            case Solved(kind):
                if self.problems.pop(kind, None) is not None:
                    LOGGER.info("Recording: %s is over", kind)
                self.watch.clear(kind)

    def is_recording(self, camera_id: str) -> bool:
        """Say whether an event of the camera is being recorded."""
        return bool(self._recording_now.get(camera_id))

    def last_event(self, camera_id: str) -> Event | None:
        """Return the camera's newest recorded event."""
        return self._last_events.get(camera_id)

    def clips_today(self, camera_id: str) -> int:
        """Return how many events the local day has so far."""
        return self._clips_today.get(camera_id, 0)

    def usage(self, camera_id: str) -> CameraUsage | None:
        """Return what a camera has on disk."""
        return next(
            (
                item
                for item in (self.storage.cameras if self.storage else ())
                if item.camera == camera_id
            ),
            None,
        )

    async def _async_refresh_last_event(self, camera_id: str) -> None:
        page = await self.library.events(camera=camera_id, limit=1)
        if page.events:
            self._last_events[camera_id] = page.events[0]
        else:
            self._last_events.pop(camera_id, None)
        self._notify(NvrChange.EVENTS)

    @callback
    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Ask the library for something that nobody waits for; ended before the library is."""
        task = self.hass.async_create_background_task(work, "magicpi_nvr recordings")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @callback
    def _schedule_usage(self) -> None:
        self._usage_stale = True
        if not self._counting:
            self._run(self._async_count())

    async def _async_count(self) -> None:
        """Count what lies on disk while it changes, not too often."""
        self._counting = True
        try:
            while self._usage_stale:
                self._usage_stale = False
                await self._async_refresh_usage()
                await asyncio.sleep(USAGE_COOLDOWN)
        finally:
            self._counting = False

    async def _async_refresh_usage(self) -> None:
        """Count anew what lies on disk."""
        today = dt_util.now().date().isoformat()
        stats = await self.library.usage()
        counts: dict[str, int] = {}
        for item in stats.cameras:
            days = await self.library.days(camera=item.camera, month=today[:7])
            counts[item.camera] = next(
                (day.events for day in days if day.date == today), 0
            )
        self.storage, self._clips_today = stats, counts
        self._notify(NvrChange.USAGE)

    @callback
    def _handle_midnight(self, _now: datetime) -> None:
        self._schedule_usage()

    @callback
    def _schedule_cleanup(self) -> None:
        """Set the clock to the next time that the schedule names."""
        if self._cancel_cleanup:
            self._cancel_cleanup()
        at = next(CronSim(self.options.cleanup, dt_util.now()))
        self._cancel_cleanup = async_track_point_in_utc_time(
            self.hass, self._async_cleanup, dt_util.as_utc(at)
        )

    async def _async_cleanup(self, _now: datetime) -> None:
        self._cancel_cleanup = None
        self._schedule_cleanup()
        report = await self.async_purge()
        LOGGER.debug(
            "Cleaned up: %d events, %d bytes", len(report.events), report.freed
        )

    async def async_purge(
        self,
        *,
        older_than_ms: int | None = None,
        camera: str | None = None,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Delete what is older than the limits; protected events stay."""
        return await self.library.purge(
            older_than_ms=older_than_ms, camera=camera, dry_run=dry_run
        )

    @callback
    def _handle_purge(self, report: PurgeReport) -> None:
        """Tell of what retention removed, for whatever reason."""
        self._deleted(report.events)

    @callback
    def _deleted(self, events: Iterable[Event]) -> None:
        for event in events:
            last = self._last_events.get(event.camera)
            if last and last.id == event.id:
                self._run(self._async_refresh_last_event(event.camera))
            self._notify_event(EventChange.DELETED, event)
        self._schedule_usage()

    async def async_delete(self, event_id: str) -> Event:
        """Delete an event; raises RecordingError."""
        event = await self.library.delete(event_id)
        self._deleted([event])
        return event

    async def async_protect(self, event_id: str, on: bool) -> Event:
        """Keep an event from being deleted, or no longer; raises RecordingError."""
        event = await self.library.protect(event_id, on)
        self._updated(event)
        return event

    async def async_label(
        self, event_id: str, labels: list[str], description: str | None
    ) -> Event:
        """Set an event's labels, and its description unless that is None; raises RecordingError."""
        event = await self.library.label(event_id, labels, description)
        self._updated(event)
        return event

    @callback
    def _updated(self, event: Event) -> None:
        last = self._last_events.get(event.camera)
        if last and last.id == event.id:
            self._last_events[event.camera] = event
        self._notify_event(EventChange.UPDATED, event)

    async def async_rebuild(self) -> int:
        """Make the index anew from the files; returns the number of events."""
        events = await self.library.rebuild()
        for camera_id in self.gateway.cameras:
            await self._async_refresh_last_event(camera_id)
        self._schedule_usage()
        self._notify(NvrChange.EVENTS)
        return events

    async def async_record(self, camera: Camera, duration: float) -> Event:
        """Record an awake camera for so many seconds; returns the event once its clip is ready.

        While motion is recorded too, the pictures belong to the motion's event, and that is returned.
        Raises CameraAsleep, CommandFailed, AlreadyRecording, or TimeoutError when there is no clip.
        """
        if camera.session is None or camera.hello is None:
            raise CameraAsleep
        if camera.id in self._manual:
            raise AlreadyRecording
        boot = camera.hello.boot
        number = FIRST_MANUAL_EVENT + int(dt_util.utcnow().timestamp())
        manual = self._manual[camera.id] = ManualRecording(number)
        ready: asyncio.Queue[Event] = asyncio.Queue(16)

        @callback
        def clip_ready(change: EventChange, event: Event) -> None:
            if change is EventChange.READY and event.camera == camera.id:
                with suppress(asyncio.QueueFull):
                    ready.put_nowait(event)

        unsubscribe = self.subscribe_events(clip_ready)
        try:
            try:
                await camera.command("stream_start", {"duration_s": ceil(duration)})
                await asyncio.sleep(duration)
            finally:
                del self._manual[camera.id]
                self.recorder.end_event(camera.id, boot, number)
                if not camera.motion:
                    with suppress(CameraAsleep, CommandFailed):
                        await camera.command("stream_stop")
            wanted = {
                event_id(camera.id, boot, item)
                for item in ({number} if number in manual.events else manual.events)
            }
            async with asyncio.timeout(CLIP_TIMEOUT):
                while (event := await ready.get()).id not in wanted:
                    pass
            return event
        finally:
            unsubscribe()


@singleton(DATA_NVR, async_=True)
async def async_get_nvr(hass: HomeAssistant) -> Nvr:
    """Return the shared NVR."""
    nvr = Nvr(hass)
    await nvr.settings.async_load()
    return nvr


def event_as_dict(event: Event) -> dict[str, Any]:
    """Return an event as people's and cameras' REST show it; times are UTC epoch milliseconds."""
    return {
        "id": event.id,
        "camera": event.camera,
        "start": event.start_ms,
        "end": event.end_ms,
        "duration_ms": event.duration_ms,
        "reason": event.reason,
        "state": event.state,
        "frames": event.frames,
        "lost": event.lost,
        "size": event.size,
        "protected": event.protected,
        "labels": list(event.labels),
        "description": event.description,
    }
