"""Fenced writes of outcomes, as RQ writes them: retries, dead letters, stopped jobs, successes that others wait for.

Each is one transaction, fenced by the lease: it watches the execution, and nothing is written when the lease has been
reaped, for then the job may be running elsewhere. RQ's own worker keeps one job's state in itself and only logs what
Redis refuses; so its steps (`handle_job_failure`, `handle_job_success`) are taken here, by the same parts of RQ.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from redis.client import Pipeline
from redis.exceptions import WatchError
from rq.job import JobStatus
from rq.queue import Queue
from rq.utils import now
from rq.worker import BaseWorker

from shared.errors import LeftError, OutOfTurnError
from shared.jobs.jobs import Jobs
from shared.logs import get_log
from workers.dead_letters.tracebacks import traceback_text
from workers.flow.limits import free_slot
from workers.job import AllowListedJob
from workers.lease import LeaseLostError
from workers.redis_errors import is_transient
from workers.releases.leaving import leave
from workers.worker.execution import Execution, StoppedError

ABANDONED = "The worker gave no sign of life in time, and no attempt is left."

_READY_TRIES = 20
_WATCH_TRIES = 3


@dataclass(eq=False)
class RQOutcomes:
    """Writes outcomes for a worker; in threads, any number at once.

    What Redis refuses for reasons of its own is raised, and nothing is written: the same is to be called again. Any
    method raises LeaseLostError when the lease is not ours any more, and NoSuchJobError when the job has expired.
    """

    worker: BaseWorker
    jobs: Jobs

    def fail(self, execution: Execution, error: BaseException) -> None:
        """Write a retry, or a dead letter; however often this is called, it is decided once which."""
        execution.job.read()
        if not execution.is_decided:
            self._decide(execution, error)
            execution.is_decided = True
        self._write_failure(execution, traceback_text(error), error)

    def dead_letter(self, execution: Execution, text: str) -> None:
        """Write a dead letter, whatever retries the job has left."""
        execution.job.read()
        execution.job.retries_left = 0
        self._write_failure(execution, text)

    def succeed(self, execution: Execution) -> None:
        """Write a success, and queue the jobs that depend on it."""
        execution.job.read()
        self._write(execution, self._success)

    def _decide(self, execution: Execution, error: BaseException) -> None:
        """Set how often the job is to be tried again, and when."""
        job = execution.job
        try:
            if execution.attempt:
                execution.attempt.failed(job, error)
            elif not execution.is_event or (isinstance(error, LeftError) and not leave(job, error)):
                get_log().error("job_refused", job_id=job.id, queue=execution.lease.queue, error=error)
                job.retries_left = 0
        except BaseException as surprise:  # reading an integrator's exception may raise anything
            if is_transient(surprise) or isinstance(surprise, LeaseLostError):
                raise
            get_log().error("outcome_not_written", job_id=execution.lease.job_id, error=surprise)
            job.reset()

    def _write_failure(self, execution: Execution, text: str, error: BaseException | None = None) -> None:
        free_slot(self.jobs, execution.lease, self.worker.connection)
        self._write(execution, partial(self._failure, text=text, error=error))

    def _write(self, execution: Execution, write: Callable[[Execution], None]) -> None:
        """Write an outcome; of a job whose hash RQ's code cannot cope with, only the data are kept."""
        tries = _WATCH_TRIES
        while True:
            try:
                return write(execution)
            except WatchError:  # a renewal came between; if it was a reaper, LeaseLostError comes next
                tries -= 1
                if not tries:
                    raise
            except Exception as error:
                if is_transient(error) or isinstance(error, LeaseLostError) or execution.job.is_reset:
                    raise
                get_log().error("job_reset", job_id=execution.lease.job_id, queue=execution.lease.queue, error=error)
                execution.job.reset()

    def _failure(self, execution: Execution, text: str, error: BaseException | None) -> None:
        is_stopped = isinstance(error, StoppedError)
        with self._transaction(execution) as (job, queue, pipeline, result):
            pipeline.multi()
            if job.is_reset:
                pipeline.delete(job.key)
            if job.should_retry and not is_stopped:
                _retry(job, queue, pipeline)
            else:
                job.set_status(JobStatus.STOPPED if is_stopped else JobStatus.FAILED, pipeline)
                job._handle_failure(text, pipeline, **result)  # noqa: SLF001 - RQ has no public way
                pipeline.hset(job.key, "meta", job.serializer.dumps(job.meta))
            if not isinstance(error, OutOfTurnError | LeftError):  # `rq info` shows how many have failed
                self.worker.increment_failed_job_count(pipeline)

    def _success(self, execution: Execution) -> None:
        with self._transaction(execution) as (job, queue, pipeline, result):
            queue.move_dependents_to_ready(job, pipeline)
            if not pipeline.explicit_transaction:
                pipeline.multi()
            if job.is_reset:
                pipeline.delete(job.key)
            ttl = job.get_result_ttl(self.worker.default_result_ttl)
            if ttl != 0:
                job._handle_success(ttl, pipeline, **result)  # noqa: SLF001 - RQ has no public way
            job.cleanup(ttl, pipeline, remove_from_queue=False)
            self.worker.increment_successful_job_count(pipeline)

    @contextmanager
    def _transaction(self, execution: Execution) -> Iterator[tuple[AllowListedJob, Queue, Pipeline, dict[str, Any]]]:
        """A transaction that ends the lease: a copy of the job, its queue, the pipeline, what RQ keeps of a result."""
        lease, worker = execution.lease, self.worker
        held = lease.execution(worker.connection, worker.name)
        queue = next(queue for queue in worker.queues if queue.name == lease.queue)
        job = copy.copy(execution.job)  # RQ changes a job as it writes it, whether Redis takes that or not
        job.ended_at, job.origin = now(), lease.queue
        job.started_at = job.started_at or job.ended_at
        times = {"execution_started_at": held.created_at, "execution_ended_at": job.ended_at}
        with worker.connection.pipeline() as pipeline:
            pipeline.watch(held.key, job.dependents_key)
            if not pipeline.exists(held.key):
                raise LeaseLostError
            yield job, queue, pipeline, {"worker_name": worker.name, "execution_id": held.id, **times}
            held.delete(job, pipeline)
            worker.increment_total_working_time(job.ended_at - job.started_at, pipeline)
            pipeline.execute()
        with suppress(Exception):  # the outcome is written; what is not queued now, maintenance queues
            _queue_dependents(job, queue)


def _retry(job: AllowListedJob, queue: Queue, pipeline: Pipeline) -> None:
    """Queue or schedule the retry as RQ's `Job.retry` does, but all of it in the transaction."""
    seconds = job.get_retry_interval()
    job.retries_left = (job.retries_left or 0) - 1
    if seconds:
        queue.schedule_job(job, now() + timedelta(seconds=seconds), pipeline)
    else:
        queue._enqueue_job(job, pipeline, at_front=job.enqueue_at_front_on_retry)  # noqa: SLF001 - RQ has no public way


def _queue_dependents(job: AllowListedJob, queue: Queue) -> None:
    """Queue the jobs that waited for this one, if it has ended."""
    if job.get_status(refresh=False) in (JobStatus.FAILED, JobStatus.STOPPED):
        queue.enqueue_dependents(job)
    for _ in range(_READY_TRIES):  # RQ gives up at once when another thread queues one
        if not queue.connection.zcard(queue.ready_job_registry.key):
            return
        queue.ready_job_registry.cleanup()
