"""What a handler or its fallback returns is awaited, in the handler's time, and cancelled with it."""

import asyncio
import contextvars
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from api.metrics import Metrics
from api.monitoring.drift import DriftLog
from deskbell import ApiCall, Callbacks
from deskbell.testing import api_call
from shared.handlers.executor import HandlerExecutor
from shared.handlers.replies import Replies
from shared.raised import StandInError
from shared.wire.events import Reply
from tests.shared.declared import timed
from tests.shared.handlers.computing import PATIENCE, replies_of, reply_of

STATE: contextvars.ContextVar[str] = contextvars.ContextVar("state", default="unset")


def test_what_a_handler_returns_is_awaited() -> None:
    """On the event loop, in the context of the wrapper; also when that, awaited, gives something to await."""
    callbacks = Callbacks()

    async def inner() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"State": STATE.get(), "Loop": str(asyncio.get_running_loop().is_running())}

    async def outer() -> Any:
        return inner()

    @callbacks.api_call("node")
    @functools.wraps(outer)
    def wrapper() -> Any:
        STATE.set("set")
        return outer()

    assert reply_of(callbacks, seconds=PATIENCE).variables == {"State": "set", "Loop": "True"}


def test_what_a_handler_hands_to_an_executor_is_awaited() -> None:
    """The future is a concurrent.futures one, none of asyncio's."""
    callbacks = Callbacks()
    with ThreadPoolExecutor() as executor:

        @callbacks.api_call("node")
        def handler() -> Any:
            return executor.submit(lambda: {"State": "looked up"})

        assert reply_of(callbacks, seconds=PATIENCE).variables == {"State": "looked up"}


def test_what_a_fallback_returns_is_awaited() -> None:
    """A fallback may be wrapped like a handler."""

    async def later(_: ApiCall) -> dict[str, str]:
        return {"From": "the fallback"}

    callbacks = Callbacks()

    @callbacks.api_call("node", fallback=timed(later))
    async def fail() -> dict[str, str]:
        raise RuntimeError

    assert reply_of(callbacks, seconds=PATIENCE).variables == {"From": "the fallback"}


def test_what_is_awaited_has_the_handlers_time() -> None:
    """It is cancelled when that is over."""
    cancelled = threading.Event()
    callbacks = Callbacks()

    @callbacks.api_call("node", fallback={"Status": "unknown"})
    @timed
    async def hang() -> dict[str, str]:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            cancelled.set()
        return {}

    assert reply_of(callbacks).outcome == "fallback"
    assert cancelled.wait(PATIENCE)


def test_a_handlers_own_time_out_ends_what_it_waits_for_and_nothing_else() -> None:
    """It belongs to the task that the handler began in, and may go off when the handler has waited before."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    async def node() -> dict[str, str]:
        status = "found"
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(0)
                await asyncio.sleep(PATIENCE)
        except TimeoutError:
            status = "late"
        await asyncio.sleep(0)
        return {"Status": status}

    assert reply_of(callbacks, seconds=PATIENCE).variables == {"Status": "late"}


def test_a_time_out_that_a_handler_lets_pass_is_its_failure() -> None:
    """It is not the end of the handler's time."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    async def node() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(PATIENCE)

    assert reply_of(callbacks, seconds=PATIENCE).outcome == "failed"


def test_waiting_for_what_is_cancelled_is_a_failure_of_the_handler_alone() -> None:
    """Whether it waited before or not, its callback is not cancelled."""
    callbacks = Callbacks()

    @callbacks.api_call("node")
    async def node() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    @callbacks.api_call("at_once")
    async def at_once() -> None:
        raise asyncio.CancelledError

    assert reply_of(callbacks, seconds=PATIENCE).outcome == "failed"
    assert reply_of(callbacks, seconds=PATIENCE, node="at_once").outcome == "failed"


def test_a_handler_that_cancels_its_own_task_does_not_cancel_its_callback() -> None:
    """They have one task, but what the callback waits for afterwards goes on: it is answered, and its event kept."""

    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    async def call() -> int:
        executor = HandlerExecutor(cancel_itself, "node", lambda: None)
        with suppress(StandInError):  # Python 3.13 lets it go on
            await executor.run(asyncio.get_running_loop().time() + PATIENCE)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task
        return task.cancelling()

    assert asyncio.run(call()) == 0


def test_a_callback_that_is_cancelled_cancels_its_handler() -> None:
    """As when the process must end; the task has its own name again."""
    cancelled = False

    async def hang() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled = True
            raise

    async def cancel() -> str:
        executor = HandlerExecutor(hang, "hang", lambda: None)
        task = asyncio.create_task(executor.run(asyncio.get_running_loop().time() + PATIENCE), name="callback")
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.get_name()

    assert asyncio.run(cancel()) == "callback"
    assert cancelled


def test_a_coroutine_that_goes_on_when_its_time_is_over_runs_to_its_end() -> None:
    """It is left behind, whatever it waits for then; the callback is answered without it."""
    ended = asyncio.Event()
    callbacks = Callbacks()

    @callbacks.api_call("node", fallback={"Status": "unknown"})
    async def node() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(PATIENCE)
            ended.set()

    async def compute() -> Reply:
        replies = Replies(callbacks, DriftLog(Metrics()))
        (reply,) = await replies_of(replies, api_call("node"), seconds=0.05)
        assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), PATIENCE)
        return reply

    assert asyncio.run(compute()).outcome == "fallback"
