"""Actions: record, find, keep, label, export and delete."""

from pathlib import Path
from typing import Final

import probatio

from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.service import async_register_admin_service
from homeassistant.util import dt as dt_util

from .access import (
    NOTHING_SEEN_CHOICES,
    POLICY_CONTROL,
    POLICY_EDIT,
    POLICY_READ,
    async_asking_user,
    async_check,
    async_events,
)
from .clip import event_response, iso_time, signed
from .const import DOMAIN
from .errors import camera_errors, recording_errors
from .live_view import live_url
from .nvr import AlreadyRecording, NoPicture, Nvr, running_nvr
from .recording import ClipSpec, StorageFailed, camera_folder, parse_event_id
from .service_schemas import (
    ATTR_CHECK_INS,
    ATTR_CURSOR,
    ATTR_DESCRIPTION,
    ATTR_DRY_RUN,
    ATTR_DURATION,
    ATTR_END,
    ATTR_EVENT_ID,
    ATTR_FILENAME,
    ATTR_LABEL,
    ATTR_LABELS,
    ATTR_LIMIT,
    ATTR_NOTHING_SEEN,
    ATTR_OLDER_THAN,
    ATTR_PROTECT,
    ATTR_PROTECTED,
    ATTR_SPEED,
    ATTR_START,
    ATTR_TEXT,
    ATTR_TIME_STAMP,
    ATTR_ZONE,
    EVENT_SCHEMA,
    EXPORT_SCHEMA,
    LABEL_SCHEMA,
    LIST_SCHEMA,
    PURGE_SCHEMA,
    RECORD_SCHEMA,
    RESTORE_SCHEMA,
    SNAPSHOT_SCHEMA,
    STREAM_KEY_SCHEMA,
    TIMELAPSE_SCHEMA,
)
from .targets import async_target, async_target_camera, async_targets, is_targeted
from .timestamps import epoch_ms
from .views import export_url, picture_url

SERVICE_CREATE_STREAM_KEY: Final = "create_stream_key"
SERVICE_CREATE_TIMELAPSE: Final = "create_timelapse"
SERVICE_DELETE_EVENT: Final = "delete_event"
SERVICE_EXPORT_CLIP: Final = "export_clip"
SERVICE_LABEL_EVENT: Final = "label_event"
SERVICE_LIST_EVENTS: Final = "list_events"
SERVICE_PROTECT: Final = "protect"
SERVICE_PURGE: Final = "purge"
SERVICE_REBUILD_INDEX: Final = "rebuild_index"
SERVICE_RECORD: Final = "record"
SERVICE_RESTORE: Final = "restore"
SERVICE_REVOKE_STREAM_KEY: Final = "revoke_stream_key"
SERVICE_SNAPSHOT: Final = "snapshot"
SERVICE_UNPROTECT: Final = "unprotect"


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for name, handler, schema, response in (
        (SERVICE_CREATE_TIMELAPSE, _async_export, TIMELAPSE_SCHEMA, False),
        (SERVICE_DELETE_EVENT, _async_delete_event, EVENT_SCHEMA, False),
        (SERVICE_EXPORT_CLIP, _async_export, EXPORT_SCHEMA, False),
        (SERVICE_LABEL_EVENT, _async_label_event, LABEL_SCHEMA, False),
        (SERVICE_LIST_EVENTS, _async_list_events, LIST_SCHEMA, True),
        (SERVICE_PROTECT, _async_protect, EVENT_SCHEMA, False),
        (SERVICE_RECORD, _async_record, RECORD_SCHEMA, False),
        (SERVICE_RESTORE, _async_restore, RESTORE_SCHEMA, False),
        (SERVICE_SNAPSHOT, _async_snapshot, SNAPSHOT_SCHEMA, False),
        (SERVICE_UNPROTECT, _async_protect, EVENT_SCHEMA, False),
    ):
        hass.services.async_register(
            DOMAIN,
            name,
            handler,
            schema=schema,
            supports_response=(
                SupportsResponse.ONLY if response else SupportsResponse.OPTIONAL
            ),
        )
    async_register_admin_service(
        hass,
        DOMAIN,
        SERVICE_CREATE_STREAM_KEY,
        _async_create_stream_key,
        STREAM_KEY_SCHEMA,
        supports_response=SupportsResponse.ONLY,
    )
    for name, handler, schema in (
        (SERVICE_REVOKE_STREAM_KEY, _async_revoke_stream_key, STREAM_KEY_SCHEMA),
        (SERVICE_PURGE, _async_purge, PURGE_SCHEMA),
        (SERVICE_REBUILD_INDEX, _async_rebuild_index, probatio.Schema({})),
    ):
        async_register_admin_service(
            hass,
            DOMAIN,
            name,
            handler,
            schema,
            supports_response=SupportsResponse.OPTIONAL,
        )


