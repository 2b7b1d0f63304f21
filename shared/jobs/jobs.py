"""The registry of job types: functions of the integrator's that RQ workers run for events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import UnionType
from typing import Any, Literal, Never, TypeVar

from shared.declarations.functions import check_function, describe, name_of
from shared.declarations.options import app_ids, conditions, refuse_unknown
from shared.declarations.policies import Backoff, Breaker, Concurrency, parse_limit
from shared.errors import DeclarationError
from shared.jobs.declaration import bind_parameters, check_events, check_job_type, event_classes, node_names
from shared.jobs.job_type import JobType
from shared.wire.events import Event

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Jobs:
    """The job types of an integrator; named by the setting `DESKBELL_JOBS`."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}

    def on(
        self,
        *events: type[Event] | UnionType,
        app: str | Iterable[str] | None = None,
        node: str | Iterable[str] = (),
        when: Mapping[str, str] | None = None,
        queue: str = "default",
        attempts: int = 8,
        timeout: int = 60,
        name: str | None = None,
        isolation: Literal["process"] | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008 - a value, never changed
        keep: int = 500,
        limit: str | Concurrency | None = None,
        breaker: Breaker | None = None,
        ordered_by: str | None = None,
        on_dead: Literal["continue", "hold"] | None = None,
        **unknown: Never,
    ) -> Callable[[_Function], _Function]:
        """Declare a job type: a function run once for each event that fits. The function is returned untouched.

        It takes the event in a parameter annotated with the event's class, and may take the worker's
        `Settings` in another. To steer, it raises `Retry` or `Discard`; any other exception is tried again.

        Args:
            *events: the event classes, also as `ApiCall | SessionEvent`; `Event` itself means all.
            app: the app, or apps, by `SdkAppid`; all by default.
            node: the node, or nodes, of API calls; all by default.
            when: names and texts that the event's fields (an API call's variables) must have, spelt as in the
                packet: `when={"Event": "SessionBegin"}`.
            queue: the queue; letters, digits, dash and underscore.
            attempts: how often a job is run at most before it is a dead letter.
            timeout: seconds one run may take.
            name: the name on the wire, dots allowed; the function's name by default. Jobs that wait on Redis
                hold it: keep it when the function moves.
            isolation: "process" for a function that needs a process of its own: it is killed when its time is up.
            backoff: how long to wait after an attempt that failed, unless it raised `Retry`.
            keep: seconds for which a finished job and its result are kept on Redis.
            limit: how many jobs may be started in any period, "10/s", "600/min", "1000/h", or run at once,
                `Concurrency(4)`, in all workers together.
            breaker: pauses the queue when jobs of this type keep failing; give the type a queue of its own.
            ordered_by: runs the jobs of one key in event order, one at a time; "session", or the name of a field
                (of an API call's variables), whose value is the key. Events without the key are not ordered.
            on_dead: for ordered jobs, "continue" to go on behind a dead letter, or "hold" to wait until it
                is replayed or discarded.
            **unknown: refused.

        Raises:
            DeclarationError: at import, in a sentence that says what to write instead.
        """
        refuse_unknown("on", unknown, Jobs.on.__kwdefaults__ or ())
        classes = event_classes(events)

        def declare(function: _Function) -> _Function:
            check_function(function, "jobs.on(ApiCall)")
            where = describe(function)
            check_events(where, classes)
            event_parameter, settings_parameter = bind_parameters(where, function, classes)
            job_type = JobType(
                name=name_of(function) if name is None else name,
                function=function,
                events=classes,
                apps=app_ids(where, app),
                nodes=node_names(where, node, classes),
                when=conditions(where, when or {}),
                queue=queue,
                attempts=attempts,
                timeout=timeout,
                event_parameter=event_parameter,
                settings_parameter=settings_parameter,
                isolation=isolation,
                backoff=backoff,
                keep=keep,
                limit=parse_limit(where, limit),
                breaker=breaker,
                ordered_by=ordered_by,
                on_dead=on_dead or "continue",
            )
            check_job_type(where, job_type, on_dead)
            self._add(job_type)
            return function

        return declare

    def include(self, other: "Jobs") -> None:
        """Add the job types of another `Jobs`, as a router does; one that is here already is not added again."""
        if not isinstance(other, Jobs):
            raise DeclarationError(f"include: expected a Jobs, got {type(other).__name__}")
        for job_type in other.types:
            if self._types.get(job_type.name) is not job_type:
                self._add(job_type)

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

    def _add(self, job_type: JobType) -> None:
        same = self._types.get(job_type.name)
        if same:
            raise DeclarationError(
                f"{describe(job_type.function)}: the job name {job_type.name} is taken by "
                f"{describe(same.function)}; write another: name={job_type.name + '_2'!r}"
            )
        self._types[job_type.name] = job_type
