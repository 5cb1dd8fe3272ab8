"""The index: the same content however it came about, whatever happens to its file, and fast."""

import asyncio
from base64 import urlsafe_b64encode
from contextlib import AbstractContextManager
import dataclasses
from pathlib import Path
import random
import sqlite3
import threading

import pytest

from custom_components.magicpi_nvr.recording import hourfile
from custom_components.magicpi_nvr.recording.errors import InvalidValue
from custom_components.magicpi_nvr.recording.library import Library, database
from custom_components.magicpi_nvr.recording.library.file_rows import stored_segment
from custom_components.magicpi_nvr.recording.library.index import Index
from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.library.queries import EventQuery
from custom_components.magicpi_nvr.recording.model import Event, StoredSegment
from tests.harness.library import (
    BACK,
    FRONT,
    NOON,
    LibraryFolder,
    Pictures,
    Recordings,
    index_of,
)

HOUR = 3_600_000


def fresh(library_folder: LibraryFolder) -> dict:
    """Return what an index holds that was filled from the files alone."""
    index = Index(
        library_folder.settings.root.parent / "fresh.sqlite3",
        library_folder.settings.root,
    )
    index.open()
    index.fill()
    contents = index.contents()
    index.close()
    for file in library_folder.settings.root.parent.glob("fresh.sqlite3*"):
        file.unlink()
    return contents


async def fill(
    recordings: Recordings, library: Library, large_video: Pictures
) -> list[Event]:
    """Record a bit of everything."""
    jpeg = b"\xff\xd8\xff\xd9"
    made = [
        await recordings.record(NOON, picture=jpeg),
        await recordings.record(NOON + 60_000, lost=3),
        await recordings.record(NOON + 2 * HOUR, camera=BACK, boot=2, picture=jpeg),
        await recordings.record(NOON + 24 * HOUR, boot=3),
        await recordings.record(NOON + 25 * HOUR, boot=4, event=5),
    ]
    # Interrupted, and continued with another resolution
    await recordings.record(
        NOON + 25 * HOUR + 5000,
        boot=4,
        event=5,
        segment=1,
        part=2,
        pictures=large_video,
        lost=1,
    )
    await library.protect(made[0].id, True)
    await library.label(made[1].id, ["Person", "Tür"], "A person at the Ölofen")
    return made


def contents(library: Library) -> dict:
    """Return what a library's index holds."""
    return index_of(library).contents()


async def test_equals_a_rebuild(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
) -> None:
    """What the recorder reported while recording is what the files say."""
    made = await fill(recordings, library, large_video)
    expected = fresh(library_folder)
    assert contents(library) == expected
    assert len(expected["events"]) == len(made)
    assert await library.rebuild() == len(made)
    assert contents(library) == expected
    await library.delete(made[1].id)
    await library.purge(older_than_ms=NOON + 3 * HOUR)
    assert contents(library) == fresh(library_folder)
    assert contents(library) != expected


