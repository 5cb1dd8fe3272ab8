"""Targets in Home Assistant: set up, filled, played from, asked again, removed. The servers are real."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
import subprocess
import sys
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.nvr import EventChange
from custom_components.magicpi_nvr.nvr.copies import ISSUE_COPIES_FAILING
from custom_components.magicpi_nvr.recording import ClipSpec, Event
from homeassistant.config_entries import SOURCE_REAUTH, SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from object_stores import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    MissingServer,
    Store,
    s3_store,
    server_folder,
)
from tests.harness.copy_servers import PASSWORD, USER, apache_store
from tests.harness.home_assistant import CAMERA_ID, Installation

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def bucket(socket_enabled: None) -> AsyncIterator[Store]:
    """Return an S3 server."""
    with server_folder() as folder:
        async with s3_store(folder) as store:
            yield store


@pytest.fixture
async def cloud(socket_enabled: None) -> AsyncIterator[Store]:
    """Return a WebDAV server."""
    with server_folder() as folder:
        try:
            async with apache_store(folder) as store:
                yield store
        except MissingServer as error:
            pytest.skip(str(error))


def nvr_entry(installation: Installation) -> ConfigEntry[Any]:
    """Return the NVR's entry."""
    entry = installation.nvr.entries.nvr
    assert entry
    return entry


def s3_form(store: Store, **changes: Any) -> dict[str, Any]:
    """Return what a person types."""
    return {
        "endpoint": store.url,
        "bucket": BUCKET,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "prefix": "magicpi",
        "verify_ssl": True,
    } | changes


RULES = {
    "what": "all",
    "cameras": [],
    "labels": [],
    "zones": [],
    "limits": {"order": "newest"},
}


async def add_target(
    installation: Installation,
    kind: str,
    form: dict[str, Any],
    rules: dict[str, Any] | None = None,
) -> str:
    """Add a target as a person does; return its id."""
    flow = installation.hass.config_entries.subentries
    entry = nvr_entry(installation)
    result = await flow.async_init(
        (entry.entry_id, "target"), context={"source": SOURCE_USER}
    )
    assert result["type"] is FlowResultType.MENU
    result = await flow.async_configure(result["flow_id"], {"next_step_id": kind})
    result = await flow.async_configure(result["flow_id"], form)
    assert result.get("errors") in (None, {}), result
    assert result["step_id"] == "rules"
    before = set(entry.subentries)
    result = await flow.async_configure(result["flow_id"], rules or RULES)
    assert result["type"] is FlowResultType.CREATE_ENTRY, result
    await installation.hass.async_block_till_done()
    (added,) = set(nvr_entry(installation).subentries) - before
    return added


async def settled(installation: Installation, target: str, copies: int) -> None:
    """Wait until a target has so many copies and none waits."""
    await installation.wait_until(
        lambda: (
            (stats := installation.nvr.copies.stats(target)) is not None
            and stats.copies == copies
            and stats.waiting == 0
        )
    )


async def said_there(store: Store, labels: list[str]) -> None:
    """Wait until the one JSON in a bucket has these labels."""

    def said() -> list[Any]:
        return [
            json.loads(data)["labels"]
            for name, data in store.files().items()
            if name.endswith(".json") and data
        ]

    async with asyncio.timeout(20):
        while said() != [labels]:
            await asyncio.sleep(0.02)


async def only_event(installation: Installation) -> Event:
    """Return the one event."""
    page = await installation.nvr.recordings.library.events()
    (event,) = page.events
    return event


async def act(installation: Installation, action: str, **data: Any) -> dict[str, Any]:
    """Call an action; return its answer."""
    answer = await installation.hass.services.async_call(
        DOMAIN, action, data, blocking=True, return_response=True
    )
    assert answer is not None
    return dict(answer)


async def purge(installation: Installation) -> None:
    """Let the disk lose everything."""
    await installation.nvr.recordings.async_purge(older_than_ms=1 << 45)
    event = await only_event(installation)
    assert event.remote


