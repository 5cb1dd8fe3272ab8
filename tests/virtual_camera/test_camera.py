"""A registered camera: motion, frames, sleep, settings, commands, bad networks."""

import asyncio
from base64 import b64encode
from collections import Counter
from hashlib import sha256
import itertools
from pathlib import Path
import secrets
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
import pytest

from virtual_camera import (
    GeneratedSource,
    LifeEvent,
    LoopSource,
    VirtualCamera,
    make_picture,
)

from .conftest import Claimed, MakeCamera
from .stand_in import StandIn, to_base64url

PRE_ROLL, STILL, LAST, WARMING_UP, LOST_BEFORE = 1, 2, 4, 8, 16


def assert_all_arrived(gateway: StandIn, camera: VirtualCamera) -> None:
    """Check that the gateway has what the camera sent, each frame once."""
    sent = [(frame.boot, frame.seq, frame.t) for frame in camera.sent_frames]
    got = [(frame.boot, frame.seq, frame.t) for frame in gateway.frames]
    assert sorted(got) == sorted(sent)
    assert len(sent) == camera.counters.captured
    assert camera.counters.lost == 0


async def one_event(
    camera: VirtualCamera, seconds: float = 0.4, *, mark: int | None = None
) -> None:
    """Let the camera see something and wait until all of it is safe."""
    mark = camera.mark() if mark is None else mark
    camera.trigger_motion(seconds)
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked()


async def test_hello(gateway: StandIn, claimed: Claimed) -> None:
    """The hello has every field of the protocol."""
    camera = await claimed(battery_pct=81)
    (hello,) = gateway.hellos
    assert set(hello) == {
        *("type", "proto", "id", "fw", "model", "boot", "reason", "uptime_ms", "rssi"),
        *("battery_mv", "battery_pct", "heap", "config_rev", "timing", "backlog"),
        *("lost", "features", "charging"),
    }
    assert hello["proto"] == 1
    assert hello["id"] == camera.id
    assert hello["reason"] == "power"
    assert hello["config_rev"] == 1
    assert hello["battery_pct"] == 81
    assert 0 <= hello["boot"] < 1 << 32
    assert hello["rssi"] < 0
    assert set(hello["timing"]) == {"wifi_ms", "tls_ms", "first_frame_ms"}


async def test_mains_power(gateway: StandIn, claimed: Claimed) -> None:
    """A camera on mains has no battery to speak of and does not sleep."""
    camera = await claimed(always_on=True, battery_pct=None, heartbeat_s=0.1)
    assert not any(key.startswith("battery") for key in gateway.hellos[0])
    assert gateway.registrations[0]["caps"]["sleep"] is False
    beat = await gateway.wait_for("heartbeat", 3)
    assert set(beat) >= {"uptime_ms", "rssi", "heap", "backlog"}
    assert "battery_mv" not in beat
    await one_event(camera)
    await camera.wait_state("awake")
    await gateway.say(camera.id, "config", rev=2, power_mode="battery")
    ack = await gateway.wait_for("config_ack")
    assert ack["rejected"] == {"power_mode": "not_supported"}
    assert camera.counters.boots == 1


async def test_event(gateway: StandIn, claimed: Claimed) -> None:
    """An event comes as motion, frames in order, the last one marked, and its end."""
    camera = await claimed(source=GeneratedSource(), settings={"resolution": "VGA"})
    await one_event(camera)
    await gateway.wait_for("event_end")
    frames = gateway.frames
    assert [frame.seq for frame in frames] == [*range(1, len(frames) + 1)]
    assert {frame.event for frame in frames} == {1}
    assert [bool(frame.flags & LAST) for frame in frames] == [
        *[False] * (len(frames) - 1),
        True,
    ]
    assert [frame.seq for frame in frames if frame.flags & WARMING_UP] == [1, 2, 3]
    assert all(a.t < b.t for a, b in itertools.pairwise(frames))
    assert_all_arrived(gateway, camera)
    on, off = gateway.of("motion")
    assert (on["event"], on["active"], on["source"]) == (1, True, "pir")
    assert (off["event"], off["active"]) == (1, False)
    assert on["frames_before"] == 0
    assert 0 < off["frames_before"] < len(frames)
    (end,) = gateway.of("event_end")
    assert (end["event"], end["frames"], end["lost"]) == (1, len(frames), 0)
    assert end["frames_before"] == len(frames)


