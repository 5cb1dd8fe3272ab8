"""A camera without a gateway: its pictures, and the H.264 they become."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from io import BytesIO
from time import time

from PIL import Image

from custom_components.magicpi_nvr.recording.capture.encoder import (
    Config,
    Encoded,
    Encoder,
)

FFMPEG = "ffmpeg"


def make_encoder(width: int, height: int) -> Encoder:
    """Return the recorder's encoder."""
    return Encoder(FFMPEG, crf=28, preset="superfast", width=width, height=height)


def picture(number: int, width: int = 320, height: int = 240) -> bytes:
    """Return a JPEG whose gray tells its number."""
    buffer = BytesIO()
    Image.new("L", (width, height), 16 + number * 8 % 224).convert("RGB").save(
        buffer, "JPEG"
    )
    return buffer.getvalue()


@dataclass(frozen=True)
class Picture:
    """A frame as the gateway hands it out."""

    captured_ms: int
    jpeg: bytes
    width: int = 320
    height: int = 240
    orientation: int = 0


class CameraFeed:
    """A camera that shows a picture when the test does; counts who holds its stream."""

    def __init__(self) -> None:
        """Show nothing."""
        self.held = 0
        self.is_there = True
        self._newest: Picture | None = None
        self._changed = asyncio.Condition()

    async def frames(self) -> AsyncGenerator[Picture]:
        """Yield the newest picture again and again."""
        if not self.is_there:
            return
        self.held += 1
        shown = None
        try:
            while self.is_there:
                async with self._changed:
                    await self._changed.wait_for(
                        lambda shown=shown: (
                            self._newest is not shown or not self.is_there
                        )
                    )
                    shown = self._newest
                if shown is not None:
                    yield shown
        finally:
            self.held -= 1

    async def show(self, frame: Picture) -> None:
        """Show a picture."""
        async with self._changed:
            self._newest = frame
            self._changed.notify_all()

    async def leave(self) -> None:
        """Go away."""
        async with self._changed:
            self.is_there = False
            self._changed.notify_all()

    async def play(self, first: int = 0, *, interval_s: float = 0.1) -> None:
        """Show pictures until cancelled."""
        number = first
        while True:
            await self.show(Picture(int(time() * 1000), picture(number)))
            number += 1
            await asyncio.sleep(interval_s)


async def encode(
    count: int, *, interval_ms: int = 200, width: int = 320, height: int = 240
) -> tuple[bytes, list[Encoded]]:
    """Return the configuration and the samples of so many pictures."""
    encoder = make_encoder(width, height)
    await encoder.start()
    try:
        for number in range(count):
            await encoder.write(
                [(number * interval_ms, picture(number, width, height))]
            )
        encoder.close_input()
        avcc, samples = b"", []
        async for packet in encoder.packets():
            if isinstance(packet, Config):
                avcc = packet.avcc
            else:
                samples.append(packet)
        return avcc, samples
    finally:
        await encoder.stop()
