"""Everything known of one registered camera, connected or not."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Flag, StrEnum, auto
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from ..clock import Clock
from ..progress import BootProgress
from ..protocol import (
    FLAG_STILL,
    FLAG_WARMING_UP,
    Bye,
    Caps,
    ConfigAck,
    Frame,
    Heartbeat,
    Hello,
    Log,
    OtaState,
    ProtocolError,
    Registration,
    Result,
    encode_command,
    encode_config,
    encode_ota,
)
from .configuration import ConfigError, Mailbox

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["ConfigError"]

_LOGGER = logging.getLogger(__name__)

MAX_COMMANDS: Final = 32
MAX_LOG_LINES: Final = 50
MAX_OTA_ATTEMPTS: Final = 3
# Without frames for this many ticks of the gateway a stream has ended.
STREAM_TICKS: Final = 5
# Counters change with every frame; whoever shows them hears of it this often.
COUNTER_TICKS: Final = 20
RESTART_S: Final = 60


class CameraStatus(StrEnum):
    """Where a camera is in its life."""

    ASLEEP = "asleep"
    AWAKE = "awake"
    STREAMING = "streaming"
    LATE = "late"
    OFFLINE = "offline"


class Change(Flag):
    """What changed about a camera."""

    STATUS = auto()
    TELEMETRY = auto()
    CONFIG = auto()
    MOTION = auto()
    FRAME = auto()
    COUNTERS = auto()
    OTA = auto()
    LOG = auto()
    WOKE = auto()
    INFO = auto()


ALL_BUT_FRAMES: Final = ~Change.FRAME
# Members of an enum are looked up in its class each time, and its operators are Python:
# what runs for every frame has them at hand, and counts in plain numbers.
_FRAME: Final = Change.FRAME.value
_STREAMING: Final = CameraStatus.STREAMING


class CameraAsleep(Exception):
    """The camera is not connected."""


class CommandFailed(Exception):
    """The camera refused a command, or never answered."""


class CommandRefused(CommandFailed):
    """The camera said no."""


@dataclass(slots=True)
class Telemetry:
    """Last measurements that a camera reported; None = never."""

    rssi: int | None = None
    battery_mv: int | None = None
    battery_pct: int | None = None
    heap: int | None = None
    backlog: int | None = None
    wifi_ms: int | None = None
    tls_ms: int | None = None
    first_frame_ms: int | None = None


@dataclass(slots=True)
class Counters:
    """Totals since the camera was registered; drops, repairs and faults by reason."""

    frames: int = 0
    bytes: int = 0
    events: int = 0
    duplicates: int = 0
    lost: int = 0
    wakes: int = 0
    connections: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def dropped(self) -> int:
        """Frames that were refused, of all reasons."""
        return self.drops.total()

    @property
    def repaired(self) -> int:
        """Repairs, of all kinds."""
        return self.repairs.total()

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {
            item.name: dict(value)
            if isinstance(value := getattr(self, item.name), Counter)
            else value
            for item in fields(self)
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read them back; what is broken begins at zero."""
        counters = cls()
        if isinstance(data, dict):
            for item in fields(cls):
                value = data.get(item.name)
                if isinstance(getattr(counters, item.name), Counter):
                    if isinstance(value, dict):
                        setattr(
                            counters,
                            item.name,
                            Counter(
                                {
                                    str(key): count
                                    for key, count in value.items()
                                    if isinstance(count, int)
                                }
                            ),
                        )
                elif isinstance(value, int):
                    setattr(counters, item.name, value)
        return counters


