"""Departures from a node's contract, in production: counted, and logged once."""

from typing import TypedDict

import pytest

from deskbell import ApiCall, Callbacks
from shared.drift import input_drift
from shared.wire.protocol import RECEIPT
from tests.conftest import ApiFactory
from tests.logged import capture_logs
from tests.shared.declared import handler_of


class Status(TypedDict):
    OrderStatus: str


def order_status() -> Callbacks:
    """A handler with one input and one declared output, which answers two."""
    callbacks = Callbacks()

    @callbacks.api_call
    def order_status(OrderID: str) -> Status:
        return {"OrderStatus": OrderID, "Carrier": "SF"}  # type: ignore[typeddict-unknown-key]  # the slip under test

    return callbacks


def test_an_undeclared_output_is_answered_and_logged_once(start_api: ApiFactory) -> None:
    """The flow may need it; the log says what to declare, and no value."""
    desk = start_api(order_status())

    with capture_logs() as lines:
        answers = [desk.call("order_status", OrderID="planted").json()["Body"] for _ in range(3)]

    assert answers == [{"OrderStatus": "planted", "Carrier": "SF"}] * 3
    told = [line for line in lines if line["event"] == "undeclared_output"]
    assert [(line["node"], line["problems"]) for line in told] == [("order_status", ["Carrier is not declared"])]
    assert "planted" not in str(told)


def test_drift_is_counted_for_each_call_and_logged_once(start_api: ApiFactory) -> None:
    """By node, missing and undeclared apart; names are shown in ASCII, values never."""
    desk = start_api(order_status())

    with capture_logs() as lines:
        for _ in range(3):
            desk.call("order_status", **{"Order\nid": "planted"})
        desk.call("order_status", OrderID="1")

    told = [line for line in lines if line["event"] == "drift"]
    assert [(line["kind"], line["variables"]) for line in told] == [
        ("missing", ["OrderID"]),
        ("undeclared", ["Order\\nid"]),
    ]
    assert "planted" not in str(told)
    metrics = desk.http.get("/metrics").text
    assert 'deskbell_drift_total{kind="missing",node="order_status"} 3.0' in metrics
    assert 'deskbell_drift_total{kind="undeclared",node="order_status"} 3.0' in metrics


def test_callbacks_and_refusals_are_counted(start_api: ApiFactory) -> None:
    """By outcome and by cause."""
    desk = start_api(order_status())
    desk.call("order_status", OrderID="1")
    desk.call("nowhere")
    desk.post({"CallbackCommand": "A"}, Sign="0")
    desk.http.post("/elsewhere/callback")
    desk.http.get("/callback")

    metrics = desk.http.get("/metrics").text

    assert 'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="answered"} 1.0' in metrics
    assert 'deskbell_callbacks_total{command="Chatbot.InterfaceInvocation",outcome="no_handler"} 1.0' in metrics
    assert 'deskbell_refused_total{cause="sign_wrong"} 1.0' in metrics
    assert 'deskbell_refused_total{cause="not_a_post"} 1.0' in metrics
    assert "deskbell_answer_seconds_count 2.0" in metrics


def test_a_call_that_no_handler_takes_is_logged_with_the_handler_to_write(start_api: ApiFactory) -> None:
    """Once for each set of names; names of variables, never values."""
    desk = start_api(order_status())

    with capture_logs() as lines:
        answers = [desk.call("order_statu", OrderID="planted") for _ in range(3)]
        desk.call("order_statu", Order="planted")

    assert [answer.json()["ErrorCode"] for answer in answers] == [1006] * 3
    first, second = [line for line in lines if line["event"] == "no_handler"]
    assert first["write"].startswith('@callbacks.api_call("order_statu")\nasync def order_statu(OrderID: str)')
    assert "(Order: str)" in second["write"]
    assert "planted" not in str(lines)


def test_a_call_without_a_node_that_no_handler_takes_gets_the_receipt_and_the_same_line(start_api: ApiFactory) -> None:
    """Jobs may be all that it is for."""
    desk = start_api()

    with capture_logs() as lines:
        answer = desk.call(Tier="gold")

    assert answer.content == RECEIPT
    (line,) = [line for line in lines if line["event"] == "no_handler"]
    assert line["write"].startswith("@callbacks.api_call\nasync def answer(Tier: str)")


def test_each_node_has_its_own_lines_and_a_limit(start_api: ApiFactory) -> None:
    """A node that is sent ever new names is logged twenty times, and hides no other's drift."""
    callbacks = order_status()
    callbacks.api_call("other")(_takes_nothing)
    desk = start_api(callbacks)

    with capture_logs() as lines:
        for number in range(30):
            desk.call("order_status", OrderID="1", **{f"n{number}": "x"})
        desk.call("other", Extra="1")

    told = [line for line in lines if line["event"] == "drift"]
    assert [line["node"] for line in told] == ["order_status"] * 20 + ["other"]
    assert told[19]["note"] == "further ones are not logged"


def _takes_nothing() -> dict[str, str]:
    return {}


def test_a_handler_for_an_unknown_app_is_logged_at_the_start(start_api: ApiFactory) -> None:
    """It would never be called."""
    callbacks = Callbacks()
    callbacks.api_call("node", app="1400000009")(_takes_nothing)

    with capture_logs() as lines:
        start_api(callbacks)

    assert [(line["handler"], line["app"]) for line in lines if line["event"] == "unknown_app"] == [
        ("node", ["1400000009"])
    ]


@pytest.mark.parametrize(
    ("given", "missing", "undeclared"),
    [
        ({"OrderID": "1", "Tier": "", "type": "1"}, [], []),
        ({"OrderID": "1", "type": "1"}, [], []),
        ({"OrderID": "1", "Tier": "", "type": "1", "Extra": "1"}, [], ["Extra"]),
        ({"OrderID": "1", "Tier": "", "type": "1", "SystemSessionID": "s"}, [], []),
        ({}, ["OrderID", "type"], []),
    ],
)
def test_drift_is_what_a_call_lacks_and_what_nobody_declared(
    given: dict[str, str], missing: list[str], undeclared: list[str]
) -> None:
    """A variable without a value is no drift, nor an optional one left out; nor are fixed and system variables."""

    def function(OrderID: int, Tier: str = "") -> None: ...

    assert input_drift(handler_of(function, when={"type": "1"}), given) == (missing, undeclared)


def test_a_handler_that_takes_the_whole_call_declares_all_of_it() -> None:
    """It may read any variable."""

    def function(call: ApiCall) -> None: ...

    assert input_drift(handler_of(function), {"Any"}) == ([], [])
