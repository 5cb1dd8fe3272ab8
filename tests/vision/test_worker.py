"""The child and its owner: bad pictures, kills, hangs, memory, idleness, crash loops."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
import hashlib
import os
from pathlib import Path
import shutil
import signal
import struct
import sys
from typing import Any

import pytest

from custom_components.magicpi_nvr.vision import worker as worker_module
from custom_components.magicpi_nvr.vision.model import Label
from custom_components.magicpi_nvr.vision.watch import DEFAULT_THRESHOLDS
from custom_components.magicpi_nvr.vision.wire import (
    HEADER,
    Kind,
    WireError,
    unpack_header,
    unpack_meta,
)
from custom_components.magicpi_nvr.vision.worker import (
    DETECT_QUEUE,
    STREAM_QUEUE,
    ModelFiles,
    Worker,
)
from tests.harness.vision_scenes import white_noise
from virtual_camera.pictures import make_picture

from .conftest import is_alive
from .test_pictures import GOOD, with_size

MakeWorker = Callable[..., Worker]


def model_files(param: Path, weights: Path) -> ModelFiles:
    """Return files as if they were the right ones."""
    return ModelFiles(
        param,
        weights,
        (
            hashlib.sha256(param.read_bytes()).hexdigest(),
            hashlib.sha256(weights.read_bytes()).hexdigest(),
        ),
    )


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(30):
        while is_alive(pid):
            await asyncio.sleep(0.02)


async def started(worker: Worker) -> int:
    """Ask for something and return the child's number."""
    worker.open("a", None)
    assert await worker.motion("a", GOOD) is not None
    assert worker.pid is not None
    return worker.pid


async def test_nothing_runs_before_the_first_picture(make_worker: MakeWorker) -> None:
    """A worker that is not asked costs nothing."""
    worker = make_worker()
    assert worker.pid is None
    assert await worker.finish("a") is None
    assert worker.pid is None
    assert worker.stats.starts == 0


