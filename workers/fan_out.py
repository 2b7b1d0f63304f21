"""The entry point of events: one job for each job type that wants the event.

The jobs and the mark that they were made are written in one transaction, and the mark stands in the event's own
RQ job. So it does not matter how often, or how far, a fan-out ran before: there is one set of jobs.
"""

import time
from typing import Any

from redis import Redis, WatchError
from redis.client import Pipeline
from rq import Queue, get_current_job
from rq.job import Dependency, Job, JobStatus

from shared.commands import event_from_wire
from shared.events import Event, Wire
from shared.job_type import JobType
from shared.jobs import Jobs
from shared.logs import get_log
from shared.queues import FOREVER, PERFORM, queue
from shared.redaction import loggable_fields
from workers.perform import performer
from workers.places import Place, arrival_of, place_of
from workers.retries import give_back, rq_retry

_MARK = "fanned_out"
_BACKSTOP_SECONDS = 5


class FanOut:
    """Makes the jobs of events."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._log = get_log()

    def fan_out(self, wire: Wire) -> None:
        """Make the jobs of one event, once.

        Args:
            wire: the event, as the api wrote it.
        """
        started = time.perf_counter()
        fields: dict[str, Any] = {}
        job = get_current_job()
        assert job, "fan_out is called by an RQ worker"
        try:
            event = event_from_wire(wire)
            fields |= loggable_fields(event_id=event.id, command=event.command, node=event.node)
            wanted = self._jobs.wanted_by(event)
            fields["jobs"] = [job_type.name for job_type in wanted]
            fields["outcome"] = "done" if self._make(job, event, wire, wanted) else "done_before"
        except BaseException as error:
            fields |= {"outcome": "failed", "error": error}
            raise
        finally:
            self._log.info("fan_out", **fields, ms=round((time.perf_counter() - started) * 1000, 3))

    def _make(self, job: Job, event: Event, wire: Wire, wanted: list[JobType]) -> bool:
        """Write the jobs and the mark; False if the mark was there."""
        connection: Redis = job.connection
        with connection.pipeline() as pipeline:
            while True:
                try:
                    pipeline.watch(job.key)
                    # Through the pipeline: one connection for each event under way, not two.
                    meta: Any = pipeline.hget(job.key, "meta")
                    job.meta = job.serializer.loads(meta) if meta else {}
                    if job.meta.get(_MARK):
                        return False
                    arrival = arrival_of(pipeline, self._jobs, event)
                    places = [place_of(pipeline, job_type, event, arrival) for job_type in wanted]
                    pipeline.multi()
                    arrival.write(pipeline)
                    for job_type, place in zip(wanted, places, strict=True):
                        _enqueue(pipeline, connection, job_type, event, wire, place)
                    # Not into `job.meta`: RQ saves that with a retry, also when this transaction failed.
                    pipeline.hset(job.key, "meta", job.serializer.dumps({**job.meta, _MARK: True}))
                    pipeline.execute()
                except WatchError:  # another worker holds the same event, or RQ wrote a heartbeat: look again
                    continue
                return True


def _enqueue(
    pipeline: Pipeline, connection: Redis, job_type: JobType, event: Event, wire: Wire, place: Place | None
) -> None:
    target = queue(job_type.queue, connection)
    job = target.create_job(
        PERFORM,
        args=[job_type.name, wire],
        job_id=job_type.job_id(event.id),
        description=job_type.name,
        # The event loop cancels an async job on time; RQ's alarm is the backstop for one that blocks the loop.
        timeout=job_type.timeout + (_BACKSTOP_SECONDS if job_type.is_async else 0),
        failure_ttl=FOREVER,
        result_ttl=job_type.keep,
        retry=rq_retry(job_type),
        meta=place.meta if place else None,
        depends_on=_dependency(job_type, place),
    )
    if place:
        place.write(pipeline, job)
    if place and place.behind:
        _defer(job, target, pipeline)
    else:
        target.enqueue_job(job, pipeline=pipeline)


def _dependency(job_type: JobType, place: Place | None) -> Dependency | None:
    if place is None or place.behind is None:
        return None
    return Dependency(place.behind, allow_failure=job_type.on_dead == "continue")


def _defer(job: Job, target: Queue, pipeline: Pipeline) -> None:
    """Write a job as RQ's `Queue.setup_dependencies` does for one whose dependency has not ended."""
    pipeline.sadd(target.redis_queues_keys, target.key)
    job.set_status(JobStatus.DEFERRED, pipeline=pipeline)
    job.register_dependency(pipeline=pipeline)
    job.save(pipeline=pipeline)
    job.cleanup(ttl=job.ttl, pipeline=pipeline)


def fan_out(wire: Wire) -> None:
    """`FanOut.fan_out` for a worker that is not ours, made from the environment."""
    try:
        FanOut(performer().jobs).fan_out(wire)
    except Exception as error:
        if job := get_current_job():
            give_back(job, error)
        raise
