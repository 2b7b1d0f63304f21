"""Metrics of the Redis server itself: whether it keeps what it acknowledges, and its room."""

from typing import get_args

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from api.monitoring.durability import Durability, Persistence, read_durability


async def collect_server(redis: AsyncRedis, min_replicas: int) -> list[Metric]:
    """What the server says of itself; nothing while it is away, or where it refuses."""
    try:
        return server_families(await read_durability(redis, min_replicas))
    except (RedisError, OSError):
        return []


def server_families(found: Durability) -> list[Metric]:
    """Metrics of the server, from what it says of itself."""
    persistence = GaugeMetricFamily(
        "deskbell_redis_persistence", "1 for the way in which Redis keeps its data on the disk.", labels=["kind"]
    )
    for kind in get_args(Persistence):
        persistence.add_metric([kind], kind == found.persistence)
    return [
        persistence,
        *(
            GaugeMetricFamily(name, text, value=value)
            for name, text, value in (
                ("deskbell_redis_problems", "Problems of Redis of which /readyz tells.", len(found.problems)),
                ("deskbell_redis_memory_bytes", "What Redis has used of its memory.", found.used_bytes),
                ("deskbell_redis_max_memory_bytes", "Its maxmemory; 0 if it has none.", found.max_bytes),
            )
        ),
    ]
