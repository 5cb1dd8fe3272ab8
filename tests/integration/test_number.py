"""Settings of a camera that are numbers."""

import pytest

from custom_components.magicpi_nvr.gateway import CONFIG_KEYS
from custom_components.magicpi_nvr.number import NUMBERS
from homeassistant.exceptions import ServiceValidationError
from tests.harness.home_assistant import Installation

pytestmark = pytest.mark.usefixtures("everything_enabled")


def test_every_number_of_the_protocol_has_an_entity() -> None:
    """The table of keys and the entities agree."""
    assert {row.key for row in NUMBERS} == {
        name for name, key in CONFIG_KEYS.items() if key.kind == "int"
    }


async def test_ranges_and_defaults(installation: Installation) -> None:
    """Ranges are those of the protocol; a new camera has its defaults."""
    camera = await installation.add_camera()
    await camera.sleep()
    for row in NUMBERS:
        key = CONFIG_KEYS[row.key]
        state = camera.state("number", row.key)
        assert float(state.state) == key.default, row.key
        assert state.attributes["min"] == key.minimum, row.key
        assert state.attributes["max"] == key.maximum, row.key
        assert state.attributes["step"] == 1, row.key
        assert state.attributes["pending"] is False, row.key


async def test_all_wishes_of_a_sleeping_camera_arrive_together(
    installation: Installation,
) -> None:
    """Nine settings changed in its sleep are there after one wake."""
    camera = await installation.add_camera()
    await camera.sleep()
    values = {row.key: CONFIG_KEYS[row.key].maximum for row in NUMBERS}
    for key, value in values.items():
        await installation.call(
            "number",
            "set_value",
            entity_id=camera.entity_id("number", key),
            value=value,
        )
    await installation.hass.async_block_till_done()
    for key, value in values.items():
        state = camera.state("number", key)
        assert float(state.state) == value
        assert state.attributes["pending"] is True
    await camera.nap()
    for key, value in values.items():
        assert camera.virtual.config[key] == value
        assert camera.state("number", key).attributes["pending"] is False


async def test_an_awake_camera_gets_it_at_once(installation: Installation) -> None:
    """Nothing stays pending for a camera that is there."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    await installation.call(
        "number",
        "set_value",
        entity_id=camera.entity_id("number", "framerate"),
        value=5,
    )
    await installation.wait_for_states(
        lambda: (
            camera.state("number", "framerate").state == "5"
            and not camera.state("number", "framerate").attributes["pending"]
        )
    )
    assert camera.virtual.config["framerate"] == 5


async def test_out_of_range(installation: Installation) -> None:
    """Home Assistant itself refuses what the range does not allow."""
    camera = await installation.add_camera()
    with pytest.raises(ServiceValidationError):
        await installation.call(
            "number",
            "set_value",
            entity_id=camera.entity_id("number", "framerate"),
            value=26,
        )
    assert camera.gateway_camera.config.desired["framerate"] == 10


async def test_changed_at_the_camera(installation: Installation) -> None:
    """A setting that a person changes at the camera shows here too."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    await camera.virtual.change_settings(framerate=3)
    await installation.wait_for_states(
        lambda: camera.state("number", "framerate").state == "3"
    )
