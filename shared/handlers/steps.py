"""Runs a coroutine of the integrator's step by step, in the task of its callback, until its time is over.

A step is what runs until the coroutine waits again. A task of its own would let it be left behind, and would cost as
much as the rest of a reply. So it begins in the task of its callback, to which its time-outs and cancel scopes then
belong, and goes on there, as after `await`. Only if it goes on when it is cancelled, the rest of it is given a task.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from shared.raised import StandInError

Coro = Coroutine[Any, Any, Any]


class LateError(Exception):
    """Raised when a function did not end in time, or could not be begun."""


async def run_in_this_task(
    coroutine: Coro,
    loop: asyncio.AbstractEventLoop,
    until: float,
    name: str,
    context: Context,
    leave_behind: Callable[["asyncio.Task[Any]"], None],
) -> Any:
    """What a coroutine returns; one that never waits costs no timer.

    Args:
        coroutine: what is run.
        loop: the running event loop.
        until: the event loop's time at which it is cancelled.
        name: of the task, during the steps.
        context: the variables that it sees.
        leave_behind: called with a task for its rest if it goes on when it is cancelled.

    Raises:
        LateError: that time has come.
        Exception: whatever the coroutine raised.
    """
    steps = _Steps(coroutine, loop, name, context)
    is_over, found = steps.next(coroutine.send, None)
    if is_over:
        return found
    try:
        async with asyncio.timeout_at(until) as limit:
            return await steps.rest(found, limit, leave_behind)
    except Exception:
        if limit.expired():
            raise LateError from None
        raise


@dataclass(slots=True)
class _Steps:
    coroutine: Coro
    loop: asyncio.AbstractEventLoop
    name: str
    context: Context

    def next(self, resume: Callable[[Any], Any], given: Any) -> tuple[bool, Any]:
        """Run the next step: False and the future that the coroutine waits for; or True and its result."""
        task = asyncio.current_task(self.loop)
        assert task
        name, cancelling = task.get_name(), task.cancelling()
        task.set_name(self.name)
        try:
            return False, self.context.run(resume, given)
        except StopIteration as end:
            return True, end.value
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and task.cancelling():
                raise  # this task is cancelled, and not only what the coroutine waited for
            raise StandInError from error
        finally:
            task.set_name(name)
            while task.cancelling() > cancelling:  # the coroutine has cancelled itself: its callback goes on
                task.uncancel()

    @types.coroutine
    def rest(
        self,
        future: Any,
        limit: asyncio.Timeout | None = None,
        leave_behind: Callable[["asyncio.Task[Any]"], None] | None = None,
    ) -> Generator[Any, None, Any]:
        """The steps from the one after `future` to the last, and the result; within a limit if there is one."""
        while True:
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - what the future raised, or this task's cancellation
                is_over, future = self.next(self.coroutine.throw, error)
            else:
                is_over, future = self.next(self.coroutine.send, None)
            if limit and limit.expired():
                if leave_behind and not is_over:
                    leave_behind(self.loop.create_task(self._run_on(future), name=self.name))
                raise asyncio.CancelledError
            if is_over:
                return future

    async def _run_on(self, future: Any) -> Any:
        return await self.rest(future)
