"""Switches of cameras and of the NVR."""

import pytest

from homeassistant.const import STATE_OFF, STATE_ON
from tests.harness.home_assistant import Installation


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
async def test_settings(installation: Installation, key: str) -> None:
    """A switch turns at once, is pending in the camera's sleep, and arrives with its wake."""
    camera = await installation.add_camera()
    await camera.sleep()
    entity_id = camera.entity_id("switch", key)
    was = camera.state("switch", key).state
    other = STATE_OFF if was == STATE_ON else STATE_ON
    await installation.call("switch", f"turn_{other}", entity_id=entity_id)
    await installation.hass.async_block_till_done()
    state = camera.state("switch", key)
    assert state.state == other
    assert state.attributes["pending"] is True
    await camera.nap()
    assert camera.virtual.config[key] is (other == STATE_ON)
    assert camera.state("switch", key).attributes["pending"] is False

    # Back again: both directions are desired values.
    await installation.call("switch", f"turn_{was}", entity_id=entity_id)
    await camera.nap()
    assert camera.virtual.config[key] is (was == STATE_ON)


async def test_recording_is_the_nvrs_own(installation: Installation) -> None:
    """Recording is decided here: nothing waits for the camera."""
    camera = await installation.add_camera()
    await camera.sleep()
    entity_id = camera.entity_id("switch", "recording")
    assert camera.state("switch", "recording").state == STATE_ON
    await installation.call("switch", "turn_off", entity_id=entity_id)
    await installation.hass.async_block_till_done()
    state = camera.state("switch", "recording")
    assert state.state == STATE_OFF
    assert "pending" not in state.attributes
    assert not installation.nvr.recording_enabled(camera.gateway_camera.id)
    assert installation.nvr.master_recording_enabled
    await installation.call("switch", "turn_on", entity_id=entity_id)
    assert installation.nvr.recording_enabled(camera.gateway_camera.id)


async def test_master_recording(installation: Installation) -> None:
    """The NVR's switch is for all cameras and leaves their own as they are."""
    camera = await installation.add_camera()
    await camera.sleep()
    entity_id = installation.nvr_entity_id("switch", "recording")
    await installation.call("switch", "turn_off", entity_id=entity_id)
    await installation.hass.async_block_till_done()
    assert installation.nvr_state("switch", "recording").state == STATE_OFF
    assert camera.state("switch", "recording").state == STATE_ON
    assert not installation.nvr.master_recording_enabled
    await installation.call("switch", "turn_on", entity_id=entity_id)
    await installation.hass.async_block_till_done()
    assert installation.nvr_state("switch", "recording").state == STATE_ON
