"""Remote events: the same bytes, times and lists as when they were local, and the way back."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import json
from pathlib import Path
from typing import Any

import av
import pytest

from custom_components.magicpi_nvr.recording.errors import (
    ClipGone,
    EventNotFound,
    EventProtected,
)
from custom_components.magicpi_nvr.recording.hourfile import HourFileError, scan
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.copies import (
    CopySource,
    remote_event,
)
from custom_components.magicpi_nvr.recording.library.outline import Outline
from custom_components.magicpi_nvr.recording.model import ClipSpec, Event
from tests.harness.library import BACK, FRONT, NOON, LibraryFolder, Pictures, Recordings


@dataclass
class Store:
    """A target in memory."""

    clips: dict[str, bytes] = field(default_factory=dict)
    outlines: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes | None] = field(default_factory=dict)
    kept: dict[str, CopySource] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    away: bool = False
    queue: set[str] = field(default_factory=set)

    async def waiting(self) -> set[str]:
        """Return what waits for its first copy."""
        return self.queue

    async def copy(self, library: Library, event: str) -> None:
        """Copy a local event."""
        source = await library.copies.source(event)
        assert source is not None
        self.clips[event] = b"".join([chunk async for chunk in source.clip.read()])
        self.outlines[event] = json.dumps(source.source)
        self.pictures[event] = source.thumbnail
        self.kept[event] = source

    async def put_into(self, library: Library) -> list[str]:
        """Put all copies into a library."""
        return await library.copies.put(
            remote_event(
                event,
                json.loads(json.dumps(source.segments)),
                protected=source.event.protected,
                labels=source.event.labels,
                description=source.event.description,
            )
            for event, source in self.kept.items()
        )

    async def sources(self, events: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return what the JSON says."""
        if self.away:
            raise OSError("no route")
        return {event: json.loads(self.outlines[event]) for event in events}

    async def thumbnail(self, event: str) -> bytes | None:
        """Return a picture."""
        if self.away:
            raise OSError("no route")
        return self.pictures[event]

    def read(self, event: str, start: int, stop: int) -> bytes:
        """Return bytes of a clip."""
        if self.away:
            raise OSError("no route")
        self.asked.append((event, start, stop))
        return self.clips[event][start:stop]


@pytest.fixture
def store(library: Library) -> Store:
    """Return a target that the library reads from."""
    store = Store()
    library.copies.set_store(store)
    return store


async def _bytes(library: Library, spec: ClipSpec) -> tuple[str, bytes]:
    clip = await library.clip(spec)
    return clip.etag, b"".join([chunk async for chunk in clip.read()])


async def _purge_all(library: Library) -> None:
    await library.purge(older_than_ms=NOON + 40 * 86_400_000)


async def _hour(recordings: Recordings, large_video: Pictures) -> list[Event]:
    """Record an hour with an interrupted event and one of two sizes."""
    events = [
        await recordings.record(NOON, picture=b"\xff\xd8one\xff\xd9"),
        await recordings.record(NOON + 60_000, frames=33, lost=2),
        await recordings.record(NOON + 120_000, event=7),
        await recordings.record(NOON + 180_000, frames=7),
    ]
    # It goes on in another size, which is another part of the hour
    await recordings.record(
        NOON + 125_000, event=7, segment=1, pictures=large_video, part=2, frames=15
    )
    await recordings.record(NOON + 200_000, camera=BACK)
    return events


SPECS = (
    ClipSpec.range(FRONT, NOON + 500, NOON + 61_500),
    ClipSpec.hour(FRONT, "2026-11-22", "12"),
    ClipSpec.hour(FRONT, "2026-11-22", "12-2"),
    ClipSpec.day(FRONT, "2026-11-22"),
    ClipSpec.day(FRONT, "2026-11-22", timelapse=10),
)


async def test_same_bytes(
    library: Library, recordings: Recordings, large_video: Pictures, store: Store
) -> None:
    """Event, range, hour, day and time-lapse have the bytes and the ETag that they had when they were local."""
    events = await _hour(recordings, large_video)
    specs = [*SPECS, *(ClipSpec.event(event.id) for event in events)]
    before = [await _bytes(library, spec) for spec in specs]
    for event in events:
        await store.copy(library, event.id)
    assert await store.put_into(library) == []
    assert [await _bytes(library, spec) for spec in specs] == before
    assert store.asked == []
    await _purge_all(library)
    assert not list(library.settings.root.rglob("*.mp4"))
    assert [await _bytes(library, spec) for spec in specs] == before
    assert store.asked


