"""The command line's options; on its own, this file prints the help.

It needs only the standard library of Python 3.9: help comes before anything is installed.
Checks of values import what they need when there is a value.
"""

import argparse
import json
from pathlib import Path
import re
from typing import Any

CONTROLS = """\
Standard input takes one command per line, for all cameras or for the one whose id is given
first (`AA:BB:CC:DD:EE:FF motion 5`):
  motion [SECONDS]     the motion sensor sees something (5)
  button               press the button: the camera wakes
  reset                hold the button: it forgets its gateway and opens setup mode
  reboot [REASON]      restart on the spot, with what it has in memory lost (watchdog)
  power off | power on
  cut                  drop the connection
  stall SECONDS        let nothing through for a while
  throttle BYTES       send no faster than this per second; 0 for no limit
  status               print an event `status` with state and counters
"""


def camera_id(text: str) -> str:
    """Return an id as the protocol writes it."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}", text):
        raise argparse.ArgumentTypeError("an id looks like AA:BB:CC:DD:EE:FF")
    return text.upper().replace("-", ":")


def setup_code(text: str) -> str:
    """Return a setup code."""
    from virtual_camera.store import canonical_code  # noqa: PLC0415

    try:
        return canonical_code(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from err


def address_and_port(text: str) -> tuple[str, int]:
    """Return what HOST:PORT says."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError("give it as HOST:PORT")
    return host.strip("[]"), int(port)


def setting(text: str) -> tuple[str, Any]:
    """Return what KEY=VALUE says, checked."""
    from virtual_camera.settings import DEFAULTS, why_not  # noqa: PLC0415

    key, _, raw = text.partition("=")
    try:
        value = json.loads(raw)
    except ValueError:
        value = raw
    if reason := why_not(
        key, value, {"resolutions": [DEFAULTS["resolution"], raw], "flash": True}
    ):
        raise argparse.ArgumentTypeError(f"{text}: {reason}")
    return key, value


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="scripts/virtual-camera",
        description=(
            "Run virtual cameras: complete cameras by the protocol, made of software."
            " Without a claim a camera opens setup mode and shows its setup code;"
            " Home Assistant claims it with that. It then sleeps until its motion sensor"
            " or its timer wakes it."
        ),
        epilog=CONTROLS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    who = parser.add_argument_group("which cameras")
    who.add_argument("--count", type=int, default=1, help="how many (1)")
    who.add_argument(
        "--id", type=camera_id, help="id of the first; the others count on from it"
    )
    who.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="keep id, setup code, claim and settings here between runs (memory only)",
    )
    who.add_argument(
        "--setup-code", type=setup_code, help="setup code of all (one made per camera)"
    )
    who.add_argument("--model", help="model name that they report")
    who.add_argument(
        "--fw", metavar="VERSION", help="firmware version that they report"
    )

    where = parser.add_argument_group("network")
    where.add_argument(
        "--host", help="address for setup mode (the advertised one, else 127.0.0.1)"
    )
    where.add_argument(
        "--port",
        type=int,
        default=0,
        help="port for setup mode; more cameras take the next ones (any free one)",
    )
    where.add_argument(
        "--advertise",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help=(
            "announce setup mode by mDNS, with this machine's address or another one."
            " Home Assistant does not take 127.0.0.1"
        ),
    )
    where.add_argument(
        "--gateway",
        type=address_and_port,
        metavar="HOST:PORT",
        help="dial this address only, whatever the claim says",
    )
    where.add_argument(
        "--throttle", type=int, metavar="BYTES", help="send at most this per second"
    )

    what = parser.add_argument_group("pictures")
    what.add_argument(
        "--source",
        metavar="PATH",
        help="folder of JPEGs or a video file (pictures made at run time)",
    )
    what.add_argument(
        "--loop",
        type=int,
        default=0,
        metavar="N",
        help="make N pictures at the start and repeat them: cheap, for many cameras",
    )

    life = parser.add_argument_group("life")
    life.add_argument(
        "--motion-every", type=float, metavar="S", help="motion every S seconds"
    )
    life.add_argument(
        "--motion-duration",
        type=float,
        default=5,
        metavar="S",
        help="how long motion lasts (%(default)s)",
    )
    life.add_argument(
        "--tail",
        type=float,
        metavar="S",
        help="record this long after the motion (the setting stream_duration_s)",
    )
    life.add_argument(
        "--time-factor",
        type=float,
        default=1,
        metavar="F",
        help="sleep and wait F times shorter; pictures keep real time (%(default)s)",
    )
    life.add_argument(
        "--always-on", action="store_true", help="on mains power: never sleeps"
    )
    life.add_argument(
        "--battery",
        type=float,
        default=100,
        metavar="PERCENT",
        help="charge of the battery (%(default)s)",
    )
    life.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting that the camera starts with, such as framerate=5",
    )
    life.add_argument(
        "--ota-result",
        choices=("ok", "fail", "rollback"),
        default="ok",
        help="how firmware updates end (%(default)s)",
    )
    life.add_argument(
        "--duration", type=float, metavar="S", help="end by itself after S seconds"
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--print-json",
        action="store_true",
        help="one JSON object per life event on standard output",
    )
    output.add_argument(
        "--all-events", action="store_true", help="acknowledgements too"
    )
    output.add_argument(
        "--stdin",
        action="store_true",
        help="take the commands below from standard input",
    )
    return parser


if __name__ == "__main__":
    make_parser().parse_args(["--help"])
