"""Continuous recording of a camera that is always on."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
import itertools
import json
import os
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import av
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from continuous_soak import compare, kept_frames
from custom_components.magicpi_nvr.const import CONF_RECORD, DOMAIN, RECORD_CONTINUOUSLY
from custom_components.magicpi_nvr.gateway import Clock, Frame
from custom_components.magicpi_nvr.nvr import continuous
from custom_components.magicpi_nvr.recording import ClipSpec, Event, VirtualFile
from homeassistant.components.media_source import async_browse_media
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import HomeAssistant
from tests.harness.home_assistant import CAMERA_ID, Installation
from virtual_camera import VirtualCamera

PIECE_MS = 3000
# Of the soak
MINUTES = float(os.environ.get("MAGICPI_SOAK_MINUTES", "0.5"))


@pytest.fixture
async def always_on(
    installation: Installation, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> VirtualCamera:
    """Return a camera that is recorded continuously, in short pieces."""
    monkeypatch.setattr(continuous, "PIECE_MS", PIECE_MS)
    camera = await installation.claimed(always_on=True)
    hass.config_entries.async_update_entry(
        installation.entry(), options={CONF_RECORD: RECORD_CONTINUOUSLY}
    )
    await hass.config_entries.async_reload(installation.entry().entry_id)
    return camera


async def events(installation: Installation, **query: Any) -> list[Event]:
    """Return the camera's events, oldest first."""
    page = await installation.nvr.recordings.library.events(
        camera=CAMERA_ID, limit=500, **query
    )
    return list(reversed(page.events))


async def count_until(installation: Installation, pieces: int) -> list[Event]:
    """Return the finished pieces once there are so many."""
    found: list[Event] = []

    async def enough() -> bool:
        nonlocal found
        found = [
            event
            for event in await events(installation, continuous=True)
            if event.state == "ready"
        ]
        return len(found) >= pieces

    while not await enough():
        seen = installation.camera().counters.frames
        await installation.wait_until(
            lambda seen=seen: installation.camera().counters.frames > seen
        )
    return found


async def recorded_times(installation: Installation) -> list[int]:
    """Return when the recorded pictures were taken by the camera's clock, in ms."""
    kept = await installation.hass.async_add_executor_job(
        kept_frames, installation.nvr.media_root
    )
    return sorted(one.t for one in kept)


async def pictures_in(clip: VirtualFile) -> int:
    """Return how many pictures of a clip decode."""
    data = b"".join([chunk async for chunk in clip.read(0, clip.size)])

    def decode() -> int:
        with av.open(BytesIO(data)) as container:
            return sum(1 for _ in container.decode(video=0))

    return await asyncio.to_thread(decode)


async def chapters_of(clip: VirtualFile) -> list[tuple[float, str]]:
    """Return where a clip's chapters begin in seconds, and their titles, as ffprobe reads them."""
    data = b"".join([chunk async for chunk in clip.read(0, clip.size)])
    process = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "error", "-show_chapters", "-of", "json", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(data)
    return [
        (float(chapter["start_time"]), chapter["tags"]["title"])
        for chapter in json.loads(out)["chapters"]
    ]


def gaps_of(times: list[int]) -> list[int]:
    """Return what lies between pictures."""
    return [after - before for before, after in itertools.pairwise(times)]


async def test_pieces_follow_each_other(
    installation: Installation, always_on: VirtualCamera
) -> None:
    """Pieces are one picture a second, without a gap between them, at the marks of the clock."""
    pieces = await count_until(installation, 3)
    for before, after in itertools.pairwise(pieces):
        assert after.start_ms - before.end_ms <= 1000
        assert after.start_ms // PIECE_MS > before.start_ms // PIECE_MS
    whole = pieces[1]
    assert whole.reason == "continuous"
    # Two that follow each other at once are a second before the next at the latest
    assert 3 <= whole.frames <= 2 * PIECE_MS / continuous.MAX_GAP_MS + 1
    assert installation.nvr.delegate.continuous.thinned[CAMERA_ID] > 10


