"""The virtual camera: one device from power-on over setup, motion and sleep to power-off."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
import logging
from pathlib import Path
import random
import time
from typing import Any

import aiohttp
from zeroconf.asyncio import AsyncZeroconf

from .api import ApiError, GatewayApi
from .boot import Boot, Counters, Outcome, Recording, SentFrame, WakeReason
from .discovery import find_gateway
from .link import Link, LinkClosed, PinnedContext, Refused
from .outbox import NO_FLAGS, CapturedFrame, FrameFlag, Outbox
from .session import Session
from .settings import DEFAULTS, sort_out
from .setup_mode import LOCKOUT_S, Advertisement, SetupServer
from .sources import FrameSource, GeneratedSource, Shot
from .store import Flash, canonical_code, new_camera_id, new_setup_code, show_code

_LOGGER = logging.getLogger(__name__)

MODEL = "MagicPi Virtual Camera"
FIRMWARE = "1.0.0"
MAX_JPEG = 512 * 1024
RING_BYTES = 2 * 1024 * 1024
WARM_UP_FRAMES = 3
LIVE_FRAMES_WAITING = 2
BACKOFF_MAX_S = 30.0
SLOW_RETRY_S = 60.0
CLAIM_GOOD_FOR_S = 600.0
HISTORY = 4096
RECORD = 200_000

CAPS: dict[str, Any] = {
    "resolutions": ["QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"],
    "psram": 4194304,
    "battery": True,
    "flash": True,
    "sd": False,
    "motion": ["pir"],
    "sleep": True,
    "ota": True,
}


class State(StrEnum):
    """What a camera is doing."""

    OFF = "off"
    SETUP = "setup"
    CONNECTING = "connecting"
    AWAKE = "awake"
    STREAMING = "streaming"
    DRAINING = "draining"
    ASLEEP = "asleep"


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """Something that happened to a camera."""

    index: int
    camera: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Options:
    """How a virtual camera is built and where it stands; times in seconds."""

    http_bind: str = "127.0.0.1"
    http_port: int = 0
    zeroconf: AsyncZeroconf | None = None
    advertise_addresses: tuple[str, ...] = ()
    gateway: tuple[str, int] | None = None
    time_factor: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    always_on: bool = False
    battery_pct: float | None = 100.0
    battery_pct_per_boot: float = 0.01
    model: str = MODEL
    fw: str = FIRMWARE
    rssi: int = -58
    wifi_s: float = 0.3
    connect_timeout_s: float = 5.0
    linger_s: float = 0.5
    heartbeat_s: float = 10.0
    give_up_s: float = 120.0
    tail_s: float | None = None
    lockout_s: float = LOCKOUT_S
    ring_bytes: int = RING_BYTES
    fragment: int | None = None
    ota_result: str = "ok"
    ota_public_key: str | None = field(default=None, repr=False)


class VirtualCamera:
    """A complete camera by the protocol.

    Intervals of sleep and of retrying are divided by `time_factor`; frames, recordings and
    heartbeats keep real time, because the gateway measures by them.
    """

    def __init__(
        self,
        id: str | None = None,
        *,
        source: FrameSource | None = None,
        state_dir: Path | None = None,
        setup_code: str | None = None,
        options: Options | None = None,
        **more: Any,
    ) -> None:
        """Build a camera; `more` are fields of Options. Without `state_dir` all is in memory."""
        self.options = o = options or Options(**more)
        self.source: FrameSource = source or GeneratedSource()
        camera_id = (id or new_camera_id()).upper()
        flash = Flash.load(state_dir, camera_id) if state_dir else None
        if flash is None:
            flash = Flash(camera_id, show_code(setup_code or new_setup_code()), o.fw)
            if state_dir:
                flash.keep_in(state_dir)
        elif setup_code:
            flash.setup_code = show_code(setup_code)
        if o.battery_pct is not None and flash.path is None:
            flash.battery_pct = o.battery_pct
        self.flash = flash
        self.id = flash.id
        self.caps: dict[str, Any] = dict(CAPS)
        if o.always_on:
            self.caps |= {"battery": False, "sleep": False}
        if o.battery_pct is None:
            self.caps["battery"] = False
        self.counters = Counters()
        self.sent_frames: deque[SentFrame] = deque(maxlen=RECORD)
        self.history: deque[LifeEvent] = deque(maxlen=HISTORY)
        self.state = State.OFF
        self.boot: Boot | None = None
        self.link: Link | None = None
        self.setup_server: SetupServer | None = None
        self._happened = 0
        self._subscribers: list[Callable[[LifeEvent], None]] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._run_task: asyncio.Task[None] | None = None
        self._ghosts: list[Link] = []
        self._context: tuple[str, PinnedContext] | None = None
        self._sensor_lock = asyncio.Lock()
        self._sensor_wanted = asyncio.Event()
        self._pir_until = 0.0
        self._pir_edge = False
        self._wake: asyncio.Future[WakeReason] | None = None
        self._session: Session | None = None

    def __repr__(self) -> str:
        """Return id and state."""
        return f"<VirtualCamera {self.id} {self.state}>"

    # -- life seen from outside

    @property
    def setup_code(self) -> str:
        """Return the setup code as people read it."""
        return self.flash.setup_code

    @property
    def setup_port(self) -> int:
        """Return the port of setup mode, 0 when it is not open."""
        return self.setup_server.port if self.setup_server else 0

    @property
    def config(self) -> dict[str, Any]:
        """Return all settings as they are now."""
        own = {"power_mode": "always_on"} if self.options.always_on else {}
        return {**DEFAULTS, **own, **self.options.settings, **self.flash.config}

    @property
    def pir_active(self) -> bool:
        """Return whether the motion sensor's output is high."""
        return asyncio.get_running_loop().time() < self._pir_until

    def subscribe(self, callback: Callable[[LifeEvent], None]) -> Callable[[], None]:
        """Call back with every life event; return what ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def emit(self, name: str, /, **data: Any) -> None:
        """Tell what happened."""
        self._happened += 1
        event = LifeEvent(self._happened, self.id, name, data)
        self.history.append(event)
        for callback in [*self._subscribers]:
            callback(event)
        self._notify()

    def _notify(self) -> None:
        """Let all that wait for something look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def mark(self) -> int:
        """Return a point in the history, for `wait_event(after=...)`."""
        return self._happened

    async def wait_until(
        self, condition: Callable[[], bool], *, what: str = "it", timeout: float = 30
    ) -> None:
        """Return when a condition on this camera holds; raises TimeoutError, or its failure."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    if (
                        (task := self._run_task)
                        and task.done()
                        and not task.cancelled()
                    ):
                        task.result()
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            last = ", ".join(event.name for event in [*self.history][-12:])
            raise TimeoutError(
                f"{what} did not come; {self.id} is {self.state} after: {last}"
            ) from None

    async def wait_event(
        self,
        name: str,
        *,
        after: int = 0,
        timeout: float = 30,
        where: Callable[[Mapping[str, Any]], bool] = lambda data: True,
    ) -> LifeEvent:
        """Return the first event of a name after a mark; raises TimeoutError."""

        def found() -> LifeEvent | None:
            for event in self.history:
                if event.index > after and event.name == name and where(event.data):
                    return event
            return None

        await self.wait_until(lambda: found() is not None, what=name, timeout=timeout)
        event = found()
        assert event
        return event

    async def wait_state(self, *states: str, timeout: float = 30) -> None:
        """Return when the camera is in one of these states; raises TimeoutError."""
        await self.wait_until(
            lambda: self.state in states, what=" or ".join(states), timeout=timeout
        )

    async def wait_all_acked(self, *, timeout: float = 30) -> None:
        """Return when nothing is captured or kept for sending any more."""
        await self.wait_until(
            lambda: (
                not (boot := self.boot) or (not boot.recording and boot.outbox.empty)
            ),
            what="the last acknowledgement",
            timeout=timeout,
        )

    async def wait_until_broken(self) -> None:
        """Return never, but raise what breaks the camera itself."""
        await self.wait_until(lambda: False, timeout=86_400 * 3650)

    async def start(self, reason: WakeReason = "power") -> None:
        """Switch the power on."""
        if self._run_task:
            raise RuntimeError("the camera is on already")
        self._run_task = asyncio.create_task(
            self._run(reason), name=f"camera {self.id}"
        )
        self._run_task.add_done_callback(lambda task: self._notify())

    async def stop(self) -> None:
        """Switch the power off and let go of everything; raises what broke the camera."""
        await self._off()
        await self.source.close()

    async def drop_power(self) -> None:
        """Lose the power without a word to anybody; `start` brings it back."""
        if self.link:
            self.link.abort()
        await self._off()

    async def _off(self) -> None:
        """End the camera's task."""
        task, self._run_task = self._run_task, None
        try:
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        finally:
            for ghost in self._ghosts:
                ghost.abort()
            self._ghosts.clear()
            self._set_state(State.OFF)

    def trigger_motion(self, duration_s: float = 2.0) -> None:
        """Let the motion sensor see something for a while."""
        loop = asyncio.get_running_loop()
        if not self.config["motion_enabled"]:
            self.counters.motion_ignored += 1
            return
        if not self.pir_active:
            self._pir_edge = True
        self._pir_until = max(self._pir_until, loop.time() + duration_s)
        self._sensor_wanted.set()
        if self.flash.registered:
            self._wake_up("pir")

    def press_button(self) -> None:
        """Press the camera's button for a moment: it wakes."""
        self._wake_up("button")

    def factory_reset(self) -> None:
        """Hold the camera's button: it forgets its gateway and opens setup mode."""
        self.flash.forget()
        self.emit("reset")
        self.reboot("button")

    def reboot(self, reason: WakeReason = "watchdog") -> None:
        """Let the chip restart on the spot; what was in its memory is lost."""
        if boot := self.boot:
            if self.link:
                self.link.abort()
            boot.end(Outcome(restart=reason))
        else:
            self._wake_up(reason)

    def _wake_up(self, reason: WakeReason) -> None:
        """End sleep."""
        if (wake := self._wake) and not wake.done():
            wake.set_result(reason)

    # -- a bad network

    def cut_link(self, *, after_bytes: int | None = None, silent: bool = False) -> None:
        """Break the connection: now, within what is sent next, or unnoticed by the gateway."""
        if not (link := self.link):
            return
        if silent:
            self._ghosts.append(link)
            link.vanish()
        elif after_bytes is not None:
            link.cut_after(after_bytes)
        else:
            link.abort()

    def stall(self, seconds: float) -> None:
        """Let nothing through the connection for a while."""
        if self.link:
            self.link.stall(seconds)

    def throttle(self, bytes_per_s: float | None) -> None:
        """Send no faster than this on this connection and the next ones."""
        self._rate = bytes_per_s
        if self.link:
            self.link.throttle(bytes_per_s)

    _rate: float | None = None

    # -- talking to the gateway outside of the WebSocket

    def context(self) -> PinnedContext:
        """Return the TLS context for the pinned CA; it holds the session tickets."""
        assert self.flash.bundle
        ca = self.flash.bundle["ca"]
        if self._context is None or self._context[0] != ca:
            self._context = (ca, PinnedContext.create(ca))
        return self._context[1]

    def auth_headers(self, key: str | None = None) -> dict[str, str]:
        """Return the headers that prove who this is."""
        return {
            "Authorization": f"Bearer {key or self.flash.api_key}",
            "X-Camera-Id": self.id,
        }

    def known_hosts(self) -> list[tuple[str, int]]:
        """Return the gateway's addresses in the order of trying."""
        if self.options.gateway:
            return [self.options.gateway]
        assert self.flash.bundle
        gateway = self.flash.bundle["gateway"]
        hosts = [(host, gateway["port"]) for host in gateway["hosts"]]
        if self.flash.last_host and self.flash.last_port:
            last = (self.flash.last_host, self.flash.last_port)
            hosts = [last, *(host for host in hosts if host != last)]
        return hosts

    def api(self) -> GatewayApi:
        """Return the way to the gateway's first address."""
        assert self.flash.bundle
        host, port = self.known_hosts()[0]
        return GatewayApi(
            host,
            port,
            context=self.context(),
            name=self.flash.bundle["gateway"]["name"],
        )

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Use the gateway's REST with the camera's key; raises ApiError, OSError."""
        return await self.api().json(
            method, path, headers=self.auth_headers(), body=body
        )

    async def change_settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings at the camera itself and report them; return the merged ones."""
        self.flash.update({"config": {**self.flash.config, **changes}})
        answer = await self.request("PUT", "/device/config", changes)
        merged = answer.get("config", answer)
        if self._session:
            await self._session.take_config(merged)
        else:
            self.apply_config(merged)
        return self.config

    def apply_config(
        self, config: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Take over a gateway's settings; return the applied and the rejected ones."""
        applied, rejected = sort_out(config, self.caps)
        if self.options.always_on and applied.get("power_mode") == "battery":
            del applied["power_mode"]
            rejected["power_mode"] = "not_supported"
        rev = config.get("rev")
        self.flash.update(
            {
                "config": {**self.flash.config, **applied},
                "config_rev": rev if isinstance(rev, int) else self.flash.config_rev,
            }
        )
        self.emit("config_applied", rev=rev, applied=applied, rejected=rejected)
        if self.boot:
            self.boot.changed.set()
        return applied, rejected

    # -- life seen from inside

    async def _run(self, reason: WakeReason) -> None:
        """Boot, live, sleep, again and again."""
        while True:
            outcome = await self._one_boot(reason)
            if outcome.sleep_s is None:
                reason = outcome.restart
                continue
            reason = await self._sleep(outcome.sleep_s)

    async def _one_boot(self, reason: WakeReason) -> Outcome:
        """Live from waking to sleeping."""
        loop = asyncio.get_running_loop()
        outbox = Outbox(self.options.ring_bytes)
        self.boot = boot = Boot(reason, loop.time(), outbox, loop.time)
        self.counters.boots += 1
        self.flash.battery_pct = max(
            0.0, self.flash.battery_pct - self.options.battery_pct_per_boot
        )
        if self.pir_active and reason not in ("timer", "pir"):
            # A sensor that is on at a restart has seen something, as far as the chip knows.
            self._pir_edge = True
        self._sensor_wanted.set()
        self.emit("booted", boot=boot.number, reason=reason)
        tasks = [
            asyncio.create_task(self._sense(boot), name=f"{self.id} sensor"),
            asyncio.create_task(self._keep_linked(boot), name=f"{self.id} link"),
            asyncio.create_task(self._watch_budget(boot), name=f"{self.id} budget"),
        ]
        try:
            ends: list[asyncio.Future[Any]] = [boot.outcome, *tasks]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return await boot.outcome
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.counters.lost += outbox.lost_total + outbox.give_up()
            self.boot = None

    async def _sleep(self, seconds: float) -> WakeReason:
        """Sleep until the timer, the motion sensor or the button ends it."""
        self._wake = asyncio.get_running_loop().create_future()
        self._set_state(State.ASLEEP)
        self.emit("slept", seconds=seconds)
        reason: WakeReason = "timer"
        try:
            # What moved between the last look and now must not be slept over.
            if self.motion_pending:
                reason = "pir"
            else:
                async with asyncio.timeout(seconds / self.options.time_factor):
                    reason = await self._wake
        except TimeoutError:
            pass
        finally:
            self._wake = None
        self.emit("woke", reason=reason)
        return reason

    def _set_state(self, state: State) -> None:
        """Change the state."""
        if state is not self.state:
            self.state = state
            self.emit("state", state=str(state))

    def update_state(self) -> None:
        """Find the state of an awake camera from what it is doing."""
        if not (boot := self.boot):
            return
        if self.setup_server:
            self._set_state(State.SETUP)
        elif not self.link:
            self._set_state(State.CONNECTING)
        elif boot.capturing:
            self._set_state(State.STREAMING)
        elif not boot.outbox.empty:
            self._set_state(State.DRAINING)
        else:
            self._set_state(State.AWAKE)

    # -- the sensor

    async def _sense(self, boot: Boot) -> None:
        """Capture while there is an event or somebody watches."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._follow_motion(boot)
            if boot.capturing and (boot.linked_once or self.config["pre_roll"]):
                period = 1 / self.config["framerate"]
                if boot.recording:
                    await self._capture_event_frame(boot, boot.recording, period)
                elif self.link and boot.outbox.waiting_frames < LIVE_FRAMES_WAITING:
                    await self.capture(boot)
                # A sensor that is late skips pictures; it does not catch up.
                due = max(due + period, loop.time())
                await asyncio.sleep(due - loop.time())
            else:
                self._sensor_wanted.clear()
                self.update_state()
                boot.changed.set()
                await self._sensor_wanted.wait()
                due = loop.time()

    @property
    def motion_pending(self) -> bool:
        """Return whether the motion sensor has seen something that no event has begun for."""
        return self._pir_edge and self.pir_active

    def wake_sensor(self) -> None:
        """Let the sensor look at what is wanted of it."""
        self._sensor_wanted.set()

    def _follow_motion(self, boot: Boot) -> None:
        """Begin an event, or note in the running one that motion came or went."""
        t = boot.uptime_ms
        active = self.pir_active
        recording = boot.recording
        if recording is None:
            if boot.leaving or not (self.motion_pending and self.flash.registered):
                return
            self._pir_edge = False
            boot.events += 1
            self.counters.events += 1
            boot.recording = recording = Recording(
                boot.events, t + self.config["max_event_s"] * 1000
            )
            self._report_motion(boot, recording, t)
            self.emit("event_started", number=recording.event)
            self.update_state()
        elif active != recording.active:
            recording.active = active
            self._pir_edge = False
            self._report_motion(boot, recording, t)
        if active:
            recording.end_t = None
        elif recording.end_t is None:
            tail = self.options.tail_s
            tail = self.config["stream_duration_s"] if tail is None else tail
            recording.end_t = t + int(tail * 1000)

    @staticmethod
    def _report_motion(boot: Boot, recording: Recording, t: int) -> None:
        """Queue a motion message."""
        message = {
            "type": "motion",
            "event": recording.event,
            "active": recording.active,
            "t": t,
            "source": "pir",
        }
        boot.outbox.add_control(lambda: message)

    async def _capture_event_frame(
        self, boot: Boot, recording: Recording, period: float
    ) -> None:
        """Capture for an event and end it when its time is over."""
        next_t = boot.uptime_ms + period * 1000
        last = next_t > recording.limit_t or (
            recording.end_t is not None and next_t > recording.end_t
        )
        recording.frames += 1
        await self.capture(
            boot, event=recording.event, flags=FrameFlag.LAST if last else NO_FLAGS
        )
        if last:
            self._end_event(boot, recording)

    def _end_event(self, boot: Boot, recording: Recording) -> None:
        """Close the running event."""
        t = boot.uptime_ms
        if recording.active:
            # It has been high for as long as an event may last: it is not believed any more
            # until it has been low.
            recording.active = False
            self._report_motion(boot, recording, t)
            boot.outbox.add_control(
                lambda: {
                    "type": "log",
                    "level": "warning",
                    "message": "The motion sensor stays on.",
                }
            )
        event, frames, outbox = recording.event, recording.frames, boot.outbox
        outbox.add_control(
            lambda: {
                "type": "event_end",
                "event": event,
                "t": t,
                "frames": frames,
                "lost": outbox.lost[event],
            }
        )
        boot.recording = None
        boot.progress()
        self.emit("event_ended", number=event, frames=frames)
        self.update_state()

    async def capture(
        self, boot: Boot, *, event: int = 0, flags: FrameFlag = NO_FLAGS
    ) -> CapturedFrame | None:
        """Take one picture and queue it; None when it is more than a gateway takes."""
        async with self._sensor_lock:
            boot.seq += 1
            t = boot.uptime_ms
            shot = Shot(self.id, boot.seq, self.config)
            jpeg = await self.source.frame(shot)
            boot.sensor_frames += 1
            if boot.sensor_frames <= WARM_UP_FRAMES and FrameFlag.STILL not in flags:
                flags |= FrameFlag.WARMING_UP
            if not boot.linked_once:
                flags |= FrameFlag.PRE_ROLL
            if boot.first_frame_ms is None:
                boot.first_frame_ms = t
            self.counters.captured += 1
            frame = CapturedFrame(event, boot.seq, flags, t, jpeg)
            if len(jpeg) > MAX_JPEG:
                boot.outbox.lose(frame.seq, event)
                return None
            boot.outbox.add_frame(frame)
            return frame

    def note_sent(self, boot: Boot, frame: CapturedFrame) -> None:
        """Record that a frame has left."""
        frame.sendings += 1
        self.counters.bytes_sent += len(frame.jpeg)
        if frame.sendings > 1:
            self.counters.resent += 1
            return
        self.counters.sent += 1
        self.sent_frames.append(
            SentFrame(
                *(boot.number, frame.event, frame.seq, frame.t, frame.flags, frame.crc),
                len(frame.jpeg),
            )
        )

    def set_live(self, on: bool) -> None:
        """Begin or end capturing for somebody who watches."""
        if boot := self.boot:
            boot.live = on
            self._sensor_wanted.set()
            boot.changed.set()
            self.update_state()

    # -- the link

    async def _keep_linked(self, boot: Boot) -> None:
        """Be claimed where needed, connect, come back after every loss."""
        attempt = 0
        self.update_state()
        boot.wifi_ms = round(self.options.wifi_s * random.uniform(800, 1200))
        await asyncio.sleep(boot.wifi_ms / 1000)
        while True:
            if not self.flash.registered:
                await self._be_claimed()
                boot.progress()
            delay = 0.0
            try:
                link = await self._connect()
            except Refused as err:
                self.counters.failed_connects += 1
                self.emit("refused", status=err.status)
                delay = max(err.retry_after, SLOW_RETRY_S if err.status == 401 else 0)
                if err.status == 401 and self.may_sleep():
                    # The claim is kept: only a person at the camera may open setup mode again.
                    boot.end(Outcome(sleep_s=self.config["heartbeat_interval_s"]))
            except OSError as err:
                self.counters.failed_connects += 1
                self.emit("unreachable", error=type(err).__name__)
            else:
                welcomed, closed = await self._live_linked(boot, link)
                if welcomed:
                    attempt = 0
                delay = self._react(boot, closed)
            attempt += 1
            backoff = random.uniform(0, min(BACKOFF_MAX_S, 2.0 ** min(attempt - 1, 8)))
            await asyncio.sleep(max(delay, backoff) / self.options.time_factor)

    def may_sleep(self) -> bool:
        """Return whether this camera sleeps at all."""
        return bool(self.caps["sleep"]) and self.config["power_mode"] == "battery"

    async def _connect(self) -> Link:
        """Dial all known addresses, then look for others; raises OSError, Refused."""
        assert self.flash.bundle
        hosts = self.known_hosts()
        try:
            return await self._dial(hosts)
        except OSError:
            if not (zeroconf := self.options.zeroconf) or self.options.gateway:
                raise
            found = await find_gateway(zeroconf, self.flash.bundle["ca"])
            if not (new := [host for host in found if host not in hosts]):
                raise
            self.emit("gateway_found", hosts=[host for host, _ in new])
            return await self._dial(new)

    async def _dial(self, hosts: list[tuple[str, int]]) -> Link:
        """Connect to the first address that works; raises the last one's OSError, Refused."""
        assert self.flash.bundle
        problem: OSError = ConnectionError("no address")
        for host, port in hosts:
            try:
                link = await self._open_link(host, port)
            except OSError as err:
                problem = err
                continue
            if (host, port) != (self.flash.last_host, self.flash.last_port):
                self.flash.update({"last_host": host, "last_port": port})
            link.throttle(self._rate)
            link.fragment = self.options.fragment
            self.counters.connects += 1
            self.counters.resumed_sessions += link.resumed
            return link
        raise problem

    async def _open_link(self, host: str, port: int) -> Link:
        """Connect with the newest key that the gateway takes; raises OSError, Refused."""
        assert self.flash.bundle
        keys = [key for key in (self.flash.next_api_key, self.flash.api_key) if key]
        for key in keys:
            try:
                link = await Link.open(
                    host,
                    port,
                    context=self.context(),
                    name=self.flash.bundle["gateway"]["name"],
                    headers=self.auth_headers(key),
                    wait=self.options.connect_timeout_s,
                )
            except Refused as err:
                if err.status == 401 and key != keys[-1]:
                    continue
                raise
            if key == self.flash.next_api_key:
                self.flash.update({"api_key": key, "next_api_key": None})
            return link
        raise Refused(401)

    async def _live_linked(self, boot: Boot, link: Link) -> tuple[bool, LinkClosed]:
        """Run one connection to its end; return whether it was welcomed, and its end."""
        self.link = link
        self._session = session = Session(self, boot, link)
        self.emit("connected", resumed=link.resumed)
        self.update_state()
        try:
            closed = await session.run()
            if closed.code == 1000:
                await link.close()
        finally:
            self.link = self._session = None
            boot.live = False
            if link not in self._ghosts:
                link.abort()
        self.counters.closes[closed.code] += 1
        self.emit("closed", code=closed.code, reason=closed.reason)
        if session.outcome:
            boot.end(session.outcome)
        else:
            self.update_state()
        return session.welcomed, closed

    def _react(self, boot: Boot, closed: LinkClosed) -> float:
        """Do what a close code asks for; return the seconds to wait before dialling again."""
        if closed.code == 4003:
            # The gateway proved who it is by its certificate, so this is its owner's word.
            self.flash.forget()
            boot.end(Outcome(restart="power"))
        elif closed.code == 1000:
            if self.may_sleep() and not boot.capturing and boot.outbox.empty:
                boot.end(Outcome(sleep_s=self.config["heartbeat_interval_s"]))
        elif closed.code in (1008, 4001):
            # Dialling again at once would end in the same way, or throw out the other one.
            return SLOW_RETRY_S
        return 0.0

    async def _watch_budget(self, boot: Boot) -> None:
        """Put a camera to sleep that has been awake for long without achieving anything."""
        loop = asyncio.get_running_loop()
        while True:
            left = boot.progress_at + self.options.give_up_s - loop.time()
            if left > 0:
                await asyncio.sleep(left)
            elif boot.capturing or self.setup_server or not self.may_sleep():
                boot.progress()
            else:
                lost = boot.outbox.give_up()
                self.flash.update(
                    {"unreported_lost": self.flash.unreported_lost + lost}
                )
                self.emit("gave_up", lost=lost)
                boot.end(Outcome(sleep_s=self.config["heartbeat_interval_s"]))
                return

    # -- setup mode

    async def _be_claimed(self) -> None:
        """Open setup mode until a gateway has registered this camera."""
        o = self.options
        claims: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        info = {"id": self.id, "model": o.model, "fw": self.flash.fw, "caps": self.caps}
        server = SetupServer(
            info,
            canonical_code(self.setup_code),
            claims.put_nowait,
            lockout_s=o.lockout_s,
        )
        server.on_wrong_code = self._count_wrong_code
        await server.start(o.http_bind, o.http_port)
        self.setup_server = server
        advertisement = None
        if o.zeroconf:
            addresses = o.advertise_addresses or (o.http_bind,)
            advertisement = Advertisement(o.zeroconf, info, addresses, server.port)
        try:
            if advertisement:
                await advertisement.publish()
            self.update_state()
            self.emit(
                "setup_opened", host=o.http_bind, port=server.port, code=self.setup_code
            )
            while True:
                bundle = await claims.get()
                self.emit("claimed", name=bundle.get("name", ""))
                if await self._register(bundle):
                    return
                server.reopen()
        finally:
            # Only now: Home Assistant withdraws the discovery with the record.
            self.setup_server = None
            await server.stop()
            if advertisement:
                await advertisement.withdraw()

    def _count_wrong_code(self) -> None:
        """Note a claim with a wrong setup code."""
        self.counters.wrong_setup_codes += 1
        self.emit("wrong_code")

    async def _register(self, bundle: dict[str, Any]) -> bool:
        """Get a key for a token; return False when this claim leads nowhere."""
        self.flash.bundle = bundle
        self.flash.last_host = self.flash.last_port = None
        body = {
            "id": self.id,
            "model": self.options.model,
            "fw": self.flash.fw,
            "token": bundle["token"],
            "caps": self.caps,
        }
        until = time.monotonic() + CLAIM_GOOD_FOR_S
        attempt = 0
        while time.monotonic() < until:
            retry_after = 0.0
            for host, port in self.known_hosts():
                api = GatewayApi(
                    host, port, context=self.context(), name=bundle["gateway"]["name"]
                )
                try:
                    answer = await api.json("POST", "/register", body=body)
                except ApiError as err:
                    self.emit("register_failed", status=err.status, error=err.slug)
                    if err.status in (400, 401, 409, 413):
                        self.flash.forget()
                        return False
                    retry_after = err.retry_after
                except (OSError, aiohttp.ClientError) as err:
                    self.emit("register_failed", status=0, error=type(err).__name__)
                else:
                    self.flash.update(
                        {
                            "api_key": answer["api_key"],
                            "last_host": host,
                            "last_port": port,
                        }
                    )
                    self.apply_config(answer.get("config") or {})
                    self.emit("registered", host=host, port=port)
                    return True
            attempt += 1
            backoff = random.uniform(0.2, min(BACKOFF_MAX_S, 2.0**attempt))
            await asyncio.sleep(max(retry_after, backoff / self.options.time_factor))
        self.flash.forget()
        return False
