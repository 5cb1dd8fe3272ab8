"""The firmware as a process of this machine: built, started, commanded, and read."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
import fcntl
import json
import os
from pathlib import Path
import shutil
from typing import Any

from home_assistant import ROOT
from virtual_camera import make_picture

FIRMWARE = ROOT / "firmware"
BUILD = FIRMWARE / "build" / "camera"
PACKAGES = "cmake g++ libmbedtls-dev"
STOP_TIMEOUT_S = 5.0


class FirmwareError(Exception):
    """The firmware could not be built or run; the text says what to do."""


async def build_firmware() -> Path:
    """Build `magicpi-camera`, quickly when nothing changed; return its path."""
    if not shutil.which("cmake"):
        raise FirmwareError(f"building the firmware needs {PACKAGES}: install them")
    steps = (
        ("cmake", "-S", FIRMWARE, "-B", BUILD, "-DTESTS=OFF"),
        ("cmake", "--build", BUILD, "--target", "magicpi-camera", "-j2"),
    )
    BUILD.parent.mkdir(exist_ok=True)
    with BUILD.with_suffix(".lock").open("w") as lock:
        # Tests in other processes build it, too
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await _run_steps(steps)
    return BUILD / "magicpi-camera"


async def _run_steps(steps: Iterable[Iterable[str | Path]]) -> None:
    for step in steps:
        process = await asyncio.create_subprocess_exec(
            *step,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise FirmwareError(
                f"building the firmware failed (it needs {PACKAGES}):\n{out.decode()[-2000:]}"
            )


def render_pictures(folder: Path, count: int) -> None:
    """Fill a folder with pictures that carry their numbers, from 1; so do their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        path = folder / f"{number:06}.jpg"
        if not path.exists():
            path.write_bytes(make_picture(number, caption="MagicPi"))


class FirmwareCamera:
    """A running `magicpi-camera`; its lines of JSON are kept in `lines`."""

    def __init__(self, binary: Path, *arguments: str | Path) -> None:
        """Say how it is started; `magicpi-camera --help` lists the arguments."""
        self._command = (binary, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self.lines: list[dict[str, Any]] = []

    async def start(self) -> None:
        """Switch it on."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
        self._reader = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for text in process.stdout:
            with suppress(ValueError):
                line = json.loads(text)
                async with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        async with self._news:
            self.lines.append({"what": "ended"})
            self._news.notify_all()

    async def stop(self) -> None:
        """Switch it off."""
        if self._process:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
            self._process = None
        if self._reader:
            await self._reader
            self._reader = None

    def command(self, command: str) -> None:
        """Give it a command, as `motion 3` or `battery 3500`."""
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n".encode())

    @property
    def mark(self) -> int:
        """The number of lines so far, for `wait(after=...)`."""
        return len(self.lines)

    async def wait(
        self,
        what: str,
        where: Callable[[Mapping[str, Any]], bool] = lambda line: True,
        *,
        after: int = 0,
        timeout: float = 30,
    ) -> dict[str, Any]:
        """Return the first such line after a mark; raises TimeoutError, and FirmwareError at its end."""
        seen = after
        async with asyncio.timeout(timeout), self._news:
            while True:
                while seen < len(self.lines):
                    line = self.lines[seen]
                    seen += 1
                    if line["what"] == what and where(line):
                        return line
                    if line["what"] == "ended":
                        raise FirmwareError("magicpi-camera ended by itself")
                await self._news.wait()

    def captured(self, event: int, after: int = 0) -> list[tuple[int, int]]:
        """Return an event's frames: capture time (epoch ms) and number of the picture."""
        return [
            (line["at"], int(Path(line["source"]).stem))
            for line in self.lines[after:]
            if line["what"] == "captured" and line["event"] == event
        ]
