"""Help for the tests of integrators."""

import time

from shared import ApiCall, Callbacks
from shared.protocol import API_CALL
from shared.testing import api_call, packet


def test_a_packet_is_an_api_call_of_the_present() -> None:
    """Three fields, as PROTOCOL §3.1 has them."""
    before = int(time.time() * 1000)

    made = packet(OrderID="1002")

    assert list(made) == ["CallbackCommand", "Body", "EventTime"]
    assert made["CallbackCommand"] == API_CALL
    assert made["Body"] == {"OrderID": "1002"}
    assert before <= made["EventTime"] <= time.time() * 1000


def test_an_api_call_is_as_a_job_sees_it() -> None:
    """Accepted and answered; its variables and its node are those given."""
    call = api_call("order_status", OrderID="1002", SystemClientUserID="user517")

    assert isinstance(call, ApiCall)
    assert call.node == "order_status"
    assert call.variables == {"OrderID": "1002", "SystemClientUserID": "user517"}
    assert call.user_id == "user517"
    assert call.event_time is not None
    assert call.reply is not None
    assert (call.reply.outcome, call.reply.code, call.reply.variables) == ("answered", 0, {})


def test_a_variable_may_be_called_node() -> None:
    """The node is given by position, so every name is free for a variable."""
    call = api_call("order_status", node="7", self="8")

    assert (call.node, call.variables) == ("order_status", {"node": "7", "self": "8"})


def test_calls_differ() -> None:
    """Two calls are two events, as Desk's would be."""
    assert api_call().id != api_call().id


def test_a_handler_is_called_like_any_function() -> None:
    """The decorator returns it untouched, so no test needs an api."""
    callbacks = Callbacks()

    @callbacks.api_call()
    def order_status(OrderID: int) -> dict[str, int]:
        return {"Next": OrderID + 1}

    assert order_status(1002) == {"Next": 1003}
