"""The main job, shown and checked: found, claimed, seen moving, recorded, played."""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import sys
import time
from typing import Any

from PIL import Image

from demo_camera import DemoCamera, FirmwareError, Sent, demo_camera
from home_assistant import (
    PASSWORD,
    ROOT,
    USERNAME,
    HomeAssistantError,
    HomeAssistantProcess,
    free_port,
    own_address,
    wait_until,
)
from integration_setup import DOMAIN, claim, claimed, discovered, entities_of
from scenery import NumberedFilm, film, front_door, parcel
from virtual_camera import SourceError, read_frame_number

NAME = "Front door"
AREA = "Entrance"
DASHBOARD = "magicpi-cameras"
GATEWAY_PORT = 3443
MOTION_S = 6.0
TAIL_S = 5
MOTION_EVERY_S = 60.0
STEP_TIMEOUT = 60.0
SLEEP_TIMEOUT = 120.0  # the firmware stays awake for a minute after it was claimed


class DemoError(Exception):
    """Something that keeps the demo from going on, in a sentence."""


class Steps:
    """Lines of progress, one per step, with their times."""

    def __init__(self) -> None:
        """Begin to count."""
        self.begin = time.monotonic()
        self.current = "start"

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a step; the caller says through the yielded function what came out."""
        self.current = name
        began = time.monotonic()
        facts: list[str] = []
        if sys.stdout.isatty():
            # The line that follows is longer and takes its place
            print(f"  [  ...  ] {name}", end="\r", flush=True)
        yield facts.append
        took = time.monotonic() - began
        fact = f": {', '.join(facts)}" if facts else ""
        print(f"  [{took:5.1f} s] {name}{fact}", flush=True)


def check_gateway_port() -> None:
    """Say in a sentence that the port is taken, before a camera finds out."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", GATEWAY_PORT))
        except OSError as err:
            raise DemoError(
                f"port {GATEWAY_PORT} is taken: end the other demo or Home Assistant that listens there"
            ) from err


