"""The demo's camera, two ways: written in Python, or the firmware run as a process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zeroconf.asyncio import AsyncZeroconf

from firmware_camera import (
    FirmwareCamera,
    FirmwareError,
    build_firmware,
    render_pictures,
)
from virtual_camera import FrameSource, LifeEvent, SentFrame, VirtualCamera, open_source

PICTURES = 600


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as the camera sent it."""

    last_frame_at: float  # loop time, s
    times_ms: list[int]
    numbers: list[int]


class DemoCamera(Protocol):
    """What the demo asks of a camera."""

    id: str

    @property
    def setup_code(self) -> str:
        """The code that claims it."""

    async def start(self) -> None:
        """Switch it on and wait for setup mode."""

    async def stop(self) -> None:
        """Switch it off."""

    async def wait_registered(self, timeout: float) -> None:
        """Wait until it has its key."""

    async def wait_asleep(self, timeout: float) -> None:
        """Wait until its motion sensor can wake it."""

    def trigger_motion(self, duration_s: float) -> None:
        """Let somebody walk by."""

    async def wait_sent(self, timeout: float) -> Sent:
        """Wait until the event that the motion began has been sent."""


class PythonDemoCamera:
    """The virtual camera within this process."""

    def __init__(self, camera: VirtualCamera) -> None:
        """Take a camera that is off."""
        self._camera = camera
        self._mark = 0
        self._last_frame_at = 0.0
        self.id = camera.id
        camera.subscribe(self._note)

    def _note(self, event: LifeEvent) -> None:
        if event.name == "event_ended":
            self._last_frame_at = asyncio.get_running_loop().time()

    @property
    def setup_code(self) -> str:
        """The code that claims it."""
        return self._camera.setup_code

    async def start(self) -> None:
        """Switch it on and wait for setup mode."""
        await self._camera.start()
        await self._camera.wait_state("setup")

    async def stop(self) -> None:
        """Switch it off."""
        await self._camera.stop()

    async def wait_registered(self, timeout: float) -> None:
        """Wait until it has its key."""
        await self._camera.wait_event("registered", timeout=timeout)

    async def wait_asleep(self, timeout: float) -> None:
        """Wait until its motion sensor can wake it."""
        await self._camera.wait_state("asleep", timeout=timeout)

    def trigger_motion(self, duration_s: float) -> None:
        """Let somebody walk by."""
        self._mark = self._camera.mark()
        self._camera.trigger_motion(duration_s)

    async def wait_sent(self, timeout: float) -> Sent:
        """Wait until the event that the motion began has been sent."""
        ended = await self._camera.wait_event(
            "event_ended", after=self._mark, timeout=timeout
        )
        await self._camera.wait_until(
            lambda: len(self._frames(ended)) >= ended.data["frames"],
            what="the last frame's sending",
            timeout=timeout,
        )
        frames = self._frames(ended)
        return Sent(
            self._last_frame_at,
            [frame.t for frame in frames],
            [frame.seq for frame in frames],
        )

    def _frames(self, ended: LifeEvent) -> list[SentFrame]:
        boot = self._camera.sent_frames[-1].boot if self._camera.sent_frames else 0
        return [
            frame
            for frame in self._camera.sent_frames
            if (frame.boot, frame.event) == (boot, ended.data["number"])
        ]


class FirmwareDemoCamera:
    """The firmware's own code, as a process."""

    def __init__(self, camera: FirmwareCamera, camera_id: str) -> None:
        """Take a camera that is off."""
        self._camera = camera
        self._mark = 0
        self._setup_code = ""
        self.id = camera_id

    @property
    def setup_code(self) -> str:
        """The code that claims it."""
        return self._setup_code

    async def start(self) -> None:
        """Switch it on and wait for setup mode."""
        await self._camera.start()
        setup = await self._camera.wait("setup", lambda line: bool(line["open"]))
        self._setup_code = setup["code"]

    async def stop(self) -> None:
        """Switch it off."""
        await self._camera.stop()

    async def wait_registered(self, timeout: float) -> None:
        """Wait until it has its key."""
        await self._camera.wait(
            "state", lambda line: line["state"] == "online", timeout=timeout
        )

    async def wait_asleep(self, timeout: float) -> None:
        """Wait until its motion sensor can wake it."""
        await self._camera.wait("sleep", after=self._mark, timeout=timeout)

    def trigger_motion(self, duration_s: float) -> None:
        """Let somebody walk by."""
        self._mark = self._camera.mark
        self._camera.command(f"motion {duration_s:g}")

    async def wait_sent(self, timeout: float) -> Sent:
        """Wait until the event that the motion began has been sent."""
        ended = await self._camera.wait(
            "event_ended", after=self._mark, timeout=timeout
        )
        at = asyncio.get_running_loop().time()
        frames = self._camera.captured(ended["event"], self._mark)
        return Sent(at, [time for time, _ in frames], [number for _, number in frames])


@asynccontextmanager
async def demo_camera(
    kind: str, address: str, source: FrameSource | str, folder: Path
) -> AsyncGenerator[DemoCamera]:
    """Build a camera that is announced at an address of this machine; end it at the end.

    Of what is no path the firmware makes its own pictures.
    """
    camera: DemoCamera
    if kind == "firmware":
        binary = await build_firmware()
        if isinstance(source, str):
            pictures = Path(source)
        else:
            pictures = folder / "pictures"
            await asyncio.to_thread(render_pictures, pictures, PICTURES)
        camera_id = "02:4D:50:00:00:01"
        camera = FirmwareDemoCamera(
            FirmwareCamera(
                binary,
                *("--source", pictures, "--id", camera_id, "--state", folder / "flash"),
                *("--http-bind", address, "--http-port", "0", "--advertise", address),
                *("--settle-ms", "0", "--battery", "4000"),
            ),
            camera_id,
        )
        try:
            yield camera
        finally:
            await camera.stop()
        return
    zeroconf = AsyncZeroconf(interfaces=[address])
    camera = PythonDemoCamera(
        VirtualCamera(
            source=open_source(source) if isinstance(source, str) else source,
            http_bind=address,
            zeroconf=zeroconf,
            advertise_addresses=(address,),
        )
    )
    try:
        yield camera
    finally:
        await camera.stop()
        await zeroconf.async_close()


__all__ = ["DemoCamera", "FirmwareError", "Sent", "demo_camera"]
