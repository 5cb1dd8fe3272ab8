"""What recording does to the rest of Home Assistant: a state change's round trip, with and without.

A switch is toggled by WebSocket and its new state awaited, in turns while eight cameras
record and while they sleep; what is compared is the slowest hundredth.
"""

import argparse
import asyncio
import json
from pathlib import Path
import shutil
from statistics import median
import sys
import tempfile
import time

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from load import percentile, sender  # noqa: E402
from loaded_home import children_of, home_with_fleet, round_trips  # noqa: E402


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
    parser = argparse.ArgumentParser(prog="scripts/bench sharing", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument(
        "--cameras", type=int, default=8, help="that record (%(default)s)"
    )
    parser.add_argument(
        "--pairs", type=int, default=5, help="turns of each (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=10, help="of a turn (%(default)s)"
    )
    parser.add_argument("--source", type=Path, help="a folder of JPEGs to send")
    settings = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-sharing-"))
    try:
        pairs = asyncio.run(measure(scratch / "home", settings))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
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
    if settings.json:
        settings.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
