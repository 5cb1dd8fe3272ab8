"""What recording costs beside bare ffmpeg: the same frames, the same settings, the same pace, in turns.

One round encodes with N bare ffmpeg processes that read a file at the pace at which cameras send, and then
records with N cameras that send over TLS from another process: gateway, recorder, ffmpeg, hour files and index
together. The ratio is of CPU seconds, taken from the kernel after all children have ended.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
import resource
from statistics import median
import subprocess
import sys
import time
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from aiohttp import ClientSession, TCPConnector
from gateway import (
    Authority,
    Camera,
    Frame,
    FrameHeader,
    Gateway,
    GatewaySettings,
    Registry,
)
from recording.capture import ClipReady, Recorder, RecorderNotice
from recording.capture.encoder import _cluster, _matroska_header, arguments
from recording.library import Library
from recording.model import FLAG_LAST, RecordingSettings

from benchmark import (
    Forgetful,
    Owner,
    camera_id,
    child,
    command_line,
    cpu_seconds,
    memory,
    pictures,
    publish,
    reset_peak,
    say,
    scratch,
)

BOOT = 4711
STEP_MS = 100
# Frames a second that all cameras send together, and one at most: eight send at their usual ten. More, and a
# small machine is measured while it is too slow, which shows the spool instead of the cost.
TOTAL_RATE = 80
CAMERA_RATE = 40
CAPS = {"resolutions": ["SVGA"], "motion": ["pir"], "sleep": True}


@dataclass
class Costs:
    """What one round found."""

    cpu: float
    own: float = 0  # of it, what was not ffmpeg's
    latencies: list[float] = field(default_factory=list)
    written: int = 0
    kept: int = 0
    memory: int = 0  # bytes of peak over the start, all cameras
    frames: int = 0
    spooled: int = 0  # frames that went over a spool


# Bare ffmpeg


def bare(
    ffmpeg: str, folder: Path, cameras: int, speed: float, settings: argparse.Namespace
) -> Costs:
    """Encode the same frames with as many bare ffmpeg processes at once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [ffmpeg, *arguments(crf=settings.crf, preset=settings.preset)]
    command[command.index("-i") : command.index("-i")] = ["-readrate", f"{speed:g}"]
    children = []
    for number in range(cameras):
        with (
            (folder / "frames.mkv").open("rb") as source,
            (folder / f"bare-{number}.flv").open("wb") as target,
        ):
            children.append(subprocess.Popen(command, stdin=source, stdout=target))
    if any(child.wait() for child in children):
        raise SystemExit("bare ffmpeg failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Costs(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def write_matroska(path: Path, jpegs: list[bytes]) -> None:
    """Write what the bare ffmpeg reads."""
    frames = [(i * STEP_MS, jpeg) for i, jpeg in enumerate(jpegs)]
    path.write_bytes(_matroska_header(800, 600) + b"".join(_cluster(frames)))


# The recorder, in a process of its own


class Joint(Owner):
    """Joins gateway and recorder as Home Assistant's side does."""

    def __init__(self, recorder: Recorder) -> None:
        """Keep the recorder."""
        self.recorder = recorder
        self.last: dict[str, float] = {}
        self.frames = 0

    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Hand a frame on."""
        self.frames += 1
        if frame.flags & FLAG_LAST:
            self.last[camera.id] = time.monotonic()
        return self.recorder.add_frame(frame, reason="pir")

    def persisted(self, camera_id: str, boot: int) -> int:
        """Ask the recorder."""
        return self.recorder.persisted(camera_id, boot)

    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """Hand it on."""
        self.recorder.end_event(camera.id, boot, event, lost=lost)

    def motion_changed(self, *_: object) -> None:
        """Nothing to do."""


async def record(
    folder: Path, cameras: int, ffmpeg: str, settings: argparse.Namespace
) -> Costs:
    """Be the recording process: say where to connect, record one event of each camera, say what it cost."""
    config = RecordingSettings(
        root=folder / "media",
        index=folder / "index.db",
        ffmpeg=ffmpeg,
        time_zone=ZoneInfo("Europe/Berlin"),
        crf=settings.crf,
        preset=settings.preset,
        max_encoders=cameras,
        free_space_floor=0,
    )
    latencies: list[float] = []
    done = asyncio.Event()

    def hear(notice: RecorderNotice) -> None:
        if isinstance(notice, ClipReady):
            latencies.append(time.monotonic() - joint.last[notice.event.camera])
            if len(latencies) == cameras:
                done.set()

    library = Library(config)
    await library.open()
    recorder = Recorder(config, library, on_event=hear)
    joint = Joint(recorder)
    await recorder.start()
    authority = await asyncio.to_thread(Authority.load_or_create, folder / "tls")
    registry = Registry(Forgetful())
    await registry.load()
    gateway = Gateway(
        authority=authority,
        registry=registry,
        delegate=joint,
        settings=GatewaySettings(host="127.0.0.1", port=0),
        version="0",
    )
    await gateway.start()
    tokens = {
        camera: gateway.issue_token(camera, data={})
        for camera in map(camera_id, range(cameras))
    }
    say(
        {
            "port": gateway.port,
            "ca": authority.ca_pem,
            "name": authority.server_name,
            "tokens": tokens,
        }
    )
    await asyncio.to_thread(sys.stdin.readline)  # all cameras are connected
    before, own, wrote, base = (
        cpu_seconds(),
        time.process_time(),
        written(),
        memory("VmRSS"),
    )
    reset_peak()
    say({"ready": True})
    await done.wait()
    peak = memory("VmHWM")
    await gateway.stop()
    await recorder.stop()
    await library.close()
    return Costs(
        cpu=cpu_seconds() - before,
        own=time.process_time() - own,
        latencies=latencies,
        written=written() - wrote,
        kept=sum(
            path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file() and "tls" not in path.parts
        ),
        memory=peak - base,
        frames=recorder.stats.frames,
        spooled=recorder.stats.spooled_ever,
    )


def written() -> int:
    """Return the bytes that this process had the kernel write to disks."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


# The cameras


async def stream(
    number: int,
    url: str,
    facts: dict[str, Any],
    jpegs: list[bytes],
    pace_s: float,
    begin: Awaitable[object],
    ready: Callable[[], None],
) -> None:
    """Be a camera: register, connect, and send one event."""
    import ssl  # noqa: PLC0415

    context = ssl.create_default_context(cadata=facts["ca"])
    camera, name = camera_id(number), facts["name"]
    async with ClientSession(url, connector=TCPConnector(ssl=context)) as http:
        body = {
            "id": camera,
            "model": "bench",
            "fw": "1.0.0",
            "token": facts["tokens"][camera],
            "caps": CAPS,
        }
        async with http.post("/register", json=body, server_hostname=name) as response:
            key = (await response.json())["api_key"]
        async with http.ws_connect(
            "/ws",
            headers={"Authorization": f"Bearer {key}", "X-Camera-Id": camera},
            protocols=("magicpi.v1",),
            compress=0,
            server_hostname=name,
        ) as ws:
            await ws.send_json(
                {
                    "type": "hello",
                    "proto": 1,
                    "id": camera,
                    "fw": "1.0.0",
                    "model": "bench",
                    "boot": BOOT,
                    "reason": "pir",
                    "uptime_ms": 1000,
                    "rssi": -60,
                    "heap": 100_000,
                    "config_rev": 1,
                    "timing": {"wifi_ms": 1, "tls_ms": 1, "first_frame_ms": 1},
                    "backlog": 0,
                    "lost": 0,
                }
            )
            await ws.receive()
            ready()
            await begin
            clock = time.monotonic() + number * pace_s / len(facts["tokens"])
            for i, jpeg in enumerate(jpegs):
                header = FrameHeader(
                    version=1,
                    flags=FLAG_LAST if i == len(jpegs) - 1 else 0,
                    event=1,
                    seq=i + 1,
                    t=1000 + i * STEP_MS,
                    crc32=crc32(jpeg),
                    length=len(jpeg),
                )
                await ws.send_bytes(header.pack() + jpeg)
                clock += pace_s
                await asyncio.sleep(clock - time.monotonic())
            while not ws.closed:
                await ws.receive()


async def measured(
    folder: Path,
    cameras: int,
    pace_s: float,
    jpegs: list[bytes],
    ffmpeg: str,
    settings: argparse.Namespace,
) -> Costs:
    """Record in another process and send from this one."""
    async with child(
        *(__file__, "--worker", folder, cameras, ffmpeg),
        *("--crf", settings.crf, "--preset", settings.preset),
    ) as recorder:
        facts = await recorder.hear()
        begin = asyncio.get_running_loop().create_future()
        connected = asyncio.Semaphore(0)
        url = f"https://127.0.0.1:{facts['port']}"
        # A camera that fails ends them all.
        async with asyncio.TaskGroup() as tasks:
            for number in range(cameras):
                tasks.create_task(
                    stream(
                        number,
                        url,
                        facts,
                        jpegs,
                        pace_s,
                        asyncio.shield(begin),
                        connected.release,
                    )
                )
            for _ in range(cameras):
                await connected.acquire()
            await recorder.ask(go=True)
            begin.set_result(None)
            result = await recorder.hear()
    costs = Costs(**result)
    if costs.frames != cameras * len(jpegs):
        raise SystemExit(
            f"{costs.frames} of {cameras * len(jpegs)} frames were recorded"
        )
    return costs


def main() -> None:
    """Measure in turns and print."""
    default = Path(__file__).parents[3] / "shared" / "data" / "street-day"
    parser = command_line(
        "recorder",
        __doc__,
        cameras=("1,4,8", "numbers of cameras"),
        frames=(200, "of each camera's event"),
        rounds=(5, "medians are of so many"),
        ffmpeg=("ffmpeg",),
        crf=(23,),
        preset=("superfast",),
    )
    parser.add_argument(
        "--source",
        type=Path,
        default=default if default.is_dir() else None,
        help="a folder of 800x600 JPEGs; made ones without it",
    )
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.worker:
        folder, cameras, ffmpeg = settings.worker
        costs = asyncio.run(record(Path(folder), int(cameras), ffmpeg, settings))
        say(vars(costs))
        return
    jpegs = pictures(settings.source, settings.frames)
    numbers = [int(item) for item in settings.cameras.split(",")]
    found: dict[int, list[tuple[Costs, Costs]]] = {number: [] for number in numbers}
    with scratch("recorder") as place:
        write_matroska(place / "frames.mkv", jpegs)
        for round_number in range(settings.rounds):
            for number in numbers:
                pace_s = max(number / TOTAL_RATE, 1 / CAMERA_RATE)
                folder = place / f"{round_number}-{number}"
                folder.mkdir()

                def run_bare(number: int = number, pace_s: float = pace_s) -> Costs:
                    return bare(
                        settings.ffmpeg,
                        place,
                        number,
                        STEP_MS / 1000 / pace_s,
                        settings,
                    )

                def run_ours(
                    number: int = number, pace_s: float = pace_s, folder: Path = folder
                ) -> Costs:
                    return asyncio.run(
                        measured(
                            folder, number, pace_s, jpegs, settings.ffmpeg, settings
                        )
                    )

                # The first one finds another machine than the second one.
                if round_number % 2:
                    ours, alone = run_ours(), run_bare()
                else:
                    alone, ours = run_bare(), run_ours()
                found[number].append((alone, ours))
                print(
                    f"round {round_number + 1}, {number} cameras: bare {alone.cpu:.2f} s, recorder {ours.cpu:.2f} s (its own {ours.own:.2f}), "
                    f"clip after {max(ours.latencies):.2f} s, {ours.spooled} frames over the spool",
                    file=sys.stderr,
                )
    report(found, settings)


def report(
    found: dict[int, list[tuple[Costs, Costs]]], settings: argparse.Namespace
) -> None:
    """Print the table and write the figures."""
    figures: dict[str, float] = {}
    per = settings.frames / 1000
    print(
        "cameras  CPU ratio  (rounds)             CPU s per 1,000 frames  clip latency s  written/kept  MB/camera"
    )
    amplification, latency, peaks = [], [], []
    for number, rounds in found.items():
        ratios = [ours.cpu / alone.cpu for alone, ours in rounds]
        figures[f"cpu_ratio_n{number}"] = median(ratios)
        bare_cpu = median(alone.cpu for alone, _ in rounds) / number / per
        ours_cpu = median(ours.cpu for _, ours in rounds) / number / per
        latencies = [item for _, ours in rounds for item in ours.latencies]
        written_per_kept = median(ours.written / ours.kept for _, ours in rounds)
        peak = max(ours.memory for _, ours in rounds) / number / 1e6
        amplification.append(written_per_kept)
        latency.append(median(latencies))
        peaks.append(peak)
        print(
            f"{number:7}  {figures[f'cpu_ratio_n{number}']:9.3f}  {' '.join(f'{item:.2f}' for item in sorted(ratios)):<19}"
            f"  bare {bare_cpu:6.2f}, ours {ours_cpu:6.2f}  {median(latencies):5.2f}, max {max(latencies):4.2f}"
            f"  {written_per_kept:12.3f}  {peak:9.2f}"
        )
    figures["clip_latency_s"] = max(latency)
    figures["write_amplification"] = max(amplification)
    figures["rss_mb_per_camera"] = max(peaks)
    publish(settings, figures)


if __name__ == "__main__":
    main()
