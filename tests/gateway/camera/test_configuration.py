"""The table of configuration keys and the mailbox."""

import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.magicpi_nvr.gateway.camera.configuration import (
    CONFIG_KEYS,
    ConfigError,
    Mailbox,
    validate,
)
from custom_components.magicpi_nvr.gateway.protocol import Caps, ConfigAck
from tests.gateway.support import CAPS

FULL = Caps.from_dict(CAPS)
BARE = Caps(resolutions=("VGA", "QVGA"))


def test_defaults() -> None:
    """The protocol's section 6."""
    assert Mailbox(FULL).message() == {
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
    bare = Mailbox(BARE)
    assert bare.wanted["resolution"] == "VGA"
    assert bare.wanted["power_mode"] == "always_on"


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


def test_wish_is_pending_until_confirmed() -> None:
    """Set, delivered, applied."""
    mailbox = Mailbox(FULL)
    assert not mailbox.needs_delivery(1)
    assert mailbox.set({"vflip": True, "framerate": 10}) == 2
    assert mailbox.pending == {"vflip": True}
    assert mailbox.effective("vflip") is False
    assert mailbox.needs_delivery(1)
    assert mailbox.acknowledge(ConfigAck(rev=2, applied={"vflip": True}))
    assert mailbox.pending == {}
    assert mailbox.effective("vflip") is True
    assert mailbox.reported_rev == 2
    assert mailbox.set({"vflip": True}) == 2


def test_confirmation_by_hello() -> None:
    """A lost ack is made up for by the revision in the next hello."""
    mailbox = Mailbox(FULL)
    mailbox.set({"vflip": True})
    assert not mailbox.needs_delivery(2)
    assert mailbox.pending == {}
    assert mailbox.effective("vflip") is True


def test_wish_taken_back() -> None:
    """What is as before is no longer pending, but is delivered all the same."""
    mailbox = Mailbox(FULL)
    mailbox.needs_delivery(1)
    mailbox.set({"vflip": True})
    assert mailbox.set({"vflip": False}) == 3
    assert mailbox.pending == {}


def test_rejection() -> None:
    """The reason stays, the wish goes back to what the camera has."""
    mailbox = Mailbox(FULL)
    mailbox.needs_delivery(1)
    mailbox.set({"flash": "on", "vflip": True})
    mailbox.acknowledge(
        ConfigAck(rev=2, applied={"vflip": True}, rejected={"flash": "no LED"})
    )
    assert mailbox.rejected == {"flash": "no LED"}
    assert mailbox.pending == {}
    assert mailbox.wanted["flash"] == "off"
    assert mailbox.wanted["vflip"] is True
    assert not mailbox.needs_delivery(2)
    # Asked again, it is asked for anew, and the old reason is gone.
    assert mailbox.set({"flash": "on"}) == 3
    assert mailbox.rejected == {}


def test_other_value_applied() -> None:
    """A camera that clamps has the last word, and it is said."""
    mailbox = Mailbox(FULL)
    mailbox.set({"framerate": 25})
    mailbox.acknowledge(ConfigAck(rev=2, applied={"framerate": 15}))
    assert mailbox.wanted["framerate"] == 15
    assert mailbox.rejected == {"framerate": "set to 15"}


def test_acks_of_other_revisions() -> None:
    """An older one only reports, one from the future is refused."""
    mailbox = Mailbox(FULL)
    mailbox.needs_delivery(1)
    mailbox.set({"vflip": True})
    mailbox.set({"hmirror": True})
    assert mailbox.acknowledge(ConfigAck(rev=2, applied={"vflip": True}))
    assert mailbox.pending == {"vflip": True, "hmirror": True}
    assert mailbox.effective("vflip") is True
    assert not mailbox.acknowledge(ConfigAck(rev=9, applied={"hmirror": True}))
    assert mailbox.effective("hmirror") is False


def test_nonsense_in_an_ack() -> None:
    """Unknown keys and bad values are nothing a camera has."""
    mailbox = Mailbox(FULL)
    mailbox.acknowledge(
        ConfigAck(rev=1, applied={"framerate": 99, "x": 1}, rejected={"y": "z"})
    )
    assert mailbox.effective("framerate") == 10
    assert mailbox.rejected == {}


def test_camera_ahead() -> None:
    """A gateway from a backup overtakes its camera."""
    mailbox = Mailbox(FULL)
    assert mailbox.needs_delivery(9)
    assert mailbox.rev == 10


def test_merge() -> None:
    """The camera's change wins, except over a wish that waits."""
    mailbox = Mailbox(FULL)
    mailbox.set({"framerate": 5})
    assert mailbox.merge({"framerate": 20, "vflip": True, "other": 1}) == 3
    assert mailbox.wanted["framerate"] == 5
    assert mailbox.wanted["vflip"] is True
    assert mailbox.pending == {"framerate": 5}
    assert mailbox.effective("framerate") == 20
    assert mailbox.merge({"vflip": True}) == 3
    with pytest.raises(ConfigError):
        mailbox.merge({"vflip": "yes"})


def test_new_caps() -> None:
    """A camera that can less wants less."""
    mailbox = Mailbox(FULL)
    mailbox.set({"resolution": "UXGA", "flash": "on"})
    mailbox.update_caps(BARE)
    assert mailbox.wanted["resolution"] == "VGA"
    assert mailbox.wanted["flash"] == "off"


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
    """Whatever comes: wishes are valid, revisions rise, storage gives the same back."""
    mailbox = Mailbox(FULL)
    for kind, value in steps:
        before = mailbox.rev
        try:
            if kind == "set":
                mailbox.set(value)
            elif kind == "merge":
                mailbox.merge(value)
            elif kind == "hello":
                mailbox.needs_delivery(value)
            else:
                rev, applied, rejected = value
                reasons = {key: str(reason) for key, reason in rejected.items()}
                mailbox.acknowledge(
                    ConfigAck(rev=rev, applied=applied, rejected=reasons)
                )
        except ConfigError:
            assert mailbox.rev == before
        assert mailbox.rev >= before
        assert validate(mailbox.wanted, FULL) == mailbox.wanted
        assert mailbox.pending.items() <= mailbox.wanted.items()
        stored = json.loads(json.dumps(mailbox.as_dict()))
        assert Mailbox.from_dict(stored, FULL) == mailbox


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
    mailbox = Mailbox.from_dict(data, FULL)
    assert validate(mailbox.wanted, FULL) == mailbox.wanted
    assert mailbox.rev >= 1
