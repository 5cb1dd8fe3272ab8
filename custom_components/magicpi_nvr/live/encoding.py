"""What a live source asks of an encoder; the maker of the source provides one."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol


class ConfigPacket(Protocol):
    """The decoder's configuration, once, before the first sample."""

    @property
    def avcc(self) -> bytes:
        """The body of `avcC`."""


class SamplePacket(Protocol):
    """One picture."""

    @property
    def at_ms(self) -> int:
        """The time it came in with."""

    @property
    def data(self) -> bytes:
        """NAL units, each behind its length."""

    @property
    def sync(self) -> bool:
        """Whether decoding can begin here."""


class LiveEncoder(Protocol):
    """start(), then write() and packets() from two tasks, then stop()."""

    async def start(self) -> None:
        """Start; raises an exception of its own."""

    async def write(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Take (ms, JPEG) pairs, ms strictly increasing; waits while it is busy."""

    def packets(self) -> AsyncIterator[ConfigPacket | SamplePacket]:
        """Yield what comes out."""

    async def stop(self) -> None:
        """End, whatever it does."""


type MakeEncoder = Callable[[int, int], LiveEncoder]