async def test_sleep_and_pre_roll(gateway: StandIn, claimed: Claimed) -> None:
    """Motion wakes a sleeping camera, and what it saw before the link was up comes first."""
    camera = await claimed(wifi_s=0.4)
    await camera.wait_state("asleep")
    bye = await gateway.wait_for("bye")
    assert bye["reason"] == "sleep"
    assert camera.counters.closes == {1000: 1}
    await one_event(camera, 0.8)
    hello = gateway.hellos[-1]
    assert hello["reason"] == "pir"
    assert hello["boot"] != gateway.hellos[0]["boot"]
    assert hello["backlog"] >= 2
    flags = [frame.flags & PRE_ROLL for frame in gateway.frames]
    before = flags.count(PRE_ROLL)
    assert 2 <= before < len(flags)
    assert flags == sorted(flags, reverse=True)
    assert gateway.frames[0].t < 200
    assert gateway.of("motion")[0]["t"] <= gateway.frames[0].t
    assert_all_arrived(gateway, camera)
    await camera.wait_state("asleep")


async def test_motion_while_falling_asleep(gateway: StandIn, claimed: Claimed) -> None:
    """What moves between goodbye and sleep wakes the camera at once."""
    camera = await claimed()

    def move(event: LifeEvent) -> None:
        if event.name == "bye" and camera.counters.events == 0:
            camera.trigger_motion(0.3)

    camera.subscribe(move)
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    assert gateway.hellos[-1]["reason"] == "pir"
    assert_all_arrived(gateway, camera)


async def test_pre_roll_switched_off(gateway: StandIn, claimed: Claimed) -> None:
    """Without pre-roll nothing is captured before the link is up."""
    gateway.config = {"rev": 1, "pre_roll": False}
    camera = await claimed(wifi_s=0.3)
    await camera.wait_state("asleep")
    await one_event(camera, 0.8)
    assert gateway.frames
    assert not any(frame.flags & PRE_ROLL for frame in gateway.frames)


async def test_timer_wakes(gateway: StandIn, claimed: Claimed) -> None:
    """The camera checks in by its timer, the time factor shortens the interval it tells."""
    gateway.config = {"rev": 1, "heartbeat_interval_s": 60}
    camera = await claimed(time_factor=600)
    await gateway.wait(lambda: len(gateway.hellos) == 3)
    assert [hello["reason"] for hello in gateway.hellos] == ["power", "timer", "timer"]
    assert len({hello["boot"] for hello in gateway.hellos}) == 3
    assert gateway.of("bye")[0]["next_wake_s"] == 1
    # A camera that has been here before resumes its TLS session.
    assert camera.counters.resumed_sessions == 2
    assert gateway.tls_versions == {"TLSv1.2"}


async def test_motion_switched_off(gateway: StandIn, claimed: Claimed) -> None:
    """A camera that shall not see motion does not."""
    camera = await claimed()
    await gateway.say(camera.id, "config", rev=2, motion_enabled=False)
    await gateway.wait_for("config_ack")
    await camera.wait_state("asleep")
    camera.trigger_motion(1)
    assert camera.counters.motion_ignored == 1
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert gateway.hellos[-1]["reason"] == "button"
    assert gateway.of("motion") == []


