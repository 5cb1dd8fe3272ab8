"""A real S3 server that copies go to: rclone's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
import os
from pathlib import Path
import shutil
import signal
import sys
import tempfile
import time

import aiohttp

from home_assistant import free_port

ACCESS_KEY = "AKIDMAGICPITEST"
SECRET_KEY = "secret/of+the/tests/only0123456789"
BUCKET = "clips"
START_TIMEOUT = 30.0


class MissingServer(Exception):
    """A server's program is not installed."""


def program(name: str) -> str | None:
    """Return a program, also of this environment or where Debian keeps servers."""
    places = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin"
    return shutil.which(name, path=places)


@dataclass
class Process:
    """A server as a child process."""

    command: list[str]
    url: str
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.env,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        async with aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(self.url):
                        return
                if self.process.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{self.command[0]} does not start: {self.log.read_text()[-2000:]}"
                    )
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it and what it started."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.process.wait()
                    break
        self.process = None


@dataclass
class Store:
    """A running server and the folder in which it keeps the objects."""

    url: str
    port: int
    folder: Path  # holds the objects
    server: Process

    def files(self) -> dict[str, bytes]:
        """Return all objects."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }


@asynccontextmanager
async def s3_store(folder: Path) -> AsyncIterator[Store]:
    """Run rclone's S3 server; it checks signatures, MD5 and clocks."""
    rclone = program("rclone")
    if rclone is None:
        raise MissingServer("rclone is missing: it is in requirements/test.in")
    port = free_port()
    bucket = folder / "s3" / BUCKET
    bucket.mkdir(parents=True)
    command = [
        rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}",
        "--config", str(folder / "rclone.conf"), str(bucket.parent),
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    server = Process(command, url, folder / "rclone.log")
    await server.start()
    try:
        yield Store(url, port, bucket, server)
    finally:
        await server.stop()


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder that the servers' user can reach; pytest's own are closed to all others."""
    with tempfile.TemporaryDirectory(prefix="magicpi-store-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
