"""The handlers of an integrator, and which one a call reaches."""

import inspect
from typing import Annotated, Any

import pytest
from pydantic import Field

from deskbell import ApiCall, Callbacks, Jobs, Settings
from deskbell.testing import api_call
from shared.declarations.functions import describe
from shared.errors import DeclarationError
from shared.handlers.handler import Handler
from shared.wire.events import Reply


def found(callbacks: Callbacks, call: ApiCall) -> str | None:
    """The name of the handler that a call reaches."""
    handler = callbacks.find(call)
    return handler.name if handler else None


def only(callbacks: Callbacks) -> Handler:
    """The one handler that was declared."""
    [handler] = callbacks.handlers
    return handler


def order_status(OrderID: str) -> dict[str, str]:
    """Answer the order as it was asked for."""
    return {"OrderStatus": OrderID}


def another(OrderID: str) -> dict[str, str]:
    """Answer something else."""
    return {"Another": OrderID}


WHERE = describe(order_status)


def test_the_decorator_returns_the_function_untouched() -> None:
    """So that a test calls it like any other."""
    callbacks = Callbacks()

    assert callbacks.api_call("order_status")(order_status) is order_status
    assert only(callbacks).function is order_status


def test_a_node_is_named_after_the_function_unless_it_is_chosen() -> None:
    """The name is the last part of the URL."""
    callbacks = Callbacks()

    callbacks.api_call()(order_status)
    callbacks.api_call("where-is.my_order2")(order_status)

    assert [handler.name for handler in callbacks.handlers] == ["order_status", "where-is.my_order2"]


def test_a_call_reaches_the_handler_of_its_node() -> None:
    """Whatever its variables are, and whatever the handler's `when` says."""
    callbacks = Callbacks()
    callbacks.api_call("a", when={"type": "1"})(order_status)
    callbacks.api_call("b")(order_status)

    assert found(callbacks, api_call("a", type="2")) == "a"
    assert found(callbacks, api_call("b", type="1")) == "b"


def test_a_node_without_a_handler_reaches_none() -> None:
    """Not even the one without `when`: the flow asked for something else."""
    callbacks = Callbacks()
    callbacks.api_call("a")(order_status)
    callbacks.api_call("b", when={"type": "1"})(order_status)

    assert found(callbacks, api_call("c", type="1")) is None
    assert found(callbacks, api_call("A")) is None


def test_without_a_node_the_most_specific_handler_is_chosen() -> None:
    """The one with the most variables that all fit, whatever the order of declaration."""
    callbacks = Callbacks()
    callbacks.api_call("one", when={"type": "1"})(order_status)
    callbacks.api_call("three", when={"type": "1", "shop": "tea", "lang": "zh"})(order_status)
    callbacks.api_call("two", when={"type": "1", "shop": "tea"})(order_status)
    callbacks.api_call("plain")(order_status)

    assert found(callbacks, api_call(type="1")) == "one"
    assert found(callbacks, api_call(type="1", shop="tea")) == "two"
    assert found(callbacks, api_call(type="1", shop="tea", lang="zh")) == "three"
    assert found(callbacks, api_call(type="1", shop="coffee", lang="zh")) == "one"


def test_without_a_node_and_a_fitting_when_the_plain_handler_is_chosen() -> None:
    """The one that has no `when`."""
    callbacks = Callbacks()
    callbacks.api_call("one", when={"type": "1"})(order_status)
    callbacks.api_call("plain")(order_status)

    assert found(callbacks, api_call(type="2")) == "plain"
    assert found(callbacks, api_call()) == "plain"


def test_two_plain_handlers_are_told_apart_by_the_node_alone() -> None:
    """Guessing between them would answer one node's question with the other's variables."""
    callbacks = Callbacks()
    callbacks.api_call("a")(order_status)
    callbacks.api_call("b")(order_status)

    assert found(callbacks, api_call()) is None


def test_arguments_are_variables_and_the_call() -> None:
    """A parameter annotated ApiCall takes the whole call, whatever its name; the others are variables."""
    callbacks = Callbacks()

    @callbacks.api_call()
    def handler(OrderID: int, *, ring: ApiCall, Note: str = "none") -> dict[str, object]:
        return {"OrderID": OrderID, "User": ring.user_id, "Note": Note}

    call = api_call("handler", OrderID="1002", SystemClientUserID="user517", ring="a variable of that name", Note="")
    arguments = only(callbacks).bind(call)

    assert arguments == {"OrderID": 1002, "ring": call, "Note": "none"}
    assert handler(**arguments) == {"OrderID": 1002, "User": "user517", "Note": "none"}


def test_a_fallback_is_kept_as_it_will_be_answered() -> None:
    """Its values are converted once, at the declaration; no fallback is not an empty one."""
    callbacks = Callbacks()
    callbacks.api_call("a", fallback={"OrderStatus": None, "Parcels": 0})(order_status)
    callbacks.api_call("b", fallback={})(order_status)
    callbacks.api_call("c")(order_status)

    assert [handler.fallback for handler in callbacks.handlers] == [
        Reply(variables={"OrderStatus": "", "Parcels": "0"}, outcome="fallback"),
        Reply(variables={}, outcome="fallback"),
        None,
    ]


