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
# After these an event has its clip, or never will have one
ENDS: Final = (EventChange.READY, EventChange.DELETED)
# A manual recording's frames carry no event on the wire, where the number has
# sixteen bits, so a number above cannot meet one of the camera's own
FIRST_MANUAL_EVENT: Final = 1 << 16


class AlreadyRecording(Exception):
    """A person's recording of this camera runs already."""


class NoPicture(Exception):
    """No clip came of a person's recording."""


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
        self._last_number = 0

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

    async def _stream_sleeper(self, camera: Camera, duration: float) -> None:
        """Have a battery camera send pictures for so long: who only watches it does not hold it."""
        try:
            await camera.command("stream_start", {"duration_s": ceil(duration)})
            await asyncio.sleep(duration)
        finally:
            if not camera.motion:
                with suppress(CameraAsleep, CommandFailed):
                    await camera.command("stream_stop")

    async def async_record(
        self, camera: Camera, duration: float, recorder: Recorder
    ) -> Event:
        """Record an awake camera for `duration` seconds; returns the event once its clip is ready.

        While motion is recorded too, the pictures belong to the motion's event, and that is returned.
        Raises CameraAsleep, CommandFailed, AlreadyRecording, or NoPicture.
        """
        if camera.session is None or camera.hello is None:
            raise CameraAsleep
        if camera.id in self._running:
            raise AlreadyRecording
        boot = camera.hello.boot
        # The clock may have been set back since the last one
        number = self._last_number = max(
            FIRST_MANUAL_EVENT + int(dt_util.utcnow().timestamp()),
            self._last_number + 1,
        )
        manual = self._running[camera.id] = ManualRecording(number)
        ended: asyncio.Queue[tuple[EventChange, Event]] = asyncio.Queue(16)

        @callback
        def note(change: EventChange, event: Event) -> None:
            if change in ENDS and event.camera == camera.id:
                with suppress(asyncio.QueueFull):
                    ended.put_nowait((change, event))

        unsubscribe = self._changes.subscribe_events(note)
        try:
            try:
                if camera.sleeps:
                    await self._stream_sleeper(camera, duration)
                else:
                    with camera.hold_stream():
                        # It may refuse
                        await camera.command("stream_start", camera.stream_args)
                        await asyncio.sleep(duration)
            finally:
                del self._running[camera.id]
                recorder.end_event(camera.id, boot, number)
            wanted = {
                event_id(camera.id, boot, item)
                for item in ({number} if number in manual.events else manual.events)
            }
            async with asyncio.timeout(CLIP_TIMEOUT):
                # Without a picture there will be no clip, however long one waits
                while wanted:
                    change, event = await ended.get()
                    if event.id in wanted and change is EventChange.READY:
                        return event
                    wanted.discard(event.id)
            raise NoPicture
        except TimeoutError as err:
            raise NoPicture from err
        finally:
            unsubscribe()
