"""The one door: notes, removal, retention on a real disk, numbers."""

import asyncio
from dataclasses import replace
from datetime import UTC
import errno
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.magicpi_nvr.recording import hourfile
from custom_components.magicpi_nvr.recording.errors import (
    EventBusy,
    EventNotFound,
    EventProtected,
    InvalidValue,
    StorageFailed,
)
from custom_components.magicpi_nvr.recording.library import Library
from custom_components.magicpi_nvr.recording.library.layout import MARKER
from custom_components.magicpi_nvr.recording.library.notes import Note, read_notes
from custom_components.magicpi_nvr.recording.library.removal import _Removed
from custom_components.magicpi_nvr.recording.model import (
    NOTHING_SEEN,
    CameraRetention,
    ClipSpec,
    Detection,
    Event,
    Findings,
    RecordingSettings,
)
from tests.harness.library import (
    BACK,
    FRONT,
    NOON,
    Disk,
    LibraryFolder,
    Pictures,
    Recordings,
)
from tests.harness.pictures import RECORDING

from .test_index import contents, fresh
from .test_playback import decoded, probe, whole

HOUR = 3_600_000
DAY = 24 * HOUR


def files(library_folder: LibraryFolder) -> list[str]:
    """Return all that is below the root, but the marker of the storage."""
    root = library_folder.settings.root
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.name != MARKER
    )


