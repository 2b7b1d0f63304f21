"""Custom collectors: metrics that are read when Prometheus asks, of the queues on Redis and of this host's disk."""

from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError
from rq import Queue

from api.acceptance.backlog import BacklogReader, age
from shared.redis.breakers import PAUSED_KEY, read_pauses
from shared.redis.queues import EVENTS, queue_key
from shared.runtime.blocks import BLOCKED_KEY


async def collect_queues(redis: AsyncRedis) -> list[Metric]:
    """What Redis knows of the queues; nothing while it is away."""
    try:
        members: set[bytes] = await redis.smembers(Queue.redis_queues_keys)  # type: ignore[assignment]  # not decoded
        keys = sorted({queue_key(EVENTS), *(key.decode() for key in members)})
        async with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.llen(key)
            counts = await pipeline.execute()
        paused = read_pauses(await redis.hgetall(PAUSED_KEY))
        blocked: dict[bytes, bytes] = await redis.hgetall(BLOCKED_KEY)  # type: ignore[assignment]  # not decoded
    except (RedisError, OSError):
        return []
    names = [key.removeprefix(Queue.redis_queue_namespace_prefix) for key in keys]
    blocks = {job.decode(): int(count) for job, count in blocked.items()}
    return queue_families(dict(zip(names, counts, strict=True)), [pause.queue for pause in paused], blocks)


async def collect_spool(backlog: BacklogReader) -> list[Metric]:
    """What waits on this host's disk; nothing while the disk does not answer."""
    found = await backlog.read()
    if found is None:
        return []
    return spool_families(found.events, found.size, age(found.oldest) or 0.0, len(found.damaged))


def queue_families(waiting: Mapping[str, int], paused: Iterable[str], blocks: Mapping[str, int]) -> list[Metric]:
    """Metrics of the queues, from what Redis knows."""
    jobs = GaugeMetricFamily("deskbell_jobs_waiting", "Jobs that wait, by queue.", labels=["queue"])
    pauses = GaugeMetricFamily("deskbell_queue_paused", "1 while a breaker has the queue paused.", labels=["queue"])
    holding = set(paused)
    for queue in sorted({*waiting, *holding}):
        jobs.add_metric([queue], waiting.get(queue, 0))
        pauses.add_metric([queue], queue in holding)
    blocked = CounterMetricFamily(
        "deskbell_worker_loop_blocks", "Times that a job has blocked its worker's event loop.", labels=["job"]
    )
    for job, count in sorted(blocks.items()):
        blocked.add_metric([job], count)
    return [jobs, pauses, blocked]


def spool_families(events: int, size: int, oldest_seconds: float, damaged: int) -> list[Metric]:
    """Metrics of what waits on this host's disk."""
    return [
        GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("deskbell_spool_events", "Events on this host's disk that wait for Redis.", events),
            ("deskbell_spool_bytes", "Their bytes.", size),
            ("deskbell_spool_oldest_seconds", "For how long the first of them has waited.", oldest_seconds),
            ("deskbell_spool_damaged_files", "Files there that were set aside, or cannot be read.", damaged),
        )
    ]
