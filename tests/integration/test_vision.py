"""Vision in Home Assistant: what is seen, where it shows, and a camera that goes back to sleep."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
import os
from pathlib import Path
import shutil
import signal
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest
from pytest_homeassistant_custom_component.common import (
    async_capture_events,
    async_mock_service,
)
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.const import (
    CONF_DETECTION,
    CONF_NOTHING_SEEN_DAYS,
    CONF_WHAT_COUNTS,
    CONF_WHEN_NOTHING_SEEN,
    DOMAIN,
    FOLDER,
    SECTION_VISION,
    WHEN_NOTHING_STOP,
)
from custom_components.magicpi_nvr.diagnostics import async_get_config_entry_diagnostics
from custom_components.magicpi_nvr.gateway import Frame
from custom_components.magicpi_nvr.nvr import EventChange
from custom_components.magicpi_nvr.recording import NOTHING_SEEN, Event
from custom_components.magicpi_nvr.vision import worker as worker_module
from custom_components.magicpi_nvr.vision.weights import PARAM, WEIGHTS
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.requirements import RequirementsNotFound
from homeassistant.util import dt as dt_util
from real_pictures import pictures, real_data
from tests.harness.home_assistant import ClaimedCamera, Installation, make_installation
from tests.harness.vision_scenes import film
from virtual_camera import LoopSource

from .test_blueprints import add_phone, automate

MODULE = "custom_components.magicpi_nvr.nvr.detector"


def lay_model(hass: HomeAssistant) -> None:
    """Put the model where a person would."""
    pytest.importorskip("ncnn")
    if (data := real_data()) is None:
        pytest.skip("no real pictures here")
    folder = Path(hass.config.path(FOLDER, "models"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in (PARAM.name, WEIGHTS.name):
        shutil.copy(data / "models" / name, folder / name)


@pytest.fixture
async def seeing(
    hass: HomeAssistant,
    socket_enabled: None,
    mock_async_zeroconf: Any,
    no_browser: None,
    patient: None,
    unused_tcp_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[Installation]:
    """Home Assistant whose NVR detects, with the real model."""
    lay_model(hass)
    # Other tests have the cores
    monkeypatch.setattr(worker_module, "EAGER_ANSWERS", 1_000_000)
    installation = make_installation(hass, unused_tcp_port, tmp_path / "media")
    with patch(f"{MODULE}.async_process_requirements", AsyncMock()):
        await installation.set_up(**{SECTION_VISION: {CONF_DETECTION: True}})
        assert installation.nvr.vision
        async with asyncio.timeout(30):
            while not installation.nvr.vision.worker.detects:
                await asyncio.sleep(0.01)
        yield installation
        await installation.tear_down()


async def add_camera(
    installation: Installation,
    shots: Sequence[bytes],
    *,
    tail_s: float = 1.0,
    **options: Any,
) -> ClaimedCamera:
    """Add a camera that sees some pictures, ten a second."""
    camera = await installation.add_camera(source=LoopSource(shots), tail_s=tail_s)
    if options:
        installation.hass.config_entries.async_update_entry(
            camera.entry, options=options
        )
    await camera.sleep()
    return camera


async def record(
    installation: Installation, camera: ClaimedCamera, seconds: float
) -> Event:
    """Let the motion sensor be on for so long; returns the event once its clip is ready."""
    ready: asyncio.Future[Event] = installation.hass.loop.create_future()

    @callback
    def note(change: EventChange, event: Event) -> None:
        if change is EventChange.READY and not ready.done():
            ready.set_result(event)

    unsubscribe = installation.nvr.changes.subscribe_events(note)
    try:
        camera.virtual.trigger_motion(seconds)
        async with asyncio.timeout(60):
            return await ready
    finally:
        unsubscribe()


async def test_persons_are_seen_and_kept(
    hass: HomeAssistant, seeing: Installation, hass_client: ClientSessionGenerator
) -> None:
    """Sensor, event types, clip, library and picture of a street with people."""
    camera = await add_camera(seeing, pictures("street-day")[:60])
    changes = async_capture_events(hass, "state_changed")
    assert camera.state("binary_sensor", "person").state == "off"
    event = await record(seeing, camera, 2.0)
    assert event.findings.verdict == "seen"
    assert {"person", "vehicle"} <= set(event.findings.labels)
    facts = await async_get_config_entry_diagnostics(hass, camera.entry)
    assert facts["nvr"]["vision"]["detects"]
    assert facts["nvr"]["vision"]["detect"] >= 2
    await seeing.wait_for_states(
        lambda: camera.state("binary_sensor", "person").state == "off", "person is gone"
    )
    person = camera.entity_id("binary_sensor", "person")
    states = [
        item.data["new_state"].state
        for item in changes
        if item.data["entity_id"] == person
    ]
    assert states == ["on", "off"]
    fired = [
        item.data["new_state"].attributes
        for item in changes
        if item.data["entity_id"] == camera.entity_id("event", "event")
    ]
    types = [attributes["event_type"] for attributes in fired]
    assert types.index("person_seen") < types.index("clip_ready")
    seen = next(item for item in fired if item["event_type"] == "person_seen")
    assert seen["event_id"] == event.id
    assert seen["label"] == "person"
    assert 0.5 < seen["score"] <= 1
    clip = next(item for item in fired if item["event_type"] == "clip_ready")
    assert "person" in clip["labels"]
    assert clip["verdict"] == "seen"
    assert clip["detections"][0]["label"] == "person"
    assert len(clip["detections"][0]["box"]) == 4

    # The picture is the one in which somebody is best seen, byte for byte
    path = await seeing.nvr.recordings.library.thumbnail(event.id)
    assert path
    jpeg = await hass.async_add_executor_job(path.read_bytes)
    assert jpeg in pictures("street-day")[:60]

    client = await hass_client()
    response = await client.get("/api/magicpi_nvr/recordings?label=person")
    (found,) = (await response.json())["recordings"]
    assert found["id"] == event.id
    assert found["labels"] == []
    assert found["detections"][0]["label"] == "person"
    response = await client.get("/api/magicpi_nvr/recordings?label=animal")
    assert (await response.json())["recordings"] == []


async def test_a_notification_with_the_first_sure_picture(
    hass: HomeAssistant,
    seeing: Installation,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """The blueprint notifies while the event goes on, with a picture that the phone gets at once; the clip takes its place."""
    calls = async_mock_service(hass, "notify", "mobile_app_anna_s_phone")
    camera = await add_camera(seeing, pictures("street-day")[:60])
    await automate(
        hass,
        "notify_with_clip.yaml",
        events=[camera.entity_id("event", "event")],
        notify_device=add_phone(hass).id,
        labels=["person"],
        attach="clip",
    )
    clip = asyncio.create_task(record(seeing, camera, 4.0))
    await seeing.wait_until(lambda: calls)
    assert not clip.done()
    first = calls[0].data
    assert first["message"].startswith("person, ")
    assert "video" not in first["data"]
    phone = await hass_client_no_auth()
    response = await phone.get(first["data"]["image"])
    assert response.status == 200
    assert await response.read() in pictures("street-day")[:60]
    assert not clip.done()
    event = await clip
    await seeing.wait_until(lambda: len(calls) == 2)
    then = calls[1].data
    assert first["data"]["tag"] == then["data"]["tag"] == event.id
    assert then["message"].endswith(" s")
    assert not first["message"].endswith(" s")
    response = await phone.get(then["data"]["video"])
    assert response.status == 200


async def test_a_false_alarm_sleeps_early(
    hass: HomeAssistant, seeing: Installation, hass_client: ClientSessionGenerator
) -> None:
    """A camera that shows nothing sleeps within eight seconds of its wake, and the event is marked and hidden."""
    camera = await add_camera(
        seeing,
        film("empty", 60, fps=10),
        tail_s=30.0,
        **{
            CONF_WHEN_NOTHING_SEEN: WHEN_NOTHING_STOP,
            CONF_WHAT_COUNTS: ["person"],
        },
    )
    virtual = camera.virtual
    mark = virtual.mark()
    loop = asyncio.get_running_loop()
    slept: list[float] = []
    woke: list[float] = []
    virtual.subscribe(
        lambda event: (
            slept.append(loop.time())
            if event.name == "slept"
            else woke.append(loop.time())
            if event.name == "woke"
            else None
        )
    )
    changes = async_capture_events(hass, "state_changed")
    event = await record(seeing, camera, 20.0)
    await virtual.wait_event("slept", after=mark)
    assert slept[0] - woke[0] < 8.0
    assert event.findings.verdict == NOTHING_SEEN
    assert event.duration_ms < 8000
    types = [
        item.data["new_state"].attributes["event_type"]
        for item in changes
        if item.data["entity_id"] == camera.entity_id("event", "event")
    ]
    assert "nothing_seen" in types
    assert "clip_ready" not in types
    assert seeing.nvr.vision
    assert seeing.nvr.vision.false_alarms.events(camera.gateway_camera.id) == 1
    assert seeing.nvr.vision.false_alarms.saved_s(camera.gateway_camera.id) > 20
    # A start of its own has them, until midnight
    await hass.config_entries.async_reload(seeing.nvr_entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=False)
    assert seeing.nvr.vision.false_alarms.events(camera.gateway_camera.id) == 1
    assert seeing.nvr.vision.false_alarms.saved_s(camera.gateway_camera.id) > 20
    tomorrow = dt_util.now() + timedelta(days=1)
    with patch("homeassistant.util.dt.now", return_value=tomorrow):
        assert seeing.nvr.vision.false_alarms.events(camera.gateway_camera.id) == 0
        assert seeing.nvr.vision.false_alarms.saved_s(camera.gateway_camera.id) == 0
    client = await hass_client()
    for query, count in (("", 0), ("?nothing_seen=show", 1), ("?nothing_seen=only", 1)):
        response = await client.get(f"/api/magicpi_nvr/recordings{query}")
        assert len((await response.json())["recordings"]) == count
    response = await client.get("/api/magicpi_nvr/recordings?nothing_seen=perhaps")
    assert response.status == 400


async def test_who_appears_late_is_not_cut(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """A person who is there from the first second on keeps the camera awake and recording."""
    camera = await add_camera(
        seeing,
        pictures("street-day")[:60],
        tail_s=1.0,
        **{
            CONF_WHEN_NOTHING_SEEN: WHEN_NOTHING_STOP,
            CONF_WHAT_COUNTS: ["person"],
        },
    )
    event = await record(seeing, camera, 6.0)
    assert event.findings.verdict == "seen"
    assert event.duration_ms > 6500


async def test_zero_days_delete_what_shows_nothing(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """With 0 days an event that shows nothing does not stay."""
    camera = await add_camera(
        seeing, film("empty", 60, fps=10), **{CONF_NOTHING_SEEN_DAYS: 0}
    )
    seeing.nvr.recordings.update_settings(seeing.nvr._read_plan().recording)
    deleted: asyncio.Future[Event] = hass.loop.create_future()

    @callback
    def note(change: EventChange, event: Event) -> None:
        if change is EventChange.DELETED and not deleted.done():
            deleted.set_result(event)

    seeing.nvr.changes.subscribe_events(note)
    event = await record(seeing, camera, 4.0)
    assert event.findings.verdict == NOTHING_SEEN
    async with asyncio.timeout(20):
        assert (await deleted).id == event.id
    assert await seeing.nvr.recordings.library.event(event.id) is None


async def test_a_killed_child_disturbs_nothing(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """The event is recorded whole while the child is killed and another one takes over."""
    camera = await add_camera(seeing, pictures("street-day")[:60])
    assert seeing.nvr.vision
    worker = seeing.nvr.vision.worker

    async def kill() -> None:
        while worker.pid is None:
            await asyncio.sleep(0.01)
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)

    task = asyncio.create_task(kill())
    event = await record(seeing, camera, 5.0)
    await task
    assert worker.stats.crashes == 1
    assert event.frames >= 50
    assert event.lost == 0
    assert "person" in event.findings.labels
    sent = [frame for frame in camera.virtual.sent_frames if frame.event]
    assert event.frames == len(sent)


async def test_zones_are_stored_and_count(
    hass: HomeAssistant,
    seeing: Installation,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    """Admins draw zones, others read them, nonsense is refused, events name them."""
    camera = await add_camera(seeing, pictures("street-day")[:60])
    client = await hass_ws_client(hass)
    zone = {
        "name": "Path",
        "kind": "watch",
        "points": [[0.7, 0.3], [1, 0.3], [1, 0.7], [0.7, 0.7]],
    }
    await client.send_json_auto_id(
        {
            "type": f"{DOMAIN}/zones/set",
            "camera_id": camera.gateway_camera.id,
            "zones": [zone],
        }
    )
    assert (await client.receive_json())["result"] == {"zones": [zone]}
    await client.send_json_auto_id(
        {"type": f"{DOMAIN}/zones/get", "camera_id": camera.gateway_camera.id}
    )
    assert (await client.receive_json())["result"] == {"zones": [zone]}
    for zones, code in (
        ([{**zone, "kind": "look"}], "invalid_format"),
        ([{**zone, "points": [[0, 0], [2, 2], [0, 1]]}], "invalid_format"),
    ):
        await client.send_json_auto_id(
            {
                "type": f"{DOMAIN}/zones/set",
                "camera_id": camera.gateway_camera.id,
                "zones": zones,
            }
        )
        assert (await client.receive_json())["error"]["code"] == code
    await client.send_json_auto_id(
        {"type": f"{DOMAIN}/zones/set", "camera_id": "AA:00:00:00:00:00", "zones": []}
    )
    assert (await client.receive_json())["error"]["code"] == "not_found"
    reader = await hass_ws_client(hass, hass_read_only_access_token)
    await reader.send_json_auto_id(
        {
            "type": f"{DOMAIN}/zones/set",
            "camera_id": camera.gateway_camera.id,
            "zones": [],
        }
    )
    assert (await reader.receive_json())["error"]["code"] == "unauthorized"

    event = await record(seeing, camera, 2.0)
    assert event.findings.zones == ("Path",)
    for zone_name, count in (("path", 1), ("Street", 0)):
        await client.send_json_auto_id({"type": f"{DOMAIN}/events", "zone": zone_name})
        found = (await client.receive_json())["result"]["events"]
        assert len(found) == count
    assert all(
        item.zones == ("Path",) for item in event.findings.detections if item.counts
    )


async def test_off_means_off(hass: HomeAssistant, installation: Installation) -> None:
    """Without the option nothing runs, and no entity of it is there."""
    camera = await installation.add_camera(tail_s=0.3)
    assert installation.nvr.vision is None
    assert installation.nvr.delegate.vision is None
    assert installation.nvr.recordings.annotate is None
    with pytest.raises(AssertionError):
        camera.entity_id("binary_sensor", "person")
    event = await record(installation, camera, 0.5)
    assert event.findings.verdict is None


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (RequirementsNotFound(DOMAIN, ["ncnn"]), "vision_no_runtime"),
        (None, "vision_wrong_model"),
    ],
)
async def test_one_repair_says_what_works_meanwhile(
    hass: HomeAssistant,
    installation: Installation,
    issue_registry: ir.IssueRegistry,
    error: Exception | None,
    key: str,
) -> None:
    """What cannot be installed or is another file raises one repair, and motion is looked at all the same."""
    folder = Path(hass.config.path(FOLDER, "models"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in (PARAM.name, WEIGHTS.name):
        (folder / name).write_text("something else")
    camera = await add_camera(installation, film("branch", 40, fps=10))
    with patch(f"{MODULE}.async_process_requirements", AsyncMock(side_effect=error)):
        hass.config_entries.async_update_entry(
            installation.nvr_entry,
            options={
                **installation.nvr_entry.options,
                SECTION_VISION: {CONF_DETECTION: True},
            },
        )
        await hass.config_entries.async_reload(installation.nvr_entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=False)
        async with asyncio.timeout(20):
            while (issue := issue_registry.async_get_issue(DOMAIN, "vision")) is None:
                await asyncio.sleep(0.01)
        assert issue.translation_key == key
        assert camera.state("binary_sensor", "person").state == "off"
        event = await record(installation, camera, 3.0)
        assert event.findings.verdict == "seen"
        assert event.findings.detections == ()
        assert event.findings.strength > 0
        hass.config_entries.async_update_entry(
            installation.nvr_entry,
            options={
                **installation.nvr_entry.options,
                SECTION_VISION: {CONF_DETECTION: False},
            },
        )
        await hass.config_entries.async_reload(installation.nvr_entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=False)
    assert issue_registry.async_get_issue(DOMAIN, "vision") is None
    assert installation.nvr.vision is None


async def test_a_camera_that_is_not_recorded_is_looked_at(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """With recording off the sensors tell of persons all the same."""
    camera = await add_camera(seeing, pictures("street-day")[:60])
    seeing.nvr.set_recording_enabled(camera.gateway_camera.id, False)
    camera.virtual.trigger_motion(3.0)
    await seeing.wait_for_states(
        lambda: camera.state("binary_sensor", "person").state == "on", "a person"
    )
    await seeing.wait_for_states(
        lambda: camera.state("binary_sensor", "person").state == "off", "nobody"
    )
    page = await seeing.nvr.recordings.library.events(camera=camera.gateway_camera.id)
    assert page.events == ()


async def test_answers_while_nothing_can_be_encoded(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """Somebody is seen although no encoder takes the event; its clip has the labels once one does."""
    camera = await add_camera(seeing, pictures("street-day")[:60])
    recorder = seeing.nvr.recordings.recorder
    working = recorder.settings
    recorder.update_settings(replace(working, ffmpeg="/nowhere/ffmpeg"))
    task = asyncio.create_task(record(seeing, camera, 3.0))
    await seeing.wait_for_states(
        lambda: camera.state("binary_sensor", "person").state == "on", "a person"
    )
    await seeing.wait_for_states(
        lambda: camera.state("binary_sensor", "person").state == "off", "nobody"
    )
    assert not task.done()
    recorder.update_settings(working)
    assert "person" in (await task).findings.labels


async def test_what_comes_late_is_added(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """Pictures of a finished event that come from the camera's memory later add what they show."""
    camera = await add_camera(seeing, film("empty", 60, fps=10))
    event = await record(seeing, camera, 4.0)
    assert event.findings.verdict == NOTHING_SEEN
    known, boot = camera.gateway_camera, int(event.id.split("-")[1], 16)
    number = int(event.id.split("-")[2])
    last = camera.virtual.sent_frames[-1]
    ready: asyncio.Future[Event] = hass.loop.create_future()

    @callback
    def note(change: EventChange, event: Event) -> None:
        if change is EventChange.READY and not ready.done():
            ready.set_result(event)

    seeing.nvr.changes.subscribe_events(note)
    for at, jpeg in enumerate(pictures("street-day")[:20], 1):
        frame = Frame(
            camera=known.id,
            boot=boot,
            event=number,
            seq=last.seq + at,
            flags=0,
            t=last.t + at * 100,
            captured_ms=event.end_ms + at * 100,
            jpeg=jpeg,
            width=800,
            height=600,
            repaired=False,
        )
        assert seeing.nvr.delegate.frame_received(known, frame)
        await asyncio.sleep(0.02)
    seeing.nvr.delegate.event_ended(known, boot, number, 0)
    async with asyncio.timeout(60):
        again = await ready
    assert again.id == event.id
    assert again.frames == event.frames + 20
    assert again.findings.verdict == "seen"
    assert "person" in again.findings.labels


