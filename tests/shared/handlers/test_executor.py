"""Handlers that hang: they are left behind, and take nothing from others."""

import asyncio
import gc
import inspect
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator
from redis import Redis

from api.metrics import Metrics
from api.monitoring.drift import DriftLog
from deskbell import ApiCall, Callbacks, Refuse
from deskbell.testing import api_call
from shared.errors import ConfigError, VariableError
from shared.handlers import executor as runs
from shared.handlers.executor import THREADS, HandlerExecutor
from shared.handlers.replies import Replies
from shared.redis.queues import EVENTS, queue
from shared.wire.events import Reply
from tests.conftest import ApiFactory
from tests.logged import capture_logs
from tests.shared.handlers.computing import PATIENCE, replies_of, reply_of
from tests.waiting import eventually


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


def test_when_all_threads_of_a_handler_are_left_behind_its_fallback_answers_at_once(gate: threading.Event) -> None:
    """Another call of it is not begun, whatever time it has; other handlers have threads of their own."""
    metrics = Metrics()

    async def compute() -> tuple[list[Reply], list[str], list[str]]:
        replies = Replies(hanging(gate, fallback={"Status": "unknown"}), DriftLog(metrics))
        before = replies.saturated
        while not (stuck := replies.saturated):  # a call that comes too late on a busy machine is not begun
            await replies_of(replies, *[api_call("hang")] * THREADS, seconds=0.2)
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
    """This holds before any of its calls is late, too."""

    async def compute() -> Reply:
        replies = Replies(hanging(gate), DriftLog(Metrics()))
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
    desk = start_api(hanging(gate), budget_ms=2000, redis_timeout_ms=700)
    answer = desk.http.get("/readyz")
    assert answer.json()["status"] == "ready"

    while answer.json()["status"] == "ready":  # a call that comes too late on a busy machine is not begun
        with ThreadPoolExecutor(THREADS) as threads:
            answers = [threads.submit(desk.call, "hang") for _ in range(THREADS)]
        assert {answer.result().json()["ErrorCode"] for answer in answers} == {1008}
        answer = desk.http.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["stuck_handlers"] == ["hang"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_fallback_may_be_a_function_of_the_call(is_async: bool) -> None:
    """`def` or `async def`."""
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
    said = "fallback_late" if fallback is _hang else "fallback_failed"
    assert [line["event"] for line in lines] == ["handler_failed", said]
    assert "planted" not in str(lines)


def test_a_fallback_may_refuse() -> None:
    """A fallback function has the same choice as its handler."""
    callbacks = Callbacks()

    def refuse(_: ApiCall) -> None:
        raise Refuse("closed", code=9)

    @callbacks.api_call("node", fallback=refuse)
    def node() -> None:
        raise ValueError

    assert (reply_of(callbacks).code, reply_of(callbacks).outcome) == (9, "refused")


def test_a_task_that_ignores_its_cancellation_is_a_straggler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted while it lives; at the bound its handler is not begun any more."""
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.0)
    monkeypatch.setattr(runs, "TASKS", 3)
    callbacks = Callbacks()
    ending = threading.Event()

    @callbacks.api_call("hang")
    async def hang() -> None:
        while not ending.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    metrics = Metrics()

    async def compute() -> tuple[list[str], Reply, list[str]]:
        replies = Replies(callbacks, DriftLog(metrics))
        await replies_of(replies, *[api_call("hang")] * 3, seconds=0.05)
        await eventually(lambda: bool(replies.saturated))
        (at_once,) = await asyncio.wait_for(replies_of(replies, api_call("hang"), seconds=3600), PATIENCE)
        stuck = replies.saturated
        ending.set()
        await eventually(lambda: not replies.saturated)
        return stuck, at_once, replies.saturated

    stuck, at_once, after = asyncio.run(compute())

    assert (stuck, after) == (["hang"], [])
    assert at_once.outcome == "out_of_time"
    assert 'deskbell_stragglers_total{handler="hang"} 3.0' in metrics.render().decode()


def test_a_fallback_that_hangs_shows_in_readiness(gate: threading.Event) -> None:
    """Its runs are bounded as the handler's are."""
    callbacks = Callbacks()

    def hang(_: ApiCall) -> None:
        gate.wait(PATIENCE)

    @callbacks.api_call("node", fallback=hang)
    def node() -> None:
        raise ValueError

    async def compute() -> list[str]:
        replies = Replies(callbacks, DriftLog(Metrics()))
        await replies_of(replies, *[api_call("node")] * THREADS, seconds=0.3)
        replies.close()
        return replies.saturated

    assert asyncio.run(compute()) == ["node"]


def test_calls_that_were_given_up_are_not_held_on_to(gate: threading.Event) -> None:
    """While all threads hang, the arguments of a call that waited for one are freed once it is answered."""
    callbacks = Callbacks()
    arguments: weakref.WeakSet[Argument] = weakref.WeakSet()

    def convert(_: str) -> Argument:
        argument = Argument()
        arguments.add(argument)
        return argument

    @callbacks.api_call("hang")
    def hang(OrderID: Annotated[str, AfterValidator(convert)]) -> None:
        assert OrderID
        gate.wait(PATIENCE)

    async def compute() -> int:
        replies = Replies(callbacks, DriftLog(Metrics()))
        await replies_of(replies, *(api_call("hang", OrderID="1") for _ in range(THREADS * 3)), seconds=0.2)
        gc.collect()
        replies.close()
        return len(arguments)

    assert asyncio.run(compute()) == THREADS


class Argument:
    """What a variable is converted to."""


@pytest.mark.parametrize("is_function", [False, True])
def test_the_fallback_function_has_the_last_tenth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, is_function: bool
) -> None:
    """The handler is given up so much earlier; without such a fallback it has all of it."""
    callbacks = Callbacks()
    limits: list[float] = []
    run = HandlerExecutor.run

    async def note_limit(executor: HandlerExecutor, until: float, *given: Any, **named: Any) -> Any:
        limits.append(until)
        return await run(executor, until, *given, **named)

    monkeypatch.setattr(HandlerExecutor, "run", note_limit)

    @callbacks.api_call("node", fallback=(lambda _: {}) if is_function else {})
    async def node() -> None: ...

    async def compute() -> float:
        until = asyncio.get_running_loop().time() + PATIENCE
        await Replies(callbacks, DriftLog(Metrics())).reply_to(api_call("node"), until, until)
        return until

    until = asyncio.run(compute())

    assert (limits[0] < until) is is_function


