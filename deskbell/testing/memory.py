"""Queues in memory: what an event becomes, and what becomes of its jobs, without a server or a process.

1. `MemoryQueue.put` fans an event out, by the scripts of the workers, on fakeredis.
2. `assert_enqueued` looks for a job among those that wait, and otherwise says what is there instead.
3. `perform` starts each job once that may start now: limits, circuit breakers, order and retries are the workers' own.
   It is a stock `rq worker`'s way of running a job, without its process; what a claim decides is asked of
   `workers.flow` before.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from redis import Redis
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.registry import BaseRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import SimpleWorker

from deskbell.testing.extras import need
from deskbell.testing.performing import Outcome, Performed, job_type_of, through_json
from shared.errors import Discard, OutOfTurnError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.redis.queues import EVENTS, FAN_OUT, PERFORM, events_job, queue
from shared.settings.config import Settings, load_settings
from shared.wire.commands import event_from_wire
from shared.wire.events import Event, Wire
from shared.wire.json_values import text
from workers.attempt import Performer
from workers.fan_out import fan_out_with
from workers.flow.limits import limits_text
from workers.perform import perform_with

State = Literal["now", "later", "behind"]
"""A job that may start; one that waits for its time; one that waits behind another job of its key."""

_AnEvent = TypeVar("_AnEvent", bound=Event)

_MAY_START = """
local now_ms = server_ms()
return may_claim(ARGV[1], now_ms) > 0 and admits(ARGV[2], ARGV[3], now_ms) and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A job that waits.

    Attributes:
        job: the job type's name.
        event: what it will be run for.
        queue: the queue it waits on.
        seconds: until it is tried, 0 unless its state is `later`.
        attempt: how many attempts were made.
    """

    job: str
    event: Event
    queue: str
    state: State
    seconds: float = 0
    attempt: int = 0

    def __str__(self) -> str:
        """The job in a line, with the fields of its event."""
        when = f"in {self.seconds:g} s" if self.state == "later" else self.state
        return f"{self.job} on {self.queue}, {when}, with {self.event.fields}"


def fake_redis(what: str) -> Redis:
    """A client of a fake server of its own, which is empty.

    Raises:
        ConfigError: the extra `testing` is not installed; the sentence says that `what` needs it.
    """
    fakeredis = need("fakeredis", what)
    need("lupa", what)
    redis: Redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    return redis


class MemoryQueue:
    """All queues of some job types, in memory.

    Attributes:
        jobs: the job types.
        redis: the fake server's client: RQ's keys are there as a real server would have them.
        ended: the attempts that were made, in order.
    """

    def __init__(self, jobs: Jobs, *, settings: Settings | None = None) -> None:
        """Prepare empty queues.

        Args:
            jobs: the job types.
            settings: what a parameter annotated `Settings` gets; by default those of the environment.

        Raises:
            ConfigError: the extra `testing` is not installed.
        """
        self.jobs = jobs
        self.redis = fake_redis("a queue in memory")
        self.ended: list[Performed] = []
        self._error: BaseException | None = None
        performer = Performer(jobs, settings or load_settings())
        self._entry_points = {FAN_OUT: partial(fan_out_with, jobs), PERFORM: partial(perform_with, performer)}
        self._may_start = self.redis.register_script(limits_text(jobs) + _MAY_START)
        self._worker = self._rq_worker()

    def put(self, event: _AnEvent) -> _AnEvent:
        """Take an event, as the api does, and fan it out; gives the event.

        Raises:
            DeskbellError: it is not JSON.
        """
        events = queue(EVENTS, self.redis)
        job = events_job(events, event.command, through_json("put", event), event.id)
        job.save()
        self._run(self._fetch(job.id), events)
        if self._error:
            raise self._error
        return event

    @property
    def enqueued(self) -> list[Enqueued]:
        """The jobs that wait: by queue those that may start, in order, then those that wait for their time or turn."""
        return [job for name in self.jobs.queues for job in self._waiting(queue(name, self.redis))]

    def assert_enqueued(
        self,
        job: str | Callable[..., Any],
        *,
        variables: Mapping[str, Any] | None = None,
        within: float | None = None,
    ) -> Enqueued:
        """Assert that a job waits, and give it: the first one that fits.

        Args:
            job: the function, or the job type's name.
            variables: some of the API call's variables, or of another event's fields, with their values.
            within: seconds within which it is to be tried: 0 for a job that may start now.

        Raises:
            AssertionError: none fits; the text lists what is there instead.
            DeskbellError: there is no such job type.
        """
        found = self._fitting(job_type_of("assert_enqueued", self.jobs, job), variables or {}, within)
        if not found:
            raise AssertionError(f"expected {self._expected(job, variables, within)}; {self._instead()}")
        return found[0]

    def refute_enqueued(self, job: str | Callable[..., Any], *, variables: Mapping[str, Any] | None = None) -> None:
        """Assert that no such job waits; the arguments are those of `assert_enqueued`."""
        if self._fitting(job_type_of("refute_enqueued", self.jobs, job), variables or {}, None):
            raise AssertionError(f"expected no {self._expected(job, variables, None)}; {self._instead()}")

    def perform(self, job: str | Callable[..., Any] | None = None) -> list[Performed]:
        """Make one attempt at each job that may start now, and at those that may start behind them.

        Args:
            job: the function, or the job type's name: only its jobs are started.

        Returns:
            How the attempts ended, in order. What is held back by a limit, a breaker or its time still waits.
        """
        only = job_type_of("perform", self.jobs, job) if job else None
        before, tried = len(self.ended), set[str]()
        while ids := [each for each in self._due() if each[1] not in tried]:
            for name, job_id in ids:
                job_type = self._type_of(job_id)
                if only in (None, job_type) and self._may_start(args=[name, job_type.type_slug, job_id]):
                    self._attempt(job_type, job_id)
                tried.add(job_id)
        return self.ended[before:]

    def _due(self) -> list[tuple[str, str]]:
        """The jobs that may start now as far as their time and turn go, by queue."""
        due = []
        for name in self.jobs.queues:
            waiting = queue(name, self.redis)
            scheduled = waiting.scheduled_job_registry
            for job_id in scheduled.get_jobs_to_schedule(int(time.time())):
                scheduled.remove(job_id)
                waiting.enqueue_job(self._fetch(job_id), at_front=True)
            due += [(name, job_id) for job_id in waiting.get_job_ids()]
        return due

    def _attempt(self, job_type: JobType, job_id: str) -> None:
        waiting = queue(job_type.queue, self.redis)
        waiting.remove(job_id)
        job = self._fetch(job_id)
        event, made = _event_of(job), job.meta.get("attempt", 0)
        self._run(job, waiting)
        after = self._fetch(job_id) if self.redis.exists(job.key) else None
        self.ended.append(self._performed(job_type, event, made % job_type.attempts + 1, after))

    def _run(self, job: Job, waiting: Queue) -> None:
        self._error = None
        self._worker.execute_job(job, waiting)

    def _performed(self, job_type: JobType, event: Event, attempt: int, job: Job | None) -> Performed:
        """How an attempt ended, from what is on Redis; a job that is gone was done, and not to be kept."""
        error, name = self._error, job_type.name
        if job is None or error is None:
            return Performed(name, event, "done", attempt)
        if job.get_status() == JobStatus.FAILED:
            outcome: Outcome = "discarded" if isinstance(error, Discard) else "dead"
            return Performed(name, event, outcome, attempt, cause=job.meta["cause"], error=error)
        at = self.redis.zscore(queue(job_type.queue, self.redis).scheduled_job_registry.key, job.id)
        seconds, counts = math.ceil(at - time.time()) if at else 0, job.meta["attempt"] == attempt
        outcome = "out_of_turn" if isinstance(error, OutOfTurnError) else "retry"
        return Performed(name, event, outcome, attempt, seconds, counts, error=error)

    def _fitting(self, job_type: JobType, variables: Mapping[str, Any], within: float | None) -> list[Enqueued]:
        return [
            each
            for each in self.enqueued
            if each.job == job_type.name
            and (within is None or (each.state != "behind" and each.seconds <= within))
            and all(name in each.event.fields and _same(each.event.fields[name], variables[name]) for name in variables)
        ]

    def _expected(
        self, job: str | Callable[..., Any], variables: Mapping[str, Any] | None, within: float | None
    ) -> str:
        name = job_type_of("expected", self.jobs, job).name
        name += f" with {dict(variables)}" if variables else ""
        return name + (f" within {within:g} s" if within is not None else "")

    def _instead(self) -> str:
        """What there is instead, a line for each."""
        waiting, ended = self.enqueued, self.ended
        lines = [f"\n  waits: {each}" for each in waiting] + [f"\n  ended: {each}" for each in ended]
        return "there is" + ("".join(lines) if lines else " no job at all: no job type wants an event that was put")

    def _waiting(self, waiting: Queue) -> Iterator[Enqueued]:
        name = waiting.name
        for job_id in waiting.get_job_ids():
            yield self._enqueued(job_id, name, "now")
        for job_id in _ids(waiting.scheduled_job_registry):
            at: Any = self.redis.zscore(waiting.scheduled_job_registry.key, job_id)
            yield self._enqueued(job_id, name, "later", max(0, math.ceil(at - time.time())))
        for job_id in _ids(waiting.deferred_job_registry):
            yield self._enqueued(job_id, name, "behind")

    def _enqueued(self, job_id: str, name: str, state: State, seconds: float = 0) -> Enqueued:
        job = self._fetch(job_id)
        return Enqueued(self._type_of(job_id).name, _event_of(job), name, state, seconds, job.meta.get("attempt", 0))

    def _type_of(self, job_id: str) -> JobType:
        return next(job_type for job_type in self.jobs.types if job_id[33:] == job_type.type_slug)

    def _fetch(self, job_id: str) -> Job:
        return self._worker.job_class.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def _rq_worker(self) -> SimpleWorker:
        """RQ's worker without a process, whose jobs call the entry points for these job types."""
        entry_points, keep = self._entry_points, self._keep_error

        class MemoryJob(Job):
            @property
            def func(self) -> Callable[..., None]:
                return partial(keep, entry_points[str(self.func_name)])

        class MemoryWorker(SimpleWorker):
            death_penalty_class = _Timeout

        names = [EVENTS, *self.jobs.queues]
        worker = MemoryWorker(names, connection=self.redis, job_class=MemoryJob, serializer=JSONSerializer)
        worker.log = logging.getLogger(__name__)  # what failed is logged by `workers.attempt`
        worker.log.setLevel(logging.CRITICAL)
        return worker

    def _keep_error(self, entry_point: Callable[..., None], *arguments: Any) -> None:
        """Call an entry point, and keep what it raises: RQ keeps its text alone."""
        try:
            entry_point(*arguments)
        except BaseException as error:
            self._error = error
            raise


class _Timeout(TimerDeathPenalty):
    """RQ's time-out by a timer: its alarm belongs to the main thread, and to pytest-timeout.

    RQ writes its sentence into the exception's class, so that this gets one of its own: the sentence would be the whole
    process's.
    """

    def __init__(self, timeout: int, exception: type[BaseException], **named: Any) -> None:
        own = type(exception.__name__, (exception,), {"__module__": exception.__module__})
        super().__init__(timeout, own, **named)  # type: ignore[no-untyped-call]


def _event_of(job: Job) -> Event:
    wire: Wire = job.args[-1]
    return event_from_wire(wire)


def _ids(registry: BaseRegistry) -> list[str]:
    return list(registry.get_job_ids(cleanup=False))


def _same(value: Any, expected: Any) -> bool:
    """Whether a value is what was expected, which may be written as what Desk's text means: 1002 for "1002"."""
    return bool(value == expected) or (not isinstance(value, list | dict) and text(value) == text(expected))
