"""The reply to an event: the integrator's handler, run until a deadline that it cannot move."""

import asyncio
import contextvars
import functools
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from api.errors import Code
from shared.callbacks import Callbacks, Handler
from shared.errors import Refuse, ResultError, VariableError
from shared.events import ApiCall, Event, Reply
from shared.logs import error_fields, get_log
from shared.variables import to_variables

HANDLER_THREADS = "handler"
"""How the names of the threads that run `def` handlers begin."""

_THREADS = 32
_OUT_OF_TIME = object()


class Replies:
    """Computes replies: `async def` handlers on the event loop, `def` handlers in a bounded pool of threads."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=HANDLER_THREADS)
        self._log = get_log()

    async def reply_to(self, event: Event, until: float) -> Reply:
        """The reply to an event.

        Args:
            event: what came in.
            until: the event loop's time at which the handler is given up.
        """
        if not isinstance(event, ApiCall):
            return Reply(outcome="receipt")
        handler = self._callbacks.find(event)
        if handler:
            return await self._run(handler, event, until)
        if event.node:
            return Reply(code=Code.NO_HANDLER.number, info="no handler for this node", outcome="no_handler")
        return Reply(outcome="receipt")

    def close(self) -> None:
        """Let the threads end; one that is still in a handler is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, handler: Handler, call: ApiCall, until: float) -> Reply:
        started = time.perf_counter()

        def reply(outcome: str, code: int = 0, info: str = "", variables: dict[str, str] | None = None) -> Reply:
            handler_ms = round((time.perf_counter() - started) * 1000, 3)
            return Reply(code=code, info=info, variables=variables, outcome=outcome, handler_ms=handler_ms)

        def fall_back(code: Code, outcome: str, info: str) -> Reply:
            if handler.fallback is not None:
                return reply("fallback", variables=handler.fallback)
            return reply(outcome, code.number, info)

        try:
            result = await self._call(handler, handler.bind(call), until)
            if result is _OUT_OF_TIME:
                return fall_back(Code.OUT_OF_TIME, "out_of_time", "out of time")
            return reply("answered", variables=_guarded_call(functools.partial(to_variables, result)))
        except VariableError as error:
            return reply("misfit", Code.MISFIT.number, str(error))
        except Refuse as refusal:
            return reply("refused", refusal.code, refusal.message)
        except ResultError as error:
            self._log.error("handler_result", event_id=call.id, node=handler.name, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever an integrator's function raises is answered
            self._log.error("handler_failed", event_id=call.id, node=handler.name, **error_fields(error))
        return fall_back(Code.HANDLER_FAILED, "failed", "the handler failed")

    async def _call(self, handler: Handler, arguments: dict[str, Any], until: float) -> Any:
        """The handler's result, or `_OUT_OF_TIME` at the deadline, whatever the handler does with its cancellation."""
        loop = asyncio.get_running_loop()
        run: asyncio.Future[Any]
        if handler.is_async:
            run = loop.create_task(_guarded(handler.function(**arguments)))
        else:
            call = functools.partial(contextvars.copy_context().run, handler.function, **arguments)
            run = loop.run_in_executor(self._threads, functools.partial(_guarded_call, call))
        try:
            return run.result() if await _ends_by(run, until) else _OUT_OF_TIME
        finally:
            run.cancel()  # of no effect when it has ended
            run.add_done_callback(_forget)


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


async def _ends_by(run: "asyncio.Future[Any]", until: float) -> bool:
    """Wait for a future, not to its end but to the loop's time `until`; `asyncio.wait` does the same at more cost."""
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(*_: object) -> None:
        if not ended.done():
            ended.set_result(run.done())

    timer = asyncio.get_running_loop().call_at(until, settle)
    run.add_done_callback(settle)
    try:
        return await ended
    finally:
        timer.cancel()
        run.remove_done_callback(settle)


def _forget(run: "asyncio.Future[Any]") -> None:
    """Take the late result, so that asyncio does not report it as never retrieved."""
    if not run.cancelled():
        run.exception()
