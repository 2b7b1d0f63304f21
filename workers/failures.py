"""Outcomes that RQ's own code writes: retries, dead letters, stopped jobs, and successes that others depend on.

RQ writes such an outcome in one transaction. Here the transaction watches the execution: when that was struck off,
since its worker gave no sign of life in time, nothing is written, for the job may be running elsewhere.
"""

import copy
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import WatchError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.registry import BaseRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.utils import now
from rq.worker import BaseWorker

from shared.errors import OutOfTurnError
from shared.jobs import Jobs
from shared.logs import get_log
from workers.guarded import ClaimedJob
from workers.lease import Lease, LeaseLostError
from workers.limits import free_slot
from workers.outages import is_transient
from workers.running import Run, StoppedError, Verdict
from workers.tracebacks import traceback_text

ABANDONED = "The worker gave no sign of life in time, and no attempt is left."

_READY_TRIES = 20
_WATCH_TRIES = 3

# For RQ's lines of what Redis refuses, which is written again. No configuration of `logging` reaches it.
_quiet = logging.Logger("rq.worker.failures", logging.CRITICAL + 1)  # noqa: LOG001 - outside the tree of loggers


class Failures:
    """Writes outcomes for a worker; in threads, any number at once.

    What Redis refuses for reasons of its own is raised, and nothing is written: the same is to be called again. Any
    method raises LeaseLostError when the execution is not ours any more, and NoSuchJobError when the job has expired.
    """

    def __init__(self, worker: BaseWorker, jobs: Jobs) -> None:
        """Prepare.

        Args:
            worker: whose counts, name and connection RQ's code uses.
            jobs: the job types, whose slots are freed.
        """
        self._worker = worker
        self._jobs = jobs
        self._log = get_log()

    def fail(self, run: Run, error: BaseException) -> None:
        """Let RQ retry or bury a job; however often this is called, it is judged once.

        Args:
            run: the job; its call logs the failure, and says whether to try again.
            error: what was raised.
        """
        run.job.read()
        run.job.is_failing = True
        run.verdict = run.verdict or self._judge(run, error)
        self._record(run.claim, run.job, run.verdict)

    def refuse(self, claim: Lease, text: str) -> None:
        """Let RQ write a dead letter, whatever retries the job has left.

        Args:
            claim: the job.
            text: why.
        """
        job = self._worker.job_class.of(claim, self._worker.connection)  # type: ignore[attr-defined]
        job.read()
        self._record(claim, job, Verdict(0, job.retry_intervals, job.meta, text))

    def succeed(self, claim: Lease, job: ClaimedJob) -> None:
        """Let RQ write a success: it queues the jobs that depend on this one."""
        job.read()
        queue = self._queue(claim)
        job.ended_at, job.origin = now(), claim.queue
        job.started_at = job.started_at or job.ended_at
        success = partial(_succeed, job=job, queue=queue, execution=self._execution(claim))
        if self._is_written(claim, success):
            queue_ready(queue)
        else:
            self._end_plainly(claim, job, JobStatus.FINISHED, FinishedJobRegistry)

    def free_slot(self, claim: Lease) -> None:
        """Free the slot that a limit has given a job."""
        free_slot(self._jobs, claim, self._worker.connection)

    def holds(self, claim: Lease) -> bool:
        """Whether the execution is still ours, though its lease may have run out."""
        key = self._queue(claim).started_job_registry.key
        return self._worker.connection.zscore(key, claim.member) is not None

    def _judge(self, run: Run, error: BaseException) -> Verdict:
        assert run.call
        job = run.job
        try:
            run.call.failed(job, error)
        except BaseException as surprise:  # reading an integrator's exception may raise anything
            if is_transient(surprise) or isinstance(surprise, LeaseLostError):
                raise
            self._log.error("outcome_not_written", job_id=run.claim.job_id, error=surprise)
            job.retries_left = 0  # a job that cannot be judged is a dead letter
        is_stopped = isinstance(error, StoppedError)
        has_failed = not isinstance(error, OutOfTurnError)
        text = traceback_text(error)
        return Verdict(job.retries_left, job.retry_intervals, dict(job.meta), text, is_stopped, has_failed)

    def _record(self, claim: Lease, job: ClaimedJob, verdict: Verdict) -> None:
        """Let RQ write a failure: a retry if the job has any left, else a dead letter."""
        self.free_slot(claim)
        queue, execution = self._queue(claim), self._execution(claim)
        failure = partial(_fail, job=job, queue=queue, verdict=verdict, execution=execution)
        job.ended_at, job.origin, job.retries_left = now(), claim.queue, verdict.retries_left
        job.retry_intervals, job.meta = verdict.retry_intervals, dict(verdict.meta)
        if self._is_written(claim, failure, job.id if verdict.is_stopped else None):
            queue_ready(queue)
        else:
            self._end_plainly(claim, job, JobStatus.FAILED, FailedJobRegistry)

    def _is_written(
        self, claim: Lease, outcome: Callable[[BaseWorker], None], stopped_job_id: str | None = None
    ) -> bool:
        """Have RQ's code write an outcome; False when it cannot cope with the job."""
        error: Exception | None = None
        for _ in range(_WATCH_TRIES):
            ours = clerk(self._worker, self._execution(claim), stopped_job_id)
            error = error_of(outcome, ours)
            if isinstance(error, WatchError):
                continue  # a sign of life came between; if it was recovery, LeaseLostError comes next
            if error and is_transient(error):
                raise error
            is_written = not self.holds(claim)
            if not is_written:
                fields = {"error": error} if error else {}
                self._log.error("outcome_not_written", job_id=claim.job_id, **fields)
            return is_written
        assert error
        raise error

    def _end_plainly(self, claim: Lease, job: Job, status: JobStatus, registry: type[BaseRegistry]) -> None:
        """Write an outcome without RQ's code: what the registry and `rq requeue` need, no more."""
        with _Fenced(self._worker.connection, self._execution(claim).key).pipeline() as pipeline:
            pipeline.delete(f"rq:results:{claim.job_id}", f"rq:executions:{claim.job_id}")
            pipeline.hset(job.key, mapping={"status": status, "origin": claim.queue})
            pipeline.zadd(registry(claim.queue, self._worker.connection).key, {claim.job_id: "+inf"})
            self._execution(claim).delete(job, pipeline)
            pipeline.execute()
        self._log.error("outcome_written_plainly", job_id=claim.job_id, queue=claim.queue, status=status)

    def _execution(self, claim: Lease) -> Execution:
        return claim.execution(self._worker.connection, self._worker.name)

    def _queue(self, claim: Lease) -> Queue:
        return next(queue for queue in self._worker.queues if queue.name == claim.queue)


