"""A bulkhead for each function of the integrator's: how many of its runs at once, and until when.

Each function has an executor of its own, so that one that hangs takes nothing from another. `async def` runs on the
event loop, in the task of its callback, and is cancelled when its time is over; `def` runs in a thread, where nothing
can end it, and is left behind: such a run is a straggler. So is a coroutine that goes on when it is cancelled: the rest
of it runs in a task of its own. What either returns is awaited in the same time where it can be: a `def` may wrap an
`async def`.
"""

import asyncio
import contextvars
import functools
import types
from collections.abc import Callable
from typing import Any

from shared.declarations.functions import awaited, drop, is_async, is_awaited
from shared.handlers.steps import LateError, run_in_this_task
from shared.raised import StandInError
from shared.runtime.threads import DaemonThreads

THREADS = 32
"""How many threads one `def` function may have."""

TASKS = 256
"""How many tasks of one `async def` function may outlive their cancellation."""

_TASK_NAME = "handler "  # begins the name of a task while it runs a handler's code
CANCEL_SECONDS = 1.0  # what a cancelled task may take to end before it is a straggler


class HandlerExecutor:
    """Runs one function."""

    def __init__(self, function: Callable[..., Any], handler: str, record_straggler: Callable[[], None]) -> None:
        self.handler = handler
        self._function = function
        self._task_name = _TASK_NAME + handler
        self._record_straggler = record_straggler
        self._is_async = is_async(function)
        self._stragglers: set[object] = set()
        self._threads = DaemonThreads()
        self._free = asyncio.Semaphore(THREADS)  # so that a call that waits for a thread can be given up

    @property
    def saturated(self) -> bool:
        """Whether so many runs were left behind that no other is begun."""
        return len(self._stragglers) >= (TASKS if self._is_async else THREADS)

    async def run(self, until: float, /, *given: Any, **named: Any) -> Any:
        """What the function returns; an awaitable is awaited.

        Args:
            until: the event loop's time at which it is given up.
            *given: its arguments by position.
            **named: its arguments by name.

        Raises:
            LateError: that time has come, or too many runs were left behind.
            Exception: whatever the function raised.
        """
        loop = asyncio.get_running_loop()
        if self.saturated or loop.time() >= until:  # it might block the loop once more
            raise LateError
        call = functools.partial(self._function, *given, **named)
        context = contextvars.copy_context()
        result = call() if self._is_async else await self._in_thread(call, until, context)
        while guarded_call(is_awaited, result):
            coroutine = result if type(result) is types.CoroutineType else awaited(result)
            result = await run_in_this_task(coroutine, loop, until, self._task_name, context, self._leave_behind)
        return result

    def close(self) -> None:
        """Let the threads end; one that is still in a call is left behind."""
        self._threads.close()

    async def _in_thread(self, call: Callable[[], Any], until: float, context: contextvars.Context) -> Any:
        run, ended = None, asyncio.Event()
        try:
            async with asyncio.timeout_at(until):
                await self._free.acquire()
                run = self._threads.run(functools.partial(guarded_call, context.run, call))
                run.add_done_callback(lambda _: self._free.release())
                run.add_done_callback(lambda _: ended.set())
                await ended.wait()  # and not the run itself, which would be cancelled with this task
        except (TimeoutError, asyncio.CancelledError) as error:
            if run:
                run.add_done_callback(_discard)
                self._count_straggler(run)
            raise LateError if isinstance(error, TimeoutError) else error from None
        return run.result()

    def _leave_behind(self, run: "asyncio.Task[Any]") -> None:
        run.add_done_callback(_discard)
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._count_straggler, run)

    def _count_straggler(self, run: "asyncio.Future[Any]") -> None:
        """Count a run until it ends, if it has not by now."""
        if run.done():
            return
        self._stragglers.add(run)
        self._record_straggler()
        run.add_done_callback(self._stragglers.discard)


def handler_of(task: "asyncio.Task[Any] | None") -> str:
    """The name of the handler whose code a task runs; "" when it is not a handler's."""
    name = task.get_name() if task else ""
    return name.removeprefix(_TASK_NAME) if name.startswith(_TASK_NAME) else ""


def guarded_call(call: Callable[..., Any], *given: Any) -> Any:
    """Call an integrator's code: whatever it raises is an `Exception`."""
    try:
        return call(*given)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):  # which a future refuses to hold
            raise
        raise StandInError from error


def _discard(run: "asyncio.Future[Any]") -> None:
    """Take a late result: asyncio reports an exception that nobody has seen, Python a coroutine that nobody awaits."""
    if not run.cancelled() and run.exception() is None:
        drop(run.result())
