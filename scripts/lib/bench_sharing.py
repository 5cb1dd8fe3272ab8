"""What recording does to the rest of Home Assistant: a state change's round trip, with and without.

A switch is toggled by WebSocket and its new state awaited, in turns while eight cameras
record and while they sleep; what is compared is the slowest hundredth.
"""

import argparse
import asyncio
from pathlib import Path
from statistics import median
import time

from benchmark import children_of, command_line, publish, scratch
from load import percentile, sender
from loaded_home import home_with_fleet, round_trips


async def measure(
    folder: Path, settings: argparse.Namespace
) -> list[tuple[list[float], list[float]]]:
    """Return ms of the round trips without and with recording, pair by pair."""
    pairs = []
    async with (
        home_with_fleet(folder, settings.cameras, mains=False) as (hass, fleet),
        sender(fleet, source=settings.source) as senders,
    ):

        async def quiet() -> list[float]:
            while children_of(hass.pid):
                await asyncio.sleep(0.2)
            until = time.monotonic() + settings.seconds
            return await round_trips(hass, lambda: time.monotonic() > until)

        async def recording() -> list[float]:
            work = asyncio.create_task(
                senders.ask(do="burst", group=0, seconds=settings.seconds)
            )
            until = time.monotonic() + settings.seconds
            # Waking is not recording yet, and the end of sending is not its end.
            await asyncio.sleep(1)
            found = await round_trips(hass, lambda: time.monotonic() > until)
            counts = await work
            assert not counts["lost"]
            return found

        await recording()
        for number in range(settings.pairs):
            if number % 2:
                with_cameras = await recording()
                pairs.append((await quiet(), with_cameras))
            else:
                without = await quiet()
                pairs.append((without, await recording()))
    return pairs


def main() -> None:
    """Measure and print."""
    settings = command_line(
        "sharing",
        __doc__,
        cameras=(8, "that record"),
        pairs=(5, "turns of each"),
        seconds=(10.0, "of a turn"),
        source=(None, "a folder of JPEGs to send"),
    ).parse_args()
    with scratch("sharing") as folder:
        pairs = asyncio.run(measure(folder / "home", settings))
    figures = {}
    print(f"{settings.cameras} cameras   ratio   without ms   with ms   (round trips)")
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        both = [
            (percentile(quiet, share), percentile(busy, share)) for quiet, busy in pairs
        ]
        figures[f"sharing_{name}_ratio"] = round(
            median(busy / quiet for quiet, busy in both), 2
        )
        figures[f"sharing_{name}_ms"] = round(median(busy for _, busy in both), 1)
        print(
            f"{name:>9} {figures[f'sharing_{name}_ratio']:7.2f} {median(quiet for quiet, _ in both):12.1f}"
            f" {figures[f'sharing_{name}_ms']:9.1f}   ({sum(len(busy) for _, busy in pairs)})"
        )
    publish(settings, figures)


if __name__ == "__main__":
    main()
