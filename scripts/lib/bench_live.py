"""What watching costs while a camera is recorded, how late a picture is, and whether memory stays flat.

One round records the same pictures for some seconds without viewers, with one and with five, in turns, each time in
a process of its own. Viewers are other processes, so that only what is done for them counts. Latency is the time from
a frame's arrival at the recorder to the first byte of its sample at a viewer, over loopback.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
import resource
from statistics import median, quantiles
import sys
import tempfile
import time
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import ClientSession, ClientTimeout
from live import LiveServer, Sources
from live.mpegts import PACKET_SIZE
from recording.capture import ClipReady, Encoder, Recorder, RecorderNotice
from recording.library import Library
from recording.model import FLAG_LAST, RecordingSettings

from benchmark import (
    Picture,
    camera_id,
    child,
    command_line,
    cpu_seconds,
    memory,
    pictures,
    publish,
    say,
)

CAMERA = camera_id(1)
VIDEO_PID = 0x100
SETTLE_S = 3.0


async def nothing(_: str) -> AsyncGenerator[Picture]:
    """Be a camera whose frames come to the recorder only."""
    await asyncio.Event().wait()
    yield Picture(seq=0, t=0, captured_ms=0, jpeg=b"", camera=CAMERA)


def own_seconds() -> float:
    """Return the CPU time of this process alone."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def serve(options: argparse.Namespace) -> None:
    """Record, and send to who asks; says where, waits for a line, says what it cost."""
    with tempfile.TemporaryDirectory(prefix="bench-live-") as name:
        folder = Path(name)
        settings = RecordingSettings(
            root=folder / "media",
            index=folder / "index.db",
            ffmpeg=options.ffmpeg,
            time_zone=ZoneInfo("Europe/Berlin"),
            crf=options.crf,
            preset=options.preset,
            free_space_floor=0,
        )
        ready = asyncio.Event()
        frames_of_clip = 0

        def notice(item: RecorderNotice) -> None:
            nonlocal frames_of_clip
            if isinstance(item, ClipReady):
                frames_of_clip += item.event.frames
                ready.set()

        library = Library(settings, on_purge=lambda _: None)
        recorder: Recorder
        sources = Sources(
            frames=nothing,
            make_encoder=lambda width, height: Encoder(
                options.ffmpeg,
                crf=options.crf,
                preset=options.preset,
                width=width,
                height=height,
            ),
            free_encoders=lambda: 2 - recorder.stats.encoders,
        )
        recorder = Recorder(settings, library, on_event=notice, tap=sources)
        await library.open()
        await recorder.start()
        server = LiveServer(sources.get)
        await server.start()
        jpegs = pictures(options.pictures, 60)
        say({"url": server.url(CAMERA)})
        await asyncio.to_thread(sys.stdin.readline)
        cpu, own = cpu_seconds(), own_seconds()
        held: list[int] = []
        arrivals: dict[int, float] = {}
        step_s = 1 / options.fps
        count = int(options.seconds * options.fps)
        begin, begin_ms = time.monotonic(), int(time.time() * 1000)
        for number in range(count):
            await asyncio.sleep(max(0, begin + number * step_s - time.monotonic()))
            t = int(number * step_s * 1000)
            arrivals[begin_ms + t] = time.monotonic()
            recorder.add_frame(
                Picture(
                    seq=number + 1,
                    t=1000 + t,
                    captured_ms=begin_ms + t,
                    jpeg=jpegs[number % len(jpegs)],
                    camera=CAMERA,
                    flags=FLAG_LAST if number == count - 1 else 0,
                ),
                reason="motion",
            )
            if number % (options.fps * 5) == 0:
                held.append(memory("VmRSS"))
        offset = sources.get(CAMERA)._offset_ms  # noqa: SLF001
        async with asyncio.timeout(60):
            await ready.wait()
        await sources.stop()
        await server.stop()
        await recorder.stop()
        await library.close()
        say(
            {
                "cpu": cpu_seconds() - cpu,
                "own": own_seconds() - own,
                "frames": count,
                "recorded": frames_of_clip,
                "offset": offset,
                "arrivals": list(arrivals.items()),
                "memory": held,
            }
        )


async def view(options: argparse.Namespace) -> None:
    """Read a stream to its end, again and again if asked; say when which picture came."""
    began: list[tuple[int, float]] = []
    async with ClientSession(timeout=ClientTimeout(total=None)) as session:
        while True:
            left = asyncio.timeout(options.leave_after or None)
            try:
                async with left, session.get(options.view) as response:
                    response.raise_for_status()
                    await follow(response.content, began)
                    break
            except TimeoutError:
                await asyncio.sleep(1)
            except OSError:
                break
    say({"began": began[-20_000:]})


