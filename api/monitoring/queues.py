"""Metrics of queues, workers and jobs that lie on Redis, so that any api process can tell them for all workers."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import utcparse

from api.monitoring.held import Held, held_families, read_held
from api.monitoring.hosts import host_families
from shared.keys import PREFIX, RQ
from shared.logs import get_log
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost, read_api_hosts
from shared.redis.breakers import PAUSED_KEY, read_pauses
from shared.redis.history import BOUNDS_MS, TOTALS_KEY, Kind, Tallies, Tally, read_tallies
from shared.redis.queues import EVENTS, queue_key
from shared.redis.workers import SILENT_SECONDS, WORKER_KEY, WorkerRecord, read_records
from shared.runtime.blocks import BLOCKED_KEY

_STATES = {"running": "wip", "scheduled": "scheduled", "held": "deferred", "dead": "failed"}
_WORKERS = f"{RQ}workers"
_WORKER, _QUEUE = (f"{RQ}{each}:".removeprefix(PREFIX) for each in ("worker", "queue"))  # of whichever shard
_JOB = f"{RQ}job:".encode()


@dataclass(frozen=True, slots=True)
class OnRedis:
    """What Redis knows of the queues and their workers at one moment.

    Attributes:
        waiting: how many jobs wait, by queue.
        oldest: for how many seconds the job at the head has waited, by queue.
        others: how many jobs are in each other state, by queue and state.
        records: what workers with a heartbeat say of themselves.
        is_suspended: whether `rq suspend` holds all workers back.
        hosts: the hosts of apis.
        held: the jobs that are scheduled or held; None where Redis refuses to tell.
        refused: how many of these reads Redis has refused.
    """

    waiting: Mapping[str, int]
    oldest: Mapping[str, float]
    others: Mapping[tuple[str, str], int]
    paused: Sequence[str]
    blocks: Mapping[str, int]
    records: Sequence[WorkerRecord]
    totals: Tallies
    is_suspended: bool = False
    hosts: Sequence[ApiHost] = ()
    held: Held | None = None
    refused: int = 0


async def collect_queues(redis: AsyncRedis) -> list[Metric]:
    """What Redis knows of queues, workers and jobs; nothing while it is away, or where it refuses, which is logged."""
    try:
        return queue_families(await _read(redis))
    except (RedisConnectionError, RedisTimeoutError, OSError):
        return []
    except RedisError as error:
        get_log().error("no_metrics", error=error)
        return []


async def _read(redis: AsyncRedis) -> OnRedis:
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.smembers(Queue.redis_queues_keys)
        pipeline.smembers(_WORKERS)
        keys, workers = await pipeline.execute()
    async with redis.pipeline(transaction=False) as pipeline:
        for worker in workers:
            pipeline.get(WORKER_KEY.encode() + worker.partition(_WORKER.encode())[2])
        written = await pipeline.execute(raise_on_error=False)
    records = read_records(written)
    used = (key.decode().partition(_QUEUE)[2] for key in keys)
    read = (name for record in records for name in record.queues)  # of one that had no job yet, series begin with 0
    names = sorted({EVENTS, *used, *read})
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(queue_key(name))
            pipeline.lindex(queue_key(name), 0)
            for registry in _STATES.values():
                pipeline.zcard(f"{RQ}{registry}:{name}")
        pipeline.hgetall(PAUSED_KEY)
        pipeline.hgetall(BLOCKED_KEY)
        pipeline.hgetall(TOTALS_KEY)
        pipeline.hgetall(API_HOSTS_KEY)
        pipeline.get(WORKERS_SUSPENDED)
        answers = await pipeline.execute(raise_on_error=False)
    errors = [answer for answer in (*written, *answers) if isinstance(answer, Exception)]
    if errors:  # a key that somebody has overwritten: the others are told
        get_log().error("no_metrics", error=errors[0])
    told = iter(answers)
    counts: dict[tuple[str, str], Any] = {}
    for name in names:
        counts |= {(name, state): next(told) for state in ("waiting", "first", *_STATES)}
    *tables, suspended = told
    pauses, blocked, totals, hosts = ({} if isinstance(each, Exception) else each for each in tables)
    sound = {key: value for key, value in counts.items() if not isinstance(value, Exception)}
    others = {key: value for key, value in sound.items() if key[1] in _STATES}
    held = await _held(redis, others)
    return OnRedis(
        {name: value for (name, state), value in sound.items() if state == "waiting"},
        await _ages(redis, {name: value for (name, state), value in sound.items() if state == "first"}),
        others,
        [pause.queue for pause in read_pauses(pauses)],
        {name: 0 for record in records for name in record.job_types}
        | {job.decode(): int(count) for job, count in blocked.items()},
        records,
        read_tallies(totals),
        is_suspended=isinstance(suspended, bytes),
        hosts=read_api_hosts(hosts),
        held=held,
        refused=len(errors) + (held is None),
    )


async def _held(redis: AsyncRedis, counts: Mapping[tuple[str, str], int]) -> Held | None:
    try:
        return await read_held(redis, counts)
    except ResponseError as error:
        get_log().error("no_metrics", error=error)
        return None


async def _ages(redis: AsyncRedis, first: Mapping[str, bytes | None]) -> dict[str, float]:
    heads = {name: job_id for name, job_id in first.items() if job_id}
    async with redis.pipeline(transaction=False) as pipeline:
        for job_id in heads.values():
            pipeline.hget(_JOB + job_id, "enqueued_at")
        since = dict(zip(heads, await pipeline.execute(), strict=True))
    return {name: _age(since[name]) if name in heads else 0.0 for name in first}


def _age(queued: bytes | None) -> float:
    try:
        return max(0.0, time.time() - utcparse((queued or b"").decode()).timestamp())
    except ValueError:
        return 0.0


def queue_families(found: OnRedis) -> list[Metric]:
    """Metrics of queues, workers and jobs, from what Redis knows."""
    names = {*found.waiting, *found.paused}
    paused = Counter(set(found.paused))
    by_queue: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("deskbell_jobs_waiting", "Jobs that wait, by queue.", found.waiting),
        ("deskbell_oldest_waiting_seconds", "For how long the job at the head of a queue has waited.", found.oldest),
        ("deskbell_queue_paused", "1 while a breaker has the queue paused.", paused),
    )
    families: list[Metric] = []
    for name, text, values in by_queue:
        gauge = GaugeMetricFamily(name, text, labels=["queue"])
        for queue in sorted(names & values.keys() if values is not paused else names):
            gauge.add_metric([queue], values.get(queue, 0))
        families.append(gauge)
    others = GaugeMetricFamily("deskbell_jobs", "Jobs that do not wait, by queue and state.", labels=["queue", "state"])
    for (queue, state), count in sorted(found.others.items()):
        others.add_metric([queue, state], count)
    blocked = CounterMetricFamily(
        "deskbell_worker_loop_blocks", "Times that a job has blocked its worker's event loop.", labels=["job_type"]
    )
    for job, count in sorted(found.blocks.items()):
        blocked.add_metric([job], count)
    suspended = GaugeMetricFamily(
        "deskbell_workers_suspended", "1 while `rq suspend` holds all workers back.", value=found.is_suspended
    )
    refused = GaugeMetricFamily(
        "deskbell_redis_reads_refused", "Reads for these metrics that Redis refused.", value=found.refused
    )
    families += [others, blocked, suspended, refused, *(held_families(found.held) if found.held else [])]
    families += [*_worker_families(names, found.records), *host_families(found.hosts, found.records)]
    return [*families, *_total_families(found.totals)]


def _worker_families(queues: Iterable[str], records: Iterable[WorkerRecord]) -> list[Metric]:
    workers = GaugeMetricFamily("deskbell_workers", "Workers with a heartbeat, by queue.", labels=["queue", "version"])
    slots = GaugeMetricFamily("deskbell_worker_slots", "Jobs that those may run at once.", labels=["queue"])
    used = GaugeMetricFamily("deskbell_worker_slots_used", "Jobs that they run.", labels=["queue"])
    silent = GaugeMetricFamily(
        "deskbell_workers_silent", "Workers that have given no sign of life for 20 s.", labels=["queue"]
    )
    lag = GaugeMetricFamily(
        "deskbell_worker_lag_seconds", "How long their event loops made a callback wait, at most.", labels=["queue"]
    )
    known = list(records)
    for queue in sorted({*queues, *(name for record in known for name in record.queues)}):
        here = [record for record in known if queue in record.queues]
        living = [record for record in here if record.age <= SILENT_SECONDS]
        for version, count in sorted(Counter(record.version for record in living).items()) or [("", 0)]:
            workers.add_metric([queue, version], count)
        slots.add_metric([queue], sum(record.slots for record in living))
        used.add_metric([queue], sum(record.used for record in living))
        silent.add_metric([queue], len(here) - len(living))
        lag.add_metric([queue], max((record.lag for record in living), default=0.0))
    return [workers, slots, used, silent, lag]


def _total_families(totals: Tallies) -> list[Metric]:
    found: list[Metric] = []
    callbacks, jobs = _of(totals, "callback"), _of(totals, "job")
    found += _counter("deskbell_node_callbacks", "Callbacks answered, by node and outcome.", "node", callbacks)
    found += _counter("deskbell_job_attempts", "Attempts at jobs, by type and outcome.", "job_type", jobs)
    found += _counter("deskbell_leases", "Leases that ended as those of dead workers.", "queue", _of(totals, "lease"))
    failures = CounterMetricFamily(
        "deskbell_job_failures", "Attempts that failed, by kind of cause.", labels=["job_type", "outcome", "cause"]
    )
    for name, tally in jobs:
        for (outcome, cause), count in sorted(tally.causes.items()):
            failures.add_metric([name, outcome, cause], count)
    found.append(failures)
    for name, text, label, tallies, what in (
        ("deskbell_node_answer_seconds", "From the first byte to the answer, by node.", "node", callbacks, "ms"),
        ("deskbell_job_attempt_seconds", "How long attempts took.", "job_type", jobs, "ms"),
        ("deskbell_job_wait_seconds", "From the callback to the first attempt.", "job_type", jobs, "waited_ms"),
        ("deskbell_job_done_seconds", "From the callback to the job's end.", "job_type", jobs, "whole_ms"),
    ):
        histogram = HistogramMetricFamily(name, text, labels=[label])
        for labelled, tally in tallies:
            histogram.add_metric([labelled], _buckets(getattr(tally, what)), tally.sums[what] / 1000)
        found.append(histogram)
    return found


def _of(totals: Tallies, kind: Kind) -> list[tuple[str, Tally]]:
    return sorted((name, tally) for (each, name), tally in totals.items() if each == kind)


def _counter(name: str, text: str, label: str, tallies: Iterable[tuple[str, Tally]]) -> list[Metric]:
    counter = CounterMetricFamily(name, text, labels=[label, "outcome"])
    for labelled, tally in tallies:
        for outcome, count in sorted(tally.outcomes.items()):
            counter.add_metric([labelled, outcome], count)
    return [counter]


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative buckets in seconds, as Prometheus has them."""
    bounds = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
    seen, found = 0, []
    for bound, count in zip(bounds, counts, strict=True):
        seen += count
        found.append((bound, float(seen)))
    return found
