"""Clients of Redis: every connection is made here, to one server, or to the master that sentinels or a cluster name.

A client connects when it is first used, and again when Redis has moved.
"""

from typing import Any, TypeVar

import hiredis
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from redis.sentinel import Sentinel

from shared.redis.cluster import AsyncShardConnection, AsyncShardMap, ShardConnection, ShardMap, Translation, prefix_of
from shared.redis.pipelining import PipelinedRedis
from shared.settings.config import Settings
from shared.settings.redis_url import RedisUrl

_SECONDS = 10.0
_PROTOCOL = 2  # RESP3 brings us nothing, and Tencent Cloud's own Redis does not speak it
_Client = TypeVar("_Client", Redis, AsyncRedis)


def connect(settings: Settings, seconds: float = _SECONDS, shard: int | None = None) -> Redis:
    """A client for workers and the command line; see `client`."""
    return client(settings.redis_url.get_secret_value(), seconds, shard)


def connect_async(
    settings: Settings, *, seconds: float | None = None, retries: int = 1, shard: int | None = None
) -> AsyncRedis:
    """A client for an event loop; see `async_client`.

    Args:
        settings: where Redis is.
        seconds: the longest wait for one answer, or for one connection; `REDIS_TIMEOUT_MS`, the api's, by default.
        retries: how often a command is sent again after its connection broke, since Redis may have closed an idle one.
        shard: of a cluster; by default this process' own.
    """
    seconds = settings.redis_timeout_ms / 1000 if seconds is None else seconds
    return async_client(settings.redis_url.get_secret_value(), seconds, retries, shard)


def connect_pipelined(settings: Settings, seconds: float) -> PipelinedRedis:
    """A client for an event loop whose commands share a connection."""
    redis = connect_async(settings, seconds=seconds, retries=0)
    redis.connection_pool.connection_kwargs["socket_timeout"] = None
    return PipelinedRedis(redis, seconds)


def client(redis_url: str, seconds: float, shard: int | None = None) -> Redis:
    """A client that tries nothing again.

    RQ's code writes what must not be written twice, and when a connection breaks, nobody knows whether the command was
    carried out. An idle connection that the server has closed is not used.
    """
    url = RedisUrl.parse(redis_url)
    waiting = _waiting(seconds) | {"retry": Retry(NoBackoff(), 0)}
    if not url.sentinels:
        return Redis.from_url(url.url, **waiting)
    to_sentinels = {**_sentinel_options(url, seconds), "retry": Retry(NoBackoff(), 0)}
    finder: type[Sentinel] = ShardMap if url.shards else Sentinel
    sentinel = finder(url.sentinels, sentinel_kwargs=to_sentinels, **url.server_options())
    if not url.shards:
        master: Redis = sentinel.master_for(url.service, **waiting)
        return master
    prefix = prefix_of(shard, url.shards)
    translation = Translation(prefix)
    of_shard: Redis = sentinel.master_for(prefix, command_packer=translation, **waiting)
    return _of_kind(of_shard, ShardConnection, translation=translation)


def async_client(redis_url: str, seconds: float, retries: int, shard: int | None = None) -> AsyncRedis:
    """A client for an event loop."""
    url = RedisUrl.parse(redis_url)
    retry = AsyncRetry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
    waiting = _waiting(seconds) | {"retry": retry}
    if not url.sentinels:
        return _of_kind(AsyncRedis.from_url(url.url, **waiting), _PackedByHiredis)
    to_sentinels = {**_sentinel_options(url, seconds), "retry": AsyncRetry(NoBackoff(), 0)}
    finder: type[AsyncSentinel] = AsyncShardMap if url.shards else AsyncSentinel
    sentinel = finder(url.sentinels, sentinel_kwargs=to_sentinels, **url.server_options())
    service = prefix_of(shard, url.shards) if url.shards else url.service
    redis: AsyncRedis = sentinel.master_for(service, connection_pool_class=_MasterPool, **waiting)
    if not url.shards:
        return _of_kind(redis, _PackedByHiredis)
    return _of_kind(redis, AsyncShardConnection, _PackedByHiredis, translation=Translation(service))


def _of_kind(redis: _Client, *kinds: type, **attributes: object) -> _Client:
    """Let a client's connections, to whichever kind of server, also be of these kinds."""
    pool = redis.connection_pool
    pool.connection_class = type(kinds[0].__name__, (*kinds, pool.connection_class), attributes)
    return redis


class _PackedByHiredis(AbstractConnection):
    """Packs in C, as redis-py's clients that block do: a call of one of our scripts has hundreds of arguments."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """The bytes of a command; what redis-py calls one name may be several words."""
        name, *rest = args
        words = name.encode().split() if isinstance(name, str) else name.split()
        return [hiredis.pack_command((*words, *rest))]


class _MasterPool(AsyncSentinelPool):
    """redis-py's pool for a master; closing it closes the connections to the sentinels, too."""

    async def aclose(self) -> None:
        """Close the pool."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _sentinel_options(url: RedisUrl, seconds: float) -> dict[str, Any]:
    """What redis-py takes to reach a sentinel.

    All sentinels together may take as long as one server: one that hangs must leave time to ask the others.
    """
    tls = {name: value for name, value in url.server_options().items() if name.startswith("ssl")}
    share = seconds / len(url.sentinels)
    times = {"socket_timeout": share, "socket_connect_timeout": share}
    return {**tls, **(url.credentials or {}), **times, "protocol": _PROTOCOL}


def _waiting(seconds: float) -> dict[str, Any]:
    """How long connections wait, and how many there may be."""
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        # No limit: callbacks in flight, jobs under way and queues are each bounded elsewhere, and a call that found no
        # connection free would fail although Redis works.
        "max_connections": 2**31,
        "protocol": _PROTOCOL,
        # With notifications redis-py would use a connection that the server has closed, and would let a server prolong
        # time-outs.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
