"""Browsers play virtual MP4 files: right duration, right pictures, seeking by ranges."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
import av
import numpy as np
import pytest

from custom_components.magicpi_nvr.recording.library import Library, http_range
from custom_components.magicpi_nvr.recording.library.playback import VirtualFile
from custom_components.magicpi_nvr.recording.model import ClipSpec
from person import find_chromium
from tests.harness.browsers import FIREFOX, Page, chromium_page, firefox
from tests.harness.library import FRONT, NOON, Pictures, Recordings

pytestmark = pytest.mark.browser

HOUR = 3_600_000
LOAD = """src => new Promise((resolve, reject) => {
  const video = document.createElement('video');
  video.muted = true;
  video.onloadedmetadata = () => resolve({duration: video.duration, width: video.videoWidth, height: video.videoHeight});
  video.onerror = () => reject(new Error(video.error.message));
  document.body.replaceChildren(video);
  window.video = video;
  video.src = src;
})"""
SEEK = """time => new Promise((resolve, reject) => {
  const video = window.video;
  video.onerror = () => reject(new Error(video.error.message));
  video.onseeked = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    resolve({width: canvas.width, height: canvas.height, pixels: Array.from(pixels)});
  }));
  video.currentTime = time;
})"""
PLAY = """() => new Promise((resolve, reject) => {
  const video = window.video;
  video.onerror = () => reject(new Error(video.error.message));
  video.onended = () => resolve(video.currentTime);
  video.playbackRate = 4;
  video.currentTime = 0;
  video.play().catch(reject);
})"""


class Server:
    """Serves clips by name with HTTP ranges, and remembers what was asked."""

    def __init__(self) -> None:
        """Start with nothing to serve."""
        self.clips: dict[str, VirtualFile] = {}
        self.statuses: list[int] = []
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/{name}", self._serve)
        self.server = TestServer(app)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><body></body>", content_type="text/html"
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if (clip := self.clips.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        answer = http_range.answer(clip, request.headers, method=request.method)
        self.statuses.append(answer.status)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        if answer.has_body:
            async for chunk in clip.read(answer.start, answer.stop):
                await response.write(chunk)
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Return a running server."""
    server = Server()
    await server.server.start_server()
    yield server
    await server.server.close()


@pytest.fixture(
    params=[
        pytest.param(
            name,
            marks=pytest.mark.skipif(path is None, reason=f"there is no {name}"),
        )
        for name, path in (("Chromium", find_chromium()), ("Firefox", FIREFOX))
    ]
)
async def page(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path
) -> AsyncIterator[Page]:
    """Return a page of the server in each browser."""
    async with (
        chromium_page()
        if request.param == "Chromium"
        else firefox(tmp_path / "profile") as page
    ):
        await page.goto(str(server.server.make_url("/")))
        yield page


async def expected(clip: VirtualFile) -> list[tuple[float, np.ndarray]]:
    """Return when each frame is shown, in seconds, and its pixels."""
    data = b"".join([chunk async for chunk in clip.read()])
    with av.open(BytesIO(data)) as container:
        return [
            (float(frame.time), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


async def check(page: Page, server: Server, clip: VirtualFile) -> None:
    """Let the browser load the clip, seek all over it and play it to its end."""
    server.clips["clip.mp4"] = clip
    frames = await expected(clip)
    loaded: dict[str, Any] = await page.evaluate(LOAD, "/clip.mp4")
    assert loaded["duration"] * 1000 == pytest.approx(clip.duration_ms, abs=1)
    count = len(frames)
    for position in (count - 1, 0, count // 2, count // 3, count - 2, 1):
        time = frames[position][0]
        following = (
            frames[position + 1][0] if position + 1 < count else clip.duration_ms / 1000
        )
        shown = await page.evaluate(SEEK, (time + following) / 2)
        got = np.array(shown["pixels"], dtype=np.uint8).reshape(
            shown["height"], shown["width"], 4
        )[:, :, :3]
        far = [
            np.abs(got.astype(int) - pixels.astype(int)).mean()
            if got.shape == pixels.shape
            else 255
            for _, pixels in frames
        ]
        # Colors are converted a bit differently, but no other picture is nearer.
        assert far[position] < 10
        assert far[position] == pytest.approx(min(far), abs=0.01)
    assert await page.evaluate(PLAY) * 1000 == pytest.approx(clip.duration_ms, abs=50)


async def test_event(
    page: Page, server: Server, library: Library, recordings: Recordings
) -> None:
    """An event with pictures at uneven times."""
    event = await recordings.record(NOON, intervals=[40, 160, 100, 300, 100] * 8)
    await check(page, server, await library.clip(ClipSpec.event(event.id)))


async def test_event_that_grows(
    page: Page, server: Server, library: Library, recordings: Recordings
) -> None:
    """What is there of an event while it is recorded."""
    event = await recordings.record(NOON, frames=30, close=False)
    await check(page, server, await library.clip(ClipSpec.event(event.id)))


async def test_day(
    page: Page, server: Server, library: Library, recordings: Recordings
) -> None:
    """A day of several hours, one after the other, read by ranges."""
    for hour in range(4):
        await recordings.record(NOON + hour * HOUR, frames=40)
    await check(page, server, await library.clip(ClipSpec.day(FRONT, "2026-11-22")))
    assert 206 in server.statuses


async def test_resolution_changes(
    page: Page,
    server: Server,
    library: Library,
    recordings: Recordings,
    large_video: Pictures,
) -> None:
    """Parts of different sizes, sought across in both directions."""
    for minute in range(2):
        await recordings.record(NOON + minute * 60_000, frames=30)
        await recordings.record(
            NOON + minute * 60_000 + 30_000, frames=30, part=2, pictures=large_video
        )
    clip = await library.clip(ClipSpec.hour(FRONT, "2026-11-22", "12"))
    await check(page, server, clip)


async def test_time_lapse(
    page: Page, server: Server, library: Library, recordings: Recordings
) -> None:
    """Ten times as fast."""
    await recordings.record(NOON, frames=200)
    await recordings.record(NOON + HOUR, frames=200)
    await check(
        page,
        server,
        await library.clip(ClipSpec.day(FRONT, "2026-11-22", timelapse=10)),
    )
