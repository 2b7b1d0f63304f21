"""Replies as Desk would get them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypedDict

import pytest

from deskbell import ApiCall, Callbacks, Refuse, SessionEvent
from deskbell.testing import api_call, async_reply, event_of, reply
from shared.errors import DeskbellError, LifespanError, ResultError

PATIENCE = 30


def with_fallback(handler: Callable[..., Any], fallback: Any = None) -> Callbacks:
    """The handlers of an integrator who has one."""
    callbacks = Callbacks()
    callbacks.api_call("node", fallback=fallback)(handler)
    return callbacks


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


def test_what_handlers_share_is_opened_on_the_loop_that_runs_them() -> None:
    """Each reply has its lifespans around it; one that does not start fails the test."""
    opened: list[asyncio.AbstractEventLoop] = []

    async def handler() -> dict[str, bool]:
        return {"Same": asyncio.get_running_loop() is opened[-1]}

    callbacks = with_fallback(handler)

    @callbacks.lifespan
    async def pool() -> AsyncIterator[None]:
        opened.append(asyncio.get_running_loop())
        yield
        opened.clear()

    assert reply(callbacks, api_call("node"), seconds=PATIENCE).variables == {"Same": "true"}
    assert opened == []

    @callbacks.lifespan
    async def missing() -> AsyncIterator[None]:
        raise OSError("planted")
        yield

    with pytest.raises(LifespanError, match="OSError: planted"):
        reply(callbacks, api_call("node"))
