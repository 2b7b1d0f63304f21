"""Durability: reads Redis' configuration, and says in a sentence what an acknowledgement is worth.

A managed Redis may forbid CONFIG; the sentence then says what is unknown.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from shared.keys import SHARD
from shared.logs import get_log
from shared.runtime.tasks import cancel_and_wait
from shared.sentences import sentence

WORTH_OF_THE_SPOOL = "An acknowledged event is on the disk of this host, and nowhere else, until Redis takes it."
"""What an acknowledgement is worth while events go to the spool."""

_MOST_SKEW_SECONDS = 30  # half of what a callback's RequestTime may differ from this host's clock
_NEARLY_FULL = 0.9
_SETTINGS = ("appendfsync", "save")
FRESH_SECONDS = 10.0

Persistence = Literal["always", "everysec", "no", "snapshots", "none", "unknown"]
"""How Redis keeps its data on the disk: by `appendfsync` if it has an append-only file."""

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
        warnings: settings that make it worth less than it could be.
        problems: states that may lose acknowledged events, or keep Redis from taking any.
        run_id: of the server's process.
        used_bytes: of its memory.
        max_bytes: its `maxmemory`; 0 if it has none.
    """

    worth: str
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    run_id: str = ""
    persistence: Persistence = "unknown"
    used_bytes: int = 0
    max_bytes: int = 0


async def read_durability(redis: AsyncRedis, min_replicas: int) -> Durability:
    """What an acknowledgement is worth on a server.

    Raises:
        RedisError: Redis does not answer, or still reads its files: until then INFO says that it writes none.
    """
    info = await redis.info()
    if info.get("loading"):
        raise BusyLoadingError("Redis is loading the dataset in memory")
    now = time.time()
    try:
        answered: Any = await redis.config_get(*_SETTINGS)
    except ResponseError:
        answered = {}
    config = {_text(name): _text(value) for name, value in answered.items()}
    return judge(info, config, min_replicas, now)


def judge(info: Mapping[str, Any], config: Mapping[str, str], min_replicas: int, now: float) -> Durability:
    """What an acknowledgement is worth."""
    copies = f", and has reached {min_replicas} replica{'s' * (min_replicas > 1)}" if min_replicas else ""
    return Durability(
        f"An acknowledged event {_written(info, config)}{copies}.",
        [*_warnings(info, config, min_replicas)],
        [*_problems(info, min_replicas, now)],
        str(info.get("run_id", "")),
        _persistence(info, config),
        int(info.get("used_memory", 0)),
        int(info.get("maxmemory", 0)),
    )


class DurabilityWatch:
    """Keeps an answer that is some seconds old at most, so that no reader waits for Redis."""

    def __init__(self, redis: AsyncRedis, min_replicas: int) -> None:
        self._redis = redis
        self._min_replicas = min_replicas
        self._run_id = ""
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._found = Durability("What an acknowledged event is worth is unknown: Redis has not said so yet.")

    def latest(self) -> Durability:
        """What was found last; when that is older than some seconds, it is read again for the next call."""
        now = asyncio.get_running_loop().time()
        if now > self._read_at + FRESH_SECONDS and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())
        return self._found

    async def close(self) -> None:
        """Stop reading."""
        await cancel_and_wait(self._reading)

    async def _read(self) -> None:
        with suppress(RedisError, OSError):
            self._found = await read_durability(self._redis, self._min_replicas)
            self._compare(self._found.run_id)
            self._read_at = asyncio.get_running_loop().time()

    def _compare(self, run_id: str) -> None:
        """Log that Redis is another process than before: it was restarted, or another server has taken over."""
        if self._run_id and run_id != self._run_id:
            get_log().warning("redis_changed", run_id=run_id, before=self._run_id)
        self._run_id = run_id


def _written(info: Mapping[str, Any], config: Mapping[str, str]) -> str:
    if info.get("aof_enabled"):
        return _WRITTEN[config.get("appendfsync", "unknown")]
    if "save" not in config:
        return "is in Redis' memory; whether snapshots reach its disk is unknown, since Redis forbids CONFIG"
    if config["save"]:
        return "is in Redis' memory, and on its disk with the next snapshot: a crash loses what came since the last one"
    return "is in Redis' memory alone, and lost when Redis ends"


