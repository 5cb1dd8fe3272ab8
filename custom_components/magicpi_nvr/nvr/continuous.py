"""Continuous recording of cameras that are always on: frames between events, in pieces of five minutes."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from copy import replace
from dataclasses import dataclass
from typing import Final

from homeassistant.core import HomeAssistant, callback

from ..gateway import Camera, Frame
from ..recording import Recorder

# An event's number has 32 bits. Cameras use 16, people's recordings begin with the second, without the highest bit.
FIRST_PIECE: Final = 1 << 31
PIECE_MS: Final = 5 * 60 * 1000
# Between events; a little less than a second, so that two pictures a second give one
INTERVAL_MS: Final = 950
RETRY_S: Final = 0.2


@dataclass(slots=True)
class Piece:
    """The piece that a camera's frames go to."""

    boot: int
    slot: int  # of PIECE_MS of the wall clock
    event: int
    t: int  # of the last frame that was taken


class ContinuousRecordings:
    """Makes frames without an event part of a piece, and holds the streams of cameras that are recorded so."""

    def __init__(
        self,
        hass: HomeAssistant,
        *,
        recorder: Callable[[], Recorder],
        is_wanted: Callable[[Camera], bool],
        is_watched: Callable[[str], bool],
    ) -> None:
        """Begin without any."""
        self._hass = hass
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
            self._holders[camera.id] = self._hass.async_create_background_task(
                self._hold(camera), f"magicpi_nvr continuous {camera.id}"
            )

    async def _hold(self, camera: Camera) -> None:
        """Keep the camera sending: frames come to `take` by themselves."""
        try:
            while camera.session is not None and self._is_wanted(camera):
                async with aclosing(camera.frames()) as frames:
                    async for _ in frames:
                        if not self._is_wanted(camera):
                            return
                # The session is there a little before its frames are
                await asyncio.sleep(RETRY_S)
        finally:
            self._holders.pop(camera.id, None)
            self.end_piece(camera.id)

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
        if piece is None or piece.boot != frame.boot or piece.slot != slot:
            self.end_piece(camera.id)
            # Once each, also where the clock was set back
            event = max(
                FIRST_PIECE + frame.captured_ms // 1000,
                self._last_events.get(camera.id, 0) + 1,
            )
            self._last_events[camera.id] = event
            piece = self._pieces[camera.id] = Piece(
                frame.boot, slot, event, frame.t - INTERVAL_MS
            )
        if frame.t - piece.t < INTERVAL_MS and not self._is_watched(camera.id):
            self.thinned[camera.id] += 1
            return None
        piece.t = max(piece.t, frame.t)
        return replace(frame, event=piece.event)

    @callback
    def end_piece(self, camera_id: str) -> None:
        """End the present piece: an event begins, five minutes are over, or the camera left."""
        if piece := self._pieces.pop(camera_id, None):
            self._recorder().end_event(camera_id, piece.boot, piece.event)
