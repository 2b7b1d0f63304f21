"""Outcomes that RQ's own code writes: retries, dead letters, stopped jobs, and successes that others depend on.

RQ writes such an outcome in one transaction. Here the transaction watches the execution: when that was struck off,
since its worker gave no sign of life in time, nothing is written, for the job may be running elsewhere.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.job_lifecycle import format_exc_info
from rq.queue import Queue
from rq.registry import BaseRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.utils import now
from rq.worker import BaseWorker

from shared.logs import error_fields, get_log
from workers.calls import Call
from workers.executions import Claim
from workers.guarded import ClaimedJob
from workers.running import StoppedError

_READY_TRIES = 20


class LostError(Exception):
    """Raised when an execution is not ours any more."""


class Failures:
    """Writes outcomes for a worker; in threads, any number at once."""

    def __init__(self, worker: BaseWorker) -> None:
        """Prepare.

        Args:
            worker: whose counts, name and connection RQ's code uses.
        """
        self._worker = worker
        self._log = get_log()

    def fail(self, claim: Claim, job: ClaimedJob, call: Call, error: BaseException) -> None:
        """Let RQ retry or bury a job.

        Args:
            claim: the claim.
            job: the job.
            call: what was called; it logs the failure, and says whether to try again.
            error: what was raised.

        Raises:
            LostError: the execution is not ours any more; nothing was written.
            NoSuchJobError: the job has expired meanwhile.
        """
        job.read()
        job.is_failing = True
        try:
            call.failed(job, error)
        except Exception as surprise:  # noqa: BLE001 - a job that cannot be judged is a dead letter
            self._log.error("outcome_not_written", job_id=claim.job_id, **error_fields(surprise))
            job.retries_left = 0
        text = format_exc_info((type(error), error, error.__traceback__))
        self.record(claim, job, text, is_stopped=isinstance(error, StoppedError))

    def record(self, claim: Claim, job: ClaimedJob, text: str, *, is_stopped: bool = False) -> None:
        """Let RQ write a failure: a retry if the job has any left, else a dead letter.

        Raises:
            LostError: the execution is not ours any more.
            NoSuchJobError: the job has expired meanwhile.
        """
        # A second time, in case a sign of life came between; a third without retries, it may stumble over them.
        for retries_left in (job.retries_left, job.retries_left, 0):
            job.ended_at, job.retries_left, job.origin = now(), retries_left, claim.queue
            ours = self._clerk(claim, job.id if is_stopped else None)
            execution = self._execution(claim)
            failure = partial(ours.handle_job_failure, job, self._queue(claim), None, text, execution)
            if self._is_written(claim, failure):
                queue_ready(self._queue(claim))
                return
        self._end_plainly(claim, job, JobStatus.FAILED, FailedJobRegistry)

    def refuse(self, claim: Claim, text: str) -> None:
        """Let RQ write a dead letter, whatever retries the job has left.

        Raises:
            LostError: the execution is not ours any more.
            NoSuchJobError: the job has expired meanwhile.
        """
        job = self._worker.job_class.of(claim.job_id, self._worker.connection)  # type: ignore[attr-defined]
        job.read()
        job.retries_left = 0
        self.record(claim, job, text)

    def succeed(self, claim: Claim, job: ClaimedJob) -> None:
        """Let RQ write a success: it queues the jobs that depend on this one.

        Raises:
            LostError: the execution is not ours any more.
            NoSuchJobError: the job has expired meanwhile.
        """
        job.read()
        queue = self._queue(claim)
        job.ended_at, job.origin = now(), claim.queue
        job.started_at = job.started_at or job.ended_at
        ours, execution = self._clerk(claim), self._execution(claim)
        success = partial(ours.handle_job_success, job, queue, queue.started_job_registry, execution)
        if self._is_written(claim, success):
            queue_ready(queue)
        else:
            self._end_plainly(claim, job, JobStatus.FINISHED, FinishedJobRegistry)

    def _is_written(self, claim: Claim, outcome: Callable[[], None]) -> bool:
        """Have RQ's code write an outcome; False when it cannot cope with the job, whose keys are damaged."""
        try:
            outcome()
        except (LostError, RedisConnectionError, RedisTimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - RQ raises what its parsers, and Redis, raise
            self._log.error("outcome_not_written", job_id=claim.job_id, **error_fields(error))
        return not self._is_ours(claim)

    def _clerk(self, claim: Claim, stopped_job_id: str | None = None) -> BaseWorker:
        return clerk(self._worker, self._execution(claim), stopped_job_id)

    def _is_ours(self, claim: Claim) -> bool:
        key = self._queue(claim).started_job_registry.key
        return self._worker.connection.zscore(key, f"{claim.job_id}:{claim.execution_id}") is not None

    def _end_plainly(self, claim: Claim, job: Job, status: JobStatus, registry: type[BaseRegistry]) -> None:
        """Write an outcome without RQ's code: what the registry and `rq requeue` need, no more."""
        with _Fenced(self._worker.connection, self._execution(claim).key).pipeline() as pipeline:
            pipeline.delete(f"rq:results:{claim.job_id}", f"rq:executions:{claim.job_id}", job.dependents_key)
            pipeline.hset(job.key, mapping={"status": status, "origin": claim.queue})
            pipeline.zadd(registry(claim.queue, self._worker.connection).key, {claim.job_id: "+inf"})
            self._execution(claim).delete(job, pipeline)
            pipeline.execute()
        self._log.error("outcome_written_plainly", job_id=claim.job_id, queue=claim.queue, status=status)

    def _execution(self, claim: Claim) -> Execution:
        return claim.execution(self._worker.connection, self._worker.name)

    def _queue(self, claim: Claim) -> Queue:
        return next(queue for queue in self._worker.queues if queue.name == claim.queue)


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
    copied._stopped_job_id = stopped_job_id  # noqa: SLF001 - RQ's own way to mark a job as stopped
    return copied


class _Fenced(Redis):
    """A connection whose transactions fail when a key is gone, or changes before they are carried out."""

    def __init__(self, connection: Redis, fence: str) -> None:
        super().__init__(connection_pool=connection.connection_pool)
        self._fence = fence

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:
        pipeline = _FencedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.fence = self._fence
        pipeline.watch()
        pipeline.multi()
        return pipeline


class _FencedPipeline(Pipeline):
    fence: str

    def watch(self, *names: Any) -> None:
        """Watch keys, and the fence with them.

        Raises:
            LostError: the fence is gone.
        """
        if self.explicit_transaction:
            self.reset()
        super().watch(self.fence, *names)  # type: ignore[no-untyped-call]
        if not self.exists(self.fence):
            self.reset()
            raise LostError
