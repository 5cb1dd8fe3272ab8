"""Sensors of cameras and of the NVR."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.magicpi_nvr.battery import DAY_MS, HOUR_MS, BatteryHistory
from custom_components.magicpi_nvr.const import DOMAIN
from custom_components.magicpi_nvr.gateway import Frame, Heartbeat
from custom_components.magicpi_nvr.recording.capture import FrameGivenUp
from custom_components.magicpi_nvr.sensor import BatteryDaysSensor
from homeassistant.const import ATTR_UNIT_OF_MEASUREMENT, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from tests.harness.home_assistant import Installation, Writes

DISABLED_CAMERA = {
    "battery_days_left",
    "battery_voltage",
    "charge_used",
    "first_frame",
    "frames_lost",
    "frames_repaired",
    "last_seen",
    "next_check_in",
    "pending_settings",
    "rssi",
    "storage_used",
    "tls",
    "wifi",
}


@pytest.mark.usefixtures("everything_enabled")
async def test_a_camera_wakes_and_sleeps(installation: Installation) -> None:
    """Each reading comes with the first wake and stays while the camera sleeps."""
    camera = await installation.add_camera(battery_pct=73)
    await camera.sleep()

    assert camera.state("sensor", "status").state == "asleep"
    assert camera.state("sensor", "battery").state == "73"
    voltage = camera.state("sensor", "battery_voltage")
    assert float(voltage.state) == pytest.approx(3.957)
    assert voltage.attributes[ATTR_UNIT_OF_MEASUREMENT] == "V"
    assert int(camera.state("sensor", "rssi").state) == pytest.approx(-58, abs=2)
    for key in ("wifi", "tls", "first_frame"):
        assert float(camera.state("sensor", key).state) >= 0, key
    assert camera.state("sensor", "frames_lost").state == "0"
    assert camera.state("sensor", "frames_repaired").state == "0"
    assert camera.state("sensor", "battery_days_left").state == STATE_UNKNOWN
    assert camera.state("sensor", "clips_today").state == "0"
    assert camera.state("sensor", "pending_settings").state == "0"

    seen = dt_util.parse_datetime(camera.state("sensor", "last_seen").state)
    due = dt_util.parse_datetime(camera.state("sensor", "next_check_in").state)
    assert seen
    assert due
    assert due - seen == timedelta(seconds=3600)
    assert installation.unavailable() == []


@pytest.mark.usefixtures("everything_enabled")
async def test_an_awake_camera_has_no_next_check_in(installation: Installation) -> None:
    """While a camera is there, nobody waits for it."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    assert camera.state("sensor", "next_check_in").state == STATE_UNKNOWN
    assert installation.nvr_state("sensor", "cameras_connected").state == "1"


async def test_disabled_by_default(
    installation: Installation, entity_registry: er.EntityRegistry
) -> None:
    """What is noisy or of interest to few is there but disabled."""
    camera = await installation.add_camera()
    disabled = {
        entry.unique_id.removeprefix(f"{camera.entry.unique_id}-")
        for entry in er.async_entries_for_config_entry(
            entity_registry, camera.entry.entry_id
        )
        if entry.disabled and entry.domain == "sensor"
    }
    assert disabled == DISABLED_CAMERA


@pytest.mark.usefixtures("everything_enabled")
async def test_a_camera_on_mains(installation: Installation) -> None:
    """A camera that has no battery and never sleeps has no such sensors."""
    camera = await installation.add_camera(keep_on=True)
    await camera.status("awake", "streaming")
    for key in ("battery", "battery_voltage", "battery_days_left", "next_check_in"):
        with pytest.raises(AssertionError, match="does not exist"):
            camera.state("sensor", key)