async def test_a_clip_is_copied(
    clip: Event,
    installation: Installation,
    bucket: Store,
    hass_client: ClientSessionGenerator,
) -> None:
    """From the form to the bucket: files that people understand, entities, the event, and no secret anywhere."""
    heard: list[EventChange] = []
    installation.nvr.changes.subscribe_events(lambda change, _: heard.append(change))
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    files = bucket.files()
    assert len(files) == 3
    stem = min(files).rpartition(".")[0]
    event = await only_event(installation)
    assert stem.startswith("magicpi/Front door/")
    assert stem.endswith(f" motion {event.id}")
    file = await installation.nvr.recordings.library.clip(ClipSpec.event(event.id))
    local = b"".join([chunk async for chunk in file.read()])
    assert files[f"{stem}.mp4"] == local
    said = json.loads(files[f"{stem}.json"])
    assert said["camera_name"] == "Front door"
    assert said["frames"] == event.frames
    await installation.wait_until(lambda: EventChange.COPIED in heard)
    state = installation.hass.states.get(installation.entity_id("event", "event"))
    assert state
    assert state.attributes["event_type"] == "clip_copied"
    assert state.attributes["target"] == BUCKET
    assert state.attributes["size"] == len(local)
    # Entities
    registry = er.async_get(installation.hass)
    values = {}
    for key in ("copies_waiting", "copies_last", "copies_stored"):
        entity_id = registry.async_get_entity_id("sensor", DOMAIN, f"{target}-{key}")
        assert entity_id
        reading = installation.hass.states.get(entity_id)
        assert reading
        values[key] = reading.state
    assert values["copies_waiting"] == "0"
    assert values["copies_last"] not in ("unknown", "unavailable")
    assert float(values["copies_stored"]) > 0
    # Nothing of it in diagnostics
    shown = json.dumps(
        await get_diagnostics_for_config_entry(
            installation.hass, hass_client, nvr_entry(installation)
        )
    )
    assert '"copies": 1' in shown
    for secret in (SECRET_KEY, ACCESS_KEY, bucket.url):
        assert secret not in shown


