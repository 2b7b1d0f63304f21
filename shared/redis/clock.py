"""The clock of Redis, which all hosts share: what hosts write of themselves is dated by it."""

import time
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis


def ahead_of(redis: Redis) -> float:
    """How far this host's clock is ahead of Redis', to some milliseconds.

    Raises:
        RedisError: Redis does not answer.
    """
    asked = time.time()
    told: Any = redis.time()
    there: float = told[0] + told[1] / 1_000_000
    return (asked + time.time()) / 2 - there


async def seconds_ahead(redis: AsyncRedis) -> float:
    """The same, on an event loop."""
    asked = time.time()
    seconds, microseconds = await redis.time()
    return (asked + time.time()) / 2 - (seconds + microseconds / 1_000_000)
