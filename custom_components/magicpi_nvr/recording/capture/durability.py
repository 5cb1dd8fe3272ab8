"""What may be acknowledged: which frames of a boot survive a power cut, or were given up."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from .context import Context
from .event import OngoingEvent, WaitingFrame
from .notices import FrameGivenUp

_BOOTS_KEPT = 4  # per camera


@dataclass(slots=True)
class Boot:
    """One boot of a camera: the highest seq seen, and the frames that are not persisted."""

    highest: int = 0
    pending: deque[WaitingFrame] = field(default_factory=deque)

    def unpersisted(self) -> list[WaitingFrame]:
        """Return the frames that a power cut would take, in order of arrival."""
        return [frame for frame in self.pending if not frame.persisted]


class Durability:
    """Follows each frame until it is persisted; only then its picture leaves memory."""

    def __init__(self, context: Context) -> None:
        """Begin with no boot."""
        self._context = context
        self.boots: dict[tuple[str, int], Boot] = {}

    def boot(self, camera: str, boot: int) -> Boot:
        """Return what is known of a boot; a new one ends the events of the camera's earlier ones."""
        if (found := self.boots.get((camera, boot))) is not None:
            return found
        others = [key for key in self.boots if key[0] == camera]
        for _, other in others:
            for event in self._context.open_events(camera, other):
                event.end()
        for key in others[: max(0, len(others) + 1 - _BOOTS_KEPT)]:
            if not self.boots[key].unpersisted():
                del self.boots[key]
        return self.restore(camera, boot)

    def restore(self, camera: str, boot: int) -> Boot:
        """Return what is known of a boot; other boots stay as they are."""
        return self.boots.setdefault((camera, boot), Boot())

    def persisted(self, camera: str, boot: int) -> int:
        """Return the seq up to which every frame that was taken is on disk or given up."""
        if (found := self.boots.get((camera, boot))) is None:
            return 0
        pending = found.pending
        while pending and pending[0].persisted:
            pending.popleft()
        return min(
            (frame.seq - 1 for frame in pending if not frame.persisted),
            default=found.highest,
        )

    def add(self, frame: WaitingFrame, boot: Boot) -> None:
        """Follow a frame that was taken into memory."""
        boot.pending.append(frame)
        stats = self._context.stats
        stats.queue += 1
        stats.memory += frame.size
        self._context.cameras[frame.event.camera].memory += frame.size

    def written(
        self, event: OngoingEvent, frames: Sequence[WaitingFrame], size: int
    ) -> None:
        """The event's first frames are in the hour file, `size` bytes were appended."""
        for frame in frames:
            event.frames.remove(frame)
            frame.written = True
            self._leaves_queue(frame)
        self._context.stats.frames += len(frames)
        self._context.stats.bytes_written += size

    def synced(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Written frames survive a power cut."""
        for frame in frames:
            self.persist(frame)
            if frame.place is not None:
                event.spooled -= 1

    def discarded(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Written frames were truncated from the hour file and wait again."""
        stats = self._context.stats
        for frame in frames:
            frame.written = False
            stats.queue += 1
            if frame.place is not None:
                stats.spooled += 1
        event.frames.extendleft(reversed(frames))
        stats.frames -= len(frames)

    def undecodable(self, event: OngoingEvent, frames: Sequence[WaitingFrame]) -> None:
        """Ffmpeg makes nothing of some of the event's frames."""
        for frame in frames:
            event.frames.remove(frame)
            self.give_up(frame, "undecodable")

    def persist(self, frame: WaitingFrame) -> None:
        """Let the frame be acknowledged, and forget its picture."""
        if frame.jpeg is not None:
            self._context.stats.memory -= frame.size
            self._context.cameras[frame.event.camera].memory -= frame.size
            frame.jpeg = None
        frame.persisted = True
        if boot := self.boots.get((frame.event.camera, frame.event.boot)):
            while boot.pending and boot.pending[0].persisted:
                boot.pending.popleft()

    def give_up(self, frame: WaitingFrame, reason: str) -> None:
        """Count a frame as lost; it is acknowledged, so that the camera may sleep."""
        self._context.stats.drops[reason] += 1
        self._context.notify(FrameGivenUp(frame.event.camera, reason))
        frame.event.given_up += 1
        self._leaves_queue(frame)
        self.persist(frame)
        if frame.place is not None:
            frame.event.spooled -= 1

    def _leaves_queue(self, frame: WaitingFrame) -> None:
        self._context.stats.queue -= 1
        if frame.place is not None:
            self._context.stats.spooled -= 1
