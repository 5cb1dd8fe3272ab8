"""Sessions of cameras over real TLS sockets."""

from .support import CAMERA_ID, JPEG, House


async def test_whole_way(house: House) -> None:
    """Register, hello, motion, frames, acknowledgement, event end, bye."""
    camera, auth = await house.register(name="Front door")
    assert camera.name == "Front door"
    async with house.connect(auth) as wire:
        welcome = await wire.greet()
        assert welcome["have"] == 0
        assert welcome["config"] is None
        assert camera.status == "awake"
        await wire.send(
            {"type": "motion", "event": 1, "active": True, "t": 900, "source": "pir"}
        )
        for seq in range(1, 11):
            await wire.send_frame(seq)
        await wire.send(
            {"type": "event_end", "event": 1, "t": 2000, "frames": 10, "lost": 0}
        )
        await wire.expect_ack(10)
        assert camera.status == "streaming"
        assert [frame.seq for frame in house.owner.frames] == list(range(1, 11))
        assert house.owner.frames[0].jpeg == JPEG
        assert house.owner.ended == [(CAMERA_ID, 77, 1, 0)]
        await wire.leave(next_wake_s=600)
    assert camera.status == "asleep"
    assert camera.session is None