class Sent:
    """Pictures of one event that come to Home Assistant as from a camera's memory, ten a second of the camera's clock."""

    def __init__(self, installation: Installation, camera: ClaimedCamera) -> None:
        """Begin an event that the camera does not know."""
        self.delegate = installation.nvr.delegate
        self.camera = camera.gateway_camera
        self.boot, self.number = 77, 1
        self.start_ms = round(dt_util.utcnow().timestamp() * 1000) - 60_000
        self.sent = 0

    async def show(self, shots: Sequence[bytes]) -> None:
        """Send pictures."""
        for jpeg in shots:
            self.sent += 1
            self.delegate.frame_received(
                self.camera,
                Frame(
                    camera=self.camera.id,
                    boot=self.boot,
                    event=self.number,
                    seq=self.sent,
                    flags=0,
                    t=self.sent * 100,
                    captured_ms=self.start_ms + self.sent * 100,
                    jpeg=jpeg,
                    width=800,
                    height=600,
                    repaired=False,
                ),
            )
            await asyncio.sleep(0.02)

    def end(self) -> None:
        """End the event."""
        self.delegate.event_ended(self.camera, self.boot, self.number, 0)


async def ready(installation: Installation) -> Event:
    """Return the next event whose clip is ready."""
    found: asyncio.Future[Event] = installation.hass.loop.create_future()

    @callback
    def note(change: EventChange, event: Event) -> None:
        if change is EventChange.READY and not found.done():
            found.set_result(event)

    unsubscribe = installation.nvr.changes.subscribe_events(note)
    try:
        async with asyncio.timeout(60):
            return await found
    finally:
        unsubscribe()


