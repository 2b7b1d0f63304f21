"""Wake-ups: an idle worker learns at once that a job has come, by a blocking read that takes nothing.

Clients that enqueue, RQ's own among them, only push ids onto a list. `BLMOVE list list LEFT LEFT` waits for the first
of them, takes it from the head and puts it back there in one step: nothing changes, the id is never anywhere else, and
every worker that waits wakes.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from shared.redis.queues import queue_key
from shared.runtime.tasks import cancel_and_wait

WAIT_SECONDS = 5
_PAUSE_SECONDS = 0.5


class Wakeup:
    """An event that ends a worker's sleep early: there is something to ack or to claim, or the worker is to end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """End the sleep, or the next one."""
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken, but no longer than this."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


class QueueWakeups:
    """Blocking reads, one for each queue that was found empty."""

    def __init__(self, redis: AsyncRedis, wake: Callable[[], None]) -> None:
        self._redis = redis
        self._wake = wake
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def watch(self, queues: Iterable[str]) -> None:
        """Wait for jobs on queues, where that is not done yet."""
        for name in queues:
            if name not in self._waiting:
                self._waiting[name] = asyncio.create_task(self._wait(name))

    async def close(self) -> None:
        """Stop waiting."""
        await cancel_and_wait(*self._waiting.values())

    async def _wait(self, name: str) -> None:
        key = queue_key(name)
        try:
            while not await self._redis.blmove(key, key, WAIT_SECONDS, "LEFT", "LEFT"):
                pass
        except RedisError:
            await asyncio.sleep(_PAUSE_SECONDS)  # the worker itself says that Redis is away
        finally:
            self._waiting.pop(name, None)
            self._wake()
