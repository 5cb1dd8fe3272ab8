"""The process is killed, the server's disk is full."""

import asyncio
from collections.abc import AsyncIterator
import os
from pathlib import Path
import subprocess
import sys

from aiohttp import ClientSession
import pytest

from object_stores import MissingServer, server_folder
from tests.harness.copies import Clips, CopyServer, RunningCopier
from tests.harness.copy_servers import apache_store
from tests.harness.link import Link

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
async def test_killed_while_uploading(
    copy_server: CopyServer, link: Link, clips: Clips, tmp_path: Path
) -> None:
    """Killed again and again in the middle of a clip: in the end every clip is there once."""
    for number in range(8):
        clips.add(number, size=400_000)
    url = f"{link.url}/dav" if copy_server.kind != "s3" else link.url
    settled = False
    for round_ in range(4):
        before = link.sent
        link.rate = 800_000 if round_ < 2 else None
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.copies.killed",
            str(tmp_path),
            copy_server.kind,
            url,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": _path()},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(100):
            assert await process.stdout.readline() == b"offered\n"
            if round_ < 2:
                # Each dies further on in the queue, never at the end of a clip.
                while link.sent - before < 250_000 + round_ * 300_000:
                    await asyncio.sleep(0.01)
                process.kill()
            settled = b"settled" in await process.stdout.read()
            await process.wait()
        if settled:
            break
    assert settled
    copy_server.assert_same(clips)


def _path() -> str:
    return os.pathsep.join([str(ROOT), str(ROOT / "scripts" / "lib"), *sys.path])


@pytest.fixture
async def small_disk() -> AsyncIterator[CopyServer]:
    """Return a WebDAV server whose disk has room for 1 MiB."""
    with server_folder() as copy_server:
        async for disk in _small_disk(copy_server):
            yield disk


async def _small_disk(copy_server: Path) -> AsyncIterator[CopyServer]:
    folder = copy_server / "apache"
    folder.mkdir()
    mounted = await asyncio.to_thread(
        subprocess.run,
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        async with apache_store(copy_server) as store, ClientSession() as session:
            yield CopyServer("apache", store, session, None)  # type: ignore[arg-type]
    except MissingServer as error:
        pytest.skip(str(error))
    finally:
        await asyncio.to_thread(
            subprocess.run, ["umount", "-l", str(folder)], check=False
        )


async def test_disk_full(small_disk: CopyServer, clips: Clips, tmp_path: Path) -> None:
    """A server whose disk is full keeps what it has; with room again the rest follows."""
    ballast = small_disk.store.folder / "ballast"
    ballast.write_bytes(bytes(600_000))
    events = [clips.add(number, size=200_000) for number in range(3)]
    async with RunningCopier(small_disk.target, tmp_path, clips) as running:
        await running.offer(*events)
        await running.until(lambda: running.copier.stats.failing_since_ms is not None)
        assert running.copier.stats.cause in ("full", "server_error")
        assert running.copier.stats.copies >= 1
        ballast.unlink()
        await running.settled()
    small_disk.assert_same(clips)
