"""The demo's camera, two ways: written in Python, or the firmware run as a process."""

from abc import ABC, abstractmethod
import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import override

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


class DemoCamera(ABC):
    """What the demo asks of a camera."""

    id: str

    @property
    @abstractmethod
    def setup_code(self) -> str:
        """The code that claims it."""

    @abstractmethod
    async def start(self) -> None:
        """Switch it on and wait for setup mode."""

    @abstractmethod
    async def stop(self) -> None:
        """Switch it off."""

    @abstractmethod
    async def wait_registered(self, timeout: float) -> None:
        """Wait until it has its key."""

    @abstractmethod
    async def wait_asleep(self, timeout: float) -> None:
        """Wait until its motion sensor can wake it."""

    @abstractmethod
    def trigger_motion(self, duration_s: float) -> None:
        """Let somebody walk by."""

    @abstractmethod
    async def wait_sent(self, timeout: float) -> Sent:
        """Wait until the event that the motion began has been sent."""


class PythonDemoCamera(DemoCamera):
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
    @override
    def setup_code(self) -> str:
        return self._camera.setup_code

    @override
    async def start(self) -> None:
        await self._camera.start()
        await self._camera.wait_state("setup")

    @override
    async def stop(self) -> None:
        await self._camera.stop()

    @override
    async def wait_registered(self, timeout: float) -> None:
        await self._camera.wait_event("registered", timeout=timeout)

    @override
    async def wait_asleep(self, timeout: float) -> None:
        await self._camera.wait_state("asleep", timeout=timeout)

    @override
    def trigger_motion(self, duration_s: float) -> None:
        self._mark = self._camera.mark()
        self._camera.trigger_motion(duration_s)

    @override
    async def wait_sent(self, timeout: float) -> Sent:
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


class FirmwareDemoCamera(DemoCamera):
    """The firmware's own code, as a process."""

    def __init__(self, camera: FirmwareCamera, camera_id: str) -> None:
        """Take a camera that is off."""
        self._camera = camera
        self._mark = 0
        self._setup_code = ""
        self.id = camera_id

    @property
    @override
    def setup_code(self) -> str:
        return self._setup_code

    @override
    async def start(self) -> None:
        await self._camera.start()
        setup = await self._camera.wait("setup", lambda line: bool(line["open"]))
        self._setup_code = setup["code"]

    @override
    async def stop(self) -> None:
        await self._camera.stop()

    @override
    async def wait_registered(self, timeout: float) -> None:
        await self._camera.wait(
            "state", lambda line: line["state"] == "online", timeout=timeout
        )

    @override
    async def wait_asleep(self, timeout: float) -> None:
        await self._camera.wait("sleep", after=self._mark, timeout=timeout)

    @override
    def trigger_motion(self, duration_s: float) -> None:
        self._mark = self._camera.mark
        self._camera.command(f"motion {duration_s:g}")

    @override
    async def wait_sent(self, timeout: float) -> Sent:
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