def test_whatever_a_function_does_to_its_event_what_is_kept_is_the_packet_as_it_came(
    redis: Redis, start_api: ApiFactory
) -> None:
    """Handlers, their fallbacks and converted variables all see a copy."""
    callbacks = Callbacks()

    def spoil(call: ApiCall) -> dict[str, str]:
        call.raw["Body"].clear()
        call.raw["Injected"] = object()
        return {}

    @callbacks.api_call("node", fallback=spoil)
    def node(call: ApiCall, Given: list[Any]) -> None:
        Given.append("spoilt")
        spoil(call)
        raise ValueError

    assert start_api(callbacks).call("node", Given=["kept"]).status_code == 200

    (job,) = queue(EVENTS, redis).jobs
    assert job.args[0]["packet"]["Body"] == {"Given": ["kept"]}
    assert "Injected" not in job.args[0]["packet"]


def test_what_a_handler_raises_is_its_failure_whatever_it_is_called() -> None:
    """A VariableError of its own is no misfit: its text is not for Desk."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    def node() -> None:
        raise VariableError("planted \ud800")

    reply = reply_of(callbacks, seconds=PATIENCE)

    assert (reply.code, reply.info) == (1009, "the handler failed")


def test_an_answer_that_is_too_large_is_none() -> None:
    """It would be remembered as well."""
    callbacks = Callbacks()
    callbacks.api_call("node")(lambda: {"Text": "x" * 300_000})

    assert reply_of(callbacks, seconds=PATIENCE).code == 1009


def test_a_coroutine_that_comes_too_late_is_closed(gate: threading.Event) -> None:
    """Nobody awaits it any more, and Python reports one that nobody has closed."""
    made: list[Any] = []
    callbacks = Callbacks()

    async def inner() -> None: ...

    @callbacks.api_call("node")
    def late() -> Any:
        gate.wait(PATIENCE)
        made.append(inner())
        return made[0]

    async def compute() -> str:
        replies = Replies(callbacks, DriftLog(Metrics()))
        (reply,) = await replies_of(replies, api_call("node"), seconds=0.1)
        gate.set()
        await eventually(lambda: made and inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED)
        replies.close()
        return reply.outcome

    assert asyncio.run(compute()) == "out_of_time"
