"""What a handler is refused for where it is declared."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from pydantic import Field

from deskbell import (
    ApiCall,
    AssignAgent,
    Assignment,
    Callbacks,
    SessionEvent,
    Settings,
)
from shared.declarations.functions import describe
from shared.errors import DeclarationError
from shared.wire.events import Event, Reply
from tests.shared.declared import order_status


def nothing() -> None:
    """A handler that answers nothing."""


def another(OrderID: str) -> dict[str, str]:
    """Answer something else."""
    return {"Another": OrderID}


WHERE = describe(order_status)


def refusal_of(function: Any, *name: Any, decorator: str = "api_call", **options: Any) -> str:
    """The sentence with which a declaration is refused, after the node `taken` was declared."""
    callbacks = Callbacks()
    callbacks.api_call("taken", when={"type": "1"})(order_status)
    with pytest.raises(DeclarationError) as caught:
        getattr(callbacks, decorator)(*name, **options)(function)
    assert [handler.name for handler in callbacks.handlers] == ["taken"]
    return str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", ".hidden", "-a", "_a", "节点", "a\n", "a" * 65, 5])
def test_a_node_that_cannot_stand_in_a_url_is_refused(name: Any) -> None:
    """It is the last part of the path."""
    assert refusal_of(order_status, name) == (
        f"{WHERE}: the node must match [A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}, got {name!r}; "
        'write for example api_call("order_status")'
    )


@pytest.mark.parametrize("decorator", ["assign_agent", "before_contact_user", "c2c_signal"])
def test_only_api_calls_have_nodes(decorator: str) -> None:
    """A name given to another command is a mistake."""
    assert refusal_of(lambda: None, "node", decorator=decorator).endswith(
        f"{decorator}: it has no name; write @callbacks.{decorator}"
    )


def test_a_second_handler_of_a_node_or_with_the_same_when_is_refused() -> None:
    """One of them would never be reached: the sentence names both functions and what to write."""
    assert refusal_of(another, "taken") == (
        f"{describe(another)}: the node taken already has a handler, {WHERE}; "
        "write another name: @callbacks.api_call('taken_2')"
    )
    assert refusal_of(another, when={"type": "1"}) == (
        f"{describe(another)}: when= is the same as that of {WHERE}; add a variable that tells them apart"
    )


def test_two_handlers_that_nothing_tells_apart_are_refused() -> None:
    """Of one command, for the same apps, with the same conditions."""
    callbacks = Callbacks()

    @callbacks.assign_agent(app="1")
    def first() -> None: ...

    @callbacks.assign_agent
    def anyone() -> None: ...

    with pytest.raises(DeclarationError, match=r"assign_agent already has a handler, .*first \(.*\); tell them apart"):
        callbacks.assign_agent(app=["1", "2"])(lambda: None)


def test_a_node_may_have_a_handler_for_each_app() -> None:
    """But not two for one."""
    callbacks = Callbacks()
    callbacks.api_call("node", app="1")(lambda: None)
    callbacks.api_call("node", app="2")(lambda: None)

    with pytest.raises(DeclarationError, match="node already has a handler"):
        callbacks.api_call("node", app="2")(lambda: None)


@pytest.mark.parametrize("app", [[], (), iter(())])
def test_an_empty_list_of_apps_is_not_all_apps(app: Any) -> None:
    """Such as an empty variable of the environment makes."""
    assert "app= names no app" in refusal_of(nothing, decorator="assign_agent", app=app)


def test_a_second_parameter_for_the_call_is_refused() -> None:
    """One is enough."""

    def handler(call: ApiCall, again: ApiCall) -> None: ...

    assert refusal_of(handler).endswith(": 2 parameters take the whole event; write one, event: ApiCall")


def test_a_parameter_for_another_event_is_refused() -> None:
    """With the class that this handler takes."""

    def function(event: SessionEvent) -> None: ...

    assert refusal_of(function, decorator="assign_agent").endswith(
        "parameter event is annotated SessionEvent, but a handler of assign_agent takes another event; "
        "write event: AssignAgent"
    )


def test_an_event_that_may_be_none_is_no_event() -> None:
    """It would be taken for a field that no packet has."""

    def function(event: AssignAgent | None) -> None: ...

    assert refusal_of(function, decorator="assign_agent").endswith("write event: AssignAgent")


def test_a_signal_has_one_piece_of_data() -> None:
    """A second parameter would have nothing to take."""

    def function(one: str, two: str) -> None: ...

    assert "a signal has one piece of data" in refusal_of(function, decorator="c2c_signal")


def test_a_misspelt_system_variable_is_refused() -> None:
    """As a parameter it would be missing from each call, as a condition it would never fit."""

    def handler(SystemClientUserId: str) -> None: ...

    assert refusal_of(handler).endswith(
        ": a parameter names 'SystemClientUserId'; write 'SystemClientUserID', as Desk does"
    )
    assert refusal_of(order_status, when={"SystemSesionID": "x"}).endswith(
        ": when= names 'SystemSesionID'; write 'SystemSessionID', as Desk does"
    )


def test_a_documented_field_in_another_spelling_is_refused() -> None:
    """As a condition and as a parameter: it would never be there."""

    def function(session_id: str) -> None: ...

    assert refusal_of(nothing, decorator="assign_agent", when={"sessionid": "s"}).endswith(
        "when= names 'sessionid'; write 'SessionId', as the packet does"
    )
    assert refusal_of(function, decorator="assign_agent").endswith(
        "a parameter names 'session_id'; write 'SessionId', as the packet does"
    )


@pytest.mark.parametrize(
    ("annotation", "default", "reason"),
    [
        (int, Field(3, ge=1), "OrderID has a Field() as its default, which would be its value; write OrderID: "),
        (Annotated[int, Field(alias="order")], inspect.Parameter.empty, "OrderID has a Field() with an alias or "),
        (Annotated[int, Field(default=3)], inspect.Parameter.empty, "OrderID has a Field() with an alias or a default"),
        (Settings, inspect.Parameter.empty, "OrderID is annotated Settings, which jobs are given, and handlers are "),
    ],
)
def test_a_parameter_that_would_hold_something_else_is_refused(annotation: Any, default: Any, reason: str) -> None:
    """What other libraries read from a parameter, or from its annotation, nobody reads here."""

    def handler(OrderID: Any) -> None: ...

    parameter = inspect.Parameter("OrderID", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    handler.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]

    assert f": parameter {reason}" in refusal_of(handler)


@pytest.mark.parametrize(
    ("decorator", "fallback", "reply"),
    [
        ("assign_agent", Assignment(6521), Reply(fields={"AgentGroupId": 6521}, outcome="fallback")),
        ("c2c_signal", {"state": "unknown"}, Reply(fields={"RspData": '{"state":"unknown"}'}, outcome="fallback")),
        ("api_call", {"Status": 1, "Note": None}, Reply(variables={"Status": "1", "Note": ""}, outcome="fallback")),
        ("api_call", {}, Reply(variables={}, outcome="fallback")),
        ("api_call", None, None),
    ],
)
def test_a_fallback_is_kept_as_it_will_be_answered(decorator: str, fallback: Any, reply: Reply | None) -> None:
    """Its values are converted once, at the declaration; no fallback is not an empty one."""
    callbacks = Callbacks()
    getattr(callbacks, decorator)(fallback=fallback)(nothing)

    assert callbacks.handlers[0].fallback == reply


@pytest.mark.parametrize(
    ("decorator", "fallback", "reason"),
    [
        ("api_call", "unknown", "expected a dict, a TypedDict, a pydantic model or None, got str; write fallback={"),
        ("api_call", {1: "a"}, "expected names of variables as str, got int"),
        ("api_call", {"a": object()}, "variable 'a': this object has no text"),
        ("api_call", {"a": float("nan")}, "variable 'a': this float has no text"),
        ("api_call", lambda: {}, ""),  # noqa: PIE807 - a function without a parameter
        ("api_call", lambda one, other: {one: other}, ""),
        ("assign_agent", {"group_id": 1}, "expected an Assignment or None"),
        ("before_contact_user", {}, "expected None, which allows"),
        ("c2c_signal", object(), "expected a JSON value"),
    ],
)
def test_a_fallback_that_cannot_be_answered_is_refused(decorator: str, fallback: Any, reason: str) -> None:
    """It would be found out when it is needed most; a function must take the event alone."""
    refused = refusal_of(nothing, decorator=decorator, fallback=fallback)

    assert refused.startswith(f"{describe(nothing)}: fallback= cannot be answered: {reason}")


class Told(TypedDict):
    """What `told` answers."""

    Status: str
    Carrier: NotRequired[str]


def told() -> Told:
    """Answer what it declares."""
    return {"Status": "known"}


def test_a_fallback_without_a_declared_output_is_told_which_to_write() -> None:
    """The names that this handler must answer, not those of an example."""
    refused = refusal_of(told, fallback={"Statu": "unknown"})

    assert refused.endswith('Statu is not declared; Status is declared and missing; write fallback={"Status": "…"}')


def fall_back_on_a_variable(OrderID: int) -> dict[str, str]:
    """A fallback that is written as a handler is."""
    return {"Status": str(OrderID)}


def fall_back_on_another_event(event: SessionEvent) -> None:
    """A fallback of another command's event."""


