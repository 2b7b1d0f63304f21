"""What the integrator answers: handlers, for the commands whose reply Desk uses."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Never, Protocol, TypeVar, get_args, overload

from shared.commands import ApiCall
from shared.config import Settings
from shared.contract import Outputs
from shared.declarations import (
    NODE_FORM,
    app_ids,
    check_fields,
    check_name,
    check_variables,
    conditions,
    refuse_unknown,
)
from shared.errors import DeclarationError, ResultError
from shared.events import Event, Reply
from shared.functions import check_function, describe, first_annotation, name_of, parameters, returned
from shared.handlers import ASSIGNMENT, PERMISSION, SIGNAL, VARIABLES, Asked, Fallback, Handler
from shared.returns import check_returned
from shared.variables import Inputs

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = ("app", "fallback", "when")
_IMMUTABLE = (str, int, float, bool, Decimal, date, datetime, str | None, int | None, float | None, bool | None)


class Decorator(Protocol):
    """Declares a handler, with options or without parentheses; the function is returned untouched."""

    @overload
    def __call__(self, function: _Function, /) -> _Function: ...
    @overload
    def __call__(
        self,
        *,
        when: Mapping[str, str] | None = None,
        fallback: Any = None,
        app: str | Iterable[str] | None = None,
        **unknown: Never,
    ) -> Callable[[_Function], _Function]: ...


class Callbacks:
    """The handlers of an integrator; named by the setting `DESKBELL_CALLBACKS`."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    @overload
    def api_call(self, name: _Function, /) -> _Function: ...
    @overload
    def api_call(
        self,
        name: str | None = None,
        *,
        when: Mapping[str, str] | None = None,
        fallback: Mapping[str, Any] | Fallback | None = None,
        app: str | Iterable[str] | None = None,
        **unknown: Never,
    ) -> Callable[[_Function], _Function]: ...
    def api_call(self, name: Any = None, **options: Any) -> Any:
        """Declare the handler of an API-call node. The function is returned untouched.

        Its parameters are variables by name, converted as annotated; one annotated `ApiCall` takes the whole call.
        It returns a dict, a TypedDict, a pydantic model or None, or raises `Refuse`. A TypedDict or a model in
        its annotation declares the node's outputs.

        Args:
            name: the node, the last part of the URL `/callback/<name>`; the function's name by default.
            when: names and texts of variables; for calls whose URL names no node, the handler with the most
                of them that all fit is chosen, then the one handler without `when`.
            fallback: variables to answer, as success, when the function fails or is late; or a function of the
                call that computes them, and that has a tenth of the handler's time for it.
            app: the app, or apps, by `SdkAppid`; all by default. For one node, a handler limited to an app goes
                before one that is not.
            **options: the three above; others are refused.

        Raises:
            DeclarationError: at import, in a sentence that says what to write instead.
        """
        return self._declare(VARIABLES, name, options)

    @property
    def assign_agent(self) -> Decorator:
        """Declares the handler that says who takes a session (PROTOCOL §3.2).

        It takes an `AssignAgent`, or fields of its packet by name, and returns an `Assignment`, or None to leave
        the choice to Desk. Options as for `api_call`; the fallback is an `Assignment` or a function of the event.
        """
        return partial(self._declare_of_event, ASSIGNMENT)

    @property
    def before_contact_user(self) -> Decorator:
        """Declares the handler that says whether an agent may write to a user first (PROTOCOL §3.4).

        It takes a `BeforeContactUser`, or fields of its packet by name, and returns None to allow or raises
        `Refuse`. When it fails or is late, the answer is a failure, which refuses; `fallback=lambda event: None`
        allows.
        """
        return partial(self._declare_of_event, PERMISSION)

    @property
    def c2c_signal(self) -> Decorator:
        """Declares the handler of a client's signals (PROTOCOL §3.4).

        It takes the signal's data, a JSON value converted as annotated, and may take the whole `C2CSignal` in another
        parameter. It returns a JSON value, or None; the strings around both are Deskbell's.
        """
        return partial(self._declare_of_event, SIGNAL)

    def include(self, other: "Callbacks") -> None:
        """Take in the handlers of another `Callbacks`, as a router does; those that are here already stay once."""
        if not isinstance(other, Callbacks):
            raise DeclarationError(f"include: expected a Callbacks, got {type(other).__name__}")
        for handler in other.handlers:
            if not any(handler is here for here in self._handlers):
                self._add(handler)

    def find(self, event: Event) -> Handler | None:
        """The handler for an event, or None."""
        if isinstance(event, ApiCall) and event.node:
            return _most_specific([each for each in self._handlers if each.name == event.node and each.accepts(event)])
        accepting = [handler for handler in self._handlers if handler.accepts(event)]
        fitting = [handler for handler in accepting if handler.when and event.matches(handler.when)]
        return _most_specific(fitting + _plain(accepting))

    @property
    def handlers(self) -> list[Handler]:
        """The handlers, in the order of their declaration."""
        return list(self._handlers)

    def _declare_of_event(self, asked: Asked, function: Any = None, **options: Any) -> Any:
        return self._declare(asked, function, options)

    def _declare(self, asked: Asked, given: Any, options: dict[str, Any]) -> Any:
        known = ("name", *_OPTIONS) if asked is VARIABLES else _OPTIONS
        refuse_unknown(asked.decorator, [option for option in options if option not in _OPTIONS], known)
        if callable(given):  # @callbacks.api_call, without parentheses
            return self._declare(asked, None, options)(given)
        if asked is not VARIABLES and given is not None:
            raise DeclarationError(f"{asked.decorator}: it has no name; write @callbacks.{asked.decorator}")

        def declare(function: _Function) -> _Function:
            check_function(function, f"callbacks.{asked.decorator}()")
            self._add(_handler(asked, function, name_of(function) if given is None else given, **options))
            return function

        return declare

    def _add(self, handler: Handler) -> None:
        for other in self._handlers:
            if other.asked is handler.asked and _same_apps(other, handler):
                _refuse_conflict(handler, other)
        self._handlers.append(handler)


