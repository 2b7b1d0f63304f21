"""One attempt at a job, as a worker makes it and decides about it; without Redis.

1. The job type's function is found by its name or by itself, and the event must be one that it subscribes to.
2. The event goes through JSON, as it does on Redis: what the function is given is what came out.
3. The function is called by `workers.attempt`, and a failure is decided by `workers.retries`.

Limits, circuit breakers and order are between jobs: see `deskbell.testing.memory`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json, to_json
from redis import Redis
from rq.job import Job

from shared.declarations.functions import describe, is_awaited
from shared.declarations.nearest import advice
from shared.errors import DeskbellError, LifespanError, OutOfTurnError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.redis.queues import PERFORM, queue
from shared.settings.config import Settings, load_settings
from shared.wire.events import Event, Wire
from workers.attempt import Attempt, Performer
from workers.perform import call
from workers.retries import rq_retry
from workers.unawaited import await_result, check_ran

Outcome = Literal["done", "retry", "out_of_turn", "discarded", "dead"]
"""How an attempt ends: `out_of_turn` waits for its turn, `discarded` and `dead` are dead letters."""

_IGNORED = {"limit": None, "breaker": None, "ordered_by": None, "on_dead": "continue"}  # they need other jobs


@dataclass(frozen=True, slots=True)
class Performed:
    """How an attempt at a job ended.

    Attributes:
        job: the job type's name.
        event: what the function was given.
        attempt: its number, from 1.
        retry_after: seconds until the next attempt; None when there is none.
        counts: whether it used up an attempt.
        cause: of a dead letter, as `deskbell dead` groups them: `HTTPStatusError 422 at acme/jobs.py:9 in record`.
        error: what the function raised.
    """

    job: str
    event: Event = field(repr=False)
    outcome: Outcome
    attempt: int = 1
    retry_after: int | None = None
    counts: bool = True
    cause: str = ""
    error: BaseException | None = None

    def __str__(self) -> str:
        """The attempt in a few words."""
        after = f" after {self.retry_after} s" if self.retry_after is not None else ""
        return f"{self.job} {self.outcome}{after}, attempt {self.attempt}" + (f", {self.cause}" if self.cause else "")


def perform_job(
    jobs: Jobs, job: str | Callable[..., Any], event: Event, *, attempt: int = 1, settings: Settings | None = None
) -> Performed:
    """Make one attempt at a job, and decide what follows as a worker does. What the function raises is in the result.

    A `def` function runs in this thread, an `async def` on an event loop of its own, within the job type's time-out.
    The lifespans of the job types are entered before and left afterwards.

    Args:
        jobs: the job types.
        job: the function, or the job type's name.
        event: what the job is run for.
        attempt: the number of this attempt, from 1 to the job type's `attempts`.
        settings: what a parameter annotated `Settings` gets; by default those of the environment.

    Raises:
        DeskbellError: there is no such job type, it does not subscribe to the event, the event is not JSON, or an
            event loop runs already, as in an async test; there `async_perform_job` is due.
        LifespanError: a lifespan of the job types does not start.
    """
    performing = _Performing(jobs, job, event, attempt, settings)
    if performing.is_on_a_loop():
        raise DeskbellError("perform_job: an event loop runs here already; write await async_perform_job(…)")
    try:
        call(performing.performer, performing.attempt)
    except LifespanError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a job raises is decided about
        return performing.failed(error)
    return performing.done()


async def async_perform_job(
    jobs: Jobs, job: str | Callable[..., Any], event: Event, *, attempt: int = 1, settings: Settings | None = None
) -> Performed:
    """What `perform_job` does, on the event loop of an async test; a `def` function runs in a thread."""
    performing = _Performing(jobs, job, event, attempt, settings)
    job_type, function = performing.job_type, performing.attempt.function
    try:
        async with jobs.lifespans.entered(performing.performer.settings), asyncio.timeout(job_type.timeout):
            result = function() if job_type.is_async else await asyncio.to_thread(function)
            if is_awaited(result):
                await await_result(result)
            else:
                check_ran(result)
    except LifespanError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a job raises is decided about
        return performing.failed(error)
    return performing.done()


def job_type_of(where: str, jobs: Jobs, job: str | Callable[..., Any]) -> JobType:
    """The job type that a function, or a name, stands for.

    Raises:
        DeskbellError: there is none; the sentence says which there are.
    """
    if not isinstance(jobs, Jobs):
        raise DeskbellError(f"{where}: expected a Jobs first, got a {type(jobs).__name__}; write {where}(jobs, …)")
    found = [job_type for job_type in jobs.types if job in (job_type.name, job_type.function)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(repr(job_type.name) for job_type in found)
        raise DeskbellError(f"{where}: several job types call that function; write {names}")
    name = job if isinstance(job, str) else describe(job)
    there_are = f"; there are {', '.join(jobs.names)}"
    raise DeskbellError(f"{where}: no job type is {name}{advice(name, jobs.names, there_are)}")


def through_json(where: str, event: Event) -> Wire:
    """An event as a job on Redis holds it.

    Raises:
        DeskbellError: what comes back is not what was written; the sentence names the fields.
    """
    if not isinstance(event, Event):
        example = 'api_call("order_status", OrderID="1002")'
        raise DeskbellError(f"{where}: expected an event, got a {type(event).__name__}; write {example}")
    wire = event.to_wire()
    try:
        read: Wire = from_json(to_json(wire, inf_nan_mode="strings"))
    except ValueError as error:
        raise DeskbellError(f"{where}: the event cannot be written as JSON, which Desk sends: {error}") from None
    given, got = event.fields, {**read["packet"], **(read["packet"].get("Body") or {})}
    changed = [f"{name} is a {type(value).__name__}" for name, value in given.items() if value != got.get(name)]
    if changed:
        raise DeskbellError(f"{where}: {', '.join(changed)}, and Desk sends JSON; write the text that it would send")
    return read


class _Performing:
    """One attempt: the worker's own, with an RQ job that is on no server."""

    def __init__(
        self, jobs: Jobs, job: str | Callable[..., Any], event: Event, number: int, settings: Settings | None
    ) -> None:
        self.job_type = job_type_of("perform_job", jobs, job)
        wire = through_json("perform_job", event)
        check_wanted("perform_job", self.job_type, event)
        if not 1 <= number <= self.job_type.attempts:
            raise DeskbellError(f"perform_job: attempt= must be from 1 to {self.job_type.attempts}, got {number}")
        alone = Jobs()
        alone.include(jobs)
        alone.adjust(self.job_type.name, **_IGNORED)
        self.performer = Performer(alone, settings or load_settings())
        self.event = event
        self.attempt = Attempt(self.performer, self.job_type.name, wire)
        self.attempt.prepare()
        self.attempt.number = number
        self._job = _unsaved_job(self.job_type, number)

    @staticmethod
    def is_on_a_loop() -> bool:
        """Whether an event loop runs in this thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def done(self) -> Performed:
        """It returned."""
        self.attempt.done()
        return Performed(self.job_type.name, self.event, "done", self.attempt.number)

    def failed(self, error: BaseException) -> Performed:
        """It raised."""
        number, meta = self.attempt.number, self._job.meta
        outcome: Any = self.attempt.failed(self._job, error)
        if not self._job.retries_left:
            return Performed(self.job_type.name, self.event, outcome, number, cause=meta["cause"], error=error)
        intervals = self._job.retry_intervals or [0]
        counts = meta["attempt"] == number and not isinstance(error, OutOfTurnError)
        return Performed(self.job_type.name, self.event, outcome, number, intervals[0], counts, error=error)


def check_wanted(where: str, job_type: JobType, event: Event) -> None:
    """Refuse an event that a job type is never run for.

    Raises:
        DeskbellError: it does not subscribe to it; the sentence says to what it does.
    """
    if job_type.wants(event):
        return
    wanted = {
        "events": " | ".join(kind.__name__ for kind in job_type.events),
        "node": ", ".join(sorted(job_type.nodes)),
        "app": ", ".join(sorted(job_type.apps)),
        "when": ", ".join(f"{name}={value!r}" for name, value in job_type.when.items()),
    }
    subscribed = ", ".join(f"{what} {names}" for what, names in wanted.items() if names)
    got = f"{type(event).__name__} of app {event.app_id}" + (f" at node {event.node!r}" if event.node else ", no node")
    raise DeskbellError(f"{where}: no worker runs {job_type.name} for this event: it is for {subscribed}; got {got}")


def _unsaved_job(job_type: JobType, number: int) -> Job:
    """An RQ job that has begun an attempt, on a connection that nobody opens."""
    job = queue(job_type.queue, Redis()).create_job(PERFORM, description=job_type.name, retry=rq_retry(job_type))
    job.meta["attempt"], job.retries_left = number, job_type.attempts - number
    return job
