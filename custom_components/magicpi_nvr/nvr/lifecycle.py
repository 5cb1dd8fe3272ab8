"""What runs between start and stop, as steps that are undone in the opposite order."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

type Step = Callable[[AsyncExitStack], Awaitable[None]]


class Lifecycle:
    """Runs steps in order; each leaves on its exit stack what undoes it.

    A step that fails is undone at once and leaves the earlier ones as they were, so that `up`
    begins where it failed, and `down` leaves nothing of what it undoes.
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        """Name the steps in their order."""
        self.steps: Final = dict(steps)
        self._done: list[AsyncExitStack] = []

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return len(self._done) == len(self.steps)

    async def up(self) -> None:
        """Do the steps that are not done; raises what the first that fails raises."""
        for step in list(self.steps.values())[len(self._done) :]:
            async with AsyncExitStack() as stack:
                await step(stack)
                self._done.append(stack.pop_all())

    async def down(self, first: str | None = None) -> None:
        """Undo the steps from `first` on, all without it.

        Each is undone whatever the others raise; raises what the last one raised.
        """
        begin = 0 if first is None else list(self.steps).index(first)
        async with AsyncExitStack() as undo:
            for stack in self._done[begin:]:
                undo.push_async_exit(stack)
            del self._done[begin:]
