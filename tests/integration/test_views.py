"""What people get over HTTP, and what they do not."""

from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from aiohttp import ClientPayloadError
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.recording import (
    ClipGone,
    Library,
    NothingRecorded,
    StorageFailed,
)
from custom_components.magicpi_nvr.recording.model import Event
from custom_components.magicpi_nvr.views import (
    day_clip_url,
    event_clip_url,
    event_thumbnail_url,
    export_url,
    hour_clip_url,
    picture_url,
    range_clip_url,
    span_picture_url,
    timelapse_url,
)
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import CAMERA_ID, Installation, token_of

BASE = "/api/magicpi_nvr"
NOBODY = "AA:BB:CC:DD:EE:99"


def the_event(installation: Installation) -> Event:
    """Return the one event."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    return event


async def test_clips(
    clip: Event, installation: Installation, hass_client: ClientSessionGenerator
) -> None:
    """Each kind of clip is an MP4 that players can seek in."""
    event = the_event(installation)
    at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    date = f"{at:%Y-%m-%d}"
    client = await hass_client()
    for url in (
        event_clip_url(event.id),
        range_clip_url(CAMERA_ID, event.start_ms, event.end_ms),
        timelapse_url(CAMERA_ID, event.start_ms, event.end_ms, 2),
        hour_clip_url(CAMERA_ID, date, f"{at:%H}"),
        day_clip_url(CAMERA_ID, date),
    ):
        response = await client.get(url)
        assert response.status == 200, url
        body = await response.read()
        assert body[4:8] == b"ftyp"
        assert response.headers["Content-Type"] == "video/mp4"
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Content-Disposition"].startswith("inline")
        assert "Front-door" in response.headers["Content-Disposition"]
        etag = response.headers["ETag"]

        part = await client.get(url, headers={"Range": "bytes=10-19"})
        assert part.status == 206
        assert part.headers["Content-Range"] == f"bytes 10-19/{len(body)}"
        assert await part.read() == body[10:20]
        other = {"Range": "bytes=10-19", "If-Range": '"another"'}
        assert (await client.get(url, headers=other)).status == 200
        beyond = {"Range": f"bytes={len(body)}-"}
        assert (await client.get(url, headers=beyond)).status == 416
        same = await client.get(url, headers={"If-None-Match": etag})
        assert same.status == 304
        head = await client.head(url)
        assert head.status == 200
        assert head.headers["Content-Length"] == str(len(body))
        assert await head.read() == b""
    saved = await client.get(event_clip_url(event.id) + "?download=1")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    iso = dt_util.utc_from_timestamp(event.start_ms / 1000).isoformat()
    folder = CAMERA_ID.replace(":", "-")
    response = await client.get(
        f"{BASE}/clip/range/{folder}/{quote(iso)}/{event.end_ms}"
    )
    assert response.status == 200


async def test_pictures(
    clip: Event, installation: Installation, hass_client: ClientSessionGenerator
) -> None:
    """Thumbnails and last pictures are JPEGs."""
    event = the_event(installation)
    client = await hass_client()
    at = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    for url in (
        event_thumbnail_url(event.id),
        picture_url(CAMERA_ID),
        span_picture_url(CAMERA_ID, f"{at:%Y-%m-%d}"),
        span_picture_url(CAMERA_ID, f"{at:%Y-%m-%d}", f"{at:%H}"),
    ):
        response = await client.get(url)
        assert response.status == 200
        assert response.headers["Content-Type"] == "image/jpeg"
        assert (await response.read()).startswith(b"\xff\xd8")
        assert (await client.head(url)).status == 200


async def test_facts(
    clip: Event, installation: Installation, hass_client: ClientSessionGenerator
) -> None:
    """Status, recordings, counters and health are shown as JSON."""
    event = the_event(installation)
    client = await hass_client()

    async def get(path: str) -> dict[str, Any]:
        response = await client.get(f"{BASE}/{path}")
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer

    (device,) = (await get("device/status"))["devices"]
    assert device["id"] == CAMERA_ID
    assert device["name"] == "Front door"
    assert device["state"] == "asleep"
    assert device["config"]["wanted"]["framerate"] == 10
    page = await get("recordings")
    (recording,) = page["recordings"]
    assert page["cursor"] is None
    assert recording["id"] == event.id
    assert recording["clip"] == event_clip_url(event.id)
    assert recording["duration_ms"] == event.end_ms - event.start_ms
    folder = CAMERA_ID.replace(":", "-")
    later = event.end_ms + 1
    for query, count in (
        (f"camera={folder}", 1),
        (f"camera={CAMERA_ID.lower()}", 1),
        ("camera=AA-BB-CC-DD-EE-99", 0),
        (f"from={later}", 0),
        (f"to={event.start_ms}", 0),
        (f"from={event.start_ms}&to={later}&limit=1", 1),
        ("protected=true", 0),
        ("protected=false", 1),
        ("label=person", 0),
        ("text=parcel", 0),
    ):
        assert len((await get(f"recordings?{query}"))["recordings"]) == count, query
    stats = await get("stats")
    assert stats["cameras"][CAMERA_ID]["frames"] >= 10
    assert stats["cameras"][CAMERA_ID]["drops"] == {}
    await installation.wait_until(
        lambda: (
            installation.nvr.recordings.usage.storage is not None
            and installation.nvr.recordings.usage.storage.events == 1
        )
    )
    stats = await get("stats")
    assert stats["storage"]["used"] > 0
    assert stats["cameras"][CAMERA_ID]["recordings"] == 1
    health = await get("health")
    assert health["status"] == "ok"
    assert health["cameras"] == 1


async def test_paging(
    clip: Event, installation: Installation, hass_client: ClientSessionGenerator
) -> None:
    """Pages follow each other by their cursors."""
    camera = installation.cameras[0]
    camera.trigger_motion(0.3)
    first = the_event(installation)
    await installation.wait_until(lambda: the_event(installation) != first)
    client = await hass_client()
    page = await (await client.get(f"{BASE}/recordings?limit=1")).json()
    (newest,) = page["recordings"]
    assert newest["id"] == the_event(installation).id
    page = await (
        await client.get(f"{BASE}/recordings?limit=1&cursor={page['cursor']}")
    ).json()
    assert [item["id"] for item in page["recordings"]] == [first.id]
    assert page["cursor"] is None


FOLDER = CAMERA_ID.replace(":", "-")
EVENT = "aabbccddee01-00000001-1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"clip/event/{EVENT}", 404),
        (f"clip/event/{EVENT}x", 400),
        ("clip/event/..%2f..%2fsecrets.yaml", 400),
        (f"clip/range/{FOLDER}/1/2", 404),
        (f"clip/range/{FOLDER}/2/1", 400),
        (f"clip/range/{FOLDER}/now/then", 400),
        (f"clip/range/{FOLDER}/0/1", 400),
        (f"clip/range/{FOLDER}/1/99999999999999999", 400),
        (f"clip/range/{CAMERA_ID}/1/2", 400),
        (f"clip/timelapse/{FOLDER}/1/2/0", 400),
        (f"clip/timelapse/{FOLDER}/1/2/60", 404),
        (f"clip/timelapse/{FOLDER}/1/2/fast", 400),
        (f"clip/hour/{FOLDER}/2026-11-22/08", 404),
        (f"clip/hour/{FOLDER}/2026-11-22/24", 400),
        (f"clip/hour/{FOLDER}/2026-11-22/..%2f08", 400),
        (f"clip/hour/{FOLDER}/2026-13-22/08", 400),
        (f"clip/day/{FOLDER}/2026-11-22", 404),
        (f"clip/day/{FOLDER}/..", 404),
        ("clip/day/..%2f..%2f/2026-11-22", 400),
        (f"thumbnail/{EVENT}", 404),
        ("thumbnail/nothing", 400),
        ("picture/AA-BB-CC-DD-EE-99", 404),
        (f"picture/{FOLDER}/2026-11-22", 404),
        (f"picture/{FOLDER}/2026-11-22/08-2", 404),
        (f"picture/{FOLDER}/2026-11-22/24", 400),
        (f"picture/{FOLDER}/2026-11-22/x", 400),
        (f"picture/{FOLDER}/2026-02-30", 400),
        (f"picture/{FOLDER}/9999-12-31", 400),
        (f"picture/{FOLDER}/today", 400),
        ("picture/..%2fca.pem", 400),
        (f"export/{FOLDER}_nothing.mp4", 404),
        (f"export/{FOLDER}%2f..%2fx.mp4", 400),
        (f"export/{FOLDER}%5c..%5cx.mp4", 400),
        (f"export/{FOLDER}.json", 400),
        ("export/something.mp4", 400),
        ("recordings?camera=front", 400),
        ("recordings?limit=0", 400),
        ("recordings?limit=501", 400),
        ("recordings?limit=x", 400),
        ("recordings?cursor=x", 400),
        ("recordings?from=yesterday", 400),
        ("recordings?from=2026-02-30T10:00:00Z", 400),
        ("recordings?from=2026-11-01T25:00:00Z", 400),
        ("recordings?to=2026-11-01T10:00:00%2B99:99", 400),
        (f"clip/range/{FOLDER}/2026-13-01T10:00:00Z/2026-13-02T10:00:00Z", 400),
        ("recordings?from=9999-12-31T23:59:59-12:00", 400),
        ("recordings?to=0001-01-01T00:00:00%2B12:00", 400),
        ("recordings?protected=perhaps", 400),
    ],
)
async def test_nonsense(
    installation: Installation,
    hass_client: ClientSessionGenerator,
    path: str,
    status: int,
) -> None:
    """What makes no sense gets a clear answer, and leads out of no folder."""
    client = await hass_client()
    response = await client.get(f"{BASE}/{path}")
    assert response.status == status
    if response.content_type == "application/json":
        assert (await response.json())["message"]


async def test_rights(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """Nobody sees a camera without a login, or without the right on its entity."""
    event = the_event(installation)
    entity_id = installation.entity_id("camera", "camera")
    installation.nvr.export_folder.mkdir()
    export = installation.nvr.export_folder / f"{FOLDER}_x.mp4"
    export.write_bytes(b"x")
    urls = (
        event_clip_url(event.id),
        range_clip_url(CAMERA_ID, event.start_ms, event.end_ms),
        event_thumbnail_url(event.id),
        picture_url(CAMERA_ID),
        span_picture_url(CAMERA_ID, f"{dt_util.now():%Y-%m-%d}"),
        export_url(export.name),
        f"{BASE}/recordings?camera={FOLDER}",
    )
    lists = (f"{BASE}/recordings", f"{BASE}/device/status", f"{BASE}/stats")
    stranger = await hass_client_no_auth()
    for url in (*urls, *lists, f"{BASE}/health"):
        assert (await stranger.get(url)).status == 403
    rights = {"entities": {"entity_ids": {entity_id: {"read": True}}}}
    friend = await hass_client(await token_of(hass, rights))
    for url in urls:
        assert (await friend.get(url)).status == 200, url
    assert (await friend.get(export_url(export.name))).headers[
        "Content-Type"
    ] == "video/mp4"
    other = await hass_client(await token_of(hass, {}))
    for url in urls:
        response = await other.get(url)
        assert response.status == 403
        assert (await response.json())["error"] == "forbidden"
    for url in lists:
        for client, count in ((friend, 1), (other, 0)):
            answer = await (await client.get(url)).json()
            facts = next(iter(answer.values()))
            assert len(facts) == count, url

    # What a removed camera recorded is for who may see everything
    await hass.config_entries.async_remove(installation.entry().entry_id)
    await hass.async_block_till_done()
    assert (await friend.get(event_clip_url(event.id))).status == 403
    admin = await hass_client()
    assert (await admin.get(event_clip_url(event.id))).status == 200


async def test_not_running(
    bare_installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Before the first camera there is nothing to see, and the answer says so."""
    entry = bare_installation.add_nvr_entry()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_unload(entry.entry_id)
    client = await hass_client()
    response = await client.get(f"{BASE}/health")
    assert response.status == 503
    assert (await response.json())["error"] == "not_running"