class Demo:
    """One run of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the command line's options."""
        self.options = options
        self.steps = Steps()
        self.entities: dict[str, str] = {}
        self.clip: dict[str, Any] = {}

    async def run(self) -> None:
        """Show the main job; then stay up, unless it is to end."""
        async with self.shown() as (hass, camera):
            took = time.monotonic() - self.steps.begin
            print(f"\nThe main job works, from end to end, in {took:.0f} s.\n")
            print(f"  the clip       {self.clip['path']}")
            if not self.options.once:
                await self._stay_up(hass, camera)

    @asynccontextmanager
    async def shown(self) -> AsyncGenerator[tuple[HomeAssistantProcess, DemoCamera]]:
        """Show the main job step by step; what it made stays until the end."""
        async with AsyncExitStack() as stack:
            # Drawn while Home Assistant starts
            pictures = asyncio.create_task(asyncio.to_thread(film, front_door, parcel))
            hass = await self._start_home_assistant(stack)
            camera = await self._switch_camera_on(stack, await pictures)
            flow = await self._see_discovered(hass, camera)
            await self._claim(hass, camera, flow)
            await self._set_while_asleep(hass, camera)
            sent = await self._move(hass, camera, stack)
            await self._see_clip(hass, sent)
            await self._see_listed(hass)
            await self._see_asleep(hass, camera)
            await self._make_dashboard(hass)
            yield hass, camera

    async def _start_home_assistant(
        self, stack: AsyncExitStack
    ) -> HomeAssistantProcess:
        with self.steps.step("Home Assistant is up") as tell:
            folder: Path = self.options.folder
            if folder.exists():
                if not (folder / ".magicpi-demo").exists() and any(folder.iterdir()):
                    raise DemoError(
                        f"{folder} holds something else: name another folder"
                    )
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            (folder / ".magicpi-demo").touch()
            check_gateway_port()
            hass = HomeAssistantProcess(
                folder, port=self.options.port or free_port(), time_zone=_time_zone()
            )
            await stack.enter_async_context(hass)
            version = (await hass.rest("GET", "/api/config"))["version"]
            tell(f"version {version} at {hass.base_url}")
        return hass

    async def _switch_camera_on(
        self, stack: AsyncExitStack, pictures: Sequence[bytes]
    ) -> DemoCamera:
        with self.steps.step("the camera is in setup mode") as tell:
            address = self.options.advertise or own_address()
            camera = await stack.enter_async_context(
                demo_camera(
                    self.options.camera,
                    address,
                    self.options.source or NumberedFilm(pictures),
                    self.options.folder,
                )
            )
            await camera.start()
            tell(f"{camera.id}, setup code {camera.setup_code}")
        return camera

    async def _see_discovered(
        self, hass: HomeAssistantProcess, camera: DemoCamera
    ) -> str:
        with self.steps.step("discovered by zeroconf") as tell:
            flow = await discovered(hass, camera.id)
            tell(f'card "{flow["context"]["title_placeholders"]["name"]}"')
        return str(flow["flow_id"])

    async def _claim(
        self, hass: HomeAssistantProcess, camera: DemoCamera, flow: str
    ) -> None:
        with self.steps.step("claimed with its setup code") as tell:
            await claim(hass, flow, camera.setup_code, NAME)
            tell(f'as "{NAME}"')
        with self.steps.step("registered over TLS, its key received"):
            await camera.wait_registered(STEP_TIMEOUT)
            await claimed(hass, flow)
        with self.steps.step("its entities are there") as tell:
            self.entities = await wait_until(
                lambda: self._find_entities(hass, camera.id),
                STEP_TIMEOUT,
                "the entities",
            )
            await hass.wait_for_state(
                self.entities["status"],
                lambda state: state["state"] in ("awake", "streaming", "asleep"),
            )
            tell(f"{len(self.entities)} of them")

    async def _find_entities(
        self, hass: HomeAssistantProcess, camera_id: str
    ) -> dict[str, str]:
        """Return the camera's entities by their keys, once the main ones are there."""
        entities = await entities_of(hass, camera_id)
        main = {"camera", "event", "motion", "status", "stream_duration_s"}
        return entities if main <= entities.keys() else {}

    async def _set_while_asleep(
        self, hass: HomeAssistantProcess, camera: DemoCamera
    ) -> None:
        with self.steps.step("it goes to sleep"):
            await camera.wait_asleep(SLEEP_TIMEOUT)
            await hass.wait_for_state(self.entities["status"], "asleep", STEP_TIMEOUT)
        with self.steps.step("a setting waits while it sleeps") as tell:
            entity_id = self.entities["stream_duration_s"]
            await hass.call_action(
                "number", "set_value", {"entity_id": entity_id, "value": TAIL_S}
            )
            await hass.wait_for_state(
                entity_id, lambda state: bool(state["attributes"].get("pending"))
            )
            tell(f"record {TAIL_S} s after motion, pending")

    async def _move(
        self, hass: HomeAssistantProcess, camera: DemoCamera, stack: AsyncExitStack
    ) -> Sent:
        events = await stack.enter_async_context(watch_states(hass))
        with self.steps.step("motion seen"):
            camera.trigger_motion(MOTION_S)
            await events.wait(
                self.entities["motion"], lambda state: state["state"] == "on"
            )
        with self.steps.step("the setting is delivered and acknowledged"):
            await hass.wait_for_state(
                self.entities["stream_duration_s"],
                lambda state: not state["attributes"].get("pending"),
            )
        with self.steps.step("streaming, live picture untouched") as tell:
            pictures = await self._watch(hass, 10)
            tell(f"{pictures} JPEG frames seen live")
        with self.steps.step("the event is over") as tell:
            sent = await camera.wait_sent(STEP_TIMEOUT)
            tell(f"{len(sent.times_ms)} frames sent")
        with self.steps.step("recorded, clip_ready fired") as tell:
            at, state = await events.wait(
                self.entities["event"],
                lambda state: state["attributes"].get("event_type") == "clip_ready",
            )
            self.clip = state["attributes"]
            tell(f"{max(0.0, at - sent.last_frame_at):.2f} s after the last frame")
        return sent

    async def _watch(self, hass: HomeAssistantProcess, count: int) -> int:
        """Read frames of the live picture, as a browser would."""
        path = f"/api/camera_proxy_stream/{self.entities['camera']}"
        seen: set[bytes] = set()
        async with asyncio.timeout(STEP_TIMEOUT), hass.session.get(path) as response:
            response.raise_for_status()
            buffer = b""
            async for chunk in response.content.iter_any():
                buffer += chunk
                while (end := buffer.find(b"\xff\xd9")) >= 0:
                    start = buffer.find(b"\xff\xd8")
                    seen.add(buffer[start : end + 2])
                    buffer = buffer[end + 2 :]
                if len(seen) >= count:
                    break
        return len(seen)

    async def _see_clip(self, hass: HomeAssistantProcess, sent: Sent) -> None:
        with self.steps.step("the clip holds every frame") as tell:
            video = await self._download(hass, self.clip["clip_url"])
            target = self.options.folder / "clip.mp4"
            target.write_bytes(video)
            facts = await probe(target)
            stream = facts["streams"][0]
            if (stream["codec_name"], stream["pix_fmt"]) != ("h264", "yuv420p"):
                raise DemoError(
                    f"the clip is {stream['codec_name']} {stream['pix_fmt']}"
                )
            frames = int(stream["nb_read_packets"])
            times, count = sent.times_ms, len(sent.times_ms)
            if frames != count:
                raise DemoError(f"{count} frames were sent, {frames} are in the clip")
            if self.options.source is None:
                numbers = await burned_in_numbers(target, stream)
                if numbers != sent.numbers:
                    raise DemoError(f"the burned-in numbers are {numbers}")
                tell(f"burned-in numbers {numbers[0]} to {numbers[-1]}")
            duration = float(facts["format"]["duration"])
            span = (times[-1] - times[0]) / 1000
            if (
                abs(duration - span) > 0.2
                or abs(duration - self.clip["duration"]) > 0.2
            ):
                raise DemoError(
                    f"the event lasted {span:.2f} s, the clip {duration:.2f} s"
                )
            tell(f"{frames} of {count} frames, {duration:.2f} s, H.264 yuv420p")

    async def _download(self, hass: HomeAssistantProcess, path: str) -> bytes:
        """Open an address as a phone would: without a login."""
        async with hass.session.get(
            path, headers={"Authorization": ""}, skip_auto_headers=["Authorization"]
        ) as response:
            response.raise_for_status()
            return await response.read()

    async def _see_listed(self, hass: HomeAssistantProcess) -> None:
        with self.steps.step("listed and playable in the media browser") as tell:
            titles: list[str] = []
            content_id = f"media-source://{DOMAIN}"
            async with hass.websocket() as websocket:
                for wanted in (NAME, None, None):
                    node = await websocket.ask(
                        "media_source/browse_media", media_content_id=content_id
                    )
                    child = next(
                        child
                        for child in node["children"]
                        if wanted in (None, child["title"])
                        and (titles == [] or child["can_expand"] or child["can_play"])
                        and (
                            len(titles) < 2
                            or self.clip["event_id"] in child["media_content_id"]
                        )
                    )
                    titles.append(child["title"])
                    content_id = child["media_content_id"]
                media = await websocket.ask(
                    "media_source/resolve_media", media_content_id=content_id
                )
            headers = {"Range": "bytes=0-1023"}
            async with hass.session.get(media["url"], headers=headers) as response:
                start = await response.read()
                if response.status != 206 or start[4:8] != b"ftyp":
                    raise DemoError(f"{media['url']} answers {response.status}")
            tell(" > ".join(titles))

    async def _see_asleep(self, hass: HomeAssistantProcess, camera: DemoCamera) -> None:
        with self.steps.step("the camera sleeps, its last picture stays"):
            await hass.wait_for_state(self.entities["status"], "asleep", STEP_TIMEOUT)
            picture = await hass.rest(
                "GET", f"/api/camera_proxy/{self.entities['camera']}"
            )
            if not picture.startswith(b"\xff\xd8"):
                raise DemoError("there is no last picture")

    async def _make_dashboard(self, hass: HomeAssistantProcess) -> None:
        with self.steps.step("its dashboard is there") as tell:
            area = await hass.ws("config/area_registry/create", name=AREA)
            for row in await hass.ws("config/entity_registry/list"):
                if row["entity_id"] == self.entities["camera"]:
                    await hass.ws(
                        "config/device_registry/update",
                        device_id=row["device_id"],
                        area_id=area["area_id"],
                    )
            strategy = {"type": "custom:magicpi-cameras"}
            await hass.save_dashboard(
                DASHBOARD, {"strategy": strategy}, title="MagicPi cameras"
            )
            tell(f"{hass.base_url}/{DASHBOARD}")

    async def _stay_up(self, hass: HomeAssistantProcess, camera: DemoCamera) -> None:
        print(f"  Home Assistant {hass.base_url}")
        print(f"  its cameras    {hass.base_url}/{DASHBOARD}")
        print(f"  login          {USERNAME} / {PASSWORD}")
        print(
            f"\nSomebody walks by every {MOTION_EVERY_S:.0f} s. Ctrl-C ends it.",
            flush=True,
        )
        while True:
            await asyncio.sleep(MOTION_EVERY_S)
            camera.trigger_motion(MOTION_S)


