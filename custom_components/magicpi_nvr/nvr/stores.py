"""What outlives a restart in Home Assistant's storage: the cameras' keys, switches, names."""

from collections.abc import Callable
from typing import Any, Final, override

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store

from ..const import DOMAIN

SAVE_DELAY_S: Final = 1


class SoonStore(Store[dict[str, Any]]):
    """A store that writes a second after the first change, however many follow."""

    _pending = False

    @override
    async def _async_migrate_func(
        self, old_major_version: int, old_minor_version: int, old_data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the data of an earlier version; who reads it gives a missing key its default."""
        return old_data

    @callback
    def async_save_soon(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Write within a second; `async_delay_save` waits for a second without a call."""
        if self._pending:
            return
        self._pending = True

        def data() -> dict[str, Any]:
            self._pending = False
            return data_func()

        self.async_delay_save(data, SAVE_DELAY_S)

    @override
    async def async_save(self, data: dict[str, Any]) -> None:
        # It takes the place of a write that waits
        self._pending = False
        await super().async_save(data)


class RegistryStorage:
    """Keeps the gateway's registry in Home Assistant's storage."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Name the file."""
        self._store = SoonStore(
            hass, 1, f"{DOMAIN}.cameras", private=True, atomic_writes=True
        )

    async def load(self) -> dict[str, Any] | None:
        """Return what was saved, None the first time."""
        return await self._store.async_load()

    def save(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save soon; the state at the time of the write counts."""
        self._store.async_save_soon(data_func)

    async def save_now(self, data_func: Callable[[], dict[str, Any]]) -> None:
        """Save and wait until it is on disk."""
        await self._store.async_save(data_func())


class NvrSettings:
    """What the NVR keeps beside the entries; a missing key takes its default."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Name the file."""
        self._store = SoonStore(hass, 1, f"{DOMAIN}.settings")
        self.recording = True
        self.not_recording: set[str] = set()
        self.names: dict[str, str] = {}
        self.ca: str | None = None
        self.stale_ca: set[str] = set()
        self.late_snoozed: dict[str, int] = {}
        # SHA-256 of the keys of readers outside, by camera
        self.stream_keys: dict[str, str] = {}
        # What vision counted by camera: {"day": date, "false_alarms": int, "saved_s": seconds}
        self.false_alarms: dict[str, dict[str, Any]] = {}

    async def async_load(self) -> None:
        """Read the file; the defaults stay for what it does not have."""
        loaded: Any = await self._store.async_load()
        data: dict[str, Any] = loaded if isinstance(loaded, dict) else {}
        self.recording = data.get("recording") is not False
        self.not_recording = _texts(data, "not_recording")
        self.names = _table(data, "names", str)
        ca = data.get("ca")
        self.ca = ca if isinstance(ca, str) else None
        self.stale_ca = _texts(data, "stale_ca")
        self.late_snoozed = _table(data, "late_snoozed", int)
        self.stream_keys.update(_table(data, "stream_keys", str))
        self.false_alarms.update(_table(data, "false_alarms", dict))

    @callback
    def save(self) -> None:
        """Save soon."""
        self._store.async_save_soon(self._data)

    async def async_save_now(self) -> None:
        """Save and wait until it is on disk."""
        await self._store.async_save(self._data())

    def _data(self) -> dict[str, Any]:
        return {
            "recording": self.recording,
            "not_recording": sorted(self.not_recording),
            "names": self.names,
            "ca": self.ca,
            "stale_ca": sorted(self.stale_ca),
            "late_snoozed": self.late_snoozed,
            "stream_keys": self.stream_keys,
            "false_alarms": self.false_alarms,
        }


def _texts(data: dict[str, Any], key: str) -> set[str]:
    """Return a stored list of texts; what is missing or no text is left out."""
    value = data.get(key)
    return (
        {item for item in value if isinstance(item, str)}
        if isinstance(value, list)
        else set()
    )


def _table[T](data: dict[str, Any], key: str, kind: type[T]) -> dict[str, T]:
    """Return a stored table of one kind of values; what is missing or of another kind is left out."""
    value = data.get(key)
    if not isinstance(value, dict):
        return {}
    return {name: item for name, item in value.items() if isinstance(item, kind)}
