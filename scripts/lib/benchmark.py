"""What benchmarks share: command line, scratch folder and figures; helper processes; stand-ins; what the kernel counts."""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
import json
from pathlib import Path
import random
import resource
import subprocess
import sys
import tempfile
from typing import Any

LINE = 1 << 26  # bytes of the longest answer of a helper process


def command_line(name: str, doc: str | None, **options: Any) -> argparse.ArgumentParser:
    """Return a parser with what each benchmark has; `options`: a default, its type and a word of help, by name."""
    parser = argparse.ArgumentParser(prog=f"scripts/bench {name}", description=doc)
    parser.add_argument("--json", type=Path, help="write the figures there")
    for key, (default, *more) in options.items():
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            default=default,
            type=Path if default is None else type(default),
            help=" ".join([*more, "" if default is None else "(%(default)s)"]),
        )
    return parser


@contextmanager
def scratch(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(
        prefix=f"bench-{name}-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def publish(
    settings: argparse.Namespace, figures: Mapping[str, Any], *, table: bool = False
) -> None:
    """Write the figures where the command line says, printed before if they were not."""
    if table:
        for key, value in figures.items():
            print(f"{key:>22}  {value}")
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=1) + "\n")


# Helper processes: each is asked by a line of JSON and answers by one


def say(answer: Mapping[str, Any]) -> None:
    """Answer the parent process."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Child:
    """A process that is asked by lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use a process with pipes."""
        self.process = process

    async def hear(self) -> dict[str, Any]:
        """Return its next answer."""
        assert self.process.stdout
        if not (line := await self.process.stdout.readline()):
            raise RuntimeError(f"a helper ended with {await self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, **order: Any) -> dict[str, Any]:
        """Ask and return the answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        await self.process.stdin.drain()
        return await self.hear()


@asynccontextmanager
async def child(*command: object) -> AsyncGenerator[Child]:
    """Start a Python program with pipes; end it by closing its input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=LINE,
    )
    try:
        yield Child(process)
        assert process.stdin
        process.stdin.close()
        async with asyncio.timeout(30):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# Stand-ins


class Forgetful:
    """A registry's storage that has what it was given and keeps nothing."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        """Have what was stored before."""
        self._data = data

    async def load(self) -> dict[str, Any] | None:
        """Return it."""
        return self._data

    def save(self, data_func: Any) -> None:
        """Keep nothing."""

    async def save_now(self, data_func: Any) -> None:
        """Keep nothing."""


class Owner:
    """The owner of a gateway, as far as no benchmark cares."""

    async def ready(self) -> None:
        """Take frames from the beginning."""

    def rotation(self, camera_id: str) -> int:
        """Turn nothing."""
        return 0

    def camera_registered(self, camera: Any, token_data: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def clock_stepped(self) -> None:
        """Nothing to do."""

    def stale_key(self, camera_id: str) -> None:
        """Nothing to do."""

    def firmware(self, camera_id: str, sha256: str) -> None:
        """There is none."""

    async def recordings(self, camera_id: str, **_: object) -> dict[str, Any]:
        """There are none."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame as the recorder takes it."""

    seq: int
    t: int
    captured_ms: int
    jpeg: bytes
    camera: str
    flags: int = 0
    boot: int = 1
    event: int = 1
    width: int = 800
    height: int = 600


def camera_id(number: int) -> str:
    """Return the id of a camera of a benchmark."""
    return f"02:00:00:00:{number >> 8:02X}:{number & 255:02X}"


def pictures(source: Path | None, count: int) -> list[bytes]:
    """Return JPEGs of 800x600: those of a folder, else made ones."""
    if source is not None:
        paths = sorted(source.glob("*.jpg"))
        if not paths:
            raise SystemExit(f"no *.jpg in {source}")
        return [paths[i % len(paths)].read_bytes() for i in range(count)]
    from PIL import Image  # noqa: PLC0415

    chance = random.Random(1)
    scene = Image.effect_noise((1000, 700), 60).convert("RGB")
    found = []
    for i in range(min(count, 60)):
        image = scene.crop((20 + chance.randrange(3), 20, 820, 620))
        image = image.resize((400, 300)).resize((800, 600))
        image.paste((200, 40, 40), (i * 12, 300, i * 12 + 80, 420))
        out = BytesIO()
        image.save(out, "JPEG", quality=80)
        found.append(out.getvalue())
    return [found[i % len(found)] for i in range(count)]


# What the kernel counts


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


def memory(field: str, pid: int | str = "self") -> int:
    """Return VmRSS or VmHWM of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def children_of(pid: int | str) -> dict[int, str]:
    """Return a process' children and their names."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for number in path.read_text().split():
            with suppress(OSError):
                found[int(number)] = Path(f"/proc/{number}/comm").read_text().strip()
    return found


def reset_peak() -> None:
    """Let VmHWM begin again."""
    Path("/proc/self/clear_refs").write_text("5")
