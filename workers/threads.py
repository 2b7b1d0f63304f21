"""Threads for what must not run on the event loop; one that hangs is left behind and does not keep the process."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Done = Callable[[Any, BaseException | None], None]
_Work = tuple[Callable[[], Any], _Done]


class Threads:
    """As many threads as there is work at once; each serves again when it is free."""

    def __init__(self) -> None:
        """Prepare; on the running event loop, and all methods are called there."""
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self._finished: deque[tuple[_Done, Any, BaseException | None]] = deque()
        self._delivery_is_due = False
        self._threads = 0
        self._idle = 0

    def start(self, function: Callable[[], Any], done: _Done) -> None:
        """Call a function in a thread, and then `done` with its result or what it raised, on the event loop."""
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"deskbell-{self._threads}", daemon=True).start()
        self._waiting.put((function, done))

    async def call(self, function: Callable[[], _Result]) -> _Result:
        """The result of a function that is called in a thread."""
        future: asyncio.Future[_Result] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error:
                future.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
            else:
                future.set_result(result)

        self.start(function, done)
        return await future

    def close(self) -> None:
        """End the threads that are free; the others end with what they do, or with the process."""
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
            self._idle += 1
            done(result, error)
