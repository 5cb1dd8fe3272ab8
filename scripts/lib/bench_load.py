"""What receiving costs: many virtual cameras over TLS from another process.

First the receive path alone: gateway, camera and session with a delegate that takes frames
as Home Assistant's side does but encodes nothing, beside a bare aiohttp WebSocket receiver
with the same certificate, TLS settings and sender. Both stay connected and are sent to in
turns, and what is compared is the CPU time that each process used per frame. On the loopback
a picture comes in one piece; so eight cameras send once more over a link that cuts it into
segments and is as fast as good Wi-Fi (in a network namespace; needs unshare, ip and tc).

Then a real Home Assistant: how late its loop is while 50 cameras are watched, its memory,
and twenty cameras that wake in the same instant and are recorded.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
import json
from pathlib import Path
import resource
import shutil
from statistics import median
import subprocess
import sys
import time
from typing import Any

from aiohttp import WSMsgType, web
from gateway import (
    Authority,
    Camera,
    Frame,
    Gateway,
    GatewaySettings,
    ListenerLimits,
    Registry,
)
from gateway.protocol import MAX_BINARY_BYTES

from benchmark import Forgetful, Owner, child, command_line, publish, say, scratch
from load import Fleet, percentile, rss_mb, sender, slope_per_min
from loop_watch.ticker import Ticker

LOADED = 50
WAKING = 20
WAKING_S = 6.0
WARM_UP_S = 2.0
LINKED = 8
# The loopback as a radio link: segments that fit into Ethernet's frames, and their pace.
LINK = (
    "ip link set lo up mtu 1500 && "
    "tc qdisc add dev lo root tbf rate 40mbit burst 3000 latency 400ms && "
    'exec "$@"'
)


# The receivers, each in a process of its own


class Delegate(Owner):
    """Takes frames as Home Assistant's side does, up to the recorder's door."""

    def __init__(self) -> None:
        """Have nothing yet."""
        self.frames = 0
        self._kept: dict[tuple[str, int], int] = {}
        self._reasons: dict[tuple[str, int, int], str] = {}

    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        """Count it, and call it persisted at once."""
        self.frames += 1
        if not frame.event:
            return False
        self._reasons.get((camera.id, frame.boot, frame.event))
        self._kept[camera.id, frame.boot] = frame.seq
        return True

    def persisted(self, camera_id: str, boot: int) -> int:
        """Return the last one."""
        return self._kept.get((camera_id, boot), 0)

    def motion_changed(
        self,
        camera: Camera,
        boot: int,
        event: int,
        active: bool,
        at_ms: int,
        source: str,
    ) -> None:
        """Remember the event's reason."""
        self._reasons = {(camera.id, boot, event): source}

    def event_ended(self, camera: Camera, boot: int, event: int, lost: int) -> None:
        """Forget the event's reason."""
        self._reasons.pop((camera.id, boot, event), None)


async def be_gateway(folder: Path) -> tuple[int, Callable[[], int]]:
    """Start the gateway; return its port and how many frames came."""
    registry = Registry(Forgetful(json.loads((folder / "cameras.json").read_text())))
    await registry.load()
    delegate = Delegate()
    gateway = Gateway(
        authority=Authority.load_or_create(folder / "tls"),
        registry=registry,
        delegate=delegate,
        settings=GatewaySettings(
            host="127.0.0.1",
            port=0,
            max_cameras=200,
            limits=ListenerLimits(per_address=64, burst=1000),
        ),
        version="0",
    )
    await gateway.start()
    return gateway.port, lambda: delegate.frames


