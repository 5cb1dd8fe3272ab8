"""Which frames of one boot have come, and up to which the camera may forget them."""

from bisect import insort
from dataclasses import dataclass, field
from typing import Final

MAX_RANGES: Final = 256
# A damaged frame's own number is believed only as far as a camera can skip ahead.
MAX_SKIP: Final = 10_000


def _add(ranges: list[list[int]], seq: int) -> None:
    """Add a number to sorted, disjoint ranges; the oldest two melt when there are too many."""
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
    """Frames of one boot, in memory.

    `seen` guards against doubles. `handed` went to the recorder, which alone knows when they
    are safe. Everything else that came (live frames, refused frames) needs no keeping.
    """

    boot: int
    highest: int = 0
    seen: list[list[int]] = field(default_factory=list)
    handed: list[list[int]] = field(default_factory=list)
    told: int = 0

    def resume(self, kept: int) -> None:
        """Count as seen what was kept before this side forgot (a restart)."""
        if kept > self.highest:
            self.highest = kept
            self.seen[:] = [[1, kept]]

    def has(self, seq: int) -> bool:
        """Return whether this frame came before."""
        if not (seen := self.seen) or seq > seen[-1][1]:
            return False
        return any(first <= seq <= last for first, last in reversed(seen))

    def accept(self, seq: int, *, handed: bool) -> None:
        """A good frame came."""
        _add(self.seen, seq)
        self.highest = max(self.highest, seq)
        if handed:
            _add(self.handed, seq)

    def refuse(self, seq: int) -> None:
        """A damaged frame came; sending it again would not mend it."""
        if self.highest < seq <= self.highest + MAX_SKIP:
            self.highest = seq

    def acknowledged(self, kept: int) -> int:
        """Return the highest number up to which all is safe or refused for good.

        `kept` is the recorder's word for the frames that were handed to it.
        """
        handed = self.handed
        while handed and handed[0][1] <= kept:
            del handed[0]
        seq = handed[0][0] - 1 if handed else self.highest
        # A frame that was refused may come again whole: its number was told already.
        self.told = max(self.told, seq, kept)
        return self.told