async def test_motion_again_in_the_tail(gateway: StandIn, claimed: Claimed) -> None:
    """Motion that comes back while the event still runs prolongs it."""
    camera = await claimed(tail_s=1)
    camera.trigger_motion(0.2)
    await gateway.wait_for("motion", 2)
    camera.trigger_motion(0.2)
    await camera.wait_event("event_ended")
    await gateway.wait_for("event_end")
    assert [message["active"] for message in gateway.of("motion")] == [
        *(True, False, True, False)
    ]
    assert {message["event"] for message in gateway.of("motion")} == {1}
    await camera.wait_state("asleep")
    await one_event(camera, 0.2)
    assert camera.counters.events == 2


async def test_motion_sensor_that_stays_on(
    gateway: StandIn, make_camera: MakeCamera
) -> None:
    """An event ends at its limit, and a sensor that stays on is not believed until it was off."""
    camera = make_camera()
    camera.flash.config["max_event_s"] = 1
    await camera.start()
    await gateway.claim(camera)
    await camera.wait_event("welcome")
    camera.trigger_motion(3)
    await camera.wait_event("event_ended")
    await camera.wait_state("asleep")
    assert camera.sensor.pir_active
    log = await gateway.wait_for("log")
    assert log["level"] == "warning"
    assert len(gateway.of("event_end")) == 1
    assert gateway.frames[-1].t - gateway.frames[0].t <= 1000


async def test_settings(gateway: StandIn, claimed: Claimed) -> None:
    """Settings are applied or rejected with a reason, and the revision is kept."""
    camera = await claimed()
    await gateway.say(
        camera.id,
        "config",
        rev=7,
        framerate=20,
        jpeg_quality=3,
        resolution="8K",
        vflip="yes",
        brightness=-2,
        flash="motion",
        shutter=1,
        max_event_s=True,
    )
    ack = await gateway.wait_for("config_ack")
    assert ack["rev"] == 7
    assert ack["applied"] == {"framerate": 20, "brightness": -2, "flash": "motion"}
    assert ack["rejected"] == {
        "jpeg_quality": "out_of_range",
        "resolution": "unknown_value",
        "vflip": "wrong_type",
        "shutter": "unknown_key",
        "max_event_s": "wrong_type",
    }
    assert camera.config["framerate"] == 20
    assert camera.config["jpeg_quality"] == 12
    gateway.welcome_config = {"rev": 8, "night_mode": True}
    await camera.wait_state("asleep")
    camera.press_button()
    await gateway.wait_for("config_ack", 2)
    assert gateway.hellos[-1]["config_rev"] == 7
    assert camera.config["night_mode"] is True
    assert camera.flash.config_rev == 8


async def test_settings_changed_at_the_camera(
    gateway: StandIn, claimed: Claimed
) -> None:
    """What is set at the camera is reported, and the merged settings are taken."""
    camera = await claimed(always_on=True)
    assert gateway.config
    gateway.config["contrast"] = 2
    merged = await camera.change_settings(brightness=1)
    assert merged["brightness"] == 1
    assert merged["contrast"] == 2
    assert camera.flash.config_rev == 2
    assert (await gateway.wait_for("config_ack"))["rev"] == 2


async def test_live(gateway: StandIn, claimed: Claimed) -> None:
    """Live pictures belong to no event, follow the frame rate and end when asked to."""
    camera = await claimed()
    await gateway.command(camera.id, "stream_start", number=5)
    result = await gateway.wait_for("result")
    assert (result["id"], result["ok"]) == (5, True)
    await gateway.wait(lambda: len(gateway.frames) >= 5)
    assert {frame.event for frame in gateway.frames} == {0}
    assert camera.state == "streaming"
    await gateway.command(camera.id, "stream_stop", number=6)
    await gateway.wait_for("result", 2)
    await camera.wait_state("asleep")
    assert gateway.of("event_end") == []
    assert_all_arrived(gateway, camera)