def test_include_takes_in_the_handlers_of_another() -> None:
    """As a router does, in their order, leaving the other as it is."""
    callbacks, orders = Callbacks(), Callbacks()
    callbacks.api_call("a")(order_status)
    orders.api_call("b")(order_status)
    orders.api_call("c", when={"type": "1"})(order_status)

    callbacks.include(orders)

    assert [handler.name for handler in callbacks.handlers] == ["a", "b", "c"]
    assert [handler.name for handler in orders.handlers] == ["b", "c"]
    assert found(callbacks, api_call(type="1")) == "c"


def test_callbacks_may_be_included_twice() -> None:
    """Two modules of one package may each include the same third; a handler is one all the same."""
    first, second, orders = Callbacks(), Callbacks(), Callbacks()
    orders.api_call("a")(order_status)
    first.include(orders)
    second.include(orders)

    second.include(first)
    second.include(second)

    assert [handler.name for handler in second.handlers] == ["a"]


def test_what_is_no_callbacks_cannot_be_included() -> None:
    """The sentence says what came."""
    other: Any = Jobs()

    with pytest.raises(DeclarationError, match=r"^include: expected a Callbacks, got Jobs$"):
        Callbacks().include(other)


def refusal_of(function: Any, *name: Any, **options: Any) -> str:
    """The sentence with which a declaration is refused, after order_status was declared."""
    callbacks = Callbacks()
    callbacks.api_call("taken", when={"type": "1"})(order_status)
    with pytest.raises(DeclarationError) as caught:
        callbacks.api_call(*name, **options)(function)
    assert [handler.name for handler in callbacks.handlers] == ["taken"]
    return str(caught.value)


def test_parentheses_may_be_missing() -> None:
    """Then the node has the function's name."""
    callbacks = Callbacks()

    assert callbacks.api_call(order_status) is order_status
    assert only(callbacks).name == "order_status"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", ".hidden", "-a", "_a", "节点", "a\n", "a" * 65, 5])
def test_a_node_that_cannot_stand_in_a_url_is_refused(name: Any) -> None:
    """It is the last part of the path."""
    assert refusal_of(order_status, name) == (
        f"{WHERE}: the node must match [A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}, got {name!r}; "
        'write for example api_call("order_status")'
    )


def test_a_second_handler_of_a_node_is_refused() -> None:
    """The sentence names both functions and another name."""
    assert refusal_of(another, "taken") == (
        f"{describe(another)}: the node taken already has a handler, {WHERE}; "
        "write another name: @callbacks.api_call('taken_2')"
    )


def test_a_second_handler_with_the_same_when_is_refused() -> None:
    """One of them would never be reached."""
    assert refusal_of(another, when={"type": "1"}) == (
        f"{describe(another)}: when= is the same as that of {WHERE}; add a variable that tells them apart"
    )


def test_including_a_duplicate_is_refused() -> None:
    """As declaring it is."""
    callbacks, orders = Callbacks(), Callbacks()
    callbacks.api_call("a")(order_status)
    orders.api_call("a")(another)

    with pytest.raises(DeclarationError, match=r"the node a already has a handler"):
        callbacks.include(orders)


@pytest.mark.parametrize(
    ("fallback", "reason"),
    [
        ("unknown", "expected a dict, a TypedDict, a pydantic model or None, got str"),
        ({1: "a"}, "expected names of variables as str, got int"),
        ({"a": object()}, "variable 'a': this object has no text"),
        ({"a": float("nan")}, "variable 'a': this float has no text"),
    ],
)
def test_a_fallback_that_cannot_be_answered_is_refused(fallback: Any, reason: str) -> None:
    """It would be found out when it is needed most."""
    assert refusal_of(order_status, fallback=fallback) == (
        f'{WHERE}: fallback= cannot be answered: {reason}; write fallback={{"Status": "unknown"}}'
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


def test_a_second_parameter_for_the_call_is_refused() -> None:
    """One is enough."""

    def handler(call: ApiCall, again: ApiCall) -> None: ...

    assert refusal_of(handler).endswith(": 2 parameters take the whole event; write one, event: ApiCall")


def test_a_misspelt_system_variable_is_refused() -> None:
    """As a parameter it would be missing from each call, as a condition it would never fit."""

    def handler(SystemClientUserId: str) -> None: ...

    assert refusal_of(handler).endswith(
        ": a parameter names 'SystemClientUserId'; write 'SystemClientUserID', as Desk does"
    )
    assert refusal_of(order_status, when={"SystemSesionID": "x"}).endswith(
        ": when= names 'SystemSesionID'; write 'SystemSessionID', as Desk does"
    )
