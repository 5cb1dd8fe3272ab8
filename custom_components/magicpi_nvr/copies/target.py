"""What a target can do, whatever it speaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum, auto
import hashlib
import secrets
from typing import Protocol

from .errors import Cause, SourceGone, TargetError

CHECK_FOLDER = ".magicpi-check"
_IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object at a target; `name` is relative to the target's prefix, sizes are bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Bytes to store, readable from the start as often as needed; hashes in hex.

    `part_md5` are the MD5 hashes of its parts of `part_size` bytes, for targets that take large objects in parts.
    """

    size: int
    md5: str
    sha256: str
    read: Callable[[int, int], AsyncIterator[bytes]]
    part_size: int
    part_md5: tuple[str, ...]

    @classmethod
    async def measure(
        cls,
        size: int,
        read: Callable[[int, int], AsyncIterator[bytes]],
        *,
        part_size: int,
    ) -> Body:
        """Read everything once and hash it in a thread; raises what `read` raises."""
        whole, strong = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        part, filled, parts = hashlib.md5(usedforsecurity=False), 0, list[str]()

        def update(data: bytes) -> None:
            nonlocal part, filled
            whole.update(data)
            strong.update(data)
            if size <= part_size:
                return
            rest = memoryview(data)
            while rest:
                piece = rest[: part_size - filled]
                part.update(piece)
                filled += len(piece)
                rest = rest[len(piece) :]
                if filled == part_size:
                    parts.append(part.hexdigest())
                    part, filled = hashlib.md5(usedforsecurity=False), 0

        async for chunk in read(0, size):
            await asyncio.to_thread(update, chunk)
        if size <= part_size:
            parts.append(whole.hexdigest())
        elif filled:
            parts.append(part.hexdigest())
        return cls(
            size=size,
            md5=whole.hexdigest(),
            sha256=strong.hexdigest(),
            read=read,
            part_size=part_size,
            part_md5=tuple(parts),
        )

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return a small body that is in memory."""

        async def read(start: int, stop: int) -> AsyncIterator[bytes]:
            yield data[start:stop]

        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return cls(
            size=len(data),
            md5=md5,
            sha256=hashlib.sha256(data).hexdigest(),
            read=read,
            part_size=max(len(data), 1),
            part_md5=(md5,),
        )


class Proof(Enum):
    """What a target says of an object's content."""

    SAME = auto()
    DIFFERENT = auto()
    UNKNOWN = auto()  # it states no checksum


class Target(Protocol):
    """Objects below a prefix. All methods raise TargetError; names are relative, with slashes."""

    part_size: int  # bytes; larger bodies may be sent in parts of this size

    async def put(self, name: str, body: Body, *, content_type: str) -> None:
        """Store an object, whole or not at all; one of this name is replaced."""

    async def proof(self, name: str, body: Body) -> Proof:
        """Compare what is stored with what was sent, as far as the server says; a wrong size is DIFFERENT."""

    def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes of [start, stop)."""

    def objects(self, folder: str = "") -> AsyncIterator[StoredObject]:
        """Yield the objects in a folder and those below it."""

    async def delete(self, name: str) -> None:
        """Remove an object; one that is not there is fine."""

    async def close(self) -> None:
        """Close the connections."""


async def store(target: Target, name: str, body: Body, *, content_type: str) -> None:
    """Put an object and make sure that it is there byte for byte; raises TargetError.

    A transfer of which nothing moves for a minute is given up. Raises SourceGone when `body` cannot be read.
    """
    loop = asyncio.get_running_loop()
    gone: SourceGone | None = None
    try:
        async with asyncio.timeout(_IDLE_S) as idle:

            async def read(start: int, stop: int) -> AsyncIterator[bytes]:
                nonlocal gone
                try:
                    async for chunk in body.read(start, stop):
                        idle.reschedule(loop.time() + _IDLE_S)
                        yield chunk
                except SourceGone as error:
                    # The libraries make a lost connection of it.
                    gone = error
                    raise
                idle.reschedule(loop.time() + _IDLE_S)

            sent = Body(
                size=body.size,
                md5=body.md5,
                sha256=body.sha256,
                read=read,
                part_size=body.part_size,
                part_md5=body.part_md5,
            )
            await target.put(name, sent, content_type=content_type)
            idle.reschedule(loop.time() + _IDLE_S)
            proof = await target.proof(name, sent)
            if proof is Proof.UNKNOWN:
                strong = hashlib.sha256()
                async for chunk in target.read(name, 0, body.size):
                    idle.reschedule(loop.time() + _IDLE_S)
                    strong.update(chunk)
                same = strong.hexdigest() == body.sha256
                proof = Proof.SAME if same else Proof.DIFFERENT
    except TimeoutError:
        raise TargetError(Cause.TIMEOUT, name) from None
    except TargetError:
        if gone is not None:
            raise gone from None
        raise
    if proof is not Proof.SAME:
        raise TargetError(Cause.MISMATCH, name)


async def fetch(target: Target, name: str, size: int) -> bytes:
    """Return a small object; raises TargetError."""
    data = bytearray()
    try:
        async with asyncio.timeout(_IDLE_S):
            async for chunk in target.read(name, 0, size):
                data += chunk
    except TimeoutError:
        raise TargetError(Cause.TIMEOUT, name) from None
    if len(data) != size:
        raise TargetError(Cause.MISMATCH, name)
    return bytes(data)


async def check(target: Target) -> None:
    """Write, read, list and delete a small object; raises TargetError whose `step` names what failed."""
    data = secrets.token_bytes(64)
    name = f"{CHECK_FOLDER}/{secrets.token_hex(8)}.bin"
    step = "write"
    try:
        async with asyncio.timeout(_IDLE_S):
            await store(
                target, name, Body.of(data), content_type="application/octet-stream"
            )
            step = "read"
            # A part of it, as players ask for
            whole = await fetch(target, name, 64)
            part = b"".join([chunk async for chunk in target.read(name, 16, 32)])
            _insist(whole == data and part == data[16:32], Cause.MISMATCH, name)
            step = "list"
            found = [item.name async for item in target.objects(CHECK_FOLDER)]
            _insist(name in found, Cause.NOT_FOUND, name)
            step = "delete"
            await target.delete(name)
            left = [item.name async for item in target.objects(CHECK_FOLDER)]
            _insist(name not in left, Cause.ACCESS_DENIED, name)
    except TargetError as error:
        raise TargetError(error.cause, error.detail, step=step) from error
    except TimeoutError:
        raise TargetError(Cause.TIMEOUT, step=step) from None


def _insist(true: bool, cause: Cause, name: str) -> None:
    if not true:
        raise TargetError(cause, name)
