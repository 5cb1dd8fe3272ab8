"""The disk and the index: full, read-only, taken out, deleted, cut, locked."""

import asyncio
from collections.abc import Iterator
import os
from pathlib import Path
import sqlite3
import subprocess

import pytest

from custom_components.magicpi_nvr.const import DOMAIN
from tests.integration.house import House
from virtual_camera import VirtualCamera

from .proof import Proof
from .test_gateway import start, stop

SIZE = 8 * 1024 * 1024


def run(*command: object) -> None:
    """Run a program of the system."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture
def disk(house: House, tmp_path: Path) -> Iterator[Path]:
    """The media folder lies on a small disk of its own."""
    try:
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", house.media)
    except OSError, subprocess.CalledProcessError:
        pytest.skip(
            "needs the right to mount; tests/recording shows the same with a disk that fails"
        )
    yield house.media
    subprocess.run(["umount", "-l", str(house.media)], check=False, capture_output=True)


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


async def event_while_bad(proof: Proof, camera: VirtualCamera, kind: str) -> None:
    """Let somebody walk by while the disk takes nothing; return when a person is told."""
    before = proof.house.camera().counters.frames
    camera.trigger_motion(1)
    await proof.frames_arrive(before + 5)
    issue = await proof.told(kind)
    assert issue.translation_placeholders
    assert issue.translation_placeholders["detail"]
    assert (await proof.house.nvr.recordings.library.usage()).events <= 1


async def test_disk_full(disk: Path, proof: Proof) -> None:
    """In mid-event nothing fits any more: frames wait in memory and are written when there is room again."""
    camera = await proof.camera()
    camera.trigger_motion(3)
    await proof.frames_arrive(8)
    filler = disk / "films"
    await asyncio.to_thread(fill, filler)
    await proof.told("storage_full")
    await asyncio.to_thread(filler.unlink)
    await proof.taken_back("storage_full")
    await proof.nothing_lost(camera)
    assert not proof.house.nvr.recordings.recorder.stats.drops


async def test_disk_read_only(disk: Path, proof: Proof) -> None:
    """A disk that takes no writes is told; the frames are written when it does again."""
    camera = await proof.camera()
    await asyncio.to_thread(run, "mount", "-o", "remount,ro", disk)
    await event_while_bad(proof, camera, "storage_gone")
    await asyncio.to_thread(run, "mount", "-o", "remount,rw", disk)
    await proof.taken_back("storage_gone")
    await proof.nothing_lost(camera)


async def test_disk_taken_out(disk: Path, proof: Proof, tmp_path: Path) -> None:
    """A disk that is taken out is told, its folder is not made anew on another; it is used when it is back."""
    camera = await proof.camera()
    camera.trigger_motion(0.5)
    await proof.nothing_lost(camera)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    await asyncio.to_thread(run, "mount", "--bind", disk, elsewhere)
    try:
        await asyncio.to_thread(run, "umount", "-l", disk)
        await event_while_bad(proof, camera, "storage_gone")
        assert not list(disk.iterdir())
        await asyncio.to_thread(run, "mount", "--bind", elsewhere, disk)
    finally:
        await asyncio.to_thread(run, "umount", "-l", elsewhere)
    await proof.taken_back("storage_gone")
    await proof.nothing_lost(camera, 2)


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
async def test_index_damaged(proof: Proof, damage: object) -> None:
    """The index is made anew from the recordings: the same events, the same notes, all clips."""
    camera = await proof.camera()
    for _ in range(2):
        mark = camera.mark()
        camera.trigger_motion(0.3)
        await camera.wait_event("event_ended", after=mark)
    before = await proof.nothing_lost(camera, 2)
    nvr = proof.house.nvr
    await nvr.recordings.async_protect(before[0].id, True)
    await nvr.recordings.async_label(before[0].id, ["post"], "A parcel")
    before = (await nvr.recordings.library.events()).events
    await stop(proof.house)
    assert callable(damage)
    await asyncio.to_thread(damage, nvr.folder / "index.db")
    await start(proof.house)
    assert (await nvr.recordings.library.events()).events == before
    await proof.nothing_lost(camera, 2)


async def test_index_locked(proof: Proof) -> None:
    """Somebody's lock on the index costs no frame and no event, and does not stand in the way of others."""
    camera = await proof.camera()
    camera.trigger_motion(0.3)
    await proof.nothing_lost(camera)
    nvr = proof.house.nvr
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
        await proof.nothing_lost(camera, 2)
    finally:
        await asyncio.to_thread(other.close)
    await stop(proof.house)
    await start(proof.house)
    await proof.nothing_lost(camera, 2)
    assert proof.house.hass.config_entries.async_entries(DOMAIN)
