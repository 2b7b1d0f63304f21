"""Graceful shutdown: signals, the grace period, and a forced exit, since a job may block the loop that would end it."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from enum import Enum
from typing import TypeVar

from redis.exceptions import RedisError
from rq.utils import now, utcformat

from shared.logs import flush_logs, get_log
from shared.runtime.parent import Parent
from workers.lease import Lease
from workers.worker.background import Background
from workers.worker.execution import Executor
from workers.worker.outcomes import Outcomes
from workers.worker.polling import Wakeup

_T = TypeVar("_T")
_COLD_SECONDS = 2.0  # for a worker that ends at once to release its jobs
_AGAIN_SECONDS = 1.0

_MARGIN_SECONDS = 2.5  # beyond the grace period; the supervisor kills this process after five seconds


class Shutdown(Enum):
    """Why a worker ended, in RQ's words: warm gives the jobs under way their time, cold does not."""

    WARM = "told to stop"  # or, of a burst, which does not log it, the queues are empty
    COLD = "told twice to stop"
    STRAGGLERS = "too many jobs did not end in time: another process must take its place"


class ShutdownSignals:
    """SIGTERM, SIGINT and the end of the supervisor begin the shutdown; a blocked loop cannot prevent it.

    When the process is ended without its loop, a job that blocks the loop is reaped when its lease has expired, and the
    others are released. The same signal a second time means "at once". One of each does not: a service manager sends
    the first to every process, and the supervisor the second.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        shut_down: Callable[[], None],
        save: Callable[[], None],
        grace_seconds: float,
        parent: Parent | None = None,
    ) -> None:
        self._loop = loop
        self._shut_down = shut_down  # called on the loop the first time, and once more to end at once
        self._save = save  # called in a thread before the process is ended without its loop
        self._patience = grace_seconds + _MARGIN_SECONDS
        self._timers: list[threading.Timer] = []
        self._signals: set[int] = set()
        self._parent = parent
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if parent:
            loop.add_reader(parent, self._hear, parent)

    async def run_within(self, lifespan: AbstractAsyncContextManager[None], main: Callable[[], Awaitable[_T]]) -> _T:
        """Tell the supervisor that the worker is ready when what its jobs share is open, and work within that."""
        async with lifespan:
            if self._parent:
                self._parent.say_ready()
            return await main()

    def close(self) -> None:
        """Take back the forced exit: the worker has ended by itself."""
        for timer in self._timers:
            timer.cancel()

    def _hear(self, parent: Parent) -> None:
        if not parent.is_gone():
            return
        self._loop.remove_reader(parent)
        if not self._timers:
            self._begin(self._patience)

    def _on_signal(self, number: int, _: object) -> None:
        if number in self._signals:
            self._begin(2 * _COLD_SECONDS)
        elif not self._timers:
            self._begin(self._patience)
        self._signals.add(number)

    def _begin(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._exit)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._shut_down)

    def _exit(self) -> None:
        try:
            self._save()
            get_log().error("exit_forced")
            flush_logs()
        finally:  # also when that failed
            os._exit(1)


async def end_jobs(
    executor: Executor,
    outcomes: Outcomes,
    background: Background,
    wakeup: Wakeup,
    seconds: float,
    how: Callable[[], Shutdown | None],
) -> None:
    """Let jobs under way end for so many seconds, or until the worker is to end at once; release the others."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    if executor.is_busy():
        with suppress(RedisError, OSError):
            await outcomes.leases.show("shutdown_requested_date", utcformat(now()))
    while executor.is_busy() and how() is not Shutdown.COLD and (left := deadline - loop.time()) > 0:
        if not await background.attempt(outcomes.ack):
            await wakeup.sleep(min(left, _AGAIN_SECONDS))
        elif executor.is_busy() and not outcomes.are_due:
            await wakeup.sleep(left)
    await _release(executor.drop_all(), outcomes)


async def _release(left: list[Lease], outcomes: Outcomes) -> None:
    """Release what does not end; what has ended is acknowledged."""
    try:
        async with asyncio.timeout(_COLD_SECONDS):
            while outcomes.are_due:
                await outcomes.ack()
            count = await outcomes.leases.release(left, have_begun=True)
            await outcomes.leases.release_unanswered()
    except Exception as error:  # noqa: BLE001 - whatever it is: the leases expire, and the jobs are reaped
        get_log().error("jobs_not_released", count=len(left), error=error)
    else:
        if left:
            get_log().info("jobs_released", count=count, job_ids=[lease.job_id for lease in left])