async def test_snapshot(gateway: StandIn, claimed: Claimed) -> None:
    """A snapshot's picture comes before its result."""
    camera = await claimed()
    await gateway.command(camera.id, "snapshot", number=3)
    result = await gateway.wait_for("result")
    assert (result["id"], result["ok"], result["frames_before"]) == (3, True, 1)
    (still,) = gateway.frames
    assert still.flags & STILL
    assert not still.flags & WARMING_UP
    assert still.event == 0


async def test_unknown_words_are_ignored(gateway: StandIn, claimed: Claimed) -> None:
    """Unknown types and fields are ignored, an unknown command is answered."""
    camera = await claimed(always_on=True)
    socket = gateway.sockets[camera.id]
    await socket.send_json({"type": "song", "title": "none"})
    await socket.send_str("no json")
    await socket.send_str("[1]")
    await socket.send_bytes(b"bytes")
    await socket.send_json({"type": "ack", "boot": 1, "seq": 99, "more": 1})
    await socket.send_json({"type": "command", "id": 1, "name": "dance"})
    result = await gateway.wait_for("result")
    assert result == result | {"id": 1, "ok": False, "error": "unknown_command"}
    await gateway.command(camera.id, "identify", number=2)
    assert (await gateway.wait_for("result", 2))["ok"] is True
    await camera.wait_event("identified")
    assert camera.counters.connects == 1


@pytest.mark.parametrize("always_on", [False, True])
async def test_restart_and_sleep_commands(
    gateway: StandIn, claimed: Claimed, always_on: bool
) -> None:
    """A restart is a new boot at once, sleep is obeyed even on mains power."""
    camera = await claimed(always_on=always_on, time_factor=1, linger_s=0.1)
    gateway.stay_awake_s = 60
    await gateway.command(camera.id, "restart")
    assert (await gateway.wait_for("bye"))["reason"] == "restart"
    await gateway.wait(lambda: len(gateway.hellos) == 2)
    first, second = gateway.hellos
    assert first["boot"] != second["boot"]
    assert (await gateway.wait_for("result"))["ok"] is True
    await gateway.command(camera.id, "sleep", number=2)
    await camera.wait_state("asleep")
    assert gateway.of("bye")[-1] == gateway.of("bye")[-1] | {
        "reason": "sleep",
        "next_wake_s": 3600,
    }


async def test_stays_awake_when_asked(gateway: StandIn, claimed: Claimed) -> None:
    """A welcome may hold the camera awake."""
    gateway.stay_awake_s = 2
    camera = await claimed()
    with pytest.raises(TimeoutError, match="asleep did not come"):
        await camera.wait_state("asleep", timeout=1)
    await camera.wait_state("asleep")


async def test_rekey(gateway: StandIn, claimed: Claimed) -> None:
    """A new key is used from the next connection on, the old one while that is refused."""
    camera = await claimed()
    old, new = gateway.keys[camera.id], to_base64url(secrets.token_bytes(32))
    await gateway.command(camera.id, "rekey", {"api_key": "short"})
    assert (await gateway.wait_for("result"))["error"] == "bad_key"
    await gateway.command(camera.id, "rekey", {"api_key": new}, number=2)
    assert (await gateway.wait_for("result", 2))["ok"] is True
    await camera.wait_state("asleep")
    # The gateway forgot the new key, say, because it was restored from a backup.
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert (camera.flash.api_key, camera.flash.next_api_key) == (old, new)
    await camera.wait_state("asleep")
    gateway.keys[camera.id] = new
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert (camera.flash.api_key, camera.flash.next_api_key) == (new, None)


@pytest.mark.parametrize("how", ["command", "4003", "button"])
async def test_forget(gateway: StandIn, claimed: Claimed, how: str) -> None:
    """A camera that is forgotten opens setup mode and can be claimed again."""
    camera = await claimed(always_on=True)
    await one_event(camera)
    mark = camera.mark()
    if how == "command":
        await gateway.command(camera.id, "forget")
    elif how == "4003":
        await gateway.sockets[camera.id].close(code=4003)
    else:
        camera.factory_reset()
    await camera.wait_event("setup_opened", after=mark)
    assert camera.flash.api_key is None
    mark = camera.mark()
    assert await gateway.claim(camera) == 204
    await camera.wait_event("welcome", after=mark)