@dataclass
class AllAtOnce:
    """A recorder that has each frame on disk at once."""

    frames: list[Frame] = field(default_factory=list)

    def add_frame(self, frame: Frame, *, reason: str) -> bool:
        """Take a frame."""
        self.frames.append(frame)
        return True

    def end_event(self, camera: str, boot: int, event: int) -> None:
        """End an event."""

    def persisted(self, camera: str, boot: int) -> int:
        """Answer the last one's number."""
        return self.frames[-1].seq if self.frames else 0


def recording_all(recorder: Any) -> continuous.ContinuousRecordings:
    """Return what records each camera that nobody watches."""
    return continuous.ContinuousRecordings(
        recorder=lambda: recorder,
        is_wanted=lambda _: True,
        is_watched=lambda _: False,
    )


@pytest.mark.parametrize("interval_ms", [100, 333, 500, 700])
async def test_no_gap_above_a_second(interval_ms: int) -> None:
    """However unevenly pictures come, those that are recorded are a second apart at most, and no more than needed are."""
    recorder: Any = AllAtOnce()
    recording = recording_all(recorder)
    camera: Any = SimpleNamespace(id=CAMERA_ID)
    chance = Random(interval_ms)
    t = answered = 0
    times, forgotten = [], []
    for seq in range(1, 600):
        t += round(interval_ms * chance.uniform(0.4, 1.4))
        times.append(t)
        assert recording.take(
            camera, Frame(CAMERA_ID, 7, 0, seq, 0, t, 1, b"", 320, 240, False)
        )
        # The camera may forget what it hears of
        answered = max(answered, recording.persisted(CAMERA_ID, 7))
        forgotten.append(answered)
    recording.end_piece(CAMERA_ID)
    recorded = [frame.t for frame in recorder.frames]
    assert max(gaps_of(recorded)) <= continuous.MAX_GAP_MS
    for before, after in zip(recorded, recorded[2:], strict=False):
        assert after - before > continuous.MAX_GAP_MS or after == times[-1]
    assert [frame.seq for frame in recorder.frames] == sorted(
        {frame.seq for frame in recorder.frames}
    )
    for frame in recorder.frames[1:]:
        assert forgotten[frame.seq - 1] < frame.seq
    assert recording.persisted(CAMERA_ID, 7) == 599
    assert recording.thinned[CAMERA_ID] == 599 - len(recorded)


async def test_last_picture_is_recorded_though_none_follows() -> None:
    """A camera that sends no more waits for no picture to be recorded."""
    recorder: Any = AllAtOnce()
    recording = recording_all(recorder)
    camera: Any = SimpleNamespace(id=CAMERA_ID)
    for seq in (1, 2, 3):
        recording.take(
            camera,
            Frame(CAMERA_ID, 7, 0, seq, 0, seq * 100, seq * 100, b"", 320, 240, False),
        )
    assert recording.persisted(CAMERA_ID, 7) == 2
    async with asyncio.timeout(10):
        while recording.persisted(CAMERA_ID, 7) < 3:
            await asyncio.sleep(0.05)
    recording.end_piece(CAMERA_ID)
    assert [frame.seq for frame in recorder.frames] == [1, 3]


async def test_who_watches_is_recorded_in_full(
    installation: Installation, always_on: VirtualCamera
) -> None:
    """While somebody watches, each picture is recorded: it is what they see."""
    await count_until(installation, 1)
    source = installation.nvr.live.sources.get(CAMERA_ID)
    viewer = source.open()
    thinned = installation.nvr.delegate.continuous.thinned
    before = thinned[CAMERA_ID]
    done = len(await events(installation, continuous=True))
    pieces = await count_until(installation, done + 2)
    assert pieces[-1].frames > 2 * PIECE_MS / 1000
    assert thinned[CAMERA_ID] == before
    assert installation.nvr.live.sources.encoders == 0
    source.release(viewer)


