"""Cameras that are recorded continuously for a long time, with motion and a restart: is each frame in a clip?

What the cameras sent is compared with what the hour files hold, frame by frame: a frame is
known by its camera, its boot and the camera's clock at its capture, which hour files keep.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
import time
from typing import Any, NamedTuple

from custom_components.magicpi_nvr.nvr.continuous import MAX_GAP_MS
from custom_components.magicpi_nvr.recording.hourfile import scan
from home_assistant import HomeAssistantProcess, wait_until
from load import loop_pictures, make_cameras
from loaded_home import RECORDINGS, home_with_fleet
from virtual_camera import VirtualCamera

FRAMERATE = 2
MOTION_S = 3.0
# A span is written, a piece of it is at the longest this late
SETTLE_S = 60.0
# Recording of a camera that is silent ends after 30 s
IDLE_S = 180.0


class Kept(NamedTuple):
    """A frame in an hour file; `t`: the camera's clock."""

    camera: str
    boot: int
    t: int
    piece: bool


@dataclass
class ContinuousSoak:
    """What became of the frames; times in seconds."""

    minutes: float
    sent: int
    recorded: int
    thinned: int
    lost: list[tuple[str, int, int]]
    twice: int
    unknown: int
    events: int
    pieces: int
    restart_s: float
    gap_s: float
    gap_at_restart_s: float
    problems: list[str] = field(default_factory=list)


def kept_frames(folder: Path) -> list[Kept]:
    """Return all frames in the hour files of a folder (blocking)."""
    found = []
    for path in sorted(folder.rglob("*.mp4")):
        for segment in scan(path).segments:
            header = segment.header
            found += [
                Kept(
                    header.camera,
                    header.boot,
                    header.t + round((frame.dts - segment.dts) / 90),
                    header.reason == "continuous",
                )
                for frame in segment.frames()
            ]
    return found


def events_in(folder: Path) -> tuple[int, int]:
    """Return how many events and how many pieces the hour files hold (blocking)."""
    reasons = {
        segment.header.id: segment.header.reason
        for path in folder.rglob("*.mp4")
        for segment in scan(path).segments
    }
    pieces = sum(reason == "continuous" for reason in reasons.values())
    return len(reasons) - pieces, pieces


def compare(
    cameras: Iterable[VirtualCamera], kept: Sequence[Kept]
) -> tuple[Counter[str], list[tuple[str, int, int]]]:
    """Return counts, and the frames that are lost: not in a clip, and not thinned out."""
    counts = Counter({"recorded": len(kept)})
    in_clips = Counter((one.camera, one.boot, one.t) for one in kept)
    pieces: dict[tuple[str, int], list[int]] = defaultdict(list)
    for one in sorted(kept):
        if one.piece:
            pieces[one.camera, one.boot].append(one.t)
    sent = {
        (camera.id, frame.boot, frame.t): frame.event
        for camera in cameras
        for frame in camera.sent_frames
    }
    counts["sent"] = len(sent)
    counts["twice"] = sum(in_clips.values()) - len(in_clips)
    counts["unknown"] = len(in_clips.keys() - sent.keys())
    lost = []
    for name in sorted(sent.keys() - in_clips.keys()):
        camera, boot, t = name
        taken = pieces[camera, boot]
        at = bisect_left(taken, t)
        # Between two that are recorded is no second
        if (
            not sent[name]
            and 0 < at < len(taken)
            and taken[at] - taken[at - 1] <= MAX_GAP_MS
        ):
            counts["thinned"] += 1
        else:
            lost.append(name)
    return counts, lost


def gaps(kept: Sequence[Kept]) -> list[tuple[float, int]]:
    """Return the times between neighboring frames of a camera in seconds, with the camera's clock at their begin."""
    rows: dict[tuple[str, int], list[int]] = defaultdict(list)
    for one in sorted(kept):
        rows[one.camera, one.boot].append(one.t)
    return [
        ((after - before) / 1000, before)
        for row in rows.values()
        for before, after in pairwise(row)
    ]


async def soak_continuously(
    folder: Path,
    *,
    minutes: float,
    cameras: int = 2,
    source: Path | None = None,
    motion_every_s: float = 60.0,
) -> ContinuousSoak:
    """Record cameras continuously, with motion now and then and a restart of Home Assistant in the middle."""
    async with home_with_fleet(
        folder,
        cameras,
        camera_options={"record": "continuously"},
        settings={"framerate": FRAMERATE},
        # As much as a board with 4 MiB of PSRAM keeps
        ring_bytes=3 * 1024**2,
    ) as (hass, fleet):
        fleet_cameras = make_cameras(asdict(fleet), loop_pictures(source))
        try:
            return await _run(hass, fleet_cameras, minutes, motion_every_s)
        finally:
            for camera in fleet_cameras:
                await camera.stop()


