"""The child's owner: queues what is asked of it, starts it when there is work, survives its faults. Runs in an event loop."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
import json
import logging
from pathlib import Path
import sys
from time import monotonic
from typing import Any, Final, Literal

from .grid import CELLS, EVERYWHERE, HEIGHT, WIDTH, Box
from .model import Label, Motion
from .process import STDERR_WIDTH, Answer, Child, Dead
from .wire import MAX_PICTURE, Kind, WireError

_LOGGER = logging.getLogger(__name__)

IDLE_S: Final = 60.0
MOTION_S: Final = 5.0
DETECT_S: Final = 15.0
BACKOFF_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
LOOP_AFTER: Final = 4
FORGIVEN_AFTER: Final = 20
WITHOUT_DETECTOR_S: Final = 6 * 3600.0
# One event's first answer, and what decides whether its camera may sleep: only then the child gives way to others
EAGER_ANSWERS: Final = 24
MOTION_QUEUE: Final = 64
# What a camera took before it was connected comes at once.
STREAM_QUEUE: Final = 8
DETECT_QUEUE: Final = 24
QUIET_BYTES: Final = WIDTH * HEIGHT
_MAX_FOUND: Final = 64

type Found = tuple[Label, float, Box]
type ProblemKind = Literal["crash_loop", "detector", "model"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The detector's two files, and the SHA-256 with which each is loaded."""

    param: Path
    weights: Path
    sha256: tuple[str, str]


@dataclass(slots=True)
class WorkerStats:
    """Counters since the start. `bad`: pictures that the child refused, by reason; `dropped`: those it was never asked about, by lane."""

    starts: int = 0
    crashes: int = 0
    hangs: int = 0
    motion: int = 0
    detect: int = 0
    motion_ms: float = 0.0
    detect_ms: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Job:
    kind: Kind
    stream: str
    meta: dict[str, Any]
    data: bytes
    done: asyncio.Future[Answer | None]

    def resolve(self, answer: Answer | None) -> None:
        if not self.done.done():
            self.done.set_result(answer)


