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
from virtual_camera import camera as camera_module

from .firmware import FirmwareImages
from .scene import Actor, Scene


class Folder:
    """The images that the NVR of a scene finds."""

    def __init__(self, scene: Scene) -> None:
        """Make the folder."""
        self._scene = scene
        self._images = FirmwareImages(Path(scene.hass.config.config_dir))

    async def add(self, version: str, notes: str | None = None) -> None:
        """Put an image into the folder and have it read."""
        self._images.add(version, notes)
        await self._scene.nvr.async_read_firmware()
        await self._scene.hass.async_block_till_done()

    async def clear(self) -> None:
        """Delete every image and have the folder read."""
        self._images.clear()
        await self._scene.nvr.async_read_firmware()
        await self._scene.hass.async_block_till_done()


@pytest.fixture
def folder(scene: Scene) -> Folder:
    """Have a folder of images."""
    return Folder(scene)


async def install(actor: Actor) -> None:
    """Press the update's button."""
    await actor.scene.call(
        "update", "install", entity_id=actor.entity_id("update", "firmware")
    )
    await actor.scene.hass.async_block_till_done()


def issue(actor: Actor) -> ir.IssueEntry | None:
    """Return the issue of a failed update."""
    return ir.async_get(actor.scene.hass).async_get_issue(
        "magicpi_nvr", f"update_failed_{actor.camera.id}"
    )


async def test_check_for_updates(scene: Scene) -> None:
    """An image that was copied into the folder is found when the user looks for updates."""
    await async_setup_component(scene.hass, "homeassistant", {})
    actor = await scene.add_camera()
    FirmwareImages(Path(scene.hass.config.config_dir)).add("1.1.0")
    assert actor.state("update", "firmware").state == "off"
    await scene.call(
        "homeassistant",
        "update_entity",
        entity_id=[actor.entity_id("update", "firmware")],
    )
    await scene.hass.async_block_till_done()
    assert actor.state("update", "firmware").attributes["latest_version"] == "1.1.0"


async def test_nothing_to_offer(scene: Scene) -> None:
    """Without an image the camera is up to date."""
    actor = await scene.add_camera()
    await actor.sleep()
    state = actor.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["installed_version"] == "1.0.0"
    assert state.attributes["latest_version"] == "1.0.0"
    entity = scene.hass.data["entity_components"]["update"].get_entity(state.entity_id)
    assert entity
    with pytest.raises(HomeAssistantError) as caught:
        await entity.async_install(None, False)
    assert caught.value.translation_key == "no_firmware"


async def test_offered_with_notes(
    scene: Scene, folder: Folder, hass_ws_client: WebSocketGenerator
) -> None:
    """An image that is put into the folder is offered with what its manifest says of it."""
    actor = await scene.add_camera()
    await actor.sleep()
    await folder.add("1.1.0", "Sleeps **better**.")
    state = actor.state("update", "firmware")
    assert state.state == "on"
    assert state.attributes["latest_version"] == "1.1.0"
    assert state.attributes["in_progress"] is False
    client = await hass_ws_client(scene.hass)
    await client.send_json_auto_id(
        {"type": "update/release_notes", "entity_id": state.entity_id}
    )
    assert (await client.receive_json())["result"] == "Sleeps **better**."


async def test_older_image_is_no_update(scene: Scene, folder: Folder) -> None:
    """Nobody is offered to go back."""
    actor = await scene.add_camera()
    await actor.sleep()
    await folder.add("0.9.0")
    assert actor.state("update", "firmware").state == "off"


async def test_a_sleeping_camera_updates_at_its_next_wake(
    scene: Scene, folder: Folder
) -> None:
    """The order returns at once, waits as long as the camera sleeps, and is carried out then."""
    actor = await scene.add_camera()
    await actor.sleep()
    await folder.add("1.1.0")
    await install(actor)
    state = actor.state("update", "firmware")
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

    scene.hass.bus.async_listen("state_changed", note)
    actor.virtual.press_button()
    await scene.wait(
        lambda: actor.state("update", "firmware").attributes["order"] == "done"
    )
    state = actor.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["installed_version"] == "1.1.0"
    assert state.attributes["in_progress"] is False
    assert actor.virtual.flash.fw == "1.1.0"
    orders = [order for order, _ in seen]
    assert "offered" in orders
    assert "downloading" in orders or "verifying" in orders
    assert ("installed", 100) in seen
    assert issue(actor) is None


