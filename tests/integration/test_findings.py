"""What vision found, by the ways in which recordings are listed: action, REST, WebSocket, search; and counters over a restart."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.nvr.copies import facts_of
from custom_components.magicpi_nvr.nvr.false_alarms import FalseAlarms
from custom_components.magicpi_nvr.nvr.findings import merged
from custom_components.magicpi_nvr.nvr.stores import NvrSettings
from custom_components.magicpi_nvr.recording import (
    NO_FINDINGS,
    Detection,
    Event,
    Findings,
)
from homeassistant.const import EVENT_HOMEASSISTANT_FINAL_WRITE
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, Installation

from .test_media_source import put_events, search

PERSON = Detection(
    label="person",
    score=0.71,
    box=(0.1, 0.2, 0.3, 0.4),
    zones=("Path",),
    still=False,
    counts=True,
)
CAR = replace(PERSON, label="vehicle", zones=("Path left",))
ZONES = [
    {"name": name, "kind": "watch", "points": [[0, 0], [1, 0], [1, 1]]}
    for name in ("Path", "Path left")
]


@pytest.fixture(name="events")
async def fixture_events(installation: Installation) -> list[Event]:
    """A person in Path, a vehicle in Path left, nothing, and one that nobody looked at."""
    await installation.claimed()
    library = installation.nvr.recordings.library
    events = await put_events(installation, 4)
    for event, findings in zip(
        events,
        (
            Findings(verdict="seen", zones=("Path",), detections=(PERSON,)),
            Findings(verdict="seen", zones=("Path left",), detections=(CAR,)),
            Findings(verdict="nothing_seen"),
        ),
        strict=False,
    ):
        await library.note_findings(event.id, findings)
    assert installation.nvr.set_zones(CAMERA_ID, ZONES)
    return events


@pytest.mark.parametrize("way", ["action", "rest", "websocket"])
async def test_lists_have_the_same_filters(
    hass: HomeAssistant,
    installation: Installation,
    events: list[Event],
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    way: str,
) -> None:
    """Label, zone and what shows nothing narrow each list in the same way; what shows nothing is hidden."""

    async def listed(**asked: str) -> set[int]:
        if way == "action":
            answer: Any = await hass.services.async_call(
                DOMAIN, "list_events", asked, blocking=True, return_response=True
            )
            found = [item["id"] for item in answer["events"]]
        elif way == "rest":
            client = await hass_client()
            response = await client.get("/api/magicpi_nvr/recordings", params={**asked})
            found = [item["id"] for item in (await response.json())["recordings"]]
        else:
            socket = await hass_ws_client(hass)
            await socket.send_json_auto_id({"type": f"{DOMAIN}/events", **asked})
            answer = await socket.receive_json()
            found = [item["id"] for item in answer["result"]["events"]]
        return {[event.id for event in events].index(name) for name in found}

    assert await listed() == {0, 1, 3}
    assert await listed(label="Person") == {0}
    assert await listed(label="vehicle") == {1}
    assert await listed(zone="path") == {0}
    assert await listed(zone="Path left") == {1}
    assert await listed(zone="Path", label="vehicle") == set()
    assert await listed(nothing_seen="show") == {0, 1, 2, 3}
    assert await listed(nothing_seen="only") == {2}


async def test_search_knows_zones_and_what_shows_nothing(
    hass: HomeAssistant, events: list[Event]
) -> None:
    """Names of zones and `nothing seen` are words of a search; without these, what shows nothing is hidden."""
    for query, count in (
        ("motion", 3),
        ("person", 1),
        ("path", 1),
        ("Path left", 1),
        ("path left vehicle", 1),
        ("path vehicle", 0),
        ("nothing seen", 1),
        ("nothing seen path", 0),
    ):
        assert len(await search(hass, query)) == count, query


async def test_copies_say_what_was_found(
    installation: Installation, events: list[Event]
) -> None:
    """Labels, scores, zones and boxes are in the JSON beside a copy."""
    event = await installation.nvr.recordings.library.event(events[0].id)
    assert event
    said = facts_of(event, installation.nvr.entries).as_dict()
    assert said["labels"] == ["person"]
    assert said["zones"] == ["Path"]
    (found,) = said["more"]["vision"]["detections"]
    assert found["label"] == "person"
    assert found["score"] == 0.71
    assert found["zones"] == ["Path"]
    assert found["box"] == [0.1, 0.2, 0.3, 0.4]


async def test_counters_outlive_a_restart(
    hass: HomeAssistant, installation: Installation, hass_storage: dict[str, Any]
) -> None:
    """False alarms and time saved of the day are written, and read at the next start."""
    await installation.claimed()
    today = {
        "day": dt_util.now().date().isoformat(),
        "false_alarms": 3,
        "saved_s": 120.5,
    }
    settings = installation.nvr.settings
    settings.false_alarms[CAMERA_ID] = today
    settings.save()
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    again = NvrSettings(hass)
    await again.async_load()
    assert again.false_alarms == {CAMERA_ID: today}
    await installation.nvr.async_forget_camera(CAMERA_ID)
    assert settings.false_alarms == {}


SEEN = Findings(verdict="seen", detections=(PERSON,), zones=("Path",), strength=4)
NOTHING = Findings(verdict="nothing_seen", strength=1)
UNKNOWN = Findings(strength=2)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (NO_FINDINGS, NOTHING, "nothing_seen"),
        (NOTHING, NO_FINDINGS, "nothing_seen"),
        (NOTHING, NOTHING, "nothing_seen"),
        (SEEN, NOTHING, "seen"),
        (NOTHING, SEEN, "seen"),
        (UNKNOWN, NOTHING, None),
        (NOTHING, UNKNOWN, None),
    ],
)
def test_parts_of_an_event(
    before: Findings, now: Findings, verdict: str | None
) -> None:
    """Nothing is seen in an event when nothing is in any of its parts; what was found stays."""
    both = merged(before, now)
    assert both.verdict == verdict
    assert set(both.detections) == {*before.detections, *now.detections}
    assert both.strength == max(before.strength, now.strength)


def test_a_false_alarm_counts_once_and_is_taken_back() -> None:
    """Each event counts once; when more of it comes and shows somebody, it was none."""
    store: Any = SimpleNamespace(false_alarms={}, save=lambda: None)
    alarms = FalseAlarms(store)
    for verdict, count in (
        (None, 0),
        ("nothing_seen", 1),
        ("nothing_seen", 1),
        (None, 1),
        ("seen", 0),
        ("nothing_seen", 0),
    ):
        alarms.judge("one", CAMERA_ID, verdict)
        assert alarms.events(CAMERA_ID) == count
    alarms.judge("two", CAMERA_ID, "nothing_seen")
    tomorrow = dt_util.now() + timedelta(days=1)
    with patch("homeassistant.util.dt.now", return_value=tomorrow):
        alarms.judge("two", CAMERA_ID, "seen")
        assert alarms.events(CAMERA_ID) == 0
    # A file that somebody edited
    store.false_alarms[CAMERA_ID] = {
        "day": dt_util.now().date().isoformat(),
        "false_alarms": "many",
        "saved_s": None,
    }
    assert (alarms.events(CAMERA_ID), alarms.saved_s(CAMERA_ID)) == (0, 0)
