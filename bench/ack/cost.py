"""`make bench-cost`: what accepting costs as it grows: with the queue, with connections, with the body.

1. Two servers, an api on each: one has so many events queued, the other none. Rounds of wrk alternate between them, so
   that other load of the machine affects both.
2. What an event takes of Redis' memory is what `used_memory` grows by, divided by the events; the records, which
   are limited, are left out of it, and shown beside it.
3. No append-only file is written, so that the disk does not matter. Its size is measured separately.
"""

import argparse
import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table

from bench.ack.endpoints.endpoint import DESKBELL
from bench.ack.load import CONNECTIONS, paced, serving, wrk
from bench.environments import FOLDER, install
from bench.report import Target, at_least, at_most, print_targets
from bench.server import server
from deskbell.cli.processes.signals import end_on_signals
from shared.records.segments import CALLS_KEY
from shared.redis.queues import EVENTS, REPLY_KEY, queue_key

QUEUED = (1_000, 100_000, 1_000_000)
CONNECTIONS_TRIED = (1, 4, 16, 64, 256)
PADDINGS = {"documented": 0, "3 kB": 2_750, "30 kB": 29_750}
SAMPLE = 2_000
MILLION = 1_000_000
_AT_ONCE = 2_000
_DRAIN_SECONDS = 20
_FILL = Path(__file__).with_name("fill_events.lua")
_LISTPACK = {"hash-max-listpack-value": "4096"}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of Redis' memory for an event.

    Attributes:
        whole: all of them.
        job, reply, place: the job's hash, the answer that is remembered, and the place in the queue; the rest is what
            Redis needs to find their keys.
        logged: what it takes on record, for as long as it stands there.
    """

    whole: float
    job: float
    reply: float
    place: float
    logged: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Acknowledged/s with so many events queued, and with none, by round."""

    queued: int
    many: list[float]
    none: list[float]
    bytes_per_event: float

    @property
    def ratio(self) -> float:
        return median(many / none for many, none in zip(self.many, self.none, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="what accepting costs as it grows")
    parser.add_argument("--quick", action="store_true", help="one short round, 10,000 queued: to see that it runs")
    options = parser.parse_args()
    end_on_signals()
    if not shutil.which("wrk"):
        sys.exit("bench-cost needs wrk (Debian: apt-get install wrk)")
    if not install([DESKBELL]):
        sys.exit(1)
    rounds, seconds = (1, 1) if options.quick else (5, 2)
    load = [os.getloadavg()[0]]
    growth = grow((1_000, 10_000) if options.quick else QUEUED, rounds, seconds)
    memory = {title: measure_memory(padding, {}) for title, padding in PADDINGS.items()}
    compact = {title: measure_memory(padding, _LISTPACK) for title, padding in PADDINGS.items()}
    bodies = {title: rate(padding, CONNECTIONS, rounds, seconds) for title, padding in PADDINGS.items()}
    connections = {str(count): rate(0, count, rounds, seconds) for count in CONNECTIONS_TRIED}
    written = measure_file()
    load.append(os.getloadavg()[0])
    console = Console(width=120)
    show(console, growth, memory, compact)
    show_rates(console, connections, bodies)
    console.print(f"append-only file: {written:,.0f} bytes for an event, {written / 1000:,.1f} GB for a million")
    console.print(f"load of the machine {load[0]:.1f} to {load[1]:.1f}")
    print_targets(console, judge(growth, memory["documented"], compact["documented"]))
    everything = {
        "growth": [asdict(each) for each in growth],
        "memory": {title: asdict(each) for title, each in memory.items()},
        "memory_listpack": {title: asdict(each) for title, each in compact.items()},
        "connections": connections,
        "bodies": bodies,
        "append_only_bytes": written,
        "load": load,
    }
    (FOLDER / "cost.json").write_text(json.dumps(everything, indent=1))


def grow(queued: tuple[int, ...], rounds: int, seconds: float) -> list[Growth]:
    """Acknowledged/s as the queue grows, beside an api whose queue is empty."""
    found = []
    with ExitStack() as stack:
        (many_url, many), (none_url, none) = (stack.enter_context(server()) for _ in range(2))
        many_port, none_port = (stack.enter_context(serving(DESKBELL, url)).port for url in (many_url, none_url))
        empty = used_memory(many)
        for count in queued:
            sys.stderr.write(f"{count:,} queued\n")
            fill(many, many_port, count)
            taken = (used_memory(many) - empty) / length(many)
            speeds: dict[int, list[float]] = {many_port: [], none_port: []}
            for _ in range(rounds):
                for port, values in speeds.items():
                    none.flushall()
                    values.append(wrk(DESKBELL, port, seconds).per_second)
            found.append(Growth(count, speeds[many_port], speeds[none_port], taken))
    return found


def fill(redis: Redis, port: int, count: int) -> None:
    """Queue events until there are so many: some by the api, the others as their copies."""
    if length(redis) < 1:
        paced(DESKBELL, port, 100, 1, first=10**8)
    script = redis.register_script(_FILL.read_text())
    while (missing := count - length(redis)) > 0:
        script(keys=[queue_key(EVENTS), REPLY_KEY], args=[min(missing, _AT_ONCE), length(redis)])


def measure_memory(padding: int, config: dict[str, str]) -> Memory:
    """Bytes for an event whose packet has so many more bytes."""
    with server(**config) as (url, redis), serving(DESKBELL, url) as api:
        redis.flushall()
        before = used_memory(redis)
        answers = paced(DESKBELL, api.port, 400, SAMPLE / 400, first=10**8, padding=padding)
        count = sum(answer.status == 200 for answer in answers)  # noqa: PLR2004 - HTTP's
        wait_until_queued(redis, count)
        logged = sum(memory_of(redis, key) for key in redis.scan_iter(f"{CALLS_KEY}*"))
        any_job = redis.lindex(queue_key(EVENTS), count // 2)
        any_reply = next(redis.scan_iter(f"{REPLY_KEY}*"))
        return Memory(
            whole=(used_memory(redis) - before - logged) / count,
            job=memory_of(redis, f"rq:job:{any_job.decode()}"),  # type: ignore[union-attr]  # typed for async too
            reply=memory_of(redis, any_reply),
            place=memory_of(redis, queue_key(EVENTS)) / count,
            logged=logged / count,
        )


def wait_until_queued(redis: Redis, count: int) -> None:
    """Wait for those that went by way of the spool, on a machine that is busy.

    Raises:
        RuntimeError: they do not come.
    """
    deadline = time.monotonic() + _DRAIN_SECONDS
    while length(redis) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} acknowledged, {length(redis)} queued")
        time.sleep(0.1)


def rate(padding: int, connections: int, rounds: int, seconds: float) -> float:
    """Acknowledged/s; the median of some rounds."""
    with server() as (url, redis), serving(DESKBELL, url) as api:
        found: list[float] = []
        for _ in range(rounds):
            redis.flushall()
            found.append(wrk(DESKBELL, api.port, seconds, connections, padding).per_second)
        return median(found)


def measure_file() -> float:
    """Bytes that an event takes in the append-only file."""
    with server(appendonly="yes", appendfsync="everysec") as (url, redis), serving(DESKBELL, url) as api:
        before = int(redis.info("persistence")["aof_current_size"])
        answers = paced(DESKBELL, api.port, 400, SAMPLE / 400, first=10**8)
        after = int(redis.info("persistence")["aof_current_size"])
    return (after - before) / len(answers)


def used_memory(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


def memory_of(redis: Any, key: str) -> int:
    return int(redis.memory_usage(key, samples=0))


def length(redis: Any) -> int:
    return int(redis.llen(queue_key(EVENTS)))


def show(console: Console, growth: list[Growth], memory: dict[str, Memory], compact: dict[str, Memory]) -> None:
    made = Table("queued", "acknowledged/s", "with none", "ratio", "bytes an event", title="as the queue grows")
    for one in growth:
        many, none = median(one.many), median(one.none)
        made.add_row(
            f"{one.queued:,}", f"{many:,.0f}", f"{none:,.0f}", f"{one.ratio:.2f}", f"{one.bytes_per_event:,.0f}"
        )
    console.print(made)
    made = Table(
        "packet", "hashes", "bytes an event", "job", "reply", "place", "GB a million", "while logged", title="memory"
    )
    for kind, found in {"as Redis comes": memory, "hash-max-listpack-value 4096": compact}.items():
        for title, each in found.items():
            parts = each.whole, each.job, each.reply, each.place
            million = each.whole * MILLION / 1e9
            made.add_row(title, kind, *(f"{part:,.0f}" for part in parts), f"{million:.2f}", f"{each.logged:,.0f}")
    console.print(made)


def show_rates(console: Console, connections: dict[str, float], bodies: dict[str, float]) -> None:
    for title, rates in {"connections": connections, "packet": bodies}.items():
        made = Table(title, "acknowledged/s")
        for name, value in rates.items():
            made.add_row(name, f"{value:,.0f}")
        console.print(made)


def judge(growth: list[Growth], memory: Memory, compact: Memory) -> list[Target]:
    return [
        at_least(f"rate with {growth[-1].queued:,} queued, times with none", 0.9, growth[-1].ratio),
        at_most("bytes an event of the documented packet", 1000, memory.whole),
        at_most("the same, hash-max-listpack-value 4096", 1000, compact.whole),
    ]


if __name__ == "__main__":
    main()
