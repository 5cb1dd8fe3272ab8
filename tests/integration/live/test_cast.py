"""`camera.play_stream`: a media player, as a cast device is one, fetches the video from the address it is given."""

import av
import pytest
from pytest_homeassistant_custom_component.common import (
    MockModule,
    MockPlatform,
    mock_integration,
    mock_platform,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from homeassistant.components.camera import DOMAIN as CAMERA_DOMAIN, SERVICE_PLAY_STREAM
from homeassistant.components.camera.const import DATA_COMPONENT
from homeassistant.components.media_player import (
    DOMAIN as PLAYER_DOMAIN,
    MediaPlayerEntity,
    MediaPlayerEntityFeature,
)
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from tests.harness.home_assistant import Installation

pytestmark = pytest.mark.timeout(180)


class Screen(MediaPlayerEntity):
    """A player that notes what it is to play."""

    _attr_name = "Screen"
    _attr_supported_features = MediaPlayerEntityFeature.PLAY_MEDIA

    def __init__(self) -> None:
        """Play nothing yet."""
        self.asked: list[tuple[str, str]] = []

    async def async_play_media(
        self, media_type: str, media_id: str, **kwargs: object
    ) -> None:
        """Take an address."""
        self.asked.append((media_type, media_id))


async def test_play_stream(
    live_installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
) -> None:
    """The player gets an address that needs no login, and pictures decode from it."""
    screen = Screen()

    async def set_up(hass: HomeAssistant, config, add, discovered=None) -> None:
        add([screen])

    mock_integration(hass, MockModule("screens"))
    mock_platform(
        hass, "screens.media_player", MockPlatform(async_setup_platform=set_up)
    )
    assert await async_setup_component(
        hass, PLAYER_DOMAIN, {PLAYER_DOMAIN: {"platform": "screens"}}
    )
    await hass.async_block_till_done()
    client = await hass_client()
    hass.config.internal_url = str(client.make_url("")).rstrip("/")
    camera = live_installation.entity_id("camera", "camera")
    await hass.services.async_call(
        CAMERA_DOMAIN,
        SERVICE_PLAY_STREAM,
        {ATTR_ENTITY_ID: camera, "media_player": [screen.entity_id]},
        blocking=True,
    )
    ((media_type, url),) = screen.asked
    assert media_type == "application/vnd.apple.mpegurl"
    assert url.startswith(f"{hass.config.internal_url}/api/hls/")

    def play() -> tuple[int, set[tuple[int, int]]]:
        with av.open(url, timeout=60) as container:
            sizes = [
                (picture.width, picture.height)
                for picture, _ in zip(
                    container.decode(video=0), range(20), strict=False
                )
            ]
        return len(sizes), set(sizes)

    assert await hass.async_add_executor_job(play) == (20, {(320, 240)})
    entity = hass.data[DATA_COMPONENT].get_entity(camera)
    assert entity
    assert entity.stream
    for output in list(entity.stream.outputs().values()):
        await entity.stream.remove_provider(output)
