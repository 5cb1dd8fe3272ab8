"""Continuous recording of cameras that are always on: frames between events, in pieces of five minutes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from copy import replace
from dataclasses import dataclass
from typing import Final

from homeassistant.core import callback

from ..gateway import FLAG_PRE_ROLL, Camera, Frame
from ..recording import PIECE_MS, Recorder

# An event's number has 32 bits. Cameras use 16, people's recordings begin with the second, without the highest bit.
FIRST_PIECE: Final = 1 << 31
# A recorder forgets finished events when there are many: a piece that motion interrupts more often gives way to another
MAX_PAUSES: Final = 8
# Between events; less than a second, so that the picture after it comes within one
INTERVAL_MS: Final = 850
RETRY_S: Final = 0.2


@dataclass(slots=True)
class Piece:
    """The piece that a camera's frames go to."""

    boot: int
    slot: int  # of PIECE_MS of the wall clock
    event: int
    t: int  # of the last frame that was taken
    pauses: int = 0
    is_paused: bool = False


class ContinuousRecordings:
    """Makes frames without an event part of a piece, and holds the streams of cameras that are recorded so."""

    def __init__(
        self,
        *,
        recorder: Callable[[], Recorder],
        is_wanted: Callable[[Camera], bool],
        is_watched: Callable[[str], bool],
    ) -> None:
        """Begin without any."""
        self._recorder = recorder
        self._is_wanted = is_wanted
        self._is_watched = is_watched
        self._pieces: dict[str, Piece] = {}
        self._last_events: dict[str, int] = {}
        self._holders: dict[str, asyncio.Task[None]] = {}
        # Pictures between events that were not recorded, by camera
        self.thinned: Counter[str] = Counter()

    @callback
    def follow(self, camera: Camera) -> None:
        """Hold a camera's stream if it is wanted and connected."""
        if (
            camera.id not in self._holders
            and camera.session is not None
            and self._is_wanted(camera)
        ):
            # Home Assistant cancels its background tasks before it stops: the camera would
            # hear that nobody wants its pictures, and keep none until the next start
            self._holders[camera.id] = asyncio.create_task(
                self._hold(camera), name=f"continuous {camera.id}"
            )

    async def _hold(self, camera: Camera) -> None:
        """Keep the camera sending: frames come to `take` by themselves."""
        try:
            while camera.session is not None and self._is_wanted(camera):
                async with aclosing(camera.frames(keep=True)) as frames:
                    async for _ in frames:
                        if not self._is_wanted(camera):
                            return
                # The session is there a little before its frames are
                await asyncio.sleep(RETRY_S)
        finally:
            self._holders.pop(camera.id, None)
            self.pause_piece(camera.id)

    async def stop(self) -> None:
        """Hold no stream any more."""
        tasks = list(self._holders.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @callback
    def take(self, camera: Camera, frame: Frame) -> Frame | None:
        """Return a frame without an event as one of the present piece, None where it is not recorded."""
        if not self._is_wanted(camera):
            self.end_piece(camera.id)
            return None
        slot = frame.captured_ms // PIECE_MS
        piece = self._pieces.get(camera.id)
        if (
            piece is None
            or piece.boot != frame.boot
            or piece.slot != slot
            or piece.pauses > MAX_PAUSES
        ):
            self.end_piece(camera.id)
            # Once each, also where the clock was set back
            event = max(
                # By a clock far ahead the seconds alone would fill it
                FIRST_PIECE + frame.captured_ms // 1000 % FIRST_PIECE,
                self._last_events.get(camera.id, 0) + 1,
            )
            self._last_events[camera.id] = event
            piece = self._pieces[camera.id] = Piece(
                frame.boot, slot, event, frame.t - INTERVAL_MS
            )
        if (
            frame.t - piece.t < INTERVAL_MS
            # What the camera kept while it had no connection is one a second already
            and not frame.flags & FLAG_PRE_ROLL
            and not self._is_watched(camera.id)
        ):
            self.thinned[camera.id] += 1
            return None
        piece.t = max(piece.t, frame.t)
        piece.is_paused = False
        return replace(frame, event=piece.event)

    @callback
    def pause_piece(self, camera_id: str) -> None:
        """Leave the encoder to an event, or the camera left: the piece goes on with its next frame."""
        if (piece := self._pieces.get(camera_id)) and not piece.is_paused:
            piece.is_paused = True
            piece.pauses += 1
            # The picture after an event is recorded, however soon it comes
            piece.t -= INTERVAL_MS
            self._recorder().end_event(camera_id, piece.boot, piece.event)

    @callback
    def end_piece(self, camera_id: str) -> None:
        """End the present piece for good: five minutes are over, or it is not wanted any more."""
        self.pause_piece(camera_id)
        self._pieces.pop(camera_id, None)
