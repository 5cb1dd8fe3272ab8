"""Start and move are transactions: whichever step fails, a retry records and plays."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
import errno
import os
from pathlib import Path
import socket
import threading
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.magicpi_nvr.const import CONF_MEDIA_DIR, DOMAIN, SECTION_STORAGE
from custom_components.magicpi_nvr.nvr import async_get_nvr, recordings
from custom_components.magicpi_nvr.nvr.lifecycle import Lifecycle
from custom_components.magicpi_nvr.nvr.steps import STEP_RECORDINGS, STEP_VISION, STEPS
from custom_components.magicpi_nvr.recording import (
    Event as RecordedEvent,
    Library,
    Recorder,
)
from custom_components.magicpi_nvr.recording.hourfile import scan
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from tests.harness.home_assistant import CAMERA_ID, Installation, nvr_options

MOVE_STEPS = STEPS[STEPS.index(STEP_RECORDINGS) :]


@asynccontextmanager
async def failing(life: Lifecycle, name: str, *, after: bool) -> AsyncGenerator[None]:
    """Have a step fail once, before it did anything or after it did everything."""
    step = life.steps[name]
    failed = False

    async def fail(undo: AsyncExitStack) -> None:
        nonlocal failed
        if after or failed:
            await step(undo)
        if not failed:
            failed = True
            raise OSError(errno.EIO, f"{name} failed")

    life.steps[name] = fail
    yield
    assert failed
    life.steps[name] = step


async def records_and_plays(
    installation: Installation, hass_client: ClientSessionGenerator, root: Path
) -> None:
    """Record an event below a folder, and play its clip."""
    nvr, camera = installation.nvr, installation.cameras[0]
    before = nvr.recordings.last_event(CAMERA_ID)
    mark = camera.mark()
    camera.trigger_motion(0.5)
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked(timeout=60)
    await installation.wait_until(
        lambda: (
            (event := nvr.recordings.last_event(CAMERA_ID)) is not None
            and event != before
            and event.state == "ready"
        )
    )
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    # Another folder may have a file of this hour, too
    file = await asyncio.to_thread(scan, root / DOMAIN / event.path)
    assert event.id in {segment.header.id for segment in file.segments}
    client = await hass_client()
    response = await client.get(f"/api/magicpi_nvr/clip/event/{event.id}")
    assert response.status == 200
    clip = await response.read()
    assert clip[4:8] == b"ftyp"
    assert len(clip) == int(response.headers["Content-Length"])
    await installation.wait_until(lambda: installation.camera().session is None)


async def unload_all(hass: HomeAssistant) -> None:
    """Unload all entries."""
    for entry in hass.config_entries.async_entries(DOMAIN):
        await hass.config_entries.async_unload(entry.entry_id)


async def set_up_all(hass: HomeAssistant) -> list[ConfigEntryState]:
    """Set up, or try again, what is not loaded; return the states."""
    entries = hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        if entry.state is not ConfigEntryState.LOADED:
            await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    return [entry.state for entry in entries]


def issues(hass: HomeAssistant) -> set[str]:
    """Return the repairs that are open."""
    return {
        issue.issue_id
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.active
    }


@pytest.mark.parametrize("name", STEPS)
async def test_start(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    name: str,
) -> None:
    """After a start that failed nothing runs, and the next one does all that it does."""
    nvr = installation.nvr
    (camera_entry,) = (
        entry for entry in hass.config_entries.async_entries(DOMAIN) if entry.data
    )
    for after in (False, True):
        await unload_all(hass)
        async with failing(nvr.life, name, after=after):
            await hass.config_entries.async_setup(camera_entry.entry_id)
            assert camera_entry.state is ConfigEntryState.SETUP_RETRY
            assert not nvr.running
            with socket.create_server(("127.0.0.1", installation.port)):
                pass
            assert set(await set_up_all(hass)) == {ConfigEntryState.LOADED}
        assert issues(hass) == set()
        await records_and_plays(installation, hass_client, installation.media)


@pytest.mark.parametrize("name", MOVE_STEPS)
async def test_move(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    tmp_path: Path,
    name: str,
) -> None:
    """After a move that failed the old folder is recorded to, and a retry moves."""
    nvr = installation.nvr
    entry = nvr.entries.nvr
    assert entry
    folders = [installation.media]
    for number, after in enumerate((False, True)):
        folders.append(tmp_path / f"disk{number}")
        folders[-1].mkdir()
        hass.config.media_dirs[f"disk{number}"] = str(folders[-1])
        options = nvr_options(installation.port)
        options[SECTION_STORAGE][CONF_MEDIA_DIR] = f"disk{number}"
        hass.config_entries.async_update_entry(entry, options=options)
        async with failing(nvr.life, name, after=after):
            await hass.config_entries.async_reload(entry.entry_id)
            assert entry.state is ConfigEntryState.SETUP_RETRY
            await records_and_plays(installation, hass_client, folders[-2])
        assert set(await set_up_all(hass)) == {ConfigEntryState.LOADED}
        assert issues(hass) == set()
        await records_and_plays(installation, hass_client, folders[-1])


@pytest.mark.parametrize("late", [False, True])
async def test_neither_new_nor_old_folder_works(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    tmp_path: Path,
    late: bool,
) -> None:
    """A move that cannot go back either leaves nothing that takes frames, and a retry starts."""
    nvr = installation.nvr
    entry = nvr.entries.nvr
    assert entry
    other = tmp_path / "other"
    other.mkdir()
    hass.config.media_dirs["other"] = str(other)
    options = nvr_options(installation.port)
    options[SECTION_STORAGE][CONF_MEDIA_DIR] = "other"
    hass.config_entries.async_update_entry(entry, options=options)
    fails = AsyncMock(side_effect=OSError(errno.EROFS, "read-only"))
    with (
        # The last step, after cameras can connect already
        patch.dict(nvr.life.steps, {STEP_VISION: fails})
        if late
        else patch.object(Recorder, "start", fails)
    ):
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert not nvr.running
        assert issues(hass) == (set() if late else {"storage_gone"})
        with socket.create_server(("127.0.0.1", installation.port)):
            pass
    assert set(await set_up_all(hass)) == {ConfigEntryState.LOADED}
    assert issues(hass) == set()
    await records_and_plays(installation, hass_client, other)


async def test_media_folders_changed_in_yaml(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    tmp_path: Path,
) -> None:
    """Recorder and library follow together where the media folders are other ones."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    hass.config.media_dirs = {"local": str(other)}
    await hass.config.async_update(time_zone="Pacific/Auckland")
    await hass.async_block_till_done()
    await installation.wait_until(
        lambda: (
            installation.nvr.media_root == other / DOMAIN and installation.nvr.running
        )
    )
    assert str(installation.nvr.recordings.library.settings.time_zone) == (
        "Pacific/Auckland"
    )
    await records_and_plays(installation, hass_client, other)


