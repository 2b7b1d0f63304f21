"""Queues that a person has paused: workers claim nothing from them until somebody resumes them (`limits.lua`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from shared.keys import DESKBELL

PAUSED_QUEUES_KEY = f"{DESKBELL}paused:queues"
"""A hash: for each queue that a person has paused, who did and since when, as JSON."""


@dataclass(frozen=True, slots=True)
class PausedQueue:
    """A queue that a person has paused.

    Attributes:
        by: who did it, as the audit log has it; "" where that cannot be read.
        since: when, UTC; None where that cannot be read.
    """

    queue: str
    by: str
    since: datetime | None


def pause_queue(redis: Redis, queue: str, by: str) -> bool:
    """Pause a queue; whether it was not paused already: the first pause stands."""
    seconds, microseconds = redis.time()
    written = json.dumps({"by": by, "since": seconds + microseconds / 1e6})
    return bool(redis.hsetnx(PAUSED_QUEUES_KEY, queue, written))


def resume_queue(redis: Redis, queue: str) -> bool:
    """Resume a queue; whether a person had paused it."""
    return bool(redis.hdel(PAUSED_QUEUES_KEY, queue))


def read_paused(written: Mapping[Any, Any]) -> list[PausedQueue]:
    """The queues, by name, in what HGETALL gives of the key. One whose text cannot be read is paused all the same."""
    return sorted((_read(name, text) for name, text in written.items()), key=lambda each: each.queue)


def queues_paused_by_hand(redis: Redis) -> list[PausedQueue]:
    """The queues that a person has paused, by name."""
    return read_paused(redis.hgetall(PAUSED_QUEUES_KEY))


def _read(name: bytes, text: bytes) -> PausedQueue:
    queue = name.decode(errors="replace")
    try:
        match json.loads(text):
            case {"by": str(by), "since": int() | float() as since}:
                return PausedQueue(queue, by, datetime.fromtimestamp(since, UTC))
    except (ValueError, OverflowError, OSError):
        pass
    return PausedQueue(queue, "", None)
