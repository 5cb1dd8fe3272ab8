"""A real Home Assistant as a child process: prepared, started, asked, stopped.

`HomeAssistantProcess` is what the demo, the browser tests, the fault tests and the
benchmarks use::

    async with HomeAssistantProcess(folder) as hass:
        await hass.ws("config/device_registry/list")
        await hass.call_action("magicpi_nvr", "purge", {"days": 7})

This folder is on the path of the project's environments, so `import home_assistant` works
in scripts and tests alike. `seed_home_assistant.py` prepares a folder before its first start.
"""

import asyncio
import atexit
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
import itertools
import json
import os
from pathlib import Path
import random
import re
import shutil
import signal
import socket
import sys
import time
from typing import Any, Self, overload
import uuid

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
COMPONENT = ROOT / "custom_components" / "magicpi_nvr"
SEED = Path(__file__).with_name("seed_home_assistant.py")
USERNAME = "demo"
PASSWORD = "magicpi-demo"
START_TIMEOUT = 180.0
STOP_TIMEOUT = 40.0  # Home Assistant gives itself 20 + 15 + 5 seconds
REQUEST_TIMEOUT = 30.0
POLL = 0.1
# Below the ports that systems give to outgoing connections by themselves.
PORTS = (20000, 30000)
MARK = "MAGICPI_NVR_PROCESS"

CONFIGURATION = """\
homeassistant:
  name: MagicPi
  latitude: 52.52
  longitude: 13.405
  elevation: 34
  unit_system: metric
  currency: EUR
  country: DE
  language: en
  time_zone: {time_zone}
  media_dirs:
    local: {media}

# Not default_config: it brings the cloud, Bluetooth and much else that only costs time here.
config:
ffmpeg:
frontend:
history:
logbook:
media_source:
stream:
zeroconf:

logger:
  default: info
  logs:
{levels}
"""


class HomeAssistantError(Exception):
    """Home Assistant did not do what it was asked for."""


def free_port() -> int:
    """Return a TCP port that nobody listens on, and that no outgoing connection will be given."""
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def own_address() -> str:
    """Return the address of this machine that mDNS can announce; raises HomeAssistantError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: a UDP socket only looks up the route.
            probe.connect(("224.0.0.251", 5353))
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        raise HomeAssistantError(
            "cameras are found by mDNS, which does not travel over loopback: connect this machine to a network"
        )
    return address


@overload
async def wait_until[T](
    probe: Callable[[], Awaitable[T]], timeout: float, what: str
) -> T: ...
@overload
async def wait_until[T](probe: Callable[[], T], timeout: float, what: str) -> T: ...
async def wait_until(probe: Callable[[], Any], timeout: float, what: str) -> Any:
    """Ask again and again until the answer is true; return the answer."""
    end = time.monotonic() + timeout
    while True:
        answer = probe()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > end:
            raise HomeAssistantError(f"{what}: not within {timeout:.0f} s")
        await asyncio.sleep(POLL)


# --------------------------------------------------------------------------------------
# Preparing a folder


def write_store(
    folder: Path, key: str, data: Any, *, version: int = 1, minor_version: int = 1
) -> None:
    """Write one of Home Assistant's own files."""
    store = {
        "version": version,
        "minor_version": minor_version,
        "key": key,
        "data": data,
    }
    path = folder / ".storage" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(store, indent=2))


# --------------------------------------------------------------------------------------
# The process


# Asks the kernel to stop this process when the one that started it is gone, and becomes
# what its arguments say. Not a preexec_fn: with one, Python clears the other threads'
# locals in the child, and PyAV's converters wait there for threads that no fork copies.
END_WITH_PARENT = """\
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])
"""


