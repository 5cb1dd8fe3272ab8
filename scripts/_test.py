"""Run every test: with the newest Home Assistant, with a fuzzer, and the firmware's.

With the oldest Home Assistant those run that can find a difference: see OLDEST_TESTS; with
--environment all of them. The last line is the sum. Arguments that are not listed here go to pytest
(scripts/test tests/gateway -k register); with such arguments fuzzer and firmware's tests are left out.
"""

import argparse
from dataclasses import dataclass
import os
from pathlib import Path
import platform
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

from _bootstrap import (
    ENVIRONMENTS,
    ROOT,
    SetupError,
    bring_browser,
    find_browser,
    setup,
)

HOME_ASSISTANTS = ("2026.11", "2026.10")
# What differs between the two is Home Assistant's API, and how a real one starts.
OLDEST_TESTS = ("tests/integration", "tests/scripts")
# Of these the subject is what lies below that API, or a file that no Home Assistant runs.
# The API that they use on their way is that of the other files.
NOT_OLDEST_TESTS = (
    "tests/integration/live",
    "tests/integration/test_battery.py",
    "tests/integration/test_continuous.py",
    "tests/integration/test_hassfest.py",
    "tests/integration/test_scale.py",
    "tests/integration/test_vision.py",
)
RESULTS = ROOT / "test-results"
BROWSER_TESTS = ROOT / "tests" / "browser"
FUZZ_SECONDS = 20
# The fuzzer has no wheels for others.
FUZZ_MACHINES = ("x86_64", "AMD64")
FIRMWARE_TESTS = ROOT / "firmware" / "test" / "run"
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)
# So many failures may come of a busy machine; more of them come of a change.
AGAIN_MAX = 5
# With these, one process has the terminal or the test for itself.
ALONE = re.compile(r"^(-n|--numprocesses|--pdb|--collect-only|--co|-s|.*::.*)$")


@dataclass
class Sum:
    """What came out."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Sum) -> Sum:
        """Add two of them."""
        return Sum(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        """Return the line that CI reads."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(command: list[object], **more: str) -> int:
    """Run a command in front of the reader; return its exit code."""
    env = {**os.environ, **more}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.stdout.flush()
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=env, check=False
    ).returncode


def run_pytest(environment: str, title: str, arguments: list[str]) -> Sum:
    """Run pytest in an environment."""
    print(f"\n=== {title}", flush=True)
    setup([ENVIRONMENTS[environment]])
    RESULTS.mkdir(exist_ok=True)
    report = RESULTS / f"{re.sub(r'[^a-z0-9.]+', '-', title.lower())}.xml"
    report.unlink(missing_ok=True)
    parallel = []
    if not any(ALONE.match(argument) for argument in arguments):
        # Files stay whole: their tests share what takes long to start. Much of the time a
        # test waits for a camera's clock, so there are two more than processors. The order
        # is that of tests/conftest.py.
        parallel = [
            *("-n", str((os.cpu_count() or 2) + 2)),
            *("--dist", "loadfile", "--no-loadscope-reorder"),
        ]
    command = [
        ENVIRONMENTS[environment].path / "bin" / "python",
        *("-m", "pytest", f"--junitxml={report}"),
    ]
    variables = {
        # Programs that the environment brings, where the system has none: ffmpeg.
        "PATH": os.pathsep.join(
            [
                str(ENVIRONMENTS[environment].path / "bin"),
                os.environ.get("PATH", os.defpath),
            ]
        ),
        **({"MAGICPI_NVR_BROWSER": path} if (path := find_browser()) else {}),
    }
    code = run([*command, "--durations=20", *parallel, *arguments], **variables)
    result = read_report(report)
    if parallel and 0 < result.failed <= AGAIN_MAX:
        # What fails only beside others is named, and is no failure
        print(f"\n=== {title}: what failed, alone", flush=True)
        code = run([*command, "-n", "0", "--last-failed", *arguments], **variables)
        again = read_report(report)
        if code and not again.failed:
            # It ended before it could report
            again.failed = result.failed
        if steady := result.failed - again.failed:
            print(f"{title}: {steady} failed beside others, and passed alone")
        result.passed += steady
        result.failed = again.failed
    if code and not result.failed:
        # It ended before it could report, or found nothing to run.
        result.failed += 1
    return result


