"""One ffmpeg child: JPEGs with capture times in, H.264 samples with the same times out."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
import fcntl
import logging
import os
from pathlib import Path
import signal
import struct
from time import monotonic

_LOGGER = logging.getLogger(__name__)

# The child must show progress within this time, whether it starts, encodes or ends.
STALL_S = 15.0
COLLECT_S = 0.05
_KEY_FRAME_S = 2
_READ_AT_ONCE = 128 * 1024
_PIPE_SIZE = 1024 * 1024
_MAY_STAY_INSIDE = 2
_LAST_WORDS_S = 1.0
_STDERR_LINES = 20
_STDERR_WIDTH = 300

_FLV_VIDEO = 9
_FLV_SCRIPT = 18
_FLV_HEADER_SIZE = 13
_FLV_TAG_HEADER_SIZE = 11
_FLV_TRAILER_SIZE = 4
_FLV_AVC_HEADER_SIZE = 5
_AVC = 7
_AVC_CONFIG, _AVC_SAMPLE = 0, 1
_KEY = 1


class EncoderFailed(Exception):
    """ffmpeg could not be started, hangs, died or answers what it should not."""


@dataclass(frozen=True, slots=True)
class Config:
    """The decoder's configuration, once, before the first sample: the body of `avcC`."""

    avcc: bytes


@dataclass(frozen=True, slots=True)
class Encoded:
    """One frame: `at_ms` is the time it came in with, `data` are length-prefixed NAL units."""

    at_ms: int
    data: bytes
    sync: bool


def arguments(*, crf: int, preset: str, filters: str = "") -> list[str]:
    """Return ffmpeg's arguments; `filters` change the pictures before they are encoded.

    Matroska comes in because it carries a time per JPEG. FLV goes out because it is one short header per
    frame, written at once, with the same milliseconds. The level is fixed since it would else follow a
    guessed frame rate, and with it the init segment. No look-ahead and no B-frames: a frame comes out when
    the next one goes in. `-fflags nobuffer` is not used: it loses the frame that was probed.
    """
    return [
        *("-hide_banner", "-nostats", "-nostdin", "-loglevel", "error"),
        *("-threads", "1", "-probesize", "32", "-analyzeduration", "0", "-copyts"),
        *("-f", "matroska", "-i", "pipe:0", "-map", "0:v:0", "-filter_threads", "1"),
        *(
            "-vf",
            ",".join(filter(None, ("scale=out_range=tv,format=yuv420p", filters))),
        ),
        *("-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", preset, "-crf", str(crf), "-threads", "1"),
        *("-profile:v", "high", "-level:v", "4.0", "-bf", "0", "-g", "600"),
        *("-x264-params", "rc-lookahead=0:mbtree=0"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{_KEY_FRAME_S})"),
        *("-enc_time_base", "1:1000", "-flush_packets", "1"),
        *("-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1"),
    ]


