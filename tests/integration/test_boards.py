"""A camera whose board is replaced: one camera for people, another board on the wire."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.const import (
    CONF_BOARD_ID,
    CONF_RETENTION_DAYS,
    CONF_SETUP_CODE,
    DOMAIN,
)
from custom_components.magicpi_nvr.diagnostics import async_get_config_entry_diagnostics
from custom_components.magicpi_nvr.recording import Event
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntryDisabler,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_NAME
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, SETUP_CODE, Installation
from virtual_camera import VirtualCamera
from virtual_camera.api import ApiError

from .test_config_flow import configure, discover, fake_camera
from .test_media_source import FOLDER, browse
from .test_services import act
from .test_websocket_api import ask

NEW_ID = "AA:BB:CC:DD:EE:07"
THIRD_ID = "AA:BB:CC:DD:EE:09"


async def board_form(installation: Installation) -> ConfigFlowResult:
    """Return the form that asks for the new board."""
    entry = installation.entry()
    assert entry.unique_id
    result = await installation.start_flow(SOURCE_RECONFIGURE, entry.unique_id)
    assert result["type"] is FlowResultType.MENU
    result = await installation.hass.config_entries.flow.async_configure(
        result["flow_id"], {"next_step_id": "board"}
    )
    assert result["step_id"] == "board"
    return result


def typed(camera: VirtualCamera, code: str = SETUP_CODE) -> dict[str, Any]:
    """Return what a person types of a board in setup mode."""
    return {CONF_HOST: f"127.0.0.1:{camera.setup_port}", CONF_SETUP_CODE: code}


async def replace(installation: Installation, camera: VirtualCamera) -> None:
    """Put a board in setup mode in the place of the present one."""
    result = await board_form(installation)
    result = await configure(installation.hass, result, typed(camera))
    assert result["type"] is FlowResultType.SHOW_PROGRESS, result
    await installation.hass.async_block_till_done()
    result = await configure(installation.hass, result)
    assert result["reason"] == "board_replaced"
    await installation.hass.async_block_till_done()
    await camera.wait_event("welcome")
    assert installation.camera().board_id == camera.id


async def record(installation: Installation, camera: VirtualCamera) -> Event:
    """Let somebody pass by; returns the event."""
    before = installation.nvr.recordings.last_event(CAMERA_ID)
    camera.trigger_motion(1.0)
    await installation.wait_until(
        lambda: (
            (event := installation.nvr.recordings.last_event(CAMERA_ID)) is not None
            and event.state == "ready"
            and (before is None or event.id != before.id)
        )
    )
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    return event


async def works(installation: Installation, camera: VirtualCamera) -> None:
    """The board is still the camera: its key is good, and what it sees is recorded."""
    assert installation.camera().board_id == camera.id
    assert (await camera.request("GET", "/device/status"))["id"] == camera.id
    await record(installation, camera)
    assert not installation.nvr.claiming


async def test_new_board(
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    hass_client: ClientSessionGenerator,
) -> None:
    """Another board goes on as the camera: entities, settings and one timeline; the old key is worthless."""
    old = await installation.claimed(always_on=True)
    entry = installation.entry()
    hass.config_entries.async_update_entry(entry, options={CONF_RETENTION_DAYS: 3})
    installation.nvr.set_zones(CAMERA_ID, [])
    installation.camera().set_config({"framerate": 7, "brightness": 1})
    await installation.wait_until(lambda: not installation.camera().config.pending)
    first = await record(installation, old)
    frames = installation.camera().counters.frames
    entities = {
        item.entity_id: item.unique_id
        for item in er.async_entries_for_config_entry(
            er.async_get(hass), entry.entry_id
        )
    }
    (before,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    key, api, headers = old.flash.api_key, old.api(), old.auth_headers()

    new = await installation.switch_on(NEW_ID, always_on=True)
    mark = old.mark()
    await replace(installation, new)

    # The old board, which was connected, hears of it; its key opens nothing any more
    assert key
    await old.wait_event("closed", after=mark)
    await old.wait_state("setup")
    with pytest.raises(ApiError) as refused:
        await api.json("GET", "/device/status", headers=headers)
    assert (refused.value.status, refused.value.slug) == (401, "unauthorized")

    # What people have of the camera is what it was
    assert entry.state is ConfigEntryState.LOADED
    assert entry.title == installation.camera().name == "Front door"
    assert entry.options == {CONF_RETENTION_DAYS: 3}
    assert entry.data[CONF_BOARD_ID] == NEW_ID
    assert entities == {
        item.entity_id: item.unique_id
        for item in er.async_entries_for_config_entry(
            er.async_get(hass), entry.entry_id
        )
    }
    (same,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    assert same.id == before.id
    assert same.connections == {(dr.CONNECTION_NETWORK_MAC, NEW_ID.lower())}
    assert same.serial_number == NEW_ID
    await installation.wait_until(lambda: new.config.get("framerate") == 7)
    assert new.config["brightness"] == 1
    assert installation.camera().counters.frames >= frames

    # One timeline
    second = await record(installation, new)
    library = installation.nvr.recordings.library
    both = [second.id, first.id]
    page = await library.events(camera=CAMERA_ID, start_ms=first.start_ms)
    assert [event.id for event in page.events] == both
    (day,) = await library.days(camera=CAMERA_ID)
    assert day.events == 2
    month = dt_util.now().strftime("%Y-%m")
    assert await library.days(camera=CAMERA_ID, month=month) == [day]
    client = await hass_ws_client()
    (shown,) = (await ask(client, "cameras"))["cameras"]
    assert shown["id"] == CAMERA_ID
    answer = await ask(client, "events", camera_ids=[CAMERA_ID])
    assert [event["id"] for event in answer["events"]] == both
    (counted,) = (await ask(client, "days", camera_id=CAMERA_ID))["days"]
    assert counted["events"] == 2
    node = await browse(hass, f"day/{FOLDER}/{day.date}")
    assert sum(first.id in item.media_content_id for item in node.children) == 1
    assert sum(second.id in item.media_content_id for item in node.children) == 1
    http = await hass_client()
    for event in answer["events"]:
        assert (await http.get(event["clip"])).status == 200
    # The camera itself sees both, too
    found = await new.request("GET", "/recordings")
    assert len(found["recordings"]) == 2

    purged = await act(hass, "purge", older_than={"milliseconds": 1}, camera=CAMERA_ID)
    assert purged["count"] == 2
    assert not (await library.events(camera=CAMERA_ID)).events


async def test_old_board_becomes_another_camera(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The old board is found as a new camera, is claimed as one, and shares nothing with its former place."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    await old.wait_state("setup")

    result = await discover(hass, old.setup_port)
    assert result["step_id"] == "claim"
    assert result["description_placeholders"]["id"] == CAMERA_ID
    # It is found once
    again = await discover(hass, old.setup_port)
    assert again["reason"] == "already_in_progress"
    result = await configure(
        hass, result, {CONF_SETUP_CODE: SETUP_CODE, CONF_NAME: "Shed"}
    )
    await hass.async_block_till_done()
    result = await configure(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    entry = result["result"]
    shed_id = entry.data["id"]
    assert shed_id not in (CAMERA_ID, NEW_ID)
    assert entry.data[CONF_BOARD_ID] == CAMERA_ID
    (shed,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    (door,) = dr.async_entries_for_config_entry(
        dr.async_get(hass), installation.entry().entry_id
    )
    assert shed.id != door.id
    assert installation.camera(shed_id).board_id == CAMERA_ID
    assert installation.camera().board_id == NEW_ID
    await installation.restart()
    assert installation.camera(shed_id).board_id == CAMERA_ID
    assert installation.camera().board_id == NEW_ID
    event = await record(installation, new)
    assert event.camera == CAMERA_ID


async def test_back_to_the_old_board(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Replaced, replaced again, and back: one timeline, and each time one board."""
    boards = [
        await installation.claimed(always_on=True),
        await installation.switch_on(NEW_ID, always_on=True),
        await installation.switch_on(THIRD_ID, always_on=True),
    ]
    events = [await record(installation, boards[0])]
    for board in (*boards[1:], boards[0]):
        await board.wait_state("setup")
        await replace(installation, board)
        events.append(await record(installation, board))
        for other in boards:
            if other is not board:
                await other.wait_state("setup")
        await installation.restart()
        await board.wait_event("welcome", after=board.mark())
    page = await installation.nvr.recordings.library.events(camera=CAMERA_ID)
    assert [event.id for event in reversed(page.events)] == [
        event.id for event in events
    ]
    assert len(installation.nvr.gateway.cameras) == 1
    assert len(hass.config_entries.async_entries(DOMAIN)) == 2


