"""What runs between start and stop, as steps that are undone in the opposite order."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

type Step = Callable[[AsyncExitStack], Awaitable[None]]


class Lifecycle:
    """Runs steps in order; each leaves on its exit stack what undoes it.

    A step that fails is undone at once and leaves the earlier ones as they were, so that `up`
    begins where it failed, and `down` leaves nothing of what it undoes.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        """Name the steps in their order."""
        self.steps: Final = tuple(steps)
        self._done: list[AsyncExitStack] = []

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return len(self._done) == len(self.steps)

    async def up(self) -> None:
        """Do the steps that are not done; raises what the first that fails raises."""
        for step in self.steps[len(self._done) :]:
            async with AsyncExitStack() as stack:
                await step(stack)
                self._done.append(stack.pop_all())

    async def down(self, to: Step | None = None) -> None:
        """Undo the last steps back to `to` and that itself, all without it.

        Each is undone whatever the others raise; raises what the last one raised.
        """
        first = 0 if to is None else self.steps.index(to)
        async with AsyncExitStack() as undo:
            for stack in self._done[first:]:
                undo.push_async_exit(stack)
            del self._done[first:]
