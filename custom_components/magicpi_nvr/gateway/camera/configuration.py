"""Camera configuration: the table of its keys, desired and reported values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import re
from typing import Any, Final, Literal, Self

from ..messages import Caps, ConfigAck

type ConfigValue = int | bool | str

# Of the picture's 16 x 12 cells, row by row from the top left, highest bit first
GRID_DIGITS: Final = 16 * 12 // 4
_GRID: Final = re.compile(rf"[0-9a-f]{{{GRID_DIGITS}}}")


class ConfigError(Exception):
    """Settings that no camera can take; `errors` maps keys to reasons."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """Keep what is wrong."""
        super().__init__(", ".join(f"{key}: {why}" for key, why in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigKey:
    """One configuration key; caps narrow its options, and a camera without its `feature` never sees it."""

    name: str
    kind: Literal["int", "bool", "enum", "grid"]
    default: ConfigValue
    minimum: int = 0
    maximum: int = 0
    options: tuple[str, ...] = ()
    feature: str | None = None

    def exists_for(self, caps: Caps) -> bool:
        """Return whether this camera knows the key."""
        return self.feature is None or self.feature in caps.features

    def options_for(self, caps: Caps) -> tuple[str, ...]:
        """Return what this camera can be set to."""
        if self.name == "resolution":
            return tuple(item for item in self.options if item in caps.resolutions) or (
                str(self.default_for(caps)),
            )
        if self.name == "flash" and not caps.flash:
            return ("off",)
        if self.name == "power_mode" and not caps.sleep:
            return ("always_on",)
        return self.options

    def default_for(self, caps: Caps) -> ConfigValue:
        """Return what a camera starts with."""
        if self.name == "resolution" and self.default not in caps.resolutions:
            return caps.resolutions[0]
        if self.name == "power_mode" and not caps.sleep:
            return "always_on"
        return self.default

    def fault(self, value: object, caps: Caps) -> str | None:
        """Return why `value` can't be set, None when it can."""
        if not self.exists_for(caps):
            return "not_supported"
        match self.kind:
            case "grid":
                if not isinstance(value, str):
                    return "wrong_type"
                return None if _GRID.fullmatch(value) else "out_of_range"
            case "bool":
                return None if isinstance(value, bool) else "wrong_type"
            case "int":
                if not isinstance(value, int) or isinstance(value, bool):
                    return "wrong_type"
                in_range = self.minimum <= value <= self.maximum
                return None if in_range else "out_of_range"
            case "enum":
                if not isinstance(value, str):
                    return "wrong_type"
                return None if value in self.options_for(caps) else "not_supported"


def _int(
    name: str, minimum: int, maximum: int, default: int, feature: str | None = None
) -> ConfigKey:
    return ConfigKey(
        name=name,
        kind="int",
        minimum=minimum,
        maximum=maximum,
        default=default,
        feature=feature,
    )


def _bool(name: str, default: bool, feature: str | None = None) -> ConfigKey:
    return ConfigKey(name=name, kind="bool", default=default, feature=feature)


def _enum(name: str, *options: str, default: str) -> ConfigKey:
    return ConfigKey(name=name, kind="enum", options=options, default=default)


CONFIG_KEYS: Final[Mapping[str, ConfigKey]] = {
    key.name: key
    for key in (
        _enum(
            "resolution",
            *("QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"),
            default="SVGA",
        ),
        _int("framerate", 1, 25, 10),
        _int("jpeg_quality", 4, 63, 12),
        _int("stream_duration_s", 3, 300, 30),
        _int("max_event_s", 10, 600, 120),
        _bool("motion_enabled", True),
        _bool("pre_roll", True),
        _int("heartbeat_interval_s", 60, 86_400, 3600),
        _enum("power_mode", "battery", "always_on", default="battery"),
        _enum("flash", "off", "motion", "on", default="off"),
        _bool("vflip", False),
        _bool("hmirror", False),
        _int("brightness", -2, 2, 0),
        _int("contrast", -2, 2, 0),
        _int("saturation", -2, 2, 0),
        _int("exposure", -2, 2, 0),
        _bool("night_mode", False),
        _bool("checkin_picture", False, "checkin_picture"),
        _bool("confirm_motion", False, "confirm_motion"),
        _int("confirm_sensitivity", 1, 10, 5, "confirm_motion"),
        ConfigKey(
            name="ignore_grid",
            kind="grid",
            default="0" * GRID_DIGITS,
            feature="confirm_motion",
        ),
    )
}


def keys_for(caps: Caps) -> dict[str, ConfigKey]:
    """Return the keys that a camera knows."""
    return {name: key for name, key in CONFIG_KEYS.items() if key.exists_for(caps)}


def validate(changes: Mapping[str, Any], caps: Caps) -> dict[str, ConfigValue]:
    """Return the changes; raises ConfigError for unknown keys and bad values."""
    errors = {
        name: fault
        for name, value in changes.items()
        if (
            fault := key.fault(value, caps)
            if (key := CONFIG_KEYS.get(name))
            else "unknown_key"
        )
    }
    if errors:
        raise ConfigError(errors)
    return dict(changes)


def _sane(values: object, caps: Caps) -> dict[str, ConfigValue]:
    """Return the good part of what a camera or a file says."""
    if not isinstance(values, dict):
        return {}
    return {
        name: values[name]
        for name, key in CONFIG_KEYS.items()
        if name in values and key.fault(values[name], caps) is None
    }