async def test_motion_is_an_event_of_its_own(
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    always_on: VirtualCamera,
) -> None:
    """Motion lies between two pieces; lists show it and not the pieces, cards get both."""
    await count_until(installation, 1)
    written = async_capture_events(hass, EVENT_STATE_CHANGED)
    always_on.trigger_motion(1.5)
    await installation.wait_until(
        lambda: installation.nvr.recordings.last_event(CAMERA_ID) is not None
    )
    motion = installation.nvr.recordings.last_event(CAMERA_ID)
    assert motion
    assert motion.reason == "motion"
    done = len(await events(installation, continuous=True))
    await count_until(installation, done + 1)
    everything = await events(installation)
    assert [event.id for event in everything if not event.is_continuous] == [motion.id]
    for before, after in itertools.pairwise(everything):
        assert after.start_ms - before.end_ms <= 1000
    entity_id = installation.entity_id("event", "event")
    ready = [
        item.data["new_state"].attributes["event_id"]
        for item in written
        if item.data["entity_id"] == entity_id
        and item.data["new_state"].attributes.get("event_type") == "clip_ready"
    ]
    assert ready == [motion.id]

    # What is played of the piece around it has the motion in its place
    piece = max(
        (event for event in everything if event.is_continuous),
        key=lambda event: (event.start_ms <= motion.start_ms, event.start_ms),
    )
    library = installation.nvr.recordings.library
    played = await library.clip(ClipSpec(event_id=piece.id))
    assert await pictures_in(played) == piece.frames + motion.frames
    alone = await library.clip(ClipSpec(event_id=motion.id))
    assert await pictures_in(alone) == motion.frames

    day = (await installation.nvr.recordings.library.days(camera=CAMERA_ID))[0]
    assert day.events == 1
    browsed = await async_browse_media(
        hass, f"media-source://magicpi_nvr/day/{CAMERA_ID.replace(':', '-')}/{day.date}"
    )
    assert browsed.children
    shown = [child.media_content_id for child in browsed.children]
    assert not any(
        event.id in text
        for event in everything
        if event.is_continuous
        for text in shown
    )
    assert any(motion.id in text for text in shown)

    socket = await hass_ws_client(hass)
    await socket.send_json_auto_id(
        {"type": "magicpi_nvr/events", "camera_ids": [CAMERA_ID], "limit": 100}
    )
    answer = await socket.receive_json()
    reasons = [event["reason"] for event in answer["result"]["events"]]
    assert reasons.count("motion") == 1
    assert reasons.count("continuous") >= 2

    # What moved, and what was seen, is marked in its piece: for cards, for REST and in the MP4
    await library.label(motion.id, ["person"])
    await socket.send_json_auto_id(
        {"type": "magicpi_nvr/events", "camera_ids": [CAMERA_ID], "limit": 100}
    )
    cards = (await socket.receive_json())["result"]["events"]
    client = await hass_client()
    response = await client.get("/api/magicpi_nvr/recordings?limit=100")
    for found in (cards, (await response.json())["recordings"]):
        marks = {event["id"]: event["motion"] for event in found if "motion" in event}
        assert set(marks) == {
            event["id"] for event in found if event["reason"] == "continuous"
        }
        (mark,) = marks.pop(piece.id)
        assert mark["id"] == motion.id
        assert (mark["start"], mark["end"]) == (motion.start_ms, motion.end_ms)
        assert (mark["reason"], mark["labels"]) == ("motion", ["person"])
        assert not any(marks.values())
    chapters = await chapters_of(await library.clip(ClipSpec(event_id=piece.id)))
    titles = [title for _, title in chapters]
    assert titles[:2] == ["continuous", "person"]
    assert set(titles[2:]) <= {"continuous"}
    assert abs(chapters[1][0] * 1000 - (motion.start_ms - piece.start_ms)) <= 1
    assert await chapters_of(await library.clip(ClipSpec(event_id=motion.id))) == []


async def test_camera_bridges_a_restart(
    installation: Installation, always_on: VirtualCamera
) -> None:
    """While Home Assistant is away the camera keeps a picture a second: no gap is above a second."""
    await count_until(installation, 1)
    entries = installation.hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        await installation.hass.config_entries.async_unload(entry.entry_id)
    # Long enough for what is kept to fill more than two pieces
    away = always_on.counters.captured
    await installation.wait_until(lambda: always_on.counters.captured >= away + 8)
    for entry in entries:
        await installation.hass.config_entries.async_setup(entry.entry_id)
    done = len(await events(installation, continuous=True))
    await count_until(installation, done + 2)
    # The end of what was kept may be in a piece that is not finished
    await stop_recording(installation, always_on)
    times = await recorded_times(installation)
    # However late a busy camera took its next picture, no gap is longer than its own
    taken = gaps_of([frame.t for frame in always_on.sent_frames][1:])
    assert max(gaps_of(times)) <= max(continuous.MAX_GAP_MS, *taken)
    alone = [frame.t for frame in always_on.sent_frames if frame.flags & 1]
    assert len(alone) >= 4
    assert set(alone) <= set(times)


