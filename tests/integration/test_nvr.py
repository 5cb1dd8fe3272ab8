"""The shared NVR: its life, its options, and cameras that come and go."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
import errno
from pathlib import Path
import socket
import threading
from typing import Any
from unittest.mock import AsyncMock, Mock, patch
from zoneinfo import ZoneInfo

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from zeroconf import NonUniqueNameException

from custom_components.magicpi_nvr.const import CONF_MEDIA_DIR, DOMAIN, SECTION_STORAGE
from custom_components.magicpi_nvr.gateway import Registry
from custom_components.magicpi_nvr.nvr import EventChange, NvrChange, stores
from custom_components.magicpi_nvr.nvr.stores import RegistryStorage
from custom_components.magicpi_nvr.recording import (
    Event as RecordedEvent,
    StorageFailed,
)
from custom_components.magicpi_nvr.recording.capture import EventDropped
from custom_components.magicpi_nvr.recording.library import annotate
from custom_components.magicpi_nvr.recording.library.notes import write_notes
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.const import CONF_HOST, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.helpers.network import NoURLAvailableError
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from loaded_home import frames_below
from tests.harness.home_assistant import CAMERA_ID, Installation, nvr_options

OTHER_ID = "AA:BB:CC:DD:EE:02"


async def test_port_taken(bare_installation: Installation, hass: HomeAssistant) -> None:
    """A port that is taken is reported, and taken over once it is free."""
    entry = bare_installation.add_nvr_entry()
    with socket.create_server(("127.0.0.1", bare_installation.port)):
        await hass.config_entries.async_setup(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "cannot_listen"
        issue = ir.async_get(hass).async_get_issue(DOMAIN, "port_in_use")
        assert issue
        assert issue.translation_placeholders == {"port": str(bare_installation.port)}
        assert not bare_installation.nvr.running
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert ir.async_get(hass).async_get_issue(DOMAIN, "port_in_use") is None


async def test_restart_keeps_everything(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Keys, settings and desired values outlive a restart."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    installation.nvr.set_recording_enabled(CAMERA_ID, False)
    installation.nvr.set_master_recording_enabled(False)
    installation.camera().set_config({"framerate": 5})
    await installation.restart()
    await installation.nvr.settings.async_load()
    assert installation.camera().config.pending == {"framerate": 5}
    assert not installation.nvr.recording_enabled(CAMERA_ID)
    assert not installation.nvr.master_recording_enabled
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("config_applied", after=mark)
    assert camera.config["framerate"] == 5


@pytest.mark.parametrize("master", [False, True])
async def test_recording_off(
    installation: Installation, hass: HomeAssistant, master: bool
) -> None:
    """With a recording switch off nothing is recorded, and the camera may forget its pictures."""
    camera = await installation.claimed()
    nvr = installation.nvr
    changes: list[NvrChange] = []
    unsubscribe = nvr.changes.subscribe(changes.append)
    if master:
        nvr.set_master_recording_enabled(False)
    else:
        nvr.set_recording_enabled(CAMERA_ID, False)
    assert changes == [NvrChange.SETTINGS]
    unsubscribe()
    await camera.wait_state("asleep")
    mark = camera.mark()
    camera.trigger_motion(0.3)
    await camera.wait_event("event_started", after=mark)
    await camera.wait_all_acked()
    assert nvr.recordings.last_event(CAMERA_ID) is None
    nvr.set_master_recording_enabled(True)
    nvr.set_recording_enabled(CAMERA_ID, True)
    await camera.wait_state("asleep")
    camera.trigger_motion(0.3)
    await installation.wait_until(
        lambda: nvr.recordings.last_event(CAMERA_ID) is not None
    )


async def test_camera_removed(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """Removal revokes the key at once, asks nothing of a sleeper, and leaves the recordings."""
    camera = installation.cameras[0]
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    installation.nvr.set_recording_enabled(CAMERA_ID, False)
    entry = installation.entry()
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    nvr = installation.nvr
    assert CAMERA_ID not in nvr.gateway.cameras
    assert nvr.last_picture(CAMERA_ID) is None
    assert not list((nvr.folder / "last").iterdir())
    assert nvr.recording_enabled(CAMERA_ID)
    assert (nvr.media_root / event.path).is_file()
    assert nvr.entries.name(CAMERA_ID) == "Front door"
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("refused", after=mark)


async def test_camera_removed_after_the_nvr_stopped(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera is removed for good also where nothing runs."""
    await installation.claimed()
    entries = hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        await hass.config_entries.async_unload(entry.entry_id)
    assert not installation.nvr.running
    with patch.object(installation.nvr.life, "up") as started:
        await hass.config_entries.async_remove(installation.entry().entry_id)
        await hass.async_block_till_done()
    assert not started.called
    registry = Registry(RegistryStorage(hass))
    await registry.load()
    assert not registry.cameras
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    await hass.config_entries.async_setup(entry.entry_id)
    assert not installation.nvr.gateway.cameras


