"""Live video: joins the cameras' pictures, the recorder's encoders and those who watch."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from time import time
from typing import Final

from ..gateway import Camera, Frame
from ..gateway.jpeg import JpegError, check_jpeg
from ..live import LiveEncoder, LiveServer, LiveSource, Sources, StreamKeys, Viewer
from ..recording import Encoder, Recorder
from .pictures import LastPicture
from .plan import Plan
from .stores import NvrSettings

# Between repetitions of the last picture: players look at 20 pictures before they begin
STILL_S: Final = 0.25


class Live:
    """Sources of all cameras, the address on the loopback, and the keys of readers outside."""

    def __init__(
        self,
        settings: NvrSettings,
        *,
        camera: Callable[[str], Camera | None],
        last_picture: Callable[[str], LastPicture | None],
        plan: Callable[[], Plan],
        recorder: Callable[[], Recorder],
    ) -> None:
        """Prepare; what is asked for is asked when it is needed, as it changes."""
        self._settings = settings
        self._camera = camera
        self._last_picture = last_picture
        self._plan = plan
        self._recorder = recorder
        self.keys = StreamKeys(settings.stream_keys, settings.save)
        self.sources = Sources(
            frames=self._frames,
            make_encoder=self._make_encoder,
            free_encoders=self._free_encoders,
        )
        self._server = LiveServer(self._find)
        # Readers outside, by camera: they end with their key
        self._outside: dict[str, set[Viewer]] = {}

    async def async_start(self, undo: AsyncExitStack) -> None:
        """Serve the address on the loopback; raises OSError."""
        await self._server.start()
        undo.push_async_callback(self._server.stop)
        # First, so that nobody waits for the next picture
        undo.push_async_callback(self.sources.stop)

    def url(self, camera_id: str) -> str | None:
        """Return where this machine's programs find a camera's video."""
        return self._server.url(camera_id)

    def outside(self, camera_id: str) -> set[Viewer]:
        """Return who watches a camera from outside."""
        return self._outside.setdefault(camera_id, set())

    def new_key(self, camera_id: str) -> str:
        """Return a new key of a camera; who watches with the one before is ended."""
        self._end_outside(camera_id)
        return self.keys.new(camera_id)

    def revoke_key(self, camera_id: str) -> bool:
        """End who watches a camera from outside, for good; False where nobody could."""
        self._end_outside(camera_id)
        return self.keys.revoke(camera_id)

    async def async_new_key(self, camera_id: str) -> str:
        """Do as new_key(), and wait until it is on disk."""
        key = self.new_key(camera_id)
        await self._settings.async_save_now()
        return key

    async def async_revoke_key(self, camera_id: str) -> bool:
        """Do as revoke_key(), and wait until it is on disk: a crash brings no key back."""
        revoked = self.revoke_key(camera_id)
        await self._settings.async_save_now()
        return revoked

    def _end_outside(self, camera_id: str) -> None:
        for viewer in tuple(self._outside.pop(camera_id, ())):
            viewer.close(at_once=True)

    async def async_forget(self, camera_id: str) -> None:
        """End all that watches a camera that was removed."""
        self.revoke_key(camera_id)
        await self.sources.remove(camera_id)

    def _find(self, camera_id: str) -> LiveSource | None:
        return self.sources.get(camera_id) if self._camera(camera_id) else None

    async def _frames(self, camera_id: str) -> AsyncGenerator[Frame]:
        """Yield a camera's pictures, and while it is away the last one again and again: no player fails meanwhile."""
        while (camera := self._camera(camera_id)) is not None:
            async with aclosing(camera.frames()) as frames:
                async for frame in frames:
                    yield frame
            if camera.session is None and (still := self._still(camera_id)):
                yield still
            await asyncio.sleep(STILL_S)

    def _still(self, camera_id: str) -> Frame | None:
        if (picture := self._last_picture(camera_id)) is None:
            return None
        try:
            check = check_jpeg(picture.jpeg)
        except JpegError:
            return None
        return Frame(
            camera_id,
            *(0, 0, 0, 0, 0),
            int(time() * 1000),
            check.data,
            check.width,
            check.height,
            False,
            check.orientation,
        )

    def _make_encoder(self, width: int, height: int) -> LiveEncoder:
        """Return an encoder like the recorder's: its samples may follow each other."""
        settings = self._plan().recording
        encoder = Encoder(
            settings.ffmpeg,
            crf=settings.crf,
            preset=settings.preset,
            width=width,
            height=height,
        )
        encoder.is_prompt = True
        return encoder

    def _free_encoders(self) -> int:
        return self._plan().recording.max_encoders - self._recorder().stats.encoders