class Worker:
    """All methods are called in the event loop; answers are None when there is none to be had."""

    def __init__(
        self,
        model: ModelFiles | None,
        *,
        on_problem: Callable[[ProblemKind | None, str], None] = lambda kind, detail: (
            None
        ),
        idle_s: float = IDLE_S,
        python: str = sys.executable,
        child: Path = Path(__file__).with_name("child.py"),
    ) -> None:
        """Prepare; nothing is started before the first picture."""
        self.stats = WorkerStats()
        self._model = model
        self._on_problem = on_problem
        self._idle_s = idle_s
        self._python = python
        self._script = child
        self._child: Child | None = None
        self._starting = asyncio.Lock()
        self._quiet: dict[str, bytes | None] = {}
        self._begun: set[str] = set()
        self._motion: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._finish: deque[_Job] = deque(maxlen=MOTION_QUEUE)
        self._detect: deque[_Job] = deque()
        self._wake = {False: asyncio.Event(), True: asyncio.Event()}
        self._busy = 0
        self._lanes: list[asyncio.Task[None]] = []
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._good = 0
        self._retry_at = 0.0
        self._without_detector_until = 0.0
        self._problem: ProblemKind | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's number while it runs."""
        return self._child.pid if self._child else None

    @property
    def has_detector(self) -> bool:
        """Whether the child that runs detects."""
        return self._child is not None and self._child.has_detector is True

    @property
    def detects(self) -> bool:
        """Say whether asking for a detection makes sense."""
        if self._model is None or monotonic() < self._without_detector_until:
            return False
        if self._child is None or self._child.has_detector is None:
            # One that starts will, unless the last one could not
            return self._problem is None
        return self._child.has_detector

    def set_model(self, model: ModelFiles | None) -> None:
        """Use other files from the next start on; a running child is ended."""
        self._model = model
        self._without_detector_until = 0.0
        self._failures, self._retry_at = 0, 0.0
        self._say(None, "")
        self._end()

    def open(self, stream: str, quiet: bytes | None) -> None:
        """Begin a stream of pictures with the camera's quiet picture."""
        self._quiet[stream] = quiet
        self._begun.discard(stream)

    async def warm(self) -> None:
        """Start the child before there is work: a camera is waking."""
        with suppress(Dead):
            await self._running()
        self._rest()

    async def motion(self, stream: str, jpeg: bytes) -> Motion | None:
        """Return what moved in a picture of an open stream; of many that wait the oldest falls out."""
        job = self._job(Kind.MOTION, stream, {"stream": stream}, jpeg)
        if job is None:
            return None
        waiting = self._motion.setdefault(stream, deque())
        waiting.append(job)
        if len(waiting) > STREAM_QUEUE:
            self._drop(waiting.popleft(), "motion")
        self._motion.move_to_end(stream)
        if len(self._motion) > MOTION_QUEUE:
            for old in self._motion.popitem(last=False)[1]:
                self._drop(old, "motion")
        self._wake[False].set()
        if (answer := await job.done) is None:
            return None
        return _read_motion(*answer)

    async def finish(self, stream: str) -> bytes | None:
        """Close a stream; returns the camera's quiet picture from now on."""
        known = self._quiet.get(stream)
        if stream not in self._begun or self._child is None:
            self._quiet.pop(stream, None)
            return known
        try:
            job = self._job(Kind.FINISH, stream, {"stream": stream}, b"")
            if job is not None:
                self._finish.append(job)
                self._wake[False].set()
                answer = await job.done
                if answer and len(answer[1]) == QUIET_BYTES:
                    known = answer[1]
        finally:
            # Its owner may have lost patience
            self._quiet.pop(stream, None)
            self._begun.discard(stream)
        return known

    async def detect(
        self, jpeg: bytes, *, crop: Box | None, thresholds: Mapping[Label, float]
    ) -> list[Found] | None:
        """Return what is in a picture or a part of it."""
        meta = {
            "crop": crop,
            "thresholds": {str(label): thresholds[label] for label in Label},
        }
        job = self._job(Kind.DETECT, "", meta, jpeg)
        if job is None or not self.detects:
            return None
        self._detect.append(job)
        if len(self._detect) > DETECT_QUEUE:
            self._drop(self._detect.popleft(), "detect")
        self._wake[True].set()
        if (answer := await job.done) is None:
            return None
        return _read_found(answer[0])

    async def stop(self) -> None:
        """End the child and everything that waits for it."""
        self._closed = True
        if self._idle:
            self._idle.cancel()
        for task in self._lanes:
            task.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        motion = (job for jobs in self._motion.values() for job in jobs)
        for job in (*motion, *self._finish, *self._detect):
            job.resolve(None)
        self._motion.clear()
        self._finish.clear()
        self._detect.clear()
        self._end()
        await asyncio.gather(*self._ending, return_exceptions=True)

    # Queues

    def _job(
        self, kind: Kind, stream: str, meta: dict[str, Any], data: bytes
    ) -> _Job | None:
        if self._closed or len(data) > MAX_PICTURE:
            return None
        if not self._lanes:
            self._lanes = [
                asyncio.create_task(self._work(detects), name="magicpi vision")
                for detects in (False, True)
            ]
        return _Job(
            kind, stream, meta, data, asyncio.get_running_loop().create_future()
        )

    def _drop(self, job: _Job, lane: str) -> None:
        self.stats.dropped[lane] += 1
        job.resolve(None)

    def _next(self, detects: bool) -> _Job | None:
        if detects:
            return self._detect.pop() if self._detect else None
        if self._motion:
            # The newest stream first; of one, the pictures in the order in which they came
            stream = next(reversed(self._motion))
            job = self._motion[stream].popleft()
            if not self._motion[stream]:
                del self._motion[stream]
            return job
        return self._finish.popleft() if self._finish else None

    async def _work(self, detects: bool) -> None:
        """Be a lane: one request at a time, the newest first."""
        wake = self._wake[detects]
        while True:
            await wake.wait()
            wake.clear()
            while job := self._next(detects):
                if job.done.done():
                    continue
                self._busy += 1
                if self._idle:
                    self._idle.cancel()
                    self._idle = None
                answer = None
                try:
                    answer = await self._answer(job)
                except Dead:
                    pass
                except WireError as err:
                    _LOGGER.warning("The detector's process is ended: %s", err)
                    self._failed(self._child)
                finally:
                    self._busy -= 1
                    job.resolve(answer)
                    self._rest()

    def _rest(self) -> None:
        """End the child when nothing is asked of it for a while."""
        if self._busy or self._closed or self._child is None:
            return
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._rested)

    def _rested(self) -> None:
        self._idle = None
        if not self._busy:
            self._end()

    async def _answer(self, job: _Job) -> Answer | None:
        """Ask the child; raises Dead."""
        child = await self._running()
        if job.kind is Kind.DETECT and not child.has_detector:
            return None
        data = job.data
        meta = job.meta
        if job.kind is Kind.MOTION and job.stream not in self._begun:
            self._begun.add(job.stream)
            meta = {**meta, "begin": True}
            if quiet := self._quiet.get(job.stream):
                meta["quiet"] = len(quiet)
                data = quiet + data
        began = monotonic()
        answer = await self._ask(child, job.kind, meta, data)
        took = (monotonic() - began) * 1000
        if bad := answer[0].get("bad"):
            self.stats.bad[str(bad)[:16]] += 1
            if "error" in answer[0]:
                _LOGGER.debug("The detector's process: %s", answer[0]["error"])
            return None
        self._good += 1
        if self._good >= FORGIVEN_AFTER and self._failures:
            self._failures = 0
            if (
                self._problem == "crash_loop"
                and monotonic() > self._without_detector_until
            ):
                self._say(None, "")
        if job.kind is Kind.MOTION:
            self.stats.motion += 1
            self.stats.motion_ms += took
        elif job.kind is Kind.DETECT:
            self.stats.detect += 1
            self.stats.detect_ms += took
        return answer

    async def _ask(
        self, child: Child, kind: Kind, meta: dict[str, Any], data: bytes
    ) -> Answer:
        """Send one request and wait for its answer; raises Dead."""
        try:
            return await child.ask(
                kind, meta, data, DETECT_S if kind is Kind.DETECT else MOTION_S
            )
        except TimeoutError:
            self.stats.hangs += 1
            self._failed(child, counted=True)
            raise Dead from None
        except OSError as err:
            self._failed(child)
            raise Dead from err

    # The child

    async def _running(self) -> Child:
        """Return the child, started if need be; raises Dead while it must not be."""
        async with self._starting:
            if self._child:
                return self._child
            if self._closed or monotonic() < self._retry_at:
                self.stats.dropped["waiting"] += 1
                raise Dead
            return await self._start()

    async def _start(self) -> Child:
        with_detector = (
            self._model is not None and monotonic() >= self._without_detector_until
        )
        model = self._model if with_detector else None
        options = {
            "model": model
            and [
                *zip((str(model.param), str(model.weights)), model.sha256, strict=True)
            ],
            "eager": EAGER_ANSWERS,
            "path": [path for path in sys.path if path],
        }
        command = [self._python, "-I", str(self._script), json.dumps(options)]
        try:
            child = await Child.start(command, self._failed)
        except OSError as err:
            _LOGGER.debug("The detector's process does not start: %s", err)
            self._failed(None)
            raise Dead from err
        self.stats.starts += 1
        self._begun.clear()
        self._good = 0
        self._child = child
        ending = asyncio.create_task(child.wait(), name="magicpi vision")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        try:
            meta = await child.ready()
        except TimeoutError:
            self.stats.hangs += 1
            self._failed(child, counted=True)
            raise Dead from None
        child.has_detector = meta.get("detector") is True
        if with_detector and not child.has_detector:
            kind: ProblemKind = "model" if meta.get("model") is False else "detector"
            self._say(kind, str(meta.get("error", ""))[:STDERR_WIDTH])
        return child

    def _end(self) -> None:
        """Let the child end, if there is one."""
        if self._child:
            self._child.end()
            self._child = None

    def _failed(self, child: Child | None, *, counted: bool = False) -> None:
        """Kill the child and wait before the next one, longer each time."""
        detail = ""
        if child is not None:
            if self._child is not child:
                return
            self._child = None
            child.kill()
            detail = child.last_words
        if not counted:
            self.stats.crashes += 1
        self._failures += 1
        delay = BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1]
        if self._failures >= LOOP_AFTER:
            if self._model and monotonic() >= self._without_detector_until:
                # Motion needs less than the detector, so it may work without
                self._without_detector_until = monotonic() + WITHOUT_DETECTOR_S
                self._failures, delay = 0, BACKOFF_S[0]
            self._say("crash_loop", detail)
        self._retry_at = monotonic() + delay

    def _say(self, problem: ProblemKind | None, detail: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem, detail)


def _read_motion(meta: dict[str, Any], levels: bytes) -> Motion | None:
    """Return an answer as a record, None when it is none."""
    if len(levels) != CELLS:
        return None
    try:
        moved, unlike = int(str(meta["moved"]), 16), int(str(meta["unlike"]), 16)
    except KeyError, ValueError:
        return None
    if not 0 <= moved <= EVERYWHERE or not 0 <= unlike <= EVERYWHERE:
        return None
    return Motion(
        usable=meta.get("usable") is True,
        reason=str(meta.get("reason", ""))[:16],
        compared=meta.get("compared") is True,
        moved=moved,
        unlike=unlike,
        levels=levels,
    )


def _read_found(meta: dict[str, Any]) -> list[Found] | None:
    """Return an answer as records; what cannot be is left out."""
    items = meta.get("found")
    if not isinstance(items, list):
        return None
    found: list[Found] = []
    for item in items[:_MAX_FOUND]:
        with suppress(ValueError, TypeError):
            name, score, (x, y, w, h) = item
            label = Label(name)
            box = (float(x), float(y), float(w), float(h))
            if not 0 <= float(score) <= 1 or not all(-0.01 <= at <= 1.01 for at in box):
                continue
            found.append((label, float(score), box))
    return found
