"""One WebSocket session seen from the camera: hello to goodbye."""

import asyncio
from base64 import b64decode
import binascii
from collections.abc import Callable, Coroutine, Mapping
import contextlib
from hashlib import sha256
import json
import random
import re
from typing import TYPE_CHECKING, Any

import aiohttp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .api import ApiError
from .boot import Boot, Outcome
from .link import Link, LinkClosed
from .outbox import CapturedFrame, FrameFlag

if TYPE_CHECKING:
    from .camera import VirtualCamera

PROTO = 1
WELCOME_TIMEOUT_S = 10.0
FENCE_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 3.0
MAX_JOBS = 8
# Who wants pictures again asks for them
KEEP_ASKED_S = 30.0
MAX_FIRMWARE = 4 * 1024 * 1024
OTA_BATTERY_PCT = 20
DOWNLOAD_TRIES = 3

type After = Callable[[], Coroutine[Any, Any, None]]
type Command = Callable[[Mapping[str, Any]], Coroutine[Any, Any, After | None]]


class CommandError(Exception):
    """A command that cannot be done; the text is the slug of `result`."""


class UpdateError(Exception):
    """A firmware that is not installed; the text is the slug of `ota`."""


class Session:
    """Everything that is said over one link."""

    def __init__(self, camera: VirtualCamera, boot: Boot, link: Link) -> None:
        """Prepare; `run` does it."""
        self._camera = camera
        self._boot = boot
        self._link = link
        self._jobs: set[asyncio.Task[None]] = set()
        self._leaving: asyncio.Future[Outcome] = (
            asyncio.get_running_loop().create_future()
        )
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._sleep_asked = False
        self.welcomed = False
        self.outcome: Outcome | None = None
        self._commands: dict[str, Command] = {
            "stream_start": self._stream_start,
            "stream_stop": self._stream_stop,
            "snapshot": self._snapshot,
            "identify": self._identify,
            "restart": self._restart,
            "sleep": self._sleep,
            "rekey": self._rekey,
            "forget": self._forget,
        }

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message; raises LinkClosed."""
        await self._link.send_text(json.dumps({"type": kind, **fields}))

    async def run(self) -> LinkClosed:
        """Run until the link ends; return how."""
        link = self._link
        try:
            await self._greet()
        except LinkClosed as err:
            return err
        except TimeoutError:
            return LinkClosed(1006, "no welcome")
        receiver = asyncio.create_task(self._receive())
        tasks = [
            receiver,
            asyncio.create_task(self._send()),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._watch()),
            asyncio.create_task(link.vanished.wait()),
        ]
        ends: list[asyncio.Future[Any]] = [*tasks, self._leaving]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not receiver.done() and not link.vanished.is_set():
                # A close code, or the answer to a goodbye, may still be on its way in.
                await asyncio.wait([receiver], timeout=GOODBYE_TIMEOUT_S)
            closed = LinkClosed(1006, "gone")
            for end in reversed(ends):
                if end.done() and (problem := end.exception()):
                    if not isinstance(problem, LinkClosed):
                        raise problem
                    closed = problem
            if self._leaving.done():
                self.outcome = self._leaving.result()
            return closed
        finally:
            everything = [*tasks, *self._jobs]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            self._leaving.cancel()

    # -- the beginning

    def _power(self) -> dict[str, Any]:
        """Return the battery's fields, none when there is no battery."""
        if not self._camera.caps["battery"]:
            return {}
        pct = self._camera.flash.battery_pct
        return {"battery_mv": round(3300 + 9 * pct), "battery_pct": round(pct)}

    def _since_then(self) -> dict[str, Any]:
        """Return what only newer cameras say, nothing for one of before."""
        camera = self._camera
        if not (features := camera.caps["features"]):
            return {}
        fields: dict[str, Any] = {"features": features}
        if "charging" in features:
            fields["charging"] = camera.options.charging
        return fields

    def _rssi(self) -> int:
        """Return the Wi-Fi signal in dBm."""
        return self._camera.options.rssi + random.randint(-2, 2)

    def _heap(self) -> int:
        """Return the free memory in bytes."""
        return 182_000 - random.randint(0, 9000)

    async def _greet(self) -> None:
        """Say hello and take the welcome; raises LinkClosed, TimeoutError."""
        camera, boot, flash = self._camera, self._boot, self._camera.flash
        carried = flash.unreported_lost
        await self.say(
            "hello",
            proto=PROTO,
            id=camera.id,
            fw=flash.fw,
            model=camera.options.model,
            boot=boot.number,
            reason=boot.reason,
            uptime_ms=boot.uptime_ms,
            rssi=self._rssi(),
            **self._power(),
            heap=self._heap(),
            config_rev=flash.config_rev,
            timing={
                "wifi_ms": boot.wifi_ms,
                "tls_ms": self._link.tls_ms,
                "first_frame_ms": boot.first_frame_ms or 0,
            },
            backlog=boot.outbox.frames,
            lost=boot.outbox.lost_total + carried,
            **self._since_then(),
        )
        async with asyncio.timeout(WELCOME_TIMEOUT_S):
            while (message := self._parse(await self._link.receive()))[
                "type"
            ] != "welcome":
                pass
        self.welcomed = True
        if carried:
            flash.update({"unreported_lost": 0})
        have = message.get("have")
        released = boot.outbox.rewind(have if isinstance(have, int) else 0)
        camera.counters.acked += released
        stay = message.get("stay_awake_s")
        if isinstance(stay, int | float):
            boot.stay_awake_until = self._clock() + stay
        boot.linked_once = True
        boot.keep_until = min(boot.keep_until, self._clock() + KEEP_ASKED_S)
        boot.progress()
        camera.sensor.wake()
        camera.emit("welcome", have=have, boot=boot.number, resend=boot.outbox.frames)
        if isinstance(config := message.get("config"), dict):
            await self.take_config(config)
        if boot.reason == "ota" and camera.options.ota_result == "rollback":
            await self.say("ota", state="failed", percent=100, error="rolled_back")

    @staticmethod
    def _parse(message: str | bytes) -> dict[str, Any]:
        """Return a message, an empty type for what is none."""
        try:
            data = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            data = None
        if not isinstance(data, dict) or not isinstance(data.get("type"), str):
            return {"type": ""}
        return data

    # -- out

    async def _send(self) -> None:
        """Send what waits, in order."""
        while True:
            item = await self._boot.outbox.take()
            if isinstance(item, CapturedFrame):
                await self._link.send_binary(item.pack())
                self._camera.note_sent(self._boot, item)
            else:
                await self._link.send_text(json.dumps(item.build()))
            self._boot.changed.set()

    async def _beat(self) -> None:
        """Say that the camera is alive."""
        while True:
            await asyncio.sleep(self._camera.options.heartbeat_s)
            power = self._power()
            power.pop("battery_pct", None)
            await self.say(
                "heartbeat",
                uptime_ms=self._boot.uptime_ms,
                rssi=self._rssi(),
                **power,
                heap=self._heap(),
                backlog=self._boot.outbox.waiting_frames,
            )
            self._camera.counters.heartbeats += 1

    # -- in

    async def _receive(self) -> None:
        """Take messages until the link ends."""
        while True:
            message = self._parse(await self._link.receive())
            self._heard = self._clock()
            kind = message["type"]
            if kind == "ack":
                self._take_ack(message)
            elif kind == "config":
                await self.take_config(message)
            elif kind == "command":
                self._start_job(self._obey(message))
            elif kind == "ota":
                self._start_job(self._update(message))
            self._boot.changed.set()

    def _start_job(self, job: Coroutine[Any, Any, None]) -> None:
        """Do what takes time beside the link's other traffic."""
        if len(self._jobs) >= MAX_JOBS:
            job.close()
            return
        task = asyncio.create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, task: asyncio.Task[None]) -> None:
        """Let a job that broke break the session."""
        self._jobs.discard(task)
        self._heard = self._clock()
        self._boot.changed.set()
        if (
            not task.cancelled()
            and (err := task.exception())
            and not self._leaving.done()
        ):
            self._leaving.set_exception(err)

    def _take_ack(self, message: Mapping[str, Any]) -> None:
        """Let go of frames that are acknowledged."""
        seq = message.get("seq")
        if message.get("boot") != self._boot.number or not isinstance(seq, int):
            return
        if released := self._boot.outbox.acknowledge(seq):
            self._camera.counters.acked += released
            self._boot.progress()
        self._camera.emit("acked", boot=self._boot.number, seq=seq)

    async def take_config(self, config: Mapping[str, Any]) -> None:
        """Apply settings and say which."""
        applied, rejected = self._camera.apply_config(config)
        await self.say(
            "config_ack", rev=config.get("rev"), applied=applied, rejected=rejected
        )
        self._camera.sensor.wake()

    # -- the end

    async def _watch(self) -> None:
        """Settle what the gateway has read; leave when nothing is left to do."""
        boot = self._boot
        while True:
            boot.changed.clear()
            self._camera.update_state()
            if controls := boot.outbox.controls_in_flight():
                await self._fence()
                boot.outbox.settle(controls)
                continue
            left = self._time_to_sleep()
            if left is not None and left <= 0:
                # What the gateway said before it read this is here before its answer.
                await self._fence()
                if (left := self._time_to_sleep()) is not None and left <= 0:
                    await self._leave(
                        "sleep",
                        Outcome(sleep_s=self._camera.config["heartbeat_interval_s"]),
                    )
                    return
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await boot.changed.wait()

    async def _fence(self) -> None:
        """Wait until the gateway has read all; raises LinkClosed when it does not answer."""
        try:
            async with asyncio.timeout(FENCE_TIMEOUT_S):
                await self._link.fence()
        except TimeoutError as err:
            raise LinkClosed(1006, "the gateway does not answer") from err

    def _time_to_sleep(self) -> float | None:
        """Return the seconds until the camera may sleep, None while it is busy."""
        camera, boot = self._camera, self._boot
        if (
            boot.capturing
            or camera.sensor.motion_pending
            or not boot.outbox.empty
            or self._jobs
        ):
            return None
        if not (self._sleep_asked or camera.may_sleep()):
            return None
        quiet = self._heard + camera.options.linger_s
        until = quiet if self._sleep_asked else max(quiet, boot.stay_awake_until)
        return until - self._clock()

    async def _leave(self, reason: str, outcome: Outcome) -> None:
        """Say goodbye and end the boot."""
        next_wake_s = 0
        if outcome.sleep_s:
            factor = self._camera.options.time_factor
            next_wake_s = max(1, round(outcome.sleep_s / factor))
        # What moves from here on belongs to the next boot.
        self._boot.leaving = True
        try:
            await self.say("bye", reason=reason, next_wake_s=next_wake_s)
            await self._link.say_goodbye()
            self._camera.emit("bye", reason=reason, next_wake_s=next_wake_s)
        except LinkClosed:
            if reason == "sleep":
                self._boot.leaving = False
                raise
        if not self._leaving.done():
            self._leaving.set_result(outcome)

    # -- commands

    async def _obey(self, message: Mapping[str, Any]) -> None:
        """Do a command and answer it."""
        number, name, args = message.get("id"), message.get("name"), message.get("args")
        self._camera.emit("command", command=name, id=number)
        after: After | None = None
        answer: dict[str, Any] = {"id": number, "ok": True}
        command = self._commands.get(name) if isinstance(name, str) else None
        try:
            if command:
                after = await command(args if isinstance(args, dict) else {})
            else:
                answer |= {"ok": False, "error": "unknown_command"}
        except CommandError as err:
            answer |= {"ok": False, "error": str(err)}
        # In line with the frames, so that a snapshot's result comes after its picture.
        self._boot.outbox.add_control(lambda: {"type": "result", **answer})
        if after:
            await self._fence_after_results()
            await after()

    async def _fence_after_results(self) -> None:
        """Wait until the outbox's messages so far were sent."""
        while self._boot.outbox.waiting_controls:
            await asyncio.sleep(0.01)

    async def _stream_start(self, args: Mapping[str, Any]) -> None:
        """Send live pictures."""
        keep_ms = args.get("keep_ms")
        self._camera.set_live(
            True, keep_s=keep_ms / 1000 if isinstance(keep_ms, int) else None
        )

    async def _stream_stop(self, args: Mapping[str, Any]) -> None:
        """End live pictures."""
        self._camera.set_live(False)

    async def _snapshot(self, args: Mapping[str, Any]) -> None:
        """Take a still picture."""
        if not await self._camera.sensor.capture(self._boot, flags=FrameFlag.STILL):
            raise CommandError("too_big")

    async def _identify(self, args: Mapping[str, Any]) -> None:
        """Flash the light."""
        self._camera.emit("identified")

    async def _restart(self, args: Mapping[str, Any]) -> After:
        """Restart the chip."""
        return lambda: self._leave("restart", Outcome(restart="power"))

    async def _sleep(self, args: Mapping[str, Any]) -> None:
        """Sleep now, whatever the power mode is: an event that goes on ends with what was captured."""
        self._sleep_asked = True
        self._camera.sensor.stop_event(self._boot)
        self._camera.set_live(False)

    async def _rekey(self, args: Mapping[str, Any]) -> None:
        """Take a new key; the old one is kept until the new one has worked."""
        key = args.get("api_key")
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", key):
            raise CommandError("bad_key")
        self._camera.flash.update({"next_api_key": key})
        self._camera.emit("rekeyed")

    async def _forget(self, args: Mapping[str, Any]) -> After:
        """Forget the gateway and be ready to be claimed again."""

        async def after() -> None:
            await self._leave("restart", Outcome(restart="power"))
            self._camera.flash.forget()

        return after

    # -- firmware

    async def _update(self, offer: Mapping[str, Any]) -> None:
        """Download, check and install a firmware."""
        camera = self._camera
        version = offer.get("version")
        if self._boot.updating:
            return
        if version == camera.flash.fw:
            await self._report("installed", 100)
            return
        self._boot.updating = True
        try:
            await self._install(offer)
        except UpdateError as err:
            await self._report("failed", 0, str(err))
            return
        finally:
            self._boot.updating = False
        if camera.options.ota_result != "rollback":
            camera.flash.update({"fw": version})
        await self._leave("ota", Outcome(restart="ota"))

    async def _report(self, state: str, percent: int, error: str | None = None) -> None:
        """Say how far the update is."""
        self._camera.emit("ota", state=state, percent=percent, error=error)
        await self.say(
            "ota", state=state, percent=percent, **({"error": error} if error else {})
        )

    async def _install(self, offer: Mapping[str, Any]) -> None:
        """Get the image and check it; raises UpdateError."""
        camera = self._camera
        path, digest, size = offer.get("path"), offer.get("sha256"), offer.get("size")
        if (
            not isinstance(offer.get("version"), str)
            or not isinstance(path, str)
            or not path.startswith("/")
            or not isinstance(digest, str)
            or not isinstance(size, int)
        ):
            raise UpdateError("bad_offer")
        if size > MAX_FIRMWARE:
            raise UpdateError("too_big")
        if camera.caps["battery"] and camera.flash.battery_pct < OTA_BATTERY_PCT:
            raise UpdateError("battery_low")
        await self._report("downloading", 0)
        image = await self._download(path, size)
        await self._report("verifying", 100)
        if len(image) != size:
            raise UpdateError("wrong_size")
        if (found := sha256(image)).hexdigest() != digest.lower():
            raise UpdateError("wrong_sha256")
        if pem := camera.options.ota_public_key:
            check_signature(pem, found.digest(), offer.get("signature"))
        if camera.options.ota_result == "fail":
            raise UpdateError("flash_write")
        await self._report("installed", 100)

    async def _download(self, path: str, size: int) -> bytes:
        """Return an image, taken up again where a connection broke; raises UpdateError."""
        image = bytearray()
        reported = 0
        for _ in range(DOWNLOAD_TRIES):
            headers = self._camera.auth_headers()
            if image:
                headers["Range"] = f"bytes={len(image)}-"
            try:
                async with self._camera.api().open(
                    "GET", path, headers=headers
                ) as response:
                    if response.status != 206:
                        image.clear()
                    async for chunk in response.content.iter_chunked(16 * 1024):
                        image += chunk
                        if len(image) > size:
                            raise UpdateError("wrong_size")
                        self._boot.progress()
                        if (
                            percent := len(image) * 100 // max(size, 1)
                        ) >= reported + 10:
                            reported = percent
                            await self._report("downloading", percent)
                return bytes(image)
            except ApiError as err:
                raise UpdateError(f"http_{err.status}") from err
            except OSError, aiohttp.ClientError:
                continue
        raise UpdateError("download")


def check_signature(public_key_pem: str, digest: bytes, signature: object) -> None:
    """Check an ECDSA signature (DER in base64) over a SHA-256; raises UpdateError."""
    key = load_pem_public_key(public_key_pem.encode())
    assert isinstance(key, EllipticCurvePublicKey)
    if not isinstance(signature, str):
        raise UpdateError("not_signed")
    try:
        key.verify(b64decode(signature), digest, ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, binascii.Error) as err:
        raise UpdateError("wrong_signature") from err
