"""The camera entity and what is fired for its events."""

import asyncio
from io import BytesIO
from typing import Any
from unittest.mock import AsyncMock, Mock

from aiohttp import ClientResponse, web
import av
from PIL import Image, ImageChops, ImageOps, ImageStat
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr import camera as camera_entity
from custom_components.magicpi_nvr.const import CONF_ROTATION
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from custom_components.magicpi_nvr.views import event_clip_url, event_thumbnail_url
from homeassistant.components.camera import (
    DOMAIN as CAMERA_DOMAIN,
    SERVICE_DISABLE_MOTION,
    SERVICE_ENABLE_MOTION,
    async_get_image,
)
from homeassistant.components.camera.const import DATA_COMPONENT
from homeassistant.components.image import async_get_image as async_get_still
from homeassistant.const import (
    ATTR_ENTITY_ID,
    EVENT_HOMEASSISTANT_STOP,
    EVENT_STATE_CHANGED,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity import Entity
from tests.harness.home_assistant import CAMERA_ID, Installation


async def read_part(response: ClientResponse) -> bytes:
    """Return the next picture of a multipart stream."""
    length = 0
    while (line := (await response.content.readline()).strip()) or not length:
        assert not response.content.at_eof()
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    picture = await response.content.readexactly(length)
    assert await response.content.readline() == b"\r\n"
    assert (await response.content.readline()).strip() == b"--frame"
    return picture


async def recorded(installation: Installation, camera: Any) -> dict[str, Any]:
    """Let motion be recorded; returns what is fired when the clip is ready."""
    entity_id = installation.entity_id("event", "event", camera.id)
    seen = async_capture_events(installation.hass, EVENT_STATE_CHANGED)

    def clips() -> list[Any]:
        return [
            item.data["new_state"]
            for item in seen
            if item.data["entity_id"] == entity_id
            and item.data["new_state"].attributes.get("event_type") == "clip_ready"
        ]

    camera.trigger_motion(0.5)
    await installation.wait_until(lambda: bool(clips()))
    return dict(clips()[0].attributes)


async def test_pictures_pass_untouched(
    installation: Installation, hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> None:
    """The live picture is what the camera sent, byte by byte; a slow viewer gets fewer."""
    camera = await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    # The first one came when the camera was claimed
    await installation.wait_until(
        lambda: installation.nvr.last_picture(CAMERA_ID) is not None
    )
    client = await hass_client()
    response = await client.get(f"/api/camera_proxy_stream/{entity_id}")
    assert response.headers["Content-Type"] == (
        "multipart/x-mixed-replace;boundary=frame"
    )
    assert (await response.content.readline()).strip() == b"--frame"
    pictures = [await read_part(response) for _ in range(5)]
    sent = set(camera.source.frames)
    assert set(pictures) <= sent
    assert len(set(pictures)) == 5
    assert hass.states.get(entity_id).state == "streaming"
    assert (await async_get_image(hass, entity_id)).content in sent

    # Leaving ends the camera's stream
    response.close()
    await installation.wait_until(lambda: hass.states.get(entity_id).state == "idle")


@pytest.mark.skipif(
    not hasattr(Entity, "async_entity_id_changed"),
    reason="before 2026.11 an entity is removed and added again",
)
async def test_a_new_entity_id_ends_no_stream(
    installation: Installation,
    entity_registry: er.EntityRegistry,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """Who watches goes on watching when the camera's entity id changes."""
    await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    client = await hass_client()
    response = await client.get(f"/api/camera_proxy_stream/{entity_id}")
    assert (await response.content.readline()).strip() == b"--frame"
    await read_part(response)
    entity_registry.async_update_entity(entity_id, new_entity_id="camera.yard")
    await hass.async_block_till_done()
    before = installation.nvr.gateway.cameras[CAMERA_ID].counters.frames
    while installation.nvr.gateway.cameras[CAMERA_ID].counters.frames < before + 20:
        await read_part(response)
    assert hass.states.get("camera.yard").state == "streaming"
    response.close()


def shown(jpeg: bytes) -> Image.Image:
    """Return a picture as browsers show it."""
    with Image.open(BytesIO(jpeg)) as picture:
        return ImageOps.exif_transpose(picture).convert("L")


def frames_of(clip: bytes) -> list[Image.Image]:
    """Return the pictures of a clip as players show them (blocking)."""
    with av.open(BytesIO(clip)) as video:
        (stream,) = video.streams.video
        size = (stream.width, stream.height)
        frames = [frame.to_image().convert("L") for frame in video.decode(stream)]
    assert {frame.size for frame in frames} == {size}
    return frames


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return how much two pictures differ, in levels of gray."""
    small = [picture.resize((24, 32)) for picture in (one, other)]
    return float(ImageStat.Stat(ImageChops.difference(*small)).mean[0])


@pytest.mark.parametrize(
    ("rotation", "size"), [("90", (240, 320)), ("180", (320, 240))]
)
async def test_rotation(
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    rotation: str,
    size: tuple[int, int],
) -> None:
    """Live picture, scaled picture, thumbnail and clip agree."""
    camera = await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    hass.config_entries.async_update_entry(
        installation.entry(), options={CONF_ROTATION: rotation}
    )
    await recorded(installation, camera)
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    client = await hass_client()
    answers = [
        await (await client.get(url(event.id))).read()
        for url in (event_thumbnail_url, event_clip_url)
    ]
    thumbnail = shown(answers[0])
    frames = await hass.async_add_executor_job(frames_of, answers[1])
    assert thumbnail.size == frames[0].size == size
    upright = min(distance(thumbnail, frame) for frame in frames)
    turned = min(distance(thumbnail.rotate(180), frame) for frame in frames)
    assert upright < turned / 2
    live = shown((await async_get_image(hass, entity_id)).content)
    scaled = await async_get_image(
        hass, entity_id, width=size[0] // 2, height=size[1] // 2
    )
    assert live.size == size
    assert shown(scaled.content).size == (size[0] // 2, size[1] // 2)
    assert distance(shown(scaled.content), live) < turned / 2


async def test_browser_knows_at_once_that_a_picture_is_whole(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """A browser paints a part when the next one's header is there, so that comes behind each picture."""
    entity_id = installation.entity_id("camera", "camera")
    last = (await async_get_image(hass, entity_id)).content
    client = await hass_client()
    response = await client.get(
        f"/api/camera_proxy_stream/{entity_id}",
        headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
    )
    header = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    whole = header + last + b"\r\n" + header
    assert await response.content.readexactly(len(whole)) == whole
    await hass.config_entries.async_unload(installation.entry().entry_id)
    await client.close()


async def test_viewer_that_takes_nothing_is_cut_off(
    installation: Installation, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer whose connection takes no picture does not hold the camera's stream."""
    await installation.claimed(always_on=True)
    monkeypatch.setattr(camera_entity, "STALL_S", 0.1)
    monkeypatch.setattr(web.StreamResponse, "prepare", AsyncMock())
    written = 0

    async def write(_: web.StreamResponse, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > 3:
            await asyncio.Event().wait()

    monkeypatch.setattr(web.StreamResponse, "write", write)
    transport = Mock()
    entity = hass.data[DATA_COMPONENT].get_entity(
        installation.entity_id("camera", "camera")
    )
    assert entity
    async with asyncio.timeout(20):
        await entity.handle_async_mjpeg_stream(Mock(headers={}, transport=transport))
    transport.abort.assert_called_once_with()
    assert written == 4
    assert installation.camera().viewers == 0


async def test_sleeping_camera_shows_its_last_picture(
    installation: Installation, hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> None:
    """Looking does not wake a camera; the stream goes on when it wakes by itself, and ends with the entity."""
    camera = await installation.claimed()
    await recorded(installation, camera)
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entity_id = installation.entity_id("camera", "camera")
    wakes = camera.counters.boots
    last = (await async_get_image(hass, entity_id)).content
    client = await hass_client()
    response = await client.get(f"/api/camera_proxy_stream/{entity_id}")
    await response.content.readline()
    assert await read_part(response) == last
    assert camera.counters.boots == wakes
    assert hass.states.get(entity_id).state == "idle"

    camera.trigger_motion(0.5)
    assert await read_part(response) in camera.source.frames
    await camera.wait_state("asleep")
    await hass.config_entries.async_unload(installation.entry().entry_id)
    async with asyncio.timeout(10):
        await response.read()
    await client.close()


async def test_last_picture_survives_a_restart(
    installation: Installation, hass: HomeAssistant
) -> None:
    """After a restart a sleeping camera still has its picture."""
    camera = await installation.claimed()
    await recorded(installation, camera)
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entity_id = installation.entity_id("camera", "camera")
    picture = installation.nvr.last_picture(CAMERA_ID)
    await installation.restart()
    assert installation.camera().latest is None
    assert (await async_get_image(hass, entity_id)).content == picture.jpeg
    assert installation.nvr.last_picture(CAMERA_ID).captured_ms == picture.captured_ms
    folder = installation.nvr.folder / "last"
    assert [path.name for path in folder.iterdir()] == ["AA-BB-CC-DD-EE-01.jpg"]
    assert (folder / "AA-BB-CC-DD-EE-01.jpg").stat().st_mode & 0o777 == 0o600


async def test_last_picture_after_the_clock_was_set_back(
    clip: RecordedEvent, installation: Installation
) -> None:
    """The picture that came last is the last one, whatever its time."""
    pictures, camera = installation.nvr.pictures, installation.camera()
    assert camera.latest
    earlier = camera.latest.captured_ms - 3_600_000
    pictures.note(camera.latest._replace(captured_ms=earlier, jpeg=b"later"))
    kept = pictures.get(CAMERA_ID)
    assert kept
    assert (kept.jpeg, kept.captured_ms) == (b"later", earlier)


async def test_streams_end_before_home_assistant(
    installation: Installation, hass: HomeAssistant, hass_client: ClientSessionGenerator
) -> None:
    """A stream does not keep Home Assistant from stopping."""
    await installation.claimed(always_on=True)
    entity_id = installation.entity_id("camera", "camera")
    client = await hass_client()
    response = await client.get(f"/api/camera_proxy_stream/{entity_id}")
    await response.content.readline()
    await read_part(response)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    async with asyncio.timeout(10):
        await response.read()
    await installation.wait_until(lambda: not installation.nvr.running)


async def test_motion_detection(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Arming is a setting that the camera gets with its next wake."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entity_id = installation.entity_id("camera", "camera")
    assert hass.states.get(entity_id).attributes["motion_detection"] is True
    target = {ATTR_ENTITY_ID: entity_id}
    await hass.services.async_call(
        CAMERA_DOMAIN, SERVICE_DISABLE_MOTION, target, blocking=True
    )
    await hass.async_block_till_done()
    assert "motion_detection" not in hass.states.get(entity_id).attributes
    assert "motion_enabled" in installation.camera().config.pending
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("config_applied", after=mark)
    await installation.wait_until(lambda: not installation.camera().config.pending)
    assert camera.config["motion_enabled"] is False
    await hass.services.async_call(
        CAMERA_DOMAIN, SERVICE_ENABLE_MOTION, target, blocking=True
    )
    assert installation.camera().config.desired["motion_enabled"] is True


async def test_no_state_for_a_frame(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Thirty frames write no more states than three."""
    camera = await installation.claimed(tail_s=0.2)
    await camera.wait_state("asleep")
    await recorded(installation, camera)
    await camera.wait_state("asleep")
    counts = []
    for duration in (0.3, 3.0):
        frames = installation.camera().counters.frames
        written = async_capture_events(hass, EVENT_STATE_CHANGED)
        clips = installation.nvr.recordings.last_event(CAMERA_ID)
        camera.trigger_motion(duration)
        await installation.wait_until(
            lambda clips=clips: (
                installation.nvr.recordings.last_event(CAMERA_ID) != clips
            )
        )
        await camera.wait_state("asleep")
        await installation.wait_until(lambda: installation.camera().session is None)
        await hass.async_block_till_done()
        counts.append((installation.camera().counters.frames - frames, len(written)))
    (few, states_few), (many, states_many) = counts
    assert many > few + 20
    assert states_many <= states_few + 5


async def test_what_is_shown_of_an_event(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Wake, motion and clip are fired in their order, with what automations need."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    entity_id = installation.entity_id("event", "event")
    motion_id = installation.entity_id("binary_sensor", "motion")
    image_id = installation.entity_id("image", "last_event")
    camera_id = installation.entity_id("camera", "camera")
    # There was no event yet, which is no reason to show nothing
    assert hass.states.get(image_id).state == "unknown"
    picture = await async_get_still(hass, image_id)
    assert picture.content == installation.nvr.last_picture(camera.id).jpeg
    seen = async_capture_events(hass, EVENT_STATE_CHANGED)
    clip = await recorded(installation, camera)
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await hass.async_block_till_done()

    def states(of: str) -> list[Any]:
        return [item.data["new_state"] for item in seen if item.data["entity_id"] == of]

    kinds = [state.attributes["event_type"] for state in states(entity_id)]
    assert kinds[:2] == ["camera_woke", "motion_started"]
    assert sorted(kinds[2:]) == ["clip_ready", "motion_ended"]
    assert states(entity_id)[0].attributes["reason"] == "pir"
    assert states(entity_id)[1].attributes["event_id"] == clip["event_id"]
    assert [state.state for state in states(motion_id)] == ["on", "off"]
    assert {"recording", "streaming"} & {state.state for state in states(camera_id)}
    assert clip["reason"] == "motion"
    assert clip["media_content_id"].endswith(clip["event_id"])
    assert hass.states.get(image_id).state != "unknown"
    assert hass.states.get(image_id).state == clip["start"]
    picture = await async_get_still(hass, image_id)
    assert picture.content in camera.source.frames
    await installation.nvr.recordings.async_delete(clip["event_id"])
    await installation.wait_until(lambda: hass.states.get(image_id).state == "unknown")
    picture = await async_get_still(hass, image_id)
    assert picture.content == installation.nvr.last_picture(camera.id).jpeg


async def test_trouble_is_shown(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that restarted by its watchdog has a problem until its next good wake."""
    camera = await installation.claimed()
    problem = installation.entity_id("binary_sensor", "problem")
    assert hass.states.get(problem).state == "off"
    mark = camera.mark()
    camera.reboot("watchdog")
    await camera.wait_event("welcome", after=mark)
    await hass.async_block_till_done()
    state = hass.states.get(problem)
    assert state.state == "on"
    assert state.attributes["reason"] == "watchdog"
    mark = camera.mark()
    await camera.wait_state("asleep")
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    await hass.async_block_till_done()
    assert hass.states.get(problem).state == "off"


@pytest.mark.usefixtures("everything_enabled")
async def test_sleep_is_no_fault(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Connectivity tells of the link; nothing else becomes unavailable."""
    camera = await installation.claimed(linger_s=3)
    link = installation.entity_id("binary_sensor", "connectivity")
    await installation.wait_until(lambda: hass.states.get(link).state == "on")
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: hass.states.get(link).state == "off")
    assert not [
        state.entity_id
        for state in hass.states.async_all()
        if state.state == "unavailable"
    ]
