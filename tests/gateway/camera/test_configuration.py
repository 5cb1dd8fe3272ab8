"""The table of configuration keys and the configuration."""

from dataclasses import replace
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.gateway.camera.configuration import (
    CONFIG_KEYS,
    ConfigError,
    Configuration,
    validate,
)
from custom_components.magicpi_nvr.gateway.messages import Caps, ConfigAck
from tests.harness.gateway import CAPS

FULL = Caps.from_dict(CAPS)
BARE = Caps(resolutions=("VGA", "QVGA"))


def test_defaults() -> None:
    """The protocol's section 6."""
    assert Configuration(FULL).message() == {
        "rev": 1,
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
    }
    bare = Configuration(BARE)
    assert bare.desired["resolution"] == "VGA"
    assert bare.desired["power_mode"] == "always_on"


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("resolution", ["QVGA", "UXGA"], ["8K", 5, None]),
        ("framerate", [1, 25], [0, 26, 10.0, "10", True]),
        ("jpeg_quality", [4, 63], [3, 64]),
        ("stream_duration_s", [3, 300], [2, 301]),
        ("max_event_s", [10, 600], [9, 601]),
        ("heartbeat_interval_s", [60, 86400], [59, 86401]),
        ("power_mode", ["battery", "always_on"], ["solar"]),
        ("flash", ["off", "motion", "on"], ["blink", False]),
        ("brightness", [-2, 2], [-3, 3]),
        ("exposure", [-2, 2], [-3, 3]),
        ("night_mode", [True, False], [0, "auto"]),
        ("pre_roll", [True, False], [1]),
    ],
)
def test_values(key: str, good: list[Any], bad: list[Any]) -> None:
    """Limits are inside."""
    for value in good:
        assert validate({key: value}, FULL) == {key: value}
    for value in bad:
        with pytest.raises(ConfigError) as raised:
            validate({key: value}, FULL)
        assert set(raised.value.errors) == {key}


def test_caps_narrow() -> None:
    """What the camera has not can't be set."""
    for key, value in (
        ("resolution", "UXGA"),
        ("flash", "on"),
        ("power_mode", "battery"),
    ):
        with pytest.raises(ConfigError, match="not_supported"):
            validate({key: value}, BARE)
    with pytest.raises(ConfigError, match="unknown_key"):
        validate({"rev": 5}, FULL)
    assert CONFIG_KEYS["resolution"].options_for(BARE) == ("QVGA", "VGA")
    # A camera with a size of its own still has one to choose.
    assert CONFIG_KEYS["resolution"].options_for(Caps(resolutions=("5MP",))) == ("5MP",)


def test_desired_value_is_pending_until_reported() -> None:
    """Set, delivered, applied."""
    configuration = Configuration(FULL)
    assert not configuration.needs_delivery(1)
    assert configuration.set({"vflip": True, "framerate": 10}) == 2
    assert configuration.pending == {"vflip": True}
    assert configuration.effective("vflip") is False
    assert configuration.needs_delivery(1)
    assert configuration.acknowledge(ConfigAck(rev=2, applied={"vflip": True}))
    assert configuration.pending == {}
    assert configuration.effective("vflip") is True
    assert configuration.reported_rev == 2
    assert configuration.set({"vflip": True}) == 2


def test_confirmation_by_hello() -> None:
    """A lost ack is made up for by the revision in the next hello."""
    configuration = Configuration(FULL)
    configuration.set({"vflip": True})
    assert not configuration.needs_delivery(2)
    assert configuration.pending == {}
    assert configuration.effective("vflip") is True


def test_wish_taken_back() -> None:
    """What is as before is no longer pending, but is delivered all the same."""
    configuration = Configuration(FULL)
    configuration.needs_delivery(1)
    configuration.set({"vflip": True})
    assert configuration.set({"vflip": False}) == 3
    assert configuration.pending == {}


def test_rejection() -> None:
    """The reason stays, the desired value goes back to the reported one."""
    configuration = Configuration(FULL)
    configuration.needs_delivery(1)
    configuration.set({"flash": "on", "vflip": True})
    configuration.acknowledge(
        ConfigAck(rev=2, applied={"vflip": True}, rejected={"flash": "no LED"})
    )
    assert configuration.rejected == {"flash": "no LED"}
    assert configuration.pending == {}
    assert configuration.desired["flash"] == "off"
    assert configuration.desired["vflip"] is True
    assert not configuration.needs_delivery(2)
    # Set again, it is pending again, and the old reason is gone.
    assert configuration.set({"flash": "on"}) == 3
    assert configuration.rejected == {}


def test_other_value_applied() -> None:
    """A camera that clamps has the last word, and it is said."""
    configuration = Configuration(FULL)
    configuration.set({"framerate": 25})
    configuration.acknowledge(ConfigAck(rev=2, applied={"framerate": 15}))
    assert configuration.desired["framerate"] == 15
    assert configuration.rejected == {"framerate": "set to 15"}


