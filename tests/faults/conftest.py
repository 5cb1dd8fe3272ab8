"""Faults that a recorder with short waits meets."""

import pytest

from tests.harness.pictures import RECORDING


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recorder not wait long for what does not come."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.RETRY_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.GRACE_S", 10.0)
