"""The entry point of events: makes one job for each job type that wants the event, once (idempotent).

The jobs and the mark that they were made are written in one transaction, and the mark stands in the event's own RQ job.
So it does not matter how often, or how far, a fan-out ran before: there is one set of jobs.
"""

import time
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import get_current_job
from rq.job import Job

from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.logs import get_log
from shared.redaction import loggable_fields
from shared.redis.queues import FOREVER, PERFORM, queue
from shared.wire.commands import event_from_wire
from shared.wire.events import Event, Wire
from workers.flow.ordering import Placement, arrival_of, defer, placement_of
from workers.perform import performer
from workers.retries import restore_retry, rq_retry

_MARK = "fanned_out"
BACKSTOP_SECONDS = 5
"""By how much RQ's time limit of an async job is longer than its own, at which the event loop cancels it."""


def fan_out_with(jobs: Jobs, wire: Wire) -> None:
    """Make the jobs of one event, once."""
    started = time.perf_counter()
    fields: dict[str, Any] = {}
    job = get_current_job()
    assert job, "fan_out is called by an RQ worker"
    try:
        event = event_from_wire(wire)
        fields |= loggable_fields(event_id=event.id, command=event.command, node=event.node)
        wanted = jobs.wanted_by(event)
        fields["jobs"] = [job_type.name for job_type in wanted]
        fields["outcome"] = "done" if _make(job, jobs, event, wire, wanted) else "done_before"
    except BaseException as error:
        fields |= {"outcome": "failed", "error": error}
        raise
    finally:
        get_log().info("fan_out", **fields, ms=round((time.perf_counter() - started) * 1000, 3))


def _make(job: Job, jobs: Jobs, event: Event, wire: Wire, wanted: list[JobType]) -> bool:
    """Write the jobs and the mark; False if the mark was there already."""
    connection: Redis = job.connection

    def write(pipeline: Pipeline) -> None:
        # Through the pipeline: one connection for each event under way, not two.
        text: Any = pipeline.hget(job.key, "meta")
        meta = job.serializer.loads(text) if text else {}
        if meta.get(_MARK):
            return
        arrival = arrival_of(pipeline, jobs, event)
        placements = [placement_of(pipeline, job_type, event, arrival) for job_type in wanted]
        pipeline.multi()
        arrival.write(pipeline)
        for job_type, placement in zip(wanted, placements, strict=True):
            _enqueue(pipeline, connection, job_type, event, wire, placement)
        # Not into `job.meta`: RQ saves that with a retry, also when this transaction failed.
        pipeline.hset(job.key, "meta", job.serializer.dumps({**meta, _MARK: True}))

    # It is repeated if what was read changed: another worker has the same event, or RQ wrote a heartbeat.
    return bool(connection.transaction(write, job.key))


def _enqueue(
    pipeline: Pipeline, connection: Redis, job_type: JobType, event: Event, wire: Wire, placement: Placement
) -> None:
    """Queue the job of a type; an ordered job that comes after another is deferred until that has ended."""
    target = queue(job_type.queue, connection)
    job = target.create_job(
        PERFORM,
        args=[job_type.name, wire],
        job_id=job_type.job_id(event.id),
        description=job_type.name,
        # The event loop cancels an async job on time; RQ's alarm is the backstop for one that blocks the loop.
        timeout=job_type.timeout + (BACKSTOP_SECONDS if job_type.is_async else 0),
        failure_ttl=FOREVER,
        result_ttl=job_type.keep,
        retry=rq_retry(job_type),
        meta=placement.meta,
        depends_on=placement.dependency,
    )
    placement.write(pipeline, job)
    if placement.dependency:
        defer(job, target, pipeline)
    else:
        target.enqueue_job(job, pipeline=pipeline)


def fan_out(wire: Wire) -> None:
    """The entry point for a stock worker: configured from the environment."""
    try:
        fan_out_with(performer().jobs, wire)
    except Exception as error:
        if job := get_current_job():
            restore_retry(job, error)
        raise