async def test_lists(
    library: Library, recordings: Recordings, large_video: Pictures, store: Store
) -> None:
    """Remote events stay where they were: lists, days, hours, search, labels; the disk counts nothing of them."""
    events = await _hour(recordings, large_video)
    await library.label(events[1].id, ["Cat"], "At the bowl")
    before = [await library.event(event.id) for event in events]
    for event in events:
        await store.copy(library, event.id)
    await store.put_into(library)
    days = await library.days(camera=FRONT)
    hours = await library.hours(camera=FRONT, date="2026-11-22")
    await _purge_all(library)
    after = [await library.event(event.id) for event in events]
    assert [event and event.remote for event in after] == [True] * 4
    assert [
        event and replace(event, remote=False, thumbnail=None) for event in after
    ] == [event and replace(event, thumbnail=None) for event in before]
    page = await library.events(camera=FRONT)
    assert [event.id for event in page.events] == [
        event.id for event in sorted(events, key=lambda e: -e.start_ms)
    ]
    assert [e.id for e in (await library.events(text="bowl")).events] == [events[1].id]
    assert [e.id for e in (await library.events(label="cat")).events] == [events[1].id]
    assert [day.events for day in await library.days(camera=FRONT)] == [
        day.events for day in days
    ]
    assert [
        hour.events for hour in await library.hours(camera=FRONT, date="2026-11-22")
    ] == [hour.events for hour in hours]
    usage = await library.usage()
    assert usage.used == 0
    # What nobody copied is gone.
    assert (await library.events(camera=BACK)).events == ()


async def test_annotate(
    library: Library,
    recordings: Recordings,
    store: Store,
    library_folder: LibraryFolder,
) -> None:
    """What is said of a remote event is kept, and what was said while it was local is not forgotten."""
    event = await recordings.record(NOON)
    await store.copy(library, event.id)
    await store.put_into(library)
    await library.label(event.id, ["Early"])
    await _purge_all(library)
    said = await library.label(event.id, ["Early", "Late"], "Seen from far")
    assert said.remote
    assert said.labels == ("Early", "Late")
    assert (await library.protect(event.id, True)).protected
    with pytest.raises(EventProtected):
        await library.delete(event.id)
    await library.protect(event.id, False)
    await library.delete(event.id)
    assert await library.event(event.id) is None
    with pytest.raises(EventNotFound):
        await library.clip(ClipSpec.event(event.id))
    assert not list(library_folder.settings.root.rglob("*.json"))


async def test_index_lost(
    library: Library,
    recordings: Recordings,
    store: Store,
    library_folder: LibraryFolder,
) -> None:
    """A new index knows the remote events once they are put into it."""
    event = await recordings.record(NOON)
    await library.label(event.id, ["Cat"])
    await store.copy(library, event.id)
    await _purge_all(library)
    await library.close()
    library_folder.settings.index.unlink()
    again = library_folder.library()
    await again.open()
    try:
        again.copies.set_store(store)
        assert await again.copies.known() == set()
        assert await store.put_into(again) == [event.id]
        found = await again.event(event.id)
        assert found is not None
        assert found.labels == ("Cat",)
        assert (await _bytes(again, ClipSpec.event(event.id)))[1] == (
            store.clips[event.id]
        )
    finally:
        await again.close()