async def test_refused_key(gateway: StandIn, claimed: Claimed) -> None:
    """A refused key does not open setup mode; the camera sleeps and tries again."""
    camera = await claimed()
    await camera.wait_state("asleep")
    key = gateway.keys.pop(camera.id)
    mark = camera.mark()
    camera.press_button()
    assert (await camera.wait_event("refused", after=mark)).data["status"] == 401
    await camera.wait_state("asleep")
    assert camera.setup_port == 0
    gateway.keys[camera.id] = key
    mark = camera.mark()
    await one_event(camera)
    await camera.wait_event("welcome", after=mark)


async def test_gateway_with_another_name(gateway: StandIn, claimed: Claimed) -> None:
    """A registered camera checks the certificate's name at every connection."""
    camera = await claimed()
    await camera.wait_state("asleep")
    camera.flash.bundle["gateway"]["name"] = "other.magicpi.internal"
    camera.press_button()
    failed = await camera.wait_event("unreachable")
    assert failed.data["error"] == "SSLCertVerificationError"
    assert len(gateway.hellos) == 1


async def test_busy_gateway(gateway: StandIn, claimed: Claimed) -> None:
    """429 and 503 are tried again, and what was captured meanwhile is sent."""
    camera = await claimed()
    await camera.wait_state("asleep")
    gateway.upgrade_status = [503, 429, 503]
    await one_event(camera)
    assert camera.counters.failed_connects == 3
    assert_all_arrived(gateway, camera)


# -- bad networks


async def test_cut_in_the_middle_of_a_frame(gateway: StandIn, claimed: Claimed) -> None:
    """A frame cut in half, and all after it, is sent again on the next link, once."""
    camera = await claimed(always_on=True, settings={"framerate": 25})
    camera.trigger_motion(1.5)
    await gateway.wait(lambda: len(gateway.frames) >= 5)
    camera.cut_link(after_bytes=4000)
    await camera.wait_event("closed")
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    await gateway.wait_for("event_end")
    assert len({hello["boot"] for hello in gateway.hellos}) == 1
    assert camera.counters.connects == 2
    assert_all_arrived(gateway, camera)


async def test_resend_what_was_not_acknowledged(
    gateway: StandIn, claimed: Claimed
) -> None:
    """What the gateway has not kept comes again, from `have` + 1; motion and end too."""
    gateway.acking = False
    camera = await claimed(always_on=True)
    camera.trigger_motion(0.3)
    await camera.wait_event("event_ended")
    await gateway.wait_for("event_end")
    frames = len(gateway.frames)
    assert frames > 4
    boot = gateway.hellos[-1]["boot"]
    assert camera.boot
    assert camera.boot.outbox.frames == frames
    gateway.kept[boot] = 2
    gateway.acking = True
    camera.cut_link()
    await camera.wait_event("welcome", where=lambda data: data["have"] == 2)
    await gateway.wait(lambda: gateway.doubles == frames - 2)
    assert camera.counters.resent == frames - 2
    assert gateway.hellos[-1]["backlog"] == frames
    gateway.kept[boot] = frames
    await camera.wait_all_acked()
    assert len(gateway.frames) == frames


async def test_gateway_away(gateway: StandIn, claimed: Claimed) -> None:
    """An event while the gateway is away is kept and arrives when it is back."""
    camera = await claimed()
    await camera.wait_state("asleep")
    port = gateway.port
    await gateway.stop()
    camera.trigger_motion(0.4)
    ended = await camera.wait_event("event_ended")
    assert camera.counters.failed_connects >= 1
    await gateway.start(port)
    await camera.wait_all_acked()
    await camera.wait_state("asleep")
    assert len(gateway.frames) == ended.data["frames"]
    assert all(frame.flags & PRE_ROLL for frame in gateway.frames)
    assert [message["active"] for message in gateway.of("motion")] == [True, False]
    assert_all_arrived(gateway, camera)


