"""What commands to cameras and questions to the library may fail with, in words for people."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .const import DOMAIN
from .gateway import Camera, CameraAsleep, CameraStatus, CommandFailed
from .recording import (
    ClipGone,
    ClockImplausible,
    CopyUnreachable,
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    NothingRecorded,
    RecordingError,
    StorageFailed,
)
from .timestamps import local_time

# What the library answers, and whether it is the caller's mistake
RECORDING_ERRORS: Final[
    dict[type[RecordingError], tuple[str, type[HomeAssistantError]]]
] = {
    ClipGone: ("clip_gone", HomeAssistantError),
    CopyUnreachable: ("copy_unreachable", HomeAssistantError),
    EventBusy: ("event_busy", HomeAssistantError),
    EventNotFound: ("event_not_found", ServiceValidationError),
    EventProtected: ("event_protected", ServiceValidationError),
    InvalidValue: ("invalid_value", ServiceValidationError),
    NothingRecorded: ("nothing_recorded", ServiceValidationError),
    StorageFailed: ("storage_failed", HomeAssistantError),
    ClockImplausible: ("clock_implausible", HomeAssistantError),
}


def asleep_error(camera: Camera, name: str) -> HomeAssistantError:
    """Return the error that says when a camera that is not connected can be reached."""
    placeholders = {"name": name}
    if (next_ms := camera.next_check_in_ms) is None:
        return HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="camera_offline",
            translation_placeholders=placeholders,
        )
    placeholders["next_check_in"] = f"{local_time(next_ms):%Y-%m-%d %H:%M:%S}"
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=(
            "camera_late" if camera.status is CameraStatus.LATE else "camera_asleep"
        ),
        translation_placeholders=placeholders,
    )


@contextmanager
def camera_errors(camera: Camera, name: str) -> Iterator[None]:
    """Tell a person why a command did not work."""
    try:
        yield
    except CameraAsleep as err:
        raise asleep_error(camera, name) from err
    except CommandFailed as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="command_failed",
            translation_placeholders={"name": name, "error": str(err)},
        ) from err


def for_kind[T](table: Mapping[type[RecordingError], T], err: RecordingError) -> T:
    """Return what a table has for the kind of an error, or the kind that it is one of."""
    return next(table[kind] for kind in type(err).__mro__ if kind in table)


@contextmanager
def recording_errors() -> Iterator[None]:
    """Tell a person what the library answers."""
    try:
        yield
    except RecordingError as err:
        key, kind = for_kind(RECORDING_ERRORS, err)
        raise kind(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"error": str(err)},
        ) from err
