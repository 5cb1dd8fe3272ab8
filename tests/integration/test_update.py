"""Firmware updates of cameras."""

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.magicpi_nvr.gateway import OtaProgress, OtaStep
from homeassistant.core import Event, EventStateChangedData, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from tests.harness.firmware_images import FirmwareImages
from tests.harness.home_assistant import ClaimedCamera, Installation
from virtual_camera import camera as camera_module


class Folder:
    """The images that the NVR finds."""

    def __init__(self, installation: Installation) -> None:
        """Make the folder."""
        self._installation = installation
        self._images = FirmwareImages(Path(installation.hass.config.config_dir))

    async def add(self, version: str, notes: str | None = None) -> None:
        """Put an image into the folder and have it read."""
        self._images.add(version, notes)
        await self._installation.nvr.async_read_firmware()
        await self._installation.hass.async_block_till_done()

    async def clear(self) -> None:
        """Delete every image and have the folder read."""
        self._images.clear()
        await self._installation.nvr.async_read_firmware()
        await self._installation.hass.async_block_till_done()


@pytest.fixture
def folder(installation: Installation) -> Folder:
    """Have a folder of images."""
    return Folder(installation)


async def install(camera: ClaimedCamera) -> None:
    """Press the update's button."""
    await camera.installation.call(
        "update", "install", entity_id=camera.entity_id("update", "firmware")
    )
    await camera.installation.hass.async_block_till_done()


def issue(camera: ClaimedCamera) -> ir.IssueEntry | None:
    """Return the issue of a failed update."""
    return ir.async_get(camera.installation.hass).async_get_issue(
        "magicpi_nvr", f"update_failed_{camera.gateway_camera.id}"
    )


async def test_check_for_updates(installation: Installation) -> None:
    """An image that was copied into the folder is found when the user looks for updates."""
    await async_setup_component(installation.hass, "homeassistant", {})
    camera = await installation.add_camera()
    FirmwareImages(Path(installation.hass.config.config_dir)).add("1.1.0")
    assert camera.state("update", "firmware").state == "off"
    await installation.call(
        "homeassistant",
        "update_entity",
        entity_id=[camera.entity_id("update", "firmware")],
    )
    await installation.hass.async_block_till_done()
    assert camera.state("update", "firmware").attributes["latest_version"] == "1.1.0"


async def test_nothing_to_offer(installation: Installation) -> None:
    """Without an image the camera is up to date."""
    camera = await installation.add_camera()
    await camera.sleep()
    state = camera.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["installed_version"] == "1.0.0"
    assert state.attributes["latest_version"] == "1.0.0"
    entity = installation.hass.data["entity_components"]["update"].get_entity(
        state.entity_id
    )
    assert entity
    with pytest.raises(HomeAssistantError) as caught:
        await entity.async_install(None, False)
    assert caught.value.translation_key == "no_firmware"


async def test_offered_with_notes(
    installation: Installation, folder: Folder, hass_ws_client: WebSocketGenerator
) -> None:
    """An image that is put into the folder is offered with what its manifest says of it."""
    camera = await installation.add_camera()
    await camera.sleep()
    await folder.add("1.1.0", "Sleeps **better**.")
    state = camera.state("update", "firmware")
    assert state.state == "on"
    assert state.attributes["latest_version"] == "1.1.0"
    assert state.attributes["in_progress"] is False
    client = await hass_ws_client(installation.hass)
    await client.send_json_auto_id(
        {"type": "update/release_notes", "entity_id": state.entity_id}
    )
    assert (await client.receive_json())["result"] == "Sleeps **better**."


async def test_older_image_is_no_update(
    installation: Installation, folder: Folder
) -> None:
    """Nobody is offered to go back."""
    camera = await installation.add_camera()
    await camera.sleep()
    await folder.add("0.9.0")
    assert camera.state("update", "firmware").state == "off"