def _persistence(info: Mapping[str, Any], config: Mapping[str, str]) -> Persistence:
    if info.get("aof_enabled"):
        fsync = config.get("appendfsync", "unknown")
        return next((kind for kind in get_args(Persistence) if kind == fsync), "unknown")
    if "save" not in config:
        return "unknown"
    return "snapshots" if config["save"] else "none"


def _warnings(info: Mapping[str, Any], config: Mapping[str, str], min_replicas: int) -> Iterator[str]:
    if not info.get("aof_enabled"):
        yield sentence("Redis writes no append-only file; set appendonly yes and appendfsync always")
    elif config.get("appendfsync") != "always":
        yield sentence("appendfsync is {value}; set it to always", value=config.get("appendfsync", "unknown"))
    replicas = int(info.get("connected_slaves", 0))
    if replicas and not min_replicas:
        yield sentence(
            "a failover may lose acknowledged events that the replica has not received; set DESKBELL_MIN_REPLICAS to 1"
        )
    policy = _policy(info)
    if policy == "unknown":
        yield sentence("maxmemory is set, and Redis does not tell its maxmemory-policy; it should be noeviction")
    elif "volatile" in policy:
        yield sentence(
            "maxmemory-policy is {policy}: answers may be forgotten early; set it to noeviction", policy=policy
        )
    if _NEARLY_FULL <= _fullness(info) < 1:
        yield sentence(
            "Redis has used {part:.0%} of its maxmemory; when that is reached it takes no events", part=_fullness(info)
        )


def _problems(info: Mapping[str, Any], min_replicas: int, now: float) -> Iterator[str]:
    if info.get("role") == "slave":
        yield sentence("this Redis is a replica, and takes no events; DESKBELL_REDIS_URL must lead to the master")
    if info.get("cluster_enabled") and SHARD is None:
        yield sentence(
            "this Redis is in cluster mode, and takes no events; DESKBELL_REDIS_URL must be redis+cluster://"
        )
    policy = _policy(info)
    if "allkeys" in policy:
        yield sentence("maxmemory-policy is {policy}: jobs may be evicted; set it to noeviction", policy=policy)
    elif "volatile" not in policy and _fullness(info) >= 1:
        yield sentence("Redis has used all of its maxmemory, and takes no events: raise it, or see what fills it")
    skew = _skew_seconds(info, now)
    if abs(skew) > _MOST_SKEW_SECONDS:
        ahead, behind = (
            sentence("{seconds:.0f} s ahead of", seconds=skew),
            sentence("{seconds:.0f} s behind", seconds=-skew),
        )
        yield sentence(
            "the clock of this host is {apart} that of Redis: a callback whose RequestTime is more than 60 s from this "
            "host's clock is refused; set both by NTP",
            apart=ahead if skew > 0 else behind,
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        yield sentence("Redis cannot write its append-only file: look at its disk")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield sentence("Redis cannot write its snapshots: look at its disk")
    replicas = int(info.get("connected_slaves", 0))
    if replicas < min_replicas:
        yield sentence(
            "DESKBELL_MIN_REPLICAS is {least}, and {replicas} are connected: events go to the spool",
            least=min_replicas,
            replicas=replicas,
        )


def _policy(info: Mapping[str, Any]) -> str:
    """What Redis does when its memory is full: "" where it has no limit, "unknown" where it does not tell."""
    return str(info.get("maxmemory_policy", "unknown")) if int(info.get("maxmemory", 0)) else ""


def _fullness(info: Mapping[str, Any]) -> float:
    limit = int(info.get("maxmemory", 0))
    return int(info.get("used_memory", 0)) / limit if limit else 0.0


def _skew_seconds(info: Mapping[str, Any], now: float) -> float:
    """How far this host's clock is ahead of the server's; 0 where the server does not tell its time."""
    there = info.get("server_time_usec")
    return now - int(there) / 1_000_000 if there else 0.0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
