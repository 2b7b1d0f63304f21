"""A network that drops packets: the kernel discards what goes to a server's port, and neither side gets an error.

A proxy that swallows bytes (`bench/proxy.py`) differs: its kernel acknowledges them, so no socket ends with ETIMEDOUT.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 60.0
"""Longer than the kernel's keep-alive of an idle connection, 45 s as redis-py sets it."""


def missing() -> str:
    """What the machine lacks to drop packets; "" when it can."""
    command = shutil.which("iptables")
    if sys.platform != "linux" or os.geteuid() != 0 or command is None:
        return "root and iptables, on Linux"
    allowed = subprocess.run([command, "-w", "-S", "INPUT"], capture_output=True, check=False).returncode == 0
    return "" if allowed else "the right to use iptables"


@contextmanager
def dropped_packets(port: int) -> Iterator[None]:
    """Drop all that goes to a port of loopback, or comes from it."""
    rules = [("INPUT", "-i", "lo", "-p", "tcp", way, str(port), "-j", "DROP") for way in ("--dport", "--sport")]
    try:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-D", *rule], check=False)
