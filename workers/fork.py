"""RQ's worker that forks a process for each job, kept to our two entry points: for jobs that need one of their own.

It claims a job as the concurrent worker does, one at a time; the rest is RQ's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, WatchError
from rq import Queue, Worker
from rq.exceptions import DeserializationError, NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import BaseWorker, WorkerStatus

from shared.errors import ForeignFunctionError
from shared.logs import get_log, name_process
from shared.queues import queue_key
from workers.calls import Calls
from workers.ending import Ending
from workers.executions import Claim, LostError, script
from workers.failures import ABANDONED, Failures, clerk, error_of
from workers.guarded import ClaimedJob, claimed_job_class
from workers.outages import is_outage
from workers.perform import Performer
from workers.silence import Silence
from workers.tracebacks import bounded
from workers.turns import wake
from workers.upkeep import clean_registries
from workers.worker import WORKER_TTL_SECONDS, ledger

_LOOK_SECONDS = 0.25  # between looks for a job
_MAINTENANCE_SECONDS = 30
_PAUSE_SECONDS = 1.0
_WRITE_TRIES = 50  # RQ kills a process a minute after its job's time is up


class ForkWorker(Worker):
    """RQ's worker with a process for each job."""

    def __init__(self, queues: Sequence[str], performer: Performer, connection: Redis) -> None:
        """Make a worker.

        Args:
            queues: the queues it serves, the most urgent first.
            performer: runs the jobs.
            connection: to Redis.
        """
        super().__init__(
            list(queues),
            connection=connection,
            job_class=claimed_job_class(Calls(performer).entry_points),
            serializer=JSONSerializer,
            maintenance_interval=_MAINTENANCE_SECONDS,
            worker_ttl=WORKER_TTL_SECONDS,
            log_job_description=False,
        )
        name_process(worker=self.name)
        self._jobs = performer.jobs
        self._ledger = ledger(self.name, performer, forks=True)
        self.job_monitoring_interval = max(1, self._ledger.lease_seconds // 4)
        self._claim_script = connection.register_script(script("claim", self._ledger.limits))
        self._renew_script = connection.register_script(script("renew", self._ledger.limits))
        self._recover_script = connection.register_script(script("recover", self._ledger.limits))
        self._silence = Silence(self._ledger.lease_seconds)
        self._failures = Failures(self, self._jobs)
        self._claim: Claim | None = None
        self._log = get_log()

    def run(self, *, burst: bool = False) -> Ending:
        """Work until SIGTERM or SIGINT, or, with `burst`, until the queues are empty."""
        self.work(burst=burst, with_scheduler=True, logging_level="WARNING")
        return Ending.DONE

    def dequeue_job_and_maintain_ttl(
        self,
        timeout: int | None,
        max_idle_time: int | None = None,  # noqa: ARG002 - RQ's signature
    ) -> tuple[Job, Queue] | None:
        """Claim a job; wait for one where a time-out is given."""
        with self._patience():
            self.set_state(WorkerStatus.IDLE)
        while True:
            # A signal that comes now ends the worker after the job that this claims, as while it performs one.
            self._state = WorkerStatus.BUSY
            claimed = self._claim_one()
            if claimed:
                return claimed
            self._state = WorkerStatus.IDLE
            if self._stop_requested:
                raise StopRequested
            if timeout is None:
                return None
            time.sleep(_LOOK_SECONDS)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Perform a job in a process of its own; what cannot be written when it has ended is recovered by its lease."""
        with self._patience():
            super().execute_job(job, queue)

    def check_for_suspension(self, burst: bool) -> None:
        """RQ's."""
        with self._patience():
            super().check_for_suspension(burst)

    def prepare_execution(self, job: Job) -> Execution:
        """The execution that the claim wrote."""
        assert self._claim
        execution = self._claim.execution(self.connection, self.name)
        assert isinstance(job, ClaimedJob)
        job.hold(self._claim)
        execution._job = job  # noqa: SLF001 - as RQ's Execution.create
        self.executions[execution.id] = execution
        self.set_state(WorkerStatus.BUSY)
        return execution

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's signature
        """The lease."""
        return self._ledger.lease_seconds

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:  # noqa: ARG002 - RQ's signature
        """Note when a job ended; RQ writes a sign of life, too, which must not be what its outcome fails at."""
        job.ended_at = now()

    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: Any = None, exc_string: str = "", execution: Any = None
    ) -> None:
        """Let RQ write a failure, unless the execution is not ours any more."""
        if execution is None:
            super().handle_job_failure(job, queue, started_job_registry, exc_string)
            return
        assert isinstance(job, ClaimedJob)
        claim, text = job.claim, bounded(exc_string.splitlines(keepends=True))

        def write(ours: BaseWorker) -> None:
            if claim:
                self._failures.free_slot(claim)
            BaseWorker.handle_job_failure(ours, job, queue, started_job_registry, text, execution)

        self._write(job, execution, write)

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: Any, execution: Execution) -> None:
        """Let RQ write a success, unless the execution is not ours any more."""

        def write(ours: BaseWorker) -> None:
            BaseWorker.handle_job_success(ours, job, queue, started_job_registry, execution)

        if error := self._write(job, execution, write):
            raise error

    def _write(self, job: Job, execution: Execution, outcome: Callable[[BaseWorker], None]) -> Exception | None:
        """Have RQ write an outcome, and wait for Redis if it is away: else what has ended well would run again.

        Returns:
            What keeps RQ from writing it, other than an outage.
        """
        for _ in range(_WRITE_TRIES):
            try:
                error = error_of(outcome, clerk(self, execution, self._stopped_job_id))
                if error is None or not (is_outage(error) or isinstance(error, WatchError)):
                    return error
                self._log.error("outcome_not_written", job_id=job.id, error=error)
            except LostError:
                if not self._holds(job):
                    self._log.warning("job_lost", job_id=job.id, queue=job.origin)
                    return None
            time.sleep(_PAUSE_SECONDS)  # meanwhile the lease is renewed, even if it has run out
        return None

    def _holds(self, job: Job) -> bool:
        assert isinstance(job, ClaimedJob)
        try:
            return bool(job.claim and self._failures.holds(job.claim))
        except (RedisError, OSError):
            return True

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log and bury what RQ could not even begin; what an entry point raised it has logged itself.

        RQ's own line would hold the exception's text and the job's arguments.
        """
        error = exc_info[1]
        if isinstance(error, ForeignFunctionError | DeserializationError):
            job.retries_left = 0
            self._log.error("job_refused", job_id=job.id, queue=job.origin, error=error)

    def run_maintenance_tasks(self) -> None:
        """RQ's, and what it leaves of ordered jobs."""
        with self._patience():
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
            wake(self.connection, self._jobs)

    def clean_registries(self) -> None:
        """RQ's, except for jobs under way."""
        clean_registries(self)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's sign of life."""
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            return
        with self._patience():
            super().heartbeat(timeout)
            self._silence.note_sign()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:  # noqa: ARG002 - RQ's signature
        """Renew the lease while a job runs, as the worker that performs many does."""
        with self._patience():
            self._renew()

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Outlive an outage of Redis: RQ's own worker ends."""
        try:
            yield
        except (RedisError, OSError) as error:
            self._log.error("redis_away", error=error)
            time.sleep(_PAUSE_SECONDS)

    def _renew(self) -> None:
        claims, known_seconds = [self._claim] if self._claim else [], self.job_monitoring_interval + 60
        known, _ = self._renew_script(args=self._ledger.renewal(claims, known_seconds))
        if not known:
            self.connection.hset(self.key, mapping=self.serialize())
            self.connection.expire(self.key, known_seconds)
        self._silence.note_sign()

    def _claim_one(self) -> tuple[Job, Queue] | None:
        """The next job that RQ can read, and its queue; each before it is a dead letter."""
        while not self._stop_requested:
            claim = job = None
            with self._patience():
                self._keep_up()
                claim = self._claimed()
                job = self._opened(claim) if claim else None
            if claim is None:
                return None
            if job and not self._ledger.is_late:  # else its lease runs out, or has: it is run again
                self._claim = claim
                return job, self._queue(claim)
        return None

    def _keep_up(self) -> None:
        self.heartbeat()
        if self.pubsub_thread and not self.pubsub_thread.is_alive():  # it ends when Redis does not answer
            self.subscribe()
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        if self._silence.is_over:
            self._recover()

    def _claimed(self) -> Claim | None:
        arguments = self._ledger.claim(self.queue_names(), 1)
        answer: Any = self._claim_script(keys=list(map(queue_key, self.queue_names())), args=arguments)
        claimed = self._ledger.claimed(arguments, answer)
        for job_id in claimed.missing:
            self._log.error("job_missing", job_id=job_id.decode(errors="replace")[:100])
        return claimed.claims[0] if claimed.claims else None

    def _opened(self, claim: Claim) -> Job | None:
        """The claimed job; None when RQ cannot read it, and it is a dead letter."""
        try:
            return self.job_class.fetch(claim.job_id, self.connection, self.serializer)
        except Exception as error:
            if is_outage(error):
                raise  # the lease runs out, and the job is recovered
            self._log.error("job_refused", job_id=claim.job_id, queue=claim.queue, error=error)
            self._bury(claim, "The job could not be read.")
            return None

    def _bury(self, claim: Claim, text: str) -> None:
        try:
            self._failures.refuse(claim, text)
        except LostError:
            self._log.warning("job_lost", job_id=claim.job_id, queue=claim.queue)
        except NoSuchJobError:
            self._log.error("job_missing", job_id=claim.job_id, queue=claim.queue)

    def _recover(self) -> None:
        for name in self.queue_names():
            arguments = self._ledger.recover(name)
            answer: Any = self._recover_script(args=arguments)
            recovered = self._ledger.recovered(arguments, answer)
            for job_id in recovered.job_ids:
                self._log.warning("job_recovered", job_id=job_id.decode(), queue=name)
            for claim in recovered.spent:
                self._log.error("job_abandoned", job_id=claim.job_id, queue=name)
                self._bury(claim, ABANDONED)

    def _queue(self, claim: Claim) -> Queue:
        return next(queue for queue in self.queues if queue.name == claim.queue)
