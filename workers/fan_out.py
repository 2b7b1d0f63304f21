"""The entry point of events: one job for each job type that wants the event.

The jobs and the mark that they were made are written in one transaction, and the mark stands in the event's own
RQ job. So it does not matter how often, or how far, a fan-out ran before: there is one set of jobs.
"""

import time

from redis import Redis, WatchError
from redis.client import Pipeline
from rq import get_current_job
from rq.job import Job

from shared.events import Event, Wire, event_from_wire
from shared.jobs import JobType
from shared.logs import get_log
from shared.queues import FOREVER, PERFORM, queue
from workers.perform import Performer, performer
from workers.retries import rq_retry

_MARK = "fanned_out"
_BACKSTOP_SECONDS = 5


class FanOut:
    """Makes the jobs of events."""

    def __init__(self, performer: Performer) -> None:
        self._jobs = performer.jobs
        self._log = get_log()

    def fan_out(self, wire: Wire) -> None:
        """Make the jobs of one event, once.

        Args:
            wire: the event, as the api wrote it.
        """
        started = time.perf_counter()
        job = get_current_job()
        assert job, "fan_out is called by an RQ worker"
        event = event_from_wire(wire)
        wanted = self._jobs.wanted_by(event)
        made = self._make(job, event, wire, wanted)
        self._log.info(
            "fan_out",
            event_id=event.id,
            command=event.command,
            node=event.node,
            outcome="done" if made else "done_before",
            jobs=[job_type.name for job_type in wanted],
            ms=round((time.perf_counter() - started) * 1000, 3),
        )

    def _make(self, job: Job, event: Event, wire: Wire, wanted: list[JobType]) -> bool:
        """Write the jobs and the mark; False if the mark was there."""
        connection: Redis = job.connection
        with connection.pipeline() as pipeline:
            while True:
                try:
                    pipeline.watch(job.key)
                    job.get_meta()
                    if job.meta.get(_MARK):
                        return False
                    pipeline.multi()
                    for job_type in wanted:
                        _enqueue(pipeline, connection, job_type, event, wire)
                    job.meta[_MARK] = True
                    pipeline.hset(job.key, "meta", job.serializer.dumps(job.meta))
                    pipeline.execute()
                except WatchError:  # another worker holds the same event, or RQ wrote a heartbeat: look again
                    continue
                return True


def _enqueue(pipeline: Pipeline, connection: Redis, job_type: JobType, event: Event, wire: Wire) -> None:
    target = queue(job_type.queue, connection)
    job = target.create_job(
        PERFORM,
        args=[job_type.name, wire],
        job_id=job_type.job_id(event.id),
        description=job_type.name,
        # The event loop cancels an async job on time; RQ's alarm is the backstop for one that blocks the loop.
        timeout=job_type.timeout + (_BACKSTOP_SECONDS if job_type.is_async else 0),
        failure_ttl=FOREVER,
        retry=rq_retry(job_type.attempts),
    )
    target.enqueue_job(job, pipeline=pipeline)


def fan_out(wire: Wire) -> None:
    """`FanOut.fan_out` for a worker that is not ours, made from the environment."""
    FanOut(performer()).fan_out(wire)
