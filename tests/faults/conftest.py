"""A whole Home Assistant in this process, with cameras whose pictures bear numbers."""

from collections.abc import AsyncGenerator

import pytest

from tests.harness.logs import assert_no_errors
from tests.integration.house import House, house, nvr_house  # noqa: F401 - fixtures
from tests.integration.scene import no_browser, patient  # noqa: F401 - fixtures
from tests.recording.frames import RECORDING

from .proof import Proof


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recorder not wait long for what does not come."""
    monkeypatch.setattr(f"{RECORDING}.capture.disk.RETRY_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.disk.ROOM_CHECK_S", 0.3)
    monkeypatch.setattr(f"{RECORDING}.capture.recorder.GRACE_S", 10.0)


@pytest.fixture
async def proof(
    enable_custom_integrations: None,
    nvr_house: House,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> AsyncGenerator[Proof]:
    """A house whose NVR runs, and what counts its frames; no fault may leave an exception in the log."""
    proof = Proof(nvr_house)
    yield proof
    assert_no_errors(caplog, logger="custom_components.magicpi_nvr")
