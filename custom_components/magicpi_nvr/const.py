"""Constants of the MagicPi NVR integration."""

from datetime import timedelta
import logging
from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "magicpi_nvr"
LOGGER: Final = logging.getLogger(__package__)
NAME: Final = "MagicPi NVR"
MANUFACTURER: Final = "MagicPi"

CAMERA_PLATFORMS: Final = [
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.CAMERA,
    Platform.EVENT,
    Platform.IMAGE,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.UPDATE,
]
NVR_PLATFORMS: Final = [Platform.BUTTON, Platform.SENSOR, Platform.SWITCH]

# Data of a camera's entry
CONF_BOARD_ID: Final = "board_id"
CONF_ID: Final = "id"
CONF_SETUP_CODE: Final = "setup_code"

CONF_ZONES: Final = "zones"

# Options of the NVR's entry: sections and their fields
SECTION_NETWORK: Final = "network"
CONF_HOSTS: Final = "hosts"
SECTION_STORAGE: Final = "storage"
CONF_MEDIA_DIR: Final = "media_dir"
CONF_RETENTION_DAYS: Final = "retention_days"
CONF_CHECK_IN_DAYS: Final = "check_in_days"
CONF_CLEANUP: Final = "cleanup"
CONF_CLEANUP_TIME: Final = "cleanup_time"
CONF_FREE_SPACE_FLOOR: Final = "free_space_floor"
SECTION_ENCODER: Final = "encoder"
CONF_CRF: Final = "crf"
CONF_PRESET: Final = "preset"
CONF_MAX_ENCODERS: Final = "max_encoders"
SECTION_VISION: Final = "vision"
CONF_DETECTION: Final = "detection"
CONF_PERSON_SCORE: Final = "person_score"
CONF_VEHICLE_SCORE: Final = "vehicle_score"
CONF_ANIMAL_SCORE: Final = "animal_score"
CONF_MAX_PICTURES: Final = "max_pictures"
SECTION_ADVANCED: Final = "advanced"
SECTION_CAMERAS: Final = "cameras"
CONF_MAX_CAMERAS: Final = "max_cameras"
CONF_LATE_AFTER: Final = "late_after"

# Options of a camera's entry, beside CONF_RETENTION_DAYS
CONF_RETENTION_SIZE: Final = "retention_size"
CONF_LIVE_VIDEO: Final = "live_video"
CONF_ROTATION: Final = "rotation"
CONF_TIME_STAMP: Final = "time_stamp"
CONF_RECORD: Final = "record"
CONF_CONTINUOUS_DAYS: Final = "continuous_days"
RECORD_EVENTS: Final = "events"
RECORD_CONTINUOUSLY: Final = "continuously"

CONF_WHEN_NOTHING_SEEN: Final = "when_nothing_seen"
WHEN_NOTHING_RECORD: Final = "record_all"
WHEN_NOTHING_STOP: Final = "stop_early"
CONF_WHAT_COUNTS: Final = "what_counts"
CONF_NOTHING_SEEN_DAYS: Final = "nothing_seen_days"
LABELS: Final = ("person", "vehicle", "animal")

DEFAULT_PORT: Final = 3443
DEFAULT_CAMERA_PORT: Final = 80
PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")

SERVICE_TYPE_NVR: Final = "_magicpi-nvr._tcp.local."

WEAK_WIFI_DBM: Final = -80

REGISTRATION_TIMEOUT: Final = timedelta(minutes=3)
SIGNED_PATH_LIFETIME: Final = timedelta(days=7)
FOLDER: Final = DOMAIN  # below the media folder, .storage and the configuration folder

# PEM of the keys that sign released firmware images
FIRMWARE_PUBLIC_KEYS: Final[tuple[str, ...]] = ()
