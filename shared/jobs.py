"""What the integrator does afterwards: job types, functions that RQ workers run for events."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import Annotated, Any, Literal, Never, TypeVar, Union, get_args, get_origin

from shared.commands import ApiCall, OtherEvent
from shared.config import Settings
from shared.declarations import (
    NODE_FORM,
    app_ids,
    check_fields,
    check_name,
    check_variables,
    conditions,
    refuse_unknown,
)
from shared.errors import DeclarationError
from shared.events import QUEUE as EVENTS
from shared.events import Event
from shared.functions import check_function, describe, is_async, name_of, parameters
from shared.json_values import text
from shared.policies import (
    BY_SESSION,
    LONGEST_SECONDS,
    Backoff,
    Breaker,
    Concurrency,
    Rate,
    check_order,
    check_policies,
    parse_limit,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])

NAME_FORM = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*"  # without "-": see JobType.job_id
LONGEST_NAME = 100
_QUEUE_FORM = r"[A-Za-z0-9_-]{1,64}"
_EVENT_NEEDED = "a job needs the event it is run for; write @jobs.on(ApiCall)"
_OPTIONS = (
    *("app", "node", "when", "queue", "name", "isolation"),
    *("attempts", "backoff", "timeout", "keep"),
    *("limit", "breaker", "ordered_by", "on_dead"),
)


@dataclass(frozen=True, slots=True)
class JobType:
    """A function that is run for events, and how.

    Attributes:
        name: chosen; what stands on the wire, never the function's import path.
        function: the integrator's function, `async def` or `def`.
        events: the event classes it is run for.
        apps: the apps, by `SdkAppid`, it is run for; empty means all.
        nodes: the nodes it is run for; empty means all.
        when: texts that fields of the event must have.
        queue: the queue its jobs wait on.
        attempts: how often a job is run at most, 1 or more.
        timeout: seconds one run may take.
        isolation: "process" when each run needs a process of its own.
        backoff: how long to wait after an attempt that failed.
        keep: seconds for which a finished job and its result are kept.
        limit: how many jobs may be started in a period, or run at once, in all workers together.
        breaker: when the queue is paused because jobs keep failing.
        ordered_by: "session", or the name of the field whose value is the key; jobs of one key run in event order.
        on_dead: whether the jobs behind a dead letter of their key go on or wait for it.
        event_parameter: the parameter that takes the event.
        settings_parameter: the parameter that takes the worker's settings, if there is one.
        is_async: whether the function runs on the event loop.
    """

    name: str
    function: Callable[..., Any]
    events: tuple[type[Event], ...]
    apps: frozenset[str]
    nodes: frozenset[str]
    when: dict[str, str]
    queue: str
    attempts: int
    timeout: int
    event_parameter: str
    settings_parameter: str | None
    isolation: Literal["process"] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    keep: int = 500
    limit: Rate | Concurrency | None = None
    breaker: Breaker | None = None
    ordered_by: str | None = None
    on_dead: Literal["continue", "hold"] = "continue"
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", is_async(self.function))  # once: each job asks

    def wants(self, event: Event) -> bool:
        """Whether a job of this type is to be run for an event."""
        return (
            isinstance(event, self.events)
            and (not self.apps or event.app_id in self.apps)
            and (not self.nodes or event.node in self.nodes)
            and event.matches(self.when)
        )

    def job_id(self, event_id: str) -> str:
        """The id of the RQ job for an event: the same one each time. RQ admits no dot, our names no dash."""
        return f"{event_id}-{self.type_slug}"

    @property
    def type_slug(self) -> str:
        """The name as ids of its jobs and keys in Redis hold it; scripts read it from the id."""
        return self.name.replace(".", "-")

    def order_key(self, event: Event) -> str:
        """The key whose jobs are run in order; "" when the job of this event is not ordered."""
        if self.ordered_by is None:
            return ""
        return event.session_id if self.ordered_by == BY_SESSION else text(event.fields.get(self.ordered_by))

    def arguments(self, event: Event, settings: Settings) -> dict[str, Any]:
        """The function's arguments for an event."""
        arguments: dict[str, Any] = {self.event_parameter: event}
        if self.settings_parameter:
            arguments[self.settings_parameter] = settings
        return arguments


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
            name: what stands on the wire, dots allowed; the function's name by default. Jobs that wait on
                Redis name it: keep it when the function moves.
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
        refuse_unknown("on", unknown, _OPTIONS)
        for event in events:
            if inspect.isfunction(event):
                raise DeclarationError(f"{describe(event)}: {_EVENT_NEEDED}")
        kinds = tuple(kind for event in events for kind in _members(event))

        def declare(function: _Function) -> _Function:
            check_function(function, "jobs.on(ApiCall)")
            where = describe(function)
            _check_options(where, events=kinds, queue=queue, attempts=attempts, timeout=timeout, keep=keep)
            check_policies(where, isolation=isolation, backoff=backoff, breaker=breaker)
            check_order(where, ordered_by, on_dead)
            chosen = name_of(function) if name is None else name
            check_name(where, chosen, NAME_FORM, "the job's name", 'name="crm.enquiry"')
            if len(chosen) > LONGEST_NAME:
                raise DeclarationError(
                    f"{where}: the job's name must have {LONGEST_NAME} characters at most, got {len(chosen)}; "
                    'write for example name="crm.enquiry"'
                )
            event_parameter, settings_parameter = _bind(function, where, kinds)
            nodes, compared = _nodes(where, node, kinds), conditions(where, when or {})
            _check_names(where, "when=", compared, kinds)
            if ordered_by and ordered_by != BY_SESSION:
                _check_names(where, "ordered_by=", [ordered_by], kinds)
            self._add(
                JobType(
                    name=chosen,
                    function=function,
                    events=kinds,
                    apps=app_ids(where, app),
                    nodes=nodes,
                    when=compared,
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
            )
            return function

        return declare

    def include(self, other: "Jobs") -> None:
        """Take in the job types of another `Jobs`, as a router does; those that are here already stay once."""
        if not isinstance(other, Jobs):
            raise DeclarationError(f"include: expected a Jobs, got {type(other).__name__}")
        for job_type in other.types:
            if self._types.get(job_type.name) is not job_type:
                self._add(job_type)

    def adjust(self, name: str, **options: Any) -> None:
        """Give a job type other values of some attributes than it was declared with; not where it was included from."""
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


def _check_options(
    where: str, *, events: tuple[Any, ...], queue: str, attempts: object, timeout: object, keep: object
) -> None:
    if not events or not all(map(_is_event, events)):
        raise DeclarationError(f"{where}: {_EVENT_NEEDED}")
    check_name(where, queue, _QUEUE_FORM, "queue=", 'queue="crm"')
    if queue == EVENTS:
        raise DeclarationError(f'{where}: the queue {EVENTS} is kept for events; write another, such as queue="crm"')
    for option, value in {"attempts": attempts, "timeout": timeout}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DeclarationError(f"{where}: {option}= must be a whole number of 1 or more, got {value!r}")
    if not isinstance(keep, int) or isinstance(keep, bool) or not 0 <= keep <= LONGEST_SECONDS:
        raise DeclarationError(
            f"{where}: keep= must be whole seconds from 0 to {LONGEST_SECONDS}, got {keep!r}; write keep=3600"
        )


def _check_names(where: str, what: str, names: Iterable[str], events: tuple[type[Event], ...]) -> None:
    """Refuse misspelt names of fields; variables, and the fields of unlisted commands, may have any name."""
    if not any(_has_node(event) or event is OtherEvent for event in events):
        check_fields(where, what, names, events)
    elif any(map(_has_node, events)):
        check_variables(where, what, names)


def _has_node(kind: type[Event]) -> bool:
    """Whether API calls, which alone have a node and variables, are among the events of a class."""
    return issubclass(ApiCall, kind)


def _nodes(where: str, node: object, events: tuple[type[Event], ...]) -> frozenset[str]:
    nodes: list[Any] = list(node) if isinstance(node, Iterable) and not isinstance(node, str) else [node]
    for each in nodes:
        check_name(where, each, NODE_FORM, "node=", 'node="order_status"')
    without = [event.__name__ for event in events if not _has_node(event)]
    if nodes and without:
        raise DeclarationError(
            f"{where}: node= chooses among API calls, and {', '.join(without)} has no node; leave one of the two out"
        )
    return frozenset(nodes)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one that it is."""
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event)


def _bind(function: Callable[..., Any], where: str, events: tuple[type[Event], ...]) -> tuple[str, str | None]:
    """The names of the parameters that take the event and the settings."""
    example = f"event: {' | '.join(event.__name__ for event in events)}"
    takes_event: list[str] = []
    takes_settings: str | None = None
    for parameter in parameters(function, example):
        annotation = parameter.annotation
        kinds = _members(annotation)
        if all(map(_is_event, kinds)):
            if not all(issubclass(event, kinds) for event in events):
                raise DeclarationError(
                    f"{where}: parameter {parameter.name} is annotated {' | '.join(kind.__name__ for kind in kinds)}, "
                    f"but the job is run for {', '.join(event.__name__ for event in events)}; write {example}"
                )
            takes_event.append(parameter.name)
        elif annotation is Settings and takes_settings is None:
            takes_settings = parameter.name
        elif parameter.default is inspect.Parameter.empty:
            raise DeclarationError(
                f"{where}: nothing is given to parameter {parameter.name}; a job takes {example} and settings: Settings"
            )
    if len(takes_event) != 1:
        raise DeclarationError(f"{where}: a job takes its event in one parameter; write {example}")
    return takes_event[0], takes_settings
