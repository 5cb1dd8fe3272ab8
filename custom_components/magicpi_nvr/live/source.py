"""A camera's H.264 for all who watch: the recording's samples while there are some, else those of an encoder of its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
import logging
from time import time
from typing import Final, Protocol

from .encoding import ConfigPacket, LiveEncoder, MakeEncoder, SamplePacket
from .mpegts import BadSample, Configuration, Unit, unit
from .viewer import Viewer

_LOGGER = logging.getLogger(__name__)

# After the last viewer left, for one who comes back
LINGER_S: Final = 10.0
# Before another try when an encoder failed, was refused, or the camera is away
RETRY_S: Final = 1.0
# The recording of what waited for an encoder is not live
LATE_MS: Final = 10_000
# After a recording's encoder ended, another may follow: of the next piece, or of the same event
TAP_GAP_S: Final = 1.5
# What came since the last key frame, for viewers who come
MAX_GROUP_BYTES: Final = 4 * 1024 * 1024
MAX_GROUP: Final = 300
MAX_VIEWERS: Final = 32  # of one camera
_FIRST_MS: Final = 1000
# A picture that is older than the last one follows it at once
_STEP_MS: Final = 1


class LiveFrame(Protocol):
    """A picture of a camera."""

    @property
    def captured_ms(self) -> int:
        """Wall time of capture, UTC epoch ms."""

    @property
    def jpeg(self) -> bytes:
        """The picture."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def orientation(self) -> int:
        """Degrees clockwise by which a viewer turns it."""


class TooManyViewers(Exception):
    """The camera has as many viewers as it may have."""