async def test_restart_of_the_gateway(gateway: StandIn, claimed: Claimed) -> None:
    """1001 in the middle of an event costs nothing."""
    camera = await claimed(always_on=True)
    camera.trigger_motion(1.5)
    await gateway.wait(lambda: len(gateway.frames) >= 5)
    port = gateway.port
    await gateway.stop()
    await camera.wait_event("closed", where=lambda data: data["code"] == 1001)
    await gateway.start(port)
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    assert_all_arrived(gateway, camera)


async def test_gives_up_in_the_end(gateway: StandIn, claimed: Claimed) -> None:
    """A battery is not spent on a gateway that stays away; the loss is told later."""
    camera = await claimed(give_up_s=1)
    await camera.wait_state("asleep")
    port = gateway.port
    await gateway.stop()
    camera.trigger_motion(0.3)
    await camera.wait_event("gave_up")
    await camera.wait_state("asleep")
    captured = camera.counters.captured
    assert camera.counters.lost == captured > 0
    await gateway.start(port)
    for lost in (captured, 0):
        mark = camera.mark()
        camera.press_button()
        await camera.wait_event("welcome", after=mark)
        assert gateway.hellos[-1]["lost"] == lost
        await camera.wait_state("asleep")


async def test_slow_network_drops_the_oldest(
    gateway: StandIn, claimed: Claimed
) -> None:
    """Where the ring is full the oldest frames go, counted, and the gap is marked."""
    pictures = [make_picture(number, resolution="VGA") for number in range(3)]
    size = len(pictures[0])
    camera = await claimed(
        source=LoopSource(pictures),
        always_on=True,
        settings={"framerate": 25},
        ring_bytes=5 * size,
    )
    camera.throttle(4 * size)
    camera.trigger_motion(2)
    await camera.wait_event("event_ended")
    camera.throttle(None)
    await camera.wait_all_acked()
    end = await gateway.wait_for("event_end")
    frames = gateway.frames
    assert end["lost"] > 0
    assert end["lost"] + len(frames) == end["frames"] == camera.counters.captured
    previous = 0
    for frame in frames:
        assert bool(frame.flags & LOST_BEFORE) == (frame.seq != previous + 1)
        previous = frame.seq
    assert frames[-1].flags & LAST


async def test_stall(gateway: StandIn, claimed: Claimed) -> None:
    """A link that stalls for a while goes on where it was."""
    camera = await claimed(always_on=True)
    camera.stall(0.7)
    await one_event(camera)
    assert camera.counters.connects == 1
    assert_all_arrived(gateway, camera)


async def test_half_open(gateway: StandIn, claimed: Claimed) -> None:
    """A connection that the gateway still believes in is replaced by a new one."""
    camera = await claimed(always_on=True)
    first = gateway.sockets[camera.id]
    mark = camera.mark()
    camera.cut_link(silent=True)
    await camera.wait_event("welcome", after=mark)
    assert gateway.sockets[camera.id] is not first
    assert not first.closed
    await one_event(camera)
    assert_all_arrived(gateway, camera)


async def test_fragments(gateway: StandIn, claimed: Claimed) -> None:
    """Frames may be sent in fragments."""
    camera = await claimed(fragment=1000)
    await one_event(camera)
    assert len(gateway.frames) > 4
    assert_all_arrived(gateway, camera)


