"""kill -9 of the whole process at random moments; MAGICPI_KILLS says how often (3)."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

import pytest

from custom_components.magicpi_nvr.recording.capture import ClipReady
from custom_components.magicpi_nvr.recording.hourfile import scan
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.layout import event_id, hour_files
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, RecordingSettings
from tests.harness.pictures import Frame, picture
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

KILLS = int(os.environ.get("MAGICPI_KILLS", "3"))
BEGIN = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)
BOOT = 77
PACKAGE = Path(__file__).parents[2] / "custom_components" / "magicpi_nvr"


@dataclass(frozen=True, slots=True)
class Said:
    """What the killed process had given to its recorder."""

    camera: str
    event: int
    seq: int
    t: int
    flags: int
    at: float


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of numbered pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(1, 200):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    return folder


async def _record_until_killed(
    folder: Path, seed: int, after: float
) -> tuple[list[Said], float]:
    """Return what was recorded and when the kill came, on the monotonic clock."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("killed.py"))),
        *(str(folder), str(BEGIN), str(seed)),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        start_new_session=True,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    reading = asyncio.ensure_future(process.stdout.read())
    await asyncio.sleep(after)
    killed = time.monotonic()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    *lines, _ = (first + await reading).split(b"\n")
    said = []
    for line in lines:
        camera, *numbers, at = line.decode().split()
        said.append(Said(camera, *map(int, numbers), float(at)))
    return said, killed


def _probe(path: Path) -> None:
    """Raise unless ffprobe reads every packet without a word."""
    probe = subprocess.run(
        ("ffprobe", "-v", "warning", "-count_packets", "-show_streams", str(path)),
        capture_output=True,
        check=True,
    )
    assert probe.stderr == b"", path


@pytest.mark.slow
@pytest.mark.timeout(60 * KILLS)
async def test_killed_at_any_moment(
    tmp_path: Path, pictures: Path, settings: RecordingSettings, impatient: None
) -> None:
    """Files open, at most the last second is missing, the index equals a rebuild, and nothing is lost in the end."""
    seed = int(os.environ.get("MAGICPI_SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    worst = 0.0
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        folder.mkdir()
        (folder / "pictures").symlink_to(pictures)
        after = chance.uniform(0.2, 7)
        said, killed = await _record_until_killed(folder, seed + kill, after)
        label = f"seed {seed}, kill {kill} after {after:.2f} s"
        recorder = RunningRecorder(
            replace(settings, root=folder / "media", index=folder / "index.db")
        )
        await recorder.start()
        try:
            worst = max(worst, _missing(recorder, said, killed, label))
            for hour in hour_files(recorder.settings.root):
                await asyncio.to_thread(_probe, recorder.settings.root / hour.relative)
            await _index_equals_rebuild(recorder, label)
            await _send_again(recorder, said, pictures)
            _all_is_there(recorder, said, label)
        finally:
            await recorder.stop()
    print(f"{KILLS} kills, seed {seed}: at most {worst:.2f} s missing")  # noqa: T201


def _missing(
    recorder: RunningRecorder, said: list[Said], killed: float, label: str
) -> float:
    """Return how old the oldest frame is that the kill took."""
    lost = [
        item
        for item in said
        if item.seq > recorder.capture.persisted(item.camera, BOOT)
    ]
    oldest = max((killed - item.at for item in lost), default=0.0)
    assert oldest <= 1.0, f"{label}: {oldest:.2f} s are missing"
    return oldest


async def _index_equals_rebuild(recorder: RunningRecorder, label: str) -> None:
    """Compare the index that the start left with one made from nothing but the files."""
    fresh = Library(
        replace(recorder.settings, index=recorder.settings.index.with_name("fresh.db"))
    )
    await fresh.open()
    try:
        known = await recorder.library.events(limit=500)
        found = await fresh.events(limit=500)
    finally:
        await fresh.close()
    closed = {
        segment.header.id
        for hour in hour_files(recorder.settings.root)
        for segment in scan(recorder.settings.root / hour.relative).segments
    }
    assert {event.id for event in known.events} >= closed, label
    # Events that are going on again differ in that only.
    still = {event.id for event in known.events if event.state != "ready"}
    assert [event for event in known.events if event.id not in still] == [
        event for event in found.events if event.id not in still
    ], label


async def _send_again(
    recorder: RunningRecorder, said: list[Said], pictures: Path
) -> None:
    """Let the cameras send what was not acknowledged, and end their last events."""
    for camera in sorted({item.camera for item in said}):
        own = [item for item in said if item.camera == camera]
        persisted = recorder.capture.persisted(camera, BOOT)
        for item in own:
            if item.seq <= persisted:
                continue
            frame = Frame(
                seq=item.seq,
                t=item.t,
                # The new session sees another wall clock; the event keeps its own.
                captured_ms=BEGIN + item.t + 1234,
                jpeg=(pictures / f"{item.seq}.jpg").read_bytes(),
                camera=camera,
                boot=BOOT,
                event=item.event,
            )
            assert recorder.add(frame, flags=item.flags & FLAG_LAST)
        recorder.capture.end_event(camera, BOOT, own[-1].event)
    await until(lambda: not recorder.unfinished())
    assert all(
        item.event.frames for item in recorder.notices if isinstance(item, ClipReady)
    )


def _all_is_there(recorder: RunningRecorder, said: list[Said], label: str) -> None:
    """Every frame is there once, at its time."""
    for camera, event in sorted({(item.camera, item.event) for item in said}):
        own = [item for item in said if (item.camera, item.event) == (camera, event)]
        shown = recorder.shown(event_id(camera, BOOT, event))
        assert [number for _, number in shown] == [item.seq for item in own], label
        begin = shown[0][0] - own[0].t
        assert all(
            abs(at - begin - item.t) <= 2
            for (at, _), item in zip(shown, own, strict=True)
        ), label
