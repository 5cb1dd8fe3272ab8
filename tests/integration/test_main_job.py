"""The main job with everything real: gateway, TLS, virtual camera, ffmpeg, and ffprobe as the judge."""

import asyncio
import json
from pathlib import Path

from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.const import DOMAIN
from homeassistant.components.media_source import (
    async_browse_media,
    async_resolve_media,
)
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from tests.harness.home_assistant import Installation
from virtual_camera import VirtualCamera


async def wait_for_event(
    installation: Installation, kind: str, camera: VirtualCamera
) -> asyncio.Future[dict[str, object]]:
    """Return a future of the attributes that an event of the camera comes with."""
    found: asyncio.Future[dict[str, object]] = installation.hass.loop.create_future()

    @callback
    def changed(event: Event[EventStateChangedData]) -> None:
        state = event.data["new_state"]
        if state and state.attributes.get("event_type") == kind and not found.done():
            found.set_result(dict(state.attributes))

    async_track_state_change_event(
        installation.hass, installation.entity_id("event", "event", camera.id), changed
    )
    return found


async def probe(path: Path) -> dict[str, object]:
    """Return what ffprobe says of a file's video stream, every frame counted."""
    process = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "error", "-count_frames", "-of", "json"),
        *("-show_streams", "-show_format", str(path)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    report = json.loads(output)
    assert len(report["streams"]) == 1
    return report["streams"][0] | {"format": report["format"]}


async def test_motion_becomes_a_clip(
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    tmp_path: Path,
) -> None:
    """Motion wakes the camera; its pictures are kept, announced, listed, and play."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    ready = await wait_for_event(installation, "clip_ready", camera)
    camera.trigger_motion(1.0)
    async with asyncio.timeout(30):
        clip = await ready

    # Every frame that the camera sent is in the clip, at its own time
    sent = [frame for frame in camera.sent_frames if frame.event == 1]
    client = await hass_client_no_auth()
    response = await client.get(clip["clip_url"])
    assert response.status == 200
    file = tmp_path / "clip.mp4"
    file.write_bytes(await response.read())
    stream = await probe(file)
    assert stream["codec_name"] == "h264"
    assert stream["pix_fmt"] == "yuv420p"
    assert int(stream["nb_read_frames"]) == len({frame.seq for frame in sent})
    length = (sent[-1].t - sent[0].t) / 1000
    assert abs(float(stream["format"]["duration"]) - length) < 0.2
    assert abs(clip["duration"] - length) < 0.2
    assert Path(clip["path"]).is_file()
    assert installation.media in Path(clip["path"]).parents

    # The media browser leads to it: camera, day, event
    root = await async_browse_media(hass, f"media-source://{DOMAIN}")
    node = next(item for item in root.children if item.title == "Front door")
    assert node.thumbnail
    days = await async_browse_media(hass, node.media_content_id)
    day = await async_browse_media(hass, days.children[0].media_content_id)
    event = day.children[0]
    assert event.media_content_id == clip["media_content_id"]
    media = await async_resolve_media(hass, event.media_content_id, None)
    assert media.mime_type == "video/mp4"
    assert clip["clip_url"].startswith(media.url)
    client = await hass_client()
    picture = await client.get(event.thumbnail)
    assert picture.status == 200
    assert (await picture.read()).startswith(b"\xff\xd8")
