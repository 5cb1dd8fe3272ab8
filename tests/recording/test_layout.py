"""Names of files: made and read in one place, nothing else is accepted."""

from datetime import UTC
from pathlib import Path

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.recording.library.layout import (
    HourPath,
    camera_folder,
    event_id,
    folder_camera,
    hour_files,
    hour_parts,
    parse_event_id,
    spool_path,
)
from tests.harness.pictures import CAMERA


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_event_ids(boot: int, event: int) -> None:
    """An id can be read back."""
    assert parse_event_id(event_id(CAMERA, boot, event)) == (CAMERA, boot, event)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aabbccddee01-1234abcd",
        "aabbccddee01-1234abcd-01",
        "AABBCCDDEE01-1234abcd-1",
        "aabbccddee01-1234abcd-1\n",
        "../../../etc/passwd",
        "aabbccddee01-1234abcd-1/../x",
        "aabbccddee01-1234abcd-٣",
    ],
)
def test_no_event_ids(text: str) -> None:
    """Anything else is refused wherever an id becomes a path."""
    for use in (
        parse_event_id,
        HourPath(CAMERA, "2026-11-22", 8).thumbnail,
        lambda text: spool_path(Path("/x"), text),
    ):
        with pytest.raises(ValueError, match="not an event id"):
            use(text)


@given(st.sampled_from([0, 8, 23]), st.integers(1, 9999))
def test_hour_paths(hour: int, part: int) -> None:
    """A path can be read back."""
    path = HourPath(CAMERA, "2026-02-28", hour, part)
    assert HourPath.parse(path.relative) == path
    assert path.notes == path.relative.replace(".mp4", ".json")


@pytest.mark.parametrize(
    "text",
    [
        "AA-BB-CC-DD-EE-01/2026-11-22/24.mp4",
        "AA-BB-CC-DD-EE-01/2026-11-22/8.mp4",
        "AA-BB-CC-DD-EE-01/2026-11-22/08-1.mp4",
        "AA-BB-CC-DD-EE-01/2026-11-22/08-02.mp4",
        "AA-BB-CC-DD-EE-01/2026-02-30/08.mp4",
        "AA-BB-CC-DD-EE-01/2026-11-22/08.jpg",
        "aa-bb-cc-dd-ee-01/2026-11-22/08.mp4",
        "AA:BB:CC:DD:EE:01/2026-11-22/08.mp4",
        "../2026-11-22/08.mp4",
        "AA-BB-CC-DD-EE-01/../AA-BB-CC-DD-EE-01/2026-11-22/08.mp4",
        "/AA-BB-CC-DD-EE-01/2026-11-22/08.mp4",
    ],
)
def test_no_hour_paths(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError):
        HourPath.parse(text)


def test_cameras() -> None:
    """Folders and ids stand for each other; nothing else is either."""
    assert folder_camera(camera_folder(CAMERA)) == CAMERA
    for text in ("", "..", CAMERA.lower(), CAMERA + ":00", camera_folder(CAMERA)):
        with pytest.raises(ValueError, match="not a camera id"):
            camera_folder(text)
    with pytest.raises(ValueError, match="not a camera folder"):
        folder_camera(CAMERA)


def test_walk(tmp_path: Path) -> None:
    """Hour files are found in order; what else lies around is passed over."""
    names = [
        "08.mp4",
        "08-2.mp4",
        "08-10.mp4",
        "09.mp4",
        "08.json",
        "08-x.mp4",
        "x.mp4",
    ]
    for folder in (CAMERA.replace(":", "-"), "other", ".spool"):
        day = tmp_path / folder / "2026-11-22"
        day.mkdir(parents=True)
        for name in names:
            (day / name).touch()
    (tmp_path / CAMERA.replace(":", "-") / "notes.txt").touch()
    found = list(hour_files(tmp_path))
    assert [path.stem for path in found] == ["08", "08-2", "08-10", "09"]
    assert hour_parts(tmp_path, found[0]) == found[:3]
    assert not list(hour_files(tmp_path / "missing"))
    assert HourPath.at(CAMERA, 0, UTC).relative == "AA-BB-CC-DD-EE-01/1970-01-01/00.mp4"
