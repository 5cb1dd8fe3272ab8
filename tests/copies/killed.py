"""A process that copies clips until it is killed: `killed.py FOLDER URL`."""

import asyncio
from pathlib import Path
import sys

from aiohttp import ClientSession

from object_stores import Store
from tests.harness.copies import Clips, CopyServer, RunningCopier


async def main(folder: Path, kind: str, url: str) -> None:
    """Copy; each clip takes a while."""
    clips = Clips()
    events = [clips.add(number, size=400_000) for number in range(8)]
    async with ClientSession() as session:
        copy_server = CopyServer(kind, Store(url, 0, folder, None), session, None)  # type: ignore[arg-type]
        async with RunningCopier(copy_server.target, folder, clips) as running:
            await running.offer(*events)
            sys.stdout.write("offered\n")
            sys.stdout.flush()
            await running.settled()
            sys.stdout.write("settled\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
