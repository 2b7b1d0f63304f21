"""A watchdog for the event loop: a process whose loop has stood still is of no use, and is ended.

It answers nobody, heeds no signal and renews no lease, while all who look at it from outside find a process that lives.
Whatever supervises it starts another.
"""

import asyncio
import os
import sys
import threading
import traceback
from contextlib import suppress

from shared.logs import get_log

STUCK_SECONDS = 60.0
"""How long a loop may stand still."""

STUCK_STATUS = 70
"""The exit status of a process that was ended for it."""

_LOOKS = 60
_LOG_SECONDS = 1.0


class LoopWatch:
    """Watches one event loop from a thread, and ends the process when the loop does not turn.

    Attributes:
        thread: the thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float = STUCK_SECONDS) -> None:
        """Begin; on the loop's own thread.

        Args:
            loop: the loop.
            seconds: how long it may stand still.
        """
        self._loop = loop
        self._watched = threading.get_ident()
        self._pause = seconds / _LOOKS
        self._missed = 0
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="deskbell-loop-watch", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()

    def look(self) -> bool:
        """Whether the loop has stood still for the whole time.

        Counted in looks, not by a clock: when the whole process was frozen, none was missed.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._missed += 1
        self._loop.call_soon_threadsafe(self._turned)
        return self._missed > _LOOKS

    def _watch(self) -> None:
        with suppress(RuntimeError):
            while not self._stop.wait(self._pause):
                if self.look():
                    self._end()

    def _turned(self) -> None:
        self._missed = 0

    def _end(self) -> None:
        # The line may hang as well: the loop may stand still because nobody reads what this process writes.
        timer = threading.Timer(_LOG_SECONDS, os._exit, (STUCK_STATUS,))
        timer.daemon = True
        timer.start()
        frames = traceback.extract_stack(sys._current_frames()[self._watched])  # noqa: SLF001 - Python's only way
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        get_log().error("loop_stuck", seconds=round(self._pause * _LOOKS, 1), where=where)
        os._exit(STUCK_STATUS)