async def test_failures_leave_the_old_board(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """Whatever goes wrong with the new board, the old one records on."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID)
    result = await board_form(installation)
    for answer, error in (
        (
            {CONF_HOST: "a b", CONF_SETUP_CODE: SETUP_CODE},
            {CONF_HOST: "cannot_connect"},
        ),
        (typed(new, "0000-0000-0000-0000"), {CONF_SETUP_CODE: "wrong_code"}),
        (typed(new, "UUUU"), {CONF_SETUP_CODE: "invalid_code"}),
    ):
        result = await configure(hass, result, answer)
        assert result["errors"] == error
        await works(installation, old)
    # It belongs to somebody else already
    port = await device(fake_camera(camera_id=NEW_ID, get=409))
    taken = {CONF_HOST: f"127.0.0.1:{port}", CONF_SETUP_CODE: SETUP_CODE}
    result = await configure(hass, result, taken)
    assert result["errors"] == {CONF_HOST: "already_claimed"}
    # It takes the code and is never seen again
    port = await device(fake_camera(camera_id=NEW_ID))
    gone = {CONF_HOST: f"127.0.0.1:{port}", CONF_SETUP_CODE: SETUP_CODE}
    with patch(
        "custom_components.magicpi_nvr.claiming.REGISTRATION_TIMEOUT",
        timedelta(seconds=0.01),
    ):
        result = await configure(hass, result, gone)
        assert result["type"] is FlowResultType.SHOW_PROGRESS
        await hass.async_block_till_done()
        result = await configure(hass, result)
    assert result["step_id"] == "not_registered"
    await works(installation, old)
    result = await configure(hass, result, {})
    assert result["step_id"] == "board"
    # The dialog is closed while the board is on its way
    result = await configure(hass, result, gone)
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    hass.config_entries.flow.async_abort(result["flow_id"])
    await hass.async_block_till_done()
    await works(installation, old)
    assert len(installation.nvr.gateway.cameras) == 1
    # And it still can be replaced
    await replace(installation, new)


async def test_board_of_another_camera(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A board that is another camera here is refused, and both go on."""
    old = await installation.claimed(always_on=True)
    garage = await installation.claimed(NEW_ID, "Garage", always_on=True)
    garage.factory_reset()
    await garage.wait_state("setup")
    result = await board_form(installation)
    result = await configure(hass, result, typed(garage))
    assert result["errors"] == {"base": "board_in_use"}
    assert result["description_placeholders"]["holder"] == "Garage"
    await works(installation, old)
    assert installation.camera(NEW_ID).board_id == NEW_ID


async def test_same_board(installation: Installation, hass: HomeAssistant) -> None:
    """A board that was reset can take its own place; one that was not is refused."""
    camera = await installation.claimed(always_on=True)
    address = typed(camera)
    result = await board_form(installation)
    result = await configure(hass, result, address)
    assert result["errors"]
    await works(installation, camera)
    hass.config_entries.flow.async_abort(result["flow_id"])
    camera.factory_reset()
    await camera.wait_state("setup")
    mark = camera.mark()
    await replace(installation, camera)
    await camera.wait_event("welcome", after=mark)
    await works(installation, camera)


async def test_during_a_recording(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the old board recorded so far is kept, and the new one begins an event of its own."""
    # So long an event waits for its camera
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.recording.capture.recorder.GRACE_S", 0.1
    )
    old = await installation.claimed(always_on=True, tail_s=30)
    new = await installation.switch_on(NEW_ID, always_on=True)
    old.trigger_motion(30)
    await installation.wait_until(
        lambda: installation.nvr.recordings.is_recording(CAMERA_ID)
    )
    await replace(installation, new)
    await installation.wait_until(
        lambda: (
            (event := installation.nvr.recordings.last_event(CAMERA_ID)) is not None
            and event.state != "recording"
        )
    )
    cut = installation.nvr.recordings.last_event(CAMERA_ID)
    assert cut
    assert cut.frames > 0
    event = await record(installation, new)
    assert event.id != cut.id


async def test_dialogs_at_once(
    installation: Installation, hass: HomeAssistant, device: Any
) -> None:
    """A camera gets one board at a time, and a board one place."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    first, second = await board_form(installation), await board_form(installation)
    port = await device(fake_camera(camera_id=THIRD_ID))
    waiting = {CONF_HOST: f"127.0.0.1:{port}", CONF_SETUP_CODE: SETUP_CODE}
    first = await configure(hass, first, waiting)
    assert first["type"] is FlowResultType.SHOW_PROGRESS
    second = await configure(hass, second, typed(new))
    assert second["errors"] == {"base": "claim_in_progress"}
    # The board that is waited for cannot become another camera meanwhile
    flow = hass.config_entries.flow
    third = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    third = await configure(hass, third, {CONF_HOST: f"127.0.0.1:{port}"})
    third = await configure(hass, third, {CONF_SETUP_CODE: SETUP_CODE})
    assert third["errors"] == {"base": "claim_in_progress"}
    flow.async_abort(third["flow_id"])
    await works_while_claiming(installation, old)
    flow.async_abort(first["flow_id"])
    await hass.async_block_till_done()
    second = await configure(hass, second, typed(new))
    assert second["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    assert (await configure(hass, second))["reason"] == "board_replaced"
    await hass.async_block_till_done()
    await works(installation, new)


async def works_while_claiming(
    installation: Installation, camera: VirtualCamera
) -> None:
    """The board is still the camera while another is waited for."""
    assert (await camera.request("GET", "/device/status"))["id"] == camera.id


async def test_dialog_closed_after_registration(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A board that has registered is the camera, dialog or not."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await discover(hass, new.setup_port, NEW_ID)
    result = await board_form(installation)
    result = await configure(hass, result, typed(new))
    await new.wait_event("welcome")
    hass.config_entries.flow.async_abort(result["flow_id"])
    await hass.async_block_till_done()
    await old.wait_state("setup")
    assert installation.entry().data[CONF_BOARD_ID] == NEW_ID
    assert installation.entry().state is ConfigEntryState.LOADED
    # Nothing offers to claim it any more
    assert not hass.config_entries.flow.async_progress()
    await works(installation, new)


async def test_camera_removed_meanwhile(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Who deletes the camera while its board is replaced has neither board afterwards."""
    await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    result = await board_form(installation)
    await configure(hass, result, typed(new))
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    await installation.wait_until(lambda: not installation.nvr.gateway.cameras)
    assert not installation.nvr.claiming
    assert not hass.config_entries.flow.async_progress()
    # The former board may begin afresh under its own id, with the recordings that are there
    await installation.wait_until(lambda: new.flash.bundle is None)
    await new.wait_state("setup")
    await installation.claim(new, "Elsewhere")
    assert installation.camera(NEW_ID).board_id == NEW_ID


async def test_removed_after_it_was_replaced(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The key of the new board goes with the camera, and the old board finds its id free."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    assert not installation.nvr.gateway.cameras
    await new.wait_state("setup")
    await old.wait_state("setup")
    await installation.claim(old)
    assert installation.camera().board_id == CAMERA_ID
    assert CONF_BOARD_ID not in installation.entry().data


async def test_sleeping_board_comes_back(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A board that slept while it was replaced is refused as an unknown one, and asks for nothing."""
    old = await installation.claimed()
    await old.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    mark = old.mark()
    old.trigger_motion(0.5)
    refused = await old.wait_event("refused", after=mark)
    assert refused.data["status"] == 401
    await hass.async_block_till_done()
    assert not hass.config_entries.flow.async_progress()
    assert installation.camera().session
    await old.wait_state("asleep")
    old.factory_reset()
    await old.wait_state("setup")
    assert (await discover(hass, old.setup_port))["step_id"] == "claim"


async def test_restart_before_the_entry_knows(
    installation: Installation, hass: HomeAssistant
) -> None:
    """What the gateway stored counts: entry and device follow it after a restart."""
    await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    entry = installation.entry()
    data = {key: entry.data[key] for key in entry.data if key != CONF_BOARD_ID}
    hass.config_entries.async_update_entry(entry, data=data)
    await installation.restart()
    assert entry.data[CONF_BOARD_ID] == NEW_ID
    await works(installation, new)


async def test_key_lost_after_it_was_replaced(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera is claimed again by the board that it has, and by no other."""
    old = await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    await old.wait_state("setup")
    new.factory_reset()
    await new.wait_state("setup")
    await installation.wait_until(lambda: installation.camera().session is None)
    result = await discover(hass, new.setup_port, NEW_ID)
    assert result["reason"] == "already_configured"
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["step_id"] == "reauth_confirm"
    flow = await configure(hass, flow, typed(old))
    assert flow["errors"] == {"base": "wrong_camera"}
    mark = new.mark()
    flow = await configure(hass, flow, typed(new))
    await hass.async_block_till_done()
    assert (await configure(hass, flow))["reason"] == "reauth_successful"
    await hass.async_block_till_done()
    await new.wait_event("welcome", after=mark)
    await works(installation, new)


async def test_found_board_and_link(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Boards that wait are offered, and the link of the setup page says it all."""
    await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await discover(hass, new.setup_port, NEW_ID)
    result = await board_form(installation)
    schema = result["data_schema"]
    assert schema
    (selector,) = [value for key, value in schema.schema.items() if key == CONF_HOST]
    assert [option["value"] for option in selector.config["options"]] == [
        f"127.0.0.1:{new.setup_port}"
    ]
    link = f"https://my.home-assistant.io/redirect/config_flow_start/?domain={DOMAIN}#"
    link += f"{NEW_ID}/{SETUP_CODE}"
    result = await configure(hass, result, {CONF_HOST: link, CONF_SETUP_CODE: link})
    assert result["type"] is FlowResultType.SHOW_PROGRESS
    await hass.async_block_till_done()
    assert (await configure(hass, result))["reason"] == "board_replaced"
    await hass.async_block_till_done()


async def test_diagnostics_name_no_board(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Neither id is in what people send along."""
    await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    facts = str(await async_get_config_entry_diagnostics(hass, installation.entry()))
    assert NEW_ID not in facts
    assert CAMERA_ID not in facts


async def test_replaced_after_the_key_was_lost(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that waits to be claimed again can get another board instead, and is asked for no more."""
    old = await installation.claimed(always_on=True)
    first = await record(installation, old)
    await installation.nvr.gateway.forget(CAMERA_ID)
    await old.wait_state("setup")
    entry = installation.entry()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_ERROR
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH
    new = await installation.switch_on(NEW_ID, always_on=True)
    await replace(installation, new)
    assert entry.state is ConfigEntryState.LOADED
    assert not hass.config_entries.flow.async_progress()
    second = await record(installation, new)
    page = await installation.nvr.recordings.library.events(camera=CAMERA_ID)
    assert [event.id for event in page.events] == [second.id, first.id]


async def test_replaced_while_disabled(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that was switched off stays off, with another board."""
    await installation.claimed(always_on=True)
    new = await installation.switch_on(NEW_ID, always_on=True)
    entry = installation.entry()
    await hass.config_entries.async_set_disabled_by(
        entry.entry_id, ConfigEntryDisabler.USER
    )
    await hass.async_block_till_done()
    await replace(installation, new)
    assert entry.state is ConfigEntryState.NOT_LOADED
    await hass.config_entries.async_set_disabled_by(entry.entry_id, None)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert installation.camera().board_id == NEW_ID
