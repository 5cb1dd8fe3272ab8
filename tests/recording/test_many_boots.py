"""A camera that boots again and again before its events are encoded."""

import pytest

from tests.harness.pictures import CAMERA, frames
from tests.harness.recorder import RunningRecorder
from tests.harness.waiting import until

START_MS = 1_763_800_000_000
FLAG_LAST = 4
BOOTS = 12
COUNT = 5


@pytest.mark.usefixtures("impatient")
async def test_every_boot_is_encoded(
    recorder: RunningRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Boots whose frames are all persisted in the spool may be forgotten; their events may not."""
    recorder.change(ffmpeg="/nonexistent/ffmpeg")
    ids = []
    for boot in range(1, BOOTS + 1):
        for frame in frames(COUNT, start_ms=START_MS + boot * 5000, boot=boot):
            last = frame.seq == COUNT
            assert recorder.add(frame, flags=FLAG_LAST if last else 0)
        ids.append(f"{CAMERA.replace(':', '').lower()}-{boot:08x}-1")
        await until(lambda boot=boot: recorder.capture.persisted(CAMERA, boot) == COUNT)
    recorder.change(ffmpeg="ffmpeg")
    for event_id in ids:
        await recorder.clip(event_id)
        assert [number for _, number in recorder.shown(event_id)] == [1, 2, 3, 4, 5]
    assert "stumbled" not in caplog.text
    assert recorder.spools() == []
