"""Discards dead letters that are older than `DESKBELL_DEAD_DAYS`, as `deskbell dead discard` does.

The age is that of the event, whose id, and so the job's, begins with the time of its receipt. RQ keeps dead letters
that do not expire under one score; they are sorted by their ids.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from redis import Redis

from shared.logs import get_log
from shared.settings.config import Settings
from workers.dead_letters.registry import FOREIGN_NAME, PAGE, DeadLetter, DeadLetters, Entry, registry_key
from workers.dead_letters.replay import Replays

_DAY_MS = 24 * 3_600_000


def discard_old(redis: Redis, settings: Settings, queues: Iterable[str]) -> None:
    """Discard the dead letters of some queues that are too old, and log and record how many."""
    if not settings.dead_days:
        return
    before = f"{round(time.time() * 1000) - settings.dead_days * _DAY_MS:012x}"
    for queue in queues:
        if _ids(redis, queue, before):
            by, which = "a worker", f"DESKBELL_DEAD_DAYS={settings.dead_days} {queue}"
            count = Replays(redis, by).discard(_pages(redis, queue, before), which, lambda _: None)["discarded"]
            if count:
                get_log().warning("dead_letters_expired", queue=queue, count=count)


def _pages(redis: Redis, queue: str, before: str) -> Iterator[list[DeadLetter]]:
    """Until nothing old is left, or what is left cannot be discarded: it is under way."""
    seen: set[str] = set()
    while ids := [each for each in _ids(redis, queue, before) if each not in seen]:
        seen.update(ids)
        yield DeadLetters(redis).find(ids)


def _ids(redis: Redis, queue: str, before: str) -> list[str]:
    found: Any = redis.zrange(registry_key(queue), "-", f"({before}", bylex=True, offset=0, num=PAGE)
    ids = [each.decode(errors="replace") for each in found]
    return [each for each in ids if each < before and Entry(each, queue).job != FOREIGN_NAME]