def _invalid(key: str, **placeholders: str) -> ServiceValidationError:
    """Return the error of a caller's mistake."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders=placeholders or None,
    )


async def _async_path(hass: HomeAssistant, nvr: Nvr, filename: str) -> Path:
    """Return a path that may be written; raises ServiceValidationError."""
    path = Path(filename)

    def refusal() -> str | None:
        if not hass.config.is_allowed_path(filename):
            return "path_not_allowed"
        # Permission for one camera does not allow to replace what another has recorded
        inside = path.resolve().is_relative_to(nvr.media_root.resolve())
        return "path_of_recordings" if inside else None

    with recording_errors():
        reason = await nvr.recordings.library.threaded(refusal)
    if reason:
        raise _invalid(reason, path=filename)
    return path


async def _async_record(call: ServiceCall) -> ServiceResponse:
    """Record for a while; answers the event once its clip is ready."""
    hass = call.hass
    nvr = running_nvr(hass)
    camera = await async_target_camera(call, nvr)
    await async_check(hass, call.context, [camera.id], POLICY_CONTROL)
    name = nvr.entries.name(camera.id)
    try:
        with camera_errors(camera, name):
            event = await nvr.recordings.async_record(camera, call.data[ATTR_DURATION])
    except AlreadyRecording as err:
        raise _invalid("already_recording", name=name) from err
    except NoPicture as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="nothing_came",
            translation_placeholders={"name": name},
        ) from err
    return event_response(hass, nvr, event)


async def _async_snapshot(call: ServiceCall) -> ServiceResponse:
    """Take a picture; answers where it can be seen."""
    hass = call.hass
    nvr = running_nvr(hass)
    camera = await async_target_camera(call, nvr)
    await async_check(hass, call.context, [camera.id], POLICY_CONTROL)
    path: Path | None = None
    if ATTR_FILENAME in call.data:
        path = await _async_path(hass, nvr, call.data[ATTR_FILENAME])
    with camera_errors(camera, nvr.entries.name(camera.id)):
        frame = await nvr.async_snapshot(camera)
    if path:
        try:
            await hass.async_add_executor_job(_write, path, frame.jpeg)
        except OSError as err:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="storage_failed",
                translation_placeholders={"error": str(err)},
            ) from err
    size = (frame.width, frame.height)
    if frame.orientation in (90, 270):
        size = size[::-1]
    return {
        "camera": camera.id,
        "captured": iso_time(frame.captured_ms),
        "width": size[0],
        "height": size[1],
        "url": signed(hass, picture_url(camera.id)),
        "path": str(path) if path else None,
    }


async def _async_create_stream_key(call: ServiceCall) -> ServiceResponse:
    """Make a camera's video readable from outside; answers the address, which is shown only now."""
    nvr = running_nvr(call.hass)
    camera = await async_target_camera(call, nvr)
    key = await nvr.live.async_new_key(camera.id)
    return {"camera": camera.id, "url": live_url(call.hass, camera.id, key)}


async def _async_revoke_stream_key(call: ServiceCall) -> ServiceResponse:
    """Let nobody outside read a camera's video."""
    nvr = running_nvr(call.hass)
    camera = await async_target_camera(call, nvr)
    return {"camera": camera.id, "revoked": await nvr.live.async_revoke_key(camera.id)}


def _write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it (blocking)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


async def _async_purge(call: ServiceCall) -> ServiceResponse:
    """Delete what is too old; answers what went."""
    nvr = running_nvr(call.hass)
    camera_id = await async_target(call, nvr) if is_targeted(call) else None
    older_than_ms = None
    if ATTR_OLDER_THAN in call.data:
        older_than_ms = epoch_ms(dt_util.utcnow() - call.data[ATTR_OLDER_THAN])
    with recording_errors():
        report = await nvr.recordings.async_purge(
            older_than_ms=older_than_ms,
            camera=camera_id,
            dry_run=call.data[ATTR_DRY_RUN],
        )
    return {
        "dry_run": report.dry_run,
        "count": len(report.events),
        "freed": report.freed,
        "protected_kept": report.protected_kept,
        "floor_reached": report.floor_reached,
        "events": [
            {
                "event_id": event.id,
                "camera": event.camera,
                "start": iso_time(event.start_ms),
                "size": event.size,
            }
            for event in report.events
        ],
    }


async def _async_delete_event(call: ServiceCall) -> ServiceResponse:
    """Delete an event; answers what it was."""
    hass, item = call.hass, call.data[ATTR_EVENT_ID]
    nvr = running_nvr(hass)
    await async_check(hass, call.context, [parse_event_id(item)[0]], POLICY_EDIT)
    with recording_errors():
        event = await nvr.recordings.async_delete(item)
    return {"event_id": event.id, "camera": event.camera, "freed": event.size}