class OtaStep(StrEnum):
    """How far an update is."""

    PENDING = "pending"  # waits for the camera
    LOW_BATTERY = "low_battery"  # waits for a better battery
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    INSTALLED = "installed"  # restarts into the new image
    DONE = "done"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class OtaProgress:
    """An update of one camera."""

    version: str
    state: OtaStep
    percent: int = 0
    error: str | None = None
    attempts: int = 0

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return self.state not in (OtaStep.DONE, OtaStep.FAILED, OtaStep.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareOffer:
    """An image for a camera; the owner answers with its file when the camera asks for it."""

    version: str
    sha256: str
    size: int
    signature: str | None = None
    min_battery_pct: int = 30

    @property
    def path(self) -> str:
        """Where the camera gets it from the gateway."""
        return f"/firmware/{self.sha256}"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that the camera wrote."""

    at_ms: int
    level: str
    message: str


class CameraHost(Protocol):
    """What a camera needs of its registry."""

    clock: Clock

    def save(self) -> None:
        """Write soon what must survive a restart."""

    async def begin_rekey(self, camera_id: str) -> str:
        """Return a new key that is good beside the old one, once it is on disk."""

    def abandon_rekey(self, camera_id: str) -> None:
        """Forget the new key."""


def _optional_int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class Camera:
    """One registered camera."""

    def __init__(
        self,
        camera_id: str,
        *,
        name: str,
        model: str,
        firmware: str,
        caps: Caps,
        host: CameraHost,
    ) -> None:
        """A camera that was never seen; `restore` adds what is known from before."""
        self.id = camera_id
        self.name = name
        self.model = model
        self.firmware = firmware
        self.caps = caps
        self.address: str | None = None
        self.session: Session | None = None
        self.hello: Hello | None = None
        self.telemetry = Telemetry()
        self.last_seen_ms: int | None = None
        self.next_check_in_ms: int | None = None
        self.late_since_ms: int | None = None
        self.motion = False
        self.event = 0
        self.config = Mailbox(caps)
        self.counters = Counters()
        self.latest: Frame | None = None
        self.offer: FirmwareOffer | None = None
        self.ota: OtaProgress | None = None
        self.log: deque[LogLine] = deque(maxlen=MAX_LOG_LINES)
        self.progress: BootProgress | None = None
        self.status = CameraStatus.OFFLINE
        self._host = host
        self._interval_s = self._heartbeat_s()
        self._late_at: float | None = None
        self._stay_awake_s = 0
        self._rekey_wanted = False
        self._bye: Bye | None = None
        self._live: Frame | None = None
        self._frame_waiters: set[asyncio.Future[None]] = set()
        self._still_waiters: set[asyncio.Future[Frame]] = set()
        self._viewers = 0
        self._commands: dict[int, asyncio.Future[Result]] = {}
        self._command_id = 0
        self._subscribers: dict[object, tuple[Callable[[Change], None], int]] = {}
        self._wanted = 0
        self._changes = 0
        self._flush: asyncio.Handle | None = None
        self._quiet_ticks = 0
        self._counter_ticks = 0
        self._counted = 0
        self._rest()

    # State that survives restarts

    def as_dict(self) -> dict[str, Any]:
        """Return what survives a restart."""
        return {
            "name": self.name,
            "model": self.model,
            "fw": self.firmware,
            "caps": self.caps.as_dict(),
            "address": self.address,
            "last_seen_ms": self.last_seen_ms,
            "next_check_in_ms": self.next_check_in_ms,
            "interval_s": self._interval_s,
            "late_since_ms": self.late_since_ms,
            "rekey_wanted": self._rekey_wanted,
            "telemetry": asdict(self.telemetry),
            "config": self.config.as_dict(),
            "counters": self.counters.as_dict(),
            "offer": asdict(self.offer) if self.offer else None,
            "ota": asdict(self.ota) if self.ota else None,
        }

    @classmethod
    def restore(cls, camera_id: str, data: Mapping[str, Any], host: CameraHost) -> Self:
        """Read a camera back; raises ProtocolError or KeyError when nothing can be made of it."""
        camera = cls(
            camera_id,
            name=str(data["name"]),
            model=str(data["model"]),
            firmware=str(data["fw"]),
            caps=Caps.from_dict(data["caps"]),
            host=host,
        )
        address = data.get("address")
        camera.address = address if isinstance(address, str) else None
        camera.last_seen_ms = _optional_int(data.get("last_seen_ms"))
        camera.late_since_ms = _optional_int(data.get("late_since_ms"))
        camera._rekey_wanted = data.get("rekey_wanted") is True
        if isinstance(values := data.get("telemetry"), dict):
            camera.telemetry = Telemetry(
                **{
                    item.name: _optional_int(values.get(item.name))
                    for item in fields(Telemetry)
                }
            )
        camera.config = Mailbox.from_dict(data.get("config"), camera.caps)
        camera.counters = Counters.from_dict(data.get("counters"))
        with suppress(KeyError, TypeError, ValueError):
            if offer := data.get("offer"):
                camera.offer = FirmwareOffer(**offer)
            if ota := data.get("ota"):
                camera.ota = OtaProgress(**{**ota, "state": OtaStep(ota["state"])})
        camera._restore_rest(data)
        return camera

    def _restore_rest(self, data: Mapping[str, Any]) -> None:
        """Expect the camera as before; check-ins missed while nobody listened don't count."""
        self._interval_s = _optional_int(data.get("interval_s")) or self._heartbeat_s()
        self._rest()
        if self.status is CameraStatus.ASLEEP:
            self.next_check_in_ms = _optional_int(data.get("next_check_in_ms"))
            if self.late_since_ms is not None:
                self.status = CameraStatus.LATE
                self._late_at = None

    # Listeners

    def subscribe(
        self, callback: Callable[[Change], None], changes: Change = ALL_BUT_FRAMES
    ) -> Callable[[], None]:
        """Call back with what changed of `changes`, once per turn of the loop.

        Frames are left out unless asked for. Returns the function that ends it.
        """
        token = object()
        self._subscribers[token] = (callback, changes.value)
        self._wanted |= changes.value

        def unsubscribe() -> None:
            self._subscribers.pop(token, None)
            self._wanted = 0
            for _, wanted in self._subscribers.values():
                self._wanted |= wanted

        return unsubscribe

    def notify(self, change: Change) -> None:
        """Tell the subscribers soon."""
        self._notify(change.value)

    def _notify(self, change: int) -> None:
        if not change & self._wanted:
            return
        self._changes |= change
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        changes, self._changes = self._changes, 0
        self._flush = None
        for callback, wanted in tuple(self._subscribers.values()):
            if hit := changes & wanted:
                try:
                    callback(Change(hit))
                except Exception:
                    _LOGGER.exception("Subscriber of camera %s failed", self.id)

    # Being there and being away

    def _heartbeat_s(self) -> int:
        return int(self.config.effective("heartbeat_interval_s"))

    @property
    def sleeps(self) -> bool:
        """Whether this camera spends its life asleep."""
        return self.caps.sleep and self.config.effective("power_mode") == "battery"

    @property
    def stay_awake_s(self) -> int:
        """Seconds that the next welcome asks the camera to stay."""
        return self._stay_awake_s

    def hold_awake(self, seconds: int) -> None:
        """Ask the camera at its next wake to stay for `seconds`, once."""
        self._stay_awake_s = max(0, seconds)

    def arrive(self, session: Session, hello: Hello) -> Session | None:
        """Take the camera's hello; returns the older session that this one replaces."""
        replaced, self.session = self.session, session
        now_ms = self._host.clock.now_ms()
        changes = Change.STATUS | Change.TELEMETRY
        new_boot = self.progress is None or self.progress.boot != hello.boot
        if new_boot:
            self.progress = BootProgress(hello.boot)
            self.counters.wakes += 1
            changes |= Change.WOKE
        if self.late_since_ms is not None:
            _LOGGER.info("Camera %s (%s) is back", self.name, self.id)
        else:
            _LOGGER.debug("Camera %s connected, woken by %s", self.id, hello.reason)
        if (self.model, self.firmware, self.address) != (
            hello.model,
            hello.fw,
            session.address,
        ):
            self.model, self.firmware = hello.model, hello.fw
            self.address = session.address
            changes |= Change.INFO
        self.hello = hello
        self.last_seen_ms = now_ms
        self.next_check_in_ms = self.late_since_ms = self._late_at = None
        self._stay_awake_s = 0
        self._bye = None
        self._interval_s = self._heartbeat_s()
        self.counters.connections += 1
        self.counters.lost += hello.lost if new_boot else 0
        self.telemetry = Telemetry(
            rssi=hello.rssi,
            battery_mv=hello.battery_mv,
            battery_pct=hello.battery_pct,
            heap=hello.heap,
            backlog=hello.backlog,
            wifi_ms=hello.timing.wifi_ms,
            tls_ms=hello.timing.tls_ms,
            first_frame_ms=hello.timing.first_frame_ms,
        )
        self.status = CameraStatus.AWAKE
        self.notify(changes)
        self._host.save()
        return replaced

    def welcomed(self) -> None:
        """Deliver what waited for this wake."""
        self._judge_update()
        self._send_offer()
        if self._viewers:
            self._request_stream("stream_start")

    @property
    def wants_rekey(self) -> bool:
        """Whether a new key waits to be handed over."""
        return self._rekey_wanted

    def leave(self, session: Session) -> None:
        """The session is over; nothing happens when a newer one has taken its place."""
        if self.session is not session:
            return
        self.session = None
        now_ms = self._host.clock.now_ms()
        self.last_seen_ms = now_ms
        bye, self._bye = self._bye, None
        if bye and bye.next_wake_s is not None:
            self._interval_s = bye.next_wake_s
        elif bye and bye.reason != "sleep":
            self._interval_s = RESTART_S
        else:
            self._interval_s = self._heartbeat_s()
        self._rest(expected=bye is not None)
        if self.status is CameraStatus.OFFLINE:
            self.late_since_ms = now_ms
            _LOGGER.info("Camera %s (%s) went offline", self.name, self.id)
        else:
            self.next_check_in_ms = now_ms + self._interval_s * 1000
        self.event = 0
        changes = Change.STATUS | Change.COUNTERS
        if self.motion:
            self.motion = False
            changes |= Change.MOTION
        for future in self._commands.values():
            if not future.done():
                future.set_exception(CommandFailed("the camera left"))
        for still in self._still_waiters:
            if not still.done():
                still.set_exception(CommandFailed("the camera left"))
        self._live = None
        self._wake_viewers()
        self.notify(changes)
        self._host.save()

    def _rest(self, *, expected: bool = False) -> None:
        """Set the status of a camera that is not connected."""
        if expected or self.sleeps:
            self.status = CameraStatus.ASLEEP
            self._late_at = self._host.clock.monotonic() + 2 * self._interval_s
        else:
            self.status = CameraStatus.OFFLINE
            self._late_at = None

    def tick(self) -> None:
        """Look at what passes by itself; called at each tick."""
        if self.session is None:
            if (
                self._late_at is not None
                and self._host.clock.monotonic() >= self._late_at
            ):
                self._late_at = None
                self.late_since_ms = self._host.clock.now_ms()
                self.status = CameraStatus.LATE
                _LOGGER.info("Camera %s (%s) is late", self.name, self.id)
                self.notify(Change.STATUS)
                self._host.save()
            return
        self._quiet_ticks += 1
        if self._quiet_ticks >= STREAM_TICKS and self.status is CameraStatus.STREAMING:
            self.status = CameraStatus.AWAKE
            self.notify(Change.STATUS)
        self._counter_ticks += 1
        if self._counter_ticks >= COUNTER_TICKS:
            self._counter_ticks = 0
            if (counted := self.counters.bytes) != self._counted:
                self._counted = counted
                self.notify(Change.COUNTERS)

    # What the camera says

    def take_frame(self, frame: Frame) -> None:
        """Show a good frame."""
        self._quiet_ticks = 0
        if self.status is not _STREAMING and self.session is not None:
            self.status = _STREAMING
            self.notify(Change.STATUS)
        live = self._live
        if live is None or live.boot != frame.boot or live.seq < frame.seq:
            self._live = frame
            if self._frame_waiters:
                self._wake_viewers()
            # A sensor that still warms up gives green pictures: none for the album.
            if self.latest is None or not frame.flags & FLAG_WARMING_UP:
                self.latest = frame
        if frame.flags & FLAG_STILL:
            for waiter in self._still_waiters:
                if not waiter.done():
                    waiter.set_result(frame)
        if self._wanted & _FRAME:
            self._notify(_FRAME)

    def take_motion(self, event: int, active: bool) -> None:
        """Motion begins or ends."""
        self.event = event if active else 0
        if active is not self.motion:
            self.motion = active
            self.notify(Change.MOTION)

    def take_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Take measurements; what the camera leaves out stays."""
        self.last_seen_ms = self._host.clock.now_ms()
        telemetry = self.telemetry
        if heartbeat.rssi is not None:
            telemetry.rssi = heartbeat.rssi
        if heartbeat.battery_mv is not None:
            telemetry.battery_mv = heartbeat.battery_mv
        if heartbeat.heap is not None:
            telemetry.heap = heartbeat.heap
        telemetry.backlog = heartbeat.backlog
        self.notify(Change.TELEMETRY)

    def take_config_ack(self, ack: ConfigAck) -> bool:
        """Take the answer to a configuration; returns False when nothing was asked."""
        if not self.config.acknowledge(ack):
            return False
        self._config_changed()
        return True

    def take_log(self, line: Log) -> None:
        """Keep a line of the camera's log."""
        self.log.append(LogLine(self._host.clock.now_ms(), line.level, line.message))
        _LOGGER.debug("Camera %s: %s: %s", self.id, line.level, line.message)
        self.notify(Change.LOG)

    def take_bye(self, bye: Bye) -> None:
        """The camera is about to leave."""
        self._bye = bye
        if bye.reason == "ota" and self.ota and self.ota.state in _OTA_RUNNING:
            self._set_ota(OtaStep.INSTALLED, percent=100)

    # Wishes

    def set_config(self, changes: Mapping[str, Any]) -> int:
        """Want settings, now or at the next wake; returns the revision. Raises ConfigError."""
        before = self.config.rev
        rev = self.config.set(changes)
        if rev != before:
            if self.session is not None:
                self.session.send(encode_config(self.config.message()))
            self._config_changed()
        return rev

    def merge_config(self, changes: Mapping[str, Any]) -> int:
        """Take settings changed at the camera; returns the merged revision. Raises ConfigError."""
        rev = self.config.merge(changes)
        self._config_changed()
        return rev

    def _config_changed(self) -> None:
        self.notify(Change.CONFIG)
        self._host.save()

    def config_for(self, config_rev: int) -> dict[str, Any] | None:
        """Return the settings that a camera with `config_rev` needs, None when it has them."""
        needed = self.config.needs_delivery(config_rev)
        self._config_changed()
        return self.config.message() if needed else None

    def reclaim(self, request: Registration, *, name: str | None) -> None:
        """The camera was reset and claimed anew: it has forgotten its settings."""
        self.name = name or self.name
        self.model, self.firmware, self.caps = request.model, request.fw, request.caps
        self.config.update_caps(request.caps)
        self.notify(Change.INFO | Change.CONFIG)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self.name = name
        self.notify(Change.INFO)
        self._host.save()

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
        if len(self._commands) >= MAX_COMMANDS:
            raise CommandFailed("too many commands wait for an answer")
        self._command_id += 1
        command_id = self._command_id
        future = asyncio.get_running_loop().create_future()
        self._commands[command_id] = future
        try:
            self.session.send(encode_command(command_id, name, args or {}))
            async with asyncio.timeout(timeout):
                result = await future
        except TimeoutError:
            raise CommandFailed("the camera did not answer") from None
        finally:
            del self._commands[command_id]
        if not result.ok:
            raise CommandRefused(result.error or "refused")

    def take_result(self, result: Result) -> bool:
        """Take the outcome of a command; returns False when nobody waits for it."""
        if (future := self._commands.get(result.id)) is None or future.done():
            return False
        future.set_result(result)
        return True

    async def rekey(self) -> None:
        """Hand over a new key, now or at the next wake; raises CommandFailed."""
        self._rekey_wanted = True
        self._host.save()
        if self.session is not None:
            await self.deliver_key()

    async def deliver_key(self) -> None:
        """Hand over a new key now; the old one stays good until the new one is used."""
        key = await self._host.begin_rekey(self.id)
        try:
            await self.command("rekey", {"api_key": key})
        except CommandRefused:
            self._rekey_wanted = False
            self._host.abandon_rekey(self.id)
            raise
        # Where no answer came, the camera may have stored it: the next use tells.
        self._rekey_wanted = False
        self._host.save()

    # Pictures

    def _wake_viewers(self) -> None:
        for waiter in self._frame_waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._frame_waiters.clear()

    def _request_stream(self, name: str) -> None:
        """Start or stop streaming for viewers; a camera that sleeps is not held by looking."""
        if self.session is not None and not self.sleeps:
            self._command_id += 1
            self.session.send(encode_command(self._command_id, name, {}))

    async def frames(self) -> AsyncGenerator[Frame]:
        """Live view: always the newest frame; ends when the camera leaves."""
        if self.session is None:
            return
        self._viewers += 1
        if self._viewers == 1:
            self._request_stream("stream_start")
        shown: Frame | None = None
        try:
            while self.session is not None:
                if (frame := self._live) is not None and frame is not shown:
                    shown = frame
                    yield frame
                    continue
                waiter = asyncio.get_running_loop().create_future()
                self._frame_waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._frame_waiters.discard(waiter)
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._request_stream("stream_stop")

    async def snapshot(
        self,
        *,
        timeout: float = 10,
    ) -> Frame:
        """Take a still picture; raises CameraAsleep, CommandFailed."""
        still: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._still_waiters.add(still)
        try:
            async with asyncio.timeout(timeout):
                await self.command("snapshot", timeout=timeout)
                return await still
        except TimeoutError:
            raise CommandFailed("no picture came") from None
        finally:
            self._still_waiters.discard(still)
            if still.done() and not still.cancelled():
                still.exception()

    # Firmware

    def offer_firmware(self, offer: FirmwareOffer | None) -> None:
        """Offer an image, now or at the next wake that the battery allows; None takes it back."""
        self.offer = offer
        if offer is None:
            if self.ota and self.ota.active:
                self.ota = None
        elif offer.version == self.firmware:
            self.offer = None
            self.ota = OtaProgress(offer.version, OtaStep.DONE, 100)
        else:
            self.ota = OtaProgress(offer.version, OtaStep.PENDING)
            if self.session is not None:
                self._send_offer()
        self.notify(Change.OTA)
        self._host.save()

    def _set_ota(
        self, state: OtaStep, *, percent: int = 0, error: str | None = None
    ) -> None:
        if self.ota is not None:
            self.ota = replace(self.ota, state=state, percent=percent, error=error)
            self.notify(Change.OTA)

    def _judge_update(self) -> None:
        """See from the version that came up what became of an update."""
        if (offer := self.offer) is None or self.ota is None:
            return
        if self.firmware == offer.version:
            _LOGGER.info("Camera %s runs firmware %s", self.id, offer.version)
            self.offer = None
            self._set_ota(OtaStep.DONE, percent=100)
        elif self.ota.state is OtaStep.INSTALLED:
            _LOGGER.warning(
                "Camera %s went back to firmware %s instead of %s",
                self.id,
                self.firmware,
                offer.version,
            )
            self.offer = None
            self._set_ota(
                OtaStep.ROLLED_BACK, error=f"the camera still runs {self.firmware}"
            )
        self._host.save()

    def _send_offer(self) -> None:
        if (offer := self.offer) is None or self.ota is None or self.session is None:
            return
        battery = self.telemetry.battery_pct
        if self.ota.attempts >= MAX_OTA_ATTEMPTS:
            self.offer = None
            self._set_ota(OtaStep.FAILED, error=self.ota.error or "gave up")
        elif battery is not None and battery < offer.min_battery_pct:
            self._set_ota(OtaStep.LOW_BATTERY)
        else:
            self.ota = replace(self.ota, attempts=self.ota.attempts + 1)
            self._set_ota(OtaStep.OFFERED, error=self.ota.error)
            self.session.send(
                encode_ota(
                    version=offer.version,
                    sha256=offer.sha256,
                    size=offer.size,
                    path=offer.path,
                    signature=offer.signature,
                )
            )
        self._host.save()

    def take_ota(self, state: OtaState) -> bool:
        """Take the progress of an update; returns False when none was ordered."""
        if self.ota is None or not self.ota.active:
            return False
        if state.state != "failed":
            percent = 100 if state.state == "installed" else state.percent
            self._set_ota(OtaStep(state.state), percent=percent)
            if state.state == "installed":
                self._host.save()
            return True
        _LOGGER.warning("Camera %s could not update: %s", self.id, state.error)
        if self.ota.attempts >= MAX_OTA_ATTEMPTS:
            self.offer = None
            self._set_ota(OtaStep.FAILED, error=state.error)
        else:
            self._set_ota(OtaStep.PENDING, error=state.error)
        self._host.save()
        return True


_OTA_RUNNING: Final = (OtaStep.OFFERED, OtaStep.DOWNLOADING, OtaStep.VERIFYING)

# Raised by `restore`.
RESTORE_ERRORS: Final = (ProtocolError, KeyError, TypeError, ValueError)
