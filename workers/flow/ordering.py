"""Ordering: the partition key of a job, and its position among the jobs of that key.

1. Events are ordered by when they were received, which their ids sort by; the events of one execution of a task flow
   are ordered by their `Seq`. So that both can be compared, a position is the milliseconds of receipt, moved between
   those of its neighbours in the execution, and a fraction by `Seq`.
2. The jobs of a key that have not ended stand in a sorted set by their positions. A new job that has others before it
   is written as RQ's own dependent of the nearest: RQ queues it when that one ends.
3. Fan-outs run many at once, and not in event order. What one could not know, that a job will stand between two others,
   is found when a job takes the lock of its key: see `workers/flow/fifo_lock.py`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.client import Pipeline
from rq.job import Dependency, Job, JobStatus
from rq.queue import Queue

from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.wire.events import Event
from shared.wire.json_values import text, whole
from shared.wire.protocol import TASK_FLOW_EVENT

ORDER_KEY = "deskbell:order:"
"""Prefix, then the partition: a sorted set of the jobs that have not ended, by position."""

PARTITIONS_KEY = "deskbell:orders"
"""The set of all partitions that have jobs."""

EXECUTION_KEY = "deskbell:execution:"
"""Prefix, then a digest: a sorted set of `<Seq>:<ms>`, the events of an execution that have been fanned out."""

DAY_SECONDS = 24 * 3600
_FRACTIONS = 4096  # what a double has room for beside milliseconds
_LARGEST_SEQ = 2**31
_NEAREST = 20
_ENDED = {b"finished", b"canceled", b"stopped", None}


@dataclass(frozen=True, slots=True)
class Arrival:
    """When an event was received, as far as its position depends on it.

    Attributes:
        ms: when it was received, moved between its neighbours in its execution.
        execution: the digest of its task flow's execution, if it has one.
        seq: its number in that execution.
    """

    ms: int
    execution: str | None = None
    seq: int = 0

    @property
    def position(self) -> str:
        """The position of its jobs: a number as text, since some JSON writers round it."""
        return repr(self.ms + min(self.seq, _FRACTIONS - 1) / _FRACTIONS)

    def write(self, pipeline: Pipeline) -> None:
        """Record the event among those of its execution."""
        if self.execution:
            key = EXECUTION_KEY + self.execution
            pipeline.zadd(key, {f"{self.seq}:{self.ms}": self.seq})
            pipeline.expire(key, DAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job stands; one that is not ordered has no partition.

    Attributes:
        partition: its type and a digest of its key.
        position: its number, as text.
        dependency: on the nearest job before it that has not ended, if there is one.
    """

    partition: str = ""
    position: str = ""
    dependency: Dependency | None = None

    @property
    def meta(self) -> dict[str, Any] | None:
        """What the job records of it, so that a dead letter that is replayed takes its old position."""
        return {"order": [self.partition.partition(":")[2], self.position]} if self.partition else None

    def write(self, pipeline: Pipeline, job: Job) -> None:
        """Add the job to those of its key."""
        if not self.partition:
            return
        pipeline.zadd(ORDER_KEY + self.partition, {job.id: float(self.position)})
        pipeline.sadd(PARTITIONS_KEY, self.partition)


def partition_of(job_type: JobType, event: Event) -> str:
    """The job type and a digest of its key in an event; "" when its job is not ordered."""
    key = job_type.order_key(event)
    return f"{job_type.type_slug}:{_digest(event.app_id, key)}" if key else ""


def execution_of(event: Event) -> tuple[str, int] | None:
    """The digest of a task-flow event's execution, and the event's number in it; None when it has none."""
    execution, seq = text(event.raw.get("ExecutionId")), whole(event.raw.get("Seq"))
    if event.command != TASK_FLOW_EVENT or not execution or seq is None or not 0 <= seq <= _LARGEST_SEQ:
        return None
    return _digest(event.app_id, execution), seq


def received_ms(event: Event) -> int:
    """When an event was received, as its id says."""
    return int(event.id[:12], 16)


def arrival_of(pipeline: Pipeline, jobs: Jobs, event: Event) -> Arrival:
    """An event's arrival, with the keys watched that it is read from."""
    ms, number = received_ms(event), execution_of(event)
    if number is None or not any(job_type.ordered_by for job_type in jobs.types):
        return Arrival(ms)
    execution, seq = number
    key = EXECUTION_KEY + execution
    pipeline.watch(key)
    before: Any = pipeline.zrevrangebyscore(key, seq, "-inf", start=0, num=1)
    behind: Any = pipeline.zrangebyscore(key, f"({seq}", "+inf", start=0, num=1)
    for neighbour in before:
        its_seq, its_ms = map(int, neighbour.split(b":"))
        ms = its_ms if its_seq == seq else max(ms, its_ms)
    for neighbour in behind:
        ms = min(ms, int(neighbour.split(b":")[1]))
    return Arrival(ms, execution, seq)


def placement_of(pipeline: Pipeline, job_type: JobType, event: Event, arrival: Arrival) -> Placement:
    """A job's placement, with the keys watched that it is read from."""
    partition = partition_of(job_type, event)
    if not partition:
        return Placement()
    key, position = ORDER_KEY + partition, (float(arrival.position), job_type.job_id(event.id))
    pipeline.watch(key)
    before: Any = pipeline.zrevrangebyscore(key, arrival.position, "-inf", start=0, num=_NEAREST, withscores=True)
    nearest = [member.decode() for member, score in before if (score, member.decode()) < position]
    predecessor = _first_alive(pipeline, nearest, job_type)
    allow_failure = job_type.on_dead == "continue"
    dependency = Dependency(predecessor, allow_failure=allow_failure) if predecessor else None
    return Placement(partition, arrival.position, dependency)


def defer(job: Job, target: Queue, pipeline: Pipeline) -> None:
    """Write a job as RQ's `Queue.setup_dependencies` does for one whose dependency has not ended."""
    pipeline.sadd(target.redis_queues_keys, target.key)
    job.set_status(JobStatus.DEFERRED, pipeline=pipeline)
    job.register_dependency(pipeline=pipeline)
    job.save(pipeline=pipeline)
    job.cleanup(ttl=job.ttl, pipeline=pipeline)


def _first_alive(pipeline: Pipeline, job_ids: Iterable[str], job_type: JobType) -> str | None:
    """The first of these jobs that has not ended; a dead letter has ended, unless it holds its key."""
    passed = _ENDED | ({b"failed"} if job_type.on_dead == "continue" else set())
    for job_id in job_ids:
        pipeline.watch(Job.key_for(job_id))
        status: Any = pipeline.hget(Job.key_for(job_id), "status")
        if status not in passed:
            return job_id
    return None


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
