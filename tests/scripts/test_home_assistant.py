"""The child process that the demo and the tests of the whole rely on."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
import sys

import pytest

from home_assistant import (
    END_WITH_PARENT,
    MARK,
    HomeAssistantError,
    HomeAssistantProcess,
    wait_until,
)

# Starts a process that ends with it, says which, and waits
PARENT = """\
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", sys.argv[1], "/bin/sleep", "60"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the tests of this file use one after another."""
    return tmp_path_factory.mktemp("home_assistant")


@pytest.fixture
async def hass_process(folder: Path) -> AsyncGenerator[HomeAssistantProcess]:
    """Return a Home Assistant that runs; none of its processes outlives the test."""
    process = HomeAssistantProcess(folder, time_zone="Pacific/Chatham", component=None)
    await process.start()
    yield process
    await process.stop()
    assert not relatives(process)


def relatives(process: HomeAssistantProcess) -> list[str]:
    """Return the ids of all processes that were started by it."""
    mark = f"{MARK}={process.mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
        except OSError:
            continue
    return found


def sleeps(process: str) -> bool:
    """Return whether a process runs the program that waits."""
    try:
        return Path("/proc", process, "cmdline").read_bytes().startswith(b"/bin/sleep")
    except OSError:
        return False


async def test_it_starts_from_what_is_installed_and_answers(
    hass_process: HomeAssistantProcess,
) -> None:
    """A start installs nothing, logs no error, and the UI has all that it waits for."""
    log = hass_process.log()
    assert "Attempting install" not in log
    assert hass_process.problems() == []
    assert "magicpi_nvr" not in log

    actions = await hass_process.ws("get_services")
    assert "homeassistant" in actions
    async with hass_process.session.get("/") as page:
        assert page.status == 200
    config = await hass_process.rest("GET", "/api/config")
    assert config["time_zone"] == "Pacific/Chatham"
    assert (await hass_process.ws("auth/current_user"))["is_owner"]

    # Actions, states, events and errors come through.
    async with hass_process.websocket() as websocket:
        await websocket.ask("subscribe_events", event_type="call_service")
        await hass_process.call_action(
            "persistent_notification",
            "create",
            {"message": "hello", "notification_id": "probe"},
        )
        assert (await websocket.event())["data"]["service"] == "create"

    created = await hass_process.rest(
        "POST", "/api/states/sensor.probe", {"state": "good"}
    )
    assert created["state"] == "good"
    state = await hass_process.wait_for_state("sensor.probe", "good")
    assert state["entity_id"] == "sensor.probe"
    assert await hass_process.state("sensor.none") is None
    with pytest.raises(HomeAssistantError, match="unknown_command"):
        await hass_process.ws("no_such_command")
    with pytest.raises(HomeAssistantError, match="404"):
        await hass_process.rest("GET", "/api/nothing")


async def test_it_comes_back_after_a_kill(hass_process: HomeAssistantProcess) -> None:
    """After a crash it starts again in the same folder, with the same token and port."""
    token, port = hass_process.token, hass_process.port
    await hass_process.kill()
    assert not hass_process.is_running
    with pytest.raises(HomeAssistantError):
        _ = hass_process.pid

    await hass_process.start()
    assert (hass_process.token, hass_process.port) == (token, port)
    assert (await hass_process.rest("GET", "/api/config"))["state"] == "RUNNING"
    assert await hass_process.stop() == 0


async def test_it_ends_with_who_started_it() -> None:
    """A process that was killed leaves no Home Assistant behind."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, END_WITH_PARENT), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert parent.stdout
        child = (await parent.stdout.readline()).decode().strip()
        await wait_until(lambda: sleeps(child), 30, "the child")
    finally:
        parent.kill()
        await parent.wait()
    await wait_until(lambda: not sleeps(child), 30, "the child's end")


async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """A broken start is an error with Home Assistant's own words, and leaves nothing."""
    process = HomeAssistantProcess(tmp_path, component=None)
    await process.prepare()
    (tmp_path / ".HA_VERSION").mkdir()
    with pytest.raises(HomeAssistantError, match=r"ended while starting"):
        await process.start()
    assert not relatives(process)


async def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    """What another Home Assistant has stored is not written over."""
    (tmp_path / ".storage").mkdir()
    with pytest.raises(HomeAssistantError, match="someone else's"):
        await HomeAssistantProcess(tmp_path, component=None).prepare()


async def test_waiting_ends() -> None:
    """What never happens is an error that names it."""
    with pytest.raises(HomeAssistantError, match="the moon: not within 0 s"):
        await wait_until(lambda: asyncio.sleep(0, False), 0.2, "the moon")
