"""What lies on Redis: records, dead letters, waiting jobs, eight hours of history, and a queue that is paused.

Everything is written by the code that writes it in production. Of dead letters and of history a few are, and they are
copied under other ids and other times.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from rq.job import Job
from rq.results import Result

from bench.console.app import FAILURES, NODES, QUEUES, jobs
from bench.console.serving import work
from bench.records import write_records
from deskbell.queues.pausing import Pausing
from deskbell.testing import api_call
from shared.redis.history import COARSE_KEY, COARSE_MINUTES, FINE_SECONDS, MINUTE_KEY, History
from shared.redis.queues import EVENTS, events_job, queue
from shared.wire.events import new_event_id
from workers.dead_letters.registry import batched, registry_key

PAUSED = QUEUES[0]
"""The queue that somebody has paused."""

_AT_ONCE = 1000
_DAY = 24 * 3600
_COUNTED = 200  # of each node and job type, in a minute
_WAITING_EVENTS = 250


def write_content(redis: Redis, url: str, records: int, dead_letters: int) -> str:
    """Write it; the id of the last event on record."""
    last = write_records(redis, records)
    asyncio.run(_write_history(url))
    _write_dead_letters(redis, url, dead_letters)
    _put_events(redis, [""] * _WAITING_EVENTS)
    work(url, EVENTS)
    _put_events(redis, [""] * _WAITING_EVENTS)
    Pausing(redis, "ana").pause(PAUSED)
    return last


def _put_events(redis: Redis, failures: list[str]) -> None:
    """Put events on their queue, as the api does, whose jobs fail like this."""
    events = queue(EVENTS, redis)
    for failure in failures:
        event = api_call("order_status", OrderID="1042", SystemClientUserID="user517", Failure=failure)
        events.enqueue_job(events_job(events, event.command, event.to_wire(), event.id))


def _write_dead_letters(redis: Redis, url: str, count: int) -> None:
    """One of each group by a worker, then copies of them: of the second half as many as of the first, and so on."""
    _put_events(redis, list(FAILURES))
    work(url, EVENTS, *QUEUES)
    models = [(each, job_id) for each in QUEUES for job_id in queue(each, redis).failed_job_registry.get_job_ids()]
    shares = [1 / number for number in range(1, len(models) + 1)]
    chosen = random.Random(1).choices(models, shares, k=max(0, count - len(models)))  # noqa: S311 - the same each time
    found = {job_id: (redis.hgetall(Job.key_for(job_id)), redis.dump(Result.get_key(job_id))) for _, job_id in models}
    began, now = time.time() - _DAY, 0
    for some in batched(chosen, _AT_ONCE):
        with redis.pipeline(transaction=False) as pipeline:
            for model in some:
                now += 1
                _copy(pipeline, model, began + _DAY * now / count, *found[model[1]])
            pipeline.execute()


def _copy(pipeline: Any, model: tuple[str, str], at: float, fields: Any, result: Any) -> None:
    """A dead letter like a model, that failed at a time."""
    name, model_id = model
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    job_id = new_event_id(at) + model_id[32:]
    times = dict.fromkeys((b"created_at", b"enqueued_at", b"started_at", b"ended_at"), moment)
    pipeline.hset(Job.key_for(job_id), mapping=fields | times)
    if result:
        pipeline.restore(Result.get_key(job_id), 0, result)
    pipeline.zadd(registry_key(name), {job_id: -1})


async def _write_history(url: str) -> None:
    """What processes count in a minute, and the same for all minutes before."""
    history, chance = History(), random.Random(1)  # noqa: S311 - the same each time
    now = time.time()
    for node in NODES:
        for _ in range(_COUNTED):
            outcome = chance.choices(["answered", "fallback", "refused", "failed"], [90, 5, 4, 1])[0]
            history.record("callback", node, outcome, chance.lognormvariate(3, 1))
    for each in jobs.types:
        for _ in range(_COUNTED):
            outcome = chance.choices(["done", "retry", "dead"], [90, 9, 1])[0]
            cause = "" if outcome == "done" else "TimeoutError"
            received, ms = (now - chance.lognormvariate(1, 1)) * 1000, chance.lognormvariate(4, 1)
            history.record("job", each.name, outcome, ms, received, 1, cause)
    async with AsyncRedis.from_url(url) as redis:
        await history.write(redis)
        this = max([int(each.rpartition(b":")[2]) async for each in redis.scan_iter(f"{MINUTE_KEY}*")])
        ten = this - this % COARSE_MINUTES
        for back in range(1, FINE_SECONDS // 60):
            await redis.copy(f"{MINUTE_KEY}{this}", f"{MINUTE_KEY}{this - back}")
        for back in range(COARSE_MINUTES, FINE_SECONDS // 60, COARSE_MINUTES):
            await redis.copy(f"{COARSE_KEY}{ten}", f"{COARSE_KEY}{ten - back}")
