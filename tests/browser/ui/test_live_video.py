"""Home Assistant's own player shows the video of a camera that is always on."""

from home_assistant import wait_until
from person import Person
from seeded_installation import SeededInstallation
from virtual_camera import LoopSource

HALL = "02:4D:50:77:00:07"


async def test_video_plays_in_its_dialog(
    seeded: SeededInstallation, visitor: Person
) -> None:
    """The camera's dialog plays HLS, and the picture is the camera's."""
    hall = await seeded.add_camera(
        HALL, LoopSource.rendered(20, resolution="QVGA"), always_on=True
    )
    await seeded.claim(hall, "Hall")
    entity = await seeded.entity(hall.id, "camera")
    assert entity

    async def offers_video() -> bool:
        state = await seeded.hass.state(entity)
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
    entry = await seeded.entry("Hall")
    path = f"/api/config/config_entries/entry/{entry}"
    async with seeded.hass.session.delete(path) as response:
        assert response.status == 200
    await hall.stop()
