"""A server that falls silent: the kernel drops what goes to its port, and nobody is told.

A proxy that swallows is another thing: its kernel acknowledges, so that no socket ever ends with ETIMEDOUT.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 60.0
"""Longer than the kernel's keep-alive of an idle connection, 45 s as redis-py sets it."""


def lacks() -> str:
    """What the machine lacks for it; "" when it can happen."""
    command = shutil.which("iptables")
    if sys.platform != "linux" or os.geteuid() != 0 or command is None:
        return "root and iptables, on Linux"
    allowed = subprocess.run([command, "-w", "-S", "INPUT"], capture_output=True, check=False).returncode == 0
    return "" if allowed else "the right to use iptables"


@contextmanager
def silent(port: int) -> Iterator[None]:
    """Drop all that goes to a port of loopback, or comes from it."""
    rules = [("INPUT", "-i", "lo", "-p", "tcp", way, str(port), "-j", "DROP") for way in ("--dport", "--sport")]
    try:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-D", *rule], check=False)