@pytest.mark.parametrize("how", ["reboot", "power"])
async def test_reboot_in_an_event(gateway: StandIn, claimed: Claimed, how: str) -> None:
    """A restart loses what was in memory, and begins a new boot with numbers from 1."""
    camera = await claimed(always_on=True)
    camera.trigger_motion(2)
    await gateway.wait(lambda: len(gateway.frames) >= 5)
    mark = camera.mark()
    if how == "reboot":
        camera.reboot("brownout")
    else:
        await camera.drop_power()
        assert camera.state == "off"
        await camera.start()
    await camera.wait_event("welcome", after=mark)
    first, second = gateway.hellos
    assert second["reason"] == ("brownout" if how == "reboot" else "power")
    assert first["boot"] != second["boot"]
    # The motion goes on, so the new boot records it as its own first event.
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked()
    again = [frame for frame in gateway.frames if frame.boot == second["boot"]]
    assert again[0].seq == 1
    assert again[0].event == 1


# -- firmware


def offer_of(image: bytes, **changes: Any) -> dict[str, Any]:
    """Return an offer of a firmware."""
    digest = sha256(image).hexdigest()
    return {
        "version": "1.1.0",
        "sha256": digest,
        "size": len(image),
        "path": f"/firmware/{digest}",
        **changes,
    }


@pytest.fixture
def image(gateway: StandIn) -> bytes:
    """Return a firmware that the gateway has."""
    image = secrets.token_bytes(200_000)
    gateway.firmware[sha256(image).hexdigest()] = image
    return image


async def test_update(gateway: StandIn, claimed: Claimed, image: bytes) -> None:
    """A firmware is downloaded, checked, installed, and told in the next hello."""
    camera = await claimed()
    gateway.firmware_breaks = 1
    await gateway.say(camera.id, "ota", **offer_of(image))
    await gateway.wait(lambda: len(gateway.hellos) == 2)
    said = [(message["state"], message["percent"]) for message in gateway.of("ota")]
    assert said[0] == ("downloading", 0)
    assert said[-2:] == [("verifying", 100), ("installed", 100)]
    assert said == sorted(said, key=lambda word: word[1])
    assert gateway.of("bye")[0]["reason"] == "ota"
    assert (gateway.hellos[1]["reason"], gateway.hellos[1]["fw"]) == ("ota", "1.1.0")
    first, second = gateway.ranges
    assert first is None
    assert second
    # What is installed is not installed again.
    await gateway.say(camera.id, "ota", **offer_of(image))
    await gateway.wait_for("ota", len(said) + 1)
    assert gateway.of("ota")[-1]["state"] == "installed"
    assert len(gateway.ranges) == 2


@pytest.mark.parametrize(
    ("options", "changes", "error"),
    [
        ({}, {"sha256": "0" * 64}, "wrong_sha256"),
        ({}, {"size": 7}, "wrong_size"),
        ({}, {"size": 5 << 20}, "too_big"),
        ({}, {"path": "https://elsewhere/x"}, "bad_offer"),
        ({"battery_pct": 10}, {}, "battery_low"),
        ({"ota_result": "fail"}, {}, "flash_write"),
    ],
)
async def test_update_that_fails(
    gateway: StandIn,
    claimed: Claimed,
    image: bytes,
    options: dict[str, Any],
    changes: dict[str, Any],
    error: str,
) -> None:
    """A firmware that cannot be installed is reported with the reason; the old one stays."""
    camera = await claimed(**options)
    await gateway.say(camera.id, "ota", **offer_of(image, **changes))
    await camera.wait_event("ota", where=lambda data: data["state"] == "failed")
    await camera.wait_state("asleep")
    assert gateway.of("ota")[-1]["error"] == error
    assert camera.flash.fw == "1.0.0"


async def test_update_rolled_back(
    gateway: StandIn, claimed: Claimed, image: bytes
) -> None:
    """A firmware that does not come up leaves the old one, which says so."""
    camera = await claimed(ota_result="rollback")
    await gateway.say(camera.id, "ota", **offer_of(image))
    await gateway.wait(
        lambda: any(message["state"] == "failed" for message in gateway.of("ota"))
    )
    assert gateway.of("ota")[-1]["error"] == "rolled_back"
    assert gateway.hellos[-1]["fw"] == "1.0.0"


