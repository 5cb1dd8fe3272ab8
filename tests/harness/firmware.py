"""The firmware as a camera of a real Home Assistant."""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
import json
from pathlib import Path
import random
from typing import Any

import av
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware_camera import FirmwareCamera, build_firmware, render_pictures
from home_assistant import HomeAssistantProcess, free_port, own_address, wait_until
from integration_setup import (
    DOMAIN,
    STEP_TIMEOUT,
    claim,
    claimed,
    discovered,
    entities_of,
    nvr_entry,
    write_entries,
)
from virtual_camera import read_frame_number

from .link import Link

MODEL = "MagicPi test board"
PICTURES = 240  # more than one event has
SLEEP_FACTOR = 200  # five minutes of sleep pass in 1.5 s
RING_KIB = 1536  # four seconds of pictures


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as it was captured or recorded."""

    at: int  # epoch ms
    number: int  # burned in


@dataclass(frozen=True, slots=True)
class Captured(Seen):
    """A picture that the camera captured."""

    event: tuple[int, int]  # boot and number
    link_ms: int  # how long the boot's first connection took to be ready


class FirmwareInstallation:
    """A Home Assistant with one camera, which is the firmware."""

    def __init__(
        self, hass: HomeAssistantProcess, camera: FirmwareCamera, id: str, link: Link
    ) -> None:
        """Take them while they run."""
        self.link = link
        self.hass = hass
        self.camera = camera
        self.id = id
        self.entities: dict[str, str] = {}

    async def claim(self) -> None:
        """Do what a person does with the discovered card."""
        setup = await self.camera.wait("setup", lambda line: bool(line["open"]))
        flow = (await discovered(self.hass, self.id))["flow_id"]
        await claim(self.hass, flow, setup["code"], "Front door")
        await self.camera.wait("state", lambda line: line["state"] == "online")
        await claimed(self.hass, flow)
        wanted = {"firmware", "stream_duration_s", "heartbeat_interval_s"}

        async def entities() -> dict[str, str] | None:
            found = await entities_of(self.hass, self.id)
            return found if wanted <= found.keys() else None

        found = await wait_until(entities, STEP_TIMEOUT, "the camera's entities")
        assert found
        self.entities = found

    async def enable(self, *keys: str) -> None:
        """Enable entities that are disabled at first; Home Assistant loads them after half a minute."""
        for key in keys:
            await self.hass.ws(
                "config/entity_registry/update",
                entity_id=self.entities[key],
                disabled_by=None,
            )
        for key in keys:
            await self.hass.wait_for_state(
                self.entities[key],
                lambda state: state["state"] != "unavailable",
                STEP_TIMEOUT,
            )

    async def switch(self, key: str, on: bool) -> None:
        """Change a setting that is on or off."""
        await self.hass.call_action(
            "switch",
            "turn_on" if on else "turn_off",
            {"entity_id": self.entities[key]},
        )

    async def draw_zones(self, *zones: dict[str, Any]) -> None:
        """Draw the camera's zones."""
        await self.hass.ws(
            "magicpi_nvr/zones/set", camera_id=self.id, zones=list(zones)
        )

    async def sleep_early(self) -> None:
        """Have the camera sent back to sleep when nothing is seen."""
        (entry,) = [
            entry
            for entry in await self.hass.ws("config_entries/get", domain=DOMAIN)
            if entry["title"] != "MagicPi NVR"
        ]
        path = "/api/config/config_entries/options/flow"
        flow = await self.hass.rest("POST", path, {"handler": entry["entry_id"]})
        done = await self.hass.rest(
            "POST", f"{path}/{flow['flow_id']}", {"when_nothing_seen": "stop_early"}
        )
        assert done["type"] == "create_entry", done

    async def configured(self, mark: int) -> int:
        """Wait until the camera has fetched its settings and sleeps; return the mark behind that."""
        config = await self.camera.wait("config", after=mark, timeout=STEP_TIMEOUT)
        return await self.asleep(self.after(config, mark))

    async def set_number(self, key: str, value: float) -> None:
        """Change a setting."""
        await self.hass.call_action(
            "number", "set_value", {"entity_id": self.entities[key], "value": value}
        )

    def after(self, line: dict[str, Any], mark: int) -> int:
        """Return the mark behind a line."""
        return self.camera.lines.index(line, mark) + 1

    async def asleep(self, mark: int) -> int:
        """Wait until the camera sleeps; return the mark behind that."""
        return self.after(
            await self.camera.wait("sleep", after=mark, timeout=STEP_TIMEOUT), mark
        )

    async def walk_by(self, mark: int, seconds: float) -> int:
        """Wake the camera by motion; return the mark behind its event and its going to sleep."""
        self.camera.command(f"motion {seconds:g}")
        ended = await self.camera.wait("event_ended", after=mark, timeout=STEP_TIMEOUT)
        return await self.asleep(self.after(ended, mark))

    async def stream(self, mark: int, seconds: float) -> int:
        """Wake the camera by motion; return the mark at which its event's first frames are acknowledged."""
        self.camera.command(f"motion {seconds:g}")
        wake = await self.camera.wait("event_started", after=mark, timeout=STEP_TIMEOUT)
        begun = await self.camera.wait(
            "acked", after=self.after(wake, mark), timeout=STEP_TIMEOUT
        )
        return self.after(begun, mark)

    async def capture(self, mark: int, count: int) -> None:
        """Wait until so many frames have been captured."""
        for _ in range(count):
            mark = self.after(await self.camera.wait("captured", after=mark), mark)

    def wakes(self, mark: int) -> list[str]:
        """Return by what the camera was woken since a mark, each time."""
        return [
            line["reason"]
            for line in self.camera.lines[mark:]
            if line["what"] == "boot" and line["reason"] in ("pir", "timer")
        ]

    def captured(self) -> tuple[list[Captured], list[Captured]]:
        """Return the frames of events in order of time: those that the camera sent, and those that its ring dropped.

        Their time is the camera's own, and the host's when that clock began: no line has to be read in time.
        """
        sent: list[Captured] = []
        dropped: list[Captured] = []
        boot: dict[int, Captured] = {}
        links = self._links_ms()
        number = booted_at = 0
        for line in [*self.camera.lines, {"what": "boot", "boot": 0, "booted_at": 0}]:
            if line["what"] == "captured" and line["event"]:
                boot[line["seq"]] = Captured(
                    booted_at + line["t"],
                    int(Path(line["source"]).stem),
                    (number, line["event"]),
                    links[number],
                )
            elif line["what"] == "lost":
                range_ = range(line["seq"], line["seq"] + line["frames"])
                dropped += (boot.pop(seq) for seq in range_ if seq in boot)
            elif line["what"] == "boot":
                sent += boot.values()
                boot.clear()
                number, booted_at = line["boot"], line["booted_at"]
        return sent, dropped

    def _links_ms(self) -> dict[int, int]:
        """Return for each boot the time from its first TLS connection to the gateway's welcome.

        The gateway learns the camera's clock from a message between these two, so its clock is wrong by that at most.
        """
        found: dict[int, int] = {}
        number = 0
        began: int | None = None
        for line in self.camera.lines:
            if line["what"] == "boot":
                number, began = line["boot"], None
            elif line["what"] == "tls" and began is None:
                began = line["at"]
            elif line["what"] == "state" and line["state"] == "online":
                if number not in found and began is not None:
                    found[number] = line["at"] - began
        return found

    async def events(self) -> list[dict[str, Any]]:
        """Return the recorded events, oldest first."""
        page = await self.hass.ws(
            "magicpi_nvr/events",
            camera_ids=[self.id],
            limit=500,
            nothing_seen="show",
        )
        return list(reversed(page["events"]))

    async def recorded(self) -> list[Seen]:
        """Decode all clips; return their frames."""
        seen: list[Seen] = []
        for event in await self.events():
            clip = await self.hass.rest("GET", event["clip"])
            with av.open(BytesIO(clip), "r") as video:
                for frame in video.decode(video=0):
                    assert frame.time is not None
                    seen.append(
                        Seen(
                            event["start"] + round(frame.time * 1000),
                            read_frame_number(frame.to_ndarray(format="gray")),
                        )
                    )
        return seen


