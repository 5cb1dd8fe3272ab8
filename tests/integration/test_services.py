"""The actions, their answers and their errors."""

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import probatio
import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.gateway import Camera
from custom_components.magicpi_nvr.nvr import EventChange, NotRunning, manual
from custom_components.magicpi_nvr.recording import Event, EventDropped
from custom_components.magicpi_nvr.recording.errors import (
    ClipGone,
    EventBusy,
    RecordingError,
    StorageFailed,
)
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import (
    HomeAssistantError,
    ServiceValidationError,
    Unauthorized,
    UnknownUser,
)
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, Installation

NO_EVENT = "aabbccddee01-00000001-1"


async def act(
    hass: HomeAssistant, action: str, context: Context | None = None, **data: Any
) -> dict[str, Any]:
    """Call an action; returns its answer."""
    answer = await hass.services.async_call(
        DOMAIN, action, data, blocking=True, return_response=True, context=context
    )
    assert answer is not None
    return dict(answer)


async def refused(
    hass: HomeAssistant,
    error: type[HomeAssistantError],
    key: str,
    action: str,
    **data: Any,
) -> None:
    """Call an action that is refused with a translated error."""
    with pytest.raises(error) as caught:
        await act(hass, action, **data)
    assert caught.value.translation_domain == DOMAIN
    assert caught.value.translation_key == key
    assert type(caught.value) is error


async def test_record(
    installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """A camera that is awake is recorded at a person's request; the answer is the clip."""
    await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    answer = await act(hass, "record", camera=entity_id, duration=1)
    assert answer["reason"] == "manual"
    assert 0.5 < answer["duration"] < 3
    assert answer["camera"] == CAMERA_ID
    assert Path(answer["path"]).is_file()
    client = await hass_client_no_auth()
    assert (await client.get(answer["clip_url"])).status == 200
    assert (await client.get(answer["thumbnail_url"])).status == 200
    event = await installation.nvr.recordings.library.event(answer["event_id"])
    assert event
    assert event.frames == answer["frames"] >= 5


async def test_record_while_motion(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Pictures of motion stay the motion's; with recording off, a request is still a request."""
    camera = await installation.claimed(always_on=True, tail_s=0.2)
    installation.nvr.set_recording_enabled(CAMERA_ID, False)
    camera.trigger_motion(1.5)
    await camera.wait_event("event_started")
    answer = await act(
        hass, "record", camera=installation.entity_id("camera", "camera"), duration=3
    )
    assert answer["reason"] == "manual"
    mark = installation.nvr.recordings.last_event(CAMERA_ID)
    camera.trigger_motion(0.3)
    await camera.wait_all_acked()
    assert installation.nvr.recordings.last_event(CAMERA_ID) == mark


async def test_record_errors(installation: Installation, hass: HomeAssistant) -> None:
    """Who sleeps cannot be recorded, and nobody twice at once."""
    camera = await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    first = hass.async_create_task(act(hass, "record", camera=entity_id, duration=1))
    await installation.wait_until(
        lambda: installation.nvr.recordings.manual.is_running(CAMERA_ID)
    )
    await refused(
        hass,
        ServiceValidationError,
        "already_recording",
        "record",
        camera=entity_id,
    )
    await first
    with patch("custom_components.magicpi_nvr.nvr.manual.CLIP_TIMEOUT", 0):
        await refused(
            hass,
            HomeAssistantError,
            "nothing_came",
            "record",
            camera=entity_id,
            duration=1,
        )
    await camera.stop()
    await installation.wait_until(lambda: installation.camera().session is None)
    await refused(
        hass, HomeAssistantError, "camera_offline", "record", camera=entity_id
    )


async def test_targets(
    installation: Installation, hass: HomeAssistant, area_registry: ar.AreaRegistry
) -> None:
    """Cameras are named by entity, device or area; another entity, none or two are refused."""
    await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    device = dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), installation.entry().entry_id
    )
    assert device
    area = area_registry.async_create("Porch")
    dr.async_get(hass).async_update_device(device.id, area_id=area.id)
    for target in (
        {"entity_id": entity_id},
        {"device_id": device.id},
        {"area_id": area.id},
        {"camera": entity_id},
        {"camera": [CAMERA_ID]},
    ):
        answer = await act(hass, "snapshot", **target)
        assert answer["camera"] == CAMERA_ID, target
    hass.states.async_set("camera.other", "idle")
    await refused(
        hass,
        ServiceValidationError,
        "unknown_camera",
        "snapshot",
        entity_id="camera.other",
    )
    await refused(hass, ServiceValidationError, "one_camera", "snapshot")
    installation.nvr.settings.names["AA:BB:CC:DD:EE:07"] = "Gone"
    await refused(
        hass,
        ServiceValidationError,
        "one_camera",
        "snapshot",
        camera=["AA:BB:CC:DD:EE:07", CAMERA_ID],
    )
    events = await act(hass, "list_events", entity_id=entity_id)
    assert events["events"] == []