async def test_clip_that_goes_while_it_is_read(
    clip: Event,
    installation: Installation,
    hass_client: ClientSessionGenerator,
    tmp_path: Path,
) -> None:
    """A clip whose file goes breaks off; the player does not take it for whole."""
    event = the_event(installation)
    client = await hass_client()
    url = event_clip_url(event.id)
    assert (await client.get(url)).status == 200
    (installation.nvr.media_root / event.path).write_bytes(b"another file" * 10000)
    response = await client.get(url)
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_answers_without_paths(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """What is missing is said in words, and never where on the server it was."""
    event = the_event(installation)
    client = await hass_client()
    absent = event_clip_url("aabbccddee01-00000001-1")
    answer = await client.get(absent)
    assert answer.status == 404
    assert (await answer.json())["message"] == "There is no such event"
    file = installation.nvr.media_root / event.path
    await hass.async_add_executor_job(file.write_bytes, b"")
    for error, status in (
        (ClipGone(f"{file} was rewritten"), 404),
        (StorageFailed(f"[Errno 5] Input/output error: '{file}'"), 503),
        (NothingRecorded(str(file)), 404),
    ):
        with patch.object(Library, "clip", side_effect=error):
            answer = await client.get(event_clip_url(event.id))
            assert answer.status == status
            message = (await answer.json())["message"]
            assert str(installation.media) not in message
            assert len(message.split()) > 2


async def test_replaced_thumbnail(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Browsers ask again for a picture, and get the new one or nothing."""
    event = the_event(installation)
    path = await installation.nvr.recordings.library.thumbnail(event.id)
    assert path
    client = await hass_client()
    first = await client.get(event_thumbnail_url(event.id))
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = {"If-None-Match": first.headers["ETag"]}
    same = await client.get(event_thumbnail_url(event.id), headers=again)
    assert same.status == 304

    def replace() -> None:
        path.write_bytes(path.read_bytes() + b" ")

    await hass.async_add_executor_job(replace)
    other = await client.get(event_thumbnail_url(event.id), headers=again)
    assert other.status == 200
    assert len(await other.read()) == len(await first.read()) + 1


@pytest.mark.parametrize(
    "cursor",
    ["x", "!", "%00", "AAAA", "LTEuYWFiYmNjZGRlZTAxLTAwMDAwMDAxLTE", "9" * 600],
)
async def test_crafted_cursors(
    clip: Event,
    installation: Installation,
    hass_client: ClientSessionGenerator,
    cursor: str,
) -> None:
    """A cursor that this library did not make is a bad request, or finds nothing."""
    client = await hass_client()
    answer = await client.get(f"{BASE}/recordings?cursor={cursor}")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert (await answer.json())["recordings"] == []


async def test_picture_that_is_gone(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """A missing file is said in words, without its path; so is a disk that does not answer."""
    event = the_event(installation)
    client = await hass_client()
    library = installation.nvr.recordings.library
    path = await library.thumbnail(event.id)
    assert path
    with patch.object(
        Library, "picture", side_effect=StorageFailed("the storage does not answer")
    ):
        assert (await client.get(event_thumbnail_url(event.id))).status == 503
    await hass.async_add_executor_job(path.unlink)
    for url in (event_thumbnail_url(event.id), export_url(f"{FOLDER}_gone.mp4")):
        answer = await client.get(url)
        assert answer.status == 404
        message = await answer.json()
        assert str(installation.media) not in str(message)
        assert len(message["message"].split()) > 2


async def test_export_in_parts(
    clip: Event,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Players seek in an export as in a clip."""
    folder = installation.nvr.export_folder
    folder.mkdir()
    data = bytes(range(256)) * 2000
    await hass.async_add_executor_job((folder / f"{FOLDER}_x.mp4").write_bytes, data)
    client = await hass_client()
    url = export_url(f"{FOLDER}_x.mp4")
    assert await (await client.get(url)).read() == data
    part = await client.get(url, headers={"Range": "bytes=300000-300009"})
    assert part.status == 206
    assert await part.read() == data[300000:300010]
    etag = part.headers["ETag"]
    assert (await client.get(url, headers={"If-None-Match": etag})).status == 304
