"""Commands to a connected camera, each answered by a result."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..messages import Result
from ..protocol import encode_command

MAX_PENDING: Final = 32

type Send = Callable[[str], None]


class CameraAsleep(Exception):
    """The camera is not connected."""


class CommandFailed(Exception):
    """The camera refused a command, or never answered."""


class CommandRefused(CommandFailed):
    """The camera said no."""


class Commands:
    """Numbers commands and waits for their results."""

    def __init__(self) -> None:
        """Nothing is pending."""
        self._pending: dict[int, asyncio.Future[Result]] = {}
        self._last_id = 0

    def post(self, send: Send, name: str, args: Mapping[str, Any]) -> int:
        """Send a command whose result nobody waits for; returns its id."""
        self._last_id += 1
        send(encode_command(self._last_id, name, args))
        return self._last_id

    async def run(
        self, send: Send, name: str, args: Mapping[str, Any], timeout_s: float
    ) -> None:
        """Send a command and wait for its result; raises CommandFailed."""
        if len(self._pending) >= MAX_PENDING:
            raise CommandFailed("too many commands wait for an answer")
        command_id = self.post(send, name, args)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._pending[command_id] = future
        try:
            async with asyncio.timeout(timeout_s):
                result = await future
        except TimeoutError:
            raise CommandFailed("the camera did not answer") from None
        finally:
            del self._pending[command_id]
        if not result.ok:
            raise CommandRefused(result.error or "refused")

    def handle_result(self, result: Result) -> bool:
        """Take the outcome of a command; returns False when nobody waits for it."""
        future = self._pending.get(result.id)
        if future is None or future.done():
            return False
        future.set_result(result)
        return True

    def disconnected(self) -> None:
        """No pending command is answered any more."""
        for future in self._pending.values():
            if not future.done():
                future.set_exception(CommandFailed("the camera left"))