async def test_orphans_are_forgotten(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A key without an entry is no good after a restart."""
    await installation.claimed()
    with patch(
        "custom_components.magicpi_nvr.nvr.Nvr.async_forget_camera", AsyncMock()
    ):
        await hass.config_entries.async_remove(installation.entry().entry_id)
    assert CAMERA_ID in installation.nvr.gateway.cameras
    await installation.restart()
    assert not installation.nvr.gateway.cameras


async def test_nvr_entry_comes_back(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Cameras cannot do without the NVR's entry: it is made again, with its defaults."""
    await installation.claimed()
    entry = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    assert entry
    with (
        patch("custom_components.magicpi_nvr.options.DEFAULT_PORT", installation.port),
        patch(
            "custom_components.magicpi_nvr.options.NvrOptions.from_mapping",
            return_value=installation.nvr.options,
        ),
    ):
        await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
    again = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    assert again
    assert again.entry_id != entry.entry_id
    assert again.state is ConfigEntryState.LOADED
    registry = dr.async_get(hass)
    above = registry.async_get_device_by_identifier((DOMAIN, DOMAIN), again.entry_id)
    camera = registry.async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), installation.entry().entry_id
    )
    assert above
    assert camera
    assert camera.via_device_id == above.id


async def test_last_entry_ends_it(
    installation: Installation, hass: HomeAssistant
) -> None:
    """The NVR's entry alone can be removed for good."""
    entry = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, DOMAIN)
    assert entry
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert not hass.config_entries.async_entries(DOMAIN)
    assert not installation.nvr.running


