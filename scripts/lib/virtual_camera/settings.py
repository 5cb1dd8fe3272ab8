"""A camera's configuration: keys, bounds, what it starts with."""

from collections.abc import Mapping
import re
from typing import Any

type Rule = type[bool] | range | tuple[str, ...] | re.Pattern[str]

LEVEL = range(-2, 3)

RULES: dict[str, Rule] = {
    "resolution": ("QVGA", "VGA", "SVGA", "XGA", "HD", "SXGA", "UXGA"),
    "framerate": range(1, 26),
    "jpeg_quality": range(4, 64),
    "stream_duration_s": range(3, 301),
    "max_event_s": range(10, 601),
    "motion_enabled": bool,
    "pre_roll": bool,
    "heartbeat_interval_s": range(60, 86401),
    "power_mode": ("battery", "always_on"),
    "flash": ("off", "motion", "on"),
    "vflip": bool,
    "hmirror": bool,
    "brightness": LEVEL,
    "contrast": LEVEL,
    "saturation": LEVEL,
    "exposure": LEVEL,
    "night_mode": bool,
    "checkin_picture": bool,
    "confirm_motion": bool,
    "confirm_sensitivity": range(1, 11),
    "ignore_grid": re.compile("[0-9a-f]{48}"),
}
# Keys that a camera knows only with a feature.
FEATURES = {
    "checkin_picture": "checkin_picture",
    "confirm_motion": "confirm_motion",
    "confirm_sensitivity": "confirm_motion",
    "ignore_grid": "confirm_motion",
}

DEFAULTS: dict[str, Any] = {
    "resolution": "SVGA",
    "framerate": 10,
    "jpeg_quality": 12,
    "stream_duration_s": 30,
    "max_event_s": 120,
    "motion_enabled": True,
    "pre_roll": True,
    "heartbeat_interval_s": 3600,
    "power_mode": "battery",
    "flash": "off",
    "vflip": False,
    "hmirror": False,
    "brightness": 0,
    "contrast": 0,
    "saturation": 0,
    "exposure": 0,
    "night_mode": False,
    "checkin_picture": False,
    "confirm_motion": False,
    "confirm_sensitivity": 5,
    "ignore_grid": "0" * 48,
}


def why_not(key: str, value: object, caps: Mapping[str, Any]) -> str | None:
    """Return why a setting cannot be applied, or None when it can."""
    rule = RULES.get(key)
    feature = FEATURES.get(key)
    if rule is None or (feature and feature not in caps.get("features", ())):
        return "unknown_key"
    if rule is bool:
        return None if isinstance(value, bool) else "wrong_type"
    if isinstance(rule, range):
        if not isinstance(value, int) or isinstance(value, bool):
            return "wrong_type"
        return None if value in rule else "out_of_range"
    if not isinstance(value, str):
        return "wrong_type"
    if isinstance(rule, re.Pattern):
        return None if rule.fullmatch(value) else "out_of_range"
    if value not in rule:
        return "unknown_value"
    if key == "resolution" and value not in caps.get("resolutions", ()):
        return "not_supported"
    if key == "flash" and value != "off" and not caps.get("flash"):
        return "not_supported"
    return None


def sort_out(
    wanted: Mapping[str, Any], caps: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of a `config` that can be applied, and reasons for the others."""
    applied: dict[str, Any] = {}
    rejected: dict[str, str] = {}
    for key, value in wanted.items():
        if key in ("type", "rev"):
            continue
        if reason := why_not(key, value, caps):
            rejected[key] = reason
        else:
            applied[key] = value
    return applied, rejected
