"""The command line: cameras on this machine, until Ctrl-C."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
import json
import logging
from pathlib import Path
import random
import signal
import socket
import sys
import time
from typing import Any

from zeroconf import InterfaceChoice
from zeroconf.asyncio import AsyncZeroconf

from .arguments import make_parser
from .camera import VirtualCamera
from .life import LifeEvent
from .options import FIRMWARE, MODEL
from .sources import SourceError, open_source
from .store import Flash, new_camera_id

# Life events that come many times a second; printed only when asked for.
CHATTY = frozenset({"acked"})


def own_address() -> str:
    """Return the address of this machine that others in its network see."""
    with (
        suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        # Connecting a datagram socket only chooses an interface; nothing is sent.
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def id_at(first: str, at: int) -> str:
    """Return the id that comes `at` after the first."""
    number = (int(first.replace(":", ""), 16) + at) % (1 << 48)
    text = f"{number:012X}"
    return ":".join(text[at : at + 2] for at in range(0, 12, 2))


def choose_ids(arguments: argparse.Namespace) -> list[str]:
    """Return the cameras' ids: those asked for, those kept, new ones."""
    if arguments.id:
        return [id_at(arguments.id, at) for at in range(arguments.count)]
    kept = Flash.ids(arguments.state_dir) if arguments.state_dir else []
    kept = kept[: arguments.count]
    first = new_camera_id()
    return kept + [id_at(first, at) for at in range(arguments.count - len(kept))]


def make_cameras(
    arguments: argparse.Namespace, zeroconf: AsyncZeroconf | None, address: str
) -> list[VirtualCamera]:
    """Return the cameras that were asked for (blocking); raises SourceError."""
    shared = (
        open_source(arguments.source, loop=arguments.loop)
        if arguments.loop or (arguments.source and Path(arguments.source).is_dir())
        else None
    )
    return [
        VirtualCamera(
            name,
            source=shared or open_source(arguments.source),
            state_dir=arguments.state_dir,
            setup_code=arguments.setup_code,
            http_bind=arguments.host or address,
            http_port=arguments.port + at if arguments.port else 0,
            zeroconf=zeroconf,
            advertise_addresses=(address,),
            gateway=arguments.gateway,
            time_factor=arguments.time_factor,
            settings=dict(arguments.set),
            always_on=arguments.always_on,
            battery_pct=None if arguments.always_on else arguments.battery,
            model=arguments.model or MODEL,
            fw=arguments.fw or FIRMWARE,
            tail_s=arguments.tail,
            ota_result=arguments.ota_result,
        )
        for at, name in enumerate(choose_ids(arguments))
    ]


