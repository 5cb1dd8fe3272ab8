"""Home Assistant's own player shows the video of a camera that is always on."""

from home_assistant import wait_until
from person import Person
from stage import Stage
from virtual_camera import LoopSource

HALL = "02:4D:50:77:00:07"


async def test_video_plays_in_its_dialog(stage: Stage, visitor: Person) -> None:
    """The camera's dialog plays HLS, and the picture is the camera's."""
    hall = await stage.add_camera(
        HALL, LoopSource.rendered(20, resolution="QVGA"), always_on=True
    )
    await stage.claim(hall, "Hall")
    entity = await stage.entity(hall.id, "camera")
    assert entity

    async def offers_video() -> bool:
        state = await stage.hass.state(entity)
        return bool(state and state["attributes"]["supported_features"])

    await wait_until(offers_video, 60, "video of the camera")
    await visitor.open("/config/dashboard")
    await visitor.more_info(entity)
    video = await visitor.video_plays()
    assert await video.evaluate("video => [video.videoWidth, video.videoHeight]") == [
        320,
        240,
    ]
    # The other tests' home has no such camera
    entry = await stage.entry("Hall")
    path = f"/api/config/config_entries/entry/{entry}"
    async with stage.hass.session.delete(path) as response:
        assert response.status == 200
    await hall.stop()