async def test_signed_update(gateway: StandIn, claimed: Claimed, image: bytes) -> None:
    """With a public key only a signed firmware is installed."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    camera = await claimed(ota_public_key=pem.decode(), always_on=True)
    other = ec.generate_private_key(ec.SECP256R1())
    for signer, error in ((None, "not_signed"), (other, "wrong_signature")):
        signature = signer and b64encode(signer.sign(image, ec.ECDSA(SHA256())))
        more = {"signature": signature.decode()} if signature else {}
        mark = camera.mark()
        await gateway.say(camera.id, "ota", **offer_of(image, **more))
        failed = await camera.wait_event(
            "ota", after=mark, where=lambda data: data["state"] == "failed"
        )
        assert failed.data["error"] == error
    signature = b64encode(key.sign(image, ec.ECDSA(SHA256()))).decode()
    await gateway.say(camera.id, "ota", **offer_of(image, signature=signature))
    await gateway.wait(lambda: gateway.hellos[-1]["fw"] == "1.1.0")


# -- memory


async def test_flash_outlives_the_process(
    gateway: StandIn, make_camera: MakeCamera, state_dir: Path
) -> None:
    """Id, code, claim and settings come back from the state folder, which nobody else reads."""
    camera = make_camera(state_dir=state_dir)
    await camera.start()
    await gateway.claim(camera)
    await camera.wait_event("welcome")
    await gateway.say(camera.id, "config", rev=9, framerate=7)
    await gateway.wait_for("config_ack")
    await camera.stop()
    (path,) = state_dir.iterdir()
    assert path.name == f"{camera.id.replace(':', '-')}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    again = make_camera(camera.id, state_dir=state_dir)
    assert again.setup_code == camera.setup_code
    await again.start()
    await again.wait_event("welcome")
    assert gateway.hellos[-1]["config_rev"] == 9
    assert again.config["framerate"] == 7


async def test_no_secret_is_shown(gateway: StandIn, claimed: Claimed) -> None:
    """Neither key nor token nor bundle is in what a camera tells of itself."""
    camera = await claimed()
    new = to_base64url(secrets.token_bytes(32))
    await gateway.command(camera.id, "rekey", {"api_key": new})
    await gateway.wait_for("result")
    told = repr(camera) + repr(camera.flash)
    told += "".join(f"{event!r}" for event in camera.history)
    for secret in (gateway.keys[camera.id], new, camera.flash.bundle["token"]):
        assert secret not in told


async def test_many_cameras_share_a_source(
    gateway: StandIn, make_camera: MakeCamera
) -> None:
    """Cameras in one process do not get into each other's way."""
    source = LoopSource.rendered(4, resolution="QVGA")
    cameras = [make_camera(source=source, tail_s=0.2) for _ in range(12)]

    async def live(camera: VirtualCamera) -> None:
        await camera.start()
        await gateway.claim(camera)
        await camera.wait_event("welcome")
        await one_event(camera)

    await asyncio.gather(*(live(camera) for camera in cameras))
    captured = [camera.counters.captured for camera in cameras]
    # How many a busy machine makes of an event is its own affair.
    came = Counter(frame.boot for frame in gateway.frames)
    assert sorted(captured) == sorted(came.values())
    assert len(came) == 12


async def test_a_broken_camera_says_so(
    gateway: StandIn, make_camera: MakeCamera
) -> None:
    """What breaks the camera itself is raised to those that wait for it."""

    class Broken(LoopSource):
        async def frame(self, shot: Any) -> bytes:
            raise RuntimeError("no sensor")

    camera = make_camera(source=Broken([b"x"]))
    await camera.start()
    await gateway.claim(camera)
    await camera.wait_event("welcome")
    camera.trigger_motion(1)
    with pytest.raises(RuntimeError, match="no sensor"):
        await camera.wait_state("asleep")
    with pytest.raises(RuntimeError, match="no sensor"):
        await camera.stop()
