"""The disk and the index: full, read-only, taken out, deleted, cut, locked."""

import asyncio
from collections.abc import Iterator
import os
from pathlib import Path
import sqlite3
import subprocess

import pytest

from custom_components.magicpi_nvr.const import DOMAIN
from tests.harness.frame_check import FrameCheck
from tests.harness.home_assistant import Installation
from virtual_camera import VirtualCamera

from .test_gateway import start, stop

SIZE = 8 * 1024 * 1024


def run(*command: object) -> None:
    """Run a program of the system."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture
def disk(bare_installation: Installation, tmp_path: Path) -> Iterator[Path]:
    """The media folder lies on a small disk of its own."""
    try:
        run(
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={SIZE}",
            "none",
            bare_installation.media,
        )
    except OSError, subprocess.CalledProcessError:
        pytest.skip(
            "needs the right to mount; tests/recording shows the same with a disk that fails"
        )
    yield bare_installation.media
    subprocess.run(
        ["umount", "-l", str(bare_installation.media)], check=False, capture_output=True
    )


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        block = bytes(64 * 1024)
        try:
            while True:
                file.write(block)
        except OSError:
            pass
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, bytes(512))
            finally:
                os.close(fd)
        except OSError:
            return


async def event_while_bad(
    frame_check: FrameCheck, camera: VirtualCamera, kind: str
) -> None:
    """Let somebody walk by while the disk takes nothing; return when there is an issue."""
    before = frame_check.installation.camera().counters.frames
    camera.trigger_motion(1)
    await frame_check.frames_arrive(before + 5)
    issue = await frame_check.issue_created(kind)
    assert issue.translation_placeholders
    assert issue.translation_placeholders["detail"]
    assert (await frame_check.installation.nvr.recordings.library.usage()).events <= 1


async def test_disk_full(disk: Path, frame_check: FrameCheck) -> None:
    """In mid-event nothing fits any more: frames wait in memory and are written when there is room again."""
    camera = await frame_check.camera()
    camera.trigger_motion(3)
    await frame_check.frames_arrive(8)
    filler = disk / "films"
    await asyncio.to_thread(fill, filler)
    await frame_check.issue_created("storage_full")
    await asyncio.to_thread(filler.unlink)
    await frame_check.issue_deleted("storage_full")
    await frame_check.nothing_lost(camera)
    assert not frame_check.installation.nvr.recordings.recorder.stats.drops


async def test_disk_read_only(disk: Path, frame_check: FrameCheck) -> None:
    """A disk that takes no writes is reported; the frames are written when it does again."""
    camera = await frame_check.camera()
    await asyncio.to_thread(run, "mount", "-o", "remount,ro", disk)
    await event_while_bad(frame_check, camera, "storage_gone")
    await asyncio.to_thread(run, "mount", "-o", "remount,rw", disk)
    await frame_check.issue_deleted("storage_gone")
    await frame_check.nothing_lost(camera)


async def test_disk_taken_out(
    disk: Path, frame_check: FrameCheck, tmp_path: Path
) -> None:
    """A disk that is taken out is reported, its folder is not made again on another; it is used when it is back."""
    camera = await frame_check.camera()
    camera.trigger_motion(0.5)
    await frame_check.nothing_lost(camera)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    await asyncio.to_thread(run, "mount", "--bind", disk, elsewhere)
    try:
        await asyncio.to_thread(run, "umount", "-l", disk)
        await event_while_bad(frame_check, camera, "storage_gone")
        assert not list(disk.iterdir())
        await asyncio.to_thread(run, "mount", "--bind", elsewhere, disk)
    finally:
        await asyncio.to_thread(run, "umount", "-l", elsewhere)
    await frame_check.issue_deleted("storage_gone")
    await frame_check.nothing_lost(camera, 2)


def delete(index: Path) -> None:
    """The file is gone."""
    for path in index.parent.glob(f"{index.name}*"):
        path.unlink()


def truncate(index: Path) -> None:
    """Half of it is left."""
    delete(index.with_name(f"{index.name}-"))
    os.truncate(index, index.stat().st_size // 2)


def scribble(index: Path) -> None:
    """It holds something else."""
    index.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    "damage", [delete, truncate, scribble], ids=lambda damage: damage.__name__
)
async def test_index_damaged(frame_check: FrameCheck, damage: object) -> None:
    """The index is rebuilt from the recordings: the same events, the same notes, all clips."""
    camera = await frame_check.camera()
    for _ in range(2):
        mark = camera.mark()
        camera.trigger_motion(0.3)
        await camera.wait_event("event_ended", after=mark)
    before = await frame_check.nothing_lost(camera, 2)
    nvr = frame_check.installation.nvr
    await nvr.recordings.async_protect(before[0].id, True)
    await nvr.recordings.async_label(before[0].id, ["post"], "A parcel")
    before = (await nvr.recordings.library.events()).events
    await stop(frame_check.installation)
    assert callable(damage)
    await asyncio.to_thread(damage, nvr.folder / "index.db")
    await start(frame_check.installation)
    assert (await nvr.recordings.library.events()).events == before
    await frame_check.nothing_lost(camera, 2)


async def test_index_locked(frame_check: FrameCheck) -> None:
    """Somebody's lock on the index costs no frame and no event, and does not stand in the way of others."""
    camera = await frame_check.camera()
    camera.trigger_motion(0.3)
    await frame_check.nothing_lost(camera)
    nvr = frame_check.installation.nvr
    other = await asyncio.to_thread(
        lambda: sqlite3.connect(
            nvr.folder / "index.db", isolation_level=None, check_same_thread=False
        )
    )
    try:
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        mark = camera.mark()
        camera.trigger_motion(0.5)
        await camera.wait_event("event_ended", after=mark)
        await frame_check.nothing_lost(camera, 2)
    finally:
        await asyncio.to_thread(other.close)
    await stop(frame_check.installation)
    await start(frame_check.installation)
    await frame_check.nothing_lost(camera, 2)
    assert frame_check.installation.hass.config_entries.async_entries(DOMAIN)
