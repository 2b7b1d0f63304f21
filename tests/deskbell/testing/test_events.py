"""Events, packets and queries as tests make them."""

import time
import uuid
from urllib.parse import parse_qsl

import pytest

from deskbell import ApiCall, C2CSignal, OtherEvent, SessionEvent, TaskFlowEvent
from deskbell.testing import api_call, event_of, packet, signed_query
from shared.errors import DeclarationError
from shared.wire.events import Event
from shared.wire.protocol import API_CALL

APP = "1400000001"


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


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        (SessionEvent, "Evnt", "Event"),
        (C2CSignal, "user_id", "From_Account"),
        (TaskFlowEvent, "ExecutionID", "ExecutionId"),
    ],
)
def test_a_misspelt_field_is_refused(kind: type[Event], wrong: str, right: str) -> None:
    """With the nearest one; the test would pass for an event that nobody sends."""
    with pytest.raises(DeclarationError) as refused:
        event_of(kind, **{wrong: "x"})

    assert str(refused.value) == f"event_of: a field names {wrong!r}; write {right!r}, as the packet does"


def test_a_misspelt_system_variable_is_refused() -> None:
    """A handler would not get it, and its test would not say why."""
    with pytest.raises(DeclarationError, match="'SystemClientUserId'; write 'SystemClientUserID', as Desk does"):
        api_call("order_status", SystemClientUserId="user517")


def test_a_field_that_no_page_lists_is_kept() -> None:
    """Tencent may add some."""
    assert event_of(TaskFlowEvent, NextNodeName="x").raw["NextNodeName"] == "x"
    assert event_of(OtherEvent, Anything="x").raw["Anything"] == "x"


def test_an_api_call_is_made_by_its_own_function() -> None:
    """It has variables, not fields."""
    with pytest.raises(DeclarationError, match=r"write api_call\("):
        event_of(ApiCall, OrderID="1002")


def test_a_query_is_signed_as_tencent_signs() -> None:
    """The fields of PROTOCOL §1 and §2; RequestTime in whole seconds."""
    query = dict(parse_qsl(signed_query(APP, "xxxxyyyy", API_CALL, now=1669872112.9)))

    request_id = query.pop("RequestID")

    assert str(uuid.UUID(request_id)) == request_id
    assert query == {
        "SdkAppid": APP,
        "CallbackCommand": API_CALL,
        "contenttype": "json",
        "ClientIP": "127.0.0.1",
        "OptPlatform": "Web",
        "Sign": "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061",
        "RequestTime": "1669872112",
    }


def test_a_query_without_a_token_is_not_signed() -> None:
    """Callbacks may come without `Sign` (PROTOCOL §2)."""
    query = dict(parse_qsl(signed_query(APP, None, API_CALL)))

    assert not {"Sign", "RequestTime"} & set(query)


def test_a_query_is_signed_for_the_present_and_never_twice_the_same() -> None:
    """Two queries are two deliveries."""
    before = int(time.time())

    queries = [dict(parse_qsl(signed_query(APP, "t", API_CALL))) for _ in range(2)]

    assert all(before <= int(query["RequestTime"]) <= time.time() for query in queries)
    assert queries[0]["RequestID"] != queries[1]["RequestID"]
