"""What the database gives retention to choose from is enough: the choice is the one made from all events."""

import asyncio
from datetime import UTC

from hypothesis import (
    HealthCheck,
    given,
    settings as hypothesis_settings,
    strategies as st,
)
import pytest

from custom_components.magicpi_nvr.recording.library import retention
from custom_components.magicpi_nvr.recording.library.candidates import Selection
from custom_components.magicpi_nvr.recording.library.index import Index
from custom_components.magicpi_nvr.recording.library.layout import HourPath, event_id
from custom_components.magicpi_nvr.recording.library.notes import Note
from custom_components.magicpi_nvr.recording.library.retention import Candidate
from custom_components.magicpi_nvr.recording.model import (
    NOTHING_SEEN,
    REASON_CHECK_IN,
    REASON_CONTINUOUS,
    CameraRetention,
    Event,
    Findings,
    RecordingSettings,
    StoredSegment,
)
from tests.harness.library import BACK, FRONT, NOON
from tests.harness.pictures import RECORDING, frames
from tests.harness.recorder import RunningRecorder

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
LIVED = 20 * DAY

events = st.lists(
    st.tuples(
        st.sampled_from([FRONT, BACK]),
        st.integers(0, 12 * 24 * 12),  # five minutes ago, each
        st.integers(1, 500),  # bytes
        st.booleans(),  # protected
        st.sampled_from([True, True, True, False]),  # clock was good
        st.integers(0, 20),  # days lived before it
    ),
    max_size=40,
    unique_by=lambda item: (item[0], item[1]),
)
limits = st.none() | st.integers(0, 5000)


def fill(index: Index, made: list[tuple[str, int, int, bool, bool, int]]) -> None:
    """Put events into the index."""
    for number, (camera, ago, size, protected, trusted, lived) in enumerate(made):
        start = NOON - ago * 5 * MINUTE
        reason = ("pir", "pir", REASON_CHECK_IN, REASON_CONTINUOUS)[number % 4]
        path = HourPath.at(camera, start, UTC).relative
        name = event_id(camera, 1, number)
        segment = StoredSegment(
            event=name, number=0, camera=camera, path=path, offset=number * 1000,
            end=number * 1000 + size, start_ms=start, end_ms=start + 10_000, reason=reason,
            dts=0, duration=900_000, frames=100, boot=1, first_seq=1, last_seq=100, lost=0,
            closed=True, recorded_ms=lived * DAY, clock_trusted=trusted,
        )  # fmt: skip
        event = Event(
            id=name, camera=camera, start_ms=start, end_ms=start + 10_000, reason=reason,
            state="ready", frames=100, lost=0, size=size, path=path,
        )  # fmt: skip
        notes = Note(
            protected=protected,
            findings=Findings(verdict=NOTHING_SEEN if number % 5 == 4 else None),
        )
        index.put_notes(f"{path}.{number}", {name: notes})
        index.put(event, segment, None)


@hypothesis_settings(
    max_examples=60, suppress_health_check=list(HealthCheck), deadline=None
)
@given(
    made=events,
    days=st.integers(0, 13),
    front=limits,
    floor=st.integers(0, 8000),
    free=st.integers(0, 4000),
    camera=st.none() | st.just(FRONT),
    by_age=st.booleans(),
    busy=st.integers(0, 4),
)
def test_the_database_gives_enough(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[str, int, int, bool, bool, int]],
    days: int,
    front: int | None,
    floor: int,
    free: int,
    camera: str | None,
    by_age: bool,
    busy: int,
) -> None:
    """Whatever the rules, the events and what is held: the same goes, in the same order."""
    folder = tmp_path_factory.mktemp("index")
    settings = RecordingSettings(
        root=folder / "media",
        index=folder / "index.db",
        ffmpeg="ffmpeg",
        time_zone=UTC,
        retention_days=days,
        check_in_days=max(days - 2, 0),
        free_space_floor=floor,
        cameras={FRONT: CameraRetention(max_bytes=front)},
    )
    index = Index(settings.index, settings.root)
    index.open()
    fill(index, made)
    paths = sorted(
        {path for event, _, held in index.with_paths("1", []) for path in held}
    )
    held = set(paths[:busy])
    everything = [
        Candidate(
            event=event,
            size=event.size + picture,
            paths=own,
            held=any(path in held for path in own),
        )
        for event, picture, own in index.with_paths("1", [])
    ]
    rules = {
        "now_ms": NOON,
        "lived_ms": LIVED,
        "free": free,
        "camera": camera,
        "by_age": by_age,
    }
    selection = Selection(
        index=index, settings=settings, is_busy=lambda path: path in held
    )
    chosen = retention.due(
        selection.due(
            now_ms=NOON,
            lived_ms=LIVED,
            excess=floor - free,
            camera=camera,
            by_age=by_age,
        ),
        settings,
        totals=selection.totals(),
        **rules,
    )
    assert chosen == retention.due(everything, settings, **rules)
    assert selection.older_than(NOON - days * DAY, camera) == retention.older_than(
        everything, NOON - days * DAY, camera
    )
    index.close()


async def test_housekeeping_waits_for_nobody(
    recorder: RunningRecorder, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While retention takes its time, silent events end and frames are acknowledged."""
    waiting = asyncio.Event()
    asked = asyncio.Event()

    async def make_room(needed: int) -> bool:
        asked.set()
        await waiting.wait()
        return True

    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.1)
    monkeypatch.setattr(recorder.library, "make_room", make_room)
    sent = list(frames(20, start_ms=NOON))
    for frame in sent:
        recorder.add(frame)
    async with asyncio.timeout(10):
        await asked.wait()
    await recorder.clip()
    assert recorder.capture.persisted(sent[0].camera, sent[0].boot) == 20
    waiting.set()