async def test_parts_that_wait_for_one_clip(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """Somebody in the first part is not hidden by a second one without anybody, before there is a clip."""
    camera = await add_camera(seeing, film("empty", 1))
    vision = seeing.nvr.vision
    assert vision
    recorder = seeing.nvr.recordings.recorder
    working = recorder.settings
    recorder.update_settings(replace(working, ffmpeg="/nowhere/ffmpeg"))
    clip = asyncio.create_task(ready(seeing))
    sent = Sent(seeing, camera)
    for shots in (pictures("street-day")[:20], film("empty", 40, fps=10)):
        await sent.show(shots)
        for running in vision._events.values():
            vision._end(running)
        await seeing.wait_until(lambda: not vision._events)
    assert not clip.done()
    recorder.update_settings(working)
    sent.end()
    event = await clip
    assert event.findings.verdict == "seen"
    assert "person" in event.findings.labels
    assert vision.false_alarms.events(camera.gateway_camera.id) == 0


async def test_detection_that_begins_within_an_event(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """Of an event whose beginning nobody looked at, nobody says that it shows nothing."""
    camera = await add_camera(seeing, film("empty", 1))
    delegate = seeing.nvr.delegate
    vision, delegate.vision = delegate.vision, None
    clip = asyncio.create_task(ready(seeing))
    sent = Sent(seeing, camera)
    await sent.show(pictures("street-day")[:30])
    delegate.vision = vision
    await sent.show(film("empty", 40, fps=10))
    sent.end()
    assert (await clip).findings.verdict is None


async def test_who_comes_after_the_event_was_deleted(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """With 0 days a first part that shows nothing is deleted; somebody in a later one is kept."""
    camera = await add_camera(seeing, film("empty", 1), **{CONF_NOTHING_SEEN_DAYS: 0})
    seeing.nvr.recordings.update_settings(seeing.nvr._read_plan().recording)
    library = seeing.nvr.recordings.library
    sent = Sent(seeing, camera)
    clip = asyncio.create_task(ready(seeing))
    await sent.show(film("empty", 40, fps=10))
    sent.end()
    event = await clip
    assert event.findings.verdict == NOTHING_SEEN
    async with asyncio.timeout(20):
        while await library.event(event.id):
            await asyncio.sleep(0.05)
    clip = asyncio.create_task(ready(seeing))
    await sent.show(pictures("street-day")[:20])
    sent.end()
    again = await clip
    assert again.findings.verdict == "seen"
    assert await library.event(again.id)


async def test_a_camera_that_is_removed_while_it_is_looked_at(
    hass: HomeAssistant, seeing: Installation
) -> None:
    """Nothing is kept of it."""
    camera = await add_camera(seeing, film("empty", 1))
    vision = seeing.nvr.vision
    assert vision
    await Sent(seeing, camera).show(film("empty", 30, fps=10))
    await hass.config_entries.async_remove(camera.entry.entry_id)
    for running in vision._events.values():
        vision._end(running)
    await seeing.wait_until(lambda: not vision._events)
    assert vision._memory == {}
    assert vision._finished == {}
    assert vision.worker._quiet == {}
    assert seeing.nvr.settings.false_alarms == {}


async def test_a_model_that_is_replaced_while_it_is_used(
    hass: HomeAssistant, seeing: Installation, issue_registry: ir.IssueRegistry
) -> None:
    """The next child does not load it, the repair says which file it is, and the right one ends it."""
    vision = seeing.nvr.vision
    assert vision
    await vision.worker.warm()
    assert vision.worker.has_detector
    path = Path(hass.config.path(FOLDER, "models", WEIGHTS.name))
    right = path.read_bytes()
    path.write_bytes(right[:-1] + b"?")
    vision.worker._end()
    with patch(f"{MODULE}.RETRY", 0.05):
        await vision.worker.warm()
        assert not vision.worker.has_detector
        await seeing.wait_until(
            lambda: issue_registry.async_get_issue(DOMAIN, "vision")
        )
        issue = issue_registry.async_get_issue(DOMAIN, "vision")
        assert issue
        assert issue.translation_key == "vision_wrong_model"
        path.write_bytes(right)
        await seeing.wait_until(
            lambda: issue_registry.async_get_issue(DOMAIN, "vision") is None
        )
    await vision.worker.warm()
    assert vision.worker.has_detector


async def test_a_wrong_model_is_looked_at_again(
    hass: HomeAssistant,
    bare_installation: Installation,
    issue_registry: ir.IssueRegistry,
) -> None:
    """Who puts the right file in place of a wrong one needs no restart."""
    lay_model(hass)
    folder = Path(hass.config.path(FOLDER, "models"))
    right = (folder / PARAM.name).read_bytes()
    (folder / PARAM.name).write_text("something else")
    installation = bare_installation
    with (
        patch(f"{MODULE}.async_process_requirements", AsyncMock()),
        patch(f"{MODULE}.RETRY", 0.05),
    ):
        await installation.set_up(**{SECTION_VISION: {CONF_DETECTION: True}})
        worker = installation.nvr.vision and installation.nvr.vision.worker
        assert worker
        await installation.wait_until(
            lambda: issue_registry.async_get_issue(DOMAIN, "vision")
        )
        assert not worker.detects
        (folder / PARAM.name).write_bytes(right)
        await installation.wait_until(lambda: worker.detects)
        assert issue_registry.async_get_issue(DOMAIN, "vision") is None