async def test_open_follows_what_changed(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files that changed, came or went are seen; the others are not read."""
    made = await fill(recordings, library, large_video)
    await library.close()
    alone = Recordings(library_folder.settings.root, recordings.pictures)
    await alone.record(NOON + 30_000, boot=9)
    await alone.record(NOON + 5 * HOUR, boot=9)
    (library_folder.settings.root / made[3].path).unlink()
    hour = HourPath.parse(made[2].path)
    (library_folder.settings.root / hour.notes).write_text(
        f'{{"v": 1, "events": {{"{made[2].id}": {{"protected": true}}}}}}'
    )
    (library_folder.settings.root / made[0].thumbnail).unlink()
    scanned = []
    rescan = Index.rescan
    monkeypatch.setattr(
        Index,
        "rescan",
        lambda self, paths: (scanned.extend(paths), rescan(self, paths))[1],
    )
    again = library_folder.library()
    await again.open()
    assert scanned == [made[0].path, "AA-BB-CC-00-00-01/2026-11-22/17.mp4"]
    assert contents(again) == fresh(library_folder)
    assert await again.event(made[3].id) is None
    assert (await again.event(made[2].id)).protected
    assert (await again.event(made[0].id)).thumbnail is None
    await again.close()


async def test_crash_before_the_recorder_reported(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """A segment that nobody reported is found at the next start, though the one before it was reported later."""
    recordings.library = None
    first = await recordings.record(NOON)
    row = stored_segment(
        first.path, hourfile.scan(library_folder.settings.root / first.path).segments[0]
    )
    second = await recordings.record(NOON + 60_000)
    await library.record(first, row)
    await library.close()
    again = library_folder.library()
    await again.open()
    assert [event.id for event in (await again.events()).events] == [
        second.id,
        first.id,
    ]
    await again.close()


@pytest.mark.parametrize(
    "harm",
    [
        "deleted",
        "garbage",
        "truncated",
        "flipped",
        "older schema",
        "a folder",
        "locked",
    ],
)
async def test_broken_database(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
    harm: str,
) -> None:
    """Whatever happened to the database, all is there after the start."""
    await fill(recordings, library, large_video)
    expected = contents(library)
    await library.close()
    path = library_folder.settings.index
    other = None
    data = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"no database " * 1000)
    elif harm == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        generator = random.Random(1)
        path.write_bytes(
            data[:4096] + bytes(byte ^ generator.getrandbits(8) for byte in data[4096:])
        )
    elif harm == "older schema":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    elif harm == "a folder":
        path.unlink()
        path.mkdir()
    else:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
    again = library_folder.library()
    await again.open()
    assert contents(again) == expected
    await again.close()
    if other:
        other.close()


async def test_check_of_a_large_database_ends_with_the_library(
    library_folder: LibraryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A successor, as after a reload, need not wait until all has been read."""
    begun = threading.Event()

    def check_for_ever(connection: sqlite3.Connection) -> None:
        begun.set()
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        ).fetchone()

    first = library_folder.library()
    await first.open()
    await first.close()
    monkeypatch.setattr(database, "quick_check", check_for_ever)
    # A small one is checked before it is used
    monkeypatch.setattr(database, "CHECK_AT_ONCE", 0)
    second = library_folder.library()
    await second.open()
    assert await asyncio.to_thread(begun.wait, 10)
    await second.close()
    third = library_folder.library()
    await third.open()
    assert not (await third.events()).events
    await third.close()


@pytest.mark.parametrize("harm", ["truncated", "tables gone", "closed below"])
async def test_database_breaks_while_open(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
    harm: str,
) -> None:
    """Nobody who asks sees anything of it."""
    made = await fill(recordings, library, large_video)
    expected = contents(library)
    if harm == "truncated":
        index_of(library).connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index_of(library).connection.execute("PRAGMA shrink_memory")
        library_folder.settings.index.write_bytes(b"\0" * 5000)
    elif harm == "tables gone":
        index_of(library).connection.execute("DROP TABLE events")
    else:
        index_of(library).connection.execute("PRAGMA query_only = ON")
    await library.record(made[0], None)
    assert len((await library.events()).events) == len(made)
    assert contents(library) == expected
    assert index_of(library).replaced == 1