class HomeAssistantProcess:
    """A Home Assistant of its own, in a folder, on a port of this machine.

    A folder that was used before is used again as it is: users, entries and recordings
    survive, as they would on a user's machine.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        time_zone: str = "Europe/Berlin",
        component: Path | None = COMPONENT,
        configuration: str = "",
        levels: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Say what it is to be; nothing happens yet.

        Args:
            folder: Its configuration folder, made if it is not there.
            port: Its port; without it, one that is free.
            time_zone: Its time zone, for Home Assistant and for the process.
            component: The integration that is linked into its folder, if any.
            configuration: YAML that is added to the configuration.
            levels: Log levels by logger.
            env: Environment variables that are added or, when empty, taken away.

        """
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.time_zone = time_zone
        self.media = self.folder / "media"
        self.component = component
        self.log_path = self.folder / "hass.log"
        self.token = ""
        self._configuration = configuration
        self._levels = {"custom_components.magicpi_nvr": "debug"} | dict(levels or {})
        self._env = dict(env or {})
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._log_start = 0
        self.mark = uuid.uuid4().hex

    # Preparing

    @property
    def base_url(self) -> str:
        """Return the address of its UI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def _token_path(self) -> Path:
        return self.folder / ".storage" / "scripts_token"

    async def prepare(self) -> None:
        """Write everything that it needs to start without a click."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.media.mkdir(parents=True, exist_ok=True)
        levels = "".join(f"    {name}: {at}\n" for name, at in self._levels.items())
        text = CONFIGURATION.format(
            time_zone=self.time_zone,
            media=self.media,
            levels=levels.rstrip("\n"),
        )
        (self.folder / "configuration.yaml").write_text(text + self._configuration)
        if self.component:
            self._link(self.component)
        if self._token_path.exists():
            self.token = self._token_path.read_text()
            self._set_port()
        else:
            await self._seed()

    async def _seed(self) -> None:
        """Prepare its storage beside its place first, so that it is there whole or not."""
        if self._token_path.parent.exists():
            raise HomeAssistantError(f"{self.folder} is someone else's: take another")
        staging = self.folder / ".prepared"
        shutil.rmtree(staging, ignore_errors=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(str(SEED), str(staging), str(self.port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), START_TIMEOUT)
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise HomeAssistantError(f"preparing {self.folder}: {err.decode()[-2000:]}")
        self.token = out.decode().split()[-1]
        token_path = staging / ".storage" / self._token_path.name
        token_path.write_text(self.token)
        token_path.chmod(0o600)
        token_path.parent.rename(self._token_path.parent)
        shutil.rmtree(staging)

    def _link(self, component: Path) -> None:
        """Put the integration where Home Assistant looks for it."""
        link = self.folder / "custom_components" / component.name
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(component, target_is_directory=True)

    def _set_port(self) -> None:
        """Change the port of a folder that was used before."""
        path = self.folder / ".storage" / "http"
        store = json.loads(path.read_text())
        stable = store["data"]["stable"]
        if stable["server_port"] != self.port:
            stable["server_port"] = self.port
            path.write_text(json.dumps(store, indent=2))

    def _environment(self) -> dict[str, str]:
        """Return the environment that it runs in."""
        env = dict(os.environ)
        # Without byte code each start takes twice as long.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["TZ"] = self.time_zone
        # ffmpeg and Python of the environment, where the system has none.
        places = [str(Path(sys.executable).parent), env.get("PATH", os.defpath)]
        env["PATH"] = os.pathsep.join(places)
        # Children inherit it, so that they are found when Home Assistant is gone.
        env[MARK] = self.mark
        env |= self._env
        return {name: value for name, value in env.items() if value}

    # Starting and stopping

    @property
    def pid(self) -> int:
        """Return the process id of the running one."""
        if not self._process:
            raise HomeAssistantError("not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether its process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self, timeout: float = START_TIMEOUT) -> None:
        """Prepare and start it; return when it has started everything."""
        if self.is_running:
            raise HomeAssistantError("started already")
        await self.prepare()
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", END_WITH_PARENT),
                *(sys.executable, "-m", "homeassistant", "--config", str(self.folder)),
                "--log-no-color",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Python looks for modules here first: not in a folder with our integration.
                cwd=self.folder,
                env=self._environment(),
                # Not in our session: Ctrl-C is for us, and we stop it in good order.
                start_new_session=True,
            )
        atexit.register(self._end_all)
        try:
            await wait_until(self._is_started, timeout, "Home Assistant's start")
        except BaseException:
            await self.stop(timeout=5)
            raise

    async def _is_started(self) -> bool:
        """Return whether all of its integrations have started."""
        if not self.is_running:
            tail = "\n".join(self.log().splitlines()[-20:])
            raise HomeAssistantError(f"Home Assistant ended while starting:\n{tail}")
        try:
            config = await self.rest("GET", "/api/config")
        except aiohttp.ClientError, TimeoutError, HomeAssistantError:
            return False
        return bool(config["state"] == "RUNNING")

    async def stop(self, timeout: float = STOP_TIMEOUT) -> int | None:
        """Stop it as a system would, and whatever is left of it; return its exit code."""
        await self._close_session()
        code = None
        if process := self._process:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                code = await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                code = await process.wait()
        self._process = None
        self._end_all()
        atexit.unregister(self._end_all)
        return code

    async def kill(self) -> None:
        """End it as a crash would, and only it: its children live until they notice."""
        if process := self._process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._process = None
        await self._close_session()

    def _end_all(self) -> None:
        """End all processes that were started by it, at once."""
        mark = f"{MARK}={self.mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)

    async def _close_session(self) -> None:
        """Hang up."""
        if self._session:
            await self._session.close()
            self._session = None

    async def restart(self) -> None:
        """Stop it and start it again."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it."""
        await self.stop()

    # Asking

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return a session that is logged in; URLs may begin at the slash."""
        if not self._session or self._session.closed:
            self._session = aiohttp.ClientSession(
                self.base_url,
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=aiohttp.ClientTimeout(REQUEST_TIMEOUT),
            )
        return self._session

    async def rest(self, method: str, path: str, json: Any = None) -> Any:
        """Return the answer of its REST API."""
        async with self.session.request(method, path, json=json) as response:
            if response.status >= 400:
                raise HomeAssistantError(
                    f"{method} {path}: {response.status} {await response.text()}"
                )
            if response.content_type == "application/json":
                return await response.json()
            return await response.read()

    @asynccontextmanager
    async def websocket(self) -> AsyncGenerator[Websocket]:
        """Open its WebSocket API, logged in."""
        async with self.session.ws_connect(
            "/api/websocket", max_msg_size=0
        ) as connection:
            await connection.receive_json(timeout=REQUEST_TIMEOUT)
            await connection.send_json({"type": "auth", "access_token": self.token})
            answer = await connection.receive_json(timeout=REQUEST_TIMEOUT)
            if answer["type"] != "auth_ok":
                raise HomeAssistantError(f"login: {answer}")
            yield Websocket(connection)

    async def ws(self, type: str, **fields: Any) -> Any:
        """Return the answer to one command of its WebSocket API."""
        async with self.websocket() as websocket:
            return await websocket.ask(type, **fields)

    async def state(self, entity_id: str) -> dict[str, Any] | None:
        """Return an entity's state, or None if there is no such entity."""
        async with self.session.get(f"/api/states/{entity_id}") as response:
            if response.status == 404:
                return None
            response.raise_for_status()
            state: dict[str, Any] = await response.json()
            return state

    async def states(self) -> list[dict[str, Any]]:
        """Return all states."""
        states: list[dict[str, Any]] = await self.rest("GET", "/api/states")
        return states

    async def call_action(
        self,
        domain: str,
        action: str,
        data: Mapping[str, Any] | None = None,
        *,
        target: Mapping[str, Any] | None = None,
        return_response: bool = False,
    ) -> Any:
        """Call an action and wait for its end; return its response if it has one."""
        fields: dict[str, Any] = {
            "domain": domain,
            "service": action,
            "service_data": dict(data or {}),
            "return_response": return_response,
        }
        if target:
            fields["target"] = dict(target)
        return (await self.ws("call_service", **fields)).get("response")

    async def wait_for_state(
        self,
        entity_id: str,
        wanted: str | Callable[[dict[str, Any]], bool],
        timeout: float = 30,
    ) -> dict[str, Any]:
        """Wait until an entity has a state; return it."""

        async def probe() -> dict[str, Any] | None:
            state = await self.state(entity_id)
            if state is None:
                return None
            good = wanted(state) if callable(wanted) else state["state"] == wanted
            return state if good else None

        found: dict[str, Any] | None = await wait_until(
            probe, timeout, f"{entity_id} being {wanted}"
        )
        assert found
        return found

    async def configure(
        self, flow_id: str, user_input: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer a step of a config flow; return the next one."""
        result: dict[str, Any] = await self.rest(
            "POST",
            f"/api/config/config_entries/flow/{flow_id}",
            dict(user_input or {}),
        )
        return result

    async def save_dashboard(
        self, path: str, config: Mapping[str, Any], *, title: str | None = None
    ) -> None:
        """Make a dashboard; without a title, its path is shown."""
        await self.ws(
            "lovelace/dashboards/create",
            url_path=path,
            title=title or path,
            icon="mdi:cctv",
            mode="storage",
        )
        await self.ws("lovelace/config/save", url_path=path, config=config)

    # Its log

    def log(self, *, everything: bool = False) -> str:
        """Return what it has logged since its last start, or in its whole life."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(0 if everything else self._log_start)
            return log.read().decode(errors="replace")

    def problems(
        self, levels: Iterable[str] = ("ERROR", "CRITICAL"), ignore: Iterable[str] = ()
    ) -> list[str]:
        """Return the lines that it has logged at these levels since its last start."""
        level = re.compile(rf"^\S+ \S+ ({'|'.join(levels)}) ")
        ignored = [re.compile(pattern) for pattern in ignore]
        return [
            line
            for line in self.log().splitlines()
            if level.match(line) and not any(known.search(line) for known in ignored)
        ]


class Websocket:
    """A connection to Home Assistant's WebSocket API."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        """Use a connection that is logged in."""
        self._connection = connection
        self._ids = itertools.count(1)
        self._events: list[dict[str, Any]] = []

    async def ask(self, type: str, **fields: Any) -> Any:
        """Return the answer to a command; events that come meanwhile are kept."""
        number = next(self._ids)
        await self._connection.send_json({"id": number, "type": type, **fields})
        while True:
            message = await self._connection.receive_json(timeout=REQUEST_TIMEOUT)
            if message["type"] == "event":
                self._events.append(message)
            elif message["id"] == number:
                break
        if not message.get("success", True):
            raise HomeAssistantError(f"{type}: {message['error']}")
        return message.get("result")

    async def event(self, timeout: float = REQUEST_TIMEOUT) -> Any:
        """Return the next event of what was subscribed to with `ask`."""
        if self._events:
            return self._events.pop(0)["event"]
        async with asyncio.timeout(timeout):
            while (message := await self._connection.receive_json())["type"] != "event":
                pass
        return message["event"]
