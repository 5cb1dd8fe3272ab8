"""A browser shows each picture of the MJPEG stream when it comes."""

import asyncio
from io import BytesIO

from PIL import Image
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.camera import REPEAT_AFTER
from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from tests.harness.browsers import Page
from tests.harness.home_assistant import Installation
from virtual_camera import Shot

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# Returns when the picture has a size, in ms since it was asked for.
SHOW = """src => new Promise(resolve => {
  const picture = new Image();
  document.body.replaceChildren(picture);
  const begin = performance.now();
  const look = () =>
    picture.naturalWidth ? resolve(performance.now() - begin) : requestAnimationFrame(look);
  picture.src = src;
  look();
})"""
# Returns when the picture that is shown is this gray.
UNTIL_GRAY = """wanted => new Promise(resolve => {
  const look = () => {
    const picture = document.querySelector("img");
    if (picture?.naturalWidth) {
      // A canvas of its own: Firefox draws what it has drawn into one before
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 1;
      const context = canvas.getContext("2d");
      context.drawImage(picture, 0, 0);
      const [red] = context.getImageData(0, 0, 1, 1).data;
      if (Math.abs(red - wanted) < 4) return resolve();
    }
    requestAnimationFrame(look);
  };
  look();
})"""
STEP = 10


def gray(number: int) -> bytes:
    """Return a picture of one gray that tells its number."""
    buffer = BytesIO()
    Image.new("RGB", (320, 240), (number * STEP,) * 3).save(buffer, "JPEG")
    return buffer.getvalue()


class OneByOne:
    """A sensor that takes a picture for each that was asked for."""

    def __init__(self) -> None:
        """Take none yet."""
        self.allowed = asyncio.Semaphore(0)
        self._number = 0

    async def frame(self, shot: Shot) -> bytes:
        """Return the next gray."""
        await self.allowed.acquire()
        self._number += 1
        return gray(self._number)

    async def close(self) -> None:
        """Have nothing to let go of."""


async def stream_url(
    installation: Installation, page: Page, hass_client: ClientSessionGenerator
) -> str:
    """Return where the camera's stream is, and open a page of the same origin."""
    client = await hass_client()
    entity_id = installation.entity_id("camera", "camera")
    await page.goto(str(client.make_url("/api/")))
    state = installation.hass.states.get(entity_id)
    assert state
    token = state.attributes["access_token"]
    return f"/api/camera_proxy_stream/{entity_id}?token={token}"


async def end_streams(installation: Installation) -> None:
    """End what the browsers hold: their server waits for it."""
    await installation.hass.config_entries.async_unload(installation.entry().entry_id)


async def test_sleeping_camera_at_once(
    clip: RecordedEvent,
    installation: Installation,
    page: Page,
    hass_client: ClientSessionGenerator,
) -> None:
    """The last picture of a sleeping camera is there in less than a second, not with its repetition."""
    url = await stream_url(installation, page, hass_client)
    async with asyncio.timeout(REPEAT_AFTER):
        took = [await page.evaluate(SHOW, f"{url}&turn={turn}") for turn in range(3)]
    assert min(took) < 1000
    assert installation.camera().session is None
    await end_streams(installation)


async def test_no_picture_is_late(
    installation: Installation,
    page: Page,
    hass_client: ClientSessionGenerator,
) -> None:
    """Each picture is shown before the next one is taken."""
    sensor = OneByOne()
    camera = await installation.claimed(always_on=True)
    camera.source = sensor
    url = await stream_url(installation, page, hass_client)
    sensor.allowed.release()
    async with asyncio.timeout(30):
        await page.evaluate(SHOW, url)
        for number in range(1, 8):
            await page.evaluate(UNTIL_GRAY, number * STEP)
            sensor.allowed.release()
    await end_streams(installation)
