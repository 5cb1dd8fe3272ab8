"""A network of its own for a test process, so that two on one machine do not meet.

Cameras and gateways find each other by multicast, and the gateway's port is fixed: two
Home Assistants on one network would claim each other's cameras. Linux gives a process a
network namespace of its own when it runs as root; elsewhere tests share the machine's.
"""

import os
import subprocess
import sys

# An address for documentation (RFC 5737), so that it is nobody's.
ADDRESS = "198.51.100.10"
INTERFACE = "lan0"
COMMANDS = (
    "link set lo up",
    # One end of a cable whose other end is plugged in too: an interface with a carrier.
    f"link add {INTERFACE} type veth peer name {INTERFACE}-end",
    f"link set {INTERFACE}-end up",
    f"addr add {ADDRESS}/24 dev {INTERFACE}",
    f"link set {INTERFACE} multicast on up",
    # What asks for "the" address looks at the default route.
    f"route add default dev {INTERFACE}",
)


def enter() -> bool:
    """Move this thread, and what it starts from now on, to a network of its own.

    Returns False, with nothing changed, where that is not allowed.
    """
    if sys.platform != "linux" or os.environ.get("MAGICPI_SHARED_NETWORK"):
        return False
    try:
        subprocess.run(["ip", "-V"], check=True, capture_output=True)
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    except OSError, subprocess.CalledProcessError:
        return False
    try:
        os.unshare(os.CLONE_NEWNET)
        for command in COMMANDS:
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
    except PermissionError:
        return False
    except OSError, subprocess.CalledProcessError:
        os.setns(outside, os.CLONE_NEWNET)
        return False
    finally:
        os.close(outside)
    return True
