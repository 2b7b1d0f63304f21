"""One attempt at a job: one call of a job type's function for one event. The job itself names only a job type.

1. `Attempt.prepare` finds the job type and reads the event.
2. `Attempt.begin` takes an ordered job's FIFO lock and counts the attempt, unless the claim has done so.
3. The function is called: by `workers/worker/execution.py`, in a stock worker by `workers/perform.py`.
4. `Attempt.done` logs the success; `Attempt.failed` decides about a retry, in `workers/retries.py`, and logs that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rq.job import Job

from shared.declarations.policies import Backoff
from shared.errors import DamagedJobError, LeftError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.logs import Level, get_log
from shared.records.attempts import AttemptRecords
from shared.redaction import loggable_fields, loggable_job_name
from shared.redis.history import History
from shared.settings.config import Settings
from shared.traces.spans import attempt_span, end_attempt
from shared.wire.commands import event_from_wire
from shared.wire.events import Wire
from workers.causes import code_of, kind_of
from workers.flow.fifo_lock import acquire_lock
from workers.flow.limits import is_late, record_failure, recount_start
from workers.lease import Lease
from workers.releases.leaving import job_type_of, leave
from workers.retries import begin_attempt, decide_retry

LEVELS: dict[str, Level] = {
    "done": "info",
    "retry": "warning",
    "discarded": "error",
    "dead": "error",
    "out_of_turn": "info",
}
"""The outcomes of an attempt, and the level of its line."""


@dataclass(frozen=True, slots=True)
class Performer:
    """The job types of a process, the settings that their functions may ask for, and what became of its attempts."""

    jobs: Jobs
    settings: Settings
    history: History = field(default_factory=History)
    records: AttemptRecords = field(default_factory=AttemptRecords)


class Attempt:
    """One attempt at a job, and its log line.

    Attributes:
        number: from 1; 0 while it has not been counted.
        name: the job type's, as it may be logged.
        function: the type's function with its arguments, once it is prepared.
        span: of the attempt; in a stock worker and in a job's own process, none.
    """

    job_type: JobType
    function: Callable[[], Any]

    def __init__(self, performer: Performer, name: str, wire: Wire, lease: Lease | None = None) -> None:
        self.number = lease.attempt if lease else 0  # with a lease the claim has counted it, and the start for a rate
        self.name = loggable_job_name(name)
        self.wire = wire
        self.span = attempt_span(lease.queue if lease else None, wire)
        self._performer = performer
        self._name = name
        self._asked_at = lease.asked_at if lease else float("inf")
        self._fields: dict[str, Any] = {"job": self.name}
        self._started = time.perf_counter()

    def prepare(self) -> None:
        """Find the job type, and its function's arguments for the event.

        Raises:
            LeftError: there is no such job type here, or the event is of a newer release.
            DamagedJobError: the data are not an event, or no job type can have the name.
        """
        try:
            event = event_from_wire(self.wire)
        except LeftError:
            raise
        except Exception as error:
            raise DamagedJobError("the job holds no event, or one of another version") from error
        self._fields |= loggable_fields(event_id=event.id, command=event.command, node=event.node)
        self.job_type, self._event = job_type_of(self._performer.jobs, self._name), event
        self.function = partial(self.job_type.function, **self.job_type.arguments(event, self._performer.settings))

    def begin(self, job: Job) -> None:
        """Take an ordered job's FIFO lock, count the start for a rate limit, and count the attempt.

        What the claim has done already is not done again. To be called in a thread: it asks Redis.

        Raises:
            OutOfTurnError: the job did not get the lock, or since the claim as many as the rate allows have started.
        """
        if self.has_begun:
            return
        acquire_lock(job, self.job_type, self._event)
        if is_late(self.job_type, self._asked_at):
            recount_start(self._performer.jobs, self.job_type, job)
        self.number = self.number or begin_attempt(job, self.job_type.attempts)

    @property
    def has_begun(self) -> bool:
        """Whether the claim has counted the attempt and the start, and there is no lock to take."""
        return self.number > 0 and not self.job_type.ordered_by and not is_late(self.job_type, self._asked_at)

    def done(self) -> None:
        """Log that it succeeded."""
        self._write("done")

    def failed(self, job: Job, error: BaseException) -> str:
        """Prepare RQ's decision about a job whose attempt raised, and log it; gives the outcome."""
        if "event_id" not in self._fields:
            self._fields["job_id"] = job.id
        job_type = self._performer.jobs.get(self._name)
        counts = job_type is None or record_failure(self._performer.jobs, job_type, job, error)
        if isinstance(error, LeftError) and leave(job, error, self.number):
            return "left"
        backoff = job_type.backoff if job_type else Backoff()
        outcome, fields = decide_retry(job, backoff, self.number, error, counts=counts)
        fields |= {"code": code} if (code := code_of(error)) else {}
        self._write(outcome, job.meta["cause"], error=error, **fields)
        return outcome

    def _write(self, outcome: str, cause: str = "", **more: Any) -> None:
        fields = self._fields | ({"attempt": self.number} if self.number else {}) | {"outcome": outcome} | more
        ms = round((time.perf_counter() - self._started) * 1000, 3)
        get_log().log(LEVELS[outcome], "attempt", **fields, **end_attempt(self.span, fields), ms=ms)
        event_id = self._fields.get("event_id")
        if event_id and outcome != "out_of_turn":
            self._performer.records.add(event_id, self.name, self.number, outcome, ms, cause)
        received_ms = self.wire["received_at"] if event_id else None
        kind = kind_of(more.get("error"))
        self._performer.history.record("job", self.name, outcome, ms, received_ms, self.number, kind)
