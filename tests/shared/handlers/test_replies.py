"""Handlers under their deadline."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import AfterValidator

from api.metrics import Metrics
from api.monitoring.drift import DriftLog
from deskbell import Callbacks, Refuse
from deskbell.testing import api_call
from shared.errors import PacketError
from shared.handlers.replies import Replies
from shared.wire.events import Event, Reply
from tests.hostile_exceptions import HOSTILE, IDS
from tests.logged import capture_logs


def reply_of(callbacks: Callbacks, event: Event, seconds: float = 5.0) -> Reply:
    """The reply to an event, the handler given up after some seconds."""

    async def compute() -> Reply:
        replies = Replies(callbacks, DriftLog(Metrics()))
        try:
            until = asyncio.get_running_loop().time() + seconds
            return await replies.reply_to(event, until, until)
        finally:
            replies.close()

    return asyncio.run(compute())


def test_an_async_handler_runs_on_the_event_loop_and_a_plain_one_beside_it() -> None:
    """`async def` shares the loop's thread; `def` may block, so it does not."""
    callbacks = Callbacks()

    @callbacks.api_call("on_the_loop")
    async def on_the_loop() -> dict[str, bool]:
        return {"Main": threading.current_thread() is threading.main_thread()}

    @callbacks.api_call("beside")
    def beside() -> dict[str, bool]:
        return {"Main": threading.current_thread() is threading.main_thread()}

    assert reply_of(callbacks, api_call("on_the_loop")).variables == {"Main": "true"}
    assert reply_of(callbacks, api_call("beside")).variables == {"Main": "false"}


def _swallow(callbacks: Callbacks, **options: Any) -> None:
    @callbacks.api_call("late", **options)
    async def late() -> dict[str, str]:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await asyncio.sleep(0.2)
                return {"too": "late"}


def _wait(callbacks: Callbacks, **options: Any) -> None:
    @callbacks.api_call("late", **options)
    async def late() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}


def _block(callbacks: Callbacks, **options: Any) -> None:
    @callbacks.api_call("late", **options)
    def late() -> dict[str, str]:
        threading.Event().wait(0.5)
        return {"too": "late"}


@pytest.mark.parametrize("declare", [_swallow, _wait, _block])
def test_a_late_handler_is_given_up(declare: Callable[..., None]) -> None:
    """One that waits, one that swallows its cancellation, one that blocks its thread: out of time, 1008."""
    callbacks = Callbacks()
    declare(callbacks)

    reply = reply_of(callbacks, api_call("late"), seconds=0.05)

    assert (reply.code, reply.outcome, reply.variables) == (1008, "out_of_time", None)


def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    """A call that comes late to its handler falls back at once."""
    callbacks = Callbacks()
    _wait(callbacks)

    reply = reply_of(callbacks, api_call("late"), seconds=-1)

    assert reply.code == 1008


@pytest.mark.parametrize(
    "error",
    [
        ValueError,
        TimeoutError,
        PacketError,
        StopIteration,
        asyncio.CancelledError,
        concurrent.futures.CancelledError,
        concurrent.futures.InvalidStateError,
        GeneratorExit,
        SystemExit,
        KeyboardInterrupt,
        BaseException,
    ],
)
def test_whatever_a_handler_raises_is_a_failure_of_the_handler(error: type[BaseException]) -> None:
    """1009, also for what would end the process or be taken for a cancelled request, on the loop and in a thread.

    The log says what was raised and where, and neither what stood in for it nor Deskbell's own frames.
    """
    callbacks = Callbacks()

    @callbacks.api_call("plain")
    def plain() -> dict[str, str]:
        raise error

    @callbacks.api_call("on_the_loop")
    async def on_the_loop() -> dict[str, str]:
        raise error

    for node in ("plain", "on_the_loop"):
        with capture_logs() as lines:
            reply = reply_of(callbacks, api_call(node))
        assert (reply.code, reply.info, reply.outcome) == (1009, "the handler failed", "failed")
        [line] = lines
        assert (line["event"], line["error"]) == ("handler_failed", error.__name__)
        assert [frame.rpartition(" ")[2] for frame in line["where"]] == [node]


@pytest.mark.parametrize("result", ["text", 5, ["a"], {"a": object()}, {1: "a"}, {"a": float("nan")}])
def test_a_result_that_cannot_become_variables_is_a_failure(result: object) -> None:
    """1009; the log says what a handler may return."""
    callbacks = Callbacks()

    @callbacks.api_call("odd")
    def odd() -> object:
        return result

    assert reply_of(callbacks, api_call("odd")).code == 1009


