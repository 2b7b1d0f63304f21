"""Handlers that hang, and what they must not take from others."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.metrics import Metrics
from api.replies import Replies
from api.threads import THREADS
from shared import ApiCall, Callbacks, Refuse
from shared.errors import ConfigError
from shared.events import Reply
from shared.testing import api_call
from tests.conftest import ApiFactory

PATIENCE = 10


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hung handlers wait at it; it opens at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def hanging(gate: threading.Event, **options: Any) -> Callbacks:
    """A `def` handler that hangs, and one that answers."""
    callbacks = Callbacks()

    @callbacks.api_call("hang", **options)
    def hang() -> dict[str, str]:
        gate.wait(PATIENCE)
        return {}

    @callbacks.api_call("answer")
    def answer() -> dict[str, str]:
        return {"Answer": "yes"}

    return callbacks


async def replies_of(replies: Replies, *calls: ApiCall, seconds: float) -> list[Reply]:
    """The replies to calls that come at once."""
    until = asyncio.get_running_loop().time() + seconds
    return await asyncio.gather(*(replies.reply_to(call, until) for call in calls))


def reply_of(callbacks: Callbacks, *, seconds: float = 0.1, node: str = "node") -> Reply:
    """The reply to one call."""

    async def compute() -> Reply:
        replies = Replies(callbacks, Metrics())
        try:
            return (await replies_of(replies, api_call(node), seconds=seconds))[0]
        finally:
            replies.close()

    return asyncio.run(compute())


def test_when_all_threads_of_a_handler_are_left_behind_its_fallback_answers_at_once(gate: threading.Event) -> None:
    """Another call of it is not begun, whatever time it has; other handlers have threads of their own."""
    metrics = Metrics()

    async def compute() -> tuple[list[Reply], list[str], list[str]]:
        replies = Replies(hanging(gate, fallback={"Status": "unknown"}), metrics)
        before = replies.stuck
        await replies_of(replies, *[api_call("hang")] * THREADS, seconds=0.2)
        stuck = replies.stuck
        at_once = await asyncio.wait_for(
            replies_of(replies, api_call("hang"), api_call("answer"), seconds=3600), PATIENCE
        )
        replies.close()
        return at_once, before, stuck

    (hung, answered), before, stuck = asyncio.run(compute())

    assert (hung.outcome, hung.variables) == ("fallback", {"Status": "unknown"})
    assert answered.variables == {"Answer": "yes"}
    assert (before, stuck) == ([], ["hang"])
    assert f'deskbell_stragglers_total{{handler="hang"}} {THREADS}.0' in metrics.render().decode()
    assert 'deskbell_fallbacks_at_once_total{handler="hang"} 1.0' in metrics.render().decode()


def test_a_handler_that_hangs_in_all_its_threads_does_not_delay_another(gate: threading.Event) -> None:
    """Also before any of its calls is late."""

    async def compute() -> Reply:
        replies = Replies(hanging(gate), Metrics())
        hung = asyncio.create_task(replies_of(replies, *[api_call("hang")] * THREADS * 2, seconds=PATIENCE))
        await asyncio.sleep(0)
        (answered,) = await replies_of(replies, api_call("answer"), seconds=PATIENCE)
        assert not hung.done()
        gate.set()
        await hung
        replies.close()
        return answered

    assert asyncio.run(compute()).variables == {"Answer": "yes"}


def test_readiness_tells_which_handlers_answer_no_more(start_api: ApiFactory, gate: threading.Event) -> None:
    """The status stays 200: a fallback is better than no answer."""
    desk = start_api(hanging(gate), budget_ms=150, redis_timeout_ms=50)
    for _ in range(THREADS):
        assert desk.call("hang").json()["ErrorCode"] == 1008

    answer = desk.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["stuck_handlers"] == ["hang"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_fallback_may_be_a_function_of_the_call(is_async: bool) -> None:
    """`def` or `async def`; it has a tenth of the handler's time."""
    callbacks = Callbacks()

    def plain(call: ApiCall) -> dict[str, str]:
        return {"Node": call.node}

    async def on_the_loop(call: ApiCall) -> dict[str, str]:
        return {"Node": call.node}

    @callbacks.api_call("node", fallback=on_the_loop if is_async else plain)
    async def node() -> None:
        await asyncio.Event().wait()

    reply = reply_of(callbacks, seconds=1.0)

    assert (reply.outcome, reply.code, reply.variables) == ("fallback", 0, {"Node": "node"})


def _raise(_: ApiCall) -> None:
    raise ConfigError("planted")


def _say_nonsense(_: ApiCall) -> Any:
    return 5


async def _hang(_: ApiCall) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("fallback", [_raise, _say_nonsense, _hang])
def test_a_fallback_that_fails_itself_is_none(fallback: Any) -> None:
    """The answer is what it would be without; the log tells of both."""
    callbacks = Callbacks()

    @callbacks.api_call("node", fallback=fallback)
    def node() -> None:
        raise ValueError("planted")

    with capture_logs() as lines:
        reply = reply_of(callbacks)

    assert (reply.outcome, reply.code, reply.variables) == ("failed", 1009, None)
    assert [line["event"] for line in lines] == ["handler_failed", "fallback_failed"]
    assert "planted" not in str(lines)


def test_a_fallback_may_refuse() -> None:
    """As the handler may."""
    callbacks = Callbacks()

    def refuse(_: ApiCall) -> None:
        raise Refuse("closed", code=9)

    @callbacks.api_call("node", fallback=refuse)
    def node() -> None:
        raise ValueError

    assert (reply_of(callbacks).code, reply_of(callbacks).outcome) == (9, "refused")
