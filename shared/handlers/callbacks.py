"""The registry of handlers: functions of the integrator's that answer the commands whose reply Desk uses."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar, Unpack, overload

from shared.handlers.declaration import HandlerOptions, check_options, declared_handlers, refuse_conflict
from shared.handlers.handler import API_CALL, ASSIGN_AGENT, BEFORE_CONTACT_USER, C2C_SIGNAL, CommandSpec, Handler
from shared.lifespans import HasLifespans
from shared.wire.commands import ApiCall
from shared.wire.events import Event

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Decorator(Protocol):
    """Declares a handler, with options or without parentheses; the function is returned untouched."""

    @overload
    def __call__(self, function: _Function, /) -> _Function: ...
    @overload
    def __call__(self, **options: Unpack[HandlerOptions]) -> Callable[[_Function], _Function]: ...


class Callbacks(HasLifespans):
    """The handlers of an integrator; named by the setting `DESKBELL_CALLBACKS`."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: list[Handler] = []

    @overload
    def api_call(self, name: _Function, /) -> _Function: ...
    @overload
    def api_call(
        self, name: str | None = None, **options: Unpack[HandlerOptions]
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
            late: True, or a `Late` with options: when the handler is out of time, the fallback goes out with the
                variable `LateTicket`, a worker runs the handler again, and the node `<name>.late`, which is declared
                by this, gets the values for the ticket. The handler's work may be done twice.
            **options: the four above; others are refused.

        Raises:
            DeclarationError: at import, in a sentence that says what to write instead.
        """
        return self._declare(API_CALL, name, **options)

    @property
    def assign_agent(self) -> Decorator:
        """Declares the handler that says who takes a session (PROTOCOL §3.2).

        It takes an `AssignAgent`, or fields of its packet by name, and returns an `Assignment`, or None to leave
        the choice to Desk. Options as for `api_call`; the fallback is an `Assignment` or a function of the event.
        """
        return partial(self._declare, ASSIGN_AGENT)

    @property
    def before_contact_user(self) -> Decorator:
        """Declares the handler that says whether an agent may write to a user first (PROTOCOL §3.4).

        It takes a `BeforeContactUser`, or fields of its packet by name, and returns None to allow or raises
        `Refuse`. When it fails or is late, the answer is a failure, which refuses; `fallback=lambda event: None`
        allows.
        """
        return partial(self._declare, BEFORE_CONTACT_USER)

    @property
    def c2c_signal(self) -> Decorator:
        """Declares the handler of a client's signals (PROTOCOL §3.4).

        It takes the signal's data, a JSON value converted as annotated, and may take the whole `C2CSignal` in another
        parameter. It returns a JSON value, or None; the strings around both are Deskbell's.
        """
        return partial(self._declare, C2C_SIGNAL)

    def include(self, other: "Callbacks") -> None:
        """Add what another `Callbacks` declares, as a router does; what is here already is not added again."""
        self.include_lifespans(other)
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

    def _declare(self, spec: CommandSpec, name: Any = None, /, **options: Any) -> Any:
        check_options(spec, name, options)
        if callable(name):  # @callbacks.api_call, without parentheses
            return self._declare(spec, **options)(name)

        def declare(function: _Function) -> _Function:
            for handler in declared_handlers(spec, function, name, self.lifespans, **options):
                self._add(handler)
            return function

        return declare

    def _add(self, handler: Handler) -> None:
        for other in self._handlers:
            if other.spec is handler.spec and (other.apps & handler.apps or other.apps == handler.apps):
                refuse_conflict(handler, other)
        self._handlers.append(handler)


def _plain(handlers: list[Handler]) -> list[Handler]:
    """The handler without conditions, if there is one: limited to the app, and not. Among several nothing decides."""
    plain = [handler for handler in handlers if not handler.when]
    limited = [handler for handler in plain if handler.apps]
    general = [handler for handler in plain if not handler.apps]
    return [group[0] for group in (limited, general) if len(group) == 1]


def _most_specific(handlers: list[Handler]) -> Handler | None:
    """The handler limited to an app before one that is not, then the one with the most conditions."""
    return max(handlers, key=lambda handler: (bool(handler.apps), len(handler.when)), default=None)