def _plain(handlers: list[Handler]) -> list[Handler]:
    """The handler without conditions, limited to the app or not; of several nodes none is meant more than another."""
    plain = [handler for handler in handlers if not handler.when]
    limited = [handler for handler in plain if handler.apps]
    general = [handler for handler in plain if not handler.apps]
    return [group[0] for group in (limited, general) if len(group) == 1]


def _most_specific(handlers: list[Handler]) -> Handler | None:
    """The handler limited to an app before one that is not, then the one with the most conditions."""
    return max(handlers, key=lambda handler: (bool(handler.apps), len(handler.when)), default=None)


def _same_apps(one: Handler, other: Handler) -> bool:
    return bool(one.apps & other.apps) or one.apps == other.apps


def _refuse_conflict(handler: Handler, other: Handler) -> None:
    where, there = describe(handler.function), describe(other.function)
    if handler.asked is VARIABLES and handler.name == other.name:
        raise DeclarationError(
            f"{where}: the node {handler.name} already has a handler, {there}; write another name: "
            f"@callbacks.api_call({handler.name + '_2'!r})"
        )
    if handler.when and handler.when == other.when:
        raise DeclarationError(f"{where}: when= is the same as that of {there}; add a variable that tells them apart")
    if handler.asked is not VARIABLES and handler.when == other.when:
        raise DeclarationError(
            f"{where}: {handler.asked.decorator} already has a handler, {there}; tell them apart with app= or when="
        )