async def test_odd_files_among_the_firmware_images(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """A folder named like a key, a pipe and what may not be read keep nothing from starting."""
    folder = Path(hass.config.path(DOMAIN, "firmware"))

    def make() -> None:
        (folder / "x.pem").mkdir(parents=True)
        (folder / "y.json").mkdir()
        os.mkfifo(folder / "z.pem")
        os.mkfifo(folder / "z.json")

    await hass.async_add_executor_job(make)
    entry = bare_installation.add_nvr_entry()
    try:
        assert await hass.config_entries.async_setup(entry.entry_id)
        refused = bare_installation.nvr.firmware_folder.refused
        assert set(refused) == {"x.pem", "y.json", "z.pem", "z.json"}
    finally:
        await hass.async_add_executor_job(_remove, folder)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("name", ["read_firmware", "load_pictures"])
async def test_other_failures_have_a_message_of_their_own(
    bare_installation: Installation, hass: HomeAssistant, name: str
) -> None:
    """What is neither port nor storage is not taken for them."""
    entry = bare_installation.add_nvr_entry()
    async with failing((await async_get_nvr(hass)).life, name, after=False):
        await hass.config_entries.async_setup(entry.entry_id)
        assert entry.error_reason_translation_key == "start_failed"
        assert issues(hass) == set()


@pytest.mark.parametrize(("owner", "method"), [(Library, "open"), (Recorder, "start")])
async def test_storage_that_does_not_answer(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    owner: type[Library | Recorder],
    method: str,
) -> None:
    """A file system that hangs costs a bounded time, is reported, and is tried again."""
    await unload_all(hass)
    entry = installation.nvr.entries.nvr
    assert entry
    released = threading.Event()

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.to_thread(released.wait)

    try:
        with (
            patch.object(recordings, "OPEN_TIMEOUT_S", 0.2),
            patch.object(recordings, "CLOSE_TIMEOUT_S", 0.2),
            patch.object(owner, method, hang),
        ):
            await hass.config_entries.async_setup(entry.entry_id)
            assert entry.state is ConfigEntryState.SETUP_RETRY
            assert entry.error_reason_translation_key == "storage_failed"
            assert issues(hass) == {"storage_gone"}
            assert not installation.nvr.running
    finally:
        released.set()
    assert set(await set_up_all(hass)) == {ConfigEntryState.LOADED}
    assert issues(hass) == set()
    await records_and_plays(installation, hass_client, installation.media)


@pytest.mark.parametrize("fails", [False, True])
async def test_large_storage_is_opened_behind(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
) -> None:
    """Cameras connect before everything is read, and nothing comes twice; a late failure is one."""
    await unload_all(hass)
    entry = installation.nvr.entries.nvr
    assert entry
    camera = installation.cameras[0]
    begun, goes_on = asyncio.Event(), asyncio.Event()
    start = Recorder.start

    async def slow(self: Recorder) -> None:
        begun.set()
        await goes_on.wait()
        if fails:
            raise OSError(errno.EIO, "broken")
        await start(self)

    with monkeypatch.context() as patched:
        patched.setattr(recordings, "PATIENCE_S", 0)
        patched.setattr(Recorder, "start", slow)
        assert set(await set_up_all(hass)) == {ConfigEntryState.LOADED}
        await begun.wait()
        mark = camera.mark()
        camera.trigger_motion(0.5)
        await camera.wait_event("connected", after=mark)
        assert installation.camera().session is None
        goes_on.set()
        if fails:
            await installation.wait_until(lambda: issues(hass) == {"storage_gone"})
            await installation.wait_until(
                lambda: entry.state is ConfigEntryState.SETUP_RETRY
            )
            assert entry.error_reason_translation_key == "storage_failed"
            assert not installation.nvr.running
    if fails:
        await hass.config_entries.async_reload(entry.entry_id)
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked(timeout=60)
    await installation.wait_until(lambda: installation.camera().session is None)
    assert issues(hass) == set()
    page = await installation.nvr.recordings.library.events(camera=CAMERA_ID)
    # Each frame of an event is in its clip, once
    frames = {(frame.boot, frame.seq) for frame in camera.sent_frames if frame.event}
    assert sum(event.frames for event in page.events) == len(frames)
    await records_and_plays(installation, hass_client, installation.media)
