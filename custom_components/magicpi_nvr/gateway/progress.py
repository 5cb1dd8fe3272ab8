"""Which frames of one boot have come, and up to which the camera may forget them."""

from bisect import insort
from dataclasses import dataclass, field
from typing import Final

MAX_RANGES: Final = 256
# A damaged frame's own number is believed only as far as a camera can skip ahead, in frames.
MAX_SKIP: Final = 10_000
# Damaged frames that are remembered: of so many events, so many each.
MAX_DAMAGED_EVENTS: Final = 16
MAX_DAMAGED: Final = 4096


def _add(ranges: list[list[int]], seq: int) -> None:
    """Add a number to sorted, disjoint ranges; the oldest two merge when there are too many."""
    if ranges and seq == ranges[-1][1] + 1:
        ranges[-1][1] = seq
        return
    if not ranges or seq > ranges[-1][1]:
        ranges.append([seq, seq])
    else:
        insort(ranges, [seq, seq])
        for index in range(len(ranges) - 1, 0, -1):
            before, after = ranges[index - 1], ranges[index]
            if after[0] <= before[1] + 1:
                before[1] = max(before[1], after[1])
                del ranges[index]
    if len(ranges) > MAX_RANGES:
        ranges[0][1] = ranges[1][1]
        del ranges[1]


@dataclass(slots=True)
class BootProgress:
    """Frames of one boot, in memory, as ranges of their seq.

    `received` guards against duplicates. `recording` was handed to the recorder, which alone
    knows when it is persisted. Everything else that came (live frames, refused frames) is not
    persisted and is acknowledged at once.
    """

    boot: int
    highest: int = 0
    received: list[list[int]] = field(default_factory=list)
    recording: list[list[int]] = field(default_factory=list)
    acknowledged: int = 0
    damaged: dict[int, set[int]] = field(default_factory=dict)
    """Of events that have not ended, by event."""

    def resume(self, persisted: int) -> None:
        """Count as received what was persisted before a restart of this side."""
        if persisted > self.highest:
            self.highest = persisted
            self.received[:] = [[1, persisted]]

    def has(self, seq: int) -> bool:
        """Return whether this frame came before."""
        if not (received := self.received) or seq > received[-1][1]:
            return False
        return any(first <= seq <= last for first, last in reversed(received))

    def accept(self, seq: int, *, recorded: bool) -> None:
        """A good frame came."""
        _add(self.received, seq)
        for numbers in self.damaged.values():
            numbers.discard(seq)
        self.highest = max(self.highest, seq)
        if recorded:
            _add(self.recording, seq)

    def refuse(self, seq: int, event: int = 0) -> None:
        """A damaged frame came; sending it again would not repair it."""
        if event:
            numbers = self.damaged.setdefault(event, set())
            if len(numbers) < MAX_DAMAGED:
                numbers.add(seq)
            if len(self.damaged) > MAX_DAMAGED_EVENTS:
                del self.damaged[next(iter(self.damaged))]
        if self.highest < seq <= self.highest + MAX_SKIP:
            self.highest = seq

    def end(self, event: int) -> int:
        """Return how many frames of an event that is over came damaged, and never whole."""
        return len(self.damaged.pop(event, ()))

    def acknowledge(self, persisted: int) -> int:
        """Return the highest number up to which all is persisted or refused for good.

        `persisted` is the recorder's answer for the frames that were handed to it.
        """
        recording = self.recording
        while recording and recording[0][1] <= persisted:
            del recording[0]
        seq = recording[0][0] - 1 if recording else self.highest
        # A frame that was refused may come again whole: its number was acknowledged already.
        self.acknowledged = max(self.acknowledged, seq, persisted)
        return self.acknowledged
