"""The threads of `def` handlers: each function has its own, so that one that hangs takes no other's."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

HANDLER_THREADS = "handler"
"""How the names of the threads begin."""

THREADS = 32
"""How many threads one function may have."""


class Threads:
    """Runs one function's calls, as many at once as there are threads; further calls wait for one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=HANDLER_THREADS)
        self._lock = threading.Lock()
        self._stragglers = 0

    @property
    def stuck(self) -> bool:
        """Whether every thread is in a call that was left behind: another would wait for nothing."""
        return self._stragglers >= THREADS

    def start(self, call: Callable[[], Any]) -> "Future[Any]":
        """Begin a call, or let it wait for a thread."""
        return self._pool.submit(call)

    def leave(self, run: "Future[Any]") -> bool:
        """Give a call up: one that waits is taken back, one that runs is left behind and counted until it ends.

        Returns:
            Whether it was left behind.
        """
        if run.cancel() or run.done():
            return False
        with self._lock:
            self._stragglers += 1
        run.add_done_callback(self._end)
        return True

    def close(self) -> None:
        """Let the threads end; one that is still in a call is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, _: object) -> None:
        with self._lock:
            self._stragglers -= 1