async def test_the_child_imports_no_home_assistant(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's mapped files and priority are its own; all its threads give way after the first answers."""
    monkeypatch.setattr(worker_module, "EAGER_ANSWERS", 24)
    worker = make_worker()
    pid = await started(worker)
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "aiohttp" not in maps
    assert "numpy" in maps
    for _ in range(26):
        await worker.motion("a", GOOD)
    # The lane of the detector has had nothing to do
    niceness = [
        int(path.read_text().rsplit(")", 1)[1].split()[16])
        for path in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    assert sorted(niceness) == [0, 10, 10]
    with suppress(FileNotFoundError):
        # Where the kernel groups tasks by session, its whole group gives way
        group = Path(f"/proc/{pid}/autogroup").read_text()
        assert not group or group.endswith(" nice 10\n")
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "800"
    limits = Path(f"/proc/{pid}/limits").read_text()
    data = next(line for line in limits.splitlines() if line.startswith("Max data"))
    assert data.split()[3] == str(448 * 1024 * 1024)


async def test_ends_when_idle_and_starts_again(make_worker: MakeWorker) -> None:
    """A child without work ends by itself, and the next picture starts another."""
    worker = make_worker(idle_s=0.2)
    first = await started(worker)
    await gone(first)
    assert worker.pid is None
    assert worker.stats.crashes == 0
    second = await started(worker)
    assert second != first


async def test_stop_ends_the_child_and_those_who_wait(make_worker: MakeWorker) -> None:
    """Nobody waits for ever."""
    worker = make_worker()
    pid = await started(worker)
    os.kill(pid, signal.SIGSTOP)
    waiting = [asyncio.ensure_future(worker.motion(str(at), GOOD)) for at in range(4)]
    await asyncio.sleep(0)
    await worker.stop()
    assert await asyncio.gather(*waiting) == [None] * 4
    await gone(pid)
    assert await worker.motion("a", GOOD) is None


@pytest.mark.parametrize(
    ("jpeg", "reason"),
    [
        (b"", "format"),
        (b"\xff\xd8" + bytes(2000), "format"),
        (GOOD[: len(GOOD) // 2], "decode"),
        (with_size(GOOD, 60000, 60000), "size"),
        (with_size(GOOD, 800, 1500), "decode"),
        (white_noise(), "noise"),
    ],
    ids=["empty", "junk", "half", "huge", "lies", "noise"],
)
async def test_bad_pictures_are_skipped_and_counted(
    make_worker: MakeWorker, jpeg: bytes, reason: str
) -> None:
    """The child says why, and goes on."""
    worker = make_worker()
    pid = await started(worker)
    assert await worker.motion("a", jpeg) is None
    assert worker.stats.bad == {reason: 1}
    assert await worker.motion("a", GOOD) is not None
    assert worker.pid == pid


async def test_a_picture_that_is_too_long_is_not_sent(make_worker: MakeWorker) -> None:
    """What a camera cannot send, no child gets."""
    worker = make_worker()
    assert await worker.motion("a", bytes(512 * 1024 + 1)) is None
    assert worker.pid is None


async def test_killed(make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed child costs what it was asked; the next one takes over with the quiet picture."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.0,))
    worker = make_worker()
    pid = await started(worker)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    async with asyncio.timeout(30):
        while await worker.motion("a", GOOD) is None:
            await asyncio.sleep(0.01)
    assert worker.pid != pid
    assert worker.stats.crashes == 1


async def test_hanging(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that does not answer is killed and counted, and its successor answers."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.0,))
    worker = make_worker()
    pid = await started(worker)
    monkeypatch.setattr(worker_module, "MOTION_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    assert await worker.motion("a", GOOD) is None
    assert worker.stats.hangs == 1
    await gone(pid)
    monkeypatch.setattr(worker_module, "MOTION_S", 30)
    assert await worker.motion("a", GOOD) is not None


async def test_out_of_memory(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that may have no more memory fails its request, not Home Assistant."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.0,))
    worker = make_worker()
    pid = await started(worker)
    import resource

    resource.prlimit(pid, resource.RLIMIT_DATA, (1024 * 1024, 448 * 1024 * 1024))
    big = make_picture(1, resolution="UXGA")
    answers = [await worker.motion("a", big) for _ in range(3)]
    assert None in answers or worker.pid == pid
    async with asyncio.timeout(60):
        while await worker.motion("b", GOOD) is None:
            if worker.pid == pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                await gone(pid)


async def test_of_many_pictures_the_oldest_fall_out(make_worker: MakeWorker) -> None:
    """Of one stream eight pictures wait; what falls out is counted."""
    worker = make_worker()
    worker.open("a", None)
    answers = await asyncio.gather(*(worker.motion("a", GOOD) for _ in range(20)))
    assert all(answers[-STREAM_QUEUE:])
    assert sum(answer is None for answer in answers) == worker.stats.dropped["motion"]
    assert worker.stats.dropped["motion"] >= 20 - STREAM_QUEUE - 1


async def test_a_child_that_starts_is_expected_to_detect(
    make_worker: MakeWorker, model: ModelFiles
) -> None:
    """An event that begins while its child starts is looked at, and that start is the only one."""
    worker = make_worker(model)
    warming = asyncio.create_task(worker.warm())
    async with asyncio.timeout(30):
        while worker.pid is None:
            await asyncio.sleep(0)
    assert not worker.has_detector
    assert worker.detects
    found = await worker.detect(GOOD, crop=None, thresholds=DEFAULT_THRESHOLDS)
    assert found is not None
    await warming
    assert worker.has_detector
    assert worker.stats.starts == 1


async def test_the_detectors_queue_is_bounded_and_newest_first(
    make_worker: MakeWorker, model: ModelFiles
) -> None:
    """The oldest falls out, the newest is answered first."""
    worker = make_worker(model)
    await started(worker)
    done: list[int] = []

    async def ask(number: int) -> bool:
        found = await worker.detect(GOOD, crop=None, thresholds=DEFAULT_THRESHOLDS)
        done.append(number)
        return found is not None

    answers = await asyncio.gather(*(ask(number) for number in range(40)))
    assert sum(answers) == DETECT_QUEUE
    assert worker.stats.dropped["detect"] == 40 - DETECT_QUEUE
    answered = [number for number in done if answers[number]]
    assert answered == sorted(answered, reverse=True)


@pytest.mark.parametrize("model_is", ["text", "truncated"])
async def test_a_model_that_ncnn_refuses_leaves_motion(
    make_worker: MakeWorker, model: ModelFiles, tmp_path: Path, model_is: str
) -> None:
    """Motion works without the detector, and the owner learns of it."""
    param, weights = tmp_path / "a.param", tmp_path / "a.bin"
    if model_is == "text":
        param.write_text("no model")
        weights.write_bytes(b"")
    else:
        param.write_bytes(model.param.read_bytes()[:500])
        weights.write_bytes(model.weights.read_bytes()[:500])
    problems: list[Any] = []
    worker = make_worker(
        model_files(param, weights), on_problem=lambda *said: problems.append(said)
    )
    await started(worker)
    assert not worker.has_detector
    assert await worker.detect(GOOD, crop=None, thresholds=DEFAULT_THRESHOLDS) is None
    assert [kind for kind, _ in problems] == ["detector"]


@pytest.mark.parametrize("file", ["param", "weights"])
async def test_a_model_that_is_replaced_later_is_not_loaded(
    make_worker: MakeWorker, model: ModelFiles, tmp_path: Path, file: str
) -> None:
    """A child that starts later checks again what it loads; motion goes on, and the owner learns of it."""
    files = replace(
        model,
        param=shutil.copy(model.param, tmp_path / "a.param"),
        weights=shutil.copy(model.weights, tmp_path / "a.bin"),
    )
    problems: list[Any] = []
    worker = make_worker(
        files, on_problem=lambda *said: problems.append(said), idle_s=0.05
    )
    pid = await started(worker)
    assert worker.has_detector
    await gone(pid)
    with getattr(files, file).open("r+b") as other:
        other.seek(-1, os.SEEK_END)
        other.write(b"?")
    await started(worker)
    assert not worker.has_detector
    assert not worker.detects
    assert [kind for kind, _ in problems] == ["model"]


async def test_a_crash_loop_is_told_once_and_motion_goes_on(
    make_worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector that kills its child each time is left out; what is left works."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.0,))
    child = tmp_path / "child.py"
    real = worker_module.Path(worker_module.__file__).with_name("child.py")
    child.write_text(
        f"import os, sys\n"
        f"if '\"model\": null' not in sys.argv[1]: os.abort()\n"
        f"sys.argv[0] = {str(real)!r}\n"
        f"exec(compile(open({str(real)!r}).read().replace('__file__', 'sys.argv[0]'), 'child', 'exec'))\n"
    )
    problems: list[Any] = []
    worker = make_worker(
        ModelFiles(tmp_path / "a", tmp_path / "b", ("", "")),
        on_problem=lambda *said: problems.append(said),
        child=child,
    )
    worker.open("a", None)
    async with asyncio.timeout(60):
        while await worker.motion("a", GOOD) is None:
            await asyncio.sleep(0)
    assert [kind for kind, _ in problems] == ["crash_loop"]
    assert worker.stats.crashes == 4
    assert not worker.detects


@pytest.mark.parametrize(
    "says",
    [
        b"hello, this is no header at all",
        struct.pack("!BIII", 1, 1, 2**31, 0),
        struct.pack("!BIII", 99, 1, 2, 0) + b"{}",
        struct.pack("!BIII", 0, 0, 2, 0) + b"[]",
        struct.pack("!BIII", 0, 0, 70000, 0) + b"[" * 70000,
    ],
    ids=["junk", "long", "kind", "list", "deep"],
)
async def test_a_child_that_answers_nonsense_is_ended(
    make_worker: MakeWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: bytes,
) -> None:
    """Its owner believes no length and no shape."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (600.0,))
    child = tmp_path / "child.py"
    child.write_text(
        f"import sys, time\nsys.stdout.buffer.write({says!r})\n"
        "sys.stdout.flush()\ntime.sleep(600)\n"
    )
    worker = make_worker(child=child)
    worker.open("a", None)
    assert await worker.motion("a", GOOD) is None
    assert worker.pid is None
    assert worker.stats.crashes == 1


@pytest.mark.parametrize(
    "meta",
    [
        '{"usable":true,"moved":"-1","unlike":"0"}',
        '{"usable":true,"moved":"1' + "0" * 60 + '","unlike":"0"}',
        '{"usable":true,"moved":"x","unlike":"0"}',
        '{"usable":true}',
    ],
)
async def test_an_answer_of_another_shape_is_none(
    make_worker: MakeWorker, tmp_path: Path, meta: str
) -> None:
    """Cells that are none are no motion."""
    child = tmp_path / "child.py"
    child.write_text(
        "import struct, sys, time\n"
        "out = sys.stdout.buffer\n"
        "out.write(struct.pack('!BIII', 0, 0, 2, 0) + b'{}')\n"
        "out.flush()\nsys.stdin.buffer.read(13)\n"
        f"meta = {meta.encode()!r}\n"
        "out.write(struct.pack('!BIII', 1, 1, len(meta), 192) + meta + bytes(192))\n"
        "out.flush()\nsys.stdin.buffer.read()\n"
    )
    worker = make_worker(child=child)
    worker.open("a", None)
    assert await worker.motion("a", GOOD) is None


async def test_no_interpreter(make_worker: MakeWorker) -> None:
    """A child that cannot be started is a failure like another."""
    worker = make_worker(python="/nowhere/python")
    worker.open("a", None)
    assert await worker.motion("a", GOOD) is None
    assert worker.stats.crashes == 1
    assert await worker.motion("a", GOOD) is None
    assert worker.stats.dropped["waiting"] == 1


async def test_the_child_ends_with_its_owner(tmp_path: Path) -> None:
    """A killed owner leaves no child behind."""
    package = Path(worker_module.__file__).parent
    script = tmp_path / "owner.py"
    script.write_text(
        "import asyncio, sys, types\n"
        "package = types.ModuleType('vision')\n"
        f"package.__path__ = [{str(package)!r}]\n"
        "sys.modules['vision'] = package\n"
        "from vision.worker import Worker\n"
        "async def main():\n"
        "    worker = Worker(None)\n"
        "    worker.open('a', None)\n"
        "    await worker.motion('a', sys.stdin.buffer.read())\n"
        "    print(worker.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdin
    assert owner.stdout
    owner.stdin.write(GOOD)
    owner.stdin.close()
    pid = int(await owner.stdout.readline())
    assert is_alive(pid)
    owner.kill()
    await owner.wait()
    await gone(pid)


def test_headers_are_bounded() -> None:
    """Lengths and kinds beyond the bounds are refused before anything is read."""
    assert unpack_header(HEADER.pack(Kind.MOTION, 5, 10, 20), 20) == (1, 5, 10, 20)
    for header in (
        HEADER.pack(1, 5, 10, 21),
        HEADER.pack(1, 5, 65537, 0),
        HEADER.pack(9, 5, 0, 0),
    ):
        with pytest.raises(WireError):
            unpack_header(header, 20)
    for text in (b"", b"[]", b"1", b"\xff"):
        with pytest.raises(WireError):
            unpack_meta(text)


async def test_what_was_found_is_checked(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    """Labels, scores and boxes that cannot be are left out."""
    child = tmp_path / "child.py"
    found = (
        '{"found":[["person",0.9,[0,0,1,1]],["ghost",0.9,[0,0,1,1]],'
        '["person",9,[0,0,1,1]],["person",0.9,[0,0,5,1]],["person",0.9,[0,0]],7]}'
    )
    child.write_text(
        "import struct, sys\n"
        "out = sys.stdout.buffer\n"
        "ready = b'{\"detector\":true}'\n"
        "out.write(struct.pack('!BIII', 0, 0, len(ready), 0) + ready)\n"
        "out.flush()\nsys.stdin.buffer.read(13)\n"
        f"meta = {found.encode()!r}\n"
        "out.write(struct.pack('!BIII', 3, 1, len(meta), 0) + meta)\n"
        "out.flush()\nsys.stdin.buffer.read()\n"
    )
    worker = make_worker(
        ModelFiles(tmp_path / "a", tmp_path / "b", ("", "")), child=child
    )
    assert await worker.detect(
        GOOD, crop=(0.1, 0.1, 0.3, 0.3), thresholds=DEFAULT_THRESHOLDS
    ) == [(Label.PERSON, 0.9, (0.0, 0.0, 1.0, 1.0))]