async def test_record_without_a_picture(
    installation: Installation, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of which no picture came is over at once, not after the clip's patience."""
    await installation.claimed(always_on=True)
    monkeypatch.setattr(Camera, "command", AsyncMock())
    monkeypatch.setattr(Camera, "hold_stream", lambda camera: nullcontext())
    # Longer than this test may take
    monkeypatch.setattr(manual, "CLIP_TIMEOUT", 10_000)
    await refused(
        hass,
        HomeAssistantError,
        "nothing_came",
        "record",
        camera=installation.entity_id("camera", "camera"),
        duration=1,
    )


async def test_record_of_which_all_is_dropped(
    installation: Installation, hass: HomeAssistant
) -> None:
    """An event that the recorder gave up is not waited for."""
    await installation.claimed(always_on=True)
    nvr = installation.nvr
    dropped: list[str] = []

    def drop(change: EventChange, event: Event) -> None:
        if change is EventChange.READY:
            dropped.append(event.id)
            nvr.recordings.handle_notice(EventDropped(event))

    # It hears of the clip first, and the recording hears that it is gone
    unsubscribe = nvr.changes.subscribe_events(drop)
    with (
        patch.object(manual, "ENDS", (EventChange.DELETED,)),
        patch.object(manual, "CLIP_TIMEOUT", 10_000),
    ):
        await refused(
            hass,
            HomeAssistantError,
            "nothing_came",
            "record",
            camera=installation.entity_id("camera", "camera"),
            duration=1,
        )
    unsubscribe()
    assert dropped


async def test_snapshot(
    installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """A camera that is awake takes a picture, into a file if wanted."""
    camera = await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    answer = await act(hass, "snapshot", camera=entity_id)
    assert (answer["width"], answer["height"]) == (320, 240)
    assert answer["path"] is None
    client = await hass_client_no_auth()
    response = await client.get(answer["url"])
    assert await response.read() in camera.source.frames
    path = installation.media / "a" / "b.jpg"
    answer = await act(hass, "snapshot", camera=entity_id, filename=str(path))
    assert answer["path"] == str(path)
    assert path.read_bytes().startswith(b"\xff\xd8")
    await refused(
        hass,
        ServiceValidationError,
        "path_not_allowed",
        "snapshot",
        camera=entity_id,
        filename="/etc/passwd",
    )
    path.unlink()
    path.mkdir()
    await refused(
        hass,
        HomeAssistantError,
        "storage_failed",
        "snapshot",
        camera=entity_id,
        filename=str(path),
    )


async def test_snapshot_of_sleeper(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """A sleeping camera is not woken; the error says when it comes."""
    await refused(
        hass,
        HomeAssistantError,
        "camera_asleep",
        "snapshot",
        camera=installation.entity_id("camera", "camera"),
    )


async def test_list_label_protect_delete(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """An event is found, labeled, protected, and deleted."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    answer = await act(hass, "list_events")
    assert [item["event_id"] for item in answer["events"]] == [event.id]
    assert answer["cursor"] is None
    assert answer["events"][0]["camera_name"] == "Front door"
    answer = await act(
        hass,
        "label_event",
        event_id=event.id,
        labels=["Person", "parcel"],
        description="Somebody brings a parcel",
    )
    assert answer["labels"] == ["Person", "parcel"]
    for found, filters in (
        (1, {"label": "person"}),
        (0, {"label": "cat"}),
        (1, {"text": "brings"}),
        (1, {"camera": [installation.entity_id("camera", "camera")]}),
        (1, {"start": dt_util.utc_from_timestamp(event.start_ms / 1000)}),
        (0, {"start": dt_util.utc_from_timestamp(event.end_ms / 1000 + 1)}),
        (0, {"end": dt_util.utc_from_timestamp(event.start_ms / 1000 - 1)}),
        (0, {"protected": True}),
    ):
        answer = await act(hass, "list_events", **filters)
        assert len(answer["events"]) == found, filters
    answer = await act(hass, "protect", event_id=event.id)
    assert answer["protected"] is True
    await refused(
        hass,
        ServiceValidationError,
        "event_protected",
        "delete_event",
        event_id=event.id,
    )
    answer = await act(hass, "purge", older_than={"seconds": 0.001})
    assert answer["count"] == 0
    assert answer["protected_kept"] == 1
    # The label and the protection outlive the index
    assert await act(hass, "rebuild_index") == {"events": 1}
    answer = await act(hass, "list_events", protected=True, label="parcel")
    assert answer["events"][0]["description"] == "Somebody brings a parcel"
    answer = await act(hass, "unprotect", event_id=event.id)
    assert answer["protected"] is False
    answer = await act(hass, "delete_event", event_id=event.id)
    assert answer["event_id"] == event.id
    assert not (installation.nvr.media_root / event.path).exists()
    for action in ("protect", "unprotect", "delete_event", "export_clip"):
        await refused(
            hass,
            ServiceValidationError,
            "event_not_found",
            action,
            event_id=event.id,
        )


async def test_purge(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """What is too old goes, after it was said what would go."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    assert (await act(hass, "purge"))["count"] == 0
    assert (await act(hass, "purge", older_than=1))["count"] == 0
    soon = {"milliseconds": 1}
    answer = await act(hass, "purge", older_than=soon, dry_run=True)
    assert answer["dry_run"] is True
    assert [item["event_id"] for item in answer["events"]] == [event.id]
    assert await installation.nvr.recordings.library.event(event.id)
    assert answer["freed"] > 0
    other = await act(hass, "purge", older_than=soon, camera=CAMERA_ID)
    assert other["count"] == 1
    assert await installation.nvr.recordings.library.event(event.id) is None
    await installation.wait_until(
        lambda: installation.nvr.recordings.last_event(CAMERA_ID) is None
    )


async def test_export(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """Clips and time-lapses are written to files."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    client = await hass_client_no_auth()
    span = {
        "camera": installation.entity_id("camera", "camera"),
        "start": dt_util.utc_from_timestamp(event.start_ms / 1000),
        "end": dt_util.utc_from_timestamp(event.end_ms / 1000 + 1),
    }
    whole = await act(hass, "export_clip", event_id=event.id)
    assert whole["duration"] == pytest.approx(event.duration_ms / 1000, abs=0.2)
    for answer in (
        whole,
        await act(hass, "export_clip", **span),
        await act(hass, "create_timelapse", **span, speed=2),
    ):
        path = Path(answer["path"])
        assert path.parent == installation.nvr.export_folder
        assert path.stat().st_size == answer["size"]
        response = await client.get(answer["url"])
        assert response.status == 200
        assert await response.read() == path.read_bytes()
    plain = Path(whole["path"]).read_bytes()
    drawn = await act(hass, "export_clip", event_id=event.id, time_stamp=True)
    assert drawn["duration"] == whole["duration"]
    # Both are there, each under its own name
    assert Path(drawn["path"]).read_bytes() != plain
    assert Path(whole["path"]).read_bytes() == plain
    assert (await client.get(drawn["url"])).status == 200
    target = installation.media / "mine" / "clip.mp4"
    answer = await act(hass, "export_clip", event_id=event.id, filename=str(target))
    assert answer["url"] is None
    assert target.stat().st_size == whole["size"]
    await refused(
        hass,
        ServiceValidationError,
        "path_not_allowed",
        "export_clip",
        event_id=event.id,
        filename="/etc/clip.mp4",
    )
    hour = installation.nvr.media_root / event.path
    recorded = hour.read_bytes()
    (installation.media / "way").symlink_to(hour.parent)
    for path in (
        hour,
        hour.with_suffix(".json"),
        installation.media / "way" / hour.name,
        installation.nvr.export_folder / "another.mp4",
    ):
        await refused(
            hass,
            ServiceValidationError,
            "path_of_recordings",
            "export_clip",
            event_id=event.id,
            filename=str(path),
        )
    assert hour.read_bytes() == recorded
    (installation.media / "file").write_text("")
    await refused(
        hass,
        HomeAssistantError,
        "storage_failed",
        "export_clip",
        event_id=event.id,
        filename=str(installation.media / "file" / "clip.mp4"),
    )
    early = dt_util.utc_from_timestamp(event.start_ms / 1000 - 1000)
    await refused(
        hass,
        ServiceValidationError,
        "nothing_recorded",
        "export_clip",
        **span | {"start": early, "end": early + timedelta(seconds=1)},
    )
    await refused(
        hass,
        ServiceValidationError,
        "invalid_value",
        "create_timelapse",
        **span | {"end": early},
    )


@pytest.mark.parametrize(
    ("raised", "error", "key"),
    [
        (ClipGone("gone"), HomeAssistantError, "clip_gone"),
        (EventBusy("busy"), HomeAssistantError, "event_busy"),
        (StorageFailed("full"), HomeAssistantError, "storage_failed"),
    ],
)
async def test_library_errors(
    installation: Installation,
    hass: HomeAssistant,
    raised: RecordingError,
    error: type[HomeAssistantError],
    key: str,
) -> None:
    """What the library cannot do is said in the person's language."""
    with patch.object(
        installation.nvr.recordings.library, "delete", side_effect=raised
    ):
        await refused(hass, error, key, "delete_event", event_id=NO_EVENT)


@pytest.mark.parametrize(
    "call",
    [
        ("protect", {"event_id": "nothing"}),
        ("label_event", {"event_id": NO_EVENT}),
        ("record", {"camera": "camera.x", "duration": 0}),
        ("purge", {"older_than": 0}),
        ("purge", {"older_than": -1}),
        ("purge", {"older_than": {"days": 0}}),
        ("purge", {"older_than": {"days": 999_999}}),
        ("purge", {"older_than": 1e10}),
        ("purge", {"older_than": float("inf")}),
        ("export_clip", {"camera": "camera.x"}),
        ("create_timelapse", {"camera": "camera.x", "start": "x", "end": "y"}),
        ("list_events", {"limit": 501}),
        ("list_events", {"cursor": 1, "limit": "x"}),
    ],
)
async def test_schemas(
    installation: Installation, hass: HomeAssistant, call: tuple[str, dict[str, Any]]
) -> None:
    """What makes no sense is refused before anything is done."""
    with pytest.raises(probatio.Invalid):
        await act(hass, call[0], **call[1])


async def test_cameras_by_all_their_names(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """A camera is named by its entity, its device, or its own id, also when it was removed."""
    device = dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), installation.entry().entry_id
    )
    assert device
    for name in (
        installation.entity_id("binary_sensor", "motion"),
        device.id,
        CAMERA_ID,
        CAMERA_ID.lower().replace(":", "-"),
    ):
        answer = await act(hass, "list_events", camera=name)
        assert len(answer["events"]) == 1, name
    nvr_device = device.via_device_id
    for name in ("camera.nothing", "sun.sun", nvr_device):
        await refused(
            hass, ServiceValidationError, "unknown_camera", "snapshot", camera=name
        )
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    answer = await act(hass, "list_events", camera=CAMERA_ID)
    assert answer["events"][0]["camera_name"] == "Front door"
    await refused(
        hass, ServiceValidationError, "unknown_camera", "snapshot", camera=CAMERA_ID
    )


async def test_not_running(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """Without a camera there is nothing to act on."""
    entry = bare_installation.add_nvr_entry()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    await refused(hass, NotRunning, "not_running", "list_events")


async def test_rights(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_admin_user: MockUser,
) -> None:
    """Who may only look, looks; who may not even look, does not."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    entity_id = installation.entity_id("camera", "camera")
    looker = MockUser(id="looker").add_to_hass(hass)
    looker.mock_policy({"entities": {"entity_ids": {entity_id: {"read": True}}}})
    other = MockUser(id="other").add_to_hass(hass)
    other.mock_policy({})
    look, nothing = Context(user_id="looker"), Context(user_id="other")
    assert len((await act(hass, "list_events", look))["events"]) == 1
    assert (await act(hass, "list_events", nothing))["events"] == []
    assert (await act(hass, "export_clip", look, event_id=event.id))["size"]
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("record", {"camera": entity_id}),
        ("snapshot", {"camera": entity_id}),
        ("protect", {"event_id": event.id}),
        ("delete_event", {"event_id": event.id}),
        ("label_event", {"event_id": event.id, "labels": []}),
        ("purge", {}),
        ("rebuild_index", {}),
    )
    for action, data in calls:
        with pytest.raises(Unauthorized):
            await act(hass, action, look, **data)
    for action, data in (
        ("list_events", {"camera": entity_id}),
        ("export_clip", {"event_id": event.id}),
    ):
        with pytest.raises(Unauthorized):
            await act(hass, action, nothing, **data)
    with pytest.raises(UnknownUser):
        await act(hass, "protect", Context(user_id="ghost"), event_id=event.id)
    admin = Context(user_id=hass_admin_user.id)
    assert (await act(hass, "protect", admin, event_id=event.id))["protected"]
    assert await act(hass, "rebuild_index", admin) == {"events": 1}


async def test_stream_key(
    installation: Installation, hass: HomeAssistant, hass_storage: dict[str, Any]
) -> None:
    """A key is kept, and a revoked one forgotten, before the action answers: a crash brings none back."""
    await installation.claimed()
    entity_id = installation.entity_id("camera", "camera")

    def kept() -> Any:
        return hass_storage["magicpi_nvr.settings"]["data"]["stream_keys"]

    answer = await act(hass, "create_stream_key", camera=entity_id)
    assert answer["camera"] == CAMERA_ID
    assert list(kept()) == [CAMERA_ID]
    _, _, key = answer["url"].partition("?key=")
    assert key not in str(kept())
    answer = await act(hass, "revoke_stream_key", camera=entity_id)
    assert answer == {"camera": CAMERA_ID, "revoked": True}
    assert kept() == {}
    answer = await act(hass, "revoke_stream_key", camera=entity_id)
    assert not answer["revoked"]
