"""Coverage-guided fuzzing of all that reads bytes from outside.

Each target runs in a process of its own. An input that breaks a promise ends the run with 1
and is kept in tests/attack/fixtures, where a test repeats it for good.
"""

import argparse
import os
from pathlib import Path
import re
import subprocess
import sys
import time

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / ".local" / "fuzz"
NAMES = ("jpeg", "message", "mp4", "picture", "websocket")
# Start and end of a process are not counted into its time.
PATIENCE_S = 120
EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
COVERAGE = re.compile(r"cov: (\d+)")
CHILD = "--child"
MAX_BYTES = {
    "jpeg": 2048,
    "message": 2048,
    "mp4": 4096,
    "picture": 2048,
    "websocket": 256,
}


def fuzz_here(target: str, arguments: list[str]) -> None:
    """Fuzz in this process; never returns."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(
        include=[
            "gateway.link.frame_reader",
            "gateway.jpeg",
            "gateway.messages",
            "gateway.protocol",
            "recording.hourfile.boxes",
            "recording.hourfile.fragment",
            "recording.hourfile.scan",
            "vision.pictures",
        ]
    ):
        import fuzz_targets  # noqa: PLC0415

    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(fuzz_targets.seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = corpus.with_suffix(".dict")
    words.write_text(
        "".join(
            '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'
            for word in fuzz_targets.dictionary(target)
        )
    )
    fuzz_targets.FIXTURES.mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [
            sys.argv[0],
            f"-artifact_prefix={fuzz_targets.FIXTURES}/{target}-",
            f"-dict={words}",
            f"-max_len={MAX_BYTES[target]}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            *arguments,
            str(corpus),
        ],
        fuzz_targets.TARGETS[target],
        internal_libfuzzer=True,
    )
    atheris.Fuzz()


def run(target: str, arguments: list[str], patience_s: float) -> tuple[bool, int]:
    """Fuzz one target; returns whether all promises held, and the number of inputs."""
    begin = time.monotonic()
    try:
        process = subprocess.run(
            [sys.executable, __file__, CHILD, target, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{target}: hangs", flush=True)
        return False, 0
    took = time.monotonic() - begin
    executed = int(found[-1]) if (found := EXECUTED.findall(process.stdout)) else 0
    covered = found[-1] if (found := COVERAGE.findall(process.stdout)) else "?"
    good = process.returncode == 0 and executed > 0
    if not good:
        print("\n".join(process.stdout.splitlines()[-60:]))
    print(
        f"{target}: {executed:,} inputs in {took:.0f} s, {covered} edges, "
        f"{'all promises held' if good else 'A PROMISE WAS BROKEN'}",
        flush=True,
    )
    return good, executed


def main() -> int:
    """Fuzz what the command line asks for."""
    if sys.argv[1:2] == [CHILD]:
        fuzz_here(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--seconds", type=int, default=30, help="in all (%(default)s)")
    much.add_argument("--runs", type=int, help="inputs in all")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    names = options.targets or NAMES
    if options.runs:
        arguments = [f"-runs={-(-options.runs // len(names))}"]
        patience_s = 24 * 3600.0
    else:
        seconds = max(1, options.seconds // len(names))
        arguments = [f"-max_total_time={seconds}"]
        patience_s = seconds + PATIENCE_S
    os.environ["PYTHONUNBUFFERED"] = "1"
    results = [run(name, arguments, patience_s) for name in names]
    print(f"{sum(count for _, count in results):,} inputs in all")
    return int(not all(good for good, _ in results))


if __name__ == "__main__":
    sys.exit(main())