class StateWatch:
    """Changes of states as they come, each with the time it came."""

    def __init__(self) -> None:
        """Begin with none."""
        self._changes: list[tuple[float, dict[str, Any]]] = []
        self._news = asyncio.Event()

    def add(self, state: dict[str, Any]) -> None:
        """Keep a change."""
        self._changes.append((time.monotonic(), state))
        self._news.set()

    async def wait(
        self, entity_id: str, wanted: Callable[[dict[str, Any]], bool]
    ) -> tuple[float, dict[str, Any]]:
        """Return the first change of an entity that is wanted, and when it came."""
        seen = 0
        async with asyncio.timeout(STEP_TIMEOUT):
            while True:
                for at, state in self._changes[seen:]:
                    seen += 1
                    if state["entity_id"] == entity_id and wanted(state):
                        return at, state
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watch_states(hass: HomeAssistantProcess) -> AsyncGenerator[StateWatch]:
    """Watch all states until the end."""
    watch = StateWatch()
    async with hass.websocket() as websocket:
        await websocket.ask("subscribe_events", event_type="state_changed")

        async def read() -> None:
            while True:
                event = await websocket.event(timeout=3600)
                if state := event["data"]["new_state"]:
                    watch.add(state)

        task = asyncio.create_task(read())
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.wait([task])


