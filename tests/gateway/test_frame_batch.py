"""Frames that wait for each other, and everything that must not overtake them."""

import pytest

from custom_components.magicpi_nvr.gateway.frame_batch import FrameBatch, Take
from custom_components.magicpi_nvr.gateway.protocol import FLAG_LAST, CloseCode

from .support import OTHER_ID, House, until


def busy_batch(frames: int) -> FrameBatch:
    """Return one to which so many frames came in the tick that has just ended."""
    batch = FrameBatch()
    for _ in range(frames):
        batch.add(lambda _: None, bytearray(b"x"))
    batch.tick()
    return batch


def test_few_frames_wait_for_nothing() -> None:
    """Each is taken when it comes, tick by tick."""
    batch = FrameBatch()
    taken: list[bytes] = []
    for tick in range(3):
        for number in range(30):
            batch.add(taken.append, bytearray([number]))
            assert len(taken) == tick * 30 + number + 1
        batch.tick()


def test_many_frames_wait_for_each_other() -> None:
    """From the next tick on a tenth of them is taken together, in their order."""
    batch = busy_batch(100)
    taken: list[bytes] = []
    for number in range(10):
        assert not taken
        batch.add(taken.append, bytearray([number]))
    assert taken == [bytes([number]) for number in range(10)]


def test_no_frame_waits_over_a_tick() -> None:
    """What is too little for a batch is taken by the tick; then few come, and none waits."""
    batch = busy_batch(100)
    taken: list[bytes] = []
    batch.add(taken.append, bytearray(b"x"))
    assert not taken
    batch.tick()
    assert taken == [b"x"]
    batch.add(taken.append, bytearray(b"y"))
    assert taken == [b"x", b"y"]


def test_what_waits_is_bounded() -> None:
    """However many come, no more than 12 wait."""
    batch = busy_batch(5000)
    taken: list[bytes] = []
    waiting = []
    for number in range(100):
        batch.add(taken.append, bytearray(b"x"))
        waiting.append(number + 1 - len(taken))
    assert max(waiting) == 11


class Held(FrameBatch):
    """Holds every frame until something else happens."""

    __slots__ = ()

    def add(self, take: Take, data: bytearray) -> None:
        """Hold it."""
        self._waiting.append((take, data))


@pytest.fixture
def held(house: House) -> Held:
    """Have the gateway hold frames, over ticks as well."""
    house.gateway._timers.pop("tick").cancel()
    house.gateway._batch = batch = Held()
    return batch


async def waiting(batch: Held, count: int) -> None:
    """Wait until so many frames came."""
    await until(lambda: len(batch._waiting) == count)


async def test_no_word_overtakes_a_frame(house: House, held: Held) -> None:
    """The frames before a message are taken before it."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        for seq in (1, 2):
            await wire.send_frame(seq)
        await waiting(held, 2)
        assert not house.owner.frames
        await wire.send(
            {"type": "event_end", "event": 1, "t": 1300, "frames": 2, "lost": 0}
        )
        await house.owner.until(lambda: house.owner.ended)
        assert [frame.seq for frame in house.owner.frames] == [1, 2]


async def test_no_ack_overtakes_a_frame(house: House, held: Held) -> None:
    """Each part of a tick takes what waits before it acknowledges."""
    camera, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1, flags=FLAG_LAST)
        await waiting(held, 1)
        assert camera.session
        house.gateway._tick_part([camera.session])
        await wire.expect_ack(1)


async def test_frames_of_a_lost_link_count(house: House, held: Held) -> None:
    """What came before the link was lost is taken."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1)
        await waiting(held, 1)
    await house.owner.until(lambda: house.owner.frames)


async def test_frames_of_a_replaced_link_count_in_their_boot(
    house: House, held: Held
) -> None:
    """A newer connection with a new boot changes nothing about the older one's frames."""
    camera, auth = await house.register()
    async with house.connect(auth) as older, house.connect(auth) as newer:
        await older.greet()
        await older.send_frame(1)
        await waiting(held, 1)
        welcome = await newer.greet(boot=78)
        assert welcome["have"] == 0
        assert [frame.boot for frame in house.owner.frames] == [77]
        assert camera.progress is not None
        assert (camera.progress.boot, camera.progress.highest) == (78, 0)
        assert (await older.closed())[0] == CloseCode.REPLACED


async def test_frames_that_wait_are_in_the_welcome(house: House, held: Held) -> None:
    """A camera that comes back in the same boot hears of the frame that just waited."""
    _, auth = await house.register()
    async with house.connect(auth) as older, house.connect(auth) as newer:
        await older.greet()
        await older.send_frame(1)
        await waiting(held, 1)
        assert (await newer.greet())["have"] == 1


async def test_frames_count_when_the_gateway_stops(house: House, held: Held) -> None:
    """What waits is taken before the connections are closed."""
    _, auth = await house.register()
    async with house.connect(auth) as wire:
        await wire.greet()
        await wire.send_frame(1)
        await waiting(held, 1)
        await house.gateway.stop()
    assert [frame.seq for frame in house.owner.frames] == [1]


async def test_frames_of_a_forgotten_camera_count(house: House, held: Held) -> None:
    """What waits is taken before the key is worthless, also that of others."""
    camera, auth = await house.register()
    _, other_auth = await house.register(OTHER_ID)
    async with house.connect(auth) as wire, house.connect(other_auth) as other:
        await wire.greet()
        await other.greet(id=OTHER_ID)
        await other.send_frame(1)
        await waiting(held, 1)
        await wire.send_frame(1)
        await waiting(held, 2)
        await house.gateway.forget(camera.id)
        assert [frame.camera for frame in house.owner.frames] == [OTHER_ID, camera.id]
