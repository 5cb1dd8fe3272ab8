"""Settings of a camera that are one of a few."""

import pytest

from custom_components.magicpi_nvr.gateway import CONFIG_KEYS, ConfigAck
from homeassistant.exceptions import ServiceValidationError
from tests.harness.home_assistant import Installation

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
    installation: Installation, key: str, option: str, value: str | bool
) -> None:
    """A desired value shows at once, is pending while the camera sleeps, and is there after its wake."""
    camera = await installation.add_camera(linger_s=0.05)
    await camera.sleep()
    before = camera.state("select", key)
    assert before.state != option
    assert before.attributes["pending"] is False
    assert option in before.attributes["options"]

    await installation.call(
        "select",
        "select_option",
        entity_id=camera.entity_id("select", key),
        option=option,
    )
    await installation.hass.async_block_till_done()
    state = camera.state("select", key)
    assert state.state == option
    assert state.attributes["pending"] is True
    assert camera.virtual.config[key] != value
    assert installation.unavailable() == []

    await camera.wake()
    await installation.wait_for_states(
        lambda: not camera.state("select", key).attributes["pending"]
    )
    assert camera.state("select", key).state == option
    assert camera.virtual.config[key] == value


async def test_rejected(installation: Installation) -> None:
    """What the camera refuses goes back to what it has, and says why."""
    camera = await installation.add_camera()
    await camera.sleep()
    await installation.call(
        "select",
        "select_option",
        entity_id=camera.entity_id("select", "resolution"),
        option="uxga",
    )
    camera.gateway_camera.handle_config_ack(
        ConfigAck(
            rev=camera.gateway_camera.config.rev,
            rejected={"resolution": "not enough memory"},
        )
    )
    await installation.hass.async_block_till_done()
    state = camera.state("select", "resolution")
    assert state.state == "svga"
    assert state.attributes["pending"] is False
    assert state.attributes["rejected"] == "not enough memory"


async def test_refused_by_the_gateway(installation: Installation) -> None:
    """A camera that lost an ability between the list and the choice gives a clear answer."""
    camera = await installation.add_camera()
    entity = installation.hass.data["entity_components"]["select"].get_entity(
        camera.entity_id("select", "flash")
    )
    assert entity
    object.__setattr__(camera.gateway_camera.config.caps, "flash", False)
    with pytest.raises(ServiceValidationError) as caught:
        entity.set_desired("motion")
    assert caught.value.translation_key == "setting_refused"
    assert caught.value.translation_placeholders == {
        "setting": "Flash",
        "value": "motion",
        "reason": "not_supported",
    }


async def test_a_camera_on_mains(installation: Installation) -> None:
    """A camera that never sleeps has no power mode."""
    camera = await installation.add_camera(keep_on=True)
    with pytest.raises(AssertionError, match="does not exist"):
        camera.state("select", "power_mode")
    assert camera.state("select", "resolution").attributes["options"] == [
        option.lower() for option in CONFIG_KEYS["resolution"].options
    ]