def _handler(
    asked: Asked,
    function: Callable[..., Any],
    name: str,
    *,
    when: object = None,
    fallback: object = None,
    app: object = None,
) -> Handler:
    where = describe(function)
    if asked is VARIABLES:
        check_name(where, name, NODE_FORM, "the node", 'api_call("order_status")')
    event_parameter, fields = _split_parameters(asked, where, parameters(function, asked.parameter))
    chosen = conditions(where, when or {})
    check_returned(where, returned(function), asked.can_be, asked.result)
    outputs = Outputs(where, returned(function) if asked is VARIABLES else None)
    names = [parameter.name for parameter in fields]
    if asked is VARIABLES:
        check_variables(where, "when=", chosen)
        check_variables(where, "a parameter", names)
    else:
        check_fields(where, "when=", chosen, [asked.event])
    if asked in (ASSIGNMENT, PERMISSION):
        check_fields(where, "a parameter", names, [asked.event])
    return Handler(
        asked=asked,
        name=name,
        function=function,
        apps=app_ids(where, app),
        when=chosen,
        fallback=_fallback(asked, where, fallback, outputs),
        inputs=Inputs(where, fields),
        outputs=outputs,
        event_parameter=event_parameter,
        sees_packet=bool(event_parameter) or callable(fallback) or any(map(_may_share, fields)),
    )


def _may_share(parameter: inspect.Parameter) -> bool:
    return parameter.annotation not in _IMMUTABLE


def _split_parameters(
    asked: Asked, where: str, found: list[inspect.Parameter]
) -> tuple[str | None, list[inspect.Parameter]]:
    """The name of the parameter that takes the whole event, and those that take variables, fields or data."""
    kind = asked.event.__name__
    for parameter in found:
        annotation = parameter.annotation
        if annotation is Settings:
            raise DeclarationError(
                f"{where}: parameter {parameter.name} is annotated Settings, which jobs are given, and handlers are "
                "not; read them once, at the top of the module: settings = Settings()"
            )
        if annotation is not asked.event and any(_is_event(part) for part in (annotation, *get_args(annotation))):
            written = annotation.__name__ if inspect.isclass(annotation) else str(annotation)
            raise DeclarationError(
                f"{where}: parameter {parameter.name} is annotated {written}, but a handler of "
                f"{asked.decorator} takes another event; write {parameter.name}: {kind}"
            )
    events = [parameter.name for parameter in found if parameter.annotation is asked.event]
    fields = [parameter for parameter in found if parameter.annotation is not asked.event]
    if len(events) > 1:
        raise DeclarationError(f"{where}: {len(events)} parameters take the whole event; write one, event: {kind}")
    if asked is SIGNAL and len(fields) > 1:
        raise DeclarationError(f"{where}: a signal has one piece of data; write one parameter, {asked.parameter}")
    return events[0] if events else None, fields


def _is_event(annotation: object) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, Event)


def _fallback(asked: Asked, where: str, fallback: object, outputs: Outputs) -> Reply | Fallback | None:
    if fallback is None:
        return None
    try:
        if callable(fallback):
            check_function(fallback, "fallback=")
            inspect.signature(fallback).bind(None)
            _check_takes_event(asked, fallback)
            check_returned(describe(fallback), returned(fallback), asked.can_be, asked.result)
            return fallback
        reply = replace(asked.reply(fallback), outcome="fallback")
        problem = "; ".join(outputs.problems(fallback, reply.variables))
    except (ResultError, TypeError, ValueError) as error:
        problem = str(error)
    if problem:
        raise DeclarationError(f"{where}: fallback= cannot be answered: {problem}; write fallback={asked.fallback}")
    return reply


def _check_takes_event(asked: Asked, fallback: Callable[..., Any]) -> None:
    """Refuse a fallback that is written as if it were given variables: its parameter would hold the event."""
    annotation = first_annotation(fallback)
    members = (annotation, *get_args(annotation))
    if annotation not in (inspect.Parameter.empty, Any) and not any(
        inspect.isclass(member) and issubclass(asked.event, member) for member in members
    ):
        raise DeclarationError(
            f"{describe(fallback)}: a fallback is given the whole event, and no variables; write its parameter as "
            f"event: {asked.event.__name__}"
        )
