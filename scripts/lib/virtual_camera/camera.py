"""The virtual camera: one device from power-on over setup, motion and sleep to power-off."""

import asyncio
from collections import deque
from collections.abc import Mapping
import contextlib
from pathlib import Path
import random
from typing import Any

from .api import GatewayApi
from .boot import Boot, Counters, Outcome, SentFrame, WakeReason
from .claiming import be_claimed
from .discovery import find_gateway
from .life import Observable, State
from .link import Link, LinkClosed, PinnedContext, Refused
from .options import CAPS, Options
from .outbox import CapturedFrame, Outbox
from .sensor import Sensor
from .session import Session
from .settings import DEFAULTS, sort_out
from .setup_mode import SetupServer
from .sources import FrameSource, GeneratedSource
from .store import Flash, new_camera_id, new_setup_code, show_code

BACKOFF_MAX_S = 30.0
SLOW_RETRY_S = 60.0
RECORD = 200_000
# How long pictures are taken without a link
KEEP_S = 600.0


class VirtualCamera(Observable):
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
        super().__init__((id or new_camera_id()).upper())
        self.options = o = options or Options(**more)
        self.source: FrameSource = source or GeneratedSource()
        self.sensor = Sensor(self)
        flash = Flash.load(state_dir, self.id) if state_dir else None
        if flash is None:
            flash = Flash(self.id, show_code(setup_code or new_setup_code()), o.fw)
            if state_dir:
                flash.keep_in(state_dir)
        elif setup_code:
            flash.setup_code = show_code(setup_code)
        if o.battery_pct is not None and flash.path is None:
            flash.battery_pct = o.battery_pct
        self.flash = flash
        self.caps: dict[str, Any] = dict(CAPS)
        if self.options.features is not None:
            self.caps["features"] = list(self.options.features)
        if o.always_on:
            self.caps |= {"battery": False, "sleep": False}
        if o.battery_pct is None:
            self.caps["battery"] = False
        self.counters = Counters()
        self.sent_frames: deque[SentFrame] = deque(maxlen=RECORD)
        self.boot: Boot | None = None
        self.link: Link | None = None
        self.setup_server: SetupServer | None = None
        self._ghosts: list[Link] = []
        self._rate: float | None = None
        self._context: tuple[tuple[str, str], PinnedContext] | None = None
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
        self._run_task.add_done_callback(lambda task: self.notify())

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
        if not self.config["motion_enabled"]:
            self.counters.motion_ignored += 1
            return
        self.sensor.see(duration_s)
        if self.flash.registered:
            self._wake_up("pir")

    def press_ring(self) -> None:
        """Press the doorbell for a moment: the camera wakes, and shows who it is."""
        self.sensor.ring()
        if self.flash.registered:
            self._wake_up("ring")

    def check_in(self) -> None:
        """Let the timer end its sleep now."""
        self._wake_up("timer")

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

    def count_wrong_code(self) -> None:
        """Note a claim with a wrong setup code."""
        self.counters.wrong_setup_codes += 1
        self.emit("wrong_code")

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

    # -- talking to the gateway outside of the WebSocket

    def context(self) -> PinnedContext:
        """Return the TLS context for the pinned CA; it holds the session tickets."""
        assert self.flash.bundle
        # A resumed session is not checked again, so none outlives what it was checked for.
        pin = (self.flash.bundle["ca"], self.flash.bundle["gateway"]["name"])
        if self._context is None or self._context[0] != pin:
            self._context = (pin, PinnedContext.create(pin[0]))
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
        if reason == "timer" and self.config.get("checkin_picture"):
            self.sensor.take_check_in()
        if reason not in ("timer", "pir", "ring"):
            # A sensor that is on at a restart has seen something, as far as the chip knows.
            self.sensor.restart()
        self.sensor.wake()
        self.emit("booted", boot=boot.number, reason=reason)
        tasks = [
            asyncio.create_task(self.sensor.run(boot), name=f"{self.id} sensor"),
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
            if self.sensor.motion_pending:
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

    def set_live(self, on: bool, *, keep_s: float | None = None) -> None:
        """Begin or end capturing for somebody who watches; `keep_s`: also without a link, so often."""
        if boot := self.boot:
            boot.live = on
            boot.keep_s = keep_s if self.config["power_mode"] == "always_on" else None
            boot.keep_until = 0
            self.sensor.wake()
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
                await be_claimed(self)
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
            if boot.live and boot.keep_s:
                boot.keep_until = boot.clock() + KEEP_S
                # The first one at once: of those before, not each was recorded
                boot.captured_at = 0
                self.sensor.wake()
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
