"""The reply to an event: the integrator's handler, run until a deadline that it cannot move.

1. The handler for the event is found; without one the receipt is sent, or 1006 for a node that nobody answers.
2. Its arguments are made of the variables; one that is missing or does not fit is 1007.
3. It runs, `async def` on the event loop, `def` in a thread of its own pool. When its time is over it is cancelled, or
   left behind in its thread; when all of its threads are left behind, it is not even begun.
4. Its result becomes the answer. If it failed or was late, its fallback does; without one it is 1008 or 1009.
"""

import asyncio
import contextvars
import functools
import inspect
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any

from api.contract import Contract
from api.errors import Code
from api.metrics import Metrics
from api.threads import Threads
from shared.callbacks import Callbacks, Handler
from shared.commands import ApiCall
from shared.errors import Refuse, ResultError, VariableError
from shared.events import Event, Reply
from shared.logs import error_fields, get_log
from shared.results import Content

_FALLBACK_SHARE = 0.1  # of the handler's time, for a fallback that is a function


class Replies:
    """Computes replies."""

    def __init__(self, callbacks: Callbacks, metrics: Metrics) -> None:
        self._callbacks = callbacks
        self._metrics = metrics
        self._contract = Contract(metrics)
        self._threads: dict[Callable[..., Any], Threads] = {}
        self._log = get_log()

    async def reply_to(self, event: Event, until: float) -> Reply:
        """The reply to an event.

        Args:
            event: what came in.
            until: the event loop's time at which the handler is given up.
        """
        handler = self._callbacks.find(event)
        if handler:
            return await self._run(handler, event, until)
        if isinstance(event, ApiCall):
            self._contract.note_unhandled(event)
            if event.node:
                return Reply(code=Code.NO_HANDLER.number, info="no handler for this node", outcome="no_handler")
        return Reply(outcome="receipt")

    @property
    def stuck(self) -> list[str]:
        """The handlers whose threads are all left behind: they answer with their fallback at once."""
        return [
            handler.name
            for handler in self._callbacks.handlers
            if handler.function in self._threads and self._threads[handler.function].stuck
        ]

    def close(self) -> None:
        """Let the threads end; one that is still in a handler is left behind."""
        for threads in self._threads.values():
            threads.close()

    async def _run(self, handler: Handler, event: Event, until: float) -> Reply:
        started = time.perf_counter()

        def reply(outcome: str, code: int = 0, info: str = "", content: Content | None = None) -> Reply:
            handler_ms = round((time.perf_counter() - started) * 1000, 3)
            content = content or Content()
            return Reply(
                code=code,
                info=info,
                variables=content.variables,
                fields=content.fields,
                outcome=outcome,
                handler_ms=handler_ms,
            )

        try:
            answered = await self._call_handler(handler, event, until)
        except VariableError as error:
            return reply("misfit", Code.MISFIT.number, str(error))
        except Refuse as refusal:
            return reply("refused", refusal.code, refusal.message)
        except _LateError:
            failure = (Code.OUT_OF_TIME, "out_of_time", "out of time")
        except _FailedError:
            failure = (Code.HANDLER_FAILED, "failed", "the handler failed")
        else:
            return reply("answered", content=answered)
        try:
            content = await self._fall_back(handler, event, until)
        except Refuse as refusal:
            return reply("refused", refusal.code, refusal.message)
        if content:
            return reply("fallback", content=content)
        code, outcome, info = failure
        return reply(outcome, code.number, info)

    async def _call_handler(self, handler: Handler, event: Event, until: float) -> Content:
        """What the handler answers.

        Raises:
            VariableError: a variable is missing or does not fit.
            Refuse: the handler refuses.
            _LateError: it is late.
            _FailedError: it failed; the log says how.
        """
        if callable(handler.fallback):
            until -= _FALLBACK_SHARE * max(0.0, until - asyncio.get_running_loop().time())
        if isinstance(event, ApiCall):
            self._contract.note_call(handler, event)
        try:
            result = await self._call(handler.name, handler.function, handler.bind(event), until)
            content: Content = _guarded_call(functools.partial(handler.content, result))
            self._contract.note_result(handler, result, content.variables)
        except (VariableError, Refuse, _LateError):
            raise
        except ResultError as error:
            self._log.error("handler_result", event_id=event.id, node=handler.name, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever an integrator's function raises is answered
            self._log.error("handler_failed", event_id=event.id, node=handler.name, **error_fields(error))
        else:
            return content
        raise _FailedError

    async def _fall_back(self, handler: Handler, event: Event, until: float) -> Content | None:
        """What the fallback answers; None when there is none, or when it fails or is late itself."""
        fallback = handler.fallback
        if fallback is None or isinstance(fallback, Content):
            return fallback
        try:
            result = await self._call(handler.name, fallback, {}, until, event)
            content: Content = _guarded_call(functools.partial(handler.content, result))
        except Refuse:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._log.error("fallback_failed", event_id=event.id, node=handler.name, **error_fields(error))
            return None
        return content

    async def _call(
        self, name: str, function: Callable[..., Any], arguments: dict[str, Any], until: float, *event: Event
    ) -> Any:
        """A function's result, in time or not at all.

        Raises:
            _LateError: the deadline has come, or the function's threads are stuck.
            Exception: whatever the function raised.
        """
        if inspect.iscoroutinefunction(function):
            run = asyncio.get_running_loop().create_task(_guarded(function(*event, **arguments)))
            return await _result_by(run, until)
        threads = self._threads.get(function)
        if threads is None:
            threads = self._threads[function] = Threads()
        if threads.stuck:
            self._metrics.unheeded.labels(name).inc()
            raise _LateError
        call = functools.partial(contextvars.copy_context().run, function, *event, **arguments)
        in_thread = threads.start(functools.partial(_guarded_call, call))
        try:
            return await _result_by(asyncio.wrap_future(in_thread), until)
        finally:
            if threads.leave(in_thread):
                self._metrics.stragglers.labels(name).inc()


class _LateError(Exception):
    """Raised when a function did not end in time."""


class _FailedError(Exception):
    """Raised when a handler failed, once it is logged."""


class _HandlerExitError(Exception):
    """Raised in place of what would end the api, or be taken for a cancellation of the request."""


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except Exception:
        raise
    except BaseException as error:
        raise _HandlerExitError from error


def _guarded_call(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (StopIteration, CancelledError) as error:  # a future refuses to hold the one, and converts the other
        raise _HandlerExitError from error
    except Exception:
        raise
    except BaseException as error:
        raise _HandlerExitError from error


async def _result_by(run: "asyncio.Future[Any]", until: float) -> Any:
    """A future's result at the loop's time `until`; `asyncio.wait` does the same at more cost."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[bool] = loop.create_future()

    def settle(*_: object) -> None:
        if not ended.done():
            ended.set_result(run.done())

    timer = loop.call_at(until, settle)
    run.add_done_callback(settle)
    try:
        if await ended:
            return run.result()
        raise _LateError
    finally:
        timer.cancel()
        run.remove_done_callback(settle)
        run.cancel()  # of no effect when it has ended
        run.add_done_callback(_forget)


def _forget(run: "asyncio.Future[Any]") -> None:
    """Take the late result, so that asyncio does not report it as never retrieved."""
    if not run.cancelled():
        run.exception()
