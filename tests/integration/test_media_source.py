"""The media browser: from cameras over days to events, and searching."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import time as clock_time
from pathlib import Path
import re
from time import perf_counter
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)
import yaml

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.media_identifier import Identifier, Kind
from custom_components.magicpi_nvr.media_source import MagicPiMediaSource
from custom_components.magicpi_nvr.nvr import DATA_NVR
from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.model import Event
from homeassistant.components.media_player import BrowseError, SearchMediaQuery
from homeassistant.components.media_source import (
    MediaSourceItem,
    Unresolvable,
    async_browse_media,
    async_resolve_media,
)
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, Installation, token_of

ROOT = f"media-source://{DOMAIN}"
DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboards.md"
NOON = 1_795_348_800_000  # 2026-11-22 12:00:00 UTC
FOLDER = CAMERA_ID.replace(":", "-")


async def browse(hass: HomeAssistant, identifier: str = "") -> Any:
    """Return a node."""
    return await async_browse_media(
        hass, f"{ROOT}/{identifier}" if identifier else ROOT
    )


async def search(hass: HomeAssistant, query: str, identifier: str = "") -> list[str]:
    """Return the titles of what is found."""
    item = MediaSourceItem.from_uri(
        hass, f"{ROOT}/{identifier}" if identifier else ROOT, None
    )
    found = await item.async_search(SearchMediaQuery(search_query=query))
    return [node.title for node in found.result]


async def put_events(
    installation: Installation,
    count: int,
    *,
    camera: str = CAMERA_ID,
    start_ms: int = NOON,
) -> list[Event]:
    """Put events into the index, a minute apart, the last one last."""
    zone = installation.nvr.recordings.library.settings.time_zone
    events = []
    for number in range(count):
        at = start_ms + number * 20_000
        events.append(
            Event(
                id=event_id(camera, 1, number + 1),
                camera=camera,
                start_ms=at,
                end_ms=at + 5_000,
                reason="motion",
                state="waiting",
                frames=50,
                lost=0,
                size=1000,
                path=HourPath.at(camera, at, zone).relative,
            )
        )
    for event in events:
        (installation.nvr.media_root / event.path).parent.mkdir(
            parents=True, exist_ok=True
        )
        await installation.nvr.recordings.library.record(event, None)
    return events


async def test_tree(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Cameras, days, events; each title says what there is."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    await installation.nvr.recordings.async_label(event.id, ["person", "parcel"], None)
    await installation.nvr.recordings.async_protect(event.id, True)
    at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    root = await browse(hass)
    assert [node.title for node in root.children] == [
        "Latest",
        "Protected recordings",
        "Exports",
        "Front door",
    ]
    assert all(node.can_search for node in root.children)
    camera = await browse(hass, root.children[3].identifier)
    (day,) = camera.children
    assert day.title == f"{at:%Y-%m-%d} (1)"
    day = await browse(hass, day.identifier)
    assert day.title == f"Front door {at:%Y-%m-%d}"
    leaf, clips = day.children
    length = round(event.duration_ms / 1000)
    assert leaf.title == f"{at:%H:%M} · person, parcel · {length} s · protected"
    assert clips.title == "Whole hours and day"
    whole, hour = (await browse(hass, clips.identifier)).children
    assert leaf.can_play
    assert leaf.media_content_type == "video/mp4"
    assert whole.title == f"{at:%Y-%m-%d}, whole day"
    assert hour.title == f"{at:%Y-%m-%d %H}:00, whole hour (1)"
    client = await hass_client()
    for node in (leaf, whole, hour):
        media = await async_resolve_media(hass, node.media_content_id, None)
        assert media.mime_type == "video/mp4"
        assert (await client.get(media.url)).status == 200
    assert (await client.get(leaf.thumbnail)).status == 200
    assert (await client.get(root.children[3].thumbnail)).status == 200
    for identifier in ("all", "protected"):
        listed = await browse(hass, identifier)
        assert [node.identifier for node in listed.children] == [leaf.identifier]
        assert listed.children[0].title.startswith(f"{at:%H:%M} · Front door")
    alone = await browse(hass, leaf.identifier)
    assert alone.title == listed.children[0].title


async def test_titles_that_another_card_reads(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """The configuration of the advanced camera card that the documents show finds days and events."""
    page = DOCUMENT.read_text()
    block = page.partition("type: custom:advanced-camera-card")[2].partition("```")[0]
    path = yaml.safe_load(block)["folders"][0]["ha"]["path"]
    assert path[0]["id"] == ROOT
    (camera,) = [
        node
        for node in (await browse(hass)).children
        if node.title == path[1]["matchers"][0]["title"]
    ]
    (parser,) = path[2]["parsers"]
    days = (await browse(hass, camera.identifier)).children
    assert [re.match(parser["regexp"], day.title) is not None for day in days] == [True]
    *events, clips = (await browse(hass, days[0].identifier)).children
    (matcher,) = path[3]["matchers"]
    assert events
    for event in events:
        found = re.match(matcher["regexp"], event.title)
        assert found
        at = clock_time.fromisoformat(found[0])
        assert event.title.startswith(f"{at:%H:%M}")
    assert not re.match(matcher["regexp"], clips.title)


async def test_removed_camera(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """What a removed camera recorded stays under its name."""
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    root = await browse(hass)
    assert root.children[3].title == "Front door"
    assert root.children[3].thumbnail is None
    assert len((await browse(hass, root.children[3].identifier)).children) == 1


async def test_long_days(
    installation: Installation,
    hass: HomeAssistant,
    record_property: Callable[[str, object], None],
) -> None:
    """A day of many events comes by hours, these in pages; how long one takes is in the report."""
    await put_events(installation, 380)
    (day,) = (await browse(hass, f"camera/{FOLDER}")).children
    assert day.title.endswith("(380)")
    begin = perf_counter()
    *groups, clips = (await browse(hass, day.identifier)).children
    record_property("seconds", perf_counter() - begin)
    assert clips.title == "Whole hours and day"
    # One event every 20 seconds from 12:00 UTC on
    counts = [int(group.title.partition("(")[2][:-1]) for group in groups]
    assert counts == [20, 180, 180]
    ids: list[str] = []
    pages = 0
    for group in groups:
        identifier = group.identifier
        while identifier:
            page = await browse(hass, identifier)
            pages += 1
            nodes = page.children
            ids += [
                node.identifier
                for node in nodes
                if node.identifier.startswith("event/")
            ]
            more = [node for node in nodes if node.title == "Older recordings"]
            identifier = more[0].identifier if more else None
            assert len(nodes) <= 101
    assert pages == 1 + 2 * 2
    assert len(ids) == len(set(ids)) == 380
    everything = await browse(hass, "all")
    assert len(everything.children) == 101
    assert everything.children[-1].title == "Older recordings"


async def test_empty_folders_say_why(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Where nothing is there is a line that neither opens nor plays."""
    await installation.claimed()
    for identifier, why in (
        ("all", "Nothing has been recorded yet"),
        ("protected", "Nothing is protected"),
        ("exports", "Nothing has been exported"),
        (f"camera/{FOLDER}", "This camera has not recorded anything yet"),
        (f"day/{FOLDER}/2020-01-01", "No recordings in this time"),
    ):
        folder = await browse(hass, identifier)
        assert folder.children[0].title.startswith(why)
        # In rows, where a sentence has room
        assert folder.children_media_class == "url"
        for note in folder.children:
            assert len(note.title) < 45
            assert not note.can_expand
            assert not note.can_play
            with pytest.raises(Unresolvable) as error:
                await async_resolve_media(hass, note.media_content_id, None)
            assert error.value.translation_key == "nothing_to_play"


