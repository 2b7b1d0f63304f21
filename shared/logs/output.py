"""Where log lines go: standard output, through a descriptor of our own that nobody else closes or replaces.

Nothing waits for a line to be written. A line that a full disk or a closed pipe does not take is dropped; when a reader
stops reading, a bounded number of lines waits. Dropped lines are counted, and a line says so once lines can be written.
"""

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_MOST_LINES = 5000  # that wait for a reader
_WRITE_BYTES = 4096  # PIPE_BUF: a pipe that takes anything takes so much, and does not mix it with another process's
_AGAIN_SECONDS = 0.05


class LogOutput:
    """Writes lines; those of one turn of an event loop are written together.

    Attributes:
        lost: how many lines were dropped.
    """

    def __init__(self, descriptor: int, on_lost: Callable[[int], None] | None = None) -> None:
        self.lost = 0
        self.on_lost = on_lost
        self._descriptor = descriptor
        self._said = 0
        self._is_mid_line = False
        self._is_torn = False
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # what waits is the parent's, and a lock may be held there

    def _reset(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, line: bytes) -> None:
        """Write a line, which ends in a newline: at once, or at the end of this turn of the running event loop."""
        if len(self._waiting) >= _MOST_LINES:
            self.lose(1)
            return
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._end_turn, loop)

    def flush(self, seconds: float = 0.0) -> None:
        """Write what waits."""
        # A signal's handler may log in the middle of a write: then the lines are left to the write that goes on.
        while self._waiting and self._writing.acquire(blocking=False):
            try:
                is_clogged = self._write_waiting(seconds)
            finally:
                self._writing.release()
            if is_clogged:
                return

    def lose(self, count: int) -> None:
        """Count lines that are not written."""
        self.lost += count
        if self.on_lost:
            with suppress(Exception):
                self.on_lost(count)

    def take_lost(self) -> int:
        """How many lines were dropped since the last call; 0 while others wait."""
        if self._waiting:
            return 0
        unsaid, self._said = self.lost - self._said, self.lost
        return unsaid

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = None
        self.flush()
        if self._waiting:
            self._loop = loop
            loop.call_later(_AGAIN_SECONDS, self._end_turn, loop)

    def _write_waiting(self, seconds: float) -> bool:
        """Write lines until none waits; True when the reader takes no more."""
        while self._waiting:
            if not self._poll.poll(seconds * 1000):
                return True
            lines = self._next_lines()
            block = b"".join(lines)
            try:
                written = os.write(self._descriptor, block[:_WRITE_BYTES])
            except BlockingIOError:
                written = 0
            except OSError:
                self.lose(len(lines))
                self._is_torn = self._is_mid_line
                continue
            if written:
                self._is_mid_line = not block[:written].endswith(b"\n")
            if rest := block[written:]:
                self._waiting.appendleft(rest)
                if not written:
                    return True
        return False

    def _next_lines(self) -> list[bytes]:
        """The lines of one write, at least one; after a line that was cut off they begin on a new line."""
        lines = [self._waiting.popleft()]
        if self._is_torn:
            self._is_torn = False
            lines[0] = b"\n" + lines[0]
        size = len(lines[0])
        while self._waiting and size + len(self._waiting[0]) <= _WRITE_BYTES:
            lines.append(self._waiting.popleft())
            size += len(lines[-1])
        return lines
