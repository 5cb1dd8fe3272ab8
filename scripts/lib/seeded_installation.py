"""An installation to look at: a real Home Assistant, a camera that waits to be claimed, and one with a past.

What the browser tests and the screenshots play on::

    async with SeededInstallation(folder) as seeded:
        await seeded.claim(seeded.front_door, "Front door")

The camera with a past is called "Garden". It was claimed long ago, recorded a few days and
did not come back: Home Assistant finds its key, its entry and its recordings when it starts.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
import random
import subprocess
import sys
from typing import Any, Self
from zoneinfo import ZoneInfo

import av
from zeroconf.asyncio import AsyncZeroconf

from home_assistant import (
    COMPONENT,
    HomeAssistantProcess,
    free_port,
    own_address,
    wait_until,
    write_store,
)
from integration_setup import (
    DOMAIN,
    STEP_TIMEOUT,
    claim,
    claimed,
    config_entry,
    discovered,
    entities_of,
    nvr_entry,
    write_entries,
)
from virtual_camera import FrameSource, GeneratedSource, VirtualCamera, make_picture

# The packages that know nothing of Home Assistant run alone
sys.path.append(str(COMPONENT))

from recording.hourfile import Claims, HourFileWriter, Sample, SegmentHeader
from recording.hourfile.boxes import TICKS_PER_MS, VideoConfig
from recording.library.layout import HourPath, event_id
from recording.library.notes import Note, write_notes
from recording.model import Detection, Findings

TIME_ZONE = "Europe/Berlin"
IDS = "02:4D:50:{:02X}:{:02X}:{:02X}"
FPS = 5
KEY_EVERY = 10  # pictures
HOUR_MS = 3_600_000
BUSY_DAY = 2  # days ago
CALM_DAY = 1
PATH = [[0.42, 0.42], [0.72, 0.42], [0.9, 1], [0.2, 1]]
LAWN = [[0, 0.55], [1, 0.55], [1, 1], [0, 1]]


@dataclass(frozen=True)
class Film:
    """Pictures, and the video that they became."""

    pictures: Sequence[bytes]
    config: VideoConfig
    samples: tuple[tuple[bytes, bool], ...]

    @classmethod
    def encode(cls, folder: Path, pictures: Sequence[bytes]) -> Film:
        """Encode JPEGs as a recorder would (blocking)."""
        path = folder / "film.mp4"
        subprocess.run(
            [
                *("ffmpeg", "-v", "error", "-y", "-f", "image2pipe", "-framerate"),
                *(str(FPS), "-c:v", "mjpeg", "-i", "-", "-c:v", "libx264"),
                *("-preset", "veryfast", "-crf", "24", "-bf", "0", "-g"),
                *(str(KEY_EVERY), "-sc_threshold", "0", "-pix_fmt", "yuv420p"),
                str(path),
            ],
            input=b"".join(pictures),
            check=True,
        )
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            samples = tuple(
                (bytes(packet), packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size
            )
            codec = stream.codec_context
            config = VideoConfig(bytes(codec.extradata), codec.width, codec.height)
        path.unlink()
        return cls(pictures, config, samples)


def write_day(
    root: Path, camera: str, film: Film, starts_ms: Iterable[int], frames: int
) -> int:
    """Write events of so many pictures into hour files, as a recorder does; return their number."""
    writer: HourFileWriter | None = None
    claims = Claims()
    number = 0
    duration = 1000 // FPS * TICKS_PER_MS
    keys = range(0, len(film.samples) - frames + 1, KEY_EVERY)
    for number, start_ms in enumerate(sorted(starts_ms), 1):
        hour = HourPath.at(camera, start_ms, ZoneInfo(TIME_ZONE))
        path = root / hour.relative
        if writer is None or writer.path != path:
            if writer:
                writer.close()
            writer = HourFileWriter(path, film.config, claims)
            writer.open()
        boot = start_ms // 86_400_000
        name = event_id(camera, boot, number)
        writer.begin_segment(
            SegmentHeader(
                id=name,
                camera=camera,
                start_ms=start_ms,
                reason="motion",
                boot=boot,
                event=number,
                number=0,
                t=1000,
            )
        )
        first = keys[number % len(keys)]
        samples = film.samples[first : first + frames]
        writer.append(
            [Sample(data, duration, key) for data, key in samples],
            first_seq=1,
            last_seq=frames,
            offset=0,
        )
        writer.end_segment(lost=0)
        picture = film.pictures[first + frames // 2]
        (root / hour.thumbnail(name)).write_bytes(picture)
    if writer:
        writer.close()
    return number


def spread(day: date, count: int, length_ms: int, *, seed: int = 1) -> list[int]:
    """Return when events of a day began: more by day than by night, none in another."""
    zone = ZoneInfo(TIME_ZONE)
    begin = int(datetime.combine(day, time(), zone).timestamp() * 1000)
    end = int(datetime.combine(day + timedelta(1), time(), zone).timestamp() * 1000)
    slots = (end - begin) // (length_ms + 1000)
    rng = random.Random(seed)
    weights = [
        0.15 + max(0.0, 1 - abs(at / slots * 24 - 14) / 8) for at in range(slots)
    ]
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen |= set(rng.choices(range(slots), weights, k=count - len(chosen)))
    return [begin + slot * (length_ms + 1000) for slot in chosen]


class SeededInstallation:
    """A Home Assistant with a past, from its first start to its end."""

    def __init__(
        self,
        folder: Path,
        *,
        source: FrameSource | None = None,
        films: tuple[Sequence[bytes], Sequence[bytes]] | None = None,
        late: bool = True,
        busy: int = 2000,
        calm: int = 60,
        **options: Any,
    ) -> None:
        """Say what it is to be.

        Args:
            folder: Where it lives.
            source: What the front door's camera sees.
            films: Pictures that the front door's and the garden's camera took earlier.
            late: Whether the garden's camera has not been seen for more than a day.
            busy: Events of the garden's busy day.
            calm: Events of each camera's calm day.
            options: More options of the front door's camera.

        """
        self.hass = HomeAssistantProcess(folder, time_zone=TIME_ZONE)
        self.address = own_address()
        self.port = free_port()
        # Other homes on this network may look for cameras, too
        place = random.randrange(256), random.randrange(256)
        self.front_door_id = IDS.format(*place, 1)
        self.garden_id = IDS.format(*place, 2)
        self.shed_id = IDS.format(*place, 3)
        self.front_door: VirtualCamera
        self._source = source
        self._films = films
        self._late = late
        self._busy = busy
        self._calm = calm
        self._options = options
        self._stack = AsyncExitStack()
        self._zeroconf: AsyncZeroconf

    async def __aenter__(self) -> Self:
        """Prepare everything and start it; the front door's camera waits in setup mode."""
        await self.hass.prepare()
        await asyncio.to_thread(self._write_past)
        async with self._stack:
            await self._stack.enter_async_context(self.hass)
            self._zeroconf = AsyncZeroconf(interfaces=[self.address])
            self._stack.push_async_callback(self._zeroconf.async_close)
            self.front_door = await self.add_camera(
                self.front_door_id, self._source, **self._options
            )
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self._stack.aclose()

    async def add_camera(
        self, id: str, source: FrameSource | None = None, **options: Any
    ) -> VirtualCamera:
        """Switch on a camera that nobody has claimed."""
        camera = VirtualCamera(
            id,
            source=source or GeneratedSource(),
            http_bind=self.address,
            zeroconf=self._zeroconf,
            advertise_addresses=(self.address,),
            **options,
        )
        self._stack.push_async_callback(camera.stop)
        await camera.start()
        await camera.wait_state("setup")
        return camera

    @staticmethod
    def day(days_ago: int) -> date:
        """Return the date of a day at home."""
        return datetime.now(ZoneInfo(TIME_ZONE)).date() - timedelta(days_ago)

    def _write_past(self) -> None:
        """Write what an earlier life would have left."""
        root = self.hass.media / DOMAIN
        root.mkdir(parents=True, exist_ok=True)
        if self._films:
            front_door, garden = self._films
            film = Film.encode(self.hass.folder, front_door)
            self._write_calm_day(root, self.front_door_id, film, seed=2)
        else:
            garden = [
                make_picture(number, resolution="VGA", caption="Garden", seed=5)
                for number in range(60)
            ]
        film = Film.encode(self.hass.folder, garden)
        self._write_calm_day(root, self.garden_id, film, seed=3)
        starts = spread(self.day(BUSY_DAY), self._busy, 5000 // FPS)
        write_day(root, self.garden_id, film, starts, 5)
        last = self.hass.folder / ".storage" / DOMAIN / "last"
        last.mkdir(parents=True)
        name = self.garden_id.replace(":", "-")
        (last / f"{name}.jpg").write_bytes(garden[len(garden) // 2])
        self._write_entries()

    def _write_calm_day(self, root: Path, camera: str, film: Film, seed: int) -> None:
        """Write events of ten seconds."""
        frames = 10 * FPS
        starts = spread(self.day(CALM_DAY), self._calm, 10_000, seed=seed)
        write_day(root, camera, film, starts, frames)

    def _write_entries(self) -> None:
        """Write the entries of the NVR and of the garden's camera, and what is known of it."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        seen_ms = now_ms - (31 if self._late else 0.4) * HOUR_MS
        write_entries(
            self.hass.folder,
            nvr_entry(self.port),
            config_entry(
                "Garden",
                self.garden_id.lower(),
                data={
                    "host": self.address,
                    "id": self.garden_id,
                    "model": "ESP32-CAM",
                },
            ),
        )
        write_store(
            self.hass.folder,
            f"{DOMAIN}.cameras",
            {
                "cameras": {
                    self.garden_id: {
                        "key_hash": "0" * 64,
                        "name": "Garden",
                        "model": "ESP32-CAM",
                        "fw": "1.0.0",
                        "caps": {
                            "resolutions": ["QVGA", "VGA", "SVGA"],
                            "psram": 4194304,
                            "battery": True,
                            "flash": True,
                            "motion": ["pir"],
                            "sleep": True,
                            "ota": True,
                        },
                        "address": self.address,
                        "last_seen_ms": int(seen_ms),
                        "next_check_in_ms": int(seen_ms + HOUR_MS),
                        "interval_s": 3600,
                        "late_since_ms": int(seen_ms + HOUR_MS) if self._late else None,
                        "telemetry": {
                            "rssi": -67,
                            "battery_pct": 4 if self._late else 82,
                        },
                    }
                }
            },
        )

    # What people do, without a browser

    async def discovered(self, camera: VirtualCamera) -> str:
        """Wait until a camera has its card; return its flow."""
        return str((await discovered(self.hass, camera.id))["flow_id"])

    async def device(self, camera_id: str) -> dict[str, Any] | None:
        """Return a camera's device, if it has one."""
        for device in await self.hass.ws("config/device_registry/list"):
            if [DOMAIN, camera_id] in device["identifiers"]:
                found: dict[str, Any] = device
                return found
        return None

    async def entry_titled(self, title: str) -> str | None:
        """Return the id of the entry with this title, if there is one."""
        entries = await self.hass.ws("config_entries/get", domain=DOMAIN)
        found = (str(item["entry_id"]) for item in entries if item["title"] == title)
        return next(found, None)

    async def entry(self, title: str) -> str:
        """Return the id of the entry with this title."""
        entry = await self.entry_titled(title)
        assert entry
        return entry

    async def claim(self, camera: VirtualCamera, name: str) -> None:
        """Claim a camera and wait until it has its entities."""
        flow = await self.discovered(camera)
        await claim(self.hass, flow, camera.setup_code, name)
        await claimed(self.hass, flow)
        await self.registered(camera)

    async def registered(self, camera: VirtualCamera) -> None:
        """Wait until a claimed camera has its entities."""
        await camera.wait_event("registered", timeout=STEP_TIMEOUT)
        await wait_until(
            lambda: self.entity(camera.id, "camera"),
            STEP_TIMEOUT,
            "the camera's entity",
        )

    async def entity(self, camera_id: str, key: str) -> str | None:
        """Return the entity id of a camera's `camera`, `stream_duration_s`, ..."""
        return (await entities_of(self.hass, camera_id)).get(key)

    async def end_soon(self, camera: VirtualCamera) -> None:
        """Let the camera's events end soon after the motion."""
        entity = await self.entity(camera.id, "stream_duration_s")
        await self.hass.call_action(
            "number", "set_value", {"entity_id": entity, "value": 3}
        )
        camera.press_button()
        await camera.wait_until(
            lambda: camera.config["stream_duration_s"] == 3, what="the setting"
        )

    async def detected(self) -> None:
        """Say of the calm day's events what a detector might have found, and draw the zones that it names."""
        for camera, label, zone, points in (
            (self.front_door_id, "person", "Path", PATH),
            (self.garden_id, "animal", "Lawn", LAWN),
        ):
            await self.hass.ws(
                "magicpi_nvr/zones/set",
                camera_id=camera,
                zones=[{"name": zone, "kind": "watch", "points": points}],
            )
            page = await self.hass.ws(
                "magicpi_nvr/events",
                camera_ids=[camera],
                start=self._midnight_ms(CALM_DAY),
                end=self._midnight_ms(CALM_DAY - 1),
                limit=500,
            )
            await asyncio.to_thread(self._write_findings, page["events"], label, zone)
        await self.hass.call_action(DOMAIN, "rebuild_index")

    def _midnight_ms(self, days_ago: int) -> int:
        begin = datetime.combine(self.day(days_ago), time(), ZoneInfo(TIME_ZONE))
        return int(begin.timestamp() * 1000)

    def _write_findings(
        self, events: Sequence[dict[str, Any]], label: str, zone: str
    ) -> None:
        """Write the notes of all hours; of each seven events one shows nothing (blocking)."""
        hours: dict[Path, dict[str, Note]] = {}
        for number, event in enumerate(events):
            found = Detection(
                label=label,
                score=0.7,
                box=(0.4, 0.3, 0.2, 0.5),
                zones=(zone,),
                still=False,
                counts=True,
            )
            findings = (
                Findings(verdict="nothing_seen")
                if number % 7 == 6
                else Findings(verdict="seen", zones=(zone,), detections=(found,))
            )
            hour = HourPath.at(event["camera"], event["start"], ZoneInfo(TIME_ZONE))
            path = self.hass.media / DOMAIN / hour.notes
            hours.setdefault(path, {})[event["id"]] = Note(findings=findings)
        for path, notes in hours.items():
            write_notes(path, notes)

    async def record(self, camera: VirtualCamera, seconds: float) -> dict[str, Any]:
        """Let somebody walk by; return the clip that came of it."""
        event = await self.entity(camera.id, "event")
        assert event
        before = await self.hass.state(event)
        camera.trigger_motion(seconds)
        state = await self.hass.wait_for_state(
            event,
            lambda state: (
                state["attributes"].get("event_type") == "clip_ready"
                and state["state"] != (before or {}).get("state")
            ),
            timeout=seconds + STEP_TIMEOUT,
        )
        clip: dict[str, Any] = state["attributes"]
        return clip
