"""Run every test: with the newest Home Assistant, with a fuzzer, and the firmware's.

With the oldest Home Assistant those run that can find a difference: see OLDEST_TESTS; with
--environment all of them. The last line is the sum. Arguments that are not listed here go to pytest
(scripts/test tests/gateway -k register); with such arguments fuzzer and firmware's tests are left out.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
import os
from pathlib import Path
import platform
import re
import subprocess
import sys
import tempfile
import time
from typing import IO
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
    "tests/integration/test_transactions.py",
    "tests/integration/test_vision.py",
)
RESULTS = ROOT / "test-results"
BROWSER_TESTS = ROOT / "tests" / "browser"
FUZZ_SECONDS = 20
# Most tests wait for a camera's clock, so more of them run at a time.
CPUS = os.cpu_count() or 2
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


def run(command: list[object], out: IO[bytes] | None = None, **more: str) -> int:
    """Run a command in front of the reader, or into a file; return its exit code."""
    env = {**os.environ, **more}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.stdout.flush()
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=env,
        stdout=out,
        stderr=out and subprocess.STDOUT,
        check=False,
    ).returncode


def heading(title: str) -> None:
    """Print what comes next."""
    print(f"\n=== {title}", flush=True)


class Tests:
    """The tests of an environment, or some of them."""

    def __init__(
        self, environment: str, title: str, arguments: list[str], workers: int
    ) -> None:
        """Say which; with arguments that need the terminal or the test for themselves there are no workers."""
        self.title = title
        self._report = RESULTS / f"{re.sub(r'[^a-z0-9.]+', '-', title.lower())}.xml"
        self._arguments = arguments
        self._parallel: list[str] = []
        if not any(ALONE.match(argument) for argument in arguments):
            # Files stay whole: their tests share what takes long to start. The order is that
            # of tests/conftest.py.
            self._parallel = [
                *("-n", str(workers)),
                *("--dist", "loadfile", "--no-loadscope-reorder"),
            ]
        path = ENVIRONMENTS[environment].path / "bin"
        self._command = [
            path / "python",
            *("-m", "pytest", f"--junitxml={self._report}"),
            # What failed is kept for each: they run beside each other
            *("-o", f"cache_dir=.pytest_cache/{self._report.stem}"),
        ]
        self._variables = {
            # Programs that the environment brings, where the system has none: ffmpeg.
            "PATH": os.pathsep.join([str(path), os.environ.get("PATH", os.defpath)]),
            **({"MAGICPI_NVR_BROWSER": found} if (found := find_browser()) else {}),
        }

    def run(self, out: IO[bytes] | None = None) -> Sum:
        """Run them."""
        RESULTS.mkdir(exist_ok=True)
        result, code = self._pytest(out, "--durations=20", *self._parallel)
        if code and not result.failed:
            # It ended before it could report, or found nothing to run.
            result.failed += 1
        return result

    def run_again(self, first: Sum) -> Sum:
        """Run what failed alone: what fails only beside others is named, and is no failure."""
        if not self._parallel or not 0 < first.failed <= AGAIN_MAX:
            return first
        heading(f"{self.title}: what failed, alone")
        again, code = self._pytest(None, "-n", "0", "--last-failed")
        # Without a report it ended before it could make one
        failed = again.failed or (first.failed if code else 0)
        if steady := first.failed - failed:
            print(f"{self.title}: {steady} failed beside others, and passed alone")
        return Sum(first.passed + steady, failed, first.skipped)

    def _pytest(self, out: IO[bytes] | None, *more: str) -> tuple[Sum, int]:
        self._report.unlink(missing_ok=True)
        code = run([*self._command, *more, *self._arguments], out, **self._variables)
        return read_report(self._report), code


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


def run_firmware(out: IO[bytes] | None = None) -> Sum:
    """Run the firmware's own tests, which need no Python but a C++ compiler."""
    process = subprocess.Popen(
        [FIRMWARE_TESTS],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    result = Sum()
    for line in process.stdout:
        (out or sys.stdout.buffer).write(line)
        (out or sys.stdout).flush()
        if counts := COUNTS.match(line.decode(errors="replace")):
            result = Sum(*(int(number or 0) for number in counts.groups()))
    if process.wait() and not result.failed:
        result.failed += 1
    return result


def run_fuzz(out: IO[bytes] | None = None) -> Sum:
    """Throw inputs at all that reads bytes from outside, for a while."""
    if platform.machine() not in FUZZ_MACHINES:
        return Sum(skipped=1)
    code = run([ROOT / "scripts" / "fuzz", "--seconds", FUZZ_SECONDS], out)
    return Sum(passed=int(not code), failed=int(bool(code)))


def run_whole(newest: Tests, oldest: Tests) -> dict[str, Sum]:
    """Run all: beside the newest Home Assistant's what is not its own, which is shown afterwards."""
    results = {newest.title: Sum()}
    parts = {"Firmware": run_firmware, oldest.title: oldest.run, "Fuzzing": run_fuzz}
    with ThreadPoolExecutor(2) as pool, ExitStack() as files:
        beside = {}
        for title, part in parts.items():
            out = files.enter_context(tempfile.TemporaryFile())
            beside[title] = out, pool.submit(part, out)
        heading(newest.title)
        results[newest.title] = newest.run()
        for title, (out, running) in beside.items():
            results[title] = running.result()
            heading(title)
            out.seek(0)
            sys.stdout.buffer.write(out.read())
            sys.stdout.flush()
    for tests in (newest, oldest):
        results[tests.title] = tests.run_again(results[tests.title])
    return results


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

    begin = time.monotonic()
    results: dict[str, Sum] = {}
    interrupted = False
    newest, oldest = HOME_ASSISTANTS
    version = options.environment or newest

    def tests(version: str, *which: str, workers: int = CPUS + 2) -> Tests:
        return Tests(
            version, f"Home Assistant {version}", [*which, *arguments], workers
        )

    try:
        if options.firmware:
            results["Firmware"] = run_firmware()
        elif options.environment or arguments:
            setup([ENVIRONMENTS[version]])
            some = tests(version, f"--ignore={BROWSER_TESTS}")
            heading(some.title)
            results[some.title] = some.run_again(some.run())
        else:
            setup([ENVIRONMENTS[newest], ENVIRONMENTS[oldest]])
            # tests/firmware needs some of them, too
            run([FIRMWARE_TESTS, "packages"])
            ignored = [f"--ignore={path}" for path in NOT_OLDEST_TESTS]
            results = run_whole(
                tests(newest, f"--ignore={BROWSER_TESTS}", workers=CPUS + 2),
                tests(oldest, *OLDEST_TESTS, *ignored, workers=CPUS),
            )
        if options.browser and BROWSER_TESTS.is_dir():
            bring_browser()
            # One after another: a Home Assistant and a browser use both cores.
            browser = Tests(version, "Browser", ["-n", "0", str(BROWSER_TESTS)], 0)
            heading(browser.title)
            results[browser.title] = browser.run()
    except SetupError as err:
        print(f"test: {err}", file=sys.stderr)
        results["Setup"] = Sum(failed=1)
    except KeyboardInterrupt:
        interrupted = True

    print()
    for title, result in results.items():
        print(f"{title}: {result}")
    print(f"in {time.monotonic() - begin:.0f} s\n")
    total = sum(results.values(), Sum())
    print(total, flush=True)
    return 130 if interrupted else int(bool(total.failed or not total.passed))


if __name__ == "__main__":
    sys.exit(main())
