"""Buttons of cameras and of the NVR."""

from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.errors import StorageFailed
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import ClaimedCamera, Installation

pytestmark = pytest.mark.usefixtures("everything_enabled")


async def press(camera: ClaimedCamera, key: str) -> None:
    """Press a button of a camera."""
    await camera.installation.call(
        "button", "press", entity_id=camera.entity_id("button", key)
    )


@pytest.mark.parametrize("key", ["snapshot", "identify", "restart"])
async def test_a_sleeping_camera_says_when(
    installation: Installation, key: str
) -> None:
    """What needs a connection names the time of the next one."""
    camera = await installation.add_camera()
    await camera.sleep()
    with pytest.raises(HomeAssistantError) as caught:
        await press(camera, key)
    due = camera.gateway_camera.next_check_in_ms
    assert due
    local = dt_util.as_local(dt_util.utc_from_timestamp(due / 1000))
    assert caught.value.translation_key == "camera_asleep"
    assert caught.value.translation_placeholders == {
        "name": "Porch",
        "next_check_in": local.strftime("%Y-%m-%d %H:%M:%S"),
    }
    assert "Porch" in str(caught.value)


async def test_a_late_camera_says_so(installation: Installation) -> None:
    """A time in the past is no promise."""
    camera = await installation.add_camera()
    await camera.sleep()
    await camera.be_late()
    with pytest.raises(HomeAssistantError) as caught:
        await press(camera, "identify")
    assert caught.value.translation_key == "camera_late"


async def test_a_camera_that_is_off_says_so(installation: Installation) -> None:
    """A camera on mains that is gone has no next time."""
    camera = await installation.add_camera(keep_on=True)
    await camera.status("awake", "streaming")
    await camera.virtual.drop_power()
    await camera.status("offline")
    with pytest.raises(HomeAssistantError) as caught:
        await press(camera, "identify")
    assert caught.value.translation_key == "camera_offline"
    assert installation.unavailable() == []


async def test_snapshot(installation: Installation) -> None:
    """A picture comes and is the camera's last one."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    await press(camera, "snapshot")
    picture = installation.nvr.last_picture(camera.gateway_camera.id)
    assert picture
    assert picture.jpeg.startswith(b"\xff\xd8")


async def test_identify(installation: Installation) -> None:
    """The camera shows itself."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    mark = camera.virtual.mark()
    await press(camera, "identify")
    await camera.virtual.wait_event("identified", after=mark)


async def test_restart(installation: Installation) -> None:
    """The camera restarts and comes back."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    mark = camera.virtual.mark()
    await press(camera, "restart")
    await camera.virtual.wait_event("welcome", after=mark)


async def test_a_refusal_is_shown(installation: Installation) -> None:
    """The camera's own words come with the error."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    assert camera.virtual._session
    del camera.virtual._session._commands["identify"]
    with pytest.raises(HomeAssistantError) as caught:
        await press(camera, "identify")
    assert caught.value.translation_key == "command_failed"
    assert caught.value.translation_placeholders == {
        "name": "Porch",
        "error": "unknown_command",
    }


async def test_rotate_key(installation: Installation) -> None:
    """A sleeping camera gets a new key at its next wake and comes back with it."""
    camera = await installation.add_camera()
    await camera.sleep()
    old = camera.virtual.flash.api_key
    mark = camera.virtual.mark()
    await press(camera, "rotate_key")
    await camera.wake()
    await camera.virtual.wait_event("rekeyed", after=mark)
    await camera.sleep()
    await camera.nap()
    assert camera.virtual.flash.api_key != old


async def test_check_in(installation: Installation) -> None:
    """A sleeping camera stays for a minute when it next comes, once."""
    camera = await installation.add_camera()
    await camera.sleep()
    await press(camera, "check_in")
    assert camera.gateway_camera.stay_awake_s == 60
    await camera.wake()
    boot = camera.virtual.boot
    assert boot
    await camera.virtual.wait_until(lambda: boot.stay_awake_until > 0)
    assert camera.gateway_camera.stay_awake_s == 0
    await camera.status("awake")
    # It is there to be talked to.
    await press(camera, "identify")


@pytest.mark.parametrize("key", ["purge", "rebuild_index"])
async def test_nvr(installation: Installation, key: str) -> None:
    """The NVR cleans up and rebuilds its index."""
    await installation.call(
        "button", "press", entity_id=installation.nvr_entity_id("button", key)
    )
    assert installation.nvr_state("button", key).state != "unknown"


async def test_nvr_says_what_is_wrong_with_the_storage(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses is reported in words."""

    async def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise StorageFailed("read-only")

    monkeypatch.setattr(installation.nvr.recordings.library, "purge", refuse)
    with pytest.raises(HomeAssistantError) as caught:
        await installation.call(
            "button", "press", entity_id=installation.nvr_entity_id("button", "purge")
        )
    assert caught.value.translation_key == "storage_failed"
    assert caught.value.translation_placeholders == {"error": "read-only"}