async def test_goes_on_after_a_restart(
    installation: Installation, always_on: VirtualCamera
) -> None:
    """After a restart of the NVR the recording goes on, in another piece."""
    before = await count_until(installation, 1)
    await installation.restart()
    after = await count_until(installation, len(before) + 2)
    assert len({event.id for event in after}) == len(after)
    assert installation.nvr.recordings.is_recording(CAMERA_ID)


# Where the host's clock stands when the recording begins (None: where it is), and by how much it is set then
JUMPS = {
    "another hour": ("2026-11-28T10:59:57+01:00", 0),
    "another day": ("2026-11-28T23:59:57+01:00", 0),
    "clock set forward": (None, 3_600_000),
    "clock set back": (None, -3_600_000),
    "clock set back a little": (None, -2000),
    "end of summer time": ("2026-10-25T02:59:57+02:00", 0),
    "beginning of summer time": ("2026-03-29T01:59:57+01:00", 0),
}


@pytest.mark.parametrize(("begin", "jump_ms"), JUMPS.values(), ids=JUMPS)
async def test_clocks(
    installation: Installation,
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    begin: str | None,
    jump_ms: int,
) -> None:
    """Whatever the clock does, each picture is in a piece or thinned out, and none is twice."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    monkeypatch.setattr(continuous, "PIECE_MS", PIECE_MS)
    camera = await installation.claimed(always_on=True)
    await camera.wait_all_acked()
    camera.sent_frames.clear()
    now = Clock.now_ms
    shift_ms = 0
    monkeypatch.setattr(Clock, "now_ms", lambda self: now(self) + shift_ms)
    if begin is not None:
        shift_ms = int(datetime.fromisoformat(begin).timestamp() * 1000) - now(Clock())
    hass.config_entries.async_update_entry(
        installation.entry(), options={CONF_RECORD: RECORD_CONTINUOUSLY}
    )
    await hass.config_entries.async_reload(installation.entry().entry_id)
    await installation.wait_until(
        lambda: installation.nvr.recordings.is_recording(CAMERA_ID)
    )
    began = len(camera.sent_frames)
    await installation.wait_until(lambda: len(camera.sent_frames) > began + 20)
    shift_ms += jump_ms
    await installation.wait_until(lambda: len(camera.sent_frames) > began + 60)
    await stop_recording(installation, camera)
    kept = await hass.async_add_executor_job(kept_frames, installation.nvr.media_root)
    counts, lost = compare([camera], kept)
    assert lost == []
    assert counts["twice"] == counts["unknown"] == 0
    assert counts["sent"] == counts["recorded"] + counts["thinned"]
    assert counts["recorded"] > 5
    pieces = await events(installation, continuous=True)
    assert len(pieces) >= 2
    files = {piece.path for piece in pieces}
    assert len(files) == (1 if begin is None and abs(jump_ms) < 3_600_000 else 2)


async def stop_recording(installation: Installation, camera: VirtualCamera) -> None:
    """Let the camera send no more, and wait until all is in hour files."""
    camera.set_live(False)
    await camera.wait_all_acked()
    installation.hass.config_entries.async_update_entry(
        installation.entry(), options={}
    )
    installation.nvr.delegate.continuous.end_piece(CAMERA_ID)
    await installation.wait_until(
        lambda: not installation.nvr.recordings.is_recording(CAMERA_ID)
    )


@pytest.mark.parametrize("year", [1970, 2026, 2045, 2200])
def test_pieces_by_any_clock(year: int) -> None:
    """The number of a piece has its 32 bits however far off the clock is, and is another one each time."""
    recorder: Any = AllAtOnce()
    recording = recording_all(recorder)
    at_ms = round(datetime(year, 6, 1, tzinfo=UTC).timestamp() * 1000)
    camera = Mock(id=CAMERA_ID)
    for t in range(0, 2 * continuous.PIECE_MS, 60_000):
        frame = Frame(CAMERA_ID, 1, 0, 1, 0, t, at_ms + t, b"", 320, 240, False)
        assert recording.take(camera, frame)
    numbers = [frame.event for frame in recorder.frames]
    assert len(set(numbers)) == 2
    assert continuous.FIRST_PIECE <= min(numbers) < max(numbers) < 1 << 32


async def test_ends_with_its_option(
    installation: Installation, hass: HomeAssistant, always_on: VirtualCamera
) -> None:
    """Without the option the camera is let go."""
    await count_until(installation, 1)
    hass.config_entries.async_update_entry(installation.entry(), options={})
    await installation.wait_until(
        lambda: not installation.nvr.recordings.is_recording(CAMERA_ID)
    )
    await installation.wait_until(
        lambda: not installation.nvr.delegate.continuous._holders
    )


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 300)
async def test_soak(
    installation: Installation,
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Two cameras, motion now and then, a restart in the middle: what they sent is in clips, or was thinned out."""
    cameras = [
        await installation.claimed(
            f"AA:BB:CC:DD:EE:0{number}", f"Camera {number}", always_on=True
        )
        for number in (1, 2)
    ]
    # The claim has taken a picture
    await asyncio.gather(*(camera.wait_all_acked() for camera in cameras))
    first = {camera.id: camera.counters.sent for camera in cameras}
    for camera in cameras:
        installation.camera(camera.id).set_config({"framerate": 2})
        entry = installation.entry(camera.id)
        hass.config_entries.async_update_entry(
            entry, options={CONF_RECORD: RECORD_CONTINUOUSLY}
        )
        await hass.config_entries.async_reload(entry.entry_id)
    thinned: Counter[str] = Counter()
    unwanted: Counter[str] = Counter()
    recording = installation.nvr.delegate.continuous
    take = recording.take

    def count(camera: Any, frame: Any) -> Any:
        """Count what comes when the recording was turned off already."""
        before = recording.thinned[camera.id]
        taken = take(camera, frame)
        unwanted[camera.id] += not taken and recording.thinned[camera.id] == before
        return taken

    monkeypatch.setattr(recording, "take", count)

    def note_thinned() -> None:
        thinned.update(recording.thinned)
        recording.thinned.clear()

    begin = hass.loop.time()
    restarted = False
    while hass.loop.time() - begin < MINUTES * 60:
        await asyncio.sleep(min(20, MINUTES * 20))
        cameras[0].trigger_motion(3)
        if not restarted and hass.loop.time() - begin > MINUTES * 30:
            restarted = True
            note_thinned()
            await installation.restart()
    for camera in cameras:
        entry = installation.entry(camera.id)
        hass.config_entries.async_update_entry(entry, options={})
        await installation.wait_until(
            lambda camera=camera: (
                not installation.nvr.delegate.continuous._holders.get(camera.id)
            )
        )
        await camera.wait_all_acked(timeout=60)
    await installation.wait_until(
        lambda: (
            not any(
                installation.nvr.recordings.is_recording(camera.id)
                for camera in cameras
            )
        )
    )
    note_thinned()
    for camera in cameras:
        recorded = lost = 0
        cursor = None
        while True:
            page = await installation.nvr.recordings.library.events(
                camera=camera.id, limit=500, cursor=cursor
            )
            recorded += sum(event.frames for event in page.events)
            lost += sum(event.lost for event in page.events)
            if (cursor := page.cursor) is None:
                break
        sent = camera.counters.sent - first[camera.id]
        record_property(
            camera.id,
            f"{sent} sent, {recorded} in clips, {thinned[camera.id]} thinned out, {unwanted[camera.id]} after the end",
        )
        assert lost == 0
        assert sent == recorded + thinned[camera.id] + unwanted[camera.id]
        assert unwanted[camera.id] < 10
