"""The registry of job types: functions of the integrator's that RQ workers run for events."""

from collections.abc import Callable
from dataclasses import replace
from types import UnionType
from typing import Any, TypeVar, Unpack

from shared.declarations.functions import describe
from shared.declarations.options import refuse_unknown
from shared.errors import DeclarationError
from shared.jobs.declaration import JobOptions, declared_job_type, event_classes
from shared.jobs.job_type import JobType
from shared.lifespans import HasLifespans
from shared.wire.events import Event

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Jobs(HasLifespans):
    """The job types of an integrator; named by the setting `DESKBELL_JOBS`."""

    def __init__(self) -> None:
        super().__init__()
        self._types: dict[str, JobType] = {}

    def on(self, *events: type[Event] | UnionType, **options: Unpack[JobOptions]) -> Callable[[_Function], _Function]:
        """Declare a job type: a function run once for each event that fits. The function is returned untouched.

        It takes the event in a parameter annotated with the event's class, and may take the worker's
        `Settings` in another. To steer, it raises `Retry` or `Discard`; any other exception is tried again.

        Args:
            *events: the event classes, also as `ApiCall | SessionEvent`; `Event` itself means all.
            app: the app, or apps, by `SdkAppid`; all by default.
            node: the node, or nodes, of API calls; all by default.
            when: names and texts that the event's fields (an API call's variables) must have, spelt as in the
                packet: `when={"Event": "SessionBegin"}`.
            queue: the queue, "default" by default; letters, digits, dash and underscore.
            attempts: how often a job is run at most before it is a dead letter; 8 by default.
            timeout: seconds one run may take; 60 by default.
            name: the name on the wire, dots allowed; the function's name by default. Jobs that wait on Redis
                hold it: keep it when the function moves.
            isolation: "process" for a function that needs a process of its own: it is killed when its time is up.
            backoff: how long to wait after an attempt that failed, unless it raised `Retry`.
            keep: seconds for which a finished job and its result are kept on Redis; 500 by default.
            limit: how many jobs may be started in any period, "10/s", "600/min", "1000/h", or run at once,
                `Concurrency(4)`, in all workers together.
            breaker: pauses the queue when jobs of this type keep failing; give the type a queue of its own.
            ordered_by: runs the jobs of one key in event order, one at a time; "session", or the name of a field
                (of an API call's variables), whose value is the key. Events without the key are not ordered.
            on_dead: for ordered jobs, "continue" to go on behind a dead letter, or "hold" to wait until it is
                replayed or discarded; "continue" by default.
            **options: those above; others are refused.

        Raises:
            DeclarationError: at import, in a sentence that says what to write instead.
        """
        refuse_unknown("on", options.keys() - JobOptions.__annotations__.keys(), JobOptions.__annotations__)
        classes = event_classes(events)

        def declare(function: _Function) -> _Function:
            self.add(declared_job_type(function, classes, **options))
            return function

        return declare

    def include(self, other: "Jobs") -> None:
        """Add what another `Jobs` declares, as a router does; what is here already is not added again."""
        self.include_lifespans(other)
        for job_type in other.types:
            if self._types.get(job_type.name) is not job_type:
                self.add(job_type)

    def adjust(self, name: str, **options: Any) -> None:
        """Change attributes of a job type, here and not in the `Jobs` that it was included from."""
        self._types[name] = replace(self._types[name], **options)

    @property
    def types(self) -> list[JobType]:
        """The job types, in the order of their declaration."""
        return list(self._types.values())

    def get(self, name: str) -> JobType | None:
        """The job type of a name, or None."""
        return self._types.get(name)

    def wanted_by(self, event: Event) -> list[JobType]:
        """The job types to be run for an event, in the order of their declaration."""
        return [job_type for job_type in self._types.values() if job_type.wants(event)]

    @property
    def names(self) -> list[str]:
        """The names of all job types, sorted."""
        return sorted(self._types)

    @property
    def queues(self) -> list[str]:
        """The queues of all job types, sorted; `events` is not one of them."""
        return sorted({job_type.queue for job_type in self._types.values()})

    def add(self, job_type: JobType) -> None:
        """Add a job type; `on` and `include` do."""
        if same := self._types.get(job_type.name):
            raise DeclarationError(
                f"{describe(job_type.function)}: the job name {job_type.name} is taken by "
                f"{describe(same.function)}; write another: name={job_type.name + '_2'!r}"
            )
        self._types[job_type.name] = job_type