class Teller:
    """Prints what happens to cameras."""

    def __init__(self, *, as_json: bool, chatty: bool) -> None:
        """Choose the form."""
        self._as_json = as_json
        self._chatty = chatty

    def __call__(self, event: LifeEvent) -> None:
        """Print a life event; only the setup code of all secrets, which is made for that."""
        if event.name in CHATTY and not self._chatty:
            return
        if self._as_json:
            line = json.dumps(
                {
                    **event.data,
                    "at": int(time.time() * 1000),
                    "id": event.camera,
                    "event": event.name,
                },
                default=str,
            )
        elif event.name == "setup_opened":
            line = (
                f"{event.camera}  setup mode at http://{event.data['host']}:"
                f"{event.data['port']}/setup, setup code {event.data['code']}"
            )
        elif event.name == "state":
            return
        else:
            rest = ", ".join(
                f"{key} {value}"
                for key, value in event.data.items()
                if value is not None
            )
            line = f"{event.camera}  {event.name.replace('_', ' ')}  {rest}".rstrip()
        with suppress(BrokenPipeError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


async def move(camera: VirtualCamera, every: float, duration: float) -> None:
    """Let a camera see something now and then."""
    await camera.wait_event("welcome", timeout=86_400 * 365)
    await asyncio.sleep(random.uniform(0, min(1.0, every)))
    while True:
        camera.trigger_motion(duration)
        await asyncio.sleep(every)


def status_of(camera: VirtualCamera) -> dict[str, Any]:
    """Return state and counters."""
    counters = camera.counters
    return {
        "state": str(camera.state),
        **{
            name: value
            for name in counters.__dataclass_fields__
            if isinstance(value := getattr(counters, name), int)
        },
    }


async def obey(camera: VirtualCamera, words: Sequence[str]) -> None:
    """Do one line of standard input; raises ValueError for what is no command."""
    name, args = words[0], [*words[1:]]
    simple: dict[str, Callable[[], None]] = {
        "motion": lambda: camera.trigger_motion(float(args[0]) if args else 5.0),
        "button": camera.press_button,
        "reset": camera.factory_reset,
        "reboot": lambda: camera.reboot(args[0] if args else "watchdog"),  # type: ignore[arg-type]
        "cut": camera.cut_link,
        "stall": lambda: camera.stall(float(args[0])),
        "throttle": lambda: camera.throttle(float(args[0]) or None),
        "status": lambda: camera.emit("status", **status_of(camera)),
    }
    if name in simple:
        simple[name]()
    elif (name, args) == ("power", ["off"]):
        await camera.drop_power()
    elif (name, args) == ("power", ["on"]):
        await camera.start()
    else:
        raise ValueError(name)


async def listen(cameras: Sequence[VirtualCamera]) -> None:
    """Do what standard input says, until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            words = line.decode(errors="replace").split()
            chosen = [
                camera for camera in cameras if words and camera.id == words[0].upper()
            ]
            if chosen:
                words = words[1:]
            if not words:
                continue
            for camera in chosen or cameras:
                try:
                    await obey(camera, words)
                except (ValueError, IndexError, RuntimeError) as err:
                    camera.emit("not_understood", line=" ".join(words), error=str(err))
    finally:
        transport.close()


@asynccontextmanager
async def announcer(address: str | None) -> AsyncIterator[AsyncZeroconf | None]:
    """Yield mDNS on an address' interface, None where it is not wanted."""
    if address is None:
        yield None
        return
    zeroconf = AsyncZeroconf(
        interfaces=InterfaceChoice.Default if address == "0.0.0.0" else [address]
    )
    try:
        yield zeroconf
    finally:
        await zeroconf.async_close()


async def run(arguments: argparse.Namespace) -> int:
    """Run cameras until a signal comes or the time is over."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    advertised = arguments.advertise
    address = "127.0.0.1" if advertised is None else advertised or own_address()
    async with AsyncExitStack() as stack:
        zeroconf = await stack.enter_async_context(
            announcer(None if advertised is None else address)
        )
        cameras = await asyncio.to_thread(make_cameras, arguments, zeroconf, address)
        teller = Teller(as_json=arguments.print_json, chatty=arguments.all_events)
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(stopped.wait())]
        others: list[asyncio.Task[None]] = []
        for camera in cameras:
            camera.subscribe(teller)
            camera.throttle(arguments.throttle)
            stack.push_async_callback(camera.stop)
            await camera.start()
            ends.append(asyncio.create_task(camera.wait_until_broken()))
            if arguments.motion_every:
                others.append(
                    asyncio.create_task(
                        move(camera, arguments.motion_every, arguments.motion_duration)
                    )
                )
        if arguments.stdin:
            others.append(asyncio.create_task(listen(cameras)))
        try:
            await asyncio.wait(
                ends, timeout=arguments.duration, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in [*ends, *others]:
                task.cancel()
            await asyncio.gather(*ends, *others, return_exceptions=True)
    return 0


def main() -> int:
    """Do what the command line asks."""
    arguments = make_parser().parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if arguments.count < 1 or arguments.time_factor <= 0:
        sys.stderr.write("virtual-camera: --count and --time-factor are above zero\n")
        return 2
    try:
        return asyncio.run(run(arguments))
    except (SourceError, OSError) as err:
        sys.stderr.write(f"virtual-camera: {err}\n")
        return 1
