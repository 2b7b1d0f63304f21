"""The Redis that caches are on: the one of the settings, behind a circuit breaker for each operation.

While Redis is away or slow, one call a second tries it and pays `REDIS_TIMEOUT_MS`; all others are answered at once, as
if nothing were kept. The log says once that an operation failed, and once that it works again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Literal, TypeVar, get_args

from redis import Redis
from redis.exceptions import RedisError

from deskbell.adapters.once import Once
from shared.keys import HOME
from shared.logs import get_log
from shared.redis.connections import connect
from shared.redis.outages import refusal
from shared.redis.scripts import script_text
from shared.settings.config import load_settings

Operation = Literal["get", "put", "claim", "drop"]

_AGAIN_SECONDS = 1.0
_THREADS = 16  # of one process, for event loops: a call takes less than a millisecond
_T = TypeVar("_T")


class Store:
    """A connection, and the circuit breakers in front of it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._put = redis.register_script(script_text("deskbell.cache", "put"))
        self._drop = redis.register_script(script_text("deskbell.cache", "drop"))
        self._circuits = {operation: _Circuit(operation) for operation in get_args(Operation)}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cache")

    def ask(self, operation: Operation, call: Callable[[Redis], _T], instead: _T) -> _T:
        """What a call of Redis gives; `instead` when it fails, or is not made because the breaker is open."""
        return self._circuits[operation].call(partial(call, self._redis), instead)

    def put(self, keys: list[str], arguments: list[Any]) -> bool:
        """Run `put.lua`; whether it ran."""
        return self._circuits["put"].call(lambda: bool(self._put(keys=keys, args=arguments)), instead=False)

    def drop(self, keys: list[str], digest: str) -> bool:
        """Run `drop.lua`; whether it ran."""
        return self._circuits["drop"].call(lambda: self._drop(keys=keys, args=[digest]) is not None, instead=False)

    async def in_thread(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """Make a call that blocks, for an event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *arguments))

    def close(self) -> None:
        """Close the connection."""
        self._threads.shutdown()
        self._redis.close()


class _Circuit:
    """A circuit breaker: it opens at the first failure, and lets one call a second through (half open)."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._lock = Lock()
        self._failed_at = self._again_at = 0.0

    def call(self, call: Callable[[], _T], instead: _T) -> _T:
        if self._failed_at and not self._is_probe():
            return instead
        try:
            result = call()
        except (RedisError, OSError) as error:
            self._open(error)
            return instead
        if self._failed_at:
            self._close()
        return result

    def _is_probe(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                return False
            self._again_at = now + _AGAIN_SECONDS
            return True

    def _open(self, error: Exception) -> None:
        with self._lock:
            is_new, now = not self._failed_at, time.monotonic()
            self._failed_at = self._failed_at or now
            self._again_at = now + _AGAIN_SECONDS
        if is_new:
            get_log().error("cache_away", operation=self._operation, error=error, problem=refusal(error))

    def _close(self) -> None:
        with self._lock:
            since, self._failed_at = self._failed_at, 0.0
        if since:
            get_log().info("cache_back", operation=self._operation, away_seconds=round(time.monotonic() - since, 3))


def store() -> Store:
    """The store of this process, or of a test."""
    return _given[-1] if _given else _own()


@contextmanager
def caches_on(redis: Redis) -> Iterator[None]:
    """Within the context all caches of this process are on a given Redis: for tests."""
    _given.append(Store(redis))
    try:
        yield
    finally:
        _given.pop().close()


def _connected() -> Store:
    settings = load_settings()
    return Store(connect(settings, settings.redis_timeout_ms / 1000, HOME))


_own = Once(_connected, Store.close)
_given: list[Store] = []
