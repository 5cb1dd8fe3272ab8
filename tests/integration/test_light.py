"""The flash of a camera that is always on, as a lamp."""

import pytest

from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.helpers import entity_registry as er
from virtual_camera import camera as camera_module

from .scene import Actor, Scene


def has_light(actor: Actor) -> bool:
    """Return whether the camera has a lamp."""
    return bool(
        er.async_get(actor.scene.hass).async_get_entity_id(
            "light", "magicpi_nvr", f"{actor.entry.unique_id}-flash"
        )
    )


async def test_on_and_off(scene: Scene) -> None:
    """A camera that is always on lights up at once."""
    actor = await scene.add_camera(keep_on=True)
    await actor.status("awake", "streaming")
    entity_id = actor.entity_id("light", "flash")
    assert actor.state("light", "flash").state == STATE_OFF
    for action, value in (("turn_on", "on"), ("turn_off", "off")):
        mark = actor.virtual.mark()
        await scene.call("light", action, entity_id=entity_id)
        await actor.virtual.wait_event("config_applied", after=mark)
        await scene.wait(
            lambda: not actor.state("light", "flash").attributes["pending"]
        )
        assert actor.virtual.config["flash"] == value
        assert actor.state("light", "flash").state == (
            STATE_ON if value == "on" else STATE_OFF
        )


async def test_flash_with_motion_is_not_lit(scene: Scene) -> None:
    """The select's third choice is no state of a lamp."""
    actor = await scene.add_camera(keep_on=True)
    actor.camera.set_config({"flash": "motion"})
    await scene.hass.async_block_till_done()
    assert actor.state("light", "flash").state == STATE_OFF


async def test_comes_and_goes_with_the_power_mode(scene: Scene) -> None:
    """A camera that sleeps has no lamp; one that stays on has, also after a reload."""
    actor = await scene.add_camera()
    await actor.sleep()
    assert not has_light(actor)

    actor.camera.set_config({"power_mode": "always_on"})
    await scene.hass.async_block_till_done()
    assert actor.state("light", "flash").state == STATE_OFF
    await scene.hass.config_entries.async_reload(actor.entry.entry_id)
    await scene.hass.async_block_till_done()
    assert actor.state("light", "flash").state == STATE_OFF

    actor.camera.set_config({"power_mode": "battery"})
    await scene.hass.async_block_till_done()
    assert not has_light(actor)
    assert scene.unavailable() == []


async def test_a_lamp_of_an_earlier_run_goes(scene: Scene) -> None:
    """A power mode that changed while the entry was unloaded leaves no dead entity."""
    actor = await scene.add_camera()
    await actor.sleep()
    actor.camera.set_config({"power_mode": "always_on"})
    await scene.hass.async_block_till_done()
    await scene.hass.config_entries.async_unload(actor.entry.entry_id)
    actor.camera.set_config({"power_mode": "battery"})
    await scene.hass.config_entries.async_setup(actor.entry.entry_id)
    await scene.hass.async_block_till_done()
    assert not has_light(actor)


@pytest.mark.parametrize("keep_on", [True, False])
async def test_without_a_flash(
    scene: Scene, keep_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera without a flash has neither lamp nor choice."""
    monkeypatch.setitem(camera_module.CAPS, "flash", False)
    actor = await scene.add_camera(keep_on=keep_on)
    assert not has_light(actor)
    with pytest.raises(AssertionError, match="does not exist"):
        actor.state("select", "flash")
