"""The child process: started, asked, and ended. Runs in an event loop."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
import logging
from typing import Any, Final, Self

from .wire import (
    HEADER,
    MAX_REPLY_DATA,
    Kind,
    WireError,
    pack,
    unpack_header,
    unpack_meta,
)

_LOGGER = logging.getLogger(__name__)

START_S: Final = 30.0
END_S: Final = 2.0
STDERR_WIDTH: Final = 300
_STDERR_LINES: Final = 10
_READY: Final = 0  # the number under which the child's first message is awaited

type Answer = tuple[dict[str, Any], bytes]


class Dead(Exception):
    """The child is gone."""


class Child:
    """One child; who asks it gets Dead once it is gone."""

    # None until it has said so
    has_detector: bool | None = None

    def __init__(self, process: Process, on_gone: Callable[[Child], None]) -> None:
        """Begin to read; `on_gone` hears of a child that ends by itself."""
        self._process = process
        self._on_gone = on_gone
        self._pending: dict[int, asyncio.Future[Answer]] = {
            _READY: asyncio.get_running_loop().create_future()
        }
        self._request = 0
        self._answered: set[Kind] = set()
        self._writing = asyncio.Lock()
        self._is_gone = False
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._reader = asyncio.create_task(self._read(), name="magicpi vision")
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, command: Sequence[str], on_gone: Callable[[Child], None]
    ) -> Self:
        """Start a child; raises OSError."""
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
            ),
            on_gone,
        )

    @property
    def pid(self) -> int:
        """The child's number."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last line on its standard error."""
        return self._stderr[-1] if self._stderr else ""

    async def ready(self) -> dict[str, Any]:
        """Return what the child says of itself at first; raises Dead, TimeoutError."""
        try:
            async with asyncio.timeout(START_S):
                return (await self._pending[_READY])[0]
        finally:
            self._pending.pop(_READY, None)

    async def ask(
        self, kind: Kind, meta: dict[str, Any], data: bytes, timeout_s: float
    ) -> Answer:
        """Send one request and wait for its answer; raises Dead, OSError, TimeoutError."""
        if self._is_gone:
            raise Dead
        # Never _READY: an answer to nothing would be taken for one
        self._request = request = self._request % 0xFFFFFFFF + 1
        future = asyncio.get_running_loop().create_future()
        self._pending[request] = future
        assert self._process.stdin is not None
        if kind not in self._answered:
            # It still reads its packages, maybe from a slow card
            timeout_s = max(timeout_s, START_S)
        try:
            async with asyncio.timeout(timeout_s):
                async with self._writing:
                    self._process.stdin.writelines(
                        (pack(kind, request, meta, data), data)
                    )
                    await self._process.stdin.drain()
                answer: Answer = await future
                self._answered.add(kind)
                return answer
        finally:
            self._pending.pop(request, None)

    async def _read(self) -> None:
        """Hand answers to those who wait, until the child is gone."""
        process = self._process
        assert process.stdout is not None
        stderr = asyncio.create_task(self._read_stderr())
        try:
            while True:
                header = await process.stdout.readexactly(HEADER.size)
                kind, request, meta, data = unpack_header(header, MAX_REPLY_DATA)
                text = await process.stdout.readexactly(meta)
                body = await process.stdout.readexactly(data)
                answer = (unpack_meta(text), body)
                future = self._pending.get(_READY if kind is Kind.READY else request)
                if future and not future.done():
                    future.set_result(answer)
        except (asyncio.IncompleteReadError, OSError, WireError) as err:
            if isinstance(err, WireError):
                _LOGGER.warning("The detector's process was ended: %s", err)
            self._kill()
            if not self._is_gone:
                await stderr
                _LOGGER.debug("The detector's process ended: %s", list(self._stderr))
                self._on_gone(self)
        finally:
            self._kill()
            await process.wait()
            stderr.cancel()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        with suppress(OSError, ValueError):
            while line := await self._process.stderr.readline():
                self._stderr.append(
                    line.decode(errors="replace")[:STDERR_WIDTH].strip()
                )

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    def _let_go(self) -> None:
        """Answer everybody who waits with Dead."""
        self._is_gone = True
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Dead())
                # Its task may have been cancelled
                future.exception()

    def kill(self) -> None:
        """End it at once."""
        self._let_go()
        self._kill()

    def end(self) -> None:
        """Close its input, and kill it when that is not enough."""
        self._let_go()
        self._closing = asyncio.create_task(self._close(), name="magicpi vision")

    async def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()

    async def wait(self) -> None:
        """Wait until nothing of it is left."""
        await asyncio.gather(self._reader, return_exceptions=True)
        if self._closing:
            await self._closing
