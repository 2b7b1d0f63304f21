"""What RQ's workers do besides jobs: queue the retries that are due, and clean the registries.

RQ's scheduler is a process of its own, forked from the worker; a worker with threads must not fork, and RQ's own code
does the same from a thread here, under the same locks.
"""

import time

from rq import worker_registration
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.rate_limit import RateLimitRegistry
from rq.scheduler import RQScheduler
from rq.utils import now
from rq.worker import BaseWorker

from shared.jobs import Jobs
from shared.logs import get_log
from workers.outages import is_transient
from workers.turns import wake

_LOCKS_SECONDS = 10  # between looks for a lock whose holder died


class Upkeep:
    """RQ's scheduler and maintenance, a step at a time; in a thread."""

    def __init__(self, worker: BaseWorker, jobs: Jobs) -> None:
        """Prepare.

        Args:
            worker: whose queues are kept up.
            jobs: the job types, some of which may be ordered.
        """
        self._jobs = jobs
        self._worker = worker
        self._scheduler = RQScheduler(
            worker.queues, connection=worker.connection, logging_level="WARNING", serializer=worker.serializer
        )
        self._locks_are_due = 0.0
        self._log = get_log()

    def schedule(self) -> None:
        """Queue the jobs whose time has come, of those queues that no other scheduler sees to; and those left ready.

        RQ gives up at once to queue a job whose dependency has ended when another thread queues one.
        """
        if time.monotonic() >= self._locks_are_due:
            self._scheduler.acquire_locks()
            self._scheduler.register_birth()
            self._locks_are_due = time.monotonic() + _LOCKS_SECONDS
        self._scheduler.heartbeat()
        try:
            self._scheduler.enqueue_scheduled_jobs()
        except Exception as error:
            if is_transient(error):
                raise
            self._queue_unreadable(error)
        for queue in self._worker.queues:
            queue.ready_job_registry.cleanup()

    def maintain(self) -> None:
        """Clean the registries, as RQ does between jobs."""
        self._worker.run_maintenance_tasks()
        wake(self._worker.connection, self._jobs)

    def close(self) -> None:
        """Let another scheduler take over at once."""
        self._scheduler.stop()

    def _queue_unreadable(self, error: Exception) -> None:
        """Queue the due jobs that RQ cannot read, and which keep the others from being queued: see `GuardedJob`."""
        self._log.error("upkeep_failed", error=error)
        for queue in self._worker.queues:
            registry = queue.scheduled_job_registry
            for job_id in filter(self._is_unreadable, registry.get_jobs_to_schedule()):
                with self._worker.connection.pipeline() as pipeline:
                    pipeline.rpush(queue.key, job_id)
                    pipeline.hset(Job.key_for(job_id), "status", JobStatus.QUEUED)
                    pipeline.zrem(registry.key, job_id)
                    pipeline.execute()

    def _is_unreadable(self, job_id: str) -> bool:
        try:
            Job.fetch(job_id, connection=self._worker.connection, serializer=self._worker.serializer)
        except NoSuchJobError:
            return False
        except Exception as error:
            if is_transient(error):
                raise
            return True
        return False


def clean_registries(worker: BaseWorker) -> None:
    """What RQ's workers do for the registries of their queues, except for jobs under way.

    Those RQ takes from workers by its own clock, when the score is past, and one at a time; ours are recovered by
    their leases, and never when nobody could renew them: see `workers/recover.lua` and `workers/silence.py`.
    """
    for queue in worker.queues:
        if queue.acquire_maintenance_lock():
            try:
                _clean(worker, queue)
            finally:
                queue.release_maintenance_lock()
    worker.last_cleaned_at = now()  # type: ignore[assignment]


def _clean(worker: BaseWorker, queue: Queue) -> None:
    registries = (
        queue.finished_job_registry,
        queue.failed_job_registry,
        queue.deferred_job_registry,
        queue.ready_job_registry,
        *RateLimitRegistry.all(queue.connection),
    )
    for registry in registries:
        registry.cleanup()
    worker_registration.clean_worker_registry(queue)
    queue.intermediate_queue.cleanup(worker, queue)
