"""Any order of words and frames that a camera may find: what must always hold, holds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
import logging
import os
from pathlib import Path
import tempfile
from typing import Any, override

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from custom_components.magicpi_nvr.gateway import Camera, Frame
from tests.harness.gateway import (
    CAMERA_ID,
    JPEG,
    CameraConnection,
    FakeDelegate,
    RunningGateway,
    binary,
    hello,
    run_gateway,
)

EXAMPLES = int(os.environ.get("MAGICPI_MACHINE_EXAMPLES", "15"))
STEPS = int(os.environ.get("MAGICPI_MACHINE_STEPS", "25"))
# Acknowledgements come at every second tick
TICK_S = 0.02


class _Complaints(logging.Handler):
    """Notes what the gateway logs as wrong."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(record.getMessage())


class _SlowDelegate(FakeDelegate):
    """Remembers which frames it promised to keep."""

    def __init__(self) -> None:
        super().__init__(keep=False)
        self.promised: list[Frame] = []

    @override
    def frame_received(self, camera: Camera, frame: Frame) -> bool:
        if taken := super().frame_received(camera, frame):
            self.promised.append(frame)
        return taken


class CameraMachine(RuleBasedStateMachine):
    """One camera with a good key, at a gateway whose disk is as slow as it likes."""

    def __init__(self) -> None:
        """Start a gateway."""
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory()
        self.complaints = _Complaints()
        logging.getLogger("custom_components.magicpi_nvr").addHandler(self.complaints)
        logging.getLogger("asyncio").addHandler(self.complaints)
        self.gateway: RunningGateway
        self.auth: dict[str, str]
        self.connection: CameraConnection | None = None
        self.session: AsyncExitStack | None = None
        self.boot = 1
        self.seq = 0
        self.acked = 0
        self.sent = 0

    def run(self, work: Awaitable[Any]) -> Any:
        """Run something to its end."""

        async def bounded() -> Any:
            async with asyncio.timeout(30):
                return await work

        return self.loop.run_until_complete(bounded())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the gateway has come so far."""
        while not condition():
            await asyncio.sleep(0.002)

    @property
    def camera(self) -> Any:
        """What the gateway knows of it."""
        return self.gateway.server.cameras[CAMERA_ID]

    @property
    def worked_off(self) -> int:
        """Binary messages that were counted in one way or another."""
        counters = self.camera.counters
        return int(counters.frames + counters.duplicates + counters.drops.total())

    @initialize()
    def begin(self) -> None:
        """Register the camera."""

        async def work() -> None:
            self.delegate = _SlowDelegate()
            self.gateway = await self.stack.enter_async_context(
                run_gateway(
                    Path(self.folder.name), delegate=self.delegate, tick_s=TICK_S
                )
            )
            _, self.auth = await self.gateway.register()

        self.run(work())

    def take_ack(self, seq: int) -> None:
        """Be the camera that forgets all up to `seq`."""
        assert seq >= self.acked, "went back"
        assert seq <= self.seq, "of the future"
        kept = self.delegate.persisted(CAMERA_ID, self.boot)
        for frame in self.delegate.promised:
            # What was acknowledged once stays so, also where a lost frame came later.
            if frame.boot == self.boot and self.acked < frame.seq <= seq:
                assert frame.seq <= kept, "forgotten before it was persisted"
        self.acked = seq

    # Coming and going

    @rule(new_boot=st.booleans())
    def connect(self, new_boot: bool) -> None:
        """Come, or come again without having left; in this boot or the next."""

        async def work() -> None:
            before = self.session
            if new_boot:
                self.boot += 1
                self.seq = self.acked = 0
            self.session = AsyncExitStack()
            connection = await self.session.enter_async_context(
                self.gateway.connect(self.auth)
            )
            welcome = await connection.greet(boot=self.boot)
            self.connection = connection
            self.take_ack(welcome["have"])
            if before:
                await before.aclose()

        self.run(work())

    @precondition(lambda self: self.connection)
    @rule(bye=st.booleans())
    def leave(self, bye: bool) -> None:
        """Go, with a word or without."""

        async def work() -> None:
            assert self.connection
            assert self.session
            if bye:
                await self.connection.leave()
            else:
                self.connection.abort()
            await self.session.aclose()
            self.connection = self.session = None
            await self.until(lambda: self.camera.session is None)

        self.run(work())

    # Frames

    def send(self, data: bytes) -> None:
        """Send a binary message and wait until it is counted."""

        async def work() -> None:
            assert self.connection
            await self.connection.ws.send_bytes(data)
            self.sent += 1
            await self.until(lambda: self.worked_off >= self.sent)

        self.run(work())

    @precondition(lambda self: self.connection)
    @rule(
        skip=st.integers(0, 3),
        event=st.integers(0, 2),
        flags=st.sampled_from([0, 1, 4, 16]),
    )
    def send_frame(self, skip: int, event: int, flags: int) -> None:
        """Send the next frame; those before it may be lost for good."""
        self.seq += 1 + skip
        self.send(binary(self.seq, event=event, flags=flags))

    @precondition(lambda self: self.connection and self.seq)
    @rule(back=st.integers(0, 10))
    def send_again(self, back: int) -> None:
        """Send an earlier frame again, or one that was skipped."""
        seq = max(1, self.seq - back)
        before = len(self.gateway.delegate.frames)
        known = self.camera.progress.has(seq)
        self.send(binary(seq))
        # What came before comes through only once
        assert len(self.gateway.delegate.frames) == before + (not known)

    @precondition(lambda self: self.connection)
    @rule(
        damage=st.sampled_from(
            [
                {"crc32": 1},
                {"version": 9},
                {"length": 5},
                {"seq": 0},
                {"t": 2**32 - 1},
            ]
        )
    )
    def send_damaged(self, damage: dict[str, int]) -> None:
        """Send a frame that is none."""
        self.seq += 1
        before = len(self.gateway.delegate.frames)
        self.send(binary(**({"seq": self.seq} | damage)))
        assert len(self.gateway.delegate.frames) == before

    @precondition(lambda self: self.connection)
    @rule(data=st.binary(max_size=60))
    def send_noise(self, data: bytes) -> None:
        """Send bytes."""
        before = len(self.gateway.delegate.frames)
        self.send(data)
        assert len(self.gateway.delegate.frames) == before

    @precondition(lambda self: self.connection)
    @rule(cut=st.integers(0, len(JPEG)))
    def send_cut_picture(self, cut: int) -> None:
        """Send a picture that was cut off, with a checksum that is right."""
        self.seq += 1
        self.send(binary(self.seq, JPEG[:cut]))

    # Words

    @precondition(lambda self: self.connection)
    @rule(
        message=st.sampled_from(
            [
                "garbage",
                "[]",
                {"type": "x"},
                {"type": "motion", "event": 1, "active": True, "t": 5, "source": "pir"},
                {"type": "motion", "event": 1, "active": False, "t": 9, "source": "x"},
                {"type": "event_end", "event": 1, "t": 9, "frames": 3, "lost": 1},
                {"type": "heartbeat", "uptime_ms": 9, "rssi": -70, "heap": 1, "backlog": 2},
                {"type": "config_ack", "rev": 2, "applied": {"framerate": 3}, "rejected": {}},
                {"type": "config_ack", "rev": 99, "applied": {"x": []}, "rejected": {"y": "z"}},
                {"type": "result", "id": 1, "ok": True},
                {"type": "ota", "state": "installed", "percent": 100},
                {"type": "log", "level": "info", "message": "\u0000"},
                hello(),
            ]
        )
    )  # fmt: skip
    def say(self, message: Any) -> None:
        """Say something, in place or not."""

        async def work() -> None:
            assert self.connection
            await self.connection.send(message)
            # Worked off when a frame behind it is
            await self.connection.ws.send_bytes(b"")
            self.sent += 1
            await self.until(lambda: self.worked_off >= self.sent)

        self.run(work())

    # The owner

    @rule()
    def disk_follows(self) -> None:
        """Everything that was handed on is on disk now."""
        delegate = self.gateway.delegate
        for frame in delegate.frames:
            key = (frame.camera, frame.boot)
            delegate.persisted_seq[key] = max(
                delegate.persisted_seq.get(key, 0), frame.seq
            )

    @rule(take=st.booleans())
    def owner_refuses(self, take: bool) -> None:
        """Recording is switched off, or on."""
        self.gateway.delegate.take = take

    @rule(rate=st.integers(1, 25))
    def person_wishes(self, rate: int) -> None:
        """Somebody changes a setting."""
        self.camera.set_config({"framerate": rate})

    @precondition(lambda self: self.connection)
    @rule()
    def acks_come(self) -> None:
        """Acknowledgements come in order, and not for what was never sent."""

        async def work() -> None:
            assert self.connection
            known = len(self.connection.acks)
            await self.connection.send_frame(max(self.seq, 1))
            self.sent += 1
            if not self.seq:
                self.seq = 1
            while len(self.connection.acks) == known:
                await self.connection.expect("ack")
            for ack in self.connection.acks[known:]:
                assert ack["boot"] == self.boot
                self.take_ack(ack["seq"])
            await self.until(lambda: self.worked_off >= self.sent)

        self.run(work())

    # What always holds

    @invariant()
    def frames_come_once(self) -> None:
        """No frame is handed on twice, and none that was not sent."""
        if not hasattr(self, "gateway"):
            return
        names = [(frame.boot, frame.seq) for frame in self.gateway.delegate.frames]
        assert len(names) == len(set(names))

    @invariant()
    def sums_are_right(self) -> None:
        """Each binary message was counted once: as a frame, a double, or a drop with its reason."""
        if hasattr(self, "auth"):
            assert self.worked_off == self.sent
            assert self.camera.counters.frames == len(self.gateway.delegate.frames)

    @invariant()
    def nothing_is_logged(self) -> None:
        """No exception, no error."""
        assert self.complaints.found == []

    def teardown(self) -> None:
        """End it."""

        async def work() -> None:
            if self.session:
                await self.session.aclose()
            await self.stack.aclose()

        try:
            self.run(work())
        finally:
            logging.getLogger("asyncio").removeHandler(self.complaints)
            logging.getLogger("custom_components.magicpi_nvr").removeHandler(
                self.complaints
            )
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()


def test_any_order() -> None:
    """Whatever a camera sends in whatever order."""
    run_state_machine_as_test(
        CameraMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
