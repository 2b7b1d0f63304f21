"""Help for the tests of integrators."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, TypedDict
from urllib.parse import parse_qsl

import pytest

from deskbell import ApiCall, C2CSignal, Callbacks, OtherEvent, Refuse, SessionEvent, TaskFlowEvent
from deskbell.testing import api_call, async_reply, event_of, packet, reply, signed_query
from shared.errors import DeclarationError, DeskbellError, ResultError
from shared.wire.events import Event
from shared.wire.protocol import API_CALL

APP = "1400000001"
PATIENCE = 30


def with_fallback(handler: Callable[..., Any], fallback: Any = None) -> Callbacks:
    """The handlers of an integrator who has one."""
    callbacks = Callbacks()
    callbacks.api_call("node", fallback=fallback)(handler)
    return callbacks


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


def test_a_handler_that_is_late_is_late_in_a_test() -> None:
    """As in production, where its fallback answers, or 1008."""
    gate = threading.Event()

    async def hang() -> None:
        await asyncio.sleep(PATIENCE)

    def block() -> None:
        gate.wait(PATIENCE)

    for late in (hang, block):
        fallen = reply(with_fallback(late, {"Status": "unknown"}), api_call("node"), seconds=0.05)
        failed = reply(with_fallback(late), api_call("node"), seconds=0.05)

        assert (fallen.outcome, fallen.code, fallen.variables) == ("fallback", 0, {"Status": "unknown"})
        assert (failed.outcome, failed.code, failed.variables) == ("out_of_time", 1008, None)
    gate.set()


def test_a_handler_has_the_time_that_the_settings_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget less what is reserved for keeping the event."""
    monkeypatch.setenv("DESKBELL_BUDGET_MS", "150")
    monkeypatch.setenv("DESKBELL_REDIS_TIMEOUT_MS", "40")

    async def hang() -> None:
        await asyncio.sleep(PATIENCE)

    assert reply(with_fallback(hang), api_call("node")).outcome == "out_of_time"


def test_a_handler_that_fails_is_answered_and_its_traceback_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """The test sees what Desk would see, its author what went wrong."""

    def fail() -> None:
        raise RuntimeError("planted")

    answer = reply(with_fallback(fail), api_call("node"), seconds=PATIENCE)

    assert (answer.outcome, answer.code) == ("failed", 1009)
    shown = capfd.readouterr().out
    assert "RuntimeError: planted" in shown
    assert "During handling" not in shown


def test_a_refusal_a_misfit_and_a_missing_handler_have_their_codes() -> None:
    """Those that Desk gets."""

    def refuse(OrderID: int) -> None:
        raise Refuse("no such order", code=OrderID)

    callbacks = with_fallback(refuse, {"Status": "unknown"})

    refused = reply(callbacks, api_call("node", OrderID="7"))
    misfit = reply(callbacks, api_call("node", OrderID="x"))
    nobody = reply(callbacks, api_call("nod", OrderID="7"))
    receipt = reply(callbacks, event_of(SessionEvent))

    assert (refused.outcome, refused.code, refused.info) == ("refused", 7, "no such order")
    assert (misfit.outcome, misfit.code, misfit.info) == ("misfit", 1007, "OrderID does not fit (int_parsing)")
    assert (nobody.outcome, nobody.code) == ("no_handler", 1006)
    assert (receipt.outcome, receipt.code) == ("receipt", 0)


def test_the_handler_sees_the_event_unanswered() -> None:
    """Its reply is what is being computed."""

    def handler(call: ApiCall) -> dict[str, bool]:
        return {"Answered": call.reply is not None}

    assert reply(with_fallback(handler), api_call("node")).variables == {"Answered": "false"}


class Status(TypedDict):
    OrderStatus: str


def test_a_result_that_departs_from_the_outputs_is_refused_in_a_test() -> None:
    """Also a fallback's; the api answers it and logs."""

    def departs() -> Status:
        return {"Other": "x"}  # type: ignore[typeddict-unknown-key,typeddict-item]  # the slip under test

    def fails() -> Status:
        raise RuntimeError

    expected = "^node: Other is not declared; node: OrderStatus is declared and missing$"
    with pytest.raises(ResultError, match=expected):
        reply(with_fallback(departs), api_call("node"))
    with pytest.raises(ResultError, match=expected):
        reply(with_fallback(fails, lambda _: {"Other": "x"}), api_call("node"))


def test_an_async_test_has_a_reply_of_its_own() -> None:
    """On its own loop, since its fixtures may belong to that; the other says so."""

    async def test() -> None:
        loop = asyncio.get_running_loop()

        async def handler() -> dict[str, bool]:
            return {"Same": asyncio.get_running_loop() is loop}

        callbacks = with_fallback(handler)

        assert (await async_reply(callbacks, api_call("node"), seconds=PATIENCE)).variables == {"Same": "true"}
        with pytest.raises(DeskbellError, match="write await async_reply"):
            reply(callbacks, api_call("node"))

    asyncio.run(test())


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
