"""The clock of Redis, which all hosts share: what hosts write of themselves is dated by it."""

import time

from redis.asyncio import Redis as AsyncRedis


async def seconds_ahead(redis: AsyncRedis) -> float:
    """How far this host's clock is ahead of Redis', to some milliseconds.

    Raises:
        RedisError: Redis does not answer.
    """
    asked = time.time()
    seconds, microseconds = await redis.time()
    return (asked + time.time()) / 2 - (seconds + microseconds / 1_000_000)
