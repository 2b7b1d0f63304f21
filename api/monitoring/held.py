"""Metrics of jobs that are scheduled or held: for how long, and why, as far as a bounded look tells.

Of each queue the first and the last hundred that are scheduled are looked at, and the first hundred that are held.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from redis.asyncio import Redis as AsyncRedis

from shared.keys import RQ
from shared.wire.json_values import read_json

CAUSES = {
    "scheduled": ("failed", "unavailable", "out_of_turn", "undeclared", "not_looked_at"),
    "held": ("dead_letter", "earlier_job", "gone", "not_looked_at"),
}
"""Why jobs are in these states."""

LOOKED_AT = 100
_JOB = f"{RQ}job:".encode()
_ID_LENGTH = 32


@dataclass(slots=True)
class Held:
    """The jobs that are scheduled or held.

    Attributes:
        queues: those that were looked at.
        oldest: for how many seconds the first of them exists, or is held, by queue and state.
        causes: how many of them there are, by queue, state and cause.
    """

    queues: list[str]
    oldest: dict[tuple[str, str], float] = field(default_factory=dict)
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)


async def read_held(redis: AsyncRedis, counts: Mapping[tuple[str, str], int]) -> Held:
    """Look at them; `counts` has how many there are, by queue and state.

    Raises:
        RedisError: Redis does not answer, or refuses.
    """
    found = Held(sorted({queue for queue, _ in counts}))
    for queue in found.queues:
        if count := counts.get((queue, "scheduled"), 0):
            await _read_scheduled(redis, queue, count, found)
        if count := counts.get((queue, "held"), 0):
            await _read_deferred(redis, queue, count, found)
    return found


async def _read_scheduled(redis: AsyncRedis, queue: str, count: int, found: Held) -> None:
    key = f"{RQ}scheduled:{queue}"
    first: Any = await redis.zrange(key, 0, LOOKED_AT - 1)
    last: Any = await redis.zrange(key, -LOOKED_AT, -1) if count > LOOKED_AT else []
    ids = list(dict.fromkeys([*first, *last]))
    async with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(_JOB + job_id, "meta")
        metas = await pipeline.execute()
    found.causes.update((queue, "scheduled", _scheduled_for(meta)) for meta in metas)
    found.causes[queue, "scheduled", "not_looked_at"] += max(0, count - len(ids))
    found.oldest[queue, "scheduled"] = max((_age_by_id(job_id) for job_id in ids), default=0.0)


async def _read_deferred(redis: AsyncRedis, queue: str, count: int, found: Held) -> None:
    members: Any = await redis.zrange(f"{RQ}deferred:{queue}", 0, LOOKED_AT - 1, withscores=True)
    async with redis.pipeline(transaction=False) as pipeline:
        for job_id, _ in members:
            pipeline.hget(_JOB + job_id, "dependency_id")
        awaited = await pipeline.execute()
        for job_id in awaited:
            pipeline.hget(_JOB + (job_id or b""), "status")
        statuses = await pipeline.execute()
    found.causes.update((queue, "held", _HELD_BY.get(status, "earlier_job")) for status in statuses)
    found.causes[queue, "held", "not_looked_at"] += max(0, count - len(members))
    since = [score for _, score in members if 0 < score < float("inf")]
    found.oldest[queue, "held"] = max(0.0, time.time() - min(since)) if since else 0.0


def held_families(found: Held) -> list[Metric]:
    """Metrics of them."""
    oldest = GaugeMetricFamily(
        "deskbell_oldest_held_back_seconds", "How old the first job is, by queue and state.", labels=["queue", "state"]
    )
    causes = GaugeMetricFamily(
        "deskbell_jobs_held_back", "Jobs that do not wait, by why they do not.", labels=["queue", "state", "cause"]
    )
    for queue in found.queues:
        for state, kinds in CAUSES.items():
            oldest.add_metric([queue, state], found.oldest.get((queue, state), 0.0))
            for cause in kinds:
                causes.add_metric([queue, state, cause], found.causes[queue, state, cause])
    return [oldest, causes]


_HELD_BY: dict[bytes | None, str] = {b"failed": "dead_letter", None: "gone"}


def _scheduled_for(text: bytes | None) -> str:
    try:
        meta = read_json(text or b"{}")
    except ValueError:
        meta = {}
    meta = meta if isinstance(meta, dict) else {}
    cause = str(meta.get("cause", ""))
    if "left" in meta:
        return "undeclared"
    if cause.startswith("it is not this job's turn"):
        return "out_of_turn"
    return "unavailable" if "waits" in meta else "failed"


def _age_by_id(job_id: bytes) -> float:
    """How old a job's event is: its id begins with the milliseconds at which it came."""
    head = job_id[:_ID_LENGTH].partition(b"-")[0]
    if len(head) < _ID_LENGTH:
        return 0.0
    try:
        return max(0.0, time.time() - int(head[:12], 16) / 1000)
    except ValueError:
        return 0.0
