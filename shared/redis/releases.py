"""Workers of different releases on one Redis: what living workers have, and the jobs that are left for lack of it.

What a job needs of its worker, and a worker declares, is a text: a job type, with dashes for dots as ids have it, or
`:2`, that events are read which were written in form 2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from shared.keys import DESKBELL, RQ
from shared.redis.workers import SILENT_SECONDS
from shared.wire import events

DECLARED_KEY = f"{DESKBELL}declared:"
"""Prefix of a sorted set for each queue: what workers that read it have, by when one of them last said so."""

INTRODUCED_KEY = f"{DESKBELL}introduced"
"""A hash: what workers of events have, and the Unix ms at which the first of them said so."""

FAN_OUT_KEY = f"{DESKBELL}fan_out"
"""A sorted set: the workers of events, each with how new what it has is, by its last sign of life."""

LEFT_KEY = f"{DESKBELL}left"
"""A set of `<queue>:<need>`; under this key, `:` and that, a sorted set has the ids of the jobs that are left."""

LEFT_SECONDS = 24 * 3600
"""How long a job is left while no living worker has what it needs; then it is a dead letter."""


@dataclass(frozen=True, slots=True)
class Left:
    """Jobs of a queue that are left because no worker that took them has what they need.

    Attributes:
        need: what they need.
        count: how many there are.
        declared: when a worker of the queue last said that it has it; None if none ever did.
        is_declared: whether a living one does.
    """

    queue: str
    need: str
    count: int
    declared: datetime | None
    is_declared: bool

    @property
    def job_type(self) -> str:
        """The job type that is missing; "" when it is a newer form of events."""
        return "" if self.need.startswith(":") else self.need.replace("-", ".")


def needs_met(type_slugs: Iterable[str]) -> list[str]:
    """What a worker of this release has, given its job types."""
    return [*type_slugs, *(f":{version}" for version in range(2, events.WIRE_VERSION + 1))]


def declared_key(queue: str) -> str:
    """The key of what workers of a queue have."""
    return DECLARED_KEY + queue


def left_key(queue: str, need: str) -> str:
    """The key of the jobs that are left for lack of something."""
    return f"{LEFT_KEY}:{queue}:{need}"


def read_left(connection: Redis) -> list[Left]:
    """The jobs that are left, by queue and need; nothing is written."""
    members: Any = connection.smembers(LEFT_KEY)
    pairs = sorted(member.decode(errors="replace").partition(":")[::2] for member in members)
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for queue, need in pairs:
            pipeline.zintercard(2, [left_key(queue, need), f"{RQ}scheduled:{queue}"])
            pipeline.zscore(declared_key(queue), need)
        (now, _), *answers = pipeline.execute()
    found = []
    for (queue, need), count, declared in zip(pairs, answers[::2], answers[1::2], strict=True):
        when = datetime.fromtimestamp(declared, UTC) if declared else None
        is_declared = declared is not None and now - declared <= SILENT_SECONDS
        found.append(Left(queue, need, count, when, is_declared))
    return [each for each in found if each.count]
