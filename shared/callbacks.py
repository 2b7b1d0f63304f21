"""What the integrator answers: handlers, one for each API-call node of a task flow."""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Never, TypeVar

from shared.declarations import NODE_FORM, check_name, conditions, describe, parameters, refuse_unknown
from shared.errors import DeclarationError, ResultError
from shared.events import ApiCall, Event
from shared.variables import Inputs, to_variables

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that computes the reply to an API call, and how it is chosen.

    Attributes:
        name: the node it answers.
        function: the integrator's function, `async def` or `def`.
        when: texts that variables must have, for calls whose URL names no node.
        fallback: the variables to answer when the function fails or is late; None answers a failure.
        inputs: converts the call's variables.
        call_parameter: the parameter that takes the whole call, if there is one.
    """

    name: str
    function: Callable[..., Any]
    when: dict[str, str]
    fallback: dict[str, str] | None
    inputs: Inputs
    call_parameter: str | None

    @property
    def is_async(self) -> bool:
        """Whether the function runs on the event loop."""
        return inspect.iscoroutinefunction(self.function)

    def bind(self, call: ApiCall) -> dict[str, Any]:
        """The function's arguments for a call.

        Raises:
            VariableError: a variable is missing or does not fit.
        """
        arguments = self.inputs.bind(call.variables)
        if self.call_parameter:
            # A copy: what is kept is the packet as it came, whatever the function does with its call.
            arguments[self.call_parameter] = dataclasses.replace(call, raw=copy.deepcopy(call.raw))
        return arguments


class Callbacks:
    """The handlers of an integrator; named by the setting `DESKBELL_CALLBACKS`."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def api_call(
        self,
        name: str | None = None,
        *,
        when: Mapping[str, str] | None = None,
        fallback: Mapping[str, Any] | None = None,
        **unknown: Never,
    ) -> Callable[[_Function], _Function]:
        """Declare the handler of an API-call node. The function is returned untouched.

        Its parameters are variables by name, converted as annotated; one annotated `ApiCall` takes the whole call.
        It returns a dict, a TypedDict, a pydantic model or None, or raises `Refuse`.

        Args:
            name: the node, the last part of the URL `/callback/<name>`; the function's name by default.
            when: names and texts of variables; for calls whose URL names no node, the handler with the most
                of them that all fit is chosen, then the one handler without `when`.
            fallback: variables to answer, as success, when the function fails or is late.
            **unknown: refused.

        Raises:
            DeclarationError: at import, in a sentence that says what to write instead.
        """
        refuse_unknown("api_call", unknown, ("name", "when", "fallback"))
        if callable(name):
            raise DeclarationError(f"{describe(name)}: write @callbacks.api_call() with parentheses")

        def declare(function: _Function) -> _Function:
            self._add(_handler(function, function.__name__ if name is None else name, when or {}, fallback))
            return function

        return declare

    def include(self, other: "Callbacks") -> None:
        """Take in the handlers of another `Callbacks`, as a router does."""
        for handler in other.handlers:
            self._add(handler)

    def find(self, call: ApiCall) -> Handler | None:
        """The handler for a call, or None."""
        if call.node:
            return self._handlers.get(call.node)
        fitting = [handler for handler in self._handlers.values() if handler.when and call.matches(handler.when)]
        if fitting:
            return max(fitting, key=lambda handler: len(handler.when))
        plain = [handler for handler in self._handlers.values() if not handler.when]
        return plain[0] if len(plain) == 1 else None

    @property
    def handlers(self) -> list[Handler]:
        """The handlers, in the order of their declaration."""
        return list(self._handlers.values())

    def _add(self, handler: Handler) -> None:
        same = self._handlers.get(handler.name)
        if same:
            raise DeclarationError(
                f"{describe(handler.function)}: the node {handler.name} already has a handler, "
                f"{describe(same.function)}; write another name: @callbacks.api_call({handler.name + '_2'!r})"
            )
        for other in self._handlers.values():
            if handler.when and handler.when == other.when:
                raise DeclarationError(
                    f"{describe(handler.function)}: when= is the same as that of {describe(other.function)}; "
                    f"add a variable that tells them apart"
                )
        self._handlers[handler.name] = handler


def _handler(
    function: Callable[..., Any], name: str, when: Mapping[str, str], fallback: Mapping[str, Any] | None
) -> Handler:
    where = describe(function)
    check_name(where, name, NODE_FORM, "the node", 'api_call("order_status")')
    found = parameters(function, "OrderID: str")
    for parameter in found:
        kind = parameter.annotation
        if inspect.isclass(kind) and issubclass(kind, Event) and kind is not ApiCall:
            raise DeclarationError(
                f"{where}: parameter {parameter.name} is annotated {kind.__name__}, but a handler takes an API call; "
                f"write {parameter.name}: ApiCall"
            )
    calls = [parameter for parameter in found if parameter.annotation is ApiCall]
    if len(calls) > 1:
        raise DeclarationError(f"{where}: {len(calls)} parameters take the whole call; write one, call: ApiCall")
    inputs = Inputs(where, [parameter for parameter in found if parameter.annotation is not ApiCall])
    return Handler(
        name=name,
        function=function,
        when=conditions(where, when),
        fallback=_fallback(where, fallback),
        inputs=inputs,
        call_parameter=calls[0].name if calls else None,
    )


def _fallback(where: str, fallback: object) -> dict[str, str] | None:
    if fallback is None:
        return None
    try:
        variables = to_variables(fallback)
    except ResultError as error:
        raise DeclarationError(
            f'{where}: fallback= cannot be answered: {error}; write fallback={{"Status": "unknown"}}'
        ) from None
    return variables
