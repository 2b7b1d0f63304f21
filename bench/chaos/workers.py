"""`make chaos-workers`: whether workers lose or duplicate a job when workers and Redis die.

1. Events are put on their queue at a steady pace, for job types of every kind: `bench/chaos/job_types.py`.
2. Workers are killed, frozen for longer than a lease and woken, and told to stop; Redis is killed
   and started again, answers no client for longer than a lease, and is replaced by its replica.
3. In the end every event must have its row in the analytics table, and every job must be done and have had its effect:
   none in a queue, none started, none missing, none dead. No effect was repeated without need, ordered jobs ran in
   order, limited jobs never exceeded their limit, and the jobs of a killed worker ran again within the time set.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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

from bench.chaos.job_types import AT_ONCE, EVERYWHERE, NODES, create_effects
from bench.chaos.network import missing
from bench.chaos.records import (
    PATIENCE_SECONDS,
    attempts_in,
    duplicated,
    effects_in,
    most_at_once,
    out_of_order,
    slowest_recovery,
    wait_until,
)
from bench.chaos.servers import Servers
from bench.chaos.worker_processes import ABANDONED_SECONDS, WORKERS, Workers
from deskbell.jobs.analytics import events_table
from deskbell.testing import api_call
from shared.redis.queues import EVENTS, events_job, queue

QUEUES = (EVENTS, "analytics", "waiting", "limited", "guarded", "ordered", "alone")
FAULTS = {
    "kill": "workers killed",
    "terminate": "workers told to stop",
    "freeze": "workers frozen beyond their leases",
    "restart": "Redis killed and restarted",
    "pause": "Redis away for longer than a lease",
    "failover": "Redis failed over",
    "drop": "packets to Redis dropped until the kernel gives its connections up",
}
_REDIS_FAULTS = ("restart", "pause", "failover", "drop")
_KEYS = 5
_AT_MOST_SECONDS = 900


@dataclass
class Report:
    """The result of a run.

    Attributes:
        events: how many were put.
        wanted: how many jobs they have.
        done, dead: jobs in RQ's registries of finished and failed jobs.
        runs: how often a job's function was begun.
        violations: promises that were not kept, and how often.
        bad_exits: how workers ended that did not end well.
        faults: what was injected, and how often.
        recovery_seconds: the longest time until a job of a killed worker ran again.
        seconds: how long it took until all had ended, after the last fault.
    """

    events: int = 0
    wanted: int = 0
    done: int = 0
    dead: int = 0
    runs: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    bad_exits: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    recovery_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.violations.values())


class Chaos:
    """One run: puts events, injects faults, and reports."""

    def __init__(self, folder: Path, servers: Servers, workers: Workers) -> None:
        """Begin.

        Args:
            folder: where jobs write down what they do.
            servers: the server.
            workers: the workers.
        """
        self.put: dict[str, str] = {}
        self.report = Report()
        self._folder = folder
        self._servers = servers
        self._workers = workers
        self._outages: list[tuple[float, float]] = []
        self._killed_at = 0.0

    def put_events(self, count: int) -> None:
        """Put events, and let a moment pass."""
        for _ in range(count):
            node = NODES[len(self.put) % len(NODES)]
            event = api_call(node, OrderID="1002", Key=str(len(self.put) // len(NODES) % _KEYS))
            if put_event(self._servers.url, event):
                self.put[event.id] = node
        self._workers.thaw()
        self._workers.revive()
        time.sleep(0.1)

    def inject(self, kind: str) -> None:
        """Inject a fault into a worker or into Redis."""
        if kind in _REDIS_FAULTS:
            self._await_recovery()
        began = time.time()
        match kind:
            case "kill":
                self._workers.kill()
                self._killed_at = time.monotonic()
            case "terminate":
                self._workers.terminate()
            case "freeze":
                self._workers.freeze()
            case "restart":
                self._servers.restart()
            case "pause":
                self._servers.pause(ABANDONED_SECONDS)
            case "failover":
                self._servers.fail_over()
            case "drop":
                self._servers.drop_packets()
        if kind in _REDIS_FAULTS:
            self._outages.append((began, time.time()))
        self.report.faults[kind] += 1

    def end(self) -> Report:
        """Wait until all has ended, and judge it."""
        began = time.monotonic()
        wait_until(self._has_ended)
        self.report.seconds = time.monotonic() - began
        self._workers.close()
        self._judge()
        return self.report

    def _await_recovery(self) -> None:
        """Let the jobs of the last worker killed be recovered, so that it can be said how long that takes."""
        while time.monotonic() < self._killed_at + ABANDONED_SECONDS:
            self.put_events(1)

    def _has_ended(self) -> bool:
        self._workers.thaw()
        self._workers.revive()
        return not left(self._servers.url) and rows(self._folder) >= set(self.put)

    def _judge(self) -> None:
        report, workers = self.report, self._workers
        wanted = {f"{event_id}-{name}" for event_id, node in self.put.items() for name in (*EVERYWHERE, node)}
        with Redis.from_url(self._servers.url) as redis:
            finished, failed = (members(redis, kind) for kind in ("finished", "failed"))
        attempts, effects = attempts_in(self._folder, workers.interruptions), effects_in(self._folder)
        with_effect = {job_id for job_id in wanted if not job_id.endswith(EVERYWHERE[0])}
        report.events, report.wanted, report.runs = len(self.put), len(wanted), len(attempts)
        report.done, report.dead = len(finished & wanted), len(failed & wanted)
        report.bad_exits = workers.bad_exits
        report.recovery_seconds = slowest_recovery(attempts, self._outages, ABANDONED_SECONDS)
        limited = most_at_once(attempt for attempt in attempts if attempt.job_type == "limited")
        report.violations = {
            "jobs lost": len(wanted - finished - failed),
            "dead letters": report.dead,
            "left in queues and registries": left(self._servers.url),
            "analytics rows missing, or of no event": len(rows(self._folder) ^ set(self.put)),
            "effects missing, duplicated, or of no job": len(with_effect ^ set(effects))
            + len(effects)
            - len(set(effects)),
            "effects repeated without need": duplicated(attempts),
            "jobs out of order": out_of_order(attempts, effects),
            "jobs beyond their limit": max(0, limited - AT_ONCE),
            "workers that ended by themselves, or not well": len(workers.bad_exits),
            "seconds of recovery beyond the time set": max(0, round(report.recovery_seconds - ABANDONED_SECONDS)),
        }


def run(events: int, faults: int, seed: int, kinds: tuple[str, ...] = tuple(FAULTS)) -> Report:
    """Put events while workers and Redis die, and report.

    Args:
        events: how many, at least.
        faults: how often something is killed, frozen, restarted or failed over.
        seed: of chance.
        kinds: the faults that are injected, each in its turn.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    deadline = time.monotonic() + _AT_MOST_SECONDS
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    with start_chaos(folder, chance) as chaos:
        for number in range(faults):
            while len(chaos.put) < events * (number + 1) // (faults + 1):
                chaos.put_events(max(1, events // (faults * 10)))
            if time.monotonic() > deadline:
                break
            chaos.inject(kinds[number % len(kinds)])
        while len(chaos.put) < events:
            chaos.put_events(10)
        report = chaos.end()
    if report.is_good:
        shutil.rmtree(folder)
    else:
        Console(stderr=True).print(f"what the workers wrote is in {folder}")
    return report


@contextmanager
def start_chaos(folder: Path, chance: random.Random) -> Iterator[Chaos]:
    """Servers and workers, which are gone afterwards."""
    create_effects(folder)
    servers = Servers(folder)
    workers = Workers(folder, servers.url, QUEUES, chance)
    try:
        yield Chaos(folder, servers, workers)
    finally:
        workers.close()
        servers.close()


def put_event(url: str, event: Any) -> bool:
    """Put an event as the api does; whether it is there."""
    with Redis.from_url(url, socket_timeout=ABANDONED_SECONDS) as redis:
        target = queue(EVENTS, redis)
        try:
            target.enqueue_job(events_job(target, event.command, event.to_wire(), event.id))
        except (RedisError, OSError):  # perhaps it is there all the same: then it must have its row, too
            return confirmed(url, event.id)
    return True


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
    """How many ids are in a queue, started, scheduled or deferred."""
    try:
        with Redis.from_url(url) as redis, redis.pipeline() as pipeline:  # at one moment: jobs go from one to another
            for name in QUEUES:
                pipeline.llen(f"rq:queue:{name}")
                for kind in ("wip", "scheduled", "deferred"):
                    pipeline.zcard(f"rq:{kind}:{name}")
            return sum(pipeline.execute())
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


def members(redis: Any, kind: str) -> set[str]:
    """The jobs in the registries of a kind."""
    return {member.decode() for name in QUEUES for member in redis.zrange(f"rq:{kind}:{name}", 0, -1)}


def main() -> None:
    """Run it as the command line says, print a table, and exit 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))  # noqa: S311 - no secret
    given = parser.parse_args()
    kinds = tuple(kind for kind in FAULTS if kind != "drop" or not missing())
    report = run(given.events, given.faults, given.seed, kinds)
    show(report, f"{WORKERS} workers, seed {given.seed}")
    if "drop" not in kinds:
        Console().print(f"not done: {FAULTS['drop']}; it needs {missing()}")
    sys.exit(0 if report.is_good else 1)


def show(report: Report, title: str) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    counts = {FAULTS[kind]: count for kind, count in report.faults.items()}
    counts |= {"events": report.events, "their jobs": report.wanted, "runs of jobs": report.runs}
    counts |= {"jobs done": report.done}
    for what, count in (counts | report.violations).items():
        table.add_row(what, str(count))
    table.add_row("seconds from the last fault to the last job", f"{report.seconds:.1f} of {PATIENCE_SECONDS}")
    slowest = f"{report.recovery_seconds:.1f} of {ABANDONED_SECONDS}"
    table.add_row("seconds until a killed worker's job ran again, at most", slowest)
    Console().print(table, *report.bad_exits)


if __name__ == "__main__":
    main()