@pytest.mark.parametrize("error", [KeyError, SystemExit, asyncio.CancelledError])
def test_a_converter_that_raises_is_a_failure_of_the_handler(error: type[BaseException]) -> None:
    """An integrator's own validator may raise anything: the fallback answers, or 1009."""
    callbacks = Callbacks()

    def explode(_: str) -> str:
        raise error("secret")

    @callbacks.api_call("explodes")
    def explodes(Name: Annotated[str, AfterValidator(explode)]) -> dict[str, str]:
        return {"Name": Name}

    assert reply_of(callbacks, api_call("explodes", Name="a")).code == 1009


class Leaving(dict[str, str]):
    """A result, or a message, that ends the process when it is read in a way that the answer does not need."""

    def __contains__(self, _: object) -> bool:
        raise SystemExit

    def __str__(self) -> str:
        raise SystemExit


class Status(TypedDict):
    Status: str


def test_a_result_that_raises_when_it_is_compared_with_what_is_declared_is_answered() -> None:
    """The comparison is for the log."""
    callbacks = Callbacks()

    @callbacks.api_call("odd")
    def odd() -> Status:
        return Leaving(Status="shipped")  # type: ignore[return-value]  # that is the point

    with capture_logs() as lines:
        reply = reply_of(callbacks, api_call("odd"))

    assert reply.variables == {"Status": "shipped"}
    assert lines[0]["problems"] == ["it cannot be checked (SystemExit)"]


def test_a_refusal_whose_words_cannot_be_read_is_one_without_words() -> None:
    """The decision stands."""
    callbacks = Callbacks()

    class Silent(Refuse):
        @property
        def message(self) -> Any:
            return Leaving()

        @message.setter
        def message(self, _: str) -> None: ...

    @callbacks.api_call("refuses")
    def refuses() -> None:
        raise Silent("closed", code=7)

    reply = reply_of(callbacks, api_call("refuses"))

    assert (reply.code, reply.info, reply.outcome) == (7, "", "refused")


@pytest.mark.parametrize("message", ["half \ud800 of a pair", ValueError("not text")])
def test_a_refusal_is_answered_whatever_its_message_is(message: str) -> None:
    """What cannot be sent is replaced; an exception passed as the message is its text."""
    callbacks = Callbacks()

    @callbacks.api_call("refuses")
    def refuses() -> dict[str, str]:
        raise Refuse(message, code=7)

    reply = reply_of(callbacks, api_call("refuses"))

    assert (reply.code, reply.outcome) == (7, "refused")
    assert reply.info in ("half ? of a pair", "not text")
    assert reply.envelope


@pytest.mark.parametrize("code", [0, True, "7", 1.5, None])
def test_a_refusal_with_a_code_that_is_none_is_a_failure(code: Any) -> None:
    """0 would say success."""
    callbacks = Callbacks()

    @callbacks.api_call("refuses")
    def refuses() -> dict[str, str]:
        raise Refuse("no", code=code)

    assert reply_of(callbacks, api_call("refuses")).code == 1009


class Odd(Refuse):
    """Passes its arguments on to the class above it, or nothing."""

    def __init__(self, *given: Any) -> None:
        if given:
            self.code, self.message = given


@pytest.mark.parametrize(
    "given", [(), (0, {"a": 1}), ("x", "\ud800"), (1 << 20_000, 5), (True, None)], ids=["nothing", *"0123"]
)
def test_a_refusal_of_ones_own_class_is_a_refusal(given: tuple[Any, ...]) -> None:
    """Without a message and a code that can be answered it has those of every other: never a success, nor a failure."""
    callbacks = Callbacks()

    @callbacks.api_call("refuses")
    def refuses() -> None:
        raise Odd(*given)

    reply = reply_of(callbacks, api_call("refuses"))

    assert (reply.code, reply.outcome) == (1, "refused")
    assert reply.envelope


@pytest.mark.parametrize("kind", HOSTILE, ids=IDS)
def test_a_handler_whose_exception_cannot_be_read_has_failed(kind: type[Exception]) -> None:
    """It is answered and logged as any other."""
    callbacks = Callbacks()

    @callbacks.api_call("fails")
    async def fails() -> None:
        raise kind

    with capture_logs() as lines:
        reply = reply_of(callbacks, api_call("fails"))

    assert (reply.code, reply.outcome) == (1009, "failed")
    assert [line["event"] for line in lines] == ["handler_failed"]
