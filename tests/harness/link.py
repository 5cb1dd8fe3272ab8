"""A TCP link that does to the connections what networks do."""

import asyncio
from typing import Self

from home_assistant import free_port


class Link:
    """A TCP link to a server that does to the connections what networks do."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Name the server."""
        self._target = (host, port)
        self.port = 0
        self.connections = 0
        self.sent = 0  # bytes to the server
        self.received = 0  # bytes from it
        self.cut_after: int | None = None  # bytes of one connection to the server
        self.rate: int | None = None  # bytes per second, in both directions
        # Answered to every request instead of the server
        self.status: int | None = None
        self.answered = asyncio.Event()
        self.dead = False  # takes all, and lets nothing through
        self.swallowed = 0  # bytes meanwhile
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Open it."""
        self.port = free_port()
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.down()

    @property
    def url(self) -> str:
        """The address to use in place of the server's."""
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Let connections through."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port
            )

    async def down(self) -> None:
        """Refuse connections and cut those that are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Cut the connections that are."""
        for writer in list(self._writers):
            if (transport := writer.transport) is not None:
                transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            if self.status is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(
                    f"HTTP/1.1 {self.status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
                self.answered.set()
                return
            back, forth = await asyncio.open_connection(*self._target)
            self._writers.add(forth)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, forth, counts=True))
                    group.create_task(self._pump(back, writer, counts=False))
            finally:
                self._writers.discard(forth)
                forth.transport.abort()
        except* OSError, asyncio.IncompleteReadError:
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        counts: bool,
    ) -> None:
        passed = 0
        while data := await reader.read(16 * 1024):
            if self.dead:
                self.swallowed += len(data)
                continue
            if counts:
                self.sent += len(data)
                passed += len(data)
                if self.cut_after is not None and passed > self.cut_after:
                    raise ConnectionResetError
            else:
                self.received += len(data)
            if self.rate is not None:
                await asyncio.sleep(len(data) / self.rate)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
