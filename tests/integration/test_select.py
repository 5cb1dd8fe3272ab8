"""Settings of a camera that are one of a few."""

import pytest

from custom_components.magicpi_nvr.gateway import CONFIG_KEYS, ConfigAck
from homeassistant.exceptions import ServiceValidationError

from .scene import Scene

pytestmark = pytest.mark.usefixtures("everything_enabled")


@pytest.mark.parametrize(
    ("key", "option", "value"),
    [
        ("resolution", "hd", "HD"),
        ("flash", "motion", "motion"),
        ("power_mode", "always_on", "always_on"),
        ("night_mode", "on", True),
    ],
)
async def test_wanted_while_asleep_applied_at_the_next_wake(
    scene: Scene, key: str, option: str, value: str | bool
) -> None:
    """A wish shows at once, is pending while the camera sleeps, and is there after its wake."""
    actor = await scene.add_camera(linger_s=0.05)
    await actor.sleep()
    before = actor.state("select", key)
    assert before.state != option
    assert before.attributes["pending"] is False
    assert option in before.attributes["options"]

    await scene.call(
        "select",
        "select_option",
        entity_id=actor.entity_id("select", key),
        option=option,
    )
    await scene.hass.async_block_till_done()
    state = actor.state("select", key)
    assert state.state == option
    assert state.attributes["pending"] is True
    assert actor.virtual.config[key] != value
    assert scene.unavailable() == []

    await actor.wake()
    await scene.wait(lambda: not actor.state("select", key).attributes["pending"])
    assert actor.state("select", key).state == option
    assert actor.virtual.config[key] == value


async def test_rejected(scene: Scene) -> None:
    """What the camera refuses goes back to what it has, and says why."""
    actor = await scene.add_camera()
    await actor.sleep()
    await scene.call(
        "select",
        "select_option",
        entity_id=actor.entity_id("select", "resolution"),
        option="uxga",
    )
    actor.camera.handle_config_ack(
        ConfigAck(
            rev=actor.camera.config.rev, rejected={"resolution": "not enough memory"}
        )
    )
    await scene.hass.async_block_till_done()
    state = actor.state("select", "resolution")
    assert state.state == "svga"
    assert state.attributes["pending"] is False
    assert state.attributes["rejected"] == "not enough memory"


async def test_refused_by_the_gateway(scene: Scene) -> None:
    """A camera that lost an ability between the list and the choice gives a clear answer."""
    actor = await scene.add_camera()
    entity = scene.hass.data["entity_components"]["select"].get_entity(
        actor.entity_id("select", "flash")
    )
    assert entity
    object.__setattr__(actor.camera.config.caps, "flash", False)
    with pytest.raises(ServiceValidationError) as caught:
        entity.want("motion")
    assert caught.value.translation_key == "setting_refused"
    assert caught.value.translation_placeholders == {
        "setting": "Flash",
        "value": "motion",
        "reason": "not_supported",
    }


async def test_a_camera_on_mains(scene: Scene) -> None:
    """A camera that never sleeps has no power mode."""
    actor = await scene.add_camera(keep_on=True)
    with pytest.raises(AssertionError, match="does not exist"):
        actor.state("select", "power_mode")
    assert actor.state("select", "resolution").attributes["options"] == [
        option.lower() for option in CONFIG_KEYS["resolution"].options
    ]