async def test_a_sleeping_camera_updates_at_its_next_wake(
    installation: Installation, folder: Folder
) -> None:
    """The order returns at once, waits as long as the camera sleeps, and is carried out then."""
    camera = await installation.add_camera()
    await camera.sleep()
    await folder.add("1.1.0")
    await install(camera)
    state = camera.state("update", "firmware")
    assert state.state == "on"
    assert state.attributes["in_progress"] is True
    assert state.attributes["update_percentage"] is None
    assert state.attributes["order"] == "pending"

    seen: list[tuple[str, int | None]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        if new and new.entity_id == state.entity_id:
            seen.append((new.attributes["order"], new.attributes["update_percentage"]))

    installation.hass.bus.async_listen("state_changed", note)
    camera.virtual.press_button()
    await installation.wait_for_states(
        lambda: camera.state("update", "firmware").attributes["order"] == "done"
    )
    state = camera.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["installed_version"] == "1.1.0"
    assert state.attributes["in_progress"] is False
    assert camera.virtual.flash.fw == "1.1.0"
    orders = [order for order, _ in seen]
    assert "offered" in orders
    assert "downloading" in orders or "verifying" in orders
    assert ("installed", 100) in seen
    assert issue(camera) is None


async def test_waits_for_the_battery(
    installation: Installation, folder: Folder
) -> None:
    """A battery that is low makes the order wait, and the entity says so."""
    camera = await installation.add_camera(battery_pct=12)
    await camera.sleep()
    await folder.add("1.1.0")
    await install(camera)
    await camera.nap()
    state = camera.state("update", "firmware")
    assert state.attributes["order"] == "low_battery"
    assert state.attributes["in_progress"] is True
    assert camera.virtual.flash.fw == "1.0.0"

    camera.virtual.flash.battery_pct = 80
    camera.virtual.press_button()
    await installation.wait_for_states(
        lambda: camera.state("update", "firmware").attributes["order"] == "done"
    )


async def test_rolled_back(installation: Installation, folder: Folder) -> None:
    """A camera that comes back with what it had is reported, until a new order."""
    camera = await installation.add_camera(ota_result="rollback")
    await camera.sleep()
    await folder.add("1.1.0")
    await install(camera)
    camera.virtual.press_button()
    await installation.wait_for_states(
        lambda: not camera.state("update", "firmware").attributes["in_progress"]
    )
    state = camera.state("update", "firmware")
    assert state.attributes["order"] == "rolled_back"
    assert state.attributes["error"]
    assert state.state == "on"
    found = issue(camera)
    assert found
    assert found.translation_placeholders
    assert found.translation_placeholders["name"] == "Porch"
    assert found.translation_placeholders["version"] == "1.1.0"

    await camera.sleep()
    await install(camera)
    assert issue(camera) is None


async def test_failed(installation: Installation, folder: Folder) -> None:
    """After as many tries as there are, the order is given up and reported."""
    camera = await installation.add_camera(ota_result="fail")
    await camera.sleep()
    await folder.add("1.1.0")
    await install(camera)
    for _ in range(5):
        await camera.nap()
        if not camera.state("update", "firmware").attributes["in_progress"]:
            break
    state = camera.state("update", "firmware")
    assert state.attributes["order"] == "failed"
    assert state.attributes["error"] == "flash_write"
    assert issue(camera)


async def test_an_order_after_a_failure(
    installation: Installation, folder: Folder
) -> None:
    """A camera that stays connected can be given it again after one failed attempt."""
    camera = await installation.add_camera(keep_on=True, ota_result="fail")
    await folder.add("1.1.0")
    await install(camera)
    await installation.wait_for_states(
        lambda: camera.state("update", "firmware").attributes["error"] == "flash_write"
    )
    state = camera.state("update", "firmware")
    assert state.attributes["order"] == "pending"
    assert state.attributes["in_progress"] is False
    camera.virtual.options = replace(camera.virtual.options, ota_result="ok")
    await install(camera)
    await installation.wait_for_states(
        lambda: camera.state("update", "firmware").attributes["order"] == "done"
    )


async def test_an_image_that_is_deleted(
    installation: Installation, folder: Folder
) -> None:
    """With the image the order goes; while it waits, a newer one can be ordered."""
    camera = await installation.add_camera()
    await camera.sleep()
    await folder.add("1.1.0")
    await install(camera)
    await folder.add("1.2.0")
    assert camera.state("update", "firmware").attributes["in_progress"] is False
    await install(camera)
    assert camera.gateway_camera.offer
    assert camera.gateway_camera.offer.version == "1.2.0"
    await folder.clear()
    state = camera.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["order"] is None
    assert camera.gateway_camera.offer is None


async def test_a_failure_is_shown_again_after_a_reload(
    installation: Installation, folder: Folder
) -> None:
    """Issues do not survive a restart by themselves, so the entity brings it back."""
    camera = await installation.add_camera()
    await camera.sleep()
    await installation.hass.config_entries.async_unload(camera.entry.entry_id)
    camera.gateway_camera.update.progress = OtaProgress(
        "1.1.0", OtaStep.FAILED, error="flash_write"
    )
    assert issue(camera) is None
    await installation.hass.config_entries.async_setup(camera.entry.entry_id)
    await installation.hass.async_block_till_done()
    assert issue(camera)


async def test_a_camera_without_updates(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that cannot update itself has no such entity."""
    monkeypatch.setitem(camera_module.CAPS, "ota", False)
    camera = await installation.add_camera()
    with pytest.raises(AssertionError, match="does not exist"):
        camera.state("update", "firmware")