async def test_form_names_the_cause(
    installation: Installation, bucket: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is named in the form; nothing is saved before all works; no secret is logged."""
    caplog.set_level("DEBUG")
    flow = installation.hass.config_entries.subentries
    entry = nvr_entry(installation)
    result = await flow.async_init(
        (entry.entry_id, "target"), context={"source": SOURCE_USER}
    )
    result = await flow.async_configure(result["flow_id"], {"next_step_id": "s3"})
    for changes, errors in (
        ({"endpoint": "storage"}, {"endpoint": "invalid_url"}),
        ({"endpoint": "http://127.0.0.1:1"}, {"base": "cannot_connect"}),
        ({"secret_access_key": "not-the-secret"}, {"base": "invalid_auth"}),
        ({"bucket": "another"}, {"base": "no_bucket"}),
    ):
        result = await flow.async_configure(
            result["flow_id"], s3_form(bucket, **changes)
        )
        assert result["errors"] == errors
    assert entry.subentries == {}
    result = await flow.async_configure(result["flow_id"], s3_form(bucket))
    assert result["step_id"] == "rules"
    result = await flow.async_configure(
        result["flow_id"], {**RULES, "limits": {"order": "newest", "from": "22:00:00"}}
    )
    assert result["errors"] == {"base": "half_a_window"}
    result = await flow.async_configure(result["flow_id"], RULES)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await installation.hass.async_block_till_done()
    # A second one at the same place
    result = await flow.async_init(
        (entry.entry_id, "target"), context={"source": SOURCE_USER}
    )
    result = await flow.async_configure(result["flow_id"], {"next_step_id": "s3"})
    result = await flow.async_configure(result["flow_id"], s3_form(bucket))
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    assert "not-the-secret" not in caplog.text
    ours = [r.getMessage() for r in caplog.records if "magicpi" in r.name]
    assert not any(SECRET_KEY in line for line in ours)


async def test_webdav(clip: Event, installation: Installation, cloud: Store) -> None:
    """A folder on a WebDAV server, with limits; changed later."""
    form = {
        "url": cloud.url,
        "username": USER,
        "password": PASSWORD,
        "prefix": "magicpi",
        "verify_ssl": True,
    }
    target = await add_target(
        installation,
        "webdav",
        form,
        {
            **RULES,
            "days": 30,
            "max_size": 5,
            "limits": {"order": "oldest", "rate": 500},
        },
    )
    await settled(installation, target, 1)
    assert len(cloud.files()) == 3
    flow = installation.hass.config_entries.subentries
    result = await flow.async_init(
        (nvr_entry(installation).entry_id, "target"),
        context={"source": "reconfigure", "subentry_id": target},
    )
    assert result["step_id"] == "webdav"
    result = await flow.async_configure(result["flow_id"], form)
    result = await flow.async_configure(
        result["flow_id"], {**RULES, "what": "protected"}
    )
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reconfigure_successful"
    await installation.hass.async_block_till_done()
    data = nvr_entry(installation).subentries[target].data
    assert data["what"] == "protected"
    assert "days" not in data
    await settled(installation, target, 1)


async def test_plays_from_there(
    clip: Event,
    installation: Installation,
    bucket: Store,
    hass_client: ClientSessionGenerator,
) -> None:
    """What the disk lost stays in lists and media browser, plays with ranges, has its picture, and comes back."""
    client = await hass_client()
    event = await only_event(installation)
    address = f"/api/{DOMAIN}/clip/event/{event.id}"
    before = await client.get(address)
    data, etag = await before.read(), before.headers["ETag"]
    picture = await (await client.get(f"/api/{DOMAIN}/thumbnail/{event.id}")).read()
    hour_file = installation.nvr.media_root / event.path
    kept = hour_file.read_bytes()
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    await purge(installation)
    assert not hour_file.exists()
    listed = await (await client.get(f"/api/{DOMAIN}/recordings")).json()
    assert [item["remote"] for item in listed["recordings"]] == [True]
    after = await client.get(address)
    assert after.headers["ETag"] == etag
    assert await after.read() == data
    part = await client.get(address, headers={"Range": "bytes=1000-1999"})
    assert part.status == 206
    assert await part.read() == data[1000:2000]
    shown = await client.get(f"/api/{DOMAIN}/thumbnail/{event.id}")
    assert await shown.read() == picture
    for text in (str(after.headers), json.dumps(listed)):
        assert bucket.url not in text
        assert ACCESS_KEY not in text
    labeled = await act(
        installation,
        "label_event",
        event_id=event.id,
        labels=["Fox"],
        description="At night",
    )
    assert labeled["remote"]
    await said_there(bucket, ["Fox"])
    exported = await act(installation, "export_clip", event_id=event.id)
    assert exported["size"] == len(data)
    restored = await act(installation, "restore", event_id=event.id)
    assert not restored["remote"]
    assert restored["protected"]
    assert restored["labels"] == ["Fox"]
    assert hour_file.read_bytes() == kept
    assert await (await client.get(address)).read() == data
    # It is not copied again: only what is said of it
    await settled(installation, target, 1)


async def test_target_away(
    clip: Event,
    installation: Installation,
    bucket: Store,
    hass_client: ClientSessionGenerator,
) -> None:
    """Without its target a remote recording says so, and a day later there is a repair."""
    client = await hass_client()
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    await purge(installation)
    event = await only_event(installation)
    await bucket.server.stop()
    answer = await client.get(f"/api/{DOMAIN}/clip/event/{event.id}")
    assert answer.status == 503
    with pytest.raises(HomeAssistantError) as caught:
        await act(installation, "restore", event_id=event.id)
    assert caught.value.translation_key == "copy_unreachable"
    await act(installation, "label_event", event_id=event.id, labels=["Fox"])
    await installation.wait_until(
        lambda: (
            (stats := installation.nvr.copies.stats(target)) is not None
            and stats.failing_since_ms is not None
        )
    )
    issues = ir.async_get(installation.hass)
    issue_id = f"{ISSUE_COPIES_FAILING}_{target}"
    assert issues.async_get_issue(DOMAIN, issue_id) is None
    with patch("custom_components.magicpi_nvr.nvr.copies.TOO_LONG_MS", 0):
        installation.nvr.copies._check(target)
    issue = issues.async_get_issue(DOMAIN, issue_id)
    assert issue
    assert issue.translation_placeholders == {
        "name": BUCKET,
        "waiting": "1",
        "cause": "cannot_connect",
    }
    await bucket.server.start()
    installation.nvr.copies._copiers[target].try_now()
    await settled(installation, target, 1)
    await installation.wait_until(
        lambda: issues.async_get_issue(DOMAIN, issue_id) is None
    )


async def test_reauth(clip: Event, installation: Installation, bucket: Store) -> None:
    """A key that is refused asks for another one, tries it, and the clips follow."""
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    entry = nvr_entry(installation)
    subentry = entry.subentries[target]
    installation.hass.config_entries.async_update_subentry(
        entry, subentry, data={**subentry.data, "secret_access_key": "revoked"}
    )
    await installation.hass.async_block_till_done()
    event = await only_event(installation)
    await act(installation, "label_event", event_id=event.id, labels=["Fox"])
    await installation.wait_until(
        lambda: any(
            flow["context"]["source"] == SOURCE_REAUTH
            for flow in installation.hass.config_entries.flow.async_progress()
        )
    )
    (flow,) = installation.hass.config_entries.flow.async_progress()
    assert flow["step_id"] == "reauth_target"
    configure = installation.hass.config_entries.flow.async_configure
    result = await configure(
        flow["flow_id"],
        {"access_key_id": ACCESS_KEY, "secret_access_key": "wrong again"},
    )
    assert result["errors"] == {"base": "invalid_auth"}
    result = await configure(
        flow["flow_id"],
        {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
    )
    assert result["reason"] == "reauth_successful"
    await installation.hass.async_block_till_done()
    await said_there(bucket, ["Fox"])


async def test_new_home(
    clip: Event,
    installation: Installation,
    bucket: Store,
    hass_client: ClientSessionGenerator,
) -> None:
    """Somebody with the bucket's credentials alone sees and plays the old recordings."""
    client = await hass_client()
    event = await only_event(installation)
    address = f"/api/{DOMAIN}/clip/event/{event.id}"
    data = await (await client.get(address)).read()
    first = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, first, 1)
    await purge(installation)
    installation.hass.config_entries.async_remove_subentry(
        nvr_entry(installation), first
    )
    await installation.hass.async_block_till_done()

    async def gone() -> bool:
        return not (await installation.nvr.recordings.library.events()).events

    async with asyncio.timeout(20):
        while not await gone():
            await asyncio.sleep(0.01)
    assert len(bucket.files()) == 3, "what is there stays there"
    second = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, second, 1)
    async with asyncio.timeout(20):
        while await gone():
            await asyncio.sleep(0.01)
    assert (await only_event(installation)).remote
    assert await (await client.get(address)).read() == data