@pytest.mark.parametrize("fallback", [fall_back_on_a_variable, fall_back_on_another_event])
def test_a_fallback_that_takes_no_such_event_is_refused(fallback: Callable[..., Any]) -> None:
    """It is given the whole event, whatever its parameter says."""
    refused = refusal_of(nothing, fallback=fallback)

    assert f"{fallback.__name__} (" in refused
    assert refused.endswith(
        "a fallback is given the whole event, and no variables; write its parameter as event: ApiCall"
    )


def fall_back_on_any(event: Event) -> dict[str, str]:
    """A fallback of every command."""
    return {"Status": event.node}


def fall_back_on_two(event: ApiCall | SessionEvent) -> dict[str, str]:
    """A fallback of two commands."""
    return {"Status": event.node}


@pytest.mark.parametrize("fallback", [fall_back_on_any, fall_back_on_two, lambda event: {"Status": event.node}])
def test_a_fallback_that_takes_the_event_is_taken(fallback: Callable[..., Any]) -> None:
    """As its class, as a wider one, or without an annotation."""
    callbacks = Callbacks()
    callbacks.api_call("node", fallback=fallback)(nothing)

    assert callbacks.handlers[0].fallback is fallback


def test_a_static_fallback_keeps_to_the_outputs() -> None:
    """What the handler declares is what the flow may rely on."""

    class Status(TypedDict):
        OrderStatus: str

    def function() -> Status: ...  # type: ignore[empty-body]  # never called

    assert "Other is not declared" in refusal_of(function, fallback={"OrderStatus": "", "Other": ""})
    assert "OrderStatus is declared and missing" in refusal_of(function, fallback={})
