"""Counts what stopping early is good for: events of the day in which nothing was seen, and seconds that cameras slept instead."""

from collections import OrderedDict
from typing import Any, Final

from homeassistant.core import callback
from homeassistant.util import dt as dt_util

from ..recording import NOTHING_SEEN
from .stores import NvrSettings

_MAX_JUDGED: Final = 256


class FalseAlarms:
    """Counters by camera, of the local day; they outlive a restart."""

    def __init__(self, store: NvrSettings) -> None:
        """Count in what is stored."""
        self._store = store
        self._judged: OrderedDict[str, str | None] = OrderedDict()

    def events(self, camera_id: str) -> int:
        """Return how many events of the day showed nothing."""
        return int(self._today(camera_id)["false_alarms"])

    def saved_s(self, camera_id: str) -> float:
        """Return for how many seconds of the day the camera slept instead of recording nothing."""
        return float(self._today(camera_id)["saved_s"])

    @callback
    def judge(self, event_id: str, camera_id: str, verdict: str | None) -> None:
        """Count an event that shows nothing once, and no longer when more of it comes and shows something."""
        before = self._judged.get(event_id)
        if verdict is None or before not in (None, NOTHING_SEEN):
            return
        self._judged[event_id] = verdict
        if len(self._judged) > _MAX_JUDGED:
            self._judged.popitem(last=False)
        if more := (verdict == NOTHING_SEEN) - (before == NOTHING_SEEN):
            self._count(camera_id, "false_alarms", more)

    @callback
    def count_saved(self, camera_id: str, seconds: float) -> None:
        """Count seconds that a camera sleeps instead of recording nothing."""
        self._count(camera_id, "saved_s", seconds)

    def _count(self, camera_id: str, name: str, more: float) -> None:
        today = self._today(camera_id)
        # What was counted yesterday cannot be taken back today
        today[name] = max(0, today[name] + more)
        self._store.save()

    def _today(self, camera_id: str) -> dict[str, Any]:
        today = dt_util.now().date().isoformat()
        counters = self._store.false_alarms
        begun = {"day": today, "false_alarms": 0, "saved_s": 0.0}
        stored = counters.get(camera_id, {})
        if stored.get("day") != today or not all(
            isinstance(stored.get(name), int | float)
            for name in ("false_alarms", "saved_s")
        ):
            counters[camera_id] = begun
        return counters[camera_id]
