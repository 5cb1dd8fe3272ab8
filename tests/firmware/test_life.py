"""A day in a camera's life: found, claimed, woken, configured, updated, cut off; no frame missing, none twice."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from home_assistant import wait_until
from integration_setup import STEP_TIMEOUT
from tests.harness.firmware import run_firmware

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WAKES = 20
# Times are whole milliseconds, added and rounded three times on their way.
ROUNDING_MS = 3


@pytest.mark.usefixtures("tools")
async def test_life(tmp_path: Path, record_property: Any) -> None:
    """A day in the camera's life, in two minutes."""
    async with run_firmware(tmp_path) as installation:
        hass, camera = installation.hass, installation.camera
        await installation.claim()
        await installation.enable("heartbeat_interval_s")
        # It would stay awake for a minute after the claim
        mark = camera.mark
        camera.command("power")
        mark = await installation.asleep(mark)

        # Settings that wait for it while it sleeps
        await installation.set_number("stream_duration_s", 3)
        await installation.set_number("heartbeat_interval_s", 300)
        entity_id = installation.entities["stream_duration_s"]
        state = await hass.state(entity_id)
        assert state
        pending = state["attributes"]["pending"]
        config = await camera.wait("config", after=mark, timeout=STEP_TIMEOUT)
        mark = await installation.asleep(installation.after(config, mark))
        await hass.wait_for_state(
            entity_id, lambda state: not state["attributes"]["pending"]
        )

        # Somebody walks by, and in between it checks in by its timer
        begin = mark
        for _ in range(7):
            mark = await installation.walk_by(mark, 0.5)
            mark = await installation.asleep(mark)

        # An image that is ordered while it sleeps
        await hass.call_action(
            "update", "install", {"entity_id": installation.entities["firmware"]}
        )
        confirmed = await camera.wait("ota_confirmed", after=mark, timeout=STEP_TIMEOUT)
        assert confirmed["fw"] == "0.2.0"
        mark = await installation.asleep(installation.after(confirmed, mark))
        await hass.wait_for_state(
            installation.entities["firmware"],
            lambda state: state["attributes"]["installed_version"] == "0.2.0",
        )

        # The link is lost in the middle of an event: without a word, for less than the ring can hold
        at = await installation.stream(mark, 3)
        installation.link.dead = True
        await installation.capture(at, 10)
        swallowed = installation.link.swallowed
        installation.link.dead = False
        installation.link.cut()
        await camera.wait("closed", after=at)
        ended = await camera.wait("event_ended", after=at, timeout=STEP_TIMEOUT)
        mark = await installation.asleep(installation.after(ended, at))
        lost_short = len(installation.captured()[1])
        # Once more, the Wi-Fi itself, for longer than the ring can hold
        at = await installation.stream(mark, 10)
        camera.command("wifi down")
        closed = await camera.wait("closed", after=at)
        await installation.capture(installation.after(closed, at), 80)
        camera.command("wifi up")
        ended = await camera.wait("event_ended", after=at, timeout=STEP_TIMEOUT)
        mark = await installation.asleep(installation.after(ended, at))
        lost_long = len(installation.captured()[1]) - lost_short

        # The rest of its twenty wakes
        while len(installation.wakes(begin)) < WAKES:
            mark = await installation.walk_by(mark, 0.5)
        wakes = installation.wakes(begin)
        camera_events = sum(line["what"] == "event_ended" for line in camera.lines)

        async def all_recorded() -> bool:
            events = await installation.events()
            return len(events) == camera_events and all(
                event["state"] == "ready" for event in events
            )

        await wait_until(all_recorded, STEP_TIMEOUT, "the last clip")
        await camera.stop()
        sent, lost = installation.captured()
        recorded = await installation.recorded()
        errors = [
            (frame, shown.at - frame.at)
            for frame, shown in zip(sent, recorded, strict=False)
        ]
        late_ms = sorted(late for _, late in errors)
        figures = {
            "wakes": f"{len(wakes)} ({wakes.count('pir')} by motion, {wakes.count('timer')} by timer)",
            "events": camera_events,
            "frames captured": len(sent) + len(lost),
            "frames in clips": len(recorded),
            "lost": f"{lost_short} in a short outage, {lost_long} in one beyond the ring",
            "time error": f"median {late_ms[len(late_ms) // 2]} ms, most {late_ms[-1]} ms",
        }
        for name, value in figures.items():
            print(f"  {name}: {value}")  # noqa: T201 - the figures are what is shown
            record_property(name, value)

        assert pending
        assert [seen.number for seen in recorded] == [seen.number for seen in sent]
        # A clock that came late is late by the time that its message took, and by nothing else
        for frame, late in errors:
            assert -ROUNDING_MS <= late <= frame.link_ms + ROUNDING_MS, frame
        # Within an event no frame is nearer to the next than it was
        for event, frames in groupby(errors, key=lambda item: item[0].event):
            of_event = [late for _, late in frames]
            assert max(of_event) - min(of_event) <= ROUNDING_MS, event
        assert swallowed > 100_000
        assert (lost_short, len(lost)) == (0, lost_long)
        assert lost_long > 0
        assert wakes.count("pir") >= 7
        assert wakes.count("timer") >= 7
        assert hass.problems() == []
