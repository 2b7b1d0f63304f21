"""RQ's maintenance: what its workers do besides jobs. Retries that are due are queued, and registries are cleaned.

RQ's scheduler is a process of its own, forked from the worker; a worker with threads must not fork, and RQ's own code
does the same from a thread here, under the same locks.
"""

import time
from functools import partial

from rq import worker_registration
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.rate_limit import RateLimitRegistry
from rq.registry import ScheduledJobRegistry
from rq.scheduler import RQScheduler
from rq.utils import now
from rq.worker import BaseWorker

from shared.jobs.jobs import Jobs
from shared.logs import get_log
from shared.runtime.threads import DaemonThreads
from shared.settings.config import Settings
from workers.dead_letters.retention import discard_old
from workers.flow.fifo_lock import wake
from workers.redis_errors import is_transient

SCHEDULE_SECONDS = 1.0  # as RQ's scheduler
MAINTENANCE_SECONDS = 30.0
_LOCKS_SECONDS = 10  # between tries to get the lock of a holder that died


class Maintenance:
    """RQ's scheduler and maintenance, a step at a time, in threads."""

    def __init__(self, worker: BaseWorker, jobs: Jobs, settings: Settings, threads: DaemonThreads) -> None:
        self._jobs = jobs
        self._settings = settings
        self._worker = worker
        self._threads = threads
        self._scheduling = DaemonThreads(1)  # one: the locks are released after the step that may acquire them
        self._scheduler = RQScheduler(
            worker.queues, connection=worker.connection, logging_level="WARNING", serializer=worker.serializer
        )
        self._locks_are_due = 0.0

    async def schedule(self) -> None:
        """Queue the jobs whose time has come, of those queues that no other scheduler sees to; and those left ready.

        RQ gives up at once to queue a job whose dependency has ended when another thread queues one.
        """
        await self._scheduling.run(self._schedule)

    async def maintain(self) -> None:
        """Clean the registries, as RQ does between jobs, queue ordered jobs that nothing holds, discard what is old."""
        await self._threads.run(self._maintain)

    async def close(self) -> None:
        """Let another scheduler take over at once."""
        await self._scheduling.run(self._stop)
        self._scheduling.close()

    def _schedule(self) -> None:
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
            get_log().error("maintenance_failed", error=error)
            self._queue_unread()
        for queue in self._worker.queues:
            queue.ready_job_registry.cleanup()

    def _stop(self) -> None:
        self._scheduler.stop()
        self._scheduler.connection.connection_pool.disconnect()  # RQ gives it connections of its own

    def _maintain(self) -> None:
        self._worker.run_maintenance_tasks()
        wake(self._worker.connection, self._jobs)
        discard_old(self._worker.connection, self._settings, self._worker.queue_names())

    def _queue_unread(self) -> None:
        """Queue what is due without reading it: RQ reads it all at once, and a damaged job would hold up the others."""
        connection = self._worker.connection
        for name in self._scheduler.acquired_locks:
            registry = ScheduledJobRegistry(name, connection)
            for job_id in filter(partial(Job.exists, connection=connection), registry.get_jobs_to_schedule()):
                with connection.pipeline() as pipeline:
                    pipeline.rpush(Queue(name, connection).key, job_id)
                    pipeline.hset(Job.key_for(job_id), "status", JobStatus.QUEUED)
                    pipeline.zrem(registry.key, job_id)
                    pipeline.execute()


def clean_registries(worker: BaseWorker) -> None:
    """Clean the registries of a worker's queues as RQ's workers do, except for jobs under way.

    RQ takes those from their workers by its own clock, when the score is past, and one at a time. Here they are reaped
    by their leases, and never while no worker could renew them: see `ReapGuard` in `workers/worker/heartbeat.py`.
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
