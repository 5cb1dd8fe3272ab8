"""Addresses that are signed for a player: for one clip, for a while."""

from datetime import timedelta
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)
from yarl import URL

from custom_components.magicpi_nvr.recording import Event as RecordedEvent
from custom_components.magicpi_nvr.views import (
    event_clip_url,
    event_thumbnail_url,
    picture_url,
)
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from tests.harness.home_assistant import CAMERA_ID, Installation, token_of


@pytest.fixture(autouse=True)
async def signing(hass: HomeAssistant) -> None:
    """Home Assistant signs addresses."""
    assert await async_setup_component(hass, "auth", {})
    assert await async_setup_component(hass, "api", {})


async def signed(client: object, path: str, seconds: int) -> str:
    """Let Home Assistant sign an address, as a card does."""
    await client.send_json_auto_id(  # type: ignore[attr-defined]
        {"type": "auth/sign_path", "path": path, "expires": seconds}
    )
    answer = await client.receive_json()  # type: ignore[attr-defined]
    return str(answer["result"]["path"])


async def test_signed_address(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """It opens this one address without a login until it expires, and nothing else ever."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    card = await hass_ws_client(hass)
    stranger = await hass_client_no_auth()
    address = await signed(card, event_clip_url(event.id), 30)
    assert (await stranger.get(address)).status == 200
    assert (await stranger.get(address, headers={"Range": "bytes=0-9"})).status == 206

    query = URL(address).query_string
    for other in (event_thumbnail_url(event.id), picture_url(CAMERA_ID)):
        assert (await stranger.get(f"{other}?{query}")).status == 403
    assert (await stranger.get(f"/api/states?{query}")).status == 401
    broken = address[:-1] + ("A" if address[-1] != "A" else "B")
    assert (await stranger.get(broken)).status == 403
    assert (await stranger.delete(address)).status in (401, 405)

    freezer.tick(timedelta(seconds=31))
    assert (await stranger.get(address)).status == 403


async def test_expired_link_bans_nobody(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    hass_client_no_auth: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A tab that shows an old link does not count as a failed login; a wrong key does."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    card = await hass_ws_client(hass)
    client = await hass_client_no_auth()
    address = await signed(card, event_clip_url(event.id), 30)
    freezer.tick(timedelta(seconds=31))
    with patch("homeassistant.components.http.ban.process_wrong_login") as failed:
        answer = await client.get(address)
        assert answer.status == 403
        assert "expired" in (await answer.json())["message"]
        assert not failed.called
        wrong = {"Authorization": "Bearer nonsense"}
        assert (await client.get(address, headers=wrong)).status == 401
        assert failed.called


async def test_signed_by_somebody_without_rights(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """A signature gives no right that its maker does not have."""
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    nobody = await hass_ws_client(hass, await token_of(hass, {}))
    stranger = await hass_client_no_auth()
    for path in (event_clip_url(event.id), event_thumbnail_url(event.id)):
        assert (await stranger.get(await signed(nobody, path, 30))).status == 403
