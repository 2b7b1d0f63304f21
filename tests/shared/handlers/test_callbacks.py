"""The registry of handlers, and which of them an event reaches."""

from typing import Any

import pytest

from deskbell import (
    ApiCall,
    AssignAgent,
    Assignment,
    Callbacks,
    Jobs,
)
from deskbell.testing import api_call, event_of, reply
from shared.errors import DeclarationError
from shared.wire.commands import received
from shared.wire.events import Event
from tests.shared.declared import only_handler, order_status


def found(callbacks: Callbacks, call: ApiCall) -> str | None:
    """The name of the handler that a call reaches."""
    handler = callbacks.find(call)
    return handler.name if handler else None


def of_app(app_id: str, packet: dict[str, Any], node: str = "") -> Event:
    """An event of an app."""
    return received(packet, app_id=app_id, node=node)


def another(OrderID: str) -> dict[str, str]:
    """Answer something else."""
    return {"Another": OrderID}


def test_the_decorator_returns_the_function_untouched() -> None:
    """So that a test calls it like any other."""
    callbacks = Callbacks()

    assert callbacks.api_call("order_status")(order_status) is order_status
    assert only_handler(callbacks).function is order_status


def test_a_node_is_named_after_the_function_unless_it_is_chosen() -> None:
    """The name is the last part of the URL; parentheses may be missing."""
    callbacks = Callbacks()

    assert callbacks.api_call(order_status) is order_status
    callbacks.api_call("where-is.my_order2")(order_status)

    assert [handler.name for handler in callbacks.handlers] == ["order_status", "where-is.my_order2"]


def test_a_call_reaches_the_handler_of_its_node_or_none() -> None:
    """Whatever its variables are, and whatever the handler's `when` says: the flow asked for this node."""
    callbacks = Callbacks()
    callbacks.api_call("a", when={"type": "1"})(order_status)
    callbacks.api_call("b")(order_status)

    assert found(callbacks, api_call("a", type="2")) == "a"
    assert found(callbacks, api_call("b", type="1")) == "b"
    assert found(callbacks, api_call("c", type="1")) is None
    assert found(callbacks, api_call("A")) is None


def test_without_a_node_the_most_specific_handler_is_chosen() -> None:
    """The one with the most variables that all fit, whatever the order of declaration, or the one without `when`."""
    callbacks = Callbacks()
    callbacks.api_call("one", when={"type": "1"})(order_status)
    callbacks.api_call("three", when={"type": "1", "shop": "tea", "lang": "zh"})(order_status)
    callbacks.api_call("two", when={"type": "1", "shop": "tea"})(order_status)
    callbacks.api_call("plain")(order_status)

    assert found(callbacks, api_call(type="1")) == "one"
    assert found(callbacks, api_call(type="1", shop="tea")) == "two"
    assert found(callbacks, api_call(type="1", shop="tea", lang="zh")) == "three"
    assert found(callbacks, api_call(type="1", shop="coffee", lang="zh")) == "one"
    assert found(callbacks, api_call(type="2")) == found(callbacks, api_call()) == "plain"


def test_two_plain_handlers_are_told_apart_by_the_node_alone() -> None:
    """Guessing between them would answer one node's question with the other's variables."""
    callbacks = Callbacks()
    callbacks.api_call("a")(order_status)
    callbacks.api_call("b")(order_status)

    assert found(callbacks, api_call()) is None


@pytest.mark.parametrize("command", AssignAgent.COMMANDS)
def test_both_names_of_agent_routing_reach_it(command: str) -> None:
    """Two pages, one callback (PROTOCOL §3.2)."""
    callbacks = Callbacks()
    callbacks.assign_agent(lambda: None)

    assert callbacks.find(of_app("1", {"CallbackCommand": command.upper()}))


def test_a_handler_limited_to_an_app_goes_before_one_that_is_not() -> None:
    """For one node, and for calls without one."""
    callbacks = Callbacks()
    callbacks.api_call("node", app="1400000001")(lambda: {"who": "one"})
    callbacks.api_call("node")(lambda: {"who": "all"})
    packet = {"CallbackCommand": "Chatbot.InterfaceInvocation"}

    assert reply(callbacks, of_app("1400000001", packet, "node")).variables == {"who": "one"}
    assert reply(callbacks, of_app("1400000002", packet, "node")).variables == {"who": "all"}
    assert reply(callbacks, of_app("1400000001", packet)).variables == {"who": "one"}


def test_a_handler_of_another_app_answers_nothing() -> None:
    """Whatever the node."""
    callbacks = Callbacks()
    callbacks.api_call("node", app=["1400000001", "1400000002"])(lambda: None)
    packet = {"CallbackCommand": "Chatbot.InterfaceInvocation"}

    assert callbacks.find(of_app("1400000003", packet, "node")) is None
    assert callbacks.find(of_app("1400000003", packet)) is None
    assert callbacks.find(of_app("1400000002", packet, "node"))


def test_an_app_goes_before_conditions() -> None:
    """Of all handlers that fit, the one for the app is meant first, then the one with the most conditions."""
    callbacks = Callbacks()
    callbacks.assign_agent(when={"ClientUserId": "vip", "SessionId": "s"})(lambda: Assignment(1))
    callbacks.assign_agent(app="1400000001")(lambda: Assignment(2))
    callbacks.assign_agent(app="1400000001", when={"SessionId": "s"})(lambda: Assignment(3))
    packet = {"CallbackCommand": AssignAgent.COMMANDS[0], "ClientUserId": "vip"}

    assert reply(callbacks, of_app("1400000001", packet)).fields == {"AgentGroupId": 2}
    assert reply(callbacks, of_app("1400000001", packet | {"SessionId": "s"})).fields == {"AgentGroupId": 3}
    assert reply(callbacks, of_app("1400000002", packet | {"SessionId": "s"})).fields == {"AgentGroupId": 1}


def test_a_list_or_an_object_fits_no_condition() -> None:
    """However long it is, it is not written out to be compared."""
    callbacks = Callbacks()
    callbacks.assign_agent(when={"ClientUserId": "[]"})(lambda: Assignment(1))

    assert callbacks.find(event_of(AssignAgent, ClientUserId=[])) is None


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


def test_including_a_duplicate_is_refused() -> None:
    """As declaring it is."""
    callbacks, orders = Callbacks(), Callbacks()
    callbacks.api_call("a")(order_status)
    orders.api_call("a")(another)

    with pytest.raises(DeclarationError, match=r"the node a already has a handler"):
        callbacks.include(orders)
