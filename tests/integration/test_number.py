"""Settings of a camera that are numbers."""

import pytest

from custom_components.magicpi_nvr.gateway import CONFIG_KEYS
from custom_components.magicpi_nvr.number import NUMBERS
from homeassistant.exceptions import ServiceValidationError

from .scene import Scene

pytestmark = pytest.mark.usefixtures("everything_enabled")


def test_every_number_of_the_protocol_has_an_entity() -> None:
    """The table of keys and the entities agree."""
    assert {row.key for row in NUMBERS} == {
        name for name, key in CONFIG_KEYS.items() if key.kind == "int"
    }


async def test_ranges_and_defaults(scene: Scene) -> None:
    """Ranges are those of the protocol; a new camera has its defaults."""
    actor = await scene.add_camera()
    await actor.sleep()
    for row in NUMBERS:
        key = CONFIG_KEYS[row.key]
        state = actor.state("number", row.key)
        assert float(state.state) == key.default, row.key
        assert state.attributes["min"] == key.minimum, row.key
        assert state.attributes["max"] == key.maximum, row.key
        assert state.attributes["step"] == 1, row.key
        assert state.attributes["pending"] is False, row.key


async def test_all_wishes_of_a_sleeping_camera_arrive_together(scene: Scene) -> None:
    """Nine settings changed in its sleep are there after one wake."""
    actor = await scene.add_camera()
    await actor.sleep()
    wishes = {row.key: CONFIG_KEYS[row.key].maximum for row in NUMBERS}
    for key, value in wishes.items():
        await scene.call(
            "number", "set_value", entity_id=actor.entity_id("number", key), value=value
        )
    await scene.hass.async_block_till_done()
    for key, value in wishes.items():
        state = actor.state("number", key)
        assert float(state.state) == value
        assert state.attributes["pending"] is True
    await actor.nap()
    for key, value in wishes.items():
        assert actor.virtual.config[key] == value
        assert actor.state("number", key).attributes["pending"] is False


async def test_an_awake_camera_gets_it_at_once(scene: Scene) -> None:
    """Nothing stays pending for a camera that is there."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    await scene.call(
        "number",
        "set_value",
        entity_id=actor.entity_id("number", "framerate"),
        value=5,
    )
    await scene.wait(
        lambda: (
            actor.state("number", "framerate").state == "5"
            and not actor.state("number", "framerate").attributes["pending"]
        )
    )
    assert actor.virtual.config["framerate"] == 5


async def test_out_of_range(scene: Scene) -> None:
    """Home Assistant itself refuses what the range does not allow."""
    actor = await scene.add_camera()
    with pytest.raises(ServiceValidationError):
        await scene.call(
            "number",
            "set_value",
            entity_id=actor.entity_id("number", "framerate"),
            value=26,
        )
    assert actor.camera.config.desired["framerate"] == 10


async def test_changed_at_the_camera(scene: Scene) -> None:
    """A setting that a person changes at the camera shows here too."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    await actor.virtual.change_settings(framerate=3)
    await scene.wait(lambda: actor.state("number", "framerate").state == "3")