def _fail(ours: BaseWorker, *, job: Job, queue: Queue, verdict: Verdict, execution: Execution) -> None:
    if not verdict.has_failed:  # `rq info` and rq-dashboard show how many jobs of a worker have failed
        ours.increment_failed_job_count = lambda *_: None  # type: ignore[method-assign]
    ours.handle_job_failure(job, queue, None, verdict.text, execution)


def _succeed(ours: BaseWorker, *, job: Job, queue: Queue, execution: Execution) -> None:
    ours.handle_job_success(job, queue, queue.started_job_registry, execution)


def error_of(outcome: Callable[[BaseWorker], None], ours: BaseWorker) -> Exception | None:
    """What keeps RQ's code from writing an outcome; of a failure's transaction it tells nobody but its log."""
    try:
        outcome(ours)
    except LeaseLostError:
        raise
    except Exception as error:  # noqa: BLE001 - RQ raises what its parsers, and Redis, raise
        return error
    assert isinstance(ours.connection, _Fenced)
    return ours.connection.refusal


def queue_ready(queue: Queue) -> None:
    """Queue the dependents that RQ has left ready: it gives up at once when another thread queues one."""
    for _ in range(_READY_TRIES):
        if not queue.connection.zcard(queue.ready_job_registry.key):
            return
        queue.ready_job_registry.cleanup()


def clerk(worker: BaseWorker, execution: Execution, stopped_job_id: str | None = None) -> BaseWorker:
    """A worker, with a connection whose transactions are carried out only while the execution is its own.

    RQ keeps which job was stopped, and its connection, in the worker; here many jobs end at once.
    """
    copied = copy.copy(worker)
    copied.connection = _Fenced(worker.connection, execution.key)
    copied.log = _quiet
    copied._stopped_job_id = stopped_job_id  # noqa: SLF001 - RQ's own way to mark a job as stopped
    return copied


class _Fenced(Redis):
    """A connection whose transactions fail when a key is gone, or changes before they are carried out."""

    def __init__(self, connection: Redis, fence: str) -> None:
        super().__init__(connection_pool=connection.connection_pool)
        self._fence = fence
        self.refusal: Exception | None = None

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        pipeline = _FencedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.fence, pipeline.opener = self._fence, self
        pipeline.watch()
        pipeline.multi()
        return pipeline


class _FencedPipeline(Pipeline):
    fence: str
    opener: _Fenced

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Carry the transaction out; the connection that opened it keeps why not."""
        self.opener.refusal = None
        try:
            return super().execute(raise_on_error)
        except Exception as error:
            self.opener.refusal = error
            raise

    def watch(self, *names: Any) -> None:
        """Watch keys, and the fence with them.

        Raises:
            LeaseLostError: the fence is gone.
        """
        if self.explicit_transaction:
            self.reset()
        super().watch(self.fence, *names)  # type: ignore[no-untyped-call]
        if not self.exists(self.fence):
            self.reset()
            raise LeaseLostError
