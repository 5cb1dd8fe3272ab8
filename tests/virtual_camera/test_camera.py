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
from .stand_in import StandInGateway, to_base64url

PRE_ROLL, STILL, LAST, WARMING_UP, LOST_BEFORE = 1, 2, 4, 8, 16


def assert_all_arrived(stand_in: StandInGateway, camera: VirtualCamera) -> None:
    """Check that the gateway has what the camera sent, each frame once."""
    sent = [(frame.boot, frame.seq, frame.t) for frame in camera.sent_frames]
    got = [(frame.boot, frame.seq, frame.t) for frame in stand_in.frames]
    assert sorted(got) == sorted(sent)
    assert len(sent) == camera.counters.captured
    assert camera.counters.lost == 0


async def one_event(
    camera: VirtualCamera, seconds: float = 0.4, *, mark: int | None = None
) -> None:
    """Let the camera see something and wait until all of it is acknowledged."""
    mark = camera.mark() if mark is None else mark
    camera.trigger_motion(seconds)
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked()


async def test_hello(stand_in: StandInGateway, claimed: Claimed) -> None:
    """The hello has every field of the protocol."""
    camera = await claimed(battery_pct=81)
    (hello,) = stand_in.hellos
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


async def test_mains_power(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A camera on mains has no battery to speak of and does not sleep."""
    camera = await claimed(always_on=True, battery_pct=None, heartbeat_s=0.1)
    assert not any(key.startswith("battery") for key in stand_in.hellos[0])
    assert stand_in.registrations[0]["caps"]["sleep"] is False
    beat = await stand_in.wait_for("heartbeat", 3)
    assert set(beat) >= {"uptime_ms", "rssi", "heap", "backlog"}
    assert "battery_mv" not in beat
    await one_event(camera)
    await camera.wait_state("awake")
    await stand_in.say(camera.id, "config", rev=2, power_mode="battery")
    ack = await stand_in.wait_for("config_ack")
    assert ack["rejected"] == {"power_mode": "not_supported"}
    assert camera.counters.boots == 1


async def test_event(stand_in: StandInGateway, claimed: Claimed) -> None:
    """An event comes as motion, frames in order, the last one marked, and its end."""
    camera = await claimed(source=GeneratedSource(), settings={"resolution": "VGA"})
    await one_event(camera)
    await stand_in.wait_for("event_end")
    frames = stand_in.frames
    assert [frame.seq for frame in frames] == [*range(1, len(frames) + 1)]
    assert {frame.event for frame in frames} == {1}
    assert [bool(frame.flags & LAST) for frame in frames] == [
        *[False] * (len(frames) - 1),
        True,
    ]
    assert [frame.seq for frame in frames if frame.flags & WARMING_UP] == [1, 2, 3]
    assert all(a.t < b.t for a, b in itertools.pairwise(frames))
    assert_all_arrived(stand_in, camera)
    on, off = stand_in.of("motion")
    assert (on["event"], on["active"], on["source"]) == (1, True, "pir")
    assert (off["event"], off["active"]) == (1, False)
    assert on["frames_before"] == 0
    assert 0 < off["frames_before"] < len(frames)
    (end,) = stand_in.of("event_end")
    assert (end["event"], end["frames"], end["lost"]) == (1, len(frames), 0)
    assert end["frames_before"] == len(frames)


async def test_sleep_and_pre_roll(stand_in: StandInGateway, claimed: Claimed) -> None:
    """Motion wakes a sleeping camera, and what it saw before the link was up comes first."""
    camera = await claimed(wifi_s=0.4)
    await camera.wait_state("asleep")
    bye = await stand_in.wait_for("bye")
    assert bye["reason"] == "sleep"
    assert camera.counters.closes == {1000: 1}
    await one_event(camera, 0.8)
    hello = stand_in.hellos[-1]
    assert hello["reason"] == "pir"
    assert hello["boot"] != stand_in.hellos[0]["boot"]
    assert hello["backlog"] >= 2
    flags = [frame.flags & PRE_ROLL for frame in stand_in.frames]
    before = flags.count(PRE_ROLL)
    assert 2 <= before < len(flags)
    assert flags == sorted(flags, reverse=True)
    assert stand_in.frames[0].t < 200
    assert stand_in.of("motion")[0]["t"] <= stand_in.frames[0].t
    assert_all_arrived(stand_in, camera)
    await camera.wait_state("asleep")


async def test_motion_while_falling_asleep(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """What moves between goodbye and sleep wakes the camera at once."""
    camera = await claimed()

    def move(event: LifeEvent) -> None:
        if event.name == "bye" and camera.counters.events == 0:
            camera.trigger_motion(0.3)

    camera.subscribe(move)
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    assert stand_in.hellos[-1]["reason"] == "pir"
    assert_all_arrived(stand_in, camera)


async def test_pre_roll_switched_off(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """Without pre-roll nothing is captured before the link is up."""
    stand_in.config = {"rev": 1, "pre_roll": False}
    camera = await claimed(wifi_s=0.3)
    await camera.wait_state("asleep")
    await one_event(camera, 0.8)
    assert stand_in.frames
    assert not any(frame.flags & PRE_ROLL for frame in stand_in.frames)


async def test_timer_wakes(stand_in: StandInGateway, claimed: Claimed) -> None:
    """The camera checks in by its timer, the time factor shortens the interval it tells."""
    stand_in.config = {"rev": 1, "heartbeat_interval_s": 60}
    camera = await claimed(time_factor=600)
    await stand_in.wait(lambda: len(stand_in.hellos) == 3)
    assert [hello["reason"] for hello in stand_in.hellos] == ["power", "timer", "timer"]
    assert len({hello["boot"] for hello in stand_in.hellos}) == 3
    assert stand_in.of("bye")[0]["next_wake_s"] == 1
    # A camera that has been here before resumes its TLS session.
    assert camera.counters.resumed_sessions == 2
    assert stand_in.tls_versions == {"TLSv1.2"}


async def test_motion_switched_off(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A camera that shall not see motion does not."""
    camera = await claimed()
    await stand_in.say(camera.id, "config", rev=2, motion_enabled=False)
    await stand_in.wait_for("config_ack")
    await camera.wait_state("asleep")
    camera.trigger_motion(1)
    assert camera.counters.motion_ignored == 1
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert stand_in.hellos[-1]["reason"] == "button"
    assert stand_in.of("motion") == []


async def test_motion_again_in_the_tail(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """Motion that comes back while the event still runs prolongs it."""
    camera = await claimed(tail_s=1)
    camera.trigger_motion(0.2)
    await stand_in.wait_for("motion", 2)
    camera.trigger_motion(0.2)
    await camera.wait_event("event_ended")
    await stand_in.wait_for("event_end")
    assert [message["active"] for message in stand_in.of("motion")] == [
        *(True, False, True, False)
    ]
    assert {message["event"] for message in stand_in.of("motion")} == {1}
    await camera.wait_state("asleep")
    await one_event(camera, 0.2)
    assert camera.counters.events == 2


async def test_motion_sensor_that_stays_on(
    stand_in: StandInGateway, make_camera: MakeCamera
) -> None:
    """An event ends at its limit, and a sensor that stays on is not believed until it was off."""
    camera = make_camera()
    camera.flash.config["max_event_s"] = 1
    await camera.start()
    await stand_in.claim(camera)
    await camera.wait_event("welcome")
    camera.trigger_motion(60)
    await camera.wait_event("event_ended")
    await camera.wait_state("asleep")
    assert camera.sensor.pir_active
    log = await stand_in.wait_for("log")
    assert log["level"] == "warning"
    assert len(stand_in.of("event_end")) == 1
    # A busy machine captures fewer, never more
    frames = [frame for frame in stand_in.frames if frame.event]
    assert 0 < len(frames) <= camera.config["framerate"] + 1


async def test_settings(stand_in: StandInGateway, claimed: Claimed) -> None:
    """Settings are applied or rejected with a reason, and the revision is kept."""
    camera = await claimed()
    await stand_in.say(
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
    ack = await stand_in.wait_for("config_ack")
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
    stand_in.welcome_config = {"rev": 8, "night_mode": True}
    await camera.wait_state("asleep")
    camera.press_button()
    await stand_in.wait_for("config_ack", 2)
    assert stand_in.hellos[-1]["config_rev"] == 7
    assert camera.config["night_mode"] is True
    assert camera.flash.config_rev == 8


async def test_settings_changed_at_the_camera(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """What is set at the camera is reported, and the merged settings are taken."""
    camera = await claimed(always_on=True)
    assert stand_in.config
    stand_in.config["contrast"] = 2
    merged = await camera.change_settings(brightness=1)
    assert merged["brightness"] == 1
    assert merged["contrast"] == 2
    assert camera.flash.config_rev == 2
    assert (await stand_in.wait_for("config_ack"))["rev"] == 2


async def test_live(stand_in: StandInGateway, claimed: Claimed) -> None:
    """Live pictures belong to no event, follow the frame rate and end when asked to."""
    camera = await claimed()
    await stand_in.command(camera.id, "stream_start", number=5)
    result = await stand_in.wait_for("result")
    assert (result["id"], result["ok"]) == (5, True)
    await stand_in.wait(lambda: len(stand_in.frames) >= 5)
    assert {frame.event for frame in stand_in.frames} == {0}
    assert camera.state == "streaming"
    await stand_in.command(camera.id, "stream_stop", number=6)
    await stand_in.wait_for("result", 2)
    await camera.wait_state("asleep")
    assert stand_in.of("event_end") == []
    assert_all_arrived(stand_in, camera)


async def test_snapshot(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A snapshot's picture comes before its result."""
    camera = await claimed()
    await stand_in.command(camera.id, "snapshot", number=3)
    result = await stand_in.wait_for("result")
    assert (result["id"], result["ok"], result["frames_before"]) == (3, True, 1)
    (still,) = stand_in.frames
    assert still.flags & STILL
    assert not still.flags & WARMING_UP
    assert still.event == 0


async def test_unknown_words_are_ignored(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """Unknown types and fields are ignored, an unknown command is answered."""
    camera = await claimed(always_on=True)
    socket = stand_in.sockets[camera.id]
    await socket.send_json({"type": "song", "title": "none"})
    await socket.send_str("no json")
    await socket.send_str("[1]")
    await socket.send_bytes(b"bytes")
    await socket.send_json({"type": "ack", "boot": 1, "seq": 99, "more": 1})
    await socket.send_json({"type": "command", "id": 1, "name": "dance"})
    result = await stand_in.wait_for("result")
    assert result == result | {"id": 1, "ok": False, "error": "unknown_command"}
    await stand_in.command(camera.id, "identify", number=2)
    assert (await stand_in.wait_for("result", 2))["ok"] is True
    await camera.wait_event("identified")
    assert camera.counters.connects == 1


@pytest.mark.parametrize("always_on", [False, True])
async def test_restart_and_sleep_commands(
    stand_in: StandInGateway, claimed: Claimed, always_on: bool
) -> None:
    """A restart is a new boot at once, sleep is obeyed even on mains power."""
    camera = await claimed(always_on=always_on, time_factor=1, linger_s=0.1)
    stand_in.stay_awake_s = 60
    await stand_in.command(camera.id, "restart")
    assert (await stand_in.wait_for("bye"))["reason"] == "restart"
    await stand_in.wait(lambda: len(stand_in.hellos) == 2)
    first, second = stand_in.hellos
    assert first["boot"] != second["boot"]
    assert (await stand_in.wait_for("result"))["ok"] is True
    await stand_in.command(camera.id, "sleep", number=2)
    await camera.wait_state("asleep")
    assert stand_in.of("bye")[-1] == stand_in.of("bye")[-1] | {
        "reason": "sleep",
        "next_wake_s": 3600,
    }


async def test_stays_awake_when_asked(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """A welcome may hold the camera awake."""
    stand_in.stay_awake_s = 2
    camera = await claimed()
    with pytest.raises(TimeoutError, match="asleep did not come"):
        await camera.wait_state("asleep", timeout=1)
    await camera.wait_state("asleep")


async def test_rekey(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A new key is used from the next connection on, the old one while that is refused."""
    camera = await claimed()
    old, new = stand_in.keys[camera.id], to_base64url(secrets.token_bytes(32))
    await stand_in.command(camera.id, "rekey", {"api_key": "short"})
    assert (await stand_in.wait_for("result"))["error"] == "bad_key"
    await stand_in.command(camera.id, "rekey", {"api_key": new}, number=2)
    assert (await stand_in.wait_for("result", 2))["ok"] is True
    await camera.wait_state("asleep")
    # The gateway forgot the new key, say, because it was restored from a backup.
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert (camera.flash.api_key, camera.flash.next_api_key) == (old, new)
    await camera.wait_state("asleep")
    stand_in.keys[camera.id] = new
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    assert (camera.flash.api_key, camera.flash.next_api_key) == (new, None)


@pytest.mark.parametrize("how", ["command", "4003", "button"])
async def test_forget(stand_in: StandInGateway, claimed: Claimed, how: str) -> None:
    """A camera that is forgotten opens setup mode and can be claimed again."""
    camera = await claimed(always_on=True)
    await one_event(camera)
    mark = camera.mark()
    if how == "command":
        await stand_in.command(camera.id, "forget")
    elif how == "4003":
        await stand_in.sockets[camera.id].close(code=4003)
    else:
        camera.factory_reset()
    await camera.wait_event("setup_opened", after=mark)
    assert camera.flash.api_key is None
    mark = camera.mark()
    assert await stand_in.claim(camera) == 204
    await camera.wait_event("welcome", after=mark)


async def test_refused_key(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A refused key does not open setup mode; the camera sleeps and tries again."""
    camera = await claimed()
    await camera.wait_state("asleep")
    key = stand_in.keys.pop(camera.id)
    mark = camera.mark()
    camera.press_button()
    assert (await camera.wait_event("refused", after=mark)).data["status"] == 401
    await camera.wait_state("asleep")
    assert camera.setup_port == 0
    stand_in.keys[camera.id] = key
    mark = camera.mark()
    await one_event(camera)
    await camera.wait_event("welcome", after=mark)


async def test_gateway_with_another_name(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """A registered camera checks the certificate's name at every connection."""
    camera = await claimed()
    await camera.wait_state("asleep")
    camera.flash.bundle["gateway"]["name"] = "other.magicpi.internal"
    camera.press_button()
    failed = await camera.wait_event("unreachable")
    assert failed.data["error"] == "SSLCertVerificationError"
    assert len(stand_in.hellos) == 1


async def test_busy_gateway(stand_in: StandInGateway, claimed: Claimed) -> None:
    """429 and 503 are tried again, and what was captured meanwhile is sent."""
    camera = await claimed()
    await camera.wait_state("asleep")
    stand_in.upgrade_status = [503, 429, 503]
    await one_event(camera)
    assert camera.counters.failed_connects == 3
    assert_all_arrived(stand_in, camera)


# -- bad networks


async def test_cut_in_the_middle_of_a_frame(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """A frame cut in half, and all after it, is sent again on the next link, once."""
    camera = await claimed(always_on=True, settings={"framerate": 25})
    camera.trigger_motion(1.5)
    await stand_in.wait(lambda: len(stand_in.frames) >= 5)
    camera.cut_link(after_bytes=4000)
    await camera.wait_event("closed")
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    await stand_in.wait_for("event_end")
    assert len({hello["boot"] for hello in stand_in.hellos}) == 1
    assert camera.counters.connects == 2
    assert_all_arrived(stand_in, camera)


async def test_resend_what_was_not_acknowledged(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """What the gateway has not persisted comes again, from `have` + 1; motion and end too."""
    stand_in.acking = False
    camera = await claimed(always_on=True)
    camera.trigger_motion(0.3)
    await camera.wait_event("event_ended")
    await stand_in.wait_for("event_end")
    frames = len(stand_in.frames)
    assert frames > 4
    boot = stand_in.hellos[-1]["boot"]
    assert camera.boot
    assert camera.boot.outbox.frames == frames
    stand_in.persisted[boot] = 2
    stand_in.acking = True
    camera.cut_link()
    await camera.wait_event("welcome", where=lambda data: data["have"] == 2)
    await stand_in.wait(lambda: stand_in.doubles == frames - 2)
    assert camera.counters.resent == frames - 2
    assert stand_in.hellos[-1]["backlog"] == frames
    stand_in.persisted[boot] = frames
    await camera.wait_all_acked()
    assert len(stand_in.frames) == frames


async def test_gateway_away(stand_in: StandInGateway, claimed: Claimed) -> None:
    """An event while the gateway is away is kept and arrives when it is back."""
    camera = await claimed()
    await camera.wait_state("asleep")
    port = stand_in.port
    await stand_in.stop()
    camera.trigger_motion(0.4)
    ended = await camera.wait_event("event_ended")
    assert camera.counters.failed_connects >= 1
    await stand_in.start(port)
    await camera.wait_all_acked()
    await camera.wait_state("asleep")
    assert len(stand_in.frames) == ended.data["frames"]
    assert all(frame.flags & PRE_ROLL for frame in stand_in.frames)
    assert [message["active"] for message in stand_in.of("motion")] == [True, False]
    assert_all_arrived(stand_in, camera)


async def test_restart_of_the_gateway(
    stand_in: StandInGateway, claimed: Claimed
) -> None:
    """1001 in the middle of an event costs nothing."""
    camera = await claimed(always_on=True)
    camera.trigger_motion(1.5)
    await stand_in.wait(lambda: len(stand_in.frames) >= 5)
    port = stand_in.port
    await stand_in.stop()
    await camera.wait_event("closed", where=lambda data: data["code"] == 1001)
    await stand_in.start(port)
    await camera.wait_event("event_ended")
    await camera.wait_all_acked()
    assert_all_arrived(stand_in, camera)


async def test_gives_up_in_the_end(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A battery is not spent on a gateway that stays away; the loss is reported later."""
    camera = await claimed(give_up_s=1)
    await camera.wait_state("asleep")
    port = stand_in.port
    await stand_in.stop()
    camera.trigger_motion(0.3)
    await camera.wait_event("gave_up")
    await camera.wait_state("asleep")
    captured = camera.counters.captured
    assert camera.counters.lost == captured > 0
    await stand_in.start(port)
    for lost in (captured, 0):
        mark = camera.mark()
        camera.press_button()
        await camera.wait_event("welcome", after=mark)
        assert stand_in.hellos[-1]["lost"] == lost
        await camera.wait_state("asleep")


async def test_slow_network_drops_the_oldest(
    stand_in: StandInGateway, claimed: Claimed
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
    end = await stand_in.wait_for("event_end")
    frames = stand_in.frames
    assert end["lost"] > 0
    assert end["lost"] + len(frames) == end["frames"] == camera.counters.captured
    previous = 0
    for frame in frames:
        assert bool(frame.flags & LOST_BEFORE) == (frame.seq != previous + 1)
        previous = frame.seq
    assert frames[-1].flags & LAST


async def test_stall(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A link that stalls for a while goes on where it was."""
    camera = await claimed(always_on=True)
    camera.stall(0.7)
    await one_event(camera)
    assert camera.counters.connects == 1
    assert_all_arrived(stand_in, camera)


async def test_half_open(stand_in: StandInGateway, claimed: Claimed) -> None:
    """A connection that the gateway still believes in is replaced by a new one."""
    camera = await claimed(always_on=True)
    first = stand_in.sockets[camera.id]
    mark = camera.mark()
    camera.cut_link(silent=True)
    await camera.wait_event("welcome", after=mark)
    assert stand_in.sockets[camera.id] is not first
    assert not first.closed
    await one_event(camera)
    assert_all_arrived(stand_in, camera)


async def test_fragments(stand_in: StandInGateway, claimed: Claimed) -> None:
    """Frames may be sent in fragments."""
    camera = await claimed(fragment=1000)
    await one_event(camera)
    assert len(stand_in.frames) > 4
    assert_all_arrived(stand_in, camera)


@pytest.mark.parametrize("how", ["reboot", "power"])
async def test_reboot_in_an_event(
    stand_in: StandInGateway, claimed: Claimed, how: str
) -> None:
    """A restart loses what was in memory, and begins a new boot with numbers from 1."""
    camera = await claimed(always_on=True)
    camera.trigger_motion(2)
    await stand_in.wait(lambda: len(stand_in.frames) >= 5)
    mark = camera.mark()
    if how == "reboot":
        camera.reboot("brownout")
    else:
        await camera.drop_power()
        assert camera.state == "off"
        await camera.start()
    await camera.wait_event("welcome", after=mark)
    first, second = stand_in.hellos
    assert second["reason"] == ("brownout" if how == "reboot" else "power")
    assert first["boot"] != second["boot"]
    # The motion goes on, so the new boot records it as its own first event.
    await camera.wait_event("event_ended", after=mark)
    await camera.wait_all_acked()
    again = [frame for frame in stand_in.frames if frame.boot == second["boot"]]
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
def image(stand_in: StandInGateway) -> bytes:
    """Return a firmware that the gateway has."""
    image = secrets.token_bytes(200_000)
    stand_in.firmware[sha256(image).hexdigest()] = image
    return image


async def test_update(stand_in: StandInGateway, claimed: Claimed, image: bytes) -> None:
    """A firmware is downloaded, checked, installed, and reported in the next hello."""
    camera = await claimed()
    stand_in.firmware_breaks = 1
    await stand_in.say(camera.id, "ota", **offer_of(image))
    await stand_in.wait(lambda: len(stand_in.hellos) == 2)
    said = [(message["state"], message["percent"]) for message in stand_in.of("ota")]
    assert said[0] == ("downloading", 0)
    assert said[-2:] == [("verifying", 100), ("installed", 100)]
    assert said == sorted(said, key=lambda word: word[1])
    assert stand_in.of("bye")[0]["reason"] == "ota"
    assert (stand_in.hellos[1]["reason"], stand_in.hellos[1]["fw"]) == ("ota", "1.1.0")
    first, second = stand_in.ranges
    assert first is None
    assert second
    # What is installed is not installed again.
    await stand_in.say(camera.id, "ota", **offer_of(image))
    await stand_in.wait_for("ota", len(said) + 1)
    assert stand_in.of("ota")[-1]["state"] == "installed"
    assert len(stand_in.ranges) == 2


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
    stand_in: StandInGateway,
    claimed: Claimed,
    image: bytes,
    options: dict[str, Any],
    changes: dict[str, Any],
    error: str,
) -> None:
    """A firmware that cannot be installed is reported with the reason; the old one stays."""
    camera = await claimed(**options)
    await stand_in.say(camera.id, "ota", **offer_of(image, **changes))
    await camera.wait_event("ota", where=lambda data: data["state"] == "failed")
    await camera.wait_state("asleep")
    assert stand_in.of("ota")[-1]["error"] == error
    assert camera.flash.fw == "1.0.0"


async def test_update_rolled_back(
    stand_in: StandInGateway, claimed: Claimed, image: bytes
) -> None:
    """A firmware that does not come up leaves the old one, which says so."""
    camera = await claimed(ota_result="rollback")
    await stand_in.say(camera.id, "ota", **offer_of(image))
    await stand_in.wait(
        lambda: any(message["state"] == "failed" for message in stand_in.of("ota"))
    )
    assert stand_in.of("ota")[-1]["error"] == "rolled_back"
    assert stand_in.hellos[-1]["fw"] == "1.0.0"


async def test_signed_update(
    stand_in: StandInGateway, claimed: Claimed, image: bytes
) -> None:
    """With a public key only a signed firmware is installed."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    camera = await claimed(ota_public_key=pem.decode(), always_on=True)
    other = ec.generate_private_key(ec.SECP256R1())
    for signer, error in ((None, "not_signed"), (other, "wrong_signature")):
        signature = signer and b64encode(signer.sign(image, ec.ECDSA(SHA256())))
        more = {"signature": signature.decode()} if signature else {}
        mark = camera.mark()
        await stand_in.say(camera.id, "ota", **offer_of(image, **more))
        failed = await camera.wait_event(
            "ota", after=mark, where=lambda data: data["state"] == "failed"
        )
        assert failed.data["error"] == error
    signature = b64encode(key.sign(image, ec.ECDSA(SHA256()))).decode()
    await stand_in.say(camera.id, "ota", **offer_of(image, signature=signature))
    await stand_in.wait(lambda: stand_in.hellos[-1]["fw"] == "1.1.0")


# -- memory


async def test_flash_outlives_the_process(
    stand_in: StandInGateway, make_camera: MakeCamera, state_dir: Path
) -> None:
    """Id, code, claim and settings come back from the state folder, which nobody else reads."""
    camera = make_camera(state_dir=state_dir)
    await camera.start()
    await stand_in.claim(camera)
    await camera.wait_event("welcome")
    await stand_in.say(camera.id, "config", rev=9, framerate=7)
    await stand_in.wait_for("config_ack")
    await camera.stop()
    (path,) = state_dir.iterdir()
    assert path.name == f"{camera.id.replace(':', '-')}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    again = make_camera(camera.id, state_dir=state_dir)
    assert again.setup_code == camera.setup_code
    await again.start()
    await again.wait_event("welcome")
    assert stand_in.hellos[-1]["config_rev"] == 9
    assert again.config["framerate"] == 7


async def test_no_secret_is_shown(stand_in: StandInGateway, claimed: Claimed) -> None:
    """Neither key nor token nor bundle is in what a camera tells of itself."""
    camera = await claimed()
    new = to_base64url(secrets.token_bytes(32))
    await stand_in.command(camera.id, "rekey", {"api_key": new})
    await stand_in.wait_for("result")
    shown = repr(camera) + repr(camera.flash)
    shown += "".join(f"{event!r}" for event in camera.history)
    for secret in (stand_in.keys[camera.id], new, camera.flash.bundle["token"]):
        assert secret not in shown


async def test_many_cameras_share_a_source(
    stand_in: StandInGateway, make_camera: MakeCamera
) -> None:
    """Cameras in one process do not get into each other's way."""
    source = LoopSource.rendered(4, resolution="QVGA")
    cameras = [make_camera(source=source, tail_s=0.2) for _ in range(12)]

    async def live(camera: VirtualCamera) -> None:
        await camera.start()
        await stand_in.claim(camera)
        await camera.wait_event("welcome")
        await one_event(camera)

    await asyncio.gather(*(live(camera) for camera in cameras))
    captured = [camera.counters.captured for camera in cameras]
    # How many a busy machine makes of an event is its own affair.
    came = Counter(frame.boot for frame in stand_in.frames)
    assert sorted(captured) == sorted(came.values())
    assert len(came) == 12


async def test_a_broken_camera_says_so(
    stand_in: StandInGateway, make_camera: MakeCamera
) -> None:
    """What breaks the camera itself is raised to those that wait for it."""

    class Broken(LoopSource):
        async def frame(self, shot: Any) -> bytes:
            raise RuntimeError("no sensor")

    camera = make_camera(source=Broken([b"x"]))
    await camera.start()
    await stand_in.claim(camera)
    await camera.wait_event("welcome")
    camera.trigger_motion(1)
    with pytest.raises(RuntimeError, match="no sensor"):
        await camera.wait_state("asleep")
    with pytest.raises(RuntimeError, match="no sensor"):
        await camera.stop()
