"""What happens to a camera, for those that watch it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

HISTORY = 4096


class State(StrEnum):
    """What a camera is doing."""

    OFF = "off"
    SETUP = "setup"
    CONNECTING = "connecting"
    AWAKE = "awake"
    STREAMING = "streaming"
    DRAINING = "draining"
    ASLEEP = "asleep"


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """Something that happened to a camera."""

    index: int
    camera: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Observable:
    """Something with an id and a state that tells what happens to it."""

    def __init__(self, id: str) -> None:
        """Begin with an empty history."""
        self.id = id
        self.state = State.OFF
        self.history: deque[LifeEvent] = deque(maxlen=HISTORY)
        self._happened = 0
        self._subscribers: list[Callable[[LifeEvent], None]] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._run_task: asyncio.Task[None] | None = None

    def subscribe(self, callback: Callable[[LifeEvent], None]) -> Callable[[], None]:
        """Call back with every life event; return what ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def emit(self, name: str, /, **data: Any) -> None:
        """Tell what happened."""
        self._happened += 1
        event = LifeEvent(self._happened, self.id, name, data)
        self.history.append(event)
        for callback in [*self._subscribers]:
            callback(event)
        self.notify()

    def notify(self) -> None:
        """Let all that wait for something look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def mark(self) -> int:
        """Return a point in the history, for `wait_event(after=...)`."""
        return self._happened

    async def wait_until(
        self, condition: Callable[[], bool], *, what: str = "it", timeout: float = 30
    ) -> None:
        """Return when a condition on this camera holds; raises TimeoutError, or its failure."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if (
                        (task := self._run_task)
                        and task.done()
                        and not task.cancelled()
                    ):
                        task.result()
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            last = ", ".join(event.name for event in [*self.history][-12:])
            raise TimeoutError(
                f"{what} did not come; {self.id} is {self.state} after: {last}"
            ) from None

    async def wait_event(
        self,
        name: str,
        *,
        after: int = 0,
        timeout: float = 30,
        where: Callable[[Mapping[str, Any]], bool] = lambda data: True,
    ) -> LifeEvent:
        """Return the first event of a name after a mark; raises TimeoutError."""

        def found() -> LifeEvent | None:
            for event in self.history:
                if event.index > after and event.name == name and where(event.data):
                    return event
            return None

        await self.wait_until(lambda: found() is not None, what=name, timeout=timeout)
        event = found()
        assert event
        return event
