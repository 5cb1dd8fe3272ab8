"""Everything known of one registered camera.

Long because the parts of a camera meet here alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
import logging
from typing import Any, Final, Self

from ..boot_clock import BootClock
from ..messages import (
    Bye,
    Caps,
    ConfigAck,
    Heartbeat,
    Hello,
    Log,
    OtaState,
    Registration,
    Result,
)
from ..progress import BootProgress
from ..protocol import WAKE_TIMER, Frame, ProtocolError, encode_command, encode_config
from .changes import ALL_BUT_FRAMES, Change, Subscribers
from .commands import CameraAsleep, CommandFailed, CommandRefused, Commands
from .configuration import Configuration
from .counters import Counters, Telemetry
from .host import CameraHost, CameraLink
from .live import LiveView
from .pictures import PictureFaults
from .presence import CameraStatus, Presence
from .update import FirmwareOffer, OtaProgress, OtaStep, Update

_LOGGER = logging.getLogger(__name__)

MAX_LOG_LINES: Final = 50
UNKNOWN: Final = "unknown"
# Between pictures that a camera takes without a connection, for who wants them. A sensor's own rate adds up to 0.13 s.
KEEP_MS: Final = 850
# A crash forgets no more of what was lost; memory cards wear.
SAVE_LOST_S: Final = 300
# Counters change with every frame; subscribers hear of it every so many ticks of the gateway.
COUNTER_TICKS: Final = 20

# Raised by `Camera.restore`.
RESTORE_ERRORS: Final = (ProtocolError, KeyError, TypeError, ValueError)
_FRAME: Final = Change.FRAME.value


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that the camera wrote."""

    at_ms: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Ring:
    """A press of the doorbell button; `at_ms` is UTC epoch milliseconds."""

    boot: int
    event: int
    t: int
    at_ms: int


def _stream_args(keep: bool) -> dict[str, Any]:
    """Return what `stream_start` carries."""
    return {"keep_ms": KEEP_MS} if keep else {}


