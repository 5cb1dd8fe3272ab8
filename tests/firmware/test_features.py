"""A week of check-ins, the doorbell, false alarms that the camera drops, and an order to sleep."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
import random
from typing import Any

from PIL import Image, ImageDraw
import pytest

from home_assistant import wait_until
from integration_setup import DOMAIN, STEP_TIMEOUT
from tests.harness.firmware import run_firmware

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CHECK_IN_S = 6 * 3600
CHECK_INS = 28  # a week's
WEEK_FACTOR = 14400  # six hours of sleep pass in 1.5 s
MOTION_S = 12
ORDER_S = 1.0  # of radio time after an order to sleep


def render_branch(folder: Path) -> None:
    """Fill a folder with pictures of a yard where only a branch at the left moves."""
    folder.mkdir(parents=True)
    random_ = random.Random(0)
    yard = Image.new("RGB", (800, 600), (110, 120, 110))
    draw = ImageDraw.Draw(yard)
    for _ in range(300):
        x, y, tone = (random_.randrange(n) for n in (800, 600, 60))
        draw.rectangle((x, y, x + 60, y + 40), fill=(tone + 80, tone + 90, tone + 70))
    for number in range(1, 41):
        picture = yard.copy()
        x, y = random_.randrange(100), random_.randrange(300)
        ImageDraw.Draw(picture).rectangle((x, y, x + 90, y + 250), fill=(250, 250, 240))
        picture.save(folder / f"{number:06}.jpg", quality=80, subsampling=1)


@pytest.mark.usefixtures("tools")
async def test_features(tmp_path: Path, record_property: Any) -> None:
    """A week of check-ins, the doorbell, false alarms that the camera drops, and an order to sleep."""
    branch = {
        "name": "Branch",
        "kind": "ignore",
        "points": [[0, 0], [0.3125, 0], [0.3125, 1], [0, 1]],
    }
    async with run_firmware(
        tmp_path,
        "--ring",
        draw=render_branch,
        factor=WEEK_FACTOR,
        options={"vision": {"detection": True}},
    ) as installation:
        hass, camera = installation.hass, installation.camera
        await installation.claim()
        await installation.enable(
            *("heartbeat_interval_s", "checkin_picture", "confirm_motion"),
            "charge_used",
        )
        mark = camera.mark
        camera.command("power")
        mark = await installation.asleep(mark)

        # A picture at each check-in, for a week, and a film of them
        start = datetime.now(UTC)
        await installation.set_number("heartbeat_interval_s", CHECK_IN_S)
        await installation.set_number("stream_duration_s", 3)
        await installation.switch("checkin_picture", True)
        begin = mark = await installation.configured(mark)
        while len(installation.wakes(begin)) < CHECK_INS:
            mark = await installation.asleep(mark)
        pictures = sum(line["what"] == "event_ended" for line in camera.lines[begin:])
        assert await installation.events() == []

        async def film() -> float | None:
            made = await hass.call_action(
                DOMAIN,
                "create_timelapse",
                {
                    "camera": installation.entities["camera"],
                    "start": start.isoformat(),
                    "end": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
                    "check_ins": True,
                },
                return_response=True,
            )
            duration: float = made["duration"]
            return duration if duration >= (CHECK_INS - 0.5) / 30 else None

        week = await wait_until(film, STEP_TIMEOUT, "a film of a week")
        await installation.switch("checkin_picture", False)
        mark = await installation.configured(mark)

        # Somebody rings
        camera.command("ring 0.3")
        rung = await camera.wait("ring", after=mark, timeout=STEP_TIMEOUT)
        doorbell = await hass.wait_for_state(
            installation.entities["doorbell"],
            lambda state: state["attributes"].get("event_type") == "ring",
        )
        reported_ms = datetime.fromisoformat(doorbell["state"]).timestamp() * 1000
        mark = await installation.asleep(installation.after(rung, mark))

        # Only what is to be ignored moves: the camera does not even connect
        await installation.switch("confirm_motion", True)
        await installation.draw_zones(branch)
        mark = await installation.configured(mark)
        before = camera.mark
        camera.command("motion 3")
        dropped = await camera.wait("alarm_dropped", after=mark, timeout=STEP_TIMEOUT)
        quiet = camera.lines[before : installation.after(dropped, mark)]
        mark = await installation.asleep(installation.after(dropped, mark))
        state = await hass.wait_for_state(
            installation.entities["charge_used"],
            lambda state: state["attributes"]["alarms_dropped"] == 1,
            STEP_TIMEOUT,
        )
        # Without the zone it is motion
        await installation.draw_zones()
        mark = await installation.configured(mark)
        mark = await installation.walk_by(mark, 1)

        # Home Assistant sees that nothing goes on, and the camera obeys at once
        await installation.switch("confirm_motion", False)
        await installation.draw_zones(branch)
        mark = await installation.configured(mark)
        await installation.sleep_early()
        camera.command(f"motion {MOTION_S}")
        order = await camera.wait(
            "state",
            lambda line: line["state"] == "closing",
            after=mark,
            timeout=STEP_TIMEOUT,
        )
        off = await camera.wait(
            "radio", lambda line: not line["on"], after=installation.after(order, mark)
        )
        # In its night of six hours, which is over in no time, somebody would still move
        await camera.stop()

        async def all_recorded() -> list[dict[str, Any]] | None:
            events = await installation.events()
            good = len(events) == 3 and all(e["state"] == "ready" for e in events)
            # What vision found is added when it has looked at all pictures
            return events if good and events[-1]["verdict"] else None

        events = await wait_until(all_recorded, STEP_TIMEOUT, "the last clip")
        assert week and events
        figures = {
            "check-ins": f"{pictures} pictures, a film of {week:.2f} s",
            "ring to doorbell": f"{reported_ms - rung['at']:.0f} ms",
            "order to radio off": f"{off['at'] - order['at']} ms",
        }
        for name, value in figures.items():
            print(f"  {name}: {value}")  # noqa: T201 - the figures are what is shown
            record_property(name, value)
        assert pictures >= CHECK_INS
        assert [event["reason"] for event in events] == ["ring", "motion", "motion"]
        assert reported_ms - rung["at"] < 3000
        assert not [line for line in quiet if line["what"] in ("tls", "lookup")]
        assert state
        assert off["at"] - order["at"] < ORDER_S * 1000
        assert events[-1]["verdict"] == "nothing_seen"
        assert events[-1]["end"] - events[-1]["start"] < MOTION_S * 1000
        assert hass.problems() == []
