"""Hosts on one machine: network namespaces on one bridge, each with an address of its own, and partitions between them.

A partition is silent, as between real hosts: no socket gets an error. A host sends what is for another to a hardware
address that no host has. Nothing of it is seen outside: the bridge, too, lies in a namespace.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Self

_PREFIX = "deskbell"
_NAMESPACES = Path("/run/netns")
_NOWHERE = "02:00:00:00:ff:ff"
_numbers = count(1)

Pair = tuple[str, str]


def missing() -> str:
    """What the machine lacks to make hosts; "" when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "root, on Linux"
    if lacking := [name for name in ("ip", "nsenter", "nginx") if not shutil.which(name)]:
        return f"{' and '.join(lacking)} (Debian: iproute2, util-linux, nginx)"
    try:
        with Network(["alone"]):
            return ""
    except subprocess.CalledProcessError as error:
        return f"the right to make networks ({error.stderr.strip()})"


class Network:
    """Hosts that reach each other, until they are cut off."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._numbers = {host: number for number, host in enumerate(hosts, 1)}
        self._name = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"

    def address(self, host: str) -> str:
        """The address of a host, which only the hosts reach."""
        return f"10.77.0.{self._numbers[host]}"

    def command(self, host: str) -> list[str]:
        """What stands before a command that is to run on a host; the process is the command's own."""
        return ["nsenter", f"--net={_NAMESPACES / self._namespace(host)}"]

    @contextmanager
    def cut(self, ways: Collection[Pair]) -> Iterator[None]:
        """Let nothing pass from the first host of each pair to the second; the other way it may."""
        try:
            self._lead(ways, lambda _: _NOWHERE)
            yield
        finally:
            self._lead(ways, self._hardware_address)

    def __enter__(self) -> Self:
        _remove_left_over()
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (*map(self._namespace, self._numbers), self._namespace("bridge")):
            _remove(name)

    def _make(self) -> None:
        bridge = self._namespace("bridge")
        for name in (bridge, *map(self._namespace, self._numbers)):
            subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=True)
        _ip(bridge, "link add bridge type bridge", "link set bridge up")
        for host, number in self._numbers.items():
            name, hardware = self._namespace(host), self._hardware_address(host)
            _ip(
                bridge,
                f"link add port{number} type veth peer name eth0 address {hardware} netns {name}",
                f"link set port{number} master bridge up",
            )
            _ip(name, f"address add {self.address(host)}/24 dev eth0", "link set eth0 up", "link set lo up")
        everybody = [(one, other) for one in self._numbers for other in self._numbers if one != other]
        self._lead(everybody, self._hardware_address)

    def _lead(self, ways: Iterable[Pair], hardware_address: Callable[[str], str]) -> None:
        """Set to which hardware address a host sends what is for another."""
        lines: dict[str, list[str]] = {}
        for sender, host in ways:
            line = f"neighbour replace {self.address(host)} lladdr {hardware_address(host)} dev eth0 nud permanent"
            lines.setdefault(sender, []).append(line)
        for sender, of_sender in lines.items():
            _ip(self._namespace(sender), *of_sender)

    def _hardware_address(self, host: str) -> str:
        return f"02:00:00:00:00:{self._numbers[host]:02x}"

    def _namespace(self, host: str) -> str:
        return f"{self._name}-{host}"


def _ip(namespace: str, *lines: str) -> None:
    command = ["ip", "-n", namespace, "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)


def _remove_left_over() -> None:
    """Remove the hosts of a run that was killed, with all that runs on them."""
    with suppress(FileNotFoundError):
        for path in sorted(_NAMESPACES.iterdir()):
            prefix, _, rest = path.name.partition("-")
            pid = rest.partition("-")[0]
            if prefix == _PREFIX and pid.isdigit() and not Path(f"/proc/{pid}").exists():
                _remove(path.name)


def _remove(namespace: str) -> None:
    """End what runs on a host, and remove the host, if it is there."""
    running = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False).stdout
    for pid in running.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