def read_report(report: Path) -> Sum:
    """Count what pytest has reported."""
    if not report.exists():
        return Sum()
    result = Sum()
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314
        total, failures, errors, skipped = (
            int(suite.get(name, 0))
            for name in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        result += Sum(max(total - failed - skipped, 0), failed, skipped)
    return result


def build_firmware() -> subprocess.Popen[bytes]:
    """Begin to build the firmware with what time other tests leave."""
    # Its packages first: tests/firmware needs some of them too.
    subprocess.run(
        [FIRMWARE_TESTS, "packages"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return subprocess.Popen(
        ["nice", "-n", "19", FIRMWARE_TESTS, "--build"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def run_firmware(*, shown: bool = True) -> tuple[Sum, str]:
    """Run the firmware's own tests, which need no Python but a C++ compiler; returns their lines too."""
    if shown:
        print("\n=== Firmware", flush=True)
    process = subprocess.Popen(
        [FIRMWARE_TESTS],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        if shown:
            print(line, end="", flush=True)
        lines.append(line)
    code = process.wait()
    if counts := COUNTS.findall("".join(lines)):
        result = Sum(*(int(number or 0) for number in counts[-1]))
    else:
        result = Sum(passed=int(not code))
    if code and not result.failed:
        result.failed += 1
    return result, "".join(lines)


def run_fuzz() -> Sum:
    """Throw inputs at all that reads bytes from outside, for a while."""
    print("\n=== Fuzzing", flush=True)
    if platform.machine() not in FUZZ_MACHINES:
        return Sum(skipped=1)
    code = run([ROOT / "scripts" / "fuzz", "--seconds", FUZZ_SECONDS])
    return Sum(passed=int(not code), failed=int(bool(code)))


def run_beside(version: str) -> dict[str, Sum]:
    """Run the tests of a Home Assistant and, beside them, the firmware's: both wait a lot."""
    firmware: list[tuple[Sum, str]] = []
    beside = threading.Thread(
        target=lambda: firmware.append(run_firmware(shown=False)), daemon=True
    )
    beside.start()
    title = f"Home Assistant {version}"
    ignored = [f"--ignore={path}" for path in NOT_OLDEST_TESTS]
    result = run_pytest(version, title, [*OLDEST_TESTS, *ignored])
    beside.join()
    print("\n=== Firmware", flush=True)
    if not firmware:
        firmware.append((Sum(failed=1), "it could not be run\n"))
    print(firmware[0][1], end="", flush=True)
    return {title: result, "Firmware": firmware[0][0]}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--environment",
        choices=HOME_ASSISTANTS,
        help="only with this Home Assistant",
    )
    parser.add_argument(
        "--browser", action="store_true", help="those that drive the real UI, too"
    )
    parser.add_argument("--firmware", action="store_true", help="only the firmware's")
    options, arguments = parser.parse_known_args()

    is_whole = not (options.environment or arguments or options.firmware)
    begin = time.monotonic()
    results: dict[str, Sum] = {}
    interrupted = False
    newest, oldest = HOME_ASSISTANTS
    build: subprocess.Popen[bytes] | None = None
    try:
        if is_whole:
            setup([ENVIRONMENTS[newest], ENVIRONMENTS[oldest]])
            build = build_firmware()
        if not options.firmware:
            version = options.environment or newest
            title = f"Home Assistant {version}"
            which = [f"--ignore={BROWSER_TESTS}", *arguments]
            results[title] = run_pytest(version, title, which)
        if options.browser and BROWSER_TESTS.is_dir():
            bring_browser()
            # One after another: a Home Assistant and a browser use both cores.
            results["Browser"] = run_pytest(
                options.environment or newest,
                "Browser",
                ["-n", "0", str(BROWSER_TESTS)],
            )
        if build:
            build.wait()
            results |= run_beside(oldest)
            results["Fuzzing"] = run_fuzz()
        if options.firmware:
            results["Firmware"], _ = run_firmware()
    except SetupError as err:
        print(f"test: {err}", file=sys.stderr)
        results["Setup"] = Sum(failed=1)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if build and build.poll() is None:
            os.killpg(build.pid, signal.SIGTERM)

    print()
    for title, result in results.items():
        print(f"{title}: {result}")
    print(f"in {time.monotonic() - begin:.0f} s\n")
    total = sum(results.values(), Sum())
    print(total, flush=True)
    return 130 if interrupted else int(bool(total.failed or not total.passed))


if __name__ == "__main__":
    sys.exit(main())
