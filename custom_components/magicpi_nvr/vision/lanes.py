"""The child at work: limits first, then two lanes, each a thread that answers one request after another.

Somebody waits for the first detection, so it waits for nothing that it does not need: numpy, which only
motion needs, is imported in motion's lane after it, and all threads give way to others after the first answers.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
import hashlib
import os
from queue import SimpleQueue
import resource
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from . import pictures
from .grid import HEIGHT, WIDTH
from .model import Label
from .wire import (
    HEADER,
    MAX_PICTURE,
    Kind,
    Message,
    WireError,
    pack,
    unpack_header,
    unpack_meta,
)

if TYPE_CHECKING:
    from .motion import Stream
    from .nanodet import NanoDet

_MEMORY: Final = 448 * 1024 * 1024
_NICE: Final = 10
_FIRST_LOOK_S: Final = 0.5
# Threads take turns more often than Python's usual 5 ms
_SWITCH_S: Final = 0.001
_STREAMS: Final = 64
_QUIET_BYTES: Final = WIDTH * HEIGHT
_MAX_MODEL: Final = 16 * 1024 * 1024

# Both files, each with the SHA-256 that it has to have
type Model = list[tuple[str, str]]


def lower_priority() -> None:
    """Let the calling thread be the last to run, and never take a core from who has it: recording comes first."""
    with suppress(OSError):
        os.nice(_NICE)
    # Where the kernel groups tasks by session, niceness counts within the child's own session only
    with suppress(OSError), open("/proc/self/autogroup", "w") as file:  # noqa: PTH123
        file.write(str(_NICE))
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def limit() -> None:
    """Be the first to go."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("800")
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pictures.set_limits()
    sys.setswitchinterval(_SWITCH_S)


def checked_copy(path: str, sha256: str) -> int:
    """Return a file in memory that is a copy of another: what was checked is what is loaded; raises OSError, ValueError."""
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read(_MAX_MODEL + 1)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path} is another file than it should be")
    copy = os.memfd_create("model")
    with open(copy, "wb", closefd=False) as target:
        target.write(data)
    return copy


