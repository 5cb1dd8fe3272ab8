"""Whether a camera's pictures are usable: what is refused of each event."""

from collections import Counter
from typing import Final

# An event says something from this many pictures on.
MIN_PICTURES: Final = 3
# Nearly all, of every picture of an event.
REFUSED_RATIO: Final = 0.9
# So many events in a row.
EVENTS: Final = 2


class PictureFaults:
    """Finds a camera of which (nearly) all pictures of some events in a row are refused."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.fault: str | None = None
        """The most frequent reason of refusal, None while pictures are usable."""
        self.refused_ratio = 0.0
        """Of the last event that says something, 0 to 1."""
        self._event = 0
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self._bad: list[Counter[str]] = []

    def accept(self, event: int) -> bool:
        """Count a good picture of an event; returns whether `fault` changed."""
        changed = event != self._event and self._begin(event)
        self._accepted += 1
        return changed

    def refuse(self, event: int, reason: str) -> bool:
        """Count a refused picture of an event; returns whether `fault` changed."""
        changed = event != self._event and self._begin(event)
        self._refused[reason] += 1
        return changed

    def end(self) -> bool:
        """The event is over, or the camera left; returns whether `fault` changed."""
        return self._begin(0)

    def _begin(self, event: int) -> bool:
        before = self.fault
        # Pictures outside of events are not kept and say nothing of recordings.
        if self._event:
            self._judge()
        self._event = event
        self._accepted = 0
        self._refused = Counter()
        return self.fault != before

    def _judge(self) -> None:
        refused = self._refused.total()
        if (pictures := self._accepted + refused) < MIN_PICTURES:
            return
        self.refused_ratio = refused / pictures
        if self.refused_ratio < REFUSED_RATIO:
            self._bad.clear()
            self.fault = None
            return
        self._bad = [*self._bad, self._refused][-EVENTS:]
        if len(self._bad) == EVENTS:
            reasons = sum(self._bad, Counter())
            self.fault = reasons.most_common(1)[0][0]