class Camera:
    """One registered camera: its parts, and what a session reports to them."""

    def __init__(
        self,
        camera_id: str,
        *,
        name: str,
        model: str,
        firmware: str,
        caps: Caps,
        host: CameraHost,
        board_id: str | None = None,
    ) -> None:
        """A camera that was never seen; `restore` adds what is known from before."""
        self.id = camera_id
        self.board_id = board_id or camera_id
        """The id on the wire: another one than the camera's after its board was replaced."""
        self.name = name
        self.model = model
        self.firmware = firmware
        self.caps = caps
        self.address: str | None = None
        self.session: CameraLink | None = None
        self.hello: Hello | None = None
        self.telemetry = Telemetry()
        self.counters = Counters()
        self.config = Configuration(caps)
        self.log: deque[LogLine] = deque(maxlen=MAX_LOG_LINES)
        self.motion = False
        self.ring: Ring | None = None
        """The last press of its button in this run."""
        self.event = 0
        self.progress: BootProgress | None = None
        self.boot_clock: BootClock | None = None
        self.stay_awake_s = 0
        """Seconds that the next welcome asks the camera to stay."""
        self._held = False
        self._host = host
        self.presence = Presence(
            host.clock, sleeps=self.sleeps, interval_s=self._heartbeat_s()
        )
        self._live = LiveView(self._request_stream)
        self._streams_for_viewers = False
        self._commands = Commands()
        self.pictures = PictureFaults()
        self.update = Update(host.clock)
        self._subscribers = Subscribers(camera_id)
        self.rekey_pending = False
        """Whether a new key waits to be handed over."""
        self._bye: Bye | None = None
        self._known_boot: int | None = None
        self._restarted = False
        self._counter_ticks = 0
        self._notified_bytes = 0
        self._has_lost = False
        self._saved_lost = 0

    # State that survives restarts

    def as_dict(self) -> dict[str, Any]:
        """Return what survives a restart."""
        return {
            "board_id": self.board_id,
            "name": self.name,
            "model": self.model,
            "fw": self.firmware,
            "caps": self.caps.as_dict(),
            "address": self.address,
            "boot": self.progress.boot if self.progress else self._known_boot,
            "rekey_wanted": self.rekey_pending,
            "picture_fault": self.pictures.fault,
            "telemetry": asdict(self.telemetry),
            "config": self.config.as_dict(),
            "counters": self.counters.as_dict(),
            **self.presence.as_dict(),
            **self.update.as_dict(),
        }

    @classmethod
    def restore(cls, camera_id: str, data: Mapping[str, Any], host: CameraHost) -> Self:
        """Read a stored camera, with defaults for what is missing; raises one of RESTORE_ERRORS."""
        camera = cls(
            camera_id,
            name=str(data.get("name") or f"Camera {camera_id[-5:]}"),
            model=str(data.get("model") or UNKNOWN),
            firmware=str(data.get("fw") or UNKNOWN),
            caps=Caps.from_dict(data.get("caps", {})),
            host=host,
            board_id=data.get("board_id"),
        )
        address = data.get("address")
        camera.address = address if isinstance(address, str) else None
        camera.rekey_pending = data.get("rekey_wanted") is True
        fault = data.get("picture_fault")
        camera.pictures.fault = fault if isinstance(fault, str) else None
        boot = data.get("boot")
        camera._known_boot = boot if isinstance(boot, int) else None
        camera.telemetry = Telemetry.from_dict(data.get("telemetry"))
        camera.config = Configuration.from_dict(data.get("config"), camera.caps)
        camera.counters = Counters.from_dict(data.get("counters"))
        camera._saved_lost = camera.counters.lost + camera.counters.dropped
        camera.update.restore(data)
        camera.presence = Presence(
            host.clock, sleeps=camera.sleeps, interval_s=camera._heartbeat_s()
        )
        camera.presence.restore(data, sleeps=camera.sleeps)
        return camera

    # What others read

    @property
    def status(self) -> CameraStatus:
        """Where the camera is in its life."""
        return self.presence.status

    @property
    def last_seen_ms(self) -> int | None:
        """Wall time of its last sign of life."""
        return self.presence.last_seen_ms

    @property
    def next_check_in_ms(self) -> int | None:
        """Wall time at which a camera that sleeps is expected."""
        return self.presence.next_check_in_ms

    @property
    def late_since_ms(self) -> int | None:
        """Wall time since when it is late or offline."""
        return self.presence.late_since_ms

    @property
    def latest(self) -> Frame | None:
        """Its newest picture."""
        return self._live.latest

    @property
    def offer(self) -> FirmwareOffer | None:
        """The image that it may fetch."""
        return self.update.offer

    @property
    def ota(self) -> OtaProgress | None:
        """The last update that was ordered."""
        return self.update.progress

    @property
    def sleeps(self) -> bool:
        """Whether this camera spends its life asleep."""
        return self.caps.sleep and self.config.effective("power_mode") == "battery"

    @property
    def checks_in(self) -> bool:
        """Whether it is here by its timer alone: nothing happens, and nobody watches or holds it."""
        return (
            self.session is not None
            and self.sleeps
            and self.hello is not None
            and self.hello.reason == WAKE_TIMER
            and not (self._held or self.motion or self._live.viewers)
        )

    def _heartbeat_s(self) -> int:
        return int(self.config.effective("heartbeat_interval_s"))

    def subscribe(
        self, callback: Callable[[Change], None], changes: Change = ALL_BUT_FRAMES
    ) -> Callable[[], None]:
        """Call back with what changed of `changes`, once per turn of the loop.

        Frames are left out unless asked for. Returns the function that ends it.
        """
        return self._subscribers.add(callback, changes)

    def notify(self, change: Change) -> None:
        """Call the subscribers back soon."""
        self._subscribers.notify(change.value)

    # Connection

    def connected(
        self, session: CameraLink, hello: Hello, *, recorded: bool = False
    ) -> CameraLink | None:
        """Take the camera's hello; returns the older session that this one replaces.

        `recorded`: frames of this boot are on disk.
        """
        replaced, self.session = self.session, session
        self._streams_for_viewers = False
        changes = Change.STATUS | Change.TELEMETRY
        self._restarted = hello.boot != self._known_boot
        if self.progress is None or self.progress.boot != hello.boot:
            self.progress = BootProgress(hello.boot)
            self.boot_clock = BootClock(self._host.clock)
            # After a restart of this side a boot that was known is no wake.
            if self._restarted and not recorded:
                self.counters.wakes += 1
                self.counters.lost += hello.lost
                self.counters.alarms_dropped += hello.dropped
                if hello.spent:
                    self.counters.spent.update(asdict(hello.spent))
                changes |= Change.WOKE
            self._known_boot = hello.boot
        if self.late_since_ms is not None:
            _LOGGER.info("Camera %s (%s) is back", self.name, self.id)
            self._host.save()
        else:
            _LOGGER.debug("Camera %s connected, woken by %s", self.id, hello.reason)
            self._host.save_later()
        if (self.model, self.firmware, self.address) != (
            hello.model,
            hello.fw,
            session.address,
        ):
            self.model, self.firmware = hello.model, hello.fw
            self.address = session.address
            changes |= Change.INFO
            self._host.save()
        if hello.features != self.caps.features:
            # Another firmware than at its registration: what it can do comes and goes with that
            self.caps = replace(self.caps, features=hello.features)
            self.config.update_caps(self.caps)
            changes |= Change.INFO | Change.CONFIG
            self._host.save()
        self.hello = hello
        self._held = self.stay_awake_s > 0
        self.stay_awake_s = 0
        self._bye = None
        self.presence.connected(interval_s=self._heartbeat_s())
        self.counters.connections += 1
        self.telemetry = Telemetry.from_hello(hello)
        self.notify(changes)
        return replaced

    def welcomed(self) -> None:
        """Send what was pending until this connection."""
        before = self.update.progress
        self.update.judge(running=self.firmware, new_boot=self._restarted)
        if (progress := self.update.progress) is not before and progress:
            if progress.state is OtaStep.DONE:
                _LOGGER.info("Camera %s runs firmware %s", self.id, progress.version)
            else:
                _LOGGER.warning(
                    "Camera %s did not start firmware %s: %s",
                    self.id,
                    progress.version,
                    progress.error,
                )
            self._update_changed()
        self._send_offer()
        self._live.connected()

    def disconnected(self, session: CameraLink) -> None:
        """The session is over; nothing happens when a newer one has taken its place."""
        if self.session is not session:
            return
        self.handle_motion(0, False)
        self.session = None
        bye, self._bye = self._bye, None
        self.presence.disconnected(
            bye, sleeps=self.sleeps, interval_s=self._heartbeat_s()
        )
        if self.status is CameraStatus.OFFLINE:
            _LOGGER.info("Camera %s (%s) went offline", self.name, self.id)
        if self.update.progress and self.update.progress.running:
            self.update.disconnected()
            self._update_changed()
        if self.pictures.end():
            self._pictures_changed()
        self._commands.disconnected()
        self._live.disconnected()
        self.notify(Change.STATUS | Change.COUNTERS)
        self._host.save_later()

    def clock_stepped(self, step_ms: int) -> None:
        """The host's wall clock was set: times of status follow."""
        self.presence.clock_stepped(step_ms)
        self.notify(Change.STATUS | Change.TELEMETRY)

    def host_paused(self) -> None:
        """The host did not run for a while: nobody is late at once."""
        self.presence.host_paused()

    def tick(self) -> None:
        """Look at what passes by itself; called at each tick of the gateway."""
        connected = self.session is not None
        if self._has_lost:
            self._has_lost = False
            self.notify(Change.COUNTERS | Change.LOST)
        if (lost := self.counters.lost + self.counters.dropped) != self._saved_lost:
            self._saved_lost = lost
            self._host.save_later(SAVE_LOST_S)
        if self.presence.tick(connected=connected):
            if self.status is CameraStatus.LATE:
                _LOGGER.info("Camera %s (%s) is late", self.name, self.id)
                self._host.save()
            self.notify(Change.STATUS)
        if connected:
            if self.update.offer is not None:
                self._tick_update()
            self._counter_ticks += 1
            if self._counter_ticks >= COUNTER_TICKS:
                self._counter_ticks = 0
                if (count := self.counters.bytes) != self._notified_bytes:
                    self._notified_bytes = count
                    self.notify(Change.COUNTERS)

    def _tick_update(self) -> None:
        if self.update.tick():
            self._update_changed()
        # One that sleeps tries again at its next wake: waiting for it costs battery.
        if not self.sleeps and self.update.is_retry_due():
            self._send_offer()

    # Messages of the camera

    def handle_frame(self, frame: Frame) -> None:
        """Show a good frame."""
        if self.session is not None and self.presence.streams():
            self.notify(Change.STATUS)
        if self.pictures.accept(frame.event):
            self._pictures_changed()
        self._live.show(frame)
        self._subscribers.notify(_FRAME)

    def picture_refused(self, event: int, reason: str) -> None:
        """A picture of an event did not pass its checks."""
        if self.pictures.refuse(event, reason):
            self._pictures_changed()

    def _pictures_changed(self) -> None:
        if fault := self.pictures.fault:
            _LOGGER.warning("Pictures of camera %s are refused: %s", self.id, fault)
        self.notify(Change.PICTURES)
        self._host.save()

    def event_ended(self, lost: int) -> None:
        """All frames of an event came; the camera gave up `lost` of them."""
        self.counters.events += 1
        self.counters.lost += lost
        if lost:
            self.notify(Change.LOST)
        if self.pictures.end():
            self._pictures_changed()

    def frame_given_up(self) -> None:
        """The recorder took a frame and lost it."""
        self.counters.lost += 1
        self.counters.given_up += 1
        # Reported at the next tick: a full disk refuses many frames in a row.
        self._has_lost = True

    def handle_motion(self, event: int, active: bool) -> None:
        """Motion begins or ends."""
        if active is not self.motion:
            # After a late turn of the loop both come at once
            self._subscribers.flush(Change.MOTION.value)
            self.motion = active
            self.notify(Change.MOTION)
        self.event = event if active else 0

    def handle_ring(self, boot: int, event: int, t: int, at_ms: int) -> None:
        """Somebody pressed the button; after a reconnect the camera repeats it."""
        if self.ring and (self.ring.boot, self.ring.t) == (boot, t):
            return
        self._subscribers.flush(Change.RING.value)
        self.ring = Ring(boot, event, t, at_ms)
        self.notify(Change.RING)

    def handle_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take measurements; what the camera leaves out stays."""
        self.presence.seen()
        self.telemetry.update(heartbeat)
        self.notify(Change.TELEMETRY)
        self._host.save_later()

    def handle_config_ack(self, ack: ConfigAck) -> bool:
        """Take the answer to a configuration; returns False when none was sent."""
        before = self.config.as_dict()
        if not self.config.acknowledge(ack):
            return False
        self._config_changed(before)
        return True

    def handle_result(self, result: Result) -> bool:
        """Take the outcome of a command; returns False when nobody waits for it."""
        return self._commands.handle_result(result)

    def handle_ota(self, state: OtaState) -> bool:
        """Take the progress of an update; returns False when none was ordered."""
        if not self.update.handle_state(state):
            return False
        if state.state == "failed":
            _LOGGER.warning("Camera %s could not update: %s", self.id, state.error)
        self.notify(Change.OTA)
        if state.state in ("failed", "installed"):
            self._host.save()
        return True

    def handle_log(self, line: Log) -> None:
        """Keep a line of the camera's log."""
        self.log.append(LogLine(self._host.clock.now_ms(), line.level, line.message))
        _LOGGER.debug("Camera %s: %s: %s", self.id, line.level, line.message)
        self.notify(Change.LOG)

    def handle_bye(self, bye: Bye) -> None:
        """The camera is about to leave."""
        self._bye = bye
        if bye.reason == "ota":
            self.update.restarts()
            self.notify(Change.OTA)

    # Settings

    def set_config(self, changes: Mapping[str, Any]) -> int:
        """Set what is desired, now or at the next wake; returns the revision. Raises ConfigError."""
        before = self.config.as_dict()
        rev = self.config.set(changes)
        if rev != before["rev"] and self.session is not None:
            self.session.send(encode_config(self.config.message()))
        self._config_changed(before)
        return rev

    def merge_config(self, changes: Mapping[str, Any]) -> int:
        """Take settings changed at the camera; returns the merged revision. Raises ConfigError."""
        before = self.config.as_dict()
        rev = self.config.merge(changes)
        self._config_changed(before)
        return rev

    def config_for(self, config_rev: int) -> dict[str, Any] | None:
        """Return the settings that a camera with `config_rev` needs, None when it has them."""
        before = self.config.as_dict()
        needed = self.config.needs_delivery(config_rev)
        self._config_changed(before)
        return self.config.message() if needed else None

    def _config_changed(self, before: Mapping[str, Any]) -> None:
        if self.config.as_dict() != before:
            if self._streams_for_viewers is self.sleeps:
                # It may sleep from now on, or stays awake
                self._request_stream(self._live.viewers > 0, self._live.keeps)
            self.notify(Change.CONFIG)
            self._host.save()

    def take_board(self, board_id: str) -> None:
        """Be another board from now on: settings and totals stay, what was the old board's goes."""
        if self.session is not None:
            self.session.send(encode_command(0, "forget", {}))
        _LOGGER.info("Camera %s (%s) is board %s now", self.name, self.id, board_id)
        self.board_id = board_id
        self.telemetry = Telemetry()
        self.pictures = PictureFaults()
        self.update = Update(self._host.clock)
        self.rekey_pending = False
        self._known_boot = None
        self.log.clear()
        self.config.forget_reported()
        self.notify(Change.TELEMETRY | Change.OTA | Change.LOG | Change.PICTURES)

    def reclaim(self, request: Registration, *, name: str | None) -> None:
        """The camera was reset and claimed again: it has forgotten its settings."""
        self.name = name or self.name
        self.model, self.firmware, self.caps = request.model, request.fw, request.caps
        self.config.update_caps(request.caps)
        self.notify(Change.INFO | Change.CONFIG)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self.name = name
        self.notify(Change.INFO)
        self._host.save()

    def hold_awake(self, seconds: int) -> None:
        """Ask the camera at its next wake to stay for `seconds`, once."""
        self.stay_awake_s = max(0, seconds)

    # Commands

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        timeout: float = 10,
    ) -> None:
        """Have the camera do something now; raises CameraAsleep, CommandFailed."""
        if self.session is None:
            raise CameraAsleep(self.id)
        await self._commands.run(self.session.send, name, args or {}, timeout)

    async def rekey(self) -> None:
        """Hand over a new key, now or at the next wake; raises CommandFailed."""
        self.rekey_pending = True
        self._host.save()
        if self.session is not None:
            await self.deliver_key()

    async def deliver_key(self) -> None:
        """Hand over a new key now; the old one stays good until the new one is used."""
        key = await self._host.begin_rekey(self.id)
        try:
            await self.command("rekey", {"api_key": key})
        except CommandRefused:
            self.rekey_pending = False
            self._host.abandon_rekey(self.id)
            raise
        # Where no answer came, the camera may have stored it: the next use shows.
        self.rekey_pending = False
        self._host.save()

    # Pictures

    def _request_stream(self, on: bool, keep: bool) -> None:
        """Start or stop streaming for viewers; a camera that sleeps is not held by looking."""
        on = on and not self.sleeps
        if self.session is not None and (on or self._streams_for_viewers):
            self._streams_for_viewers = on
            name = "stream_start" if on else "stream_stop"
            args = _stream_args(keep) if on else {}
            self._commands.post(self.session.send, name, args)

    @property
    def stream_args(self) -> dict[str, Any]:
        """Return what `stream_start` carries for those who watch now."""
        return _stream_args(self._live.keeps)

    @property
    def viewers(self) -> int:
        """How many watch live now."""
        return self._live.viewers

    def frames(self, *, keep: bool = False) -> AsyncGenerator[Frame]:
        """Live view: always the newest frame; ends when the camera leaves. With `keep` it takes pictures meanwhile, too."""
        return self._live.frames(keep=keep)

    def hold_stream(self) -> AbstractContextManager[None]:
        """Keep a camera that is always on streaming, independent of other viewers."""
        return self._live.hold()

    async def snapshot(self, *, timeout: float = 10) -> Frame:
        """Take a still picture; raises CameraAsleep, CommandFailed."""
        with self._live.expect_still() as still:
            try:
                async with asyncio.timeout(timeout):
                    await self.command("snapshot", timeout=timeout)
                    return await still
            except TimeoutError:
                raise CommandFailed("no picture came") from None

    # Firmware

    def offer_firmware(self, offer: FirmwareOffer | None) -> None:
        """Offer an image, now or at the next wake that the battery allows; None withdraws it."""
        self.update.order(offer, running=self.firmware)
        self._update_changed()
        self._send_offer()

    def _update_changed(self) -> None:
        self.notify(Change.OTA)
        self._host.save()

    def _send_offer(self) -> None:
        if self.session is None or self.update.offer is None:
            return
        message = self.update.next_message(battery_pct=self.telemetry.battery_pct)
        if message is not None:
            self.session.send(message)
        self._update_changed()