async def test_exports(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """What was exported is there, with its camera, and plays."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    await hass.services.async_call(
        DOMAIN,
        "export_clip",
        {"event_id": event.id},
        blocking=True,
        return_response=True,
    )
    (node,) = (await browse(hass, "exports")).children
    assert " · Front door · " in node.title
    media = await async_resolve_media(hass, node.media_content_id, None)
    response = await (await hass_client()).get(media.url)
    assert response.status == 200
    assert (await response.read())[4:8] == b"ftyp"


async def test_search_in_words(installation: Installation, hass: HomeAssistant) -> None:
    """Reasons, times, local dates, today and protected are found as people write them."""
    await installation.claimed()
    hass.config.country = "DE"
    events = await put_events(installation, 4)
    now = int(dt_util.utcnow().timestamp() * 1000)
    today = replace(
        events[0],
        id=event_id(CAMERA_ID, 2, 1),
        start_ms=now - 1000,
        end_ms=now,
        reason="button",
        path=HourPath.at(
            CAMERA_ID,
            now - 1000,
            installation.nvr.recordings.library.settings.time_zone,
        ).relative,
    )
    (installation.nvr.media_root / today.path).parent.mkdir(parents=True, exist_ok=True)
    await installation.nvr.recordings.library.record(today, None)
    await installation.nvr.recordings.async_protect(events[1].id, True)
    at = dt_util.as_local(dt_util.utc_from_timestamp(NOON / 1000))
    for query, count in (
        ("button", 1),
        ("motion", 4),
        ("today", 1),
        ("today motion", 0),
        ("protected", 1),
        ("22.11.2026", 4),
        ("22/11/2026", 4),
        (f"{at:%H:%M}", 3),
        (f"{at:%H:%M} protected", 1),
        (f"22.11.2026 {at:%H:%M}", 3),
        ("21.11.2026", 0),
    ):
        assert len(await search(hass, query)) == count, query
    hass.config.country = "US"
    assert len(await search(hass, "11/22/2026")) == 4


async def test_search(installation: Installation, hass: HomeAssistant) -> None:
    """Events are found by label, description, date and camera, and by all of them at once."""
    await installation.claimed()
    await installation.claimed("AA:BB:CC:DD:EE:02", "Garden gate", always_on=True)
    front = await put_events(installation, 2)
    day = 24 * 3600 * 1000
    garden = await put_events(
        installation, 1, camera="AA:BB:CC:DD:EE:02", start_ms=NOON - 40 * day
    )
    await installation.nvr.recordings.async_label(
        front[0].id, ["Person"], "A parcel is brought"
    )
    await installation.nvr.recordings.async_label(garden[0].id, ["cat"], None)
    for query, identifier, count in (
        ("person", "", 1),
        ("PARCEL brought", "", 1),
        ("cat", "", 1),
        ("dog", "", 0),
        ("garden gate", "", 1),
        ("front door", "", 2),
        ("Front door person", "", 1),
        ("front door cat", "", 0),
        ("2026-11-22", "", 2),
        ("2026-11", "", 2),
        ("2026-10", "", 1),
        ("2026-10-13 cat", "", 1),
        ("cat", f"camera/{FOLDER}", 0),
        ("person", f"day/{FOLDER}/2026-11-22", 1),
        ("person", f"day/{FOLDER}/2026-11-21", 0),
        ("person", "protected", 0),
        ("2026-13-45", "", 3),
        ("1969-07-20", "", 0),
        ("9999-12-31", "", 0),
    ):
        assert len(await search(hass, query, identifier)) == count, (query, identifier)
    await installation.nvr.recordings.async_protect(front[0].id, True)
    (title,) = await search(hass, "person", "protected")
    assert "Front door" in title
    assert "Person" in title


@pytest.mark.parametrize(
    "identifier",
    [
        "nothing",
        "camera",
        "camera/x",
        "camera/AA-BB-CC-DD-EE-FF/x",
        "day/AA-BB-CC-DD-EE-FF",
        "day/AA-BB-CC-DD-EE-FF/yesterday",
        "day/AA-BB-CC-DD-EE-FF/2026-11-22/x",
        "day/../../etc",
        "event/x",
        "event/aabbccddee01-00000001-1",
        "hour/AA-BB-CC-DD-EE-FF/2026-11-22/08",
        "hour/AA-BB-CC-DD-EE-FF/2026-11-22/eight",
        "hour/AA-BB-CC-DD-EE-FF/2026-11-22/24",
        "group/AA-BB-CC-DD-EE-FF/2026-11-22/99",
        "day/AA-BB-CC-DD-EE-FF/2026-02-30",
        "day/AA-BB-CC-DD-EE-FF/0001-01-01",
        "day/AA-BB-CC-DD-EE-FF/9999-12-31",
        "whole_day/AA-BB-CC-DD-EE-FF/2026-11-22",
        "all/x/y",
    ],
)
async def test_nodes_that_are_none(
    installation: Installation, hass: HomeAssistant, identifier: str
) -> None:
    """An identifier that leads nowhere is an error."""
    with pytest.raises(BrowseError) as caught:
        await browse(hass, identifier)
    assert caught.value.translation_key == "unknown_media"
    assert caught.value.translation_domain == DOMAIN


@pytest.mark.parametrize(
    ("identifier", "key"),
    [
        ("", "not_playable"),
        ("all", "not_playable"),
        ("camera/AA-BB-CC-DD-EE-FF", "not_playable"),
        ("event/x", "unknown_media"),
        ("../x", "unknown_media"),
    ],
)
async def test_what_does_not_play(
    installation: Installation, hass: HomeAssistant, identifier: str, key: str
) -> None:
    """Folders do not play."""
    with pytest.raises(Unresolvable) as caught:
        await async_resolve_media(
            hass, f"{ROOT}/{identifier}" if identifier else ROOT, None
        )
    assert caught.value.translation_key == key


def test_identifiers() -> None:
    """Identifiers are read as they were written."""
    for text in (
        "",
        "all",
        "all/cursor",
        "camera/AA-BB-CC-DD-EE-FF",
        "day/AA-BB-CC-DD-EE-FF/2026-11-22/cursor",
        "event/aabbccddee01-00000001-1",
        "hour/AA-BB-CC-DD-EE-FF/2026-11-22/08-2",
    ):
        assert str(Identifier.parse(text)) == text
    assert Identifier.parse("event/aabbccddee01-00000001-1").camera == CAMERA_ID
    assert Identifier.parse("").kind is Kind.ROOT


async def test_not_running(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """Without an NVR there is nothing to browse."""
    entry = bare_installation.add_nvr_entry()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(BrowseError) as caught:
        await browse(hass)
    assert caught.value.translation_key == "not_running"


async def test_rights(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Who has no right on a camera does not see it."""
    entity_id = installation.entity_id("camera", "camera")
    rights = {"entities": {"entity_ids": {entity_id: {"read": True}}}}
    for policy, count in ((rights, 4), ({}, 3)):
        client = await hass_ws_client(hass, await token_of(hass, policy))
        await client.send_json_auto_id(
            {"type": "media_source/browse_media", "media_content_id": ROOT}
        )
        answer = await client.receive_json()
        assert len(answer["result"]["children"]) == count
        await client.send_json_auto_id(
            {
                "type": "media_source/browse_media",
                "media_content_id": f"{ROOT}/camera/{FOLDER}",
            }
        )
        answer = await client.receive_json()
        assert answer["success"] is (count == 4)


@dataclass
class Looker:
    """An action that looks at media as others of Home Assistant do, and what it saw."""

    hass: HomeAssistant
    seen: list[str] = field(default_factory=list)

    async def look(self, _call: ServiceCall) -> None:
        """Resolve the camera's newest event."""
        event = self.hass.data[DATA_NVR].recordings.last_event(CAMERA_ID)
        assert event
        try:
            await async_resolve_media(self.hass, f"{ROOT}/event/{event.id}", None)
            node = await async_browse_media(self.hass, f"{ROOT}/camera/{FOLDER}")
        except (BrowseError, Unresolvable) as err:
            self.seen.append(str(err.translation_key))
        else:
            self.seen.append(node.title)


@pytest.fixture
async def looker(hass: HomeAssistant, socket_enabled: None) -> Looker:
    """Set up what may look; before the server runs, which takes no more addresses then."""
    looker = Looker(hass)
    hass.services.async_register("test", "look", looker.look)
    for domain, config in (
        ("http", {}),
        ("api", {}),
        ("websocket_api", {}),
        ("script", {"look": {"sequence": [{"action": "test.look"}]}}),
        ("input_boolean", {"bell": {}}),
        (
            "automation",
            {
                "id": "bell",
                "alias": "Bell",
                "triggers": {"trigger": "state", "entity_id": "input_boolean.bell"},
                "actions": [{"action": "test.look"}],
            },
        ),
    ):
        assert await async_setup_component(hass, domain, {domain: config})
    await hass.async_block_till_done()
    return looker


async def test_who_asks(
    looker: Looker,
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Over REST, WebSocket and by scripts a user is that user; an automation is nobody."""
    bell = {"entity_id": "input_boolean.bell"}
    rights = {"domains": {"script": True, "input_boolean": True}}
    entity_id = installation.entity_id("camera", "camera")
    for policy, seen in (
        ({"entities": rights}, "no_right"),
        ({"entities": rights | {"entity_ids": {entity_id: True}}}, "Front door"),
    ):
        token = await token_of(hass, policy)
        client, card = await hass_client(token), await hass_ws_client(hass, token)
        looker.seen.clear()
        assert (await client.post("/api/services/test/look")).status == 200
        assert (await client.post("/api/services/script/look")).status == 200
        await card.send_json_auto_id(
            {"type": "call_service", "domain": "script", "service": "look"}
        )
        assert (await card.receive_json())["success"]
        await hass.async_block_till_done()
        assert looker.seen == [seen] * 3
        looker.seen.clear()
        assert (
            await client.post("/api/services/input_boolean/toggle", json=bell)
        ).status == 200
        await hass.async_block_till_done()
        assert looker.seen == ["Front door"]


async def test_readable_errors(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """The root cannot be played, and that is said by name."""
    with pytest.raises(Unresolvable) as error:
        await async_resolve_media(hass, ROOT, None)
    assert error.value.translation_placeholders == {"identifier": "MagicPi NVR"}


async def test_picture_of_hours_and_days(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """An hour and a day show a picture of what happened then, not the camera's newest."""
    models = pytest.importorskip("homeassistant.components.media_source.models")
    if not hasattr(models, "MediaImage"):
        pytest.skip("this Home Assistant does not ask for pictures")
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    path = await installation.nvr.recordings.library.thumbnail(event.id)
    assert path
    client = await hass_client()
    (day,) = (await browse(hass, f"camera/{FOLDER}")).children
    for node in (
        day,
        *(await browse(hass, day.identifier)).children,
        *(await browse(hass, f"clips/{FOLDER}/{at:%Y-%m-%d}")).children,
    ):
        response = await client.get(node.thumbnail)
        assert await response.read() == path.read_bytes(), node.title
    for identifier, found in (
        (f"hour/{FOLDER}/{at:%Y-%m-%d}/{at:%H}", True),
        (f"day/{FOLDER}/{at:%Y-%m-%d}", True),
        (f"whole_day/{FOLDER}/{at:%Y-%m-%d}", True),
        (f"hour/{FOLDER}/2020-01-01/{at:%H}", False),
        (f"day/{FOLDER}/2020-01-01", False),
    ):
        item = MediaSourceItem.from_uri(hass, f"{ROOT}/{identifier}", None)
        source = MagicPiMediaSource(hass)
        image = await source.async_get_media_image(item)
        assert (image.content if image else None) == (
            path.read_bytes() if found else None
        ), identifier
    item = MediaSourceItem.from_uri(hass, f"{ROOT}/day/{FOLDER}/9999-12-31", None)
    with pytest.raises(BrowseError, match="doesn't exist"):
        await MagicPiMediaSource(hass).async_get_media_image(item)


async def test_picture_of_media(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """An event and a camera have a picture, for who wants one of them."""
    models = pytest.importorskip("homeassistant.components.media_source.models")
    if not hasattr(models, "MediaImage"):
        pytest.skip("this Home Assistant does not ask for pictures")
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    for identifier, found in (
        (f"event/{event.id}", True),
        (f"camera/{FOLDER}", True),
        ("camera/AA-BB-CC-DD-EE-99", False),
        ("event/aabbccddee01-00000001-1", False),
        ("all", False),
    ):
        item = MediaSourceItem.from_uri(hass, f"{ROOT}/{identifier}", None)
        image = await item.async_get_image()
        assert (image is not None) is found, identifier
        if image:
            assert image.mime_type == "image/jpeg"
            assert image.content.startswith(b"\xff\xd8")
    stranger = MockUser()
    stranger.mock_policy({})
    with patch(
        "custom_components.magicpi_nvr.media_source.async_asking_user",
        return_value=stranger,
    ):
        for identifier in (f"event/{event.id}", f"camera/{FOLDER}"):
            item = MediaSourceItem.from_uri(hass, f"{ROOT}/{identifier}", None)
            with pytest.raises(Unresolvable) as caught:
                await item.async_get_image()
            assert caught.value.translation_key == "no_right"


async def test_browsing_while_recording(
    installation: Installation, hass: HomeAssistant
) -> None:
    """An event can be seen while it is recorded yet."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    camera.trigger_motion(20)
    await installation.wait_until(
        lambda: installation.nvr.recordings.is_recording(CAMERA_ID)
    )
    async with asyncio.timeout(10):
        while not (await browse(hass, "all")).children:
            await asyncio.sleep(0.05)
