"""Switches of cameras and of the NVR."""

import pytest

from homeassistant.const import STATE_OFF, STATE_ON

from .scene import Scene


@pytest.mark.usefixtures("everything_enabled")
@pytest.mark.parametrize(
    "key",
    [
        "motion_enabled",
        "pre_roll",
        "checkin_picture",
        "confirm_motion",
        "vflip",
        "hmirror",
    ],
)
async def test_settings(scene: Scene, key: str) -> None:
    """A switch turns at once, is pending in the camera's sleep, and arrives with its wake."""
    actor = await scene.add_camera()
    await actor.sleep()
    entity_id = actor.entity_id("switch", key)
    was = actor.state("switch", key).state
    other = STATE_OFF if was == STATE_ON else STATE_ON
    await scene.call("switch", f"turn_{other}", entity_id=entity_id)
    await scene.hass.async_block_till_done()
    state = actor.state("switch", key)
    assert state.state == other
    assert state.attributes["pending"] is True
    await actor.nap()
    assert actor.virtual.config[key] is (other == STATE_ON)
    assert actor.state("switch", key).attributes["pending"] is False

    # Back again: both directions are wishes.
    await scene.call("switch", f"turn_{was}", entity_id=entity_id)
    await actor.nap()
    assert actor.virtual.config[key] is (was == STATE_ON)


async def test_recording_is_the_nvrs_own(scene: Scene) -> None:
    """Recording is decided here: nothing waits for the camera."""
    actor = await scene.add_camera()
    await actor.sleep()
    entity_id = actor.entity_id("switch", "recording")
    assert actor.state("switch", "recording").state == STATE_ON
    await scene.call("switch", "turn_off", entity_id=entity_id)
    await scene.hass.async_block_till_done()
    state = actor.state("switch", "recording")
    assert state.state == STATE_OFF
    assert "pending" not in state.attributes
    assert not scene.nvr.recording_enabled(actor.camera.id)
    assert scene.nvr.master_recording_enabled
    await scene.call("switch", "turn_on", entity_id=entity_id)
    assert scene.nvr.recording_enabled(actor.camera.id)


async def test_master_recording(scene: Scene) -> None:
    """The NVR's switch is for all cameras and leaves their own as they are."""
    actor = await scene.add_camera()
    await actor.sleep()
    entity_id = scene.entity_id("switch", "recording")
    await scene.call("switch", "turn_off", entity_id=entity_id)
    await scene.hass.async_block_till_done()
    assert scene.state("switch", "recording").state == STATE_OFF
    assert actor.state("switch", "recording").state == STATE_ON
    assert not scene.nvr.master_recording_enabled
    await scene.call("switch", "turn_on", entity_id=entity_id)
    await scene.hass.async_block_till_done()
    assert scene.state("switch", "recording").state == STATE_ON
