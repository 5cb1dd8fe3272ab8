"""What goes wrong and is reported: repairs, diagnostics, system health."""

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
import json
from pathlib import Path
import shutil
from typing import Any, Literal, get_args
from unittest.mock import AsyncMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.diagnostics import async_get_config_entry_diagnostics
from custom_components.magicpi_nvr.gateway import CameraStatus, Change
from custom_components.magicpi_nvr.nvr.issues import ROUND
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from custom_components.magicpi_nvr.recording.capture import Problem, ProblemKind, Solved
from custom_components.magicpi_nvr.recording.errors import StorageFailed
from custom_components.magicpi_nvr.system_health import async_system_health_info
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from homeassistant.helpers.device_registry import format_mac
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, SETUP_CODE, Installation

HOUR_MS = 3_600_000
LATE = f"camera_late_{CAMERA_ID}"
WEAK = f"weak_wifi_{CAMERA_ID}"


def issue(hass: HomeAssistant, issue_id: str) -> ir.IssueEntry | None:
    """Return an issue."""
    return ir.async_get(hass).async_get_issue(DOMAIN, issue_id)


def now_ms() -> int:
    """Return now."""
    return int(dt_util.utcnow().timestamp() * 1000)


async def next_round(hass: HomeAssistant) -> None:
    """Let the watch go its round."""
    async_fire_time_changed(hass, dt_util.utcnow() + ROUND + timedelta(seconds=1))
    await hass.async_block_till_done()


@pytest.fixture
async def late_installation(
    clip: RecordedEvent, installation: Installation
) -> Installation:
    """Home Assistant with a camera that has been late for a day and an hour."""
    camera = installation.camera()
    camera.presence.status = CameraStatus.LATE
    camera.presence.late_since_ms = now_ms() - 25 * HOUR_MS
    camera.notify(Change.STATUS)
    await installation.hass.async_block_till_done()
    return installation


