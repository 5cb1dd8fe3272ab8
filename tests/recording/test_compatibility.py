"""Files that version 0.1.0 wrote open, play and go on."""

from dataclasses import replace
from pathlib import Path
import shutil

import pytest

from custom_components.magicpi_nvr.recording.capture import ClipReady
from custom_components.magicpi_nvr.recording.library.layout import event_id
from custom_components.magicpi_nvr.recording.model import (
    FLAG_LAST,
    ClipSpec,
    RecordingSettings,
)
from tests.harness.pictures import BOOT, CAMERA, frames, numbers
from tests.harness.recorder import RunningRecorder

FIXTURES = Path(__file__).parent / "fixtures" / "version_0_1_0"
OTHER = "AA:BB:CC:DD:EE:02"
# Frames of each event: two finished ones (the second interrupted once), one cut off by a power cut, one in the
# other camera's hour file, one that waits in its spool.
WHOLE = {
    event_id(CAMERA, BOOT, 1): list(range(1, 21)),
    event_id(CAMERA, BOOT, 2): list(range(101, 125)),
    event_id(OTHER, BOOT, 1): list(range(1, 11)),
    event_id(OTHER, BOOT, 2): list(range(11, 19)),
}
CUT_OFF = event_id(CAMERA, BOOT, 3)


@pytest.fixture
def old(settings: RecordingSettings) -> RecordingSettings:
    """Return settings for a copy of the old folder and its index."""
    shutil.copytree(FIXTURES / "media", settings.root)
    shutil.copy(FIXTURES / "index.db", settings.index)
    return settings


@pytest.mark.usefixtures("impatient")
async def test_recordings_of_0_1_0_play(old: RecordingSettings, tmp_path: Path) -> None:
    """Every frame is in its clip, notes and thumbnails are there, what waited is encoded, a torn file is repaired."""
    recorder = RunningRecorder(replace(old, index=tmp_path / "index.db"))
    await recorder.start()
    try:
        await recorder.heard(ClipReady, count=2)
        page = await recorder.library.events()
        assert {event.id for event in page.events} == {*WHOLE, CUT_OFF}
        assert {event.state for event in page.events} == {"ready"}
        for name, sent in WHOLE.items():
            target = tmp_path / f"{name}.mp4"
            await recorder.library.export(ClipSpec.event(name), target)
            assert [number for _, number in numbers(target)] == sent
        target = tmp_path / "cut_off.mp4"
        await recorder.library.export(ClipSpec.event(CUT_OFF), target)
        shown = [number for _, number in numbers(target)]
        assert shown == list(range(201, 201 + len(shown)))
        assert len(shown) >= 14
        events = {event.id: event for event in page.events}
        assert events[event_id(CAMERA, BOOT, 1)].protected
        assert events[event_id(CAMERA, BOOT, 2)].labels == ("Parcel",)
        assert events[event_id(CAMERA, BOOT, 1)].thumbnail is not None
        assert not recorder.spools()
    finally:
        await recorder.stop()


async def test_recording_goes_on_in_a_file_of_0_1_0(old: RecordingSettings) -> None:
    """An event of the same hour is appended to the old file, and the old index is replaced without a loss."""
    recorder = RunningRecorder(old)
    await recorder.start()
    try:
        first = recorder.files()["AA-BB-CC-DD-EE-01/2026-11-22/13.mp4"]
        start_ms = first.segments[-1].header.start_ms + 60_000
        for frame in frames(
            10, start_ms=start_ms, first_seq=301, first_t=200_000, event=9
        ):
            recorder.add(frame, flags=FLAG_LAST if frame.seq == 310 else 0)
        event = await recorder.clip(event_id(CAMERA, BOOT, 9))
        assert event.path == "AA-BB-CC-DD-EE-01/2026-11-22/13.mp4"
        assert (await recorder.library.event(event_id(CAMERA, BOOT, 1))) is not None
        page = await recorder.library.events(camera=CAMERA)
        assert [event.id for event in page.events] == [
            CUT_OFF,
            *(event_id(CAMERA, BOOT, number) for number in (9, 2, 1)),
        ]
    finally:
        await recorder.stop()