class LiveSource:
    """One camera. All methods are called in the event loop; none of them blocks or raises, unless it is said."""

    def __init__(
        self,
        frames: Callable[[], AsyncGenerator[LiveFrame]],
        sources: Sources,
    ) -> None:
        """Begin nothing before the first viewer. `frames` holds the camera's stream while it is read."""
        self._frames = frames
        self._sources = sources
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._avcc: bytes | None = None
        self._configuration: Configuration | None = None
        self._group: list[Unit] = []
        self._group_bytes = 0
        self._tapped = False
        self._tap_live = False
        self._tap_late = False
        self._tap_awaited_until = 0.0
        self._unsent: list[tuple[int, bytes, bool]] = []
        self._unsent_bytes = 0
        self._stopped = False
        self._encoding: _Encoding | None = None
        self._offset_ms: int | None = None
        self._last_ms = 0
        # Of the loop's time, 0 = no sample yet
        self._last_at = 0.0

    @property
    def _uses_tap(self) -> bool:
        """Whether the recording's samples come, or will soon."""
        if self._tapped:
            return not self._tap_late
        return asyncio.get_running_loop().time() < self._tap_awaited_until

    # Viewers

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches, or did a moment ago."""
        return self._task is not None

    @property
    def has_encoder(self) -> bool:
        """Whether an encoder of its own runs."""
        return self._encoding is not None

    def open(self) -> Viewer:
        """Return a viewer, who begins with the last key frame; raises TooManyViewers."""
        if len(self._viewers) >= MAX_VIEWERS:
            raise TooManyViewers
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._task is None:
            self._start()
        viewer = Viewer()
        viewer.add_all(self._group)
        self._viewers.add(viewer)
        return viewer

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="live source")
        if self._tapped and self._avcc is not None:
            # What the recording has made since its last key frame
            self._configure(self._avcc)
            unsent, self._unsent = self._unsent, []
            for at_ms, data, key in unsent:
                self._tap_live = True
                self._add(at_ms, data, key)

    def release(self, viewer: Viewer) -> None:
        """Forget a viewer who left; with the last one the source ends after a while."""
        viewer.close()
        self._viewers.discard(viewer)
        if self._stopped or self._viewers or self._task is None:
            return
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(
                LINGER_S, self._task.cancel
            )

    def end_viewers(self) -> None:
        """End all that watch; they may come again."""
        for viewer in tuple(self._viewers):
            viewer.close()

    async def stop(self) -> None:
        """End viewers and encoder."""
        self._stopped = True
        self.end_viewers()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # Samples of the recording

    def tap_began(self, avcc: bytes) -> None:
        """A recording's encoder gave its configuration."""
        self.tap_ended()
        self._tapped = True
        if self.is_watched:
            self._configure(avcc)
        else:
            self._avcc = avcc

    def tap_sample(self, at_ms: int, data: bytes, key: bool) -> None:
        """A sample is about to be recorded; `at_ms`: UTC epoch ms."""
        if not self._tap_live:
            if not key or not self._tapped:
                return
            self._tap_late = time() * 1000 - at_ms > LATE_MS
            if self._tap_late:
                return
        if not self.is_watched:
            self._keep_unsent(at_ms, data, key)
            return
        if not self._tap_live:
            # From here on nobody needs another encoder
            self._tap_live = True
            if self._encoding is not None:
                self._encoding.cancel()
        self._add(at_ms, data, key)

    def _keep_unsent(self, at_ms: int, data: bytes, key: bool) -> None:
        """Keep what a viewer who comes can begin with."""
        self._tap_live = True
        if key:
            self._unsent.clear()
            self._unsent_bytes = 0
        self._unsent.append((at_ms, data, key))
        self._unsent_bytes += len(data)
        if len(self._unsent) > MAX_GROUP or self._unsent_bytes > MAX_GROUP_BYTES:
            self._unsent.clear()
            self._tap_live = False

    def tap_ended(self) -> None:
        """The recording's encoder ended."""
        if self._tap_live:
            self._tap_awaited_until = asyncio.get_running_loop().time() + TAP_GAP_S
        self._tapped = self._tap_live = self._tap_late = False
        self._unsent.clear()
        self._unsent_bytes = 0

    # The own encoder

    async def _run(self) -> None:
        """Hold the camera's stream while somebody watches, and encode what the recording does not."""
        try:
            while True:
                await self._follow_camera()
                await asyncio.sleep(RETRY_S)
        finally:
            if self._encoding is not None:
                await self._encoding.stop()
                self._encoding = None
            self._task = self._linger = None
            self._tap_live = False
            self._clear()
            if self._viewers and not self._stopped:
                # One came while this ended
                self._start()

    async def _follow_camera(self) -> None:
        """Follow the camera until it leaves."""
        retry_at = 0.0
        loop = asyncio.get_running_loop()
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                encoding = self._encoding
                if encoding is not None and (
                    self._tap_live
                    or encoding.is_over
                    or encoding.shape != _shape(frame)
                    or not self._sources.may_encode(is_running=True)
                ):
                    if encoding.is_over and not self._tap_live:
                        retry_at = loop.time() + RETRY_S
                    await encoding.stop()
                    self._encoding = encoding = None
                if self._uses_tap or loop.time() < retry_at:
                    continue
                if encoding is None:
                    if not self._sources.may_encode():
                        continue
                    encoding = self._encoding = _Encoding(
                        self, self._sources.make_encoder, frame
                    )
                encoding.offer(frame)
        if self._encoding is not None:
            await self._encoding.stop()
            self._encoding = None

    def encoded(self, at_ms: int, data: bytes, key: bool) -> None:
        """The own encoder gave a sample."""
        if not self._tap_live:
            self._add(at_ms, data, key)

    def configured(self, avcc: bytes) -> None:
        """The own encoder gave its configuration."""
        if not self._tap_live:
            self._configure(avcc)

    # What viewers get

    def _configure(self, avcc: bytes) -> None:
        """Take a configuration; viewers of another one end, and come again."""
        if avcc == self._avcc and self._configuration is not None:
            return
        if self._configuration is not None:
            self.end_viewers()
        self._clear()
        self._avcc = avcc
        try:
            self._configuration = Configuration.parse(avcc)
        except BadSample as err:
            _LOGGER.debug("No live video: %s", err)

    def _add(self, at_ms: int, data: bytes, key: bool) -> None:
        if self._configuration is None:
            return
        if self._offset_ms is None:
            self._offset_ms = _FIRST_MS - at_ms
        ms = at_ms + self._offset_ms
        now = asyncio.get_running_loop().time()
        expected_ms = self._last_ms + int((now - self._last_at) * 1000)
        if self._last_at and ms - expected_ms > LATE_MS:
            # The clock was set ahead
            self._offset_ms -= ms - expected_ms
            ms = expected_ms
        self._last_at = now
        if ms <= self._last_ms:
            if self._last_ms - ms > LATE_MS:
                # The clock was set back: the stream goes on
                self._offset_ms += self._last_ms - ms + _STEP_MS
            ms = self._last_ms + _STEP_MS
        self._last_ms = ms
        try:
            new = unit(self._configuration, data, ms=ms, key=key)
        except BadSample as err:
            _LOGGER.debug("A sample is not sent: %s", err)
            return
        if key:
            self._drop_group()
        if key or self._group:
            self._group.append(new)
            self._group_bytes += new.size
            if len(self._group) > MAX_GROUP or self._group_bytes > MAX_GROUP_BYTES:
                self._drop_group()
        for viewer in self._viewers:
            viewer.add(new)

    def _drop_group(self) -> None:
        self._group.clear()
        self._group_bytes = 0

    def _clear(self) -> None:
        self._drop_group()
        self._configuration = None
        self._offset_ms = None
        self._last_ms = 0
        self._last_at = 0.0


def _shape(frame: LiveFrame) -> tuple[int, int, int]:
    """Return what an encoder cannot change while it runs."""
    return frame.width, frame.height, frame.orientation