async def be_bare(folder: Path) -> tuple[int, Callable[[], int]]:
    """Start a WebSocket server that throws away what it gets; return the same."""
    frames = 0

    async def receive(request: web.Request) -> web.WebSocketResponse:
        nonlocal frames
        ws = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_BINARY_BYTES + 1, protocols=("magicpi.v1",)
        )
        await ws.prepare(request)
        await ws.receive()
        await ws.send_json(
            {
                "type": "welcome",
                "time": int(time.time() * 1000),
                "config": None,
                "have": 0,
                "stay_awake_s": 0,
            }
        )
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                frames += 1
        return ws

    app = web.Application()
    app.router.add_get("/ws", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    context = Authority.load_or_create(folder / "tls").ssl_context()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return int(runner.addresses[0][1]), lambda: frames


async def serve(kind: str, folder: Path) -> None:
    """Be a receiver until the input ends."""
    start = be_gateway if kind == "gateway" else be_bare
    port, frames = await start(folder)
    ticker = Ticker()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    say({"port": port})
    while line := await reader.readline():
        order = json.loads(line)
        if order.get("tick"):
            ticker.start()
        late = ticker.take()
        if order.get("tick") is False:
            ticker.stop()
        used = resource.getrusage(resource.RUSAGE_SELF)
        say(
            {
                "cpu": used.ru_utime + used.ru_stime,
                "frames": frames(),
                "late_ms": late,
                "rss": rss_mb(),
            }
        )


# The receive path


class Totals:
    """What all runs together sent, kept and lost."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.sent = 0
        self.received = 0
        self.sessions_dropped = 0

    def add(self, counts: Mapping[str, int], received: int) -> None:
        """Add one fleet's."""
        self.sent += counts["captured"]
        self.received += received
        self.sessions_dropped += counts["closes"]


async def receive_path(
    folder: Path, cameras: int, settings: argparse.Namespace, totals: Totals
) -> dict[str, Any]:
    """Send to gateway and bare receiver in turns; return CPU per 1,000 frames of both, pair by pair."""
    folder.mkdir()
    authority = await asyncio.to_thread(Authority.load_or_create, folder / "tls")
    from fleet import stored_cameras  # noqa: PLC0415

    def fleet(port: int) -> Fleet:
        return Fleet(cameras, port, authority.ca_pem, authority.server_name)

    (folder / "cameras.json").write_text(
        json.dumps(fleet(0).with_keys(stored_cameras(cameras)))
    )
    kinds = ("bare", "gateway")
    async with AsyncExitStack() as stack:
        receivers, fleets = {}, []
        for kind in kinds:
            receivers[kind] = await stack.enter_async_context(
                child(__file__, "--receive", kind, folder)
            )
            fleets.append(fleet((await receivers[kind].hear())["port"]))
        senders = await stack.enter_async_context(
            sender(*fleets, source=settings.source)
        )

        async def once(kind: str, seconds: float) -> tuple[float, int, dict[str, int]]:
            before = await receivers[kind].ask()
            counts = await senders.ask(
                do="stream", group=kinds.index(kind), seconds=seconds, live=False
            )
            for _ in range(100):
                after = await receivers[kind].ask()
                if after["frames"] >= counts["captured"]:
                    break
                await asyncio.sleep(0.05)
            frames = after["frames"] - before["frames"]
            return (
                (after["cpu"] - before["cpu"]) / frames * 1000,
                after["frames"],
                counts,
            )

        for kind in kinds:
            await once(kind, WARM_UP_S)
        pairs: list[dict[str, float]] = []
        last: dict[str, tuple[float, int, dict[str, int]]] = {}
        for number in range(settings.pairs):
            pair = {}
            # The first one finds another machine than the second one.
            for kind in kinds if number % 2 else kinds[::-1]:
                last[kind] = await once(kind, settings.seconds)
                pair[kind] = last[kind][0]
            pairs.append(pair)
        for _cpu, received, counts in last.values():
            totals.add(counts, received)
        memory = {kind: (await receivers[kind].ask())["rss"] for kind in kinds}
    return {
        "ratio": median(pair["gateway"] / pair["bare"] for pair in pairs),
        "ratios": sorted(pair["gateway"] / pair["bare"] for pair in pairs),
        **{kind: median(pair[kind] for pair in pairs) for kind in kinds},
        "rss": memory["gateway"],
        "rss_bare": memory["bare"],
    }


async def over_link(scratch: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Run the receive path over a slower link; return its figures, none where there is no link."""
    figures = scratch / "link.json"
    command = [
        *("unshare", "--map-root-user", "--net", "sh", "-c", LINK, "sh"),
        *(sys.executable, __file__, "--without-home", "--json", figures),
        *(
            "--cameras",
            LINKED,
            "--pairs",
            settings.pairs,
            "--seconds",
            settings.seconds,
        ),
    ]
    if settings.source:
        command += ["--source", settings.source]
    try:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as err:
        print(f"\nNo link: {err}")
        return {}
    _, problem = await process.communicate()
    if process.returncode:
        print(f"\nNo link: {problem.decode().strip()}")
        return {}
    found: dict[str, Any] = json.loads(figures.read_text())
    return found


# Home Assistant


async def lateness(
    folder: Path, cameras: int, settings: argparse.Namespace, totals: Totals
) -> dict[str, Any]:
    """Compare how late Home Assistant's loop and the bare receiver's are under the same load."""
    from loaded_home import home_with_fleet, memory_over  # noqa: PLC0415

    folder.mkdir()
    async with AsyncExitStack() as stack:
        hass, fleet = await stack.enter_async_context(
            home_with_fleet(folder / "home", cameras)
        )
        shutil.copytree(hass.folder / ".storage" / "magicpi_nvr", folder / "tls")
        bare = await stack.enter_async_context(
            child(__file__, "--receive", "bare", folder)
        )
        port = (await bare.hear())["port"]
        senders = await stack.enter_async_context(
            sender(
                Fleet(cameras, port, fleet.ca, fleet.name),
                fleet,
                source=settings.source,
            )
        )

        async def turn(kind: str, seconds: float) -> list[float]:
            group = int(kind == "hass")
            if kind == "bare":
                await bare.ask(tick=True)
            else:
                await hass.ws("loop_watch/take")
            counts[kind] = await senders.ask(
                do="stream", group=group, seconds=seconds, live=True
            )
            late: list[float] = (
                (await bare.ask(tick=False))["late_ms"]
                if kind == "bare"
                else (await hass.ws("loop_watch/take"))["late_ms"]
            )
            return late

        counts: dict[str, dict[str, int]] = {}
        idle = []
        for _ in range(2):
            await hass.ws("loop_watch/take")
            await asyncio.sleep(settings.seconds)
            idle += (await hass.ws("loop_watch/take"))["late_ms"]
        for kind in ("bare", "hass"):
            await turn(kind, WARM_UP_S)
        pairs: list[dict[str, list[float]]] = []
        begin = time.monotonic()
        finished = asyncio.Event()
        watch = asyncio.create_task(memory_over(hass.pid, finished.is_set))
        number = 0
        while number < settings.pairs or time.monotonic() - begin < settings.memory_s:
            pair = {}
            for kind in ("bare", "hass") if number % 2 else ("hass", "bare"):
                pair[kind] = await turn(kind, settings.seconds)
            pairs.append(pair)
            number += 1
        finished.set()
        samples = await watch
        await asyncio.sleep(1)
        bare_state = await bare.ask()
        totals.add(counts["bare"], bare_state["frames"])
        stats = await hass.rest("GET", "/api/magicpi_nvr/stats")
        totals.add(
            counts["hass"],
            sum(camera["frames"] for camera in stats["cameras"].values()),
        )
        problems = hass.problems(
            ("WARNING", "ERROR", "CRITICAL"),
            ignore=[r"loop_watch", "has not been tested", "logging too frequently"],
        )
    # What a process does in its first third, it does once.
    samples = samples[len(samples) // 3 :]
    return {
        "p99_ratio": median(
            percentile(pair["hass"], 0.99) / percentile(pair["bare"], 0.99)
            for pair in pairs
        ),
        "idle": idle,
        "bare": [ms for pair in pairs for ms in pair["bare"]],
        "hass": [ms for pair in pairs for ms in pair["hass"]],
        "rss": [value for _, value in samples],
        "rss_slope": slope_per_min(samples),
        "problems": problems,
    }


async def waking(
    folder: Path, settings: argparse.Namespace, totals: Totals
) -> dict[str, Any]:
    """Have twenty sleeping cameras see motion in the same instant, and record it all."""
    from loaded_home import home_with_fleet, recorded_frames, round_trips  # noqa: PLC0415

    folder.mkdir()
    async with (
        home_with_fleet(folder / "home", WAKING, mains=False) as (hass, fleet),
        sender(fleet, source=settings.source) as senders,
    ):
        quiet_until = time.monotonic() + 5
        quiet = await round_trips(hass, lambda: time.monotonic() > quiet_until)
        begin = time.monotonic()
        work = asyncio.create_task(senders.ask(do="burst", group=0, seconds=WAKING_S))
        busy = await round_trips(hass, work.done)
        counts = await work
        acked_s = time.monotonic() - begin
        recorded = 0
        for _ in range(600):
            recorded = await asyncio.to_thread(recorded_frames, hass)
            if recorded >= counts["captured"]:
                break
            await asyncio.sleep(0.5)
        encoded_s = time.monotonic() - begin
    totals.add(counts, recorded)
    return {
        "sent": counts["captured"],
        "lost": counts["lost"],
        "recorded": recorded,
        "sessions_dropped": counts["closes"],
        "acked_s": acked_s,
        "encoded_s": encoded_s,
        "quiet": quiet,
        "busy": busy,
    }


def spread(values: Sequence[float]) -> str:
    """Return p50, p99 and the most."""
    return (
        f"p50 {percentile(values, 0.5):.1f}  p99 {percentile(values, 0.99):.1f}"
        f"  max {max(values):.1f}"
    )


async def measure(folder: Path, settings: argparse.Namespace) -> dict[str, Any]:
    """Run all parts, print as they come, return the figures."""
    totals = Totals()
    figures: dict[str, Any] = {}
    print(
        "cameras  CPU ratio  (pairs)                        CPU s per 1,000 frames      MB"
    )
    ratios = []
    for cameras in settings.cameras:
        found = await receive_path(
            folder / f"path-{cameras}", cameras, settings, totals
        )
        ratios.append(found["ratio"])
        figures[f"rx_cpu_ratio_n{cameras}"] = round(found["ratio"], 3)
        for kind in ("bare", "gateway"):
            figures[f"rx_cpu_s_per_1000_n{cameras}_{kind}"] = round(found[kind], 4)
        print(
            f"{cameras:7}  {found['ratio']:9.3f}  "
            f"{' '.join(f'{ratio:.2f}' for ratio in found['ratios']):<29}"
            f"  bare {found['bare']:.4f} gateway {found['gateway']:.4f}"
            f"  {found['rss']:.0f} (bare {found['rss_bare']:.0f})",
            flush=True,
        )
    # With one camera there is next to nothing to measure; the cost is that of many.
    if ratios:
        figures["rx_cpu_ratio"] = figures.get(f"rx_cpu_ratio_n{LOADED}", max(ratios))
    if not settings.without_home:
        if linked := await over_link(folder, settings):
            bare, ours = (
                linked[f"rx_cpu_s_per_1000_n{LINKED}_{kind}"]
                for kind in ("bare", "gateway")
            )
            figures["link_cpu_ratio"] = linked["rx_cpu_ratio"]
            figures["link_frames_lost"] = linked["frames_lost"]
            print(
                f"\n{LINKED} cameras over a link that cuts into segments: CPU ratio"
                f" {linked['rx_cpu_ratio']:.3f}, s per 1,000 frames bare {bare:.4f}"
                f" gateway {ours:.4f}, frames lost {linked['frames_lost']}",
                flush=True,
            )
        late = await lateness(folder / "late", LOADED, settings, totals)
        figures[f"loop_p99_ratio_n{LOADED}"] = round(late["p99_ratio"], 3)
        figures["rss_slope_mb_per_min"] = round(late["rss_slope"], 3)
        print(f"\nLateness of a 10 ms tick, {LOADED} cameras watched at 10 fps, ms:")
        print(f"  bare receiver             {spread(late['bare'])}")
        print(f"  Home Assistant            {spread(late['hass'])}")
        print(f"  Home Assistant, no load   {spread(late['idle'])}")
        print(f"  p99 ratio {late['p99_ratio']:.2f} (median of pairs)")
        print(
            f"  its memory {late['rss'][0]:.0f} to {late['rss'][-1]:.0f} MB,"
            f" slope {late['rss_slope']:+.2f} MB/min",
            flush=True,
        )
        for line in late["problems"][:10]:
            print(f"  logged: {line}")
        woken = await waking(folder / "waking", settings, totals)
        figures["waking_recorded_of_sent"] = round(woken["recorded"] / woken["sent"], 6)
        figures["waking_p99_ratio"] = round(
            percentile(woken["busy"], 0.99) / percentile(woken["quiet"], 0.99), 2
        )
        print(
            f"\n{WAKING} cameras wake in the same instant and send {WAKING_S:.0f} s each:"
        )
        print(
            f"  frames sent {woken['sent']}, recorded {woken['recorded']}, given up"
            f" {woken['lost']}, sessions dropped {woken['sessions_dropped']}"
        )
        print(
            f"  all acknowledged after {woken['acked_s']:.1f} s, all encoded after {woken['encoded_s']:.1f} s"
        )
        print(f"  UI round trip, quiet, ms  {spread(woken['quiet'])}")
        print(f"  UI round trip, waking     {spread(woken['busy'])}")
    figures["frames_sent"] = totals.sent
    figures["frames_lost"] = totals.sent - totals.received
    figures["sessions_dropped"] = totals.sessions_dropped
    print(
        f"\nframes sent {totals.sent}, lost {figures['frames_lost']},"
        f" sessions dropped {totals.sessions_dropped}"
    )
    return figures


def main() -> None:
    """Measure and print."""
    parser = command_line(
        "load",
        __doc__,
        seconds=(6.0, "of each turn"),
        pairs=(7, "turns of each kind"),
        memory_s=(60.0, "watch memory so long"),
        source=(None, "a folder of JPEGs to send"),
    )
    parser.add_argument(
        "--cameras",
        type=lambda text: [int(item) for item in text.split(",") if item],
        default=[1, 10, 50, 100],
        help="numbers of cameras (1,10,50,100); '' leaves out the receive path",
    )
    parser.add_argument(
        "--without-home", action="store_true", help="the receive path alone"
    )
    parser.add_argument("--receive", nargs=2, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.receive:
        asyncio.run(serve(settings.receive[0], Path(settings.receive[1])))
        return
    with scratch("load") as folder:
        publish(settings, asyncio.run(measure(folder, settings)))


if __name__ == "__main__":
    main()
