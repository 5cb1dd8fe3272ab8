"""Options of the entries, as typed records with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
import os
import re
from typing import Any, Final, Self

from homeassistant.const import CONF_PORT

from .const import (
    CONF_ANIMAL_SCORE,
    CONF_CHECK_IN_DAYS,
    CONF_CLEANUP,
    CONF_CONTINUOUS_DAYS,
    CONF_CRF,
    CONF_DETECTION,
    CONF_FREE_SPACE_FLOOR,
    CONF_HOSTS,
    CONF_LATE_AFTER,
    CONF_LIVE_VIDEO,
    CONF_MAX_CAMERAS,
    CONF_MAX_ENCODERS,
    CONF_MAX_PICTURES,
    CONF_MEDIA_DIR,
    CONF_NOTHING_SEEN_DAYS,
    CONF_PERSON_SCORE,
    CONF_PRESET,
    CONF_RECORD,
    CONF_RETENTION_DAYS,
    CONF_RETENTION_SIZE,
    CONF_ROTATION,
    CONF_TIME_STAMP,
    CONF_VEHICLE_SCORE,
    CONF_WHAT_COUNTS,
    CONF_WHEN_NOTHING_SEEN,
    DEFAULT_PORT,
    RECORD_CONTINUOUSLY,
    SECTION_CAMERAS,
    SECTION_ENCODER,
    SECTION_NETWORK,
    SECTION_STORAGE,
    SECTION_VISION,
    WHEN_NOTHING_RECORD,
)

DAILY: Final = re.compile(r"(?P<minute>[0-9]{1,2}) (?P<hour>[0-9]{1,2}) \* \* \*")


def daily_cron(at: time) -> str:
    """Return the cron expression of a time of day."""
    return f"{at.minute} {at.hour} * * *"


def daily_time(cron: str) -> time | None:
    """Return the time of day that a cron expression means; None where it is no such one."""
    if (found := DAILY.fullmatch(" ".join(cron.split()))) is None:
        return None
    try:
        return time(int(found["hour"]), int(found["minute"]))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NvrOptions:
    """Options of the NVR's entry; sizes in GB, `late_after` in hours."""

    port: int = DEFAULT_PORT
    hosts: tuple[str, ...] = ()
    media_dir: str | None = None
    retention_days: int = 7
    check_in_days: int = 60
    cleanup: str = "0 2 * * *"
    free_space_floor: float = 1.0
    crf: int = 23
    preset: str = "superfast"
    max_encoders: int = os.process_cpu_count() or 2
    max_cameras: int = 50
    late_after: int = 24
    detection: bool = False
    person_score: int = 45
    vehicle_score: int = 40
    animal_score: int = 45
    max_pictures: int = 12

    @property
    def vision(self) -> tuple[bool, int, int, int, int]:
        """All that vision is started with."""
        return (
            self.detection,
            self.person_score,
            self.vehicle_score,
            self.animal_score,
            self.max_pictures,
        )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Read the sections of an entry's options; what is absent has its default."""
        default = cls()
        network = options.get(SECTION_NETWORK, {})
        storage = options.get(SECTION_STORAGE, {})
        encoder = options.get(SECTION_ENCODER, {})
        cameras = options.get(SECTION_CAMERAS, {})
        vision = options.get(SECTION_VISION, {})
        return cls(
            port=int(network.get(CONF_PORT, default.port)),
            hosts=tuple(network.get(CONF_HOSTS, default.hosts)),
            media_dir=storage.get(CONF_MEDIA_DIR),
            retention_days=int(
                storage.get(CONF_RETENTION_DAYS, default.retention_days)
            ),
            check_in_days=int(storage.get(CONF_CHECK_IN_DAYS, default.check_in_days)),
            cleanup=storage.get(CONF_CLEANUP, default.cleanup),
            free_space_floor=float(
                storage.get(CONF_FREE_SPACE_FLOOR, default.free_space_floor)
            ),
            crf=int(encoder.get(CONF_CRF, default.crf)),
            preset=encoder.get(CONF_PRESET, default.preset),
            max_encoders=int(encoder.get(CONF_MAX_ENCODERS, default.max_encoders)),
            max_cameras=int(cameras.get(CONF_MAX_CAMERAS, default.max_cameras)),
            late_after=int(cameras.get(CONF_LATE_AFTER, default.late_after)),
            detection=bool(vision.get(CONF_DETECTION, default.detection)),
            person_score=int(vision.get(CONF_PERSON_SCORE, default.person_score)),
            vehicle_score=int(vision.get(CONF_VEHICLE_SCORE, default.vehicle_score)),
            animal_score=int(vision.get(CONF_ANIMAL_SCORE, default.animal_score)),
            max_pictures=int(vision.get(CONF_MAX_PICTURES, default.max_pictures)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOptions:
    """Options of a camera's entry; None = the NVR's limit. `live_video`: also of a camera that sleeps; `rotation`: degrees clockwise."""

    retention_days: int | None = None
    retention_size: float | None = None
    live_video: bool = False
    rotation: int = 0
    time_stamp: bool = False
    continuous: bool = False
    continuous_days: int = 2
    when_nothing_seen: str = WHEN_NOTHING_RECORD
    what_counts: tuple[str, ...] = ()
    nothing_seen_days: int = 1

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Read an entry's options."""
        days = options.get(CONF_RETENTION_DAYS)
        size = options.get(CONF_RETENTION_SIZE)
        return cls(
            retention_days=None if days is None else int(days),
            retention_size=None if size is None else float(size),
            live_video=bool(options.get(CONF_LIVE_VIDEO, False)),
            rotation=int(options.get(CONF_ROTATION, 0)),
            time_stamp=bool(options.get(CONF_TIME_STAMP, False)),
            continuous=options.get(CONF_RECORD) == RECORD_CONTINUOUSLY,
            continuous_days=int(options.get(CONF_CONTINUOUS_DAYS, 2)),
            when_nothing_seen=str(
                options.get(CONF_WHEN_NOTHING_SEEN, WHEN_NOTHING_RECORD)
            ),
            what_counts=tuple(options.get(CONF_WHAT_COUNTS, ())),
            nothing_seen_days=int(options.get(CONF_NOTHING_SEEN_DAYS, 1)),
        )