async def follow(
    content: asyncio.StreamReader | Any, began: list[tuple[int, float]]
) -> None:
    """Note when each picture's first packet came."""
    rest = b""
    async for chunk in content.iter_any():
        now = time.monotonic()
        data = rest + chunk
        end = len(data) - len(data) % PACKET_SIZE
        for at in range(0, end, PACKET_SIZE):
            if (
                data[at + 1] & 0x40
                and int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF == VIDEO_PID
            ):
                pes = at + 5 + data[at + 4]
                stamp = data[pes + 9 : pes + 14]
                pts = (
                    (stamp[0] >> 1 & 7) << 30
                    | (stamp[1] << 7 | stamp[2] >> 1) << 15
                    | (stamp[3] << 7 | stamp[4] >> 1)
                )
                began.append((pts // 90, now))
        rest = data[end:]


async def run(
    options: argparse.Namespace, viewers: int, seconds: float, leave_after: float = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Record once with so many viewers; return what both sides say."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            child(
                *(__file__, "--serve", "--seconds", seconds, "--fps", options.fps),
                *("--ffmpeg", options.ffmpeg, "--crf", options.crf),
                *("--preset", options.preset),
                *(("--pictures", options.pictures) if options.pictures else ()),
            )
        )
        url = (await server.hear())["url"]
        readers = [
            await stack.enter_async_context(
                child(
                    *(__file__, "--view", url),
                    *("--leave-after", leave_after * (1 + number / 3)),
                )
            )
            for number in range(viewers)
        ]
        await asyncio.sleep(SETTLE_S)
        result = await server.ask(go=True)
        return result, [await reader.hear() for reader in readers]


def latencies(result: dict[str, Any], seen: list[dict[str, Any]]) -> list[float]:
    """Return from a frame's arrival to its first byte, in ms; without the first second."""
    arrivals = dict(map(tuple, result["arrivals"]))
    first = min(arrivals) + 1000
    return [
        (at - arrivals[ms - result["offset"]]) * 1000
        for viewer in seen
        for ms, at in viewer["began"]
        if ms - result["offset"] in arrivals and ms - result["offset"] >= first
    ]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds."""
    cpu: dict[int, list[float]] = {0: [], 1: [], 5: []}
    times: list[float] = []
    lost = 0
    for turn in range(options.rounds):
        order = (0, 1, 5) if turn % 2 == 0 else (5, 1, 0)
        for viewers in order:
            result, seen = await run(options, viewers, options.seconds)
            cpu[viewers].append(result["cpu"])
            lost += result["frames"] - result["recorded"]
            times += latencies(result, seen)
            print(
                f"  {viewers} viewers: {result['cpu']:.2f} s CPU,"
                f" {result['own']:.2f} s of it not ffmpeg's",
                file=sys.stderr,
            )
    figures: dict[str, Any] = {
        "fps": options.fps,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "cpu_s": round(median(cpu[0]), 3),
        "tap_cpu_ratio": round(median(cpu[1]) / median(cpu[0]), 3),
        "tap_cpu_ratio_n5": round(median(cpu[5]) / median(cpu[0]), 3),
        "frame_interval_ms": round(1000 / options.fps),
        "latency_ms_p50": round(median(times), 1),
        "latency_ms_p95": round(quantiles(times, n=20)[-1], 1),
        "frames_lost": lost,
    }
    if options.minutes:
        result, _ = await run(options, 4, options.minutes * 60, leave_after=7)
        held = result["memory"]
        settled = held[len(held) // 5 :]
        figures |= {
            "memory_minutes": options.minutes,
            "memory_start_mb": round(settled[0] / 1e6, 1),
            "memory_end_mb": round(settled[-1] / 1e6, 1),
            "memory_growth_mb": round((settled[-1] - settled[0]) / 1e6, 1),
        }
    return figures


def main() -> None:
    """Read the command line."""
    parser = command_line(
        "live",
        __doc__,
        rounds=(3,),
        seconds=(20.0, "of each recording"),
        minutes=(10.0, "of viewers that come and go; 0: none"),
        fps=(10,),
        pictures=(None, "a folder of 800x600 JPEGs"),
        ffmpeg=("ffmpeg",),
        crf=(23,),
        preset=("superfast",),
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--view", help=argparse.SUPPRESS)
    parser.add_argument("--leave-after", type=float, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options))
        return
    if options.view:
        asyncio.run(view(options))
        return
    publish(options, asyncio.run(measure(options)), table=True)


if __name__ == "__main__":
    main()