async def test_deleted_everywhere(
    clip: Event, installation: Installation, bucket: Store
) -> None:
    """An event that a person deletes goes from the target, too."""
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    event = await only_event(installation)
    await act(installation, "delete_event", event_id=event.id)
    await settled(installation, target, 0)
    assert bucket.files() == {}


async def test_restart(clip: Event, installation: Installation, bucket: Store) -> None:
    """A restart copies nothing again, and goes on with what waits."""
    target = await add_target(installation, "s3", s3_form(bucket))
    await settled(installation, target, 1)
    times = {p: p.stat().st_mtime_ns for p in bucket.folder.rglob("*.mp4")}
    await installation.restart()
    await settled(installation, target, 1)
    assert {p: p.stat().st_mtime_ns for p in bucket.folder.rglob("*.mp4")} == times


async def test_retention_waits(
    clip: Event, installation: Installation, bucket: Store
) -> None:
    """The library hears what waits for its copy: by age nothing of it goes."""
    await bucket.server.stop()
    with patch(
        "custom_components.magicpi_nvr.target_flow.async_try_target", return_value={}
    ):
        await add_target(installation, "s3", s3_form(bucket))
    event = await only_event(installation)
    await installation.wait_until(
        lambda: installation.nvr.recordings.copies is not None
    )

    async with asyncio.timeout(20):
        while event.id not in await installation.nvr.copies.waiting():
            await asyncio.sleep(0.01)


def test_nothing_is_imported_when_unused() -> None:
    """Neither the package of copies nor its libraries are loaded by the rest of the integration."""
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, custom_components.magicpi_nvr.config_flow, custom_components.magicpi_nvr.sensor\n"
            "import custom_components.magicpi_nvr.services\n"
            "found = [name for name in sys.modules if '.copies.' in name and 'nvr.copies.' in name\n"
            "         or name.split('.')[0] in ('aiobotocore', 'aiowebdav2')]\n"
            "print(found)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


async def test_only_the_nvr_has_targets(
    clip: Event, installation: Installation, hass: HomeAssistant
) -> None:
    """Cameras offer none."""
    assert installation.entry(CAMERA_ID).supported_subentry_types == {}
    assert set(nvr_entry(installation).supported_subentry_types) == {"target"}