@dataclass(slots=True)
class Configuration:
    """Desired and reported settings of one camera.

    `rev` counts what is desired, from 1; `reported_rev` is the revision that the camera said
    it has, None before it said any. `pending` is desired but not yet confirmed; `rejected`
    keeps the reason of the camera's last refusal of a key until the key is set again.
    """

    caps: Caps
    desired: dict[str, ConfigValue] = field(default_factory=dict)
    rev: int = 1
    reported: dict[str, ConfigValue] = field(default_factory=dict)
    reported_rev: int | None = None
    pending: dict[str, ConfigValue] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in defaults."""
        self.update_caps(self.caps)

    def update_caps(self, caps: Caps) -> None:
        """Take over what the camera can do now; what it can't any more goes to its default."""
        self.caps = caps
        keys = keys_for(caps)
        for values in (self.desired, self.reported, self.pending, self.rejected):
            for name in values.keys() - keys:
                del values[name]
        for name, key in keys.items():
            if key.fault(self.desired.get(name), caps) is not None:
                self.desired[name] = key.default_for(caps)

    def forget_reported(self) -> None:
        """Know nothing of what the camera has: it is another board."""
        self.reported.clear()
        self.reported_rev = None
        self.pending.clear()
        self.rejected.clear()

    def message(self) -> dict[str, Any]:
        """Return `{"rev", ...}` with every key, as on the wire."""
        return {"rev": self.rev, **self.desired}

    def effective(self, name: str) -> ConfigValue:
        """Return the value that the camera works with, as far as is known."""
        return self.reported.get(name, self.desired[name])

    def set(self, changes: Mapping[str, Any]) -> int:
        """Desire other values; returns the revision. Raises ConfigError."""
        values = validate(changes, self.caps)
        changed = {
            name: value
            for name, value in values.items()
            if value != self.desired[name] or name in self.rejected
        }
        if not changed:
            return self.rev
        self.rev += 1
        self.desired.update(changed)
        for name, value in changed.items():
            self.rejected.pop(name, None)
            if self.reported.get(name) == value:
                self.pending.pop(name, None)
            else:
                self.pending[name] = value
        return self.rev

    def needs_delivery(self, config_rev: int) -> bool:
        """Take the revision that the camera says it has; returns whether it needs another."""
        if config_rev == self.rev:
            self.reported_rev = config_rev
            self.reported.update(self.desired)
            self.pending.clear()
            return False
        if config_rev > self.rev:
            # The camera remembers more than this side (a restored backup): overtake it.
            self.rev = config_rev + 1
        self.reported_rev = config_rev
        return True

    def acknowledge(self, ack: ConfigAck) -> bool:
        """Take the camera's answer; returns False when no such revision was sent."""
        if ack.rev > self.rev:
            return False
        applied = _sane(ack.applied, self.caps)
        self.reported.update(applied)
        self.reported_rev = ack.rev
        if ack.rev < self.rev:
            return True
        for name in keys_for(self.caps):
            if name in ack.rejected:
                # The camera keeps what it had: insisting would ask again at every wake.
                if name in self.pending or name not in self.rejected:
                    self.rejected[name] = ack.rejected[name]
                self.desired[name] = self.reported.get(
                    name, CONFIG_KEYS[name].default_for(self.caps)
                )
            elif name in applied and applied[name] != self.desired[name]:
                self.rejected[name] = f"set to {applied[name]}"
                self.desired[name] = applied[name]
        self.reported.update(self.desired)
        self.pending.clear()
        return True

    def merge(self, changes: Mapping[str, Any]) -> int:
        """Take settings changed at the camera; a pending value of the same key stays.

        Returns the revision of the merged settings; raises ConfigError.
        """
        keys = keys_for(self.caps)
        known = {name: value for name, value in changes.items() if name in keys}
        values = validate(known, self.caps)
        self.reported.update(values)
        changed = {
            name: value
            for name, value in values.items()
            if name not in self.pending and value != self.desired[name]
        }
        if changed:
            self.rev += 1
            self.desired.update(changed)
            for name in changed:
                self.rejected.pop(name, None)
        return self.rev

    def as_dict(self) -> dict[str, Any]:
        """Return what survives a restart."""
        return {
            "rev": self.rev,
            "wanted": dict(self.desired),
            "reported": dict(self.reported),
            "reported_rev": self.reported_rev,
            "pending": list(self.pending),
            "rejected": dict(self.rejected),
        }

    @classmethod
    def from_dict(cls, data: object, caps: Caps) -> Self:
        """Read it back; whatever is broken becomes the default."""
        if not isinstance(data, dict):
            return cls(caps)
        rev, reported_rev = data.get("rev"), data.get("reported_rev")
        pending, rejected = data.get("pending"), data.get("rejected")
        configuration = cls(
            caps,
            desired=_sane(data.get("wanted"), caps),
            rev=rev if isinstance(rev, int) and rev > 0 else 1,
            reported=_sane(data.get("reported"), caps),
            reported_rev=reported_rev if isinstance(reported_rev, int) else None,
        )
        if isinstance(pending, list):
            configuration.pending = {
                name: configuration.desired[name]
                for name in keys_for(caps)
                if name in pending
            }
        if isinstance(rejected, dict):
            configuration.rejected = {
                name: str(rejected[name]) for name in keys_for(caps) if name in rejected
            }
        return configuration