async def test_waits_for_the_battery(scene: Scene, folder: Folder) -> None:
    """A battery that is low makes the order wait, and the entity says so."""
    actor = await scene.add_camera(battery_pct=12)
    await actor.sleep()
    await folder.add("1.1.0")
    await install(actor)
    await actor.nap()
    state = actor.state("update", "firmware")
    assert state.attributes["order"] == "low_battery"
    assert state.attributes["in_progress"] is True
    assert actor.virtual.flash.fw == "1.0.0"

    actor.virtual.flash.battery_pct = 80
    actor.virtual.press_button()
    await scene.wait(
        lambda: actor.state("update", "firmware").attributes["order"] == "done"
    )


async def test_rolled_back(scene: Scene, folder: Folder) -> None:
    """A camera that comes back with what it had is told of, until a new order."""
    actor = await scene.add_camera(ota_result="rollback")
    await actor.sleep()
    await folder.add("1.1.0")
    await install(actor)
    actor.virtual.press_button()
    await scene.wait(
        lambda: not actor.state("update", "firmware").attributes["in_progress"]
    )
    state = actor.state("update", "firmware")
    assert state.attributes["order"] == "rolled_back"
    assert state.attributes["error"]
    assert state.state == "on"
    found = issue(actor)
    assert found
    assert found.translation_placeholders
    assert found.translation_placeholders["name"] == "Porch"
    assert found.translation_placeholders["version"] == "1.1.0"

    await actor.sleep()
    await install(actor)
    assert issue(actor) is None


async def test_failed(scene: Scene, folder: Folder) -> None:
    """After as many tries as there are, the order is given up and told of."""
    actor = await scene.add_camera(ota_result="fail")
    await actor.sleep()
    await folder.add("1.1.0")
    await install(actor)
    for _ in range(5):
        await actor.nap()
        if not actor.state("update", "firmware").attributes["in_progress"]:
            break
    state = actor.state("update", "firmware")
    assert state.attributes["order"] == "failed"
    assert state.attributes["error"] == "flash_write"
    assert issue(actor)


async def test_an_order_after_a_failure(scene: Scene, folder: Folder) -> None:
    """A camera that stays connected can be given it again after one failed attempt."""
    actor = await scene.add_camera(keep_on=True, ota_result="fail")
    await folder.add("1.1.0")
    await install(actor)
    await scene.wait(
        lambda: actor.state("update", "firmware").attributes["error"] == "flash_write"
    )
    state = actor.state("update", "firmware")
    assert state.attributes["order"] == "pending"
    assert state.attributes["in_progress"] is False
    actor.virtual.options = replace(actor.virtual.options, ota_result="ok")
    await install(actor)
    await scene.wait(
        lambda: actor.state("update", "firmware").attributes["order"] == "done"
    )


async def test_an_image_that_is_deleted(scene: Scene, folder: Folder) -> None:
    """With the image the order goes; while it waits, a newer one can be ordered."""
    actor = await scene.add_camera()
    await actor.sleep()
    await folder.add("1.1.0")
    await install(actor)
    await folder.add("1.2.0")
    assert actor.state("update", "firmware").attributes["in_progress"] is False
    await install(actor)
    assert actor.camera.offer
    assert actor.camera.offer.version == "1.2.0"
    await folder.clear()
    state = actor.state("update", "firmware")
    assert state.state == "off"
    assert state.attributes["order"] is None
    assert actor.camera.offer is None


async def test_a_failure_is_told_again_after_a_reload(
    scene: Scene, folder: Folder
) -> None:
    """Issues do not survive a restart by themselves, so the entity brings it back."""
    actor = await scene.add_camera()
    await actor.sleep()
    await scene.hass.config_entries.async_unload(actor.entry.entry_id)
    actor.camera.update.progress = OtaProgress(
        "1.1.0", OtaStep.FAILED, error="flash_write"
    )
    assert issue(actor) is None
    await scene.hass.config_entries.async_setup(actor.entry.entry_id)
    await scene.hass.async_block_till_done()
    assert issue(actor)


async def test_a_camera_without_updates(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that cannot update itself has no such entity."""
    monkeypatch.setitem(camera_module.CAPS, "ota", False)
    actor = await scene.add_camera()
    with pytest.raises(AssertionError, match="does not exist"):
        actor.state("update", "firmware")