class Encoder:
    """One child for one run of one size: start(), then write() and packets() from two tasks, then stop()."""

    def __init__(
        self, ffmpeg: str, *, crf: int, preset: str, width: int, height: int
    ) -> None:
        """Prepare; nothing is started before start()."""
        self._ffmpeg = ffmpeg
        self._folder: Path | None = None
        self._arguments = arguments(crf=crf, preset=preset)
        self._quality = (crf, preset)
        self._header = _matroska_header(width, height)
        self._process: Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._inside: deque[int] = deque()  # times of what went in and did not come out
        self.is_prompt = False  # somebody watches: nothing is collected
        self._closed = False
        self._progress = 0.0
        self._stalled = False
        self._output = -1
        self._received = bytearray()
        self._buffer = memoryview(bytearray(_READ_AT_ONCE))

    def draw(self, filters: str, folder: Path) -> None:
        """Have pictures changed before they are encoded, by filters that find their files in a folder; before start()."""
        crf, preset = self._quality
        self._arguments = arguments(crf=crf, preset=preset, filters=filters)
        self._folder = folder

    async def start(self) -> None:
        """Start the child; raises EncoderFailed."""
        target = -1
        try:
            self._output, target = os.pipe()
            # A session of its own: whatever the child starts ends with it.
            self._process = process = await asyncio.create_subprocess_exec(
                self._ffmpeg,
                *self._arguments,
                cwd=self._folder,
                stdin=PIPE,
                stdout=target,
                stderr=PIPE,
                start_new_session=True,
            )
        except OSError as err:
            self._close_output()
            raise EncoderFailed(f"ffmpeg does not start: {err.strerror}") from err
        finally:
            if target >= 0:
                os.close(target)
        os.set_blocking(self._output, False)
        assert process.stdin is not None
        pipe = process.stdin.transport.get_extra_info("pipe")
        # Room for some pictures, so that neither side waits for the other at each of them. A child that has
        # ended already has closed its pipe.
        with suppress(OSError, ValueError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        process.stdin.write(self._header)
        self._tasks = [
            asyncio.create_task(self._read_stderr(process)),
            asyncio.create_task(self._watch(process)),
        ]

    async def write(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Feed frames, (ms from the run's start, JPEG), times strictly increasing; waits until the child takes them.

        Raises EncoderFailed.
        """
        process = self._running()
        assert process.stdin is not None
        if not self._owes():
            self._progress = monotonic()
        self._inside.extend(at_ms for at_ms, _ in frames)
        try:
            process.stdin.writelines(_cluster(frames))
            await process.stdin.drain()
        except OSError as err:
            raise await self._failure(process) from err

    def close_input(self) -> None:
        """Say that no more frames come; what is still inside comes out."""
        process = self._running()
        assert process.stdin is not None
        process.stdin.close()
        self._progress = monotonic()
        self._closed = True

    async def packets(self) -> AsyncIterator[Config | Encoded]:
        """Yield what comes out until the child has ended well; raises EncoderFailed."""
        process = self._running()
        received = self._received
        is_open = await self._receive()
        while is_open and len(received) < _FLV_HEADER_SIZE:
            is_open = await self._receive()
        if received and not received.startswith(b"FLV"):
            raise EncoderFailed("ffmpeg answers with another format")
        del received[:_FLV_HEADER_SIZE]
        while True:
            for packet in self._parse():
                yield packet
            if not is_open:
                break
            is_open = await self._receive()
        if await process.wait() or received:
            raise await self._failure(process)

    async def _receive(self) -> bool:
        """Wait for output and take all of it; False at its end."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._output, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._output)
        if not self._closed and not self.is_prompt:
            # Frames come out in the groups in which they go in: waking up for each of them would cost more
            # than all else that is done with it.
            await asyncio.sleep(COLLECT_S)
        try:
            while count := os.readv(self._output, [self._buffer]):
                self._progress = monotonic()
                self._received += self._buffer[:count]
                if count < _READ_AT_ONCE:
                    return True
        except BlockingIOError:
            return True
        return False

    def _parse(self) -> Iterator[Config | Encoded]:
        """Yield the packets that are there whole; raises EncoderFailed."""
        received = self._received
        at = 0
        while len(received) - at >= _FLV_TAG_HEADER_SIZE:
            kind = received[at]
            if kind not in (_FLV_VIDEO, _FLV_SCRIPT):
                raise EncoderFailed("ffmpeg answers with another format")
            body = at + _FLV_TAG_HEADER_SIZE
            end = body + int.from_bytes(received[at + 1 : at + 4])
            if len(received) < end + _FLV_TRAILER_SIZE:
                break
            at_ms = received[at + 7] << 24 | int.from_bytes(received[at + 4 : at + 7])
            at = end + _FLV_TRAILER_SIZE
            if kind != _FLV_VIDEO or end - body < _FLV_AVC_HEADER_SIZE:
                continue
            if received[body] & 0x0F != _AVC:
                raise EncoderFailed("ffmpeg answers with another codec")
            data = bytes(received[body + _FLV_AVC_HEADER_SIZE : end])
            if received[body + 1] == _AVC_CONFIG:
                yield Config(data)
            elif received[body + 1] == _AVC_SAMPLE:
                while self._inside and self._inside[0] <= at_ms:
                    self._inside.popleft()
                yield Encoded(at_ms, data, received[body] >> 4 == _KEY)
        del received[:at]

    async def stop(self) -> None:
        """End the child if it still runs, and wait for it."""
        if (process := self._process) is None:
            return
        _kill(process)
        if process.stdin:
            process.stdin.close()
        await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_output()
        if self._stderr:
            _LOGGER.debug("ffmpeg said: %s", self._last_words())

    def _close_output(self) -> None:
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _running(self) -> Process:
        if self._process is None:
            raise EncoderFailed("ffmpeg was not started")
        return self._process

    def _owes(self) -> bool:
        """Whether something must come out: one frame waits for its successor, one may be undecodable."""
        return self._closed or len(self._inside) > _MAY_STAY_INSIDE

    async def _failure(self, process: Process) -> EncoderFailed:
        """Return what to raise for a child that has failed: it is ending, and may still say why."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await process.wait()
                await asyncio.shield(self._tasks[0])
        what = (
            f"ffmpeg showed no progress for {STALL_S:.0f} s"
            if self._stalled
            else f"ffmpeg ended with {process.returncode}"
        )
        return EncoderFailed(f"{what}: {self._last_words()}")

    def _last_words(self) -> str:
        return " | ".join(self._stderr) or "nothing on stderr"

    async def _watch(self, process: Process) -> None:
        """Kill a child that owes frames and gives none; its reader then sees its end."""
        while process.returncode is None:
            await asyncio.sleep(STALL_S / 10)
            if self._owes() and monotonic() - self._progress > STALL_S:
                self._stalled = True
                _kill(process)
                return

    async def _read_stderr(self, process: Process) -> None:
        """Keep the last lines, whatever their length and number."""
        assert process.stderr is not None
        rest = b""
        while chunk := await process.stderr.read(4096):
            *lines, rest = (rest + chunk)[-8192:].split(b"\n")
            for line in (*lines, rest) if len(rest) > _STDERR_WIDTH else lines:
                if text := line[:_STDERR_WIDTH].decode(errors="replace").strip():
                    self._stderr.append(text)
            if len(rest) > _STDERR_WIDTH:
                rest = b""
        if text := rest.decode(errors="replace").strip():
            self._stderr.append(text)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _kill(process: Process) -> None:
    """End the child and all that it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _element(name: bytes, *payload: bytes) -> bytes:
    """Return a Matroska element."""
    body = b"".join(payload)
    return name + struct.pack(">I", len(body) | 1 << 28) + body


def _number(name: bytes, value: int) -> bytes:
    """Return an element that holds an unsigned number."""
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _matroska_header(width: int, height: int) -> bytes:
    """Return a stream's beginning: EBML header, a segment without end, one track of JPEGs."""
    ebml = _element(
        b"\x1a\x45\xdf\xa3",
        _element(b"\x42\x82", b"matroska"),
        _number(b"\x42\x87", 4),
        _number(b"\x42\x85", 2),
    )
    info = _element(b"\x15\x49\xa9\x66", _number(b"\x2a\xd7\xb1", 1_000_000))
    track = _element(
        b"\xae",
        _number(b"\xd7", 1),
        _number(b"\x73\xc5", 1),
        _number(b"\x83", 1),
        _number(b"\x9c", 0),
        _element(b"\x86", b"V_MJPEG"),
        # A usual duration, in ns: spares ffmpeg the guessing and changes no time.
        _number(b"\x23\xe3\x83", 100_000_000),
        _element(b"\xe0", _number(b"\xb0", width), _number(b"\xba", height)),
    )
    endless = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    return ebml + endless + info + _element(b"\x16\x54\xae\x6b", track)


def _cluster(frames: Sequence[tuple[int, bytes]]) -> Iterable[bytes]:
    """Yield one Matroska cluster per frame: a block's own time has 16 bits only."""
    for at_ms, jpeg in frames:
        time = _number(b"\xe7", at_ms)
        head = struct.pack(">cI", b"\xa3", (4 + len(jpeg)) | 1 << 28)
        yield b"\x1f\x43\xb6\x75"
        yield struct.pack(">I", (len(time) + len(head) + 4 + len(jpeg)) | 1 << 28)
        yield time + head + b"\x81\0\0\x80"
        yield jpeg