async def _async_protect(call: ServiceCall) -> ServiceResponse:
    """Protect an event from being deleted, or no longer."""
    hass, item = call.hass, call.data[ATTR_EVENT_ID]
    nvr = running_nvr(hass)
    await async_check(hass, call.context, [parse_event_id(item)[0]], POLICY_CONTROL)
    with recording_errors():
        event = await nvr.recordings.async_protect(
            item, call.service == SERVICE_PROTECT
        )
    return event_response(hass, nvr, event)


async def _async_restore(call: ServiceCall) -> ServiceResponse:
    """Bring a recording back from where it was copied to; protected, unless that is unwanted."""
    hass, item = call.hass, call.data[ATTR_EVENT_ID]
    nvr = running_nvr(hass)
    await async_check(hass, call.context, [parse_event_id(item)[0]], POLICY_CONTROL)
    with recording_errors():
        event = await nvr.recordings.async_restore(item)
        if call.data[ATTR_PROTECT] and not event.protected:
            event = await nvr.recordings.async_protect(item, True)
    return event_response(hass, nvr, event)


async def _async_label_event(call: ServiceCall) -> ServiceResponse:
    """Say what an event shows."""
    hass, item = call.hass, call.data[ATTR_EVENT_ID]
    nvr = running_nvr(hass)
    await async_check(hass, call.context, [parse_event_id(item)[0]], POLICY_CONTROL)
    with recording_errors():
        event = await nvr.recordings.async_label(
            item, call.data[ATTR_LABELS], call.data.get(ATTR_DESCRIPTION)
        )
    return event_response(hass, nvr, event)


async def _async_export(call: ServiceCall) -> ServiceResponse:
    """Write a clip or a time-lapse to a file; answers its path and where it can be seen."""
    hass, data = call.hass, call.data
    nvr = running_nvr(hass)
    speed = data.get(ATTR_SPEED)
    stamped = data.get(ATTR_TIME_STAMP, False)
    if ATTR_EVENT_ID in data:
        camera_id = parse_event_id(data[ATTR_EVENT_ID])[0]
        spec = ClipSpec.event(data[ATTR_EVENT_ID], name=nvr.entries.name(camera_id))
    else:
        camera_id = await async_target(call, nvr)
        spec = ClipSpec.range(
            camera_id,
            epoch_ms(data[ATTR_START]),
            epoch_ms(data[ATTR_END]),
            timelapse=speed,
            check_ins=data.get(ATTR_CHECK_INS, False),
            name=nvr.entries.name(camera_id),
        )
    await async_check(hass, call.context, [camera_id], POLICY_READ)
    with recording_errors():
        clip = await nvr.recordings.library.clip(spec)
        url = None
        if ATTR_FILENAME in data:
            target = await _async_path(hass, nvr, data[ATTR_FILENAME])
        else:
            # The view reads from the name whose right it has to ask for
            target = nvr.export_folder / f"{camera_folder(camera_id)}_{clip.filename}"
            if stamped:
                target = target.with_stem(f"{target.stem}_time-stamped")
            url = signed(hass, export_url(target.name))
        await nvr.recordings.library.threaded(lambda: _make_folder(target))
        size = await nvr.recordings.library.export(spec, target, time_stamp=stamped)
    return {
        "camera": camera_id,
        "path": str(target),
        "url": url,
        "size": size,
        "duration": clip.duration_ms / 1000,
    }


def _make_folder(target: Path) -> None:
    """Make the folder of a file (blocking); raises StorageFailed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageFailed(str(err)) from err


async def _async_list_events(call: ServiceCall) -> ServiceResponse:
    """Answer a page of events, newest first."""
    hass, data = call.hass, call.data
    nvr = running_nvr(hass)
    cameras = None
    if is_targeted(call):
        cameras = await async_targets(call, nvr)
        await async_check(hass, call.context, cameras, POLICY_READ)
    user = await async_asking_user(hass, call.context)
    with recording_errors():
        page = await async_events(
            nvr,
            user,
            cameras=cameras,
            start_ms=epoch_ms(data[ATTR_START]) if ATTR_START in data else None,
            end_ms=epoch_ms(data[ATTR_END]) if ATTR_END in data else None,
            protected=data.get(ATTR_PROTECTED),
            label=data.get(ATTR_LABEL),
            zone=data.get(ATTR_ZONE),
            nothing_seen=NOTHING_SEEN_CHOICES[data[ATTR_NOTHING_SEEN]],
            text=data.get(ATTR_TEXT),
            continuous=None if data.get(ATTR_PROTECTED) else False,
            limit=data[ATTR_LIMIT],
            cursor=data.get(ATTR_CURSOR),
        )
    return {
        "events": [event_response(hass, nvr, event) for event in page.events],
        "cursor": page.cursor,
    }


async def _async_rebuild_index(call: ServiceCall) -> ServiceResponse:
    """Rebuild the index from the files."""
    nvr = running_nvr(call.hass)
    with recording_errors():
        return {"events": await nvr.recordings.async_rebuild()}