async def test_notes(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """What is said is in the file beside the recording, and outlives the index."""
    event = await recordings.record(NOON)
    assert (await library.protect(event.id, True)).protected
    said = await library.label(event.id, [" Katze ", "Katze", "猫"], " Eine Katze. ")
    assert said == replace(
        event, protected=True, labels=("Katze", "猫"), description="Eine Katze."
    )
    sidecar = library_folder.settings.root / "AA-BB-CC-00-00-01/2026-11-22/12.json"
    assert json.loads(sidecar.read_text())["events"] == {
        event.id: {
            "protected": True,
            "labels": ["Katze", "猫"],
            "description": "Eine Katze.",
        }
    }
    assert (await library.label(event.id, ["Hund"])).description == "Eine Katze."
    assert (await library.label(event.id, [], "")).labels == ()
    assert (await library.protect(event.id, False)) == event
    assert not sidecar.exists()


@pytest.mark.parametrize(
    ("labels", "description"),
    [
        ([""], None),
        (["x" * 65], None),
        (["a"] * 1 + [str(i) for i in range(32)], None),
        ([], "x" * 4097),
    ],
)
async def test_notes_that_are_refused(
    library: Library, recordings: Recordings, labels: list[str], description: str | None
) -> None:
    """Too much, too long, too little."""
    event = await recordings.record(NOON)
    with pytest.raises(InvalidValue):
        await library.label(event.id, labels, description)
    assert await library.event(event.id) == event


async def test_unknown_event(library: Library) -> None:
    """Every way to ask for it says so."""
    name = "aabbcc000001-00000001-1"
    assert await library.event(name) is None
    assert await library.thumbnail(name) is None
    for asked in (
        library.protect(name, True),
        library.label(name, []),
        library.delete(name),
    ):
        with pytest.raises(EventNotFound):
            await asked


async def test_storage_refuses_a_note(
    library: Library, recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller learns it and nothing has changed."""
    event = await recordings.record(NOON)
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EIO, "broken")))
    with pytest.raises(StorageFailed):
        await library.protect(event.id, True)
    assert await library.event(event.id) == event


async def test_note_about_an_event_that_waits(
    library: Library, library_folder: LibraryFolder
) -> None:
    """An event in the spool, the first of its day, can be spoken of already."""
    name = "aabbcc000001-00000001-1"
    await library.record(
        Event(
            id=name,
            camera="AA:BB:CC:00:00:01",
            start_ms=NOON,
            end_ms=NOON,
            reason="motion",
            state="waiting",
            frames=0,
            lost=0,
            size=0,
            path="AA-BB-CC-00-00-01/2026-11-22/12.mp4",
        ),
        None,
    )
    assert (await library.label(name, ["cat"])).labels == ("cat",)
    assert (await library.protect(name, True)).protected
    notes = library_folder.settings.root / "AA-BB-CC-00-00-01/2026-11-22/12.json"
    assert read_notes(notes)[name] == Note(protected=True, labels=("cat",))


async def test_many_notes_at_once(library: Library, recordings: Recordings) -> None:
    """None is lost."""
    made = [await recordings.record(NOON + i * 60_000, frames=5) for i in range(10)]
    await asyncio.gather(
        *(library.protect(event.id, True) for event in made),
        *(library.label(event.id, ["x"]) for event in made),
    )
    for event in made:
        assert await library.event(event.id) == replace(
            event, protected=True, labels=("x",)
        )


async def test_delete_of_one_among_others(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    tmp_path: Path,
    large_video: Pictures,
) -> None:
    """The others stay as they were, in a file that is as sound as before."""
    jpeg = b"\xff\xd8\xff\xd9"
    made = [await recordings.record(NOON + i * 60_000, picture=jpeg) for i in range(3)]
    await library.label(made[1].id, ["x"])
    await library.label(made[2].id, ["y"])
    clips = [
        await whole(await library.clip(ClipSpec.event(event.id))) for event in made
    ]
    assert await library.delete(made[1].id) == replace(made[1], labels=("x",))
    assert [event.id for event in (await library.events()).events] == [
        made[2].id,
        made[0].id,
    ]
    for i in (0, 2):
        clip = await library.clip(ClipSpec.event(made[i].id))
        assert await probe(clip, tmp_path) == clips[i]
        assert await library.event(made[i].id) == replace(
            made[i], labels=("y",) if i else ()
        )
    assert files(library_folder) == [
        "AA-BB-CC-00-00-01",
        "AA-BB-CC-00-00-01/2026-11-22",
        f"AA-BB-CC-00-00-01/2026-11-22/12-{made[0].id}.jpg",
        f"AA-BB-CC-00-00-01/2026-11-22/12-{made[2].id}.jpg",
        "AA-BB-CC-00-00-01/2026-11-22/12.json",
        "AA-BB-CC-00-00-01/2026-11-22/12.mp4",
    ]
    hour = library_folder.settings.root / made[0].path
    scanned = hourfile.scan(hour)
    assert scanned.is_closed
    assert scanned.segments[1].dts == scanned.segments[0].next_dts
    assert decoded(hour.read_bytes()) == decoded(clips[0]) + decoded(clips[2])
    assert contents(library) == fresh(library_folder)
    # And recording goes on in it.
    more = await recordings.record(NOON + 600_000)
    await probe(await library.clip(ClipSpec.hour(FRONT, "2026-11-22", "12")), tmp_path)
    assert (await library.event(more.id)).path == made[0].path


async def test_delete_of_the_last(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
) -> None:
    """Nothing stays of it: no file in any part, no picture, no folder."""
    event = await recordings.record(NOON, event=1, picture=b"\xff\xd8\xff\xd9")
    await recordings.record(
        NOON + 3000, event=1, segment=1, part=2, pictures=large_video
    )
    await library.label(event.id, ["x"])
    await library.delete(event.id)
    assert files(library_folder) == []
    assert (await library.events()).events == ()
    assert await library.days() == []
    assert await library.cameras() == []


async def test_delete_what_cannot_go(
    library: Library,
    recordings: Recordings,
    monkeypatch: pytest.MonkeyPatch,
    library_folder: LibraryFolder,
) -> None:
    """Protected, being recorded, or in a file that is being recorded to."""
    monkeypatch.setattr(f"{RECORDING}.library.removal._BUSY_WAIT_S", 0.1)
    event = await recordings.record(NOON)
    await library.protect(event.id, True)
    with pytest.raises(EventProtected):
        await library.delete(event.id)
    await library.protect(event.id, False)
    running = await recordings.record(NOON + 60_000, close=False)
    with pytest.raises(EventBusy):
        await library.delete(running.id)
    file = library_folder.settings.root / event.path
    assert library.claims.claim(file)
    with pytest.raises(EventBusy):
        await library.delete(event.id)
    library.claims.release(file)
    assert (await library.delete(event.id)).id == event.id
    assert not library.claims.is_held(file)


async def test_delete_waits_for_the_recorder(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """A file that is in use for a moment only is waited for."""
    event = await recordings.record(NOON)
    file = library_folder.settings.root / event.path
    assert library.claims.claim(file)
    deleting = asyncio.create_task(library.delete(event.id))
    await asyncio.sleep(0.01)
    assert not deleting.done()
    library.claims.release(file)
    assert (await deleting).id == event.id


async def test_failed_rewrite_changes_nothing(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever goes wrong, the old file stays and nothing lies beside it."""
    first = await recordings.record(NOON)
    await recordings.record(NOON + 60_000)
    before = (library_folder.settings.root / first.path).read_bytes()
    listed = files(library_folder)

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{RECORDING}.library.rewrite._copy_segment", fail)
    with pytest.raises(StorageFailed):
        await library.delete(first.id)
    assert (library_folder.settings.root / first.path).read_bytes() == before
    assert files(library_folder) == listed
    assert await library.event(first.id) == first
    monkeypatch.undo()
    library_folder.disk.total = (
        library_folder.disk.usage(library_folder.disk.root).used + 1000
    )
    with pytest.raises(StorageFailed):
        await library.delete(first.id)
    assert files(library_folder) == listed


async def test_purge_by_age(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """Seven days, or what a camera has of its own; the report says what went."""
    made = {
        (camera, days): await recordings.record(
            NOON - days * DAY, camera=camera, picture=b"\xff\xd8\xff\xd9"
        )
        for camera in (FRONT, BACK)
        for days in range(0, 12, 2)
    }
    await library.protect(made[FRONT, 10].id, True)
    library.update_settings(
        replace(library_folder.settings, cameras={BACK: CameraRetention(days=3)})
    )
    going = {made[FRONT, 8].id, *(made[BACK, days].id for days in (4, 6, 8, 10))}
    dry = await library.purge(dry_run=True)
    assert dry.dry_run
    assert {event.id for event in dry.events} == going
    assert len((await library.events()).events) == 12
    assert library_folder.reports == []
    before = library_folder.disk.usage(library_folder.disk.root).used
    report = await library.purge()
    assert {event.id for event in report.events} == going
    assert [event.start_ms for event in report.events] == sorted(
        event.start_ms for event in report.events
    )
    assert (
        report.freed
        == before - library_folder.disk.usage(library_folder.disk.root).used
    )
    assert dry.freed <= report.freed
    assert (report.protected_kept, report.floor_reached) == (1, True)
    assert library_folder.reports == [report]
    assert {event.id for event in (await library.events()).events} == {
        event.id for event in made.values()
    } - going
    assert contents(library) == fresh(library_folder)
    assert "AA-BB-CC-00-00-02/2026-11-18" not in files(library_folder)
    again = await library.purge()
    assert again.events == ()
    assert library_folder.reports == [report]


async def test_purge_older_than(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """Exactly what was asked for, in the middle of an hour too."""
    made = [
        await recordings.record(NOON + i * 60_000, camera=camera)
        for i in range(3)
        for camera in (FRONT, BACK)
    ]
    report = await library.purge(older_than_ms=NOON + 60_000, camera=FRONT)
    assert [event.id for event in report.events] == [made[0].id]
    report = await library.purge(older_than_ms=NOON + 90_000)
    assert [event.id for event in report.events] == [made[1].id, made[2].id, made[3].id]
    assert contents(library) == fresh(library_folder)


async def test_purge_leaves_what_goes_on(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """An event that is not over stays, however old; so does one that was protected after the choice was made."""
    running = await recordings.record(NOON - 9 * DAY, close=False)
    late = await recordings.record(NOON - 8 * DAY)
    before = files(library_folder)
    removal = library._removal
    chosen = await library._backend.indexed(
        removal._choose,
        set(),
        older_than_ms=NOON,
        camera=None,
        free=0,
        needed=0,
        is_complete=False,
        waiting=(),
    )
    assert [item.event.id for item in chosen] == [late.id]
    await library.protect(late.id, True)
    removed = _Removed()
    await removal._remove(chosen, removed)
    assert removed.events == []
    assert (await library.purge()).events == ()
    assert (await library.purge(older_than_ms=NOON)).events == ()
    assert set(before) <= set(files(library_folder))
    assert (await library.event(running.id)).state == "recording"


async def test_make_room(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """The oldest of all cameras go until there is room; protected ones never; False when only they are left."""
    made = [
        await recordings.record(NOON + i * HOUR, camera=(FRONT, BACK)[i % 2])
        for i in range(6)
    ]
    await library.protect(made[0].id, True)
    assert await library.make_room(1000)
    assert library_folder.reports == []
    library_folder.disk.total = (
        library_folder.disk.usage(library_folder.disk.root).used + 10_000
    )
    size = made[1].size
    assert await library.make_room(10_000 + size + 100)
    (report,) = library_folder.reports
    assert [event.id for event in report.events] == [made[1].id, made[2].id]
    assert not await library.make_room(10**9)
    assert [event.id for event in (await library.events()).events] == [made[0].id]
    assert not await library.make_room(10**9)
    assert len(library_folder.reports) == 2
    assert contents(library) == fresh(library_folder)


async def test_make_room_beside_a_recording(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """What is in use stays, what is full is rewritten only if that fits."""
    old = [await recordings.record(NOON - DAY + i * 60_000) for i in range(2)]
    await library.protect(old[0].id, True)
    newer = await recordings.record(NOON)
    used = await recordings.record(NOON + HOUR)
    assert library.claims.claim(library_folder.settings.root / used.path)
    try:
        library_folder.disk.total = (
            library_folder.disk.usage(library_folder.disk.root).used + 100
        )
        assert await library.make_room(newer.size)
        # Too full to write the oldest hour again: that stays for the next time.
        assert {event.id for event in (await library.events()).events} == {
            old[0].id,
            old[1].id,
            used.id,
        }
        assert not await library.make_room(10**6)
        library_folder.disk.total += 5 * 1024 * 1024
        library.update_settings(
            replace(library_folder.settings, free_space_floor=10**8)
        )
        assert not await library.make_room(0)
        assert {event.id for event in (await library.events()).events} == {
            old[0].id,
            used.id,
        }
    finally:
        library.claims.release(library_folder.settings.root / used.path)
    assert contents(library) == fresh(library_folder)


async def test_whole_files_make_room_for_rewriting(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has to be written again comes after what just goes."""
    monkeypatch.setattr(f"{RECORDING}.library.removal._REWRITE_RESERVE", 0)
    kept, goes = [await recordings.record(NOON - DAY + i * 60_000) for i in range(2)]
    await library.protect(kept.id, True)
    whole_hour = await recordings.record(NOON, frames=200)
    library_folder.disk.total = (
        library_folder.disk.usage(library_folder.disk.root).used + 100
    )
    assert await library.make_room(goes.size + whole_hour.size)
    assert [event.id for event in (await library.events()).events] == [kept.id]
    assert len(library_folder.reports) == 1


async def test_usage(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """Numbers of the disk, and when it is full."""
    library_folder.disk.total = 200_000
    library.update_settings(replace(library_folder.settings, retention_days=100))
    empty = await library.usage()
    assert (empty.used, empty.events, empty.days_until_full) == (0, 0, None)
    for days in range(3):
        await recordings.record(NOON - days * DAY, picture=bytes(500))
    await library.protect("aabbcc000001-00000001-1", True)
    stats = await library.usage()
    assert (stats.events, stats.protected, stats.total) == (3, 1, 200_000)
    assert stats.used == sum(camera.size for camera in stats.cameras)
    assert stats.used <= library_folder.disk.usage(library_folder.disk.root).used
    assert stats.free == library_folder.disk.usage(library_folder.disk.root).free
    per_day = stats.used / 3
    assert stats.days_until_full == pytest.approx(stats.free / per_day, rel=0.2)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
async def test_hours_that_the_clock_repeats(
    library_folder: LibraryFolder, small_video: Pictures, zone: str
) -> None:
    """In autumn an hour comes twice: two parts, one hour to watch, in order of time."""
    time_zone = ZoneInfo(zone)
    library_folder.settings = replace(library_folder.settings, time_zone=time_zone)
    library = library_folder.library()
    await library.open()
    recordings = Recordings(
        library_folder.settings.root, small_video, time_zone, library
    )
    first = {"Europe/Berlin": 1_792_886_400_000, "America/New_York": 1_793_509_200_000}[
        zone
    ]  # begin of that hour
    name = {"Europe/Berlin": "02", "America/New_York": "01"}[zone]
    made = [
        await recordings.record(first),
        await recordings.record(first + HOUR, part=2),
        await recordings.record(first + 30 * 60_000),
        await recordings.record(first + 90 * 60_000, part=2),
    ]
    (hour,) = await library.hours(camera=FRONT, date=made[0].path[18:28])
    assert (hour.name, hour.events) == (name, 4)
    clip = await library.clip(ClipSpec.hour(FRONT, made[0].path[18:28], name))
    assert clip.duration_ms == 8000
    second = await library.clip(ClipSpec.hour(FRONT, made[0].path[18:28], f"{name}-2"))
    assert second.duration_ms == 4000
    # Another time zone moves nothing.
    library.update_settings(
        replace(library_folder.settings, time_zone=ZoneInfo("Asia/Tokyo"))
    )
    assert [day.date for day in await library.days()] == [made[0].path[18:28]]
    assert contents(library) == fresh(library_folder)
    await library.close()


async def test_storage_gone(library_folder: LibraryFolder) -> None:
    """Without storage the library opens, empty."""
    library = library_folder.library()
    await library.open()
    assert (await library.events()).events == ()
    assert (await library.purge()).events == ()
    assert (await library.usage()).used == 0
    await library.close()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 300),
            st.sampled_from((FRONT, BACK)),
            st.integers(1, 40),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda item: item[0],
    ),
    share=st.floats(0, 1.1),
)
async def test_any_purge(
    tmp_path_factory: pytest.TempPathFactory,
    small_video: Pictures,
    plan: list[tuple[int, str, int, bool]],
    share: float,
) -> None:
    """On a real disk: nothing protected goes, nothing newer before something older, the floor is reached if it can be."""
    folder = tmp_path_factory.mktemp("purge")
    disk = Disk(folder / "media")
    settings = RecordingSettings(
        root=disk.root,
        index=folder / "index.sqlite3",
        ffmpeg="",
        time_zone=UTC,
        free_space_floor=0,
        retention_days=365,
    )
    library_folder = LibraryFolder(settings, disk, NOON, [])
    library = library_folder.library()
    await library.open()
    recordings = Recordings(disk.root, small_video, library=library)
    made: list[Event] = []
    protected_ones = set()
    for minutes, camera, frames, protected in plan:
        event = await recordings.record(
            NOON - minutes * 60_000, camera=camera, frames=frames
        )
        made.append(event)
        if protected:
            await library.protect(event.id, True)
            protected_ones.add(event.id)
    # Room for rewriting is there; that it is not is another test's business.
    reserve = 5 * 1024 * 1024
    used = disk.usage(disk.root).used
    disk.total = used + reserve
    needed = int(used * share)
    reached = await library.make_room(reserve + needed)
    page = await library.events(limit=100)
    stay = {event.id for event in page.events}
    gone = [event for event in made if event.id not in stay]
    removable = [event for event in page.events if not event.protected]
    assert not any(
        report_event.protected
        for report in library_folder.reports
        for report_event in report.events
    )
    if gone and removable:
        assert max(event.start_ms for event in gone) < min(
            event.start_ms for event in removable
        )
    assert reached == (disk.usage(disk.root).free >= reserve + needed)
    assert reached or not removable
    assert protected_ones <= stay
    assert contents(library) == fresh(library_folder)
    for event in page.events:
        assert (await library.clip(ClipSpec.event(event.id))).frames == event.frames
    await library.close()


FINDINGS = Findings(
    verdict="seen",
    zones=("Path",),
    strength=12,
    detections=(
        Detection(label="person", score=0.7, box=(0.1, 0.2, 0.3, 0.4), zones=("Path",)),
        Detection(
            label="vehicle", score=0.5, box=(0, 0, 0.1, 0.1), still=True, counts=False
        ),
    ),
)


async def test_findings_beside_labels(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """What vision found stays apart from labels, is searched like them, and outlives the index."""
    event = await recordings.record(NOON)
    other = await recordings.record(NOON + 60_000)
    found = await library.note_findings(event.id, FINDINGS)
    assert found == replace(event, findings=FINDINGS)
    said = await library.label(event.id, ["Postbote"])
    assert said.findings == FINDINGS
    assert said.labels == ("Postbote",)

    async def ids(**query: Any) -> list[str]:
        return [item.id for item in (await library.events(**query)).events]

    assert await ids(label="Person") == [event.id]
    assert await ids(label="postbote") == [event.id]
    # What stands still counts for nothing
    assert await ids(label="vehicle") == []
    assert await ids(zone="path") == [event.id]
    assert await ids(zone="street") == []
    assert await ids(text="person path") == [event.id]
    assert await ids(nothing_seen=False) == [other.id, event.id]
    await library.note_findings(other.id, Findings(verdict=NOTHING_SEEN))
    assert await ids(nothing_seen=False) == [event.id]
    assert await ids(nothing_seen=True) == [other.id]
    assert await ids() == [other.id, event.id]
    assert contents(library) == fresh(library_folder)
    sidecar = library_folder.settings.root / "AA-BB-CC-00-00-01/2026-11-22/12.json"
    data = json.loads(sidecar.read_text())
    assert data["events"][event.id]["vision"]["detections"][0]["label"] == "person"
    # Nonsense in the file is no finding, and breaks nothing
    data["events"][event.id]["vision"] = {
        "verdict": 5,
        "zones": "x",
        "detections": [1, {"box": [1]}],
    }
    sidecar.write_text(json.dumps(data))
    await library.rebuild()
    again = await library.event(event.id)
    assert again
    assert again.findings == Findings()
    assert again.labels == ("Postbote",)


async def test_what_shows_nothing_goes_after_its_own_days(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """An hour file keeps what was seen when what shows nothing goes; protected stays."""
    made = [
        await recordings.record(NOON - 2 * DAY + number * 60_000) for number in range(4)
    ]
    nothing = Findings(verdict=NOTHING_SEEN)
    for event in made[1:]:
        await library.note_findings(event.id, nothing)
    await library.protect(made[2].id, True)
    young = await recordings.record(NOON - DAY // 2)
    await library.note_findings(young.id, nothing)
    report = await library.purge()
    assert [event.id for event in report.events] == [made[1].id, made[3].id]
    left = [item.id for item in (await library.events()).events]
    assert left == [young.id, made[2].id, made[0].id]
    assert contents(library) == fresh(library_folder)
    library.update_settings(
        replace(
            library_folder.settings,
            cameras={FRONT: CameraRetention(nothing_seen_days=5)},
        )
    )
    assert (await library.purge()).events == ()


async def test_leftovers_of_a_crash_go_with_the_last_recording(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """A picture that was never finished keeps no folder, and nothing of other recordings is touched."""
    first = await recordings.record(NOON)
    second = await recordings.record(NOON + 3_600_000)
    folder = (library_folder.settings.root / first.path).parent
    leftover = folder / ".12-x.jpg.tmp"
    leftover.write_bytes(b"half")
    await library.delete(first.id)
    assert leftover.exists()
    await library.delete(second.id)
    assert not folder.exists()