async def _run(
    hass: HomeAssistantProcess,
    cameras: Sequence[VirtualCamera],
    minutes: float,
    motion_every_s: float,
) -> ContinuousSoak:
    for camera in cameras:
        await camera.start()
    for camera in cameras:
        await camera.wait_event("welcome", timeout=120)
    begin = time.monotonic()
    restart_s, down = 0.0, (0.0, 0.0)
    problems: list[str] = []
    turn = 0
    while (left := minutes * 60 - (time.monotonic() - begin)) > 0:
        await asyncio.sleep(min(motion_every_s, left))
        cameras[turn % len(cameras)].trigger_motion(MOTION_S)
        turn += 1
        if not restart_s and time.monotonic() - begin > minutes * 30:
            problems += hass.problems()
            stopped = time.monotonic()
            await hass.restart()
            down = (stopped, time.monotonic())
            restart_s = down[1] - down[0]
            for camera in cameras:
                await camera.wait_until(
                    lambda camera=camera: bool(camera.boot and camera.boot.live),
                    what="the stream after the restart",
                    timeout=SETTLE_S,
                )
    uptimes = {
        camera.id: camera.boot.uptime_ms / 1000 - (time.monotonic() - down[0])
        for camera in cameras
        if camera.boot
    }
    for camera in cameras:
        await camera.wait_until(
            lambda camera=camera: not (camera.boot and camera.boot.recording),
            what="the end of its event",
            timeout=SETTLE_S,
        )
        camera.set_live(False)
        await camera.wait_all_acked(timeout=SETTLE_S)
    await wait_until(lambda: _is_written(hass), IDLE_S, "the end of the recording")
    problems += hass.problems()
    await hass.stop()
    return await asyncio.to_thread(
        _judge, hass, cameras, minutes, restart_s, uptimes, problems
    )


async def _is_written(hass: HomeAssistantProcess) -> bool:
    """Return whether nothing is recorded any more, and nothing waits for an encoder."""
    cameras = (await hass.ws("magicpi_nvr/cameras"))["cameras"]
    root = hass.media / RECORDINGS
    return not any(camera["recording"] for camera in cameras) and not (
        await asyncio.to_thread(lambda: list(root.rglob("*.spool")))
    )


def _judge(
    hass: HomeAssistantProcess,
    cameras: Sequence[VirtualCamera],
    minutes: float,
    restart_s: float,
    uptimes: dict[str, float],
    problems: list[str],
) -> ContinuousSoak:
    root = hass.media / RECORDINGS
    kept = kept_frames(root)
    counts, lost = compare(cameras, kept)
    events, pieces = events_in(root)
    at_restart = other = 0.0
    for camera in cameras:
        began = uptimes[camera.id]
        for gap, at_ms in gaps([one for one in kept if one.camera == camera.id]):
            if began - 1 < at_ms / 1000 + gap and at_ms / 1000 < began + restart_s + 5:
                at_restart = max(at_restart, gap)
            else:
                other = max(other, gap)
    return ContinuousSoak(
        minutes=minutes,
        sent=counts["sent"],
        recorded=counts["recorded"],
        thinned=counts["thinned"],
        lost=lost,
        twice=counts["twice"],
        unknown=counts["unknown"],
        events=events,
        pieces=pieces,
        restart_s=round(restart_s, 1),
        gap_s=other,
        gap_at_restart_s=at_restart,
        problems=problems,
    )


def report_continuous(found: ContinuousSoak) -> dict[str, Any]:
    """Print and return the figures."""
    print(
        f"{found.minutes:g} minutes, {found.events} events, {found.pieces} pieces: {found.sent} frames sent,"
        f" {found.recorded} in clips, {found.thinned} thinned out, {len(found.lost)} lost, {found.twice} twice"
    )
    print(
        f"longest gap {found.gap_s:.2f} s, at the restart {found.gap_at_restart_s:.2f} s"
        f" (Home Assistant was away for {found.restart_s:g} s)"
    )
    for camera, boot, t in found.lost[:10]:
        print(f"lost: {camera} boot {boot} at {t} ms")
    for line in found.problems[:10]:
        print(f"logged: {line}")
    return {
        "minutes": found.minutes,
        "frames_sent": found.sent,
        "frames_in_clips": found.recorded,
        "frames_thinned": found.thinned,
        "frames_lost": len(found.lost),
        "frames_twice": found.twice,
        "frames_unknown": found.unknown,
        "gap_s": found.gap_s,
        "gap_at_restart_s": found.gap_at_restart_s,
        "restart_s": found.restart_s,
        "problems": len(found.problems),
    }