async def test_restore(
    library: Library, recordings: Recordings, large_video: Pictures, store: Store
) -> None:
    """All events of an hour come back: the files are the same byte for byte, with pictures and notes."""
    events = await _hour(recordings, large_video)
    await library.label(events[0].id, ["Cat"], "At the bowl")
    root = library.settings.root
    folder = root / "AA-BB-CC-00-00-01"
    before = {
        path.relative_to(root): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert len(before) == 4
    for event in events:
        await store.copy(library, event.id)
    await store.put_into(library)
    await _purge_all(library)
    for event in events:
        restored = await library.copies.restore(event.id)
        assert not restored.remote
        assert restored == await library.event(event.id)
    after = {
        path.relative_to(root): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert after == before
    store.away = True
    for event in events:
        assert (await _bytes(library, ClipSpec.event(event.id)))[1] == (
            store.clips[event.id]
        )


async def test_restore_into_what_is_there(
    library: Library, recordings: Recordings, store: Store, large_video: Pictures
) -> None:
    """Beside events that stayed, and a part of another size, the clip is the same byte for byte."""
    stays = await recordings.record(NOON)
    goes = await recordings.record(NOON + 60_000, frames=31)
    await store.copy(library, goes.id)
    await store.put_into(library)
    await library.protect(stays.id, True)
    await _purge_all(library)
    assert (await library.copies.restore(goes.id)).remote is False
    assert (await _bytes(library, ClipSpec.event(goes.id)))[1] == store.clips[goes.id]
    # Again: nothing happens.
    size = (library.settings.root / stays.path).stat().st_size
    await library.copies.restore(goes.id)
    assert (library.settings.root / stays.path).stat().st_size == size
    assert await library.rebuild() == 2


async def test_damaged_copy(
    library: Library, recordings: Recordings, store: Store
) -> None:
    """A copy that differs is not taken back; what was written of it is not shown."""
    event = await recordings.record(NOON)
    await store.copy(library, event.id)
    await store.put_into(library)
    await _purge_all(library)
    data = bytearray(store.clips[event.id])
    data[-1] ^= 1
    store.clips[event.id] = bytes(data)
    with pytest.raises(ClipGone):
        await library.copies.restore(event.id)
    assert (await library.copies.found(event.id)).remote


async def test_target_away(
    library: Library, recordings: Recordings, store: Store
) -> None:
    """Without its target a remote event is listed and says that it cannot be reached; then it plays."""
    event = await recordings.record(NOON)
    local = await recordings.record(NOON + 60_000, camera=BACK)
    await store.copy(library, event.id)
    await store.put_into(library)
    await library.protect(local.id, True)
    await _purge_all(library)
    store.away = True
    assert await library.event(event.id) is not None
    with pytest.raises(ClipGone, match="cannot be reached"):
        await library.clip(ClipSpec.event(event.id))
    with pytest.raises(ClipGone):
        await library.copies.restore(event.id)
    await library.clip(ClipSpec.event(local.id))
    store.away = False
    assert (await _bytes(library, ClipSpec.event(event.id)))[1] == store.clips[event.id]
    # In the middle of a clip.
    clip = await library.clip(ClipSpec.event(event.id))
    store.away = True
    with pytest.raises(ClipGone):
        _ = [chunk async for chunk in clip.read()]


async def test_slow_target_keeps_nobody_waiting(
    library: Library, recordings: Recordings, store: Store
) -> None:
    """While every thread for targets waits, local clips play."""
    event = await recordings.record(NOON)
    local = await recordings.record(NOON + 60_000, camera=BACK)
    await store.copy(library, event.id)
    await store.put_into(library)
    await library.protect(local.id, True)
    await _purge_all(library)
    clip = await library.clip(ClipSpec.event(event.id))
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    going_on = asyncio.Event()
    read = store.read

    def slow(event: str, start: int, stop: int) -> bytes:
        loop.call_soon_threadsafe(waiting.set)
        asyncio.run_coroutine_threadsafe(going_on.wait(), loop).result()
        return read(event, start, stop)

    store.read = slow  # type: ignore[method-assign]

    async def play() -> bytes:
        return b"".join([chunk async for chunk in clip.read()])

    playing = [asyncio.create_task(play()) for _ in range(8)]
    await waiting.wait()
    await _bytes(library, ClipSpec.event(local.id))
    going_on.set()
    assert set(await asyncio.gather(*playing)) == {store.clips[event.id]}


async def test_plays_and_seeks(
    library: Library, recordings: Recordings, store: Store, tmp_path: Path
) -> None:
    """A player that is not ours reads a day of fifty remote clips."""
    events = [await recordings.record(NOON + n * 20_000) for n in range(50)]
    for event in events:
        await store.copy(library, event.id)
    await store.put_into(library)
    await _purge_all(library)
    store.asked.clear()
    clip = await library.clip(ClipSpec.day(FRONT, "2026-11-22"))
    assert store.asked == [], "composing needs no sample"
    target = tmp_path / "day.mp4"
    await library.export(ClipSpec.day(FRONT, "2026-11-22"), target)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert sum(1 for _ in container.decode(stream)) == 1000
        assert stream.duration is not None
        assert stream.time_base is not None
        seconds = float(stream.duration * stream.time_base)
    assert abs(seconds * 1000 - clip.duration_ms) < 1
    assert clip.duration_ms == 100_000


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"configs": []},
        {"segments": [{}]},
        {"segments": None},
        {"configs": [{"avcc": "!", "width": 1, "height": 1}]},
    ],
)
async def test_hostile_outline(
    library: Library,
    recordings: Recordings,
    store: Store,
    change: dict[str, Any],
) -> None:
    """What somebody else wrote into the bucket is refused."""
    event = await recordings.record(NOON)
    await store.copy(library, event.id)
    good = json.loads(store.outlines[event.id])
    assert (
        Outline.from_dict(event.id, good).segments[0].segment
        == (scan(library.settings.root / event.path).segments[0])
    )
    with pytest.raises(HourFileError):
        Outline.from_dict(event.id, good | change)
    with pytest.raises(HourFileError):
        Outline.from_dict("aabbcc000001-00000009-9", good)
    for field_name in ("heads", "extents", "stored"):
        broken = json.loads(store.outlines[event.id])
        broken["segments"][0][field_name] = "AAAA"
        with pytest.raises(HourFileError):
            Outline.from_dict(event.id, broken)
    for segments in ([{}], [{"event": event.id}], []):
        with pytest.raises(ValueError):
            remote_event(event.id, segments, protected=False, labels=(), description="")


async def test_what_waits_is_not_removed_by_age(
    library: Library,
    recordings: Recordings,
    store: Store,
    library_folder: LibraryFolder,
) -> None:
    """By age an event stays until it is copied; when the disk is full it goes."""
    month = 30 * 86_400_000
    waits = await recordings.record(NOON - month)
    other = await recordings.record(NOON - month, camera=BACK)
    store.queue = {waits.id}
    assert [event.id for event in (await library.purge()).events] == [other.id]
    assert await library.event(waits.id)
    library_folder.disk.total = 1
    await library.make_room(1)
    assert await library.event(waits.id) is None
