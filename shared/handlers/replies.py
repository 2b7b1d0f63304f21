"""The reply to an event: the integrator's handler, run until a deadline that it cannot move.

1. The handler for the event is found; without one the receipt is sent, or 1006 for a node that nobody answers.
2. Its arguments are made of the variables; one that is missing or does not fit is 1007.
3. It runs (`shared.handlers.executor`) until its time is over; when too many of its runs were left behind, it is not
   begun.
4. Its result becomes the answer. If it failed or was late, its fallback does; without one it is 1008 or 1009.
5. With `late=` a ticket goes out beside it, or the word that none is needed (`shared.handlers.late`).
"""

import asyncio
import functools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from shared.errors import Refuse, ResultError, VariableError
from shared.handlers.callbacks import Callbacks
from shared.handlers.executor import HandlerExecutor, guarded_call
from shared.handlers.handler import Handler
from shared.handlers.steps import LateError
from shared.logs import get_log
from shared.traces.spans import handled
from shared.wire.codes import Code
from shared.wire.commands import ApiCall
from shared.wire.events import Event, Outcome, Reply

_MOST_CHARACTERS = 262_144  # of an answer beside its envelope; PROTOCOL §3.1 knows no limit
_FALLBACK_SHARE = 0.1  # of the handler's time, for a fallback that is a function
_LEAST_SECONDS = 0.05  # for such a fallback when the loop was blocked, and the time is over

_NO_HANDLER = Reply(code=Code.NO_HANDLER.number, info="no handler for this node", outcome="no_handler")
_LATE = Reply(code=Code.OUT_OF_TIME.number, info="out of time", outcome="out_of_time")
_FAILED = Reply(code=Code.HANDLER_FAILED.number, info="the handler failed", outcome="failed")


class Monitor(Protocol):
    """Observes what happens while replies are computed."""

    def check(self, handler: Handler | None, event: Event, result: Any, reply: Reply) -> None:
        """A reply was computed: check whether the event or the result departs from what the handler declares."""

    def record_straggler(self, handler: Handler) -> None:
        """A run was left behind."""

    def record_saturated(self, handler: Handler) -> None:
        """A handler is not begun, because too many of its runs were left behind."""


class Replies:
    """Computes replies."""

    def __init__(self, callbacks: Callbacks, monitor: Monitor) -> None:
        self._callbacks = callbacks
        self._monitor = monitor
        self._executors: dict[tuple[int, str], HandlerExecutor] = {}

    async def reply_to(self, event: Event, until: float, deadline: float) -> Reply:
        """The reply to an event.

        Args:
            event: what came in.
            until: the event loop's time at which the handler is given up.
            deadline: the event loop's time at which the answer is due; a result may come after it when the loop stood
                still.
        """
        handler = self._callbacks.find(event)
        result, reply = None, Reply(outcome="receipt")
        if handler:
            result, reply = await self._run(handler, event, until, deadline)
        elif isinstance(event, ApiCall) and event.node:
            reply = _NO_HANDLER
        self._monitor.check(handler, event, result, reply)
        return reply

    @property
    def saturated(self) -> list[str]:
        """The handlers that are not begun any more, or whose fallback is not: too many runs were left behind."""
        return sorted({executor.handler for executor in self._executors.values() if executor.saturated})

    def close(self) -> None:
        """Let the threads end; one that is still in a handler is left behind."""
        for executor in self._executors.values():
            executor.close()

    async def _run(self, handler: Handler, event: Event, until: float, deadline: float) -> tuple[Any, Reply]:
        """What the handler or its fallback returned, if one did, and the reply."""
        started = time.perf_counter()
        if handler.sees_packet:
            event = event.copy()  # whatever a function does with it, what is kept is the packet as it came
        if handler.late:
            until = handler.late.until(until, asyncio.get_running_loop().time())
        result, reply = await handled(handler.name, self._answer(handler, event, until, deadline))
        if handler.late:
            reply = handler.late.completed(event, reply)
        return result, replace(reply, handler_ms=round((time.perf_counter() - started) * 1000, 3))

    async def _answer(self, handler: Handler, event: Event, until: float, deadline: float) -> tuple[Any, Reply]:
        loop = asyncio.get_running_loop()
        share = _FALLBACK_SHARE if callable(handler.fallback) else 0
        executor = self._executor(handler, "handler", handler.function)
        if executor.saturated:
            self._monitor.record_saturated(handler)
        failure = _LATE
        try:
            try:
                arguments: dict[str, Any] = guarded_call(handler.bind, event)
            except VariableError as error:
                return None, Reply(code=Code.MISFIT.number, info=str(error), outcome="misfit")
            result = await executor.run(until - share * max(0.0, until - loop.time()), **arguments)
            reply = reply_of(handler, result)
            if loop.time() <= deadline:  # else it blocked the loop, or another did
                return result, reply
        except Refuse as refusal:
            return None, refused(refusal)
        except LateError:
            pass
        except ResultError as error:
            failure = _FAILED
            get_log().error("handler_result", event_id=event.id, node=handler.name, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever an integrator's function raises is answered
            failure = _FAILED
            get_log().error("handler_failed", event_id=event.id, node=handler.name, error=error)
        return await self._fall_back(handler, event, until, failure)

    async def _fall_back(self, handler: Handler, event: Event, until: float, failure: Reply) -> tuple[Any, Reply]:
        """What the fallback returns, and the reply that it makes; the failure without one, or when it fails, too."""
        fallback = handler.fallback
        outcome: Outcome = "late" if handler.late and failure is _LATE else "fallback"
        if fallback is None:
            return None, failure
        if isinstance(fallback, Reply):
            return None, replace(fallback, outcome=outcome)
        until = max(until, asyncio.get_running_loop().time() + _LEAST_SECONDS)
        try:
            result = await self._executor(handler, "fallback", fallback).run(until, event)
            return result, replace(reply_of(handler, result), outcome=outcome)
        except Refuse as refusal:
            return None, refused(refusal)
        except LateError:
            get_log().error("fallback_late", event_id=event.id, node=handler.name)
        except Exception as error:  # noqa: BLE001 - whatever an integrator's function raises is answered
            get_log().error("fallback_failed", event_id=event.id, node=handler.name, error=error)
        return None, failure

    def _executor(self, handler: Handler, role: str, function: Callable[..., Any]) -> HandlerExecutor:
        key = (id(handler), role)
        if key not in self._executors:
            record_straggler = functools.partial(self._monitor.record_straggler, handler)
            self._executors[key] = HandlerExecutor(function, handler.name, record_straggler)
        return self._executors[key]


def reply_of(handler: Handler, result: Any) -> Reply:
    """The reply that a result makes.

    Raises:
        ResultError: it is of another kind than the command asks for, or too large to answer and to remember.
    """
    reply: Reply = guarded_call(handler.spec.reply, result)
    size = sum(len(name + value) for name, value in (reply.variables or {}).items()) + len(str(reply.fields))
    if size > _MOST_CHARACTERS:
        raise ResultError(f"the answer is larger than {_MOST_CHARACTERS} characters")
    return reply


def refused(refusal: Refuse) -> Reply:
    """What a refusal answers; a class derived from `Refuse` may have anything where its code and message are due."""
    code, message = 1, ""
    with suppress(Exception):
        code = guarded_call(lambda: Refuse("", code=refusal.code).code)
    with suppress(Exception):
        message = guarded_call(lambda: Refuse(str(refusal.message)).message)
    return Reply(code=code, info=message, outcome="refused")
