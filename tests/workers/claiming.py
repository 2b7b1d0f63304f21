"""Claiming in a test: executions of a worker, called one step after another, and jobs for them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from shared import ApiCall, Concurrency, Jobs
from shared.queues import PERFORM
from shared.testing import api_call
from tests.workers.working import Workplace
from workers.executions import Claimed, Executions, Ledger
from workers.lease import Lease
from workers.limits import limits_text

LEASE = 30
ATTEMPTS = {"count": 3}
Step = Callable[[Callable[[Executions], Awaitable[Any]]], Any]


def counting_jobs() -> tuple[Jobs, list[str]]:
    """A job type `count` of three attempts, and what it counted."""
    jobs, counted = Jobs(), []

    @jobs.on(ApiCall, attempts=3)
    def count(event: ApiCall) -> None:
        counted.append(event.id)

    return jobs, counted


def limited_jobs(limit: str | Concurrency) -> Jobs:
    """A job type `few` with a limit, and `free` without."""
    jobs = Jobs()

    @jobs.on(ApiCall, limit=limit)
    def few(event: ApiCall) -> None: ...

    @jobs.on(ApiCall)
    def free(event: ApiCall) -> None: ...

    return jobs


@contextmanager
def executions(url: str, name: str = "ours") -> Iterator[Callable[[Callable[[Executions], Awaitable[Any]]], Any]]:
    """Call a worker's executions, one step after another."""
    ledger = Ledger(name, lease_seconds=LEASE, attempts=ATTEMPTS, limits=limits_text(Jobs()))
    with asyncio.Runner() as runner:

        async def step(call: Callable[[Executions], Awaitable[Any]]) -> Any:
            async with AsyncRedis.from_url(url) as redis:
                return await call(Executions(redis, ledger))

        yield lambda call: runner.run(step(call))


@contextmanager
def worker_of(workplace: Workplace, url: str, name: str = "ours") -> Iterator[Step]:
    """Call the executions of a worker that knows the workplace's job types, one step after another."""
    its_ledger = workplace.performer.ledger(name)
    with asyncio.Runner() as runner:

        async def step(call: Callable[[Executions], Awaitable[Any]]) -> Any:
            async with AsyncRedis.from_url(url) as redis:
                return await call(Executions(redis, its_ledger))

        yield lambda call: runner.run(step(call))


def claim_all(step: Callable[..., Any], *queues: str, free: int = 10) -> list[Lease]:
    """Lease what there is on queues."""
    claims: list[Lease] = step(lambda ours: ours.claim(queues or ["default"], free)).claims
    return claims


def claim(step: Step, free: int = 10, queue: str = "default") -> Claimed:
    """One claim from a queue."""
    claimed: Claimed = step(lambda ours: ours.claim([queue], free))
    return claimed


def expire(redis: Redis, name: str = "default") -> None:
    """Let the leases of a queue run out."""
    key = f"rq:wip:{name}"
    members: list[Any] = redis.zrange(key, 0, -1)
    for member in members:
        redis.zadd(key, {member: 1})


def put(workplace: Workplace, count: int = 1) -> list[str]:
    """Put jobs of the type `count` on their queue; their ids."""
    events = [api_call(str(number)) for number in range(count)]
    for event in events:
        workplace.put_jobs(event)
    return [f"{event.id}-count" for event in events]


def put_job(workplace: Workplace, name: str, queue: str = "default") -> str:
    """Put a job on a queue as fan-out does; its id."""
    event = api_call("x")
    job = workplace.queue(queue).create_job(
        PERFORM, args=[name, event.to_wire()], job_id=f"{event.id}-{name}", failure_ttl=-1
    )
    workplace.queue(queue).enqueue_job(job)
    return str(job.id)
