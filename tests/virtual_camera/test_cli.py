"""The command line, as other programs use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

import pytest

from virtual_camera import make_picture

from .stand_in import StandInGateway, post_claim

LIB = Path(__file__).parents[2] / "scripts" / "lib"
COMMAND = (sys.executable, "-m", "virtual_camera")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(LIB)}


class Cameras:
    """A running process and the events that it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take the process."""
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.text = ""

    async def wait(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return the next event of a name with these fields."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                self.text += line.decode()
                event: dict[str, Any] = json.loads(line)
                self.events.append(event)
                if event["event"] == name and event | fields == event:
                    return event
        raise AssertionError(f"ended before {name}: {self.events[-5:]}")

    async def say(self, line: str) -> None:
        """Give a command."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    async def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(15):
            out, err = await self.process.communicate()
        self.text += out.decode() + err.decode()
        assert err == b""
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Cameras]:
    """Yield running cameras."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--print-json", "--stdin", *arguments),
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Cameras(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_whole_life(stand_in: StandInGateway, tmp_path: Path) -> None:
    """Claimed with the code that it shows, moved by a command, ended by Ctrl-C, back again."""
    state = str(tmp_path / "state")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.jpg").write_bytes(
            make_picture(number, resolution="QVGA")
        )
    common = ("--state-dir", state, "--tail", "0.3", "--source", str(pictures))
    async with running(*common, "--set", "framerate=20", "--fw", "2.0.0") as cameras:
        opened = await cameras.wait("setup_opened")
        bundle = stand_in.bundle()
        status, _ = await post_claim(
            opened["port"], opened["code"], json.dumps(bundle).encode()
        )
        assert status == 204
        await cameras.wait("welcome")
        await cameras.say(f"{opened['id']} motion 0.5")
        ended = await cameras.wait("event_ended")
        assert ended["frames"] > 8
        await cameras.wait("slept")
        assert len(stand_in.frames) == ended["frames"]
        await cameras.say("nonsense")
        await cameras.wait("not_understood", line="nonsense")
        await cameras.say("status")
        status = await cameras.wait("status")
        assert (status["state"], status["acked"]) == ("asleep", ended["frames"])
        assert await cameras.interrupt() == 0
        for secret in (bundle["token"], stand_in.keys[opened["id"]]):
            assert secret not in cameras.text
    assert stand_in.hellos[0]["fw"] == "2.0.0"
    async with running(*common) as cameras:
        await cameras.wait("welcome", id=opened["id"])
        assert await cameras.interrupt() == 0


async def test_many(stand_in: StandInGateway) -> None:
    """Several cameras share a process; each has its own id, code and port."""
    async with running(
        *("--count", "3", "--id", "02:00:00:00:00:FE", "--loop", "4"),
        *("--set", "resolution=QVGA", "--motion-every", "30"),
        *("--motion-duration", "0.3", "--tail", "0.2", "--always-on"),
    ) as cameras:
        opened = [await cameras.wait("setup_opened") for _ in range(3)]
        assert sorted(event["id"] for event in opened) == [
            "02:00:00:00:00:FE",
            "02:00:00:00:00:FF",
            "02:00:00:00:01:00",
        ]
        assert len({event["code"] for event in opened}) == 3
        for event in opened:
            data = json.dumps(stand_in.bundle()).encode()
            assert (await post_claim(event["port"], event["code"], data))[0] == 204
        await stand_in.wait_for("event_end", 3)
        assert await cameras.interrupt() == 0


def test_help() -> None:
    """The help tells the options and the commands."""
    done = subprocess.run(
        [*COMMAND, "--help"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    for word in ("--source", "--advertise", "--time-factor", "motion [SECONDS]"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "/no/such/file"), "neither a folder nor a file"),
        (("--count", "0"), "above zero"),
        (("--id", "5"), "AA:BB:CC:DD:EE:FF"),
        (("--setup-code", "short"), "16 characters"),
        (("--set", "framerate=99"), "out_of_range"),
        (("--gateway", "nowhere"), "HOST:PORT"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str) -> None:
    """A mistake ends with a line that says what is wrong."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
