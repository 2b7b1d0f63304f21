"""One thread for what may hang: a disk."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class DiskThread:
    """Runs calls one after the other in a thread of its own, which does not keep the process from ending.

    (An executor's threads would: Python waits for them when it ends.)
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run_forever, name="deskbell-disk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def run(self, call: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Run a call after those before it.

        Returns:
            Its result; if nobody waits for that any more, the call is run all the same.
        """
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        self._calls.put((call, future))
        return future

    def stop(self) -> None:
        """End the thread when it has run what it was given."""
        self._calls.put(None)

    def _run_forever(self) -> None:
        while given := self._calls.get():
            call, future = given
            result, error = None, None
            try:
                result = call()
            except Exception as raised:  # noqa: BLE001 - handed to whoever waits
                error = raised
            with suppress(RuntimeError):  # the event loop has ended
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take the exception, so that asyncio does not report it as never retrieved."""
    if not future.cancelled():
        future.exception()
