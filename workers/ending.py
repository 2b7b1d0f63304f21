"""How a worker comes to its end, and that it does: a job may block the loop that would end it."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from shared.logs import flush_logs, get_log

COLD_SECONDS = 2.0
"""What a worker that ends at once takes to put its jobs back."""

_MARGIN_SECONDS = 2.5  # beyond the grace period; whoever supervises this process kills it after five seconds


class Ending(Enum):
    """Why a worker ended."""

    DONE = "told to stop, or the queues are empty"
    COLD = "told twice to stop"
    STRAGGLERS = "too many jobs did not end in time: another process must take its place"


class EndSignals:
    """SIGTERM and SIGINT: the loop is told of them; if it gets to nothing, the process ends all the same.

    A job that blocks the loop is then recovered when its lease has run out; the others are put back.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        begin_end: Callable[[], None],
        save: Callable[[], None],
        grace_seconds: float,
    ) -> None:
        """Listen; on the main thread.

        Args:
            loop: the worker's loop.
            begin_end: called there at each signal.
            save: called in a thread before the process is ended without the loop; may take two seconds.
            grace_seconds: what the first one gives the jobs under way.
        """
        self._loop = loop
        self._begin_end = begin_end
        self._save = save
        self._patience = grace_seconds + _MARGIN_SECONDS
        self._timers: list[threading.Timer] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def close(self) -> None:
        """The worker has ended by itself."""
        for timer in self._timers:
            timer.cancel()

    def _signalled(self, *_: object) -> None:
        timer = threading.Timer(2 * COLD_SECONDS if self._timers else self._patience, self._exit)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._begin_end)

    def _exit(self) -> None:
        self._save()
        get_log().error("exit_forced")
        flush_logs()
        os._exit(1)
