"""A pool of daemon threads, for calls that would block the event loop.

A thread that hangs is left behind and does not keep the process alive. Those of a `ThreadPoolExecutor`, and anyio's,
would: Python waits for them before it exits.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Done = Callable[[Any, BaseException | None], None]
_Work = tuple[Callable[[], Any], _Done]


class DaemonThreads:
    """As many threads as there are calls at once, up to `most`; a call waits for the first that is free.

    All methods are called on the running event loop.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self._most = most
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._finished: deque[tuple[_Done, Any, BaseException | None]] = deque()
        self._delivery_is_due = False
        self._threads = 0
        self._under_way = 0

    def start(self, function: Callable[[], Any], done: _Done) -> None:
        """Call a function in a thread, and then `done` with its result or what it raised, on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._under_way += 1
        if self._threads < min(self._under_way, self._most):
            self._threads += 1
            threading.Thread(target=self._serve, name=f"deskbell-{self._threads}", daemon=True).start()
        self._waiting.put((function, done))

    def run(self, function: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Call a function in a thread; the future has its result. The call goes on when nobody waits for that."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        self.start(function, partial(_set_result, future))
        return future

    def close(self) -> None:
        """End each thread after the calls it was given; one that hangs ends with the process."""
        for _ in range(self._threads):
            self._waiting.put(None)

    def _serve(self) -> None:
        while work := self._waiting.get():
            function, done = work
            try:
                result, error = function(), None
            except BaseException as raised:  # noqa: BLE001 - also SystemExit: it is the job's failure, not the thread's
                result, error = None, raised
            self._finished.append((done, result, error))
            del work, function, done, result, error
            if not self._delivery_is_due:
                self._delivery_is_due = True
                with suppress(RuntimeError):  # the loop has ended without waiting for this thread
                    self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._delivery_is_due = False
        while self._finished:
            done, result, error = self._finished.popleft()
            self._under_way -= 1
            done(result, error)


def _set_result(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
    else:
        future.set_result(result)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take the exception, so that asyncio does not report it as never retrieved."""
    if not future.cancelled():
        future.exception()
