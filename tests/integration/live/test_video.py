"""The camera's H.264 in Home Assistant: read by real players."""

import asyncio
from contextlib import suppress
from io import BytesIO
import json
import logging
import re
import subprocess
import threading
from typing import Any

from aiohttp import ClientSession
import av
import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.magicpi_nvr.const import CONF_LIVE_VIDEO, CONF_ROTATION
from custom_components.magicpi_nvr.live.keys import ATTEMPTS
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from homeassistant.components.camera import (
    DOMAIN as CAMERA_DOMAIN,
    SERVICE_RECORD,
    CameraEntityFeature,
    async_get_stream_source,
)
from homeassistant.components.camera.const import DATA_COMPONENT
from homeassistant.const import ATTR_ENTITY_ID, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from tests.harness.home_assistant import CAMERA_ID, Installation

pytestmark = pytest.mark.timeout(180)


def read_pictures(url: str, count: int) -> list[tuple[int, int]]:
    """Return time and width of pictures (blocking)."""
    with av.open(url, timeout=60) as container:
        return [
            (picture.pts, picture.width)
            for picture, _ in zip(container.decode(video=0), range(count), strict=False)
        ]


async def source_of(installation: Installation) -> str:
    """Return the address on the loopback."""
    url = await async_get_stream_source(
        installation.hass, installation.entity_id("camera", "camera")
    )
    assert url
    assert url.startswith("http://127.0.0.1:")
    return url


async def test_pyav_reads_the_loopback(
    live_installation: Installation, hass: HomeAssistant
) -> None:
    """A live encoder begins with the first viewer and ends after the last; its pictures have rising times."""
    entity_id = live_installation.entity_id("camera", "camera")
    state = hass.states.get(entity_id)
    assert state
    assert state.attributes["supported_features"] == CameraEntityFeature.STREAM
    url = await source_of(live_installation)
    sources = live_installation.nvr.live.sources
    assert sources.encoders == 0
    pictures = await hass.async_add_executor_job(read_pictures, url, 20)
    assert len(pictures) == 20
    assert [at for at, _ in pictures] == sorted({at for at, _ in pictures})
    assert {width for _, width in pictures} == {320}
    assert sources.encoders == 1


def read_units(url: str, until: threading.Event, out: list[bytes]) -> None:
    """Collect the pictures' own bytes until the end is set (blocking)."""
    with av.open(url, timeout=60) as container:
        for packet in container.demux(video=0):
            out.append(max(bytes(packet).split(b"\0\0\0\1"), key=len))
            if until.is_set():
                return


async def test_recording_is_tapped(
    live_installation: Installation, hass: HomeAssistant
) -> None:
    """While the camera is recorded, viewers get the recording's own samples, and no second encoder runs."""
    nvr = live_installation.nvr
    recorder, sources = nvr.recordings.recorder, nvr.live.sources
    camera = live_installation.cameras[0]
    url = await source_of(live_installation)
    end = threading.Event()
    got: list[bytes] = []
    reader = hass.async_add_executor_job(read_units, url, end, got)
    await live_installation.wait_until(lambda: len(got) > 2)
    assert (recorder.stats.encoders, sources.encoders) == (0, 1)
    camera.trigger_motion(4)
    await live_installation.wait_until(
        lambda: recorder.stats.encoders == 1 and sources.encoders == 0
    )
    begin = len(got)
    await live_installation.wait_until(lambda: len(got) > begin + 20)
    assert (recorder.stats.encoders, sources.encoders) == (1, 0)
    tapped = got[begin + 5 : begin + 20]
    await live_installation.wait_until(
        lambda: nvr.recordings.last_event(CAMERA_ID) is not None
    )
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    recorded = await hass.async_add_executor_job(
        (nvr.media_root / event.path).read_bytes
    )
    assert all(unit in recorded for unit in tapped)
    assert event.lost == 0

    # The recording is over, the viewer is not
    await live_installation.wait_until(lambda: sources.encoders == 1)
    begin = len(got)
    await live_installation.wait_until(lambda: len(got) > begin + 3)
    end.set()
    await reader