async def test_disk_full_for_the_database(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    large_video: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no database can be written, it lives in memory."""
    await fill(recordings, library, large_video)
    expected = contents(library)
    connect = Index._connect

    def refuse(self: Index, path: Path | str) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("database or disk is full")
        return connect(self, path)

    monkeypatch.setattr(Index, "_connect", refuse)
    again = library_folder.library()
    await again.open()
    assert contents(again) == expected
    await again.close()


async def test_disk_fills_up_below_the_database(
    library: Library,
    recordings: Recordings,
    large_video: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the new database fails like the old one, memory is left."""
    made = await fill(recordings, library, large_video)
    expected = contents(library)
    changes = Index.changes

    def refuse(self: Index) -> AbstractContextManager[sqlite3.Connection]:
        if self.connection.execute("PRAGMA database_list").fetchone()[2]:
            raise sqlite3.OperationalError("database or disk is full")
        return changes(self)

    monkeypatch.setattr(Index, "changes", refuse)
    await library.record(made[0], None)
    assert contents(library) == expected
    assert index_of(library).replaced == 2


async def test_waiting_and_recording(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """Events that wait or are being recorded are listed as such, and only as long as they do."""
    waiting = Event(
        id=event_id(FRONT, 1, 8), camera=FRONT, start_ms=NOON, end_ms=NOON + 5000, reason="pir", state="waiting", frames=50, lost=0,
        size=0, path="AA-BB-CC-00-00-01/2026-11-22/12.mp4",
    )  # fmt: skip
    await library.record(waiting, None)
    open_one = await recordings.record(NOON + 60_000, event=9, close=False)
    assert [event.state for event in (await library.events()).events] == [
        "recording",
        "waiting",
    ]
    assert await library.event(waiting.id) == waiting
    await library.rebuild()
    assert [event.state for event in (await library.events()).events] == [
        "recording",
        "waiting",
    ]
    assert (await library.days())[0].events == 2
    await library.close()
    again = library_folder.library()
    await again.open()
    assert [(event.id, event.state) for event in (await again.events()).events] == [
        (open_one.id, "ready")
    ]
    assert (await again.days())[0].events == 1
    await again.close()


async def test_foreign_files_are_left_alone(
    library: Library, recordings: Recordings, library_folder: LibraryFolder
) -> None:
    """What others put into the folders is neither shown nor touched nor fatal."""
    event = await recordings.record(NOON)
    folder = (library_folder.settings.root / event.path).parent
    (folder / "13.mp4").write_bytes(b"not a video")
    (folder / "14.mp4").write_bytes(b"")
    (folder / "15.mp4").mkdir()
    (folder / "holiday.mp4").write_bytes(b"x")
    (folder / "12.json").write_text("[]")
    (folder / "13.json").mkdir()
    (folder / "12-nothing.jpg").write_bytes(b"x")
    (library_folder.settings.root / "AA-BB-CC-00-00-01" / "notes").mkdir()
    (library_folder.settings.root / "somewhere").mkdir()
    assert await library.rebuild() == 1
    assert (await library.events()).events == (await library.event(event.id),)
    # What was written there by hand, and wrong, is not lost with the next note.
    await library.protect(event.id, True)
    assert (folder / "12.json.broken").read_text() == "[]"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"id": "../../etc"},
        {"camera": BACK},
        {"start_ms": 10**30},
        {"start_ms": -1},
        {"boot": 2**64},
        {"number": -1},
    ],
)
async def test_runs_that_say_nonsense(
    library: Library,
    recordings: Recordings,
    library_folder: LibraryFolder,
    monkeypatch: pytest.MonkeyPatch,
    nonsense: dict[str, object],
) -> None:
    """A message in a file may be anything; what makes no sense is left out, the rest is there."""
    event = await recordings.record(NOON)
    recordings.library = None
    to_json = hourfile.SegmentHeader.to_json
    monkeypatch.setattr(
        hourfile.SegmentHeader,
        "to_json",
        lambda self: to_json(dataclasses.replace(self, **nonsense)),
    )
    await recordings.record(NOON + 60_000)
    assert await library.rebuild() == 1
    assert (await library.events()).events == (event,)


async def test_filters_and_pages(
    library: Library, recordings: Recordings, large_video: Pictures
) -> None:
    """Every filter alone and together; pages have neither gaps nor doubles."""
    made = await fill(recordings, library, large_video)

    async def ids(**filters) -> list[int]:
        page = await library.events(**filters)
        assert page.cursor is None
        names = [event.id for event in made]
        return [names.index(event.id) for event in page.events]

    assert await ids() == [4, 3, 2, 1, 0]
    assert await ids(camera=BACK) == [2]
    assert await ids(date="2026-11-22") == [2, 1, 0]
    assert await ids(camera=FRONT, date="2026-11-22") == [1, 0]
    assert await ids(protected=True) == [0]
    assert await ids(protected=False) == [4, 3, 2, 1]
    assert await ids(label="person") == [1]
    assert await ids(label="pers") == []
    assert await ids(text="ölofen PERSON") == [1]
    assert await ids(text="tür") == [1]
    assert await ids(text="nobody") == []
    assert await ids(text="100%_") == []
    assert await ids(start_ms=NOON + 1999) == [4, 3, 2, 1, 0]
    assert await ids(start_ms=NOON + 2000) == [4, 3, 2, 1]
    assert await ids(end_ms=NOON + 60_000) == [0]
    assert await ids(end_ms=NOON + 60_001) == [1, 0]
    pages = []
    cursor = None
    while True:
        page = await library.events(limit=2, cursor=cursor)
        pages += page.events
        if (cursor := page.cursor) is None:
            break
    assert [event.id for event in pages] == [event.id for event in reversed(made)]


def crafted(time: str) -> str:
    """Return a cursor with a time of somebody's choice."""
    return urlsafe_b64encode(f"{time}.aabbccddee01-00000001-1".encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "MTIz",
        "ä",
        "MTIzLmFi",
        "'; DROP TABLE events; --",
        crafted("-1"),
        crafted("-" + "9" * 30),
        crafted("9" * 30),
        crafted("9" * 5000),
    ],
)
async def test_wrong_cursor(library: Library, cursor: str) -> None:
    """A cursor that nobody gave out is refused."""
    with pytest.raises(InvalidValue):
        await library.events(cursor=cursor)


