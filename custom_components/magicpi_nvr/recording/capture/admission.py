"""Which frames are taken: events, memory and spool of each camera are bounded."""

from time import monotonic

from ..library.layout import event_id
from ..model import FLAG_LAST, CapturedFrame
from .context import CameraState, Context
from .durability import Durability
from .event import OngoingEvent, WaitingFrame
from .notices import EventStarted, FrameGivenUp

# Per camera. Days without ffmpeg do not reach it, a camera that opens an event with each frame does at once.
MAX_UNFINISHED = 256
MOST_SPOOL = 2 * 1024**3  # bytes


class Admission:
    """Takes frames into events, or refuses them for good.

    Of memory and spool a camera may have as much as is free: alone half of the limit, of
    two each a third.
    """

    def __init__(self, context: Context, durability: Durability) -> None:
        """Begin with no camera."""
        self._context = context
        self._durability = durability
        self.spool_limit = MOST_SPOOL  # bytes, unless the settings have one

    def admit(self, frame: CapturedFrame, reason: str) -> OngoingEvent | None:
        """Return the event that took a frame; None when it is refused for good."""
        context = self._context
        boot = self._durability.boot(frame.camera, frame.boot)
        boot.highest = max(boot.highest, frame.seq)
        if context.is_closing or frame.event == 0:
            return None
        now = monotonic()
        camera = context.cameras[frame.camera]
        event = context.events.get(event_id(frame.camera, frame.boot, frame.event))
        is_new = event is None or (event.is_finished and frame.seq not in event.seqs)
        if is_new and len(camera.unfinished) >= MAX_UNFINISHED:
            self._refuse("events", frame)
            return None
        if event is None:
            event = self._begin(frame, reason)
        event.last_arrival, event.left_at = now, None
        if frame.seq in event.seqs:
            context.stats.duplicates += 1
            return event
        at_ms = event.place(frame)
        if at_ms is None:
            self._refuse("time", frame, event)
            return None
        size = len(frame.jpeg)
        if camera.memory + size > context.settings.memory_limit - context.stats.memory:
            self._refuse("memory", frame, event)
            return None
        if not self._has_room_in_spool(camera, size):
            self._refuse("spool", frame, event)
            return None
        is_late = frame.seq < event.seqs.last
        if not is_late and at_ms <= event.last_at:
            at_ms = event.last_at + 1
            context.stats.nudged += 1
        waiting = WaitingFrame(
            event=event,
            seq=frame.seq,
            t=frame.t,
            at_ms=at_ms,
            flags=frame.flags,
            width=frame.width,
            height=frame.height,
            size=size,
            arrived=now,
            jpeg=frame.jpeg,
        )
        event.append(waiting, is_late=is_late)
        self._durability.add(waiting, boot)
        self._resume(event)
        if frame.flags & FLAG_LAST:
            event.end_reported = True
            event.end()
        event.changed.set()
        return event

    def _begin(self, frame: CapturedFrame, reason: str) -> OngoingEvent:
        """Return the event that a frame opens."""
        context = self._context
        clock = context.library.clock
        new = OngoingEvent.begin(
            frame,
            reason,
            context.settings.time_zone,
            recorded_ms=clock.lived_ms,
            clock_trusted=clock.believes(frame.captured_ms),
        )
        context.events[new.id] = new
        context.cameras[new.camera].unfinished[new.id] = new
        context.stats.events += 1
        context.notify(EventStarted(new.to_event("recording")))
        return new

    def _resume(self, event: OngoingEvent) -> None:
        """Let an event that had ended go on: another frame came."""
        if event.is_finished:
            self._context.notify(EventStarted(event.to_event("recording")))
            self._context.reopen(event)
        event.resume()

    def _refuse(
        self, reason: str, frame: CapturedFrame, event: OngoingEvent | None = None
    ) -> None:
        """Count a frame as lost, of its event too where that is known."""
        self._context.stats.drops[reason] += 1
        self._context.notify(FrameGivenUp(frame.camera, reason))
        if event is not None:
            event.given_up += 1

    def _has_room_in_spool(self, camera: CameraState, size: int) -> bool:
        """Whether all that a camera has in memory and one more frame may be spooled."""
        settings, stats = self._context.settings, self._context.stats
        if (limit := settings.spool_limit) is None:
            limit = max(self.spool_limit, 2 * settings.memory_limit)
        free = limit - stats.spool_bytes - stats.memory
        return camera.spool + camera.memory + size <= free
