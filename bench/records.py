"""`make bench-records`: how long a search takes among a million callbacks on record, and the memory they take.

100,000 users call ten times each, in batches of 128, as an api under load writes them; one in a thousand has the
fallback.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table

from bench.report import Target, at_most, print_targets
from bench.server import server
from deskbell.calls.filters import Filters
from deskbell.testing import api_call
from shared.records.packing import Packing
from shared.records.query import read_story
from shared.records.script import write_arguments, write_text
from shared.settings.config import Settings
from shared.wire.events import Reply

_USERS, _BATCH, _RUNS = 100_000, 128, 7
_SETTINGS = Settings(record_mb=1000)
_TOLD = {"OrderStatus": "shipped", "Carrier": "SF", "Eta": "2026-11-28"}


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    count = parser.parse_args().records
    with server() as (_, redis):
        empty = _used(redis)
        last = write_records(redis, count)
        table = Table("search", "ms, median", "ms, most", title=f"among {count:,} callbacks")
        targets = [at_most("bytes of Redis' memory for a callback", 450, (_used(redis) - empty) / count)]
        for name, most, search in _searches(redis, last):
            times = sorted(_milliseconds(search) for _ in range(_RUNS))
            table.add_row(name, f"{median(times):,.1f}", f"{times[-1]:,.1f}")
            targets.append(at_most(f"ms, {name}", most, median(times)))
    _print(table, targets)


def _searches(redis: Redis, last: str) -> list[tuple[str, float, Callable[[], Any]]]:
    """Name, milliseconds that it may take, and what searches."""

    def find(limit: int = 20, **typed: str) -> Callable[[], Any]:
        return lambda: Filters(**typed).find(redis, limit)

    return [
        ("--user user517", 50, find(user="user517")),
        ("--user user517 --since 2m", 50, find(user="user517", since="2m")),
        ("--session s-1000", 50, find(session="s-1000")),
        ("an event", 50, lambda: read_story(redis, last)),
        ("the newest", 50, find()),
        ("--outcome fallback", 500, find(outcome="fallback")),
        ("--outcome late: there is none", 3000, find(outcome="late")),
    ]


def write_records(redis: Redis, count: int) -> str:
    """Put so many callbacks on record; the last one's id."""
    packing = Packing(_SETTINGS, ["OrderID", *_TOLD])
    script = redis.register_script(write_text())
    event = api_call()
    for first in range(0, count, _BATCH):
        batch = []
        for number in range(first, min(first + _BATCH, count)):
            event = api_call(
                "order_status" if number % 10 else "parcel",
                OrderID=str(number),
                SystemClientUserID=f"user{number % _USERS}",
                SystemSessionID=f"s-{number // 4}",
                SystemChannelType="Web",
            )
            reply = Reply(variables=_TOLD, outcome="answered" if number % 1000 else "fallback")
            batch.append(packing.callback(event, reply))
        script(args=write_arguments(batch, _SETTINGS))
    return event.id


def _milliseconds(search: Callable[[], Any]) -> float:
    began = time.perf_counter()
    search()
    return (time.perf_counter() - began) * 1000


def _used(redis: Redis) -> int:
    found: Any = redis.info("memory")
    return int(found["used_memory"])


def _print(table: Table, targets: list[Target]) -> None:
    console = Console()
    console.print(table)
    print_targets(console, targets)


if __name__ == "__main__":
    main()