class _Encoding:
    """One run of an own encoder, for pictures of one size."""

    def __init__(
        self, source: LiveSource, make_encoder: MakeEncoder, first: LiveFrame
    ) -> None:
        """Start with a picture's size."""
        self.shape = _shape(first)
        self._source = source
        self._encoder: LiveEncoder = make_encoder(first.width, first.height)
        self._newest: LiveFrame | None = None
        self._came = asyncio.Event()
        self._start_ms = first.captured_ms
        self._stopping: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._run(), name="live encoder")

    @property
    def is_over(self) -> bool:
        """Whether it failed, or was cancelled."""
        return self._task.done()

    def offer(self, frame: LiveFrame) -> None:
        """Have a picture encoded, unless a newer one comes before the encoder is ready."""
        self._newest = frame
        self._came.set()

    def cancel(self) -> None:
        """End soon."""
        self._task.cancel()

    async def stop(self) -> None:
        """End the encoder and wait for it."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._stopping is not None:
            await self._stopping

    async def _run(self) -> None:
        try:
            await self._encoder.start()
            feed = asyncio.create_task(self._feed())
            try:
                async for packet in self._encoder.packets():
                    self._take(packet)
            finally:
                feed.cancel()
                await asyncio.gather(feed, return_exceptions=True)
        except asyncio.CancelledError:
            raise
        except Exception as err:  # noqa: BLE001 - an encoder's own; the source tries again
            _LOGGER.debug("Live encoder: %s", err)
        finally:
            # Cancelled once more, it still ends: stop() waits for it
            self._stopping = asyncio.ensure_future(self._encoder.stop())
            await asyncio.shield(self._stopping)

    def _take(self, packet: ConfigPacket | SamplePacket) -> None:
        if (avcc := getattr(packet, "avcc", None)) is not None:
            self._source.configured(avcc)
        else:
            at_ms: int = packet.at_ms  # type: ignore[union-attr]
            self._source.encoded(
                self._start_ms + at_ms,
                packet.data,  # type: ignore[union-attr]
                packet.sync,  # type: ignore[union-attr]
            )

    async def _feed(self) -> None:
        loop = asyncio.get_running_loop()
        last_ms, captured_ms, at = -1, self._start_ms, loop.time()
        while True:
            await self._came.wait()
            self._came.clear()
            if (frame := self._newest) is None:
                continue
            self._newest = None
            passed_ms = frame.captured_ms - captured_ms
            elapsed_ms = int((loop.time() - at) * 1000)
            if abs(passed_ms - elapsed_ms) > LATE_MS:
                # The host's clock was set, either way: the stream goes on in its own time
                passed_ms = elapsed_ms
            last_ms = max(last_ms + 1, last_ms + passed_ms)
            captured_ms, at = frame.captured_ms, loop.time()
            await self._encoder.write([(last_ms, frame.jpeg)])


class Sources:
    """The sources of all cameras, and who may have an encoder."""

    def __init__(
        self,
        *,
        frames: Callable[[str], AsyncGenerator[LiveFrame]],
        make_encoder: MakeEncoder,
        free_encoders: Callable[[], int],
    ) -> None:
        """`frames`: of a camera, and holds its stream while read; `free_encoders`: how many the recording leaves."""
        self.make_encoder = make_encoder
        self._frames = frames
        self._free_encoders = free_encoders
        self._sources: dict[str, LiveSource] = {}

    def get(self, camera_id: str) -> LiveSource:
        """Return a camera's source; made with the first call."""
        if (source := self._sources.get(camera_id)) is None:
            source = self._sources[camera_id] = LiveSource(
                lambda: self._frames(camera_id), self
            )
        return source

    async def remove(self, camera_id: str) -> None:
        """End a camera's source."""
        if source := self._sources.pop(camera_id, None):
            await source.stop()

    @property
    def encoders(self) -> int:
        """Own encoders that run."""
        return sum(source.has_encoder for source in self._sources.values())

    @property
    def viewers(self) -> int:
        """How many watch any camera."""
        return sum(source.viewers for source in self._sources.values())

    def may_encode(self, *, is_running: bool = False) -> bool:
        """Whether one that runs may go on, or one more may start: the recording comes first."""
        return self.encoders + (not is_running) <= self._free_encoders()

    async def stop(self) -> None:
        """End all."""
        sources, self._sources = self._sources, {}
        await asyncio.gather(*(source.stop() for source in sources.values()))

    # What the recorder calls

    def is_watched(self, camera_id: str) -> bool:
        """Whether samples of a camera should come soon."""
        return (source := self._sources.get(camera_id)) is not None and (
            source.is_watched
        )

    def began(self, camera_id: str, avcc: bytes) -> None:
        """A camera's recording has its configuration."""
        self.get(camera_id).tap_began(avcc)

    def sample(self, camera_id: str, at_ms: int, data: bytes, key: bool) -> None:
        """A sample is about to be recorded."""
        self.get(camera_id).tap_sample(at_ms, data, key)

    def ended(self, camera_id: str) -> None:
        """A camera's recording ended its encoder."""
        self.get(camera_id).tap_ended()
