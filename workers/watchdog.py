"""A coroutine that blocks the event loop: all jobs of the process stand still, and no timer of the loop goes off.

A thread watches the loop, and has a signal raise RQ's time-out inside the job that blocks it, as RQ's own alarm does.
What is blocked for longer than a lease has lost its leases meanwhile: its jobs run elsewhere.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from rq.timeouts import JobTimeoutException

from shared.logs import get_log

_SECONDS = 1.0


class Watchdog:
    """Ends the step of a coroutine that blocks its loop for longer than its job may take."""

    def __init__(self, loop: asyncio.AbstractEventLoop, allowed: Callable[[asyncio.Task[None]], float | None]) -> None:
        """Watch a loop; on its thread, the main one.

        Args:
            loop: the loop.
            allowed: the seconds that a coroutine may take, or None when it is no job's.
        """
        self._loop = loop
        self._allowed = allowed
        self._has_turned = threading.Event()
        self._stop = threading.Event()
        self._before = signal.signal(signal.SIGALRM, self._raise)
        threading.Thread(target=self._watch, name="deskbell-watchdog", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        signal.signal(signal.SIGALRM, self._before)

    def _watch(self) -> None:
        blocked = 0.0  # by this thread's own turns: when the whole process was frozen, it was as well
        while not self._stop.wait(_SECONDS):
            blocked = 0.0 if self._has_turned.is_set() else blocked + _SECONDS
            self._has_turned.clear()
            task = asyncio.current_task(self._loop)
            seconds = self._allowed(task) if task else None
            if seconds is not None and blocked > seconds:
                get_log().error("loop_blocked", seconds=blocked)
                os.kill(os.getpid(), signal.SIGALRM)
                blocked = 0.0
            self._ask()

    def _ask(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._has_turned.set)
        except RuntimeError:  # the loop is closed
            self._stop.set()

    def _raise(self, _: int, __: FrameType | None) -> None:
        task = asyncio.current_task(self._loop)
        if task and self._allowed(task) is not None:
            raise JobTimeoutException("Task exceeded maximum timeout value, and blocked the event loop")