class Child:
    """Reads requests, hands them to the lanes."""

    def __init__(self, source: BinaryIO, target: BinaryIO, eager: int) -> None:
        """Take the two pipes; after `eager` answers give way."""
        self._source = source
        self._target = target
        self._writing = threading.Lock()
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._detector: NanoDet | None = None
        self._eager = eager
        self._answers = 0
        self._looked = threading.Event()

    def load(self, model: Model | None) -> dict[str, Any]:
        """Load the detector where there is one; returns what `READY` says."""
        if not model:
            self._looked.set()
            return {"detector": False, "error": ""}
        try:
            files = [checked_copy(*file) for file in model]
        except (OSError, ValueError) as err:
            self._looked.set()
            return {"detector": False, "error": str(err), "model": False}
        try:
            from .nanodet import NanoDet  # noqa: PLC0415 - only where ncnn is

            self._detector = NanoDet(*(f"/proc/self/fd/{file}" for file in files))
        except Exception as err:  # noqa: BLE001 - whatever a native library raises
            self._looked.set()
            return {"detector": False, "error": f"{type(err).__name__}: {err}"}
        finally:
            for file in files:
                os.close(file)
        return {"detector": True, "error": ""}

    def serve(self) -> None:
        """Answer until the input ends."""
        lanes: dict[bool, SimpleQueue[Message]] = {}
        for detects in (False, True):
            lanes[detects] = SimpleQueue()
            threading.Thread(
                target=self._work, args=(lanes[detects], detects), daemon=True
            ).start()
        gave_way = False
        while (message := self._read()) is not None:
            lanes[message.kind is Kind.DETECT].put(message)
            gave_way = self._lower_priority(gave_way)

    def _lower_priority(self, gave_way: bool) -> bool:
        """Let the calling thread give way, once, when nobody waits for a first answer any more; says whether it did."""
        if gave_way or self._answers < self._eager:
            return gave_way
        lower_priority()
        return True

    def _read(self) -> Message | None:
        header = self._source.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        kind, request, meta, data = unpack_header(header, MAX_PICTURE + _QUIET_BYTES)
        return Message(
            kind, request, unpack_meta(self._source.read(meta)), self._source.read(data)
        )

    def send(
        self, kind: Kind, request: int, meta: dict[str, Any], data: bytes = b""
    ) -> None:
        """Write one answer."""
        with self._writing:
            self._target.write(pack(kind, request, meta, data) + data)
            self._target.flush()

    def _work(self, lane: SimpleQueue[Message], detects: bool) -> None:
        if not detects:
            self._looked.wait(_FIRST_LOOK_S)
            from . import motion  # noqa: F401, PLC0415 - imports numpy
        gave_way = False
        while True:
            self._answer(lane.get())
            self._answers += 1
            if detects:
                self._looked.set()
            gave_way = self._lower_priority(gave_way)

    def _answer(self, message: Message) -> None:
        handlers: dict[Kind, Callable[[Message], tuple[dict[str, Any], bytes]]] = {
            Kind.MOTION: self._motion,
            Kind.FINISH: self._finish,
            Kind.DETECT: self._detect,
        }
        try:
            meta, data = handlers[message.kind](message)
        except pictures.BadPicture as err:
            meta, data = {"bad": str(err)}, b""
        except Exception as err:  # noqa: BLE001 - a lane that ends would answer nobody
            meta, data = (
                {"bad": "error", "error": f"{type(err).__name__}: {err}"},
                b"",
            )
        try:
            self.send(message.kind, message.request, meta, data)
        except OSError:
            os._exit(0)

    def _motion(self, message: Message) -> tuple[dict[str, Any], bytes]:
        from .motion import Stream, levels, mask_hex  # noqa: PLC0415 - imports numpy

        name, data = message.meta["stream"], message.data
        if message.meta.get("begin"):
            quiet = None
            if length := message.meta.get("quiet", 0):
                if length != _QUIET_BYTES:
                    raise WireError("a quiet picture of another size")
                quiet = levels(data[:length])
                data = data[length:]
            self._streams[name] = Stream(quiet)
            if len(self._streams) > _STREAMS:
                self._streams.popitem(last=False)
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream()
        self._streams.move_to_end(name)
        measured = stream.measure(levels(pictures.luma(data)))
        return {
            "usable": measured.usable,
            "reason": measured.reason,
            "compared": measured.compared,
            "moved": mask_hex(measured.moved),
            "unlike": mask_hex(measured.unlike),
        }, measured.strength.tobytes()

    def _finish(self, message: Message) -> tuple[dict[str, Any], bytes]:
        stream = self._streams.pop(message.meta["stream"], None)
        return {}, (stream.finish() if stream else None) or b""

    def _detect(self, message: Message) -> tuple[dict[str, Any], bytes]:
        if self._detector is None:
            raise ValueError("no detector")
        from .nanodet import SQUARE, WIDE  # noqa: PLC0415 - only where ncnn is

        crop = message.meta.get("crop")
        thresholds = {
            label: float(message.meta["thresholds"][label]) for label in Label
        }
        target = WIDE
        pixels, shown = pictures.pixels(
            message.data, tuple(crop) if crop else None, target
        )
        if pixels.height == target[1] and pixels.width < target[0] * 0.9:
            # Higher than wide: a turned picture or a narrow crop
            target = SQUARE
            pixels, shown = pictures.pixels(
                message.data, tuple(crop) if crop else None, target
            )
        found = self._detector.find(pixels, shown, target, thresholds)
        return {
            "found": [[str(label), score, list(box)] for label, score, box in found]
        }, b""


def serve(model: Model | None, eager: int) -> int:
    """Be the child."""
    # What a library prints must not stand between the answers
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit()
    child = Child(sys.stdin.buffer, target, eager)
    child.send(Kind.READY, 0, child.load(model))
    with suppress(WireError):
        child.serve()
    # Threads may be inside of native code
    os._exit(0)