async def test_wrong_values(library: Library) -> None:
    """So are limits and months."""
    for limit in (0, -1, 5001):
        with pytest.raises(InvalidValue):
            await library.events(limit=limit)
    for month in ("2026", "2026-13", "2026-1", "2026-11-01"):
        with pytest.raises(InvalidValue):
            await library.days(month=month)


async def test_days_and_hours(
    library: Library, recordings: Recordings, large_video: Pictures
) -> None:
    """Counts by local date and hour, those of the path."""
    made = await fill(recordings, library, large_video)
    days = await library.days(camera=FRONT)
    assert [(day.date, day.events) for day in days] == [
        ("2026-11-23", 2),
        ("2026-11-22", 2),
    ]
    assert days[1].size == made[0].size + made[1].size
    assert [(day.date, day.events) for day in await library.days()] == [
        ("2026-11-23", 2),
        ("2026-11-22", 3),
    ]
    assert await library.days(month="2026-10") == []
    assert len(await library.days(month="2026-11")) == 2
    hours = await library.hours(camera=FRONT, date="2026-11-23")
    assert [(hour.name, hour.events) for hour in hours] == [("13", 1), ("12", 1)]
    usage = await library.cameras()
    assert [(camera.camera, camera.events) for camera in usage] == [
        (FRONT, 4),
        (BACK, 1),
    ]


async def test_many_hour_files(
    library_folder: LibraryFolder, small_video: Pictures
) -> None:
    """All of them are found, and found again; scripts/bench library says how long it takes."""
    recordings = Recordings(library_folder.settings.root, small_video)
    for hour in range(30):
        for camera in (FRONT, BACK):
            await recordings.record(NOON - hour * HOUR, camera=camera)
    library = library_folder.library()
    await library.open()
    expected = contents(library)
    assert sum(camera.events for camera in await library.cameras()) == 60
    assert await library.rebuild() == 60
    await library.close()
    again = library_folder.library()
    await again.open()
    assert contents(again) == expected
    await again.close()


def test_a_row_is_what_the_noun_says(tmp_path: Path) -> None:
    """Tables and nouns have the same columns in the same order."""
    assert StoredSegment.__dataclass_fields__.keys() >= {"event", "path", "offset"}
    index = Index(tmp_path / "index.db", tmp_path)
    index.open()
    columns = [
        row[1] for row in index.connection.execute("PRAGMA table_info(segments)")
    ]
    assert columns == list(StoredSegment.__dataclass_fields__)
    columns = [row[1] for row in index.connection.execute("PRAGMA table_info(events)")]
    assert columns[: len(Event.__dataclass_fields__)] == list(
        Event.__dataclass_fields__
    )
    index.close()


@pytest.mark.parametrize(
    ("query", "used"),
    [
        (EventQuery(), "events_time"),
        (EventQuery(camera=FRONT), "events_camera"),
        (EventQuery(camera=FRONT, cursor=crafted("1")), "events_camera"),
        (EventQuery(camera=FRONT, nothing_seen=False), "events_camera"),
        (EventQuery(continuous=False), "events_motion"),
        (EventQuery(continuous=True), "events_pieces"),
        (EventQuery(continuous=True, camera=FRONT), "events_pieces"),
        (EventQuery(check_ins=True), "events_check_ins"),
        (EventQuery(check_ins=True, camera=FRONT), "events_check_ins"),
        (EventQuery(check_ins=True, start_ms=1, end_ms=2), "events_check_ins"),
        (EventQuery(nothing_seen=True), "events_empty"),
        (EventQuery(nothing_seen=True, camera=FRONT), "events_empty"),
        (EventQuery(text="parcel"), "events_words"),
        (EventQuery(text="parcel", camera=FRONT), "events_words"),
        (EventQuery(protected=True), "events_protected"),
        (EventQuery(camera=FRONT, date="2026-11-22"), "events_day"),
        (EventQuery(check_ins=True, date="2026-11-22"), "events_date"),
        (EventQuery(start_ms=1, end_ms=2), "events_time"),
    ],
    ids=str,
)
def test_no_page_walks_through_all_events(
    tmp_path: Path, query: EventQuery, used: str
) -> None:
    """Each page is read in its order out of an index that holds little else: a million events cost no more than ten."""
    index = Index(tmp_path / "index.db", tmp_path)
    index.open()
    statements: list[str] = []
    database = index.connection
    database.set_trace_callback(statements.append)
    index.events(query)
    database.set_trace_callback(None)
    (statement,) = [item for item in statements if "ORDER BY" in item]
    plan = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert any(f"USING INDEX {used}" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
    index.close()
