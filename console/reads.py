"""Reads that take longer than a page may: each runs in a thread, and its result is kept for those who ask next."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from deskbell.dead_letters.overview import Count

_Result = TypeVar("_Result")

_MOST = 16
_AT_ONCE = 2
_REST = 10  # times as long as a read took nothing is read again: it takes a tenth of a core at most


@dataclass(frozen=True, slots=True)
class Read(Generic[_Result]):
    """What is known.

    Attributes:
        result: of the last read that ended; None when none has.
        counted: how many were read by the read under way, or by the last one.
    """

    result: _Result | None
    counted: int


class _Thread(Generic[_Result]):
    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.begun = 0.0
        self.result: _Result | None = None
        self.error: Exception | None = None
        self.counted = 0
        self.fresh_until = 0.0

    def run(self, read: Callable[[Count], _Result], least: float) -> None:
        began = time.monotonic()
        try:
            self.result = read(self._count)
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            self.error = error
        now = time.monotonic()
        self.fresh_until = now + max(least, _REST * (now - began))

    def _count(self, more: int) -> None:
        self.counted += more


class Reads(Generic[_Result]):
    """Reads, by what they read.

    Args:
        wait: for how many seconds a result is waited for, from when its read began.
        least: for how many seconds a result is good; ten times as long as it took to read, if that is more.
        most: of how many reads the results are kept, and how many may wait for their turn: each has a thread.
    """

    def __init__(self, wait: float, least: float, most: int = _MOST) -> None:
        self._wait = wait
        self._least = least
        self._most = most
        self._reads: OrderedDict[Hashable, _Thread[_Result]] = OrderedDict()
        self._begun = 0
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(_AT_ONCE)

    def get(self, key: Hashable, read: Callable[[Count], _Result]) -> Read[_Result]:
        """What is known; a read is begun when that is old.

        Raises:
            Exception: that the read ended with.
        """
        with self._lock:
            one = self._reads.setdefault(key, _Thread())
            self._reads.move_to_end(key)
            if len(self._reads) > self._most:
                self._reads.popitem(last=False)
            is_running = one.thread is not None and one.thread.is_alive()
            if not is_running and time.monotonic() >= one.fresh_until and self._begun < self._most:
                self._begun += 1
                one.counted, one.begun = 0, time.monotonic()
                one.thread = threading.Thread(target=self._run, args=(key, one, read), name="read", daemon=True)
                one.thread.start()
        if one.thread:
            one.thread.join(max(0.0, one.begun + self._wait - time.monotonic()))
        error, one.error = one.error, None
        if error:
            one.fresh_until = 0.0
            raise error
        return Read(one.result, one.counted)

    def _run(self, key: Hashable, one: _Thread[_Result], read: Callable[[Count], _Result]) -> None:
        """Read when it is its turn, and somebody has asked lately."""
        with self._turns:
            if self._reads.get(key) is one:
                one.run(read, self._least)
        with self._lock:
            self._begun -= 1

    def known(self, key: Hashable) -> _Result | None:
        """The last result, however old."""
        one = self._reads.get(key)
        return one.result if one else None

    def forget(self) -> None:
        """Something has changed: the next who asks begins a read."""
        with self._lock:
            for one in self._reads.values():
                one.fresh_until = 0.0
