"""Lens and motion sensor: what is seen, when it is captured, where an event begins and ends."""

import asyncio
from typing import TYPE_CHECKING

from .boot import Boot, Recording
from .outbox import NO_FLAGS, CapturedFrame, FrameFlag
from .sources import Shot

if TYPE_CHECKING:
    from .camera import VirtualCamera

MAX_JPEG = 512 * 1024
WARM_UP_FRAMES = 3
LIVE_FRAMES_WAITING = 2
# How often a camera without a link looks whether somebody moves
KEEP_LOOK_S = 0.1


class Sensor:
    """The camera's eyes; the motion sensor is awake even while the camera sleeps."""

    def __init__(self, camera: VirtualCamera) -> None:
        """See nothing yet."""
        self._camera = camera
        self._lock = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._pir_until = 0.0
        self._pir_edge = False
        self._ring_edge = False
        self._check_in_due = False

    @property
    def pir_active(self) -> bool:
        """Return whether the motion sensor's output is high."""
        return asyncio.get_running_loop().time() < self._pir_until

    def see(self, duration_s: float) -> None:
        """Let the motion sensor be on for a while."""
        loop = asyncio.get_running_loop()
        if not self.pir_active:
            self._pir_edge = True
        self._pir_until = max(self._pir_until, loop.time() + duration_s)
        self.wake()

    def clear(self) -> None:
        """Let the motion sensor be off: nobody is there any more."""
        self._pir_until = 0.0

    def ring(self) -> None:
        """Note that the doorbell was pressed."""
        self._ring_edge = True
        self.wake()

    def take_check_in(self) -> None:
        """Take one picture for the check-in that this wake is for."""
        self._check_in_due = True
        self.wake()

    def restart(self) -> None:
        """Take a motion sensor that is on for one that has just come on."""
        self._pir_edge = self.pir_active

    async def run(self, boot: Boot) -> None:
        """Capture while there is an event or somebody watches."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._follow_motion(boot)
            if boot.capturing and (boot.linked_once or self._camera.config["pre_roll"]):
                period = 1 / self._camera.config["framerate"]
                if boot.keeping and not boot.recording and boot.keep_s:
                    due_s = boot.captured_at + boot.keep_s - boot.clock()
                    period = min(period, KEEP_LOOK_S, max(due_s, 0))
                if boot.recording:
                    await self._capture_event_frame(boot, boot.recording, period)
                elif (
                    boot.live and boot.outbox.waiting_frames < LIVE_FRAMES_WAITING
                ) or self._keeps(boot):
                    await self.capture(boot)
                # A sensor that is late skips pictures; it does not catch up.
                due = max(due + period, loop.time())
                await asyncio.sleep(due - loop.time())
            else:
                self._wanted.clear()
                self._camera.update_state()
                boot.changed.set()
                await self._wanted.wait()
                due = loop.time()

    @staticmethod
    def _keeps(boot: Boot) -> bool:
        """Return whether a picture is due for who is not there."""
        return (
            boot.keep_s is not None
            and (boot.live or boot.keeping)
            and boot.clock() - boot.captured_at >= boot.keep_s
        )

    @property
    def motion_pending(self) -> bool:
        """Return whether the motion sensor has seen something that no event has begun for."""
        return self._pir_edge and self.pir_active

    def wake(self) -> None:
        """Let the sensor look at what is wanted of it."""
        self._wanted.set()

    def _follow_motion(self, boot: Boot) -> None:
        """Begin an event, or note in the running one that motion came or went."""
        t = boot.uptime_ms
        active = self.pir_active
        recording = boot.recording
        if self._check_in_due and recording is None and not boot.leaving:
            self._check_in_due = False
            self._begin(boot, t, "timer").single = True
            return
        if recording is not None and recording.single:
            return
        if self._ring_edge and not boot.leaving and self._camera.flash.registered:
            self._ring_edge = False
            if recording is None:
                recording = self._begin(boot, t, "ring")
                recording.active = active
            else:
                self._report_motion(boot, recording, t, "ring")
        if recording is None:
            if boot.leaving or not (
                self.motion_pending and self._camera.flash.registered
            ):
                return
            self._pir_edge = False
            recording = self._begin(boot, t, "pir")
        elif active != recording.active:
            recording.active = active
            self._pir_edge = False
            self._report_motion(boot, recording, t, "pir")
        if active:
            recording.end_t = None
        elif recording.end_t is None:
            tail = self._camera.options.tail_s
            tail = self._camera.config["stream_duration_s"] if tail is None else tail
            recording.end_t = t + int(tail * 1000)

    def _begin(self, boot: Boot, t: int, source: str) -> Recording:
        """Begin an event."""
        boot.events += 1
        self._camera.counters.events += 1
        boot.recording = recording = Recording(
            boot.events,
            t + self._camera.config["max_event_s"] * 1000,
            source=source,
        )
        self._report_motion(boot, recording, t, source)
        self._camera.emit("event_started", number=recording.event)
        self._camera.update_state()
        return recording

    @staticmethod
    def _report_motion(
        boot: Boot, recording: Recording, t: int, source: str | None = None
    ) -> None:
        """Queue a motion message."""
        message = {
            "type": "motion",
            "event": recording.event,
            "active": source == "ring" or recording.active,
            "t": t,
            "source": source or recording.source,
        }
        boot.outbox.add_control(lambda: message)

    async def _capture_event_frame(
        self, boot: Boot, recording: Recording, period: float
    ) -> None:
        """Capture for an event and end it when its time is over."""
        next_t = boot.uptime_ms + period * 1000
        if recording.single:
            # The sensor has warmed up before
            boot.sensor_frames = WARM_UP_FRAMES
        last = (
            recording.single
            or next_t > recording.limit_t
            or (recording.end_t is not None and next_t > recording.end_t)
        )
        recording.frames += 1
        await self.capture(
            boot, event=recording.event, flags=FrameFlag.LAST if last else NO_FLAGS
        )
        if last:
            self._end_event(boot, recording)

    def stop_event(self, boot: Boot) -> None:
        """End the running event at once: its owner has seen enough."""
        if recording := boot.recording:
            recording.active = False
            # An edge from now on begins another event
            self._pir_edge = False
            self._end_event(boot, recording)

    def _end_event(self, boot: Boot, recording: Recording) -> None:
        """Close the running event."""
        t = boot.uptime_ms
        if recording.active:
            # It has been high for as long as an event may last: it is not believed any more
            # until it has been low.
            recording.active = False
            self._report_motion(boot, recording, t)
            boot.outbox.add_control(
                lambda: {
                    "type": "log",
                    "level": "warning",
                    "message": "The motion sensor stays on.",
                }
            )
        event, frames, outbox = recording.event, recording.frames, boot.outbox
        outbox.add_control(
            lambda: {
                "type": "event_end",
                "event": event,
                "t": t,
                "frames": frames,
                "lost": outbox.lost[event],
            }
        )
        boot.recording = None
        boot.progress()
        self._camera.emit("event_ended", number=event, frames=frames)
        self._camera.update_state()

    async def capture(
        self, boot: Boot, *, event: int = 0, flags: FrameFlag = NO_FLAGS
    ) -> CapturedFrame | None:
        """Take one picture and queue it; None when it is more than a gateway takes."""
        async with self._lock:
            boot.seq += 1
            t = boot.uptime_ms
            shot = Shot(self._camera.id, boot.seq, self._camera.config)
            jpeg = await self._camera.source.frame(shot)
            boot.sensor_frames += 1
            if boot.sensor_frames <= WARM_UP_FRAMES and FrameFlag.STILL not in flags:
                flags |= FrameFlag.WARMING_UP
            if not boot.linked_once or (not event and boot.keeping):
                flags |= FrameFlag.PRE_ROLL
            if boot.first_frame_ms is None:
                boot.first_frame_ms = t
            boot.captured_at = boot.clock()
            self._camera.counters.captured += 1
            frame = CapturedFrame(event, boot.seq, flags, t, jpeg)
            if len(jpeg) > MAX_JPEG:
                boot.outbox.lose(frame.seq, event)
                return None
            boot.outbox.add_frame(frame)
            return frame
