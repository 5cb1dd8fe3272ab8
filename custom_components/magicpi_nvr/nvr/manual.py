"""Recordings that a person asks for."""

import asyncio
from contextlib import suppress
from copy import replace
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from homeassistant.core import callback
from homeassistant.util import dt as dt_util

from ..gateway import Camera, CameraAsleep, CommandFailed, Frame
from ..recording import Event, Recorder, event_id
from .changes import Changes, EventChange

CLIP_TIMEOUT: Final = 60.0
# A manual recording's frames carry no event on the wire, where the number has
# sixteen bits, so a number above cannot meet one of the camera's own
FIRST_MANUAL_EVENT: Final = 1 << 16


class AlreadyRecording(Exception):
    """A person's recording of this camera runs already."""


@dataclass(slots=True)
class ManualRecording:
    """A recording that runs: its event's number, and the events whose frames came."""

    event: int
    events: set[int] = field(default_factory=set)


class ManualRecordings:
    """The recordings that run, by camera."""

    def __init__(self, changes: Changes) -> None:
        """Begin without any."""
        self._changes = changes
        self._running: dict[str, ManualRecording] = {}

    def is_running(self, camera_id: str) -> bool:
        """Say whether a person records this camera now."""
        return camera_id in self._running

    def take(self, frame: Frame) -> Frame | None:
        """Return a frame as one of the recording that runs, None where none does."""
        if (manual := self._running.get(frame.camera)) is None:
            return None
        if not frame.event:
            frame = replace(frame, event=manual.event)
        manual.events.add(frame.event)
        return frame

    async def async_record(
        self, camera: Camera, duration: float, recorder: Recorder
    ) -> Event:
        """Record an awake camera for `duration` seconds; returns the event once its clip is ready.

        While motion is recorded too, the pictures belong to the motion's event, and that is returned.
        Raises CameraAsleep, CommandFailed, AlreadyRecording, or TimeoutError when there is no clip.
        """
        if camera.session is None or camera.hello is None:
            raise CameraAsleep
        if camera.id in self._running:
            raise AlreadyRecording
        boot = camera.hello.boot
        number = FIRST_MANUAL_EVENT + int(dt_util.utcnow().timestamp())
        manual = self._running[camera.id] = ManualRecording(number)
        ready: asyncio.Queue[Event] = asyncio.Queue(16)

        @callback
        def clip_ready(change: EventChange, event: Event) -> None:
            if change is EventChange.READY and event.camera == camera.id:
                with suppress(asyncio.QueueFull):
                    ready.put_nowait(event)

        unsubscribe = self._changes.subscribe_events(clip_ready)
        try:
            try:
                await camera.command("stream_start", {"duration_s": ceil(duration)})
                await asyncio.sleep(duration)
            finally:
                del self._running[camera.id]
                recorder.end_event(camera.id, boot, number)
                if not camera.motion:
                    with suppress(CameraAsleep, CommandFailed):
                        await camera.command("stream_stop")
            wanted = {
                event_id(camera.id, boot, item)
                for item in ({number} if number in manual.events else manual.events)
            }
            async with asyncio.timeout(CLIP_TIMEOUT):
                while (event := await ready.get()).id not in wanted:
                    pass
            return event
        finally:
            unsubscribe()
