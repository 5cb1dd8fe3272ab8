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
from ..recording import PIECE_MS, REASON_CONTINUOUS, Recorder

# An event's number has 32 bits. Cameras use 16, people's recordings begin with the second, without the highest bit.
FIRST_PIECE: Final = 1 << 31
# A recorder forgets finished events when there are many: a piece that motion interrupts more often gives way to another
MAX_PAUSES: Final = 8
# Between pictures that are recorded, as far as the camera sends any
MAX_GAP_MS: Final = 1000
RETRY_S: Final = 0.2


@dataclass(slots=True)
class Piece:
    """The piece that a camera's frames go to."""

    boot: int
    slot: int  # of PIECE_MS of the wall clock
    event: int
    # Of the last frame that was recorded; the first one has none before it
    t: int | None = None
    seq: int = 0
    # The newest frame since then: recorded if the one after it comes too late
    held: Frame | None = None
    timer: asyncio.TimerHandle | None = None
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
        for camera_id in self._pieces:
            self.pause_piece(camera_id)

    @callback
    def take(self, camera: Camera, frame: Frame) -> bool:
        """Take a frame without an event; False refuses it for good.

        Of each second the last frame is recorded. Which one that is shows only when the next one
        comes, so the newest is held until then.
        """
        if not self._is_wanted(camera):
            self.end_piece(camera.id)
            return False
        piece = self._piece_of(frame)
        if piece.t is not None and frame.t <= (piece.held.t if piece.held else piece.t):
            self.thinned[camera.id] += 1
            return False
        if (
            piece.t is None
            or piece.is_paused
            # What the camera kept while it had no connection is one a second already
            or frame.flags & FLAG_PRE_ROLL
            or self._is_watched(camera.id)
        ):
            self._record_held(piece)
            return self._record(piece, frame)
        if frame.t - piece.t > MAX_GAP_MS:
            self._record_held(piece)
            if frame.t - piece.t > MAX_GAP_MS:
                return self._record(piece, frame)
        if piece.held is not None:
            self.thinned[camera.id] += 1
        if piece.timer is not None:
            piece.timer.cancel()
        piece.held = frame
        piece.timer = asyncio.get_running_loop().call_later(
            MAX_GAP_MS / 1000, self._record_held, piece
        )
        return True

    def _piece_of(self, frame: Frame) -> Piece:
        """Return the piece that a frame belongs to; another one begins where the present one is over."""
        slot = frame.captured_ms // PIECE_MS
        piece = self._pieces.get(frame.camera)
        if (
            piece is None
            or piece.boot != frame.boot
            or piece.slot != slot
            or piece.pauses > MAX_PAUSES
        ):
            self.end_piece(frame.camera)
            # Once each, also where the clock was set back
            event = max(
                # By a clock far ahead the seconds alone would fill it
                FIRST_PIECE + frame.captured_ms // 1000 % FIRST_PIECE,
                self._last_events.get(frame.camera, 0) + 1,
            )
            self._last_events[frame.camera] = event
            piece = self._pieces[frame.camera] = Piece(frame.boot, slot, event)
        return piece

    def _record(self, piece: Piece, frame: Frame) -> bool:
        piece.t, piece.seq = frame.t, frame.seq
        piece.is_paused = False
        return self._recorder().add_frame(
            replace(frame, event=piece.event), reason=REASON_CONTINUOUS
        )

    @callback
    def _record_held(self, piece: Piece) -> None:
        if piece.timer is not None:
            piece.timer.cancel()
            piece.timer = None
        if (frame := piece.held) is not None:
            piece.held = None
            self._record(piece, frame)

    def persisted(self, camera_id: str, boot: int) -> int:
        """Return the highest seq that a camera may forget: the recorder's answer, but never of a frame that is held."""
        persisted = self._recorder().persisted(camera_id, boot)
        piece = self._pieces.get(camera_id)
        if piece is None or piece.boot != boot or piece.held is None:
            return persisted
        # Where the recorder has all, what was thinned out since then need not be kept
        before = piece.held.seq - 1
        return before if persisted >= piece.seq else min(persisted, before)

    @callback
    def pause_piece(self, camera_id: str) -> None:
        """Leave the encoder to an event, or the camera left: the piece goes on with its next frame."""
        if (piece := self._pieces.get(camera_id)) and not piece.is_paused:
            self._record_held(piece)
            # The picture after an event is recorded, however soon it comes
            piece.is_paused = True
            piece.pauses += 1
            self._recorder().end_event(camera_id, piece.boot, piece.event)

    @callback
    def end_piece(self, camera_id: str) -> None:
        """End the present piece for good: five minutes are over, or it is not wanted any more."""
        self.pause_piece(camera_id)
        self._pieces.pop(camera_id, None)
