"""The documents' automations, loaded and run by Home Assistant."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import async_mock_service
import yaml

from custom_components.magicpi_nvr import services
from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.setup import async_setup_component
from homeassistant.util import slugify
from tests.docs.documents import blocks

EXAMPLES: list[dict[str, Any]] = [
    content
    for block in blocks("yaml")
    if "triggers" in (content := yaml.safe_load(block.text))
]


def mock(
    hass: HomeAssistant, name: str, schema: object, answer: dict[str, Any]
) -> list[ServiceCall]:
    """Stand in for an action that checks its fields as the real one does."""
    return async_mock_service(
        hass,
        services.DOMAIN,
        name,
        schema,
        answer,
        supports_response=SupportsResponse.OPTIONAL,
    )


@pytest.fixture
async def loaded(hass: HomeAssistant) -> AsyncGenerator[None]:
    """Load every example, and stop them at the end: they wait for times of the day."""
    assert len(EXAMPLES) >= 5
    assert await async_setup_component(hass, "zone", {})
    assert await async_setup_component(hass, "automation", {"automation": EXAMPLES})
    await hass.async_block_till_done()
    yield
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "all"}, blocking=True
    )


@pytest.mark.usefixtures("loaded")
async def test_examples_load(hass: HomeAssistant) -> None:
    """Home Assistant takes each as it stands in the documents."""
    for example in EXAMPLES:
        state = hass.states.get(f"automation.{slugify(example['alias'])}")
        assert state, example["alias"]
        assert state.state == "on", example["alias"]


async def run(hass: HomeAssistant, alias: str) -> None:
    """Run an example."""
    await hass.services.async_call(
        "automation",
        "trigger",
        {"entity_id": f"automation.{slugify(alias)}"},
        blocking=True,
    )
    await hass.async_block_till_done()


@pytest.mark.usefixtures("loaded")
async def test_timelapse_of_the_day(hass: HomeAssistant) -> None:
    """The time-lapse covers the day that ends."""
    films = mock(
        hass,
        "create_timelapse",
        services.TIMELAPSE_SCHEMA,
        {"path": "/media/film.mp4", "duration": 8.2},
    )
    notes = async_mock_service(hass, "notify", "persistent_notification")
    await run(hass, "Time-lapse of the day")
    (film,) = films
    start, end = film.data["start"], film.data["end"]
    assert isinstance(start, datetime)
    assert (start.hour, end.hour) == (6, 22)
    assert start.date() == end.date()
    assert film.data["speed"] == 120
    assert [note.data["message"] for note in notes] == ["/media/film.mp4, 8 s"]


@pytest.mark.usefixtures("loaded")
async def test_events_of_yesterday(hass: HomeAssistant) -> None:
    """The list covers the day before."""
    lists = mock(
        hass,
        "list_events",
        services.LIST_SCHEMA,
        {"events": [{"id": "1"}, {"id": "2"}], "cursor": None},
    )
    notes = async_mock_service(hass, "notify", "persistent_notification")
    await run(hass, "Events of yesterday")
    (asked,) = lists
    assert asked.data["camera"] == ["camera.front_door", "camera.garden"]
    assert 23 <= (asked.data["end"] - asked.data["start"]).total_seconds() / 3600 <= 25
    assert [note.data["message"] for note in notes] == ["2 events yesterday"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(("at_home", "kept"), [("0", 1), ("2", 0)])
async def test_keep_clips_of_an_empty_house(
    hass: HomeAssistant, at_home: str, kept: int
) -> None:
    """A clip is protected while nobody is at home."""
    protected = mock(hass, "protect", services.EVENT_SCHEMA, {})
    hass.states.async_set("zone.home", at_home)
    for at, kind in (("07:00", "motion_started"), ("07:01", "clip_ready")):
        hass.states.async_set(
            "event.front_door_event",
            f"2026-11-22T{at}:00.000+00:00",
            {"event_type": kind, "event_id": "aabbccddeeff-0a1b2c3d-4"},
        )
        await hass.async_block_till_done()
    assert len(protected) == kept
