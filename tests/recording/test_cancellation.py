"""Callers go away at any moment: what has begun to change files is completed, and nothing else is touched."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
import inspect
from pathlib import Path
import random
import threading

import pytest

from custom_components.magicpi_nvr.recording.library import Library, removal
from custom_components.magicpi_nvr.recording.library.index import Index
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import FLAG_LAST, ClipSpec, Findings
from tests.harness.library import changes_done, index_of
from tests.harness.pictures import BOOT, CAMERA, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

NOON = int(datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1000)


def send(recorder: RunningRecorder, number: int, *, last: bool = True) -> list[int]:
    """Give the recorder an event of ten frames; return their numbers."""
    sent = list(
        frames(
            10,
            start_ms=NOON + number * 20_000,
            first_t=number * 20_000,
            event=number,
            first_seq=number * 10,
        )
    )
    for frame in sent:
        recorder.add(frame, flags=FLAG_LAST if last and frame is sent[-1] else 0)
    return [frame.seq for frame in sent]


def rebuilt(
    recorder: RunningRecorder, tmp_path: Path
) -> dict[str, list[tuple[object, ...]]]:
    """Return what an index holds that is built from the files alone."""
    path = tmp_path / "fresh.db"
    index = Index(path, recorder.settings.root)
    index.open()
    index.fill()
    found = index.contents()
    index.close()
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return found


async def cancelled(work: Awaitable[object], after_s: float) -> None:
    """Begin something and go away."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(after_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_delete_stopped_while_it_rewrites(
    recorder: RunningRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is held until the thread has ended: an event that is recorded meanwhile is not destroyed."""
    send(recorder, 1)
    await recorder.clip(event_id(CAMERA, BOOT, 1))
    send(recorder, 2)
    await recorder.clip(event_id(CAMERA, BOOT, 2))
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(*args: object, **kwargs: object) -> object:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        return rewrite(*args, **kwargs)

    rewrite = removal.rewrite_without
    monkeypatch.setattr(removal, "rewrite_without", slow)
    task = asyncio.ensure_future(recorder.library.delete(event_id(CAMERA, BOOT, 1)))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    shown = send(recorder, 3)
    await recorder.clip(event_id(CAMERA, BOOT, 3))
    go_on.set()
    await changes_done(recorder.library)
    assert [n for _, n in recorder.shown(event_id(CAMERA, BOOT, 3))] == shown
    assert len(recorder.shown(event_id(CAMERA, BOOT, 2))) == 10
    assert await recorder.library.event(event_id(CAMERA, BOOT, 1)) is None


async def test_delete_while_another_event_is_recorded(
    recorder: RunningRecorder,
) -> None:
    """A finished event goes at once, and the one that is recorded in the same hour is whole."""
    send(recorder, 1)
    await recorder.clip(event_id(CAMERA, BOOT, 1))
    sent = list(
        frames(80, start_ms=NOON + 40_000, first_t=40_000, event=2, first_seq=20)
    )
    for frame in sent[:20]:
        recorder.add(frame)
        await asyncio.sleep(0.05)
    deleting = asyncio.ensure_future(recorder.library.delete(event_id(CAMERA, BOOT, 1)))
    for frame in sent[20:]:
        recorder.add(frame)
        await asyncio.sleep(0.05)
    assert (await deleting).id == event_id(CAMERA, BOOT, 1)
    recorder.capture.end_event(CAMERA, BOOT, 2)
    await recorder.clip(event_id(CAMERA, BOOT, 2))
    assert [n for _, n in recorder.shown(event_id(CAMERA, BOOT, 2))] == [
        frame.seq for frame in sent
    ]
    assert await recorder.library.event(event_id(CAMERA, BOOT, 1)) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("impatient")
async def test_cancelled_at_any_moment(
    recorder: RunningRecorder, tmp_path: Path, seed: int
) -> None:
    """Each public coroutine, at random moments: acknowledged is what is on disk, the index is as one rebuilt."""
    chance = random.Random(seed)
    there: dict[int, list[int]] = {}
    for number in range(1, 5):
        there[number] = send(recorder, number)
        await recorder.clip(event_id(CAMERA, BOOT, number))
    number = 4

    def any_id() -> str:
        return event_id(CAMERA, BOOT, chance.choice(list(there)))

    library = recorder.library
    exported = tmp_path / "export.mp4"
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "accept_storage": library.accept_storage,
        "cameras": library.cameras,
        "check_clock": library.check_clock,
        "clip": lambda: library.clip(ClipSpec.event(any_id())),
        "confirm_clock": library.confirm_clock,
        "days": library.days,
        "delete": lambda: library.delete(any_id()),
        "event": lambda: library.event(any_id()),
        "events": library.events,
        "explain_full": library.explain_full,
        "export": lambda: library.export(ClipSpec.event(any_id()), exported),
        "file": lambda: library.file(exported),
        "follow": library.follow,
        "hours": lambda: library.hours(camera=CAMERA, date="2026-11-22"),
        "label": lambda: library.label(any_id(), ["Parcel"], "text"),
        "last_event": lambda: library.last_event(CAMERA),
        "make_room": lambda: library.make_room(0),
        "make_more_room": lambda: library.make_more_room(0),
        "note_findings": lambda: library.note_findings(
            any_id(), Findings(verdict="seen", zones=("Door",))
        ),
        "picture": lambda: library.picture(any_id()),
        "protect": lambda: library.protect(any_id(), chance.random() < 0.3),
        "purge": lambda: library.purge(
            older_than_ms=NOON + chance.randrange(number) * 20_000
        ),
        "rebuild": library.rebuild,
        "recent_files": library.recent_files,
        "rescan": lambda: library.rescan(list(recorder.files())),
        "threaded": lambda: library.threaded(lambda: list(recorder.files())),
        "thumbnail": lambda: library.thumbnail(any_id()),
        "usage": library.usage,
    }
    # A new coroutine joins by itself; these three belong to the recorder's life.
    assert calls.keys() | {"open", "close", "record"} == {
        name
        for name, value in vars(Library).items()
        if not name.startswith("_") and inspect.iscoroutinefunction(value)
    }
    names = list(calls)
    for _ in range(40):
        if chance.random() < 0.3:
            number += 1
            there[number] = send(recorder, number)
        await cancelled(calls[chance.choice(names)](), chance.random() * 0.02)
    await changes_done(recorder.library)
    for _ in range(2):
        # Stopped and started by callers that go away, too.
        await cancelled(recorder.capture.stop(), chance.random() * 0.05)
        await recorder.capture.stop()
        await cancelled(recorder.library.close(), chance.random() * 0.02)
        await recorder.library.close()
        await recorder.start()
    await until(lambda: not recorder.unfinished())
    await changes_done(recorder.library)
    assert recorder.capture.persisted(CAMERA, BOOT) in (0, number * 10 + 9)
    page = await recorder.library.events(limit=100)
    known = {event.id for event in page.events}
    for one, sent in there.items():
        name = event_id(CAMERA, BOOT, one)
        shown = [n for _, n in recorder.shown(name)]
        assert shown == (sent if name in known else [])
    assert all(file.is_closed for file in recorder.files().values())
    assert await recorder.library._backend.indexed(
        index_of(recorder.library).contents
    ) == rebuilt(recorder, tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))