def write_image(folder: Path, version: str) -> str:
    """Put a signed image into the folder of images; return its key as the camera takes it."""
    images = folder / DOMAIN / "firmware"
    images.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    (images / "own.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    image = f"MAGICPI-FW {version}\n".encode() + random.randbytes(200_000)
    manifest = {
        "board": MODEL,
        "version": version,
        "sha256": sha256(image).hexdigest(),
        "size": len(image),
        "signature": base64.b64encode(key.sign(image, ec.ECDSA(SHA256()))).decode(),
    }
    (images / "test.bin").write_bytes(image)
    (images / "test.json").write_text(json.dumps(manifest))
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


@asynccontextmanager
async def run_firmware(
    folder: Path,
    *arguments: str,
    draw: Callable[[Path], None] = lambda folder: render_pictures(folder, PICTURES),
    factor: int = SLEEP_FACTOR,
    options: dict[str, Any] | None = None,
) -> AsyncGenerator[FirmwareInstallation]:
    """Start Home Assistant, then switch the camera on."""
    address = own_address()
    binary = await build_firmware()
    pictures = folder / "pictures"
    draw(pictures)
    hass = HomeAssistantProcess(folder / "home")
    await hass.prepare()
    port = free_port()
    # Its usual port may be taken by another one on this machine
    network = {"port": port, "hosts": [address]}
    write_entries(hass.folder, nvr_entry(port, {"network": network, **(options or {})}))
    key = write_image(hass.folder, "0.2.0")
    # Other homes on this network may look for cameras, too
    camera_id = "02:4D:50:{:02X}:{:02X}:{:02X}".format(*random.randbytes(3))
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(Link(port, address))
        camera = FirmwareCamera(
            binary,
            *("--source", pictures, "--id", camera_id),
            *("--model", MODEL, "--fw", "0.1.0"),
            *("--state", folder / "flash", "--http-bind", address, "--http-port", "0"),
            *("--advertise", address, "--battery", "4000", "--ota-key", key),
            *("--time-factor", str(factor), "--ring-kib", str(RING_KIB)),
            *("--settle-ms", "0", "--radio-ms", "100"),
            *("--detour", str(link.port), *arguments),
        )
        await stack.enter_async_context(hass)
        stack.push_async_callback(camera.stop)
        await camera.start()
        yield FirmwareInstallation(hass, camera, camera_id, link)
