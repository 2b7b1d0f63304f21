"""The jobs of an event as RQ has them now; those that have ended are gone some minutes later."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.worker import Worker

from shared.keys import RQ
from shared.redis.queues import EVENTS, queue
from shared.redis.workers import read_workers

FANNED_OUT = "(fan-out)"
"""What stands for a job type's name where the event's own job is meant."""


@dataclass(frozen=True, slots=True)
class JobNow:
    """A job.

    Attributes:
        status: as RQ writes it: queued, started, scheduled, deferred, finished, failed.
        next_try: of one that is scheduled, in Unix seconds.
    """

    id: str
    job: str
    queue: str
    status: str
    next_try: float | None


def jobs_now(redis: Redis, event_id: str, names: Iterable[str]) -> list[JobNow]:
    """The event's own job, and its jobs of these types and of those that workers declare, as far as there are any."""
    records = read_workers(
        redis, (key.removeprefix(f"{RQ}worker:") for key in _texts(Worker.all_keys(connection=redis)))
    )
    declared = {name for record in records.values() for name in record.job_types}
    ids = {event_id: FANNED_OUT} | {
        f"{event_id}-{name.replace('.', '-')}": name for name in sorted({*names, *declared})
    }
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hmget(Job.key_for(job_id), "status", "origin")
        written = pipeline.execute()
    return [
        _job(redis, job_id, name, status.decode(errors="replace"), (origin or EVENTS.encode()).decode(errors="replace"))
        for (job_id, name), (status, origin) in zip(ids.items(), written, strict=True)
        if status
    ]


def _job(redis: Redis, job_id: str, name: str, status: str, origin: str) -> JobNow:
    registry = ScheduledJobRegistry(queue=queue(origin, redis))
    score: Any = redis.zscore(registry.key, job_id) if status == "scheduled" else None
    return JobNow(job_id, name, origin, status, score)


def _texts(keys: Iterable[Any]) -> list[str]:
    return [key if isinstance(key, str) else key.decode(errors="replace") for key in keys]
