"""All shards of a cluster, read at once, so that one which does not answer keeps nobody waiting; and their sums."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deskbell.queues.now import QueueNow

_Result = TypeVar("_Result")

_AT_ONCE = 16
_WAIT_SECONDS = 1.5
_GOOD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Of all queues of a shard, or of several shards.

    Attributes:
        oldest_seconds: how long the job that has waited longest does; None when none waits.
        workers: those with a sign of life.
    """

    waiting: int
    oldest_seconds: float | None
    scheduled: int
    deferred: int
    running: int
    done_per_second: float
    failed_per_second: float
    dead: int
    workers: int


def sums(queues: Sequence[QueueNow]) -> Sums:
    """The sums of queues, each worker counted once."""
    states = [each.state for each in queues]
    return Sums(
        waiting=sum(each.waiting for each in states),
        oldest_seconds=max((each.oldest_seconds or 0.0 for each in states if each.waiting), default=None),
        scheduled=sum(each.scheduled for each in states),
        deferred=sum(each.deferred for each in states),
        running=sum(len(each.running) for each in states),
        done_per_second=sum(each.done_per_second or 0.0 for each in queues),
        failed_per_second=sum(each.failed_per_second or 0.0 for each in queues),
        dead=sum(each.dead for each in states),
        workers=len({name for each in states for name in each.readers.living}),
    )


class Part(Generic[_Result]):
    """What is known of a shard.

    Attributes:
        result: of the last read that succeeded; None when none has.
        error: why the last read failed; None when it did not.
    """

    def __init__(self) -> None:
        self.result: _Result | None = None
        self.error: Exception | None = None
        self._good_until = 0.0
        self._read: Future[None] | None = None

    @property
    def is_late(self) -> bool:
        """Whether a read is under way: it takes longer than a page may."""
        return self._read is not None and not self._read.done()

    @property
    def is_away(self) -> bool:
        """Whether it did not answer just now."""
        return self.is_late or self.error is not None

    def ask(self, pool: ThreadPoolExecutor, read: Callable[[int], _Result], shard: int) -> "Future[None]":
        """A read that is under way, or has ended just now; else a new one."""
        if self._read is None or (self._read.done() and time.monotonic() >= self._good_until):
            self._read = pool.submit(self._fill, read, shard)
        return self._read

    def _fill(self, read: Callable[[int], _Result], shard: int) -> None:
        try:
            self.result, self.error = read(shard), None
        except Exception as error:  # noqa: BLE001 - the page tells it
            self.error = error
        self._good_until = time.monotonic() + _GOOD_SECONDS


class Together:
    """Reads of all shards.

    Args:
        count: how many shards there are.
        seconds: for how long their answers are waited for, all together.
    """

    def __init__(self, count: int, seconds: float = _WAIT_SECONDS) -> None:
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(max(1, min(count, _AT_ONCE)), "shard")
        self._parts = [Part[Any]() for _ in range(count)]
        self._lock = threading.Lock()

    def latest(self, read: Callable[[int], Any]) -> list[Part[Any]]:
        """What is known of each shard, in their order; all who ask give the same read, and share what it told."""
        with self._lock:
            asked = [part.ask(self._pool, read, shard) for shard, part in enumerate(self._parts)]
        wait(asked, self._seconds)
        return self._parts

    def once(self, read: Callable[[int], _Result]) -> list[Part[_Result]]:
        """What one read tells of each shard, in their order."""
        parts = [Part[_Result]() for _ in self._parts]
        wait([part.ask(self._pool, read, shard) for shard, part in enumerate(parts)], self._seconds)
        return parts

    def close(self) -> None:
        """Begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
