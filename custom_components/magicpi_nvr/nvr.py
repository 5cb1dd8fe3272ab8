"""The NVR: one object shared by all entries, owner of gateway, recorder and library."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Flag, StrEnum, auto
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cronsim import CronSim
from zeroconf.asyncio import AsyncServiceInfo

from homeassistant.components import network, zeroconf
from homeassistant.components.ffmpeg import get_ffmpeg_manager
from homeassistant.config_entries import SOURCE_SYSTEM, ConfigEntry
from homeassistant.const import CONF_HOST, EVENT_CORE_CONFIG_UPDATE
from homeassistant.core import CALLBACK_TYPE, Event as HassEvent, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, instance_id
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.event import (
    async_call_later,
    async_track_point_in_utc_time,
    async_track_time_change,
)
from homeassistant.helpers.storage import STORAGE_DIR, Store
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, FOLDER, LOGGER, MANUFACTURER, NAME, SERVICE_TYPE_NVR
from .firmware import FirmwareFolder
from .gateway.authority import Authority
from .gateway.camera import Camera, CameraAsleep, CameraStatus, Change
from .gateway.registry import Registry
from .gateway.protocol import FirmwareOffer, Frame
from .gateway.server import Gateway, GatewaySettings
from .last_picture import LastPictures
from .options import CameraOptions, NvrOptions
from .recording.library import Library
from .recording.model import (
    CameraRetention,
    CameraUsage,
    Event,
    PurgeReport,
    RecordingSettings,
    StorageStats,
)
from .recording.recorder import (
    ClipReady,
    EventStarted,
    Problem,
    Recorder,
    RecorderNotice,
    Solved,
)
from .watch import Watch

USAGE_COOLDOWN = 30.0
GIGABYTE = 1024**3
# A manual recording's frames carry no event on the wire, where the number has
# sixteen bits, so a number above cannot meet one of the camera's own
FIRST_MANUAL_EVENT = 1 << 16


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
    UPDATED = "updated"
    DELETED = "deleted"


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