async def test_home_assistant_stops(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Cameras are informed, the announcement is withdrawn, and a second stop does nothing."""
    camera = await installation.claimed(always_on=True)
    release = await installation.nvr.async_acquire()
    mark = camera.mark()
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    closed = await camera.wait_event("closed", after=mark)
    assert closed.data["code"] == 1001
    await installation.wait_until(lambda: not installation.nvr.running)
    await installation.nvr.async_shutdown()
    await release()
    await release()


async def test_announced(
    installation: Installation, hass: HomeAssistant, mock_async_zeroconf: AsyncMock
) -> None:
    """The gateway is found by mDNS."""
    await installation.wait_until(
        lambda: mock_async_zeroconf.async_register_service.called
    )
    info = mock_async_zeroconf.async_register_service.call_args[0][0]
    assert info.type == "_magicpi-nvr._tcp.local."
    assert info.port == installation.port
    properties = (
        {key: value.decode() for key, value in info.properties.items()}
        if isinstance(next(iter(info.properties)), str)
        else {key.decode(): value.decode() for key, value in info.properties.items()}
    )
    assert properties["proto"] == "1"
    assert properties["ca"] == installation.nvr.authority.ca_fingerprint[:16]
    assert len(properties["ca"]) == 16
    await installation.restart()
    assert mock_async_zeroconf.async_unregister_service.called


async def test_addresses(installation: Installation, hass: HomeAssistant) -> None:
    """Cameras learn the address by hand, or those that are found."""
    nvr = installation.nvr
    assert await nvr.async_hosts("192.168.1.9") == ["127.0.0.1"]
    entry = nvr.entries.nvr
    assert entry
    options = nvr_options(installation.port, hosts=[])
    hass.config_entries.async_update_entry(entry, options=options)
    await nvr.async_apply_options()
    with (
        patch(
            "custom_components.magicpi_nvr.nvr.announcement.network.async_get_source_ip",
            return_value="192.168.1.2",
        ),
        patch(
            "custom_components.magicpi_nvr.nvr.announcement.network.async_get_announce_addresses",
            return_value=["192.168.1.2", "10.0.0.2", "fe80::1"],
        ),
    ):
        assert await nvr.async_hosts("192.168.1.9") == ["192.168.1.2", "10.0.0.2"]
        assert await nvr.async_hosts(None) == ["192.168.1.2", "10.0.0.2"]
    with (
        patch(
            "custom_components.magicpi_nvr.nvr.announcement.network.async_get_source_ip",
            side_effect=NoURLAvailableError,
        ),
        patch(
            "custom_components.magicpi_nvr.nvr.announcement.network.async_get_announce_addresses",
            return_value=["10.0.0.2"],
        ),
    ):
        assert await nvr.async_hosts("camera.local") == ["10.0.0.2"]


async def to_other_media_folder(
    installation: Installation, hass: HomeAssistant, tmp_path: Path
) -> Path:
    """Have somebody choose another media folder; return it."""
    other = tmp_path / "other"
    other.mkdir()
    hass.config.media_dirs["other"] = str(other)
    entry = installation.nvr.entries.nvr
    assert entry
    options = nvr_options(installation.port)
    options[SECTION_STORAGE][CONF_MEDIA_DIR] = "other"
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.config_entries.async_reload(entry.entry_id)
    return other


async def test_other_media_folder(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant, tmp_path: Path
) -> None:
    """New recordings go to the folder that is chosen; the rest runs on."""
    nvr = installation.nvr
    other = await to_other_media_folder(installation, hass, tmp_path)
    assert nvr.media_root == other / DOMAIN
    assert nvr.recordings.last_event(CAMERA_ID) is None
    installation.cameras[0].trigger_motion(0.3)
    await installation.wait_until(
        lambda: nvr.recordings.last_event(CAMERA_ID) is not None
    )
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    assert (other / DOMAIN / event.path).is_file()
    # A folder that is no more gives way to the one that there is
    del hass.config.media_dirs["other"]
    hass.config.media_dirs = {"mine": hass.config.media_dirs["local"]}
    await nvr.async_apply_options()
    assert nvr.media_root == installation.media / DOMAIN
    # YAML may have an empty list
    hass.config.media_dirs = {}
    await nvr.async_apply_options()
    assert nvr.media_root == Path(hass.config.path("media")) / DOMAIN


async def test_other_media_folder_in_mid_event(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant, tmp_path: Path
) -> None:
    """What the camera may forget is in the one folder or in the other."""
    camera = installation.cameras[0]
    before = camera.counters.captured
    camera.trigger_motion(4)
    await installation.wait_until(lambda: camera.counters.captured > before + 10)
    other = await to_other_media_folder(installation, hass, tmp_path)
    await camera.wait_all_acked(timeout=60)
    captured = {(frame.boot, frame.seq) for frame in camera.sent_frames if frame.event}
    assert camera.counters.lost == 0
    roots = (installation.media / DOMAIN, other / DOMAIN)
    await installation.wait_until(
        lambda: sum(map(frames_below, roots)) >= len(captured)
    )


async def test_storage_is_written_while_it_changes(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes all the time keep nothing from being written."""
    monkeypatch.setattr(stores, "SAVE_DELAY_S", 0.05)
    storage = RegistryStorage(hass)
    count = 0

    def data() -> dict[str, int]:
        return {"count": count}

    async with asyncio.timeout(20):
        while await RegistryStorage(hass).load() is None:
            count += 1
            storage.save(data)
            await asyncio.sleep(0)
        # Nor does a write at once leave a later change behind
        await storage.save_now(data)
        count = -1
        storage.save(data)
        while await RegistryStorage(hass).load() != {"count": -1}:
            await asyncio.sleep(0)


async def test_cleanup_by_schedule(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """The cleanup runs when its schedule says so, night after night, and keeps what is new."""
    nvr = installation.nvr
    last = nvr.recordings.last_event(CAMERA_ID)
    assert last
    purge = nvr.recordings.async_purge
    with patch.object(nvr.recordings, "async_purge", side_effect=purge) as called:
        now = dt_util.now()
        at = now.replace(hour=2, minute=0, second=0, microsecond=0)
        at += timedelta(days=1 if at <= now else 0)
        async_fire_time_changed(hass, at - timedelta(seconds=5))
        await hass.async_block_till_done()
        assert not called.called
        for night in (1, 2, 3):
            async_fire_time_changed(hass, at + timedelta(days=night - 1, seconds=1))
            await hass.async_block_till_done()
            assert called.call_count == night
    assert await nvr.recordings.library.event(last.id)


async def test_timers_follow_a_clock_that_is_set_back(
    installation: Installation, hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    """What was planned by a clock a month ahead is no month late: tonight is cleaned up, and the day counted."""
    nvr = installation.nvr
    usage, cleanup = nvr.recordings.usage, nvr.recordings.cleanup
    freezer.tick(timedelta(days=30))
    cleanup.schedule("0 2 * * *")
    usage.time_changed()
    freezer.tick(-timedelta(days=30))
    nvr.delegate.clock_stepped()
    now = dt_util.now()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=1)
    with (
        patch.object(nvr.recordings, "async_purge") as purge,
        patch.object(usage, "schedule") as count,
    ):
        async_fire_time_changed(hass, midnight)
        await hass.async_block_till_done()
        assert count.called
        async_fire_time_changed(hass, midnight + timedelta(hours=24))
        await hass.async_block_till_done()
        assert purge.called


async def test_retention_is_reported(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """Whatever retention removes, or the recorder gives up, reaches those who listen."""
    nvr = installation.nvr
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    gone: list[str] = []
    nvr.changes.subscribe_events(
        lambda change, event: (
            gone.append(event.id) if change is EventChange.DELETED else None
        )
    )
    report = await nvr.recordings.async_purge(older_than_ms=event.end_ms + 1)
    assert [item.id for item in report.events] == gone == [event.id]
    assert not (nvr.media_root / event.path).exists()
    await installation.wait_until(lambda: nvr.recordings.last_event(CAMERA_ID) is None)
    nvr.recordings.handle_notice(EventDropped(event))
    assert gone == [event.id] * 2


async def test_reboot_within_an_event(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A camera that restarts in the middle of an event leaves a clip of what came."""
    camera = await installation.claimed(always_on=True, tail_s=30)
    camera.trigger_motion(30)
    await camera.wait_event("event_started")
    await installation.wait_until(lambda: installation.camera().counters.frames > 10)
    boot = installation.camera().hello.boot
    mark = camera.mark()
    camera.reboot("watchdog")
    await camera.wait_event("welcome", after=mark)
    async with asyncio.timeout(60):
        while (event := installation.nvr.recordings.last_event(CAMERA_ID)) is None:
            await asyncio.sleep(0.05)
    assert f"-{boot:08x}-" in event.id
    assert event.state == "ready"


async def test_recordings_for_the_camera(
    clip: RecordedEvent, installation: Installation
) -> None:
    """A camera may list its own recordings, and gets an error for a cursor that is none."""
    camera = installation.cameras[0]
    answer = await camera.request("GET", "/recordings")
    event = installation.nvr.recordings.last_event(CAMERA_ID)
    assert event
    assert [item["id"] for item in answer["recordings"]] == [event.id]
    with pytest.raises(Exception, match="400"):
        await camera.request("GET", "/recordings?cursor=x")


async def test_stale_key_asks_for_a_claim(
    installation: Installation, hass: HomeAssistant
) -> None:
    """A known camera with a wrong key asks for a new claim, once."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    await installation.wait_until(lambda: installation.camera().session is None)
    camera.flash.update({"api_key": "wrong"})
    for _ in range(2):
        mark = camera.mark()
        camera.press_button()
        await camera.wait_event("refused", after=mark)
        await camera.wait_state("asleep")
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == "reauth"
    # A camera that nobody knows is nobody's affair
    installation.nvr.delegate.stale_key(OTHER_ID)
    assert len(hass.config_entries.flow.async_progress()) == 1


async def test_entry_follows_the_camera(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Address and firmware of the device are those that the camera last came with."""
    camera = await installation.claimed()
    await camera.wait_state("asleep")
    camera.flash.update({"fw": "9.9.9"})
    mark = camera.mark()
    camera.press_button()
    await camera.wait_event("welcome", after=mark)
    await hass.async_block_till_done()
    device = dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, CAMERA_ID), installation.entry().entry_id
    )
    assert device
    assert device.sw_version == "9.9.9"
    assert installation.entry().data[CONF_HOST] == "127.0.0.1"


async def test_disabled_camera_is_not_recorded(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Who disables a camera wants nothing of it recorded; it keeps its key."""
    camera = await installation.claimed()
    entry = installation.entry()
    await hass.config_entries.async_set_disabled_by(
        entry.entry_id, ConfigEntryDisabler.USER
    )
    await camera.wait_state("asleep")
    mark = camera.mark()
    camera.trigger_motion(0.3)
    await camera.wait_event("event_started", after=mark)
    await camera.wait_all_acked()
    assert installation.nvr.recordings.last_event(CAMERA_ID) is None
    assert CAMERA_ID in installation.nvr.gateway.cameras


async def test_time_zone_is_followed(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """Local days and hours of new recordings are those of Home Assistant's new time zone."""
    await hass.config.async_update(time_zone="Pacific/Auckland")
    await hass.async_block_till_done()
    nvr = installation.nvr
    before = nvr.recordings.last_event(CAMERA_ID)
    installation.cameras[0].trigger_motion(0.3)
    await installation.wait_until(
        lambda: nvr.recordings.last_event(CAMERA_ID) not in (None, before)
    )
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    at = datetime.fromtimestamp(event.start_ms / 1000, ZoneInfo("Pacific/Auckland"))
    assert event.path.split("/")[1:] == [f"{at:%Y-%m-%d}", f"{at:%H}.mp4"]
    days = await nvr.recordings.library.days(camera=CAMERA_ID)
    assert f"{at:%Y-%m-%d}" in [day.date for day in days]


async def test_recorder_that_cannot_start(
    bare_installation: Installation, hass: HomeAssistant
) -> None:
    """What fails halfway leaves nothing running."""
    entry = bare_installation.add_nvr_entry()
    with patch(
        "custom_components.magicpi_nvr.recording.capture.recorder.Recorder.start",
        side_effect=OSError("no disk"),
    ):
        await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "storage_failed"
    assert ir.async_get(hass).async_get_issue(DOMAIN, "storage_gone")
    assert not bare_installation.nvr.running
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert ir.async_get(hass).async_get_issue(DOMAIN, "storage_gone") is None


async def test_cameras_are_followed_after_a_start_that_failed(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """What a camera says is heard by the second try."""
    entries = hass.config_entries.async_entries(DOMAIN)
    for entry in entries:
        await hass.config_entries.async_unload(entry.entry_id)
    with patch(
        "custom_components.magicpi_nvr.recording.capture.recorder.Recorder.start",
        side_effect=OSError("no disk"),
    ):
        await hass.config_entries.async_setup(entries[0].entry_id)
    for entry in entries:
        await hass.config_entries.async_reload(entry.entry_id)
    with patch.object(installation.nvr.issues, "camera_changed") as changed:
        installation.cameras[0].press_button()
        await installation.wait_until(lambda: changed.called)


async def test_port_lost_while_it_changes(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """A new port that somebody took first is tried again until it is free."""
    entry = installation.nvr.entries.nvr
    assert entry
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        hass.config_entries.async_update_entry(entry, options=nvr_options(port))
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "cannot_listen"
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    with socket.create_connection(("127.0.0.1", port)):
        pass


async def test_media_folder_that_cannot_be_used(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant, tmp_path: Path
) -> None:
    """Recording goes on where it was, and moves once the new folder works."""
    other = tmp_path / "other"
    other.write_text("no folder")
    hass.config.media_dirs["other"] = str(other)
    nvr = installation.nvr
    entry, before = nvr.entries.nvr, nvr.recordings.last_event(CAMERA_ID)
    assert entry and before
    options = nvr_options(installation.port)
    options[SECTION_STORAGE][CONF_MEDIA_DIR] = "other"
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "storage_failed"
    assert ir.async_get(hass).async_get_issue(DOMAIN, "storage_gone")
    assert await nvr.recordings.library.event(before.id)
    other.unlink()
    other.mkdir()
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert ir.async_get(hass).async_get_issue(DOMAIN, "storage_gone") is None
    assert nvr.recordings.last_event(CAMERA_ID) is None


async def test_stops_although_it_cannot_be_announced(
    bare_installation: Installation,
    hass: HomeAssistant,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An announcement that failed keeps nothing running."""
    entry = bare_installation.add_nvr_entry()
    with patch(
        "custom_components.magicpi_nvr.nvr.announcement.zeroconf.async_get_async_instance",
        return_value=Mock(
            async_register_service=AsyncMock(side_effect=NonUniqueNameException),
            async_unregister_service=AsyncMock(side_effect=OSError),
        ),
    ):
        await hass.config_entries.async_setup(entry.entry_id)
        await bare_installation.wait_until(lambda: "cannot be announced" in caplog.text)
        await hass.config_entries.async_unload(entry.entry_id)
    assert not bare_installation.nvr.running
    with socket.create_server(("127.0.0.1", bare_installation.port)):
        pass


async def test_card_is_known_to_dashboards(
    bare_installation: Installation,
    hass: HomeAssistant,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    """The card needs no resource by hand."""
    hass.config.components.add("frontend")
    urls: list[str] = []
    with patch(
        "custom_components.magicpi_nvr.card.frontend.add_extra_js_url",
        side_effect=lambda _, url: urls.append(url),
    ):
        assert await async_setup_component(hass, DOMAIN, {})
    (url,) = urls
    assert url.startswith("/magicpi_nvr/magicpi-timeline-card.js?v=")
    response = await (await hass_client_no_auth()).get(url)
    assert response.status == 200
    assert "javascript" in response.headers["Content-Type"]


async def test_delete_stopped_by_its_caller(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """A script that stops in mid-deletion leaves no entity behind that shows the event."""
    recordings = installation.nvr.recordings
    event = recordings.last_event(CAMERA_ID)
    assert event
    begun, goes_on = asyncio.Event(), asyncio.Event()
    delete = recordings.library.delete

    async def slow(event_id: str) -> object:
        begun.set()
        await goes_on.wait()
        return await delete(event_id)

    heard: list[EventChange] = []
    installation.nvr.changes.subscribe_events(lambda change, _: heard.append(change))
    with patch.object(recordings.library, "delete", slow):
        script = asyncio.ensure_future(recordings.async_delete(event.id))
        await begun.wait()
        script.cancel()
        await asyncio.wait({script})
        goes_on.set()
        await installation.wait_until(lambda: EventChange.DELETED in heard)
    await installation.wait_until(lambda: recordings.last_event(CAMERA_ID) is None)


async def test_clips_today_follow_day_and_deletion(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """The count is that of the local day: it falls with a deletion, at midnight, and when the clock is set."""
    nvr = installation.nvr
    usage = nvr.recordings.usage
    event = nvr.recordings.last_event(CAMERA_ID)
    assert event
    now = dt_util.as_local(dt_util.utc_from_timestamp(event.start_ms / 1000))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    midnight += timedelta(days=1)

    def today() -> int:
        return usage.clips_today(CAMERA_ID)

    with (
        patch("custom_components.magicpi_nvr.nvr.usage.USAGE_COOLDOWN", 0.05),
        patch("custom_components.magicpi_nvr.nvr.usage.dt_util.now") as clock,
    ):
        clock.return_value = now
        usage.schedule()
        await installation.wait_until(lambda: today() == 1)
        clock.return_value = midnight
        async_fire_time_changed(hass, midnight + timedelta(seconds=1))
        await installation.wait_until(lambda: today() == 0)
        # Set back, as network time does
        clock.return_value = now
        nvr.delegate.clock_stepped()
        await installation.wait_until(lambda: today() == 1)
        # A disk that fails is no reason to stay at yesterday's
        with patch.object(
            nvr.recordings.library, "usage", side_effect=StorageFailed("hangs")
        ):
            clock.return_value = midnight
            usage.schedule()
            await installation.wait_until(lambda: today() == 0)
        clock.return_value = now
        usage.schedule()
        await installation.wait_until(lambda: today() == 1)
        await nvr.recordings.async_delete(event.id)
        await installation.wait_until(lambda: today() == 0)


async def test_counters_are_written_at_the_stop_not_at_each_wake(
    clip: RecordedEvent, installation: Installation, hass: HomeAssistant
) -> None:
    """They outlive a restart; a wake writes nothing."""
    camera = installation.cameras[0]
    written: list[object] = []
    storage = installation.nvr._storage
    with (
        patch.object(storage, "save", side_effect=written.append),
        patch.object(storage, "save_now", side_effect=written.append),
    ):
        mark = camera.mark()
        camera.trigger_motion(0.2)
        await camera.wait_event("event_ended", after=mark)
        await camera.wait_state("asleep")
        await installation.wait_until(lambda: installation.camera().session is None)
        assert written == []
    before = installation.camera().counters
    assert before.wakes >= 2
    await installation.restart()
    assert installation.camera().counters == before
    assert installation.camera().counters is not before


async def test_lost_frames_are_counted_by_the_clip(
    installation: Installation, hass: HomeAssistant
) -> None:
    """Event, sensor, counters and `clip_ready` agree on what this side gave up."""
    camera = await installation.claimed()
    recorder = installation.nvr.recordings.recorder
    admit, refused = recorder._admission.admit, 0

    def tight(frame: Any, reason: str) -> Any:
        nonlocal refused
        limit = recorder._context.settings
        if frame.event and refused < 4 and frame.seq % 3 == 0:
            refused += 1
            recorder._context.settings = replace(limit, memory_limit=0)
        try:
            return admit(frame, reason)
        finally:
            recorder._context.settings = limit

    entity_id = installation.entity_id("event", "event")
    ready: list[dict[str, Any]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        state = event.data["new_state"]
        if state and state.attributes.get("event_type") == "clip_ready":
            ready.append(dict(state.attributes))

    async_track_state_change_event(hass, [entity_id], note)
    with patch.object(recorder._admission, "admit", tight):
        camera.trigger_motion(1.0)
        await installation.wait_until(lambda: bool(ready))
    assert refused == 4
    assert ready[0]["lost"] == 4
    found = installation.nvr.recordings.last_event(camera.id)
    assert found
    assert found.lost == 4
    await installation.wait_until(lambda: installation.camera().counters.lost == 4)
    sensor = installation.entity_id("sensor", "frames_lost")
    await installation.wait_until(
        lambda: (state := hass.states.get(sensor)) is None or state.state == "4"
    )


@pytest.mark.parametrize("fails", [False, True])
async def test_protection_that_the_disk_holds_up(
    clip: RecordedEvent,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: bool,
) -> None:
    """It is answered with an error; who shows the event hears what became of it, whatever that is."""
    recordings = installation.nvr.recordings
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.recording.library.backend.DEADLINE_S", 0.5
    )
    answers = threading.Event()

    def slow(path: Path, notes: Any) -> None:
        answers.wait()
        if fails:
            raise OSError(errno.EIO, "no answer")
        write_notes(path, notes)

    monkeypatch.setattr(annotate, "write_notes", slow)
    heard: list[tuple[EventChange, bool]] = []
    installation.nvr.changes.subscribe_events(
        lambda change, event: heard.append((change, event.protected))
    )
    try:
        with pytest.raises(HomeAssistantError) as refused:
            await installation.call(DOMAIN, "protect", event_id=clip.id)
        assert refused.value.translation_key == "storage_failed"
        assert heard == []
    finally:
        answers.set()
    await installation.wait_until(lambda: bool(heard))
    assert heard == [(EventChange.UPDATED, not fails)]
    last = recordings.last_event(CAMERA_ID)
    assert last
    assert last.protected is not fails
    assert (f"Event {clip.id} was not changed" in caplog.text) is fails


async def test_delete_that_the_disk_holds_up(
    clip: RecordedEvent,
    installation: Installation,
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is answered with an error, completed when the disk answers, and reported then."""
    recordings = installation.nvr.recordings
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.recording.library.library.CHANGE_DEADLINE_S", 0.5
    )
    answers = threading.Event()
    removal = recordings.library._removal
    rewrite = removal._rewrite

    def slow(file: Path, events: set[str]) -> int:
        answers.wait()
        return rewrite(file, events)

    monkeypatch.setattr(removal, "_rewrite", slow)
    heard: list[EventChange] = []
    installation.nvr.changes.subscribe_events(lambda change, _: heard.append(change))
    try:
        with pytest.raises(StorageFailed, match="does not answer"):
            await recordings.async_delete(clip.id)
        assert EventChange.DELETED not in heard
        assert recordings.last_event(CAMERA_ID)
    finally:
        answers.set()
    await installation.wait_until(lambda: EventChange.DELETED in heard)
    await installation.wait_until(lambda: recordings.last_event(CAMERA_ID) is None)
