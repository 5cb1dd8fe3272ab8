"""The ring of frames that wait for the gateway."""

import asyncio
from itertools import pairwise
import struct
import zlib

import pytest

from virtual_camera.outbox import (
    CONTROLS_KEPT,
    NO_FLAGS,
    CapturedFrame,
    Control,
    FrameFlag,
    Outbox,
)


def frame(seq: int, size: int = 100, event: int = 1) -> CapturedFrame:
    """Return a frame of some bytes."""
    return CapturedFrame(event, seq, NO_FLAGS, seq * 100, bytes(size))


async def take(outbox: Outbox, count: int) -> list[int]:
    """Return the next items' sequence numbers, 0 for messages."""
    items = [await outbox.take() for _ in range(count)]
    return [item.seq if isinstance(item, CapturedFrame) else 0 for item in items]


def test_header() -> None:
    """The header is 24 bytes, big-endian, with zlib's checksum."""
    sent = CapturedFrame(2, 3, FrameFlag.LAST | FrameFlag.PRE_ROLL, 4, b"jpeg")
    packed = sent.pack()
    assert packed[24:] == b"jpeg"
    values = struct.unpack("!BBHIQII", packed[:24])
    assert values == (1, 5, 2, 3, 4, zlib.crc32(b"jpeg"), 4)


async def test_oldest_gives_way() -> None:
    """A full ring loses its oldest frame and marks the one behind the gap."""
    outbox = Outbox(250)
    for seq in (1, 2, 3, 4):
        outbox.add_frame(frame(seq))
    assert outbox.lost == {1: 2}
    first, second = [await outbox.take() for _ in range(2)]
    assert isinstance(first, CapturedFrame)
    assert isinstance(second, CapturedFrame)
    assert (first.seq, first.flags) == (3, FrameFlag.LOST_BEFORE)
    assert (second.seq, second.flags) == (4, NO_FLAGS)


async def test_gap_with_nothing_behind_it() -> None:
    """Where nothing waits behind a lost frame, the next one captured is marked."""
    outbox = Outbox(1000)
    outbox.lose(1, 1)
    late = frame(2)
    outbox.add_frame(late)
    assert late.flags == FrameFlag.LOST_BEFORE


async def test_without_an_event_what_is_left_stays_even() -> None:
    """Live pictures are thinned out evenly, from the first to the last; an event takes the place of all of them, none takes its."""
    outbox = Outbox(1000)
    for seq in range(1, 41):
        outbox.add_frame(frame(seq, event=0))
    left = [item.seq for item in outbox._waiting if isinstance(item, CapturedFrame)]
    assert (left[0], left[-1], len(left)) == (1, 40, 10)
    assert max(after - before for before, after in pairwise(left)) <= 8
    assert outbox.lost_total == 30
    for seq in range(41, 55):
        outbox.add_frame(frame(seq, event=2))
    assert outbox.lost == {0: 40, 2: 4}
    outbox.add_frame(frame(55, event=0))
    assert outbox.lost == {0: 41, 2: 4}
    assert await take(outbox, 10) == list(range(45, 55))


@pytest.mark.parametrize(("have", "lost"), [(0, 1), (1, 0)])
async def test_sent_but_no_longer_here(have: int, lost: int) -> None:
    """A frame that was sent and had to go is lost only if the gateway does not have it."""
    outbox = Outbox(250)
    outbox.add_frame(frame(1))
    assert await take(outbox, 1) == [1]
    outbox.add_frame(frame(2))
    outbox.add_frame(frame(3))
    assert outbox.lost_total == 0
    outbox.rewind(have)
    assert outbox.lost_total == lost
    again = await outbox.take()
    assert isinstance(again, CapturedFrame)
    assert again.seq == 2
    assert bool(again.flags) == bool(lost)


async def test_acknowledged_frames_go_messages_stay() -> None:
    """Frames are kept until they are acknowledged, messages until they are known to be read."""
    outbox = Outbox(1000)
    outbox.add_control(lambda: {"type": "motion"})
    outbox.add_frame(frame(1))
    outbox.add_frame(frame(2))
    assert await take(outbox, 3) == [0, 1, 2]
    assert outbox.acknowledge(1) == 1
    assert outbox.rewind(1) == 0
    assert await take(outbox, 2) == [0, 2]
    outbox.settle(outbox.controls_in_flight())
    assert outbox.acknowledge(2) == 1
    assert outbox.empty
    assert outbox.bytes == outbox.frames == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await outbox.take()


async def test_messages_are_bounded() -> None:
    """No number of messages fills the memory."""
    outbox = Outbox(1000)
    for number in range(CONTROLS_KEPT + 10):
        outbox.add_control(lambda number=number: {"number": number})
    kept = [await outbox.take() for _ in range(outbox.waiting_controls)]
    assert len(kept) == CONTROLS_KEPT
    assert isinstance(kept[0], Control)
    assert kept[0].build() == {"number": 10}


async def test_giving_up() -> None:
    """What is dropped in the end is counted by event, sent or not."""
    outbox = Outbox(1000)
    for seq, event in ((1, 1), (2, 1), (3, 2)):
        outbox.add_frame(frame(seq, event=event))
    await outbox.take()
    assert outbox.give_up() == 3
    assert outbox.lost == {1: 2, 2: 1}
    assert outbox.empty
