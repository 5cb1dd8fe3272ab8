"""The config entries: which is the NVR's, which a camera's, and what they and the devices say."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from homeassistant.components.ffmpeg import get_ffmpeg_manager
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util

from ..const import (
    CONF_BOARD_ID,
    CONF_ID,
    CONF_ZONES,
    DOMAIN,
    FOLDER,
    MANUFACTURER,
    NAME,
)
from ..gateway import Camera
from ..options import CameraOptions, NvrOptions
from ..recording import CameraRetention, RecordingSettings
from .stores import NvrSettings

GIGABYTE: Final = 1024**3


def is_nvr_entry(entry: ConfigEntry[Any]) -> bool:
    """Say whether an entry is the NVR's and not a camera's."""
    return entry.unique_id == DOMAIN


def _camera_ids(board_id: str) -> Iterator[str]:
    """Yield ids for the camera that a board becomes: its own, then locally administered ones."""
    yield board_id
    number = 0
    while True:
        digest = bytearray(sha256(f"{board_id} {number}".encode()).digest()[:6])
        digest[0] = digest[0] & 0xFC | 0x02
        yield digest.hex(":").upper()
        number += 1


def board_of(entry: ConfigEntry[Any]) -> str:
    """Return the id of the board that an entry's camera is."""
    return str(entry.data.get(CONF_BOARD_ID, entry.data[CONF_ID]))


class Entries:
    """Finds entries and devices, and reads their options."""

    def __init__(self, hass: HomeAssistant, settings: NvrSettings) -> None:
        """Keep where to look."""
        self._hass = hass
        self._settings = settings

    @property
    def nvr(self) -> ConfigEntry[Any] | None:
        """The NVR's own entry."""
        return self._hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, DOMAIN
        )

    @property
    def options(self) -> NvrOptions:
        """The NVR's options as they are now."""
        entry = self.nvr
        return NvrOptions.from_mapping(entry.options if entry else {})

    def camera(self, camera_id: str) -> ConfigEntry[Any] | None:
        """Return the entry of a camera."""
        return self._hass.config_entries.async_entry_for_domain_unique_id(
            DOMAIN, dr.format_mac(camera_id)
        )

    def of_board(self, board_id: str) -> ConfigEntry[Any] | None:
        """Return the entry of the camera that a board is."""
        for entry in self._hass.config_entries.async_entries(DOMAIN):
            if CONF_ID in entry.data and board_of(entry) == board_id:
                return entry
        return None

    def camera_id(self, board_id: str) -> str:
        """Return the id of the camera that a board is, or becomes when it is claimed.

        That is the board's own, unless a camera has it whose board was replaced.
        """
        if entry := self.of_board(board_id):
            return str(entry.data[CONF_ID])
        return next(
            camera_id
            for camera_id in _camera_ids(board_id)
            if (taken := self.camera(camera_id)) is None or CONF_ID not in taken.data
        )

    @callback
    def note_board(self, camera: Camera) -> None:
        """Let entry and device follow a camera whose board was replaced."""
        if (entry := self.camera(camera.id)) is None or CONF_ID not in entry.data:
            return
        if board_of(entry) != camera.board_id:
            self._hass.config_entries.async_update_entry(
                entry, data={**entry.data, CONF_BOARD_ID: camera.board_id}
            )
        registry = dr.async_get(self._hass)
        device = registry.async_get_device_by_identifier(
            (DOMAIN, camera.id), entry.entry_id
        )
        if device is None or device.serial_number == camera.board_id:
            return
        others = {
            connection
            for connection in device.connections
            if connection[0] != dr.CONNECTION_NETWORK_MAC
        }
        registry.async_update_device(
            device.id,
            new_connections={
                (dr.CONNECTION_NETWORK_MAC, dr.format_mac(camera.board_id)),
                *others,
            },
            serial_number=camera.board_id,
        )

    def zones(self, camera_id: str) -> list[dict[str, Any]]:
        """Return a camera's zones as they are stored."""
        entry = self.camera(camera_id)
        return list(entry.data.get(CONF_ZONES, ())) if entry else []

    @callback
    def set_zones(self, camera_id: str, zones: list[dict[str, Any]]) -> bool:
        """Store a camera's zones with its entry; False without an entry."""
        if (entry := self.camera(camera_id)) is None:
            return False
        self._hass.config_entries.async_update_entry(
            entry, data={**entry.data, CONF_ZONES: zones}
        )
        return True

    def is_disabled(self, camera_id: str) -> bool:
        """Say whether a camera's entry was disabled by a person."""
        entry = self.camera(camera_id)
        return entry is not None and entry.disabled_by is not None

    def name(self, camera_id: str) -> str:
        """Return the name a person knows, also of a camera that was removed."""
        if entry := self.camera(camera_id):
            device = dr.async_get(self._hass).async_get_device_by_identifier(
                (DOMAIN, camera_id), entry.entry_id
            )
            return (device.name_by_user if device else None) or entry.title
        return self._settings.names.get(camera_id, camera_id)

    @callback
    def register_nvr_device(self, version: str) -> str | None:
        """Return the NVR's device, below which the cameras hang; None without an entry."""
        if (entry := self.nvr) is None:
            return None
        return (
            dr.async_get(self._hass)
            .async_get_or_create(
                config_entry_id=entry.entry_id,
                identifiers={(DOMAIN, DOMAIN)},
                manufacturer=MANUFACTURER,
                model=NAME,
                name=NAME,
                sw_version=version,
                entry_type=dr.DeviceEntryType.SERVICE,
            )
            .id
        )

    def recording_settings(self, options: NvrOptions, index: Path) -> RecordingSettings:
        """Return how recordings are made and kept, by options and by what Home Assistant is set to."""
        cameras: dict[str, CameraRetention] = {}
        time_stamps: set[str] = set()
        for entry in self._hass.config_entries.async_entries(DOMAIN):
            if CONF_ID not in entry.data:
                continue
            limits = CameraOptions.from_mapping(entry.options)
            if limits.time_stamp:
                time_stamps.add(entry.data[CONF_ID])
            cameras[entry.data[CONF_ID]] = CameraRetention(
                days=limits.retention_days,
                nothing_seen_days=limits.nothing_seen_days,
                continuous_days=limits.continuous_days,
                max_bytes=(
                    None
                    if limits.retention_size is None
                    else int(limits.retention_size * GIGABYTE)
                ),
            )
        return RecordingSettings(
            root=Path(self.media_dirs[self.media_dir(options)]) / FOLDER,
            index=index,
            ffmpeg=get_ffmpeg_manager(self._hass).binary,
            time_zone=dt_util.get_default_time_zone(),
            crf=options.crf,
            preset=options.preset,
            max_encoders=options.max_encoders,
            retention_days=options.retention_days,
            check_in_days=options.check_in_days,
            free_space_floor=int(options.free_space_floor * GIGABYTE),
            time_stamps=frozenset(time_stamps),
            cameras=cameras,
        )

    @property
    def media_dirs(self) -> dict[str, str]:
        """Return the media folders by name; Home Assistant's usual one where YAML has an empty list of them."""
        return self._hass.config.media_dirs or {
            "local": self._hass.config.path("media")
        }

    def media_dir(self, options: NvrOptions) -> str:
        """Return the name of the chosen media folder, of the usual one where it is none or gone."""
        media_dirs = self.media_dirs
        if options.media_dir in media_dirs:
            return options.media_dir
        return "local" if "local" in media_dirs else next(iter(media_dirs))
