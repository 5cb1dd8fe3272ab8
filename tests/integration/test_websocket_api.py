"""The WebSocket commands that cards use."""

from email.utils import parsedate_to_datetime
from typing import Any
from unittest.mock import patch

from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    MockHAClientWebSocket,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.recording import (
    Event as RecordedEvent,
    Library,
    StorageFailed,
)
from homeassistant.core import HomeAssistant
from tests.harness.home_assistant import CAMERA_ID, Installation, token_of

from .test_media_source import NOON, put_events

OTHER_ID = "AA:BB:CC:DD:EE:02"


async def ask(client: MockHAClientWebSocket, command: str, **data: Any) -> Any:
    """Send a command; returns its result."""
    await client.send_json_auto_id({"type": f"magicpi_nvr/{command}", **data})
    answer = await client.receive_json()
    assert answer["success"], answer
    return answer["result"]


async def refused(client: MockHAClientWebSocket, command: str, **data: Any) -> str:
    """Send a command that fails; returns the error's code."""
    await client.send_json_auto_id({"type": f"magicpi_nvr/{command}", **data})
    answer = await client.receive_json()
    assert not answer["success"]
    return str(answer["error"]["code"])


async def test_cameras(
    clip: RecordedEvent,
    installation: Installation,
    hass_ws_client: WebSocketGenerator,
    hass_client: ClientSessionGenerator,
) -> None:
    """Cameras come with what a card draws."""
    (camera,) = (await ask(await hass_ws_client(), "cameras"))["cameras"]
    picture = camera.pop("picture")
    taken_ms = camera.pop("picture_at")
    assert camera == {
        "id": CAMERA_ID,
        "name": "Front door",
        "entity_id": installation.entity_id("camera", "camera"),
        "motion_entity_id": installation.entity_id("binary_sensor", "motion"),
        "status": "asleep",
        "recording": False,
        "rights": ["control", "edit"],
    }
    response = await (await hass_client()).get(picture)
    assert response.status == 200
    taken = parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()
    assert abs(taken_ms / 1000 - taken) < 1


async def test_events_and_days(
    installation: Installation, hass_ws_client: WebSocketGenerator
) -> None:
    """Events are paged and filtered; days are counted."""
    await installation.claimed()
    events = await put_events(installation, 5)
    other = await put_events(installation, 3, camera=OTHER_ID)
    client = await hass_ws_client()
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ask(
            client, "events", camera_ids=[CAMERA_ID], start=NOON, limit=2, **cursor
        )
        seen += [event["id"] for event in page["events"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert seen == [event.id for event in reversed(events)]
    both = await ask(client, "events", camera_ids=[CAMERA_ID, OTHER_ID])
    assert len(both["events"]) == 8
    assert both["events"][0]["thumbnail"] is None
    assert (await ask(client, "events", camera_ids=[]))["events"] == []
    assert len((await ask(client, "events"))["events"]) == 8
    early = await ask(client, "events", end=NOON + 1)
    assert {event["id"] for event in early["events"]} == {events[0].id, other[0].id}
    await installation.nvr.recordings.async_label(events[1].id, ["person"], "somebody")
    for found in ({"label": "Person"}, {"text": "some"}):
        page = await ask(client, "events", **found)
        assert [event["id"] for event in page["events"]] == [events[1].id]
    assert (await ask(client, "events", protected=True))["events"] == []
    days = await ask(client, "days", camera_id=CAMERA_ID)
    assert [(day["date"], day["events"]) for day in days["days"]] == [("2026-11-22", 5)]
    assert await ask(client, "days", camera_id=CAMERA_ID, month="2026-10") == {
        "days": []
    }
    assert await refused(client, "days", camera_id=CAMERA_ID, month="x") == (
        "invalid_format"
    )
    assert await refused(client, "events", cursor="x") == "invalid_format"
    assert await refused(client, "events", limit=501) == "invalid_format"


async def test_pushed(
    installation: Installation, hass_ws_client: WebSocketGenerator
) -> None:
    """What happens to events is pushed."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    client = await hass_ws_client()
    await ask(client, "subscribe")
    camera.trigger_motion(0.5)
    kinds: list[str] = []
    while "clip_ready" not in kinds:
        said = (await client.receive_json())["event"]
        kinds.append(said["type"])
    assert kinds[0] == "event_started"
    event = said["event"]
    assert event["camera"] == CAMERA_ID
    assert event["state"] == "ready"
    await installation.nvr.recordings.async_protect(event["id"], True)
    said = (await client.receive_json())["event"]
    assert said["type"] == "event_changed"
    assert said["event"]["protected"] is True
    await installation.nvr.recordings.async_protect(event["id"], False)
    await client.receive_json()
    await installation.nvr.recordings.async_delete(event["id"])
    said = (await client.receive_json())["event"]
    assert said == {
        "type": "event_deleted",
        "event": {"id": event["id"], "camera": CAMERA_ID},
    }
    subscription = 1
    await client.send_json_auto_id(
        {"type": "unsubscribe_events", "subscription": subscription}
    )
    assert (await client.receive_json())["success"]
    assert not installation.nvr.changes.event_listeners - {
        listener
        for listener in installation.nvr.changes.event_listeners
        if "push" not in getattr(listener, "__qualname__", "")
    }


async def test_rights(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Who has no right on a camera hears nothing of it."""
    client = await hass_ws_client(hass, await token_of(hass, {}))
    assert (await ask(client, "cameras"))["cameras"] == []
    assert (await ask(client, "events"))["events"] == []
    assert await refused(client, "days", camera_id=CAMERA_ID) == "unauthorized"
    await ask(client, "subscribe")
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    await installation.nvr.recordings.async_protect(event.id, True)
    # The answer to this is the next that comes
    assert (await ask(client, "cameras"))["cameras"] == []


async def test_deactivated_user(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
    hass_read_only_user: MockUser,
) -> None:
    """Who is deactivated hears no more, also over a connection that was open before."""
    client = await hass_ws_client(hass, hass_read_only_access_token)
    assert len((await ask(client, "cameras"))["cameras"]) == 1
    await ask(client, "subscribe")
    hass_read_only_user.is_active = False
    await installation.nvr.recordings.async_protect(clip.id, True)
    # The answer to this is the next that comes
    assert (await ask(client, "cameras"))["cameras"] == []
    assert (await ask(client, "events"))["events"] == []


async def test_storage_that_does_not_answer(
    installation: Installation, hass_ws_client: WebSocketGenerator
) -> None:
    """It is said in a sentence, as over HTTP."""
    client = await hass_ws_client()
    with patch.object(
        Library, "events", side_effect=StorageFailed("the storage does not answer")
    ):
        assert await refused(client, "events") == "storage"


async def test_not_running(
    bare_installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Without an NVR the commands say so."""
    entry = bare_installation.add_nvr_entry()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    client = await hass_ws_client()
    assert await refused(client, "cameras") == "not_running"
