"""A real file system that stops answering. Needs root and loop devices; the tests are in frozen.py."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

INSIDE = Path(__file__).with_name("frozen.py")
# What mkfs and mount need, tried where nothing is changed for others.
TRIAL = """
set -e
truncate -s 8M "$0/disk.img"
mkfs.ext4 -q "$0/disk.img"
mkdir "$0/disk"
mount -o loop "$0/disk.img" "$0/disk"
fsfreeze -f "$0/disk"
fsfreeze -u "$0/disk"
umount "$0/disk"
"""


def apart(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a mount namespace of its own."""
    words = [str(word) for word in command]
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env={key: os.environ[key] for key in os.environ if "PYTEST" not in key},
    )


@pytest.fixture
def freezable(tmp_path: Path) -> None:
    """Skip where no file system can be mounted and frozen, with the system's reason."""
    try:
        trial = apart("sh", "-c", TRIAL, tmp_path)
    except OSError as err:
        pytest.skip(f"needs unshare: {err}")
    if trial.returncode:
        pytest.skip(f"needs root and loop devices: {trial.stderr.strip()}")


@pytest.mark.usefixtures("freezable")
def test_frozen() -> None:
    """What is acknowledged is in its clip, once; see frozen.py."""
    done = apart(
        *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
        INSIDE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