def _time_zone() -> str:
    """Return this machine's time zone, so that the demo's times are the reader's."""
    if zone := os.environ.get("TZ"):
        return zone.lstrip(":")
    target = os.path.realpath("/etc/localtime")
    return target.partition("zoneinfo/")[2] or "UTC"


async def _output(*command: str | Path) -> bytes:
    """Return what a program prints; raises DemoError with its complaint."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as err:
        raise DemoError(
            f"{command[0]} is missing: install your system's ffmpeg"
        ) from err
    out, complaint = await process.communicate()
    if process.returncode:
        raise DemoError(f"{command[0]}: {complaint.decode()[-300:]}")
    return out


async def probe(video: Path) -> dict[str, Any]:
    """Return what ffprobe, or where it is missing PyAV, says of a file."""
    if not shutil.which("ffprobe"):
        return await asyncio.to_thread(_probe_with_av, video)
    out = await _output(
        *("ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format"),
        *("-of", "json", video),
    )
    facts: dict[str, Any] = json.loads(out)
    return facts


def _probe_with_av(video: Path) -> dict[str, Any]:
    """Read the same facts with the library that Home Assistant brings."""
    import av  # noqa: PLC0415

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        facts = {
            "codec_name": stream.codec_context.name,
            "pix_fmt": stream.codec_context.pix_fmt,
            "width": stream.width,
            "height": stream.height,
        }
        facts["nb_read_packets"] = sum(
            1 for packet in container.demux(stream) if packet.size
        )
        duration = (container.duration or 0) / av.time_base
    return {"streams": [facts], "format": {"duration": duration}}


async def burned_in_numbers(video: Path, stream: dict[str, Any]) -> list[int]:
    """Decode a clip and read the number in each of its pictures."""
    width, height = stream["width"], stream["height"]
    raw = await _output(
        *("ffmpeg", "-v", "error", "-i", video, "-fps_mode", "passthrough"),
        *("-f", "rawvideo", "-pix_fmt", "gray", "-"),
    )
    size = width * height

    def read() -> list[int]:
        return [
            read_frame_number(
                Image.frombytes("L", (width, height), raw[at : at + size])
            )
            for at in range(0, len(raw), size)
        ]

    return await asyncio.to_thread(read)


async def run(demo: Demo) -> int:
    """Run the demo until it ends or is ended; return the exit code."""
    task = asyncio.ensure_future(demo.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("\nended")
        return 0 if demo.clip and not demo.options.once else 130
    except (
        DemoError,
        FirmwareError,
        HomeAssistantError,
        SourceError,
        TimeoutError,
        OSError,
    ) as err:
        reason = str(err) or type(err).__name__
        print(f'\nfailed at "{demo.steps.current}": {reason}', file=sys.stderr)
        log = demo.options.folder / "hass.log"
        if log.exists():
            print(f"Home Assistant's log: {log}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="check each step and end")
    parser.add_argument(
        "--port", type=int, help="Home Assistant's port (one that is free)"
    )
    parser.add_argument("--source", help="pictures: a folder of JPEGs or a video file")
    parser.add_argument(
        "--camera",
        choices=("python", "firmware"),
        default="python",
        help="which virtual camera",
    )
    parser.add_argument(
        "--advertise", help="this machine's address for mDNS (found by itself)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / ".demo",
        help="Home Assistant's folder, made again",
    )
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    print("MagicPi NVR: found, claimed, streaming, recorded, played\n", flush=True)
    return asyncio.run(run(Demo(options)))


if __name__ == "__main__":
    sys.exit(main())
