"""How a function becomes a job type: what `Jobs.on` refuses, in a sentence that says what to write instead.

What is refused raises DeclarationError.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, Unpack, get_args, get_origin

from shared.declarations.functions import check_function, describe, name_of, parameters
from shared.declarations.options import (
    JOB_NAME_FORM,
    LONGEST_JOB_NAME,
    NODE_FORM,
    app_ids,
    check_fields,
    check_name,
    check_variables,
    conditions,
)
from shared.declarations.policies import (
    BY_SESSION,
    LONGEST_SECONDS,
    Backoff,
    Breaker,
    Concurrency,
    is_whole,
    parse_limit,
)
from shared.errors import DeclarationError
from shared.jobs.job_type import JobType
from shared.settings.config import Settings
from shared.wire.commands import ApiCall, OtherEvent
from shared.wire.events import QUEUE as EVENTS
from shared.wire.events import Event

_QUEUE_FORM = r"[A-Za-z0-9_-]{1,64}"
_FIELD_FORM = r"[A-Za-z_][A-Za-z0-9_.-]{0,127}"
_NEAR = 0.9  # "sesion" is near to "session", "SessionID", which a variable may be called, is not
_EVENT_NEEDED = "a job needs the event it is run for; write @jobs.on(ApiCall)"


class JobOptions(TypedDict, total=False):
    """The options of `Jobs.on`, which says what they mean; `JobType` has the defaults."""

    app: str | Iterable[str] | None
    node: str | Iterable[str]
    when: Mapping[str, str] | None
    queue: str
    attempts: int
    timeout: int
    name: str | None
    isolation: Literal["process"] | None
    backoff: Backoff
    keep: int
    limit: str | Concurrency | None
    breaker: Breaker | None
    ordered_by: str | None
    on_dead: Literal["continue", "hold"] | None


def event_classes(given: Iterable[Any]) -> tuple[type[Event], ...]:
    """The event classes that a job type subscribes to, unions taken apart."""
    for each in given:
        if inspect.isfunction(each):
            raise DeclarationError(f"{describe(each)}: {_EVENT_NEEDED}")
    return tuple(kind for each in given for kind in _members(each))


def declared_job_type(
    function: Callable[..., Any], events: tuple[type[Event], ...], **options: Unpack[JobOptions]
) -> JobType:
    """The job type that a function is declared as."""
    check_function(function, "jobs.on(ApiCall)")
    where = describe(function)
    if not events or not all(map(_is_event, events)):
        raise DeclarationError(f"{where}: {_EVENT_NEEDED}")
    event_parameter, settings_parameter = _bind_parameters(where, function, events)
    given: dict[str, Any] = dict(options)
    name, on_dead = given.pop("name", None), given.pop("on_dead", None)
    job_type = JobType(
        name=name_of(function) if name is None else name,
        function=function,
        events=events,
        apps=app_ids(where, given.pop("app", None)),
        nodes=_node_names(where, given.pop("node", ()), events),
        when=conditions(where, given.pop("when", None) or {}),
        event_parameter=event_parameter,
        settings_parameter=settings_parameter,
        limit=parse_limit(where, given.pop("limit", None)),
        on_dead=on_dead or "continue",
        **given,
    )
    _check_name(where, job_type.name)
    _check_queue(where, job_type.queue)
    _check_numbers(where, job_type)
    _check_policies(where, job_type)
    _check_names(where, "when=", job_type.when, events)
    _check_order(where, job_type, on_dead)
    return job_type


def _node_names(where: str, node: object, events: tuple[type[Event], ...]) -> frozenset[str]:
    """`node=`: one node or several, as a set; empty means all."""
    nodes: list[Any] = list(node) if isinstance(node, Iterable) and not isinstance(node, str) else [node]
    for each in nodes:
        check_name(where, each, NODE_FORM, "node=", 'node="order_status"')
    without = [event.__name__ for event in events if not _has_node(event)]
    if nodes and without:
        raise DeclarationError(
            f"{where}: node= chooses among API calls, and {', '.join(without)} has no node; leave one of the two out"
        )
    return frozenset(nodes)


def _bind_parameters(
    where: str, function: Callable[..., Any], events: tuple[type[Event], ...]
) -> tuple[str, str | None]:
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


def _check_name(where: str, name: str) -> None:
    check_name(where, name, JOB_NAME_FORM, "the job's name", 'name="crm.enquiry"')
    if len(name) > LONGEST_JOB_NAME:
        raise DeclarationError(
            f"{where}: the job's name must have {LONGEST_JOB_NAME} characters at most, got {len(name)}; "
            'write for example name="crm.enquiry"'
        )


def _check_queue(where: str, queue: str) -> None:
    check_name(where, queue, _QUEUE_FORM, "queue=", 'queue="crm"')
    if queue == EVENTS:
        raise DeclarationError(f'{where}: the queue {EVENTS} is kept for events; write another, such as queue="crm"')


def _check_numbers(where: str, job_type: JobType) -> None:
    for option, value in {"attempts": job_type.attempts, "timeout": job_type.timeout}.items():
        if not is_whole(value, 1):
            raise DeclarationError(f"{where}: {option}= must be a whole number of 1 or more, got {value!r}")
    if not is_whole(job_type.keep, 0) or job_type.keep > LONGEST_SECONDS:
        raise DeclarationError(
            f"{where}: keep= must be whole seconds from 0 to {LONGEST_SECONDS}, got {job_type.keep!r}; write keep=3600"
        )


def _check_policies(where: str, job_type: JobType) -> None:
    isolation, backoff, breaker = job_type.isolation, job_type.backoff, job_type.breaker
    if isolation not in (None, "process"):
        raise DeclarationError(
            f'{where}: isolation= must be "process", got {isolation!r}; write isolation="process", or leave it out'
        )
    if not isinstance(backoff, Backoff):
        raise DeclarationError(
            f"{where}: backoff= must be a Backoff, got {backoff!r}; write backoff=Backoff(base=2, factor=2, cap=600)"
        )
    if not isinstance(breaker, Breaker | None):
        raise DeclarationError(
            f"{where}: breaker= must be a Breaker, got {breaker!r}; write breaker=Breaker(failures=10, pause=60)"
        )


def _check_order(where: str, job_type: JobType, on_dead: object) -> None:
    """Refuse a key that no field can have, and an `on_dead=` that would mean nothing."""
    ordered_by = job_type.ordered_by
    if ordered_by is not None:
        check_name(where, ordered_by, _FIELD_FORM, "ordered_by=", 'ordered_by="session"')
        if ordered_by != BY_SESSION:
            if get_close_matches(ordered_by.lower(), [BY_SESSION], cutoff=_NEAR):
                raise DeclarationError(f'{where}: ordered_by= is {ordered_by!r}; write ordered_by="{BY_SESSION}"')
            _check_names(where, "ordered_by=", [ordered_by], job_type.events)
    if on_dead not in (None, "continue", "hold"):
        raise DeclarationError(f'{where}: on_dead= must be "continue" or "hold", got {on_dead!r}; write on_dead="hold"')
    if on_dead and not ordered_by:
        raise DeclarationError(
            f'{where}: on_dead= says what ordered jobs do; write ordered_by="session" as well, or leave it out'
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


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one that it is."""
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
