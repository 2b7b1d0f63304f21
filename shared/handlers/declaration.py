"""How a function becomes a handler: what `Callbacks` refuses, in a sentence that says what to write instead.

What is refused raises DeclarationError.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypedDict, get_args

from shared.declarations.functions import check_function, describe, first_annotation, name_of, parameters, returned
from shared.declarations.options import (
    NODE_FORM,
    app_ids,
    check_fields,
    check_name,
    check_variables,
    conditions,
    refuse_unknown,
)
from shared.errors import DeclarationError, ResultError
from shared.handlers.asking import ask_handler
from shared.handlers.contract import Outputs
from shared.handlers.handler import (
    API_CALL,
    ASSIGN_AGENT,
    BEFORE_CONTACT_USER,
    C2C_SIGNAL,
    CommandSpec,
    Fallback,
    Handler,
)
from shared.handlers.late import late_node
from shared.handlers.returns import can_be_assignment, can_be_json, can_be_permission, can_be_variables, check_returned
from shared.handlers.variables import Inputs
from shared.late.policy import Late, parse_late
from shared.lifespans import Lifespans
from shared.settings.config import Settings
from shared.wire.events import Event, Reply

_IMMUTABLE = (str, int, float, bool, Decimal, date, datetime, str | None, int | None, float | None, bool | None)


class HandlerOptions(TypedDict, total=False):
    """The options of the decorators; `Callbacks.api_call` says what they mean."""

    when: Mapping[str, str] | None
    fallback: Any
    app: str | Iterable[str] | None
    late: bool | Late | None


@dataclass(frozen=True, slots=True)
class _Form:
    """How handlers of a command are written, for messages."""

    parameter: str
    fallback: str
    can_be: Callable[[Any], bool]
    result: str


_FORMS = {
    API_CALL: _Form(
        "OrderID: str",
        '{"Status": "unknown"}',
        can_be_variables,
        "return a dict with text for names, a TypedDict, a pydantic model or None",
    ),
    ASSIGN_AGENT: _Form(
        "event: AssignAgent",
        "Assignment(group_id=6521)",
        can_be_assignment,
        "return an Assignment, or None to leave the choice to Desk",
    ),
    BEFORE_CONTACT_USER: _Form(
        "event: BeforeContactUser",
        "lambda event: None",
        can_be_permission,
        "return None to allow, and raise Refuse to refuse",
    ),
    C2C_SIGNAL: _Form("data: dict[str, object]", '{"state": "unknown"}', can_be_json, "return a JSON value or None"),
}


def check_options(spec: CommandSpec, name: object, options: Mapping[str, Any]) -> None:
    """Refuse options that do not exist, and a name where there is no node."""
    known = HandlerOptions.__annotations__.keys()
    refuse_unknown(spec.decorator, options.keys() - known, known | {"name"} if spec is API_CALL else known)
    if spec is not API_CALL and not (name is None or callable(name)):
        raise DeclarationError(f"{spec.decorator}: it has no name; write @callbacks.{spec.decorator}")


def declared_handlers(
    spec: CommandSpec, function: Callable[..., Any], name: str | None, lifespans: Lifespans, **options: Any
) -> list[Handler]:
    """The handler that a function is declared as; with `late=` that of the second node, too, and its lifespan."""
    handler = _declared_handler(spec, function, name, **options)
    if handler.late is None:
        return [handler]
    lifespans.declare(handler.late.opened)
    return [handler, ask_handler(handler)]


def _declared_handler(
    spec: CommandSpec,
    function: Callable[..., Any],
    name: str | None,
    *,
    when: object = None,
    fallback: object = None,
    app: object = None,
    late: object = None,
) -> Handler:
    check_function(function, f"callbacks.{spec.decorator}()")
    where, form = describe(function), _FORMS[spec]
    name = name_of(function) if name is None else name
    event_parameter, fields = _split_parameters(spec, where, parameters(function, form.parameter))
    names = [parameter.name for parameter in fields]
    chosen = conditions(where, when or {})
    check_returned(where, returned(function), form.can_be, form.result)
    if spec is API_CALL:
        check_name(where, name, NODE_FORM, "the node", 'api_call("order_status")')
        check_variables(where, "when=", chosen)
        check_variables(where, "a parameter", names)
    else:
        check_fields(where, "when=", chosen, [spec.event])
    if spec in (ASSIGN_AGENT, BEFORE_CONTACT_USER):
        check_fields(where, "a parameter", names, [spec.event])
    outputs = Outputs(where, returned(function) if spec is API_CALL else None)
    apps, given = app_ids(where, app), _fallback(spec, where, fallback, outputs)
    policy = parse_late(where, late)
    if policy and spec is not API_CALL:
        raise DeclarationError(f"{where}: late= is for API calls, whose flow can ask again; leave it out")
    return Handler(
        spec=spec,
        name=name,
        function=function,
        apps=apps,
        when=chosen,
        fallback=given,
        inputs=Inputs(where, fields),
        outputs=outputs,
        event_parameter=event_parameter,
        sees_packet=bool(event_parameter) or callable(fallback) or any(map(_may_share, fields)),
        late=late_node(where, name, apps, policy, outputs, given) if policy else None,
    )


def refuse_conflict(handler: Handler, other: Handler) -> None:
    """Refuse a handler that nothing tells apart from another of its command and apps."""
    where, there = describe(handler.function), describe(other.function)
    if handler.is_node and handler.name == other.name:
        raise DeclarationError(
            f"{where}: the node {handler.name} already has a handler, {there}; write another name: "
            f"@callbacks.api_call({handler.name + '_2'!r})"
        )
    if handler.when and handler.when == other.when:
        raise DeclarationError(f"{where}: when= is the same as that of {there}; add a variable that tells them apart")
    if not handler.is_node and handler.when == other.when:
        raise DeclarationError(
            f"{where}: {handler.spec.decorator} already has a handler, {there}; tell them apart with app= or when="
        )


def _may_share(parameter: inspect.Parameter) -> bool:
    return parameter.annotation not in _IMMUTABLE


def _split_parameters(
    spec: CommandSpec, where: str, found: list[inspect.Parameter]
) -> tuple[str | None, list[inspect.Parameter]]:
    """The name of the parameter that takes the whole event, and those that take variables, fields or data."""
    kind = spec.event.__name__
    for parameter in found:
        annotation = parameter.annotation
        if annotation is Settings:
            raise DeclarationError(
                f"{where}: parameter {parameter.name} is annotated Settings, which jobs are given, and handlers are "
                "not; read them once, at the top of the module: settings = Settings()"
            )
        if annotation is not spec.event and any(_is_event(part) for part in (annotation, *get_args(annotation))):
            written = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
            raise DeclarationError(
                f"{where}: parameter {parameter.name} is annotated {written}, but a handler of "
                f"{spec.decorator} takes another event; write {parameter.name}: {kind}"
            )
    events = [parameter.name for parameter in found if parameter.annotation is spec.event]
    fields = [parameter for parameter in found if parameter.annotation is not spec.event]
    if len(events) > 1:
        raise DeclarationError(f"{where}: {len(events)} parameters take the whole event; write one, event: {kind}")
    if spec is C2C_SIGNAL and len(fields) > 1:
        raise DeclarationError(
            f"{where}: a signal has one piece of data; write one parameter, {_FORMS[spec].parameter}"
        )
    return events[0] if events else None, fields


def _is_event(annotation: object) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, Event)


def _fallback(spec: CommandSpec, where: str, fallback: object, outputs: Outputs) -> Reply | Fallback | None:
    if fallback is None:
        return None
    form = _FORMS[spec]
    try:
        if callable(fallback):
            check_function(fallback, "fallback=")
            inspect.signature(fallback).bind(None)
            _check_takes_event(spec, fallback)
            check_returned(describe(fallback), returned(fallback), form.can_be, form.result)
            return fallback
        reply = spec.reply(fallback)
        problem = "; ".join(outputs.problems(fallback, reply.variables))
    except (ResultError, TypeError, ValueError) as error:
        problem = str(error)
    if problem:
        declared = sorted(outputs.shapes[0].required) if outputs.shapes else []
        write = "{" + ", ".join(f'"{name}": "…"' for name in declared) + "}" if declared else form.fallback
        raise DeclarationError(f"{where}: fallback= cannot be answered: {problem}; write fallback={write}")
    return replace(reply, outcome="fallback")


def _check_takes_event(spec: CommandSpec, fallback: Callable[..., Any]) -> None:
    """Refuse a fallback that is written as if it were given variables: its parameter would hold the event."""
    annotation = first_annotation(fallback)
    members = (annotation, *get_args(annotation))
    if annotation not in (inspect.Parameter.empty, Any) and not any(
        inspect.isclass(member) and issubclass(spec.event, member) for member in members
    ):
        raise DeclarationError(
            f"{describe(fallback)}: a fallback is given the whole event, and no variables; write its parameter as "
            f"event: {spec.event.__name__}"
        )