@pytest.mark.usefixtures("everything_enabled")
async def test_reports_of_an_awake_camera_are_not_all_written(
    installation: Installation, writes: Writes
) -> None:
    """A report every ten seconds gives a state every five minutes."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    rssi = camera.entity_id("sensor", "rssi")
    with patch(
        "custom_components.magicpi_nvr.sensor.monotonic", return_value=1e6
    ) as clock:
        for report in range(90):
            clock.return_value += 10
            camera.gateway_camera.handle_heartbeat(
                Heartbeat(uptime_ms=report * 10_000, rssi=-30 - report)
            )
            await installation.hass.async_block_till_done()
    assert writes.counts[rssi] <= 5


@pytest.mark.usefixtures("everything_enabled")
async def test_no_state_for_a_frame(installation: Installation, writes: Writes) -> None:
    """Ten frames a second reach no entity."""
    camera = await installation.add_camera(linger_s=600)
    await camera.status("awake")
    assert camera.gateway_camera.hello
    frame = Frame(
        camera=camera.gateway_camera.id,
        boot=camera.gateway_camera.hello.boot,
        event=0,
        seq=0,
        flags=0,
        t=0,
        captured_ms=0,
        jpeg=b"",
        width=800,
        height=600,
        repaired=True,
    )
    writes.counts.clear()
    for seq in range(200):
        camera.gateway_camera.handle_frame(frame)
        camera.gateway_camera.counters.frames += 1
        camera.gateway_camera.counters.bytes += 1000
        camera.gateway_camera.counters.repairs["eoi"] += 1
        if seq % 5 == 0:
            camera.gateway_camera.tick()
        await installation.hass.async_block_till_done()
    # The camera began to stream, and that is all there is to say.
    assert all(count == 1 for count in writes.counts.values()), writes.counts
    assert set(writes.counts) <= {
        camera.entity_id("sensor", "status"),
        camera.entity_id("camera", "camera"),
        camera.entity_id("sensor", "frames_repaired"),
    }


@pytest.mark.usefixtures("everything_enabled")
async def test_pending_settings(installation: Installation) -> None:
    """The sensor says what waits, and what was refused."""
    camera = await installation.add_camera()
    await camera.sleep()
    camera.gateway_camera.set_config({"framerate": 15, "vflip": True})
    await installation.hass.async_block_till_done()
    state = camera.state("sensor", "pending_settings")
    assert state.state == "2"
    assert state.attributes["pending"] == {"framerate": 15, "vflip": True}
    assert state.attributes["rejected"] == {}
    await camera.nap()
    assert camera.state("sensor", "pending_settings").state == "0"


@pytest.mark.usefixtures("everything_enabled")
async def test_battery_days_survive_a_restart(
    hass: HomeAssistant, installation: Installation
) -> None:
    """The history is stored with the state and taken up again."""
    now = int(dt_util.utcnow().timestamp() * 1000)
    history = BatteryHistory()
    for hour in range(240):
        history.add(now - 10 * DAY_MS + hour * HOUR_MS, 90 - hour / 12)
    camera = await installation.add_camera(battery_pct=70)
    await camera.sleep()
    assert camera.state("sensor", "battery_days_left").state == STATE_UNKNOWN
    entity = hass.data["entity_components"]["sensor"].get_entity(
        camera.entity_id("sensor", "battery_days_left")
    )
    assert isinstance(entity, BatteryDaysSensor)
    entity._history = history
    await hass.config_entries.async_reload(camera.entry.entry_id)
    await hass.async_block_till_done()
    left = float(camera.state("sensor", "battery_days_left").state)
    assert left == pytest.approx(35, rel=0.05)

    # The next report goes into the same history.
    entity = hass.data["entity_components"]["sensor"].get_entity(
        camera.entity_id("sensor", "battery_days_left")
    )
    assert isinstance(entity, BatteryDaysSensor)
    assert entity._history is not history
    before = entity.extra_restore_state_data.as_dict()["buckets"]
    await camera.nap()
    after = entity.extra_restore_state_data.as_dict()["buckets"]
    assert after[: len(before) - 1] == before[:-1]
    assert sum(bucket[2] for bucket in after) > sum(bucket[2] for bucket in before)


async def test_nvr(installation: Installation) -> None:
    """The NVR tells what it has and what is left."""
    await installation.nvr.recordings.usage.async_refresh()
    await installation.hass.async_block_till_done()
    assert installation.nvr_state("sensor", "cameras_connected").state == "0"
    assert installation.nvr_state("sensor", "recordings").state == "0"
    assert float(installation.nvr_state("sensor", "storage_used").state) == 0
    assert float(installation.nvr_state("sensor", "storage_free").state) > 0
    assert installation.nvr_state("sensor", "days_until_full").state == STATE_UNKNOWN
    registry = er.async_get(installation.hass)
    queue = registry.async_get(installation.nvr_entity_id("sensor", "encoder_queue"))
    assert queue
    assert queue.disabled


async def test_unique_ids(
    installation: Installation, entity_registry: er.EntityRegistry
) -> None:
    """Ids begin with the camera's MAC as Home Assistant writes it, or the domain."""
    camera = await installation.add_camera()
    entries: list[MockConfigEntry] = [installation.nvr_entry, camera.entry]
    for entry in entries:
        found = er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        assert found
        assert all(item.unique_id.startswith(f"{entry.unique_id}-") for item in found)
    assert installation.nvr_entry.unique_id == DOMAIN


@pytest.mark.usefixtures("everything_enabled")
async def test_a_frame_that_the_recorder_lost(installation: Installation) -> None:
    """What no disk took counts as lost, like what the camera gave up."""
    camera = await installation.add_camera()
    await camera.sleep()
    for _ in range(3):
        installation.nvr.recordings.handle_notice(
            FrameGivenUp(camera.gateway_camera.id, "storage")
        )
    await installation.hass.async_block_till_done()
    assert (
        camera.gateway_camera.counters.lost,
        camera.gateway_camera.counters.given_up,
    ) == (3, 3)
    await installation.wait_for_states(
        lambda: camera.state("sensor", "frames_lost").state == "3"
    )