@pytest.fixture
async def fix(
    hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> Callable[[str, str], Any]:
    """Choose from the menu of an issue's repair, as the frontend does."""

    async def choose(issue_id: str, option: str) -> Any:
        assert await async_setup_component(hass, "repairs", {})
        client = await hass_client()
        answer = await client.post(
            "/api/repairs/issues/fix", json={"handler": DOMAIN, "issue_id": issue_id}
        )
        step = await answer.json()
        assert step["type"] == FlowResultType.MENU, step
        assert step["menu_options"][0] == "wait"
        found = issue(hass, issue_id)
        assert found
        placeholders = found.translation_placeholders or {}
        shown = step["description_placeholders"]
        assert shown
        assert placeholders.items() >= shown.items()
        answer = await client.post(
            f"/api/repairs/issues/fix/{step['flow_id']}", json={"next_step_id": option}
        )
        return await answer.json()

    return choose


async def test_late_camera_waits(
    late_installation: Installation, hass: HomeAssistant, fix: Callable[[str, str], Any]
) -> None:
    """A late camera is reported; who wants to wait is left alone as long again."""
    found = issue(hass, LATE)
    assert found
    assert found.is_fixable
    assert found.translation_placeholders["name"] == "Front door"
    assert found.translation_placeholders["last_seen"] != "-"
    step = await fix(LATE, "wait")
    assert step["type"] == FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert issue(hass, LATE) is None
    await next_round(hass)
    assert issue(hass, LATE) is None
    settings = late_installation.nvr.settings
    settings.late_snoozed[CAMERA_ID] -= 25 * HOUR_MS
    await next_round(hass)
    assert issue(hass, LATE)
    # It comes by itself
    late_installation.cameras[0].press_button()
    await late_installation.wait_until(lambda: issue(hass, LATE) is None)
    assert not settings.late_snoozed


@pytest.mark.parametrize("ahead", ["late_since", "snooze", "both"])
async def test_late_by_a_clock_that_was_ahead(
    late_installation: Installation, hass: HomeAssistant, ahead: str
) -> None:
    """A time that lies ahead, because the clock was set back since, silences nothing."""
    settings = late_installation.nvr.settings
    presence = late_installation.camera().presence
    future = now_ms() + 30 * 24 * HOUR_MS
    if ahead in ("late_since", "both"):
        presence.late_since_ms = future
    if ahead in ("snooze", "both"):
        settings.late_snoozed[CAMERA_ID] = future
    await next_round(hass)
    assert issue(hass, LATE)
    # Who puts it off now is left alone all the same
    settings.late_snoozed[CAMERA_ID] = now_ms()
    await next_round(hass)
    assert issue(hass, LATE) is None


async def test_late_camera_is_removed(
    late_installation: Installation, hass: HomeAssistant, fix: Callable[[str, str], Any]
) -> None:
    """A late camera can be removed; its recordings stay."""
    event = late_installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    step = await fix(LATE, "remove")
    assert step["type"] == FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert CAMERA_ID not in late_installation.nvr.gateway.cameras
    assert len(hass.config_entries.async_entries(DOMAIN)) == 1
    assert issue(hass, LATE) is None
    assert (late_installation.nvr.media_root / event.path).is_file()


async def test_late_for_an_hour_is_no_issue(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """Being late is a state first; only the hours of the option make it an issue."""
    camera = installation.camera()
    camera.presence.status = CameraStatus.LATE
    camera.presence.late_since_ms = now_ms() - HOUR_MS
    camera.presence.last_seen_ms = None
    camera.notify(Change.STATUS)
    await hass.async_block_till_done()
    assert issue(hass, LATE) is None
    camera.presence.late_since_ms = now_ms() - 25 * HOUR_MS
    await next_round(hass)
    found = issue(hass, LATE)
    assert found
    assert found.translation_placeholders["last_seen"] == "-"


async def test_pictures_that_are_refused(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Damaged and unsupported pictures are repairs of their own, and the camera has a problem."""
    await installation.claimed()
    camera = installation.camera()
    registry = er.async_get(hass)
    problem = registry.async_get_entity_id(
        "binary_sensor", DOMAIN, f"{format_mac(CAMERA_ID)}-problem"
    )
    assert problem
    for reason, key, other in (
        ("zeroed", "pictures_damaged", "pictures_unsupported"),
        ("dimensions", "pictures_unsupported", "pictures_damaged"),
    ):
        for event in (1, 2):
            for _ in range(5):
                camera.picture_refused(event, reason)
            camera.event_ended(0)
        await hass.async_block_till_done()
        found = issue(hass, f"{key}_{CAMERA_ID}")
        assert found
        assert found.translation_placeholders["reason"] == reason
        assert issue(hass, f"{other}_{CAMERA_ID}") is None
        state = hass.states.get(problem)
        assert state
        assert state.state == "on"
        assert state.attributes["pictures_refused"] == reason
    for _ in range(5):
        camera.pictures.accept(3)
    camera.event_ended(0)
    await hass.async_block_till_done()
    assert issue(hass, f"pictures_unsupported_{CAMERA_ID}") is None
    state = hass.states.get(problem)
    assert state
    assert state.state == "off"


async def test_weak_wifi(installation: Installation, hass: HomeAssistant) -> None:
    """A weak signal is reported when it stays weak, and taken back when it is good again."""
    await installation.claimed()
    camera = installation.camera()

    async def report(*signals: int | None) -> None:
        for rssi in signals:
            camera.telemetry.rssi = rssi
            camera.notify(Change.TELEMETRY)
            await hass.async_block_till_done()

    await report(-85, -85, -85, -85, -60, -85, None, -85, -78)
    assert issue(hass, WEAK) is None
    await report(-85, -85, -86)
    found = issue(hass, WEAK)
    assert found
    assert found.translation_placeholders == {"name": "Front door", "rssi": "-86"}
    await report(-78)
    assert issue(hass, WEAK)
    await report(-70)
    assert issue(hass, WEAK) is None


async def test_recorder_problems(
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the recorder suffers from is an issue as long as it lasts, and logged once."""
    nvr = installation.nvr
    client = await hass_client()
    for kind in get_args(ProblemKind.__value__):
        caplog.clear()
        for _ in range(3):
            nvr.recordings.handle_notice(Problem(kind, "why"))
        found = issue(hass, kind)
        assert found
        assert found.translation_placeholders == {"detail": "why"}
        assert caplog.text.count("why") == 1
        health = await (await client.get("/api/magicpi_nvr/health")).json()
        assert health["status"] == "problem"
        assert health["problems"] == [kind]
        nvr.recordings.handle_notice(Solved(kind))
        nvr.recordings.handle_notice(Solved(kind))
        assert issue(hass, kind) is None
        assert caplog.text.count("is over") == 1


@pytest.mark.parametrize(
    ("kind", "answer", "method"),
    [
        ("storage_other", "use", "accept_storage"),
        ("clock_implausible", "right", "confirm_clock"),
    ],
)
async def test_recorder_that_asks(
    installation: Installation,
    hass: HomeAssistant,
    fix: Callable[[str, str], Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["storage_other", "clock_implausible"],
    answer: str,
    method: str,
) -> None:
    """Another storage and a clock far off are questions: waiting leaves the issue, the answer reaches the library."""
    recordings = installation.nvr.recordings
    answered = []

    async def answers() -> None:
        answered.append(method)

    async def refuses() -> None:
        raise StorageFailed("no disk")

    recordings.handle_notice(Problem(kind, "why"))
    found = issue(hass, kind)
    assert found
    assert found.is_fixable
    step = await fix(kind, "wait")
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, "waiting")
    assert issue(hass, kind)
    monkeypatch.setattr(recordings.library, method, refuses)
    step = await fix(kind, answer)
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, "failed")
    assert step["description_placeholders"] == {"error": "no disk"}
    monkeypatch.setattr(recordings.library, method, answers)
    step = await fix(kind, answer)
    assert step["type"] == FlowResultType.CREATE_ENTRY
    assert answered == [method]
    assert issue(hass, kind) is None


async def test_clock_that_is_set(
    installation: Installation, hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    """A clock that was set is reported for a day."""
    watch = installation.nvr.issues
    with patch(
        "custom_components.magicpi_nvr.nvr.issues.boot_clock", return_value=1000.0
    ) as clock:
        watch.async_start(tuple, AsyncMock())()
        freezer.tick(3600)
        clock.return_value += 3600
        watch.check()
        assert issue(hass, "clock_stepped") is None
        freezer.tick(3600)
        clock.return_value += 60
        watch.check()
        found = issue(hass, "clock_stepped")
        assert found
        assert found.translation_placeholders == {"seconds": "3540"}
        freezer.tick(3600)
        clock.return_value += 3600
        watch.check()
        assert issue(hass, "clock_stepped")
        for _ in range(24):
            freezer.tick(3600)
            clock.return_value += 3600
            watch.check()
        assert issue(hass, "clock_stepped") is None


async def test_certificate_that_cannot_be_renewed(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A configuration folder that cannot be written to is reported in time."""
    with patch.object(
        installation.nvr.authority, "renew_if_due", side_effect=OSError("read-only")
    ):
        await next_round(hass)
        await installation.wait_until(lambda: issue(hass, "certificate") is not None)
    found = issue(hass, "certificate")
    assert found
    assert found.translation_placeholders == {"error": "read-only"}
    await next_round(hass)
    await installation.wait_until(lambda: issue(hass, "certificate") is None)


async def test_authority_lost(installation: Installation, hass: HomeAssistant) -> None:
    """Who lost the authority's files reads which cameras to claim again, until they are."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    assert issue(hass, "ca_recreated") is None
    for entry in hass.config_entries.async_entries(DOMAIN):
        await hass.config_entries.async_unload(entry.entry_id)
    for name in ("ca.pem", "server.pem"):
        await hass.async_add_executor_job((installation.nvr.folder / name).unlink)
    for entry in hass.config_entries.async_entries(DOMAIN):
        await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    found = issue(hass, "ca_recreated")
    assert found
    assert found.translation_placeholders == {"names": "Front door"}
    # A restart does not forget it
    await installation.restart()
    assert issue(hass, "ca_recreated")
    camera.factory_reset()
    await camera.wait_state("setup")
    result = await installation.start_flow("reauth", "aa:bb:cc:dd:ee:01")
    flow = hass.config_entries.flow
    mark = camera.mark()
    result = await flow.async_configure(
        result["flow_id"],
        {"host": f"127.0.0.1:{camera.setup_port}", "setup_code": SETUP_CODE},
    )
    await camera.wait_event("welcome", after=mark)
    await hass.async_block_till_done()
    assert issue(hass, "ca_recreated") is None
    await flow.async_configure(result["flow_id"])
    await hass.async_block_till_done()
    assert installation.entry().state is ConfigEntryState.LOADED


async def test_diagnostics(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """Diagnostics say what helps, and nothing that identifies or opens."""
    nvr_entry = installation.nvr.entries.nvr
    assert nvr_entry
    whole = await async_get_config_entry_diagnostics(hass, nvr_entry)
    camera = await async_get_config_entry_diagnostics(hass, installation.entry())
    assert whole["nvr"]["recorder"]["frames"] > 0
    assert len(whole["cameras"]) == 1
    details = camera["camera_details"]
    assert details["status"]["state"] == "asleep"
    assert -70 < details["telemetry"]["rssi"] < -40
    assert details["hello"]["reason"] in ("pir", "power")
    assert details["caps"]["battery"] is True
    text = json.dumps([whole, camera], default=str)
    flash = installation.cameras[0].flash
    assert flash.api_key
    for secret in (CAMERA_ID, "127.0.0.1", flash.api_key, SETUP_CODE, "Front door"):
        assert secret not in text
    assert "key_hash" not in text


async def test_diagnostics_with_every_counter(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Diagnostics can be downloaded whatever was counted."""
    nvr, camera = installation.nvr, installation.camera()
    for counters in (nvr.recordings.recorder.stats, camera.counters):
        for item in fields(counters):
            if isinstance(value := getattr(counters, item.name), Counter):
                value.update({"reason": 3})
            else:
                setattr(counters, item.name, 3)
    nvr.gateway.counters["refused"] = 3
    nvr.recordings.handle_notice(Problem("storage_gone", "why"))
    assert await async_setup_component(hass, "diagnostics", {})
    client = await hass_client()
    for entry in hass.config_entries.async_entries(DOMAIN):
        response = await client.get(f"/api/diagnostics/config_entry/{entry.entry_id}")
        assert response.status == 200
        data = (await response.json())["data"]
        assert data["nvr"]["recorder"]["drops"] == {"reason": 3}
        assert data["nvr"]["problems"] == {"storage_gone": "why"}


async def test_system_health(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """System health has the figures that people are asked for."""
    nvr = installation.nvr
    await installation.wait_until(lambda: nvr.recordings.usage.storage is not None)
    assert await async_setup_component(hass, "system_health", {})
    info = await async_system_health_info(hass)
    assert info == {
        "running": True,
        "port": installation.port,
        "cameras": "0 / 1",
        "encoders": 0,
        "ffmpeg": "ffmpeg",
        "problems": "-",
        "storage_used": info["storage_used"],
        "storage_free": info["storage_free"],
    }
    translations = json.loads(
        (
            Path(__file__).parents[2]
            / "custom_components"
            / DOMAIN
            / "translations"
            / "en.json"
        ).read_text()
    )
    assert info.keys() == translations["system_health"]["info"].keys()
    for entry in hass.config_entries.async_entries(DOMAIN):
        await hass.config_entries.async_unload(entry.entry_id)
    assert await async_system_health_info(hass) == {"running": False}


async def test_last_picture_that_cannot_be_kept(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A folder that cannot be written to costs the picture over a restart, no more."""
    camera = await installation.claimed()
    folder = installation.nvr.folder / "last"
    await hass.async_add_executor_job(shutil.rmtree, folder)
    camera.trigger_motion(0.3)
    await installation.wait_until(
        lambda: installation.nvr.recordings.last_event(CAMERA_ID) is not None
    )
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await installation.nvr.pictures.async_stop()
    assert installation.nvr.last_picture(CAMERA_ID)
    await installation.restart()
    assert installation.nvr.last_picture(CAMERA_ID) is None or not list(
        folder.iterdir()
    )