async def test_recorder_comes_first(
    live_installation: Installation,
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the recording needs all encoders, viewers have none."""
    nvr = live_installation.nvr
    free = 1
    monkeypatch.setattr(nvr.live.sources, "_free_encoders", lambda: free)
    viewer = nvr.live.sources.get(CAMERA_ID).open()
    assert await viewer.read()
    assert nvr.live.sources.encoders == 1
    free = 0
    await live_installation.wait_until(lambda: nvr.live.sources.encoders == 0)
    while viewer.size:
        await viewer.read()
    free = 1
    async with asyncio.timeout(30):
        assert await viewer.read()
    nvr.live.sources.get(CAMERA_ID).release(viewer)


async def test_record_action(
    live_installation: Installation, hass: HomeAssistant
) -> None:
    """`camera.record` makes a file that ffprobe finds good."""
    path = live_installation.media / "recorded.mp4"
    await hass.services.async_call(
        CAMERA_DOMAIN,
        SERVICE_RECORD,
        {
            ATTR_ENTITY_ID: live_installation.entity_id("camera", "camera"),
            "filename": str(path),
            "duration": 4,
            "lookback": 0,
        },
        blocking=True,
    )
    await live_installation.wait_until(path.exists)

    def probe() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            subprocess.run(
                [
                    *("ffprobe", "-v", "error", "-count_frames", "-show_streams"),
                    *("-of", "json", str(path)),
                ],
                capture_output=True,
                check=True,
            ).stdout
        )
        return found

    stream = (await hass.async_add_executor_job(probe))["streams"][0]
    assert stream["codec_name"] == "h264"
    assert int(stream["nb_read_frames"]) >= 10
    assert (stream["width"], stream["height"]) == (320, 240)


async def test_hls(
    live_installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Home Assistant's players get HLS whose segments decode."""
    socket = await hass_ws_client(hass)
    client = await hass_client()
    await socket.send_json_auto_id(
        {
            "type": "camera/stream",
            "entity_id": live_installation.entity_id("camera", "camera"),
        }
    )
    async with asyncio.timeout(60):
        answer = await socket.receive_json()
    assert answer["success"], answer
    base = answer["result"]["url"].rpartition("/")[0]

    async def get(name: str) -> bytes:
        response = await client.get(f"{base}/{name}")
        assert response.status == 200
        return await response.read()

    playlist = ""
    async with asyncio.timeout(60):
        while playlist.count("segment/") < 2:
            playlist = (await get("playlist.m3u8")).decode()
    segments = re.findall(r"^\./(segment/\d+\.m4s)", playlist, re.MULTILINE)
    data = await get("init.mp4") + b"".join([await get(name) for name in segments])

    def decode() -> int:
        with av.open(BytesIO(data)) as container:
            return sum(1 for _ in container.decode(video=0))

    assert await hass.async_add_executor_job(decode) >= 5
    entity = hass.data[DATA_COMPONENT].get_entity(
        live_installation.entity_id("camera", "camera")
    )
    assert entity
    assert entity.stream
    for output in list(entity.stream.outputs().values()):
        await entity.stream.remove_provider(output)


async def test_stops_with_viewers(
    live_installation: Installation, hass: HomeAssistant
) -> None:
    """Home Assistant stops although somebody watches, and no encoder is left."""
    url = await source_of(live_installation)
    reader = hass.async_add_executor_job(read_pictures, url, 10_000)
    await live_installation.wait_until(
        lambda: live_installation.nvr.live.sources.encoders == 1
    )
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    async with asyncio.timeout(20):
        # One that has only begun to read finds that there is nothing
        with suppress(av.FFmpegError):
            await reader
    live = live_installation.nvr.live
    await live_installation.wait_until(lambda: live.url(CAMERA_ID) is None)
    assert live.sources.encoders == 0
    await live_installation.wait_until(lambda: not live_installation.nvr.life._done)


async def test_sleeping_camera_shows_its_last_picture(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A camera that sleeps offers pictures; who wants video all the same sees the last one, without an error, and does not wake it."""
    entity_id = installation.entity_id("camera", "camera")
    state = hass.states.get(entity_id)
    assert state
    assert state.attributes["supported_features"] == 0
    picture = installation.nvr.last_picture(CAMERA_ID)
    assert picture
    taken = state.attributes["picture_taken"]
    assert int(taken.timestamp() * 1000) == picture.captured_ms

    assert await async_setup_component(hass, "stream", {})
    caplog.clear()
    path = installation.media / "asleep.mp4"
    await hass.services.async_call(
        CAMERA_DOMAIN,
        SERVICE_RECORD,
        {ATTR_ENTITY_ID: entity_id, "filename": str(path), "duration": 2},
        blocking=True,
    )
    await installation.wait_until(path.exists)
    shown = await hass.async_add_executor_job(read_pictures, str(path), 5)
    assert [width for _, width in shown] == [320] * 5
    state = hass.states.get(entity_id)
    assert state
    assert state.state == "idle"
    assert installation.camera().session is None
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_sleeping_camera_may_have_video(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """With its option a camera that sleeps offers video while it is awake."""
    entity_id = installation.entity_id("camera", "camera")
    hass.config_entries.async_update_entry(
        installation.entry(), options={CONF_LIVE_VIDEO: True}
    )

    def features() -> int | None:
        state = hass.states.get(entity_id)
        return state and state.attributes.get("supported_features")

    assert features() == 0
    installation.cameras[0].trigger_motion(2)
    await installation.wait_until(lambda: features() == CameraEntityFeature.STREAM)
    await installation.cameras[0].wait_state("asleep")
    await installation.wait_until(lambda: features() == 0)


async def test_power_mode_changes(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that may sleep from now on offers no video any more, and who watches goes on with its last picture; one that stays awake again does."""
    camera = await installation.claimed()
    entity_id = installation.entity_id("camera", "camera")
    source = installation.nvr.live.sources.get(CAMERA_ID)

    async def until_features(wanted: int) -> None:
        def as_wanted() -> bool:
            state = hass.states.get(entity_id)
            return bool(state) and state.attributes["supported_features"] == wanted

        await installation.wait_until(as_wanted)

    async def read_on() -> None:
        while viewer.size:
            await viewer.read()
        async with asyncio.timeout(30):
            assert await viewer.read()

    installation.camera().set_config({"power_mode": "always_on"})
    camera.trigger_motion(0.5)
    await until_features(CameraEntityFeature.STREAM)
    viewer = source.open()
    await read_on()
    installation.camera().set_config({"power_mode": "battery"})
    await until_features(0)
    # Looking does not hold it
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    await read_on()
    assert not viewer.is_closed
    source.release(viewer)


async def test_reload_and_removal_under_viewers(
    live_installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """A reload or another rotation ends nobody for good; a camera that is removed ends who watches, inside and outside, and its address is gone."""
    nvr = live_installation.nvr
    entry = live_installation.entry()
    client = await hass_client_no_auth()
    key = nvr.live.new_key(CAMERA_ID)
    path = f"/api/magicpi_nvr/live/{CAMERA_ID.replace(':', '-')}.ts?key={key}"
    inside = await source_of(live_installation)
    async with ClientSession() as session:
        response = await session.get(inside)
        await response.content.readexactly(188)
        outside = await client.get(path)
        await outside.content.readexactly(188)
        await hass.config_entries.async_reload(entry.entry_id)
        seen = live_installation.camera().counters.frames
        await live_installation.wait_until(
            lambda: live_installation.camera().counters.frames > seen + 5
        )
        assert nvr.live.sources.viewers == 2
        hass.config_entries.async_update_entry(
            entry, title="Back door", options={CONF_ROTATION: 90}
        )
        await hass.async_block_till_done()
        await live_installation.wait_until(
            lambda: live_installation.camera().session is not None
        )
        # A picture on its side has another size: who watches comes again
        async with asyncio.timeout(30):
            await response.read()
            await outside.read()
        response = await session.get(inside)
        await response.content.readexactly(188)
        outside = await client.get(path)
        await outside.content.readexactly(188)
        await hass.config_entries.async_remove(entry.entry_id)
        async with asyncio.timeout(20):
            await response.read()
            await outside.read()
        assert (await session.get(inside)).status == 404
        assert (await client.get(path)).status == 404
    assert nvr.live.sources.viewers == nvr.live.sources.encoders == 0
    assert not nvr.live.keys.has(CAMERA_ID)


async def test_key_for_outside(
    live_installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """Nobody outside sees anything without a key; a key that is changed or revoked ends who watches."""
    live = live_installation.nvr.live
    client = await hass_client_no_auth()
    path = f"/api/magicpi_nvr/live/{CAMERA_ID.replace(':', '-')}.ts"
    assert (await client.get(path)).status == 404
    key = live.new_key(CAMERA_ID)
    assert (await client.get(f"{path}?key=x{key}")).status == 404
    response = await client.get(f"{path}?key={key}")
    assert response.status == 200
    assert response.headers["Content-Type"] == "video/mp2t"
    assert (await response.content.readexactly(188))[0] == 0x47

    newer = live.new_key(CAMERA_ID)
    async with asyncio.timeout(10):
        await response.read()
    assert (await client.get(f"{path}?key={key}")).status == 404
    response = await client.get(f"{path}?key={newer}")
    await response.content.readexactly(188)
    assert live.revoke_key(CAMERA_ID)
    async with asyncio.timeout(10):
        await response.read()
    assert not live.revoke_key(CAMERA_ID)
    for _ in range(ATTEMPTS):
        status = (await client.get(f"{path}?key={newer}")).status
    assert status == 429
