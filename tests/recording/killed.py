"""The process that test_kill.py kills: a recorder and three cameras. Run with the recording package's parent on sys.path."""

import asyncio
from dataclasses import dataclass
import os
from pathlib import Path
import random
import sys
import time
from zoneinfo import ZoneInfo

from recording.capture import Recorder
from recording.library import Library
from recording.model import FLAG_LAST, RecordingSettings


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured frame."""

    camera: str
    event: int
    seq: int
    t: int
    captured_ms: int
    jpeg: bytes
    flags: int = 0
    boot: int = 77
    width: int = 160
    height: int = 120


async def record(
    camera: str, recorder: Recorder, pictures: list[bytes], begin_ms: int, seed: int
) -> None:
    """Be a camera: events of two to five seconds at ten frames a second; each frame is said on stdout."""
    chance = random.Random(seed)
    began = time.monotonic()
    seq = event = 0
    while True:
        event += 1
        for i in range(count := chance.randrange(20, 50)):
            seq += 1
            t = int((time.monotonic() - began) * 1000)
            frame = Frame(
                camera,
                event,
                seq,
                t,
                begin_ms + t,
                pictures[seq],
                FLAG_LAST if i == count - 1 else 0,
            )
            recorder.add_frame(frame, reason="pir")
            line = f"{camera} {event} {seq} {t} {frame.flags} {time.monotonic()}\n"
            os.write(1, line.encode())
            await asyncio.sleep(0.1)
        await asyncio.sleep(chance.random() / 2)


async def main(folder: Path, begin_ms: int, seed: int) -> None:
    """Record until killed."""
    pictures = [b""] + [
        (folder / "pictures" / f"{number}.jpg").read_bytes() for number in range(1, 200)
    ]
    settings = RecordingSettings(
        root=folder / "media",
        index=folder / "index.db",
        ffmpeg="ffmpeg",
        time_zone=ZoneInfo("Europe/Berlin"),
        preset="ultrafast",
        free_space_floor=0,
        max_encoders=2,
    )
    library = Library(settings)
    await library.open()
    recorder = Recorder(settings, library, on_event=lambda _: None)
    await recorder.start()
    await asyncio.gather(
        *(
            record(f"AA:BB:CC:DD:EE:0{i}", recorder, pictures, begin_ms, seed + i)
            for i in range(3)
        )
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
