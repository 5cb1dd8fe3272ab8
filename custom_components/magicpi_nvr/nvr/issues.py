"""Repair issues about cameras, clock and certificate; they come and go by themselves."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
import time
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER, WEAK_WIFI_DBM
from ..gateway import Camera, CameraStatus, Change
from ..timestamps import local_time, now_ms
from .entries import Entries
from .stores import NvrSettings

ROUND: Final = timedelta(minutes=5)
HOUR_MS: Final = 3_600_000
# A host that steps its clock by more than this misplaces recordings
CLOCK_STEP: Final = 60.0
CLOCK_QUIET: Final = timedelta(hours=24)
# Weak reception counts when so many reports in a row say it, and is over when
# the signal is better by the hysteresis
WEAK_REPORTS: Final = 5
WEAK_HYSTERESIS: Final = 5

ISSUE_CAMERA_LATE: Final = "camera_late"
ISSUE_CERTIFICATE: Final = "certificate"
ISSUE_CA_RECREATED: Final = "ca_recreated"
ISSUE_CLONE: Final = "duplicate_nvr"
ISSUE_CLOCK: Final = "clock_stepped"
ISSUE_PICTURES_DAMAGED: Final = "pictures_damaged"
ISSUE_PICTURES_UNSUPPORTED: Final = "pictures_unsupported"
ISSUE_PORT: Final = "port_in_use"
ISSUE_STORAGE: Final = "storage_gone"
ISSUE_UPDATE_FAILED: Final = "update_failed"
ISSUE_WEAK_WIFI: Final = "weak_wifi"

# Pictures that are whole, but of a kind that cannot be recorded: another firmware makes others.
# Every other reason is damage.
UNSUPPORTED: Final = ("coding", "colors", "dimensions", "too_big")

# Where a person can cure it: a page of Home Assistant, or what the documents say
_ENTRIES: Final = f"homeassistant://config/integrations/integration/{DOMAIN}"
_DOCUMENTS: Final = "https://github.com/magicpi-nvr/magicpi-nvr/blob/main/docs"
_STORAGE: Final = "homeassistant://config/storage"
CURES: Final = {
    ISSUE_CA_RECREATED: _ENTRIES,
    ISSUE_CLONE: f"{_DOCUMENTS}/troubleshooting.md#certificates",
    ISSUE_CLOCK: f"{_DOCUMENTS}/troubleshooting.md#times-are-wrong",
    ISSUE_PICTURES_DAMAGED: f"{_DOCUMENTS}/troubleshooting.md#pictures",
    ISSUE_PICTURES_UNSUPPORTED: f"{_DOCUMENTS}/troubleshooting.md#pictures",
    ISSUE_PORT: _ENTRIES,
    ISSUE_STORAGE: _STORAGE,
    ISSUE_UPDATE_FAILED: f"{_DOCUMENTS}/troubleshooting.md#settings-and-updates",
    ISSUE_WEAK_WIFI: f"{_DOCUMENTS}/troubleshooting.md#overdue-or-offline",
    "ffmpeg": f"{_DOCUMENTS}/troubleshooting.md#clips",
    "only_protected_left": f"homeassistant://media-browser/browser/app%2Cmedia-source%3A%2F%2F{DOMAIN}%2Fprotected",
    "storage_full": _STORAGE,
}

# A sleeper that misses its check-ins is late, a camera with a cable is offline
MISSING: Final = (CameraStatus.LATE, CameraStatus.OFFLINE)


def boot_clock() -> float:
    """Return seconds that go on while the host is suspended, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Issues:
    """Raises repair issues and takes them back; looks at what changes with time alone while it is started."""

    def __init__(
        self, hass: HomeAssistant, settings: NvrSettings, entries: Entries
    ) -> None:
        """Keep where names, options and what a person put off are."""
        self._hass = hass
        self._settings = settings
        self._entries = entries
        self._cameras: Callable[[], Iterable[Camera]] = tuple
        self._renew: Callable[[], Awaitable[None]] | None = None
        self._weak: dict[str, int] = {}
        self._offset: float | None = None
        self._stepped_at: datetime | None = None

    @callback
    def async_start(
        self,
        cameras: Callable[[], Iterable[Camera]],
        renew_certificate: Callable[[], Awaitable[None]],
    ) -> CALLBACK_TYPE:
        """Begin the rounds; `renew_certificate` raises OSError. Returns what ends them."""
        self._cameras, self._renew = cameras, renew_certificate
        self._offset = None
        self.check()
        return async_track_time_interval(
            self._hass, self._async_round, ROUND, cancel_on_shutdown=True
        )

    @callback
    def report(
        self,
        key: str,
        *,
        issue_id: str | None = None,
        fixable: bool = False,
        severity: ir.IssueSeverity = ir.IssueSeverity.ERROR,
        data: dict[str, str | int | float | None] | None = None,
        **placeholders: str,
    ) -> None:
        """Raise an issue, or renew it."""
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            issue_id or key,
            data=data,
            is_fixable=fixable,
            learn_more_url=CURES.get(key, f"{_DOCUMENTS}/settings.md#repairs"),
            severity=severity,
            translation_key=key,
            translation_placeholders=placeholders or None,
        )

    @callback
    def clear(self, issue_id: str) -> None:
        """Take an issue back."""
        ir.async_delete_issue(self._hass, DOMAIN, issue_id)

    @callback
    def camera_changed(self, camera: Camera, change: Change) -> None:
        """Look at what a camera says of itself."""
        if self._is_disabled(camera):
            return
        if change & Change.TELEMETRY:
            self._check_wifi(camera)
        if change & Change.STATUS:
            self.check_late(camera)
        if change & Change.PICTURES:
            self.check_pictures(camera)

    @callback
    def clone_found(self, addresses: str | None) -> None:
        """Report another gateway that shows our authority, None when it is gone."""
        if addresses is None:
            self.clear(ISSUE_CLONE)
        else:
            self.report(
                ISSUE_CLONE,
                severity=ir.IssueSeverity.WARNING,
                addresses=addresses,
            )

    @callback
    def camera_gone(self, camera_id: str) -> None:
        """Take back everything about a camera that was removed."""
        self._weak.pop(camera_id, None)
        for key in (
            ISSUE_CAMERA_LATE,
            ISSUE_PICTURES_DAMAGED,
            ISSUE_PICTURES_UNSUPPORTED,
            ISSUE_UPDATE_FAILED,
            ISSUE_WEAK_WIFI,
        ):
            self.clear(f"{key}_{camera_id}")

    async def _async_round(self, now: datetime) -> None:
        """Look at what changes with time alone."""
        self.check()
        await self._async_check_certificate()

    @callback
    def check(self) -> None:
        """Look at cameras, clock and authority."""
        for camera in self._cameras():
            if not self._is_disabled(camera):
                self.check_late(camera)
                self.check_pictures(camera)
        self.check_clock()
        self.check_ca()

    def _is_disabled(self, camera: Camera) -> bool:
        """Say whether a person disabled a camera, and take its issues back: it may also have been put away."""
        if disabled := self._entries.is_disabled(camera.id):
            self.camera_gone(camera.id)
        return disabled

    @callback
    def check_late(self, camera: Camera) -> None:
        """Raise an issue for a camera that has been late for the hours that the options say."""
        issue_id = f"{ISSUE_CAMERA_LATE}_{camera.id}"
        settings = self._settings
        if camera.status not in MISSING or camera.late_since_ms is None:
            if settings.late_snoozed.pop(camera.id, None) is not None:
                settings.save()
            self.clear(issue_id)
            return
        now = now_ms()
        # Times that lie ahead were read from a clock that was wrong
        since = max(
            (
                at_ms
                for at_ms in (
                    camera.late_since_ms,
                    settings.late_snoozed.get(camera.id, 0),
                )
                if at_ms <= now
            ),
            default=0,
        )
        if now - since < self._entries.options.late_after * HOUR_MS:
            self.clear(issue_id)
            return
        last_seen = camera.last_seen_ms
        self.report(
            ISSUE_CAMERA_LATE,
            issue_id=issue_id,
            fixable=True,
            severity=ir.IssueSeverity.WARNING,
            data={"camera_id": camera.id},
            name=self._entries.name(camera.id),
            last_seen=(
                f"{local_time(last_seen):%Y-%m-%d %H:%M}"
                if last_seen is not None
                else "-"
            ),
        )

    @callback
    def check_pictures(self, camera: Camera) -> None:
        """Raise an issue for a camera of which nearly all pictures of some events are refused."""
        fault = camera.pictures.fault
        unsupported = fault in UNSUPPORTED
        for key, present in (
            (ISSUE_PICTURES_DAMAGED, fault is not None and not unsupported),
            (ISSUE_PICTURES_UNSUPPORTED, unsupported),
        ):
            issue_id = f"{key}_{camera.id}"
            if not present:
                self.clear(issue_id)
                continue
            self.report(
                key,
                issue_id=issue_id,
                name=self._entries.name(camera.id),
                reason=str(fault),
            )

    @callback
    def _check_wifi(self, camera: Camera) -> None:
        if (rssi := camera.telemetry.rssi) is None:
            return
        issue_id = f"{ISSUE_WEAK_WIFI}_{camera.id}"
        if rssi > WEAK_WIFI_DBM + WEAK_HYSTERESIS:
            if self._weak.pop(camera.id, 0) >= WEAK_REPORTS:
                self.clear(issue_id)
            return
        if rssi >= WEAK_WIFI_DBM:
            return
        self._weak[camera.id] = reports = self._weak.get(camera.id, 0) + 1
        if reports == WEAK_REPORTS:
            self.report(
                ISSUE_WEAK_WIFI,
                issue_id=issue_id,
                severity=ir.IssueSeverity.WARNING,
                name=self._entries.name(camera.id),
                rssi=str(rssi),
            )

    @callback
    def check_clock(self) -> None:
        """Compare the wall clock's way with that of a clock which nobody sets."""
        now = dt_util.utcnow()
        offset = now.timestamp() - boot_clock()
        before, self._offset = self._offset, offset
        if before is not None and abs(offset - before) > CLOCK_STEP:
            LOGGER.warning(
                "The host's clock was set by %d s; recordings made before have the old time",
                round(offset - before),
            )
            self._stepped_at = now
            self.report(
                ISSUE_CLOCK,
                severity=ir.IssueSeverity.WARNING,
                seconds=str(round(offset - before)),
            )
        elif self._stepped_at is None or abs(now - self._stepped_at) > CLOCK_QUIET:
            self._stepped_at = None
            self.clear(ISSUE_CLOCK)

    @callback
    def check_ca(self) -> None:
        """Say which cameras still know the authority that is gone."""
        if not (stale := self._settings.stale_ca):
            self.clear(ISSUE_CA_RECREATED)
            return
        self.report(
            ISSUE_CA_RECREATED,
            names=", ".join(sorted(self._entries.name(item) for item in stale)),
        )

    async def _async_check_certificate(self) -> None:
        if self._renew is None:
            return
        try:
            await self._renew()
        except OSError as err:
            self.report(ISSUE_CERTIFICATE, error=str(err))
        else:
            self.clear(ISSUE_CERTIFICATE)
