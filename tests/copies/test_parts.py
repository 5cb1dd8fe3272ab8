"""The small parts: names, hours, waits, the JSON."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta, timezone
import json
from zoneinfo import ZoneInfo

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.copies import names
from custom_components.magicpi_nvr.copies.document import Document
from custom_components.magicpi_nvr.copies.errors import TargetError
from custom_components.magicpi_nvr.copies.model import Facts
from custom_components.magicpi_nvr.copies.pace import Backoff, seconds_until_open
from custom_components.magicpi_nvr.copies.reader import Reader
from tests.harness.copies import NOON, facts

EVENT = "aabbcc000001-00000001-1"


def test_stem() -> None:
    """Camera, local date, local time, reason, event."""
    assert (
        names.stem(
            camera="Front door",
            start_ms=NOON + 63_000,
            reason="motion",
            event=EVENT,
            time_zone=ZoneInfo("Asia/Tokyo"),
        )
        == f"Front door/2026-11-22/21-01-03 motion {EVENT}"
    )
    with pytest.raises(ValueError):
        names.stem(camera="x", start_ms=0, reason="", event="../../etc", time_zone=UTC)


@given(camera=st.text(), reason=st.text())
def test_names_are_harmless(camera: str, reason: str) -> None:
    """Whatever people call a camera, the name has three parts, moves nowhere and is read back."""
    stem = names.stem(
        camera=camera, start_ms=NOON, reason=reason, event=EVENT, time_zone=UTC
    )
    parts = stem.split("/")
    assert len(parts) == 3
    assert all(part.strip(". ") for part in parts)
    assert not set('<>:"\\|?*%#\0\n') & set(stem)
    assert len(stem) < 200
    assert names.event_of(f"{stem}.json") == EVENT
    assert names.event_of(f"{stem}.txt") is None
    assert names.event_of(stem) is None


@pytest.mark.parametrize(
    ("now", "hours", "wait"),
    [
        ("12:00", None, 0),
        ("12:00", ("00:00", "00:00"), 0),
        ("12:00", ("10:00", "14:00"), 0),
        ("14:00", ("10:00", "14:00"), 20 * 3600),
        ("09:00", ("10:00", "14:00"), 3600),
        ("23:00", ("22:00", "06:00"), 0),
        ("05:59", ("22:00", "06:00"), 0),
        ("06:00", ("22:00", "06:00"), 16 * 3600),
    ],
)
def test_hours(now: str, hours: tuple[str, str] | None, wait: float) -> None:
    """Inside nobody waits; a window may pass midnight."""
    at = datetime.combine(
        datetime(2026, 11, 22).date(),
        time.fromisoformat(now),
        timezone(timedelta(hours=1)),
    )
    window = hours and (time.fromisoformat(hours[0]), time.fromisoformat(hours[1]))
    assert seconds_until_open(at, window) == wait


def test_backoff() -> None:
    """Longer each time, up to a limit, short again after a success."""
    backoff = Backoff(5, 900)
    waits = [backoff.failed() for _ in range(12)]
    assert 4 <= waits[0] <= 6
    assert all(720 <= wait <= 1080 for wait in waits[-3:])
    backoff.worked()
    assert backoff.failed() <= 6


def test_document() -> None:
    """It says times people can read, and gives everything back."""
    document = Document(
        facts=facts(labels=("Person",), zones=("Path",), more={"scores": [0.9]}),
        size=5,
        sha256="ab",
        thumbnail=3,
        source={"layout": "x"},
    )
    data = document.encode()
    assert json.loads(data)["start"] == "2026-11-22T12:01:00.000+00:00"
    assert Document.decode(data) == document


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"\xff", b'{"v": 2}', b'{"v": 1}', b"[" * 100_000, b"null"],
)
def test_broken_document(data: bytes) -> None:
    """What is not ours is refused."""
    with pytest.raises(ValueError):
        Document.decode(data)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text()))
def test_any_document(data: dict[str, object]) -> None:
    """Nothing else is raised."""
    with pytest.raises(ValueError):
        Document.decode(json.dumps({"v": 1} | data).encode())
    with pytest.raises((KeyError, TypeError, ValueError)):
        Facts.from_dict(data)


async def test_reader_that_was_closed() -> None:
    """It asks its target for nothing any more: that would open connections which nobody closes."""
    asked = []

    class Asked:
        async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
            asked.append(name)
            yield bytes(stop - start)

    reader = Reader(Asked())  # type: ignore[arg-type]
    assert await reader.read("one", 10, 2, 5) == bytes(3)
    await reader.close()
    with pytest.raises(TargetError):
        await reader.read("two", 10, 2, 5)
    assert asked == ["one"]
