"""Buttons of cameras and of the NVR."""

from typing import Any

import pytest

from custom_components.magicpi_nvr.recording.errors import StorageFailed
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from .scene import Actor, Scene

pytestmark = pytest.mark.usefixtures("everything_enabled")


async def press(actor: Actor, key: str) -> None:
    """Press a button of a camera."""
    await actor.scene.call("button", "press", entity_id=actor.entity_id("button", key))


@pytest.mark.parametrize("key", ["snapshot", "identify", "restart"])
async def test_a_sleeping_camera_says_when(scene: Scene, key: str) -> None:
    """What needs a connection names the time of the next one."""
    actor = await scene.add_camera()
    await actor.sleep()
    with pytest.raises(HomeAssistantError) as caught:
        await press(actor, key)
    due = actor.camera.next_check_in_ms
    assert due
    local = dt_util.as_local(dt_util.utc_from_timestamp(due / 1000))
    assert caught.value.translation_key == "camera_asleep"
    assert caught.value.translation_placeholders == {
        "name": "Porch",
        "next_check_in": local.strftime("%Y-%m-%d %H:%M:%S"),
    }
    assert "Porch" in str(caught.value)


async def test_a_late_camera_says_so(scene: Scene) -> None:
    """A time in the past is no promise."""
    actor = await scene.add_camera()
    await actor.sleep()
    actor.camera.presence._late_at = 0.0
    actor.camera.tick()
    await actor.status("late")
    with pytest.raises(HomeAssistantError) as caught:
        await press(actor, "identify")
    assert caught.value.translation_key == "camera_late"


async def test_a_camera_that_is_off_says_so(scene: Scene) -> None:
    """A camera on mains that is gone has no next time."""
    actor = await scene.add_camera(keep_on=True)
    await actor.status("awake", "streaming")
    await actor.virtual.drop_power()
    await actor.status("offline")
    with pytest.raises(HomeAssistantError) as caught:
        await press(actor, "identify")
    assert caught.value.translation_key == "camera_offline"
    assert scene.unavailable() == []


async def test_snapshot(scene: Scene) -> None:
    """A picture comes and is the camera's last one."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    await press(actor, "snapshot")
    picture = scene.nvr.last_picture(actor.camera.id)
    assert picture
    assert picture.jpeg.startswith(b"\xff\xd8")


async def test_identify(scene: Scene) -> None:
    """The camera shows itself."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    mark = actor.virtual.mark()
    await press(actor, "identify")
    await actor.virtual.wait_event("identified", after=mark)


async def test_restart(scene: Scene) -> None:
    """The camera restarts and comes back."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    mark = actor.virtual.mark()
    await press(actor, "restart")
    await actor.virtual.wait_event("welcome", after=mark)


async def test_a_refusal_is_told(scene: Scene) -> None:
    """The camera's own words come with the error."""
    actor = await scene.add_camera(linger_s=600)
    await actor.status("awake")
    assert actor.virtual._session
    del actor.virtual._session._commands["identify"]
    with pytest.raises(HomeAssistantError) as caught:
        await press(actor, "identify")
    assert caught.value.translation_key == "command_failed"
    assert caught.value.translation_placeholders == {
        "name": "Porch",
        "error": "unknown_command",
    }


async def test_rotate_key(scene: Scene) -> None:
    """A sleeping camera gets a new key at its next wake and comes back with it."""
    actor = await scene.add_camera()
    await actor.sleep()
    old = actor.virtual.flash.api_key
    mark = actor.virtual.mark()
    await press(actor, "rotate_key")
    await actor.wake()
    await actor.virtual.wait_event("rekeyed", after=mark)
    await actor.sleep()
    await actor.nap()
    assert actor.virtual.flash.api_key != old


async def test_check_in(scene: Scene) -> None:
    """A sleeping camera stays for a minute when it next comes, once."""
    actor = await scene.add_camera()
    await actor.sleep()
    await press(actor, "check_in")
    assert actor.camera.stay_awake_s == 60
    await actor.wake()
    boot = actor.virtual.boot
    assert boot
    await actor.virtual.wait_until(lambda: boot.stay_awake_until > 0)
    assert actor.camera.stay_awake_s == 0
    await actor.status("awake")
    # It is there to be talked to.
    await press(actor, "identify")


@pytest.mark.parametrize("key", ["purge", "rebuild_index"])
async def test_nvr(scene: Scene, key: str) -> None:
    """The NVR cleans up and makes its index anew."""
    await scene.call("button", "press", entity_id=scene.entity_id("button", key))
    assert scene.state("button", key).state != "unknown"


async def test_nvr_says_what_is_wrong_with_the_storage(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses is told in words."""

    async def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise StorageFailed("read-only")

    monkeypatch.setattr(scene.nvr.recordings.library, "purge", refuse)
    with pytest.raises(HomeAssistantError) as caught:
        await scene.call(
            "button", "press", entity_id=scene.entity_id("button", "purge")
        )
    assert caught.value.translation_key == "storage_failed"
    assert caught.value.translation_placeholders == {"error": "read-only"}
