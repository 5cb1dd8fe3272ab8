"""The firmware update that was ordered for one camera."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from ..clock import Clock
from ..messages import OtaState
from ..protocol import encode_ota

MAX_ATTEMPTS: Final = 3
# A camera that stays connected tries again after this, in seconds.
RETRY_S: Final = 30
# Without a word about a transfer for this long it counts as failed, in seconds.
STALL_S: Final = 300


class OtaStep(StrEnum):
    """How far an update is."""

    PENDING = "pending"  # waits for the camera
    LOW_BATTERY = "low_battery"  # waits for a better battery
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    INSTALLED = "installed"  # restarts into the new image
    DONE = "done"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


_TRANSFERRING: Final = (OtaStep.OFFERED, OtaStep.DOWNLOADING, OtaStep.VERIFYING)
_RUNNING: Final = (*_TRANSFERRING, OtaStep.INSTALLED)
_OVER: Final = (OtaStep.DONE, OtaStep.FAILED, OtaStep.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class OtaProgress:
    """An update of one camera."""

    version: str
    state: OtaStep
    percent: int = 0
    error: str | None = None
    attempts: int = 0

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return self.state not in _OVER

    @property
    def running(self) -> bool:
        """Whether the camera works on it now."""
        return self.state in _RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareOffer:
    """An image for a camera; the owner answers with its file when the camera asks for it."""

    version: str
    sha256: str
    size: int
    signature: str | None = None
    min_battery_pct: int = 30

    @property
    def path(self) -> str:
        """Where the camera gets it from the gateway."""
        return f"/firmware/{self.sha256}"


class Update:
    """One order: offered until it is done, has failed, or is withdrawn."""

    def __init__(self, clock: Clock) -> None:
        """Nothing is ordered."""
        self.offer: FirmwareOffer | None = None
        self.progress: OtaProgress | None = None
        self._clock = clock
        self._changed_at = clock.monotonic()

    def as_dict(self) -> dict[str, Any]:
        """Return what survives a restart."""
        return {
            "offer": asdict(self.offer) if self.offer else None,
            "ota": asdict(self.progress) if self.progress else None,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Read a stored order; a broken one is dropped."""
        with suppress(KeyError, TypeError, ValueError):
            if offer := data.get("offer"):
                self.offer = FirmwareOffer(**offer)
            if ota := data.get("ota"):
                self.progress = OtaProgress(**{**ota, "state": OtaStep(ota["state"])})
                # Nobody heard how it went on.
                self.disconnected()

    def order(self, offer: FirmwareOffer | None, *, running: str) -> None:
        """Begin with an image, unless the camera works on this one; None withdraws the order."""
        if offer and offer == self.offer and self.progress and self.progress.running:
            return
        self.offer = offer
        if offer is None:
            if self.progress and self.progress.active:
                self.progress = None
        elif offer.version == running:
            self.offer = None
            self.progress = OtaProgress(offer.version, OtaStep.DONE, 100)
        else:
            self.progress = OtaProgress(offer.version, OtaStep.PENDING)

    def _set(
        self, state: OtaStep, *, percent: int = 0, error: str | None = None
    ) -> None:
        self._changed_at = self._clock.monotonic()
        if self.progress is not None:
            self.progress = replace(
                self.progress, state=state, percent=percent, error=error
            )

    def _fail(self, error: str | None) -> None:
        """One attempt failed: the next one waits, or there is none."""
        assert self.progress is not None
        if self.progress.attempts >= MAX_ATTEMPTS:
            self.offer = None
            self._set(OtaStep.FAILED, error=error)
        else:
            self._set(OtaStep.PENDING, error=error)

    def judge(self, *, running: str, new_boot: bool) -> None:
        """See from the version that said hello what became of the update."""
        if (progress := self.progress) is None or progress.state is OtaStep.DONE:
            return
        if running == progress.version:
            self.offer = None
            self._set(OtaStep.DONE, percent=100)
        elif progress.state is OtaStep.INSTALLED and new_boot:
            self.offer = None
            self._set(OtaStep.ROLLED_BACK, error=f"the camera still runs {running}")

    def disconnected(self) -> None:
        """The connection is lost: a transfer begins again at the next hello."""
        if self.progress and self.progress.state in _TRANSFERRING:
            self._set(
                OtaStep.PENDING, error=self.progress.error or "the connection was lost"
            )

    def tick(self) -> bool:
        """Look at a camera that is connected; returns whether something changed."""
        if self.offer is None or (progress := self.progress) is None:
            return False
        if progress.running and self._quiet_for(STALL_S):
            self._fail(progress.error or "the camera does not go on")
            return True
        return False

    def is_retry_due(self) -> bool:
        """Return whether a camera that stays connected is to try again."""
        return (
            self.progress is not None
            and self.progress.state is OtaStep.PENDING
            and self.progress.attempts > 0
            and self._quiet_for(RETRY_S)
        )

    def _quiet_for(self, seconds: float) -> bool:
        return self._clock.monotonic() - self._changed_at >= seconds

    def next_message(self, *, battery_pct: int | None) -> str | None:
        """Return the offer to send to a camera that is connected, None where it must wait."""
        if (offer := self.offer) is None or self.progress is None:
            return None
        if self.progress.running:
            return None
        if self.progress.attempts >= MAX_ATTEMPTS:
            self.offer = None
            self._set(OtaStep.FAILED, error=self.progress.error or "gave up")
            return None
        if battery_pct is not None and battery_pct < offer.min_battery_pct:
            self._set(OtaStep.LOW_BATTERY)
            return None
        self.progress = replace(self.progress, attempts=self.progress.attempts + 1)
        self._set(OtaStep.OFFERED, error=self.progress.error)
        return encode_ota(
            version=offer.version,
            sha256=offer.sha256,
            size=offer.size,
            path=offer.path,
            signature=offer.signature,
        )

    def handle_state(self, state: OtaState) -> bool:
        """Take what the camera reports; returns False when nothing was ordered."""
        if self.progress is None or not self.progress.active:
            return False
        if state.state != "failed":
            percent = 100 if state.state == "installed" else state.percent
            self._set(OtaStep(state.state), percent=percent)
        else:
            self._fail(state.error)
        return True

    def restarts(self) -> None:
        """The camera leaves to start the new image."""
        if self.progress and self.progress.state in _TRANSFERRING:
            self._set(OtaStep.INSTALLED, percent=100)
