"""What an acknowledgement is worth: read from Redis' own configuration, and said in a sentence.

A managed Redis may forbid CONFIG: what only that tells is unknown then, and said to be.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError, ResponseError

from api.endings import end

_SETTINGS = ("appendfsync", "save")
_FRESH_SECONDS = 10.0

_WRITTEN = {
    "always": "is on Redis' disk",
    "everysec": "is in Redis' memory, and on its disk within a second or two: a power cut loses what came in between",
    "no": "is in Redis' memory, and on its disk when the system writes it out, some 30 seconds later",
    "unknown": "is in Redis' append-only file; how soon that reaches the disk is unknown, since Redis forbids CONFIG",
}


@dataclass(frozen=True, slots=True)
class Durability:
    """What Redis says of itself.

    Attributes:
        worth: what an acknowledgement is worth, a sentence.
        warnings: what makes it worth less than it could be.
        problems: what may lose acknowledged events, or keeps Redis from taking any.
    """

    worth: str
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_durability(connection: Redis, min_replicas: int) -> Durability:
    """What an acknowledgement is worth on a server.

    Raises:
        RedisError: the server does not answer.
    """
    info: Any = connection.info()
    try:
        config: Any = connection.config_get(*_SETTINGS)
    except ResponseError:
        config = {}
    return judge(info, config, min_replicas)


def judge(info: Mapping[str, Any], config: Mapping[str, str], min_replicas: int) -> Durability:
    """What an acknowledgement is worth.

    Args:
        info: what INFO answers.
        config: `appendfsync` and `save`; empty when Redis forbids CONFIG.
        min_replicas: the setting.
    """
    copies = f", and has reached {min_replicas} replica{'s' * (min_replicas > 1)}" if min_replicas else ""
    return Durability(
        f"An acknowledged event {_written(info, config)}{copies}.",
        [*_warnings(info, config, min_replicas)],
        [*_problems(info, min_replicas)],
    )


class DurabilityWatch:
    """Keeps an answer at hand that is some seconds old at most, without anybody waiting for Redis."""

    def __init__(self, redis: AsyncRedis, min_replicas: int) -> None:
        self._redis = redis
        self._min_replicas = min_replicas
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._found = Durability("What an acknowledged event is worth is unknown: Redis has not said so yet.")

    def look(self) -> Durability:
        """What was found last; older than some seconds, it is read anew for the next who looks."""
        now = asyncio.get_running_loop().time()
        if now > self._read_at + _FRESH_SECONDS and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())
        return self._found

    async def close(self) -> None:
        """Stop reading."""
        await end(self._reading)

    async def _read(self) -> None:
        with suppress(RedisError, OSError):
            info = await self._redis.info()
            try:
                answered: Any = await self._redis.config_get(*_SETTINGS)
            except ResponseError:
                answered = {}
            config = {_text(name): _text(value) for name, value in answered.items()}
            self._found = judge(info, config, self._min_replicas)
            self._read_at = asyncio.get_running_loop().time()


def _written(info: Mapping[str, Any], config: Mapping[str, str]) -> str:
    if info.get("aof_enabled"):
        return _WRITTEN[config.get("appendfsync", "unknown")]
    if "save" not in config:
        return "is in Redis' memory; whether snapshots reach its disk is unknown, since Redis forbids CONFIG"
    if config["save"]:
        return "is in Redis' memory, and on its disk with the next snapshot: a crash loses what came since the last one"
    return "is in Redis' memory alone, and lost when Redis ends"


def _warnings(info: Mapping[str, Any], config: Mapping[str, str], min_replicas: int) -> Iterator[str]:
    if not info.get("aof_enabled"):
        yield "Redis writes no append-only file; set appendonly yes and appendfsync always"
    elif config.get("appendfsync") != "always":
        yield f"appendfsync is {config.get('appendfsync', 'unknown')}; set it to always"
    replicas = int(info.get("connected_slaves", 0))
    if replicas and not min_replicas:
        yield (
            "a failover may lose acknowledged events that the replica has not received; set DESKBELL_MIN_REPLICAS to 1"
        )
    if _may_evict(info) and "volatile" in info["maxmemory_policy"]:
        yield f"maxmemory-policy is {info['maxmemory_policy']}: answers may be forgotten early; set it to noeviction"


def _problems(info: Mapping[str, Any], min_replicas: int) -> Iterator[str]:
    if info.get("role") == "slave":
        yield "this Redis is a replica, and takes no events; DESKBELL_REDIS_URL must lead to the master"
    if _may_evict(info) and "allkeys" in info["maxmemory_policy"]:
        yield f"maxmemory-policy is {info['maxmemory_policy']}: jobs may be evicted; set it to noeviction"
    if info.get("aof_last_write_status", "ok") != "ok":
        yield "Redis cannot write its append-only file: look at its disk"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield "Redis cannot write its snapshots: look at its disk"
    replicas = int(info.get("connected_slaves", 0))
    if replicas < min_replicas:
        yield f"DESKBELL_MIN_REPLICAS is {min_replicas}, and {replicas} are connected: events go to the spool"


def _may_evict(info: Mapping[str, Any]) -> bool:
    return int(info.get("maxmemory", 0)) > 0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
