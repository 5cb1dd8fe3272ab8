"""Tests on one machine do not meet on its network."""

import subprocess
import sys

import pytest

import own_network

# Takes the gateway's port on all addresses, says which network it is in, and keeps it until its input ends.
CHILD = """
import os, socket, sys
import own_network
print(own_network.enter(), os.readlink("/proc/self/ns/net"), flush=True)
server = socket.create_server(("", 3443))
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect(("224.0.0.251", 5353))
print(probe.getsockname()[0], flush=True)
sys.stdin.read()
"""


def start() -> subprocess.Popen[str]:
    """Start a process that enters a network of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_take_the_same_port() -> None:
    """Each has the fixed port and an address that multicast leaves through."""
    with start() as one, start() as other:
        assert one.stdin and one.stdout and other.stdin and other.stdout
        answers = [process.stdout.readline().split() for process in (one, other)]
        if "False" in (answers[0][0], answers[1][0]):
            one.terminate()
            other.terminate()
            pytest.skip("network namespaces need root and iproute2")
        assert answers[0][1] != answers[1][1]
        for process in (one, other):
            assert process.stdout.readline().strip() == own_network.ADDRESS
            process.stdin.close()
    assert (one.returncode, other.returncode) == (0, 0)