def test_acks_of_other_revisions() -> None:
    """An older one only reports, one from the future is refused."""
    configuration = Configuration(FULL)
    configuration.needs_delivery(1)
    configuration.set({"vflip": True})
    configuration.set({"hmirror": True})
    assert configuration.acknowledge(ConfigAck(rev=2, applied={"vflip": True}))
    assert configuration.pending == {"vflip": True, "hmirror": True}
    assert configuration.effective("vflip") is True
    assert not configuration.acknowledge(ConfigAck(rev=9, applied={"hmirror": True}))
    assert configuration.effective("hmirror") is False


def test_nonsense_in_an_ack() -> None:
    """Unknown keys and bad values are nothing a camera has."""
    configuration = Configuration(FULL)
    configuration.acknowledge(
        ConfigAck(rev=1, applied={"framerate": 99, "x": 1}, rejected={"y": "z"})
    )
    assert configuration.effective("framerate") == 10
    assert configuration.rejected == {}


def test_camera_ahead() -> None:
    """A gateway from a backup overtakes its camera."""
    configuration = Configuration(FULL)
    assert configuration.needs_delivery(9)
    assert configuration.rev == 10


def test_merge() -> None:
    """The camera's change wins, except over a desired value that is pending."""
    configuration = Configuration(FULL)
    configuration.set({"framerate": 5})
    assert configuration.merge({"framerate": 20, "vflip": True, "other": 1}) == 3
    assert configuration.desired["framerate"] == 5
    assert configuration.desired["vflip"] is True
    assert configuration.pending == {"framerate": 5}
    assert configuration.effective("framerate") == 20
    assert configuration.merge({"vflip": True}) == 3
    with pytest.raises(ConfigError):
        configuration.merge({"vflip": "yes"})


def test_new_caps() -> None:
    """A camera that can less wants less."""
    configuration = Configuration(FULL)
    configuration.set({"resolution": "UXGA", "flash": "on"})
    configuration.update_caps(BARE)
    assert configuration.desired["resolution"] == "VGA"
    assert configuration.desired["flash"] == "off"


VALUES = st.one_of(st.booleans(), st.integers(-5, 100), st.text(max_size=4), st.none())
CHANGES = st.dictionaries(
    st.sampled_from([*CONFIG_KEYS, "other"]),
    st.one_of(VALUES, st.sampled_from(["SVGA", "battery", "on"])),
    max_size=4,
)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), CHANGES),
            st.tuples(st.just("merge"), CHANGES),
            st.tuples(st.just("hello"), st.integers(0, 6)),
            st.tuples(st.just("ack"), st.tuples(st.integers(0, 6), CHANGES, CHANGES)),
        ),
        max_size=12,
    )
)
def test_any_history(steps: list[tuple[str, Any]]) -> None:
    """Whatever comes: desired values are valid, revisions rise, storage gives the same back."""
    configuration = Configuration(FULL)
    for kind, value in steps:
        before = configuration.rev
        try:
            if kind == "set":
                configuration.set(value)
            elif kind == "merge":
                configuration.merge(value)
            elif kind == "hello":
                configuration.needs_delivery(value)
            else:
                rev, applied, rejected = value
                reasons = {key: str(reason) for key, reason in rejected.items()}
                configuration.acknowledge(
                    ConfigAck(rev=rev, applied=applied, rejected=reasons)
                )
        except ConfigError:
            assert configuration.rev == before
        assert configuration.rev >= before
        assert validate(configuration.desired, FULL) == configuration.desired
        assert configuration.pending.items() <= configuration.desired.items()
        stored = json.loads(json.dumps(configuration.as_dict()))
        assert Configuration.from_dict(stored, FULL) == configuration


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rev", "wanted", "reported", "pending", "rejected", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_storage(data: object) -> None:
    """A broken file gives defaults."""
    configuration = Configuration.from_dict(data, FULL)
    assert validate(configuration.desired, FULL) == configuration.desired
    assert configuration.rev >= 1


def test_keys_of_features() -> None:
    """A camera gets the keys of the features that it lists, and keeps nothing of what it lost."""
    newer = replace(FULL, features=("confirm_motion",))
    configuration = Configuration(newer)
    message = configuration.message()
    assert message["confirm_motion"] is False
    assert message["ignore_grid"] == "0" * 48
    assert "checkin_picture" not in message
    with pytest.raises(ConfigError):
        configuration.set({"checkin_picture": True})
    for bad in ("0" * 47, "g" * 48, "F" * 48, 0, None):
        with pytest.raises(ConfigError):
            configuration.set({"ignore_grid": bad})
    configuration.set({"ignore_grid": "f" * 48, "confirm_sensitivity": 10})
    stored = json.loads(json.dumps(configuration.as_dict()))
    assert Configuration.from_dict(stored, newer).desired["ignore_grid"] == "f" * 48

    configuration.update_caps(FULL)
    assert configuration.message().keys() == Configuration(FULL).message().keys()
    assert "ignore_grid" not in configuration.pending
    assert configuration.merge({"ignore_grid": "0" * 48}) == configuration.rev
    assert Configuration.from_dict(stored, FULL).message().keys() == (
        Configuration(FULL).message().keys()
    )
