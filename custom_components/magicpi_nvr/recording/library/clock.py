"""Whether the host's clock may be believed: what deletes by age asks here."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from ..state import State

DAY_MS = 24 * 3600 * 1000
# Home Assistant may have been off for so long, or the clock may have been set, and nobody is asked.
TOLERANCE_MS = 2 * DAY_MS
# Without a last good time there is only the newest recording, and a camera may see nothing for days.
_TOLERANCE_UNKNOWN_MS = 7 * DAY_MS
# A host without a battery for its clock begins in the past.
_EARLIEST_MS = 1_767_225_600_000  # 2026-01-01, before the first version
_SAVE_EVERY_MS = 3600 * 1000


@dataclass(frozen=True, slots=True)
class ClockVerdict:
    """`off_ms`: how far the clock is ahead (or behind, below 0) of what was expected; 0 = plausible."""

    off_ms: int

    @property
    def is_plausible(self) -> bool:
        """Whether rules of age may be applied."""
        return self.off_ms == 0


class ClockGuard:
    """Compares the clock with the last good time, which goes on by the monotonic clock while this runs."""

    def __init__(
        self,
        state: State,
        clock: Callable[[], float],
        steady: Callable[[], float] = monotonic,
    ) -> None:
        """Prepare; `clock` and `steady` in seconds."""
        self._state = state
        self._clock = clock
        self._steady = steady
        self._began = steady()
        self._lived_before = 0
        self._good: tuple[int, float] | None = None  # ms, and steady s then
        self._saved_lived = 0
        # What rules of age may take for now: ms, and steady s then.
        self._age: tuple[int, float] | None = None
        self.verdict = ClockVerdict(0)

    def begin(self, newest_recorded: int) -> None:
        """Take the persisted values; `newest_recorded` is the highest lived time in the index."""
        self._began = self._steady()
        self._lived_before = max(self._state.lived_ms, newest_recorded) + 1
        self._saved_lived = self._lived_before
        self._good = None
        age_ms = self._state.age_ms or self._state.good_ms
        self._age = (age_ms, self._began) if age_ms else None

    @property
    def now_ms(self) -> int:
        """The host's wall time."""
        return int(self._clock() * 1000)

    @property
    def age_now_ms(self) -> int:
        """The time that rules of age count from.

        The clock may be ahead by less than what is asked about: what this did not see pass is taken up at the
        speed of time, so that a clock that is set right within hours has deleted nothing.
        """
        now = self.now_ms
        if self._age is None:
            return now
        age_ms, at = self._age
        return min(now, age_ms + int(2 * (self._steady() - at) * 1000))

    @property
    def lived_ms(self) -> int:
        """How long recording has run, over all starts; never goes back."""
        return self._lived_before + int((self._steady() - self._began) * 1000)

    @property
    def is_as_expected(self) -> bool:
        """Whether the clock goes on from the last good time of this run."""
        return self._good is not None and not self._off_ms(self.now_ms, None)

    def check(self, newest_ms: int | None) -> bool:
        """Judge the clock; True when the state should be saved.

        `newest_ms`: start of the newest recording that was filed under a good clock.
        """
        now = self.now_ms
        off = self._off_ms(now, newest_ms)
        changed = (off == 0) != self.verdict.is_plausible
        self.verdict = ClockVerdict(off)
        if off == 0:
            if self._age is None and newest_ms is not None:
                self._age = (newest_ms, self._began)
            self._age = (self.age_now_ms, self._steady())
            self._good = (now, self._steady())
        lived = self.lived_ms
        return (
            changed
            or lived - self._saved_lived >= _SAVE_EVERY_MS
            or (off == 0 and not self._state.good_ms)
        )

    def confirm(self) -> None:
        """Take the clock for right, as a person answered."""
        self._good = self._age = (self.now_ms, self._steady())
        self.verdict = ClockVerdict(0)

    def save(self) -> None:
        """Persist the last good time and the time lived. Blocking; raises OSError."""
        if self._good is not None:
            self._state.good_ms = self._good[0]
            self._state.age_ms = self.age_now_ms
        self._state.lived_ms = self._saved_lived = self.lived_ms
        self._state.save()

    def believes(self, start_ms: int) -> bool:
        """Return whether an event that begins at this wall time is filed under a good clock."""
        return self.verdict.is_plausible and abs(start_ms - self.now_ms) < TOLERANCE_MS

    def _off_ms(self, now: int, newest_ms: int | None) -> int:
        if now < _EARLIEST_MS:
            return now - max(_EARLIEST_MS, newest_ms or 0)
        if self._good is not None:
            good_ms, at = self._good
            expected = good_ms + int((self._steady() - at) * 1000)
            tolerance = TOLERANCE_MS
        elif self._state.good_ms:
            expected, tolerance = self._state.good_ms, TOLERANCE_MS
        elif newest_ms is not None:
            expected, tolerance = newest_ms, _TOLERANCE_UNKNOWN_MS
        else:
            return 0
        off = now - expected
        if abs(off) <= tolerance:
            return 0
        # Recordings beside it speak for a clock, as long as it does not go back behind a good time.
        if off > 0 and newest_ms is not None and abs(now - newest_ms) <= TOLERANCE_MS:
            return 0
        return off
